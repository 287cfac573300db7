"""Files of logs: JSON lines, one JSON array, one JSON object; UTF-8 with or without a BOM; .gz."""

from __future__ import annotations

import gzip
import json
import logging
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentprm_lite.interop.atif import is_atif, read_atif
from agentprm_lite.interop.logs import Log, Message, counted, read_reward
from agentprm_lite.interop.readers import parsed, read_messages, read_tools
from agentprm_lite.interop.texts import read_text

logger = logging.getLogger(__name__)

CONVERSATION = ("messages", "conversations", "conversation", "history", "trajectory")
REWARD = ("reward", "success", "score", "resolved", "passed", "is_correct", "is_success")
#: What names a task, or, where several share that name, an item of it, as "webshop" and 7.
TASK = ("task", "task_name")
ITEM = (
    "task_id",
    "item_id",
    "instance_id",
    "problem_id",
    "question_id",
    "question_ID",
    "query_index",
)
ID = ("id", "run_id", "trajectory_id", "session_id", "uuid", "total_index")
#: What the chat of several agents was asked, where none of them says it.
_ASKED = ("question", "problem", "instruction", "task_description")


def read_logs(paths: str | Path | Sequence[str | Path]) -> list[Log]:
    """All runs of some files.

    Args:
        paths: files of logs, or one.

    Returns:
        The runs, in order.

    Raises:
        ValueError: a file isn't text or JSON, or a record is no log; names file, line and field.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    rows = [(f"{path}, line {line}", line, row) for path in paths for line, row in read_rows(path)]
    logs = [read_log(row, source, default_id=str(line)) for source, line, row in rows]
    if not logs:
        raise ValueError(f"{', '.join(map(str, paths))}: no records")
    _say_what_is_odd([row if isinstance(row, Mapping) else {} for *_, row in rows], logs)
    return logs


def _say_what_is_odd(rows: Sequence[Mapping[str, Any]], logs: Sequence[Log]) -> None:
    """What may be as it should, and may be a slip."""
    if len(logs) > 1 and not any(map(_task_names, rows)) and len({log.task for log in logs}) == 1:
        logger.warning(
            "all %d runs begin alike and name no task, so they count as attempts at one task; if "
            "that isn't so, name each run's in a field task_id",
            len(logs),
        )
    first = {(log.task, log.messages): log for log in reversed(logs)}
    same = [log for log in logs if not log.own_id and first[log.task, log.messages] is not log]
    if same:
        logger.warning(
            "%d of %d runs have no id and say the same as another run of their task; leave out "
            "those that are copies, which count twice",
            *(len(same), len(logs)),
        )
    pairs = zip(rows, logs, strict=True)
    odd = [f"{log.source}: {said}" for row, log in pairs if (said := _contradiction(row))]
    if odd:
        logger.warning(
            "%d of %d runs have 0 in one field and 1 in another, and the first counts, as in %s",
            *(len(odd), len(logs), odd[0]),
        )


def read_rows(path: str | Path) -> Iterator[tuple[int, Any]]:
    """The JSON values of a file, one after the other, however they are broken into lines.

    Args:
        path: the file.

    Yields:
        Number of the line where a record begins (in an array: counted as if each had a line), and
        the record.

    Raises:
        ValueError: the file isn't UTF-8 (UTF-16 with its mark is read, too) or not JSON.
    """
    text, decoder = _text(Path(path)), json.JSONDecoder()
    line, place = 1, 0
    while found := re.compile(r"[^\s\ufeff]").search(text, place):
        line += text.count("\n", place, found.start())
        try:
            value, end = decoder.raw_decode(text, found.start())
        except json.JSONDecodeError as err:
            at = text.count("\n", 0, err.pos) + 1
            raise ValueError(f"{path}, line {at}: not JSON: {err.msg}") from err
        except (ValueError, RecursionError) as err:  # a number or nesting beyond all bounds
            raise ValueError(f"{path}, line {line}: not JSON that can be read: {err}") from err
        if isinstance(value, list) and not _is_conversation(value):
            yield from enumerate(value, start=line)
        else:
            yield line, value
        line += text.count("\n", found.start(), end)
        place = end


def _text(path: Path) -> str:
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as err:
            raise ValueError(f"{path}: the gzip file is cut or garbled: {err}") from err
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte {data[err.start]:#04x} isn't UTF-8; save the file as UTF-8"
        ) from err


def _is_conversation(rows: list[Any]) -> bool:
    return bool(rows) and all(
        isinstance(m, Mapping) and not m.keys().isdisjoint({"role", "from"}) for m in rows
    )


def read_log(row: Any, source: str, *, default_id: str = "") -> Log:
    """One record.

    Args:
        row: messages, or an object that holds them, in any form that readers.py and atif.py know.
        source: where it stands, for messages.
        default_id: its id where it names none.

    Returns:
        The run.

    Raises:
        ValueError: the record is no log; names source and field.
    """
    fields = row if isinstance(row, Mapping) else {"messages": row}
    try:
        if not isinstance(row, Iterable) or (isinstance(row, str) and row.lstrip()[:1] != "["):
            raise ValueError(
                f"the record is {json.dumps(row, default=str)[:60]}, expected an object with "
                "messages, or a list of messages"
            )
        messages, left, tools = _conversation(fields)
        asked = next((m.text for m in messages if m.role == "user"), messages[0].text)
        own_id = _named(fields, ID)
        name, reward = next(_rewards(fields), ("", None))
        return Log(
            tuple(messages),
            source=source,
            task="/".join(_task_names(fields)) or asked,
            id=default_id if own_id is None else _name(own_id),
            own_id=own_id is not None,
            reward=read_reward(reward, name),
            reward_field=name,
            tools=tools,
            labels=_labels(fields, messages),
            left_out=counted(left),
        )
    except ValueError as err:
        text = str(err)
        raise ValueError(text if text.startswith(source) else f"{source}: {text}") from err


def _task_names(fields: Mapping[str, Any]) -> list[str]:
    """What a record says of its task, none of it twice."""
    found = [x for names in (TASK, ITEM) if (x := _named(fields, names)) is not None]
    return list(dict.fromkeys(map(_name, found or filter(None, [fields.get("question")]))))


def _conversation(
    fields: Mapping[str, Any],
) -> tuple[list[Message], list[tuple[str, int]], tuple[Mapping[str, Any], ...]]:
    root: Any = fields if is_atif(fields) else fields.get("trajectory")
    if is_atif(root):
        messages, left = read_atif(root)
        return messages, left, read_tools((root.get("agent") or {}).get("tool_definitions"))
    key = next((k for k in CONVERSATION if fields.get(k) is not None), None)
    if key is None:
        raise ValueError(
            f"no conversation: the fields are {', '.join(map(str, fields)) or 'none'}, expected "
            f"one of {', '.join(CONVERSATION)}, or an ATIF trajectory (schema_version, steps)"
        )
    messages, left = read_messages(fields[key], several=key == "history")
    if not messages:
        raise ValueError(f"{key} is empty, expected messages")
    if fields.get("system"):
        messages = [Message("system", read_text(fields["system"], left), -1), *messages]
    if not any(m.role == "user" for m in messages):
        asked = next((fields[k] for k in _ASKED if isinstance(fields.get(k), str)), None)
        messages = [Message("user", asked, -1), *messages] if asked else messages
    return messages, left, read_tools(_first(fields, ("tools", "functions")))


def _rewards(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Fields for rewards that hold something, beside the conversation and in its extra fields.

    The first one counts.
    """
    inner = fields.get("trajectory")
    at, root = ("trajectory.", inner) if isinstance(inner, Mapping) else ("", fields)
    metrics = root.get("final_metrics")
    more = metrics.get("extra") if isinstance(metrics, Mapping) else None
    places = {"": fields, f"{at}extra.": root.get("extra"), f"{at}final_metrics.": metrics,
              f"{at}final_metrics.extra.": more, "metadata.": fields.get("metadata")}  # fmt: skip
    for path, place in places.items():
        if isinstance(place, Mapping):
            yield from ((path + k, place[k]) for k in REWARD if _holds(place.get(k)))
    if _holds(label := fields.get("final_label")):  # 1 or -1: right or wrong
        yield "final_label", 0 if str(label) == "-1" else label


def _contradiction(fields: Mapping[str, Any]) -> str:
    """Which field of a record says 0, and which 1; empty if they agree, or hold something else."""
    said: dict[float | None, str] = {}
    for name, value in _rewards(fields):
        try:
            said.setdefault(read_reward(value), name)
        except ValueError:  # in a field that doesn't count
            continue
    ends = [f"{name} {number:g}" for number, name in said.items() if number in (0, 1)]
    return ", ".join(ends) * (len(ends) == 2)


def _holds(value: Any) -> bool:
    return value is not None and bool(str(value).strip())


def _first(fields: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((v for k in names if _holds(v := fields.get(k))), None)


def _named(fields: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The first of some names that a record gives; NaN is a gap in a table."""
    gaps = {k for k in names if isinstance(v := fields.get(k), float) and math.isnan(v)}
    return _first(fields, [k for k in names if k not in gaps])


def _name(value: Any) -> str:
    """A name as text; a table with gaps has 7.0 for 7."""
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _labels(
    fields: Mapping[str, Any], messages: Sequence[Message]
) -> tuple[tuple[int, float], ...]:
    steps = [m.index for m in messages if m.step]
    labels, mistake = fields.get("step_labels"), fields.get("mistake_step")
    if isinstance(labels, str) and labels.strip():
        labels = parsed(labels, "step_labels") if labels.lstrip()[0] in "[{" else labels
    if isinstance(labels, list):
        if len(labels) != len(steps):
            raise ValueError(f"step_labels are {len(labels)}, the steps {len(steps)}")
        pairs = list(zip(steps, labels, strict=True))
    elif isinstance(labels, Mapping):
        pairs = [(_number("step_labels", k, int), v) for k, v in labels.items()]
    elif labels:
        raise ValueError(f"step_labels are {labels!r}, expected one a step, or by message")
    else:
        pairs = [] if mistake in (None, "") else [(_number("mistake_step", mistake, int), -1)]
    known = [(i, v) for i, v in pairs if v not in (None, "") and v == v]  # not NaN
    return tuple((i, _number("step_labels", v, float)) for i, v in known)


def _number(field: str, value: Any, kind: type[Any]) -> Any:
    try:
        number = float(value)
        if number == kind(number):
            return kind(number)
    except (TypeError, ValueError, OverflowError):
        pass
    what = "the index of a message" if kind is int else "a number"
    raise ValueError(f"{field}: got {value!r}, expected {what}")
