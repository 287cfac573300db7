"""BabyAI: reach, fetch and open things in a grid of rooms, told in text."""

from agentprm_lite.worlds.babyai.env import BabyAI
from agentprm_lite.worlds.babyai.expert import shown

__all__ = ["BabyAI", "shown"]
