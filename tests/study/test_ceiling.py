"""The ceiling by hand: two tasks, two attempts at each, four rollouts after every turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agentprm_lite.study.ceiling import ceiling

WON, LOST = [1.0, 1, 0, [5, 5, 5]], [0.0, 0, 0, [5, 5, 5]]
GOOD = [[1000, 1000, 1000, 0], [1000, 1000, 1000, 0], [1000] * 4]
BAD = [[1000, 0, 0, 0], [1000, 0, 0, 0], [0] * 4]


@pytest.fixture
def raw() -> dict[str, Any]:
    flat = [[500, 500, 500, 500]] * 3
    return {
        "families": [0, 1, 2],
        "candidates": [[WON, LOST, LOST]] * 3,
        "held_out": {"orm": [0.9], "pvm": [0.1]},
        "values": {"orm": [[flat] * 3], "pvm": [[flat] * 3]},
        "measured": {"tasks": [0, 2], "outcomes": [[GOOD, BAD], [GOOD, BAD]]},
    }


def test_what_states_explain(raw: dict[str, Any]) -> None:
    """Two of three turns leave the variance 1/4 open (3/4 × 1/4 × 4/3, without bias), the last one
    nothing; all outcomes have 1/4."""
    found = ceiling(raw)
    assert found["explained_variance"][0] == pytest.approx(1 - (2 / 3 * 0.25) / 0.25, abs=1e-4)
    assert found["before_last"]["explained_variance"][0] == pytest.approx(1 - 0.25 / 0.25, abs=1e-4)
    assert found["auroc_fixed_turn"] == [1.0, 1.0, 1.0]
    assert (found["tasks"], found["attempts"], found["auroc_tasks"]) == (2, 4, 2)


def test_states_explain_success_where_judges_learned_it(raw: dict[str, Any]) -> None:
    expected = ceiling(raw)
    raw["candidates"] = [
        [[0.667, *a[1:]] if a[1] == 0 else a for a in t] for t in raw["candidates"]
    ]
    assert ceiling(raw)["explained_variance"] != expected["explained_variance"]
    assert ceiling({**raw, "learn_success": True}) == expected


def test_the_judge_is_asked_about_the_same_attempts(raw: dict[str, Any]) -> None:
    """Half of them are won, so the constant 1/2 explains nothing; of all a third is won."""
    found = ceiling(raw)
    assert found["judge_explained_variance"][0] == 0.0
    assert found["turn_number_explains"] == 0.0  # won and lost attempts are equally long
    assert found["judge_auroc_fixed_turn"] == [0.5, 0.5, 0.5]


def test_the_last_turn_is_left_out(raw: dict[str, Any]) -> None:
    """A judge that is right after the last turn alone explains nothing before it."""
    late = [[500, 500, 500, 1000], [500, 500, 500, 0], [500, 500, 500, 0]]
    raw["values"]["pvm"] = [[late] * 3]
    found = ceiling(raw)
    assert found["judge_explained_variance"][0] == pytest.approx(1 / 3, abs=1e-4)
    assert found["before_last"]["judge_explained_variance"][0] == 0.0


def test_few_rollouts_are_without_bias() -> None:
    """Two rollouts a state with Q 0.2 or 0.8: the mean over many tasks is what Q itself leaves."""
    rng = np.random.default_rng(0)
    q = rng.choice([0.2, 0.8], (4000, 1))
    ends, rolled = rng.random((4000, 1)) < q, rng.random((4000, 2)) < q
    raw = {
        "families": list(range(4000)),
        "candidates": [[[float(r), int(r), 0, [5, 5]]] for r in ends[:, 0]],
        "held_out": {"pvm": [0.1]},
        "values": {"pvm": [[[[500, 500, 500]]] * 4000]},
        "measured": {
            "tasks": list(range(4000)),
            "outcomes": [[[(1000 * row).tolist()] * 2] for row in rolled],
        },
    }
    assert ceiling(raw)["explained_variance"][0] == pytest.approx(1 - 0.16 / 0.25, abs=0.02)


def test_without_a_measurement_there_is_none(raw: dict[str, Any]) -> None:
    del raw["measured"]
    assert ceiling(raw) is None
