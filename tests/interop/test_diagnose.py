"""What logs say of a judge's use, against numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agentprm_lite.interop.diagnose import diagnose, in_words, verdicts
from agentprm_lite.interop.files import read_log
from agentprm_lite.interop.logs import Log
from agentprm_lite.prm import StepValues


def run(task: str, reward: float | None, turns: int, last: str = "done") -> Log:
    said = [{"role": "assistant", "content": "look"}] * (turns - 1)
    messages = [{"role": "user", "content": task}, *said, {"role": "assistant", "content": last}]
    return read_log({"messages": messages, "reward": reward}, "runs.jsonl")


def test_unequal_attempts_by_hand() -> None:
    """Task a: 1 (1 turn), 0 (3), 0 (2); task b: 0 (1), 1 (2); task c: 1 (5). One run has no reward.

    A perfect judge: N = 1: (1/3 + 1/2 + 1) / 3 = 11/18; N = 2: a: 2 of 3 pairs hold the success,
    b and c: 1, so 8/9; N = 3: 1. The fewest turns: N = 2: a: 2/3, b: 0, c: 1, so 5/9; N = 3: a 1.
    Ranking by it: a: both pairs right, 1; b: wrong, 0: mean 1/2, spread sqrt(1/2), error 1.96 / 2.
    """
    logs = [
        *(run("a", 1, 1), run("a", 0, 3), run("b", 0, 1), run("a", 0, 2)),
        *(run("b", 1, 2), run("c", 1, 5), run("c", None, 9)),
    ]
    found = diagnose(logs)
    assert (found["runs"], found["without_reward"], found["tasks"]) == (7, 1, 3)
    assert found["attempts"] == {"fewest": 1, "median": 2, "most": 3}
    assert found["turns"] == {"fewest": 1, "median": 2, "most": 5}
    assert (found["mean_reward"], found["both_outcomes"]) == (0.5, 2)
    assert found["perfect_judge"] == pytest.approx({1: 11 / 18, 2: 8 / 9, 3: 1.0})
    assert found["fewest_turns"] == pytest.approx({1: 11 / 18, 2: 5 / 9, 3: 2 / 3})
    ranking = found["ranking"]["fewest_turns"]
    assert ranking == pytest.approx({"auroc": 0.5, "error": 0.98, "tasks": 2})
    # all last turns say the same: chance
    assert found["ranking"]["last_turn_words"]["auroc"] == 0.5
    text = in_words(found)
    assert "7 runs of 3 tasks, 1 to 3 (median 2) attempts a task, 1 to 5 (median 2) turns" in text
    assert "2 of 3 tasks have attempts that end differently" in text
    assert "  a perfect judge            0.61      0.89      1.00" in text
    assert "- A judge can help: among 3 attempts a perfect one gets 1.00 instead of 0.61." in text
    assert "Only 2 tasks can show it" in text


def test_a_judge_by_hand() -> None:
    """M at the start 0.5, after turn 1 0.75 for successes and 0.25 for failures, then right.

    Outcomes 1, 0, 1, 0: the constant's Brier is 1/4. After turn 1 (1/4)² = 1/16: 1 - 1/4 = 0.75.
    """
    logs = [run("a", 1, 2), run("a", 0, 2), run("b", 1, 2), run("b", 0, 1)]
    q = [[0.75, 1.0], [0.25, 0.0], [0.75, 1.0], [0.25]]
    found = diagnose(logs, [StepValues(0.5, np.array(x)) for x in q])
    rows = found["judge"]["by_turn"]
    assert [(r["turn"], r["runs"]) for r in rows] == [(0, 4), (1, 4), (2, 3), ("last", 4)]
    # the last M of the fourth run is 0.25: (1/16) / 4 = 1/64, 1 - 1/16
    variance = [0.0, 0.75, 1.0, 1 - 1 / 16]
    assert [r["explained_variance"] for r in rows] == pytest.approx(variance)
    assert [r["ranking"]["auroc"] for r in rows] == [0.5, 1.0, 1.0, 1.0]
    assert rows[2]["ranking"]["tasks"] == 1 and rows[2]["ranking"]["error"] is None
    assert found["judge"]["best_of"] == {1: 0.5, 2: 1.0}
    assert "                    last      4                0.94  1.00 ± 0.00 (2 tasks)" in in_words(
        found
    )


def test_last_words_that_give_the_outcome_away() -> None:
    """In each of 24 tasks one attempt ends with an alarm; only the words tell which."""
    logs = [
        run(f"task {k}", float(won), 2, f"open {k} " + ("hurray" if won else "alarm"))
        for k in range(24)
        for won in (True, False)
    ]
    found = diagnose(logs)
    assert found["ranking"]["last_turn_words"] == {"auroc": 1.0, "error": 0.0, "tasks": 24}
    assert found["ranking"]["fewest_turns"]["auroc"] == 0.5
    said = verdicts(found)
    assert len(said) == 2 and said[1].startswith("The words of the last turn give the outcome away")
    # words of the run's own task say nothing of it: here each word stands in one task only
    own = [run(f"{k}", float(w), 2, ('yes' if w else 'no') + 'q' * k) for k in range(24)
           for w in (True, False)]  # fmt: skip
    assert diagnose(own)["ranking"]["last_turn_words"]["auroc"] == 0.5


def test_turns_that_give_it_away_and_judges_that_know_too_little() -> None:
    logs = [run(f"{k}", float(w), 1 if w else 4) for k in range(20) for w in (True, False)]
    said = verdicts(diagnose(logs))
    assert said[1].startswith("The fewest turns alone reach 1.00: whatever a judge gains has to be")

    longer = [run(f"{k}", float(w), 4 if w else 1) for k in range(20) for w in (True, False)]
    assert verdicts(diagnose(longer))[1].startswith("The longer attempts win")

    def judged(start: list[float], last: list[float]) -> str:
        even = [run(f"{k}", float(w), 1) for k in range(20) for w in (True, False)]
        even += [run("30", 1.0, 1)] * 20
        values = [StepValues(a, np.array([b])) for a, b in zip(start, last, strict=True)]
        return verdicts(diagnose(even, values))[-1]

    half, easy = [0.5] * 60, [0.5] * 40 + [1.0] * 20
    assert judged(half, half) == "The judge predicts the outcome no better than its mean would."
    nearly = [0.5] * 40 + [0.5001] * 20  # it explains 0.0001
    assert judged(nearly, nearly) == "The judge predicts the outcome no better than its mean would."
    assert judged(easy, easy) == "The judge knows which tasks are hard, not which attempt is good."
    right = [1.0, 0.0] * 20 + [1.0] * 20
    assert judged(right, right) == "Most of what the judge knows it knows before the first turn."
    assert judged(half, right).startswith("A judge can help")


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        ([run("a", 1, 1), run("b", 0, 1)], "No judge can choose here: each task has one attempt. "
         "If some are attempts at the same task, name it in a field task_id, and they count"),
        ([run("a", 1, 1), run("a", 1, 2)], "No judge can choose here: all attempts of a task end"),
    ],
)  # fmt: skip
def test_where_no_judge_can_help(logs: list[Log], said: str) -> None:
    found = diagnose(logs)
    assert found["both_outcomes"] == 0 and verdicts(found)[0].startswith(said)
    assert "no task has both outcomes" in in_words(found)


def test_without_rewards_nothing_is_said() -> None:
    with pytest.raises(ValueError, match="no run has a reward"):
        diagnose([run("a", None, 1)])
    with pytest.raises(ValueError, match="0 values for 1 runs"):
        diagnose([run("a", 1, 1)], [])
