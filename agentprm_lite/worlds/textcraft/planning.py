"""Plans for TextCraft: which items to get and what to craft, in which order.

A plan is made afresh from the present inventory, so it is also right after detours. Items are
listed where they are first needed, and everything needed of a base item is got at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentprm_lite.worlds.textcraft.recipes import Ingredient, Recipe, RecipeTable, recipe_table

BEAM = 8
"""Alternatives (kinds of planks, ways to a dye) kept while a plan grows."""

Recipes = Mapping[str, tuple[Recipe, ...]]


@dataclass(frozen=True)
class RecipeTree:
    """An item, and what one craft of it takes.

    Example:
        >>> RecipeTree("stick", 4, (RecipeTree("acacia planks", 2, ()),)).children[0].count
        2
    """

    item: str
    """A concrete item, also where the recipe asks for a kind of item."""
    count: int
    """How many the parent's recipe takes; at the root, how many one craft makes."""
    children: tuple[RecipeTree, ...]
    """Inputs of one craft of the item; empty for items that are got."""


def recipe_tree(goal: str) -> RecipeTree:
    """The shallowest way to make an item, as a tree.

    Args:
        goal: Name of an item.

    Returns:
        The tree. Of several ways the one of least depth is taken, then the first by file name;
        a kind of item ("planks") stands as its first craftable item ("acacia planks").

    Raises:
        ValueError: No recipe makes the item.

    Example:
        >>> tree = recipe_tree("ladder")
        >>> tree.count, [(child.item, child.count) for child in tree.children]
        (3, [('stick', 7)])
    """
    table = recipe_table()
    if goal not in table.by_item:
        raise ValueError(f"goal: expected a craftable item, got {goal!r}")

    def grow(name: str, count: int | None) -> RecipeTree:
        makers = table.makers(name)
        if not makers:
            return RecipeTree(name, count or 1, ())
        recipe = min(makers, key=lambda r: max(table.depth[part.name] for part in r.inputs))
        children = tuple(grow(part.name, part.count) for part in recipe.inputs)
        return RecipeTree(recipe.output, recipe.count if count is None else count, children)

    return grow(goal, None)


@dataclass(frozen=True)
class _Draft:
    """A plan in the making."""

    stock: dict[str, int]
    """What is left over and not yet spoken for."""
    wanted: dict[str, int]
    """Base item -> how many to get in all."""
    steps: tuple[tuple[str, str], ...]
    """("get", item) or (item, command), in order."""


def make_plan(
    table: RecipeTable, shown: Recipes, goal: str, inventory: Mapping[str, int]
) -> list[tuple[str, str]]:
    """Thoughts and actions that lead from an inventory to one craft of the goal.

    Args:
        table: Rules of the game.
        shown: Item -> recipes that may be used.
        goal: Item to craft.
        inventory: Item -> how many are carried.

    Returns:
        (thought, action) pairs, the next one first; empty where no plan exists.

    Example:
        >>> table = recipe_table()
        >>> make_plan(table, table.by_item, "sugar", {"sugar cane": 1})
        [('I have everything for sugar.', 'craft 1 sugar using 1 sugar cane')]
    """
    start = _Draft(dict(inventory), {}, ())
    drafts = _craft(table, shown, goal, None, start, frozenset())
    if not drafts:
        return []
    best = drafts[0]
    plan = []
    for i, (kind, rest) in enumerate(best.steps):
        if kind == "get":
            amount = f"{best.wanted[rest]} {rest}"
            why = [f"{command}. " for command in _purpose(rest, best.steps[i + 1 :])]
            plan.append((f"{''.join(why)}I need {amount}.", f"get {amount}"))
        else:
            plan.append((f"I have everything for {kind}.", rest))
    return plan


def _purpose(item: str, later: tuple[tuple[str, str], ...]) -> list[str]:
    """Commands from the goal's down to the one that uses an item."""
    chain: list[str] = []
    for kind, command in later:
        if kind != "get":
            inputs = command.split(" using ")[1].split(", ")
            if item in (text.split(" ", 1)[1] for text in inputs):
                chain.insert(0, command)
                item = kind
    return chain


def _supply(
    table: RecipeTable, shown: Recipes, name: str, count: int, draft: _Draft, path: frozenset[str]
) -> list[_Draft]:
    """Drafts that set `count` of an item aside, shortest first."""
    taken = min(draft.stock.get(name, 0), count)
    missing = count - taken
    if taken:
        stock = {**draft.stock, name: draft.stock[name] - taken}
        draft = _Draft(stock, draft.wanted, draft.steps)
    if not missing:
        return [draft]
    if name in table.base:
        new = () if name in draft.wanted else (("get", name),)
        wanted = {**draft.wanted, name: draft.wanted.get(name, 0) + missing}
        return [_Draft(draft.stock, wanted, draft.steps + new)]
    return [] if name in path else _craft(table, shown, name, missing, draft, path | {name})


def _craft(
    table: RecipeTable,
    shown: Recipes,
    item: str,
    count: int | None,
    start: _Draft,
    path: frozenset[str],
) -> list[_Draft]:
    """Drafts that craft at least `count` of an item (None: one craft), shortest first."""
    found: list[_Draft] = []
    for recipe in shown.get(item, ()):
        times = 1 if count is None else -(-count // recipe.count)
        # every draft beside the concrete inputs that it has chosen so far
        beam: list[tuple[_Draft, tuple[str, ...]]] = [(start, ())]
        for part in recipe.inputs:
            grown = [
                (after, (*chosen, f"{part.count} {name}"))
                for draft, chosen in beam
                for name in _choices(table, shown, part, draft)
                for after in _supply(table, shown, name, part.count * times, draft, path)
            ]
            beam = sorted(grown, key=lambda entry: len(entry[0].steps))[:BEAM]
        for draft, chosen in beam:
            command = f"craft {recipe.count} {item} using {', '.join(chosen)}"
            over = draft.stock.get(item, 0) + recipe.count * times - (count or 0)
            steps = draft.steps + ((item, command),) * times
            found.append(_Draft({**draft.stock, item: over}, draft.wanted, steps))
    return sorted(found, key=lambda draft: len(draft.steps))[:BEAM]


def _choices(table: RecipeTable, shown: Recipes, part: Ingredient, draft: _Draft) -> list[str]:
    """Concrete items that can serve as an ingredient."""
    if not part.is_tag:
        return [part.name]
    known = dict.fromkeys([*shown, *draft.stock])
    return sorted(name for name in known if table.tag_of.get(name) == part.name)
