"""The table of model families, from results/families.json."""

from __future__ import annotations

import json
from typing import Any

from results_page import ROOT, table

RECORD = ROOT / "results" / "families.json"


def page() -> str:
    """Who made the record, the table, and the reason of everything that isn't just "yes"."""
    if not RECORD.exists():
        return "No run is stored yet.\n"
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    families: dict[str, dict[str, Any]] = record["families"]
    stages = list(next(iter(families.values())))
    notes: list[str] = []  # reasons, each said once
    rows = [
        [name, *(cell(done.get(stage, "not reached"), notes) for stage in stages)]
        for name, done in families.items()
    ]
    whole = sum(all(x is True or "plain" in str(x) for x in d.values()) for d in families.values())
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return "\n".join([
        f"{whole} of {len(families)} families went the whole way. Made by `{record['command']}` at "
        f"commit `{record['commit'][:7]}` on {record['date']}, {versions}.\n",
        table(["family", *stages], rows),
        *(f"{k}. {note}" for k, note in enumerate(notes, start=1)),
        "",
    ])  # fmt: skip


def cell(done: Any, notes: list[str]) -> str:
    """Yes, which players played, or the number of the reason why not."""
    if done is True:
        return "yes"
    if done in ("plain", "fast and plain"):
        return str(done)
    reason = without_numbers(str(done))
    if reason not in notes:
        notes.append(reason)
    return f"no ({notes.index(reason) + 1})"


def without_numbers(reason: str) -> str:
    """A refusal's reason, the same for all models: what stands after the numbers of this one."""
    kind, _, said = reason.partition(": ")
    return said.partition(": ")[2] or said or kind
