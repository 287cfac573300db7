"""Every notebook as Colab opens it, in the profile smoke, then the tests, in this Python.

python scripts/rehearse.py LABEL    add a record to results/rehearsals.json, LABEL its packages

It is what .github/workflows/weekly.yml calls in an environment of its own, and what the status page
shows. Artifacts are made anew. The tests marked `book` are left out: they run the notebooks again
and need a browser.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "results" / "rehearsals.json"
EXECUTED = ROOT / "_build" / "rehearsal"
PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "tokenizers",
    "numpy",
    "pandas",
    "matplotlib",
    "seaborn",
    "gymnasium",
)


def run_notebooks(environment: dict[str, str]) -> dict[str, Any]:
    """Names of the notebooks that passed and failed, seconds, warnings that their cells showed."""
    EXECUTED.mkdir(parents=True, exist_ok=True)
    passed, failed, warned = [], [], set()
    start = time.monotonic()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        out = EXECUTED / path.name
        out.unlink(missing_ok=True)
        command = [sys.executable, "-m", "papermill", "-k", "python3", "--cwd", path.parent]
        command += ["-p", "PROFILE", "smoke", "--no-progress-bar", path, out]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        (failed if done.returncode else passed).append(path.stem)
        print("FAILED" if done.returncode else "ok    ", path.stem, flush=True)
        if done.returncode:
            print(done.stderr[-3000:])
        if out.exists():
            warned |= warnings_in(json.loads(out.read_text(encoding="utf-8")))
    seconds = round(time.monotonic() - start)
    return {"passed": passed, "failed": failed, "seconds": seconds, "warnings": sorted(warned)}


def warnings_in(notebook: dict[str, Any]) -> set[str]:
    """Kind and text of the warnings on stderr, without the place that they came from."""
    outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", [])]
    texts = ["".join(o["text"]) for o in outputs if o.get("name") == "stderr"]
    return {f"{kind}: {said}" for t in texts for kind, said in re.findall(r"(\w*Warning): (.+)", t)}


def run_tests(environment: dict[str, str]) -> dict[str, Any]:
    """How many tests passed and were skipped, which failed, seconds; warnings are failures."""
    start = time.monotonic()
    environment = {**environment, "PYTHONPATH": str(ROOT)}  # one library in all processes
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "not book", f"--junitxml={report}"]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
    skipped = sum(case.find("skipped") is not None for case in cases)
    failed = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    passed = len(cases) - skipped - len(failed)
    if done.returncode and not failed:
        failed.append(f"pytest itself, with exit code {done.returncode}")
    seconds = round(time.monotonic() - start)
    return {"passed": passed, "skipped": skipped, "failed": failed, "seconds": seconds}


def commit() -> str:
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()


def rehearse(label: str) -> dict[str, Any]:
    """A record of one rehearsal."""
    environment = {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # each kernel would compile everything anew
    record: dict[str, Any] = {
        "packages": label,
        "command": f"python scripts/rehearse.py {label}",
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    with tempfile.TemporaryDirectory() as folder:
        record["notebooks"] = run_notebooks({**environment, "AGENTPRM_ARTIFACTS": folder})
    record["tests"] = run_tests(environment)
    return record


def table() -> str:
    """The status page's table, from results/rehearsals.json."""
    if not RECORDS.exists():
        return "No rehearsal has been recorded yet.\n"
    shown = ("torch", "transformers", "peft", "numpy")
    head = ["Python", "packages", *shown, "notebooks", "tests", "made"]
    rows = [
        [r["python"], r["packages"], *[r["versions"][name] for name in shown],
         outcome(r["notebooks"], len(r["notebooks"]["passed"])),
         outcome(r["tests"], r["tests"]["passed"]), f"{r['date']}, `{r['commit']}`"]
        for r in json.loads(RECORDS.read_text(encoding="utf-8"))
    ]  # fmt: skip
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def outcome(part: dict[str, Any], passed: int) -> str:
    counts = {"passed": passed, "failed": len(part["failed"]), "skipped": part.get("skipped", 0)}
    said = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    return f"{said}, {part['seconds'] / 60:.0f} min"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("label", help="newest, or colab: what is installed")
    record = rehearse(parser.parse_args().label)
    records = json.loads(RECORDS.read_text(encoding="utf-8")) if RECORDS.exists() else []
    same = ("packages", "python")  # the last rehearsal of an environment counts
    kept = [r for r in records if any(r[key] != record[key] for key in same)]
    records = sorted([*kept, record], key=lambda r: (r["packages"], r["python"]))
    RECORDS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))
    return int(bool(record["notebooks"]["failed"] or record["tests"]["failed"]))


if __name__ == "__main__":
    sys.exit(main())
