"""What tests run in two processes: `torchrun --nproc-per-node 2 --max-restarts 1 two_ranks.py ...`.

First they train; then they collect, and rank 1 is killed; torchrun starts both again, and they go
on collecting. The tests call the same functions in one process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from helpers import random_trajectories
from safetensors.torch import save_file
from torch import nn

from agentprm_lite import train
from agentprm_lite.distributed import Ranks, ranks
from agentprm_lite.distributed.ranks import this_rank
from agentprm_lite.fast import FastPlayer
from agentprm_lite.files import Checkpoint
from agentprm_lite.hub import load_chat, load_policy, new_reward_model
from agentprm_lite.kinds import RewardExample, RewardLoss
from agentprm_lite.loop import Loop
from agentprm_lite.models import Lora
from agentprm_lite.train import SFTLoss, TrainConfig, fit
from agentprm_lite.tutorial import artifacts, cli, profiles, stages
from agentprm_lite.tutorial.profiles import SMOKE

# nine examples are three steps; with two held out, two steps of four and three
CONFIG = TrainConfig(lr=2e-3, epochs=4, batch=3, microbatch_tokens=900, seed=1)
SPARING = replace(CONFIG, checkpointing=True)


class Interrupted(Exception):
    """Stands for a crash."""


@contextmanager
def patience() -> Iterator[None]:
    """No epoch is the last one but the last."""
    before, train.PATIENCE = train.PATIENCE, 100
    yield
    train.PATIENCE = before


def case(what: str, folder: Path, seed: int = 0) -> tuple[nn.Module, list[Any]]:
    """A module with LoRA in float32, and its examples."""
    trajectories = random_trajectories(load_chat(folder), 9, seed=8, rules=what == "rules")
    lora = Lora(r=4, alpha=8)
    if what in ("sft", "rules"):
        return SFTLoss(load_policy(folder, lora, seed)), trajectories
    module = RewardLoss(new_reward_model(folder, lora, seed), "agentprm", beta=0.7, lam=0.8)
    return module, [RewardExample(t) for t in trajectories]


def trained(
    what: str, folder: Path, config: TrainConfig = CONFIG, processes: Any = Loop
) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """Log and final weights, the frozen ones included."""
    module, data = case(what, folder)
    train.spare_activations(module.model, config)
    out = data[:2] if what == "agentprm" else []
    with patience():
        log = fit(module, data[len(out) :], config, held_out=out, processes=processes)
    return log, {n: p.detach() for n, p in module.named_parameters()}


def training(folder: Path, out: Path) -> None:
    """Log and weights of every rank; runs that are interrupted twice; ranks with other data."""
    rank = this_rank().rank
    held: list[list[int]] = []
    split = ranks.split

    def noted_split(module: nn.Module, device: torch.device) -> nn.Module:
        sizes = [p.numel() for p in module.parameters()]
        twin = split(module, device)
        parts = [p.to_local().numel() for p in twin.parameters()]
        held.append([sum(sizes), sum(parts), sum(p.numel() for p in module.parameters())])
        return twin

    ranks.split = noted_split
    for what, sparing in (("sft", SPARING), ("agentprm", SPARING), ("rules", CONFIG)):
        for name, config in ((what, CONFIG), (f"{what}.shard", sparing)):
            log, weights = trained(what, folder, config, Ranks(shard=name != what))
            (out / f"{name}.{rank}.json").write_text(json.dumps(log))
            save_file(weights, out / f"{name}.{rank}.safetensors")
    (out / f"held.{rank}.json").write_text(json.dumps(held))

    train.SAVE_STEPS = 2
    record = interrupted(folder, out / "state", CONFIG, Ranks())
    (out / f"resumed.shard.{rank}.json").write_text(
        json.dumps(interrupted(folder, out / "parts", SPARING, Ranks(shard=True)))
    )
    module, examples = case("agentprm", folder)
    try:
        fit(module, examples[rank:], CONFIG, processes=Ranks())
    except RuntimeError as err:
        record["other data"] = str(err)
    (out / f"resumed.{rank}.json").write_text(json.dumps(record))


def interrupted(folder: Path, state: Path, config: TrainConfig, processes: Ranks) -> dict[str, Any]:
    """A run that breaks off at its 4th step, then at the 5th after step 2, and ends."""
    saves: list[int] = []
    save = Checkpoint.save

    def noted(self: Checkpoint, run: Any, tensors: Any, record: Any) -> None:
        saves.append(len(record["log"]))
        save(self, run, tensors, record)

    Checkpoint.save = noted
    step = Loop.step
    for seed, steps in enumerate((3, 4, 100)):
        left = [steps]

        def fragile(self: Loop, *args: Any, left: list[int] = left) -> dict[str, float]:
            left[0] -= 1
            if left[0] < 0:
                raise Interrupted
            return step(self, *args)

        Loop.step = fragile
        module, data = case("agentprm", folder, seed)
        train.spare_activations(module.model, config)
        with suppress(Interrupted), patience():
            settings: Any = {"held_out": data[:2], "checkpoint": Checkpoint(state)}
            resumed = fit(module, data[2:], config, processes=processes, **settings)
    Loop.step = step
    Checkpoint.save = save
    return {"log": resumed, "saves": saves, "left": os.listdir(state)}


# A block is two episodes: 12 rollouts are six blocks, three a rank.
SMALL = replace(
    SMOKE,
    demo_goals=8,
    demo_variants=1,
    rollout_tasks=4,
    rollout_samples=3,
    batch=2,
    mc_tasks=3,
    beam_tasks=3,
    max_rounds=4,
)


def collecting(out: Path, attempt: int) -> None:
    """Stages of the command line; in the first attempt rank 1 is killed before its second block.

    Every rank notes what it found, the blocks of rollouts it played and the demonstrations it made.
    """
    here = this_rank()
    found = {
        p.name: p.read_text().count("\n") for p in artifacts.artifacts_root().rglob("*of2.jsonl")
    }
    record: dict[str, Any] = {"found": found, "blocks": 0}
    run, demonstrate = FastPlayer.run, stages.demonstrate

    def noted_run(self: FastPlayer, episodes: Any) -> Any:
        if attempt == 0 and here.rank == 1 and record["blocks"] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        record["blocks"] += 1
        return run(self, episodes)

    def noted_demonstrate(*args: Any) -> Any:
        (out / f"demos.{attempt}.{here.rank}").touch()
        return demonstrate(*args)

    FastPlayer.run, stages.demonstrate = noted_run, noted_demonstrate
    profiles.get_profile = lambda name, env, base: SMALL
    cli.main(["collect", "--profile", "smoke"])
    (out / f"record.{here.rank}.json").write_text(json.dumps(record))
    cli.main(["label", "--profile", "smoke"])
    cli.main(["search", "--profile", "smoke", "-n", "2", "-m", "1"])


def main(folder: str, out: str) -> None:
    """All of it, in two connected processes or not at all."""
    if this_rank().size != 2 or torch.distributed.get_world_size() != 2:
        sys.exit(f"{this_rank().size} process runs, 2 are needed: start this with torchrun")
    attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    if attempt == 0:
        training(Path(folder), Path(out))
    collecting(Path(out), attempt)


if __name__ == "__main__":
    main(*sys.argv[1:])
