"""The crafting commands that a TextCraft task shows: a recipe tree hidden among distractors."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable

from agentprm_lite.worlds.textcraft.recipes import Recipe, RecipeTable, recipe_table

MAX_DISTRACTORS = 10


def shown_commands(index: int, variant: int) -> list[str]:
    """Commands of a task: the recipe tree of its goal and distractors, shuffled.

    Distractors share an ingredient with the tree. As in AgentGym at most ten uses of each
    ingredient are drawn first, so that planks and sticks do not crowd out the rest, then at most
    ten of those.

    Args:
        index: Index of the goal.
        variant: 0 for the canonical text, k > 0 for other distractors in another order.

    Returns:
        The commands, a function of the two numbers only.

    Example:
        >>> "craft 4 acacia planks using 1 acacia logs" in shown_commands(0, 7)
        True
    """
    tree, uses = _material(recipe_table().goals[index])
    rng = random.Random(f"textcraft/{index}/{variant}")
    near = {text for pool in uses for text in _shuffled(pool, rng)[:MAX_DISTRACTORS]}
    distractors = _shuffled(sorted(near), rng)[:MAX_DISTRACTORS]
    return _shuffled([*tree, *distractors], rng)


def _shuffled(texts: Iterable[str], rng: random.Random) -> list[str]:
    """A shuffled copy. Only rng.random() is sure to stay the same across Python versions."""
    return sorted(texts, key=lambda _: rng.random())


def _tree_recipes(table: RecipeTable, goal: str) -> list[Recipe]:
    """Every recipe from which the goal can be made down to base items, in file order."""
    found: set[str] = set()
    queue = [goal]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += [part.name for recipe in table.makers(name) for part in recipe.inputs]
    texts = {recipe.text for name in found for recipe in table.makers(name)}
    return [recipe for recipe in table.recipes if recipe.text in texts]


@functools.cache
def _material(goal: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Commands of a goal's recipe tree; for each ingredient in it, the other uses of it."""
    table = recipe_table()
    recipes = _tree_recipes(table, goal)
    tree = dict.fromkeys(recipe.text for recipe in recipes)
    names = dict.fromkeys(part.name for recipe in recipes for part in recipe.inputs)
    uses = [dict.fromkeys(recipe.text for recipe in table.uses[name]) for name in names]
    return tuple(tree), tuple(tuple(text for text in pool if text not in tree) for pool in uses)
