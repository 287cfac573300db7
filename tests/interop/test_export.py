"""An exported reward model: read by transformers alone, with the scores of the adapters."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import random_reward_model, random_trajectories
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification, LlamaForTokenClassification

from agentprm_lite.hub import ChatFormat, load_chat, load_reward_model, save_adapter
from agentprm_lite.interop import export, from_messages, load_exported
from agentprm_lite.interop.card import program
from agentprm_lite.prm import RewardModel, check_ids
from agentprm_lite.tutorial import cli, rewards, stages
from agentprm_lite.tutorial.profiles import SMOKE
from agentprm_lite.tutorial.small_families import make
from agentprm_lite.tutorial.templates import STYLES, small_tokenizer
from agentprm_lite.types import Task


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "judge"
    export(random_reward_model(folder), load_chat(folder), out, kind="agentprm")
    return out


def run_here(code: str, folder: Path) -> None:
    (folder / "program.py").write_text(code)
    runpy.run_path(str(folder / "program.py"))


def test_plain_transformers_gives_the_adapters_scores(
    folder: Path, chat: ChatFormat, exported: Path
) -> None:
    trajectories = random_trajectories(chat, 8, 1)
    expected = RewardModel(random_reward_model(folder)).score(trajectories)
    assert np.std(np.concatenate([s.q for s in expected])) > 0.05
    model, info = AutoModelForTokenClassification.from_pretrained(
        exported, output_loading_info=True
    )
    assert type(model) is LlamaForTokenClassification
    assert not any(info.values()), "keys are missing or left over"
    model.eval()
    for trajectory, values in zip(trajectories, expected, strict=True):
        with torch.no_grad():
            m = model(torch.tensor([trajectory.ids])).logits[0, :, 0].sigmoid().numpy()
        np.testing.assert_allclose(m[list(trajectory.score_positions)], values.q, atol=1e-5)
        np.testing.assert_allclose(m[trajectory.root_position], values.root, atol=1e-5)


def test_the_folder_is_whole_and_has_no_adapters(exported: Path) -> None:
    names = {p.name for p in exported.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "agentprm.json"} <= names
    assert "README.md" in names
    assert not {n for n in names if "adapter" in n}
    load_chat(exported).verify(exported)


def test_half_precision_halves_the_file(folder: Path, exported: Path, tmp_path: Path) -> None:
    model, chat = random_reward_model(folder), load_chat(folder)
    export(model, chat, tmp_path / "half", kind="orm", dtype=torch.bfloat16)
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "bfloat16"
    sizes = [(f / "model.safetensors").stat().st_size for f in (tmp_path / "half", exported)]
    assert 0.45 < sizes[0] / sizes[1] < 0.6


def test_the_card_says_where_scores_are_read(chat: ChatFormat, exported: Path) -> None:
    card = (exported / "README.md").read_text()
    assert "| boundary rule | `last-sampled-token` |" in card
    assert chat.fingerprint in card
    assert f"`<|end|>` (id {chat.end_id})" in card
    assert "| kind | agentprm |" in card
    assert f"vllm serve {exported} --runner pooling --convert classify" in card
    assert f"hf upload OWNER/NAME {exported}" in card
    assert not re.search(r"\{\w+\}", card.replace("{end}", "")), "a blank that wasn't filled"


def test_the_cards_example_gives_the_score_of_the_turn(
    chat: ChatFormat, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = (exported / "README.md").read_text()
    ours, code = re.findall(r"```python\n(.+?)```", card, re.S)
    assert len([line for line in code.splitlines() if line]) <= 18
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ids = chat.opening_ids("Goal: craft stick.") + chat.turn_ids("Planks first: get 2 planks")
    model = AutoModelForTokenClassification.from_pretrained(exported).eval()
    with torch.no_grad():
        expected = float(model(torch.tensor([ids])).logits[0, -1, 0].sigmoid())
    assert json.loads(done.stdout) == pytest.approx([expected], abs=1e-5)
    assert abs(expected - 0.5) > 1e-3
    run_here(ours, tmp_path)
    assert float(capsys.readouterr().out.splitlines()[-1]) == pytest.approx(expected, abs=1e-5)
    # many conversations of different lengths, padded with a token that looks like an end
    many = code.replace("texts = [", "texts = [tokenizer.apply_chat_template(messages * 4, tokenize"
        "=False), ").replace("tokenizer.pad_token or ", "")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", many], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[1:] == pytest.approx([expected], abs=1e-5)


def test_the_cards_example_with_the_library_shows_calls_and_ends_anywhere(
    chat: ChatFormat, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call without text, its reply, a turn, and what the user said then: M is of that turn."""
    call = {"id": "1", "function": {"name": "craft", "arguments": '{"what": "stick"}'}}
    messages = [{"role": "user", "content": "Goal: craft stick."},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "1", "content": "get 2 planks"},
                {"role": "assistant", "content": "Planks first: get 2 planks"}]  # fmt: skip
    tools = [{"name": "craft", "parameters": {"type": "object"}}]
    run = from_messages(chat, messages, None, Task("any", 3), tools=tools)
    q = RewardModel(load_exported(exported)[0]).score([run])[0].q
    assert len(q) == 2 and abs(q[1] - q[0]) > 1e-3
    card = (exported / "README.md").read_text()
    code = re.findall(r"```python\n(.+?)```", card, re.S)[0]
    given = repr([*messages, {"role": "user", "content": "Got 2."}])
    code, n = re.subn(
        r"messages = \[.+?^\]", lambda _: f"messages = {given}", code, flags=re.S | re.M
    )
    code, k = re.subn(r"tools = \[\]", f"tools = {tools}", code)
    assert (n, k) == (1, 1)
    run_here(code, tmp_path)
    assert float(capsys.readouterr().out.splitlines()[-1]) == pytest.approx(float(q[1]), abs=1e-6)
    assert "doesn't show tool calls" in " ".join(card.split())


def test_the_card_doesnt_invite_a_softmax_over_one_label(exported: Path) -> None:
    head, text = (exported / "README.md").read_text().split("---\n")[1:3]
    assert "pipeline_tag" not in head and "inference: false" in head
    assert "is 1.0 for every token" in " ".join(text.split())


WHOLE = "texts = [tokenizer.apply_chat_template(messages, tokenize=False)]  # one or many"
CUT = "texts = [tokenizer.apply_chat_template(messages, tokenize=False).rstrip()]  # one or many"


@pytest.mark.parametrize(
    ("style", "of_logs", "of_a_policy"),
    [
        ("qwen2.5", WHOLE, WHOLE),
        ("phi3", WHOLE, WHOLE),  # something stands after the last turn
        ("gpt-oss", WHOLE, WHOLE),  # turns of the past end otherwise
        ("qwen3", WHOLE, "+ said + '<|im_end|>'"),  # only the last turn has an empty thought
        ("glm4", CUT, "+ said + '<|user|>'"),  # turns end where the next role begins
        ("qwen3-thinking", WHOLE, "no program"),  # the past is shown without its thoughts
        ("deepseek-r1", WHOLE, "no program"),
    ],
)
def test_the_cards_program_has_the_ids_that_the_model_was_trained_on(
    style: str, of_logs: str, of_a_policy: str
) -> None:
    stops = STYLES[style].stops.split()
    tokenizer = small_tokenizer(STYLES[style])
    chat = ChatFormat(tokenizer, tokenizer.convert_tokens_to_ids(stops))
    assert program(chat, recorded=True).texts == of_logs
    if of_a_policy == "no program":
        with pytest.raises(ValueError, match=r"no program that renders .* save the adapters"):
            program(chat, recorded=False)
    else:
        assert of_a_policy in program(chat, recorded=False).texts


@pytest.mark.parametrize(("family", "recorded"), [("Qwen3", False), ("GLM-4", True)])
def test_the_cards_program_where_a_last_turn_is_shown_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], family: str, recorded: bool
) -> None:
    """Read by transformers alone; and the folder comes back, whatever ends a turn."""
    make(family, tmp_path / "base")
    chat = load_chat(tmp_path / "base")
    out = tmp_path / 'my "judge"'
    export(random_reward_model(tmp_path / "base"), chat, out, kind="orm", recorded=recorded)
    model, again = load_exported(out)
    asked, said = "Goal: craft stick.", "Planks first: get 2 planks"
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    ids = chat.opening_ids(asked) + chat.turn_ids(said)
    if recorded:
        ids = list(from_messages(chat, messages, 1, Task("vault", 0)).ids)
    with torch.no_grad():
        expected = float(model(torch.tensor([ids])).logits[0, -1, 0].sigmoid())
    *ours, code = re.findall(r"```python\n(.+?)```", (out / "README.md").read_text(), re.S)
    assert len(ours) == recorded, "the library's program reads a policy's ids, not messages"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == pytest.approx([expected], abs=1e-5)
    if ours:
        run_here(ours[0], tmp_path)
        assert float(capsys.readouterr().out.splitlines()[-1]) == pytest.approx(expected, abs=1e-5)
    assert abs(expected - 0.5) > 1e-3 and again.fingerprint == chat.fingerprint


def test_an_exported_model_refuses_ids_of_another_chat_format(exported: Path) -> None:
    judge, chat = load_exported(exported)
    check_ids(RewardModel(judge), chat)
    other = ChatFormat(small_tokenizer(STYLES["qwen2.5"]))
    with pytest.raises(ValueError, match=f"{chat.fingerprint}, .* {other.fingerprint}"):
        check_ids(RewardModel(judge), other)


def test_an_exported_model_comes_back(folder: Path, exported: Path, tmp_path: Path) -> None:
    model, chat = load_exported(exported)
    trajectories = random_trajectories(chat, 3, 1)
    expected = RewardModel(random_reward_model(folder)).score(trajectories)
    for ours, theirs in zip(RewardModel(model).score(trajectories), expected, strict=True):
        np.testing.assert_allclose(ours.q, theirs.q, atol=1e-5)
    with pytest.raises(ValueError, match=r"whole model is read by interop\.load_exported"):
        load_reward_model(folder, exported, chat)
    save_adapter(random_reward_model(folder), chat, tmp_path / "adapter")
    again = RewardModel(load_exported(tmp_path / "adapter")[0]).score(trajectories)
    np.testing.assert_allclose(again[0].q, expected[0].q, atol=1e-5)
    with pytest.raises(ValueError, match="holds no reward model of this library, which has one"):
        load_exported(folder)
    with pytest.raises(ValueError, match=r"holds no model: there is no config\.json"):
        load_exported(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "garbled", "swapped", "missing"])
def test_damaged_weights_are_named(exported: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "judge"
    shutil.copytree(exported, folder)
    path = folder / "model.safetensors"
    data = path.read_bytes()
    other = load_file(path)
    if damage == "missing":
        path.unlink()
    elif damage == "swapped":
        save_file({k: v + 1 for k, v in other.items()}, path, metadata={"format": "pt"})
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else data[:-8] + bytes(8))
    with pytest.raises(ValueError, match=r"judge/model\.safetensors isn't the file that was wri"):
        load_exported(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", "5", "null"])
def test_a_damaged_record_is_named(exported: Path, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "judge"
    shutil.copytree(exported, folder)
    (folder / "agentprm.json").write_text(text)
    with pytest.raises(ValueError, match=r"judge/agentprm\.json isn't what this library wrote"):
        load_exported(folder)


@pytest.mark.parametrize("made", ["full", "repository", "file"])
def test_nothing_is_overwritten(folder: Path, tmp_path: Path, made: str) -> None:
    out, what = tmp_path / made, {"full": "a folder that isn't empty", "file": "is a file"}
    if made == "file":
        out.write_text("x")
    else:
        (out / ("x" if made == "full" else ".git")).mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=what.get(made, "is the root of a repository")):
        export(random_reward_model(folder), load_chat(folder), out, kind="orm")
    with pytest.raises(ValueError, match="the name of the output is empty"):
        export(random_reward_model(folder), load_chat(folder), "", kind="orm")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_exports_a_reward_model_of_the_pipeline(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def reward_model(profile: object, kind: str, seed: int) -> RewardModel:
        asked.append((kind, profile.name, seed))
        return RewardModel(random_reward_model(folder))

    monkeypatch.setattr(rewards, "reward_model", reward_model)
    policy = stages.Policy(folder, load_chat(folder), SMOKE)
    monkeypatch.setattr(stages, "policy", lambda profile: policy)
    out = str(tmp_path / "judge")
    command = ["export", "--profile", "smoke", "--model", "pvm", "--seed", "1", "--out", out]
    assert cli.main(command) == 0
    assert asked == [("pvm", "smoke", 1)]
    assert capsys.readouterr().out == f"{out}\n"
    assert "| kind | pvm |" in (tmp_path / "judge" / "README.md").read_text()
