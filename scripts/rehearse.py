"""Every notebook as Colab opens it, in the profile smoke, then the tests, in this Python.

python scripts/rehearse.py LABEL            add a record to results/rehearsals.json
python scripts/rehearse.py LABEL --short    chapter 5, tests/core and tests/hub alone

LABEL says which packages: newest, or colab. It is what .github/workflows/weekly.yml calls in an
environment of its own, and what the status page shows. Artifacts are made anew, and nothing of the
build's environment is handed on. A chapter that writes to stderr has failed. The tests marked
`book` are left out: they run the notebooks again and need a browser.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "results" / "rehearsals.json"
EXECUTED = ROOT / "_build" / "rehearsal"
SHORT = "05_agentprm"
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


def run_notebooks(environment: dict[str, str], names: str = "*") -> dict[str, Any]:
    """Names of the notebooks that passed and failed, seconds, what cells wrote to stderr."""
    EXECUTED.mkdir(parents=True, exist_ok=True)
    passed, failed, noise = [], [], []
    start = time.monotonic()
    for path in sorted((ROOT / "notebooks").glob(f"{names}.ipynb")):
        out = EXECUTED / path.name
        out.unlink(missing_ok=True)
        command = [sys.executable, "-m", "papermill", "-k", "python3", "--cwd", path.parent]
        command += ["-p", "PROFILE", "smoke", "--no-progress-bar", path, out]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        told = on_stderr(json.loads(out.read_text(encoding="utf-8"))) if out.exists() else []
        noise += [f"{path.stem}: {text}" for text in told]
        good = not done.returncode and not told
        (passed if good else failed).append(path.stem)
        print("ok    " if good else "FAILED", path.stem, flush=True)
        print("\n".join(told), end="\n" * bool(told))
        if done.returncode:
            print(done.stderr[-3000:])
    seconds = round(time.monotonic() - start)
    return {"passed": passed, "failed": failed, "seconds": seconds, "stderr": noise}


def on_stderr(notebook: dict[str, Any]) -> list[str]:
    """What the cells of an executed notebook wrote to stderr."""
    outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", [])]
    return ["".join(o["text"]).strip()[:500] for o in outputs if o.get("name") == "stderr"]


def run_tests(environment: dict[str, str], *paths: str) -> dict[str, Any]:
    """How many tests passed and were skipped, which failed, seconds; warnings are failures."""
    start = time.monotonic()
    environment = {**environment, "PYTHONPATH": str(ROOT)}  # one library in all processes
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "not book", f"--junitxml={report}"]
        command += paths
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


def clean_environment() -> dict[str, str]:
    """What a new shell has, and kernels of this Python."""
    kept = ("HOME", "PATH", "LANG", "TMPDIR", "VIRTUAL_ENV", "OMP_NUM_THREADS")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return {**found, "JUPYTER_PREFER_ENV_PATH": "1"}


def rehearse(label: str, short: bool = False) -> dict[str, Any]:
    """A record of one rehearsal."""
    environment = clean_environment()
    record: dict[str, Any] = {
        "packages": label,
        "command": f"python scripts/rehearse.py {label}{' --short' * short}",
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "installed": len({d.name for d in distributions()}),
    }
    with tempfile.TemporaryDirectory() as folder:
        environment["AGENTPRM_ARTIFACTS"] = folder
        record["notebooks"] = run_notebooks(environment, SHORT if short else "*")
    record["tests"] = run_tests(environment, *["tests/core", "tests/hub"] * short)
    return record


def last_green() -> str:
    """The status page's line on Colab."""
    records = json.loads(RECORDS.read_text(encoding="utf-8")) if RECORDS.exists() else []
    green = [r for r in records if r["packages"] == "colab"
             and not r["notebooks"]["failed"] and not r["tests"]["failed"]]  # fmt: skip
    if not green:
        return "Not yet green with Colab's image.\n"
    r = max(green, key=lambda r: r["date"])
    ran = ", ".join(r["notebooks"]["passed"])
    many = f"{r['installed']} packages installed, " if "installed" in r else ""
    return (
        f"Last green with Colab's image: {r['date']}, commit `{r['commit']}`, Python "
        f"{r['python']}, {many}torch {r['versions']['torch']}. `{r['command']}` ran {ran} and "
        f"{r['tests']['passed']} tests; nothing on stderr.\n"
    )


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
    parser.add_argument("--short", action="store_true", help="chapter 5 and the core alone")
    args = parser.parse_args()
    record = rehearse(args.label, args.short)
    records = json.loads(RECORDS.read_text(encoding="utf-8")) if RECORDS.exists() else []
    same = ("packages", "python", "command")  # the last rehearsal of an environment counts
    kept = [r for r in records if any(r[key] != record[key] for key in same)]
    records = sorted([*kept, record], key=lambda r: (r["packages"], r["python"]))
    RECORDS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))
    return int(bool(record["notebooks"]["failed"] or record["tests"]["failed"]))


if __name__ == "__main__":
    sys.exit(main())
