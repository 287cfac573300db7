"""Intervals of comparisons, and how calibrated a judge is (numpy only).

Every interval resamples tasks, because attempts at one task are not independent; results of several
seeds are resampled over seeds and tasks alike.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentprm_lite.metrics import Floats, finite_vectors, group_by


class Interval(NamedTuple):
    """A mean with the ends of its 95 % bootstrap interval."""

    mean: float
    lo: float
    hi: float


def bootstrap_interval(
    values: ArrayLike,
    *others: ArrayLike,
    of: Callable[..., Floats] | None = None,
    families: Sequence[Hashable] | None = None,
    n_boot: int = 2000,
    seed: int = 0,
) -> Interval:
    """95 % percentile bootstrap over tasks, or over seeds and tasks.

    Args:
        values: [tasks] or [seeds, tasks]; a third axis is one of a curve.
        *others: More tables of the same tasks; the seeds of each are resampled on their own.
        of: From the means of every table in each resample, [n_boot] arrays (or [n_boot, curve]), to
            [n_boot] statistics; by default the mean of ``values``, or its difference from another.
        families: [tasks] Which tasks belong together, such as draws of one goal: resampled whole.
        n_boot: Resamples.
        seed: Seed of the resampling.

    Returns:
        The statistic of the data, and the ends of its interval.

    Raises:
        ValueError: On a wrong rank, unequal tasks, no values or one that is not finite.

    Example:
        >>> bootstrap_interval([0.6, 0.9, 0.3], [0.5, 0.8, 0.2]).lo > 0
        True
    """
    tables = [_table(x) for x in (values, *others)]
    count = tables[0].shape[1]
    if len({table.shape[1] for table in tables}) > 1:
        sizes = [table.shape[1] for table in tables]
        raise ValueError(f"tables have {sizes} tasks, expected the same tasks in all")
    groups = list(group_by(range(count) if families is None else families, count).values())
    rng = np.random.default_rng(seed)
    weights = np.empty((n_boot, count))
    for group, drawn in zip(groups, _drawn(rng, len(groups), n_boot).T, strict=True):
        weights[:, group] = drawn[:, None]
    weights /= weights.sum(axis=1, keepdims=True)
    means = [
        np.einsum(
            "bs,st...,bt->b...", _drawn(rng, len(x), n_boot) / len(x), x, weights, optimize=True
        )
        for x in tables
    ]
    of = of or (lambda ours, base=0.0: ours - base)
    point = of(*[x.mean(axis=(0, 1))[None] for x in tables])
    draws = of(*means)
    lo, hi = np.quantile(draws, 0.025, method="lower"), np.quantile(draws, 0.975, method="higher")
    return Interval(float(point[0]), float(lo), float(hi))


def brier(scores: ArrayLike, success: ArrayLike) -> float:
    """Brier score, the mean of (M − r)²; 0 is best."""
    scores, success = finite_vectors(scores=scores, success=success)
    return float(np.mean((scores - success) ** 2))


def reliability(
    scores: ArrayLike, success: ArrayLike, bins: int = 10
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean prediction, mean outcome and count of those of the bins on [0, 1] that hold anything.

    Bin i holds [i/bins, (i+1)/bins), the outer bins all beyond them.

    >>> [x.tolist() for x in reliability([0.1, 0.3, 0.9], [0, 1, 1], bins=2)]
    [[0.2, 0.9], [0.5, 1.0], [2, 1]]
    """
    scores, success = finite_vectors(scores=scores, success=success)
    index = np.clip(np.floor(scores * bins), 0, bins - 1).astype(np.int64)
    count = np.bincount(index, minlength=bins)
    full = count > 0
    prediction = np.bincount(index, scores, bins)[full] / count[full]
    return prediction, np.bincount(index, success, bins)[full] / count[full], count[full]


def ece(scores: ArrayLike, success: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error, ``Σ_b (E_b / E) |mean prediction − mean outcome|`` over bins."""
    prediction, outcome, count = reliability(scores, success, bins)
    return float(np.abs(prediction - outcome) @ count / count.sum())


def _drawn(rng: np.random.Generator, n: int, n_boot: int) -> Floats:
    """[n_boot, n] how often each of n units is in a resample of n with replacement."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=n_boot).astype(np.float64)


def _table(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    array = array[None] if array.ndim == 1 else array
    if array.ndim not in (2, 3) or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(
            f"values has shape {array.shape}, expected finite [tasks] or [seeds, tasks]"
        )
    return array
