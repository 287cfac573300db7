"""Files of trajectories, crashes included."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TWO_STEPS
from tokenizers.normalizers import NFC

from agentprm_lite.files import append_jsonl, from_line, read_jsonl, to_line
from agentprm_lite.hub import ChatFormat
from agentprm_lite.interop.files import read_log
from agentprm_lite.interop.render import trajectory
from agentprm_lite.tutorial.templates import STYLES, small_tokenizer
from agentprm_lite.tutorial.tiny import episode_ids
from agentprm_lite.types import Task, Usage


def test_round_trip_is_exact_and_stays_on_one_line(tmp_path: Path):
    line = to_line(TWO_STEPS)
    assert "\n" not in line
    assert line.isascii()  # U+2028 or a lone surrogate could break a line or a decoder
    assert from_line(line) == TWO_STEPS
    assert json.loads(line)["version"] == 1
    empty = replace(
        TWO_STEPS, ids=(1, 2), prompt_len=2, spans=(), logprobs=(), actions=(), rewards=(),
        observations=("first",), success=False, terminated=False, final=False,
    )  # fmt: skip
    assert from_line(to_line(empty)) == empty
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
    # 0 bytes of the second line and more, up to all but two
    for size in [*range(32), 50, 200, len(whole) - first_line - 2]:
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
    path.write_text(to_line(TWO_STEPS)[:20])
    assert read_jsonl(path) == []
    append_jsonl(path, [TWO_STEPS])
    assert read_jsonl(path) == [TWO_STEPS]


def test_a_whole_last_row_without_its_line_break_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """A file joined by hand, or a crash before the last byte."""
    path = tmp_path / "a.jsonl"
    rows = [replace(TWO_STEPS, sample=k) for k in range(3)]
    for break_ in ("\n", "\r\n"):
        path.write_bytes(break_.join(map(to_line, rows[:2])).encode())
        assert read_jsonl(path) == rows[:2]
        append_jsonl(path, rows[2:])
        assert read_jsonl(path) == rows
        assert (
            path.read_bytes()
            == (break_.join(map(to_line, rows[:2])) + "\n").encode()
            + (to_line(rows[2]) + "\n").encode()
        )
    path.write_bytes(to_line(rows[0]).encode())
    append_jsonl(path, [])
    assert path.read_bytes() == to_line(rows[0]).encode() + b"\n"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"lr": 1e-4, "notes": "precious"}', "schema version None, this library reads 1"),
        (b'{"lr": 1e-4, "notes": "precious"}\n', "schema version None, this library reads 1"),
        (b"# Notes\n\nprecious", "Expecting value"),
        (b"\xff\x00", "can't decode byte 0xff"),
        (to_line(TWO_STEPS).encode().replace(b":1,", b":2,", 1), "schema version 2"),
        (to_line(TWO_STEPS).encode().replace(b":1,", b":2,", 1)[:-1], "Expecting"),
        (to_line(TWO_STEPS).encode().replace(b'"sample":5', b'"sample":5.0'), "sample is 5.0"),
    ],
    ids=range(7),
)
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(
    tmp_path: Path, content: bytes, message: str
):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"config\.json, line \d: .*{message}"):
        read_jsonl(path)
    for rows in ([], [TWO_STEPS]):
        with pytest.raises(ValueError, match=rf"config\.json, last line: .*{message}"):
            append_jsonl(path, rows)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "broken",
    [
        b'{"version":1,"task"',
        b"[1]",
        b"\xff\xfe",
        b'{"version":1}',
        to_line(TWO_STEPS).encode().replace(b'"sample":5', b'"sample":5,"colour":1'),
        to_line(TWO_STEPS).encode().replace(b'"spans":[[3,5]', b'"spans":[[3,5,6]'),
        to_line(TWO_STEPS).encode().replace(b'"spans":[[3,5]', b'"spans":[[2,5]'),
    ],
)
def test_any_other_broken_line_is_an_error_that_names_file_and_line(tmp_path: Path, broken: bytes):
    path = tmp_path / "a.jsonl"
    good, other = (to_line(replace(TWO_STEPS, sample=k)).encode() for k in (5, 6))
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
        ("usage", {"cached": "12"}, "usage has cached '12', expected a whole number, at least 0"),
        ("usage", {"scored": 1.5}, "usage has scored 1.5, expected a whole number, at least 0"),
        ("usage", {"scored": None}, "usage has scored None, expected a whole number, at least 0"),
        ("usage", {"env_steps": -4}, "usage has env_steps -4, expected a whole number, at least"),
        ("usage", {"cached": True}, "usage has cached True, expected a whole number, at least 0"),
        ("task", {"env": "a", "index": "7"}, "a task's index is '7', expected a whole number"),
    ],
)
def test_a_field_of_another_type_is_named(tmp_path: Path, field: str, value: object, message: str):
    path = tmp_path / "a.jsonl"
    data = json.loads(to_line(TWO_STEPS))
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
    lines = ["\ufeff" + to_line(TWO_STEPS), "", to_line(other), "  ", ""]
    path.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    assert read_jsonl(path) == [TWO_STEPS, other]
    spoken = json.loads(to_line(TWO_STEPS)) | {"actions": ["a\u2028b", "c\x85d"]}
    path.write_text(json.dumps(spoken, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_jsonl(path)[0].actions == ("a\u2028b", "c\x85d")


def test_numbers_of_other_libraries_are_written_as_plain_ones(tmp_path: Path):
    """numpy's and torch's numbers are written as JSON has them."""
    path, task = tmp_path / "a.jsonl", Task("mine", np.int64(7), np.int32(1))
    numbers = (np.float32(0.5), torch.tensor(1.0))
    told = replace(
        TWO_STEPS, task=task, rewards=numbers, success=np.bool_(True), sample=np.int64(5),
        ids=(*TWO_STEPS.ids[:-1], np.int64(22)),
        logprobs=(np.float32(-0.5), np.float64(-0.1), torch.tensor(-0.25)),
    )  # fmt: skip
    append_jsonl(path, [told])
    assert read_jsonl(path) == [told]
    assert read_jsonl(path)[0].logprobs == (-0.5, -0.1, -0.25)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("observations", ("a", "b", None), "observations has None, expected a list of texts"),
        ("observations", ("a", "b", 5), "observations has 5, expected a list of texts"),
        ("observations", ("a", "b", b"x"), "observations has {'bytes': \"b'x'\"}, expected a list"),
        ("actions", (None, "b"), "actions has None, expected a list of texts"),
        ("logprobs", (-0.1, float("nan"), -0.2), "logprobs has nan, expected a list of finite"),
        ("logprobs", (-0.1, np.float32("-inf"), -0.2), "logprobs has -inf, expected a list of fin"),
        ("ids", tuple(map(float, TWO_STEPS.ids)), "ids has 10.0, expected a list of whole numbers"),
        ("ids", tuple(np.float32(TWO_STEPS.ids)), "ids has 10.0, expected a list of whole numbers"),
        ("ids", np.array(TWO_STEPS.ids), "ids has {'ndarray': '[10 11 12 20 21 13 14 22]'}, exp"),
        ("policy", None, "policy is None, expected a text"),
        ("policy", Task("x", 0), "policy is {'env': 'x', 'index': 0, 'variant': 0}, expected a te"),
        ("seed", 3.0, "seed is 3.0, expected a whole number"),
        ("truncated_by", None, "truncated_by is None, expected a text"),
        ("usage", Usage(1.5), "usage has generated 1.5, expected a whole number, at least 0"),
    ],
    ids=str,
)
def test_what_could_not_be_read_back_is_not_written(
    tmp_path: Path, field: str, value: object, message: str
):
    """The error names trajectory and field, and the whole rows beside it aren't written either."""
    path = tmp_path / "a.jsonl"
    append_jsonl(path, [TWO_STEPS])
    odd = replace(TWO_STEPS, sample=7, **{field: value})
    said = f"trajectory textcraft/12/3/7 can't be written: {message}"
    with pytest.raises(ValueError, match=re.escape(said)):
        append_jsonl(path, [replace(TWO_STEPS, sample=6), odd])
    assert read_jsonl(path) == [TWO_STEPS]


@pytest.mark.parametrize("version", ["2", "null", '"1"'])
def test_an_unknown_version_says_what_to_do(tmp_path: Path, version: str):
    path = tmp_path / "a.jsonl"
    line = to_line(TWO_STEPS).replace('"version":1', f'"version":{version}')
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=r"line 1: schema version .* install .* or collect"):
        read_jsonl(path)


TOLD = [
    ("user", "add one and two please"),
    ("assistant", "<think>I add them</think>it is certainly three"),
    ("user", "are you sure?"),
    ("assistant", "yes, I am sure"),
]
CHATS = {
    name: ChatFormat(small_tokenizer(STYLES[style], splitting))
    for name, style, splitting in (
        ("qwen3", "qwen3", "bytes"),
        ("thinking", "qwen3-thinking", "bytes"),
        ("deepseek", "deepseek-r1", "bytes"),
        ("llama3", "llama3", "bytes"),
        ("llama2", "llama2", "prepend"),
        ("gemma", "gemma", "spaces"),
    )
}


@pytest.mark.parametrize("name", CHATS)
def test_ids_of_another_tokenizer_or_template_are_refused(tmp_path: Path, name: str):
    """A recording, and an episode as it is played, in every format's words; in no other's."""
    chat, path = CHATS[name], tmp_path / "a.jsonl"
    log = {"messages": [{"role": who, "content": text} for who, text in TOLD], "reward": 1}
    recorded, _ = trajectory(chat, read_log(log, "a run"), Task("logs", 1))
    asked, said = (
        tuple(text for who, text in TOLD if who == role) for role in ("user", "assistant")
    )
    ids, spans = episode_ids(chat, asked, said)
    played = replace(
        recorded, sample=1, ids=tuple(ids), spans=tuple(spans), prompt_len=spans[0][0], actions=said
    )
    append_jsonl(path, [recorded, played])
    assert read_jsonl(path, chat) == read_jsonl(path) == [recorded, played]
    for other in {"qwen3", "llama3", "llama2", "gemma"} - {
        name,
        "qwen3" if name == "thinking" else "",
    }:
        with pytest.raises(
            ValueError, match=r"a.jsonl, line 1: .*another (tokenizer|chat template)"
        ):
            read_jsonl(path, CHATS[other])


def said_by(role: str, content: str | None, **more: object) -> dict[str, object]:
    return {"role": role, "content": content, **more}


CALL = {"name": "find", "arguments": r'{"q": "\u5317\u4eac \u5929\u6c14 \u9884\u62a5\nnow"}'}
TOOLS = (
    "{% for m in messages %}{% if m.role == 'user' %}<|User|>{{ m.content }}"
    "{% elif m.role == 'tool' %}[{{ m.content }}]{% else %}"
    "{% if messages[loop.index0 - 1].role != 'tool' %}<|Assistant|>{% endif %}{{ m.content or '' }}"
    "{% for call in m.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}{{ eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|Assistant|>{% endif %}"
)
#: By (format, what is odd); the last template shows calls and replies, and marks no turn after one.
RECORDED = {
    ("qwen3", "the agent begins"): [said_by("assistant", "Hello."), *(said_by(*t) for t in TOLD)],
    ("qwen3", "it alone speaks"): [said_by("assistant", "Hello, what shall I do?")],
    ("deepseek-r1", "thoughts in all turns"): [
        said_by("user", "well?"),
        said_by("assistant", "<think>what may the user want of me, I wonder</think>Three."),
    ],
    ("llama3", "arguments escaped as JSON"): [
        said_by("user", "the weather?"),
        said_by("assistant", None, tool_calls=[{"function": CALL}]),
    ],
    ("llama3", "letters in two parts"): [
        said_by("user", "where?"),
        said_by("assistant", "cafe\u0301 re\u0301sume\u0301"),
    ],
    ("tools", "a turn after a reply"): [
        said_by("user", "the weather?"),
        said_by("assistant", None, tool_calls=[{"function": CALL}]),
        said_by("tool", "sun"),
        said_by("assistant", "It will be sunny."),
    ],
}


@pytest.mark.parametrize("name", RECORDED, ids=" ".join)
def test_recordings_whose_ids_look_odd_are_read(tmp_path: Path, name: tuple[str, str]):
    """Each was refused as another model's once; a word-for-word or id-for-id comparison fails."""
    styles = STYLES | {"tools": replace(STYLES["deepseek-r1"], template=TOOLS)}
    tokenizer, path = small_tokenizer(styles[name[0]]), tmp_path / "a.jsonl"
    tokenizer.backend_tokenizer.normalizer = NFC()
    chat = ChatFormat(tokenizer)
    log = read_log({"messages": RECORDED[name], "reward": 1}, "a run")
    recorded, _ = trajectory(chat, log, Task("logs", 1))
    append_jsonl(path, [recorded])
    assert read_jsonl(path, chat) == [recorded]
    with pytest.raises(ValueError, match=r"another (tokenizer|chat template)"):
        read_jsonl(path, CHATS["gemma"])


def test_a_call_without_words_and_a_turn_of_signs_are_no_fault(tmp_path: Path):
    chat, path = CHATS["llama3"], tmp_path / "a.jsonl"
    ids, spans = episode_ids(chat, ["?", "!"], ["...", ""])
    odd = replace(
        TWO_STEPS, ids=tuple(ids), spans=tuple(spans), prompt_len=spans[0][0], logprobs=(),
        actions=("...", ""), observations=("?", "!", ""),
    )  # fmt: skip
    append_jsonl(path, [odd])
    assert read_jsonl(path, chat) == [odd]


def test_another_template_of_the_same_tokenizer_is_refused(tmp_path: Path):
    """The turns are in the same words; only what stands before them tells the two apart."""
    chat, other = CHATS["qwen3"], small_tokenizer(STYLES["qwen3"], "bytes")
    other.chat_template = other.chat_template.replace("assistant\\n", "model\\n")
    assert other.chat_template != chat.tokenizer.chat_template
    ids, spans = episode_ids(chat, ["are you sure?"], ["yes, I am sure"])
    told = replace(
        TWO_STEPS, ids=tuple(ids), spans=tuple(spans), prompt_len=spans[0][0], logprobs=(),
        actions=("yes, I am sure",), observations=("are you sure?", ""), rewards=(1.0,),
    )  # fmt: skip
    append_jsonl(tmp_path / "a.jsonl", [told])
    assert read_jsonl(tmp_path / "a.jsonl", chat) == [told]
    with pytest.raises(ValueError, match=r"a\.jsonl, line 1: .*with another chat template"):
        read_jsonl(tmp_path / "a.jsonl", ChatFormat(other))
