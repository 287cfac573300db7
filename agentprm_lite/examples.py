"""What is learned from: trajectories, with outcomes of rollouts where a kind needs them.

Everything is checked before the first step, and all faults are named at once.

Shape legend: T steps of a trajectory, K rollouts from a step.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentprm_lite.checkpoint import digest
from agentprm_lite.forward import context_limit, split_model
from agentprm_lite.types import Task, Trajectory

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RewardExample:
    """A trajectory, for Monte Carlo labels with the outcomes of rollouts from its states."""

    trajectory: Trajectory
    """The trajectory."""
    outcomes: np.ndarray | None = None
    """[T, K] outcome in [0, 1] of K rollouts from the state after each action."""

    def rollouts(self) -> np.ndarray:
        """The rollouts' outcomes.

        Returns:
            [T, K] float.

        Raises:
            ValueError: there are none, not one row a step, or an outcome lies outside [0, 1].
        """
        if self.outcomes is None or len(self.outcomes) != self.trajectory.num_steps:
            raise ValueError(
                f"trajectory {self.trajectory.key}: Monte Carlo labels need one row of outcomes "
                f"for each of its {self.trajectory.num_steps} steps"
            )
        outcomes = self.outcomes.astype(np.float64)
        if not ((outcomes >= 0) & (outcomes <= 1)).all():
            raise ValueError(
                f"trajectory {self.trajectory.key}: Monte Carlo labels need outcomes within "
                f"[0, 1], got {np.unique(outcomes).tolist()}"
            )
        return outcomes


def trajectory_of(example: Trajectory | RewardExample) -> Trajectory:
    """The trajectory of an example, which may be one itself."""
    return example.trajectory if isinstance(example, RewardExample) else example


def check_examples(
    model: Any, examples: Sequence[Trajectory | RewardExample], *, rollouts: bool = False
) -> None:
    """Refuse what a model can't be trained on, before the first step."""
    body = split_model(model)[0]
    limit, known = context_limit(body.config), body.get_input_embeddings().num_embeddings
    faults = []
    for example in examples:
        t = trajectory_of(example)
        if not t.num_steps:
            faults.append(f"{t.key} has no step to learn from")
        if len(t.ids) > limit:
            faults.append(
                f"{t.key} has {len(t.ids)} tokens, the model reads {limit}: its last steps would "
                "be lost"
            )
        if not 0 <= min(t.ids) <= max(t.ids) < known:
            faults.append(f"{t.key} has ids {min(t.ids)} to {max(t.ids)}, the model has {known}")
        if isinstance(example, RewardExample):
            if not (all(map(math.isfinite, t.rewards)) and 0 <= t.outcome <= 1):
                faults.append(f"{t.key} has rewards {list(t.rewards)}, expected the last in [0, 1]")
            if rollouts:
                faults += _wrong_rollouts(example)
    numbers = {
        e.outcomes.shape[-1]
        for e in examples
        if rollouts and isinstance(e, RewardExample) and e.outcomes is not None
    }
    if len(numbers) > 1:
        faults.append(f"examples have {sorted(numbers)} rollouts a step, expected one number")
    if faults:
        raise ValueError(f"{len(faults)} faults in {len(examples)} examples: {some(faults)}")


def _wrong_rollouts(example: RewardExample) -> list[str]:
    try:
        example.rollouts()
    except ValueError as err:
        return [str(err)]
    return []


def split_families(
    examples: Sequence[RewardExample], share: float, family: Callable[[Task], Hashable]
) -> tuple[list[RewardExample], list[RewardExample]]:
    """What to train on and what to hold out: a share of the families of tasks, one at least.

    Which families are held out is a matter of their names, so that data sets with the same tasks
    hold out the same ones.
    """
    if not 0 <= share < 1:
        raise ValueError(f"held_out is {share}, expected a share of the tasks from 0 to below 1")
    of = [family(e.trajectory.task) for e in examples]
    families = sorted(set(of), key=lambda name: digest(repr(name)))
    if share and len(families) == 1:
        logger.warning(
            "all %d examples belong to one task, so none is held out: all epochs run, and nothing "
            "says whether the judge has learned",
            len(examples),
        )
    count = min(len(families) - 1, max(1, round(share * len(families)))) if share else 0
    chosen = set(families[:count])
    kept = [e for e, name in zip(examples, of, strict=True) if name not in chosen]
    return kept, [e for e, name in zip(examples, of, strict=True) if name in chosen]


def random_sets(count: int, size: int, seed: str) -> list[list[int]]:
    """Steps of one epoch: random sets of at least ``size`` indices, about equal.

    >>> sorted(len(step) for step in random_sets(70, 32, "0/0"))
    [35, 35]
    """
    order = random.Random(seed).sample(range(count), count)
    steps = max(1, count // size)
    return [order[k::steps] for k in range(steps)]


def some(names: Sequence[str], most: int = 20) -> str:
    """Names for a message, the first ones of many."""
    more = f" and {len(names) - most} more" * (len(names) > most)
    return ", ".join(names[:most]) + more
