"""Readers of chat logs: OpenAI's and Anthropic's messages, ShareGPT, chats of several agents.

They differ in names, so one function reads a message of all of them: its role, its text or parts,
its calls, the replies to calls in it, and thoughts. What has no place is counted by name.

One assistant message with all its calls is one step, even if it says nothing, which is counted. Not
a step is what isn't to be learned from: ``weight`` 0, or AgentGym's ``loss`` false. In the history
of several agents, where every message names its speaker (in ``name``, or in place of a role), each
message but the human's is one step of the group, and its text begins with the speaker's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentprm_lite.interop.logs import Call, Message, Role, arguments_text
from agentprm_lite.interop.texts import plain, read_text

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "environment"), "user"),
    **dict.fromkeys(("assistant", "agent", "gpt", "chatgpt", "ai", "model", "bot"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "ipython", "function_response"), "tool"),
    **dict.fromkeys(("tool_response", "tool_result"), "tool"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
}
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_HEAD = {"role", "from", "type", "content", "value", "weight", "loss"}
_ACTS = {"tool_calls", "function_call", "refusal", *_THOUGHTS}
#: What is read of a message, by its role.
_READ: dict[Role, set[str]] = {
    "system": _HEAD,
    "user": _HEAD,
    "assistant": _HEAD | _ACTS,
    "tool": {*_HEAD, "tool_call_id", "tool_use_id", "name"},
}
_MADE_OF = ("arguments", "args", "input", "parameters")
#: Bookkeeping that no reader of the conversation misses.
_UNREAD = {
    *("id", "uuid", "index", "timestamp", "created", "created_at", "date", "model", "usage"),
    *("logprobs", "token_ids", "finish_reason", "stop_reason", "stop_sequence", "metadata"),
    *("response_metadata", "additional_kwargs", "usage_metadata", "extra", "status", "cost"),
}


def read_messages(
    raw: Any, *, several: bool = False
) -> tuple[list[Message], list[tuple[str, int]]]:
    """The messages of a log.

    Args:
        raw: a list of messages, or that as JSON.
        several: it may be a history of several agents.

    Returns:
        Messages in the neutral form, and what was left out of them, with counts.

    Raises:
        ValueError: a message has a shape that isn't known; says which and what to do.
    """
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except ValueError as err:
            raise ValueError(f"messages are a text that isn't JSON: {err}") from err
    left: list[tuple[str, int]] = []
    raws = [_mapping(i, m, left) for i, m in enumerate(_sequence(raw))]
    read = _spoken if several and _all_named(raws) else _message
    found: list[Message] = []
    for i, message in enumerate(raws):
        try:
            found += read(i, message, left)
        except ValueError as err:
            text = str(err)
            raise ValueError(text if "message" in text[:9] else f"message {i}: {text}") from err
    return _calls_named(found), left


def read_tools(raw: Any) -> tuple[Mapping[str, Any], ...]:
    """Schemas of tools in OpenAI's form.

    Args:
        raw: OpenAI's list (``tools`` or ``functions``), Anthropic's, or either as JSON.

    Returns:
        ``{"type": "function", "function": {"name", "description", "parameters"}}`` each.
    """
    if isinstance(raw, str):
        raw = parsed(raw, "tools") if raw.strip() else None
    raw = plain(raw, [])
    out = []
    for tool in _sequence([raw] if isinstance(raw, Mapping) else raw or [], "tools"):
        schema = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if not isinstance(schema, Mapping) or not isinstance(schema.get("name"), str):
            raise ValueError(f"tools have {tool!r}, expected a schema with a name")
        if "function" in tool:
            out.append({"type": "function", **tool})
            continue
        kept = {k: tool[k] for k in ("name", "description") if tool.get(k)}
        parameters = tool.get("parameters", tool.get("input_schema")) or {"type": "object"}
        out.append({"type": "function", "function": {**kept, "parameters": parameters}})
    return tuple(out)


def _message(i: int, raw: Mapping[str, Any], left: list[tuple[str, int]]) -> list[Message]:
    """A message, and the replies to tools that Anthropic puts into it."""
    name = str(_first(raw, "role", "from", "type")).lower()
    if name not in _ROLES:
        raise ValueError(
            f"message {i} has the role {name!r}, expected one of {', '.join(_ROLES)}; rename it, "
            "or, if several agents talk, put the messages under 'history'"
        )
    role, content = _ROLES[name], _first(raw, "content", "value")
    if role == "assistant":
        own = {k: v for k, v in raw.items() if v or k in ("weight", "loss")}
        raw = {**_mapped(raw.get("additional_kwargs")), **own}
    unread = [k for k, v in raw.items() if k not in _READ[role] | _UNREAD and v]
    other = [k for k in unread if k != "name" and isinstance(raw[k], str | list | Mapping)]
    if content is None and other and not (role == "assistant" and _ACTS & raw.keys()):
        raise ValueError(
            f"message {i} has no content, but {', '.join(map(repr, other))}; put what is said in "
            "'content'"
        )
    left += [(f"field {k!r}", 1) for k in unread]
    blocks = [b for b in content if isinstance(b, Mapping)] if isinstance(content, list) else []
    found = [_result(i, b, left) for b in blocks if b.get("type") == "tool_result"]
    special = {"tool_result"}
    if role == "assistant":
        special |= {"tool_use", *_THOUGHTS, "redacted_thinking"}
    rest: Any = content
    if any(b.get("type") in special for b in blocks):
        rest = [b for b in content if not isinstance(b, Mapping) or b.get("type") not in special]
    text = read_text(rest, left)
    if role == "assistant":
        left += [("replies within a turn after all of it", len(found))] * bool(found)
        return [_turn(i, raw, name, text, blocks, left), *found]
    if found and not rest:
        return found
    if role == "tool":
        call_id, tool = _first(raw, "tool_call_id", "tool_use_id"), raw.get("name")
        found.append(Message("tool", text, i, call_id=str(call_id or ""), name=str(tool or "")))
        return found
    return [*found, Message(role, text, i)]


def _turn(
    i: int,
    raw: Mapping[str, Any],
    name: str,
    text: str,
    blocks: Sequence[Mapping[str, Any]],
    left: list[tuple[str, int]],
) -> Message:
    """An assistant's message."""
    calls = [*_calls(i, raw), *(_call(i, b) for b in blocks if b.get("type") == "tool_use")]
    calls = [c for k, c in enumerate(calls) if not c.id or c not in calls[:k]]  # LangChain has both
    if name in ("function_call", "tool_call"):  # ShareGPT: the text is the call, or a list of them
        asked = parsed(text, f"message {i}")
        calls = [_call(i, c) for c in (asked if isinstance(asked, list) else [asked])]
        text = ""
    if raw.get("refusal"):
        text = f"{text}\n{raw['refusal']}" if text else str(raw["refusal"])
    thoughts = [raw[k] for k in _THOUGHTS if raw.get(k)]
    thoughts += [_first(b, *_THOUGHTS, "text") for b in blocks if b.get("type") in _THOUGHTS]
    reasoning = "\n".join(dict.fromkeys(t for x in thoughts if (t := read_text(x, left))))
    hidden = sum(b.get("type") == "redacted_thinking" for b in blocks)
    left += [("thoughts that the log has only encrypted", hidden)] * bool(hidden)
    step = str(raw.get("weight")) not in ("0", "0.0", "False") and raw.get("loss") is not False
    left += [] if step else [("assistant messages as steps that aren't to be learned from", 1)]
    return Message("assistant", text, i, tuple(calls), reasoning, step=step)


def _result(i: int, block: Mapping[str, Any], left: list[tuple[str, int]]) -> Message:
    call_id = str(block.get("tool_use_id") or "")
    left += [("marks of failed calls", 1)] * bool(block.get("is_error"))
    return Message("tool", read_text(block.get("content"), left), i, call_id=call_id)


def _calls(i: int, raw: Mapping[str, Any]) -> list[Call]:
    calls = raw.get("tool_calls") or []
    calls = parsed(calls, "tool_calls")
    calls = _sequence([calls] if isinstance(calls, Mapping) else calls, "tool_calls")
    if raw.get("function_call"):
        calls = [*calls, parsed(raw["function_call"], "function_call")]
    return [_call(i, c) for c in calls]


def _call(i: int, raw: Any) -> Call:
    if not isinstance(raw, Mapping):
        raise ValueError(f"message {i} has the tool call {raw!r}, expected a mapping with a name")
    inner = _first(raw, "function", "custom") or raw
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise ValueError(f"message {i} has a tool call without a name: {dict(raw)}")
    given = _first(inner, *_MADE_OF)
    more = inner.keys() - {"name", "id", "type", "index", "caller", "cache_control", *_MADE_OF}
    if given is None and any(inner[k] for k in more):
        raise ValueError(
            f"message {i} has a tool call with the fields {', '.join(inner)}, expected name and "
            "arguments"
        )
    return Call(inner["name"], arguments_text(given), str(raw.get("id") or ""))


def _calls_named(messages: Iterable[Message]) -> list[Message]:
    """Replies with the names of their tools, and with the next open call where they name none."""
    out: list[Message] = []
    names: dict[str, str] = {}
    waiting: list[Call] = []
    for m in messages:
        if m.role == "assistant":
            waiting = list(m.calls)
            names |= {c.id: c.name for c in m.calls if c.id}
        elif m.role == "tool":
            fits = [c for c in waiting if m.call_id == c.id]
            fits += [c for c in waiting if "" in (m.call_id, c.id)]
            call = fits[0] if fits else None
            if call:
                waiting.remove(call)
            name = m.name or names.get(m.call_id) or (call.name if call else "")
            m = replace(m, name=name, call_id=m.call_id or (call.id if call else ""))
        out.append(m)
    return out


def _all_named(raws: Sequence[Mapping[str, Any]]) -> bool:
    """Whether agents talk: each message names its speaker, in ``name`` or in place of a role."""
    talk = [m for m in raws if not _replies(m)]
    strange = {_speaker(m).lower() for m in talk if not m.get("name")} - _ROLES.keys()
    return bool(strange) or not {_speaker(m) for m in talk} & {"user", "assistant"}


def _replies(raw: Mapping[str, Any]) -> bool:
    return raw.get("role") in ("tool", "function")


def _speaker(raw: Mapping[str, Any]) -> str:
    return str(raw.get("name") or _first(raw, "role", "from"))


def _spoken(i: int, raw: Mapping[str, Any], left: list[tuple[str, int]]) -> list[Message]:
    """A message of one of several agents."""
    speaker, others = _speaker(raw), {k: v for k, v in raw.items() if k != "name"}
    if _replies(raw):
        return _message(i, raw, left)
    if speaker.lower() in ("human", "user", "system"):
        return _message(i, {**others, "role": speaker}, left)
    turn, *replies = _message(i, {**others, "role": "assistant"}, left)
    return [replace(turn, text=f"{speaker}:\n{turn.text}"), *replies]


def parsed(value: Any, what: str) -> Any:
    """The value of a text of JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as err:
        raise ValueError(f"{what}: expected JSON, got {value[:60]!r}: {err}") from err


def _first(raw: Mapping[str, Any], *names: str) -> Any:
    """The first field that holds something."""
    return next((raw[k] for k in names if raw.get(k) is not None), None)


def _mapped(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: Any, what: str = "messages") -> list[Any]:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return list(value)
    raise ValueError(f"{what} are {type(value).__name__}, expected a list of {what}")


def _mapping(i: int, message: Any, left: list[tuple[str, int]]) -> Mapping[str, Any]:
    """A message as a mapping; the objects of client libraries give theirs as pairs."""
    try:
        return {str(k): plain(v, left) for k, v in dict(message).items()}
    except (TypeError, ValueError) as err:
        raise ValueError(
            f"message {i} is of type {type(message).__name__}, expected a mapping with 'role' and "
            "'content'; objects of client libraries have message.model_dump()"
        ) from err
