"""Trajectories and their files, crashes included."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

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
    assert append_jsonl(tmp_path / "new" / "a.jsonl", [TWO_STEPS, other]) == 2
    assert append_jsonl(tmp_path / "new" / "a.jsonl", [TWO_STEPS]) == 1
    assert read_jsonl(tmp_path / "new" / "a.jsonl") == [TWO_STEPS, other, TWO_STEPS]


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
        b"",
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
    good = TWO_STEPS.to_json().encode()
    path.write_bytes(good + b"\n" + broken + b"\n" + good + b"\n")
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2: "):
        read_jsonl(path)
    path.write_bytes(good + b"\n" + broken + b"\n")  # the same on the last line: not a crash
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2: "):
        read_jsonl(path)


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
        ({"observations": ("a", "b")}, "2 spans but 1 observations minus one"),
        ({"spans": ((2, 5), (7, 8))}, r"span 0 is \[2, 5\)"),  # begins in the prompt
        ({"spans": ((3, 5), (4, 8))}, r"span 1 is \[4, 8\)"),  # overlaps
        ({"spans": ((3, 5), (7, 9))}, r"span 1 is \[7, 9\)"),  # beyond the end
        ({"spans": ((3, 5), (7, 7))}, r"span 1 is \[7, 7\)"),  # empty: no last token
        ({"prompt_len": 0}, "prompt_len is 0"),  # the root would be read at ids[-1]
        ({"logprobs": (-0.1,)}, "1 logprobs for 3 action tokens"),
    ],
)
def test_what_disagrees_is_refused(change: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        replace(TWO_STEPS, **change)


def test_unknown_logprobs_may_be_left_out():
    assert replace(TWO_STEPS, logprobs=()).num_steps == 2
