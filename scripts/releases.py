"""tests/core, files, hub, fast with the oldest, the tested and the newest releases that they need.

python scripts/releases.py LABEL           run them in this Python, add to results/releases.json
python scripts/releases.py LABEL --pins    what to install: the floors of pyproject.toml, or names

LABEL is floors, constraints or newest; `make floors`, `make constraints` and `make newest` call it
in an environment of their own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import sys
import tomllib
from importlib.metadata import version
from typing import Any

from rehearse import ROOT, clean_environment, commit, outcome, run_tests

RECORDS = ROOT / "results" / "releases.json"
ROOMS = ("core", "files", "hub", "fast")
LABELS = ("floors", "constraints", "newest")


def needs() -> dict[str, str]:
    """The core's packages and their floors."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return dict(re.split(r">=", need) for need in project["dependencies"])


def pins(label: str) -> list[str]:
    """Requirements for pip; TORCH in the environment is another torch than the floor."""
    floors = {**needs(), "torch": os.environ.get("TORCH", needs()["torch"])}
    if label == "floors":
        return [f"{name}=={floor}.*" for name, floor in floors.items()]
    return [f"torch=={os.environ['TORCH']}" if name == "torch" and "TORCH" in os.environ else name
            for name in floors]  # fmt: skip


def run(label: str) -> dict[str, Any]:
    """A record of one run."""
    torch = os.environ.get("TORCH")
    return {
        "packages": label,
        "command": f"TORCH={torch} make {label}" if torch else f"make {label}",
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in needs()},
        "tests": run_tests(clean_environment(), *(f"tests/{name}" for name in ROOMS)),
    }


def table() -> str:
    """The status page's table."""
    if not RECORDS.exists():
        return "No run has been recorded yet.\n"
    records = json.loads(RECORDS.read_text(encoding="utf-8"))
    names = list(records[0]["versions"])
    head = ["packages", "Python", *names, "tests", "made"]
    rows = [
        [r["packages"], r["python"], *[r["versions"][name] for name in names],
         outcome(r["tests"], r["tests"]["passed"]), f"{r['date']}, `{r['commit']}`"]
        for r in records
    ]  # fmt: skip
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("label", choices=LABELS)
    parser.add_argument("--pins", action="store_true", help="print what to install, run nothing")
    args = parser.parse_args()
    if args.pins:
        print("\n".join(pins(args.label)))
        return 0
    record = run(args.label)
    old = json.loads(RECORDS.read_text(encoding="utf-8")) if RECORDS.exists() else []
    kept = [r for r in old if r["packages"] != args.label]
    records = sorted([*kept, record], key=lambda r: LABELS.index(r["packages"]))
    RECORDS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))
    return int(bool(record["tests"]["failed"]))


if __name__ == "__main__":
    sys.exit(main())
