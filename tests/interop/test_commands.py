"""The commands on logs, from a file of runs to a page, on a tiny model."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import SIZE, random_reward_model
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification

from agentprm_lite.hub import load_chat
from agentprm_lite.interop import exports
from agentprm_lite.interop.exports import export
from agentprm_lite.interop.files import read_logs
from agentprm_lite.interop.outputs import new_file, new_folder, write_whole
from agentprm_lite.interop.render import trajectory
from agentprm_lite.loop import Loop
from agentprm_lite.prm import RewardModel
from agentprm_lite.tutorial.cli import main
from agentprm_lite.tutorial.tiny import TinySize, make_tiny
from agentprm_lite.types import Task


def row(task: int, reward: Any, *turns: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Open vault {task}."}]
    for turn in turns:
        messages += [{"role": "assistant", "content": turn}, {"role": "user", "content": "Click."}]
    return {"id": f"run-{task}-{reward}", "messages": messages, "reward": reward}


ROWS = [row(k, str(r), *["turn left"] * (1 + r), f"turn {k}") for k in range(4) for r in (0, 1)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    texts = [m["content"] for r in ROWS for m in r["messages"]]
    make_tiny(folder, texts, TinySize(SIZE.hidden, SIZE.layers, SIZE.heads, context=64), 0)
    return folder


@pytest.fixture(scope="module")
def judge(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge") / "my-prm"
    export(random_reward_model(base), load_chat(base), folder, kind="agentprm")
    return folder


def written(folder: Path, rows: list[Any], name: str = "runs.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(folder / name)


def test_score_writes_m_and_progress_after_every_turn(
    judge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, out, html = written(tmp_path, ROWS), tmp_path / "s.jsonl", tmp_path / "new" / "r.html"
    command = ["score", "--model", str(judge), runs, "--out", str(out), "--html", str(html)]
    assert main(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"{runs}: 8 runs of 4 tasks, 20 turns",
        f"{out}: M after 20 turns of 8 runs",
        f"{html}: open it in a browser",
    ]
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [x["id"] for x in lines] == [r["id"] for r in ROWS]
    assert [t["message"] for t in lines[1]["turns"]] == [1, 3, 5]
    chat = load_chat(judge)
    played = [trajectory(chat, log, Task("x", 0))[0] for log in read_logs([runs])]
    whole = RewardModel(AutoModelForTokenClassification.from_pretrained(judge)).score(played)
    for line, values in zip(lines, whole, strict=True):
        np.testing.assert_allclose([t["m"] for t in line["turns"]], values.q, atol=1e-6)
        changes = np.diff([values.root, *values.q])
        np.testing.assert_allclose([t["progress"] for t in line["turns"]], changes, atol=1e-6)
        assert line["start"] == pytest.approx(values.root)
    assert html.read_text().count("<article") == 8
    assert main(["score", "--model", str(judge), runs]) == 0  # without outputs: to the terminal
    assert json.loads(capsys.readouterr().out.splitlines()[1]) == lines[0]


def test_train_reward_then_score_then_diagnose(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**r, "id": f"{k}-{r['id']}"} for k in range(3) for r in ROWS]
    runs, folder = written(tmp_path, rows), tmp_path / "my-prm"
    command = ["train", "reward", "--logs", runs, "--base", str(base), "--kind", "pvm"]
    assert main([*command, "--out", str(folder), "--epochs", "1", "--lr", "1e-2"]) == 0
    told = capsys.readouterr().out
    assert f"{folder}: pvm on {base}, learned from 24 runs" in told
    assert f"agentprm diagnose --model {folder} OTHER.jsonl" in told
    assert "| kind | pvm |" in (folder / "README.md").read_text()
    assert main(["diagnose", runs, "--model", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["both_outcomes"] == 4 and len(found["judge"]["by_turn"]) == 4
    assert found["ranking"]["fewest_turns"]["auroc"] == 0.0  # the longer ones win
    assert main(["diagnose", runs]) == 0
    assert "4 of 4 tasks have attempts that end differently" in capsys.readouterr().out
    assert main([*command, "--out", str(folder)]) == 1  # the folder is there already
    assert "is a folder that isn't empty, expected a new folder" in capsys.readouterr().err


def test_train_reward_on_the_small_base(tmp_path: Path) -> None:
    rows = [{**r, "task_id": "vault"} for r in ROWS[:2]]
    command = ["train", "reward", "--logs", written(tmp_path, rows), "--base", "small-base"]
    assert main([*command, "--out", str(tmp_path / "my-prm"), "--epochs", "1"]) == 0
    assert "llama with one output" in (tmp_path / "my-prm" / "README.md").read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("pvm --logs runs.jsonl", "--logs belongs to 'train reward'"),
        ("sft --epochs 3 --lr 1e-3", "--epochs and --lr belong to 'train reward'"),
        ("agentprm --kind pvm", "--kind belongs to 'train reward'"),
        ("reward --profile study", "--profile belongs to the book's models, not to 'reward'"),
        ("reward --env math --profile t4", "--profile and --env belong to the book's models, not"),
    ],
)
def test_options_of_the_other_kind_of_training_are_never_ignored(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *command.split()]) == 2
    assert capsys.readouterr().err.startswith(f"agentprm train: {message}")


@pytest.mark.parametrize("where", ["in a step", "in the export"])
def test_a_killed_training_goes_on_and_gives_the_same(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Killed in its fourth step, or with half an export written, and started again."""
    runs = written(tmp_path, ROWS)
    command = ["train", "reward", "--logs", runs, "--base", str(base), "--epochs", "6", "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    monkeypatch.setattr("agentprm_lite.train.SAVE_STEPS", 1)
    steps: list[str] = []
    step, save = Loop.step, exports.save_whole

    def killed(loop: Any, batch: Any, name: str) -> Any:
        steps.append(name)
        if where == "in a step" and len(steps) == 4:
            raise KeyboardInterrupt
        return step(loop, batch, name)

    def half(model: Any, folder: Path) -> None:
        save(model, folder)
        if where == "in the export":
            monkeypatch.setattr(exports, "save_whole", save)
            raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "step", killed)
    monkeypatch.setattr(exports, "save_whole", half)
    out = tmp_path / "cut"
    assert main([*command, str(out)]) == 130 and not out.exists()
    assert main([*command, str(out)]) == 0
    if where == "in a step":
        assert steps[:5] == ["step 0", "step 1", "step 2", "step 3", "step 3"]
    else:
        assert steps.count("step 0") == 1, "what had been learned is learned again"
    files = [load_file(f / "model.safetensors") for f in (tmp_path / "whole", out)]
    assert all(torch.equal(files[0][name], files[1][name]) for name in files[0])
    assert not list(tmp_path.glob(".cut*"))


LONG = row(9, 1, "turn left " * 40)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([*ROWS, LONG, row(8, 0, "turn"), {**LONG, "id": "b"}], [],
         "2 of 11 runs are longer than the 64 tokens that BASE reads; leave them out or cut them: "
         "RUNS, line 9 has 89; RUNS, line 11 has 89"),
        ([*ROWS, row(8, None, "turn"), row(9, None, "turn")], [],
         "2 of 10 runs have no reward, which training needs (a field reward, success, score, "
         "resolved, passed, is_correct, is_success): RUNS, line 9; RUNS, line 10"),
        ([*ROWS, ROWS[3]], [],
         "1 of 9 runs are there twice, with the same id and messages: RUNS, line 9"),
        ([row(1, 1, "turn"), row(2, 1, "turn")], [],
         "all 2 runs have the reward 1: there is nothing to tell apart; add runs that end"),
        ([row(1, float("nan"), "turn")], [], "RUNS, line 1: reward is nan, expected 0 to 1"),
        (ROWS, ["--epochs", "0"], "expected lr > 0 and epochs >= 1, got 0.0001 and 0"),
        (ROWS, ["--lr", "inf"], "expected lr > 0 and epochs >= 1, got inf and 10"),
        (ROWS, ["--out", "RUNS/my-prm"], "RUNS is a file"),
        (ROWS, ["--base", "no such model"], "model 'no such model' is neither a folder with"),
        (ROWS, ["--out", ""], "train reward needs --out"),
        (ROWS, ["--out", "/"], "/ is a folder that isn't empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_the_first_step(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], rows: list[Any], options: list[str], message: str,
) -> None:  # fmt: skip
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr("agentprm_lite.train.train_reward_model", never)
    monkeypatch.setattr("agentprm_lite.hub.new_reward_model", never)
    runs, out = written(tmp_path, rows), tmp_path / "my-prm"
    options = [o.replace("RUNS", runs) for o in options]
    command = ["train", "reward", "--logs", runs, "--base", str(base), "--out", str(out), *options]
    assert main(command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    expected = message.replace("RUNS", runs).replace("BASE", str(base))
    assert line.startswith("agentprm train: ") and expected in line
    assert not out.exists()


def test_several_processes_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", "reward", "--logs", "no.jsonl", "--base", "none", "--out", "new"]) == 1
    said = "agentprm train: train reward works in one process, and torchrun started 2 (WORLD_SIZE)"
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ("0011", "2 of 2 tasks have attempts that end differently"),
        ("0012", "1 of 3 tasks have attempts that end differently"),
        ("0123", "0 of 4 tasks have attempts that end differently: each task has one attempt. If "
         "some are attempts at the same task, name it in a field task_id, and they count"),
    ],
)  # fmt: skip
def test_how_many_tasks_have_both_outcomes_is_said_before_training(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], ids: str, said: str,
) -> None:  # fmt: skip
    def never(*_: Any, **__: Any) -> None:
        raise RuntimeError("here training begins")

    monkeypatch.setattr("agentprm_lite.train.train_reward_model", never)
    rows = [{**row(k, k % 2, f"turn {k}"), "task_id": task} for k, task in enumerate(ids)]
    command = ["train", "reward", "--logs", written(tmp_path, rows), "--base", str(base)]
    assert main([*command, "--out", str(tmp_path / "my-prm")]) == 1
    told = capsys.readouterr()
    assert "here training begins" in told.err and f"\n{said}" in told.out


def test_runs_that_say_the_same_are_to_end_the_same_or_to_have_ids(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise RuntimeError("here training begins")

    monkeypatch.setattr("agentprm_lite.train.train_reward_model", never)
    unnamed = [{**r, "id": None} for r in ROWS]

    def error(*rows: Any) -> str:
        command = ["train", "reward", "--logs", written(tmp_path, [*rows]), "--base", str(base)]
        assert main([*command, "--out", str(tmp_path / "my-prm")]) == 1
        return capsys.readouterr().err.splitlines()[-1]

    assert error(*unnamed, {**unnamed[3], "reward": 0}) == (
        "agentprm train: 1 of 9 runs say the same as another run of their task, have another "
        "reward and no id; give attempts their ids (a field id), or leave out what is wrong: "
        f"{tmp_path}/runs.jsonl, line 9"
    )
    for allowed in (
        unnamed[3],  # two greedy attempts, or a copy: a warning says so
        {**unnamed[3], "reward": 0, "id": "b"},
        {**unnamed[3], "reward": 0, "task_id": "another"},
    ):
        assert "here training begins" in error(*unnamed, allowed)


def test_where_rewards_are_from_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**r, "reward": None, "metadata": {"score": r["reward"]}} for r in ROWS]
    assert main(["diagnose", written(tmp_path, rows)]) == 0
    assert "\nrewards from the field metadata.score\n" in capsys.readouterr().out
    runs = written(tmp_path, [*rows[:3], *ROWS[3:], row(9, None, "turn")])
    assert main(["diagnose", runs]) == 0
    said = "\nrewards from the fields metadata.score (3 runs), reward (5 runs)\n"
    assert said in capsys.readouterr().out
    assert main(["train", "reward", "--logs", runs, "--base", "a/b", "--out", "new"]) == 1
    assert said in capsys.readouterr().out
    assert main(["diagnose", runs, "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_runs_without_a_reward_are_scored(
    judge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = written(tmp_path, [row(1, None, "turn 1")])
    assert main(["score", "--model", str(judge), runs, "--out", str(tmp_path / "s.jsonl")]) == 0
    assert json.loads((tmp_path / "s.jsonl").read_text())["reward"] is None
    assert main(["diagnose", runs]) == 1
    assert "no run has a reward" in capsys.readouterr().err
    assert main(["diagnose", runs, f"{tmp_path}/./{Path(runs).name}"]) == 1
    assert "names a file twice, and its runs would count twice" in capsys.readouterr().err


def test_what_the_template_shows_otherwise_is_said_in_one_line(
    judge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = {"id": "1", "function": {"name": "turn", "arguments": "{}"}}
    messages = [{"role": "user", "content": "Open"}, {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "content": "Click."}, {"role": "assistant", "content": "turn",
                "thinking": "left"}]  # fmt: skip
    runs = written(tmp_path, [{"task": "open", "id": k, "messages": messages} for k in (1, 2)])
    assert main(["score", "--model", str(judge), runs, "--out", str(tmp_path / "s.jsonl")]) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "not as in the logs: calls of tools as text (2), replies of tools as text (2), "
        "turns without their thoughts (2)"
    )


def test_outputs(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    write_whole(tmp_path / "full" / "a.txt", "x")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["a.txt"]
    (tmp_path / "empty").mkdir()
    assert new_folder(tmp_path / "empty") == tmp_path / "empty"
    assert new_folder(tmp_path / "new" / "er") == tmp_path / "new" / "er"
    assert new_file(tmp_path / "full" / "a.txt") == tmp_path / "full" / "a.txt"
    for check, name, message in (
        (new_folder, "", "the name of the output is empty"),
        (new_folder, " ", "the name of the output is empty"),
        (new_folder, tmp_path / "full", "a folder that isn't empty"),
        (new_folder, tmp_path / "full" / "a.txt", "is a file, expected the name of a folder"),
        (new_folder, Path(__file__).parents[2], "the root of a repository|isn't empty"),
        (new_file, "", "the name of the output is empty"),
        (new_file, tmp_path, "is a folder, expected the name of a file"),
        (new_file, "new/", "is a folder, expected the name of a file"),
        (new_file, tmp_path / "full" / "a.txt" / "b" / "c", "can't be made: .*a.txt is a file"),
        (new_folder, tmp_path / "full" / "a.txt" / "b", "can't be made: .*a.txt is a file"),
        (new_file, "/proc/x", "/proc/x can't be made: "),  # root may write, and yet nothing is made
        (new_folder, "/proc/x/y", "/proc/x/y can't be made: "),
        (new_file, "x" * 300, "x{60} can't be made: File name too long"),
        (new_file, os.devnull, "is a device or a pipe, expected the name of a file"),
        (new_folder, "a\0b", "which has a null character"),
    ):
        with pytest.raises(ValueError, match=message):
            check(name)
    source = tmp_path / "full" / "a.txt"
    (tmp_path / "link").symlink_to(source)
    write_whole(tmp_path / "link", "y")
    assert (tmp_path / "link").is_symlink() and source.read_text() == "y"
    with pytest.raises(ValueError, match="is what is read, expected another file to write to"):
        new_file(tmp_path / "full" / ".." / "full" / "a.txt", sources=[source])


def test_score_never_replaces_what_it_reads(
    judge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = written(tmp_path, ROWS)
    before = Path(runs).read_bytes()
    assert main(["score", "--model", str(judge), runs, "--out", runs]) == 1
    both = ["--out", str(tmp_path / "x"), "--html", str(tmp_path / "x")]
    assert main(["score", "--model", str(judge), runs, *both]) == 1
    assert Path(runs).read_bytes() == before and not (tmp_path / "x").exists()
    err = capsys.readouterr().err
    assert re.search("is what is read", err) and re.search("both name", err)


@pytest.mark.parametrize("text", ["{}", "[]", '{"base_model_name_or_path": null}'])
def test_adapters_without_a_base_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "adapter_config.json").write_text(text)
    assert main(["diagnose", written(tmp_path, ROWS), "--model", str(tmp_path)]) == 1
    assert "names no base_model_name_or_path" in capsys.readouterr().err
