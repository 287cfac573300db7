"""The table of a world by hand: two tasks, four attempts at each, one seed of each judge."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import TASKS, backend, random_trajectories

from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.kinds import RewardExample, split_families
from agentprm_lite.prm import FewestTurns, StepValues
from agentprm_lite.search import halving
from agentprm_lite.study.bars import (
    best_of,
    best_of_equal,
    explained,
    fewest_turns,
    fixed_turn,
    more_than_the_turn_number,
    table,
    turn_number_explains,
)
from agentprm_lite.study.beams import beam, beams
from agentprm_lite.study.regime import HELD_OUT, last_or_least, read_raw, write_raw
from agentprm_lite.study.tokens import DRAWS, halved, halving_of, success_against_tokens
from agentprm_lite.train import train_reward_model
from agentprm_lite.tutorial import family
from agentprm_lite.tutorial.profiles import SMOKE
from agentprm_lite.types import Trajectory

module = importlib.import_module("agentprm_lite.study.regime")

# [outcome, success, cut, tokens of each turn]
WON, LOST, SLOW = [1.0, 1, 0, [5, 5]], [0.0, 0, 0, [5, 5]], [0.0, 0, 1, [5, 5, 5]]
RIGHT, WRONG = [500, 600, 900], [500, 400, 100]


@pytest.fixture
def raw() -> dict[str, Any]:
    good = [[RIGHT, WRONG, [*WRONG, 100], WRONG], [WRONG, RIGHT, WRONG, [*WRONG, 100]]]
    bad = [[[500, 500, 500 + 100 * (m is WRONG), *m[3:]] for m in task] for task in good]
    return {
        "families": [0, 1],
        "greedy": [WON, LOST],
        "candidates": [[WON, LOST, SLOW, LOST], [LOST, WON, LOST, SLOW]],
        "random": [[0, 0], [0, 1]],
        "held_out": {"orm": [0.9], "pvm": [0.1], "agentprm": [0.3]},
        "values": {"orm": [good], "pvm": [bad], "agentprm": [good]},
        "beams": {"judge": "agentprm", "tasks": [0, 1],
                  "runs": {"2x2": [[[1.0, 1, 40], [1.0, 1, 20]]]}},
    }  # fmt: skip


@pytest.mark.parametrize(("longest", "expected"), [(3, 2), (4, 3), (6, 4), (9, 4)])
def test_the_fixed_turn_is_the_last_that_keeps_the_tasks(longest: int, expected: int) -> None:
    """A success of five turns and one of ``longest``, each beside a failure of nine."""
    tasks = [[[1.0, 1, 0, [5] * n], [0.0, 0, 0, [5] * 9]] for n in (5, longest)]
    assert fixed_turn({"candidates": tasks}) == expected


def test_the_table(raw: dict[str, Any]) -> None:
    found = table(raw)
    means = {k: found[k][0] for k in ("greedy", "sample", "random", "oracle16", "headroom", "cut")}
    assert means == {
        "greedy": 0.5, "sample": 0.25, "random": 0.25, "oracle16": 1.0, "headroom": 0.75,
        "cut": 0.25,
    }  # fmt: skip
    assert found["process_judge"] == "agentprm"  # explains most on held-out tasks, ORM apart
    assert found["share_of_headroom"] == [1.0, 1.0, 1.0]
    assert found["auroc_fixed_turn"] is None  # only the slow attempt goes on after turn 2
    assert found["judges"]["agentprm"]["auroc_by_turn"]["1"] == [1.0, 1.0, 1.0]


def test_the_table_of_beams(raw: dict[str, Any]) -> None:
    """Two tasks; an attempt has 15 tokens, so a beam of 30 stands beside Best-of-2. Of two attempts
    the shorter succeeds in three of six pairs at the first task, and as often at the second."""
    (found,) = beams(raw).values()
    assert found["success"][0] == 1.0 and found["minus_greedy"][0] == 0.5
    assert found["tokens"] == 30 and "minus_copies" not in found
    n, few = found["equal_n"], fewest_turns(raw, [1, 2])[0].mean(axis=0)
    assert found["minus_fewest_of_equal_n"][0] == pytest.approx(
        1 - np.interp(n, [1, 2], few), abs=1e-3
    )


def test_beams_of_a_later_policy_have_attempts_of_their_own(raw: dict[str, Any]) -> None:
    """Its greedy attempts fail and its samples succeed, and the paper's beam solves one task."""
    later = {
        **raw["beams"],
        "copies": {"2x2": [[[1.0, 1, 80], [0.0, 0, 60]]]},
        "greedy": [LOST, LOST],
        "candidates": [[WON, WON]] * 2,
        "values": [[[500, 900, 900]] * 2] * 2,
    }
    (found,) = beams({**raw, "beams": later}).values()
    assert found["minus_greedy"] == [1.0, 1.0, 1.0]
    assert found["minus_sample"] == found["minus_best_of_equal_n"] == [0.0, 0.0, 0.0]
    assert found["minus_copies"][0] == 0.5
    assert found["copies"]["success"][0] == 0.5 and found["copies"]["tokens"] == 70
    greedy = success_against_tokens({**raw, "beams": later})["greedy"]
    assert greedy[0]["success"][0] == 0.5  # the table's


def test_explained_variance_by_hand(raw: dict[str, Any]) -> None:
    """A task has 9 turns, 2 of them of the success. Errors² there 0.4² + 0.1², elsewhere
    3 × 0.4² + 4 × 0.1²; the constant 2/9 has 9 × 2/9 × 7/9."""
    error = 0.16 + 0.01 + 3 * 0.16 + 4 * 0.01
    assert explained(raw, "agentprm")[0] == pytest.approx(1 - error / (14 / 9), abs=1e-4)


def test_what_counting_turns_explains(raw: dict[str, Any]) -> None:
    """One task, a success of one turn and a failure of two: outcomes 1, 0 at the first turn and 0
    at the second. Around the means 1/2 and 0 is left 2 × 1/4; around 1/3, 2/3."""
    two = {**raw, "candidates": [[[1.0, 1, 0, [5]], [0.0, 0, 0, [5, 5]]]]}
    assert turn_number_explains(two) == pytest.approx(1 - 0.5 / (2 / 3), abs=1e-4)
    assert turn_number_explains({**raw, "candidates": [[[0.0, 0, 0, [5, 5]]]]}) is None


def test_a_judge_that_learned_success_is_held_to_success(raw: dict[str, Any]) -> None:
    """A failure that paid 2/3 counts as 0 where judges learned success."""
    plain = explained(raw, "agentprm")
    paid = [[[0.667, *a[1:]] if a[1] == 0 else a for a in task] for task in raw["candidates"]]
    assert explained({**raw, "candidates": paid}, "agentprm") != plain
    some = {**raw, "candidates": paid, "learn_success": True}
    assert explained(some, "agentprm") == plain
    assert turn_number_explains(some) == turn_number_explains(raw)


def test_where_all_end_alike_nothing_is_explained(raw: dict[str, Any]) -> None:
    alike = {**raw, "candidates": [[LOST, LOST, SLOW, LOST], [LOST, LOST, LOST, SLOW]]}
    found = table(alike)
    assert found["explained_variance"] is None and found["share_of_headroom"] is None


def test_best_of_n_by_the_least_value_remembers_a_doubt(raw: dict[str, Any]) -> None:
    """The prompt's own value, which all attempts share, doesn't count."""
    steady, doubtful, low = [100, 400, 400], [100, 200, 900], [100, 300, 300]
    rows = [[steady, doubtful, low, low], [doubtful, steady, low, low]]
    told = {**raw, "values": {"agentprm": [rows]}}
    assert best_of(told, "agentprm", [4])[0, :, 0].tolist() == [0.0, 0.0]
    assert best_of(told, "agentprm", [4], "min")[0, :, 0].tolist() == [1.0, 1.0]
    found = table(told)["judges"]["agentprm"]
    assert found["best_of_n"][0] == 0.0
    assert {score: x[0] for score, x in found["best_of_n_by"].items()} == {"last": 0.0, "min": 1.0}
    assert found["min_minus_last"][0] == 1.0


def test_a_world_may_choose_by_the_least_value(raw: dict[str, Any]) -> None:
    """Best-of-N and its differences follow."""
    steady, doubtful = [100, 400, 400], [100, 450, 200, 900]
    task = [[1.0, 1, 0, [5, 5]], [0.0, 0, 0, [5, 5, 5]]]
    two = {**raw, "candidates": [task, task], "values": {"agentprm": [[[steady, doubtful]] * 2]}}
    least = {**two, "score": {"by": "min"}}
    for some, expected in ((two, 0.0), (least, 1.0)):
        found = table(some)
        assert found["judges"]["agentprm"]["best_of_n"][0] == expected
        assert found["judges"]["agentprm"]["minus_sample"][0] == expected - 0.5
        assert found["share_of_headroom"][0] == 2 * expected - 1
        assert found["score"]["by"] == ("min" if expected else "last")


def test_halving_by_the_least_value_remembers_a_doubt(raw: dict[str, Any]) -> None:
    """After the first turn 400 and 300 of four are kept, then 400 or, by the last M, 900."""
    ms = [[100, 400, 400], [100, 300, 900], [100, 50, 50], [100, 50, 50]]
    four = {**raw, "candidates": [[WON, LOST, LOST, LOST]] * 2, "values": {"agentprm": [[ms] * 2]}}
    assert halved(four, "agentprm", 4)["success"][0] == 0.0
    assert halved({**four, "score": {"by": "min"}}, "agentprm", 4)["success"][0] == 1.0


def test_the_score_is_chosen_where_it_is_shown_to_be_better(raw: dict[str, Any]) -> None:
    steady, doubtful = [100, 400, 400], [100, 200, 900]
    task = [[1.0, 1, 0, [5, 5]], [0.0, 0, 0, [5, 5]]]
    many = {
        "families": list(range(10)),
        "candidates": [task] * 9 + [task[:1]],
        "values": {"pvm": [[[steady, doubtful]] * 9 + [[steady]]]},
    }
    found = last_or_least(many)
    assert found == {"by": "min", "least_minus_last": [1.0, 1.0, 1.0], "tasks": 9}
    mixed = [[steady, doubtful], [doubtful, steady]] * 4 + [[steady, doubtful], [steady]]
    found = last_or_least({**many, "values": {"pvm": [mixed]}})
    assert found["by"] == "last" and found["least_minus_last"][0] == pytest.approx(1 / 9, abs=1e-4)


def test_the_score_is_chosen_among_as_many_attempts_as_are_chosen_from_later(
    monkeypatch: pytest.MonkeyPatch, chat: ChatFormat
) -> None:
    """At tasks from which no judge has learned, at the temperature of the held-out attempts."""
    played = [t for t in random_trajectories(chat, 60, 0) if t.num_steps]
    asked: list[Any] = []
    monkeypatch.setattr(module, "rollouts", lambda p: played)
    monkeypatch.setattr(module, "policy", lambda p: "actor")
    monkeypatch.setattr(module, "sample", lambda *given: asked.append(given))
    monkeypatch.setattr(module, "read", lambda path: played)
    monkeypatch.setattr(module, "reward_model", lambda *given: FewestTurns())
    p = replace(SMOKE, eval_samples=7, rollout_samples=2)
    assert module.chosen_score(p)["by"] == "last"
    ((_, actor, name, tasks, samples, temperature),) = asked
    assert (actor, name, samples, temperature) == ("actor", "choosing", 7, p.eval_temperature)
    held_out = split_families([RewardExample(t) for t in played], HELD_OUT, family)[1]
    assert set(tasks) == {e.trajectory.task for e in held_out} != {t.task for t in played}


def test_what_is_held_out_is_what_training_holds_out() -> None:
    assert inspect.signature(train_reward_model).parameters["held_out"].default == HELD_OUT


def test_best_of_n_takes_the_last_value_and_ties_are_shared(raw: dict[str, Any]) -> None:
    assert best_of(raw, "agentprm", [1, 4]).tolist() == [[[0.25, 1.0], [0.25, 1.0]]]
    assert best_of(raw, "pvm", [4])[0, :, 0].tolist() == [0.0, 0.0]
    assert fewest_turns(raw, [4])[0, :, 0] == pytest.approx([1 / 3, 1 / 3])


def test_halving_counts_what_it_drops(raw: dict[str, Any]) -> None:
    """Four first turns, two second ones; then it is over, for both that are left have ended."""
    assert halved(raw, "agentprm", 4)["tokens"] == 4 * 5 + 2 * 5
    assert halved(raw, "agentprm", 4)["success"][0] == 1.0
    place, spent = played([[0.1, 0.9], [0.2, 0.3]], [[7, 1], [7, 2]])
    assert (place, spent) == (1, 16)


def played(m: Sequence[Sequence[float]], tokens: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Halving from one draw; what is over has its last M until the end."""
    most = max(map(len, m))
    scores = np.array([[[*row, *[row[-1]] * (most - len(row))] for row in m]])
    spent = np.array([[[*row, *[0] * (most - len(row))] for row in tokens]])
    place, used = halving_of(scores, spent, np.array([[len(row) for row in m]]))
    return int(place[0]), int(used[0])


def test_ties_of_halving_are_those_of_best_of_n(raw: dict[str, Any]) -> None:
    """All four alike, one right: a quarter, wherever it stands; and no order of them matters."""
    alike = [[100, 400, 400]] * 4
    for place in range(4):
        task = [WON if k == place else LOST for k in range(4)]
        four = {**raw, "candidates": [task] * 2, "values": {"agentprm": [[alike] * 2]}}
        success = halved(four, "agentprm", 4)["success"][0]
        assert abs(success - 0.25) < 3 * (0.25 * 0.75 / DRAWS) ** 0.5
    tied = [[100, 400, 900], [100, 400, 200], [100, 400, 300], [100, 50, 50]]
    four = {
        **raw,
        "candidates": [[WON, LOST, LOST, LOST]] * 2,
        "values": {"agentprm": [[tied] * 2]},
    }
    success = halved(four, "agentprm", 4)["success"][0]
    assert abs(success - 2 / 3) < 3 * (2 / 9 / DRAWS) ** 0.5  # two of three tied ones are kept


def test_a_judge_is_paired_with_itself(raw: dict[str, Any]) -> None:
    """Two seeds that differ, and by whichever score the same choice: the difference is 0."""
    up, down = [100, 400, 900], [100, 300, 200]
    rows = [[[up, down, down, down]] * 2, [[down, up, down, down]] * 2]
    two = {**raw, "candidates": [[WON, LOST, LOST, LOST]] * 2, "values": {"agentprm": rows}}
    assert table(two)["judges"]["agentprm"]["min_minus_last"] == [0.0, 0.0, 0.0]
    ends = [[[1.0, 1, 1e6]] * 2, [[0.0, 0, 1e6]] * 2]
    equal = {**raw["beams"], "judge": "agentprm", "tasks": [0, 1], "runs": {"1x1": ends}}
    assert beam({**two, "beams": equal}, "1x1")["minus_best_of_equal_n"] == [0.0, 0.0, 0.0]


def test_a_judge_against_the_turn_number(raw: dict[str, Any]) -> None:
    """Long attempts fail, and M says just that: no more, in no resample."""
    task = [[1.0, 1, 0, [5]], [0.0, 0, 0, [5, 5]]]
    counts, reads = [[500, 500], [500, 500, 0]], [[500, 800], [500, 200, 0]]
    values = {"pvm": [[counts] * 3], "agentprm": [[reads] * 3]}
    some = {**raw, "families": [0, 1, 2], "candidates": [task] * 3, "values": values}
    assert more_than_the_turn_number(some, "pvm") == [0.0, 0.0, 0.0]
    share = 1 - (0.04 + 0.04) / (2 / 3)
    found = more_than_the_turn_number(some, "agentprm")
    assert found == pytest.approx([share - turn_number_explains(some)] * 3, abs=1e-4)


def test_raw_numbers_are_enough(raw: dict[str, Any], tmp_path: Path) -> None:
    write_raw(tmp_path / "a.json.gz", raw)
    write_raw(tmp_path / "b.json.gz", raw)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()
    assert table(read_raw(tmp_path / "a.json.gz")) == table(raw)
    points = success_against_tokens(raw)
    assert [x["tokens"] for x in points["best of n by agentprm"]] == [11.2, 22.5, 45.0]
    assert points["beam by agentprm"][0]["equal_n"] == 2.67  # 30 tokens, of 11.25 a sample


def test_profiles_are_not_mixed_in_one_file(raw: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    write_raw(tmp_path / "table" / "math.json.gz", {**raw, "profile": "study"})
    with pytest.raises(ValueError, match="is of profile 'study', not 'smoke'"):
        module.regime("smoke", ["textcraft"], "command", tmp_path / "table.json")


def test_as_many_tokens_are_a_mixture_of_two_n(raw: dict[str, Any]) -> None:
    """2.5 samples' tokens: half of the cases have two samples, the others three."""
    n, mixed = best_of_equal(raw, "agentprm", 2.5 * 11.25)
    two, three = np.moveaxis(best_of(raw, "agentprm", [2, 3]), -1, 0)
    assert n == 2.5 and mixed.tolist() == ((two + three) / 2).tolist()
    assert best_of_equal(raw, "agentprm", 1.0)[0] == 1 and best_of_equal(raw, "pvm", 1e6)[0] == 4


class Odd:
    """M from a turn's ids alone: no two attempts agree, and no order is that of the samples."""

    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        return [
            StepValues(0.5, np.array([sum(t.ids[:end]) * 0.618 % 1 for _, end in t.spans]))
            for t in trajectories
        ]


def test_halving_of_stored_attempts_is_that_of_the_search(folder: Path, chat: ChatFormat) -> None:
    """Answer and tokens of `search.halving`, from whole attempts that some rounds end early."""
    player = backend(load_policy(folder), chat)
    for task, found in zip(TASKS[:3], halving(player, Odd(), TASKS[:3], 5, seed=3), strict=True):
        whole = player.run([player.start(task, k, 3) for k in range(5)])
        tokens = [[end - start for start, end in t.spans] for t in whole]
        place, spent = played([v.q.tolist() for v in Odd().score(whole)], tokens)
        assert found.trajectory.ids == whole[place].ids
        assert (found.trajectory.sample, found.usage.generated) == (place, spent)


def test_beams_are_searched_anew_and_the_rest_stays(
    raw: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the stored judge and score; the beams say by which command."""
    asked = []

    def search(p: Any, judge: str, score: str) -> dict[str, Any]:
        asked.append((p.name, p.env, judge, score))
        return {"beams": {"judge": judge, "runs": "new"}, "cooler_beams": "new"}

    monkeypatch.setattr(module, "search", search)
    monkeypatch.setattr(module, "summary", lambda raws: raws)
    stored = {**raw, "profile": "study", "command": "old", "score": {"by": "min"}}
    (tmp_path / "table").mkdir()
    write_raw(tmp_path / "table" / "math.json.gz", stored)
    out = tmp_path / "table.json"
    found = module.regime("study", ["math"], "new command", out, only_beams=True)["math"]
    assert asked == [("study", "math", "agentprm", "min")]
    new = {"judge": "agentprm", "runs": "new", "command": "new command"}
    assert found == {**stored, "beams": new, "cooler_beams": "new"}
    assert read_raw(tmp_path / "table" / "math.json.gz") == found
