"""PPO over turns, with process rewards from a judge.

A round samples episodes, credits their turns (:mod:`agentprm_lite.credit`), and takes steps on
random sets of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from agentprm_lite.chat import ChatFormat
from agentprm_lite.checkpoint import Checkpoint, digest, moments, set_moments
from agentprm_lite.credit import Credited, Critic, ProcessReward, prepare
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.examples import random_sets, some
from agentprm_lite.forward import action_logprobs, microbatches
from agentprm_lite.losses import kl_penalty, policy_loss
from agentprm_lite.models import check_ids
from agentprm_lite.prm import Judge, RewardModel
from agentprm_lite.sampling import PlainPlayer, Player
from agentprm_lite.types import Task


@dataclass(frozen=True)
class PPOConfig:
    """Settings of a PPO run."""

    iterations: int
    """Rounds of sampling and learning."""
    tasks: int
    """Tasks a round, drawn without replacement."""
    samples: int
    """Episodes a task."""
    lr: float
    """Learning rate of the policy's adapters."""
    reward: ProcessReward = "shaping"
    """What a turn earns besides the environment's reward."""
    alpha: float = 1.0
    """Weight of the process reward."""
    critic_lr: float = 1e-3
    """Learning rate of the critic."""
    epochs: int = 1
    """Passes over a round's episodes."""
    batch: int = 32
    """Episodes of a step, a random set of the round's; up to twice as many to make steps equal."""
    microbatch_tokens: int = 16384
    """Padded tokens of one forward pass; a step takes as many passes as it needs."""
    clip: float = 0.2
    """ε of the clipped objective."""
    kl: float = 0.01
    """Weight of the divergence from the reference policy, in the loss."""
    gamma: float = 1.0
    """Discount a turn."""
    lam: float = 0.95
    """λ of GAE over turns."""
    seed: int = 0
    """Of tasks and episodes."""

    def __post_init__(self) -> None:
        if self.reward not in ("outcome", "shaping", "raw_q"):
            raise ValueError(f"reward is {self.reward!r}, expected outcome, shaping or raw_q")
        if min(self.iterations, self.tasks, self.samples, self.epochs, self.batch) < 1:
            raise ValueError(
                f"iterations, tasks, samples, epochs and batch must be >= 1, got {self}"
            )


def ppo(
    model: Any,
    chat: ChatFormat,
    tasks: Sequence[Task],
    config: PPOConfig,
    sampling: SamplingConfig,
    judge: Judge | None = None,
    make_player: Callable[[Any, ChatFormat, SamplingConfig], Player] = PlainPlayer,
    checkpoint: str | Path | None = None,
) -> list[dict[str, float]]:
    """Improve a policy with adapters on its own episodes; with adapters off it is the reference.

    ``make_player`` makes a player anew each round. ``checkpoint`` is a folder for the state after
    each round, from which a run goes on. Returns one dict a round.
    """
    if sampling.temperature != 1:
        raise ValueError(f"PPO samples at temperature 1, got {sampling.temperature}")
    if config.reward != "outcome" and judge is None:
        raise ValueError(f"reward {config.reward!r} needs a judge")
    if isinstance(judge, RewardModel):
        check_ids(judge.model, chat)
    critic = Critic(model)
    adapters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": adapters, "lr": config.lr, "weight_decay": 0.0},
            {"params": list(critic.parameters()), "lr": config.critic_lr},
        ]
    )
    trained = [*adapters, *critic.parameters()]
    run = {**asdict(config), **asdict(sampling), "tasks": digest([t.key for t in tasks])}
    state = Checkpoint(checkpoint, {k: v for k, v in run.items() if k != "iterations"})
    logs = _load(state, trained, optimizer)
    bar = tqdm(range(len(logs), config.iterations), desc=f"ppo {config.reward}", disable=None)
    for i in bar:
        rng = random.Random(f"ppo/{config.seed}/{i}")
        chosen = rng.sample(list(tasks), min(config.tasks, len(tasks)))
        player = make_player(model, chat, sampling)  # a cache never outlives a weight update
        seed = rng.randrange(10**6, 10**9)  # of episodes; other seeds than those of rollouts
        starts = [player.start(t, k, seed) for t in chosen for k in range(config.samples)]
        played = [t for t in player.run(starts) if t.num_steps]
        if not played:
            raise ValueError("no episode has room for a turn: raise sampling.max_context")
        values = judge.score(played) if judge else None
        episodes, process_reward = prepare(model, critic, played, values, config)
        log = _learn(model, critic, optimizer, episodes, config, i)
        log |= {
            "success": float(np.mean([t.success for t in played])),
            "turns": float(np.mean([t.num_steps for t in played])),
            "process_reward": process_reward,
            "tokens": float(sum(t.usage.generated for t in played)),
        }
        logs.append(log)
        named = {f"param.{k}": p.detach().clone() for k, p in enumerate(trained)}
        state.save(named | moments(optimizer), logs)
    state.clear()
    return logs


def _load(
    state: Checkpoint, trained: Sequence[Tensor], optimizer: torch.optim.Optimizer
) -> list[dict[str, float]]:
    found = state.load()
    if found is None:
        return []
    tensors, logs = found
    with torch.no_grad():
        for k, p in enumerate(trained):
            p.copy_(tensors.pop(f"param.{k}"))
    set_moments(optimizer, tensors)
    return list(logs)


def _learn(
    model: Any,
    critic: Critic,
    optimizer: torch.optim.Optimizer,
    episodes: Sequence[Credited],
    config: PPOConfig,
    number: int,
) -> dict[str, float]:
    """Steps on random sets of a round's episodes; their numbers, averaged over the steps."""
    sums = {"kl": 0.0, "clipped": 0.0, "value_error": 0.0}
    steps = [
        step
        for epoch in range(config.epochs)
        for step in random_sets(len(episodes), config.batch, f"{config.seed}/{number}/{epoch}")
    ]
    for step in steps:
        batch = [episodes[i] for i in step]
        tokens, turns = (
            sum(map(len, x)) for x in zip(*((e.reference, e.returns) for e in batch), strict=True)
        )
        loss = 0.0
        for group in microbatches([len(e.trajectory.ids) for e in batch], config.microbatch_tokens):
            share, logs = _share(model, critic, [batch[i] for i in group], config, tokens, turns)
            share.backward()
            loss += float(share.detach())
            sums = {name: x + logs[name] for name, x in sums.items()}
        norm = float(nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            optimizer.zero_grad()
            keys = some([e.trajectory.key for e in batch])
            raise ValueError(
                f"round {number}: loss {loss:g}, grad_norm {norm:g} in a step on {keys}. Nothing "
                "of this step was learned"
            )
        optimizer.step()
        optimizer.zero_grad()
    return {name: x / len(steps) for name, x in sums.items()}


def _share(
    model: Any,
    critic: Critic,
    part: Sequence[Credited],
    config: PPOConfig,
    tokens: int,
    turns: int,
) -> tuple[Tensor, dict[str, float]]:
    """A part's share of a step that has so many action tokens and turns, and of its log."""
    trajectories = [e.trajectory for e in part]
    logp = action_logprobs(model, trajectories)[None]
    old = torch.tensor([x for t in trajectories for x in t.logprobs], device=logp.device)[None]
    mask = torch.ones_like(logp, dtype=torch.bool)
    of_tokens = logp.numel() / tokens
    kl = kl_penalty(logp, torch.cat([e.reference for e in part])[None], mask) * of_tokens
    advantages = torch.cat([e.advantages for e in part])[None]
    policy = policy_loss(logp, old, advantages, mask, config.clip) * of_tokens
    v, returns = critic(torch.cat([e.states for e in part])), torch.cat([e.returns for e in part])
    error = (v - returns).square().sum() / turns
    clipped = ((logp.detach() - old).exp() - 1).abs() > config.clip
    return policy + config.kl * kl + error, {
        "kl": float(kl.detach()),
        "clipped": float(clipped.sum()) / tokens,
        "value_error": float(error.detach()),
    }
