"""The fast judge: in a search, only the tokens of new steps are scored.

Shape legend: E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentprm_lite.fast.rows import Rows, longest_beginning, packed
from agentprm_lite.forward import check_readable, read_m
from agentprm_lite.prm import RewardModel, StepValues, check_finite
from agentprm_lite.types import Trajectory


class FastJudge(RewardModel):
    """A reward model that keeps the keys and values of a search.

    A call with trajectories that have no step yet begins a search. As long as all trajectories of
    the next calls continue those of the call before, only their new tokens are computed. Anything
    else, such as a pool of finished trajectories, is scored as :class:`RewardModel` does.

    Args:
        model: a reward model, see :class:`agentprm_lite.fast.kvbatch.KVBatch`. After a change of
            its weights call :meth:`drop`.

    Raises:
        ValueError: the model allows no such cache.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.drop()

    def drop(self) -> None:
        """Forget all keys and values."""
        self.rows = Rows(self.model)
        self.scored: list[tuple[Trajectory, StepValues]] = []

    @torch.no_grad()
    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        """M along trajectories, see :class:`RewardModel`."""
        check_readable(self.model, trajectories)
        if not trajectories:
            return []
        if not any(t.num_steps for t in trajectories):
            self.drop()
            hidden, _ = self.rows.read([t.ids for t in trajectories])
            out = [StepValues(float(m), np.zeros(0)) for m in self._m(hidden)]
        else:
            keys = [packed(t.ids) for t in trajectories]
            rows = [longest_beginning(self.rows.held, key)[0] for key in keys]
            if not self.scored or not all(map(self._continues, rows, trajectories)):
                return super().score(trajectories)
            out = self._continue(rows, trajectories)
            self.rows.held = keys
        for trajectory, values in zip(trajectories, out, strict=True):
            check_finite(f"trajectory {trajectory.key}", values)
        self.scored = list(zip(trajectories, out, strict=True))
        return out

    def _continues(self, row: int, t: Trajectory) -> bool:
        """Whether a trajectory is that of a row and at least a step more."""
        old, steps = self.scored[row][0], self.scored[row][0].num_steps
        begins = old.ids == t.ids[: len(old.ids)] and old.prompt_len == t.prompt_len
        return begins and old.spans == t.spans[:steps] and steps < t.num_steps

    def _continue(
        self, rows: Sequence[int], trajectories: Sequence[Trajectory]
    ) -> list[StepValues]:
        """Values of trajectories that continue rows."""
        olds = [self.scored[row] for row in rows]
        sizes = [len(old.ids) for old, _ in olds]
        self.scored = []  # an error from here on leaves rows of which nothing is known
        self.rows.batch.select(rows)
        hidden = self.rows.batch.append(
            [t.ids[size:] for t, size in zip(trajectories, sizes, strict=True)]
        )
        ends: list[int] = []
        start = 0
        for t, size, (old, _) in zip(trajectories, sizes, olds, strict=True):
            ends += [start + end - 1 - size for _, end in t.spans[old.num_steps :]]
            start += len(t.ids) - size
        m, out = iter(self._m(hidden[ends])), []
        for t, (old, values) in zip(trajectories, olds, strict=True):
            new = [next(m) for _ in range(t.num_steps - old.num_steps)]
            out.append(StepValues(values.root, np.append(values.q, new)))
        return out

    def _m(self, hidden: Tensor) -> np.ndarray:
        return np.asarray(read_m(self.rows.batch.head, hidden).double().cpu().numpy())
