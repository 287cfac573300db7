"""Trajectories and their files, crashes included."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agentprm_lite.types import Task, Trajectory, Usage, append_jsonl, read_jsonl

# prompt 10 11 12 | turn 20 21 | observation 13 14 | turn 22
#    ids   0  1  2 |       3  4 |             5  6 |       7
TWO_STEPS = Trajectory(
    task=Task("textcraft", 12, 3),
    sample=5,
    seed=7,
    ids=(10, 11, 12, 20, 21, 13, 14, 22),
    prompt_len=3,
    spans=((3, 5), (7, 8)),
    logprobs=(-0.1, -1 / 3, -1e-17),
    actions=("Action:\nget 1 ☃\u2028\x00", "\ud800"),
    observations=("first\nline", "", "last"),
    rewards=(0.0, 1.0),
    terminated=True,
    truncated=False,
    truncated_by="",
    final=True,
    success=True,
    usage=Usage(3, 5, 8, 1, 2),
    policy="p",
)


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
        observations=("first",), success=False, final=False,
    )  # fmt: skip
    assert (empty.outcome, empty.num_steps, empty.root_position) == (0.0, 0, 1)
    assert empty.score_positions == ()
    assert Trajectory.from_json(empty.to_json()) == empty


def test_round_trip_is_exact_and_stays_on_one_line(tmp_path: Path):
    line = TWO_STEPS.to_json()
    assert "\n" not in line
    assert line.isascii()  # U+2028 or a lone surrogate could break a line or a decoder
    assert Trajectory.from_json(line) == TWO_STEPS
    assert json.loads(line)["version"] == 1
    other = replace(TWO_STEPS, sample=6)
    append_jsonl(tmp_path / "new" / "a.jsonl", [TWO_STEPS, other])
    third = replace(TWO_STEPS, sample=7)
    append_jsonl(tmp_path / "new" / "a.jsonl", [third])
    assert read_jsonl(tmp_path / "new" / "a.jsonl") == [TWO_STEPS, other, third]


def test_every_crash_point_keeps_the_whole_lines_and_the_next_append_mends_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "a.jsonl"
    second = replace(TWO_STEPS, sample=6, actions=("ß" * 3, "x"))
    append_jsonl(path, [TWO_STEPS, second])
    whole = path.read_bytes()
    first_line = whole.index(b"\n") + 1
    # 0 bytes of the second line, one, all but the line break, and some in between
    for size in [0, 1, 2, 50, 200, len(whole) - first_line - 2, len(whole) - first_line - 1]:
        path.write_bytes(whole[: first_line + size])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert read_jsonl(path) == [TWO_STEPS]
        warned = [r.getMessage() for r in caplog.records]
        if size == 0:
            assert warned == []
        else:
            assert len(warned) == 1
            assert "a.jsonl: line 2 is unfinished" in warned[0]
            assert "kept the 1 whole lines" in warned[0]
        append_jsonl(path, [second])
        assert path.read_bytes() == whole


def test_an_unfinished_first_line_leaves_nothing(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text(TWO_STEPS.to_json()[:20])
    assert read_jsonl(path) == []
    append_jsonl(path, [TWO_STEPS])
    assert read_jsonl(path) == [TWO_STEPS]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"version":1,"task"',
        b"[1]",
        b"\xff\xfe",
        b'{"version":1}',
        TWO_STEPS.to_json().encode().replace(b'"sample":5', b'"sample":5,"colour":1'),
        TWO_STEPS.to_json().encode().replace(b'"spans":[[3,5]', b'"spans":[[3,5,6]'),
        TWO_STEPS.to_json().encode().replace(b'"spans":[[3,5]', b'"spans":[[2,5]'),
    ],
)
def test_any_other_broken_line_is_an_error_that_names_file_and_line(tmp_path: Path, broken: bytes):
    path = tmp_path / "a.jsonl"
    good, other = (replace(TWO_STEPS, sample=k).to_json().encode() for k in (5, 6))
    path.write_bytes(good + b"\n" + broken + b"\n" + other + b"\n")
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2: "):
        read_jsonl(path)
    path.write_bytes(good + b"\n" + broken + b"\n")  # the same on the last line: not a crash
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2: "):
        read_jsonl(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ids", [1.5], "ids has 1.5, expected a list of whole numbers"),
        ("ids", [True], "ids has True, expected a list of whole numbers"),
        ("ids", "123", "ids has '123', expected a list of whole numbers"),
        ("spans", [[3.0, 5]], r"spans has [3.0, 5], expected a list of pairs of whole numbers"),
        ("spans", [3], "spans has 3, expected a list of pairs of whole numbers"),
        ("rewards", ["1"], "rewards has '1', expected a list of finite numbers"),
        ("rewards", [None], "rewards has None, expected a list of finite numbers"),
        ("rewards", [float("nan")], "rewards has nan, expected a list of finite numbers"),
        ("logprobs", [float("-inf")], "logprobs has -inf, expected a list of finite numbers"),
        ("actions", [3], "actions has 3, expected a list of texts"),
        ("success", 1, "success is 1, expected true or false"),
        ("success", "no", "success is 'no', expected true or false"),
        ("sample", 1.0, "sample is 1.0, expected a whole number"),
        ("policy", None, "policy is None, expected a text"),
        ("usage", 3, "usage is 3, expected an object"),
        ("task", {"env": "a", "index": "7"}, "a task's index is '7', expected a whole number"),
    ],
)
def test_a_field_of_another_type_is_named(tmp_path: Path, field: str, value: object, message: str):
    path = tmp_path / "a.jsonl"
    data = json.loads(TWO_STEPS.to_json())
    path.write_text("\n" + json.dumps(data | {field: value}) + "\n")
    with pytest.raises(ValueError, match=re.escape(f"a.jsonl, line 2: {message}")):
        read_jsonl(path)
    del data[field]
    path.write_text(json.dumps(data) + "\n")
    with pytest.raises(ValueError, match=rf"line 1: not a trajectory: the field '{field}' is miss"):
        read_jsonl(path)


def test_the_same_attempt_twice_is_refused(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    append_jsonl(path, [TWO_STEPS, replace(TWO_STEPS, sample=6), TWO_STEPS])
    with pytest.raises(
        ValueError, match=r"line 3: task, sample and seed are those of line 1 \(tex"
    ):
        read_jsonl(path)


def test_what_editors_leave_is_passed_over(tmp_path: Path):
    path, other = tmp_path / "a.jsonl", replace(TWO_STEPS, sample=6)
    lines = ["\ufeff" + TWO_STEPS.to_json(), "", other.to_json(), "  ", ""]
    path.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    assert read_jsonl(path) == [TWO_STEPS, other]
    spoken = json.loads(TWO_STEPS.to_json()) | {"actions": ["a\u2028b", "c\x85d"]}
    path.write_text(json.dumps(spoken, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_jsonl(path)[0].actions == ("a\u2028b", "c\x85d")


def test_numbers_of_other_libraries_become_plain_ones(tmp_path: Path):
    """numpy's and torch's numbers are written as JSON has them; what is none writes no line."""
    path, task = tmp_path / "a.jsonl", Task("mine", np.int64(7), np.int32(1))
    assert (type(task.index), task.key) == (int, "mine/7/1")
    numbers = (np.float32(0.5), torch.tensor(1.0))
    told = replace(TWO_STEPS, task=task, rewards=numbers, success=np.bool_(True))
    append_jsonl(path, [told])
    again = read_jsonl(path)
    assert again == [told]
    assert (again[0].rewards, again[0].success) == ((0.5, 1.0), True)
    odd = replace(TWO_STEPS, ids=(*TWO_STEPS.ids[:-1], np.int64(22)))
    with pytest.raises(TypeError, match="int64"):
        append_jsonl(path, [replace(TWO_STEPS, sample=9), odd])
    assert read_jsonl(path) == [told]


@pytest.mark.parametrize("index", ["7f3a", None, 3.0])
def test_a_tasks_index_is_a_whole_number(index: object):
    with pytest.raises(ValueError, match=f"index is {index!r}, expected a whole number; number"):
        Task("mine", index)


@pytest.mark.parametrize("version", ["2", "null", '"1"'])
def test_an_unknown_version_says_what_to_do(tmp_path: Path, version: str):
    path = tmp_path / "a.jsonl"
    line = TWO_STEPS.to_json().replace('"version":1', f'"version":{version}')
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=r"line 1: schema version .* install .* or collect"):
        read_jsonl(path)


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
        ({"logprobs": (-0.1,)}, "1 logprobs for 3 action tokens"),
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
