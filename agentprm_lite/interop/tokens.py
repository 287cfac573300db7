"""Ids of a marked rendering, and which of them belong to its turns.

Marks are private characters that stand for places and are in no token; one of them parts the names
of special tokens that somebody wrote, so that only the template's own are left whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from agentprm_lite.hub import ChatFormat
from agentprm_lite.interop.template import Template

#: The first mark, the one that parts names, and all of them.
FIRST, PART = 0x100000, "\U0010fffd"
MARKS = re.compile("[\U00100000-\U0010fffd]")
_Tokens = tuple[list[int], list[tuple[int, int]]]


def unmarked(text: str) -> str:
    """The text without marks."""
    return MARKS.sub("", text)


def tokens(
    chat: ChatFormat, template: Template, marked: str, turns: Sequence[tuple[int, int]]
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Ids of a rendering up to its last turn, and the tokens that hold any character of each turn.

    Args:
        chat: chat format.
        template: what its template shows.
        marked: the rendering.
        turns: [start, end) of each turn in it.

    Returns:
        Ids and spans.

    Raises:
        ValueError: a text has the name of a special token that can't be read as text.
    """
    ids, offsets = _apart(chat, template, marked) if PART in marked else _read(chat, marked)
    spans, low = [], 0
    for turn in turns:
        start, stop = (len(unmarked(marked[:place])) for place in turn)
        low = next((i for i in range(low, len(ids)) if offsets[i][1] > start), len(ids))
        high = next((i for i in range(low, len(ids)) if offsets[i][0] >= stop), len(ids))
        spans.append((low, high))
        low = high
    return tuple(ids[:low]), tuple(spans)


def _read(chat: ChatFormat, text: str, *, plain: bool = False) -> _Tokens:
    found: Any = chat.tokenizer(
        unmarked(text),
        add_special_tokens=False,
        return_offsets_mapping=True,
        split_special_tokens=plain,
    )
    return found["input_ids"], found["offset_mapping"]


def _apart(chat: ChatFormat, template: Template, marked: str) -> _Tokens:
    """Ids and offsets where somebody wrote the name of a special token, which is only text there.

    The rendering is cut at the template's own special tokens. Some tokenizers read the begin of a
    text otherwise than its middle: then each part is read after a line break. Which way gives the
    whole text's ids is tried with other words in place of the names.
    """
    harmless = marked.replace(PART, "x")
    for before in ("", "\n"):
        if _by_parts(chat, template, harmless, before)[0] == _read(chat, harmless)[0]:
            return _by_parts(chat, template, marked, before)
    raise ValueError(
        "a text has the name of a special token of the model, which its tokenizer can't read as "
        "plain text: change the name in the log"
    )


def _by_parts(chat: ChatFormat, template: Template, marked: str, before: str) -> _Tokens:
    skip = len(_read(chat, before, plain=True)[0]) if before else 0
    ids: list[int] = []
    offsets: list[tuple[int, int]] = []
    place = 0
    for part in re.split(f"({'|'.join(map(re.escape, template.special))})", marked):
        own, text = part in template.special, unmarked(part)
        lead, cut = ("", 0) if own or not place else (before, skip)
        found, places = _read(chat, lead + text, plain=not own)
        ids += found[cut:]
        offsets += [(a + place - len(lead), b + place - len(lead)) for a, b in places[cut:]]
        place += len(text)
    return ids, offsets
