"""Intervals and calibration: pinned values, enumeration, coverage."""

import math

import numpy as np
import pytest

from agentprm_lite.study import bootstrap_interval, brier, ece, reliability

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
    """Two tasks 0 and 1: means 0, ½, 1 with probability ¼, ½, ¼; so 95 % reach from 0 to 1. Of
    eleven tasks with one success 0 has probability (10/11)^11 = 0.35, and 3 or more successes
    1 − 0.35 − 0.39 − 0.19 = 0.07, 4 or more 0.016: the ends are 0 and 3/11."""
    assert bootstrap_interval([0, 1]) == (0.5, 0.0, 1.0)
    assert bootstrap_interval([1] + [0] * 10) == pytest.approx((1 / 11, 0.0, 3 / 11))


def test_families_are_resampled_whole() -> None:
    """A family of three ones and one of a zero: means 1, 3/4 and 0 with probability ¼, ½, ¼. Four
    families of ten, one of zeros: it is drawn three or four times of four with probability 0.051,
    then the mean is 1/4 at most, so the lower end is there; of tasks alone it is near 0.6."""
    assert bootstrap_interval([1, 1, 1, 0], families="aaab") == (0.75, 0.0, 1.0)
    alone = bootstrap_interval([1] * 30 + [0] * 10)
    whole = bootstrap_interval([1] * 30 + [0] * 10, families=["a", "b", "c"] * 10 + ["d"] * 10)
    assert whole.mean == alone.mean == 0.75
    assert alone.lo > 0.55 and whole.lo <= 0.25
    with pytest.raises(ValueError, match="group keys have length 3, expected 2"):
        bootstrap_interval([0, 1], families="abc")


def test_a_statistic_of_several_tables() -> None:
    """Share of headroom won: chosen 0.6, one sample 0.4, oracle 0.9 on every task: 0.2 / 0.5."""
    share = bootstrap_interval(
        [0.5, 0.7],
        [0.3, 0.5],
        [0.8, 1.0],
        of=lambda chosen, one, best: (chosen - one) / (best - one),
    )
    assert share == pytest.approx((0.4, 0.4, 0.4))
    # the last axis is a curve's: the largest mean over it, seeds and tasks averaged before
    curves = [[[0.0, 1.0], [0.5, 0.0]]]
    assert bootstrap_interval(curves, of=lambda m: m.max(axis=-1)).mean == 0.5


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


def test_paired_interval_takes_the_tasks_out() -> None:
    """Ours is 0.1 above on every task, while tasks differ widely: the paired interval is a
    point."""
    base = np.linspace(0.0, 0.9, 10)
    assert bootstrap_interval(base + 0.1, base) == pytest.approx((0.1, 0.1, 0.1))
    unpaired = bootstrap_interval(base + 0.1)
    assert unpaired.hi - unpaired.lo > 0.3
    with_seeds = bootstrap_interval(np.stack([base + 0.1] * 3), base)
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


# --- entry checks


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bootstrap_interval([0.1, math.nan]),
            r"values has shape \(1, 2\), expected finite",
        ),
        (lambda: bootstrap_interval([]), "values has shape"),
        (lambda: bootstrap_interval(np.zeros((2, 2, 2, 2))), "values has shape"),
        (lambda: bootstrap_interval([1, 2], [1, 2, 3]), r"tables have \[2, 3\] tasks, expected"),
        (lambda: brier([0.1], [1, 0]), r"success has shape \(2,\), expected \(1,\)"),
    ],
)
def test_entry_checks_name_the_argument(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
