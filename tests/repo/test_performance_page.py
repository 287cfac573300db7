"""The performance page says what the stored files say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median
from typing import Any

import performance_page as page
import pytest

COMMON = {
    "commit": "abc1234", "date": "2025-01-02", "python": "3.11.7", "torch": "2.13.0",
    "transformers": "5.0.0", "machine": "x86_64, 2 CPUs", "threads": 2, "repeats": 3,
    "model": "sft-0a1b2c3d4e", "profile": "cpu",
}  # fmt: skip
SAMPLING = {
    **COMMON,
    "command": "python benchmarks/sampling_speed.py --out results/sampling_speed.json",
    "parameters": 512_000, "dtype": "float32", "episodes": 64,
    "sampling": {"max_rounds": 10, "max_new_tokens": 80},
    "rows": [
        {"way": "ours", "seconds": [2.0, 4.0, 2.0], "env_steps": [400, 400, 500],
         "tokens_generated": [8000, 8000, 9000], "steps_per_s": {"median": 200.0},
         "tokens_per_s": {"median": 4000.0}},
        {"way": "one at a time", "seconds": [20.0, 20.0, 25.0], "env_steps": [400, 380, 500],
         "tokens_generated": [8000, 7000, 9000], "steps_per_s": {"median": 20.0},
         "tokens_per_s": {"median": 360.0}},
    ],
    "ratios": [
        {"what": "environment steps/s against one at a time", "target": 11.0,
         "ratio": {"min": 100 / 19, "median": 10.0, "max": 12.5}},
    ],
    "compared": 8,
    "greedily_equal": {"one at a time": 7},
}  # fmt: skip
PREFIX = {
    **COMMON,
    "command": "python benchmarks/shared_prefix.py --out results/shared_prefix_smollm2.json",
    "model": "smollm2", "repeats": 1, "shape": "4x4, 10 rounds, 4 rollouts a state",
    "sampling": {"max_new_tokens": 8},
    "beam_search": {"tasks": 1, "equal_answers": 1, "largest_score_difference": 2.4e-7},
    "rollouts": {"states": 10, "rollouts": 40, "equal_re-encoding": 39, "equal_own caches": 40},
    "rows": [
        {"work": "rollouts", "way": "ours", "tokens": 2000, "positions": 2500, "calls": 90,
         "seconds": [1.25], "accounted": 2000},
        {"work": "rollouts", "way": "re-encoding", "tokens": 7000, "positions": 10000,
         "calls": 91, "seconds": [2.5]},
    ],
    "ratios": [
        {"what": "rollouts: tokens, re-encoding / ours", "target": 4,
         "ratio": {"min": 3.5, "median": 3.5, "max": 3.5}},
        {"what": "rollouts: positions, re-encoding / ours", "target": None,
         "ratio": {"min": 4.0, "median": 4.0, "max": 4.0}},
        {"what": "rollouts: seconds, re-encoding / ours", "target": None,
         "ratio": {"min": 2.0, "median": 2.0, "max": 2.0}},
    ],
}  # fmt: skip
TRAINING = {
    **COMMON,
    "command": "python benchmarks/training_speed.py --out results/training_speed.json",
    "repeats": 2, "lora": {"r": 16, "alpha": 32}, "batch_tokens": 2048, "batch": 7,
    "trajectories": 400, "tokens": 108_800, "versions": {"trl": {"trl": "1.13.0"}},
    "rows": [
        {"way": "ours", "seconds": [10.0, 10.0], "peak_mb": [900.0, 1100.0],
         "training_mb": [200.0, 300.0], "trajectories_per_s": {"median": 40.0}},
        {"way": "trl", "seconds": [14.0, 18.0], "peak_mb": [1200.0, 1400.0],
         "training_mb": [220.0, 270.0], "trajectories_per_s": {"median": 25.4}},
    ],
    "ratios": [
        {"what": "seconds: trl / ours", "target": 1.5,
         "ratio": {"min": 1.4, "median": 1.6, "max": 1.8}},
        {"what": "memory of training: trl / ours", "target": 1.0,
         "ratio": {"min": 0.9, "median": 1.0, "max": 1.1}},
    ],
}  # fmt: skip
STAGES = {
    **COMMON,
    "command": "python benchmarks/where_time_goes.py --out results/where_time_goes.json",
    "size": 64,
    "speeds": {"torch.float32": 1e11, "torch.bfloat16": 4e11, "bytes": 8e9},
    "rows": [
        {"stage": "SFT", "seconds": {"median": 2.0}, "tokens": 30_000, "flops": 2e10,
         "share": {"forward": 0.25, "backward": 0.5, "rest": 0.25}, "dtype": "bfloat16",
         "bytes": None, "floor_seconds": {"flops": 0.05, "bytes": 0.0}, "floor_share": 0.025},
        {"stage": "sampling", "seconds": {"median": 4.0}, "tokens": 9_000, "flops": 1e10,
         "share": {"forward": 0.625, "backward": 0.0, "rest": 0.375}, "dtype": "float32",
         "bytes": 4_000_000_000, "floor_seconds": {"flops": 0.1, "bytes": 0.5},
         "floor_share": 0.125},
    ],
}  # fmt: skip
MADE_UP = {
    "sampling_speed": SAMPLING,
    "shared_prefix_smollm2": PREFIX,
    "training_speed": TRAINING,
    "where_time_goes": STAGES,
}


def write(folder: Path, records: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, record in records.items():
        (folder / f"{name}.json").write_text(json.dumps(record))
    monkeypatch.setattr(page, "RESULTS", folder)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The page's parts from made-up files."""
    write(tmp_path, MADE_UP, monkeypatch)
    return page.parts()


def test_targets_met_and_missed(parts: dict[str, str]) -> None:
    lines = parts["targets"].splitlines()
    assert lines[0] == (
        "2 of 4 targets are met. Missed: environment steps/s against one at a time (The tiny "
        "policy); rollouts: tokens, re-encoding / ours (SmolLM2-135M)."
    )
    assert lines[4:] == [
        "| The tiny policy | environment steps/s against one at a time | 10.00 | 5.26 to 12.50 | "
        "11 | missed |",
        "| SmolLM2-135M | rollouts: tokens, re-encoding / ours | 3.50 | 3.50 to 3.50 | 4 | missed "
        "|",
        "| The tiny policy | seconds: trl / ours | 1.60 | 1.40 to 1.80 | 1.5 | met |",
        "| The tiny policy | memory of training: trl / ours | 1.00 | 0.90 to 1.10 | 1 | met |",
    ]


def test_where_a_table_comes_from(parts: dict[str, str]) -> None:
    assert parts["sampling"].splitlines()[0] == (
        "**The tiny policy** (`sft-0a1b2c3d4e`, sizes of the profile cpu). Made by `python "
        "benchmarks/sampling_speed.py --out results/sampling_speed.json` at commit `abc1234` on "
        "2025-01-02, x86_64, 2 CPUs, 2 threads, Python 3.11.7, torch 2.13.0, transformers 5.0.0; "
        "every way 3 times."
    )
    assert "every way once." in parts["shared_prefix"]


def test_lines_of_the_tables(parts: dict[str, str]) -> None:
    for part, line in (
        ("sampling", "| ours | 200.0 | 4,000 | 1,300 | 25,000 | 8 of 8 |"),
        ("sampling", "| one at a time | 20.0 | 360 | 1,280 | 24,000 | 7 of 8 |"),
        ("shared_prefix", "| rollouts | re-encoding | 7,000 | 10,000 | 91 | 2.50 |"),
        ("shared_prefix", "| rollouts: positions, re-encoding / ours | 4.00 | 4.00 to 4.00 | – | – "
         "|"),
        ("training", "| ours | 40.00 | 1,000 | 250 |"),
        ("training", "| trl | 25.40 | 1,300 | 245 |"),
        ("stages", "| SFT | 2.00 | 15,000 | 20.0 | 0.050 | – | 2.5 |"),
        ("stages", "| sampling | 4.00 | 2,250 | 10.0 | 0.100 | 0.500 | 12.5 |"),
        ("stages", "| sampling | 62.5 | 0.0 | 37.5 |"),
    ):  # fmt: skip
        assert line in parts[part].splitlines(), line
    assert "scores apart by at most 2.4e-07; the same text in 39 of 40" in parts["shared_prefix"]
    assert "100·10⁹ operations a second in float32 and 400·10⁹ in bfloat16, a large copy at 8.0 " \
        "GB/s" in parts["stages"]  # fmt: skip


def test_the_picture_comes_with_the_file(
    parts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "{figure}" not in parts["stages"]
    (tmp_path / "where_time_goes.png").touch()
    text = page.parts()["stages"]
    assert ":alt: For each of 2 stages a bar split into forward, backward and rest" in text
    assert "Nearest to its floor is sampling (12.5 %), farthest SFT (2.5 %)." in text


def test_what_is_not_measured_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {}, monkeypatch)
    parts = page.parts()
    assert parts.pop("targets") == "No ratio with a target is stored yet.\n"
    said = [line for text in parts.values() for line in text.splitlines() if line]
    names = [re.search(r"results/(\w+)\.json", line)[1] for line in said]  # type: ignore[index]
    assert names == list(page.COMMANDS)
    assert said[2] == (
        "**The tiny policy**: not measured yet; `python benchmarks/shared_prefix.py --repeats 3 "
        "--out results/shared_prefix.json` does it."
    )


@pytest.mark.parametrize("name", list(page.COMMANDS))
def test_a_command_is_one_that_its_script_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    class Parsed(Exception): ...

    def parsed(args: Any) -> None:
        raise Parsed(args)

    monkeypatch.syspath_prepend(str(page.ROOT / "benchmarks"))
    _, script, *argv = page.command(name).split()
    module = importlib.import_module(Path(script).stem)
    monkeypatch.setattr(module, "settings", parsed)
    with pytest.raises(Parsed) as found:
        module.main(argv)
    assert found.value.args[0].out == Path(f"results/{name}.json")


def tables_of(text: str) -> list[list[list[str]]]:
    """The cells of every Markdown table, with its head."""
    return [
        [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in block.splitlines()
            if not line.startswith("| ---")
        ]
        for block in re.findall(r"(?:^\|.*\|\n)+", text, re.M)
    ]


def quotients(record: dict[str, Any], what: str) -> list[float]:
    """A ratio of the page, computed from what was measured."""
    if found := re.fullmatch(r"environment steps/s against (.+)", what):
        ways = {r["way"]: r for r in record["rows"]}
        ours, other = ways["ours"], ways[found[1]]
        runs = range(len(ours["seconds"]))
        return [
            ours["env_steps"][k] * other["seconds"][k]
            / (ours["seconds"][k] * other["env_steps"][k])
            for k in runs
        ]  # fmt: skip
    if found := re.fullmatch(r"(.+): (tokens|positions|seconds), (.+) / ours", what):
        work, unit, way = found.groups()
        rows = {(r["work"], r["way"]): r[unit] for r in record["rows"]}
        above, below = rows[work, way], rows[work, "ours"]
    else:
        unit, way = re.fullmatch(r"(.+): (.+) / ours", what).groups()  # type: ignore[union-attr]
        key = {"peak memory": "peak_mb", "memory of training": "training_mb"}.get(unit, unit)
        rows = {r["way"]: r[key] for r in record["rows"]}
        above, below = rows[way], rows["ours"]
    if isinstance(above, int):
        return [above / below]
    return [a / b for a, b in zip(above, below, strict=True)]


def check_ratios(record: dict[str, Any], rows: list[list[str]]) -> None:
    assert [what for what, *_ in rows] == [r["what"] for r in record["ratios"]]
    for (what, middle, span, target, said), stored in zip(rows, record["ratios"], strict=True):
        found = quotients(record, what)
        assert middle == f"{median(found):.2f}", what
        assert span == f"{min(found):.2f} to {max(found):.2f}", what
        if stored["target"] is None:
            assert (target, said) == ("–", "–")
        else:
            assert float(target) == stored["target"]
            assert (said == "met") == (median(found) >= stored["target"])
            assert said in ("met", "missed")


def check_stages(record: dict[str, Any], floors: list[Any], shares: list[Any]) -> None:
    for r, floor, share in zip(record["rows"], floors, shares, strict=True):
        numbers = [float(x) for x in share[1:]]
        assert floor[0] == share[0] == r["stage"]
        assert sum(numbers) == pytest.approx(100, abs=0.5)
        computing = r["flops"] / record["speeds"][f"torch.{r['dtype']}"]
        reading = (r["bytes"] or 0) / record["speeds"]["bytes"]
        seconds = r["seconds"]["median"]
        assert floor[1] == f"{seconds:.2f}"
        assert floor[-1] == f"{100 * max(computing, reading) / seconds:.1f}"


@pytest.mark.parametrize("stored", [False, True], ids=["made up", "stored"])
def test_the_tables_are_what_was_measured(
    stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every ratio, from the seconds, tokens and megabytes of the file, not from its ratios."""
    if not stored:
        write(tmp_path, MADE_UP, monkeypatch)
    found = {p.stem: json.loads(p.read_text()) for p in page.RESULTS.glob("*.json")}
    found = {name: found[name] for name in page.COMMANDS if name in found}
    if not found:
        pytest.skip("no file of the benchmarks is stored yet")
    parts = page.parts()
    for part, (_, names) in page.SECTIONS.items():
        tables = iter(tables_of(parts[part]))
        for name in names:
            if name not in found:
                continue
            record = found[name]
            rows = next(tables)[1:]
            if part == "stages":
                check_stages(record, rows, next(tables)[1:])
            else:
                assert len(rows) == len(record["rows"])
                check_ratios(record, next(tables)[1:])
            for key in ("command", "commit", "date", "machine"):
                assert record[key] in parts[part]
            if stored:
                proposed = page.command(name).split()
                assert not set(proposed) - set(record["command"].split())
        assert next(tables, None) is None
    with_target = [r for record in found.values() for r in record.get("ratios", []) if r["target"]]
    rows = tables_of(parts["targets"])[0][1:] if with_target else []
    assert len(rows) == len(with_target)
    missed = sum(r["ratio"]["median"] < r["target"] for r in with_target)
    assert sum(row[-1] == "missed" for row in rows) == missed
    assert f"{len(rows) - missed} of {len(rows)} targets are met" in parts["targets"]
