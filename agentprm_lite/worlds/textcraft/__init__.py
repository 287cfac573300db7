"""TextCraft: craft an item from the recipes that the task shows."""

from agentprm_lite.worlds.textcraft.env import TextCraft
from agentprm_lite.worlds.textcraft.planning import RecipeTree, recipe_tree

__all__ = ["RecipeTree", "TextCraft", "recipe_tree"]
