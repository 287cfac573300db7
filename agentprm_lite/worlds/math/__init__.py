"""Word problems, one reasoning step an action: made up here, or those of GSM8K."""

from agentprm_lite.worlds.math.env import GSM8K, MathWorld

__all__ = ["GSM8K", "MathWorld"]
