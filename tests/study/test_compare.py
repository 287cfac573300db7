"""Study: curves, parts of attempts and the compute multiple by hand, floors without a model."""

from __future__ import annotations

import math
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from helpers import random_trajectories
from hypothesis import given, settings

from agentprm_lite.chat import react
from agentprm_lite.hub import ChatFormat
from agentprm_lite.prm import StepValues
from agentprm_lite.search import best_of_n
from agentprm_lite.study import (
    Interval,
    at_end,
    auroc_by_part,
    compute_multiple,
    compute_multiple_interval,
    families,
    fewest_turns,
    first,
    half,
    in_words,
    likelihood,
    majority,
    powers_of_two,
    random_choice,
    tables,
    task_means,
)
from agentprm_lite.study.compare import rounded, row, rows
from agentprm_lite.tutorial.profiles import SMOKE, get_profile
from agentprm_lite.tutorial.tasks import test_tasks as held_out_tasks
from agentprm_lite.types import Task, Trajectory


def story(task: int, actions: str, outcome: float, source: Trajectory) -> Trajectory:
    """A trajectory with one letter an action; its ids don't matter."""
    steps = len(actions)
    return replace(
        source,
        task=Task("textcraft", task),
        ids=tuple(range(steps + 1)),
        prompt_len=1,
        spans=tuple((k + 1, k + 2) for k in range(steps)),
        logprobs=(),
        actions=tuple(actions),
        observations=("",) * (steps + 1),
        rewards=(0.0,) * (steps - 1) + (outcome,),
        success=outcome == 1,
    )


@pytest.fixture
def source(chat: ChatFormat) -> Trajectory:
    return random_trajectories(chat, 1, seed=0)[0]


# --- parts of attempts


def test_first_turns_and_first_half() -> None:
    """Halves of three turns are two, of one turn one; an attempt that is over is seen whole."""
    values = [StepValues(0.5, np.array(q)) for q in ([0.1, 0.2, 0.4], [0.7], [])]
    assert [v.q.tolist() for v in half(values)] == [[0.1, 0.2], [0.7], []]
    assert [v.q.tolist() for v in first(values, 2)] == [[0.1, 0.2], [0.7], []]
    assert [v.root for v in first(values, 0)] == [0.5] * 3


def test_auroc_by_part() -> None:
    """Success of the middle one alone. First turn ½: 0.2 against 0.9 and 0.1; last turn 0.8 against
    0.1 and 0.2: 1; half way (turns 1, 1, 2, rounding half up) 0.6 against 0.1 and 0.3: 1."""
    values = [[0.9, 0.1], [0.2, 0.6, 0.8], [0.1, 0.7, 0.3, 0.2]]
    assert auroc_by_part(values, [0, 1, 0], [0, 0.5, 1]).tolist() == [0.5, 1.0, 1.0]
    with pytest.raises(ValueError, match=r"parts is \[1.5\], expected fractions"):
        auroc_by_part([[0.1]], [1], [1.5])


def test_powers_of_two() -> None:
    assert [powers_of_two(n) for n in (1, 8, 15)] == [(1,), (1, 2, 4, 8), (1, 2, 4, 8)]


def test_rows_are_the_sizes_one_by_one() -> None:
    same = np.array([[[0.25, 0.5, 1.0], [0.25, 0.5, 1.0]]])  # tasks agree: no width
    assert rows(same) == [[0.25] * 3, [0.5] * 3, [1.0] * 3]
    assert rounded(Interval(0.123456, -1 / 3, 2 / 3)) == [0.1235, -0.3333, 0.6667]


def test_names_for_the_reader() -> None:
    assert in_words("best of 64 - mc_hard") == "best of 64 − MC-hard"
    assert in_words("C1") == "C1"


# --- floors


def test_majority_votes_for_the_most_frequent_actions(source: Trajectory) -> None:
    """ab three times (spaces don't matter), c twice, one d that succeeds: ab is chosen of all six;
    of two, 15 pairs, an ab is chosen unless none is among them: 12; else c in 3 of 3."""
    told = [story(0, "ab", x, source) for x in (1.0, 0.0, 0.0)]
    told += [story(0, "c", 0.0, source)] * 2 + [story(0, "d", 1.0, source)]
    told = [replace(t, actions=tuple(react("x", f"get 1 {a}") for a in t.actions)) for t in told]
    told[1] = replace(told[1], actions=tuple(a + " " for a in told[1].actions))
    told = [replace(t, sample=k) for k, t in enumerate(told)]
    (row,) = majority(told, [2, 6]).success
    assert row.tolist() == pytest.approx([12 / 15 / 3, 1 / 3])
    remote = [replace(t, task=Task("agentgym:textcraft@http://localhost:1", 0)) for t in told]
    assert majority(remote, [2, 6]).success.tolist() == [row.tolist()]


def test_fewest_turns_and_any_one(source: Trajectory) -> None:
    told = [story(0, "aaa", 0.0, source), story(0, "a", 1.0, source), story(1, "bb", 1.0, source)]
    assert fewest_turns(told, [1, 2]).success.tolist() == [[0.5, 1.0], [1.0, 1.0]]
    assert random_choice(told, [1, 2]).success.tolist() == [[0.5, 0.5], [1.0, 1.0]]
    assert task_means(told).tolist() == [0.5, 1.0]


def test_likelihood_is_a_mean_over_tokens(chat: ChatFormat) -> None:
    t = random_trajectories(chat, 1, seed=4)[0]
    n = len(t.logprobs)
    same = replace(t, logprobs=(-1.0,) * (n - 1) + (-4.0,))
    assert likelihood([same])[0].q == pytest.approx([-1 - 3 / n])
    with pytest.raises(ValueError, match=f"{t.key} has no log-probabilities"):
        likelihood([replace(t, logprobs=())])
    two = [t, replace(t, sample=t.sample + 1)]
    assert best_of_n(two, at_end([0.1, 0.2]), [2]).success.item() == t.outcome


def test_a_study_has_the_candidate_with_the_fewest_turns(
    source: Trajectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two candidates the shorter one is chosen: right in the first task, wrong in the second."""
    told = [(0, "aaa", 0.0), (0, "a", 1.0), (1, "bb", 1.0), (1, "b", 0.0), (2, "c", 1.0)]
    played = [story(*x, source) for x in (*told, (2, "ccc", 1.0))]
    for name in ("pool", "greedy_runs", "rollouts"):
        monkeypatch.setattr(tables, name, lambda *args: played)
    monkeypatch.setattr(tables, "beam_tasks", lambda p: [t.task for t in played])
    monkeypatch.setattr(tables, "random_outcomes", lambda p: np.zeros((3, 2)))
    for name in ("kind_curves", "_ranking"):
        monkeypatch.setattr(tables, name, lambda *args, **kwargs: np.zeros((1, 3, 2)))
    p = replace(SMOKE, env="math", eval_samples=2)
    best = tables.world_study(p, parts=("best_of_n",))["best_of_n"]
    means = {name: [round(row[0], 2) for row in rows] for name, rows in best.items()}
    assert means["fewest turns"] == [0.67, 0.67] and means["oracle"] == [0.67, 1.0]


def test_draws_of_one_template_are_resampled_together() -> None:
    """Math's cpu profile has 40 test problems of 16 templates; TextCraft's goals are all unlike."""
    alike = families(held_out_tasks(get_profile("cpu", "math")))
    assert (len(alike), len(set(alike))) == (40, 16)
    won = np.array([alike.index(key) % 2 for key in alike], dtype=float)
    _, low, high = row(won)
    _, lower, higher = row(won, families=alike)
    assert lower < low < high < higher
    assert rows(np.stack([won, won], axis=-1), alike) == [row(won, families=alike)] * 2


# --- compute multiple


def test_compute_multiple_worked() -> None:
    """The baseline reaches its best, 0.4, at 8. Ours has 0.3 at 1 and 0.5 at 4: half way in log
    N, at 2. A falling baseline has 0.4 at 2, ours needs 4 for it. What is never reached is 0."""
    ns, base, ours = [1, 4, 8], [0.1, 0.2, 0.4], [0.3, 0.5, 0.6]
    assert compute_multiple(ns, base, ours) == pytest.approx(4.0)
    assert compute_multiple(ns, base, base) == 1.0
    assert compute_multiple([1, 2, 4], [0.2, 0.4, 0.3], [0.2, 0.3, 0.4]) == pytest.approx(0.5)
    assert compute_multiple([1, 2], [0.3, 0.4], [0.1, 0.2]) == 0.0
    # sums in another order: 0.1 + 0.2 is above 0.3 by 6e-17, and still the same score
    assert compute_multiple([1, 2, 4], [0.0, 0.1, 0.1 + 0.2], [0.0, 0.3, 0.3]) == pytest.approx(2)
    with pytest.raises(ValueError, match=r"ns is \[2, 1\], expected increasing"):
        compute_multiple([2, 1], [0, 0], [0, 0])


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


@settings(deadline=None, derandomize=True)
@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_compute_multiple_swaps_to_its_inverse(raw: list[float]) -> None:
    """Curves that reach the same best score, each at its own N."""
    ns, curve = [1, 2, 4, 8], np.minimum(np.cumsum(raw), 1.0)
    other = np.minimum(curve * 1.7, curve.max())
    there, back = compute_multiple(ns, curve, other), compute_multiple(ns, other, curve)
    assert there * back == pytest.approx(1.0) and math.isfinite(there) and there >= 1.0
