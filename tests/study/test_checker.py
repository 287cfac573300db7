"""A checker beside the judges that start from it, by hand."""

from __future__ import annotations

from agentprm_lite.study.checker import untrained


def test_a_trained_judge_is_compared_with_the_checker_that_it_started_from() -> None:
    """Two tasks, two attempts at each: the checker is right at one of them, PVM at both."""
    attempts = [[1.0, 1, 0, [5, 5]], [0.0, 0, 0, [5, 5]]]
    right, wrong = [[500, 500, 900], [500, 500, 100]], [[500, 500, 100], [500, 500, 900]]
    raw = {
        "families": [0, 1],
        "greedy": [attempts[0], attempts[1]],
        "candidates": [attempts, attempts],
        "values": {"pvm": [[right, right]]},
        "checker": {"commit": "1", "candidates": [attempts, attempts], "values": [right, wrong]},
    }
    found = untrained(raw)
    assert found is not None
    assert found["best_of_n"][0] == 0.5 and found["minus_sample"][0] == 0.0
    assert found["trained_minus"] == {"pvm": [0.5, 0.0, 1.0]}
    assert found["auroc_by_turn"] == {"1": [0.5, 0.5, 0.5]} and not found["own_attempts"]
    raw["checker"]["candidates"] = [attempts, attempts[::-1]]  # made later: the right one is second
    other = untrained(raw)
    assert other is not None and other["own_attempts"]
    assert other["best_of_n"][0] == 1.0 and other["trained_minus"] == {"pvm": [0.0, 0.0, 0.0]}
    del raw["checker"]
    assert untrained(raw) is None
