"""The book: every notebook runs, the pages build without a warning, and Chromium finds no fault.

The last tests plant faults in a toy book, in a temporary copy: each must turn the build red.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import site_check

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))
SMOKE = ROOT / "_build" / "smoke"  # a book of its own: the one from `make book` stays
pytestmark = pytest.mark.book


def book(*args: str | Path, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """scripts/book.py in the profile smoke; its output is shown when a test fails."""
    done = subprocess.run(
        [sys.executable, root / "scripts" / "book.py", *args],
        env={**os.environ, "PROFILE": "smoke"},
        text=True,
        capture_output=True,
        check=False,
    )
    print(done.stdout[-6000:], done.stderr[-3000:])
    return done


def test_there_are_notebooks() -> None:
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs(name: str) -> None:
    assert book("run", name).returncode == 0


def test_book_builds_without_a_warning() -> None:
    assert book("build", "--out", SMOKE).returncode == 0


def test_pages_in_a_browser() -> None:
    html = SMOKE / "_build" / "html"
    assert html.is_dir(), "the book was not built"
    problems = site_check.check(html)
    assert not problems, "\n" + "\n".join(problems)


# Planted faults

TOY = """# %% [markdown]
# # A toy
#
# The sum is:

# %% tags=["parameters"]
PROFILE = "cpu"

# %%
print("the profile is", PROFILE)
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A copy of the book's machinery with one small chapter."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copytree(ROOT / "book" / "_ext", tmp_path / "book" / "_ext")
    (tmp_path / "book" / "_static").mkdir()
    shutil.copy(ROOT / "book" / "_static" / "custom.css", tmp_path / "book" / "_static")
    (tmp_path / "book" / "references.bib").write_text("")
    for name in ("_config.yml", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "book" / "intro.md").write_text("# Toy book\n\nOne chapter.\n")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_toy.py").write_text(TOY)
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/intro\nchapters:\n  - file: notebooks/01_toy\n"
    )
    return tmp_path


def plant(toy: Path, code: str) -> None:
    path = toy / "notebooks" / "01_toy.py"
    path.write_text(f"{TOY}\n# %%\n{code}\n")


def make_book(toy: Path) -> subprocess.CompletedProcess[str]:
    """`make book` itself, with this environment taken as ready."""
    venv = Path(sys.executable).parents[1]
    done = subprocess.run(
        ["make", "book", f"VENV={venv}", "-o", f"{venv}/.agentprm-ready"],
        cwd=toy,
        env={**os.environ, "PROFILE": "smoke", "MAKEFLAGS": ""},
        text=True,
        capture_output=True,
        check=False,
    )
    print(done.stdout[-6000:], done.stderr[-3000:])
    return done


def test_a_sound_toy_book_is_green_and_is_kept(toy: Path) -> None:
    first = make_book(toy)
    assert first.returncode == 0
    page = (toy / "_build" / "html" / "notebooks" / "01_toy.html").read_text()
    assert "the profile is smoke" in page
    assert "colab.research.google.com/github/" in page
    assert "notebooks/01_toy.ipynb" in page
    assert "kept from an earlier run" not in first.stdout
    again = book("run", root=toy)
    assert again.returncode == 0
    assert "kept from an earlier run" in again.stdout


def test_a_failing_notebook_turns_the_build_red(toy: Path) -> None:
    assert book("run", root=toy).returncode == 0  # a warm _build must not hide it
    plant(toy, 'raise ValueError("planted")')
    done = make_book(toy)
    assert done.returncode != 0
    assert "FAILED 01_toy" in done.stdout
    assert "ValueError: planted" in done.stdout
    assert not (toy / "_build" / "html").exists()
    assert book("build", root=toy).returncode != 0  # nor does the build take the partial outputs
    assert book("run", root=toy).returncode != 0  # and a second run fails again


def test_text_on_stderr_turns_the_build_red(toy: Path) -> None:
    plant(toy, 'import sys\n\nprint("planted", file=sys.stderr)')
    done = book("run", root=toy)
    assert done.returncode != 0
    assert "wrote to stderr: planted" in done.stdout


def test_a_figure_without_alt_text_turns_the_build_red(toy: Path) -> None:
    plant(toy, "import matplotlib.pyplot as plt\n\nplt.plot([1, 2])\nplt.show()")
    done = book("run", root=toy)
    assert done.returncode != 0
    assert "an image without alt text" in done.stdout


def test_a_warning_of_the_pages_turns_the_build_red(toy: Path) -> None:
    assert book("run", root=toy).returncode == 0
    intro = toy / "book" / "intro.md"
    intro.write_text(intro.read_text() + "\n[nowhere](missing.md)\n")
    done = book("build", root=toy)
    assert done.returncode != 0
    assert "missing.md" in done.stdout


def test_the_browser_finds_each_planted_fault(tmp_path: Path) -> None:
    (tmp_path / "sound.html").write_text(
        "<!doctype html><link rel=icon href='data:,'><title>x</title><main id=here><p>Nothing is "
        "wrong with this page.</p><a href='sound.html#here'>here</a></main>"
    )
    (tmp_path / "faulty.html").write_text(
        "<!doctype html><link rel=icon href='data:,'><title>x</title><main><p>$$ x^2 $$ and a long "
        "enough text.</p><img src='missing.png' alt='a picture that is not there'>"
        "<img alt='' src='data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=='>"
        "<img alt='../_images/8f1d5c0b2a7e46f39d8c1b0a2e3f4d5c.png' "
        "src='data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=='>"
        "<a href='gone.html'>gone</a><a href='sound.html#gone'>gone</a>"
        "<a href='_modules/b.html#here'>here</a><a href='_modules/b.html#lost'>lost</a>"
        "<div style='width:700px'>wide</div><script>console.error('planted')</script></main>"
    )
    (tmp_path / "_modules").mkdir()
    for name in "ab":  # source pages: of these only the first is opened
        shutil.copy(tmp_path / "sound.html", tmp_path / "_modules" / f"{name}.html")
    problems = site_check.check(tmp_path)
    assert not [problem for problem in problems if problem.startswith("sound.html")]
    for part in (
        "raw TeX: $$",
        "broken image",
        "an image without alt text",
        "alt text is a file name",
        "dead link gone.html",
        "dead anchor sound.html#gone",
        "dead anchor _modules/b.html#lost",
        "px at 390",
        "console: planted",
    ):
        assert any(part in problem for problem in problems), part
    assert not any("b.html#here" in problem for problem in problems)
    assert not any("px at 1280" in problem for problem in problems)
