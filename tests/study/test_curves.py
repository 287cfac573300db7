"""Learning curves: rows from a toy training, files that go on, and what rows say by hand."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import random_trajectories

import agentprm_lite.study.curves  # noqa: F401
from agentprm_lite.hub import ChatFormat
from agentprm_lite.study import (
    by_epoch,
    by_rollouts,
    curves,
    curves_named,
    gain,
    learned,
    losses_compared,
)
from agentprm_lite.tutorial.profiles import SMOKE

module = sys.modules["agentprm_lite.study.curves"]


def row(n: int, beta: float, seed: int, error: tuple[float, float] = (1.0, 0.2)) -> dict[str, Any]:
    said = {"explained_variance": seed / 10, "held_out": [0.1, None, 0.3]}
    return {"rollouts": n, "beta": beta, "seed": seed, "error": list(error), **said}


#: Two tasks of four turns, all of the first in successes: a constant's Brier score is 0.25.
WORLD = {"families": [0, 1], "turns": [4, 4], "returns": [4.0, 0.0], "squares": [4.0, 0.0]}


def test_what_rows_say_by_hand() -> None:
    """Errors 1.2 of 8 turns, 0.15 of 0.25; with β = 1 they are 1.0, so 0.025 a turn less."""
    rows = [row(60, 0.0, 1), row(60, 0.0, 2), row(120, 0.0, 1)]
    world = {**WORLD, "rows": [*rows, row(60, 1.0, 1, (0.8, 0.2))]}
    assert learned(world, 0.0)[60].mean == pytest.approx(1 - 0.15 / 0.25)
    assert learned(world, 1.0)[60].mean == pytest.approx(1 - 0.125 / 0.25)
    assert gain(world, 1.0)[60].mean == pytest.approx(0.025)
    assert list(gain(world, 1.0)) == [60]  # there is no row of β = 1 with 120 rollouts
    assert by_rollouts(world, 0.0) == [{60: 0.1, 120: 0.1}, {60: 0.2}]
    assert by_epoch(world, 1.0, 60) == [{1: 0.1, 3: 0.3}]  # one epoch's targets were all alike


def test_worlds_of_several_files_keep_apart() -> None:
    """A world of two levels isn't the same as that of one; a file that isn't there has none."""
    one, two = {"levels": [2], "rows": []}, {"levels": [1, 2], "rows": []}
    files = {"textcraft": one, "webshop": {"levels": [0]}}, {"textcraft": two}
    told = curves_named(*(json.dumps({"worlds": x}) for x in files), None)
    assert list(told) == ["TextCraft", "WebShop", "TextCraft, levels 1 and 2"]
    assert told["TextCraft"] == one and told["TextCraft, levels 1 and 2"] == two


def test_a_file_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A second call adds what the first lacked; another pool or profile is refused."""
    made = []

    def judged(p: Any, n: int, seed: int, beta: float) -> Path:
        made.append((n, seed, beta))
        (tmp_path / "row.json").write_text(json.dumps(row(n, beta, seed)))
        return tmp_path

    monkeypatch.setattr(module, "judged", judged)
    monkeypatch.setattr(module, "tasks_of", lambda p: {**WORLD, "levels": (1,)})
    out = tmp_path / "curves.json"
    curves("smoke", ["math"], "first", out, [60], 1, [0, 1, 4])
    curves("smoke", ["math"], "second", out, [30], 2, [0, 1, 4])
    told = json.loads(out.read_text())
    rows = [
        (r["rollouts"], r["beta"], r["seed"], r["command"]) for r in told["worlds"]["math"]["rows"]
    ]
    expected = [(30, b, s, "second") for b in (0, 1, 4) for s in (0, 1)]
    assert rows == [*expected, *((60, b, 0, "first") for b in (0, 1, 4))]
    assert made[3:6] == [(30, 0, 0), (30, 0, 1), (30, 0, 4)]  # a seed is finished before the next
    assert out.read_text().count("\n") == 12  # a line each, to be read and compared
    with pytest.raises(ValueError, match="is of the profile smoke, got cpu"):
        curves("cpu", ["math"], "x", out, [30], 1, [0])
    monkeypatch.setattr(module, "tasks_of", lambda p: {**WORLD, "levels": (2,)})
    with pytest.raises(ValueError, match="the candidates of math have changed"):
        curves("smoke", ["math"], "x", out, [30], 1, [0])


def test_more_rollouts_are_of_more_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile's own file first: 8 tasks of 4 rollouts each, then one like it."""
    asked: list[Any] = []
    monkeypatch.setattr(module, "policy", lambda p: None)
    monkeypatch.setattr(module, "sample", lambda *args: asked.append(args[3:]))
    for n, files in ((1, 1), (32, 1), (33, 2), (64, 2)):
        assert len(module.files_of(SMOKE, n)) == files
    first, *_, again, more = [tasks for tasks, *_ in asked]
    assert first == again == module.train_tasks(SMOKE)[1] and len(more) == 8
    assert not {t.key for t in first} & {t.key for t in more}
    assert asked[0][1:] == (SMOKE.rollout_samples, SMOKE.rollout_temperature)


def test_a_row_of_a_toy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path, chat: ChatFormat
) -> None:
    played = {"rollouts": random_trajectories(chat, 40, seed=1),
              "pool": random_trajectories(chat, 28, seed=2)}  # fmt: skip
    inputs: dict[str, Any] = {}

    def artifact(p: Any, name: str, make: Any, given: dict[str, Any]) -> Path:
        inputs.update(given)
        make(tmp_path)
        return tmp_path

    patches = {
        "policy": lambda p: SimpleNamespace(folder=folder, chat=chat),
        "files_of": lambda p, n: ["rollouts"],
        "pool_file": lambda p, actor: "pool",
        "read": played.get,
        "pool": lambda p: played["pool"],
        "test_tasks": lambda p: list(dict.fromkeys(t.task for t in played["pool"])),
        "artifact": artifact,
    }
    for name, stand_in in patches.items():
        monkeypatch.setattr(module, name, stand_in)
    p = replace(SMOKE, reward=replace(SMOKE.reward, epochs=2))
    for loss in list(module.LOSSES)[1:]:
        other = json.loads((module.judged(p, 30, 1, 4.0, loss) / "row.json").read_text())
        assert other["loss"] == loss and inputs["loss"] == module.LOSSES[loss]
    found = json.loads((module.judged(p, 30, 1, 4.0) / "row.json").read_text())
    assert (found["rollouts"], found["beta"], found["seed"]) == (30, 4.0, 1)
    assert inputs["count"] == 30 and inputs["config"]["seed"] == 1 and inputs["beta"] == 4.0
    assert len(found["held_out"]) == 2 and found["epochs"] in (1, 2)
    world = {**module.tasks_of(p), "rows": [found]}
    assert len(found["error"]) == len(found["chosen"]) == len(world["turns"]) == 7
    assert sum(world["turns"]) == sum(t.num_steps for t in played["pool"])
    share = learned(world, 4.0)[30].mean
    assert share == pytest.approx(found["explained_variance"], abs=2e-3)
    assert {"commit", "date", "device"} < found.keys()


def test_losses_compared_by_hand() -> None:
    """Two tasks of four turns, a constant's Brier score 0.25: errors of 1.2 leave 0.4 explained,
    1.0 leave 0.5."""
    said = {"usual": (1.0, 0.2), "cross-entropy": (0.8, 0.2)}
    world = {**WORLD, "rows": [{"loss": name, "error": error} for name, error in said.items()]}
    found = losses_compared(world)
    assert found["usual"]["explained_variance"].mean == pytest.approx(0.4)
    assert found["usual"]["minus_usual"] == (0, 0, 0)
    assert found["cross-entropy"]["minus_usual"].mean == pytest.approx(0.1)
