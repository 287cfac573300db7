"""One form for the logs of any agent; readers.py and atif.py make it, render.py tokenizes it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class Call:
    """One call of a tool."""

    name: str
    """The tool."""
    arguments: str
    """What it was given, as JSON (or as the model wrote it, where that isn't JSON)."""
    id: str = ""
    """What its reply names; "" if the log has none."""


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: Role
    """Who speaks."""
    text: str
    """What is said; "" for a message that only calls tools."""
    index: int
    """Which message of the log it comes from; -1 if the log has it outside of its messages."""
    calls: tuple[Call, ...] = ()
    """Tools that the assistant calls."""
    reasoning: str = ""
    """The assistant's thoughts where the log keeps them apart from the text."""
    call_id: str = ""
    """Which call a tool replies to."""
    name: str = ""
    """The tool that replies."""
    step: bool = False
    """The message is one step of the agent: an assistant's, with all its calls."""


@dataclass(frozen=True)
class Log:
    """One run of an agent.

    Raises:
        ValueError: no message is a step, the reward lies outside 0 to 1, or a label belongs to a
            message that is no step.
    """

    messages: tuple[Message, ...]
    """The conversation, in order."""
    source: str
    """File and line."""
    task: str
    """What was asked: attempts at one task have the same."""
    id: str
    """The run's own id; by default its line."""
    own_id: bool = False
    """The record names its id."""
    reward: float | None = None
    """What the run earned, 0 to 1; None if that isn't known."""
    reward_field: str = ""
    """Which field of the record says so."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Schemas of the tools, in OpenAI's form."""
    labels: tuple[tuple[int, float], ...] = ()
    """Index of a message in the log, and its label: 1 good, 0 neutral, -1 the mistake."""
    left_out: tuple[tuple[str, int], ...] = ()
    """What the reader could not keep, and how often."""

    def __post_init__(self) -> None:
        if not any(m.step for m in self.messages):
            raise ValueError(
                f"{self.source}: no message is a step of the agent; expected one with the role "
                "'assistant' at least, whose weight isn't 0"
            )
        if self.reward is not None and not 0 <= self.reward <= 1:
            raise ValueError(f"{self.source}: {_bad_reward(self.reward, 'reward')}")
        for index, _ in self.labels:
            self.step_of(index)

    @property
    def steps(self) -> tuple[int, ...]:
        """Index in the log of each step's message."""
        return tuple(m.index for m in self.messages if m.step)

    def step_of(self, index: int) -> int:
        """Which step a message of the log is."""
        if index not in self.steps:
            raise ValueError(
                f"{self.source}: message {index} has a label but is no step of the agent; its "
                f"steps are the messages {', '.join(map(str, self.steps))}"
            )
        return self.steps.index(index)


def read_reward(value: Any, field: str = "reward") -> float | None:
    """A reward as logs have it: a number of any library, a boolean, a text, or nothing.

    Args:
        value: what came.
        field: where it stood, for the error.

    Returns:
        0 to 1, or None if there is none.

    Raises:
        ValueError: it is no number, or out of range.

    Example:
        >>> read_reward("0.5"), read_reward(True), read_reward("")
        (0.5, 1.0, None)
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        word = value.strip().lower() if isinstance(value, str) else ""
        number = _WORDS[word] if word in _WORDS else float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as err:
        raise ValueError(_bad_reward(value, field)) from err
    if math.isnan(number) or not 0 <= number <= 1:
        raise ValueError(_bad_reward(value, field))
    return number


def _bad_reward(value: Any, field: str) -> str:
    shown = value if isinstance(value, int | float) else repr(value)
    return (
        f"{field} is {shown}, expected 0 to 1 or None; scale it, or leave it out where the outcome "
        "isn't known"
    )


def arguments_text(value: Any) -> str:
    """A call's arguments as JSON; a text is kept as it is."""
    if value is None:
        return "{}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def counted(what: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """The same things added up, in order of first appearance."""
    total: Counter[str] = Counter()
    for name, n in what:
        total[name] += n
    return tuple(total.items())
