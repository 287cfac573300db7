"""Losses of the reward model (L_Q, L_A) and of the policy (clipped objective, KL penalty).

Shape legend: B trajectories, T steps (one action each, padded on the right), S tokens.

``q[:, t]`` is M_t, read at the last token of action t; ``v_root`` is M_{-1}, read at the end of the
prompt. Positions outside a mask change neither a loss nor a gradient, whatever they hold.

Where this departs from the paper (Xi et al. 2025, arXiv 2511.08325):

1. L_A carries ½ in Algorithm 1 and not in equation 9; here both terms carry it.
2. The root is a labelled position: it is in L_Q, and L_A has M_0 − M_{-1} as first difference.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agentprm_lite._checks import check_bool, check_float
from agentprm_lite.labels import Labels


def q_loss(q: Tensor, v_root: Tensor, labels: Labels, whole: Labels | None = None) -> Tensor:
    """Promise: how far M is from its targets (AgentPRM equation 4).

    L_Q = mean of ½ (M_t − Q̂_t)² over the labelled steps and roots.

    Args:
        q: [B, T] M at the last token of each action, with gradient.
        v_root: [B] M at the end of the prompt, with gradient.
        labels: Targets and masks of the same B and T.
        whole: Labels of the batch that these rows are a part of, if several processes share it:
            the parts' losses add up to the batch's. By default the rows are the batch.

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
    _check_predictions(q, v_root, labels)
    batch = labels if whole is None else whole
    count = int(batch.q_mask.sum() + batch.root_mask.sum())
    if count == 0:
        raise ValueError("labels has no labelled position, expected at least one")
    errors = torch.cat([(q - labels.q)[labels.q_mask], (v_root - labels.root)[labels.root_mask]])
    return 0.5 * errors.square().sum() / count


def advantage_loss(
    q: Tensor, v_root: Tensor, labels: Labels, whole: Labels | None = None
) -> Tensor:
    """Progress: how far M's differences are from the targets' (AgentPRM equation 9, with ½).

    L_A = mean of ½ ((M_t − M_{t-1}) − (Q̂_t − Q̂_{t-1}))² over the steps labelled at both ends, with
    M_{-1} = ``v_root``.

    Args:
        q: [B, T] M at the last token of each action, with gradient.
        v_root: [B] M at the end of the prompt, with gradient.
        labels: Targets and masks of the same B and T.
        whole: Labels of the batch that these rows are a part of, if several processes share it:
            the parts' losses add up to the batch's. By default the rows are the batch.

    Returns:
        Scalar; 0 if no step is labelled at both ends (ORM).

    Raises:
        ValueError: On a wrong shape or dtype.

    Example:
        >>> from agentprm_lite.labels import pvm_labels
        >>> q, labels = torch.tensor([[0.5]]), pvm_labels(torch.ones(1), torch.tensor([[True]]))
        >>> advantage_loss(q, torch.tensor([1.0]), labels)
        tensor(0.1250)
    """
    _check_predictions(q, v_root, labels)
    progress = q - torch.cat([v_root[:, None], q[:, :-1]], dim=1)
    target = labels.q - torch.cat([labels.root[:, None], labels.q[:, :-1]], dim=1)
    count = int(_both_ends(labels if whole is None else whole).sum())
    errors = (progress - target)[_both_ends(labels)]
    return 0.5 * errors.square().sum() / max(count, 1)


def agentprm_loss(
    q: Tensor, v_root: Tensor, labels: Labels, beta: float = 1.0, whole: Labels | None = None
) -> Tensor:
    """The loss of AgentPRM: promise and progress (AgentPRM equation 10).

    L = L_Q + β L_A

    Args:
        q: [B, T] M at the last token of each action, with gradient.
        v_root: [B] M at the end of the prompt, with gradient.
        labels: Targets and masks of the same B and T.
        beta: Weight of L_A, at least 0. With 0 L_A is not computed.
        whole: Labels of the batch that these rows are a part of, if several processes share it:
            the parts' losses add up to the batch's. By default the rows are the batch.

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
    loss = q_loss(q, v_root, labels, whole)
    return loss + beta * advantage_loss(q, v_root, labels, whole) if beta > 0.0 else loss


def ranking_loss(
    q: Tensor, labels: Labels, whole: Labels | None = None, zeta: float = 4.0
) -> Tensor:
    """Comparative loss of PQM (Li and Li 2024, arXiv 2410.11287, equation 10).

    −log of e^{z_c} / (Σ_{c' ≤ c} e^{z_c'} + Σ_w e^{z_w + ζ}), averaged over the right steps c of a
    trajectory in their order, then over trajectories; w are its wrong steps. The start is a right
    step before all others with z = 0; it has a term where there is a wrong step. So values rise
    along right steps and fall below the start by ζ on wrong ones. z is the logit of M, clipped to
    ±13.8. A step is right where its label is at least ½, that is with 0/1 outcomes and hard Monte
    Carlo labels where a rollout succeeds, as there.

    Args:
        q: [B, T] M in [0, 1] at the last token of each action, with gradient.
        labels: Targets and masks of the same B and T; the root is not used.
        whole: Labels of the batch that these rows are a part of, if several processes share it:
            the parts' losses add up to the batch's. By default the rows are the batch.
        zeta: Margin ζ between right and wrong steps.

    Returns:
        Scalar.

    Raises:
        ValueError: On a wrong shape or dtype, or if a row has no labelled step.

    Example:
        >>> from agentprm_lite.labels import mc_hard_labels
        >>> labels = mc_hard_labels(torch.tensor([[[1.0], [0.0]]]), torch.tensor([[True, True]]))
        >>> ranking_loss(torch.tensor([[0.5, 0.5]]), labels, zeta=0.0)  # (log 2 + log 3) / 2
        tensor(0.8959)
    """
    check_float("q", q, labels.q.shape)
    if not labels.q_mask.any(dim=1).all():
        raise ValueError("labels has a row without a labelled step, expected at least one a row")
    right = labels.q_mask & (labels.q >= 0.5)
    wrong = labels.q_mask & (labels.q < 0.5)
    nothing = -1e4  # e to it is 0, and its gradient is a number
    z = torch.logit(q.masked_fill(~labels.q_mask, 0.5), eps=1e-6)
    above = torch.cat([torch.zeros_like(z[:, :1]), z.masked_fill(~right, nothing)], dim=1)
    below = torch.logsumexp((z + zeta).masked_fill(~wrong, nothing), dim=1, keepdim=True)
    terms = torch.logaddexp(torch.logcumsumexp(above, dim=1), below) - above
    counted = torch.cat([wrong.any(dim=1, keepdim=True), right], dim=1)
    rows = terms.masked_fill(~counted, 0.0).sum(dim=1) / counted.sum(dim=1)
    return rows.sum() / len((labels if whole is None else whole).q)


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


def _check_predictions(q: Tensor, v_root: Tensor, labels: Labels) -> None:
    check_float("q", q, labels.q.shape)
    check_float("v_root", v_root, labels.root.shape)


def _check_token_mask(mask: Tensor) -> None:
    check_bool("mask", mask, (None, None))
    if not mask.any():
        raise ValueError("mask has no action token, expected at least one True")
