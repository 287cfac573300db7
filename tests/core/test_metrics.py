"""Metrics: pinned values, brute-force enumeration, coverage of the intervals."""

import itertools
import math
from collections.abc import Sequence

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from agentprm_lite.metrics import (
    advantage_sign_accuracy,
    auroc,
    auroc_by_step,
    best_of_n_curve,
    bootstrap_interval,
    brier,
    compute_multiple,
    compute_multiple_interval,
    ece,
    paired_bootstrap,
    pass_at_n,
    reliability,
    sibling_pair_accuracy,
    within_task_auroc,
)

steady = settings(deadline=None, derandomize=True)
# Few distinct scores, so that ties are common.
POOL = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3]), st.booleans()), min_size=1, max_size=7)


# --- Best-of-N


def enumerated_best_of_n(scores: Sequence[float], success: Sequence[float], n: int) -> float:
    """Mean over every subset of size n of the mean outcome of its top-scored members."""
    values = []
    for subset in itertools.combinations(range(len(scores)), n):
        top = max(scores[i] for i in subset)
        values.append(np.mean([success[i] for i in subset if scores[i] == top]))
    return float(np.mean(values))


@steady
@given(POOL)
def test_best_of_n_is_the_mean_over_all_subsets(pool: list[tuple[float, bool]]) -> None:
    scores, success = [s for s, _ in pool], [float(y) for _, y in pool]
    ns = list(range(1, len(pool) + 1))
    expected = [enumerated_best_of_n(scores, success, n) for n in ns]
    assert best_of_n_curve(scores, success, ns).tolist() == pytest.approx(expected)


def test_best_of_n_worked() -> None:
    """Scores 1 < 2 = 2, success at the first 2 alone. n = 1: 1/3. n = 2: subsets (1,2a) → 1,
    (1,2b) → 0, (2a,2b) → ½: mean ½. n = 3: the tie, ½. Taking the first of a tie would say 2/3."""
    curve = best_of_n_curve([1, 2, 2], [0, 1, 0], [1, 2, 3])
    assert curve.tolist() == pytest.approx([1 / 3, 1 / 2, 1 / 2])


def test_best_of_n_with_partial_outcomes_and_large_pools() -> None:
    """Scores equal to outcomes: n = 2 of (0, ½, 1) is (½ + 1 + 1) / 3. A pool of 256 stays
    exact."""
    assert best_of_n_curve([0, 0.5, 1], [0, 0.5, 1], [2]).tolist() == pytest.approx([2.5 / 3])
    scores = np.arange(256.0)
    curve = best_of_n_curve(scores, scores == 255, [1, 64, 256])
    assert curve.tolist() == pytest.approx([1 / 256, 64 / 256, 1.0])


@steady
@given(POOL)
def test_pass_at_n_is_the_share_of_subsets_with_a_success(pool: list[tuple[float, bool]]) -> None:
    success = [y for _, y in pool]
    for n in range(1, len(pool) + 1):
        shares = [any(s) for s in itertools.combinations(success, n)]
        assert pass_at_n(success, [n])[0] == pytest.approx(np.mean(shares))


def test_pass_at_n_is_not_one_minus_the_failure_rate_to_the_n() -> None:
    """1 of 4 succeeds: any 2 of them, without replacement, 1/2; with replacement 1 − 0.75² =
    0.4375."""
    assert pass_at_n([1, 0, 0, 0], [2])[0] == 0.5


# --- intervals


def test_bootstrap_interval_matches_the_normal_approximation() -> None:
    """100 tasks, 30 solved: standard error √(0.3·0.7/100) = 0.0458, so 0.3 ± 0.090."""
    values = np.repeat([1.0, 0.0], [30, 70])
    mean, lo, hi = bootstrap_interval(values, n_boot=20_000)
    assert mean == pytest.approx(0.3)
    assert lo == pytest.approx(0.21, abs=0.011)
    assert hi == pytest.approx(0.39, abs=0.011)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)


def test_bootstrap_interval_by_enumeration() -> None:
    """Two tasks 0 and 1: means 0, ½, 1 with probability ¼, ½, ¼; so the middle 40 % is ½ alone
    and the middle 60 % reaches from 0 to 1."""
    assert bootstrap_interval([0, 1], level=0.4) == (0.5, 0.5, 0.5)
    assert bootstrap_interval([0, 1], level=0.6) == (0.5, 0.0, 1.0)


def test_seeds_are_resampled_too() -> None:
    """All tasks equal within a seed: resampling tasks alone would show no spread at all. Three
    seeds 0, ½, 1 resampled 3 times: the 2.5 % and 97.5 % points are 0 and 1 (each 1/27
    likely)."""
    table = np.repeat([[0.0], [0.5], [1.0]], 50, axis=1)
    assert bootstrap_interval(table) == pytest.approx((0.5, 0.0, 1.0))
    assert bootstrap_interval(table.mean(axis=0)) == pytest.approx((0.5, 0.5, 0.5))
    # Equal seeds: the interval is that of the tasks.
    values = np.repeat([1.0, 0.0], [30, 70])
    both = bootstrap_interval(np.stack([values] * 3), n_boot=500)
    alone = bootstrap_interval(values, n_boot=500)
    assert both == pytest.approx(alone)


def test_paired_bootstrap_takes_the_tasks_out() -> None:
    """Ours is 0.1 above on every task, while tasks differ widely: the paired interval is a
    point."""
    base = np.linspace(0.0, 0.9, 10)
    assert paired_bootstrap(base + 0.1, base) == pytest.approx((0.1, 0.1, 0.1))
    unpaired = bootstrap_interval(base + 0.1)
    assert unpaired.hi - unpaired.lo > 0.3
    with_seeds = paired_bootstrap(np.stack([base + 0.1] * 3), base)
    assert with_seeds == pytest.approx((0.1, 0.1, 0.1))


def test_interval_coverage() -> None:
    """Of 200 experiments of 60 tasks at p = 0.4, at least 90 % of the 95 % intervals hold 0.4."""
    rng = np.random.default_rng(0)
    draws = (rng.random((200, 60)) < 0.4).astype(float)
    held = [lo <= 0.4 <= hi for _, lo, hi in (bootstrap_interval(d, n_boot=400) for d in draws)]
    assert np.mean(held) >= 0.90


# --- calibration


def test_brier_pinned() -> None:
    """(0.8² + 0.6² + 0.1²) / 3 = 1.01 / 3."""
    assert brier([0.8, 0.4, 0.9], [0, 1, 1]) == pytest.approx(1.01 / 3)


def test_ece_pinned() -> None:
    """Bins of 0.2. [0, .2): 0.1 → outcome 0, gap 0.1, 1 of 5. [.2, .4): 0.2 and 0.3 → 0.25
    against ½, gap 0.25, 2 of 5. [.8, 1]: 0.9 and 1.0 → 0.95 against 1, gap 0.05, 2 of 5. ECE
    0.02 + 0.1 + 0.02."""
    scores, success = [0.1, 0.2, 0.3, 0.9, 1.0], [0, 1, 0, 1, 1]
    prediction, outcome, count = reliability(scores, success, bins=5)
    assert prediction.tolist() == pytest.approx([0.1, 0.25, 0.95])
    assert outcome.tolist() == pytest.approx([0.0, 0.5, 1.0])
    assert count.tolist() == [1, 2, 2]
    assert ece(scores, success, bins=5) == pytest.approx(0.14)


def test_predictions_outside_the_unit_interval_count_in_full() -> None:
    """−0.2 and 1.3 fall into the outer bins, with gaps 0.2 and 0.3: they are not clipped first."""
    assert ece([-0.2, 1.3], [0, 1]) == pytest.approx(0.25)


# --- ranking


@steady
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.booleans()), min_size=1, max_size=12)
)
def test_auroc_is_the_share_of_ordered_pairs(pool: list[tuple[float, bool]]) -> None:
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for (a, ya), (b, yb) in itertools.product(pool, pool)
        if ya and not yb
    ]
    value = auroc([s for s, _ in pool], [y for _, y in pool])
    assert value == pytest.approx(np.mean(wins)) if wins else math.isnan(value)


def test_auroc_pinned() -> None:
    """Successes 0.4, 0.9, failures 0.2, 0.4: pairs 1, ½, 1, 1."""
    assert auroc([0.2, 0.4, 0.4, 0.9], [0, 0, 1, 1]) == 0.875
    assert auroc([0.1, 0.2], [1, 0]) == 0.0
    assert math.isnan(auroc([0.1, 0.2], [1, 1]))


SCORES = [[0.9, 0.1], [0.2, 0.6, 0.8], [0.1, 0.7, 0.3, 0.2]]


def test_auroc_by_step_index() -> None:
    """Success of the middle one alone. Step 0: 0.2 against 0.9 and 0.1, ½; step 1: 0.6 against
    0.1 and 0.7, ½; step 2: 0.8 against 0.3, the first has ended: 1; step 3: no success left."""
    curve = auroc_by_step(SCORES, [0, 1, 0], [0, 1, 2, 3], "index")
    assert curve[:3].tolist() == [0.5, 0.5, 1.0]
    assert math.isnan(curve[3])
    assert math.isnan(auroc_by_step(SCORES, [0, 1, 0], [9], "index")[0])


def test_auroc_by_step_fraction() -> None:
    """First step ½ as above; last step 0.8 against 0.1 and 0.2: 1; half way (steps 1, 1, 2,
    rounding half up): 0.6 against 0.1 and 0.3: 1."""
    assert auroc_by_step(SCORES, [0, 1, 0], [0, 0.5, 1], "fraction").tolist() == [0.5, 1.0, 1.0]


def test_within_task_auroc_is_blind_to_tasks() -> None:
    """Task a is easy and scored high, b hard and scored low, and inside both the failure scores
    above the success. Over all: 3 successes at 0.8 beat 3 failures at 0.2, so does the one of c
    at 0.5: 12 of 20 pairs. Inside a and b it is 0; c has one outcome and does not count."""
    scores = [0.9, 0.8, 0.8, 0.8, 0.1, 0.2, 0.2, 0.2, 0.5]
    success = [0, 1, 1, 1, 1, 0, 0, 0, 1]
    tasks = ["a"] * 4 + ["b"] * 4 + ["c"]
    assert auroc(scores, success) == pytest.approx(12 / 20)
    assert within_task_auroc(scores, success, tasks).tolist() == [0.0, 0.0]


def test_sibling_pair_accuracy_worked() -> None:
    """State s: true 0 < ½ < 1, predicted 0.1, 0.2, 0.2: right, right, tie. State t: equal true
    values, no pair. State u: wrong. (1 + 1 + ½ + 0) / 4. Pairs across states, many here, do not
    count."""
    q_pred = [0.1, 0.2, 0.2, 0.9, 0.1, 0.3, 0.7]
    q_true = [0.0, 0.5, 1.0, 0.4, 0.4, 1.0, 0.0]
    state = ["s", "s", "s", "t", "t", "u", "u"]
    assert sibling_pair_accuracy(q_pred, q_true, state) == pytest.approx(2.5 / 4)
    assert math.isnan(sibling_pair_accuracy([0.1, 0.2], [0.0, 1.0], [1, 2]))


def test_advantage_sign_accuracy_worked() -> None:
    """Right, wrong, predicted zero (half), true zero (not counted): 1.5 / 3."""
    assert advantage_sign_accuracy([0.1, 0.2, 0.0, 0.3], [0.5, -0.1, -0.5, 0.0]) == 0.5
    assert math.isnan(advantage_sign_accuracy([0.1], [0.0]))


# --- compute multiple


def test_compute_multiple_worked() -> None:
    """The baseline reaches its best, 0.4, at 8. Ours has 0.3 at 1 and 0.5 at 4: half way in log
    N, at 2."""
    ns, base, ours = [1, 4, 8], [0.1, 0.2, 0.4], [0.3, 0.5, 0.6]
    assert compute_multiple(ns, base, ours) == pytest.approx(4.0)
    # At 0.3 ours is there at 1 and the baseline half way between 4 and 8: √32.
    assert compute_multiple(ns, base, ours, target=0.3) == pytest.approx(math.sqrt(32))
    assert compute_multiple(ns, base, base) == 1.0


def test_compute_multiple_of_a_falling_baseline_takes_its_peak() -> None:
    """0.4 at 2, falling after: ours needs 4 for it, so half as efficient."""
    falling, ours = [0.2, 0.4, 0.3], [0.2, 0.3, 0.4]
    assert compute_multiple([1, 2, 4], falling, ours) == pytest.approx(0.5)


def test_compute_multiple_not_reached() -> None:
    ns, low, high = [1, 2], [0.1, 0.2], [0.3, 0.4]
    assert compute_multiple(ns, high, low) == 0.0
    assert compute_multiple(ns, low, high, target=0.4) == math.inf
    assert math.isnan(compute_multiple(ns, low, high, target=0.9))


def test_compute_multiple_interval() -> None:
    """Equal tasks: a point. Half of the tasks speeding up fourfold, half not: the interval holds
    both."""
    slow, fast = [0.0, 0.5, 1.0, 1.0, 1.0], [1.0] * 5
    ns = [1, 2, 4, 8, 16]
    assert compute_multiple_interval(ns, [slow] * 4, [fast] * 4) == (4.0, 4.0, 4.0)
    mean, lo, hi = compute_multiple_interval(ns, [slow] * 4, [fast, fast, slow, slow])
    assert mean == 1.0  # the mean of ours is 1 from 4 on, as the baseline's is
    assert (lo, hi) == (1.0, 4.0)


def test_compute_multiple_interval_over_seeds() -> None:
    """Base is best at N = 4. One seed of ours is there at N = 1, the other never: on average 0.75
    at every N, at N = 1 above the base's 0.5. Resampled, both seeds may be the good or the bad one:
    4 and 0 times."""
    base, good, bad = [0.0, 0.25, 0.5], [1.0, 1.0, 1.0], [0.25, 0.25, 0.25]
    mean, lo, hi = compute_multiple_interval([1, 2, 4], [base] * 3, [[good] * 3, [bad] * 3])
    assert (mean, lo, hi) == (4.0, 0.0, 4.0)
    assert compute_multiple_interval([1, 2, 4], [[base] * 3], [[good] * 3]) == (4.0, 4.0, 4.0)


def test_compute_multiple_of_equal_curves_but_for_rounding() -> None:
    """Sums in another order: 0.1 + 0.2 is above 0.3 by 6e-17, and still the same score."""
    assert compute_multiple([1, 2, 4], [0.0, 0.1, 0.1 + 0.2], [0.0, 0.3, 0.3]) == pytest.approx(2.0)


def test_compute_multiple_at_the_last_n() -> None:
    """A base that falls from 0.6 to 0.3: ours has 0.3 at N = 1, four times fewer than 4; its best
    0.6 is reached at N = 1 by the base and at N = 4 by ours, a quarter."""
    base, ours = [[0.6, 0.5, 0.3]] * 2, [[0.3, 0.4, 0.6]] * 2
    assert compute_multiple_interval([1, 2, 4], base, ours, last=True) == (4.0, 4.0, 4.0)
    assert compute_multiple_interval([1, 2, 4], base, ours) == (0.25, 0.25, 0.25)


@steady
@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_compute_multiple_swaps_to_its_inverse(raw: list[float]) -> None:
    ns, curve = [1, 2, 4, 8, 16], np.cumsum(raw) + np.arange(5)
    other = curve * 0.5 + 0.3
    target = 2.0
    there = compute_multiple(ns, curve, other, target)
    back = compute_multiple(ns, other, curve, target)
    assert there * back == pytest.approx(1.0) or 0.0 in (there, back)


# --- entry checks


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_of_n_curve([1, 2], [1], [1]), r"success has shape \(1,\), expected \(2,\)"),
        (lambda: best_of_n_curve([math.nan, 2], [1, 0], [1]), "scores has a value that is not"),
        (lambda: best_of_n_curve([1, 2], [1, 0], [3]), r"ns is \[3\], expected sizes within 1..2"),
        (lambda: pass_at_n([0.5, 1], [1]), r"success is \[0.5, 1.0\], expected 0 or 1"),
        (lambda: pass_at_n([0, 1], [0]), r"ns is \[0\]"),
        (
            lambda: bootstrap_interval([0.1, math.nan]),
            r"values has shape \(1, 2\), expected finite",
        ),
        (lambda: bootstrap_interval([]), "values has shape"),
        (lambda: bootstrap_interval(np.zeros((2, 2, 2))), "values has shape"),
        (lambda: paired_bootstrap([1, 2], [1, 2, 3]), "base has 3 tasks, expected 2"),
        (lambda: auroc([0.1, 0.2], [0.5, 1]), "success has other values, expected 0 or 1"),
        (lambda: auroc_by_step([[0.1]], [0, 1], [0], "index"), "scores has 1 trajectories"),
        (lambda: auroc_by_step([[0.1]], [1], [1.5], "fraction"), r"at is \[1.5\], expected fract"),
        (lambda: within_task_auroc([0.1], [1], []), "group keys have length 0, expected 1"),
        (lambda: compute_multiple([2, 1], [0, 0], [0, 0]), r"ns is \[2, 1\], expected increasing"),
        (
            lambda: compute_multiple_interval([1], [[1.0]], [[1.0], [1.0]]),
            r"ours has shape \(2, 1\) a seed, expected \(1, 1\)",
        ),
    ],
)
def test_entry_checks_name_the_argument(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
