"""A policy's chat format, from its tokenizer's chat template: ids in, ids out.

What stands between two turns (end of turn, role marks, the observation) is tokenized as one text
and appended to the ids that were sampled; nothing that the model produced is tokenized again.

So the prompt of every turn is the one that the chat template gives, with two exceptions: thoughts
stay in the history even if the template drops them later, and what the model sampled stays as it
was sampled. Nothing in the ids depends on what comes later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from agentprm_lite.chat import BOUNDARY_RULE
from agentprm_lite.hub.template import Codec, fixed_date, render, take_apart

#: Conversations whose ids have to be those of the whole text.
_PLAIN = ("Goal: craft 2 sticks.", "Thought:\nPlanks first.\n\nAction:\nget 2 planks", "Got 2.")
_PROBES = (
    _PLAIN,
    (
        " 1. a (red) mug, $3.50 [buy]\n\n  2. two\n",
        "search[red mug, 2.5 oz]",
        "\n\nno #17: <b>é</b> ",
    ),
    ("1 + 2 = ?", "3", "!"),
)


class ChatFormat(Codec):
    """A tokenizer's chat template, taken apart into pieces of text.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template. It is not changed; where the
            template prints today's date, a copy prints :data:`agentprm_lite.hub.template.DATE`.
        ends: more tokens after which the model stops, such as ``generation_config.eos_token_id``.

    Raises:
        ValueError: there is no chat template, it can't be taken apart, or its pieces together have
            other ids than the whole text; says what to do.
    """

    def __init__(self, tokenizer: Any, ends: Collection[int] = ()) -> None:
        if not tokenizer.chat_template:
            raise ValueError(
                f"tokenizer {tokenizer.name_or_path!r} has no chat template; use an instruct model "
                "or set tokenizer.chat_template"
            )
        super().__init__(fixed_date(tokenizer))
        stops = {tokenizer.eos_token_id, *ends} - {None}
        self.pieces = p = take_apart(self, stops)
        self.end_id = self.special[p.end]  #: The token that ends a turn.
        self.end_ids = frozenset({self.end_id, *stops})  #: Tokens after which the model stops.
        self._context = p.end + p.between + "x" + p.after
        self._context_ids = self.ids(self._context)
        before, _, after = self.text(self.turn_ids("x")[:-1], self._context_ids).rpartition("x")
        self._around = before, after  # of a turn's text, as they look when they are decoded
        self._probes = _hash(self._check())

    def opening_ids(self, observation: str, rules: tuple[str, str] | None = None) -> list[int]:
        """The prompt: rules and their acknowledgement if given, observation, mark of a turn."""
        p = self.pieces
        if rules is None:
            return self.ids(p.head, self._told(observation), p.tail)
        begin = p.head, self._told(rules[0]), p.ack, self._said(rules[1])
        between = p.trail + p.past_end + p.between
        return self.ids(*begin, between, self._told(observation), p.after)

    def turn_ids(self, text: str) -> list[int]:
        """A turn as a policy would produce it, end-of-turn token included."""
        p, text = self.pieces, self._said(text)
        ids = self.ids(self._context + p.lead, text, p.trail + p.end)
        n = len(self._context_ids)
        if ids[:n] == self._context_ids:
            return ids[n:]
        # a token would join the prompt's end and the turn's begin: no policy can produce that
        return self.ids(p.end + p.lead, text, p.trail + p.end)[1:]

    def observation_ids(self, observation: str, *, ended: bool = True) -> list[int]:
        """What stands between two turns; begins with the end of a turn that has not ``ended``."""
        p = self.pieces
        return self.ids(p.end + p.between, self._told(observation), p.after)[ended:]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a turn, without what the template puts around it."""
        kept = ids[:-1] if ids and ids[-1] in self.end_ids else ids
        before, after = self._around
        return self.text(kept, self._context_ids).removeprefix(before).removesuffix(after)

    def _told(self, text: str) -> str:
        return text.strip() if self.pieces.strips[0] else text

    def _said(self, text: str) -> str:
        return text.strip() if self.pieces.strips[1] else text

    def _check(self) -> list[list[int]]:
        """Prompts of the probes; refuses a format whose prompts aren't the template's own."""
        past = [self.special[self.pieces.past_end]] if self.pieces.past_end else []
        out = []
        for first, said, reply in _PROBES:
            prompts = [([first], self.opening_ids(first))]
            if not self.pieces.forgets:
                turn = [*self.turn_ids(said)[:-1], *past]
                shown = [first, said, reply]
                prompts.append((shown, prompts[0][1] + turn + self.observation_ids(reply)))
                prompts.append((shown, self.opening_ids(reply, (first, said))))
            for texts, ids in prompts:
                whole = self.ids(render(self.tokenizer, texts, prompt=True))
                if ids != whole:
                    raise ValueError(
                        f"tokenizer {self.tokenizer.name_or_path!r}: pieces of the chat template "
                        f"have other ids than the whole text ({len(ids)} tokens for "
                        f"{len(whole)}); use another model, or set tokenizer.chat_template to one "
                        "with special tokens around every message"
                    )
            out += [ids for _, ids in prompts]
        return out

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the boundary rule, the template's pieces and the vocabulary."""
        p, encode = self.pieces, self.tokenizer.encode
        texts = [p.head, p.tail, p.ack, p.end, p.between, p.after]
        pieces = [encode(text, add_special_tokens=False) if text else [] for text in texts]
        vocab = sorted(self.tokenizer.get_vocab().items(), key=lambda kv: kv[1])
        what: list[Any] = [BOUNDARY_RULE, pieces, vocab]
        # what the first releases didn't know comes last, so that their checkpoints stay valid
        if p.lead or p.trail or p.past_end != p.end or any(p.strips):
            what += [p.lead, p.trail, p.past_end, p.strips]
        opening = self.opening_ids(_PLAIN[0])
        if opening != pieces[0] + self.encode(_PLAIN[0]) + pieces[1]:  # SentencePiece
            what += [opening]
        return _hash(what)

    @property
    def record(self) -> dict[str, str]:
        """What a checkpoint says of the ids that it was made with."""
        return {"boundary_rule": BOUNDARY_RULE, "chat": self.fingerprint, "ids": self._probes}

    def save(self, folder: str | Path, **more: Any) -> None:
        """Write the record, and more if given, beside a checkpoint."""
        text = json.dumps(self.record | more, indent=1) + "\n"
        Path(folder, "agentprm.json").write_text(text)

    def verify(self, folder: str | Path) -> dict[str, Any]:
        """Refuse a checkpoint of another boundary rule, template or tokenizer; its whole record.

        Weights whose checksums stand in the record have to be those that were written.
        """
        path = Path(folder, "agentprm.json")
        if not path.exists():
            raise ValueError(f"{path} is missing: {folder} isn't a checkpoint of this library")
        try:
            found = dict(json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError) as err:
            raise ValueError(f"{path} isn't what this library wrote: {err}") from err
        for key, ours in self.record.items():
            if found.get(key, ours if key == "ids" else None) != ours:
                raise ValueError(
                    f"{path} has {found}, this tokenizer and library give {self.record}: another "
                    "chat template or vocabulary would give other numbers; load the tokenizer that "
                    "the checkpoint was made with"
                )
        for name, digest in found.get("files", {}).items():
            if not Path(folder, name).exists() or checksum(Path(folder, name)) != digest:
                raise ValueError(
                    f"{Path(folder, name)} isn't the file that was written: it is missing, cut, "
                    "garbled or another model's; copy the folder or make it again"
                )
        return found


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _hash(what: Any) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
