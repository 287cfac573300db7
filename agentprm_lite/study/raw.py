"""Attempts and judges' values as rows of the raw numbers that are stored."""

from __future__ import annotations

from typing import Any

from agentprm_lite.prm import StepValues
from agentprm_lite.types import Trajectory


def attempt_row(t: Trajectory) -> list[Any]:
    """[outcome, success, cut by the context, tokens of each turn]."""
    tokens = [end - start for start, end in t.spans]
    return [round(t.outcome, 4), int(t.success), int(t.truncated_by == "tokens"), tokens]


def value_rows(values: list[StepValues], groups: list[list[int]]) -> list[list[list[int]]]:
    """1,000 × M at the prompt and after each turn, of every attempt at every task."""
    return [
        [[round(1000 * m) for m in (values[i].root, *values[i].q.tolist())] for i in group]
        for group in groups
    ]
