"""Artifacts: what goes in is content, what was written is checked, what was cut off goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agentprm_lite.rollout import continue_from
from agentprm_lite.tutorial import artifacts, stages
from agentprm_lite.tutorial.artifacts import DamagedArtifactError, artifact, check, content
from agentprm_lite.tutorial.profiles import SMOKE
from agentprm_lite.tutorial.tiny import TinySize, make_tiny

SMALL = replace(
    SMOKE,
    demo_goals=4,
    demo_variants=1,
    rollout_tasks=2,
    rollout_samples=1,
    mc_tasks=2,
    mc_samples=1,
    max_rounds=3,
    max_new_tokens=32,
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path))
    return tmp_path


# --- the key


def model(folder: Path, weights: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("[]")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_bases_of_one_name_share_nothing_unless_they_are_one(root: Path) -> None:
    one, other = model(root / "a/final", b"123"), model(root / "b/final", b"124")
    same = model(root / "c/another", b"123")

    def made(base: Path) -> Path:
        return artifact(SMOKE, "thing", lambda folder: None, {"base": base})

    first = made(one)
    assert made(other) != first == made(same) == made(one)
    model(one, b"999")  # trained again in its place
    assert made(one) != first
    shutil.copy(other / "tokenizer.json", one / "added_tokens.json")
    assert made(one) not in (first, made(other))


def test_a_log_is_no_input_of_what_follows(root: Path) -> None:
    def made(name: str, loss: float, weights: str) -> Path:
        def make(folder: Path) -> None:
            (folder / "log.json").write_text(json.dumps([{"loss": loss}]))
            (folder / "weights").write_text(weights)

        return artifact(SMOKE, name, make, {})

    first, same, other = made("a", 1.0, "w"), made("b", 2.0, "w"), made("c", 1.0, "v")
    assert content(first) == content(same) != content(other)


# --- damage


def cut(file: Path, other: Path) -> None:
    file.write_bytes(file.read_bytes()[: -max(1, file.stat().st_size // 2)])


def doubled(file: Path, other: Path) -> None:
    file.write_bytes(file.read_bytes() * 2)


def swapped(file: Path, other: Path) -> None:
    shutil.copy(other, file)


def flipped(file: Path, other: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def emptied(file: Path, other: Path) -> None:
    file.write_bytes(b"")


def removed(file: Path, other: Path) -> None:
    file.unlink()


def not_a_number(file: Path, other: Path) -> None:
    """A number becomes NaN of the same length; in other files than JSON three bytes do."""
    text = file.read_bytes()
    place = next((i for i in range(len(text) - 2) if text[i : i + 3].isdigit()), 0)
    file.write_bytes(text[:place] + b"NaN" + text[place + 3 :])


DAMAGES: tuple[Callable[[Path, Path], None], ...] = (
    cut,
    doubled,
    swapped,
    flipped,
    emptied,
    removed,
    not_a_number,
)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """The same kinds of artifacts twice, with other content: what a swap takes."""
    both = []
    for k in range(2):
        root = tmp_path_factory.mktemp("root")
        os.environ["AGENTPRM_ARTIFACTS"] = str(root)
        data = stages.demonstrations_file(replace(SMALL, demo_goals=4 + k))

        def make_base(folder: Path, k=k) -> None:
            make_tiny(folder, ["Goal: craft stick."], TinySize((64, 32)[k], 2, 2), 0)

        base = artifact(SMALL, "base", make_base, {"k": k})
        rows = [{"start": f"a/{i}", "outcomes": [[k, 0.25]], "tokens": 100 + k} for i in range(3)]

        def make(folder: Path, rows=rows, k=k) -> None:
            artifacts.write_json(folder / "values.json", [[0.125, 0.375 + k]])
            artifacts.write_json(folder / "scores.json", [0.125, 0.625 + k])
            for row in rows:
                artifacts.append_row(folder / "outcomes.jsonl", row)

        both.append([base, data.parent, artifact(SMALL, "numbers", make, {"k": k})])
    del os.environ["AGENTPRM_ARTIFACTS"]
    return both[0], both[1]


def test_every_damage_is_noticed_by_name(
    two: tuple[list[Path], list[Path]], tmp_path: Path
) -> None:
    """Each file of a base, of trajectories and of numbers, damaged in seven ways."""
    table = []
    for folder, like in zip(*two, strict=True):
        files = sorted(p.name for p in folder.iterdir())
        assert "manifest.json" in files
        for name in files:
            for damage in DAMAGES:
                hurt = tmp_path / folder.name
                shutil.copytree(folder, hurt)
                damage(hurt / name, like / name)
                noticed = ""
                if (
                    not (hurt / name).exists()
                    or (hurt / name).read_bytes() != (folder / name).read_bytes()
                ):
                    try:
                        check(hurt)
                    except DamagedArtifactError as error:
                        noticed = str(error)
                    assert noticed.startswith(f"{hurt / name} "), (damage.__name__, noticed)
                    assert f"remove the folder {hurt}, and it is made anew" in noticed
                    what = noticed.removeprefix(f"{hurt / name} ").split(": the artifact")[0]
                    kind = folder.name.rpartition("-")[0]
                    row = {"artifact": kind, "file": name, "damage": damage.__name__}
                    table.append({**row, "noticed": what.replace(str(tmp_path), "")})
                shutil.rmtree(hurt)
    assert len(table) >= 33
    if out := os.environ.get("DAMAGE_TABLE"):
        command = f"DAMAGE_TABLE={out} pytest tests/tutorial/test_artifacts.py"
        data = {"damages": len(table), "noticed by name": len(table), "rows": table}
        data = {"command": command, **data}
        Path(out).write_text(json.dumps(data, indent=1) + "\n")


def test_a_damaged_artifact_stops_whoever_asks_for_it(root: Path) -> None:
    folder = artifact(SMOKE, "thing", lambda f: artifacts.write_json(f / "a.json", [1.5]), {})
    (folder / "a.json").write_text("[2.5]\n")
    with pytest.raises(DamagedArtifactError, match=r"a\.json has .* remove the folder"):
        artifact(SMOKE, "thing", lambda f: artifacts.write_json(f / "a.json", [1.5]), {})


def test_numbers_that_are_none_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.write_json(tmp_path / "a.json", [float("nan")])
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.append_row(tmp_path / "a.jsonl", {"q": float("inf")})


def test_a_checksum_is_computed_once_in_a_process(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(folder: Path) -> None:
        (folder / "a").write_text("a")

    read = []
    digest = artifacts.hashlib.file_digest
    monkeypatch.setattr(
        artifacts.hashlib, "file_digest", lambda f, name: read.append(f.name) or digest(f, name)
    )
    folder = artifact(SMOKE, "thing", make, {})
    artifacts._sums.clear()
    read.clear()
    for _ in range(3):
        check(folder)
    assert sorted(Path(name).name for name in read) == ["a", "inputs.json", "made.json"]
    made = json.loads((folder / "made.json").read_text())
    assert list(made) == ["commit", "date", "device", "python", "seconds", "torch"]


# --- going on


def test_rows_are_cut_to_whole_ones(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert artifacts.read_rows(path) == []
    for k in range(2):
        artifacts.append_row(path, k)
    path.write_text(path.read_text() + '{"unfin')
    assert artifacts.read_rows(path) == [0, 1]
    assert path.read_text() == "0\n1\n"


def test_monte_carlo_goes_on_after_a_trajectory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in its second trajectory, it plays only that one again."""
    played: list[str] = []

    def counted(plays, start, samples, fail=False):
        played.append(start.task.key)
        if fail and len(played) == 2:
            raise KeyboardInterrupt
        return continue_from(plays, start, samples)

    monkeypatch.setattr(stages, "continue_from", lambda *a: counted(*a, fail=True))
    with pytest.raises(KeyboardInterrupt):
        stages.mc_rollouts(SMALL)
    first, second = played
    (unfinished,) = root.rglob("mc-*.partial/outcomes.jsonl")
    assert len(artifacts.read_rows(unfinished)) == 1
    played.clear()
    monkeypatch.setattr(stages, "continue_from", counted)
    examples, tokens = stages.mc_rollouts(SMALL)
    assert played == [second] != [first]
    assert len(examples) == 2 and tokens > 0
