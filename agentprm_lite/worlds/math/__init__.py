"""Word problems, one reasoning step an action: made up here, or those of GSM8K."""

from agentprm_lite.worlds.math.env import MathWorld
from agentprm_lite.worlds.math.gsm8k import FOLDER_VARIABLE, GSM8K
from agentprm_lite.worlds.math.problems import DRAWS, free_problem, templates
from agentprm_lite.worlds.math.sentences import NAMES, THINGS

__all__ = [
    "DRAWS",
    "FOLDER_VARIABLE",
    "GSM8K",
    "NAMES",
    "THINGS",
    "MathWorld",
    "free_problem",
    "templates",
]
