"""Reader of ATIF 1.x, the Agent Trajectory Interchange Format of Harbor and Terminal-Bench.

An agent's step holds its message, its calls and what came back; here that is an assistant's message
and the replies to it. Steps that were copied from an earlier run (``is_copied_context``) and those
that no model was asked for (``llm_call_count`` 0) stay in the conversation and are no steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from agentprm_lite.interop.logs import Call, Message, Role, arguments_text
from agentprm_lite.interop.texts import plain, read_text

_SOURCES: dict[str, Role] = {"system": "system", "user": "user", "agent": "assistant"}
_READ = {
    *("step_id", "timestamp", "source", "model_name", "reasoning_effort", "message", "metrics"),
    *("observation", "is_copied_context", "llm_call_count", "extra"),
}
_OWN = {"reasoning_content", "tool_calls"}


def is_atif(row: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether a record is an ATIF trajectory."""
    return (
        isinstance(row, Mapping)
        and re.match(r"atif-v1(\.|$)", str(row.get("schema_version", "")).lower()) is not None
        and isinstance(row.get("steps"), list)
    )


def read_atif(row: Mapping[str, Any]) -> tuple[list[Message], list[tuple[str, int]]]:
    """The messages of an ATIF trajectory; a message's index is that of its step.

    Args:
        row: the root object.

    Returns:
        Messages in the neutral form, and what was left out of them, with counts.

    Raises:
        ValueError: a step has an unknown source, or a call no name.
    """
    left: list[tuple[str, int]] = []
    if not row["steps"]:
        raise ValueError("steps is empty, expected steps")
    steps = plain(row["steps"], left)
    messages = [m for i, step in enumerate(steps) for m in _step(i, step, left)]
    if row.get("subagent_trajectories"):
        left.append(("runs of subagents", len(row["subagent_trajectories"])))
    if row.get("continued_trajectory_ref"):
        left.append(("what goes on in another file", 1))
    return messages, left


def _step(i: int, step: Any, left: list[tuple[str, int]]) -> list[Message]:
    if not isinstance(step, Mapping):
        raise ValueError(f"step {i} is {step!r}, expected an object with a source and a message")
    source = str(step.get("source")).lower()
    if source not in _SOURCES:
        raise ValueError(f"step {i} has the source {source!r}, expected system, user or agent")
    own = source == "agent"
    unread = [k for k, v in step.items() if v and k not in (_READ | _OWN if own else _READ)]
    left += [(f"field {k!r}", 1) for k in unread]
    calls = tuple(_call(i, c) for c in step.get("tool_calls") or []) if own else ()
    text = read_text(step.get("message"), left)
    learned = own and not step.get("is_copied_context") and step.get("llm_call_count") != 0
    if own and not learned:
        left.append(("agent's steps that are copied or took no model as steps", 1))
    thoughts = read_text(step.get("reasoning_content"), left) if own else ""
    turn = Message(_SOURCES[source], text, i, calls, thoughts, step=learned)
    return [turn, *_replies(i, step.get("observation"), calls, left)]


def _replies(
    i: int, observation: Any, calls: tuple[Call, ...], left: list[tuple[str, int]]
) -> list[Message]:
    """What came back: a tool's where it names a call or one is open, else a user's."""
    seen = {} if observation is None else observation
    results = (seen.get("results") or []) if isinstance(seen, Mapping) else None
    if not isinstance(results, list) or not all(isinstance(r, Mapping) for r in results):
        raise ValueError(
            f"step {i} has the observation {observation!r}, expected an object with a list of "
            "results"
        )
    named = {r.get("source_call_id") for r in results}
    free = [c for c in calls if c.id not in named]
    out = []
    for result in results:
        refs = result.get("subagent_trajectory_ref") or []
        left += [("runs of subagents", len(refs))] * bool(refs)
        wanted = result.get("source_call_id")
        call = next((c for c in calls if wanted and c.id == wanted), None)
        call = call or (free.pop(0) if free else None)
        reply = read_text(result.get("content"), left)
        if call:
            out.append(Message("tool", reply, i, call_id=call.id, name=call.name))
        else:
            out.append(Message("user", reply, i))
    return out


def _call(i: int, raw: Any) -> Call:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("function_name"), str):
        raise ValueError(f"step {i} has a tool call without a function_name: {raw!r}")
    given = arguments_text(raw.get("arguments"))
    return Call(raw["function_name"], given, str(raw.get("tool_call_id") or ""))
