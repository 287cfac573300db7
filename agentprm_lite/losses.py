"""Losses of the reward model (L_Q, L_A) and of the policy (clipped objective, KL penalty).

Shape legend: B trajectories, T steps (one action each, padded on the right), S tokens.

``q[:, t]`` is M_t, read at the last token of action t; ``v_root`` is M_{-1}, read at the end of the
prompt. Positions outside a mask change neither a loss nor a gradient, whatever they hold.

Every loss is a mean over the terms of one optimizer step. Where the rows at hand are only a part of
the step, ``sizes`` says how many terms the whole step has: the parts' losses add up to the step's.

Where this departs from the paper (Xi et al. 2025, arXiv 2511.08325):

1. L_A carries ½ in Algorithm 1 and not in equation 9; here both terms carry it.
2. The root is a labelled position: it is in L_Q, and L_A has M_0 − M_{-1} as first difference.
3. The progress target ``"gae"`` is ours, ``"difference"`` is the paper's; see ``advantage_loss``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from agentprm_lite._checks import check_bool, check_float
from agentprm_lite.labels import Labels

Progress = Literal["difference", "gae"]


@dataclass(frozen=True)
class Sizes:
    """How many terms the losses of an optimizer step are means of."""

    steps: int
    """Labelled steps."""
    roots: int
    """Labelled roots."""
    pairs: int
    """Steps labelled at both ends, the terms of L_A."""
    rows: int
    """Trajectories."""

    @classmethod
    def of(cls, labels: Labels) -> Sizes:
        """Count the terms of some labels."""
        pairs = int(_both_ends(labels).sum())
        return cls(int(labels.q_mask.sum()), int(labels.root_mask.sum()), pairs, len(labels.q))


def q_loss(q: Tensor, v_root: Tensor, labels: Labels, sizes: Sizes | None = None) -> Tensor:
    """Promise: how far M is from its targets (AgentPRM equation 4).

    L_Q = mean of ½ (M_t − Q̂_t)² over the labelled steps and roots.

    Args:
        q: [B, T] M at the last token of each action, with gradient.
        v_root: [B] M at the end of the prompt, with gradient.
        labels: Targets and masks of the same B and T.
        sizes: Of the step that these rows are a part of; by default they are all of it.

    Returns:
        Scalar.

    Raises:
        ValueError: On a wrong shape or dtype, or if no position is labelled.

    Example:
        >>> from agentprm_lite.labels import pvm_labels
        >>> q, labels = torch.tensor([[0.5]]), pvm_labels(torch.ones(1), torch.tensor([[True]]))
        >>> q_loss(q, torch.tensor([1.0]), labels)
        tensor(0.0625)
    """
    m, y, count = _labelled(q, v_root, labels, sizes)
    return 0.5 * (m - y).square().sum() / count


def cross_entropy_loss(
    z: Tensor, z_root: Tensor, labels: Labels, sizes: Sizes | None = None
) -> Tensor:
    """Promise with a likelihood instead of a square: cross-entropy on soft targets (ours).

    L_Q = mean of −[Q̂_t log M_t + (1 − Q̂_t) log(1 − M_t)], M = sigmoid(z). Its gradient in z is
    M − Q̂, where that of the squared error is (M − Q̂) M (1 − M), which fades where M is near 0 or 1.

    Args:
        z: [B, T] logit of M at the last token of each action, with gradient.
        z_root: [B] logit of M at the end of the prompt, with gradient.
        labels: Targets within [0, 1] and masks of the same B and T.
        sizes: Of the step that these rows are a part of; by default they are all of it.

    Returns:
        Scalar.

    Raises:
        ValueError: On a wrong shape or dtype, or if no position is labelled.

    Example:
        >>> from agentprm_lite.labels import pvm_labels
        >>> labels = pvm_labels(torch.ones(1), torch.tensor([[True]]))
        >>> cross_entropy_loss(torch.zeros(1, 1), torch.zeros(1), labels)
        tensor(0.6931)
    """
    logits, y, count = _labelled(z, z_root, labels, sizes)
    total = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="sum")
    return total / count


def advantage_loss(
    q: Tensor,
    v_root: Tensor,
    labels: Labels,
    progress: Progress = "difference",
    sizes: Sizes | None = None,
) -> Tensor:
    """Progress: how far M's differences are from a target (AgentPRM equation 9, with ½).

    L_A = mean of ½ ((M_t − M_{t-1}) − A_t)² over the steps labelled at both ends, M_{-1} being
    ``v_root``. The target A_t has two forms:

    - ``"difference"``, the paper's equation: Q̂_t − Q̂_{t-1}. With TD or PVM labels it is (1 − λ)
      (Q̂_t − M_{t-1}), a small part of the advantage, so that L_A smooths M along a trajectory
      (:mod:`agentprm_lite.tutorial.smoothing`). With Monte Carlo labels it is unbiased.
    - ``"gae"``, ours: Q̂_t − M_{t-1} without gradient, the advantage Â_t of equation 13. Unbiased
      with all labels. Whether the paper's own code has this or the difference isn't known.

    Args:
        q: [B, T] M at the last token of each action, with gradient.
        v_root: [B] M at the end of the prompt, with gradient.
        labels: Targets and masks of the same B and T.
        progress: Which target.
        sizes: Of the step that these rows are a part of; by default they are all of it.

    Returns:
        Scalar; 0 if no step is labelled at both ends (ORM).

    Raises:
        ValueError: On a wrong shape or dtype or an unknown target.

    Example:
        >>> from agentprm_lite.labels import pvm_labels
        >>> q, labels = torch.tensor([[0.5]]), pvm_labels(torch.ones(1), torch.tensor([[True]]))
        >>> advantage_loss(q, torch.tensor([1.0]), labels)
        tensor(0.1250)
    """
    _check_predictions(q, v_root, labels)
    if progress not in ("difference", "gae"):
        raise ValueError(f"progress is {progress!r}, expected 'difference' or 'gae'")
    before = torch.cat([v_root[:, None], q[:, :-1]], dim=1)
    if progress == "gae":
        base = before.detach()
    else:
        base = torch.cat([labels.root[:, None], labels.q[:, :-1]], dim=1)
    errors = ((q - before) - (labels.q - base))[_both_ends(labels)]
    count = (sizes or Sizes.of(labels)).pairs
    return 0.5 * errors.square().sum() / max(count, 1)


def agentprm_loss(
    q: Tensor,
    v_root: Tensor,
    labels: Labels,
    beta: float = 1.0,
    progress: Progress = "difference",
    sizes: Sizes | None = None,
) -> Tensor:
    """The loss of AgentPRM: promise and progress (AgentPRM equation 10).

    L = L_Q + β L_A

    Args:
        q: [B, T] M at the last token of each action, with gradient.
        v_root: [B] M at the end of the prompt, with gradient.
        labels: Targets and masks of the same B and T.
        beta: Weight of L_A, at least 0. With 0 L_A is not computed.
        progress: Target of L_A, see ``advantage_loss``.
        sizes: Of the step that these rows are a part of; by default they are all of it.

    Returns:
        Scalar.

    Raises:
        ValueError: On a wrong shape or dtype, a negative ``beta``, or if no position is labelled.

    Example:
        >>> from agentprm_lite.labels import pvm_labels
        >>> q, labels = torch.tensor([[0.5]]), pvm_labels(torch.ones(1), torch.tensor([[True]]))
        >>> agentprm_loss(q, torch.tensor([1.0]), labels)
        tensor(0.1875)
    """
    if not beta >= 0.0:
        raise ValueError(f"beta is {beta}, expected beta >= 0")
    loss = q_loss(q, v_root, labels, sizes)
    return loss + beta * advantage_loss(q, v_root, labels, progress, sizes) if beta > 0 else loss


def policy_loss(
    logp: Tensor, old_logp: Tensor, advantages: Tensor, mask: Tensor, clip: float
) -> Tensor:
    """Clipped policy objective of PPO as a loss (Schulman et al. 2017, equation 7).

    L = −mean of min(ρ A, clip(ρ, 1 − ε, 1 + ε) A) over action tokens, ρ = exp(logp − old_logp).

    Args:
        logp: [B, S] log-probability of each token under the policy, with gradient.
        old_logp: [B, S] the same under the policy that sampled.
        advantages: [B, S] advantage of the turn that a token belongs to.
        mask: [B, S] bool, True on action tokens, in any pattern.
        clip: ε > 0.

    Returns:
        Scalar.

    Raises:
        ValueError: On a wrong shape or dtype, an empty mask or clip not above 0.

    Example:
        >>> logp, one = torch.tensor([[2.0]]).log(), torch.ones(1, 1)
        >>> policy_loss(logp, torch.zeros(1, 1), one, one > 0, 0.2)
        tensor(-1.2000)
    """
    _check_token_mask(mask)
    check_float("logp", logp, mask.shape)
    check_float("old_logp", old_logp, mask.shape)
    check_float("advantages", advantages, mask.shape)
    if not clip > 0.0:
        raise ValueError(f"clip is {clip}, expected clip > 0")
    ratio = torch.exp(logp[mask] - old_logp.detach()[mask])
    a = advantages.detach()[mask]
    return -torch.minimum(ratio * a, ratio.clamp(1.0 - clip, 1.0 + clip) * a).mean()


def kl_penalty(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """KL(π ‖ π_ref) from the sampled tokens, never negative (the k3 estimator, Schulman 2020).

    k3 = exp(d) − 1 − d with d = ref_logp − logp, averaged over action tokens. Unbiased for tokens
    sampled from π; used as a loss its expected gradient is that of KL(π_ref ‖ π).

    Args:
        logp: [B, S] log-probability of each token under the policy, with gradient.
        ref_logp: [B, S] the same under the reference policy.
        mask: [B, S] bool, True on action tokens, in any pattern.

    Returns:
        Scalar.

    Raises:
        ValueError: On a wrong shape or dtype or an empty mask.

    Example:
        >>> logp, ref = torch.tensor([[0.5]]).log(), torch.tensor([[0.25]]).log()
        >>> kl_penalty(logp, ref, logp < 0)
        tensor(0.1931)
    """
    _check_token_mask(mask)
    check_float("logp", logp, mask.shape)
    check_float("ref_logp", ref_logp, mask.shape)
    d = ref_logp.detach()[mask] - logp[mask]
    return (torch.expm1(d) - d).mean()


def _both_ends(labels: Labels) -> Tensor:
    """[B, T] bool, True where a step and the one before it, or the root, are labelled."""
    before = torch.cat([labels.root_mask[:, None], labels.q_mask[:, :-1]], dim=1)
    return labels.q_mask & before


def _labelled(
    m: Tensor, m_root: Tensor, labels: Labels, sizes: Sizes | None
) -> tuple[Tensor, Tensor, int]:
    """Predictions and targets at the labelled positions, and how many the whole step has."""
    _check_predictions(m, m_root, labels)
    sizes = sizes or Sizes.of(labels)
    if sizes.steps + sizes.roots == 0:
        raise ValueError("labels has no labelled position, expected at least one")
    found = torch.cat([m[labels.q_mask], m_root[labels.root_mask]])
    wanted = torch.cat([labels.q[labels.q_mask], labels.root[labels.root_mask]])
    return found, wanted, sizes.steps + sizes.roots


def _check_predictions(q: Tensor, v_root: Tensor, labels: Labels) -> None:
    check_float("q", q, labels.q.shape)
    check_float("v_root", v_root, labels.root.shape)


def _check_token_mask(mask: Tensor) -> None:
    check_bool("mask", mask, (None, None))
    if not mask.any():
        raise ValueError("mask has no action token, expected at least one True")
