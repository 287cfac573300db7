"""Readers of chat logs: OpenAI's and Anthropic's messages, ShareGPT, chats of several agents.

They differ in names, so one function reads a message of all of them: its role, its text or parts,
its calls, the replies to calls in it, and thoughts. What has no place is counted by name.

One assistant message with all its calls is one step. Not a step is what isn't to be learned from:
``weight`` 0. In the history of several agents, where every message names its speaker (in ``name``,
or in place of a role), each message but the human's is one step of the group, and its text begins
with the speaker's name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentprm_lite.interop.logs import Call, Message, Role, arguments_text

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "environment"), "user"),
    **dict.fromkeys(("assistant", "agent", "gpt", "chatgpt", "ai", "model", "bot"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "ipython", "function_response"), "tool"),
    "function_call": "assistant",
}
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_READ = {
    *("role", "from", "type", "content", "value", "tool_calls", "function_call", "tool_call_id"),
    *("name", "refusal", "weight", *_THOUGHTS),
}
#: Bookkeeping that no reader of the conversation misses.
_UNREAD = {
    *("id", "uuid", "index", "timestamp", "created", "created_at", "date", "model", "usage"),
    *("logprobs", "token_ids", "finish_reason", "stop_reason", "stop_sequence", "metadata"),
    *("response_metadata", "additional_kwargs", "usage_metadata", "extra", "status", "cost"),
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXTS = ("text", "input_text", "output_text")


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
    if several and _all_named(raws):
        return [_spoken(i, m, left) for i, m in enumerate(raws)], left
    found: list[Message] = []
    for i, message in enumerate(raws):
        try:
            found += _message(i, message, left)
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
        raw = json.loads(raw) if raw.strip() else None
    out = []
    for tool in _sequence(raw or []):
        if "function" in tool:
            out.append({"type": "function", **tool})
            continue
        schema = tool.get("parameters", tool.get("input_schema")) or {"type": "object"}
        kept = {k: tool[k] for k in ("name", "description") if tool.get(k)}
        out.append({"type": "function", "function": {**kept, "parameters": schema}})
    return tuple(out)


def read_text(content: Any, left: list[tuple[str, int]]) -> str:
    """The text of a content: a text, parts, a JSON value, or nothing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping) and "type" not in content:
        return json.dumps(content, ensure_ascii=False)
    if not isinstance(content, Mapping | list):
        raise ValueError(f"a content is {content!r}, expected a text, parts or nothing")
    parts = [content] if isinstance(content, Mapping) else content
    return "\n".join(t for p in parts if (t := _part_text(p, left)) is not None)


def _part_text(part: Any, left: list[tuple[str, int]]) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return json.dumps(part, ensure_ascii=False)
    kind = str(part.get("type", "text" if "text" in part else ""))
    if kind in _TEXTS:
        return str(part.get("text") or "")
    if kind == "refusal":
        return str(part.get("refusal") or "")
    if kind == "json":
        return json.dumps(part.get("json"), ensure_ascii=False)
    if not kind:
        return json.dumps(part, ensure_ascii=False)
    kind = kind.removeprefix("input_").removesuffix("_url")
    left.append((f"{kind} parts", 1))
    return f"({kind} left out)"


def _message(i: int, raw: Mapping[str, Any], left: list[tuple[str, int]]) -> list[Message]:
    """A message, after the replies to tools that Anthropic puts into it."""
    name = str(raw.get("role", raw.get("from", raw.get("type")))).lower()
    if name not in _ROLES:
        raise ValueError(
            f"message {i} has the role {name!r}, expected one of {', '.join(_ROLES)}; rename it, "
            "or name the speaker of every message in 'name' if several agents talk"
        )
    role, content = _ROLES[name], raw.get("content", raw.get("value"))
    left += [(f"field {k!r}", 1) for k, v in raw.items() if k not in _READ | _UNREAD and v]
    if role == "tool":
        text = read_text(content, left)
        tool = str(raw.get("name") or "")
        return [Message("tool", text, i, call_id=str(raw.get("tool_call_id") or ""), name=tool)]
    blocks = [b for b in content if isinstance(b, Mapping)] if isinstance(content, list) else []
    special = {"tool_use", "tool_result", "thinking", "redacted_thinking"}
    rest: Any = content
    if any(b.get("type") in special for b in blocks):
        rest = [b for b in blocks if b.get("type") not in special]
    replies = [_result(i, b, left) for b in blocks if b.get("type") == "tool_result"]
    text = read_text(rest, left)
    if role != "assistant":
        return [*replies, Message(role, text, i)] if rest or not replies else replies
    calls = [*_calls(i, raw), *(_call(i, b) for b in blocks if b.get("type") == "tool_use")]
    if name == "function_call":  # ShareGPT: the text is the call
        calls, text = [_call(i, _parsed(text))], ""
    if raw.get("refusal"):
        text = f"{text}\n{raw['refusal']}" if text else str(raw["refusal"])
    thoughts = [raw[k] for k in _THOUGHTS if raw.get(k)][:1]
    thoughts += [b.get("thinking") for b in blocks if b.get("type") == "thinking"]
    hidden = sum(b.get("type") == "redacted_thinking" for b in blocks)
    left += [("thoughts that the log has only encrypted", hidden)] * bool(hidden)
    reasoning = "\n".join(read_text(t, left) for t in thoughts)
    step = raw.get("weight") != 0
    left += [] if step else [("assistant messages of weight 0 as steps", 1)]
    return [Message("assistant", text, i, tuple(calls), reasoning, step=step)]


def _result(i: int, block: Mapping[str, Any], left: list[tuple[str, int]]) -> Message:
    call_id = str(block.get("tool_use_id") or "")
    return Message("tool", read_text(block.get("content"), left), i, call_id=call_id)


def _calls(i: int, raw: Mapping[str, Any]) -> list[Call]:
    calls = raw.get("tool_calls") or []
    calls = _sequence(_parsed(calls) if isinstance(calls, str) else calls)
    if raw.get("function_call"):
        calls = [*calls, _parsed(raw["function_call"])]
    return [_call(i, c) for c in calls]


def _call(i: int, raw: Any) -> Call:
    if not isinstance(raw, Mapping):
        raise ValueError(f"message {i} has the tool call {raw!r}, expected a mapping with a name")
    inner = raw.get("function", raw.get("custom", raw))
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise ValueError(f"message {i} has a tool call without a name: {dict(raw)}")
    given = next((inner[k] for k in ("arguments", "args", "input") if k in inner), None)
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
            call = next((c for c in waiting if m.call_id in ("", c.id)), None)
            if call:
                waiting.remove(call)
            name = m.name or names.get(m.call_id) or (call.name if call else "")
            m = replace(m, name=name, call_id=m.call_id or (call.id if call else ""))
        out.append(m)
    return out


def _all_named(raws: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each message names its speaker: in ``name``, or in place of a role."""
    speakers = {str(m.get("name") or m.get("role")) for m in raws}
    return not speakers & {"user", "assistant", "tool"}


def _spoken(i: int, raw: Mapping[str, Any], left: list[tuple[str, int]]) -> Message:
    text, speaker = read_text(raw.get("content"), left), str(raw.get("name") or raw.get("role"))
    if speaker in ("human", "system"):
        return Message("user" if speaker == "human" else "system", text, i)
    return Message("assistant", f"{speaker}:\n{text}", i, step=True)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as err:
        raise ValueError(f"expected JSON, got {value[:60]!r}: {err}") from err


def _sequence(value: Any) -> list[Any]:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return list(value)
    raise ValueError(f"messages are {type(value).__name__}, expected a list of messages")


def _mapping(i: int, message: Any, left: list[tuple[str, int]]) -> Mapping[str, Any]:
    """A message as a mapping; the objects of client libraries give theirs as pairs."""
    try:
        return {str(k): plain(v, left) for k, v in dict(message).items()}
    except (TypeError, ValueError) as err:
        raise ValueError(
            f"message {i} is of type {type(message).__name__}, expected a mapping with 'role' and "
            "'content'; objects of client libraries have message.model_dump()"
        ) from err


def plain(value: Any, left: list[tuple[str, int]]) -> Any:
    """The same in plain lists and mappings; what a table has for "nothing" is None."""
    if isinstance(value, str):
        if not value.isascii() and (whole := _SURROGATE.sub("\ufffd", value)) != value:
            left.append(("texts with half a character", 1))
            return whole
        return value
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {str(k): plain(v, left) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, left) for v in value]
    if callable(getattr(type(value), "tolist", None)):  # numpy's arrays and numbers
        return plain(value.tolist(), left)
    try:
        return {str(k): plain(v, left) for k, v in dict(value).items()}
    except (TypeError, ValueError):  # a date, say
        return str(value)
