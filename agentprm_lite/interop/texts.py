"""Texts of logs: contents in parts, and values of tables and client libraries as plain ones."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXTS = ("text", "input_text", "output_text")
_MEDIA = ("image", "audio", "video", "file", "document", "media")


def read_text(content: Any, left: list[tuple[str, int]]) -> str:
    """The text of a content: a text, parts, a JSON value, or nothing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, Mapping | list) or (
        isinstance(content, Mapping) and "type" not in content
    ):
        return json.dumps(content, ensure_ascii=False)
    parts = [content] if isinstance(content, Mapping) else content
    return "\n".join(_part_text(p, left) for p in parts)


def _part_text(part: Any, left: list[tuple[str, int]]) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return json.dumps(part, ensure_ascii=False)
    kind = str(part.get("type", "text" if "text" in part else ""))
    if kind in _TEXTS:
        text = next((part[k] for k in ("text", "value", "content") if part.get(k)), "")
        return str(text.get("value", text) if isinstance(text, Mapping) else text)
    if kind == "refusal":
        return str(part.get("refusal") or "")
    if kind == "json":
        return json.dumps(part.get("json"), ensure_ascii=False)
    source = part.get("source")
    if kind == "document" and isinstance(source, Mapping) and source.get("type") == "text":
        return str(source.get("data") or "")
    short = kind.removeprefix("input_").removesuffix("_url")
    if short in _MEDIA:
        left.append((f"{short} parts", 1))
        return f"({short} left out)"
    left += [(f"{kind} parts as JSON", 1)] * bool(kind)
    return json.dumps(part, ensure_ascii=False)


def plain(value: Any, left: list[tuple[str, int]]) -> Any:
    """The same in plain lists and mappings; what a table has for "nothing" is None."""
    if isinstance(value, str):
        if not value.isascii() and (whole := _SURROGATE.sub("\ufffd", value)) != value:
            left.append(("texts with half a character", 1))
            return whole
        return value
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {str(k): plain(v, left) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, left) for v in value]
    if callable(getattr(type(value), "tolist", None)):  # numpy's arrays and numbers
        return plain(value.tolist(), left)
    try:
        return {str(k): plain(v, left) for k, v in dict(value).items()}
    except (TypeError, ValueError):  # a date, say
        return str(value)
