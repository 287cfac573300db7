"""Labels: worked values, the identities of the λ-return, exact Q from dynamic programming."""

import itertools

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from agentprm_lite.labels import (
    Labels,
    gae,
    mc_hard_labels,
    mc_soft_labels,
    outcome_labels,
    pvm_labels,
    td_gae_labels,
)

steady = settings(deadline=None, derandomize=True)
YES, NO = torch.tensor([True]), torch.tensor([False])
F64 = torch.float64


def row(*values: float, dtype: torch.dtype = F64) -> torch.Tensor:
    return torch.tensor([values], dtype=dtype)


def real(steps: int) -> torch.Tensor:
    return torch.ones(1, steps, dtype=torch.bool)


def one(value: float, dtype: torch.dtype = F64) -> torch.Tensor:
    return torch.tensor([value], dtype=dtype)


@st.composite
def trajectories(draw: st.DrawFn) -> tuple[list[float], float, float, float]:
    """(M at each step, M at the root, outcome, λ)."""
    unit = st.floats(0, 1)
    m = draw(st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=12))
    return m, draw(unit), draw(unit), draw(unit)


# --- worked values


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_td_gae_worked_success(dtype: torch.dtype) -> None:
    """Q̂_t = 0.5 (1 − λ^k) + λ^k with k = 4 − t steps to go, since the M's in between are all 0.5:
    0.5 + 0.5 · 0.95^4 = 0.90725, · 0.95^3 = 0.92869, · 0.95^2 = 0.95125, · 0.95 = 0.975, 1.
    The root is one step earlier: 0.5 + 0.5 · 0.95^5 = 0.88689."""
    half = torch.full((1, 5), 0.5, dtype=dtype)
    labels = td_gae_labels(half, half[:, 0], one(1.0, dtype), real(5), YES)
    expected = row(0.90725313, 0.9286875, 0.95125, 0.975, 1.0, dtype=dtype)
    torch.testing.assert_close(labels.q, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(labels.root, one(0.88689047, dtype), atol=1e-6, rtol=0)
    assert labels.q.dtype == labels.root.dtype == dtype
    assert labels.q_mask.all()
    assert labels.root_mask.all()


def test_td_gae_worked_unequal_values() -> None:
    """λ = 0.5, M = (0.2, 0.6, 0.4), root 0.8, failure. Backwards: Q̂_2 = 0;
    Q̂_1 = ½·0.6 + ½·0 = 0.3; Q̂_0 = ½·0.2 + ½·0.3 = 0.25; root = ½·0.8 + ½·0.25 = 0.525."""
    labels = td_gae_labels(row(0.2, 0.6, 0.4), one(0.8), one(0.0), real(3), YES, lam=0.5)
    torch.testing.assert_close(labels.q, row(0.25, 0.3, 0.0))
    torch.testing.assert_close(labels.root, one(0.525))


def test_td_gae_worked_discount() -> None:
    """γ = 0.5, λ = 0.5, M = (0.2, 0.6), root 0.8, success. Q̂_1 = r = 1;
    Q̂_0 = 0.5 (½·0.2 + ½·1) = 0.3; root = 0.5 (½·0.8 + ½·0.3) = 0.275."""
    labels = td_gae_labels(row(0.2, 0.6), one(0.8), one(1.0), real(2), YES, gamma=0.5, lam=0.5)
    torch.testing.assert_close(labels.q, row(0.3, 1.0))
    torch.testing.assert_close(labels.root, one(0.275))


def test_literal_equation_12_exceeds_one() -> None:
    """Equation 12 word for word, δ_T = r + M_T − M_{T-1}, on the worked success: every label is
    above 1. The terminal target is now 1.5 and each label 0.5 + 0.95^k: 1.3145 … 1.45, 1.5."""
    m, r, lam = [0.5] * 6, 1.0, 0.95  # m[0] is the root
    delta = [(r if t == 5 else 0.0) + m[t] - m[t - 1] for t in range(1, 6)]
    literal = [sum(lam**k * d for k, d in enumerate(delta[t:])) + m[t] for t in range(5)]
    assert literal == pytest.approx([1.3145, 1.3574, 1.4025, 1.45, 1.5], abs=1e-4)
    ours = td_gae_labels(row(*m[1:]), one(0.5), one(r), real(5), YES).q
    assert (ours <= 1.0).all()


def test_outcome_and_pvm_worked() -> None:
    mask = torch.tensor([[True, True, False], [True, True, True], [True, False, False]])
    reward = torch.tensor([1.0, 0.25, 0.0])
    orm, pvm = outcome_labels(reward, mask), pvm_labels(reward, mask)
    assert orm.q.tolist() == [[0, 1, 0], [0, 0, 0.25], [0, 0, 0]]
    assert orm.q_mask.tolist() == [[False, True, False], [False, False, True], [True, False, False]]
    assert orm.root_mask.tolist() == [False] * 3
    assert pvm.q.tolist() == [[1, 1, 0], [0.25, 0.25, 0.25], [0, 0, 0]]
    assert pvm.q_mask.tolist() == mask.tolist()
    assert pvm.root.tolist() == [1, 0.25, 0]
    assert pvm.root_mask.tolist() == [True] * 3


def test_mc_worked() -> None:
    outcomes = torch.tensor([[[1.0, 0, 0, 0], [0] * 4, [1] * 4]])
    mask = torch.tensor([[True, True, False]])
    hard, soft = mc_hard_labels(outcomes, mask), mc_soft_labels(outcomes, mask)
    assert hard.q.tolist() == [[1, 0, 0]]
    assert soft.q.tolist() == [[0.25, 0, 0]]
    for labels in (hard, soft):
        assert labels.q_mask.tolist() == mask.tolist()
        assert labels.root_mask.tolist() == [False]


def test_mc_worked_with_outcomes_in_part() -> None:
    """Worlds that pay in part: the largest of (0.25, 0.75, 0, 0) is 0.75, their mean 1 / 4."""
    outcomes = torch.tensor([[[0.25, 0.75, 0, 0], [0.5] * 4]], dtype=F64)
    assert mc_hard_labels(outcomes, real(2)).q.tolist() == [[0.75, 0.5]]
    assert mc_soft_labels(outcomes, real(2)).q.tolist() == [[0.25, 0.5]]


# --- terminated and truncated apart


def test_cut_episode_bootstraps() -> None:
    """Cut after step 2, no outcome: the last label is M itself, Q̂_1 = ½·0.6 + ½·0.4 = 0.5,
    Q̂_0 = ½·0.2 + ½·0.5 = 0.35, root ½·0.8 + ½·0.35 = 0.575. Taken as a failure: 0.25, 0.3, 0."""
    m, root = row(0.2, 0.6, 0.4), one(0.8)
    labels = td_gae_labels(m, root, one(0.0), real(3), NO, lam=0.5)
    torch.testing.assert_close(labels.q, row(0.35, 0.5, 0.4))
    torch.testing.assert_close(labels.root, one(0.575))
    with pytest.raises(ValueError, match=r"reward is \[1.0\] where final is False"):
        td_gae_labels(m, root, one(1.0), real(3), NO)


def test_final_and_cut_in_one_batch_with_padding() -> None:
    q = torch.tensor([[0.2, 0.6, float("nan")], [0.2, 0.6, 0.4]], dtype=F64)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    root, reward = torch.tensor([0.8, 0.8], dtype=F64), torch.tensor([1.0, 0.0], dtype=F64)
    labels = td_gae_labels(q, root, reward, mask, torch.tensor([True, False]), lam=0.5)
    # Row 0: Q̂_1 = 1, Q̂_0 = ½·0.2 + ½·1 = 0.6, root ½·0.8 + ½·0.6 = 0.7; padding holds 0, not NaN.
    expected = torch.tensor([[0.6, 1.0, 0.0], [0.35, 0.5, 0.4]], dtype=F64)
    torch.testing.assert_close(labels.q, expected)
    torch.testing.assert_close(labels.root, torch.tensor([0.7, 0.575], dtype=F64))


# --- the identities of paper.md, trap 5


@steady
@given(trajectories())
def test_lambda_one_is_pvm(case: tuple[list[float], float, float, float]) -> None:
    m, root, r, _ = case
    td = td_gae_labels(row(*m), one(root), one(r), real(len(m)), YES, lam=1.0)
    pvm = pvm_labels(one(r), real(len(m)))
    assert torch.equal(td.q, pvm.q)
    assert torch.equal(td.root, pvm.root)


@steady
@given(trajectories())
def test_lambda_zero_is_the_models_own_prediction(
    case: tuple[list[float], float, float, float],
) -> None:
    m, root, r, _ = case
    td = td_gae_labels(row(*m), one(root), one(r), real(len(m)), YES, lam=0.0)
    assert td.q[0, :-1].tolist() == m[:-1]
    assert td.q[0, -1].item() == r
    assert td.root.item() == root


def sarsa_lambda_return(m: list[float], r: float, lam: float, t: int) -> float:
    """Forward view (Sutton & Barto 2018, 12.1): n-step returns mixed with weights (1 − λ) λ^(n-1).

    The n-step return of (s_t, a_t) is M_{t+n} if action t + n is not the last, and r otherwise
    (γ = 1): the outcome of the last action is known, so M there is never bootstrapped from.
    """
    to_go = len(m) - 1 - t
    if to_go == 0:
        return r
    mixed = [(1 - lam) * lam ** (n - 1) * m[t + n] for n in range(1, to_go)]
    return sum(mixed) + lam ** (to_go - 1) * r


def test_bootstrapping_from_the_last_action_gives_another_label() -> None:
    """Sarsa(λ) that bootstraps from M at the last action too, on the worked success, one step
    before the end: G = 0.05·0.5 + 0.95·1 = 0.975 and so 0.05·0.5 + 0.95·0.975 = 0.95125, where
    the label is 0.05·0.5 + 0.95·1 = 0.975."""
    half = torch.full((1, 5), 0.5, dtype=F64)
    label = td_gae_labels(half, half[:, 0], one(1.0), real(5), YES).q[0, 3].item()
    assert label == pytest.approx(0.05 * 0.5 + 0.95 * sarsa_lambda_return([0.5] * 5, 1.0, 0.95, 3))
    assert label == pytest.approx(0.975)
    other = 0.05 * 0.5 + 0.95 * (0.05 * 0.5 + 0.95 * 1.0)
    assert other == pytest.approx(0.95125)


@steady
@given(trajectories())
def test_label_is_mixture_of_prediction_and_sarsa_lambda_return(
    case: tuple[list[float], float, float, float],
) -> None:
    """Q̂_t = (1 − λ) M_t + λ G_t before the last step, and r there. The root has the same form: it
    is a step before the first."""
    m, root, r, lam = case
    td = td_gae_labels(row(*m), one(root), one(r), real(len(m)), YES, lam=lam)
    path = [root, *m]
    for t in range(len(path) - 1):
        mixture = (1 - lam) * path[t] + lam * sarsa_lambda_return(path, r, lam, t)
        label = td.root.item() if t == 0 else td.q[0, t - 1].item()
        assert label == pytest.approx(mixture, abs=1e-12)
    assert td.q[0, -1].item() == sarsa_lambda_return(m, r, lam, len(m) - 1) == r


@steady
@given(trajectories())
def test_gradient_is_lambda_times_the_sarsa_semi_gradient(
    case: tuple[list[float], float, float, float],
) -> None:
    """∇ ½(M_t − Q̂_t)² = λ (M_t − G_t) before the last step; no gradient through the labels."""
    m, root, r, lam = case
    q, v_root = row(*m).requires_grad_(), one(root).requires_grad_()
    labels = td_gae_labels(q, v_root, one(r), real(len(m)), YES, lam=lam)
    assert not gae(q, q, v_root, real(len(m)), 1.0, lam).requires_grad
    assert not labels.q.requires_grad
    assert not labels.root.requires_grad
    (0.5 * (q - labels.q).square()).sum().backward()
    for t in range(len(m) - 1):
        semi = m[t] - sarsa_lambda_return(m, r, lam, t)
        assert q.grad[0, t].item() == pytest.approx(lam * semi, abs=1e-12)
    assert q.grad[0, -1].item() == pytest.approx(m[-1] - r, abs=1e-12)


@steady
@given(trajectories(), st.floats(0.1, 1))
def test_label_is_equations_13_and_14(
    case: tuple[list[float], float, float, float], gamma: float
) -> None:
    """The sum over δ as the paper writes it, and `gae` over the values before each step."""
    m, root, r, lam = case
    last = len(m) - 1
    before = [root, *m[:-1]]
    after = [*m[:-1], 0.0]  # the terminal bootstrap is zero
    delta = [(r if t == last else 0.0) + gamma * after[t] - before[t] for t in range(len(m))]
    advantages = [
        sum((gamma * lam) ** k * d for k, d in enumerate(delta[t:])) for t in range(len(m))
    ]
    td = td_gae_labels(row(*m), one(root), one(r), real(len(m)), YES, gamma=gamma, lam=lam)
    expected = [a + v for a, v in zip(advantages, before, strict=True)]
    assert td.q[0].tolist() == pytest.approx(expected, abs=1e-12)
    rewards = row(*[0.0] * last, r)
    turns = gae(rewards, row(*before), one(0.0), real(len(m)), gamma, lam)
    assert turns[0].tolist() == pytest.approx(advantages, abs=1e-12)


def test_gamma_below_one_has_another_fixed_point() -> None:
    """Equations 12-14 at γ = 0.9, λ = 0.5: M_t = c M_{t+1} with c = 0.45 / 0.55 reproduces itself,
    while the discounted Q, M_t = 0.9 M_{t+1}, does not: equation 7 needs γ = 1."""
    c = 0.9 * 0.5 / (1 - 0.9 * 0.5)
    for ratio, fixed in ((c, True), (0.9, False)):
        m = row(ratio**2, ratio, 1.0)
        td = td_gae_labels(m, one(ratio**3), one(1.0), real(3), YES, gamma=0.9, lam=0.5)
        assert torch.allclose(td.q, m) is fixed


# --- exact Q of a small chain with a stochastic policy
# Places 0..3 in a row. "on" (probability 0.6) moves right, "off" (0.4) only costs a step; 3 is the
# goal (r = 1), five steps without it are failure. A state is (place, steps taken).

GOAL, LIMIT, ON = 3, 5, 0.6


def over(place: int, steps: int) -> bool:
    return place == GOAL or steps == LIMIT


def exact_v(place: int, steps: int) -> float:
    """V by dynamic programming; the exact Q of an action is V of the state that it leads to."""
    if over(place, steps):
        return float(place == GOAL)
    return ON * exact_v(place + 1, steps + 1) + (1 - ON) * exact_v(place, steps + 1)


def chain_paths() -> list[tuple[float, list[int]]]:
    """(probability, places after each action) of every trajectory."""
    paths = []
    for moves in itertools.product((1, 0), repeat=LIMIT):
        places = list(itertools.accumulate(moves))
        length = next((t + 1 for t, p in enumerate(places) if over(p, t + 1)), LIMIT)
        probability = 1.0
        for move in moves[:length]:
            probability *= ON if move else 1 - ON
        if not any(moves[length:]):  # one representative of all continuations beyond the end
            paths.append((probability, places[:length]))
    return paths


PATHS = chain_paths()


def chain_batch(value: dict[tuple[int, int], float]) -> tuple[torch.Tensor, ...]:
    """q, v_root, reward and mask of all trajectories, with M read from a table of states."""
    q = torch.full((len(PATHS), LIMIT), float("nan"), dtype=F64)
    mask = torch.zeros(len(PATHS), LIMIT, dtype=torch.bool)
    for i, (_, places) in enumerate(PATHS):
        for t, place in enumerate(places):
            q[i, t] = value[place, t + 1]
            mask[i, t] = True
    reward = torch.tensor([float(places[-1] == GOAL) for _, places in PATHS], dtype=F64)
    return q, torch.full((len(PATHS),), value[0, 0], dtype=F64), reward, mask


def expected_labels(labels: Labels) -> dict[tuple[int, int], float]:
    """Mean label of each (place, steps), each trajectory weighed with its probability."""
    total: dict[tuple[int, int], float] = {}
    weight: dict[tuple[int, int], float] = {}
    for i, (probability, places) in enumerate(PATHS):
        visits = [((0, 0), labels.root[i].item())]
        visits += [((p, t + 1), labels.q[i, t].item()) for t, p in enumerate(places)]
        for state, label in visits:
            total[state] = total.get(state, 0.0) + probability * label
            weight[state] = weight.get(state, 0.0) + probability
    return {state: total[state] / weight[state] for state in total}


STATES = {(0, 0)} | {(p, t + 1) for _, places in PATHS for t, p in enumerate(places)}
EXACT = {state: exact_v(*state) for state in STATES}
ALL_FINAL = torch.ones(len(PATHS), dtype=torch.bool)


def test_chain_is_what_it_says() -> None:
    assert sum(p for p, _ in PATHS) == pytest.approx(1.0)
    # P(at least 3 of 5 moves at 0.6) = 10·0.6³·0.4² + 5·0.6⁴·0.4 + 0.6⁵ = 0.68256
    assert EXACT[0, 0] == pytest.approx(0.68256)
    # One move short with two steps left: 1 − 0.4² = 0.84.
    assert EXACT[2, 3] == pytest.approx(0.84)


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.95, 1.0])
def test_exact_q_is_the_fixed_point(lam: float) -> None:
    q, root, reward, mask = chain_batch(EXACT)
    labels = td_gae_labels(q, root, reward, mask, ALL_FINAL, lam=lam)
    assert expected_labels(labels) == pytest.approx(EXACT, abs=1e-12)


def test_exact_q_is_not_the_fixed_point_of_literal_equation_12() -> None:
    """With the terminal prediction added on top, a terminal success is worth 2."""
    q, root, reward, mask = chain_batch(EXACT)
    last_value = q.gather(1, mask.sum(1, keepdim=True) - 1)[:, 0]
    rewards = torch.zeros_like(q).scatter(1, mask.sum(1, keepdim=True) - 1, reward[:, None])
    before = torch.cat([root[:, None], q[:, :-1]], dim=1)
    literal = gae(rewards, before, last_value, mask, 1.0, 0.95) + before.nan_to_num()
    assert expected_labels(Labels(literal, root, mask, ALL_FINAL))[3, 3] == pytest.approx(2.0)


@pytest.mark.parametrize("lam", [0.5, 0.95, 1.0])
def test_repeated_td_from_zero_converges_to_exact_q(lam: float) -> None:
    value = dict.fromkeys(STATES, 0.0)
    for _ in range(60):
        labels = td_gae_labels(*chain_batch(value), ALL_FINAL, lam=lam)
        value = expected_labels(labels)
    assert value == pytest.approx(EXACT, abs=1e-9)


def test_lambda_zero_learns_nothing_before_the_terminal_step() -> None:
    value = dict.fromkeys(STATES, 0.3)
    for _ in range(60):
        labels = td_gae_labels(*chain_batch(value), ALL_FINAL, lam=0.0)
        value = expected_labels(labels)
    unfinished = [v for state, v in value.items() if not over(*state)]
    assert unfinished == pytest.approx([0.3] * len(unfinished))


def test_expected_pvm_labels_are_exact_q() -> None:
    _, _, reward, mask = chain_batch(EXACT)
    assert expected_labels(pvm_labels(reward, mask)) == pytest.approx(EXACT, abs=1e-12)


def test_mc_soft_is_unbiased_and_mc_hard_is_not() -> None:
    """All 2^16 outcomes of 16 rollouts, weighed with their probability under Q = 0.2: the soft
    label has mean 0.2, the hard one 1 − 0.8^16 = 0.97185."""
    q, n = 0.2, 16
    codes = torch.arange(2**n)
    outcomes = ((codes[:, None] >> torch.arange(n)) % 2).to(F64)
    count = outcomes.sum(1).to(F64)
    probability = q**count * (1 - q) ** (n - count)
    mask = torch.ones(2**n, 1, dtype=torch.bool)
    soft = mc_soft_labels(outcomes[:, None], mask).q[:, 0]
    hard = mc_hard_labels(outcomes[:, None], mask).q[:, 0]
    assert (probability @ soft).item() == pytest.approx(0.2)
    assert (probability @ hard).item() == pytest.approx(1 - 0.8**16)
    assert (probability @ hard).item() == pytest.approx(0.97185, abs=1e-5)


def test_sampled_mc_estimates_converge_to_exact_q() -> None:
    """4,000 rollouts from place 2 after 3 steps: 0.84 within four standard errors (0.0058 each)."""
    generator = torch.Generator().manual_seed(0)
    moves = torch.rand(4000, 2, generator=generator) < ON
    outcomes = moves.any(dim=1)[None, None].to(F64)
    soft = mc_soft_labels(outcomes, real(1)).q.item()
    assert soft == pytest.approx(EXACT[2, 3], abs=4 * 0.0058)


# --- turn-level GAE


def test_turn_level_gae_pinned() -> None:
    """A_3 = 1 − 0.6 = 0.4; A_2 = 0.6 − 0.5 + 0.95·0.4 = 0.48; A_1 = 0.1 + 0.95·0.48 = 0.556;
    A_0 = 0.1 + 0.95·0.556 = 0.6282."""
    a = gae(row(0, 0, 0, 1.0), row(0.3, 0.4, 0.5, 0.6), one(0.0), real(4), 1.0, 0.95)
    torch.testing.assert_close(a, row(0.6282, 0.556, 0.48, 0.4))


def test_gae_bootstrap_and_padding() -> None:
    """Two real turns, then 0.7 as the bootstrap: A_1 = 0.7 − 0.4 = 0.3; A_0 = 0.4 − 0.3 + ½·0.3."""
    nan = float("nan")
    mask = torch.tensor([[True, True, False, False]])
    a = gae(row(0, 0, nan, 9.0), row(0.3, 0.4, nan, 9.0), one(0.7), mask, 1.0, 0.5)
    torch.testing.assert_close(a, row(0.25, 0.3, 0.0, 0.0))


def test_token_level_gae_gives_another_sign() -> None:
    """Four turns of 10 action tokens, each but the last followed by 50 observation tokens; reward 1
    at the end. The advantage of turn 0 at its last token: over turns 0.628; over action tokens
    alone 0.282, since λ decays with every token; over all tokens, with zero as the value of
    observation tokens, −0.287."""
    values = [0.3, 0.4, 0.5, 0.6]
    acting = [v for v in values for _ in range(10)]
    everything = [x for v in values for x in [v] * 10 + [0.0] * 50][:-50]

    def advantage(path: list[float]) -> float:
        rewards = row(*[0.0] * (len(path) - 1), 1.0)
        return gae(rewards, row(*path), one(0.0), real(len(path)), 1.0, 0.95)[0, 9].item()

    # 0.1·(1 + 0.95^10 + 0.95^20) + 0.4·0.95^30 = 0.2816
    assert advantage(acting) == pytest.approx(0.2816, abs=1e-4)
    assert advantage(everything) == pytest.approx(-0.287, abs=5e-4)
    turns = gae(row(0, 0, 0, 1.0), row(*values), one(0.0), real(4), 1.0, 0.95)
    assert turns[0, 0].item() == pytest.approx(0.6282)


# --- entry checks and side effects


@steady
@given(trajectories())
def test_caller_tensors_are_left_alone(case: tuple[list[float], float, float, float]) -> None:
    m, root, r, lam = case
    q, v, reward, mask = row(*m), one(root), one(r), real(len(m))
    td = td_gae_labels(q, v, reward, mask, YES, lam=lam)
    for labels in (td, pvm_labels(reward, mask), outcome_labels(reward, mask)):
        for tensor in (labels.q, labels.root):
            tensor.fill_(7.0)
        for tensor in (labels.q_mask, labels.root_mask):
            tensor.fill_(False)
    assert q[0].tolist() == m
    assert (v.item(), reward.item(), mask.all().item()) == (root, r, True)


MASK = torch.tensor([[True, True, False]])
Q = torch.full((1, 3), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pvm_labels(one(1.0), MASK.float()),
            "mask has dtype torch.float32, expected torch.bool",
        ),
        (lambda: pvm_labels(one(1.0), MASK[0]), r"mask has shape \[3\], expected \[any, any\]"),
        (lambda: pvm_labels(one(1.0), ~MASK), "mask has a row without a first step"),
        (lambda: pvm_labels(one(1.0), MASK[:, :0]), "mask has a row without a first step"),
        (
            lambda: pvm_labels(one(1.0), torch.tensor([[True, False, True]])),
            "mask has a real step after padding, expected a right-padded prefix",
        ),
        (lambda: pvm_labels(one(1.5), MASK), r"reward is \[1.5\], expected values within \[0, 1\]"),
        (lambda: pvm_labels(one(float("nan")), MASK), r"reward is \[nan\]"),
        (lambda: outcome_labels(row(1.0), MASK), r"reward has shape \[1, 1\], expected \[1\]"),
        (lambda: outcome_labels(torch.tensor([1]), MASK), "reward has dtype torch.int64"),
        (
            lambda: mc_hard_labels(torch.zeros(1, 3, 4) > 0, MASK),
            "outcomes has dtype torch.bool, expected torch.float32",
        ),
        (
            lambda: mc_soft_labels(torch.zeros(1, 2, 4), MASK),
            r"outcomes has shape \[1, 2, 4\], expected \[1, 3, any\]",
        ),
        (lambda: mc_soft_labels(torch.zeros(1, 3, 0), MASK), "outcomes has 0 rollouts"),
        (
            lambda: mc_hard_labels(torch.tensor([[[0.0, 2.0]] * 3]), MASK),
            r"outcomes has values from 0.0 to 2.0, expected within \[0, 1\]",
        ),
        (lambda: td(q=Q[:, :2]), r"q has shape \[1, 2\], expected \[1, 3\]"),
        (lambda: td(q=Q.bfloat16()), "q has dtype torch.bfloat16, expected torch.float32 or"),
        (lambda: td(v_root=Q), r"v_root has shape \[1, 3\], expected \[1\]"),
        (lambda: td(final=torch.tensor([1])), "final has dtype torch.int64, expected torch.bool"),
        (lambda: td(gamma=0.0), "gamma is 0.0, expected 0 < gamma <= 1"),
        (lambda: td(lam=1.5), "lam is 1.5, expected 0 <= lam <= 1"),
        (lambda: gae(Q, Q[:, :2], one(0.0), MASK, 1.0, 1.0), r"values has shape \[1, 2\]"),
        (lambda: gae(Q, Q, Q, MASK, 1.0, 1.0), r"last_value has shape \[1, 3\], expected \[1\]"),
        (lambda: Labels(Q, Q[:, 0], MASK, MASK), r"root_mask has shape \[1, 3\], expected \[1\]"),
    ],
)
def test_entry_checks_name_the_argument(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def td(**change: object) -> Labels:
    """td_gae_labels on a good case with one argument changed."""
    case = {"q": Q, "v_root": Q[:, 0], "reward": torch.ones(1), "mask": MASK, "final": YES}
    return td_gae_labels(**(case | change))
