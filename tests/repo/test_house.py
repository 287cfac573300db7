"""The house: a small core, wings around it, few dependencies; CONTRIBUTING.md has the rooms."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import agentprm_lite

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "agentprm_lite"
WINGS = {
    *("hub", "fast", "files", "distributed", "serve", "worlds", "interop", "tutorial", "study")
}
FILES = sorted(PACKAGE.rglob("*.py"))
FILE_LINES, PUBLIC_NAMES, DEPENDENCIES = 300, 50, 9
CORE_LINES = 2997  # the goal is 3,000; this number may only fall
#: What reads or writes files: modules that are there for it, and calls by their last name.
FILE_MODULES = {"os", "io", "pathlib", "shutil", "tempfile", "glob", "pickle", "safetensors"}
FILE_CALLS = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink"),
    *("save_file", "load_file", "safe_open", "save_pretrained", "from_pretrained", "tofile"),
    *("torch.save", "torch.load", "np.save", "np.savez", "np.load", "np.fromfile", "json.dump"),
    "json.load",
}


def module_of(path: Path) -> str:
    """`agentprm_lite/fast/__init__.py` -> "fast"; the package itself is ""."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports_of(tree: ast.AST, faces: bool = False) -> Iterator[str]:
    """Modules of the package that a piece of code imports, also inside functions.

    With ``faces``, what a folder's ``__init__`` gives counts as that one's, a module too.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole module"
            module = str(node.module)
            home = MODULES.get(module.partition(".")[2])
            face = faces and home is not None and home.name == "__init__.py"
            names = [module] if face else [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package != "agentprm_lite":
                continue
            while rest and rest not in MODULES:
                rest = rest.rpartition(".")[0]
            yield rest


def wing_of(module: str) -> str:
    """The wing of a module; "" for the core."""
    first = module.partition(".")[0]
    return first if first in WINGS else ""


def test_every_room_is_the_core_or_a_wing() -> None:
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == WINGS


def test_core_is_small() -> None:
    lines = sum(len(p.read_text().splitlines()) for p in PACKAGE.glob("*.py"))
    assert lines <= CORE_LINES


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES


@pytest.mark.parametrize("module", [m for m in MODULES if not wing_of(m)])
def test_the_core_imports_no_wing(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text())
    assert not {name for name in imports_of(tree) if wing_of(name)}


def file_work(code: str) -> set[str]:
    """Imports and calls of a piece of code that read or write files."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & FILE_MODULES
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module).split(".")[0]} & FILE_MODULES
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found |= {name, name.rpartition(".")[2]} & FILE_CALLS
    return found


@pytest.mark.parametrize("module", [m for m in MODULES if not wing_of(m)])
def test_the_core_reads_and_writes_no_file(module: str) -> None:
    """It computes; what is kept on the disk is in wings, such as files and hub."""
    assert not file_work(MODULES[module].read_text())


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from pathlib import Path\nPath(x).read_text()", {"pathlib", "read_text"}),
        ("with open(x) as f: f.read()", {"open"}),
        ("x.open('rb')", {"open"}),
        ("import os.path", {"os"}),
        ("from safetensors.torch import save_file\nsave_file(x, y)", {"safetensors", "save_file"}),
        ("torch.save(model, x)", {"torch.save"}),
        ("keeper.save(run, x); keeper.load(run); json.loads(x)", set()),
    ],
)
def test_work_on_files_is_seen(code: str, found: set[str]) -> None:
    assert file_work(code) == found
    wing = (PACKAGE / "files" / "state.py").read_text()
    assert {"os", "pathlib", "safetensors", "mkdir", "unlink", "save_file"} <= file_work(wing)


def test_the_core_names_a_wing_in_two_tables_only() -> None:
    """As text, for what is imported when somebody asks: the public names, and the worlds."""
    naming = set()
    for module in (m for m in MODULES if not wing_of(m)):
        for node in ast.walk(ast.parse(MODULES[module].read_text())):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and "\n" not in text:
                named = text.removeprefix("agentprm_lite.").partition(":")[0]
                if named in MODULES and wing_of(named):
                    naming.add(module)
    assert naming == {"", "env"}
    faces = set(agentprm_lite._WHERE) & WINGS
    assert faces == {"hub", "worlds", "fast", "files", "interop"}, (
        "a public name comes from a wing's face"
    )


@pytest.mark.parametrize("module", [m for m in MODULES if wing_of(m)])
def test_a_wing_sees_only_the_face_of_another(module: str) -> None:
    """What `__init__` of the other wing re-exports; a world's face is that of its folder."""
    for name in imports_of(ast.parse(MODULES[module].read_text()), faces=True):
        other = wing_of(name)
        if other and other != wing_of(module):
            assert MODULES[name].name == "__init__.py", f"{module} reaches into {name}"


def test_a_world_does_not_know_another() -> None:
    for module in MODULES:
        if module.startswith("worlds."):
            world = module.split(".")[1]
            for name in imports_of(ast.parse(MODULES[module].read_text())):
                assert not name.startswith("worlds.") or name.split(".")[1] in (world, "textenv")


def test_imports_run_in_no_circle() -> None:
    """At module level; a command may import its part when it is called."""
    arrows: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text())
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        arrows[module] = set(imports_of(ast.Module(top, []))) - {module}
    done: set[str] = set()
    while left := {m for m in arrows if m not in done}:
        free = {m for m in left if arrows[m] <= done}
        assert free, f"a circle among {sorted(left)}"
        done |= free


def test_dependencies_are_few() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {d.split(">")[0].split("=")[0] for d in project["dependencies"]}
    assert names == {
        *("torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers"),
        *("numpy", "tqdm", "gymnasium"),
    }
    assert len(names) <= DEPENDENCIES
    assert set(project["optional-dependencies"]) == {"worlds", "serve", "tutorial", "book", "dev"}


def test_public_names() -> None:
    names = agentprm_lite.__all__
    assert len(names) == len(set(names)) <= PUBLIC_NAMES
    modules = {p.stem for p in PACKAGE.iterdir()}
    for name in names:
        assert getattr(agentprm_lite, name).__doc__, name
        assert name not in modules, f"the module {name} would hide it once it is imported"
    assert set(names) <= set(dir(agentprm_lite))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = agentprm_lite.nothing


@pytest.mark.parametrize("code", ["import agentprm_lite"])
def test_nothing_heavy_is_imported(code: str) -> None:
    if code == "HELP":
        code = (
            "import contextlib, io\n"
            "from agentprm_lite.tutorial.cli import main\n"
            "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
            "    main(['--help'])"
        )
    code += "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(out.stdout.splitlines()[-1])
    heavy = {"torch", "matplotlib", "transformers", "pandas", "seaborn", "numpy", "gymnasium"}
    assert not heavy & set(loaded)
    assert not [m for m in loaded if m.startswith("agentprm_lite.worlds.")]
