"""WebShop: find the product that an instruction describes, and buy it."""

from agentprm_lite.worlds.webshop.env import FOLDER_VARIABLE, WebShop
from agentprm_lite.worlds.webshop.synthetic import GOALS

__all__ = ["FOLDER_VARIABLE", "GOALS", "WebShop"]
