"""PPO over turns, with process rewards from a judge.

One action of this Markov decision process is one turn. Advantages are estimated over turns and
every token of a turn gets the turn's advantage; observation tokens never enter the recursion. A
round samples episodes, credits their turns, and takes steps on random sets of them.

Departures from the paper:
    1. The process reward is potential-based shaping with a zero terminal potential (Ng et al.
       1999), which doesn't change what is optimal. Adding raw Q at every turn pays for longer
       episodes; it is here as a comparison.
    2. The critic is a linear head on the policy's own hidden states, without gradient into them.

Shape legend: B trajectories, T turns (padded), N action tokens, E hidden size.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from agentprm_lite.chat import Chat
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.forward import action_logprobs, hidden_states, microbatches, split_model
from agentprm_lite.labels import gae
from agentprm_lite.loop import Keeper, Log, Loop, Share, digest, random_sets
from agentprm_lite.losses import kl_penalty, policy_loss
from agentprm_lite.prm import Judge, RewardModel, StepValues, check_finite, check_ids
from agentprm_lite.sampling import PlainPlayer, Player
from agentprm_lite.types import Task, Trajectory

ProcessReward = Literal["outcome", "shaping", "raw_q"]


@dataclass(frozen=True)
class PPOConfig:
    """Settings of a PPO run."""

    iterations: int  #: Rounds of sampling and learning.
    tasks: int  #: Tasks a round, drawn without replacement.
    samples: int  #: Episodes a task.
    lr: float  #: Learning rate of the policy's adapters.
    reward: ProcessReward = "shaping"  #: What a turn earns besides the environment's reward.
    alpha: float = 1.0  #: Weight of the process reward.
    critic_lr: float = 1e-3  #: Learning rate of the critic.
    epochs: int = 1  #: Passes over a round's episodes.
    batch: int = 32  #: Episodes of a step; up to twice as many where that makes steps equal.
    microbatch_tokens: int = 16384  #: Padded tokens of one forward pass; a step takes several.
    clip: float = 0.2  #: ε of the clipped objective.
    kl: float = 0.01  #: Weight of the divergence from the reference policy, in the loss.
    gamma: float = 1.0  #: Discount a turn.
    lam: float = 0.95  #: λ of GAE over turns.
    seed: int = 0  #: Of tasks and episodes.

    def __post_init__(self) -> None:
        if self.reward not in (known := get_args(ProcessReward)):
            raise ValueError(f"reward is {self.reward!r}, expected one of {', '.join(known)}")
        counts = min(self.iterations, self.tasks, self.samples, self.epochs, self.batch) >= 1
        rates = self.lr > 0 and self.critic_lr > 0 and self.clip > 0 and self.kl >= 0
        shares = 0 < self.gamma <= 1 and 0 <= self.lam <= 1 and math.isfinite(self.alpha)
        if not (counts and rates and shares):
            raise ValueError(f"counts must be >= 1, rates > 0, kl >= 0, gamma, lam <= 1: {self}")


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
    ends = torch.arange(q.shape[1], device=q.device) == mask.sum(1, keepdim=True) - 1
    after = q.masked_fill(ends & final[:, None], 0.0)
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
        return self.head(hidden.detach().float()).squeeze(-1)


@dataclass(frozen=True)
class Credited:
    """What learning needs of one episode."""

    trajectory: Trajectory
    reference: Tensor  #: [N] log-probabilities of the reference policy.
    advantages: Tensor  #: [N] advantage of each token's turn.
    states: Tensor  #: [T, E] hidden states before the turns.
    returns: Tensor  #: [T] targets of the critic.


@torch.no_grad()
def credit(
    model: Any,
    critic: Critic,
    played: Sequence[Trajectory],
    values: Sequence[StepValues],
    config: PPOConfig,
) -> tuple[list[Credited], float]:
    """A round's episodes, with advantages whitened over its turns; mean process reward of one."""
    for t, m in zip(played, values, strict=True):
        check_finite(f"trajectory {t.key}", m)
    found: dict[int, Credited] = {}
    earned = 0.0
    for group in microbatches([len(t.ids) for t in played], config.microbatch_tokens):
        ts, ms = [played[i] for i in group], [values[i] for i in group]
        with model.disable_adapter():
            reference = action_logprobs(model, ts)
        hidden = hidden_states(split_model(model)[0], [t.ids for t in ts])
        states = [hidden[b, [start - 1 for start, _ in t.spans]] for b, t in enumerate(ts)]
        rewards = _padded([t.rewards for t in ts]).to(hidden.device)
        q, root = _padded([m.q for m in ms]).to(rewards), rewards.new_tensor([m.root for m in ms])
        mask = _padded([[1.0] * t.num_steps for t in ts]).to(hidden.device) > 0
        final = torch.tensor([t.final for t in ts], device=hidden.device)
        settings: Any = {"kind": config.reward, "alpha": config.alpha, "gamma": config.gamma}
        total = turn_rewards(rewards, q, root, mask, final, **settings)
        v = torch.zeros_like(rewards)
        v[mask] = critic(torch.cat(states))
        # an episode that was cut has no successor state to value; its last one stands in
        last = v.gather(1, mask.sum(1, keepdim=True) - 1).squeeze(1)
        advantages = gae(total, v, last.masked_fill(final, 0.0), mask, config.gamma, config.lam)
        earned += float((total - rewards)[mask].sum())
        references = reference.split([len(t.logprobs) for t in ts])
        for i, ref, h, a, before in zip(group, references, states, advantages, v, strict=True):
            a = a[: len(h)]
            found[i] = Credited(played[i], ref, a, h, a + before[: len(h)])
    episodes = [found[i] for i in range(len(played))]
    everything = torch.cat([e.advantages for e in episodes])
    mean, std = everything.mean(), everything.std(correction=0) + 1e-6
    for k, e in enumerate(episodes):
        lengths = torch.tensor([end - start for start, end in e.trajectory.spans]).to(mean.device)
        tokens = ((e.advantages - mean) / std).repeat_interleave(lengths)
        episodes[k] = replace(e, advantages=tokens)
    return episodes, earned / len(played)


def _padded(rows: Sequence[Any]) -> Tensor:
    """[B, T] float32 of rows of different lengths, 0 on padding."""
    return pad_sequence([torch.as_tensor(r, dtype=torch.float32) for r in rows], batch_first=True)


class PPOLoss(nn.Module):
    """Clipped objective and KL over action tokens, and the critic's squared error over turns."""

    def __init__(self, model: Any, critic: Critic, config: PPOConfig) -> None:
        super().__init__()
        self.model, self.critic, self.config = model, critic, config

    def sizes(self, episodes: Sequence[Credited]) -> tuple[int, int]:
        """Action tokens and turns of a step."""
        return sum(len(e.reference) for e in episodes), sum(len(e.returns) for e in episodes)

    def forward(self, episodes: Sequence[Credited], sizes: tuple[int, int]) -> Share:
        """These episodes' share of the step's loss, and of what is logged of it."""
        tokens, turns = sizes
        logp = action_logprobs(self.model, [e.trajectory for e in episodes])[None]
        old = logp.new_tensor([[x for e in episodes for x in e.trajectory.logprobs]])
        reference = torch.cat([e.reference for e in episodes])[None]
        advantages = torch.cat([e.advantages for e in episodes])[None]
        mask, share = torch.ones_like(logp, dtype=torch.bool), logp.numel() / tokens
        kl = kl_penalty(logp, reference, mask) * share
        policy = policy_loss(logp, old, advantages, mask, self.config.clip) * share
        v = self.critic(torch.cat([e.states for e in episodes]))
        error = (v - torch.cat([e.returns for e in episodes])).square().sum() / turns
        clipped = ((logp.detach() - old).exp() - 1).abs() > self.config.clip
        loss = policy + self.config.kl * kl + error
        return loss, {
            "loss": float(loss.detach()),
            "kl": float(kl.detach()),
            "clipped": float(clipped.sum()) / tokens,
            "value_error": float(error.detach()),
        }

    def adamw(self, _: nn.Module) -> torch.optim.AdamW:
        """The adapters' group, then the critic's."""
        adapters = [p for p in self.model.parameters() if p.requires_grad]
        return torch.optim.AdamW([
            {"params": adapters, "lr": self.config.lr, "weight_decay": 0.0},
            {"params": list(self.critic.parameters()), "lr": self.config.critic_lr},
        ])  # fmt: skip


def learn(
    loop: Loop, episodes: Sequence[Credited], config: PPOConfig, number: int
) -> dict[str, float]:
    """Steps on random sets of a round's episodes; their numbers, averaged over the steps."""
    sets = random_sets(len(episodes), config.batch, config.epochs, f"{config.seed}/{number}")
    steps = [loop.step([episodes[i] for i in chosen], f"round {number}") for chosen in sets]
    return {name: float(np.mean([step[name] for step in steps])) for name in steps[0]}


def train_ppo(
    model: Any,
    chat: Chat,
    tasks: Sequence[Task],
    config: PPOConfig,
    sampling: SamplingConfig,
    judge: Judge | None = None,
    make_player: Callable[[Any, Chat, SamplingConfig], Player] = PlainPlayer,
    checkpoint: Keeper | None = None,
) -> Log:
    """Improve a policy with adapters on its own episodes, with process rewards from any judge.

    The adapters are changed in place; with them off the model is the reference. Without a judge the
    reward has to be ``"outcome"``. ``make_player`` makes a player anew each round, such as
    :func:`agentprm_lite.fast.player`. ``checkpoint`` is a ``Checkpoint(folder)``: it has the state
    after each round, from which a run goes on. Returns the log, a dict a round. A NaN stops the run
    before its step.
    """
    if sampling.temperature != 1:
        raise ValueError(f"PPO samples at temperature 1, got {sampling.temperature}")
    if config.reward != "outcome" and judge is None:
        raise ValueError(f"reward {config.reward!r} needs a judge")
    if not isinstance(model, PeftModel):
        raise ValueError("the policy has no adapters, expected load_policy(folder, Lora())")
    check_ids(judge, chat)
    critic = Critic(model)
    loss = PPOLoss(model, critic, config)
    run = {**asdict(config), **asdict(sampling), "tasks": digest([t.key for t in tasks])}
    head = split_model(judge.model)[1].parameters() if isinstance(judge, RewardModel) else None
    run["judge"] = digest([p.tolist() for p in head] if head else type(judge).__name__)
    del run["iterations"]  # more rounds may be added
    loop = Loop(loss, loss.adamw, config.microbatch_tokens, checkpoint, run)
    logs = loop.load()
    model.eval()  # as it plays
    for i in tqdm(range(len(logs), config.iterations), f"ppo {config.reward}", disable=None):
        rng = random.Random(f"ppo/{config.seed}/{i}")
        chosen = rng.sample(list(tasks), min(config.tasks, len(tasks)))
        player = make_player(model, chat, sampling)  # a cache never outlives a weight update
        seed = rng.randrange(10**6, 10**9)  # of episodes; other seeds than those of rollouts
        starts = [player.start(t, k, seed) for t in chosen for k in range(config.samples)]
        played = [t for t in player.run(starts) if t.num_steps]
        if not played:
            raise ValueError("no episode has room for a turn: raise sampling.max_context")
        nothing = [StepValues(0.0, np.zeros(t.num_steps)) for t in played]
        values = judge.score(played) if judge is not None else nothing
        episodes, process_reward = credit(model, critic, played, values, config)
        log = learn(loop, episodes, config, i) | {
            "success": float(np.mean([t.success for t in played])),
            "turns": float(np.mean([t.num_steps for t in played])),
            "process_reward": process_reward,
            "tokens": float(sum(t.usage.generated for t in played)),
        }
        logs.append(log)
        loop.save(logs)
    loop.end()
    return logs
