"""Logs of every known form become the same messages; files with what editors and others leave."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentprm_lite.interop.files import REWARD, read_log, read_logs
from agentprm_lite.interop.logs import Call, Log, Message

DATA = Path(os.environ.get("AGENTPRM_DATA", Path(__file__).parents[3] / "shared" / "data"))
ASK = {"role": "user", "content": "6 times 7?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "calc", "arguments": '{"e": "6*7"}'}}
REPLY = {"role": "tool", "tool_call_id": "c1", "content": "42"}
DONE = {"role": "assistant", "content": "It is 42."}
#: What every form of this run has to become.
RUN = (
    Message("user", "6 times 7?", 0),
    Message("assistant", "", 1, (Call("calc", '{"e": "6*7"}', "c1"),), "let me see", step=True),
    Message("tool", "42", 2, call_id="c1", name="calc"),
    Message("assistant", "It is 42.", 3, step=True),
)


def read(messages: Any, **fields: Any) -> Log:
    return read_log({"messages": messages, **fields}, "runs.jsonl, line 1")


@pytest.mark.parametrize(
    "turn",
    [
        {"content": None, "tool_calls": [CALL], "reasoning_content": "let me see"},
        {"tool_calls": json.dumps([CALL]), "reasoning": "let me see"},
        {"content": "", "tool_calls": [CALL], "thinking": "let me see"},
        {"content": [{"type": "reasoning", "text": "let me see"}], "tool_calls": [CALL]},
        {"content": [{"type": "thinking", "text": "let me see"},
                     {"type": "tool_use", "id": "c1", "name": "calc", "input": {"e": "6*7"}}],
         "tool_calls": [{"id": "c1", "name": "calc", "args": {"e": "6*7"}}]},
        {"content": [], "tool_calls": [{"id": "c1", "name": "calc", "args": {"e": "6*7"}}],
         "reasoning_content": "let me see"},
        {"content": [
            {"type": "thinking", "thinking": "let me see", "signature": "x"},
            {"type": "tool_use", "id": "c1", "name": "calc", "input": {"e": "6*7"}},
        ]},
    ],
)  # fmt: skip
def test_calls_and_thoughts_in_all_their_places(turn: dict[str, Any]) -> None:
    log = read([ASK, {"role": "assistant", **turn}, REPLY, DONE])
    assert log.messages == RUN and log.left_out == ()
    assert read(json.dumps([ASK, {"role": "assistant", **turn}, REPLY, DONE])).messages == RUN


def test_replies_of_anthropic_stand_in_the_users_message() -> None:
    blocks = [
        {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "42"}]},
        {"type": "tool_result", "tool_use_id": "c2", "content": "no"},
        {"type": "text", "text": "go on"},
    ]
    use = [{"type": "tool_use", "id": f"c{k}", "name": f"t{k}", "input": {}} for k in (1, 2)]
    turn = {"role": "assistant", "content": [{"type": "text", "text": "so"}, *use]}
    log = read([ASK, turn, {"role": "user", "content": blocks}, DONE], system="be brief")
    calls = (Call("t1", "{}", "c1"), Call("t2", "{}", "c2"))
    assert log.messages == (
        Message("system", "be brief", -1),
        Message("user", "6 times 7?", 0),
        Message("assistant", "so", 1, calls, step=True),
        Message("tool", "42", 2, call_id="c1", name="t1"),
        Message("tool", "no", 2, call_id="c2", name="t2"),
        Message("user", "go on", 2),
        Message("assistant", "It is 42.", 3, step=True),
    )
    assert log.steps == (1, 3)


def test_sharegpt() -> None:
    log = read_log({"conversations": [
        {"from": "system", "value": "be brief"},
        {"from": "human", "value": "6 times 7?"},
        {"from": "function_call", "value": '{"name": "calc", "arguments": {"e": "6*7"}}'},
        {"from": "observation", "value": "42"},
        {"from": "gpt", "value": "It is 42."},
    ], "tools": '[{"name": "calc", "parameters": {"type": "object"}}]'}, "a, line 1")  # fmt: skip
    assert [(m.role, m.text, m.name) for m in log.messages] == [
        ("system", "be brief", ""),
        ("user", "6 times 7?", ""),
        ("assistant", "", ""),
        ("tool", "42", "calc"),
        ("assistant", "It is 42.", ""),
    ]
    assert log.messages[2].calls == (Call("calc", '{"e": "6*7"}'),) and log.steps == (2, 4)
    assert log.tools == (
        {"type": "function", "function": {"name": "calc", "parameters": {"type": "object"}}},
    )


def test_atif() -> None:
    calls = [
        {"tool_call_id": f"c{k}", "function_name": "calc", "arguments": {"k": k}} for k in (1, 2)
    ]
    results = [
        {"source_call_id": "c2", "content": "two"},
        {"content": [{"type": "text", "text": "one"}, {"type": "image", "source": {}}]},
        {"content": "the screen"},
        {"subagent_trajectory_ref": [{"trajectory_id": "x"}]},
    ]
    row = {
        "schema_version": "ATIF-v1.7",
        "session_id": "s1",
        "agent": {"name": "a", "version": "1", "tool_definitions": [{"name": "calc"}]},
        "steps": [
            {"step_id": 1, "source": "system", "message": "be brief"},
            {"step_id": 2, "source": "user", "message": "6 times 7?"},
            {"step_id": 3, "source": "agent", "message": "old", "is_copied_context": True},
            {"step_id": 4, "source": "agent", "message": "so", "reasoning_content": "hm",
             "tool_calls": calls, "observation": {"results": results}},
            {"step_id": 5, "source": "agent", "message": "tick", "llm_call_count": 0},
            {"step_id": 6, "source": "agent", "message": [{"type": "text", "text": "42"}]},
        ],
        "extra": {"reward": 1},
    }  # fmt: skip
    log = read_log(row, "a, line 1")
    both = (Call("calc", '{"k": 1}', "c1"), Call("calc", '{"k": 2}', "c2"))
    assert log.messages == (
        Message("system", "be brief", 0),
        Message("user", "6 times 7?", 1),
        Message("assistant", "old", 2),
        Message("assistant", "so", 3, both, "hm", step=True),
        Message("tool", "two", 3, call_id="c2", name="calc"),
        Message("tool", "one\n(image left out)", 3, call_id="c1", name="calc"),
        Message("user", "the screen", 3),
        Message("user", "", 3),
        Message("assistant", "tick", 4),
        Message("assistant", "42", 5, step=True),
    )
    assert (log.id, log.reward, log.task) == ("s1", 1.0, "6 times 7?")
    assert dict(log.left_out) == {
        "agent's steps that are copied or took no model as steps": 2,
        "image parts": 1,
        "runs of subagents": 1,
    }
    assert log.tools[0]["function"]["name"] == "calc"
    around = read_log({"trajectory": row, "reward": "0", "task_id": "t"}, "a, line 1")
    assert (around.reward, around.task, around.messages) == (0.0, "t", log.messages)


def test_a_history_of_several_agents() -> None:
    history = [
        {"role": "human", "content": "6 times 7?"},
        {"role": "Orchestrator (thought)", "content": "Ask Calc."},
        {"role": "Calc", "content": "42"},
    ]
    log = read_log({"history": history, "mistake_step": "2"}, "a, line 1")
    assert [(m.role, m.text) for m in log.messages] == [
        ("user", "6 times 7?"),
        ("assistant", "Orchestrator (thought):\nAsk Calc."),
        ("assistant", "Calc:\n42"),
    ]
    assert log.labels == ((2, -1.0),) and log.step_of(2) == 1
    named = [{"role": r, "name": n, "content": n} for r, n in (("assistant", "A"), ("user", "B"))]
    log = read_log({"history": named, "question": "6 times 7?"}, "a, line 1")
    assert [(m.role, m.text, m.index) for m in log.messages] == [
        ("user", "6 times 7?", -1),
        ("assistant", "A:\nA", 0),
        ("assistant", "B:\nB", 1),
    ]
    # in a chat of user and assistant the names change nothing
    assert [m.step for m in read(named).messages] == [True, False]


@pytest.mark.parametrize(
    ("content", "text", "left"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb", {}),
        ([{"type": "output_text", "text": "a"}], "a", {}),
        (["a", "b"], "a\nb", {}),
        ({"type": "text", "text": "a"}, "a", {}),
        (None, "", {}),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}],
         "a\n(image left out)", {"image parts": 1}),
        ([{"type": "input_audio", "input_audio": {}}], "(audio left out)", {"audio parts": 1}),
    ],
)  # fmt: skip
def test_contents(content: Any, text: str, left: dict[str, int]) -> None:
    log = read([{"role": "user", "content": content}, DONE])
    assert log.messages[0].text == text and dict(log.left_out) == left


def test_a_refusal_is_said_and_an_unknown_field_counted() -> None:
    turn = {"role": "assistant", "content": "", "refusal": "I can't.", "id": "x", "mood": "bad"}
    log = read([ASK, turn, {**turn, "content": "No."}, {**DONE, "mood": None}])
    assert [m.text for m in log.messages[1:]] == ["I can't.", "No.\nI can't.", "It is 42."]
    assert dict(log.left_out) == {"field 'mood'": 2}


@pytest.mark.parametrize(
    ("raw", "text", "left"),
    [
        ({**ASK, "tool_calls": [CALL]}, "6 times 7?", {"field 'tool_calls'": 1}),
        ({**ASK, "name": "Bo", "reasoning": "x"}, "6 times 7?",
         {"field 'name'": 1, "field 'reasoning'": 1}),
        ({"role": "user", "content": [{"type": "thinking", "thinking": "x"}]},
         '{"type": "thinking", "thinking": "x"}', {"thinking parts as JSON": 1}),
        ({**REPLY, "content": {"type": "flight", "id": 7}}, '{"type": "flight", "id": 7}',
         {"flight parts as JSON": 1}),
        ({**REPLY, "content": 42}, "42", {}),
        ({**REPLY, "content": [{"type": "tool_result", "content": "42", "is_error": True}]}, "42",
         {"marks of failed calls": 1}),
        ({"role": "user", "content": [{"type": "text", "text": {"value": "hi"}}]}, "hi", {}),
        ({"role": "user", "content": [{"type": "text", "content": "hi"}]}, "hi", {}),
        ({"role": None, "from": "human", "content": None, "value": "hi"}, "hi", {}),
        ({"role": "user", "content": [{"type": "document", "source": {
            "type": "text", "data": "page"}}]}, "page", {}),
    ],
)  # fmt: skip
def test_nothing_of_a_message_is_dropped_silently(raw: Any, text: str, left: Any) -> None:
    log = read([raw, DONE])
    assert log.messages[0].text == text and dict(log.left_out) == left


@pytest.mark.parametrize(
    "turn",
    [
        {"tool_calls": CALL},
        {"content": "", "tool_calls": [], "additional_kwargs": {"tool_calls": [CALL]}},
        {"tool_calls": [{"id": "c1", "name": "calc", "parameters": '{"e": "6*7"}'}]},
    ],
)
def test_calls_of_other_shapes(turn: dict[str, Any]) -> None:
    thoughts = {"reasoning_content": "let me see", "reasoning": "let me see"}
    log = read([ASK, {"role": "assistant", **turn, **thoughts}, REPLY, DONE])
    assert log.messages == RUN and log.left_out == ()


def test_thoughts_in_two_places_and_replies_within_a_turn() -> None:
    blocks = [
        {"type": "thinking", "thinking": "c"},
        {"type": "tool_use", "id": "c1", "name": "calc", "input": {}},
        {"type": "tool_result", "tool_use_id": "c1", "content": "42"},
        {"type": "text", "text": "so"},
    ]
    turn = {"role": "assistant", "reasoning_content": "a", "reasoning": "b", "content": blocks}
    log = read([ASK, turn])
    assert log.messages[1:] == (
        Message("assistant", "so", 1, (Call("calc", "{}", "c1"),), "a\nb\nc", step=True),
        Message("tool", "42", 1, call_id="c1", name="calc"),
    )
    assert dict(log.left_out) == {"replies within a turn after all of it": 1}


def test_replies_find_their_calls() -> None:
    """By id, out of order; by place where the call or the reply has none."""

    def names(calls: list[Any], replies: list[Any]) -> list[str]:
        turn = {"role": "assistant", "tool_calls": [{"name": n, "id": i} for n, i in calls]}
        said = [{"role": "tool", "content": "x", "tool_call_id": i} for i in replies]
        return [m.name for m in read([ASK, turn, *said, DONE]).messages if m.role == "tool"]

    assert names([("a", "1"), ("b", "2")], ["2", "1"]) == ["b", "a"]
    assert names([("a", None), ("b", None)], [None, None]) == ["a", "b"]
    assert names([("a", None), ("b", "2")], ["2", "z"]) == ["b", "a"]
    assert names([("a", "1"), ("b", "2")], [None, "z"]) == ["a", ""]


def test_sharegpt_with_other_names_and_calls_side_by_side() -> None:
    calls = '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]'
    log = read_log([
        {"from": "User", "value": "6 times 7?"},
        {"from": "tool_call", "value": calls},
        {"from": "tool_response", "value": "1"},
        {"from": "tool_response", "value": "2"},
        {"from": "Assistant", "value": "42"},
    ], "a, line 1")  # fmt: skip
    assert log.messages[1].calls == (Call("a", "{}"), Call("b", "{}"))
    assert [m.name for m in log.messages] == ["", "", "a", "b", ""] and log.steps == (1, 4)


def test_agents_in_a_history_keep_calls_and_thoughts() -> None:
    log = read_log({"history": [
        {"role": "user", "content": "6 times 7?"},
        {"role": "assistant", "name": "Coder", "tool_calls": [CALL], "reasoning": "hm"},
        {"role": "tool", "name": "shell", "tool_call_id": "c1", "content": "42"},
        {"role": "Critic", "content": "ok", "weight": 0},
    ]}, "a, line 1")  # fmt: skip
    assert log.messages == (
        Message("user", "6 times 7?", 0),
        Message("assistant", "Coder:\n", 1, (Call("calc", '{"e": "6*7"}', "c1"),), "hm", step=True),
        Message("tool", "42", 2, call_id="c1", name="shell"),
        Message("assistant", "Critic:\nok", 3),
    )
    named = read_log({"history": [{**ASK, "name": "Bo"}, DONE]}, "a, line 1")
    assert [m.step for m in named.messages] == [False, True]


def test_atif_says_what_it_can_not_keep() -> None:
    calls = [{"tool_call_id": f"c{k}", "function_name": f"f{k}"} for k in (1, 2)]
    results = [
        {"source_call_id": "other", "content": "b"},
        {"source_call_id": "c1", "content": "a"},
    ]
    log = read_log({"schema_version": "atif-v1", "agent": None, "final_metrics": [], "steps": [
        {"source": "User", "message": "q", "reasoning_content": "x", "tool_calls": calls},
        {"source": "agent", "message": "so", "thought": "y", "tool_calls": calls,
         "observation": {"results": results}},
    ], "continued_trajectory_ref": "b.json"}, "a, line 1")  # fmt: skip
    assert [(m.role, m.text, m.name, len(m.calls)) for m in log.messages] == [
        ("user", "q", "", 0),
        ("assistant", "so", "", 2),
        ("tool", "b", "f2", 0),
        ("tool", "a", "f1", 0),
    ]
    assert dict(log.left_out) == {
        "field 'reasoning_content'": 1,
        "field 'tool_calls'": 1,
        "field 'thought'": 1,
        "what goes on in another file": 1,
    }


def test_fields_beside_the_conversation_that_say_nothing() -> None:
    log = read(
        [ASK, DONE], reward=" ", success=True, task="", task_id="t", id="", step_labels=[None]
    )
    assert (log.reward, log.task, log.id, log.labels) == (1.0, "t", "", ())
    assert read([ASK, DONE], mistake_step="1.0").labels == ((1, -1.0),)
    assert read([ASK, DONE], step_labels='{"1": -1}').labels == ((1, -1.0),)
    assert read([ASK, DONE], tools=np.array([{"name": "a"}, {"name": "b"}])).tools[1] == {
        "type": "function",
        "function": {"name": "b", "parameters": {"type": "object"}},
    }


def test_rows_of_a_table() -> None:
    """pandas and pyarrow give arrays for lists, and every key to every message."""
    none = dict.fromkeys(("tool_calls", "name", "reasoning"))
    call = {"id": "c1", "function": {"name": "calc", "arguments": '{"e": "6*7"}'}, "index": None}
    messages = np.array([
        {**none, **ASK, "content": np.array([{"type": "text", "text": "6 times 7?"}])},
        {**none, "role": "Assistant", "content": float("nan"), "tool_calls": np.array([call] * 1),
         "reasoning": "let me see", "weight": np.float64(1)},
        {**none, **REPLY},
        {**none, **DONE, "weight": np.nan},
    ])  # fmt: skip
    assert read(messages, task=np.int64(7), reward=np.float32(1)).messages == RUN
    as_texts = [ASK, {**DONE, "weight": "0"}, {**DONE, "content": b"42", "weight": "1"}]
    assert read(as_texts).messages[1:] == (
        Message("assistant", DONE["content"], 1),
        Message("assistant", "42", 2, step=True),
    )


def test_half_a_character_is_replaced_and_counted() -> None:
    """As where a log cut a text of emoji in the middle."""
    log = read([{**ASK, "content": "ok \U0001f600 \ud83d"}, {**DONE, "reasoning": "\ude00"}])
    assert log.messages[0].text == "ok \U0001f600 \ufffd" and log.messages[1].reasoning == "\ufffd"
    assert dict(log.left_out) == {"texts with half a character": 2}
    step = {"source": "agent", "message": "\ud83d"}
    atif = read_log({"schema_version": "ATIF-v1.8", "steps": [step]}, "a, line 1")
    assert atif.messages[0].text == "\ufffd"


class Sdk:
    """As the objects of client libraries: pairs of names and values."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def __iter__(self) -> Any:
        return iter(self.fields.items())


def test_objects_of_client_libraries_among_mappings() -> None:
    function = Sdk(name="calc", arguments='{"e": "6*7"}')
    turn = Sdk(role="assistant", content=None, refusal=None, reasoning="let me see",
               timestamp=datetime.date(2026, 11, 28),
               tool_calls=[Sdk(id="c1", type="function", function=function)])  # fmt: skip
    assert read([ASK, turn, REPLY, DONE]).messages == RUN


def test_tasks_ids_and_rewards_of_a_record() -> None:
    messages = [{"role": "system", "content": "s"}, ASK, DONE]
    first = read(messages, reward=None, success="true", id=7.0)
    assert (first.task, first.id, first.reward) == ("6 times 7?", "7", 1.0)
    other = read(messages, task_id={"b": 1, "a": 2}, score=0.25)
    assert (other.task, other.id, other.reward) == ('{"a": 2, "b": 1}', "", 0.25)
    assert [read(messages, final_label=x).reward for x in ("1", "-1", -1, 1)] == [1, 0, 0, 1]
    assert read(messages, step_labels={"2": -1}).labels == ((2, -1.0),)
    assert read(messages, step_labels=[1]).labels == ((2, 1.0),)
    assert read_log(messages, "a, line 1").reward is None


@pytest.mark.parametrize(
    ("fields", "reward", "name"),
    [
        ({}, None, ""),
        ({"success": True, "score": 0.5}, 1.0, "success"),
        ({"metadata": {"score": 0.5}}, 0.5, "metadata.score"),
        ({"extra": {"resolved": False}}, 0.0, "extra.resolved"),
        ({"final_metrics": {"extra": {"reward": 1}}}, 1.0, "final_metrics.extra.reward"),
        ({"final_metrics": {"passed": 1}, "reward": None}, 1.0, "final_metrics.passed"),
        ({"final_label": -1}, 0.0, "final_label"),
        ({"final_label": None}, None, ""),
    ],
)
def test_a_log_says_which_field_its_reward_is_from(
    fields: dict[str, Any], reward: float | None, name: str
) -> None:
    log = read([ASK, DONE], **fields)
    assert (log.reward, log.reward_field) == (reward, name)


def test_the_readme_lists_the_fields_for_rewards() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    *names, last = (f"`{name}`" for name in REWARD)
    assert f"holds something of {', '.join(names)} and {last}" in readme


def test_rewards_that_disagree_are_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """0 in one field and 1 in another; a part of it, or a scale of its own, is no contradiction."""
    path = tmp_path / "runs.jsonl"
    rows: list[dict[str, Any]] = [
        {"reward": 0, "success": True},
        {"reward": 0.5, "success": False},
        {"reward": 1, "success": True, "score": 7},
        {"success": 1, "metadata": {"passed": "no"}},
    ]
    path.write_text("\n".join(json.dumps({"task": k, "messages": [ASK, DONE], **row})
                              for k, row in enumerate(rows)))  # fmt: skip
    assert [log.reward for log in read_logs(path)] == [0, 0.5, 1, 1]
    assert caplog.messages == [
        f"2 of 4 runs have 0 in one field and 1 in another, and the first counts, as in {path}, "
        "line 1: reward 0, success 1"
    ]


def test_runs_without_an_id_that_say_the_same_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "runs.jsonl"
    for ids, said in (((None, None), "1 of 2 runs"), (("a", "b"), ""), (("a", None), "1 of 2 run"),
                      ((float("nan"), float("nan")), "1 of 2 runs")):  # fmt: skip
        caplog.clear()
        rows = [{"task": 1, "id": run, "messages": [ASK, DONE]} for run in ids]
        path.write_text("\n".join(map(json.dumps, rows)))
        assert [log.own_id for log in read_logs(path)] == [isinstance(x, str) for x in ids]
        assert (" say the same as another run of their task" in caplog.text) == bool(said)
        assert said in caplog.text
    path.write_text("\n".join(json.dumps({"task": k, "messages": [ASK, DONE]}) for k in (1, 2)))
    caplog.clear()
    read_logs(path)
    assert caplog.text == ""  # of two tasks


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "x", "n": 1}, "no conversation: the fields are prompt, n, expected one of"),
        ({"messages": []}, "messages is empty, expected messages"),
        ({"messages": [{"role": "user"}]}, "no message is a step of the agent"),
        ({"messages": [ASK, {"role": "robot"}]}, "message 1 has the role 'robot', expected one of"),
        ({"messages": [ASK, {"role": "assistant", "tool_calls": [{"id": "c"}]}]},
         "message 1 has a tool call without a name"),
        ({"messages": [ASK, {"role": "assistant", "tool_calls": "calc()"}]},
         "message 1: tool_calls: expected JSON, got 'calc()'"),
        ({"messages": [{"role": "user", "parts": [{"text": "hi"}]}, DONE]},
         "message 0 has no content, but 'parts'; put what is said in 'content'"),
        ({"messages": [ASK, {"role": "assistant", "tool_calls": [{"name": "f", "body": "x"}]}]},
         "message 1 has a tool call with the fields name, body, expected name and arguments"),
        ({"messages": [ASK, DONE], "tools": ["calc"]},
         "tools have 'calc', expected a schema with a name"),
        ({"messages": [ASK, DONE], "tools": "You may"}, "tools: expected JSON, got 'You may'"),
        ({"messages": [ASK, DONE], "reward": 10**400}, "reward is 1000"),
        ({"messages": [ASK, DONE], "mistake_step": "x"},
         "mistake_step: got 'x', expected the index of a message"),
        ({"messages": [ASK, DONE], "mistake_step": [1]}, "mistake_step: got [1], expected"),
        ({"messages": [ASK, DONE], "step_labels": "[1"}, "step_labels: expected JSON, got '[1'"),
        ({"messages": [ASK, DONE], "step_labels": "good"}, "step_labels are 'good', expected one"),
        ({"messages": [ASK, DONE], "step_labels": ["x"]}, "step_labels: got 'x', expected a numb"),
        ({"schema_version": "ATIF-v1.4", "steps": []}, "steps is empty, expected steps"),
        ({"schema_version": "ATIF-v1.4", "steps": [None]}, "step 0 is None, expected an object"),
        ({"schema_version": "ATIF-v1.4", "steps": [{"source": "agent", "observation": "ok"}]},
         "step 0 has the observation 'ok', expected an object with a list of results"),
        ({"schema_version": "ATIF-v1.4", "steps": [{"source": "agent", "tool_calls": ["f"]}]},
         "step 0 has a tool call without a function_name: 'f'"),
        ({"messages": [ASK, DONE], "reward": "NaN"}, "reward is 'NaN', expected 0 to 1 or None"),
        ({"messages": [ASK, DONE], "reward": 7}, "reward is 7, expected 0 to 1 or None; scale it"),
        ({"messages": [ASK, DONE], "metadata": {"score": 7}}, "metadata.score is 7, expected 0"),
        ({"messages": [ASK, DONE], "resolved": "maybe"}, "resolved is 'maybe', expected 0 to 1"),
        ({"messages": [ASK, DONE], "final_label": 2}, "final_label is 2, expected 0 to 1"),
        ({"messages": [ASK, DONE], "step_labels": {"0": 1}},
         "message 0 has a label but is no step of the agent; its steps are the messages 1"),
        ({"messages": [ASK, DONE], "step_labels": [1, 1]}, "step_labels are 2, the steps 1"),
        ({"schema_version": "ATIF-v1.4", "steps": [{"source": "robot"}]},
         "step 0 has the source 'robot', expected system, user or agent"),
        (3, "the record is 3, expected an object with messages, or a list of messages"),
        (None, "the record is null, expected an object with messages, or a list of messages"),
        (True, "the record is true, expected an object with messages"),
        ("hello", 'the record is "hello", expected an object with messages'),
        ("x" * 99, f'the record is "{"x" * 59}, expected an object with messages'),
    ],
)  # fmt: skip
def test_what_is_no_log_is_named(row: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^runs\.jsonl, line 4: " + re.escape(message)):
        read_log(row, "runs.jsonl, line 4")


# --- files

ROWS = [{"task": k, "messages": [{"role": "user", "content": f"a\u2028{k}"}, DONE]} for k in (7, 8)]
LINES = [json.dumps(r, ensure_ascii=False) for r in ROWS]
ZIPPED = gzip.compress(b"{}" * 99, mtime=0)  # the time would give each process its own test


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("\n".join(LINES).encode(), [1, 2]),
        (("\ufeff" + "\r\n\r\n".join(LINES) + "\r\n\n").encode(), [1, 3]),
        ("\n".join(LINES).encode("utf-16"), [1, 2]),
        (json.dumps(ROWS).encode(), [1, 2]),
        ("\n".join(json.dumps(r, indent=1) for r in ROWS).encode(), [1, 14]),
        (gzip.compress("\n".join(LINES).encode()), [1, 2]),
        ("\n".join(json.dumps(r["messages"]) for r in ROWS).encode(), [1, 2]),
        (("\ufeff" + LINES[0] + "\n\ufeff" + LINES[1]).encode(), [1, 2]),  # of two files joined
    ],
)
def test_files_as_they_come(tmp_path: Path, data: bytes, lines: list[int]) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(data)
    logs = read_logs([path])
    assert [m.text for log in logs for m in log.messages[:1]] == ["a\u20287", "a\u20288"]
    assert [log.source for log in logs] == [f"{path}, line {n}" for n in lines]
    assert [log.id for log in logs] == [str(n) for n in lines]


def test_one_object_and_one_conversation_are_files_too(tmp_path: Path) -> None:
    for name, value in (("a.json", ROWS[0]), ("b.json", ROWS[1]["messages"])):
        (tmp_path / name).write_text(json.dumps(value, indent=2))
    logs = read_logs([tmp_path / "a.json", tmp_path / "b.json"])
    assert [log.task for log in logs] == ["7", "a\u20288"]
    assert read_logs(tmp_path / "a.json") == logs[:1] == read_logs(str(tmp_path / "a.json"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "runs.jsonl: no records"),
        (b'{"messages": []}\n{"a": \n', "line 3: not JSON: Expecting value"),
        (ZIPPED[:-9], "runs.jsonl: the gzip file is cut or garbled"),
        (ZIPPED[:-8] + bytes(8), "runs.jsonl: the gzip file is cut or garbled: CRC"),
        (b'{"a": "\x93"}', "line 1: byte 0x93 isn't UTF-8; save the file as UTF-8"),
    ],
)
def test_what_is_no_file_of_logs_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(data if b'"messages": []' not in data else data.replace(
        b'{"messages": []}', LINES[0].encode()))  # fmt: skip
    with pytest.raises(ValueError, match=re.escape(message)):
        read_logs([path])


def test_the_shared_logs_load_and_each_label_finds_its_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = DATA / "agent_logs"
    if not folder.is_dir():
        pytest.skip(f"reference data {folder} not found (set AGENTPRM_DATA)")
    names = ("agentprocessbench_hotpotqa.jsonl.gz", "who_and_when.jsonl.gz")
    first, second = (read_logs([folder / name]) for name in names)
    assert (len(first), len(second)) == (125, 92)
    found = 0
    for log in first + second:
        steps = [log.step_of(index) for index, _ in log.labels]
        assert steps == sorted(set(steps)) and steps
        assert all(log.steps[k] == index for k, (index, _) in zip(steps, log.labels, strict=True))
        found += 1
    assert len({log.task for log in first}) == 25
    assert all(len(log.labels) == len(log.steps) for log in first)
    assert [log.reward for log in first].count(1.0) == 93
    with capsys.disabled():
        print(f" labels found in {found} of {len(first + second)} logs", end="")


def test_a_task_is_named_as_exactly_as_the_record_does() -> None:
    """AgentGym's logs name a world and an item; other logs one of the two."""
    for fields, task in (
        ({"item_id": "babyai_3"}, "babyai_3"),
        ({"task": "webshop", "task_id": 7}, "webshop/7"),
        ({"task": "webshop", "item_id": "webshop"}, "webshop"),
        ({"question": "Which?"}, "Which?"),
        ({"task": "webshop", "question": "Which?"}, "webshop"),
        ({"task": "webshop", "task_id": 7.0}, "webshop/7"),  # a column of numbers with gaps
        ({"task_id": 7.5}, "7.5"),
        ({"task_id": "7.0"}, "7.0"),
        ({"task": float("nan"), "task_id": 7}, "7"),
        ({"task_id": float("nan")}, "6 times 7?"),
        ({}, "6 times 7?"),
    ):
        assert read([ASK, DONE], **fields).task == task, fields


def test_runs_of_one_task_by_their_first_words_alone_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rules come first in AgentGym's logs, so all runs without a name would be of one task."""
    path, other = tmp_path / "runs.jsonl", {"messages": [{**ASK, "content": "7 times 7?"}, DONE]}
    named = [{"task_id": 1}, {"task_id": 2}]
    for fields, said in (
        ([{}, {}], True),
        ([{"task": ASK["content"]}] * 2, False),
        ([{}, other], False),
        ([{}], False),
        (named, False),
    ):
        caplog.clear()
        rows = [{"messages": [ASK, DONE], **more} for more in fields]
        path.write_text("\n".join(map(json.dumps, rows)))
        read_logs(path)
        assert ("all 2 runs begin alike and name no task" in caplog.text) == said
