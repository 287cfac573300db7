"""Measures of judges and policies (numpy only); ``study`` has intervals and calibration.

Shape legend: K attempts at one task, n of them in a subset, E examples (turns or attempts).
``scores`` [E] are a judge's and may leave [0, 1]: M is a regression output. ``success`` [E] holds
outcomes in [0, 1]; ``auroc`` and ``pass_at_n`` need 0 or 1. Vectors of unequal lengths, without
values or with one that isn't finite raise a ValueError that names them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import comb, nan
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)


def best_of_n_curve(scores: ArrayLike, success: ArrayLike, ns: Sequence[int]) -> Floats:
    """Expected outcome of the best-scored of n of K attempts, over all subsets: [len(ns)].

    Σ_g [C(L_g + K_g, n) − C(L_g, n)] / C(K, n) · (mean outcome of g) over the groups g of equal
    score: K_g is the size of g, L_g the number of lower scores. Unbiased, ties averaged.

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
    ways = [np.diff([comb(k, n) / comb(len(scores), n) for k in upto]) for n in ns]
    return np.array([float(w @ means) for w in ways])


def pass_at_n(success: ArrayLike, ns: Sequence[int]) -> Floats:
    """1 − C(K − c, n) / C(K, n): any of n of K attempts, c of them successes (Chen et al. 2021)."""
    success = _zero_or_one(success)
    return best_of_n_curve(success, success, ns)  # what a perfect judge chooses


def explained_variance(scores: ArrayLike, success: ArrayLike) -> float:
    """What a judge knows beyond the mean outcome: 1 − mean (M − r)² / the variance of r.

    NaN if all outcomes are equal.

    >>> explained_variance([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 1])
    0.75
    """
    scores, success = finite_vectors(scores=scores, success=success)
    spread = float(np.var(success))
    return 1.0 - float(np.mean((scores - success) ** 2)) / spread if spread > 0 else nan


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
    values = [auroc(scores[i], success[i]) for i in group_by(tasks, len(scores)).values()]
    return np.array([v for v in values if not np.isnan(v)])


def turn_auroc(
    values: Sequence[Sequence[float]], success: ArrayLike, tasks: Sequence[Hashable], turn: int
) -> Floats:
    """:func:`within_task_auroc` of M after a turn (1 is the first), among attempts that go on.

    ``values`` has for each attempt M after every turn. A turn that ends some attempts shows their
    outcome, and a later turn is likelier in a failure: only attempts that are equally far and not
    over ask for foresight.
    """
    if len(values) != len(tasks):
        raise ValueError(f"values has {len(values)} attempts, expected {len(tasks)}")
    if turn < 1:
        raise ValueError(f"turn is {turn}, expected 1, the first, or a later one")
    on = [i for i, m in enumerate(values) if len(m) > turn]
    if not on:
        return np.zeros(0)
    scores = [values[i][turn - 1] for i in on]
    return within_task_auroc(scores, np.asarray(success)[on], [tasks[i] for i in on])


def group_by(keys: Sequence[Key], length: int) -> dict[Key, list[int]]:
    """Indices of each distinct key, in order of first appearance."""
    if len(keys) != length:
        raise ValueError(f"group keys have length {len(keys)}, expected {length}")
    rows: dict[Key, list[int]] = {}
    for i, key in enumerate(keys):
        rows.setdefault(key, []).append(i)
    return rows


def finite_vectors(**named: ArrayLike) -> list[Floats]:
    """Finite float vectors of one length."""
    arrays = [np.asarray(x, dtype=np.float64) for x in named.values()]
    for name, x in zip(named, arrays, strict=True):
        if x.ndim != 1 or x.shape != arrays[0].shape or x.size == 0:
            raise ValueError(f"{name} has shape {x.shape}, expected ({len(arrays[0])},), not empty")
        if not np.isfinite(x).all():
            raise ValueError(f"{name} has a value that is not finite")
    return arrays


def _zero_or_one(success: ArrayLike) -> Floats:
    (success,) = finite_vectors(success=success)
    if not np.isin(success, (0.0, 1.0)).all():
        raise ValueError(f"success is {success.tolist()[:8]}, expected 0 or 1")
    return success
