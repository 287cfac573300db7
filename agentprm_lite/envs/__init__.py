"""Environments of text, in-process, deterministic and forkable."""

from agentprm_lite.envs.babyai import BabyAI
from agentprm_lite.envs.base import AnyText, TextEnv
from agentprm_lite.envs.planning import RecipeTree, recipe_tree
from agentprm_lite.envs.textcraft import TextCraft

__all__ = [
    "ENVS",
    "AnyText",
    "BabyAI",
    "RecipeTree",
    "TextCraft",
    "TextEnv",
    "make_env",
    "recipe_tree",
]

ENVS: dict[str, type[TextEnv]] = {"babyai": BabyAI, "textcraft": TextCraft}
"""Name -> environment."""


def make_env(name: str) -> TextEnv:
    """An environment by its name.

    Args:
        name: A key of `ENVS`.

    Returns:
        A new environment, not reset yet.

    Raises:
        ValueError: No environment has this name.

    Example:
        >>> make_env("textcraft").max_rounds
        20
    """
    if name not in ENVS:
        raise ValueError(f"name: expected one of {sorted(ENVS)}, got {name!r}")
    return ENVS[name]()
