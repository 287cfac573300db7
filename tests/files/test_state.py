"""The state of a training on the disk: a run goes on as if it had not been cut off."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import Fragile, Interrupted, random_trajectories, same, weights
from safetensors.torch import load_file, save_file

from agentprm_lite import train
from agentprm_lite.files import Checkpoint
from agentprm_lite.hub import ChatFormat, new_reward_model
from agentprm_lite.kinds import RewardExample, RewardLoss
from agentprm_lite.models import Lora
from agentprm_lite.train import TrainConfig, fit


@pytest.fixture(scope="module")
def examples(chat: ChatFormat) -> list[RewardExample]:
    return [RewardExample(t) for t in random_trajectories(chat, 10, seed=8)]


def module(folder: Path, kind: str, seed: int = 0) -> RewardLoss:
    return RewardLoss(new_reward_model(folder, Lora(r=4, alpha=8), seed), kind, m_loss="squared")


def test_a_run_goes_on_from_a_folder(
    folder: Path, examples: list[RewardExample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed twice, the same weights bit for bit; the model that goes on begins with other ones.

    What a crash left of a new state is passed over, and in the end nothing is left."""
    monkeypatch.setattr(train, "SAVE_STEPS", 2)
    config = TrainConfig(lr=0.1, epochs=4, batch=2)  # the first epoch, of five steps, is the best
    settings: dict[str, Any] = {"held_out": examples[:3]}
    whole = module(folder, "agentprm")
    log = fit(whole, examples, config, **settings)
    assert log[-1]["best_epoch"] == 0
    (tmp_path / "state.new").write_bytes(b"half of a checkpoint")
    settings["checkpoint"] = Checkpoint(tmp_path)
    for seed, steps in ((0, 4), (1, 3)):
        with pytest.raises(Interrupted):
            fit(Fragile(module(folder, "agentprm", seed), steps), examples, config, **settings)
        assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]
    again = module(folder, "agentprm", 2)
    assert fit(again, examples, config, **settings) == log
    assert same(weights(whole), weights(again))
    assert not list(tmp_path.iterdir())


def test_a_crash_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is on the disk before it gets its name, and the name before work goes on."""
    done: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, real=real, name=name: (done.append(name), real(*a))[1]
        )
    state = Checkpoint(tmp_path / "new" / "run")
    assert state.load({"lr": 1}) is None
    for number in (1.0, 2.0):
        done.clear()
        state.save({"lr": 1}, {"x": torch.tensor([number])}, {"log": [number]})
        assert done == ["fsync", "replace", "fsync"]  # the file, its name, the folder
        tensors, record = state.load({"lr": 1}) or ({}, None)
        assert (tensors["x"].tolist(), record) == ([number], {"log": [number]})
    state.remove()
    state.remove()  # a run that was too short to save anything
    assert state.load({"lr": 1}) is None


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"no state at all", None], ids=range(4))
def test_a_broken_state_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Also one that was cut off, which none of ours can be; what to do is said."""
    state = Checkpoint(tmp_path)
    state.save({"lr": 1}, {"x": torch.zeros(100)}, {})
    content = state.path.read_bytes()[:-8] if content is None else content
    state.path.write_bytes(content)
    with pytest.raises(ValueError, match=r"state\.safetensors can't be read .*remove it, and the"):
        state.load({"lr": 1})
    assert state.path.read_bytes() == content


def test_a_run_is_compared_as_it_is_written(tmp_path: Path) -> None:
    """JSON has no tuples; numpy's numbers are plain ones there."""
    state, run = Checkpoint(tmp_path), {"shape": (1, 2), "lr": np.float32(0.5), "none": None}
    state.save(run, {}, [1])
    assert state.load(run) == ({}, [1])
    with pytest.raises(ValueError, match=r"differs in shape \(\[1, 2\] there, \[2, 1\] here\);"):
        state.load(run | {"shape": (2, 1)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 2e-2}, r"in lr \(0.01 there, 0.02 here\); give another folder or remove this file"),
        ({"epochs": 2}, r"in epochs \(1 there, 2 here\), batches \(10 of 10 examples, "),
        ({"seed": 1}, r"in seed \(0 there, 1 here\), batches \("),
        ({"data": slice(0, 9)}, r"in batches \(10 of 10 examples, .* there, 9 of 9 examples, "),
        ({"data": slice(None, None, -1)}, r"in batches \(10 of 10 .* there, 10 of 10 .* here\);"),
        ({"r": 8}, r"in parameters \(.* there, .* here\);"),
        ({"label": "orm"}, r"in label \(pvm there, orm here\);"),
        ({"old": True}, r"in label \(None there, pvm here\), lr \(None there"),
    ],
    ids=str,
)
def test_a_checkpoint_of_another_run_is_refused(
    folder: Path,
    examples: list[RewardExample],
    tmp_path: Path,
    change: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be continued with other batches or settings, or its weights would not fit."""
    change = dict(change)
    monkeypatch.setattr(train, "SAVE_STEPS", 2)
    config = TrainConfig(lr=1e-2, epochs=1, batch=1)

    def go(data: Any, config: TrainConfig, r: int = 4, label: str = "pvm", at: int = 5) -> None:
        inner = RewardLoss(new_reward_model(folder, Lora(r=r, alpha=8), 0), "pvm")
        fit(Fragile(inner, at), data, config, checkpoint=Checkpoint(tmp_path), label=label)

    with pytest.raises(Interrupted):
        go(examples, config)
    state = tmp_path / "state.safetensors"
    if change.pop("old", False):  # as they were written before the run was named
        save_file(load_file(state), state, metadata={"log": "[]"})
    before = state.read_bytes()
    other: Any = {k: change.pop(k) for k in ("r", "label") if k in change}
    data = examples[change.pop("data", slice(None))]
    with pytest.raises(ValueError, match=rf"state\.safetensors belongs to another run.*{message}"):
        go(data, replace(config, **change), **other)
    assert state.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"beta": 0.0},
        {"lam": 0.9},
        {"progress": "gae"},
        {"m_loss": "squared"},
        {"cut": "bootstrap"},
    ],
    ids=str,
)
def test_another_goal_is_another_run(
    folder: Path,
    examples: list[RewardExample],
    tmp_path: Path,
    change: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that was cut off doesn't go on toward another loss, nor on other outcomes."""
    monkeypatch.setattr(train, "SAVE_STEPS", 2)
    config = TrainConfig(lr=1e-2, epochs=1, batch=1)

    def go(data: list[RewardExample], **settings: Any) -> None:
        model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
        inner = RewardLoss(model, "agentprm", **settings)
        fit(Fragile(inner, 5), data, config, checkpoint=Checkpoint(tmp_path))

    with pytest.raises(Interrupted):
        go(examples)
    with pytest.raises(
        ValueError, match=f"another run, which differs in loss .*{next(iter(change))}"
    ):
        go(examples, **change)
    t = examples[0].trajectory
    lost = replace(t, rewards=(*t.rewards[:-1], 1.0 - t.outcome))
    with pytest.raises(ValueError, match="another run, which differs in batches"):
        go([RewardExample(lost), *examples[1:]])
