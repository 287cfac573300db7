"""Reader of ATIF 1.x, the Agent Trajectory Interchange Format of Harbor and Terminal-Bench.

An agent's step holds its message, its calls and what came back; here that is an assistant's message
and the replies to it. Steps that were copied from an earlier run (``is_copied_context``) and those
that no model was asked for (``llm_call_count`` 0) stay in the conversation and are no steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from agentprm_lite.interop.logs import Call, Message, Role, arguments_text
from agentprm_lite.interop.readers import plain, read_text

_SOURCES: dict[str, Role] = {"system": "system", "user": "user", "agent": "assistant"}


def is_atif(row: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether a record is an ATIF trajectory."""
    return (
        isinstance(row, Mapping)
        and str(row.get("schema_version", "")).startswith("ATIF-v1.")
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
    steps = plain(row["steps"], left)
    messages = [m for i, step in enumerate(steps) for m in _step(i, step, left)]
    if row.get("subagent_trajectories"):
        left.append(("runs of subagents", len(row["subagent_trajectories"])))
    return messages, left


def _step(i: int, step: Mapping[str, Any], left: list[tuple[str, int]]) -> list[Message]:
    source = step.get("source")
    if source not in _SOURCES:
        raise ValueError(f"step {i} has the source {source!r}, expected system, user or agent")
    calls = tuple(_call(i, c) for c in step.get("tool_calls") or [])
    text, own = read_text(step.get("message"), left), source == "agent"
    learned = own and not step.get("is_copied_context") and step.get("llm_call_count") != 0
    if own and not learned:
        left.append(("agent's steps that are copied or took no model as steps", 1))
    thoughts = read_text(step.get("reasoning_content"), left)
    out = [Message(_SOURCES[source], text, i, calls, thoughts, step=learned)]
    results = (step.get("observation") or {}).get("results") or []
    for k, result in enumerate(results):
        refs = result.get("subagent_trajectory_ref") or []
        left += [("runs of subagents", len(refs))] * bool(refs)
        reply = read_text(result.get("content"), left)
        wanted = result.get("source_call_id")
        call = next((c for c in calls if c.id == wanted), calls[k] if k < len(calls) else None)
        if own and call:
            out.append(Message("tool", reply, i, call_id=call.id, name=call.name))
        else:
            out.append(Message("user", reply, i))
    return out


def _call(i: int, raw: Mapping[str, Any]) -> Call:
    if not isinstance(raw.get("function_name"), str):
        raise ValueError(f"step {i} has a tool call without a function_name: {dict(raw)}")
    given = arguments_text(raw.get("arguments"))
    return Call(raw["function_name"], given, str(raw.get("tool_call_id") or ""))
