"""Checks of trajectory files: the field, what came and what was expected."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any


def check_line(data: dict[str, Any]) -> None:
    """Every field has the type that :meth:`agentprm_lite.types.Trajectory.to_json` writes."""
    lists: dict[str, tuple[set[type], str]] = {
        "ids": ({int}, "whole numbers"),
        "logprobs": ({int, float}, "finite numbers"),
        "rewards": ({int, float}, "finite numbers"),
        "actions": ({str}, "texts"),
        "observations": ({str}, "texts"),
        "spans": ({list}, "pairs of whole numbers"),
    }
    for name, (types, what) in lists.items():
        values = data[name]
        if not isinstance(values, list) or not set(map(type, values)) <= types:
            raise ValueError(f"{name} has {_odd(values, types)!r}, expected a list of {what}")
        if float in types and not all(map(math.isfinite, values)):
            raise ValueError(f"{name} has {_odd(values, set())!r}, expected a list of {what}")
    for span in data["spans"]:
        if list(map(type, span)) != [int, int]:
            raise ValueError(f"spans has {span!r}, expected a list of pairs of whole numbers")
    single: dict[str, tuple[type, str]] = {
        **dict.fromkeys(("sample", "seed", "prompt_len"), (int, "a whole number")),
        **dict.fromkeys(("terminated", "truncated", "final", "success"), (bool, "true or false")),
        **dict.fromkeys(("truncated_by", "policy"), (str, "a text")),
        **dict.fromkeys(("task", "usage"), (dict, "an object")),
    }
    for name, (kind, what) in single.items():
        if type(data[name]) is not kind:
            raise ValueError(f"{name} is {data[name]!r}, expected {what}")


def _odd(values: Any, types: set[type]) -> Any:
    """The value that is wrong: of another type, or else not finite."""
    if not isinstance(values, list):
        return values
    wrong = (v for v in values if (type(v) not in types if types else not math.isfinite(v)))
    return next(wrong)


def finite_number(name: str, value: Any) -> float:
    """A number of any library as Python's."""
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} has {value!r}, expected finite numbers")
    return number


def cut_broken_end(path: Path) -> None:
    """Cut off a last line that a crash left unfinished."""
    if not path.exists():
        return
    with path.open("rb+") as f:
        data_end = f.seek(0, os.SEEK_END)
        end = data_end
        while end > 0:
            f.seek(end - 1)
            if f.read(1) == b"\n":
                break
            end -= 1
        if end < data_end:
            f.truncate(end)
