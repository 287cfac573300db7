# ruff: noqa: F401
"""What the book runs on: profiles, artifacts, stages, figures, exercises, the command line.

Names that other wings use are taken from here. They are loaded when they are asked for, so that
``agentprm --help`` needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentprm_lite.tutorial.artifacts import append_row, artifact, read_rows, write_json
    from agentprm_lite.tutorial.floors import random_agent, random_outcomes
    from agentprm_lite.tutorial.guided import beam_runs, ppo_pool, ppo_run, ppo_training_pool
    from agentprm_lite.tutorial.policies import player
    from agentprm_lite.tutorial.profiles import Profile, get_profile
    from agentprm_lite.tutorial.rewards import (
        USUAL,
        Variant,
        family,
        new_judge,
        pool_values,
        reward_config,
        reward_data,
        reward_model,
        reward_model_folder,
        success_alone,
    )
    from agentprm_lite.tutorial.stages import (
        Policy,
        greedy_runs,
        policy,
        pool,
        pool_file,
        read,
        rollouts,
        sample,
        training_log,
        truth,
    )
    from agentprm_lite.tutorial.tasks import beam_tasks, sampling_config, test_tasks, train_tasks

_HOMES = {
    "artifacts": "append_row artifact read_rows write_json",
    "floors": "random_agent random_outcomes",
    "guided": "beam_runs ppo_pool ppo_run ppo_training_pool",
    "policies": "player",
    "profiles": "Profile get_profile",
    "rewards": (
        "USUAL Variant family new_judge pool_values reward_config reward_data reward_model "
        "reward_model_folder success_alone"
    ),
    "smollm2": "resolve",
    "stages": "Policy greedy_runs policy pool pool_file read rollouts sample training_log truth",
    "tasks": "beam_tasks sampling_config test_tasks train_tasks",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
