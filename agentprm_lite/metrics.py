"""Measures of reward models and policies (numpy only); intervals.py has their intervals.

Shape legend: K samples of one task, n samples in a subset, E examples (steps or trajectories).
Scores may leave [0, 1]: M is a regression output.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, nan
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentprm_lite.intervals import (
    Floats,
    Interval,
    bootstrap_interval,
    compute_multiple,
    compute_multiple_interval,
    finite_vectors,
    paired_bootstrap,
)

__all__ = [
    "Interval",
    "advantage_sign_accuracy",
    "auroc",
    "auroc_by_step",
    "best_of_n_curve",
    "bootstrap_interval",
    "brier",
    "compute_multiple",
    "compute_multiple_interval",
    "ece",
    "paired_bootstrap",
    "pass_at_n",
    "reliability",
    "sibling_pair_accuracy",
    "within_task_auroc",
]


def best_of_n_curve(scores: ArrayLike, success: ArrayLike, ns: Sequence[int]) -> Floats:
    """Expected outcome of the best-scored of n samples of one task, over all subsets of size n.

    Σ_g [C(L_g + K_g, n) − C(L_g, n)] / C(K, n) · (mean outcome of g) over the groups g of equal
    score: K_g is the size of g, L_g the number of lower scores. Unbiased, ties averaged.

    Args:
        scores: [K] score of each sample.
        success: [K] outcome of each sample in [0, 1].
        ns: Subset sizes, each in 1..K.

    Returns:
        [len(ns)] expected outcomes.

    Raises:
        ValueError: On unequal lengths, a value that is not finite or a size outside 1..K.

    Example:
        >>> best_of_n_curve([0.1, 0.5, 0.9], [0, 1, 0], [1, 2]).round(4).tolist()
        [0.3333, 0.3333]
    """
    scores, success = finite_vectors(scores=scores, success=success)
    _check_sizes(ns, len(scores))
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
    """Probability that any of n samples of one task succeeds (Chen et al. 2021, equation 1).

    1 − C(K − c, n) / C(K, n) with c successes among K samples.

    Args:
        success: [K] outcome of each sample, 0 or 1.
        ns: Subset sizes, each in 1..K.

    Returns:
        [len(ns)] probabilities.

    Raises:
        ValueError: On an outcome other than 0 or 1 or a size outside 1..K.

    Example:
        >>> pass_at_n([0, 1, 0, 0], [1, 2, 4]).tolist()
        [0.25, 0.5, 1.0]
    """
    (success,) = finite_vectors(success=success)
    if not np.isin(success, (0.0, 1.0)).all():
        raise ValueError(f"success is {success.tolist()}, expected 0 or 1")
    k = len(success)
    _check_sizes(ns, k)
    failures = k - int(success.sum())
    return np.array([1.0 - comb(failures, n) / comb(k, n) for n in ns])


def brier(scores: ArrayLike, success: ArrayLike) -> float:
    """Brier score: mean of (M − r)².

    Args:
        scores: [E] predictions.
        success: [E] outcomes in [0, 1].

    Returns:
        Mean squared error; 0 is best.

    Raises:
        ValueError: On unequal lengths or a value that is not finite.

    Example:
        >>> brier([0.5, 1.0], [1, 1])
        0.125
    """
    scores, success = finite_vectors(scores=scores, success=success)
    return float(np.mean((scores - success) ** 2))


def reliability(
    scores: ArrayLike, success: ArrayLike, bins: int = 10
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean prediction, mean outcome and count in bins of equal width on [0, 1].

    Args:
        scores: [E] predictions; bin i holds [i/bins, (i+1)/bins), the outer bins all beyond them.
        success: [E] outcomes in [0, 1].
        bins: Number of bins.

    Returns:
        Three arrays over the bins that hold anything: mean prediction, mean outcome, count.

    Raises:
        ValueError: On unequal lengths or a value that is not finite.

    Example:
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
    """Expected calibration error.

    ``Σ_b (E_b / E) |mean prediction − mean outcome|`` over the bins b.

    Args:
        scores: [E] predictions.
        success: [E] outcomes in [0, 1].
        bins: Number of bins of equal width on [0, 1]; see ``reliability``.

    Returns:
        Calibration error; 0 is best.

    Raises:
        ValueError: On unequal lengths or a value that is not finite.

    Example:
        >>> round(ece([0.1, 0.3, 0.9], [0, 1, 1], bins=2), 4)
        0.2333
    """
    prediction, outcome, count = reliability(scores, success, bins)
    return float(np.abs(prediction - outcome) @ count / count.sum())


def auroc(scores: ArrayLike, success: ArrayLike) -> float:
    """Probability that a success outscores a failure, a tie counting half (Mann-Whitney U).

    Args:
        scores: [E] scores.
        success: [E] outcomes, 0 or 1.

    Returns:
        AUROC; NaN if only one outcome occurs.

    Raises:
        ValueError: On unequal lengths, a value that is not finite or an outcome other than 0 or 1.

    Example:
        >>> auroc([0.2, 0.4, 0.4, 0.9], [0, 0, 1, 1])
        0.875
    """
    scores, success = finite_vectors(scores=scores, success=success)
    if not np.isin(success, (0.0, 1.0)).all():
        raise ValueError("success has other values, expected 0 or 1")
    n_pos = success.sum()
    n_neg = len(success) - n_pos
    if n_pos == 0 or n_neg == 0:
        return nan
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    midrank = np.cumsum(size) - (size - 1) / 2
    u = midrank[group] @ success - n_pos * (n_pos + 1) / 2
    return float(u / (n_pos * n_neg))


def auroc_by_step(
    scores: Sequence[ArrayLike],
    success: ArrayLike,
    at: Sequence[float],
    by: Literal["index", "fraction"],
) -> Floats:
    """AUROC over trajectories of the score at one step, for several steps.

    Args:
        scores: A [T_i] array a trajectory.
        success: [trajectories] outcomes, 0 or 1.
        at: The steps. By "index": 0 is the first action; trajectories without the step are left
            out. By "fraction": 0 is the first action, 1 the last, rounded to the nearest step.
        by: What ``at`` means.

    Returns:
        [len(at)] AUROC; NaN where only one outcome is left.

    Raises:
        ValueError: On unequal lengths, an empty trajectory or a fraction outside [0, 1].

    Example:
        >>> auroc_by_step([[0.5, 0.1], [0.5, 0.6, 0.9]], [0, 1], [0, 1], "fraction").tolist()
        [0.5, 1.0]
    """
    (success,) = finite_vectors(success=success)
    rows = [finite_vectors(scores=row)[0] for row in scores]
    if len(rows) != len(success):
        raise ValueError(f"scores has {len(rows)} trajectories, expected {len(success)}")
    if by == "fraction" and not all(0.0 <= f <= 1.0 for f in at):
        raise ValueError(f"at is {list(at)}, expected fractions within [0, 1]")
    curve = []
    for x in at:
        steps = [int(x if by == "index" else x * (len(row) - 1) + 0.5) for row in rows]
        alive = [i for i, row in enumerate(rows) if steps[i] < len(row)]
        picked = [rows[i][steps[i]] for i in alive]
        curve.append(auroc(picked, success[alive]) if alive else nan)
    return np.array(curve)


def within_task_auroc(scores: ArrayLike, success: ArrayLike, tasks: Sequence[object]) -> Floats:
    """AUROC inside each task that has both outcomes: does the score rank solutions, not tasks?

    Args:
        scores: [E] score of each trajectory.
        success: [E] outcomes, 0 or 1.
        tasks: [E] which task each trajectory belongs to.

    Returns:
        [tasks with both outcomes] in order of first appearance; their mean is the measure.

    Raises:
        ValueError: On unequal lengths, a value that is not finite or an outcome other than 0 or 1.

    Example:
        >>> within_task_auroc([0.1, 0.2, 0.9, 0.8], [0, 1, 0, 1], ["a", "a", "b", "b"]).tolist()
        [1.0, 0.0]
    """
    scores, success = finite_vectors(scores=scores, success=success)
    values = [auroc(scores[i], success[i]) for i in _groups(tasks, len(scores))]
    return np.array([v for v in values if not np.isnan(v)])


def sibling_pair_accuracy(q_pred: ArrayLike, q_true: ArrayLike, group: Sequence[object]) -> float:
    """Share of pairs of actions from one state, with different true values, put in the right order.

    Args:
        q_pred: [E] predicted value of each action.
        q_true: [E] true value of each action.
        group: [E] which state each action was taken in.

    Returns:
        Accuracy over all pairs, a tie in ``q_pred`` counting half; NaN if there is no pair.

    Raises:
        ValueError: On unequal lengths or a value that is not finite.

    Example:
        >>> sibling_pair_accuracy([0.1, 0.2, 0.2], [0.0, 0.5, 1.0], ["s", "s", "s"]).__round__(4)
        0.8333
    """
    q_pred, q_true = finite_vectors(q_pred=q_pred, q_true=q_true)
    right, pairs = 0.0, 0
    for i in _groups(group, len(q_pred)):
        above = q_true[i][:, None] > q_true[i]
        order = np.sign(q_pred[i][:, None] - q_pred[i])
        right += float(((1.0 + order) / 2)[above].sum())
        pairs += int(above.sum())
    return right / pairs if pairs else nan


def advantage_sign_accuracy(a_pred: ArrayLike, a_true: ArrayLike) -> float:
    """Share of steps with a true advantage other than 0 whose predicted advantage has its sign.

    Args:
        a_pred: [E] predicted advantages, M_t − M_{t-1}.
        a_true: [E] true advantages.

    Returns:
        Accuracy, a prediction of 0 counting half; NaN if every true advantage is 0.

    Raises:
        ValueError: On unequal lengths or a value that is not finite.

    Example:
        >>> advantage_sign_accuracy([0.1, -0.1, 0.0, 0.3], [0.5, 0.5, -0.5, 0.0])
        0.5
    """
    a_pred, a_true = finite_vectors(a_pred=a_pred, a_true=a_true)
    counted = a_true != 0
    if not counted.any():
        return nan
    return float(np.mean((1.0 + np.sign(a_pred * a_true)[counted]) / 2))


def _groups(keys: Sequence[object], length: int) -> list[list[int]]:
    """Indices of each distinct key, in order of first appearance."""
    if len(keys) != length:
        raise ValueError(f"group keys have length {len(keys)}, expected {length}")
    rows: dict[object, list[int]] = {}
    for i, key in enumerate(keys):
        rows.setdefault(key, []).append(i)
    return list(rows.values())


def _check_sizes(ns: Sequence[int], k: int) -> None:
    if not all(1 <= n <= k for n in ns):
        raise ValueError(f"ns is {list(ns)}, expected sizes within 1..{k}")
