"""The page of families says what the record says, and the record is of those that are tried."""

from __future__ import annotations

import json
from pathlib import Path

import families_page as page
import pytest

from agentprm_lite.tutorial.small_families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]


def test_the_record_is_of_todays_families() -> None:
    record = json.loads(page.RECORD.read_text(encoding="utf-8"))
    assert list(record["families"]) == list(FAMILIES)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{len(FAMILIES)} families, from Llama" in readme
    assert record["command"] == "python -m agentprm_lite.tutorial.families results/families.json"


def test_every_family_has_a_row_and_every_reason_a_note() -> None:
    lines = page.page().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][2:]
    assert [row[0] for row in rows] == list(FAMILIES)
    assert lines[0].startswith(f"{len(FAMILIES)} of {len(FAMILIES)} families went the whole way.")
    notes = [line for line in lines if line.startswith(tuple("123456789"))][1:]
    assert {c for row in rows for c in row[1:]} == {
        "yes", "plain", "fast and plain", *(f"no ({k + 1})" for k in range(len(notes))),
    }  # fmt: skip
    assert notes == []


def test_a_small_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = {
        "command": "make it", "commit": "0123456789", "date": "2026-01-02",
        "versions": {"torch": "2.13.0"},
        "families": {
            "A": {"SFT": True, "sampling": "plain"},
            "B": {"SFT": "ValueError: M = 1 where 2: say why", "sampling": "KeyError: 'x'"},
            "C": {"SFT": "ValueError: M = 3 where 4: say why", "sampling": "plain"},
        },
    }  # fmt: skip
    monkeypatch.setattr(page, "RECORD", tmp_path / "families.json")
    page.RECORD.write_text(json.dumps(record))
    assert page.page() == (
        "1 of 3 families went the whole way. Made by `make it` at commit `0123456` on 2026-01-02, "
        "torch 2.13.0.\n\n"
        "| family | SFT | sampling |\n| --- | --- | --- |\n| A | yes | plain |\n"
        "| B | no (1) | no (2) |\n| C | no (1) | plain |\n\n1. say why\n2. 'x'\n"
    )
