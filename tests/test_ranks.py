"""Two processes do what one does: the same losses, the same weights, the same files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import two_ranks
from accelerate import PartialState
from helpers import float64, random_reward_model, random_trajectories
from safetensors.torch import load_file
from torch import nn

from agentprm_lite import ranks
from agentprm_lite.chat import ChatFormat
from agentprm_lite.models import Lora, load_policy
from agentprm_lite.ranks import World, alone, world
from agentprm_lite.train import Kind, RewardExample, RewardLoss, SFTLoss, make_batches

KINDS: tuple[Kind, ...] = ("orm", "pvm", "mc_hard", "mc_soft", "agentprm")


def torchrun(*command: Any, **env: str) -> subprocess.CompletedProcess[str]:
    """Two processes that meet on a free port of the loopback interface."""
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    return subprocess.run(
        [sys.executable, *launch, "--local-addr=127.0.0.1", *map(str, command)],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


# --- training -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes wrote what `two_ranks.training` gives."""
    out = tmp_path_factory.mktemp("two")
    done = torchrun(two_ranks.__file__, "training", folder, out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("what", ["sft", "agentprm"])
def test_two_ranks_train_as_one(folder: Path, two: Path, what: str) -> None:
    """Float32, LoRA: every logged number of every step to 1e-5, the final weights to 1e-5."""
    log, weights = two_ranks.trained(what, folder)
    assert len(log) >= 9 and log[-1]["loss"] < log[0]["loss"]
    for rank in range(2):
        other = json.loads((two / f"{what}.{rank}.json").read_text())
        assert [x.keys() for x in other] == [x.keys() for x in log]
        for a, b in zip(log, other, strict=True):
            np.testing.assert_allclose(list(b.values()), list(a.values()), rtol=0, atol=1e-5)
        found = load_file(two / f"{what}.{rank}.safetensors")
        assert found.keys() == weights.keys()
        for name, w in weights.items():
            torch.testing.assert_close(found[name], w, rtol=0, atol=1e-5)
    first, second = (two / f"{what}.{rank}.safetensors" for rank in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_the_ranks_of_that_test_never_have_equal_shares(folder: Path) -> None:
    """One example (rank 1 has none), three, five."""
    _, (examples, length) = two_ranks.case("sft", folder)
    lengths = [length(e) for e in examples]
    sizes = [len(g) for k in range(3) for g in make_batches(lengths, two_ranks.CONFIG, k)]
    assert set(sizes) == {1, 3, 5}


def test_two_ranks_go_on_from_rank_0s_checkpoint(two: Path) -> None:
    whole = json.loads((two / "agentprm.0.json").read_text())
    first, second = (json.loads((two / f"resumed.{rank}.json").read_text()) for rank in range(2))
    assert first["log"] == second["log"] == whole  # the models began with other weights
    # interrupted at the 4th step, and at the 5th after step 2: saved at 2; 4, 6; 8, ...
    steps = len(whole)
    assert first["saves"] == list(range(2, steps, 2))
    assert second["saves"] == []
    assert first["left"] == second["left"] == []


def test_ranks_with_other_data_stop(two: Path) -> None:
    for rank in range(2):
        said = json.loads((two / f"resumed.{rank}.json").read_text())["other data"]
        examples = 9 - rank
        assert f"ranks [1] aren't at the same work as rank 0; rank {rank} is at step 0 of" in said
        assert f"of {examples} examples" in said


@pytest.mark.parametrize("kind", [*KINDS, "sft"])
def test_parts_of_a_batch_add_up_to_it(folder: Path, chat: ChatFormat, kind: Any) -> None:
    """Losses, gradients and logged numbers, in float64; parts of 1, 5 and 4 trajectories."""
    trajectories = random_trajectories(chat, 10, seed=8)
    rng = np.random.default_rng(0)
    examples: list[Any] = [
        RewardExample(t, rng.integers(0, 2, (t.num_steps, 3))) for t in trajectories
    ]
    if kind == "sft":
        examples = trajectories
        module: nn.Module = SFTLoss(float64(load_policy(folder, Lora(r=4, alpha=8))))
    else:
        module = RewardLoss(float64(random_reward_model(folder)), kind, beta=0.7, lam=0.8)

    def run(*args: Any) -> tuple[float, dict[str, float], dict[str, torch.Tensor]]:
        module.zero_grad()
        loss, logs = module(*args)
        loss.backward()
        grads = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
        return loss.item(), logs, grads

    loss, logs, grads = run(examples)
    parts = [run(examples[a:b], examples) for a, b in ((0, 1), (1, 6), (6, 10))]
    exact = 1e-7 if kind == "mc_soft" else 1e-12  # thirds, kept in float32
    assert sum(p[0] for p in parts) == pytest.approx(loss, abs=exact)
    for name, number in logs.items():
        assert sum(p[1][name] for p in parts) == pytest.approx(number, abs=exact)
    assert any(g.abs().max() > 1e-3 for g in grads.values())
    for name, grad in grads.items():
        torch.testing.assert_close(sum(p[2][name] for p in parts), grad, rtol=0, atol=exact)
    # the well-known wrong one: the mean of the parts' own means
    means = [run(examples[a:b])[0] for a, b in ((0, 1), (1, 6), (6, 10))]
    assert abs(np.mean(means) - loss) > 1e-5


# --- the size of the world ------------------------------------------------------------------------


@pytest.fixture
def two_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment says that there are two processes; in truth there is one."""
    PartialState(cpu=True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    return monkeypatch


def test_one_process_is_a_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert world() == World(0, 1) and world().first
    assert ranks.agree(True) is True and ranks.agree(False) is False
    ranks.wait()
    ranks.check_same("nothing to compare with")


def test_a_world_size_without_ranks_is_an_error(folder: Path, two_said: Any) -> None:
    message = "WORLD_SIZE is 2, but RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT isn't set: start"
    with pytest.raises(RuntimeError, match=message):
        world()
    with pytest.raises(RuntimeError, match=message):
        two_ranks.trained("sft", folder)


def test_a_world_that_is_not_connected_is_an_error(folder: Path, two_said: Any) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_PORT"):
        two_said.setenv(name, "0")
    two_said.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(RuntimeError, match="WORLD_SIZE is 2, but 1 process is connected"):
        two_ranks.trained("sft", folder)
    with alone():  # what one rank does while the others wait
        assert world() == World(0, 1)
    with pytest.raises(RuntimeError, match="1 process is connected"):
        world()


def test_the_two_rank_script_refuses_one_process() -> None:
    with pytest.raises(SystemExit, match="1 process runs, 2 are needed"):
        two_ranks.main("training")


@pytest.mark.parametrize("place", [(1, 1), (-1, 2), (0, 0)])
def test_a_rank_lies_within_its_world(place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected 0 to size - 1"):
        World(*place)
