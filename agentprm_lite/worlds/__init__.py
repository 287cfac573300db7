"""The worlds: a folder each, a reading of its own. The core finds them by name (env.WORLDS)."""

from agentprm_lite.worlds.expert import demonstrate
from agentprm_lite.worlds.textenv import AFTER_END, TextEnv

__all__ = ["AFTER_END", "TextEnv", "demonstrate"]
