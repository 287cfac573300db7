"""TextCraft: craft an item from the recipes that the task shows."""

from agentprm_lite.worlds.textcraft.env import TextCraft
from agentprm_lite.worlds.textcraft.exchange import exchange, shuffle_words
from agentprm_lite.worlds.textcraft.planning import RecipeTree, recipe_tree
from agentprm_lite.worlds.textcraft.recipes import recipe_table

__all__ = [
    "RecipeTree",
    "TextCraft",
    "exchange",
    "recipe_table",
    "recipe_tree",
    "shuffle_words",
]
