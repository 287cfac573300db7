"""Losses of the reward model (L_Q, L_A, ranking) and of the policy (clipped objective, KL).

Shape legend: B trajectories, T steps (one action each, padded on the right), S tokens.
Losses of M take ``q`` [B, T], M_t at the last token of action t, ``v_root`` [B], M_{-1} at the end
of the prompt, and ``labels`` of the same shape; losses of the policy take [B, S] log-probabilities
and ``mask`` [B, S] bool, True on action tokens. Each returns a scalar; a wrong shape or dtype, or
nothing to learn from, is a ValueError. Positions outside a mask change neither a loss nor a
gradient, whatever they hold.

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

from agentprm_lite.labels import Labels, check_bool, check_float

Progress = Literal["difference", "gae"]
ZETA = 4.0  # ζ of the ranking loss, the margin between right and wrong steps


@dataclass(frozen=True)
class Sizes:
    """How many terms the losses of an optimizer step are means of."""

    steps: int  #: Labelled steps.
    roots: int  #: Labelled roots.
    pairs: int  #: Steps labelled at both ends, the terms of L_A.
    rows: int  #: Trajectories.

    @classmethod
    def of(cls, labels: Labels) -> Sizes:
        """Count the terms of some labels."""
        pairs = int(_both_ends(labels).sum())
        return cls(int(labels.q_mask.sum()), int(labels.root_mask.sum()), pairs, len(labels.q))


def q_loss(q: Tensor, v_root: Tensor, labels: Labels, sizes: Sizes | None = None) -> Tensor:
    """Promise (AgentPRM equation 4): mean of ½ (M_t − Q̂_t)² over the labelled steps and roots.

    >>> yes, one = torch.tensor([[True]]), torch.tensor([1.0])
    >>> q_loss(torch.tensor([[0.5]]), one, Labels(one[None], one, yes, yes[0]))
    tensor(0.0625)
    """
    m, y, count = _labelled(q, v_root, labels, sizes)
    return 0.5 * (m - y).square().sum() / count


def cross_entropy_loss(
    z: Tensor, z_root: Tensor, labels: Labels, sizes: Sizes | None = None
) -> Tensor:
    """Promise with a likelihood instead of a square, on soft targets (ours); z is the logit of M.

    L_Q = mean of −[Q̂_t log M_t + (1 − Q̂_t) log(1 − M_t)], M = sigmoid(z). Its gradient in z is
    M − Q̂, where that of the squared error is (M − Q̂) M (1 − M), which fades where M is near 0 or 1.
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
    """Progress (AgentPRM equation 9, with ½): how far M's differences are from a target.

    L_A = mean of ½ ((M_t − M_{t-1}) − A_t)² over the steps labelled at both ends, M_{-1} being
    ``v_root``; 0 if there are none (ORM). The target A_t has two forms:

    - ``"difference"``, the paper's equation: Q̂_t − Q̂_{t-1}. With TD or PVM labels it is (1 − λ)
      (Q̂_t − M_{t-1}), a small part of the advantage, so that L_A smooths M along a trajectory
      (:mod:`agentprm_lite.tutorial.smoothing`). With soft Monte Carlo labels it is unbiased.
    - ``"gae"``, ours: Q̂_t − M_{t-1} without gradient, the advantage Â_t of equation 13. Unbiased
      where the labels are. Whether the paper's own code has this or the difference isn't known.
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
    """The loss of AgentPRM, promise and progress (equation 10): L = L_Q + β L_A, β ≥ 0.

    >>> yes, one = torch.tensor([[True]]), torch.tensor([1.0])
    >>> agentprm_loss(torch.tensor([[0.5]]), one, Labels(one[None], one, yes, yes[0]))
    tensor(0.1875)
    """
    if not beta >= 0.0:
        raise ValueError(f"beta is {beta}, expected beta >= 0")
    loss = q_loss(q, v_root, labels, sizes)
    return loss + beta * advantage_loss(q, v_root, labels, progress, sizes) if beta > 0 else loss


def ranking_loss(q: Tensor, labels: Labels, sizes: Sizes | None = None) -> Tensor:
    """Comparative loss of PQM (Li and Li 2024, arXiv 2410.11287, equation 10), which orders steps.

    −log of e^{z_c} / (Σ_{c' ≤ c} e^{z_c'} + Σ_w e^{z_w + ζ}), averaged over the right steps c of a
    trajectory in their order, then over trajectories; w are its wrong steps, ζ = 4. The start is a
    right step before all others with z = 0; it has a term where there is a wrong step. So values
    rise along right steps and fall below the start by ζ on wrong ones. z is the logit of M, clipped
    to ±13.8. A step is right where its label is at least ½: with hard Monte Carlo labels of 0/1
    outcomes, as there, where a rollout succeeds.
    """
    check_float("q", q, labels.q.shape)
    if not labels.q_mask.any(dim=1).all():
        raise ValueError("labels has a row without a labelled step, expected at least one a row")
    right = labels.q_mask & (labels.q >= 0.5)
    wrong = labels.q_mask & (labels.q < 0.5)
    nothing = -1e4  # e to it is 0, and its gradient is a number
    z = torch.logit(q.masked_fill(~labels.q_mask, 0.5), eps=1e-6)
    above = torch.cat([torch.zeros_like(z[:, :1]), z.masked_fill(~right, nothing)], dim=1)
    below = torch.logsumexp((z + ZETA).masked_fill(~wrong, nothing), dim=1, keepdim=True)
    terms = torch.logaddexp(torch.logcumsumexp(above, dim=1), below) - above
    counted = torch.cat([wrong.any(dim=1, keepdim=True), right], dim=1)
    rows = terms.masked_fill(~counted, 0.0).sum(dim=1) / counted.sum(dim=1)
    return rows.sum() / (sizes or Sizes.of(labels)).rows


def policy_loss(
    logp: Tensor, old_logp: Tensor, advantages: Tensor, mask: Tensor, clip: float
) -> Tensor:
    """Clipped policy objective of PPO as a loss (Schulman et al. 2017, equation 7).

    L = −mean of min(ρ A, clip(ρ, 1 − ε, 1 + ε) A) over action tokens, ρ = exp(logp − old_logp),
    old_logp being the policy's that sampled, A the advantage of a token's turn and ε > 0.

    >>> logp, one = torch.tensor([[2.0]]).log(), torch.ones(1, 1)
    >>> policy_loss(logp, torch.zeros(1, 1), one, one > 0, 0.2)
    tensor(-1.2000)
    """
    _check_tokens(mask, logp=logp, old_logp=old_logp, advantages=advantages)
    if not clip > 0.0:
        raise ValueError(f"clip is {clip}, expected clip > 0")
    ratio = torch.exp(logp[mask] - old_logp.detach()[mask])
    a = advantages.detach()[mask]
    return -torch.minimum(ratio * a, ratio.clamp(1.0 - clip, 1.0 + clip) * a).mean()


def kl_penalty(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """KL(π ‖ π_ref) from the sampled tokens, never negative (the k3 estimator, Schulman 2020).

    k3 = exp(d) − 1 − d with d = ref_logp − logp, averaged over action tokens. Unbiased for tokens
    sampled from π; used as a loss its expected gradient is that of KL(π_ref ‖ π).

    >>> logp, ref = torch.tensor([[0.5]]).log(), torch.tensor([[0.25]]).log()
    >>> kl_penalty(logp, ref, logp < 0)
    tensor(0.1931)
    """
    _check_tokens(mask, logp=logp, ref_logp=ref_logp)
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


def _check_tokens(mask: Tensor, **named: Tensor) -> None:
    check_bool("mask", mask, (None, None))
    if not mask.any():
        raise ValueError("mask has no action token, expected at least one True")
    for name, x in named.items():
        check_float(name, x, mask.shape)
