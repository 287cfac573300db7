"""Which turn earned what: rewards of turns, a critic, advantages over turns.

One action of this Markov decision process is one turn. Advantages are estimated over turns and
every token of a turn gets the turn's advantage; observation tokens never enter the recursion.

Departures from the paper:
    1. The process reward is potential-based shaping with a zero terminal potential (Ng et al.
       1999), which doesn't change what is optimal. Adding raw Q at every turn pays for longer
       episodes; it is here as a comparison.
    2. The critic is a linear head on the policy's own hidden states, without gradient into them.

Shape legend: B trajectories, T turns (padded), N action tokens, E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from agentprm_lite.forward import action_logprobs, hidden_states, microbatches, split_model
from agentprm_lite.labels import gae
from agentprm_lite.prm import StepValues
from agentprm_lite.types import Trajectory

ProcessReward = Literal["outcome", "shaping", "raw_q"]


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
    """Environment reward plus process reward of every turn: [B, T], 0 on padding.

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
    """V(s_t) from the policy's hidden state at the last token before turn t."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        body = split_model(model)[0]
        self.head = nn.Linear(body.config.hidden_size, 1, device=next(body.parameters()).device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Value of states [..., E], taken without gradient."""
        out: Tensor = self.head(hidden.detach().float()).squeeze(-1)
        return out


@dataclass(frozen=True)
class Credited:
    """What learning needs of one episode."""

    trajectory: Trajectory
    reference: Tensor
    """[N] log-probabilities of the reference policy."""
    advantages: Tensor
    """[N] advantage of each token's turn."""
    states: Tensor
    """[T, E] hidden states before the turns."""
    returns: Tensor
    """[T] targets of the critic."""


@torch.no_grad()
def prepare(
    model: Any,
    critic: Critic,
    played: Sequence[Trajectory],
    values: Sequence[StepValues] | None,
    config: Any,
) -> tuple[list[Credited], float]:
    """Advantages and returns of a round's episodes, and the mean process reward of one.

    Advantages are whitened over all turns of the round. An M that isn't finite is an error.
    """
    for t, m in zip(played, values or [], strict=bool(values)):
        if not np.isfinite([m.root, *m.q]).all():
            raise ValueError(
                f"the judge's M of trajectory {t.key} isn't finite: nothing is learned"
            )
    found: dict[int, Credited] = {}
    earned = 0.0
    for group in microbatches([len(t.ids) for t in played], config.microbatch_tokens):
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
        settings: Any = {"kind": config.reward, "alpha": config.alpha, "gamma": config.gamma}
        total = turn_rewards(rewards, q, root, mask, final, **settings)
        v = torch.zeros_like(rewards)
        v[mask] = critic(hidden)
        # an episode that was cut has no successor state to value; its last one stands in
        last = v[torch.arange(len(v)), mask.sum(1) - 1]
        bootstrap = torch.where(final, torch.zeros_like(last), last)
        advantages = gae(total, v, bootstrap, mask, config.gamma, config.lam)
        earned += float((total - rewards)[mask].sum())
        turns, tokens = mask.sum(1).tolist(), [len(t.logprobs) for t in trajectories]
        parts = (reference.split(tokens), hidden.split(turns))
        for k, (i, ref, states) in enumerate(zip(group, *parts, strict=True)):
            a = advantages[k, mask[k]]
            found[i] = Credited(played[i], ref, a, states, a + v[k, mask[k]])
    episodes = [found[i] for i in range(len(played))]
    everything = torch.cat([e.advantages for e in episodes])
    mean, std = everything.mean(), everything.std(correction=0) + 1e-6
    return [_spread(e, mean, std) for e in episodes], earned / len(played)


def _spread(e: Credited, mean: Tensor, std: Tensor) -> Credited:
    """Every token of a turn gets the turn's advantage, whitened."""
    lengths = torch.tensor([b - a for a, b in e.trajectory.spans], device=mean.device)
    whitened = (e.advantages - mean) / std
    return replace(e, advantages=torch.repeat_interleave(whitened, lengths))


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
