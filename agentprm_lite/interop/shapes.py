"""A log brought into the shape that a chat template shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentprm_lite.interop.logs import Call, Log, Message
from agentprm_lite.interop.template import Template, call_fields

#: What a user says between two turns of an assistant that a template can't show in a row.
FILLER = "(continue)"


@dataclass(frozen=True)
class Shown:
    """A message as a template takes it."""

    fields: dict[str, Any]
    """``role``, ``content`` and, for an assistant, ``tool_calls``."""
    origin: Message | None = None
    """The assistant's message that it shows."""


def shaped(
    log: Log, template: Template, *, as_text: bool
) -> tuple[list[Shown], list[tuple[str, int]]]:
    """The messages of a log up to its last step, in the shape that a template shows.

    Args:
        log: the run.
        template: what the template shows.
        as_text: show tools as text.

    Returns:
        Messages for the template, and what is shown otherwise than the log has it, with counts.
    """
    notes: list[tuple[str, int]] = []
    last = max(k for k, m in enumerate(log.messages) if m.step)
    messages = list(log.messages[: last + 1])
    head = [m for m in messages if m.role == "system"][:1]
    if log.tools and (as_text or not template.schemas):
        schemas = "\n".join(json.dumps(t.get("function", t), ensure_ascii=False) for t in log.tools)
        text = f"<tools>\n{schemas}\n</tools>"
        if head and messages[0] is head[0]:
            messages[0] = Message("system", f"{head[0].text}\n\n{text}", head[0].index)
        else:
            messages.insert(0, Message("system", text, -1))
        notes.append(("schemas of tools as text", len(log.tools)))
    out: list[Shown] = []
    for m in messages:
        _put(out, m, template, as_text, notes)
    if not template.rows or not template.assistant_first:
        out = _alternate(out, template, notes)
    return out, notes


def _put(
    out: list[Shown],
    m: Message,
    template: Template,
    as_text: bool,
    notes: list[tuple[str, int]],
) -> None:
    """Append a message in the template's shape."""
    if m.role == "assistant":
        out.append(Shown(_turn(m, template, as_text, notes), m))
    elif m.role == "tool" and not as_text:
        call_id = _short(m.call_id) if template.short_ids else m.call_id
        extra = {k: v for k, v in (("name", m.name), ("tool_call_id", call_id)) if v}
        out.append(Shown({"role": "tool", "content": m.text, **extra}))
    elif m.role == "tool":
        text = f"<tool_response>\n{m.text}\n</tool_response>"
        last = out[-1].fields if out else {}
        if last.get("replies"):  # of calls side by side
            last["content"] += f"\n{text}"
        else:
            out.append(Shown({"role": "user", "content": text, "replies": True}))
        notes.append(("replies of tools as text", 1))
    elif m.role == "system" and not (template.late_system if out else template.system):
        out.append(Shown({"role": "user", "content": m.text}))
        notes.append(("system messages as a user's", 1))
    else:
        out.append(Shown({"role": m.role, "content": m.text}))


def _turn(
    m: Message, template: Template, as_text: bool, notes: list[tuple[str, int]]
) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": "assistant", "content": m.text}
    if m.reasoning and template.reasoning:
        fields[template.reasoning] = m.reasoning
    if m.calls and as_text:
        fields["content"] = "\n".join([m.text] * bool(m.text) + [_call_text(c) for c in m.calls])
        notes.append(("calls of tools as text", len(m.calls)))
    elif m.calls:
        fields["tool_calls"] = [
            call_fields(
                c.name,
                _mapping(c) if template.calls == "mapping" else c.arguments,
                _short(c.id) if template.short_ids else c.id,
            )
            for c in m.calls
        ]
    return fields


def _call_text(call: Call) -> str:
    body = json.dumps({"name": call.name, "arguments": _mapping(call)}, ensure_ascii=False)
    return f"<tool_call>\n{body}\n</tool_call>"


def _mapping(call: Call) -> Any:
    """The arguments as a mapping; as the text that they are, where that isn't one."""
    try:
        value = json.loads(call.arguments)
    except ValueError:
        return call.arguments
    return value if isinstance(value, dict) else call.arguments


def _short(call_id: str) -> str:
    """Nine letters and digits, the same for the same id."""
    number = sum(ord(c) * 31**k for k, c in enumerate(call_id)) % 10**9
    return f"{number:09d}"


def _alternate(
    shown: Sequence[Shown], template: Template, notes: list[tuple[str, int]]
) -> list[Shown]:
    """Users in a row as one message, and a filler between assistants and before the first."""
    out: list[Shown] = []
    for s in shown:
        role, last = s.fields["role"], out[-1].fields if out else {"role": "start"}
        first = all(o.fields["role"] == "system" for o in out)
        if not template.rows and role == last["role"] == "user":
            last["content"] += f"\n\n{s.fields['content']}"
            notes.append(("users' messages joined with the one before", 1))
            continue
        lone = first and not template.assistant_first
        doubled = not template.rows and last["role"] == "assistant"
        if role == "assistant" and (lone or doubled):
            out.append(Shown({"role": "user", "content": FILLER}))
            notes.append((f"users who say {FILLER!r}", 1))
        out.append(s)
    return out
