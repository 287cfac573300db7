"""Kinds of reward models: one row of a table says labels, loss and data.

A kind of your own is one more row of :data:`KINDS`. All kinds learn from the same trajectories, so
that they are compared on equal data.

Shape legend: B trajectories, T steps (one action each, padded), K rollouts from a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from agentprm_lite import labels as label_functions
from agentprm_lite.examples import RewardExample
from agentprm_lite.forward import (
    action_logprobs,
    is_linear,
    split_model,
    squash,
    step_outputs,
    step_values,
)
from agentprm_lite.labels import Labels
from agentprm_lite.losses import (
    Progress,
    Sizes,
    advantage_loss,
    agentprm_loss,
    cross_entropy_loss,
    ranking_loss,
)
from agentprm_lite.metrics import explained_variance, turn_auroc
from agentprm_lite.types import Trajectory

Cut = Literal["failed", "bootstrap"]
MLoss = Literal["squared", "cross_entropy"]


@dataclass(frozen=True)
class Steps:
    """What labels are made from."""

    q: Tensor
    """[B, T] M at the actions."""
    root: Tensor
    """[B] M at the prompts' ends."""
    mask: Tensor
    """[B, T] bool, True on real steps."""
    reward: Tensor
    """[B] outcome in [0, 1]; 0 where the episode was cut."""
    final: Tensor
    """[B] bool, False where labels are to bootstrap at the end."""
    lam: float
    """λ of TD(λ) and GAE."""
    rollouts: Tensor
    """[B, T, K] outcomes of rollouts from the state after each action; K = 0 if nobody asked."""


@dataclass(frozen=True)
class Kind:
    """A kind of reward model."""

    labels: Callable[[Steps], Labels]
    """The targets of M."""
    loss: Literal["values", "ranking"]
    """``"values"``: L_Q + βL_A on them. ``"ranking"``: PQM's comparison of steps."""
    rollouts: bool
    """It needs Monte Carlo rollouts from every state."""
    beta: float
    """Usual weight of L_A."""


KINDS: dict[str, Kind] = {
    "orm": Kind(
        lambda s: label_functions.outcome_labels(s.reward, s.mask),
        loss="values",
        rollouts=False,
        beta=0.0,
    ),
    "pvm": Kind(
        lambda s: label_functions.pvm_labels(s.reward, s.mask),
        loss="values",
        rollouts=False,
        beta=0.0,
    ),
    "mc_hard": Kind(
        lambda s: label_functions.mc_hard_labels(s.rollouts, s.mask),
        loss="values",
        rollouts=True,
        beta=0.0,
    ),
    "mc_soft": Kind(
        lambda s: label_functions.mc_soft_labels(s.rollouts, s.mask),
        loss="values",
        rollouts=True,
        beta=0.0,
    ),
    "pqm": Kind(
        lambda s: label_functions.mc_hard_labels(s.rollouts, s.mask),
        loss="ranking",
        rollouts=True,
        beta=0.0,
    ),
    "agentprm": Kind(
        lambda s: label_functions.td_gae_labels(s.q, s.root, s.reward, s.mask, s.final, lam=s.lam),
        loss="values",
        rollouts=False,
        beta=1.0,
    ),
}


def kind_named(name: str) -> Kind:
    """The row of a name; an unknown one is an error that lists what exists."""
    if name not in KINDS:
        raise ValueError(f"kind of reward model is {name!r}, expected one of {', '.join(KINDS)}")
    return KINDS[name]


class SFTLoss(nn.Module):
    """Cross-entropy on action tokens only, of a policy in training."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, trajectories: Sequence[Trajectory], sizes: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Negative log-likelihood of the action tokens, over those of the whole step."""
        loss = -action_logprobs(self.model, trajectories).sum() / sizes
        return loss, {"loss": float(loss.detach())}

    def sizes(self, trajectories: Sequence[Trajectory]) -> int:
        """Action tokens of a step."""
        return sum(end - start for t in trajectories for start, end in t.spans)


class RewardLoss(nn.Module):
    """Algorithm 1: labels from the model as it is now, without gradient, and a loss on them.

    Args:
        model: a reward model in training.
        kind: a name in :data:`KINDS`.
        beta: weight of L_A; None: the kind's usual one.
        progress: target of L_A, see :func:`agentprm_lite.losses.advantage_loss`.
        lam: λ of TD(λ) and GAE.
        cut: an episode that was cut, say by the context's length, counts as ``"failed"`` (the
            paper's task ends there), or TD labels ``"bootstrap"`` on the model's own M there.
        m_loss: L_Q is the ``"squared"`` error (the paper's, which has it on a linear head, see
            :func:`agentprm_lite.models.new_reward_model`) or the ``"cross_entropy"``. Squared is
            the default: where the two were compared on random batches they chose equally well
            (TextCraft, Best-of-16 0.42 to 0.44 for both), and the tree's predictions are about it.

    Raises:
        ValueError: the kind or an option is unknown, or the kind has no L_A to weigh.
    """

    def __init__(
        self,
        model: Any,
        kind: str,
        beta: float | None = None,
        progress: Progress = "difference",
        lam: float = 0.95,
        cut: Cut = "failed",
        m_loss: MLoss = "squared",
    ) -> None:
        super().__init__()
        self.kind, self.row = kind, kind_named(kind)
        self.beta = self.row.beta if beta is None else beta
        if self.row.loss == "ranking" and self.beta:
            raise ValueError(f"beta is {beta}, expected 0: {kind} ranks steps and has no L_A")
        if cut not in get_args(Cut):
            raise ValueError(f"cut is {cut!r}, expected one of {', '.join(get_args(Cut))}")
        if m_loss not in get_args(MLoss):
            raise ValueError(f"m_loss is {m_loss!r}, expected one of {', '.join(get_args(MLoss))}")
        needs_logits = m_loss == "cross_entropy" or self.row.loss == "ranking"
        if needs_logits and model is not None and is_linear(split_model(model)[1]):
            raise ValueError("cross-entropy and ranking need M within [0, 1], this head is linear")
        self.model, self.progress, self.lam, self.cut = model, progress, lam, cut
        self.m_loss = m_loss

    def forward(
        self, examples: Sequence[RewardExample], sizes: Sizes
    ) -> tuple[Tensor, dict[str, float]]:
        """These examples' share of the step's loss, and of what is logged of it."""
        z, z_root, mask = step_outputs(self.model, [e.trajectory for e in examples])
        head = split_model(self.model)[1]
        q, root = squash(head, z), squash(head, z_root)
        labels = self.labels(examples, q, root, mask)
        if self.row.loss == "ranking":
            loss = ranking_loss(q, labels, sizes)
        elif self.m_loss == "cross_entropy":
            loss = cross_entropy_loss(z, z_root, labels, sizes)
            if self.beta:
                gains = advantage_loss(q, root, labels, self.progress, sizes)
                loss = loss + self.beta * gains
        else:
            loss = agentprm_loss(q, root, labels, self.beta, self.progress, sizes)
        mean_m = float(q[labels.q_mask].detach().sum()) / sizes.steps
        return loss, {"loss": float(loss.detach()), "mean_m": mean_m}

    def sizes(self, examples: Sequence[RewardExample]) -> Sizes:
        """How many terms the losses of a step have; that depends on the kind and the data alone."""
        counts = torch.tensor([e.trajectory.num_steps for e in examples])
        mask = torch.arange(int(counts.max()))[None] < counts[:, None]
        zeros = torch.zeros(mask.shape)
        return Sizes.of(self.labels(examples, zeros, zeros[:, 0], mask))

    def values(self, examples: Sequence[RewardExample]) -> Tensor:
        """[B, 1 + T] M at the root and the steps, 0 on padding."""
        q, root, mask = step_values(self.model, [e.trajectory for e in examples])
        return torch.cat([root[:, None], q.masked_fill(~mask, 0.0)], dim=1)

    def labels(
        self, examples: Sequence[RewardExample], q: Tensor, root: Tensor, mask: Tensor
    ) -> Labels:
        """Labels of the kind from M at the actions [B, T], the roots [B] and the real steps."""
        trajectories = [e.trajectory for e in examples]
        # an episode that was cut has no outcome, whatever its last step earned
        reward = [t.outcome if t.final else 0.0 for t in trajectories]
        final = [t.final or self.cut == "failed" for t in trajectories]
        return self.row.labels(
            Steps(
                q,
                root,
                mask,
                torch.tensor(reward, dtype=q.dtype, device=q.device),
                torch.tensor(final, device=q.device),
                self.lam,
                self._rollouts(examples, q, mask),
            )
        )

    def _rollouts(self, examples: Sequence[RewardExample], q: Tensor, mask: Tensor) -> Tensor:
        if not self.row.rollouts:
            return q.new_zeros(*mask.shape, 0)
        rollouts = [e.rollouts() for e in examples]
        counts = {r.shape[1] for r in rollouts}
        if len(counts) > 1:
            raise ValueError(f"examples have {sorted(counts)} rollouts a step, expected one number")
        ends = torch.zeros(*mask.shape, counts.pop(), dtype=q.dtype)
        for row, r in zip(ends, rollouts, strict=True):
            row[: len(r)] = torch.as_tensor(r)
        return ends.to(q.device)

    def report(self, examples: Sequence[RewardExample], m: Tensor) -> dict[str, float]:
        """What M [N, 1 + T] says of held-out trajectories, measured alike for every kind.

        Targets are the kind's labels with λ = 1, which don't depend on the model.
        """
        counts = torch.tensor([e.trajectory.num_steps for e in examples])
        q, root = m[:, 1:].cpu().double(), m[:, 0].cpu().double()
        mask = torch.arange(q.shape[1])[None] < counts[:, None]
        labels = RewardLoss(None, self.kind, beta=0.0, lam=1.0).labels(examples, q, root, mask)
        ranks = self.row.loss == "ranking"
        loss = ranking_loss(q, labels) if ranks else agentprm_loss(q, root, labels, beta=0.0)
        share = explained_variance(q[labels.q_mask].numpy(), labels.q[labels.q_mask].numpy())
        found = {"held_out_loss": float(loss)} | _ranking_by_turn(examples, q.numpy())
        return found if isnan(share) else found | {"explained_variance": share}


def _ranking_by_turn(examples: Sequence[RewardExample], q: np.ndarray) -> dict[str, float]:
    """Within-task AUROC of M after each of the first eight turns, where there are both outcomes."""
    trajectories = [e.trajectory for e in examples]
    values = [row[: t.num_steps].tolist() for row, t in zip(q, trajectories, strict=True)]
    success = [float(t.success) for t in trajectories]
    tasks = [t.task for t in trajectories]
    found = {}
    for turn in range(1, 9):
        inside = turn_auroc(values, success, tasks, turn)
        if len(inside):
            found[f"auroc_turn_{turn}"] = float(inside.mean())
    return found
