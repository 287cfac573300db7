"""Which tasks a profile trains on and which it holds out, and how it samples them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from agentprm_lite.env import env_class
from agentprm_lite.sampling import SamplingConfig
from agentprm_lite.tutorial.corpus import part_of
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.types import Task

T = TypeVar("T")


def sampling_config(profile: Profile, temperature: float = 1.0) -> SamplingConfig:
    """The profile's limits of a turn and of a history, at some temperature; 0 is greedy."""
    return SamplingConfig(
        temperature=temperature,
        max_new_tokens=profile.max_new_tokens,
        max_context=profile.max_context,
        rules=profile.rules,
        max_rounds=profile.max_rounds,
    )


def train_tasks(profile: Profile) -> tuple[list[Task], list[Task]]:
    """Training tasks with demonstrations, one a goal; and those that are rolled out.

    The two share no goal, shop or template (`corpus.part_of`), unless the profile says otherwise:
    reward models see the policy where it isn't at its best, as it will be on held-out tasks. Where
    there are fewer goals to roll out than wanted, each has several draws.
    """
    practice, judge = _goals(profile, ("practice",)), _goals(profile, profile.rollout_parts)
    if not judge:
        raise ValueError(
            f"{profile.env} keeps no training task for judges at levels {profile.levels}, expected "
            "at least one: part_of() takes every fourth goal"
        )
    draws = -(-profile.rollout_tasks // len(judge))
    rolled = [replace(t, variant=1_000 + k) for k in range(draws) for t in judge]
    return practice[: profile.demo_goals], rolled[: profile.rollout_tasks]


def _goals(profile: Profile, parts: Sequence[str]) -> list[Task]:
    goals = env_class(profile.env).tasks("train", levels=profile.levels)
    goals = [t for t in goals if part_of(profile.env, t.index) in parts]
    random.Random(0).shuffle(goals)
    return goals


def test_tasks(profile: Profile) -> list[Task]:
    """Held-out tasks, spread evenly over the test split: their goals are never trained on."""
    goals = env_class(profile.env).tasks("test", levels=profile.levels)
    tasks = [replace(t, variant=variant) for variant in profile.eval_variants for t in goals]
    return spread(tasks, profile.eval_tasks)


def beam_tasks(profile: Profile) -> list[Task]:
    """Held-out tasks of beam search, some of :func:`test_tasks`."""
    return spread(test_tasks(profile), profile.beam_tasks)


def spread(items: Sequence[T], count: int) -> list[T]:
    """As many items as wanted, at even distances; all of them if there are no more."""
    step = max(1.0, len(items) / max(1, count))
    return [items[int(i * step)] for i in range(min(count, len(items)))]
