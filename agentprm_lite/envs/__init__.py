"""Environments of text, in-process, deterministic and forkable; and a client for AgentGym's."""

from agentprm_lite.envs.agentgym import PREFIX, AgentGymEnv
from agentprm_lite.envs.babyai import BabyAI
from agentprm_lite.envs.base import AnyText, TextEnv
from agentprm_lite.envs.mathworld import GSM8K, MathWorld
from agentprm_lite.envs.planning import RecipeTree, recipe_tree
from agentprm_lite.envs.textcraft import TextCraft
from agentprm_lite.envs.webshop import WebShop

__all__ = [
    "ENVS",
    "GSM8K",
    "AgentGymEnv",
    "AnyText",
    "BabyAI",
    "MathWorld",
    "RecipeTree",
    "TextCraft",
    "TextEnv",
    "WebShop",
    "env_class",
    "make_env",
    "recipe_tree",
]

ENVS: dict[str, type[TextEnv]] = {
    "textcraft": TextCraft,
    "babyai": BabyAI,
    "webshop": WebShop,
    "math": MathWorld,
    "gsm8k": GSM8K,
}
"""Name -> environment. GSM8K needs files that are not part of this library."""


def env_class(name: str) -> type[TextEnv]:
    """The class that knows a world's tasks, how its turns are read and what an answer is.

    Args:
        name: As in :func:`make_env`; a world on a server has the class of the same world here.

    Returns:
        The class.

    Raises:
        ValueError: No environment has this name.

    Example:
        >>> env_class("agentgym:babyai@http://localhost:36001") is env_class("babyai")
        True
    """
    world = name.removeprefix(PREFIX).partition("@")[0] if name.startswith(PREFIX) else name
    if world not in ENVS:
        raise ValueError(f"name: expected one of {sorted(ENVS)}, got {name!r}")
    return ENVS[world]


def make_env(name: str, max_rounds: int | None = None) -> TextEnv:
    """An environment by its name.

    Args:
        name: A key of `ENVS`, or "agentgym:<world>@<url>" for a world on one of AgentGym's
            servers (with the usual timeout and retries of
            :class:`agentprm_lite.envs.agentgym.AgentGymEnv`).
        max_rounds: Steps after which an episode is truncated; None: the usual number.

    Returns:
        A new environment, not reset yet.

    Raises:
        ValueError: No environment has this name.

    Example:
        >>> make_env("textcraft").max_rounds
        20
    """
    if name.startswith(PREFIX):
        return AgentGymEnv.from_name(name, max_rounds)
    return env_class(name)(max_rounds)
