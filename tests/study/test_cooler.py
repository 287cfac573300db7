"""Judges at lower temperatures, by hand."""

from __future__ import annotations

from agentprm_lite.study.cooler import by_temperature


def attempts(*won: int) -> list[list]:
    return [[float(w), w, 0, [5, 5]] for w in won]


def test_each_temperature_has_its_own_attempts_and_the_same_greedy_one() -> None:
    """Two tasks, two attempts at each; the judge likes the first best at 0.7, the second at 1.3."""
    likes = [[[500, 500, 900], [500, 500, 100]]] * 2
    other = [[[500, 500, 100], [500, 500, 900]]] * 2
    raw = {
        "temperature": 1.3,
        "families": [0, 1],
        "greedy": [[1.0, 1, 0, [5]], [1.0, 1, 0, [5]]],
        "candidates": [attempts(0, 1), attempts(0, 1)],
        "values": {"pvm": [other]},
        "cooler": {
            "commit": "c",
            "pools": {
                "0.7": {"candidates": [attempts(1, 0), attempts(1, 1)], "values": {"pvm": [likes]}}
            },
        },
    }
    found = by_temperature(raw)
    assert list(found["temperatures"]) == ["0.7", "1.3"]
    cold, own = found["temperatures"].values()
    assert (cold["sample"][0], cold["oracle16"][0]) == (0.75, 1.0)
    assert cold["best_of_n"]["pvm"][0] == 1.0
    assert cold["minus_sample"]["pvm"][0] == 0.25
    assert cold["minus_greedy"]["pvm"][0] == 0.0
    assert (own["sample"][0], own["best_of_n"]["pvm"][0]) == (0.5, 1.0)
    assert own["minus_greedy"]["pvm"][0] == 0.0
    assert cold["fewest_turns"][0] == 0.75  # all are equally long
    assert by_temperature({}) is None
