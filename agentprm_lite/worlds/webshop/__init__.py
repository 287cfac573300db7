"""WebShop: find the product that an instruction describes, and buy it."""

from agentprm_lite.worlds.webshop.env import FOLDER_VARIABLE, WebShop
from agentprm_lite.worlds.webshop.reward import as_wanted
from agentprm_lite.worlds.webshop.synthetic import GOALS, level_of

__all__ = ["FOLDER_VARIABLE", "GOALS", "WebShop", "as_wanted", "level_of"]
