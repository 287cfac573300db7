"""What several studies need: curves of judges, parts of attempts, numbers as plain data."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from math import ceil, inf, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from agentprm_lite.metrics import Floats, auroc, finite_vectors
from agentprm_lite.prm import StepValues
from agentprm_lite.search import best_of_n, by_task
from agentprm_lite.study.measures import Interval, bootstrap_interval
from agentprm_lite.tutorial import USUAL, Profile, Variant, beam_runs, family, pool, pool_values
from agentprm_lite.types import Task, Trajectory


def powers_of_two(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to a number.

    >>> powers_of_two(9)
    (1, 2, 4, 8)
    """
    return tuple(2**k for k in range(most.bit_length()))


def first(values: Sequence[StepValues], turns: int) -> list[StepValues]:
    """M along the first turns of each attempt, and of all of one that is over by then."""
    return [StepValues(v.root, v.q[:turns]) for v in values]


def half(values: Sequence[StepValues]) -> list[StepValues]:
    """M along the first half of each attempt, ⌈T/2⌉ turns."""
    return [StepValues(v.root, v.q[: ceil(len(v.q) / 2)]) for v in values]


def auroc_by_part(
    values: Sequence[ArrayLike], success: ArrayLike, parts: Sequence[float]
) -> Floats:
    """AUROC over all attempts of M at parts of the way, 0 the first turn and 1 the last.

    >>> auroc_by_part([[0.5, 0.1], [0.5, 0.6, 0.9]], [0, 1], [0, 1]).tolist()
    [0.5, 1.0]
    """
    if not all(0.0 <= part <= 1.0 for part in parts):
        raise ValueError(f"parts is {list(parts)}, expected fractions within [0, 1]")
    rows = [np.asarray(row, dtype=np.float64) for row in values]
    return np.array([
        auroc([row[int(part * (len(row) - 1) + 0.5)] for row in rows], success) for part in parts
    ])  # fmt: skip


def kind_curves(
    kind: str, p: Profile, *, score: str = "last", halved: bool = False, variant: Variant = USUAL
) -> Floats:
    """Best-of-N of every seed of a reward model, by whole attempts or their first halves:
    [seeds, tasks, len(ns)] with ns = :func:`powers_of_two` of the pool's size."""
    ns, candidates = powers_of_two(p.eval_samples), pool(p)
    runs = [pool_values(p, kind, seed, variant) for seed in range(p.reward_seeds)]
    runs = [half(v) for v in runs] if halved else runs
    return np.stack([best_of_n(candidates, v, ns, score=score).success for v in runs])


def beam_table(
    kind: str, p: Profile, n: int, m: int, variant: Variant = USUAL
) -> tuple[Floats, float]:
    """Outcome of beam search for every seed, [seeds, tasks], and generated tokens a task."""
    runs = [beam_runs(p, kind, n, m, seed, variant) for seed in range(p.reward_seeds)]
    tokens = float(np.mean([t.usage.generated for run in runs for t in run]))
    return np.array([[t.outcome for t in run] for run in runs]), tokens


def task_means(trajectories: Sequence[Trajectory]) -> Floats:
    """[tasks] mean outcome of each: its success where rewards are 0 or 1."""
    groups = by_task(trajectories).values()
    return np.array([np.mean([trajectories[i].outcome for i in g]) for g in groups])


def families(tasks: Iterable[Task]) -> list[Hashable]:
    """Which tasks are alike, for ``bootstrap_interval``: draws of one template, say."""
    return [family(task) for task in tasks]


def row(values: Any, base: Any = None, families: Sequence[Hashable] | None = None) -> list[float]:
    """[mean, low, high] of values, or of their difference from base, rounded to four digits."""
    tables = (values, *(() if base is None else (base,)))
    return rounded(bootstrap_interval(*tables, families=families))


def rows(success: Floats, families: Sequence[Hashable] | None = None) -> list[list[float]]:
    """Such a row at every size; the last axis of ``success`` is that of a curve."""
    return [row(success[..., k], families=families) for k in range(success.shape[-1])]


def rounded(interval: Interval) -> list[float]:
    """An interval as plain data, rounded to four digits."""
    return [round(float(x), 4) for x in interval]


def compute_multiple(ns: Sequence[int], curve_base: ArrayLike, curve_ours: ArrayLike) -> float:
    """How many times fewer attempts ours needs for the best score of the baseline: N_base / N_ours.

    N is where a curve first reaches that score, interpolated linearly over log N; 0 if ours never
    does.

    >>> compute_multiple([1, 2, 4], [0.1, 0.2, 0.3], [0.1, 0.3, 0.4])
    2.0
    """
    sizes, base, ours = finite_vectors(ns=ns, curve_base=curve_base, curve_ours=curve_ours)
    if sizes[0] < 1 or (np.diff(sizes) <= 0).any():
        raise ValueError(f"ns is {list(ns)}, expected increasing sizes from 1 up")
    best = float(base.max())
    return _first_reached(sizes, base, best) / _first_reached(sizes, ours, best)


def compute_multiple_interval(
    ns: Sequence[int],
    base: ArrayLike,
    ours: ArrayLike,
    families: Sequence[Hashable] | None = None,
) -> Interval:
    """:func:`compute_multiple` of mean curves, [tasks, len(ns)] or [seeds, tasks, len(ns)]; every
    resample takes the best score of its own baseline."""

    def multiples(b: Floats, o: Floats) -> Floats:
        return np.array([compute_multiple(ns, *pair) for pair in zip(b, o, strict=True)])

    tables = [np.asarray(x, dtype=np.float64) for x in (base, ours)]
    tables = [x[None] if x.ndim == 2 else x for x in tables]
    return bootstrap_interval(*tables, of=multiples, families=families)


def _first_reached(ns: Floats, curve: Floats, target: float) -> float:
    """Smallest N at which the curve, linear in log N, reaches the target; inf if it never does."""
    reached = np.flatnonzero(curve >= target - 1e-9)  # equal but for rounding is reached
    if not len(reached):
        return inf
    i = reached[0]
    if i == 0:
        return float(ns[0])
    part = min(1.0, (target - curve[i - 1]) / (curve[i] - curve[i - 1]))
    return float(np.exp(log(ns[i - 1]) + part * (log(ns[i]) - log(ns[i - 1]))))
