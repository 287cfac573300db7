"""Metrics: pinned values, brute-force enumeration."""

import itertools
import math
from collections.abc import Sequence

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from agentprm_lite.metrics import (
    auroc,
    best_of_n_curve,
    explained_variance,
    pass_at_n,
    turn_auroc,
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


# --- explained variance


def test_explained_variance_pinned() -> None:
    """Outcomes 0, 0, 1, 1 have variance ¼. Errors of ¼ each: 1 − (1/16) / ¼ = ¾. The mean itself
    explains nothing, and a wrong constant less: 0.5 off everywhere but in the mean, 1 − ½ / ¼."""
    won = [0, 0, 1, 1]
    assert explained_variance([0.25, 0.25, 0.75, 0.75], won) == pytest.approx(0.75)
    assert explained_variance([0.5] * 4, won) == 0.0
    assert explained_variance([0.0] * 4, won) == pytest.approx(-1.0)
    assert explained_variance(won, won) == 1.0
    assert math.isnan(explained_variance([0.5, 0.5], [1, 1]))


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


def test_turn_auroc_asks_only_attempts_that_go_on() -> None:
    """Task a after turn 1: success 0.6 against failures 0.5 and 0.7: ½. The fourth attempt is over
    after turn 1 with the highest value of all: it would make it 3/4 if it counted. Task b has one
    outcome among those that go on. After turn 2 a's success and second failure go on: 1."""
    values = [[0.6, 0.8, 0.9], [0.5, 0.4], [0.7, 0.3, 0.1], [0.9], [0.1, 0.2], [0.3]]
    won, tasks = [1, 0, 0, 1, 1, 0], ["a", "a", "a", "a", "b", "b"]
    assert turn_auroc(values, won, tasks, 1).tolist() == [0.5]
    assert turn_auroc(values, won, tasks, 2).tolist() == [1.0]
    assert turn_auroc(values, won, tasks, 3).size == 0
    with pytest.raises(ValueError, match="values has 1 attempts, expected 2"):
        turn_auroc([[0.1]], [0, 1], ["a", "a"], 1)
    with pytest.raises(ValueError, match="turn is 0, expected 1"):
        turn_auroc(values, won, tasks, 0)


def test_a_counter_of_turns_is_a_coin_at_a_fixed_turn() -> None:
    """Successes take 2 to 4 turns, failures 10, and M counts turns: the last M separates them, M
    after a fixed turn doesn't."""
    lengths = [2, 3, 4, 10, 10, 10]
    values = [[1 - 0.05 * k for k in range(1, n + 1)] for n in lengths]
    won, same = [float(n < 10) for n in lengths], ["a"] * 6
    assert within_task_auroc([m[-1] for m in values], won, same).tolist() == [1.0]
    assert [turn_auroc(values, won, same, k).tolist() for k in (1, 2, 3)] == [[0.5]] * 3


def test_within_task_auroc_is_blind_to_tasks() -> None:
    """Task a is easy and scored high, b hard and scored low, and inside both the failure scores
    above the success. Over all: 3 successes at 0.8 beat 3 failures at 0.2, so does the one of c
    at 0.5: 12 of 20 pairs. Inside a and b it is 0; c has one outcome and does not count."""
    scores = [0.9, 0.8, 0.8, 0.8, 0.1, 0.2, 0.2, 0.2, 0.5]
    success = [0, 1, 1, 1, 1, 0, 0, 0, 1]
    tasks = ["a"] * 4 + ["b"] * 4 + ["c"]
    assert auroc(scores, success) == pytest.approx(12 / 20)
    assert within_task_auroc(scores, success, tasks).tolist() == [0.0, 0.0]


# --- entry checks


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_of_n_curve([1, 2], [1], [1]), r"success has shape \(1,\), expected \(2,\)"),
        (lambda: best_of_n_curve([math.nan, 2], [1, 0], [1]), "scores has a value that is not"),
        (lambda: best_of_n_curve([1, 2], [1, 0], [3]), r"ns is \[3\], expected sizes within 1..2"),
        (lambda: pass_at_n([0.5, 1], [1]), r"success is \[0.5, 1.0\], expected 0 or 1"),
        (lambda: pass_at_n([0, 1], [0]), r"ns is \[0\]"),
        (lambda: auroc([0.1, 0.2], [0.5, 1]), r"success is \[0.5, 1.0\], expected 0 or 1"),
        (lambda: explained_variance([0.1], [1, 0]), r"success has shape \(2,\), expected \(1,\)"),
        (lambda: within_task_auroc([0.1], [1], []), "group keys have length 0, expected 1"),
    ],
)
def test_entry_checks_name_the_argument(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
