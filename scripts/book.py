"""Everything between notebooks/*.py and _build/html.

python scripts/book.py sync          write each .ipynb from its .py, the repository's address
python scripts/book.py run [NAME..]  execute notebooks with papermill -> _build/executed/<profile>
python scripts/book.py build         executed notebooks + book/ -> _build/html, warnings are errors
python scripts/book.py book          run, times, build: what `make book` calls
python scripts/book.py times         write results/run_times.json from the times of this machine

The profile comes from the environment variable PROFILE (default cpu). A notebook runs again when
its own text, the library, the profile, Python or the installed set (constraints.txt) has changed;
otherwise its outputs are kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import families_page
import performance_page
import regime_page
import rehearse
import releases
import results_page

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "_build"
RUN_TIMES = ROOT / "results" / "run_times.json"
PROFILES = ("smoke", "cpu", "gpu", "paper")
TIMED = ("smoke", "cpu")  # profiles whose times belong on the status page
CELL_LIMIT_S = 1800  # in smoke; elsewhere a cell may take hours, on a slow laptop or in gpu
METADATA = {
    "accelerator": "GPU",
    "colab": {"gpuType": "T4", "provenance": []},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# Where the repository's address stands besides _config.yml: (files, what precedes, what follows).
ADDRESSES = (
    ("README.md", r"git clone https://github\.com/", r"(?=\s|$)"),
    ("README.md", r"colab\.research\.google\.com/github/", r"(?=/blob/)"),
    ("README.md", r"git\+https://github\.com/", r"(?=[\s\"'`])"),
    ("book/*.md", r"git clone https://github\.com/", r"(?=\s|$)"),
    ("book/*.md", r"colab\.research\.google\.com/github/", r"(?=/blob/)"),
    ("book/*.md", r"git\+https://github\.com/", r"(?=[\s\"'`])"),
    ("notebooks/*.py", r"git\+https://github\.com/", r"(?=[\s\"'`])"),
    ("notebooks/*.py", r"colab\.research\.google\.com/github/", r"(?=/blob/)"),
    ("pyproject.toml", r'Repository = "https://github\.com/', r'(?=")'),
    ("CITATION.cff", r'repository-code: "https://github\.com/', r'(?=")'),
)


def say(text: str) -> None:
    print(text, flush=True)


# The one source: notebooks/NAME.py


def to_ipynb(py: Path) -> str:
    """The .ipynb that belongs to a percent notebook: no outputs, ids from the cells' order."""
    import jupytext
    import nbformat

    notebook = jupytext.read(py, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"{py.stem[:2]}-{i:03d}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook, version=4)).rstrip("\n") + "\n"


def repository() -> str:
    """OWNER/NAME from _config.yml, the only place where it is typed in."""
    found = re.search(r"^  url: https://github\.com/([\w.-]+/[\w.-]+)$", read("_config.yml"), re.M)
    if not found:
        raise SystemExit("_config.yml: repository.url is not https://github.com/OWNER/NAME")
    return found[1]


def read(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def with_address(path: Path) -> str:
    """The text of a file with OWNER/NAME of _config.yml where the repository's address stands."""
    text = path.read_text(encoding="utf-8")
    for pattern, before, after in ADDRESSES:
        if path in ROOT.glob(pattern):
            text = re.sub(f"({before})[\\w.-]+/[\\w.-]+?{after}", rf"\g<1>{repository()}", text)
    return text


def stale() -> dict[Path, str]:
    """Files that differ from what `sync` would write, with the text that they should have."""
    wanted = {}
    for pattern in dict.fromkeys(pattern for pattern, _, _ in ADDRESSES):
        for path in ROOT.glob(pattern):
            wanted[path] = with_address(path)
    stale = {path: text for path, text in wanted.items() if path.read_text("utf-8") != text}
    for py in sorted(NOTEBOOKS.glob("*.py")):
        ipynb = py.with_suffix(".ipynb")
        text = to_ipynb(py)
        if not ipynb.exists() or ipynb.read_text("utf-8") != text:
            stale[ipynb] = text
    return stale


def sync() -> None:
    while todo := stale():  # an address may change a .py, and that its .ipynb
        for path, text in todo.items():
            path.write_text(text, encoding="utf-8")
            say(f"written {path.relative_to(ROOT)}")


# Executing


def names() -> list[str]:
    return sorted(path.stem for path in NOTEBOOKS.glob("*.py"))


def fingerprint(name: str, profile: str) -> str:
    """Hash of everything that decides what a notebook puts out, its source first."""
    parts = [to_ipynb(NOTEBOOKS / f"{name}.py"), profile, platform.python_version()]
    folders = [ROOT / "agentprm_lite"]
    if re.search(r"\bstored(_\w+)?\(", parts[0]):  # it shows what is kept in results/
        folders.append(ROOT / "results")
    sources = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in [*sources, ROOT / "constraints.txt"]:
        if path.exists() and "__pycache__" not in path.parts and path != RUN_TIMES:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            parts.append(f"{path.relative_to(ROOT)} {digest}")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def complaints(notebook: Any) -> list[str]:
    """What an executed notebook may not hold: text on stderr, images without alt text, widgets."""
    found = []
    for i, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                found.append(f"cell {i} wrote to stderr: {output.text.strip()[:500]}")
            data = output.get("data", {})
            if any(kind.startswith("image/") for kind in data):
                found.append(f"cell {i}: an image without alt text, use show_figure(fig, alt=…)")
            if "application/vnd.jupyter.widget-view+json" in data:
                found.append(f"cell {i} shows a widget: use plain tqdm")
    return found


def kernel_environment() -> None:
    """Kernels are this Python's own, and quiet; the environment is handed on to them."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.pop("JUPYTER_PATH", None)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each kernel would compile everything anew
    os.environ.pop("MPLBACKEND", None)  # figures are shown inline
    os.environ["TQDM_DISABLE"] = "1"  # a bar on stderr has no place on a page
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    quiet = "ignore::FutureWarning,ignore::DeprecationWarning,ignore:IProgress not found"
    os.environ.setdefault("PYTHONWARNINGS", quiet)


def execute(name: str, profile: str, bar: bool = True) -> dict[str, Any]:
    """Run one notebook, unless nothing has changed since it last ran.

    Returns its record: seconds, made (files new in artifacts/<profile>), hash, kept (from a run
    before). Raises RuntimeError with the reason when a cell fails or an output may not be shown.
    """
    import nbformat
    import papermill

    kernel_environment()
    out = BUILD / "executed" / profile / f"{name}.ipynb"
    note = out.with_suffix(".json")
    digest = fingerprint(name, profile)
    if out.exists() and note.exists():
        record = json.loads(note.read_text())
        if record["hash"] == digest:
            return {**record, "kept": True}
    out.parent.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    source = BUILD / "executed" / profile / f"{name}.source.ipynb"
    source.write_text(to_ipynb(NOTEBOOKS / f"{name}.py"), encoding="utf-8")
    before = artifacts(profile)
    start = time.monotonic()
    try:
        papermill.execute_notebook(
            str(source),
            str(out),
            parameters={"PROFILE": profile},
            cwd=str(NOTEBOOKS),
            kernel_name="python3",
            progress_bar={"desc": f"{name:<20}", "disable": False} if bar else False,
            extra_arguments=["--log-level=ERROR"],  # not its note on unencrypted loopback
            start_timeout=180,
            execution_timeout=CELL_LIMIT_S if profile == "smoke" else None,
        )
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(re.sub(r"\x1b\[[0-9;]*m", "", str(error))) from None
    seconds = time.monotonic() - start
    problems = complaints(nbformat.read(out, 4))
    if problems:
        raise RuntimeError("\n".join(problems))
    made = len(artifacts(profile) - before)
    record = {"seconds": round(seconds, 1), "made": made, "hash": digest}
    if digest == fingerprint(name, profile):  # else a source changed while it ran
        note.write_text(json.dumps(record, indent=1))
    source.unlink()
    remember(name, profile, record)
    return {**record, "kept": False}


def artifacts(profile: str) -> set[Path]:
    root = Path(os.environ.get("AGENTPRM_ARTIFACTS") or ROOT / "artifacts")
    return {path for path in (root / profile).rglob("*") if path.is_file()}


def run(wanted: list[str], profile: str) -> int:
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        raise SystemExit(f"no such notebook: {', '.join(unknown)}; there are {', '.join(names())}")
    failed = []
    for name in wanted or names():
        try:
            record = execute(name, profile)
        except RuntimeError as error:
            failed.append(name)
            say(f"FAILED {name} ({profile})\n{error}")
        else:
            kept = " (kept from an earlier run)" if record["kept"] else ""
            say(f"ok     {name} {record['seconds']:.0f} s{kept}")
    if failed:
        say(f"notebooks failed in profile {profile}: {', '.join(failed)}")
    return int(bool(failed))


# Run times


def remember(name: str, profile: str, record: dict[str, Any]) -> None:
    """Keep a chapter's time in _build/times/<profile>.json.

    A run that found all artifacts made says nothing about the time that a reader needs: it does
    not replace the time of a run that made them.
    """
    path = BUILD / "times" / f"{profile}.json"
    times = json.loads(path.read_text()) if path.exists() else {}
    old = times.get(name)
    if old and old["made"] and not record["made"]:
        return
    times[name] = {"seconds": record["seconds"], "made": record["made"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(sorted(times.items())), indent=1) + "\n")


def machine() -> str:
    """The processor and core count, for the table of run times."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.M)
        model = found[1] if found else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def write_times() -> None:
    """Take the times of this machine into results/run_times.json, which is committed."""
    table = json.loads(RUN_TIMES.read_text()) if RUN_TIMES.exists() else {}
    for profile in TIMED:
        path = BUILD / "times" / f"{profile}.json"
        if not path.exists():
            continue
        new = json.loads(path.read_text())
        old = table.get(profile, {}).get("chapters", {})
        chapters = {}
        for name in names():
            if name in new and not (name in old and old[name]["made"] and not new[name]["made"]):
                chapters[name] = new[name]
            elif name in old:
                chapters[name] = old[name]
        table[profile] = {
            "command": "make book" if profile == "cpu" else f"PROFILE={profile} make book",
            "machine": machine(),
            "chapters": chapters,
        }
    RUN_TIMES.parent.mkdir(exist_ok=True)
    RUN_TIMES.write_text(json.dumps(table, indent=1) + "\n")


def run_times_table() -> str:
    """The status page's table, from results/run_times.json."""
    table = json.loads(RUN_TIMES.read_text()) if RUN_TIMES.exists() else {}
    shown = [profile for profile in TIMED if table.get(profile, {}).get("chapters")]
    if not shown:
        return "No run has been recorded yet.\n"
    lines = ["| chapter | " + " | ".join(shown) + " |", "|---|" + "---:|" * len(shown)]
    for name in names():
        times = [table[profile]["chapters"].get(name) for profile in shown]
        lines.append(f"| {name} | " + " | ".join(clock(t and t["seconds"]) for t in times) + " |")
    sums = [sum(t["seconds"] for t in table[p]["chapters"].values()) for p in shown]
    lines.append("| together | " + " | ".join(clock(total) for total in sums) + " |")
    lines.append("")
    lines += [f"- `{table[p]['command']}`: {table[p]['machine']}" for p in shown]
    return "\n".join(lines) + "\n"


CARD = "see the [status page](../book/status.md)"  # what a chapter's card says of its run time


def with_times(name: str, notebook: str) -> str:
    """A notebook whose card has the measured times; as it is where none is recorded."""
    table = json.loads(RUN_TIMES.read_text()) if RUN_TIMES.exists() else {}
    found = [
        f"{clock(table[profile]['chapters'][name]['seconds'])} in the profile {profile}"
        for profile in TIMED
        if name in table.get(profile, {}).get("chapters", {})
    ]
    return notebook.replace(CARD, f"{', '.join(found)}; {CARD}") if found else notebook


def clock(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


# Building


def modules() -> list[str]:
    """The library's public modules, such as agentprm_lite.env."""
    package = ROOT / "agentprm_lite"
    paths = [path.relative_to(ROOT).with_suffix("") for path in package.rglob("*.py")]
    paths = [path.parent if path.name == "__init__" else path for path in paths]
    return sorted(".".join(p.parts) for p in paths if not any(x.startswith("_") for x in p.parts))


def api_sections() -> str:
    """A section for each public module, filled from its docstrings by autodoc."""
    options = "   :members:\n   :ignore-module-all:\n"
    return "\n".join(
        f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n{options}```\n"
        for name in modules()
    )


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def stage(folder: Path, profile: str, partial: bool) -> None:
    """Lay out what the pages are made of: book/, the executed notebooks, generated tables."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "book", folder / "book", ignore=shutil.ignore_patterns("__pycache__"))
    if (ROOT / "results").exists():
        shutil.copytree(ROOT / "results", folder / "results")
    put(folder / "book" / "_generated" / "run_times.md", run_times_table().encode())
    rehearsals = f"{rehearse.last_green()}\n{rehearse.table()}"
    put(folder / "book" / "_generated" / "rehearsals.md", rehearsals.encode())
    put(folder / "book" / "_generated" / "releases.md", releases.table().encode())
    put(folder / "book" / "_generated" / "api.md", api_sections().encode())
    put(folder / "book" / "_generated" / "results.md", results_page.page().encode())
    put(folder / "book" / "_generated" / "front.md", regime_page.front().encode())
    put(folder / "book" / "_generated" / "families.md", families_page.page().encode())
    put(folder / "book" / "_generated" / "claims.md", results_page.claim_summary().encode())
    for name, text in performance_page.parts().items():
        put(folder / "book" / "_generated" / f"performance_{name}.md", text.encode())
    sizes = "\n".join(map(results_page.sizes, ("cpu", "study", "paper")))
    put(folder / "book" / "_generated" / "sizes.md", sizes.encode())
    config = read("_config.yml")
    if profile == "smoke":
        config = config.replace(
            "\nhtml:\n",
            "\nhtml:\n  announcement: Built in the profile smoke. Its numbers are not findings.\n",
        )
    put(folder / "_config.yml", config.encode())
    toc = read("_toc.yml")
    for name in re.findall(r"^ *- file: notebooks/(\S+)$", toc, re.M):
        done = BUILD / "executed" / profile / f"{name}.ipynb"
        if done.exists() and done.with_suffix(".json").exists():
            page = with_times(name, done.read_text("utf-8"))
            put(folder / "notebooks" / f"{name}.ipynb", page.encode())
        elif partial:
            toc = re.sub(rf"^ *- file: notebooks/{name}\n", "", toc, flags=re.M)
        else:
            raise SystemExit(f"{name} has not been executed in profile {profile}")
    put(folder / "_toc.yml", toc.encode())


def build(profile: str, out: Path = ROOT, partial: bool = False) -> int:
    """Build OUT/_build/html; any warning makes it fail, except in a partial build."""
    made = out / "_build"
    stage(made / "stage", profile, partial)
    for old in (made / "html", made / ".doctrees"):  # a kept page would hide its warnings
        shutil.rmtree(old, ignore_errors=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
    command += [str(made / "stage"), "--path-output", str(out)]
    done = subprocess.run(
        command + ([] if partial else ["-W", "--keep-going"]),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=made / "stage",
    )
    (made / "book.log").write_text(done.stdout)
    loud = [line for line in done.stdout.splitlines() if re.search(r"WARNING|ERROR|Error", line)]
    if loud or done.returncode:
        say("\n".join(loud) or done.stdout[-3000:])
        say(f"whole log: {made / 'book.log'}")
    if done.returncode == 0 and not (made / "html" / "index.html").exists():
        say("the build ended without an index.html")
        return 1
    return done.returncode


def book(profile: str) -> int:
    sync()
    if run([], profile):
        return 1
    if profile in TIMED:
        write_times()
    if build(profile):
        return 1
    times = json.loads((BUILD / "times" / f"{profile}.json").read_text()) if names() else {}
    say("")
    for name in names():
        say(f"{name:<24}{clock(times[name]['seconds']):>10}")
    say(f"{'together':<24}{clock(sum(times[name]['seconds'] for name in names())):>10}")
    say(f"\nThe book: {BUILD / 'html' / 'index.html'}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=["sync", "run", "build", "book", "times"])
    parser.add_argument("names", nargs="*", help="run: only these notebooks")
    parser.add_argument(
        "--partial", action="store_true", help="build: leave out chapters not executed yet"
    )
    parser.add_argument("--out", type=Path, default=ROOT, help="build: into OUT/_build/html")
    args = parser.parse_args()
    profile = os.environ.get("PROFILE", "cpu")
    if profile not in PROFILES:
        raise SystemExit(f"PROFILE: got {profile!r}, expected one of {', '.join(PROFILES)}")
    if args.verb == "run":
        return run(args.names, profile)
    if args.verb == "build":
        return build(profile, args.out.resolve(), args.partial)
    if args.verb == "book":
        return book(profile)
    {"sync": sync, "times": write_times}[args.verb]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
