"""ReAct turns, and what makes a conversation ids: ids in, ids out.

A policy answers every observation with one turn, "Thought: … Action: …". A :class:`Chat` writes the
ids around the turns; those of a turn are the ones that were sampled, and never tokenized again.

Boundary rule ("last-sampled-token"): the score of an action is read at the last token that the
policy produced in its turn, normally the end-of-turn token; the root value is read at the last
token before the first turn. The rule and a hash of the template travel with every checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

#: Where M is read; see above.
BOUNDARY_RULE = "last-sampled-token"
#: Reply to a turn with several actions, in the words of AgentGym's client.
TOO_MANY_ACTIONS = "Error: Only one 'Action' is allowed per response. Please adjust your response."
_ACTION = re.compile(r"Action:\s*(.*?)(?=\n|$)")
_THOUGHTS_END = re.compile(r"</think>|<\|channel\|>final<\|message\|>")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9, ]")


def react(thought: str, action: str) -> str:
    """One ReAct turn."""
    return f"Thought:\n{thought}\n\nAction:\n{action}"


def parse_action(text: str) -> str | None:
    """The action in a turn by the rules of AgentGym's client, "" for none, None for several.

    It is what stands after "Action:" on its line: letters, digits, commas and single spaces of it.
    """
    found = _ACTION.findall(_THOUGHTS_END.split(text)[-1])
    if len(found) > 1:
        return None
    action = _NOT_ALLOWED.sub("", found[0]) if found else ""
    return " ".join(action.split())


def last_action(text: str) -> str:
    """The action in a turn with all its characters: brackets, signs, line breaks."""
    return _THOUGHTS_END.split(text)[-1].rpartition("Action:")[2].strip()


class Chat(Protocol):
    """How a policy's conversation becomes ids; the wing hub reads it off any chat template."""

    end_id: int  #: The token that ends a turn.
    end_ids: frozenset[int]  #: Tokens after which the model stops.

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides the ids; a reward model is bound to it."""

    def opening_ids(self, observation: str, rules: tuple[str, str] | None = None) -> list[int]:
        """The prompt: rules and their acknowledgement if given, observation, mark of a turn."""

    def turn_ids(self, text: str) -> list[int]:
        """A turn as a policy would produce it, end-of-turn token included."""

    def observation_ids(self, observation: str, *, ended: bool = True) -> list[int]:
        """What stands between two turns; begins with the end of a turn that has not ``ended``."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a turn, without what the template puts around it."""
