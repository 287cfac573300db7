"""The stages that need no reward model: base, demonstrations, policy, rollouts, pool, measured Q.

Each function makes one artifact of a profile, and whatever it needs before; what is there already
is read. Reward models are in rewards.py; beam search and PPO, which use them, in guided.py.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import snapshot_download

from agentprm_lite.distributed import Rank, Ranks, collect, merge, this_rank, wait
from agentprm_lite.files import Checkpoint, append_jsonl, read_jsonl
from agentprm_lite.hub import load_chat, load_policy, save_policy
from agentprm_lite.kinds import RewardExample
from agentprm_lite.rollout import continue_from
from agentprm_lite.sampling import Player
from agentprm_lite.train import rft, sft
from agentprm_lite.tutorial.artifacts import append_row, artifact, read_rows
from agentprm_lite.tutorial.policies import Policy, player, player_on
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.tutorial.smollm2 import resolve
from agentprm_lite.tutorial.tasks import sampling_config, spread, test_tasks, train_tasks
from agentprm_lite.types import Task, Trajectory
from agentprm_lite.worlds import demonstrate

logger = logging.getLogger(__name__)
MODEL_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


# --- policies -------------------------------------------------------------------------------------


def base(p: Profile) -> Path:
    """Folder of the base model: the small one of the package, a folder, or one from the hub."""
    name = resolve(p.base)
    there = Path(name).is_dir()
    return Path(name if there else snapshot_download(name, allow_patterns=MODEL_FILES))


def demonstrations(p: Profile) -> list[Trajectory]:
    """The expert's trajectories on training goals, in the policy's ids."""
    return read_jsonl(demonstrations_file(p))


def demonstrations_file(p: Profile) -> Path:
    """File of :func:`demonstrations`."""
    start, sampling = base(p), sampling_config(p)
    goals, _ = train_tasks(p)
    tasks = [replace(t, variant=v) for v in range(p.demo_variants) for t in goals]

    def make(folder: Path) -> None:
        shown = demonstrate(load_chat(start), tasks, sampling)
        if not shown:
            raise ValueError(
                f"none of {len(tasks)} demonstrations in {p.env} can be played in turns of "
                f"{sampling.max_new_tokens} tokens and histories of {sampling.max_context}, or the "
                "expert failed in all of them because `parse` changed its actions (check_world "
                "says which)"
            )
        path = folder / "demos.jsonl"
        path.unlink(missing_ok=True)  # an interrupted run's rows
        append_jsonl(path, shown)

    inputs = {
        "base": start,
        "tasks": [t.key for t in tasks],
        **asdict(sampling),
    }
    return artifact(p, "demos", make, inputs) / "demos.jsonl"


def policy(p: Profile, kind: str = "sft") -> Policy:
    """A policy trained without rewards: ``"sft"``, or ``"rft"``, on its own successes."""
    if kind not in ("sft", "rft"):
        raise ValueError(f"policy {kind!r} is unknown, expected 'sft' or 'rft'")
    first = kind == "sft"
    start = base(p) if first else policy(p, "sft").folder
    data = demonstrations_file(p) if first else rollouts_file(p)
    config = p.sft if first else p.rft

    def make(folder: Path) -> None:
        model, unfinished = load_policy(start, p.lora), Checkpoint(folder / "unfinished")
        train = sft if first else rft
        log = train(model, read_jsonl(data), config, checkpoint=unfinished, processes=Ranks())
        if this_rank().first:
            save_policy(model, load_chat(start), folder)
            (folder / "log.json").write_text(json.dumps(log))

    inputs = {
        "start": start,
        "data": data,
        "config": asdict(config),
        "lora": asdict(p.lora),
    }
    folder = artifact(p, kind, make, inputs, together=True)
    return Policy(folder, load_chat(folder), p)


def training_log(folder: Path) -> list[dict[str, float]]:
    """Log of the training that made an artifact: one dict a step, or a round of PPO."""
    log: list[dict[str, float]] = json.loads((folder / "log.json").read_text())
    return log


# --- what a policy plays --------------------------------------------------------------------------


def rollouts(p: Profile, *, servers: Sequence[str] = ()) -> list[Trajectory]:
    """The SFT policy's trajectories on training goals: what every reward model learns from.

    It plays here, or on servers with these urls.
    """
    return list(read(rollouts_file(p, servers=servers)))


def rollouts_file(p: Profile, *, servers: Sequence[str] = ()) -> Path:
    """File of :func:`rollouts`."""
    tasks, play = train_tasks(p)[1], player_on(servers)
    return sample(
        p, policy(p), "rollouts", tasks, p.rollout_samples, p.rollout_temperature, play=play
    )


def pool(p: Profile, kind: str = "sft", *, servers: Sequence[str] = ()) -> list[Trajectory]:
    """Candidates of a policy on held-out goals: what every reward model chooses from."""
    return list(read(pool_file(p, policy(p, kind), servers=servers)))


def pool_file(p: Profile, actor: Policy, *, servers: Sequence[str] = ()) -> Path:
    """File of :func:`pool`."""
    tasks, play = test_tasks(p), player_on(servers)
    return sample(p, actor, "pool", tasks, p.eval_samples, p.eval_temperature, play=play)


def greedy_runs(p: Profile, kind: str = "sft") -> list[Trajectory]:
    """A policy's greedy trajectories on held-out goals, one a goal."""
    return read_jsonl(sample(p, policy(p, kind), "greedy", test_tasks(p), 1, 0.0))


def sample(
    p: Profile,
    actor: Policy,
    name: str,
    tasks: list[Task],
    samples: int,
    temperature: float,
    *,
    seed: int = 1,
    play: Callable[[Policy, float], Player] | None = None,
) -> Path:
    """File of a policy's trajectories; whether servers sampled them is no input."""

    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        path = folder / f"{name}.jsonl"
        plays = (play or player)(actor, temperature)
        collect(plays, tasks, samples, path, seed=seed, batch=p.batch)
        keys = [f"{t.key}/{k}" for t in tasks for k in range(samples)]
        join_ranks(path, lambda: merge(path, keys, this_rank().size))

    inputs = {
        "policy": actor.folder,
        "tasks": [t.key for t in tasks],
        "samples": samples,
        "seed": seed,
        "batch": p.batch,
        **asdict(sampling_config(p, temperature)),
    }
    path = artifact(p, name, make, inputs, together=True) / f"{name}.jsonl"
    if play and not made:
        logger.info("%s was there already: the servers weren't needed", path)
    return path


def join_ranks(path: Path, write: Callable[[], Any]) -> None:
    """When every rank has written its file, rank 0 writes the joint one; theirs go."""
    wait()
    if this_rank().size > 1 and this_rank().first:
        write()
        for part in path.parent.glob(f"{path.stem}.rank*of*{path.suffix}"):
            part.unlink()


@lru_cache(maxsize=8)
def read(path: Path) -> tuple[Trajectory, ...]:
    """The trajectories of a finished artifact, kept in memory: its path says what they are."""
    return tuple(read_jsonl(path))


# --- measured Q: the policy plays on from every state ---------------------------------------------


def mc_rollouts(p: Profile) -> tuple[list[RewardExample], int]:
    """Training trajectories with the outcomes of rollouts from every state, for Monte Carlo labels.

    The second number is the tokens that the rollouts took.
    """
    examples, tokens = outcomes(*mc_files(p))
    return examples, sum(tokens)


def mc_files(p: Profile) -> tuple[list[Trajectory], Path]:
    """Trajectories and file of :func:`mc_rollouts`."""
    starts = [t for t in rollouts(p) if t.sample == 0 and t.num_steps][: p.mc_tasks]
    return starts, play_on(p, "mc", rollouts_file(p), starts, p.mc_samples)


def truth(p: Profile, candidates: int = 1) -> tuple[list[RewardExample], int]:
    """Held-out trajectories with the outcomes of many rollouts from every state: Q itself, nearly.

    They are the first candidates of ``truth_tasks`` tasks of :func:`pool`.
    """
    played = [t for t in pool(p) if t.num_steps]
    tasks = {t.task for t in spread([t for t in played if t.sample == 0], p.truth_tasks)}
    starts = [t for t in played if t.task in tasks and t.sample < candidates]
    data = pool_file(p, policy(p))
    examples, tokens = outcomes(starts, play_on(p, "truth", data, starts, p.truth_samples))
    return examples, sum(tokens)


def outcomes(starts: list[Trajectory], path: Path) -> tuple[list[RewardExample], list[int]]:
    """Trajectories with what :func:`play_on` found, and the tokens it took for each."""
    rows = read_rows(path)
    found = [RewardExample(t, np.array(r["outcomes"])) for t, r in zip(starts, rows, strict=True)]
    return found, [row["tokens"] for row in rows]


def play_on(p: Profile, name: str, data: Path, starts: list[Trajectory], samples: int) -> Path:
    """File with the outcomes of rollouts from every state of some of a file's trajectories.

    The world is restored to the state after each action, and the SFT policy plays on from there.
    When interrupted, this goes on after the last whole trajectory.
    """
    actor = policy(p)

    def make(folder: Path) -> None:
        path, here = folder / "outcomes.jsonl", this_rank()
        mine, part = here.blocks(starts, 1), here.part(path)
        part.touch()
        plays = player(actor, p.rollout_temperature)
        for start in mine[len(read_rows(part)) :]:
            played: list[list[Trajectory]] = [[] for _ in start.spans]
            for k in range(0, samples, 32):  # another sample is another random stream
                other = replace(start, sample=start.sample + 1_000 * k)
                some = continue_from(plays, other, min(32, samples - k))
                played = [old + new for old, new in zip(played, some, strict=True)]
            found = [[t.outcome for t in row] for row in played]
            tokens = sum(t.usage.generated for row in played for t in row)
            append_row(part, {"start": start.key, "outcomes": found, "tokens": tokens})
        join_ranks(path, lambda: join_rows(path, [t.key for t in starts]))

    inputs = {
        "policy": actor.folder,
        "data": data,
        "starts": [start.key for start in starts],
        "samples": samples,
        **asdict(sampling_config(p, p.rollout_temperature)),
    }
    return artifact(p, name, make, inputs, together=True) / "outcomes.jsonl"


def join_rows(path: Path, starts: list[str]) -> None:
    """Write the rows of all ranks in the order of their trajectories."""
    size = this_rank().size
    rows = [row for rank in range(size) for row in read_rows(Rank(rank, size).part(path))]
    of = {row["start"]: row for row in rows}
    new = path.with_name(f"{path.name}.new")
    new.write_text("".join(json.dumps(of[key]) + "\n" for key in starts))
    os.replace(new, path)
