"""Losses: pinned values, finite differences, masks, the four clip cases, KL by enumeration."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from agentprm_lite import losses
from agentprm_lite.labels import (
    Labels,
    mc_hard_labels,
    mc_soft_labels,
    outcome_labels,
    pvm_labels,
    td_gae_labels,
)
from agentprm_lite.losses import (
    Progress,
    Sizes,
    advantage_loss,
    agentprm_loss,
    cross_entropy_loss,
    kl_penalty,
    policy_loss,
    q_loss,
    ranking_loss,
)

steady = settings(deadline=None, derandomize=True)
F64 = torch.float64
MASK = torch.tensor([[True, True, True, False], [True, True, False, False]])
REWARD = torch.tensor([1.0, 0.0], dtype=F64)
FINAL = torch.tensor([True, True])
Q = torch.tensor([[0.2, 0.6, 0.4, 0.0], [0.3, 0.1, 0.0, 0.0]], dtype=F64)
ROOT = torch.tensor([0.5, 0.7], dtype=F64)
RUN_INTO = [float("nan"), float("inf"), 1e300]


def labels() -> Labels:
    return td_gae_labels(Q, ROOT, REWARD, MASK, FINAL, lam=0.5)


# --- L_Q and L_A, worked


def test_q_loss_worked() -> None:
    """PVM, 5 steps and 2 roots. Squares to 1: 0.64, 0.16, 0.36, root 0.25; to 0: 0.09, 0.01, root
    0.49. Sum 2.0; ½ · 2.0 / 7."""
    loss = q_loss(Q, ROOT, pvm_labels(REWARD, MASK))
    assert loss.item() == pytest.approx(0.5 * 2.0 / 7)


def test_q_loss_of_orm_reads_the_last_step_alone() -> None:
    """(0.4 − 1)² = 0.36 and 0.1² = 0.01: ½ · 0.37 / 2."""
    assert q_loss(Q, ROOT, outcome_labels(REWARD, MASK)).item() == pytest.approx(0.5 * 0.37 / 2)


def test_advantage_loss_worked() -> None:
    """λ = ½. Row 0: Q̂ = (0.5, 0.8, 1), root 0.5, so target differences 0, 0.3, 0.2 against −0.3,
    0.4, −0.2 of M: squares 0.09, 0.01, 0.16. Row 1: Q̂ = (0.15, 0), root 0.425: −0.275, −0.15
    against −0.4, −0.2: squares 0.015625, 0.0025. Sum 0.278125 over 5 steps, halved."""
    assert advantage_loss(Q, ROOT, labels()).item() == pytest.approx(0.5 * 0.278125 / 5)


def test_advantage_loss_sign() -> None:
    """M rises by 0.2 as the target does: no loss. The wrong sign, the sum of the differences, would
    give ½ · 0.4² = 0.08; that is the loss where M falls by 0.2."""
    target = Labels(
        torch.tensor([[0.7]]), torch.tensor([0.5]), torch.tensor([[True]]), torch.tensor([True])
    )
    assert advantage_loss(torch.tensor([[0.4]]), torch.tensor([0.2]), target).item() < 1e-12
    falls = advantage_loss(torch.tensor([[0.2]]), torch.tensor([0.4]), target).item()
    assert falls == pytest.approx(0.08)


def test_advantage_loss_pushes_neighbours_apart() -> None:
    """M flat at 0.5, target rising by 0.4 at step 1: d/dM_1 = −0.4 / 2 and d/dM_0 = +0.4 / 2 (of
    two differences, the other is met): a descent step raises M_1 and lowers M_0."""
    target = Labels(
        torch.tensor([[0.5, 0.9]]), torch.tensor([0.5]), MASK[:1, :2], torch.tensor([True])
    )
    q = torch.tensor([[0.5, 0.5]], requires_grad=True)
    advantage_loss(q, torch.tensor([0.5]), target).backward()
    torch.testing.assert_close(q.grad, torch.tensor([[0.2, -0.2]]))


@steady
@given(st.floats(-3, 3))
def test_advantage_loss_ignores_a_constant_offset(offset: float) -> None:
    shifted = advantage_loss(Q + offset, ROOT + offset, labels())
    assert shifted.item() == pytest.approx(advantage_loss(Q, ROOT, labels()).item(), abs=1e-12)
    assert q_loss(Q + 0.5, ROOT + 0.5, labels()) > q_loss(Q, ROOT, labels())


def test_the_gae_target_worked() -> None:
    """Targets Q̂_t − M_{t-1} instead of Q̂_t − Q̂_{t-1}, λ = ½. Row 0: 0.5 − 0.5, 0.8 − 0.2,
    1 − 0.6 = 0, 0.6, 0.4 against −0.3, 0.4, −0.2: squares 0.09, 0.04, 0.36. Row 1: 0.15 − 0.7,
    0 − 0.3 against −0.4, −0.2: squares 0.0225, 0.01. Sum 0.5225: what L_Q has at these steps."""
    loss = advantage_loss(Q, ROOT, labels(), "gae").item()
    assert loss == pytest.approx(0.5 * 0.5225 / 5)
    assert loss == pytest.approx(0.5 * (Q - labels().q)[MASK].square().mean().item())


def test_the_gae_target_carries_no_gradient() -> None:
    """One step, M 0.2 at the root and 0.5 after it, target 0.9: d/dM_0 = −0.4, d/dM_root = +0.4."""
    target = pvm_labels(torch.tensor([0.9], dtype=F64), torch.tensor([[True]]))
    q, root = torch.tensor([[0.5]], dtype=F64), torch.tensor([0.2], dtype=F64)
    q.requires_grad_(), root.requires_grad_()
    advantage_loss(q, root, target, "gae").backward()
    assert q.grad.item() == pytest.approx(-0.4) and root.grad.item() == pytest.approx(0.4)


def test_monte_carlo_labels_have_an_advantage_loss() -> None:
    """Labels 0.5, 1, 0 (row 0) and 1, 0 (row 1), no root: differences 0.5, −1 and −1 against 0.4,
    −0.2 and −0.2 of M; squares 0.01, 0.64, 0.64 over 3."""
    rollouts = torch.tensor([[[1, 0], [1, 1], [0, 0], [0, 0]], [[1, 1], [0, 0], [0, 0], [0, 0]]])
    target = mc_soft_labels(rollouts.double(), MASK)
    assert advantage_loss(Q, ROOT, target).item() == pytest.approx(0.5 * 1.29 / 3)


def test_cross_entropy_worked() -> None:
    """M = 0.8 at a step with target 0.25, 0.5 at the root with 1 (its own label):
    −0.25 log 0.8 − 0.75 log 0.2, and log 2; the mean of both."""
    yes = torch.tensor([[True]])
    target = Labels(torch.tensor([[0.25]]).double(), torch.ones(1).double(), yes, yes[0])
    logits = torch.tensor([[0.8]], dtype=F64).logit().requires_grad_()
    loss = cross_entropy_loss(logits, torch.zeros(1, dtype=F64), target)
    by_hand = -0.25 * math.log(0.8) - 0.75 * math.log(0.2) + math.log(2)
    assert loss.item() == pytest.approx(by_hand / 2)
    loss.backward()
    assert logits.grad.item() == pytest.approx((0.8 - 0.25) / 2)  # M − Q̂, not times M(1 − M)


def test_cross_entropy_is_finite_where_m_has_saturated() -> None:
    target = pvm_labels(torch.ones(1), torch.tensor([[True]]))
    logits = torch.tensor([[-200.0]], requires_grad=True)
    loss = cross_entropy_loss(logits, torch.zeros(1), target)
    loss.backward()
    assert loss.item() == pytest.approx((200 + math.log(2)) / 2)
    assert logits.grad.item() == -0.5


@pytest.mark.parametrize("progress", ["difference", "gae"])
def test_parts_add_up_to_the_step(progress: Progress) -> None:
    """Rows of 3 and 2 steps by themselves, with the sizes of both."""
    both = Sizes(steps=5, roots=2, pairs=5, rows=2)
    assert Sizes.of(labels()) == both

    def row(i: int) -> tuple[torch.Tensor, torch.Tensor, Labels]:
        one, all_rows = slice(i, i + 1), labels()
        part = Labels(
            all_rows.q[one], all_rows.root[one], all_rows.q_mask[one], all_rows.root_mask[one]
        )
        return Q[one], ROOT[one], part

    whole = agentprm_loss(Q, ROOT, labels(), 0.7, progress).item()
    shares = [agentprm_loss(*row(i), 0.7, progress, both).item() for i in range(2)]
    assert sum(shares) == pytest.approx(whole, abs=1e-12)
    means = [agentprm_loss(*row(i), 0.7, progress).item() for i in range(2)]
    assert abs(sum(means) / 2 - whole) > 1e-3  # the well-known wrong one


def test_orm_has_no_advantage_loss() -> None:
    q = Q.clone().requires_grad_()
    loss = advantage_loss(q, ROOT, outcome_labels(REWARD, MASK))
    loss.backward()
    assert loss.item() == 0.0
    assert not q.grad.any()


def test_unlabelled_root_takes_the_first_difference_out() -> None:
    """Row 1 of the worked case without its root: its second difference alone, ½ · 0.0025."""
    full = labels()
    q_mask = full.q_mask & torch.tensor([[False], [True]])
    part = Labels(full.q, full.root, q_mask, torch.tensor([False, False]))
    assert advantage_loss(Q, ROOT, part).item() == pytest.approx(0.5 * 0.0025)


def test_agentprm_loss_is_the_sum() -> None:
    l_q, l_a = q_loss(Q, ROOT, labels()), advantage_loss(Q, ROOT, labels())
    assert agentprm_loss(Q, ROOT, labels()).item() == pytest.approx((l_q + l_a).item())
    assert agentprm_loss(Q, ROOT, labels(), 0.3).item() == pytest.approx((l_q + 0.3 * l_a).item())


def test_beta_zero_and_lambda_one_is_pvm_bit_for_bit() -> None:
    def loss_and_gradients(target: Labels) -> list[torch.Tensor]:
        q, root = Q.clone().requires_grad_(), ROOT.clone().requires_grad_()
        loss = agentprm_loss(q, root, target, beta=0.0)
        loss.backward()
        return [loss, q.grad, root.grad]

    td = loss_and_gradients(td_gae_labels(Q, ROOT, REWARD, MASK, FINAL, lam=1.0))
    pvm = loss_and_gradients(pvm_labels(REWARD, MASK))
    assert all(torch.equal(a, b) for a, b in zip(td, pvm, strict=True))


# --- finite differences and masks


@pytest.mark.parametrize("beta", [0.0, 1.0, 0.3])
def test_reward_model_gradient_against_finite_differences(beta: float) -> None:
    target = labels()
    q, root = Q.clone().requires_grad_(), ROOT.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda q, v: agentprm_loss(q, v, target, beta), (q, root))


def test_policy_gradients_against_finite_differences() -> None:
    """Away from the corners of the clip (ratios 0.5 … 1.6, ε = 0.2)."""
    logp = torch.tensor([[0.1, -0.7, 0.47, 0.05]], dtype=F64, requires_grad=True)
    zeros = torch.zeros(1, 4, dtype=F64)
    advantages = torch.tensor([[1.0, 1.0, -2.0, -0.5]], dtype=F64)
    mask = torch.tensor([[True, True, True, False]])
    assert torch.autograd.gradcheck(lambda x: policy_loss(x, zeros, advantages, mask, 0.2), (logp,))
    assert torch.autograd.gradcheck(lambda x: kl_penalty(x, zeros, mask), (logp,))


@pytest.mark.parametrize("garbage", RUN_INTO)
def test_padding_changes_nothing_in_reward_model_losses(garbage: float) -> None:
    def loss_and_gradients(fill: float) -> tuple[float, torch.Tensor, torch.Tensor]:
        q = Q.masked_fill(~MASK, fill).requires_grad_()
        root = ROOT.clone().requires_grad_()
        target = td_gae_labels(q, root, REWARD, MASK, FINAL, lam=0.5)
        loss = agentprm_loss(q, root, target)
        loss.backward()
        return loss.item(), q.grad, root.grad

    clean, dirty = loss_and_gradients(0.0), loss_and_gradients(garbage)
    assert clean[0] == dirty[0]
    assert torch.equal(clean[1], dirty[1])
    assert torch.equal(clean[2], dirty[2])
    assert not dirty[1][~MASK].any()
    assert dirty[1][MASK].all()


@pytest.mark.parametrize("garbage", RUN_INTO)
def test_observation_tokens_change_nothing_in_policy_losses(garbage: float) -> None:
    mask = torch.tensor([[True, False, True, False]])

    def loss_and_gradient(fill: float) -> tuple[float, torch.Tensor]:
        x = torch.tensor([[0.1, 0.0, -0.3, 0.0]], dtype=F64)
        logp = x.masked_fill(~mask, fill).requires_grad_()
        old = torch.zeros(1, 4, dtype=F64).masked_fill(~mask, -fill)
        advantages = torch.ones(1, 4, dtype=F64).masked_fill(~mask, fill)
        loss = policy_loss(logp, old, advantages, mask, 0.2) + kl_penalty(logp, old, mask)
        loss.backward()
        return loss.item(), logp.grad

    (clean, gradient), (dirty, dirty_gradient) = loss_and_gradient(0.0), loss_and_gradient(garbage)
    assert clean == dirty
    assert torch.equal(gradient, dirty_gradient)
    assert not dirty_gradient[~mask].any()
    assert dirty_gradient[mask].all()


# --- clipped objective


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.5, 1.0, -1.2, 0.0),  # too far up with A > 0: clipped at 1.2, no gradient
        (0.5, 1.0, -0.5, -0.5),  # too far down with A > 0: not clipped, pulled back up
        (1.5, -1.0, 1.5, 1.5),  # too far up with A < 0: not clipped, pulled back down
        (0.5, -1.0, 0.8, 0.0),  # too far down with A < 0: clipped at 0.8, no gradient
    ],
)
def test_policy_loss_clip_cases(
    ratio: float, advantage: float, loss: float, gradient: float
) -> None:
    """ε = 0.2; d ρ / d logp = ρ, so an unclipped gradient is −ρ A."""
    old = torch.tensor([[-1.0]], dtype=F64)
    logp = (old + math.log(ratio)).requires_grad_()
    value = policy_loss(logp, old, torch.tensor([[advantage]], dtype=F64), old < 0, 0.2)
    value.backward()
    assert value.item() == pytest.approx(loss)
    assert logp.grad.item() == pytest.approx(gradient)


def test_policy_loss_averages_over_action_tokens() -> None:
    """Ratios 1, A = (1, −3), the middle token is an observation: −(1 − 3) / 2 = 1."""
    logp = torch.tensor([[-0.5, -9.0, -0.7]])
    mask = torch.tensor([[True, False, True]])
    assert policy_loss(logp, logp, torch.tensor([[1.0, 50.0, -3.0]]), mask, 0.2).item() == 1.0


def test_policy_loss_has_no_gradient_but_through_logp() -> None:
    logp = torch.zeros(1, 2, requires_grad=True)
    old, advantages = torch.zeros(1, 2, requires_grad=True), torch.ones(1, 2, requires_grad=True)
    policy_loss(logp, old, advantages, torch.tensor([[True, True]]), 0.2).backward()
    assert old.grad is None
    assert advantages.grad is None


# --- KL


def test_kl_pinned() -> None:
    """π 0.5, reference 0.25: d = ln ½, k3 = ½ − 1 + ln 2 = 0.193147; swapped 2 − 1 − ln 2."""
    logp, ref = torch.tensor([[0.5]], dtype=F64).log(), torch.tensor([[0.25]], dtype=F64).log()
    assert kl_penalty(logp, ref, logp < 0).item() == pytest.approx(0.193147, abs=1e-6)
    assert kl_penalty(ref, logp, logp < 0).item() == pytest.approx(0.306853, abs=1e-6)
    assert kl_penalty(logp, logp, logp < 0).item() == 0.0


@steady
@given(st.floats(-20, 0), st.floats(-20, 0))
def test_kl_is_never_negative(logp: float, ref: float) -> None:
    x, y = torch.tensor([[logp]]), torch.tensor([[ref]])
    assert kl_penalty(x, y, torch.tensor([[True]])).item() >= 0.0


def test_kl_expectation_by_enumeration() -> None:
    """Over all tokens of a 3-token policy, weighed with π, k3 is KL(π ‖ ref); its gradient, with
    the weights held as sampling holds them, is that of KL(ref ‖ π), not of KL(π ‖ ref)."""
    logits = torch.tensor([0.3, -0.2, 1.1], dtype=F64, requires_grad=True)
    ref = torch.tensor([0.5, 0.2, 0.3], dtype=F64).log()
    logp = logits.log_softmax(0)
    pi, yes = logp.exp(), torch.tensor([[True]])
    k3 = [kl_penalty(logp[i].view(1, 1), ref[i].view(1, 1), yes) for i in range(3)]
    expected = sum(p.detach() * k for p, k in zip(pi, k3, strict=True))
    forward, backward = (pi * (logp - ref)).sum(), (ref.exp() * (ref - logp)).sum()
    assert expected.item() == pytest.approx(forward.item())
    of_k3, of_forward, of_backward = (
        torch.autograd.grad(loss, logits, retain_graph=True)[0]
        for loss in (expected, forward, backward)
    )
    torch.testing.assert_close(of_k3, of_backward)
    assert not torch.allclose(of_k3, of_forward)


# --- the ranking loss of PQM

STEPS3 = torch.tensor([[True, True, True], [True, False, False], [True, False, False]])
RANKED = torch.tensor([[0.75, 0.25, 0.8], [0.5, 0.0, 0.0], [0.25, 0.0, 0.0]], dtype=F64)
REACHED = torch.tensor([[1.0, 0, 1], [1, 0, 0], [0, 0, 0]], dtype=F64)[..., None]


def test_ranking_loss_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    """M / (1 − M) is 3, 1/3, 4; with e^ζ = 3 the wrong step weighs 1. Row 0, its start and two
    right steps: log 2/1, log (1 + 3 + 1)/3, log (1 + 3 + 4 + 1)/4, mean log(7.5) / 3. Row 1 has no
    wrong step, so the start has no term: log 2/1. Row 2 has no right one: log (1 + 1)/1."""
    monkeypatch.setattr(losses, "ZETA", math.log(3))
    loss = ranking_loss(RANKED, mc_hard_labels(REACHED, STEPS3))
    assert loss.item() == pytest.approx((math.log(7.5) / 3 + 2 * math.log(2)) / 3)


def test_ranking_loss_takes_labels_from_one_half_on_as_right() -> None:
    in_part = torch.tensor([[0.5, 0.49, 1], [0.5, 0, 0], [0.49, 0, 0]], dtype=F64)[..., None]
    same = [ranking_loss(RANKED, mc_hard_labels(y, STEPS3)).item() for y in (REACHED, in_part)]
    assert same[0] == same[1]


def test_ranking_loss_raises_right_steps_and_lowers_wrong_ones() -> None:
    q = RANKED.clone().requires_grad_()
    ranking_loss(q, mc_hard_labels(REACHED, STEPS3)).backward()
    assert q.grad is not None
    assert (torch.sign(q.grad) == torch.tensor([[-1, 1, -1], [-1, 0, 0], [1, 0, 0]])).all()


@pytest.mark.parametrize("value", RUN_INTO)
def test_ranking_loss_ignores_padding(value: float) -> None:
    labels = mc_hard_labels(REACHED, STEPS3)
    q = RANKED.masked_fill(~STEPS3, value).requires_grad_()
    loss = ranking_loss(q, labels)
    loss.backward()
    assert loss.item() == ranking_loss(RANKED, labels).item()
    assert q.grad is not None and (q.grad[~STEPS3] == 0).all()


# --- entry checks

T3 = torch.zeros(1, 3)
ON3 = torch.ones(1, 3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: q_loss(Q[:, :3], ROOT, labels()), r"q has shape \[2, 3\], expected \[2, 4\]"),
        (lambda: q_loss(Q, ROOT[:1], labels()), r"v_root has shape \[1\], expected \[2\]"),
        (lambda: advantage_loss(Q.half(), ROOT, labels()), "q has dtype torch.float16"),
        (lambda: agentprm_loss(Q, ROOT, labels(), -1.0), "beta is -1.0, expected beta >= 0"),
        (
            lambda: advantage_loss(Q, ROOT, labels(), "td"),
            "progress is 'td', expected 'difference'",
        ),
        (lambda: cross_entropy_loss(Q[:, :3], ROOT, labels()), r"q has shape \[2, 3\]"),
        (
            lambda: q_loss(T3, T3[:, 0], Labels(T3, T3[:, 0], ~ON3, ~ON3[:, 0])),
            "labels has no labelled position",
        ),
        (lambda: ranking_loss(T3, labels()), r"q has shape \[1, 3\], expected \[2, 4\]"),
        (
            lambda: ranking_loss(T3, Labels(T3, T3[:, 0], ~ON3, ~ON3[:, 0])),
            "labels has a row without a labelled step",
        ),
        (lambda: policy_loss(T3, T3, T3, ~ON3, 0.2), "mask has no action token"),
        (lambda: policy_loss(T3, T3, T3, ON3, 0.0), "clip is 0.0, expected clip > 0"),
        (lambda: policy_loss(T3, T3[:, :2], T3, ON3, 0.2), r"old_logp has shape \[1, 2\]"),
        (lambda: policy_loss(T3, T3, T3[0], ON3, 0.2), r"advantages has shape \[3\]"),
        (lambda: kl_penalty(T3, T3, ON3.int()), "mask has dtype torch.int32, expected torch.bool"),
        (lambda: kl_penalty(T3, T3[:, :2], ON3), r"ref_logp has shape \[1, 2\]"),
    ],
)
def test_entry_checks_name_the_argument(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
