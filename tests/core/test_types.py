"""Tasks and trajectories: positions, sums, and what disagrees."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import TWO_STEPS

from agentprm_lite.types import Task, Usage


def test_positions_of_a_trajectory_written_by_hand():
    assert TWO_STEPS.num_steps == 2
    assert TWO_STEPS.root_position == 2  # id 12, the last of the prompt
    assert TWO_STEPS.score_positions == (4, 7)  # ids 21 and 22: the last of each turn
    assert TWO_STEPS.outcome == 1.0
    assert TWO_STEPS.key == "textcraft/12/3/5"


def test_usage_adds_field_by_field():
    assert Usage(1, 2, 3, 4, 5) + Usage(10, 20, 30, 40, 50) == Usage(11, 22, 33, 44, 55)


def test_no_step_has_outcome_zero_and_a_root():
    empty = replace(
        TWO_STEPS, ids=(1, 2), prompt_len=2, spans=(), logprobs=(), actions=(), rewards=(),
        observations=("first",), success=False, terminated=False, final=False,
    )  # fmt: skip
    assert (empty.outcome, empty.num_steps, empty.root_position) == (0.0, 0, 1)
    assert empty.score_positions == ()


def test_numbers_of_other_libraries_become_plain_ones():
    task = Task("mine", np.int64(7), np.int32(1))
    assert (type(task.index), task.key) == (int, "mine/7/1")
    told = replace(TWO_STEPS, rewards=(np.float32(0.5), torch.tensor(1.0)), success=np.bool_(True))
    assert (told.rewards, told.success) == ((0.5, 1.0), True)
    assert {type(x) for x in (*told.rewards, told.success)} == {float, bool}


@pytest.mark.parametrize("index", ["7f3a", None, 3.0])
def test_a_tasks_index_is_a_whole_number(index: object):
    with pytest.raises(ValueError, match=f"index is {index!r}, expected a whole number; number"):
        Task("mine", index)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": ("a",)}, "2 spans but 1 actions"),
        ({"rewards": (0.0,) * 3}, "2 spans but 3 rewards"),
        ({"observations": ("a", "b")}, "2 spans but 2 observations, expected 3"),
        ({"spans": ((2, 5), (7, 8))}, r"span 0 is \[2, 5\)"),  # begins in the prompt
        ({"spans": ((3, 5), (4, 8))}, r"span 1 is \[4, 8\)"),  # overlaps
        ({"spans": ((3, 5), (7, 9))}, r"span 1 is \[7, 9\)"),  # beyond the end
        ({"spans": ((3, 5), (7, 7))}, r"span 1 is \[7, 7\)"),  # empty: no last token
        ({"prompt_len": 0}, "prompt_len is 0"),  # the root would be read at ids[-1]
        ({"logprobs": (-0.1,)}, "1 logprobs, 3 action tokens"),
        ({"success": float("nan")}, "success is nan, expected True or False"),
        ({"success": "False"}, "success is 'False', expected True or False"),
        ({"terminated": None}, "terminated is None, expected True or False"),
        ({"final": False}, "terminated, so its outcome is final"),
        ({"rewards": (0.0, float("nan"))}, "rewards has nan, expected finite numbers"),
        ({"rewards": (0.0, None)}, "rewards has None, expected finite numbers"),
        ({"rewards": (0.0, "1")}, "rewards has '1', expected finite numbers"),
    ],
)
def test_what_disagrees_is_refused(change: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        replace(TWO_STEPS, **change)


def test_unknown_logprobs_may_be_left_out():
    assert replace(TWO_STEPS, logprobs=()).num_steps == 2
