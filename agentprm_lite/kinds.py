"""Losses in training, of a policy and of every kind of reward model; their data and its checks.

Shape legend: B trajectories, T steps (one action each, padded), K rollouts from a step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from agentprm_lite import losses
from agentprm_lite.forward import (
    action_logprobs,
    faults_of,
    is_linear,
    split_model,
    squash,
    step_outputs,
    step_values,
)
from agentprm_lite.labels import Labels, Steps, kind_named
from agentprm_lite.loop import Share, digest, some, trajectory_of
from agentprm_lite.losses import Progress, Sizes
from agentprm_lite.metrics import explained_variance, turn_auroc
from agentprm_lite.types import Task, Trajectory, uncountable

logger = logging.getLogger(__name__)

Cut = Literal["failed", "bootstrap"]
MLoss = Literal["squared", "cross_entropy"]


@dataclass(frozen=True)
class RewardExample:
    """A trajectory, for Monte Carlo labels with the outcomes of rollouts from its states."""

    trajectory: Trajectory  #: The trajectory.
    outcomes: np.ndarray | None = None  #: [T, K] outcomes in [0, 1] of rollouts after each action.

    def __post_init__(self) -> None:
        if self.outcomes is None:
            return
        found, steps = np.asarray(self.outcomes, dtype=np.float64), self.trajectory.num_steps
        if found.ndim != 2 or len(found) != steps or not ((found >= 0) & (found <= 1)).all():
            raise ValueError(
                f"trajectory {self.trajectory.key}: outcomes has shape {list(found.shape)} and "
                f"values {np.unique(found).tolist()}, expected [{steps}, K] within [0, 1]"
            )
        object.__setattr__(self, "outcomes", found)


class SFTLoss(nn.Module):
    """Cross-entropy on action tokens only, of a policy in training."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def sizes(self, trajectories: Sequence[Trajectory]) -> int:
        """Action tokens of a step."""
        return sum(end - start for t in trajectories for start, end in t.spans)

    def forward(self, trajectories: Sequence[Trajectory], sizes: int) -> Share:
        """Negative log-likelihood of the action tokens, over those of the whole step."""
        loss = -action_logprobs(self.model, trajectories).sum() / sizes
        return loss, {"loss": float(loss.detach())}


class RewardLoss(nn.Module):
    """Algorithm 1: labels from the model as it is now, without gradient, and a loss on them."""

    def __init__(
        self,
        model: Any,
        kind: str,
        beta: float | None = None,
        progress: Progress = "difference",
        lam: float = 0.95,
        cut: Cut = "failed",
        m_loss: MLoss = "cross_entropy",
    ) -> None:
        super().__init__()
        self.model, self.kind, self.row = model, kind, kind_named(kind)
        self.beta = self.row.beta if beta is None else beta
        if not (self.beta >= 0 and 0 <= lam <= 1):
            raise ValueError(f"expected beta >= 0 and lam within [0, 1], got {self.beta} and {lam}")
        if self.row.loss == "ranking" and self.beta:
            raise ValueError(f"beta is {beta}, expected 0: {kind} ranks steps and has no L_A")
        options = (("cut", cut, Cut), ("m_loss", m_loss, MLoss), ("progress", progress, Progress))
        for name, value, known in options:
            if value not in get_args(known):
                names = ", ".join(get_args(known))
                raise ValueError(f"{name} is {value!r}, expected one of {names}")
        needs_logits = m_loss == "cross_entropy" or self.row.loss == "ranking"
        if needs_logits and model is not None and is_linear(split_model(model)[1]):
            raise ValueError("cross-entropy and ranking need M within [0, 1], this head is linear")
        self.progress, self.lam, self.cut, self.m_loss = progress, lam, cut, m_loss

    def sizes(self, examples: Sequence[RewardExample]) -> Sizes:
        """How many terms the losses of a step have; that depends on the kind and the data alone."""
        mask = _real_steps(examples)
        zeros = torch.zeros(mask.shape)
        return Sizes.of(self.labels(examples, zeros, zeros[:, 0], mask))

    def forward(self, examples: Sequence[RewardExample], sizes: Sizes) -> Share:
        """These examples' share of the step's loss, and of what is logged of it."""
        z, z_root, mask = step_outputs(self.model, [e.trajectory for e in examples])
        head = split_model(self.model)[1]
        q, root = squash(head, z), squash(head, z_root)
        labels = self.labels(examples, q, root, mask)
        if self.row.loss == "ranking":
            loss = losses.ranking_loss(q, labels, sizes)
        elif self.m_loss == "squared":
            loss = losses.agentprm_loss(q, root, labels, self.beta, self.progress, sizes)
        else:
            loss = losses.cross_entropy_loss(z, z_root, labels, sizes)
            loss = loss + self.beta * losses.advantage_loss(q, root, labels, self.progress, sizes)
        mean_m = float(q[labels.q_mask].detach().sum()) / sizes.steps
        return loss, {"loss": float(loss.detach()), "mean_m": mean_m}

    def values(self, examples: Sequence[RewardExample]) -> Tensor:
        """[B, 1 + T] M at the root and the steps, 0 on padding."""
        q, root, mask = step_values(self.model, [e.trajectory for e in examples])
        return torch.cat([root[:, None], q.masked_fill(~mask, 0.0)], dim=1)

    def labels(
        self, examples: Sequence[RewardExample], q: Tensor, root: Tensor, mask: Tensor
    ) -> Labels:
        """Labels of the kind from M at the actions [B, T], the roots [B] and the real steps."""
        trajectories = [e.trajectory for e in examples]
        reward = [t.counted for t in trajectories]
        final = [t.final or self.cut == "failed" for t in trajectories]
        rollouts = q.new_zeros(*mask.shape, 0)
        if self.row.rollouts:
            rows = [torch.as_tensor(e.outcomes, dtype=q.dtype) for e in examples]
            rollouts = pad_sequence(rows, batch_first=True).to(q.device)
        outcome = torch.tensor(reward, dtype=q.dtype, device=q.device)
        ended = torch.tensor(final, device=q.device)
        return self.row.labels(Steps(q, root, mask, outcome, ended, self.lam, rollouts))

    def report(self, examples: Sequence[RewardExample], m: Tensor) -> dict[str, float]:
        """What M [N, 1 + T] says of held-out trajectories, measured alike for every kind."""
        ended = [i for i, e in enumerate(examples) if e.trajectory.final or self.cut == "failed"]
        if ended:  # what the loss takes as unknown isn't measured either
            examples, m = [examples[i] for i in ended], m[ended]
        q, root = m[:, 1:].cpu().double(), m[:, 0].cpu().double()
        usual = RewardLoss(None, self.kind, beta=0.0, lam=1.0)  # its labels don't depend on M
        labels = usual.labels(examples, q, root, _real_steps(examples))
        ranks = self.row.loss == "ranking"
        loss = losses.ranking_loss(q, labels) if ranks else losses.q_loss(q, root, labels)
        found = {"held_out_loss": float(loss)}
        ts = [e.trajectory for e in examples]
        values = [row[: t.num_steps].tolist() for row, t in zip(q, ts, strict=True)]
        for turn in range(1, 9):
            inside = turn_auroc(values, [float(t.success) for t in ts], [t.task for t in ts], turn)
            if len(inside):
                found[f"auroc_turn_{turn}"] = float(inside.mean())
        share = explained_variance(q[labels.q_mask].numpy(), labels.q[labels.q_mask].numpy())
        return found if isnan(share) else found | {"explained_variance": share}


def _real_steps(examples: Sequence[RewardExample]) -> Tensor:
    """[B, T] bool, True on the steps of each trajectory."""
    counts = torch.tensor([e.trajectory.num_steps for e in examples])
    return torch.arange(int(counts.max()))[None] < counts[:, None]


def check_examples(model: Any, examples: Sequence[Any], *, rollouts: bool = False) -> None:
    """Refuse what a model can't be trained on, before the first step; all faults are named."""
    counts: set[int] = set()
    faults = uncountable([e.trajectory for e in examples if isinstance(e, RewardExample)])
    for example in examples:
        t = trajectory_of(example)
        wrong = {"has no step to learn from": not t.num_steps, **faults_of(model, t)}
        if isinstance(example, RewardExample):
            what = f"has rewards {list(t.rewards)}, expected the last in [0, 1]"
            wrong[what] = not 0 <= t.outcome <= 1
            wrong["is a success with outcome 0"] = t.success and t.final and t.outcome == 0
        if rollouts:
            wrong["has no outcomes of rollouts, which its labels need"] = example.outcomes is None
            counts |= set() if example.outcomes is None else {example.outcomes.shape[1]}
        faults += [f"{t.key} {what}" for what, found in wrong.items() if found]
    if len(counts) > 1:
        faults.append(f"examples have {sorted(counts)} rollouts a step, expected one number")
    if faults:
        raise ValueError(f"{len(faults)} faults in {len(examples)} examples: {some(faults)}")


def split_families(
    examples: Sequence[RewardExample], share: float, family: Callable[[Task], Hashable]
) -> tuple[list[RewardExample], list[RewardExample]]:
    """What to train on, and a share of the families of tasks to hold out: the same for all data."""
    if not 0 <= share < 1:
        raise ValueError(f"held_out is {share}, expected a share of the tasks from 0 to below 1")
    of = [family(e.trajectory.task) for e in examples]
    families = sorted(set(of), key=lambda name: digest(repr(name)))
    if share and len(families) == 1:
        logger.warning(
            "all %d examples belong to one task, so none is held out to test it", len(examples)
        )
    count = min(len(families) - 1, max(1, round(share * len(families)))) if share else 0
    parts: tuple[list[RewardExample], list[RewardExample]] = [], []
    for example, name in zip(examples, of, strict=True):
        parts[name in families[:count]].append(example)
    return parts
