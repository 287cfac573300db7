"""Each exercise three ways: the solution passes, the stub is unsolved, known wrong answers fail.

Stubs and solutions are read from notebooks/*.py, so what is tested is what a reader sees.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jupytext
import numpy as np
import pytest

from agentprm_lite.tutorial import exercises

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.py"))
WRONG = ROOT / "tests" / "wrong_answers"


@dataclass(frozen=True)
class Exercise:
    """One exercise as it stands in a chapter."""

    key: str  # "04_1"
    imports: str  # all import statements of the chapter
    stub: str
    check: str
    answer: str  # the name of what the reader writes
    text: str  # the Markdown with hints and solution
    title: str  # the Markdown before the stub

    @property
    def solution(self) -> str:
        blocks = re.findall(r"^```python\n(.*?)^```", self.text, re.M | re.S)
        return blocks[-1] if blocks else ""


def imports_of(cells: list[Any]) -> str:
    """Every import statement of the code cells, each once."""
    found = []
    for cell in cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    found.append(ast.unparse(node))
    return "\n".join(dict.fromkeys(found))


def attempt_of(source: str, where: str) -> tuple[str, str]:
    """The two names in a cell's call attempt(check, answer)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "attempt":
            check, answer = (ast.unparse(argument) for argument in node.args)
            return check.rsplit(".", 1)[-1], answer
    raise AssertionError(f"{where}: the cell after the stub does not call attempt(check, answer)")


def exercises_of(path: Path) -> list[Exercise]:
    cells = jupytext.read(path, fmt="py:percent").cells
    found = []
    for i, cell in enumerate(cells):
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("exercise-"):
                key = tag.removeprefix("exercise-").replace("-", "_")
                check, answer = attempt_of(cells[i + 1].source, f"{path.name} {tag}")
                found.append(
                    Exercise(
                        key=key,
                        imports=imports_of(cells),
                        stub=cell.source,
                        check=check,
                        answer=answer,
                        text=cells[i + 2].source,
                        title=cells[i - 1].source,
                    )
                )
    return found


ALL = [exercise for path in CHAPTERS for exercise in exercises_of(path)]
each_exercise = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.key)


def load(path: Path) -> ModuleType:
    name = f"exercise_{path.stem}_{abs(hash(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def written(code: str, exercise: Exercise, folder: Path) -> Any:
    """What the reader would have after running the chapter's imports and this code."""
    path = folder / f"answer_{exercise.key}.py"
    path.write_text(f"{exercise.imports}\n\n{code}\n", encoding="utf-8")
    return getattr(load(path), exercise.answer)


def check_of(exercise: Exercise) -> Callable[[Any], None]:
    assert hasattr(exercises, exercise.check), (
        f"agentprm_lite.tutorial.exercises has no {exercise.check}"
    )
    check: Callable[[Any], None] = getattr(exercises, exercise.check)
    return check


def wrong_answers() -> list[tuple[Exercise, str]]:
    found = []
    for exercise in ALL:
        path = WRONG / f"{exercise.key}.py"
        names = re.findall(r"^def (wrong_\w+)", path.read_text(), re.M) if path.exists() else []
        found += [(exercise, name) for name in names]
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_two_to_four_exercises(path: Path) -> None:
    keys = [exercise.key for exercise in exercises_of(path)]
    assert 2 <= len(keys) <= 4
    assert keys == [f"{path.stem[:2]}_{k + 1}" for k in range(len(keys))]


@each_exercise
def test_the_text_around_an_exercise(exercise: Exercise) -> None:
    chapter, number = exercise.key.split("_")
    assert f"### Exercise {chapter}.{number}" in exercise.title
    assert re.search(r"\d+ minutes", exercise.title), "how many minutes?"
    summaries = re.findall(r"<summary>(.*?)</summary>", exercise.text)
    assert summaries == ["Hint 1", "Hint 2", "Solution"]
    assert exercise.text.count("</details>") == 3
    assert exercise.solution, "no ```python block in the solution"


@each_exercise
def test_the_solution_passes(exercise: Exercise, tmp_path: Path) -> None:
    check_of(exercise)(written(exercise.solution, exercise, tmp_path))


@pytest.mark.parametrize("key", ["04_1", "04_2", "05_1"])
def test_the_solution_in_float32_passes(key: str, tmp_path: Path) -> None:
    (exercise,) = (x for x in ALL if x.key == key)
    answer = written(exercise.solution, exercise, tmp_path)

    def in_float32(*given: Any) -> Any:
        return answer(*(np.float32(x) for x in given[:-1]), given[-1])

    check_of(exercise)(in_float32)


@each_exercise
def test_the_stub_is_unsolved(exercise: Exercise, tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError):
        check_of(exercise)(written(exercise.stub, exercise, tmp_path))


@each_exercise
def test_there_are_wrong_answers(exercise: Exercise) -> None:
    assert any(other.key == exercise.key for other, _ in wrong_answers())


@pytest.mark.parametrize(
    ("exercise", "name"), wrong_answers(), ids=[f"{e.key}-{n}" for e, n in wrong_answers()]
)
def test_a_wrong_answer_fails_with_its_own_message(exercise: Exercise, name: str) -> None:
    answer = getattr(load(WRONG / f"{exercise.key}.py"), name)
    message = " ".join(answer.__doc__.split())
    with pytest.raises(AssertionError) as caught:
        check_of(exercise)(answer)
    said = " ".join(str(caught.value).split())
    assert message in said, f"{name}: expected {message!r}, the check said {said!r}"


def test_no_wrong_answers_without_an_exercise() -> None:
    known = {exercise.key for exercise in ALL}
    assert {path.stem for path in WRONG.glob("*.py")} <= known


def test_attempt_never_raises(capsys: pytest.CaptureFixture[str]) -> None:
    def check_double(double: Callable[[int], int]) -> None:
        assert double(2) == 4, "twice 2 is 4"

    def unsolved(x: int) -> int:
        raise NotImplementedError

    exercises.attempt(check_double, lambda x: 2 * x)
    exercises.attempt(check_double, lambda x: x + 1)
    exercises.attempt(check_double, unsolved)
    exercises.attempt(check_double, lambda: 0)
    said = [line for line in capsys.readouterr().out.splitlines() if line[0] in "✓✗○"]
    assert len(said) == 4
    assert said[0] == "✓ check_double"
    assert said[1].startswith("✗ check_double: twice 2 is 4")
    assert said[2] == "○ check_double: not solved yet"
    assert said[3].startswith("✗ check_double: your code raised TypeError")
