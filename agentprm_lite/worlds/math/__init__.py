"""Word problems, one reasoning step an action: made up here, or those of GSM8K."""

from agentprm_lite.worlds.math.env import MathWorld
from agentprm_lite.worlds.math.gsm8k import GSM8K

__all__ = ["GSM8K", "MathWorld"]
