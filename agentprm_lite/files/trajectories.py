"""Trajectories as JSON lines: one a line, appended and never rewritten.

So a crash costs at most the line that was being written. What is read is checked field by field.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, fields
from itertools import takewhile
from pathlib import Path
from typing import Any

from agentprm_lite.chat import Chat
from agentprm_lite.types import Task, Trajectory, Usage

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
_MARK = b"\xef\xbb\xbf"  # of the byte order, which editors leave
_HEAD = b'{"version":%d,"task":{"env":"' % SCHEMA_VERSION  # of every row


def to_line(trajectory: Trajectory) -> str:
    """One line of JSON, without the line break.

    What :func:`from_line` would refuse is a ValueError that names trajectory and field.
    """
    data = {"version": SCHEMA_VERSION, **asdict(trajectory)}
    try:
        line = json.dumps(data, separators=(",", ":"), default=_plain)
        from_line(line)
    except (TypeError, ValueError) as err:
        raise ValueError(f"trajectory {trajectory.key} can't be written: {err}") from err
    return line


def _plain(value: Any) -> Any:
    """A number of numpy's or torch's as Python's; anything else as an object, which is refused."""
    try:
        return value.item()
    except (AttributeError, ValueError, RuntimeError):
        return {type(value).__name__: str(value)}


def from_line(line: str) -> Trajectory:
    """Read what :func:`to_line` wrote; a field that is missing or wrong is named."""
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError(f"a trajectory is a JSON object, got {type(data).__name__}")
    version = data.pop("version", None)
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"schema version {version!r}, this library reads {SCHEMA_VERSION}: install the "
            "agentprm_lite that wrote the file, or collect the file again"
        )
    try:
        _check_fields(data)
        task, usage = Task(**data.pop("task")), Usage(**data.pop("usage"))
        spans = tuple((a, b) for a, b in data.pop("spans"))
        lists = {name: tuple(value) for name, value in data.items() if type(value) is list}
        return Trajectory(task=task, usage=usage, spans=spans, **data | lists)
    except (KeyError, TypeError) as err:
        missing = f"the field {err} is missing" if isinstance(err, KeyError) else err
        raise ValueError(f"not a trajectory: {missing}") from err


#: Type of a field -> types of a value in a file (bool is no int), and what is expected.
_HELD: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "bool": ((bool,), "true or false"),
    "str": ((str,), "a text"),
    "Task": ((dict,), "an object"),
    "Usage": ((dict,), "an object"),
    "tuple[int, ...]": ((int,), "a list of whole numbers"),
    "tuple[float, ...]": ((int, float), "a list of finite numbers"),
    "tuple[str, ...]": ((str,), "a list of texts"),
    "tuple[tuple[int, int], ...]": ((list,), "a list of pairs of whole numbers"),
}


def _check_fields(data: dict[str, Any]) -> None:
    for field in fields(Trajectory):
        value, (types, expected) = data[field.name], _HELD[str(field.type)]
        if not expected.startswith("a list"):
            if type(value) not in types:
                raise ValueError(f"{field.name} is {value!r}, expected {expected}")
            continue
        odd = [v for v in value if type(v) not in types] if type(value) is list else [value]
        if float in types:
            odd = odd or [v for v in value if not math.isfinite(v)]
        if list in types:
            odd = odd or [v for v in value if list(map(type, v)) != [int, int]]
        if odd:
            raise ValueError(f"{field.name} has {odd[0]!r}, expected {expected}")
    for name, n in data["usage"].items():
        if type(n) is not int or n < 0:
            raise ValueError(f"usage has {name} {n!r}, expected a whole number, at least 0")


def append_jsonl(path: str | Path, trajectories: Iterable[Trajectory]) -> None:
    """Append trajectories to a file, made if absent, and flush it to the disk.

    All lines are made before the first is written. A last row that a crash cut off is removed
    first; a whole one without its line break gets it. A trajectory that could not be read back, or
    a file that ends with anything else than a row, is a ValueError, and nothing is written.
    """
    path = Path(path)
    lines = [to_line(trajectory).encode() + b"\n" for trajectory in trajectories]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as f:
        start = end = f.tell()
        while start > 0:
            f.seek(start - 1)
            if f.read(1) == b"\n" and start < end:
                break
            start -= 1
        f.seek(start)
        last = f.read()
        try:
            row = _row(last)
        except ValueError as err:
            raise ValueError(f"{path}, last line: {err}") from err
        if row is None and not last.endswith(b"\n"):
            f.truncate(start)
        elif not last.endswith(b"\n"):
            lines.insert(0, b"\n")
        f.writelines(lines)
        f.flush()
        os.fsync(f.fileno())


def _row(line: bytes) -> Trajectory | None:
    """The trajectory of a line of a file; None if it is empty, or a row that a crash cut off."""
    text = line.removeprefix(_MARK).strip()
    try:
        return from_line(text.decode()) if text else None
    except json.JSONDecodeError:
        if line.endswith(b"\n") or not (text.startswith(_HEAD) or _HEAD.startswith(text)):
            raise
        return None


def read_jsonl(path: str | Path, chat: Chat | None = None) -> list[Trajectory]:
    """Trajectories of a file, in its order.

    Give the chat format of the model that is to read them: a file that was collected with another
    tokenizer or template is then a ValueError, and doesn't train a judge on ids without meaning.

    A last row that a crash cut off is left out, with a warning in the log; a byte order mark and
    empty lines, which editors leave, are passed over. Any other broken line, another version, a
    field of another type or the same attempt twice is a ValueError that names file, line and field.
    """
    found: list[Trajectory] = []
    lines: dict[tuple[Task, int, int], int] = {}
    with Path(path).open("rb") as f:
        for number, raw in enumerate(f, start=1):
            try:
                trajectory = _row(raw)
                if trajectory and chat is not None:
                    _check_words(trajectory, chat)
            except ValueError as err:
                raise ValueError(f"{path}, line {number}: {err}") from err
            if trajectory is None:
                if raw.removeprefix(_MARK).strip():
                    logger.warning(
                        "%s: line %d is unfinished (the writer was interrupted); kept the %d whole "
                        "lines before it",
                        *(path, number, number - 1),
                    )
                continue
            key = (trajectory.task, trajectory.sample, trajectory.seed)
            if lines.setdefault(key, number) != number:
                raise ValueError(
                    f"{path}, line {number}: task, sample and seed are those of line {lines[key]} "
                    f"({trajectory.key}), expected each attempt once"
                )
            found.append(trajectory)
    return found


def _check_words(t: Trajectory, chat: Chat) -> None:
    """Refuse ids that don't say in a chat format what the turns say.

    Only words are compared, and one turn's mark is enough: a recording's ids lack thoughts that its
    ``actions`` have, or the other way round, and after a tool or as the first message a turn may
    have no mark.
    """
    told = (reversed(chat.observation_ids(text)) for text in ("a", "b c"))
    same = takewhile(lambda pair: pair[0] == pair[1], zip(*told, strict=False))
    mark = tuple(a for a, _ in same)[::-1]  # of a turn; a recording has no "<think>" in it
    heads = {mark[max(0, k - 2) : k] for k in range(1, len(mark) + 1)}
    read = " ".join(chat.decode(t.ids[a:b]) for a, b in t.spans)
    words = _words(" ".join(t.actions)), _words(read)
    if 2 * len(words[0] & words[1]) < min(map(len, words)):
        raise ValueError(
            f"the turns say {t.actions[0][:40]!r}, in this chat format their ids are "
            f"{read[:40]!r}: they were made with another tokenizer; collect or translate again"
        )
    starts = [a for a, _ in t.spans]
    if starts and not any(t.ids[a - len(h) : a] == h for a in starts for h in heads):
        before = t.ids[: t.prompt_len][-len(mark) :]
        raise ValueError(
            f"turns begin after the ids {before}, in this chat format after {mark}: they were made "
            "with another chat template; collect or translate again"
        )


def _words(text: str) -> set[str]:
    """The words of a text; those in the arguments of a call may be escaped, as JSON does."""
    escaped = r"\\u([0-9a-fA-F]{4})|\\[nrt]"
    text = re.sub(escaped, lambda found: chr(int(found[1] or "20", 16)), text)
    return set(re.findall(r"\w+", unicodedata.normalize("NFKC", text)))
