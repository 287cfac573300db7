"""The repository agrees with itself: notebooks, addresses, dependencies, the API page."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.py"))
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def load_book() -> Any:
    spec = importlib.util.spec_from_file_location("book_script", ROOT / "scripts" / "book.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


book = load_book()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def tracked() -> list[Path]:
    """The files of the repository: what git knows, or all but the usual folders outside a clone."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        paths = [ROOT / name for name in done.stdout.splitlines()]
    else:
        skip = {".venv", ".hypothesis", ".mypy_cache", ".ruff_cache", "_build", "artifacts"}
        paths = [p for p in ROOT.rglob("*") if not skip & set(p.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file() and path.stat().st_size < 1_000_000]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:  # fonts, pictures
        return ""


# Notebooks


def test_nothing_is_out_of_step() -> None:
    stale = [path.relative_to(ROOT).as_posix() for path in book.stale()]
    assert not stale, f"run: python scripts/book.py sync, for {stale}"


def test_the_table_of_contents_lists_every_chapter() -> None:
    listed = re.findall(r"- file: notebooks/(\S+)$", (ROOT / "_toc.yml").read_text(), re.M)
    assert listed == [path.stem for path in CHAPTERS]
    assert not {p.stem for p in (ROOT / "notebooks").glob("*.ipynb")} - set(listed)


@each_chapter
def test_a_notebook_has_no_outputs_and_stable_ids(path: Path) -> None:
    notebook = nbformat.read(path.with_suffix(".ipynb"), 4)
    assert [cell.id for cell in notebook.cells] == [
        f"{path.stem[:2]}-{i:03d}" for i in range(len(notebook.cells))
    ]
    for cell in notebook.cells:
        assert not cell.get("outputs")


@each_chapter
def test_a_notebook_keeps_its_limits(path: Path) -> None:
    cells = jupytext.read(path, fmt="py:percent").cells
    assert len(cells) <= 40
    for i, cell in enumerate(cells):
        lines = cell.source.splitlines()
        if cell.cell_type == "code":
            assert len(lines) <= 20, f"cell {i} has {len(lines)} lines"
            assert all(len(line) <= 79 for line in lines), f"cell {i} has a long line"
        else:
            assert "```{" not in cell.source, f"cell {i}: Colab shows a MyST directive raw"
            assert not re.search(r"\{\w+\}`", cell.source), f"cell {i}: a MyST role"
            assert not re.search(r"!\[.*\]\(http", cell.source), f"cell {i}: a picture from outside"


@each_chapter
def test_a_title_has_its_number_and_the_card_its_place_for_the_time(path: Path) -> None:
    first = jupytext.read(path, fmt="py:percent").cells[0].source
    assert re.match(rf"# {int(path.stem[:2])} [A-Z]", first)
    assert f"| Run time | {book.CARD} |" in first


def test_the_card_has_the_recorded_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"01_a": {"seconds": 12.4, "made": 0}, "02_b": {"seconds": 159.2, "made": 3}}
    (tmp_path / "times.json").write_text(json.dumps({"cpu": {"chapters": times}}))
    monkeypatch.setattr(book, "RUN_TIMES", tmp_path / "times.json")
    card = f"| Run time | {book.CARD} |"
    assert (
        book.with_times("02_b", card) == f"| Run time | 2.7 min in the profile cpu; {book.CARD} |"
    )
    assert book.with_times("03_c", card) == card


def test_other_weights_or_results_run_a_chapter_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, folder in (("ROOT", ""), ("NOTEBOOKS", "notebooks"), ("RUN_TIMES", "results/t.json")):
        monkeypatch.setattr(book, name, tmp_path / folder)
    for name in ("agentprm_lite/__pycache__", "results/regime", "notebooks"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "notebooks" / "01_a.py").write_text("# %%\nstored_raw('math')\n")
    (tmp_path / "notebooks" / "02_b.py").write_text("# %%\n1 + 1\n")

    def changed(name: str) -> list[bool]:
        before = [book.fingerprint(chapter, "smoke") for chapter in ("01_a", "02_b")]
        (tmp_path / name).write_text("new")
        return [
            book.fingerprint(c, "smoke") != b for c, b in zip(("01_a", "02_b"), before, strict=True)
        ]

    assert changed("agentprm_lite/model.safetensors") == [True, True]
    assert changed("results/regime/math.json.gz") == [True, False]
    assert changed("results/t.json") == changed("agentprm_lite/__pycache__/a.pyc") == [False, False]


@each_chapter
def test_the_tests_that_a_chapter_names_are_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"tests/[\w/]+\.py", text):
        assert (ROOT / name).is_file(), name
    tests = "".join(p.read_text() for p in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, name


@each_chapter
def test_a_summary_says_a_result_and_not_where_it_stands(path: Path) -> None:
    summary = path.read_text(encoding="utf-8").split("# ## Summary")[1].split("Quiz")[0]
    assert not re.search(r"\b(printed|stands? under)\b", summary)


@each_chapter
def test_the_profile_is_a_literal_that_is_read(path: Path) -> None:
    cells = [c for c in jupytext.read(path, fmt="py:percent").cells if c.cell_type == "code"]
    marked = [i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", [])]
    assert len(marked) == 1, "exactly one cell is tagged parameters"
    assert cells[marked[0]].source.startswith('PROFILE = "auto"  # ')
    later = [
        node
        for cell in cells[marked[0] + 1 :]
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Name) and node.id == "PROFILE"
    ]
    assert any(isinstance(node.ctx, ast.Load) for node in later), "no cell reads PROFILE"
    assert not any(isinstance(node.ctx, ast.Store) for node in later), "a cell sets PROFILE"


@each_chapter
def test_the_first_code_cell_prepares_colab(path: Path) -> None:
    cells = [c for c in jupytext.read(path, fmt="py:percent").cells if c.cell_type == "code"]
    assert f"git+https://github.com/{book.repository()}" in cells[0].source
    assert "keep_on_drive()" in cells[0].source
    assert 'find_spec("agentprm_lite")' in cells[0].source
    assert "==" not in cells[0].source, "nothing is pinned on Colab"
    link = f"github/{book.repository()}/blob/main/notebooks/{path.stem}.ipynb"
    assert link in path.read_text(encoding="utf-8"), "the card has no Colab link to this chapter"


def test_kernels_are_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    python = KernelSpecManager().get_kernel_spec("python3").argv[0]
    # jupyter_client puts sys.executable where a kernel spec says "python".
    assert python in ("python", "python3", sys.executable)


# Addresses and words


def test_the_address_stands_in_one_place() -> None:
    owner_name = book.repository()
    name = owner_name.split("/")[1]
    for path in tracked():
        for found in re.findall(r"github(?:\.com)?/([\w-]+/[\w.-]+)", text_of(path)):
            repository = found.removesuffix(".git")
            if repository.split("/")[1] == name and "/" in repository:
                assert repository == owner_name, f"{path.name} says {repository}"
    assert owner_name in (ROOT / "CITATION.cff").read_text()
    assert owner_name in (ROOT / "README.md").read_text()
    assert owner_name in PYPROJECT["project"]["urls"]["Repository"]


def test_no_file_names_a_folder_of_one_machine() -> None:
    words = ["/" + "root/", "/" + "work/", "/" + "home/"]
    for path in tracked():
        text = text_of(path)
        if "mathjax" not in path.parts:
            assert not [word for word in words if word in text], path


def test_no_chapter_of_the_library_runs_text_as_code() -> None:
    loads = r"torch\.load\((?!\w+, weights_only=True\))"  # numbers and containers only are fine
    forbidden = re.compile(rf"\b(pickle|trust_remote_code)\b|{loads}|(?<![\w.])(eval|exec)\(")
    for path in (ROOT / "agentprm_lite").rglob("*.py"):
        assert not forbidden.search(path.read_text()), path


# Dependencies


def names_of(requirements: list[str]) -> set[str]:
    found = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {match[0].lower().replace("_", "-") for match in found if match}


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pairs = (line.split("==") for line in lines)
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_constraints_fix_every_direct_dependency() -> None:
    project = PYPROJECT["project"]
    wanted = names_of(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted |= names_of(extra)
    assert not wanted - set(constraints()) - {project["name"]}  # an extra holds others
    assert constraints()["torch"] == "2.13.0"


def test_conda_environment_installs_what_pyproject_says() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PYPROJECT["project"]["name"]
    (python,) = [d for d in environment["dependencies"] if str(d).startswith("python=")]
    floor = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert python == f"python={floor}"
    (pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    extras = re.fullmatch(r"-e \.\[(.+)\]", pip[0])
    assert len(pip) == 1 and extras
    assert set(extras[1].split(",")) <= set(PYPROJECT["project"]["optional-dependencies"])


def test_workflows_and_citation_are_valid_yaml() -> None:
    for path in [*(ROOT / ".github" / "workflows").glob("*.yml"), ROOT / "CITATION.cff"]:
        assert yaml.safe_load(path.read_text())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PYPROJECT["project"]["version"]


# The library


def public_names() -> list[tuple[str, str]]:
    return [
        (name, item)
        for name in book.modules()
        for item, value in vars(importlib.import_module(name)).items()
        if not item.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == name
    ]


@pytest.mark.parametrize(("module", "name"), public_names())
def test_a_public_name_has_a_docstring(module: str, name: str) -> None:
    """The API page is made from docstrings: a name without one would be missing there."""
    value = vars(importlib.import_module(module))[name]
    doc = value.__doc__ or ""
    assert doc and not doc.startswith(f"{name}("), f"{module}.{name} has no docstring"


def test_what_the_package_exports_exists() -> None:
    package = importlib.import_module("agentprm_lite")
    for name in getattr(package, "__all__", []):
        assert hasattr(package, name), name


def test_the_readmes_minutes_are_those_of_the_stored_run() -> None:
    times = json.loads((ROOT / "results" / "run_times.json").read_text())
    cpu, smoke = (
        round(sum(x["seconds"] for x in times[name]["chapters"].values()) / 60)
        for name in ("cpu", "smoke")
    )
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"the chapters took {cpu} minutes on two cores" in readme
    assert f"In `PROFILE=smoke make book` they took {smoke}, and" in readme


def test_the_readme_lists_every_module_and_chapter() -> None:
    readme = (ROOT / "README.md").read_text()
    for path in sorted((ROOT / "agentprm_lite").rglob("*.py")):
        wing = path.relative_to(ROOT / "agentprm_lite").parts[0]
        shown = rf"\b{path.name}\b" if wing == path.name else f"agentprm_lite/{wing}/ "
        if not path.name.startswith("_"):
            assert re.search(shown, readme), f"{path.name} is not on the map"
    for path in CHAPTERS:
        assert f"notebooks/{path.stem}.ipynb)" in readme, path.stem


def test_the_readmes_example_runs() -> None:
    code, _ = re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(), re.S)
    code += "assert action == 'go to red ball 1' and terminated and info['success']\n"
    code += "assert env.snapshot() == saved\n"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("host", ["example.org", "192.0.2.1"])
def test_tests_cannot_reach_the_network(host: str) -> None:
    import socket

    with (
        socket.socket() as connection,
        pytest.raises(RuntimeError, match="a test opened a connection"),
    ):
        connection.connect((host, 80))


@pytest.mark.parametrize(("profile", "limit"), [("smoke", 1800), ("cpu", None), ("gpu", None)])
def test_a_slow_laptop_has_the_time_that_it_takes(
    profile: str, limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def noted(*_: Any, **settings: Any) -> None:
        given.update(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("papermill.execute_notebook", noted)
    monkeypatch.setattr(book, "BUILD", tmp_path)
    monkeypatch.setattr(book, "kernel_environment", lambda: None)
    with pytest.raises(KeyboardInterrupt):
        book.execute("10_four_worlds", profile)
    assert given["execution_timeout"] == limit
