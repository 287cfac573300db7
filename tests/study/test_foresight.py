"""Measured Q as a judge, and what is said of its beams, by hand."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import TASKS, Dice, backend, random_trajectories, shortened

from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.study.foresight import MeasuredQ, beam_ceiling
from agentprm_lite.tutorial.profiles import SMOKE
from agentprm_lite.types import Task, Trajectory

module = importlib.import_module("agentprm_lite.study.foresight")


class Counted(Dice):
    """Dice that have three rounds, and keep what they have played."""

    def __init__(self, chat: ChatFormat) -> None:
        super().__init__(chat)
        self.played: list[Trajectory] = []

    def start(self, task: Task, sample: int, seed: int) -> Episode:
        config = SamplingConfig(rules=False, max_rounds=3)
        return Episode.start(task, sample, seed, self.chat, config)

    def run(self, episodes: Sequence[Episode]) -> list[Trajectory]:
        self.played = super().run(episodes)
        return self.played


@pytest.fixture
def played(chat: ChatFormat) -> list[Trajectory]:
    dice = Counted(chat)
    return dice.run([dice.start(task, k, 0) for task in TASKS[:3] for k in range(4)])


def test_the_last_turn_has_the_mean_outcome_of_playing_on(
    chat: ChatFormat, played: list[Trajectory]
) -> None:
    dice, paths = Counted(chat), [shortened(t, 1) for t in played if t.num_steps > 1]
    values = MeasuredQ(dice, 5).score(paths)
    alike = {(t.task, t.ids) for t in paths}
    assert len(alike) < len(paths), "no two paths are alike, which the test needs"
    assert len(dice.played) == 5 * len(alike)
    for t, v in zip(paths, values, strict=True):
        ends = [x.outcome for x in dice.played if x.task == t.task and x.ids[: len(t.ids)] == t.ids]
        assert v.root == 0.0 and v.q.tolist() == [pytest.approx(np.mean(ends))]
    assert len({v.q[0] for v in values}) > 1


def test_a_path_that_is_over_has_its_outcome_and_a_root_nothing(
    chat: ChatFormat, played: list[Trajectory]
) -> None:
    judge = MeasuredQ(Counted(chat), 3)
    for t, v in zip(played, judge.score(played), strict=True):
        assert v.q.tolist() == [0.0] * (t.num_steps - 1) + [t.outcome]
    (root,) = judge.score([shortened(played[0], 0)])
    assert (root.root, len(root.q)) == (0.0, 0)


def test_what_the_search_will_sample_is_not_known(
    chat: ChatFormat, played: list[Trajectory]
) -> None:
    """The judge's rollouts differ from what episodes forked as the search does it would play."""
    dice, path = Counted(chat), shortened(next(t for t in played if t.num_steps > 1), 1)
    MeasuredQ(dice, 8).score([path])
    episode = dice.start(path.task, path.sample, path.seed)
    episode.step(list(path.ids[slice(*path.spans[0])]), [], chat)
    searched = Counted(chat).run([episode.fork(k, stream=0) for k in range(8)])
    assert [t.ids for t in dice.played] != [t.ids for t in searched]
    assert {t.ids for t in dice.played} & {t.ids for t in searched} != {t.ids for t in searched}


def test_beams_are_made_once_beside_greedy_attempts_at_their_tasks(
    folder: Path, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path))
    plays, made = backend(load_policy(folder), chat, max_rounds=3), []
    plan = SimpleNamespace(folder=folder, chat=chat)
    greedy = [replace(t, success=t.task == TASKS[2]) for t in random_trajectories(chat, 7, seed=1)]
    for name, stand_in in {
        "policy": lambda p: plan,
        "player": lambda actor, temperature: made.append(temperature) or plays,
        "beam_tasks": lambda p: [TASKS[0], TASKS[2]],
        "test_tasks": lambda p: TASKS,
        "greedy_runs": lambda p: greedy,
        "ROLLOUTS": 2,
        "SHAPE": (1, 2),
    }.items():
        monkeypatch.setattr(module, name, stand_in)
    found = [module.measure(SMOKE) for _ in range(2)]
    assert found[0] == found[1] and len(made) == 2  # search and judge, once
    assert (found[0]["tasks"], found[0]["greedy"]) == ([0, 2], [0, 1])
    assert [len(run) for run in found[0]["runs"]] == [3, 3]
    assert all(tokens > 0 for *_, tokens in found[0]["runs"])


def test_beams_are_compared_at_their_own_tasks() -> None:
    attempts = [[[0.0, 0, 0, [5]], [float(won), won, 0, [5]]] for won in (1, 0, 1)]
    raw = {
        "families": [0, 1, 2],
        "candidates": attempts,
        "beams": {"tasks": [2, 1, 0], "runs": {"4x4": [[[1.0, 1, 9], [0.0, 0, 9], [0.0, 0, 9]]]}},
        "foresight": {"commit": "c", "shape": "4x4", "rollouts": 8, "tasks": [1, 2],
                      "greedy": [0, 1], "runs": [[1.0, 1, 90], [1.0, 1, 80]]},
    }  # fmt: skip
    found = beam_ceiling(raw)
    assert found["tasks"] == 2 and found["success"] == [1.0, 1.0, 1.0]
    assert found["greedy"][0] == found["minus_greedy"][0] == 0.5
    assert found["oracle16"][0] == 0.5
    assert (found["own"][0], found["minus_own"][0]) == (0.5, 0.5)
    for beams in ({**raw["beams"], "runs": {}}, {**raw["beams"], "tasks": [2, 0]}):
        fewer = beam_ceiling({**raw, "beams": beams})
        assert fewer == {**found, "own": None, "minus_own": None}
    stored = {**raw["foresight"], "own": [1, 0]}  # of an earlier policy's beams
    assert beam_ceiling({**raw, "foresight": stored})["own"][0] == 0.5
    again = {**raw["beams"], "judge": "pvm", "values": [], "candidates": [attempts[1]] * 3}
    assert beam_ceiling({**raw, "beams": again})["oracle16"][0] == 0  # of the policy that searched
    assert beam_ceiling({}) is None
