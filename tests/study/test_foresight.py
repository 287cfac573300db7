"""Measured Q as a judge, and what is said of its beams, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from helpers import TASKS, Dice, shortened

from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.hub import ChatFormat
from agentprm_lite.study.foresight import MeasuredQ, beam_ceiling
from agentprm_lite.types import Task, Trajectory


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


def test_beams_are_compared_at_their_own_tasks() -> None:
    def attempt(won: int) -> list[Any]:
        return [float(won), won, 0, [5]]

    raw = {
        "families": [0, 1, 2],
        "greedy": [attempt(1), attempt(0), attempt(0)],
        "candidates": [[attempt(0), attempt(0)], [attempt(1), attempt(0)], [attempt(0)] * 2],
        "foresight": {"commit": "c", "shape": "4x4", "rollouts": 8, "tasks": [1, 2],
                      "runs": [[1.0, 1, 90], [1.0, 1, 80]]},
    }  # fmt: skip
    found = beam_ceiling(raw)
    assert found["tasks"] == 2 and found["success"] == [1.0, 1.0, 1.0]
    assert found["minus_greedy"][0] == 1.0 and found["minus_sample"][0] == 0.75
    assert beam_ceiling({}) is None
