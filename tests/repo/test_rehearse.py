"""What the status page says of the rehearsals with other versions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import rehearse

RECORD = {
    "packages": "newest",
    "command": "python scripts/rehearse.py newest",
    "commit": "abc1234",
    "date": "2025-01-02",
    "python": "3.13.0",
    "versions": {"torch": "2.15.0", "transformers": "5.23.0", "peft": "0.21.2", "numpy": "2.5.5"},
    "notebooks": {"passed": ["01_a", "02_b"], "failed": [], "seconds": 350, "stderr": []},
    "tests": {"passed": 1200, "skipped": 3, "failed": ["test_x::test_y"], "seconds": 600},
}

KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def test_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rehearse, "RECORDS", tmp_path / "rehearsals.json")
    assert rehearse.table() == "No rehearsal has been recorded yet.\n"
    rehearse.RECORDS.write_text(json.dumps([RECORD]))
    assert rehearse.table().splitlines()[2] == (
        "| 3.13.0 | newest | 2.15.0 | 5.23.0 | 0.21.2 | 2.5.5 | 2 passed, 6 min "
        "| 1200 passed, 1 failed, 3 skipped, 10 min | 2025-01-02, `abc1234` |"
    )


def test_a_rehearsal_replaces_that_of_its_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And it fails with what failed in it."""
    monkeypatch.setattr(rehearse, "RECORDS", tmp_path / "rehearsals.json")
    rows: list[dict[str, Any]] = [
        RECORD,
        {**RECORD, "python": "3.12.1"},
        {**RECORD, "packages": "colab"},
        {**RECORD, "commit": "new", "tests": {**RECORD["tests"], "failed": []}},
    ]
    for row, status in zip(rows, (1, 1, 1, 0), strict=True):
        monkeypatch.setattr(rehearse, "rehearse", lambda label, short, row=row: row)
        monkeypatch.setattr(sys, "argv", ["rehearse.py", row["packages"]])
        assert rehearse.main() == status
    kept = [
        (r["packages"], r["python"], r["commit"]) for r in json.loads(rehearse.RECORDS.read_text())
    ]
    assert kept == [
        ("colab", "3.13.0", "abc1234"),
        ("newest", "3.12.1", "abc1234"),
        ("newest", "3.13.0", "new"),
    ]


def test_the_line_on_colab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rehearse, "RECORDS", tmp_path / "rehearsals.json")
    assert rehearse.last_green() == "Not yet green with Colab's image.\n"
    good = {**RECORD, "packages": "colab", "tests": {"passed": 7, "failed": []}, "installed": 600}
    rows = [RECORD, {**RECORD, "packages": "colab"}, good, {**good, "date": "2024-01-01"}]
    rehearse.RECORDS.write_text(json.dumps(rows))
    assert rehearse.last_green() == (
        "Last green with Colab's image: 2025-01-02, commit `abc1234`, Python 3.13.0, 600 packages "
        "installed, torch 2.15.0. `python scripts/rehearse.py newest` ran 01_a, 02_b and 7 tests; "
        "nothing on stderr.\n"
    )


def test_tests_and_notebooks_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A toy repository: three notebooks, one fails and one writes to stderr; five tests."""
    import nbformat

    monkeypatch.setattr(rehearse, "ROOT", tmp_path)
    monkeypatch.setattr(rehearse, "EXECUTED", tmp_path / "executed")
    (tmp_path / "notebooks").mkdir()
    loud = 'import warnings\nwarnings.warn("this goes", FutureWarning)'
    codes = {"01_good": 'assert PROFILE == "smoke"', "02_bad": "assert False", "03_loud": loud}
    for name, code in codes.items():
        cells = [nbformat.v4.new_code_cell('PROFILE = "auto"'), nbformat.v4.new_code_cell(code)]
        cells[0].metadata["tags"] = ["parameters"]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=KERNEL)
        nbformat.write(notebook, tmp_path / f"notebooks/{name}.ipynb")
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")
    assert "TRANSFORMERS_VERBOSITY" not in rehearse.clean_environment()
    found = rehearse.run_notebooks(rehearse.clean_environment())
    assert (found["passed"], found["failed"]) == (["01_good"], ["02_bad", "03_loud"])
    (told,) = found["stderr"]
    assert told.startswith("03_loud: ") and "FutureWarning: this goes" in told
    assert rehearse.run_notebooks(rehearse.clean_environment(), "01*")["passed"] == ["01_good"]

    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    book: slow\n")
    (tmp_path / "test_toy.py").write_text(
        "import pytest\n"
        "def test_a(): pass\n"
        "def test_b(): assert False\n"
        "@pytest.fixture\ndef broken(): raise ValueError\n"
        "def test_c(broken): pass\n"
        "@pytest.mark.skip\ndef test_d(): pass\n"
        "@pytest.mark.book\ndef test_e(): assert False\n"
    )
    found = rehearse.run_tests(dict(rehearse.os.environ))
    found.pop("seconds")
    failed = ["test_toy::test_b", "test_toy::test_c"]
    assert found == {"passed": 1, "skipped": 1, "failed": failed}
    (tmp_path / "test_toy.py").write_text("import nothing_of_this_name\n")
    assert rehearse.run_tests(dict(rehearse.os.environ))["failed"]


@pytest.mark.book
def test_a_chapter_in_a_new_shell_writes_nothing_to_stderr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the build's variables, which quiet libraries; it loads, trains and samples."""
    monkeypatch.setattr(rehearse, "EXECUTED", tmp_path)
    here = {"AGENTPRM_ARTIFACTS": str(tmp_path / "made"), "PYTHONPATH": str(rehearse.ROOT)}
    found = rehearse.run_notebooks({**rehearse.clean_environment(), **here}, "02_policy")
    assert (found["passed"], found["stderr"]) == (["02_policy"], [])
