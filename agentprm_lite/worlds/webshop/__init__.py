"""WebShop: find the product that an instruction describes, and buy it."""

from agentprm_lite.worlds.webshop.env import FOLDER_VARIABLE, WebShop
from agentprm_lite.worlds.webshop.reward import alike, as_wanted
from agentprm_lite.worlds.webshop.synthetic import GOALS, level_of

__all__ = ["FOLDER_VARIABLE", "GOALS", "WebShop", "alike", "as_wanted", "level_of"]
