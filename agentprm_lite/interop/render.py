"""A whole conversation through the model's own chat template, and which tokens are whose.

The conversation is rendered once and tokenized once, with offsets. To find each turn in it, it is
rendered a second time with private characters around what the assistant said and called: without
them both renderings have to be equal. A step's tokens go from the end of the prompt before it to
its end-of-turn token; M is read at the last of them.

What a template can't show is shown as text, and counted:

- calls, replies and schemas of tools in the form ``<tool_call>``, ``<tool_response>``, ``<tools>``
  with JSON inside, a reply in a user's message, schemas in the system message;
- a system message before the text of the next user message;
- users in a row as one message; between two assistants in a row a user who says "(continue)".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from agentprm_lite.hub import ChatFormat
from agentprm_lite.interop.logs import Log, Message, counted
from agentprm_lite.interop.shapes import Shown, shaped
from agentprm_lite.interop.template import Template, render, template_of
from agentprm_lite.interop.tokens import FIRST, MARKS, PART, tokens, unmarked
from agentprm_lite.types import Task, Trajectory, Usage


@dataclass(frozen=True)
class Rendered:
    """A conversation as ids."""

    ids: tuple[int, ...]
    """The rendering up to the end of the last step, as sampling would have it."""
    spans: tuple[tuple[int, int], ...]
    """[start, end) of each step in it."""
    notes: tuple[tuple[str, int], ...]
    """What the template doesn't show, or shows otherwise, and how often."""


def trajectory(
    chat: ChatFormat, log: Log, task: Task, *, sample: int = 0, policy: str = "recorded"
) -> tuple[Trajectory, tuple[tuple[str, int], ...]]:
    """A log as the trajectory that reward models learn from and score.

    Args:
        chat: chat format of the reward model's base.
        log: the run.
        task: its task.
        sample: number of the attempt.
        policy: name of the agent.

    Returns:
        The trajectory, and what of the log it doesn't hold, with counts.

    Raises:
        ValueError: the template can't show the log exactly; says what to do.
    """
    done = rendered(chat, log)
    steps = [k for k, m in enumerate(log.messages) if m.step]
    replies = [log.messages[a + 1 : b] for a, b in pairwise([-1, *steps, len(log.messages)])]
    over = log.reward is not None
    made = Trajectory(
        task=task,
        sample=sample,
        seed=0,
        ids=done.ids,
        prompt_len=done.spans[0][0],
        spans=done.spans,
        logprobs=(),
        actions=tuple(said(log.messages[k]) for k in steps),
        observations=tuple("\n\n".join(map(said, messages)) for messages in replies),
        rewards=(*[0.0] * (len(steps) - 1), log.reward or 0.0),
        terminated=over,
        truncated=False,
        truncated_by="",
        final=over,
        success=log.reward == 1,
        usage=Usage(),
        policy=policy,
    )
    return made, counted([*log.left_out, *done.notes])


def said(m: Message) -> str:
    """A message for a reader: its text, then its calls."""
    calls = [f"{c.name}({c.arguments})" for c in m.calls]
    return "\n".join([m.text] * bool(m.text or not calls) + calls)


def rendered(chat: ChatFormat, log: Log) -> Rendered:
    """Ids and steps of a conversation.

    Args:
        chat: chat format of the model.
        log: the run.

    Returns:
        See :class:`Rendered`.

    Raises:
        ValueError: the template can't show the log exactly.
    """
    if not chat.tokenizer.is_fast:
        raise ValueError(
            f"tokenizer {chat.tokenizer.name_or_path!r} tells no offsets, by which turns are found "
            "in a conversation: use one with a tokenizer.json"
        )
    if any(MARKS.search(said(m) + m.reasoning) for m in log.messages):
        raise ValueError(
            f"{log.source}: a text has private characters from U+100000 on; remove them"
        )
    template = template_of(chat)
    for as_text in (False, True) if template.calls != "text" else (True,):
        shown, notes = shaped(log, template, as_text=as_text)
        tools = log.tools if template.schemas and not as_text else ()
        try:
            text, marked = _both(chat, template, shown, tools)
            turns = _turns(template, shown, marked)
        except ValueError as err:
            problem = err
            continue
        ids, spans = tokens(chat, template, marked, turns)
        if empty := [str(k) for k, (low, high) in enumerate(spans) if low >= high]:
            raise ValueError(
                f"{log.source}: step {', '.join(empty)} says nothing, and the chat template shows "
                "nothing of it; leave the message out, or give it weight 0"
            )
        return Rendered(ids, spans, counted([*notes, *_dropped(shown, text), *_silent(log)]))
    raise ValueError(
        f"{log.source}: the chat template of {chat.tokenizer.name_or_path!r} doesn't show this "
        f"conversation as it is ({problem}); take another base, or set its chat_template to one "
        "that shows every message once and in order"
    )


def _both(
    chat: ChatFormat, template: Template, shown: Sequence[Shown], tools: Sequence[Any]
) -> tuple[str, str]:
    """The rendering, without marks and with them."""
    text = render(chat, [s.fields for s in shown], tools)
    marked = render(chat, [_marked(k, s, template) for k, s in enumerate(shown)], tools)
    if unmarked(marked) != text:
        raise ValueError("what it shows depends on how the texts begin and end")
    return text, marked


def _marked(k: int, shown: Shown, template: Template) -> dict[str, Any]:
    """A message with marks: around what an assistant says, inside of other texts.

    Names of special tokens in texts are parted, so that those left are the template's own.
    """
    start, end, thought = _marks(k)
    names = re.compile("|".join(map(re.escape, template.special)) or r"(?!)")

    def parted(value: Any) -> Any:
        if isinstance(value, str):
            return names.sub(lambda m: m[0][0] + PART + m[0][1:], value)
        if isinstance(value, dict):
            return {parted(k): parted(v) for k, v in value.items()}
        return [parted(v) for v in value] if isinstance(value, list) else value

    content = parted(shown.fields["content"])
    if shown.origin is None:
        half = len(content) // 2
        content = content[:half] + start * bool(content.strip()) + content[half:]
        return {**shown.fields, "content": content}
    fields = {**shown.fields, "content": _around(content, start, end)}
    if template.reasoning in fields:
        thoughts = parted(fields[template.reasoning])
        fields[template.reasoning] = _around(thoughts, thought, "")
    if "tool_calls" in fields:
        calls = [c["function"] for c in fields["tool_calls"]]
        inner = [{"name": start + c["name"], "arguments": parted(c["arguments"])} for c in calls]
        pairs = zip(fields["tool_calls"], inner, strict=True)
        fields["tool_calls"] = [{**c, "function": f} for c, f in pairs]
    return fields


def _marks(k: int) -> tuple[str, str, str]:
    """Before what is said and each call, after what is said, before thoughts."""
    return chr(FIRST + 3 * k), chr(FIRST + 3 * k + 1), chr(FIRST + 3 * k + 2)


def _around(text: str, start: str, end: str) -> str:
    """The text with marks where it begins and ends for a reader: after thoughts, without spaces."""
    thoughts, close, answer = text.rpartition("</think>")
    core = answer.strip()
    if not core:
        return text
    return thoughts + close + answer.replace(core, start + core + end, 1)


def _turns(template: Template, shown: Sequence[Shown], marked: str) -> list[tuple[int, int]]:
    """Where each step begins and ends in the marked rendering."""
    places = [[m.start() for m in re.finditer(f"[{''.join(_marks(k))}]", marked)]
              for k in range(len(shown))]  # fmt: skip
    turns, before, role = [], 0, ""
    for k, s in enumerate(shown):
        answer = s.fields["content"].rpartition("</think>" if s.origin else "\0")[2]
        expected = len(s.fields.get("tool_calls", [])) + bool(answer.strip())
        if marked.count(_marks(k)[0]) != expected:
            raise ValueError(f"a message of the role {s.fields['role']!r} isn't shown just once")
        if s.origin is not None:
            later = min((p for more in places[k + 1 :] for p in more), default=len(marked))
            begin = _begin(template, marked, before, places[k], later, role)
            end = _end(template, marked, max([begin, *places[k]]), later)
            if min(places[k], default=before) < before:
                raise ValueError(f"it moves what message {s.origin.index} says")
            before = end
            turns += [(begin, end)] * s.origin.step
        before, role = max([before, *places[k]]), s.fields["role"]
    return turns


def _begin(
    template: Template, marked: str, low: int, own: Sequence[int], later: int, role: str
) -> int:
    """The end of the mark of a turn: the last before what is said, the first if that is nothing."""
    for header in (template.tails.get(role, ""), template.header):
        at = marked.rfind(header, low, own[0]) if own else marked.find(header, low, later)
        if header and at >= 0:
            return at + len(header)
    raise ValueError("it doesn't mark where an assistant's turn begins")


def _end(template: Template, marked: str, said: int, later: int) -> int:
    """The end of a turn: after its end token; without one, after what is said."""
    found = [(p, p + len(n)) for n in template.ends if (p := marked.find(n, said, later)) >= 0]
    if found:
        return min(found)[1]
    if later == len(marked):
        return len(marked.rstrip())
    if (ord(marked[said]) - FIRST) % 3 != 1:
        raise ValueError("it doesn't mark where an assistant's turn ends")
    return said


def _dropped(shown: Sequence[Shown], text: str) -> list[tuple[str, int]]:
    """Thoughts that the template leaves out."""
    lost = 0
    for s in shown:
        if s.origin is not None:
            inside = re.findall(r"<think>(.*?)</think>", s.origin.text, re.S)
            thoughts = [t.strip() for t in (s.origin.reasoning, *inside)]
            lost += any(t not in text for t in thoughts if t)
    return [("turns without their thoughts", lost)] * bool(lost)


def _silent(log: Log) -> list[tuple[str, int]]:
    """Turns with neither text nor call nor thought: the agent's own, or the log has lost it."""
    steps = [m for m in log.messages if m.step]
    count = sum(not (m.text.strip() or m.calls or m.reasoning) for m in steps)
    return [("turns that say nothing", count)] * bool(count)
