"""PPO over turns, with process rewards from a reward model.

One action of this Markov decision process is one turn. Advantages are estimated over turns and
every token of a turn gets the turn's advantage; observation tokens never enter the recursion.

Departures from the paper:
    1. The process reward is potential-based shaping with a zero terminal potential (Ng et al.
       1999), which doesn't change what is optimal. Adding raw Q at every turn pays for longer
       episodes; it is here as a comparison.
    2. The critic is a linear head on the policy's own hidden states, without gradient into them.

Shape legend: B trajectories, T turns (padded), N action tokens of a batch, E hidden size.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from agentprm_lite.chat import ChatFormat
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.forward import action_logprobs, hidden_states, microbatches, split_model
from agentprm_lite.labels import gae
from agentprm_lite.losses import kl_penalty, policy_loss
from agentprm_lite.prm import Judge, StepValues
from agentprm_lite.sampling import PlainPlayer, Player
from agentprm_lite.types import Task, Trajectory

ProcessReward = Literal["outcome", "shaping", "raw_q"]


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
    batch_tokens: int = 16384
    """Padded tokens of one step."""
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
        if min(self.iterations, self.tasks, self.samples, self.epochs) < 1:
            raise ValueError(f"iterations, tasks, samples and epochs must be >= 1, got {self}")


def turn_rewards(
    rewards: Tensor,
    q: Tensor,
    root: Tensor,
    mask: Tensor,
    final: Tensor,
    *,
    kind: ProcessReward,
    alpha: float = 1.0,
    gamma: float = 1.0,
) -> Tensor:
    """Environment reward plus process reward of every turn.

    shaping: r_t + α(γΦ(s_{t+1}) − Φ(s_t)) with Φ(s_0) = M_root, Φ(s_{t+1}) = M(s_t, a_t) and Φ = 0
    where the episode has ended for good; raw_q: r_t + αM(s_t, a_t); outcome: r_t.
    """
    if kind == "outcome":
        return rewards * mask
    if kind == "raw_q":
        return (rewards + alpha * q) * mask
    before = torch.cat([root[:, None], q[:, :-1]], dim=1)
    last = mask.sum(1) - 1
    after = q.clone()
    rows = torch.arange(len(q), device=q.device)
    after[rows, last] = torch.where(final, torch.zeros_like(root), q[rows, last])
    return (rewards + alpha * (gamma * after - before)) * mask


class Critic(nn.Module):
    """V(s_t) from the policy's hidden state at the last token before turn t.

    Args:
        model: the policy.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        body = split_model(model)[0]
        self.head = nn.Linear(body.config.hidden_size, 1, device=next(body.parameters()).device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Value of states."""
        out: Tensor = self.head(hidden.detach().float()).squeeze(-1)
        return out


@dataclass(frozen=True)
class _Batch:
    """What one round's learning needs of some episodes."""

    trajectories: list[Trajectory]
    reference: Tensor
    """[N] log-probabilities of the reference policy."""
    advantages: Tensor
    """[N] advantage of each token's turn."""
    states: Tensor
    """[turns, E] hidden states before the turns."""
    returns: Tensor
    """[turns] targets of the critic."""


def ppo(
    model: Any,
    chat: ChatFormat,
    tasks: Sequence[Task],
    config: PPOConfig,
    sampling: SamplingConfig,
    judge: Judge | None = None,
    make_player: Callable[[Any, ChatFormat, SamplingConfig], Player] = PlainPlayer,
    on_round: Callable[[int, dict[str, float]], None] | None = None,
) -> list[dict[str, float]]:
    """Improve a policy on its own episodes."""
    if sampling.temperature != 1:
        raise ValueError(f"PPO samples at temperature 1, got {sampling.temperature}")
    if config.reward != "outcome" and judge is None:
        raise ValueError(f"reward {config.reward!r} needs a judge")
    critic = Critic(model)
    adapters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(adapters, lr=config.lr, weight_decay=0.0)
    critic_optimizer = torch.optim.AdamW(critic.parameters(), lr=config.critic_lr)
    rng = random.Random(config.seed)
    logs = []
    for i in tqdm(range(config.iterations), desc=f"ppo {config.reward}", disable=None):
        chosen = rng.sample(list(tasks), min(config.tasks, len(tasks)))
        player = make_player(model, chat, sampling)  # a cache never outlives a weight update
        seed = config.seed * 100_003 + i
        episodes = [player.start(t, k, seed) for t in chosen for k in range(config.samples)]
        played = [t for t in player.run(episodes) if t.num_steps]
        if not played:
            raise ValueError("no episode has room for a turn: raise sampling.max_context")
        values = judge.score(played) if judge else None
        batches, process_reward = _prepare(model, critic, played, values, config)
        log = _learn(model, critic, optimizer, critic_optimizer, batches, config)
        log |= {
            "success": float(np.mean([t.success for t in played])),
            "turns": float(np.mean([t.num_steps for t in played])),
            "process_reward": process_reward,
            "tokens": float(sum(t.usage.generated for t in played)),
        }
        logs.append(log)
        if on_round is not None:
            on_round(i, log)
    return logs


@torch.no_grad()
def _prepare(
    model: Any,
    critic: Critic,
    played: Sequence[Trajectory],
    values: Sequence[StepValues] | None,
    config: PPOConfig,
) -> tuple[list[_Batch], float]:
    """Advantages and returns of a round; advantages are whitened over all turns."""
    parts = []
    earned = []
    for group in microbatches([len(t.ids) for t in played], config.batch_tokens):
        trajectories = [played[i] for i in group]
        with model.disable_adapter():
            reference = action_logprobs(model, trajectories)
        hidden = _states(model, trajectories)
        mask, rewards = _pad([t.rewards for t in trajectories], reference.device)
        final = torch.tensor([t.final for t in trajectories], device=mask.device)
        q, root = torch.zeros_like(rewards), torch.zeros_like(rewards[:, 0])
        if values is not None:
            q = _pad([values[i].q.tolist() for i in group], mask.device)[1]
            root = torch.tensor([values[i].root for i in group], device=mask.device)
        total = turn_rewards(
            rewards,
            q,
            root,
            mask,
            final,
            kind=config.reward,
            alpha=config.alpha,
            gamma=config.gamma,
        )
        v = torch.zeros_like(rewards)
        v[mask] = critic(hidden)
        # an episode that was cut has no successor state to value; its last one stands in
        last = v[torch.arange(len(v)), mask.sum(1) - 1]
        bootstrap = torch.where(final, torch.zeros_like(last), last)
        advantages = gae(total, v, bootstrap, mask, config.gamma, config.lam)
        earned.append(float((total - rewards)[mask].sum()))
        parts.append((trajectories, reference, hidden, advantages[mask], (advantages + v)[mask]))
    everything = torch.cat([advantages for *_, advantages, _ in parts])
    mean, std = everything.mean(), everything.std(correction=0) + 1e-6
    batches = []
    for trajectories, reference, hidden, advantages, returns in parts:
        lengths = [b - a for t in trajectories for a, b in t.spans]
        spread = torch.repeat_interleave(
            (advantages - mean) / std, torch.tensor(lengths, device=advantages.device)
        )
        batches.append(_Batch(trajectories, reference, spread, hidden, returns))
    return batches, sum(earned) / len(played)


def _learn(
    model: Any,
    critic: Critic,
    optimizer: torch.optim.Optimizer,
    critic_optimizer: torch.optim.Optimizer,
    batches: list[_Batch],
    config: PPOConfig,
) -> dict[str, float]:
    adapters = [p for group in optimizer.param_groups for p in group["params"]]
    sums = {"kl": 0.0, "clipped": 0.0, "value_error": 0.0}
    for epoch in range(config.epochs):
        for batch in random.Random(config.seed + epoch).sample(batches, len(batches)):
            old = torch.tensor(
                [x for t in batch.trajectories for x in t.logprobs], device=batch.reference.device
            )[None]
            logp = action_logprobs(model, batch.trajectories)[None]
            mask = torch.ones_like(logp, dtype=torch.bool)
            kl = kl_penalty(logp, batch.reference[None], mask)
            loss = policy_loss(logp, old, batch.advantages[None], mask, config.clip)
            (loss + config.kl * kl).backward()
            nn.utils.clip_grad_norm_(adapters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            error = (critic(batch.states) - batch.returns).square().mean()
            error.backward()
            critic_optimizer.step()
            critic_optimizer.zero_grad()
            ratio = (logp.detach() - old).exp()
            sums["kl"] += float(kl.detach())
            sums["clipped"] += float(((ratio - 1).abs() > config.clip).float().mean())
            sums["value_error"] += float(error.detach())
    return {name: x / (config.epochs * len(batches)) for name, x in sums.items()}


def _states(model: Any, trajectories: Sequence[Trajectory]) -> Tensor:
    """[turns, E] hidden states at the last token before each turn."""
    hidden = hidden_states(split_model(model)[0], [t.ids for t in trajectories])
    rows = [b for b, t in enumerate(trajectories) for _ in t.spans]
    columns = [start - 1 for t in trajectories for start, _ in t.spans]
    out: Tensor = hidden[torch.as_tensor(rows), torch.as_tensor(columns)]
    return out


def _pad(rows: Sequence[Sequence[float]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Mask [B, T] and values [B, T] of lists of different lengths."""
    width = max(len(row) for row in rows)
    mask = torch.tensor([[k < len(row) for k in range(width)] for row in rows], device=device)
    padded = [[*row, *[0.0] * (width - len(row))] for row in rows]
    return mask, torch.tensor(padded, dtype=torch.float32, device=device)
