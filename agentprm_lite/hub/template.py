"""A chat template taken apart: which text stands around what is said.

A template is known by what it renders. It is asked to show conversations of marks; the texts around
the marks are its pieces. Put together again around other texts they must be what the template shows
of these, which is checked when a :class:`agentprm_lite.hub.format.ChatFormat` is made.

A template that prints today's date would show another prompt tomorrow, so the date is fixed.
"""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jinja2 import TemplateError

#: What templates print as today's date.
DATE = datetime.date(2024, 7, 26)
_TODAY = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")
_USER, _USER2, _SAID = "\u2460user\u2460", "\u2462more\u2462", "\u2461assistant\u2461"
_PAD = " \n"
_WAY_OUT = "; use another model, or set tokenizer.chat_template"


@dataclass(frozen=True)
class Pieces:
    """The texts of a template around observations and turns."""

    head: str  #: Before the first observation.
    tail: str  #: After it: its end, and the generation prompt.
    ack: str
    """Between the first message and a turn of the past: ``tail`` and ``lead``, unless the template
    shows such turns without what its generation prompt begins (an open ``<think>``)."""
    lead: str  #: Between the generation prompt and the text of a turn: a space, an empty thought.
    trail: str  #: Between the text of a turn and its end, such as a space.
    end: str  #: The token that ends a turn.
    past_end: str  #: The token that ends a turn of the past: another in gpt-oss, none in some.
    between: str  #: From the end of a turn to the next observation.
    after: str  #: From there to the next turn, as ``tail``.
    strips: tuple[bool, bool]  #: Leaves out white space around observations, and around turns.

    @property
    def forgets(self) -> bool:
        """Turns of the past aren't shown as they were produced, but without their thoughts."""
        return self.ack != self.tail + self.lead


def fixed_date(tokenizer: Any) -> Any:
    """The tokenizer, or a copy whose template prints :data:`DATE` where it printed today's date."""
    template = tokenizer.chat_template
    named = template if isinstance(template, dict) else {"default": template}
    fixed = {
        name: _TODAY.sub(lambda call: repr(DATE.strftime(call[2])), text)
        for name, text in named.items()
    }
    if any("strftime_now(" in text for text in fixed.values()):
        raise ValueError(
            f"the chat template of {tokenizer.name_or_path!r} prints today's date, so that every "
            f"day has other prompts{_WAY_OUT} to one without strftime_now"
        )
    if fixed == named:
        return tokenizer
    tokenizer = copy.copy(tokenizer)
    tokenizer.chat_template = fixed if isinstance(template, dict) else fixed["default"]
    return tokenizer


def render(tokenizer: Any, texts: Sequence[str], *, prompt: bool) -> str:
    """A conversation as the template shows it."""
    roles = ("user", "assistant") * len(texts)
    messages = [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)]
    try:
        return str(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        )
    except TemplateError as err:
        raise ValueError(
            f"the chat template refuses user and assistant in turn: {err}{_WAY_OUT}"
        ) from err


class Codec:
    """Ids of a template's texts, and back."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        added = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
        #: Special tokens by name.
        self.special = {name: tokenizer.convert_tokens_to_ids(name) for name in added}
        longest_first = sorted(added, key=len, reverse=True)
        #: Finds their names in a text.
        self.names = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def ids(self, *texts: str) -> list[int]:
        """Ids of one text in parts: the template's own, something said, and so on in turn.

        A special token's name in what is said is only text.
        """
        if not any(self.names.search(said) for said in texts[1::2]):
            return list(self.tokenizer.encode("".join(texts), add_special_tokens=False))
        cut = [""]  # texts and names in turn
        for k, text in enumerate(texts):
            parts = [text] if k % 2 else re.split(f"({self.names.pattern})", text)
            cut = [*cut[:-1], cut[-1] + parts[0], *parts[1:]]
        ids = [[self.special[t]] if k % 2 else self.encode(t) for k, t in enumerate(cut)]
        return [i for part in ids for i in part]

    def encode(self, text: str) -> list[int]:
        """Ids of a text by itself; a special token's name in it is only text."""
        options = {"add_special_tokens": False, "split_special_tokens": True}
        return list(self.tokenizer.encode(text, **options)) if text else []

    def text(self, ids: Sequence[int], before: Sequence[int]) -> str:
        """Text of ids that stand after others; SentencePiece drops a text's very first space."""
        decode = partial(
            self.tokenizer.decode, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        first, whole = decode(list(before)), decode([*before, *ids])
        return str(whole[len(first) :] if whole.startswith(first) else decode(list(ids)))


def take_apart(codec: Codec, stops: Collection[int]) -> Pieces:
    """The pieces of a tokenizer's template; its turns end with a special token."""
    shown = partial(render, codec.tokenizer)
    head, tail = _around(shown([_USER], prompt=True), _USER)
    three = (_USER, _SAID, _USER2)
    _, ack, past, after = _around(shown(three, prompt=True), *three)
    _, now, last = _around(shown([_USER, _SAID], prompt=False), _USER, _SAID)
    found, before = codec.names.search(last), codec.names.search(past)
    if (
        before is None
        or not (found or codec.special[before[0]] in stops)
        or past[: before.start()].strip()
    ):
        raise ValueError(
            f"the chat template ends a turn with {(past or last)[:16]!r}, expected a special token "
            f"of the tokenizer, such as eos_token {codec.tokenizer.eos_token!r}{_WAY_OUT} to one "
            "that puts it after every assistant's message"
        )
    lead = ""
    if ack.startswith(tail):
        lead = ack[len(tail) :]
    elif now.startswith(tail):
        lead = now[len(tail) :]
    elif tail.rstrip().endswith("<think>"):
        lead = "\n</think>\n\n"
    end = (found or before)[0]
    # in some templates no end stands there, but the mark of the next role
    marks = before[0] not in (end, *codec.names.findall(tail))
    return Pieces(
        head=head,
        tail=tail,
        ack=ack,
        lead=lead,
        trail=past[: before.start()],
        end=end,
        past_end="" if marks else before[0],
        between=past[before.start() if marks else before.end() :],
        after=after,
        strips=(
            _strips(lambda text: shown([text], prompt=True), _USER),
            _strips(lambda text: shown(["x", text, "x"], prompt=True), _SAID),
        ),
    )


def _around(shown: str, *marks: str) -> list[str]:
    """The texts before, between and after marks that have to stand there once each, in order."""
    out = []
    for mark in marks:
        before, found, shown = shown.partition(mark)
        if not found or mark in shown:
            raise ValueError(
                "the chat template doesn't show every message once, in order" + _WAY_OUT
            )
        out.append(before)
    return [*out, shown]


def _strips(shown: Callable[[str], str], mark: str) -> bool:
    """Whether the template leaves out white space around a text."""
    bare, padded = _around(shown(mark), mark), _around(shown(_PAD + mark + _PAD), mark)
    if padded == bare:
        return True
    if padded == [bare[0] + _PAD, _PAD + bare[1]]:
        return False
    raise ValueError(
        "the chat template changes the white space around a message by a rule of its own" + _WAY_OUT
    )
