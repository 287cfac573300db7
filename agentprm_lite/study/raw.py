"""Attempts and judges' values as rows of the raw numbers that are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agentprm_lite.prm import StepValues
from agentprm_lite.types import Trajectory


def attempt_row(t: Trajectory) -> list[Any]:
    """[outcome, success, cut by the context, tokens of each turn]."""
    tokens = [end - start for start, end in t.spans]
    return [round(t.outcome, 4), int(t.success), int(t.truncated_by == "tokens"), tokens]


def attempt_rows(
    played: Sequence[Trajectory], groups: Iterable[list[int]]
) -> list[list[list[Any]]]:
    """The rows of all attempts, task by task."""
    return [[attempt_row(played[i]) for i in group] for group in groups]


def learned(raw: dict[str, Any]) -> int:
    """Place in an attempt's row of what its judges learned: 1, success, or 0, the reward."""
    return int(raw.get("learn_success", False))


def value_rows(values: list[StepValues], groups: list[list[int]]) -> list[list[list[int]]]:
    """1,000 × M at the prompt and after each turn, of every attempt at every task."""
    return [
        [[round(1000 * m) for m in (values[i].root, *values[i].q.tolist())] for i in group]
        for group in groups
    ]
