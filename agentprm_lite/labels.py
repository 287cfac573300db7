"""Training targets of a reward model: outcome (ORM), PVM, Monte Carlo, TD with GAE.

A kind of reward model is a row of :data:`KINDS`; for one of your own add it here, and its labels.

Shape legend: B trajectories, T steps (one action each, padded on the right), N rollouts a step.
An argument means the same in every function; a wrong shape, dtype or range is a ValueError that
names it. No label carries a gradient.

- ``reward``: [B] outcome r in [0, 1]; 0 where the episode was cut.
- ``mask``: [B, T] bool, True on real steps, a prefix of at least one step.
- ``outcomes``: [B, T, N] outcome in [0, 1] of rollout n from the state after action t.
- ``q``: [B, T] M_t, the reward model's output at the last token of action t, for Q(s_t, a_t).
- ``v_root``: [B] M_{-1}, its output at the end of the prompt. In a deterministic environment with
  γ = 1, V(s_t) = Q(s_{t-1}, a_{t-1}) (AgentPRM, equation 7): the value before action t is M_{t-1}.
- ``final``: [B] bool, False where the episode was cut.
- ``gamma``, ``lam``: γ in (0, 1] and λ in [0, 1].

Where this departs from the paper (Xi et al. 2025, arXiv 2511.08325):

1. Equation 12 read literally adds the reward and the prediction at the terminal step, and labels
   of a success rise above 1. Here the bootstrap after a final step is zero: δ = r − M_{T-2}.
2. V(s_0) is not defined there. Here it is ``v_root``, with a target from the same recursion.
3. An episode that was cut has no outcome: M at its last step is the bootstrap.
4. γ is not given there; here it is 1. Equation 7 needs γ = 1: with γ < 1 equations 12-14 have the
   fixed point M_t = M_{t+1} γλ / (1 − γ(1 − λ)), a discount that depends on λ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Labels:
    """Targets of a batch and the positions that carry a loss; 0 where a position carries none."""

    q: Tensor  #: [B, T] target of M at the last token of each action.
    root: Tensor  #: [B] target of M at the end of the prompt.
    q_mask: Tensor  #: [B, T] bool, True where a step is labelled.
    root_mask: Tensor  #: [B] bool, True where the root is labelled.

    def __post_init__(self) -> None:
        check_float("q", self.q, (None, None))
        check_float("root", self.root, self.q.shape[:1])
        check_bool("q_mask", self.q_mask, self.q.shape)
        check_bool("root_mask", self.root_mask, self.q.shape[:1])


def outcome_labels(reward: Tensor, mask: Tensor) -> Labels:
    """Outcome reward model (ORM): Q̂_{T-1} = r on the last step alone.

    >>> outcome_labels(torch.tensor([1.0]), torch.tensor([[True, True, False]])).q
    tensor([[0., 1., 0.]])
    """
    _check_mask(mask)
    _check_reward(reward, mask)
    return _labels(reward[:, None].expand(mask.shape), _last_step(mask))


def pvm_labels(reward: Tensor, mask: Tensor) -> Labels:
    """Process value model (PVM): Q̂_t = r on every step and on the root.

    >>> pvm_labels(torch.tensor([1.0]), torch.tensor([[True, True, False]])).q
    tensor([[1., 1., 0.]])
    """
    _check_mask(mask)
    _check_reward(reward, mask)
    return _labels(reward[:, None].expand(mask.shape), mask, reward)


def mc_hard_labels(outcomes: Tensor, mask: Tensor) -> Labels:
    """Hard Monte Carlo label (AgentPRM equation 11): Q̂_t = max_n r_n, the root without one.

    1 if any rollout succeeds, where outcomes are 0 or 1; there its mean is 1 − (1 − Q)^N, not Q.

    >>> mc_hard_labels(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[True]])).q
    tensor([[1.]])
    """
    _check_outcomes(outcomes, mask)
    return _labels(outcomes.amax(dim=2), mask)


def mc_soft_labels(outcomes: Tensor, mask: Tensor) -> Labels:
    """Soft Monte Carlo label: Q̂_t = (1/N) Σ_n r_n, unbiased for Q(s_t, a_t) (ours); no root.

    >>> mc_soft_labels(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[True]])).q
    tensor([[0.5000]])
    """
    _check_outcomes(outcomes, mask)
    return _labels(outcomes.mean(dim=2), mask)


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
    """TD targets with GAE from the model's own predictions (AgentPRM equations 12-14).

    Q̂_t = Â_t + M_{t-1}, Â_t = Σ_k (γλ)^k δ_{t+k}, δ_t = r_t + γ M_t − M_{t-1}, where M_t counts as
    0 at a final last step. Computed as Q̂_t = r_t + γ[(1 − λ) M_t + λ Q̂_{t+1}], which is the same.
    The root gets γ[(1 − λ) M_{-1} + λ Q̂_0]. λ = 1 with γ = 1 is ``pvm_labels``.

    >>> half, yes = torch.full((1, 2), 0.5), torch.tensor([True])
    >>> td_gae_labels(half, half[:, 0], torch.ones(1), half > 0, yes).q
    tensor([[0.9750, 1.0000]])
    """
    _check_mask(mask)
    check_float("q", q, mask.shape)
    check_float("v_root", v_root, mask.shape[:1])
    _check_reward(reward, mask)
    check_bool("final", final, mask.shape[:1])
    _check_gamma_lam(gamma, lam)
    if (reward[~final] != 0).any():
        raise ValueError(
            f"reward is {reward[~final].tolist()} where final is False, expected 0: a cut episode "
            "has no outcome"
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
    return _labels(targets[:, 1:], mask, targets[:, 0])


def gae(
    rewards: Tensor, values: Tensor, last_value: Tensor, mask: Tensor, gamma: float, lam: float
) -> Tensor:
    """Generalized advantage estimates over turns (Schulman et al. 2016, equation 16).

    A_t = Σ_k (γλ)^k δ_{t+k} with δ_t = r_t + γ V_{t+1} − V_t: [B, T], 0 on padding, in the dtype of
    ``values``. ``rewards`` [B, T] are those of the turns, ``values`` [B, T] V(s_t) before them,
    ``last_value`` [B] is that after the last real turn: 0 where the outcome is final.

    >>> values = torch.tensor([[0.3, 0.4, 0.5, 0.6]])
    >>> rewards = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    >>> gae(rewards, values, torch.zeros(1), values > 0, 1.0, 0.95)
    tensor([[0.6282, 0.5560, 0.4800, 0.4000]])
    """
    _check_mask(mask)
    check_float("rewards", rewards, mask.shape)
    check_float("values", values, mask.shape)
    check_float("last_value", last_value, mask.shape[:1])
    _check_gamma_lam(gamma, lam)
    values = values.detach()
    bootstrap = last_value.detach()[:, None].to(values.dtype)
    next_values = torch.where(_last_step(mask), bootstrap, values.roll(-1, dims=1))
    returns = _lambda_returns(rewards.detach().to(values.dtype), next_values, mask, gamma, lam)
    return torch.where(mask, returns - values, 0.0)


@dataclass(frozen=True)
class Steps:
    """What labels are made from."""

    q: Tensor  #: [B, T] M at the actions.
    root: Tensor  #: [B] M at the prompts' ends.
    mask: Tensor  #: [B, T] bool, True on real steps.
    reward: Tensor  #: [B] outcome in [0, 1]; 0 where the episode was cut.
    final: Tensor  #: [B] bool, False where labels are to bootstrap at the end.
    lam: float  #: λ of TD(λ) and GAE.
    rollouts: Tensor  #: [B, T, K] outcomes of rollouts after each action; K = 0 if nobody asked.


@dataclass(frozen=True)
class Kind:
    """A kind of reward model."""

    labels: Callable[[Steps], Labels]  #: The targets of M.
    loss: Literal["values", "ranking"]  #: L_Q + βL_A on them, or PQM's comparison of steps.
    rollouts: bool  #: It needs Monte Carlo rollouts from every state.
    beta: float  #: Usual weight of L_A.


KINDS: dict[str, Kind] = {  # labels, loss, rollouts, beta
    "orm": Kind(lambda s: outcome_labels(s.reward, s.mask), "values", False, 0.0),
    "pvm": Kind(lambda s: pvm_labels(s.reward, s.mask), "values", False, 0.0),
    "mc_hard": Kind(lambda s: mc_hard_labels(s.rollouts, s.mask), "values", True, 0.0),
    "mc_soft": Kind(lambda s: mc_soft_labels(s.rollouts, s.mask), "values", True, 0.0),
    "pqm": Kind(lambda s: mc_hard_labels(s.rollouts, s.mask), "ranking", True, 0.0),
    "agentprm": Kind(
        lambda s: td_gae_labels(s.q, s.root, s.reward, s.mask, s.final, lam=s.lam),
        "values",
        False,
        1.0,
    ),
}  #: Every kind by its name.


def kind_named(name: str) -> Kind:
    """The row of a name; an unknown one is an error that lists what exists."""
    if name not in KINDS:
        raise ValueError(f"kind of reward model is {name!r}, expected one of {', '.join(KINDS)}")
    return KINDS[name]


def _lambda_returns(
    rewards: Tensor, next_values: Tensor, mask: Tensor, gamma: float, lam: float
) -> Tensor:
    """[B, T] R_t = r_t + γ[(1 − λ) V_{t+1} + λ R_{t+1}], R after the last step being V after it."""
    returns, last = torch.zeros_like(next_values), _last_step(mask)
    r_tp1 = next_values[:, -1]
    for t in reversed(range(mask.shape[1])):
        v_tp1 = next_values[:, t]
        r_tp1 = torch.where(last[:, t], v_tp1, r_tp1)
        r_tp1 = rewards[:, t] + gamma * ((1.0 - lam) * v_tp1 + lam * r_tp1)
        returns[:, t] = r_tp1
    return returns.masked_fill(~mask, 0.0)


def _labels(q: Tensor, mask: Tensor, root: Tensor | None = None) -> Labels:
    """Targets on the steps of a mask, and on the root if it has one."""
    targets = q.detach().masked_fill(~mask, 0.0)
    roots = torch.zeros_like(targets[:, 0]) if root is None else root.detach().clone()
    return Labels(targets, roots, mask.clone(), torch.full_like(mask[:, 0], root is not None))


def _last_step(mask: Tensor) -> Tensor:
    """[B, T] bool, True on the last real step of each row of a prefix mask."""
    return mask & ~torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], dim=1)


def check_float(name: str, x: Tensor, shape: Sequence[int | None]) -> None:
    """Refuse what isn't a float tensor of a shape, in which None is any size."""
    _check(name, x, shape, torch.float32, torch.float64)


def check_bool(name: str, x: Tensor, shape: Sequence[int | None]) -> None:
    """Refuse what isn't a bool tensor of a shape, in which None is any size."""
    _check(name, x, shape, torch.bool)


def _check(name: str, x: Tensor, shape: Sequence[int | None], *dtypes: torch.dtype) -> None:
    if x.ndim != len(shape) or any(w not in (None, n) for w, n in zip(shape, x.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} has shape {list(x.shape)}, expected [{wanted}]")
    if x.dtype not in dtypes:
        expected = " or ".join(map(str, dtypes))
        raise ValueError(f"{name} has dtype {x.dtype}, expected {expected}")


def _check_mask(mask: Tensor) -> None:
    check_bool("mask", mask, (None, None))
    if mask.shape[1] == 0 or not mask[:, 0].all():
        raise ValueError("mask has a row without a first step, expected at least one step a row")
    if (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError("mask has a real step after padding, expected a right-padded prefix")


def _check_reward(reward: Tensor, mask: Tensor) -> None:
    check_float("reward", reward, mask.shape[:1])
    if not ((reward >= 0) & (reward <= 1)).all():
        raise ValueError(f"reward is {reward.tolist()}, expected values within [0, 1]")


def _check_outcomes(outcomes: Tensor, mask: Tensor) -> None:
    _check_mask(mask)
    check_float("outcomes", outcomes, (*mask.shape, None))
    if outcomes.shape[2] == 0:
        raise ValueError("outcomes has 0 rollouts a step, expected at least 1")
    if not ((outcomes >= 0) & (outcomes <= 1)).all():
        low, high = float(outcomes.min()), float(outcomes.max())
        raise ValueError(f"outcomes has values from {low} to {high}, expected within [0, 1]")


def _check_gamma_lam(gamma: float, lam: float) -> None:
    if not 0.0 < gamma <= 1.0:
        raise ValueError(f"gamma is {gamma}, expected 0 < gamma <= 1")
    if not 0.0 <= lam <= 1.0:
        raise ValueError(f"lam is {lam}, expected 0 <= lam <= 1")
