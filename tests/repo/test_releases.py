"""What the status page says of runs with other releases, and what they install."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import releases


def test_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH", raising=False)
    assert len(releases.needs()) == len(releases.pins("floors")) == 9
    assert "transformers==5.0.*" in releases.pins("floors")
    assert "torch==2.8.*" in releases.pins("floors") and "torch" in releases.pins("newest")
    monkeypatch.setenv("TORCH", "2.13.0")
    assert "torch==2.13.0.*" in releases.pins("floors")
    assert "torch==2.13.0" in releases.pins("newest")


def test_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(releases, "RECORDS", tmp_path / "releases.json")
    assert releases.table() == "No run has been recorded yet.\n"
    record = {
        "packages": "floors", "command": "make floors", "commit": "abc1234", "date": "2025-01-02",
        "python": "3.11.7", "versions": {"numpy": "2.0.0", "torch": "2.13.0"},
        "tests": {"passed": 9, "skipped": 1, "failed": ["test_x::test_y"], "seconds": 120},
    }  # fmt: skip
    releases.RECORDS.write_text(json.dumps([record]))
    assert releases.table() == (
        "| packages | Python | numpy | torch | tests | made |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| floors | 3.11.7 | 2.0.0 | 2.13.0 | 9 passed, 1 failed, 1 skipped, 2 min "
        "| 2025-01-02, `abc1234` |\n"
    )
