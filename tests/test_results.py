"""The results page says what the stored file says."""

from __future__ import annotations

import json
import re

import pytest
import results_page as results


def test_cell_and_verdict() -> None:
    assert results.cell([0.1234, -0.01, 0.5]) == "12.3 [-1.0, 50.0]"
    assert results.verdict([0.2, 0.01, 0.4]) == "higher"
    assert results.verdict([-0.2, -0.4, -0.01]) == "lower"
    assert results.verdict([0.2, -0.01, 0.4]) == "undecided"
    assert results.verdict([0.2, 0.0, 0.4]) == "undecided"  # an interval that touches zero


def test_table() -> None:
    assert results.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_page_without_results(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(results, "STUDY", tmp_path / "none.json")
    assert "agentprm study --profile cpu" in results.page()


def test_every_printed_number_stands_in_the_stored_file() -> None:
    if not results.STUDY.exists():
        pytest.skip("results/study_cpu.json is not stored yet")
    study = json.loads(results.STUDY.read_text())
    stored = set(re.findall(r"-?\d+\.\d", " ".join(_percentages(study))))
    page = results.page().split("## TextCraft", 1)[1]
    printed = set(re.findall(r"(?<![\d.])-?\d+\.\d(?!\d)", page))
    assert printed <= stored, printed - stored
    assert results.FIGURE.exists()


def _percentages(node: object) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in _percentages(value)]
    if isinstance(node, list):
        return [text for value in node for text in _percentages(value)]
    return [f"{100 * node:.1f} {node:.1f}"] if isinstance(node, int | float) else []
