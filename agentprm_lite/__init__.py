"""Process reward models for LLM agents: labels, training, judging and search.

The core is the files beside this one, folders are wings. Names below are imported when first used:
so a name of a wing's can stand here, as text, and the core still imports no wing.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

warnings.filterwarnings("ignore", "IProgress not found")  # from tqdm, where bars are plain text
_WHERE = {
    "types": "Task Trajectory Usage",
    "env": "make_env",
    "worlds": "TextEnv demonstrate",
    "models": "Lora",
    "hub": "ChatFormat load_chat load_policy load_reward_model new_reward_model save_policy",
    "episode": "SamplingConfig",
    "sampling": "PlainPlayer Player",
    "fast": "judge player",
    "files": "Checkpoint append_jsonl collect read_jsonl",
    "rollout": "continue_from",
    "labels": "KINDS gae mc_hard_labels mc_soft_labels outcome_labels pvm_labels td_gae_labels",
    "losses": "agentprm_loss",
    "kinds": "RewardExample",
    "train": "TrainConfig rft sft train_reward_model",
    "prm": "FewestTurns Judge RewardModel StepValues",
    "search": "beam_search best_of_n halving oracle",
    "ppo": "PPOConfig train_ppo",
    "metrics": "explained_variance pass_at_n",
    "interop": "export read_logs",
}
_MODULE = {name: module for module, names in _WHERE.items() for name in names.split()}

__all__ = list(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
