"""What a chat template can show, found by trying it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile
from typing import Any, Literal

from jinja2 import TemplateError

from agentprm_lite.hub import ChatFormat

_U, _A, _W, _X = "zulu", "alpha", "whisky", "xerox"  # words that no template has
_HALF = re.compile("[\ud800-\udfff]")  # of a character, in a call's arguments
_TOOL = {
    "type": "function",
    "function": {
        "name": "tango",
        "description": "delta",
        "parameters": {"type": "object", "properties": {"kilo": {"type": "string"}}},
    },
}


@dataclass(frozen=True)
class Template:
    """What a chat template shows."""

    system: bool
    """A system message at the head."""
    late_system: bool
    """A system message later."""
    assistant_first: bool
    """A conversation that an assistant begins."""
    rows: bool
    """Two messages of one role in a row."""
    calls: Literal["mapping", "string", "text"]
    """How it takes the arguments of calls; as text if it shows no calls or replies."""
    short_ids: bool
    """Ids of calls have to be nine letters and digits (Mistral)."""
    schemas: bool
    """Schemas of tools."""
    reasoning: str
    """Name of the field for thoughts; "" if it has none."""
    header: str
    """What stands between a message and an assistant's turn, whoever spoke before; may be ""."""
    tails: dict[str, str] = field(default_factory=dict)
    """What stands between the text of a role's message and the turn after it."""
    ends: tuple[str, ...] = ()
    """Tokens that end a turn."""
    special: tuple[str, ...] = ()
    """Names of all special tokens, longest first."""


def render(
    chat: ChatFormat,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    prompt: bool = False,
) -> str:
    """The template's text.

    Args:
        chat: chat format.
        messages: in the template's form.
        tools: schemas.
        prompt: end with the mark of an assistant's turn.

    Returns:
        The text.

    Raises:
        ValueError: the template refuses the messages; says why.
    """
    try:
        text = chat.tokenizer.apply_chat_template(
            [dict(m) for m in messages],
            tools=list(tools) or None,
            tokenize=False,
            add_generation_prompt=prompt,
        )
        return _HALF.sub("\ufffd", str(text))
    except (TemplateError, TypeError, KeyError, AttributeError, IndexError) as err:
        raise ValueError(f"the template says: {err}") from err


@lru_cache(maxsize=8)
def template_of(chat: ChatFormat) -> Template:
    """What the template of a chat format shows.

    Args:
        chat: chat format.

    Returns:
        See :class:`Template`.
    """

    def shows(*messages: dict[str, Any], tools: Sequence[Any] = (), words: str) -> bool:
        try:
            text = render(chat, messages, tools)
        except ValueError:
            return False
        places = [text.find(w) for w in words.split()]
        return min(places) >= 0 and places == sorted(places)

    user, turn, system = _said("user", _U), _said("assistant", _A), _said("system", _W)
    given = {"mapping": {"kilo": "lima"}, "string": '{"kilo": "lima"}'}
    ways = [(how, call_id) for how in given for call_id in ("call_1", "call00001")]
    words = f"{_U} tango lima {_X} {_A}"
    works = [w for w in ways if shows(user, *_asked(given[w[0]], w[1], _X), turn, words=words)]
    calls: Any = works[0][0] if works else "text"
    fields = ("reasoning_content", "thinking", "reasoning")
    thoughts = [k for k in fields if shows(user, {**turn, k: _W}, words=f"{_U} {_W} {_A}")]
    if works and not thoughts:
        called, tool_reply = _asked(given[calls], works[0][1], _X)
        words = f"{_U} {_W} tango {_X} {_A}"
        thoughts = [
            k for k in fields if shows(user, {**called, k: _W}, tool_reply, turn, words=words)
        ]
    more = [user, _said("user", _W), turn, _said("assistant", _X), user]
    schema = bool(works) and shows(user, turn, tools=[_TOOL], words=f"delta kilo {_A}")
    histories = {
        "user": ([user], [_said("user", _W)]),
        "assistant": ([user, turn], [user, _said("assistant", _W)]),
    }
    if works:
        tool = [[user, *_asked(given[calls], f"call0000{k}", w)] for k, w in enumerate((_X, _W))]
        histories["tool"] = (tool[0], tool[1])
    tails = {role: tail for role, pair in histories.items() if (tail := _tail(chat, *pair))}
    special = [t.content for t in chat.tokenizer.added_tokens_decoder.values() if t.special]
    special.sort(key=len, reverse=True)
    ends = _ends(chat, special, histories.get("tool", ([], []))[0])
    return Template(
        system=shows(system, user, turn, words=f"{_W} {_U} {_A}"),
        late_system=shows(user, turn, system, _said("user", _X), words=f"{_U} {_A} {_W} {_X}"),
        assistant_first=shows(turn, user, turn, words=f"{_A} {_U}"),
        rows=shows(*more, words=f"{_U} {_W} {_A} {_X}"),
        calls=calls,
        short_ids=bool(works) and works[0][1] != "call_1",
        schemas=schema,
        reasoning=thoughts[0] if thoughts else "",
        header=_header(chat, user),
        tails=tails,
        ends=ends,
        special=tuple(special),
    )


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def _asked(given: Any, call_id: str, reply: str) -> list[dict[str, Any]]:
    """A call of a tool, and its reply."""
    call = call_fields("tango", given, call_id)
    return [
        {**_said("assistant", ""), "tool_calls": [call]},
        {**_said("tool", reply), "name": "tango", "tool_call_id": call_id},
    ]


def call_fields(name: str, given: Any, call_id: str) -> dict[str, Any]:
    """A call as templates take it."""
    return {"type": "function", "id": call_id, "function": {"name": name, "arguments": given}}


def _shared(texts: Sequence[str]) -> str:
    """What all texts begin with."""
    columns = takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in columns)


def _until_turn(chat: ChatFormat, history: Sequence[Mapping[str, Any]]) -> str:
    """The text up to where the next turn begins, wherever it stands in a conversation."""
    turn = [*history, _said("assistant", _A)]
    text = render(chat, history, prompt=True)
    for whole in (turn, [*turn, _said("user", _X)]):  # thoughts may be opened in one of them
        text = _shared([text, render(chat, whole)])
    return text


def _tail(chat: ChatFormat, one: Sequence[Any], other: Sequence[Any]) -> str:
    """What stands between a message and the next turn: the end that two histories share."""
    try:
        texts = [_until_turn(chat, history)[::-1] for history in (one, other)]
    except ValueError:
        return ""
    return _shared(texts)[::-1]


def _header(chat: ChatFormat, user: Mapping[str, Any]) -> str:
    text = _until_turn(chat, [user])
    return text[len(_shared([text, render(chat, [user])])) :]


def _ends(chat: ChatFormat, special: Sequence[str], called: Sequence[Any]) -> tuple[str, ...]:
    """Tokens that end a turn: the first after what is said, in the middle and last, or called."""
    eos, found = chat.tokenizer.eos_token, []
    said = [_said("user", _U), _said("assistant", _A)]
    texts = [(render(chat, said), _A), (render(chat, [*said, _said("user", _X)]), _A)]
    texts += [(render(chat, called), "lima")] if called else []
    for text, word in texts:
        rest = text.rpartition(word)[2].partition(_X)[0]
        inside = sorted((t for t in special if t in rest), key=rest.find)
        found += [t for t in inside if t in found or t == eos][:1] or inside[:1]
    own = chat.tokenizer.convert_ids_to_tokens(chat.end_id)
    return tuple(dict.fromkeys([*found, own, *filter(None, [eos])]))
