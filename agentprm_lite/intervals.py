"""Bootstrap intervals and the compute multiple (numpy only).

Every interval resamples tasks, because samples of one task are not independent; results of several
seeds are resampled over seeds and tasks alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A mean with the ends of its bootstrap interval."""

    mean: float
    lo: float
    hi: float


def bootstrap_interval(
    values: ArrayLike, n_boot: int = 2000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile bootstrap of a mean over tasks, or over seeds and tasks.

    Args:
        values: [tasks], or [seeds, tasks]: then both axes are resampled, independently.
        n_boot: Resamples.
        seed: Seed of the resampling.
        level: Coverage aimed at.

    Returns:
        Interval (mean, lo, hi).

    Raises:
        ValueError: On a wrong rank, no values or one that is not finite.

    Example:
        >>> mean, lo, hi = bootstrap_interval([0, 0, 1, 1])
        >>> lo < mean == 0.5 < hi
        True
    """
    table = _table("values", values)
    rng = np.random.default_rng(seed)
    draws = _resampled_means(table, _weights(rng, table.shape[1], n_boot), rng)
    return _interval(float(table.mean()), draws, level)


def paired_bootstrap(
    ours: ArrayLike, base: ArrayLike, n_boot: int = 2000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile bootstrap of mean(ours) − mean(base) on the same tasks.

    Args:
        ours: [tasks] or [seeds, tasks].
        base: [tasks] or [seeds, tasks], the same tasks; seeds are resampled on each side.
        n_boot: Resamples.
        seed: Seed of the resampling.
        level: Coverage aimed at.

    Returns:
        Interval (mean, lo, hi) of the difference.

    Raises:
        ValueError: On a wrong rank, unequal tasks, no values or one that is not finite.

    Example:
        >>> paired_bootstrap([0.6, 0.9, 0.3], [0.5, 0.8, 0.2]).lo > 0
        True
    """
    table, table_base = _table("ours", ours), _table("base", base)
    if table.shape[1] != table_base.shape[1]:
        raise ValueError(f"base has {table_base.shape[1]} tasks, expected {table.shape[1]}")
    rng = np.random.default_rng(seed)
    weights = _weights(rng, table.shape[1], n_boot)
    draws = _resampled_means(table, weights, rng) - _resampled_means(table_base, weights, rng)
    return _interval(float(table.mean() - table_base.mean()), draws, level)


def compute_multiple(
    ns: Sequence[int], curve_base: ArrayLike, curve_ours: ArrayLike, target: float | None = None
) -> float:
    """How many times fewer samples ours needs for the same score: N_base / N_ours.

    N is where a curve first reaches the target, interpolated linearly over log N.

    Args:
        ns: Increasing numbers of samples.
        curve_base: [len(ns)] score of the baseline.
        curve_ours: [len(ns)] score of ours.
        target: The score; None: the best score of the baseline.

    Returns:
        The multiple; 0 if ours alone misses the target, inf if the baseline alone, NaN if both.

    Raises:
        ValueError: On unequal lengths, a value that is not finite or sizes that do not increase.

    Example:
        >>> compute_multiple([1, 2, 4], [0.1, 0.2, 0.3], [0.1, 0.3, 0.4])
        2.0
    """
    sizes, base, ours = finite_vectors(ns=ns, curve_base=curve_base, curve_ours=curve_ours)
    if sizes[0] < 1 or (np.diff(sizes) <= 0).any():
        raise ValueError(f"ns is {list(ns)}, expected increasing sizes from 1 up")
    score = float(base.max()) if target is None else target
    n_base, n_ours = _first_reached(sizes, base, score), _first_reached(sizes, ours, score)
    return nan if n_base == n_ours == inf else n_base / n_ours


def compute_multiple_interval(
    ns: Sequence[int],
    base: ArrayLike,
    ours: ArrayLike,
    n_boot: int = 2000,
    seed: int = 0,
    *,
    last: bool = False,
) -> Interval:
    """Compute multiple of mean curves, with a 95 % bootstrap over seeds and tasks.

    The tasks resampled are the same on both sides, the seeds are not.

    Args:
        ns: Increasing numbers of samples.
        base: [tasks, len(ns)] curve of the baseline for each task, or [seeds, tasks, len(ns)].
        ours: The same of ours, for the same tasks.
        n_boot: Resamples; each takes the best score of its own baseline as target.
        seed: Seed of the resampling.
        last: Take the baseline's score at the largest N as target, and that N for it: the multiple
            is the largest N over the N at which ours gets there.

    Returns:
        Interval whose ``mean`` is the multiple of the mean curves; 0 stands for "never reached".

    Raises:
        ValueError: On unequal shapes, a value that is not finite or sizes that do not increase.

    Example:
        >>> base, ours = [[0.0, 0.5, 1.0]] * 3, [[0.0, 1.0, 1.0]] * 3
        >>> compute_multiple_interval([1, 2, 4], base, ours)
        Interval(mean=2.0, lo=2.0, hi=2.0)
    """
    table_base, table_ours = _curves("base", base), _curves("ours", ours)
    if table_base.shape[1:] != table_ours.shape[1:]:
        raise ValueError(
            f"ours has shape {table_ours.shape[1:]} a seed, expected {table_base.shape[1:]}"
        )

    def multiple(b: Floats, o: Floats) -> float:
        if not last:
            return compute_multiple(ns, b, o)
        return float(ns[-1] / _first_reached(np.asarray(ns, dtype=np.float64), o, float(b[-1])))

    point = multiple(table_base.mean(axis=(0, 1)), table_ours.mean(axis=(0, 1)))
    rng = np.random.default_rng(seed)
    weights = _weights(rng, table_base.shape[1], n_boot)
    sides = []
    for table in (table_base, table_ours):
        seeds = _weights(rng, len(table), n_boot)
        sides.append(np.einsum("bs,stn,bt->bn", seeds, table, weights, optimize=True))
    draws = np.array([multiple(b, o) for b, o in zip(*sides, strict=True)])
    return _interval(point, draws, 0.95)


def _curves(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(
            f"{name} has shape {array.shape}, expected finite [tasks, sizes] or [seeds, tasks, "
            "sizes]"
        )
    return array


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


def _weights(rng: np.random.Generator, n: int, n_boot: int) -> Floats:
    """[n_boot, n] share of each of n units in a resample of n with replacement."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=n_boot) / n


def _resampled_means(table: Floats, task_weights: Floats, rng: np.random.Generator) -> Floats:
    seed_weights = _weights(rng, len(table), len(task_weights))
    return np.einsum("bs,st,bt->b", seed_weights, table, task_weights, optimize=True)


def _interval(point: float, draws: Floats, level: float) -> Interval:
    tail = (1.0 - level) / 2
    lo, hi = np.quantile(draws, tail, method="lower"), np.quantile(draws, 1 - tail, method="higher")
    return Interval(point, float(lo), float(hi))


def _table(name: str, values: ArrayLike) -> Floats:
    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if array.ndim != 2 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(
            f"{name} has shape {array.shape}, expected finite [tasks] or [seeds, tasks]"
        )
    return array


def finite_vectors(**named: ArrayLike) -> list[Floats]:
    """Finite float vectors of one length."""
    arrays = [np.asarray(x, dtype=np.float64) for x in named.values()]
    for name, array in zip(named, arrays, strict=True):
        if array.ndim != 1 or array.shape != arrays[0].shape or array.size == 0:
            raise ValueError(
                f"{name} has shape {array.shape}, expected ({len(arrays[0])},), not empty"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has a value that is not finite")
    return arrays
