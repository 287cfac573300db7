"""ReAct turns, chat templates and the boundary rule: ids in, ids out.

A policy answers every observation with one turn, "Thought: … Action: …". The pieces between two
turns (end of turn, role marks, the observation) are tokenized on their own and appended to the ids
that were sampled; nothing that the model produced is ever tokenized again.

Boundary rule ("last-sampled-token"): the score of an action is read at the last token that the
policy produced in its turn, normally the end-of-turn token; the root value is read at the last
token before the first turn. The rule and a hash of the template travel with every checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Where M is read; see above.
BOUNDARY_RULE = "last-sampled-token"
#: Reply to a turn with several actions, in the words of AgentGym's client.
TOO_MANY_ACTIONS = "Error: Only one 'Action' is allowed per response. Please adjust your response."
_ACTION = re.compile(r"Action:\s*(.*?)(?=\n|$)")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9, ]")
_USER, _ASSISTANT = "\u2460user\u2460", "\u2461assistant\u2461"


def react(thought: str, action: str) -> str:
    """One ReAct turn.

    Args:
        thought: the reasoning.
        action: the action itself.

    Returns:
        The text of the turn.

    Example:
        >>> react("I need 2 stick.", "get 2 stick")
        'Thought:\\nI need 2 stick.\\n\\nAction:\\nget 2 stick'
    """
    return f"Thought:\n{thought}\n\nAction:\n{action}"


def parse_action(text: str) -> str | None:
    """The action in a turn, by the rules of AgentGym's client.

    Args:
        text: what the policy produced.

    Returns:
        The text after "Action:" up to the end of its line, without characters other than letters,
        digits, commas and single spaces; "" if there is no action; None if there are several (the
        reply to that is :data:`TOO_MANY_ACTIONS`).

    Example:
        >>> parse_action(react("I need 2 stick.", "get 2  [stick]"))
        'get 2 stick'
        >>> parse_action("I give up") == ""
        True
        >>> parse_action("Action: a\\nAction: b") is None
        True
    """
    found = _ACTION.findall(text)
    if len(found) > 1:
        return None
    action = _NOT_ALLOWED.sub("", found[0]) if found else ""
    return " ".join(action.split())


def last_action(text: str) -> str:
    """The action in a turn with all its characters: brackets, signs, line breaks.

    Args:
        text: what the policy produced.

    Returns:
        The text after the last "Action:", or all of it if there is none, without spaces around it.

    Example:
        >>> last_action(react("Red.", "search[red mug]"))
        'search[red mug]'
        >>> last_action(" click[Buy Now]")
        'click[Buy Now]'
    """
    return text.rpartition("Action:")[2].strip()


class ChatFormat:
    """A tokenizer's chat template, taken apart into pieces of ids.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template and an end-of-turn token as
            ``eos_token``.

    Raises:
        ValueError: there is no chat template or no ``eos_token``, or the template doesn't show the
            messages in order.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise ValueError(
                f"tokenizer {tokenizer.name_or_path!r} has no chat template; use an instruct model "
                "or set tokenizer.chat_template"
            )
        if tokenizer.eos_token_id is None:
            raise ValueError(f"tokenizer {tokenizer.name_or_path!r} has no eos_token to end a turn")
        self.tokenizer = tokenizer
        self.end_id: int = tokenizer.eos_token_id
        first = self._render([("user", _USER)], add_generation_prompt=True)
        more = self._render(
            [("user", "x"), ("assistant", _ASSISTANT), ("user", _USER)], add_generation_prompt=True
        )
        ack = self._render([("user", _USER), ("assistant", _ASSISTANT)])
        try:
            head, tail = first.split(_USER)
            between, after = more.split(_ASSISTANT)[1].split(_USER)
            ack_between = ack.split(_USER)[1].split(_ASSISTANT)[0]
        except (ValueError, IndexError) as err:
            raise ValueError("the chat template doesn't show every message once, in order") from err
        end = tokenizer.eos_token
        if not between.startswith(end):
            raise ValueError(
                f"the chat template ends a turn with {between[:16]!r}, expected eos_token {end!r}"
            )
        self._head, self._tail = self._special(head), self._special(tail)
        self._ack = self._special(ack_between)
        self._end = [self.end_id]
        self._between = self._special(between[len(end) :])
        self._after = self._special(after)

    def _render(self, turns: Sequence[tuple[str, str]], **kwargs: Any) -> str:
        messages = [{"role": role, "content": text} for role, text in turns]
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, **kwargs))

    def _special(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; a special token's name in it is only text.

        Args:
            text: what a user, an environment or an expert wrote.

        Returns:
            Ids, without any mark around them.
        """
        if not text:
            return []
        return list(
            self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        )

    def opening_ids(self, observation: str, rules: tuple[str, str] | None = None) -> list[int]:
        """The prompt: rules, acknowledgement, first observation, and the mark of the first turn.

        Args:
            observation: first observation.
            rules: the environment's rules and the assistant's acknowledgement; None leaves both
                out (a model trained from nothing on one environment needs no rules).

        Returns:
            Ids; the root value is read at the last of them.
        """
        if rules is None:
            return self._head + self.encode(observation) + self._tail
        opening = self._head + self.encode(rules[0]) + self._ack + self.encode(rules[1])
        return opening + self.observation_ids(observation, ended=False)

    def turn_ids(self, text: str) -> list[int]:
        """A turn as a policy would produce it, end-of-turn token included.

        Args:
            text: thought and action.

        Returns:
            Ids.
        """
        return self.encode(text) + self._end

    def observation_ids(self, observation: str, *, ended: bool = True) -> list[int]:
        """What stands between a turn and the next: end of turn, observation, mark of the next turn.

        Args:
            observation: the environment's reply.
            ended: the turn already ends with the end-of-turn token; otherwise it is put first.

        Returns:
            Ids.
        """
        end = [] if ended else self._end
        return end + self._between + self.encode(observation) + self._after

    def episode_ids(
        self,
        observations: Sequence[str],
        actions: Sequence[str],
        rules: tuple[str, str] | None = None,
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """A whole episode from its texts.

        Args:
            observations: the first one and at least every reply that a turn follows.
            actions: T turns.
            rules: see :meth:`opening_ids`.

        Returns:
            Ids up to the end of the last turn, and begin and end of every turn in them.
        """
        ids = self.opening_ids(observations[0], rules)
        spans: list[tuple[int, int]] = []
        for t, action in enumerate(actions):
            ids += self.observation_ids(observations[t]) if t else []
            turn = self.turn_ids(action)
            spans.append((len(ids), len(ids) + len(turn)))
            ids += turn
        return ids, spans

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a turn, without the end-of-turn token.

        Args:
            ids: what the policy produced.

        Returns:
            The text.
        """
        kept = ids[:-1] if ids and ids[-1] == self.end_id else ids
        text = self.tokenizer.decode(
            kept, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return str(text)

    @property
    def fingerprint(self) -> str:
        """Hash of the boundary rule, the template's pieces and the vocabulary."""
        pieces = [self._head, self._tail, self._ack, self._end, self._between, self._after]
        vocab = sorted(self.tokenizer.get_vocab().items(), key=lambda kv: kv[1])
        text = json.dumps([BOUNDARY_RULE, pieces, vocab])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def save(self, folder: str | Path) -> None:
        """Write boundary rule and fingerprint beside a checkpoint.

        Args:
            folder: the checkpoint's folder.
        """
        record = {"boundary_rule": BOUNDARY_RULE, "chat": self.fingerprint}
        Path(folder, "agentprm.json").write_text(json.dumps(record, indent=1) + "\n")

    def verify(self, folder: str | Path) -> None:
        """Check that a checkpoint was trained with this boundary rule and template.

        Args:
            folder: the checkpoint's folder.

        Raises:
            ValueError: the record is missing or names another rule or template.
        """
        path = Path(folder, "agentprm.json")
        expected = {"boundary_rule": BOUNDARY_RULE, "chat": self.fingerprint}
        if not path.exists():
            raise ValueError(f"{path} is missing: {folder} isn't a checkpoint of this library")
        found = json.loads(path.read_text())
        if found != expected:
            raise ValueError(f"{path} has {found}, this tokenizer and library give {expected}")
