"""Reward models of a profile: what they learn from, with which settings, and what they say."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agentprm_lite import fast
from agentprm_lite.distributed import Ranks, this_rank
from agentprm_lite.env import env_class
from agentprm_lite.files import Checkpoint
from agentprm_lite.hub import load_chat, load_reward_model, new_reward_model, save_adapter
from agentprm_lite.kinds import Cut, MLoss, RewardExample
from agentprm_lite.labels import KINDS
from agentprm_lite.models import Head
from agentprm_lite.prm import RewardModel, StepValues
from agentprm_lite.search import best_of_n, by_task
from agentprm_lite.train import TrainConfig, train_reward_model
from agentprm_lite.tutorial import base as small_base
from agentprm_lite.tutorial.artifacts import artifact, write_json
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.tutorial.stages import (
    mc_files,
    outcomes,
    policy,
    pool_file,
    read,
    rollouts,
    rollouts_file,
)
from agentprm_lite.types import Task


@dataclass(frozen=True)
class Variant:
    """How a reward model differs from the usual one of its kind."""

    beta: float | None = None
    """Weight of L_A; None: the kind's usual one."""
    lam: float = 0.95
    """λ of its labels."""
    budget: int | None = None
    """Most tokens sampled for its data, Monte Carlo rollouts included; None: all data there are."""
    cut: Cut = "failed"
    """What rollouts without a final outcome, such as those that ran out of context, count as."""


USUAL: Variant = Variant()
M_LOSS: MLoss = "squared"
"""The paper's: what chapter 5 derives is about it."""


def reward_data(
    p: Profile, kind: str, variant: Variant = USUAL
) -> tuple[list[RewardExample], list[int]]:
    """What a reward model learns from, and the tokens sampled for each example.

    A budget takes as many of the first examples as it pays for.
    """
    if KINDS[kind].rollouts:
        examples, extra = outcomes(*mc_files(p))
    else:
        examples = [RewardExample(t) for t in rollouts(p) if t.num_steps]
        extra = [0] * len(examples)
    if p.learn_success:
        examples = [success_alone(e) for e in examples]
    own = [e.trajectory.usage.generated for e in examples]
    tokens = [a + b for a, b in zip(own, extra, strict=True)]
    if variant.budget is None:
        return examples, tokens
    count = int(np.searchsorted(np.cumsum(tokens), variant.budget, side="right"))
    if not count:
        raise ValueError(
            f"budget is {variant.budget} tokens, the first example of {kind} takes {tokens[0]}"
        )
    return examples[:count], tokens[:count]


def success_alone(example: RewardExample) -> RewardExample:
    """With 1 for a success and 0 for all else as the rewards; a success has the full reward, 1."""
    t, found = example.trajectory, example.outcomes
    rewards = (*t.rewards[:-1], float(t.success))
    ends = None if found is None else (np.round(found, 9) == 1).astype(float)
    return RewardExample(replace(t, rewards=rewards), ends)


def family(task: Task) -> tuple[str, int]:
    """Tasks that are alike are held out together."""
    return task.env, env_class(task.env).family(task.index)


def data_file(p: Profile, kind: str) -> Path:
    """The file behind :func:`reward_data`."""
    return mc_files(p)[1] if KINDS[kind].rollouts else rollouts_file(p)


def reward_config(p: Profile, kind: str, *, beta: float | None = None) -> TrainConfig:
    """How a reward model is trained: by the best of the profile's grid, or ``reward`` without one.

    With β = 0 the grid is searched anew; other weights of L_A take what the usual one takes.
    """
    if not p.reward_grid:
        return p.reward
    lr, epochs = p.reward_grid[int(np.argmax(tuning(p, kind, beta=beta)))]
    return replace(p.reward, lr=lr, epochs=epochs)


def tuning(p: Profile, kind: str, *, beta: float | None = None) -> list[float]:
    """What each setting of the profile's grid picks on held-out training tasks.

    Every kind gets the same grid. A quarter of the training tasks is held out; the number is the
    mean outcome of the rollout with the highest score among all of a task, by the last step and by
    the first half, averaged. Of β only whether it is 0 counts.
    """
    actor, beta = policy(p), 0.0 if beta == 0 else None
    configs = [replace(p.reward, lr=lr, epochs=epochs) for lr, epochs in p.reward_grid]

    def make(folder: Path) -> None:
        held_out = set(list(dict.fromkeys(t.task for t in rollouts(p)))[3::4])
        judged = [t for t in rollouts(p) if t.task in held_out and t.num_steps]
        most = max(map(len, by_task(judged).values()))
        examples = [e for e in reward_data(p, kind)[0] if e.trajectory.task not in held_out]
        scores = []
        for i, config in enumerate(configs):
            model = new_judge(p, 0)
            unfinished = Checkpoint(folder / f"unfinished{i}")
            train_reward_model(
                model,
                examples,
                kind,
                config,
                beta=beta,
                m_loss=M_LOSS,
                family=family,
                checkpoint=unfinished,
                processes=Ranks(),
            )
            values = RewardModel(model).score(judged)
            halves = [StepValues(v.root, v.q[: -(-len(v.q) // 2)]) for v in values]
            ways = [best_of_n(judged, v, [most]).success.mean() for v in (values, halves)]
            scores.append(float(np.mean(ways)))
        if this_rank().first:
            write_json(folder / "scores.json", scores)

    inputs = {
        "policy": actor.folder,
        "base": judge_base(p),
        "kind": kind,
        "configs": [asdict(c) for c in configs],
        "lora": asdict(p.lora),
        "beta": beta,
        "data": data_file(p, kind),
        "rollouts": rollouts_file(p),
        "learn_success": p.learn_success,
    }
    name = f"tuning_{kind}{'_no_la' if beta == 0 else ''}"
    folder = artifact(p, name, make, inputs, together=True)
    scores: list[float] = json.loads((folder / "scores.json").read_text())
    return scores


def judge_base(p: Profile) -> Path:
    """The folder whose model reward models start from."""
    return policy(p).folder if p.judge_base is None else small_base.folder(p.judge_base)


def new_judge(p: Profile, seed: int, head: Head = "sigmoid") -> Any:
    """A reward model that isn't trained yet: M is 0.5, or what the checker says of a turn."""
    folder = judge_base(p)
    if p.judge_base is None:
        return new_reward_model(folder, p.lora, seed, head)
    chat = load_chat(folder)
    right, wrong = (chat.ids(word)[0] for word in small_base.VERDICTS)
    return new_reward_model(folder, p.lora, seed, head, (right, wrong))


def reward_model_folder(p: Profile, kind: str, seed: int = 0, variant: Variant = USUAL) -> Path:
    """Adapters of a reward model on the SFT policy's weights, trained if needed.

    The seed is that of head, adapters and order of the data.
    """
    actor, beta, lam = policy(p), variant.beta, variant.lam
    config = replace(reward_config(p, kind, beta=beta), seed=seed)

    def make(folder: Path) -> None:
        examples = reward_data(p, kind, variant)[0]
        model = new_judge(p, seed)
        log = train_reward_model(
            model,
            examples,
            kind,
            config,
            beta=beta,
            lam=lam,
            cut=variant.cut,
            m_loss=M_LOSS,
            family=family,
            checkpoint=Checkpoint(folder / "unfinished"),
            processes=Ranks(),
        )
        if this_rank().first:
            save_adapter(model, actor.chat, folder)
            (folder / "log.json").write_text(json.dumps(log))

    inputs = {
        "policy": actor.folder,
        "base": judge_base(p),
        "data": data_file(p, kind),
        "kind": kind,
        "config": asdict(config),
        "lora": asdict(p.lora),
        "learn_success": p.learn_success,
        **asdict(variant),
    }
    return artifact(p, f"{kind}{seed}", make, inputs, together=True)


def reward_model(p: Profile, kind: str, seed: int = 0, variant: Variant = USUAL) -> RewardModel:
    """A reward model, loaded; trained if needed, see :func:`reward_model_folder`."""
    folder, actor = reward_model_folder(p, kind, seed, variant), policy(p)
    return fast.judge(load_reward_model(judge_base(p), folder, actor.chat))


def pool_values(p: Profile, kind: str, seed: int = 0, variant: Variant = USUAL) -> list[StepValues]:
    """M of a reward model along every candidate, in the order of :func:`stages.pool`."""
    actor = policy(p)
    adapters, data = reward_model_folder(p, kind, seed, variant), pool_file(p, actor)

    def make(folder: Path) -> None:
        scores = reward_model(p, kind, seed, variant).score(read(data))
        write_json(folder / "values.json", [[v.root, *v.q.tolist()] for v in scores])

    inputs = {"policy": actor.folder, "reward_model": adapters, "data": data}
    folder = artifact(p, f"values_{kind}{seed}", make, inputs)
    rows = json.loads((folder / "values.json").read_text())
    return [StepValues(row[0], np.array(row[1:])) for row in rows]
