"""The stages that a reward model guides: beam search, and policies after PPO."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from agentprm_lite import fast
from agentprm_lite.distributed import merge, this_rank
from agentprm_lite.files import Checkpoint, append_jsonl, read_jsonl
from agentprm_lite.hub import load_policy, load_reward_model, save_policy
from agentprm_lite.ppo import ProcessReward, train_ppo
from agentprm_lite.search import beam_search
from agentprm_lite.tutorial.artifacts import artifact
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.tutorial.rewards import USUAL, Variant, judge_base, reward_model_folder
from agentprm_lite.tutorial.stages import (
    Policy,
    join_ranks,
    player,
    policy,
    rollouts,
    sample,
)
from agentprm_lite.tutorial.tasks import beam_tasks, sampling_config, test_tasks
from agentprm_lite.types import Task, Trajectory


def beam_runs(
    p: Profile,
    kind: str,
    n: int,
    m: int,
    seed: int = 0,
    variant: Variant = USUAL,
    score: str = "last",
    distinct: bool = True,
) -> list[Trajectory]:
    """Answers of beam search @N×M on held-out goals, one a goal; usage counts the whole search.

    N paths are kept and M turns sampled a path; the seed is that of reward model and search; the
    rest is as in :func:`agentprm_lite.search.beam_search`.
    """
    actor, tasks = policy(p), beam_tasks(p)
    adapters = reward_model_folder(p, kind, seed, variant)

    def make(folder: Path) -> None:
        plays = player(actor, p.eval_temperature)
        trunk = plays.model if p.judge_base is None else judge_base(p)
        judge = fast.judge(load_reward_model(trunk, adapters, actor.chat))
        size = max(1, p.batch // (n * m))
        path, mine = folder / "answers.jsonl", this_rank().blocks(tasks, size)
        part = this_rank().part(path)
        done = len(read_jsonl(part)) if part.exists() else 0
        for i in range(done // size * size, len(mine), size):
            some = mine[i : i + size]
            found = beam_search(plays, judge, some, n, m, score=score, seed=seed, distinct=distinct)
            append_jsonl(part, [r.trajectory for r in found][max(0, done - i) :])
        keys = [t.key for t in tasks]
        join_ranks(path, lambda: merge(path, keys, this_rank().size, lambda t: t.task.key))

    inputs = {
        "policy": actor.folder,
        "reward_model": adapters,
        "tasks": [t.key for t in tasks],
        "shape": [n, m, seed, p.batch],
        "score": score,
        "distinct": distinct,
        **asdict(sampling_config(p, p.eval_temperature)),
    }
    folder = artifact(p, f"beam_{kind}{seed}_{n}x{m}", make, inputs, together=True)
    return read_jsonl(folder / "answers.jsonl")


# --- PPO ------------------------------------------------------------------------------------------


def ppo_tasks(p: Profile) -> list[Task]:
    """Training tasks of PPO: those of the rollouts that end both ways; all if there are none.

    Where all attempts at a task end alike, they teach nothing about what made the difference.
    """
    seen: dict[Task, set[bool]] = {}
    for t in rollouts(p):
        seen.setdefault(t.task, set()).add(t.success)
    return [task for task, ends in seen.items() if len(ends) == 2] or list(seen)


def ppo_run(
    p: Profile,
    reward: ProcessReward,
    kind: str | None = None,
    seed: int = 0,
) -> Policy:
    """A policy after PPO; :func:`stages.training_log` of its folder has one entry a round.

    The reward model of a kind stands behind the reward; ``"outcome"`` has none. The seed is that of
    the run and of the reward model.
    """
    actor, tasks = policy(p), ppo_tasks(p)
    config = replace(p.ppo, reward=reward, seed=seed)
    adapters = reward_model_folder(p, kind, seed) if kind else None

    def make(folder: Path) -> None:
        model, judge = load_policy(actor.folder, p.lora, seed=seed), None
        if adapters:  # on the policy's own weights: one copy in memory
            trunk = model if p.judge_base is None else judge_base(p)
            judge = fast.judge(load_reward_model(trunk, adapters, actor.chat))
        settings = sampling_config(p)
        unfinished = Checkpoint(folder / "unfinished")
        log = train_ppo(model, actor.chat, tasks, config, settings, judge, fast.player, unfinished)
        save_policy(model, actor.chat, folder)
        (folder / "log.json").write_text(json.dumps(log))

    inputs = {
        "policy": actor.folder,
        "reward_model": adapters,
        "config": asdict(config),
        "lora": asdict(p.lora),
        "tasks": [t.key for t in tasks],
        **asdict(sampling_config(p)),
    }
    folder = artifact(p, f"ppo_{reward}_{kind or 'none'}{seed}", make, inputs)
    return Policy(folder, actor.chat, p)


def ppo_pool(p: Profile, actor: Policy) -> list[Trajectory]:
    """A policy's samples on held-out goals, at temperature 1."""
    return read_jsonl(sample(p, actor, "ppo_pool", test_tasks(p), p.ppo_samples, 1.0))


def ppo_training_pool(p: Profile, actor: Policy) -> list[Trajectory]:
    """New samples of a policy before or after PPO on the goals that PPO trains on.

    These goals were chosen by :func:`stages.rollouts`, so those samples can't be the baseline.
    """
    name, tasks = "ppo_training_pool", ppo_tasks(p)
    return read_jsonl(sample(p, actor, name, tasks, p.ppo_samples, 1.0, seed=2))
