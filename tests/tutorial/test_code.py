"""What a stage's key changes with: the procedure and the content, and not how it is written."""

from __future__ import annotations

import importlib
import linecache
import shutil
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from agentprm_lite.tutorial.code import ROOT, code_hash, world_hash
from agentprm_lite.worlds import TextEnv

STAGES = {
    "base": "stages",
    "demonstrations_file": "stages",
    "policy": "stages",
    "sample": "stages",
    "play_on": "stages",
    "tuning": "rewards",
    "reward_model_folder": "rewards",
    "pool_values": "rewards",
    "beam_runs": "guided",
    "ppo_run": "guided",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "agentprm_lite", root / "agentprm_lite", ignore=ignored)
    return root


def hashes(root: Path) -> dict[str, str]:
    """The hash of every stage, of sources that may have changed since the last call."""
    code_hash.cache_clear()
    found = {s: code_hash(((f"agentprm_lite.tutorial.{m}", s),), root) for s, m in STAGES.items()}
    code_hash.cache_clear()
    return found


def changed(root: Path, name: str, old: str, new: str) -> set[str]:
    """Stages that are made anew after a change of a file."""
    path, before = root / "agentprm_lite" / name, hashes(root)
    text = path.read_text()
    assert text.count(old) >= 1, f"{name} has no {old!r}"
    path.write_text(text.replace(old, new, 1))
    try:
        return {s for s, h in hashes(root).items() if h != before[s]}
    finally:
        path.write_text(text)


REWARDS = {"tuning", "reward_model_folder"}


@pytest.mark.parametrize(
    ("name", "old", "new", "stages"),
    [
        # tuning's split of the training tasks, a quarter
        ("tutorial/rewards.py", "[3::4]", "[2::4]", {"tuning"}),
        # the label function of AgentPRM
        ("labels.py", "def td_gae_labels(", "def td_gae_labels(extra, ", REWARDS),
        # how PPO shapes its rewards
        ("ppo.py", "def turn_rewards(", "def turn_rewards(extra, ", {"ppo_run"}),
        # which draws of a goal are demonstrated
        ("tutorial/stages.py", "range(p.demo_variants)", "range(1, 9)", {"demonstrations_file"}),
        # outcomes of rollouts from a state, 32 at a time
        ("tutorial/stages.py", "1_000 * k", "2_000 * k", {"play_on"}),
        ("tutorial/guided.py", "p.batch // (n * m)", "p.batch // n", {"beam_runs"}),
    ],
)
def test_a_changed_procedure_remakes_what_it_computes(
    package: Path, name: str, old: str, new: str, stages: set[str]
) -> None:
    assert changed(package, name, old, new) == stages


@pytest.mark.parametrize(
    ("name", "old", "new", "stages"),
    [
        # every attempt's random numbers
        ("files/collecting.py", "start(task, k, seed)", "start(task, 0, seed)", {"sample"}),
        # the loop that trains, in one process as in several
        ("distributed/fit.py", "order = sorted(", "order = list(", REWARDS | {"policy"}),
        # the text that a world reads, reached through an object's annotation
        (
            "hub/format.py",
            "return self.text(kept",
            "return self.text(list(kept)",
            {"sample", "play_on"},
        ),
    ],
)
def test_what_is_reached_through_others_counts(
    package: Path, name: str, old: str, new: str, stages: set[str]
) -> None:
    assert changed(package, name, old, new) >= stages


def test_the_way_of_choosing_remakes_the_tuning(package: Path) -> None:
    """Pooling of scores: Best-of-N chooses by it, and so does tuning; training doesn't."""
    found = changed(package, "search.py", "def best_of_n(", "def best_of_n(extra, ")
    assert found == {"tuning"}


def test_sampling_remakes_whatever_plays(package: Path) -> None:
    found = changed(package, "episode.py", "def random_stream(", "def random_stream(extra, ")
    assert found == {"demonstrations_file", "sample", "play_on", "beam_runs", "ppo_run"}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("labels.py", "def td_gae_labels(", "# a remark\n\n\ndef  td_gae_labels(  "),
        ("labels.py", '"""', '"""Said in other words. '),
        ("tutorial/rewards.py", '"""What each setting', '"""Said in other words, what each'),
        ("tutorial/rewards.py", 'f"budget is {', 'f"the budget was {'),
        ("tutorial/rewards.py", "-> list[float]:", "-> Sequence[float]:"),
        ("tutorial/artifacts.py", "another process is making", "somebody else makes"),
        ("serve/openai.py", "def __init__(", "def __init__(extra, "),
    ],
)
def test_words_remake_nothing(package: Path, name: str, old: str, new: str) -> None:
    """A comment, a layout, a docstring, an error, an annotation, a note; and the store, servers."""
    assert changed(package, name, old, new) == set()


# --- a reader's own world


class Parent(TextEnv):
    @classmethod
    def tasks(cls, split, *, levels=None, variants=1):
        return []


class Own(Parent):
    def _facts(self):
        return {"size": SIZE}


SIZE = 3


def test_an_own_world_counts_by_its_file_and_the_constants_it_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = world_hash(Own)
    lines = Path(__file__).read_text().splitlines(keepends=True)

    def hash_of(text: list[str]) -> str:
        monkeypatch.setitem(linecache.cache, __file__, (1, None, text, __file__))
        return world_hash(Own)

    assert hash_of([*lines, "# a remark\n"]) == plain
    assert hash_of([*lines, "MORE = 1\n"]) != plain
    assert hash_of(lines) == plain
    monkeypatch.setattr(sys.modules[__name__], "SIZE", 4)
    assert hash_of(lines) != plain


def test_an_own_world_counts_with_its_helpers_and_its_parents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Files beside it: a function, a module that is named as such, and a class that it extends."""
    files = {
        "its_helper.py": "def reply():\n    return 'ok'\n",
        "its_rules.py": "WORDS = ['go']\n",
        "its_base.py": "from agentprm_lite.worlds import TextEnv\n\n\nclass Base(TextEnv):\n"
        "    def hello(self):\n        return 1\n",
        "its_world.py": "import json\n\nimport its_rules\nfrom its_base import Base\n"
        "from its_helper import reply\n\n\nclass World(Base):\n    def play(self):\n"
        "        return json.dumps([reply(), its_rules.WORDS])\n",
    }
    monkeypatch.syspath_prepend(str(tmp_path))

    def hash_of(name: str = "", old: str = "", new: str = "") -> str:
        for file, text in files.items():
            (tmp_path / file).write_text(text.replace(old, new) if file == name else text)
            monkeypatch.delitem(sys.modules, file.removesuffix(".py"), raising=False)
        linecache.clearcache()
        importlib.invalidate_caches()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return world_hash(importlib.import_module("its_world").World)

    plain = hash_of()
    assert hash_of() == plain
    changed = [
        ("its_helper.py", "ok", "no"),
        ("its_rules.py", "go", "stay"),
        ("its_base.py", "1", "2"),
    ]
    found = {hash_of(*change) for change in changed}
    assert len(found | {plain}) == 4


def test_a_world_of_a_notebook_counts_by_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file holds a notebook's classes; the cell of every function is in linecache."""
    notebook = ModuleType("a_notebook")
    monkeypatch.setitem(sys.modules, "a_notebook", notebook)

    def cell(name: str, text: str) -> None:
        monkeypatch.setitem(linecache.cache, name, (len(text), None, [text], name))

    def written_in(name: str) -> FunctionType:
        code = (lambda self: None).__code__.replace(co_filename=name)
        return FunctionType(code, {})

    cell("<cell 1>", "def play(self):\n    return rule(GRID)\n")
    cell("<cell 2>", "def rule(grid):\n    return grid\n")
    world = type("World", (), {"play": written_in("<cell 1>"), "__module__": "a_notebook"})
    notebook.rule, notebook.GRID = written_in("<cell 2>"), 5
    notebook.rule.__module__ = "a_notebook"
    plain = world_hash(world)
    cell("<cell 2>", "def rule(grid):\n    # the same\n    return grid\n")
    assert world_hash(world) == plain
    cell("<cell 2>", "def rule(grid):\n    return grid + 1\n")
    assert world_hash(world) != plain
    cell("<cell 2>", "def rule(grid):\n    return grid\n")
    notebook.GRID = 6
    assert world_hash(world) != plain
