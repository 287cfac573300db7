"""Judges at lower temperatures, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agentprm_lite.study import cooler
from agentprm_lite.study.cooler import beams, by_temperature
from agentprm_lite.tutorial import Profile, beam_tasks, get_profile


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


def test_beams_at_a_lower_temperature_stand_beside_the_own_ones() -> None:
    """Two tasks of three; the cool beam wins the second, the own one none, greedy the first."""

    def found(commit: str, temperature: float, *won: int) -> dict:
        runs = {"4x4": [[[float(w), w, 40] for w in won]]}
        return {"commit": commit, "temperature": temperature, "judge": "pvm", "tasks": [0, 2],
                "sample": [0.5, 0.25], "runs": runs}  # fmt: skip

    raw = {
        "temperature": 1.3,
        "families": [0, 1, 2],
        "greedy": [[1.0, 1, 0, [5]], [1.0, 1, 0, [5]], [0.0, 0, 0, [5]]],
        "candidates": [attempts(0, 1)] * 3,
        "values": {"pvm": [[[[500, 500, 900], [500, 500, 100]]] * 3]},
        "beams": found("a", 1.3, 0, 0),
        "cooler_beams": found("b", 0.7, 0, 1),
    }
    cool = beams(raw)
    assert (cool["commit"], cool["temperature"]) == ("b", 0.7)
    wide = cool["beams"]["4x4"]
    assert (wide["success"][0], wide["tokens"]) == (0.5, 40.0)
    assert (wide["minus_own"][0], wide["minus_greedy"][0]) == (0.5, 0.0)
    assert (cool["sample"][0], wide["minus_sample"][0]) == (0.375, 0.125)
    assert beams({}) is None


def test_cool_beams_are_measured_at_the_papers_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beams and samples are both cool, and the samples are those of the beams' tasks."""
    p, asked = get_profile("smoke", "textcraft"), []

    def attempts_of(p: Profile) -> list[SimpleNamespace]:
        asked.append(p.eval_temperature)
        return [
            SimpleNamespace(task=task, success=k < place)
            for place, task in enumerate(beam_tasks(p))
            for k in range(p.eval_samples)
        ]

    def searches(p: Profile, judge: str, score: str) -> dict:
        asked.append(p.eval_temperature)
        return {"judge": judge, "score": score}

    monkeypatch.setattr(cooler, "pool", attempts_of)
    monkeypatch.setattr(cooler, "searches", searches)
    found = cooler.measure_beams(p, "pvm", "min")
    assert asked == [0.7, 0.7] and p.eval_temperature != 0.7
    shares = [min(1.0, place / 4) for place in range(len(beam_tasks(p)))]
    assert found == {"judge": "pvm", "score": "min", "temperature": 0.7, "sample": shares}
