"""Measures of judges and policies, and their intervals (numpy only).

Every interval resamples tasks, because attempts at one task are not independent; results of several
seeds are resampled over seeds and tasks alike. ``success`` holds outcomes in [0, 1]; ``auroc`` and
``pass_at_n`` need 0 or 1. Scores may leave [0, 1]: M is a regression output. Vectors of unequal
lengths, without values or with one that isn't finite raise a ValueError that names them.

Shape legend: K attempts at one task, N attempts in a subset, E examples (turns or attempts).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import comb, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


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
    groups = group_by(range(count) if families is None else families, count)
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


def best_of_n_curve(scores: ArrayLike, success: ArrayLike, ns: Sequence[int]) -> Floats:
    """Expected outcome of the best-scored of n attempts at one task, over all subsets of size n.

    Σ_g [C(L_g + K_g, n) − C(L_g, n)] / C(K, n) · (mean outcome of g) over the groups g of equal
    score: K_g is the size of g, L_g the number of lower scores. Unbiased, ties averaged.

    Args:
        scores: [K] score of each attempt.
        success: [K] outcome of each attempt.
        ns: Subset sizes, each in 1..K.

    Returns:
        [len(ns)] expected outcomes.

    Example:
        >>> best_of_n_curve([0.1, 0.5, 0.9], [0, 1, 0], [1, 2]).round(4).tolist()
        [0.3333, 0.3333]
    """
    scores, success = finite_vectors(scores=scores, success=success)
    if not all(1 <= n <= len(scores) for n in ns):
        raise ValueError(f"ns is {list(ns)}, expected sizes within 1..{len(scores)}")
    levels, group = np.unique(scores, return_inverse=True)
    sizes = np.bincount(group, minlength=len(levels))
    means = np.bincount(group, weights=success) / sizes
    upto = [0, *np.cumsum(sizes).tolist()]
    curve = []
    for n in ns:
        ways = np.diff([comb(k, n) / comb(len(scores), n) for k in upto])
        curve.append(float(ways @ means))
    return np.array(curve)


def pass_at_n(success: ArrayLike, ns: Sequence[int]) -> Floats:
    """1 − C(K − c, n) / C(K, n): any of n of K attempts, c of them successes (Chen et al. 2021)."""
    success = _zero_or_one(success)
    return best_of_n_curve(success, success, ns)  # what a perfect judge chooses


def brier(scores: ArrayLike, success: ArrayLike) -> float:
    """Brier score, the mean of (M − r)²; 0 is best."""
    scores, success = finite_vectors(scores=scores, success=success)
    return float(np.mean((scores - success) ** 2))


def explained_variance(scores: ArrayLike, success: ArrayLike) -> float:
    """What a judge knows beyond the mean outcome: 1 − Brier score / that of the best constant.

    NaN if all outcomes are equal.

    >>> explained_variance([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 1])
    0.75
    """
    error, spread = brier(scores, success), float(np.var(np.asarray(success, dtype=np.float64)))
    return 1.0 - error / spread if spread > 0 else nan


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


def auroc(scores: ArrayLike, success: ArrayLike) -> float:
    """Probability that a success outscores a failure, a tie counting half (Mann-Whitney U).

    NaN if only one outcome occurs.

    >>> auroc([0.2, 0.4, 0.4, 0.9], [0, 0, 1, 1])
    0.875
    """
    scores, success = finite_vectors(scores=scores, success=_zero_or_one(success))
    wins = success.sum()
    losses = len(success) - wins
    if wins == 0 or losses == 0:
        return nan
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    midrank = np.cumsum(size) - (size - 1) / 2
    u = midrank[group] @ success - wins * (wins + 1) / 2
    return float(u / (wins * losses))


def within_task_auroc(scores: ArrayLike, success: ArrayLike, tasks: Sequence[Hashable]) -> Floats:
    """AUROC inside each task that has both outcomes: does a judge rank attempts, not tasks?

    >>> within_task_auroc([0.1, 0.2, 0.9, 0.8], [0, 1, 0, 1], ["a", "a", "b", "b"]).tolist()
    [1.0, 0.0]
    """
    scores, success = finite_vectors(scores=scores, success=success)
    values = [auroc(scores[i], success[i]) for i in group_by(tasks, len(scores))]
    return np.array([v for v in values if not np.isnan(v)])


def turn_auroc(
    values: Sequence[Sequence[float]], success: ArrayLike, tasks: Sequence[Hashable], turn: int
) -> Floats:
    """:func:`within_task_auroc` of M after a fixed turn, among attempts that go on after it.

    A turn that ends some attempts shows their outcome, and a later turn is likelier in a failure:
    only attempts that are equally far and not over ask for foresight.

    Args:
        values: For each attempt M after every turn.
        success: [E] outcomes, 0 or 1.
        tasks: [E] which task each attempt belongs to.
        turn: 1 is the first.

    Returns:
        [tasks with both outcomes among these attempts].

    Raises:
        ValueError: Not one list of values an attempt.
    """
    if len(values) != len(tasks):
        raise ValueError(f"values has {len(values)} attempts, expected {len(tasks)}")
    on = [i for i, m in enumerate(values) if len(m) > turn]
    if not on:
        return np.zeros(0)
    scores = [values[i][turn - 1] for i in on]
    return within_task_auroc(scores, np.asarray(success)[on], [tasks[i] for i in on])


def group_by(keys: Sequence[Hashable], length: int) -> list[list[int]]:
    """Indices of each distinct key, in order of first appearance."""
    if len(keys) != length:
        raise ValueError(f"group keys have length {len(keys)}, expected {length}")
    rows: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        rows.setdefault(key, []).append(i)
    return list(rows.values())


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


def _zero_or_one(success: ArrayLike) -> Floats:
    (success,) = finite_vectors(success=success)
    if not np.isin(success, (0.0, 1.0)).all():
        raise ValueError(f"success is {success.tolist()[:8]}, expected 0 or 1")
    return success


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
