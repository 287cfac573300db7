"""Environments of text, in-process, deterministic and forkable; and a client for AgentGym's."""

from agentprm_lite.envs.agentgym import PREFIX, AgentGymEnv
from agentprm_lite.envs.base import AnyText, TextEnv
from agentprm_lite.envs.planning import RecipeTree, recipe_tree
from agentprm_lite.envs.textcraft import TextCraft

__all__ = [
    "ENVS",
    "AgentGymEnv",
    "AnyText",
    "RecipeTree",
    "TextCraft",
    "TextEnv",
    "make_env",
    "recipe_tree",
]

ENVS: dict[str, type[TextEnv]] = {"textcraft": TextCraft}
"""Name -> environment."""


def make_env(name: str) -> TextEnv:
    """An environment by its name.

    Args:
        name: A key of `ENVS`, or "agentgym:<world>@<url>" for a world on one of AgentGym's
            servers (with :class:`AgentGymEnv`'s usual timeout and retries).

    Returns:
        A new environment, not reset yet.

    Raises:
        ValueError: No environment has this name.

    Example:
        >>> make_env("textcraft").max_rounds
        20
    """
    if name.startswith(PREFIX):
        return AgentGymEnv.from_name(name)
    if name not in ENVS:
        raise ValueError(f"name: expected one of {sorted(ENVS)}, got {name!r}")
    return ENVS[name]()
