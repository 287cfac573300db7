"""Two processes do what one does: the same losses, the same weights, the same files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import two_ranks
from accelerate import PartialState
from helpers import (
    TASKS,
    Dice,
    float64,
    in_another_process,
    random_reward_model,
    random_trajectories,
    until,
)
from safetensors.torch import load_file
from torch import nn

from agentprm_lite import loop
from agentprm_lite.distributed import Ranks, collect, merge, ranks
from agentprm_lite.distributed.ranks import Rank, alone, this_rank
from agentprm_lite.forward import microbatches
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.kinds import RewardExample, RewardLoss
from agentprm_lite.labels import KINDS
from agentprm_lite.models import Lora
from agentprm_lite.train import SFTLoss
from agentprm_lite.tutorial import artifacts, guided, stages
from agentprm_lite.tutorial.profiles import SMOKE

PATIENCE = 600  # seconds; on an idle machine it takes a twentieth of that


@pytest.fixture(scope="module")
def two(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes wrote what `two_ranks` gives; they meet on a free port of loopback."""
    out = tmp_path_factory.mktemp("two")
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=1"]
    launch += ["--standalone", "--local-addr=127.0.0.1", two_ranks.__file__, str(folder), str(out)]
    env = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "AGENTPRM_ARTIFACTS": f"{out}/root"}
    env["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # else restarted ranks may find old addresses
    with (out / "stdout").open("w") as stdout, (out / "stderr").open("w") as stderr:
        command = [sys.executable, *launch]
        run = subprocess.Popen(command, env=os.environ | env, stdout=stdout, stderr=stderr)
        try:
            status = run.wait(PATIENCE)
        finally:
            run.terminate()  # torchrun then ends its ranks, too
            run.wait(60)
    assert status == 0, (out / "stderr").read_text()
    return out


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what", ["sft", "sft.shard", "agentprm", "agentprm.shard", "rules", "rules.shard"]
)
def test_two_ranks_train_as_one(folder: Path, two: Path, what: str) -> None:
    """Float32, LoRA: every logged number of every step to 1e-5, the final weights, too.

    AgentPRM holds out two trajectories and keeps its best epoch's weights. In "rules" a rank with
    two trajectories could read their beginning once, while one with one couldn't.
    """
    exact = 5e-5 if what.startswith("rules") else 1e-5
    log, weights = two_ranks.trained(what.removesuffix(".shard"), folder)
    assert len(log) >= 8 and weights.keys()
    for rank in range(2):
        other = json.loads((two / f"{what}.{rank}.json").read_text())
        assert [x.keys() for x in other] == [x.keys() for x in log]
        for a, b in zip(log, other, strict=True):
            np.testing.assert_allclose(list(b.values()), list(a.values()), rtol=0, atol=1e-5)
        found = load_file(two / f"{what}.{rank}.safetensors")
        assert found.keys() == weights.keys()
        for name, w in weights.items():
            torch.testing.assert_close(found[name], w, rtol=0, atol=exact)
    first, second = (two / f"{what}.{rank}.safetensors" for rank in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_a_split_model_is_held_once(two: Path) -> None:
    """FSDP2: each rank has its half of every parameter, frozen or not, and nothing besides."""
    first, second = (json.loads((two / f"held.{rank}.json").read_text()) for rank in range(2))
    assert len(first) == len(second) == 3  # the runs with shard=True, and no other
    for (size, part, kept), (size_1, part_1, kept_1) in zip(first, second, strict=True):
        assert size == size_1 == part + part_1
        assert part == pytest.approx(size / 2, rel=0.01)
        assert kept == kept_1 == 0


def rank_of(rank: int, size: int, shard: bool) -> Ranks:
    """As it would be on a rank, without processes."""
    here = Ranks()
    here.rank, here.shard = Rank(rank, size), shard
    return here


@pytest.mark.parametrize("shard", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5, 33])
def test_ranks_share_out_a_step(count: int, shard: bool) -> None:
    """Every example is in one pass of one rank, within the budget, and weighs 1 in the sum; ranks
    with split weights make equally many passes."""
    lengths = np.random.default_rng(0).integers(10, 500, count).tolist()
    dealt = [rank_of(rank, 3, shard).parts(lengths, 1000) for rank in range(3)]
    counted = [i for parts in dealt for weight, part in parts if weight for i in part]
    assert sorted(counted) == list(range(count))
    assert {w for parts in dealt for w, _ in parts} <= {0.0, 3.0 if shard else 1.0}
    passes = [len(parts) for parts in dealt]
    assert min(passes) >= 1 and (not shard or len(set(passes)) == 1)
    for part in (part for parts in dealt for _, part in parts):
        assert len(part) * max(lengths[i] for i in part) <= 1000
    shares = [sum(lengths[i] for w, p in parts if w for i in p) for parts in dealt]
    assert count < 33 or max(shares) < 1.2 * min(shares)
    assert rank_of(0, 1, False).parts(lengths, 1000) == [
        (1.0, g) for g in microbatches(lengths, 1000)
    ]


def test_a_split_model_needs_bfloat16(
    folder: Path, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scaled loss has to be unscaled on all ranks alike, which nobody does here."""
    monkeypatch.setattr(loop, "half_dtype", lambda: torch.float16)
    with pytest.raises(ValueError, match="shard needs bfloat16"):
        rank_of(0, 2, True)(nn.Linear(1, 1), None, 1000, None, {}, True)


@pytest.mark.parametrize("shard", ["", ".shard"])
def test_two_ranks_go_on_from_rank_0s_checkpoint(two: Path, shard: str) -> None:
    whole = json.loads((two / f"agentprm{shard}.0.json").read_text())
    names = (f"resumed{shard}.{rank}.json" for rank in range(2))
    first, second = (json.loads((two / name).read_text()) for name in names)
    assert first["log"] == second["log"] == whole  # the models began with other weights
    assert {"best_epoch", "held_out_loss"} <= whole[-1].keys()
    # interrupted at the 4th step, and at the 5th after step 2: saved at 2; 4, 6; 8, ...
    steps = len(whole)
    assert first["saves"] == [2, *range(4, 7, 2), *range(8, steps, 2)]
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
        module: Any = SFTLoss(float64(load_policy(folder, Lora(r=4, alpha=8))))
    else:
        beta = 0.0 if kind == "pqm" else 0.7
        module = RewardLoss(float64(random_reward_model(folder)), kind, beta=beta, lam=0.8)

    def run(
        part: list[Any], step: list[Any]
    ) -> tuple[float, dict[str, float], dict[str, torch.Tensor]]:
        module.zero_grad()
        loss, logs = module(part, module.sizes(step))
        loss.backward()
        grads = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
        return loss.item(), logs, grads

    loss, logs, grads = run(examples, examples)
    parts = [run(examples[a:b], examples) for a, b in ((0, 1), (1, 6), (6, 10))]
    exact = 1e-12
    assert sum(p[0] for p in parts) == pytest.approx(loss, abs=exact)
    for name, number in logs.items():
        assert sum(p[1][name] for p in parts) == pytest.approx(number, abs=exact)
    assert any(g.abs().max() > 1e-3 for g in grads.values())
    for name, grad in grads.items():
        torch.testing.assert_close(sum(p[2][name] for p in parts), grad, rtol=0, atol=exact)
    # the well-known wrong one: the mean of the parts' own means
    means = [run(examples[a:b], examples[a:b])[0] for a, b in ((0, 1), (1, 6), (6, 10))]
    assert abs(np.mean(means) - loss) > 1e-5


# --- collecting -----------------------------------------------------------------------------------


def test_a_killed_rank_ends_the_run_and_both_go_on(two: Path) -> None:
    records = [json.loads((two / f"record.{rank}.json").read_text()) for rank in range(2)]
    found = records[0]["found"]
    assert found == records[1]["found"]
    assert found["rollouts.rank1of2.jsonl"] == 2  # its first block
    by_rank_0 = found.get("rollouts.rank0of2.jsonl", 0)  # it may have been killed before its first
    # what the files don't hold yet is played, and nothing else
    assert records[1]["blocks"] == 2
    assert records[0]["blocks"] == 3 - by_rank_0 // 2


def test_what_is_not_shared_out_is_made_by_rank_0_once(two: Path) -> None:
    assert [p.name for p in two.glob("demos.*")] == ["demos.0.0"]  # by rank 0 in the first attempt


def test_one_rank_reports(two: Path) -> None:
    lines = (two / "stdout").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["train", "Monte", "beam"]
    assert lines[0].startswith("train rollouts: 12 trajectories, success")


def test_two_ranks_write_the_files_of_one(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte by byte, on the same policy and reward model; and no other file is left."""
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path))
    skip = shutil.ignore_patterns("rollouts-*", "mc-*", "beam_*")
    shutil.copytree(two / "root", tmp_path, ignore=skip, dirs_exist_ok=True)
    stages.rollouts(two_ranks.SMALL)
    stages.mc_rollouts(two_ranks.SMALL)
    guided.beam_runs(two_ranks.SMALL, "agentprm", 2, 1)

    def files(root: Path) -> dict[str, bytes]:
        """All files but those that say how long an artifact took."""
        found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for made in [name for name in found if name.endswith("made.json")]:
            del found[made]
            listed = str(Path(made).with_name("manifest.json"))
            manifest = json.loads(found[listed])
            del manifest["sha256"], manifest["files"]["made.json"]
            found[listed] = json.dumps(manifest).encode()
        return found

    one, other = files(tmp_path), files(two / "root")
    assert one.keys() == other.keys()
    assert {p for p in one if one[p] != other[p]} == set()
    lines = {Path(p).name: content.count(b"\n") for p, content in one.items()}
    assert (lines["rollouts.jsonl"], lines["answers.jsonl"]) == (12, 3)


@pytest.fixture(scope="module")
def shards(chat: ChatFormat, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of one process, and of three ranks; blocks of 6, 6 and 4 of 16 episodes."""
    folder = tmp_path_factory.mktemp("shards")
    player = Dice(chat)
    collect(player, TASKS[:4], 4, folder / "one.jsonl", batch=6)
    for rank in range(3):
        mine = collect(player, TASKS[:4], 4, folder / "many.jsonl", batch=6, shard=Rank(rank, 3))
        assert len(mine) == [6, 6, 4][rank]
    return folder


def test_ranks_without_work_are_told(
    shards: Path, chat: ChatFormat, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """16 episodes in blocks of 6 are work for three ranks, and not for four."""
    for size in (3, 4):
        collect(Dice(chat), TASKS[:4], 4, tmp_path / "a.jsonl", batch=6, shard=Rank(0, size))
        assert ("16 episodes in blocks of 6: some of the 4 ranks" in caplog.text) == (size == 4)
    assert collect(Dice(chat), TASKS[:4], 4, tmp_path / "a.jsonl", batch=6, shard=Rank(3, 4)) == []


def test_what_one_process_refuses_ranks_refuse(chat: ChatFormat, tmp_path: Path) -> None:
    """A task that is there twice may lie in the blocks of two ranks."""
    path, dice = tmp_path / "a.jsonl", Dice(chat)
    for tasks, samples, batch, message in (
        (TASKS[:1] * 2, 1, 1, f"tasks has {TASKS[0].key} more than once"),
        (TASKS[:1], 1, 0, "batch is 0, expected at least 1"),
        (TASKS[:1], -1, 1, "samples is -1, expected at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            collect(dice, tasks, samples, path, batch=batch, shard=Rank(0, 2))
    assert not list(tmp_path.iterdir())


KEYS = [f"{task.key}/{k}" for task in TASKS[:4] for k in range(4)]


def test_merged_shards_are_the_file_of_one(shards: Path) -> None:
    assert not (shards / "many.jsonl").exists()
    joined = merge(shards / "many.jsonl", KEYS, 3)
    assert [t.key for t in joined] == KEYS
    assert (shards / "many.jsonl").read_bytes() == (shards / "one.jsonl").read_bytes()
    assert merge(shards / "many.jsonl", KEYS, 3) == joined  # again: nothing twice


def test_merge_refuses_keys_that_are_there_twice(shards: Path, tmp_path: Path) -> None:
    """It wrote a file that could not be read."""
    shutil.copytree(shards, tmp_path, dirs_exist_ok=True)
    (tmp_path / "many.jsonl").write_text("old")
    with pytest.raises(ValueError, match=rf"of 17 .* of 3 ranks 1 wanted twice \({KEYS[0]}\)\."):
        merge(tmp_path / "many.jsonl", [*KEYS, KEYS[0]], 3)
    assert (tmp_path / "many.jsonl").read_text() == "old"


@pytest.mark.parametrize(("seed", "policy"), [(1, "dice"), (0, "dice-v2")])
def test_merge_refuses_files_of_two_runs(
    chat: ChatFormat, tmp_path: Path, seed: int, policy: str
) -> None:
    path, dice = tmp_path / "a.jsonl", Dice(chat)
    collect(dice, TASKS[:2], 1, path, batch=1, shard=Rank(0, 2))
    dice.policy = policy
    collect(dice, TASKS[:2], 1, path, batch=1, seed=seed, shard=Rank(1, 2))
    message = rf"a\.jsonl: .* \[\(0, 'dice'\), \({seed}, '{policy}'\)\], expected those of one run"
    for key in (lambda t: t.key, lambda t: f"{t.task.key}/0"):
        with pytest.raises(ValueError, match=message):
            merge(path, [f"{task.key}/0" for task in TASKS[:2]], 2, key)
    assert not path.exists()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("remove", rf"of 16 .* of 3 ranks 6 missing \({KEYS[6]}, .*{KEYS[10]}, \.\.\.\)\. Let"),
        ("cut", rf"1 missing \({KEYS[11]}\)\. Let every rank finish collecting"),
        ("double", rf"line 7: task, sample and seed are those of line 1 \({KEYS[6]}\)"),
        ("foreign", rf"4 not wanted \({KEYS[12]}, {KEYS[13]}, {KEYS[14]}, {KEYS[15]}\)"),
    ],
)
def test_merge_names_what_is_wrong(shards: Path, tmp_path: Path, harm: str, message: str) -> None:
    shutil.copytree(shards, tmp_path, dirs_exist_ok=True)
    (tmp_path / "many.jsonl").write_text("old")
    path = tmp_path / "many.rank1of3.jsonl"
    content = path.read_bytes()
    if harm == "remove":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[:-9])
    elif harm == "double":
        path.write_bytes(content + content.splitlines(keepends=True)[0])
    keys = KEYS[:12] if harm == "foreign" else KEYS
    with pytest.raises(ValueError, match=message):
        merge(tmp_path / "many.jsonl", keys, 3)
    assert (tmp_path / "many.jsonl").read_text() == "old"


# --- processes that don't know of each other ------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("killed", [False, True])
def test_one_process_makes_an_artifact_and_another_waits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    killed: bool,
) -> None:
    """If the first dies, the other goes on in its folder."""
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path / "artifacts"))
    release = tmp_path / "release"
    caplog.set_level("INFO")

    def make(folder: Path) -> None:
        with (folder / "makers").open("a") as f:
            f.write(f"{os.getpid()}\n")
        if os.getpid() != here:
            until(release.exists)

    def made() -> Path:
        return artifacts.artifact(SMOKE, "thing", make, {})

    here = os.getpid()
    child = in_another_process(made)
    until(lambda: any(path.read_text() for path in tmp_path.rglob("makers")))

    def end() -> None:  # when this process is waiting
        until(lambda: bool(caplog.records))
        assert not any(tmp_path.rglob("inputs.json"))
        if killed:
            os.kill(child, signal.SIGKILL)
        else:
            release.touch()

    ender = threading.Thread(target=end)
    ender.start()
    folder = made()
    ender.join()
    os.waitpid(child, 0)
    assert "another process is making" in caplog.text
    assert (folder / "makers").read_text().split() == [str(child), *[str(here)] * killed]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


# --- the size of the world ------------------------------------------------------------------------


@pytest.fixture
def two_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment says that there are two processes; in truth there is one."""
    PartialState(cpu=True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    return monkeypatch


def test_one_process_is_a_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert this_rank() == Rank(0, 1) and this_rank().first
    assert ranks.agree(True) is True and ranks.agree(False) is False
    ranks.wait()
    ranks.check_same("nothing to compare with")


def test_a_world_size_without_ranks_is_an_error(folder: Path, two_said: Any) -> None:
    message = "WORLD_SIZE is 2, but RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT isn't set: start"
    with pytest.raises(RuntimeError, match=message):
        this_rank()
    with pytest.raises(RuntimeError, match=message):
        two_ranks.trained("sft", folder, processes=Ranks())


def test_a_world_that_is_not_connected_is_an_error(folder: Path, two_said: Any) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_PORT"):
        two_said.setenv(name, "0")
    two_said.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(RuntimeError, match="WORLD_SIZE is 2, but 1 process is connected"):
        two_ranks.trained("sft", folder, processes=Ranks())
    with alone():  # what one rank does while the others wait
        assert this_rank() == Rank(0, 1)
    with pytest.raises(RuntimeError, match="1 process is connected"):
        this_rank()


def test_the_two_rank_script_refuses_one_process() -> None:
    with pytest.raises(SystemExit, match="1 process runs, 2 are needed"):
        two_ranks.main("folder", "out")


@pytest.mark.parametrize("numbers", [(1, 1), (-1, 2), (0, 0)])
def test_a_rank_lies_within_its_world(numbers: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected 0 to size - 1"):
        Rank(*numbers)
