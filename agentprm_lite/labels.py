"""Training targets of a reward model: outcome (ORM), PVM, Monte-Carlo, TD with GAE.

Shape legend: B trajectories, T steps (one action each, padded on the right), N rollouts a step.

Time convention: ``q[:, t]`` is M_t, the reward model's output at the last token of action t, and
stands for Q(s_t, a_t); ``v_root`` is M_{-1}, its output at the end of the prompt. In a
deterministic environment with γ = 1, V(s_t) = Q(s_{t-1}, a_{t-1}) (AgentPRM, equation 7), so the
value before action t is M_{t-1}.

Where this departs from the paper (Xi et al. 2025, arXiv 2511.08325):

1. Equation 12 read literally adds the reward and the prediction at the terminal step, and labels
   of a success rise above 1. Here the bootstrap after a final step is zero: δ = r − M_{T-2}.
2. V(s_0) is not defined there. Here it is ``v_root``, with a target from the same recursion.
3. An episode that was cut (``final`` False) has no outcome: M at its last step is the bootstrap.
4. γ is not given there; here it is 1. Equation 7 needs γ = 1: with γ < 1 equations 12-14 have the
   fixed point M_t = M_{t+1} γλ / (1 − γ(1 − λ)), a discount that depends on λ.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentprm_lite._checks import (
    check_bool,
    check_float,
    check_gamma_lam,
    check_mask,
    check_outcomes,
    check_reward,
)


@dataclass(frozen=True)
class Labels:
    """Targets of a batch and the positions that carry a loss; 0 where a position carries none."""

    q: Tensor
    """[B, T] target of M at the last token of each action."""
    root: Tensor
    """[B] target of M at the end of the prompt."""
    q_mask: Tensor
    """[B, T] bool, True where a step is labelled."""
    root_mask: Tensor
    """[B] bool, True where the root is labelled."""

    def __post_init__(self) -> None:
        check_float("q", self.q, (None, None))
        check_float("root", self.root, self.q.shape[:1])
        check_bool("q_mask", self.q_mask, self.q.shape)
        check_bool("root_mask", self.root_mask, self.q.shape[:1])


def outcome_labels(reward: Tensor, mask: Tensor) -> Labels:
    """Outcome reward model (ORM): the outcome on the last step alone.

    Q̂_{T-1} = r; no other step and no root is labelled.

    Args:
        reward: [B] outcome r in [0, 1].
        mask: [B, T] bool, True on real steps, a prefix of at least one step.

    Returns:
        Labels in the dtype of ``reward``.

    Raises:
        ValueError: On a wrong shape, dtype, mask or a reward outside [0, 1].

    Example:
        >>> outcome_labels(torch.tensor([1.0]), torch.tensor([[True, True, False]])).q
        tensor([[0., 1., 0.]])
    """
    check_mask(mask)
    check_reward(reward, mask)
    last = _last_step(mask)
    q = reward.detach()[:, None] * last
    return Labels(q, torch.zeros_like(q[:, 0]), last, torch.zeros_like(last[:, 0]))


def pvm_labels(reward: Tensor, mask: Tensor) -> Labels:
    """Process value model (PVM): the outcome of the trajectory on every step and on the root.

    Q̂_t = r for all t.

    Args:
        reward: [B] outcome r in [0, 1].
        mask: [B, T] bool, True on real steps, a prefix of at least one step.

    Returns:
        Labels in the dtype of ``reward``.

    Raises:
        ValueError: On a wrong shape, dtype, mask or a reward outside [0, 1].

    Example:
        >>> pvm_labels(torch.tensor([1.0]), torch.tensor([[True, True, False]])).q
        tensor([[1., 1., 0.]])
    """
    check_mask(mask)
    check_reward(reward, mask)
    r = reward.detach().clone()
    return Labels(r[:, None] * mask, r, mask.clone(), torch.ones_like(mask[:, 0]))


def mc_hard_labels(outcomes: Tensor, mask: Tensor) -> Labels:
    """Hard Monte-Carlo label (AgentPRM equation 11): the best outcome of the rollouts.

    Q̂_t = max_n r_n: 1 if any rollout from the step succeeds, where outcomes are 0 or 1. There its
    mean is 1 − (1 − Q)^N, not Q.

    Args:
        outcomes: [B, T, N] outcome in [0, 1] of rollout n from the state after action t.
        mask: [B, T] bool, True on real steps, a prefix of at least one step.

    Returns:
        Labels in the dtype of ``outcomes``; the root is not labelled.

    Raises:
        ValueError: On a wrong shape, dtype, mask or an outcome outside [0, 1].

    Example:
        >>> mc_hard_labels(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[True]])).q
        tensor([[1.]])
    """
    check_outcomes(outcomes, mask)
    return _mc_labels(outcomes.detach().amax(dim=2), mask)


def mc_soft_labels(outcomes: Tensor, mask: Tensor) -> Labels:
    """Soft Monte-Carlo label: the mean outcome of the rollouts from the step.

    Q̂_t = (1/N) Σ_n r_n, an unbiased estimate of Q(s_t, a_t) (ours, not in the paper).

    Args:
        outcomes: [B, T, N] outcome in [0, 1] of rollout n from the state after action t.
        mask: [B, T] bool, True on real steps, a prefix of at least one step.

    Returns:
        Labels in the dtype of ``outcomes``; the root is not labelled.

    Raises:
        ValueError: On a wrong shape, dtype, mask or an outcome outside [0, 1].

    Example:
        >>> mc_soft_labels(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[True]])).q
        tensor([[0.5000]])
    """
    check_outcomes(outcomes, mask)
    return _mc_labels(outcomes.detach().mean(dim=2), mask)


def td_gae_labels(
    q: Tensor,
    v_root: Tensor,
    reward: Tensor,
    mask: Tensor,
    final: Tensor,
    *,
    gamma: float = 1.0,
    lam: float = 0.95,
) -> Labels:
    """TD targets with GAE from the model's own predictions (AgentPRM equations 12-14), detached.

    Q̂_t = Â_t + M_{t-1}, Â_t = Σ_k (γλ)^k δ_{t+k}, δ_t = r_t + γ M_t − M_{t-1}, where M_t counts as
    0 at a final last step. Computed as Q̂_t = r_t + γ[(1 − λ) M_t + λ Q̂_{t+1}], which is the same.
    The root gets γ[(1 − λ) M_{-1} + λ Q̂_0]. λ = 1 with γ = 1 is ``pvm_labels``.

    Args:
        q: [B, T] M at the last token of each action.
        v_root: [B] M at the end of the prompt.
        reward: [B] outcome r in [0, 1]; 0 where ``final`` is False.
        mask: [B, T] bool, True on real steps, a prefix of at least one step.
        final: [B] bool, False where the episode was cut: M at its last step is the bootstrap.
        gamma: Discount in (0, 1].
        lam: λ of GAE in [0, 1].

    Returns:
        Labels in the dtype of ``q``; every real step and the root are labelled.

    Raises:
        ValueError: On a wrong shape, dtype, mask or range, or a reward on a cut episode.

    Example:
        >>> half, yes = torch.full((1, 2), 0.5), torch.tensor([True])
        >>> td_gae_labels(half, half[:, 0], torch.ones(1), half > 0, yes).q
        tensor([[0.9750, 1.0000]])
    """
    check_mask(mask)
    check_float("q", q, mask.shape)
    check_float("v_root", v_root, mask.shape[:1])
    check_reward(reward, mask)
    check_bool("final", final, mask.shape[:1])
    check_gamma_lam(gamma, lam)
    cut_rewards = reward[~final]
    if (cut_rewards != 0).any():
        raise ValueError(
            f"reward is {cut_rewards.tolist()} where final is False, expected 0: a cut episode has "
            "no outcome"
        )
    last = _last_step(mask)
    rewards = torch.where(last, reward[:, None].to(q.dtype), 0.0)
    next_values = q.detach().masked_fill(last & final[:, None], 0.0)
    # The root is one more step before the first: no reward, and M_{-1} is the value after it.
    targets = _lambda_returns(
        torch.cat([torch.zeros_like(rewards[:, :1]), rewards], dim=1),
        torch.cat([v_root.detach().to(q.dtype)[:, None], next_values], dim=1),
        torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1),
        gamma,
        lam,
    )
    return Labels(targets[:, 1:], targets[:, 0], mask.clone(), torch.ones_like(final))


def gae(
    rewards: Tensor, values: Tensor, last_value: Tensor, mask: Tensor, gamma: float, lam: float
) -> Tensor:
    """Generalized advantage estimates over turns (Schulman et al. 2016, equation 16), detached.

    A_t = Σ_k (γλ)^k δ_{t+k} with δ_t = r_t + γ V_{t+1} − V_t, ``last_value`` after the last turn.

    Args:
        rewards: [B, T] reward of each turn.
        values: [B, T] V(s_t), the value before turn t.
        last_value: [B] value after the last real turn: 0 where the outcome is final.
        mask: [B, T] bool, True on real turns, a prefix of at least one turn.
        gamma: Discount in (0, 1].
        lam: λ in [0, 1].

    Returns:
        [B, T] advantages in the dtype of ``values``, 0 on padding.

    Raises:
        ValueError: On a wrong shape, dtype, mask or range.

    Example:
        >>> values = torch.tensor([[0.3, 0.4, 0.5, 0.6]])
        >>> rewards = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
        >>> gae(rewards, values, torch.zeros(1), values > 0, 1.0, 0.95)
        tensor([[0.6282, 0.5560, 0.4800, 0.4000]])
    """
    check_mask(mask)
    check_float("rewards", rewards, mask.shape)
    check_float("values", values, mask.shape)
    check_float("last_value", last_value, mask.shape[:1])
    check_gamma_lam(gamma, lam)
    values = values.detach()
    next_values = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    bootstrap = last_value.detach()[:, None].to(values.dtype)
    next_values = torch.where(_last_step(mask), bootstrap, next_values)
    returns = _lambda_returns(rewards.detach().to(values.dtype), next_values, mask, gamma, lam)
    return torch.where(mask, returns - values, 0.0)


def _lambda_returns(
    rewards: Tensor, next_values: Tensor, mask: Tensor, gamma: float, lam: float
) -> Tensor:
    """[B, T] R_t = r_t + γ[(1 − λ) V_{t+1} + λ R_{t+1}], R after the last step being V after it."""
    returns = torch.zeros_like(next_values)
    last = _last_step(mask)
    for t in reversed(range(mask.shape[1])):
        r_t, v_tp1 = rewards[:, t], next_values[:, t]
        following = returns[:, t + 1] if t + 1 < mask.shape[1] else v_tp1
        following = torch.where(last[:, t], v_tp1, following)
        return_t = r_t + gamma * ((1.0 - lam) * v_tp1 + lam * following)
        returns[:, t] = torch.where(mask[:, t], return_t, 0.0)
    return returns


def _mc_labels(q: Tensor, mask: Tensor) -> Labels:
    none = torch.zeros_like(mask[:, 0])
    return Labels(q.masked_fill(~mask, 0.0), torch.zeros_like(q[:, 0]), mask.clone(), none)


def _last_step(mask: Tensor) -> Tensor:
    """[B, T] bool, True on the last real step of each row of a prefix mask."""
    return mask & ~torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], dim=1)
