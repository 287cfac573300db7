"""Training: what carries a loss, labels of every kind, batches, resuming, seeds, RFT."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import (
    Fragile,
    Interrupted,
    float64,
    random_reward_model,
    random_trajectories,
    randomize,
    same,
    weights,
    whole_logprobs,
)
from torch import Tensor, nn

from agentprm_lite import kinds, loop, train
from agentprm_lite.files import Checkpoint
from agentprm_lite.forward import action_logprobs, action_tokens, split_model
from agentprm_lite.hub import (
    ChatFormat,
    load_policy,
    load_reward_model,
    new_reward_model,
    save_adapter,
)
from agentprm_lite.kinds import RewardExample, RewardLoss, split_families
from agentprm_lite.labels import KINDS, Kind
from agentprm_lite.loop import random_sets
from agentprm_lite.models import Lora
from agentprm_lite.prm import RewardModel
from agentprm_lite.train import (
    SFTLoss,
    TrainConfig,
    fit,
    rft,
    sft,
    train_reward_model,
)
from agentprm_lite.types import Trajectory

F64 = torch.float64


@pytest.fixture(scope="module")
def trajectories(chat: ChatFormat) -> list[Trajectory]:
    return random_trajectories(chat, 10, seed=8)


@pytest.fixture(scope="module")
def examples(trajectories: list[Trajectory]) -> list[RewardExample]:
    rng = np.random.default_rng(0)
    return [RewardExample(t, rng.integers(0, 2, (t.num_steps, 3))) for t in trajectories]


def whole(module: Any, batch: Sequence[Any]) -> Any:
    """Loss and log of a step that is one part."""
    return module(batch, module.sizes(batch))


def test_the_stand_ins_cover_the_cases(trajectories: list[Trajectory]) -> None:
    assert {t.success for t in trajectories} == {True, False}
    assert {t.final for t in trajectories} == {True, False}
    assert len({t.num_steps for t in trajectories}) > 2


# --- SFT: which tokens carry a loss


def test_action_tokens_worked(trajectories: list[Trajectory]) -> None:
    """Two spans [2, 4) and [5, 6) of one trajectory, [1, 3) of another."""
    nothing: dict[str, Any] = {"logprobs": (), "actions": ("a",), "rewards": (0.0,)}
    nothing["observations"] = ("x", "y")
    one = replace(trajectories[0], ids=(5, 6, 7), prompt_len=1, spans=((1, 3),), **nothing)
    two = replace(
        one,
        ids=(5, 6, 7, 8, 9, 10),
        prompt_len=2,
        spans=((2, 4), (5, 6)),
        actions=("a", "b"),
        rewards=(0.0, 0.0),
        observations=("x", "y", "z"),
    )
    rows, columns = action_tokens([two, one])
    assert rows.tolist() == [0, 0, 0, 1, 1] and columns.tolist() == [2, 3, 5, 1, 2]


def test_sft_loss_is_the_mean_over_action_tokens(
    folder: Path, trajectories: list[Trajectory]
) -> None:
    """Against one ordinary pass a trajectory and a loop over the spans."""
    model = float64(load_policy(folder))
    found = action_logprobs(model, trajectories)
    expected, everything = [], []
    for t in trajectories:
        logp = whole_logprobs(model, t.ids).tolist()  # logp[k] is of ids[k + 1]
        expected += [logp[k - 1] for start, end in t.spans for k in range(start, end)]
        everything += logp
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-12, rtol=0)
    loss, logs = whole(SFTLoss(model), trajectories)
    assert loss.item() == pytest.approx(-np.mean(expected), abs=1e-12)
    assert logs == {"loss": pytest.approx(-np.mean(expected))}
    # the well-known wrong one: all tokens, prompt and observations too
    assert abs(loss.item() + np.mean(everything)) > 0.01


def test_sft_gradient_enters_only_before_action_tokens(
    folder: Path, trajectories: list[Trajectory]
) -> None:
    """The hidden state at position k predicts token k + 1: the gradient with respect to the last
    hidden states is zero except one position before each action token."""
    model = float64(load_policy(folder))
    kept: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        output.last_hidden_state.retain_grad()
        kept.append(output.last_hidden_state)

    handle = split_model(model)[0].register_forward_hook(keep)
    whole(SFTLoss(model), trajectories)[0].backward()
    handle.remove()
    (hidden,) = kept
    touched = {tuple(x) for x in hidden.grad.abs().sum(-1).nonzero().tolist()}
    assert touched == {
        (b, k - 1)
        for b, t in enumerate(trajectories)
        for start, end in t.spans
        for k in range(start, end)
    }


def test_sft_learns_the_demonstrations(folder: Path, trajectories: list[Trajectory]) -> None:
    model = load_policy(folder)
    log = sft(model, trajectories[:4], TrainConfig(lr=3e-3, epochs=32))
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]
    assert not model.training


# --- batches


def test_random_sets_cover_everything_once() -> None:
    plan = random_sets(300, 32, 3, "7")
    plans = [plan[:9], plan[9:18], plan[18:]]
    for one in plans:
        assert sorted(i for step in one for i in step) == list(range(300))
        assert sorted(map(len, one)) == [33] * 6 + [34] * 3  # 32 at least, about equal
    assert plans[0] == random_sets(300, 32, 1, "7")
    assert plans[0] != plans[1] != plans[2]
    assert [len(b) for n in (1, 31, 63) for b in random_sets(n, 32, 1, "0")] == [1, 31, 63]


class Seen(nn.Module):
    """Notes what each step of the optimizer and each forward pass is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.steps: list[list[Trajectory]] = []
        self.parts: list[list[Trajectory]] = []

    def sizes(self, batch: list[Trajectory]) -> int:
        self.steps.append(batch)
        return len(batch)

    def forward(self, part: list[Trajectory], sizes: int) -> Any:
        self.parts.append(part)
        return (self.weight * len(part) / sizes).sum(), {"loss": len(part) / sizes}


def of_length(trajectory: Trajectory, tokens: int, success: bool) -> Trajectory:
    ids = trajectory.ids[:1] * tokens
    return replace(trajectory, ids=ids, prompt_len=1, spans=((1, 2),), actions=("a",), logprobs=(),
                   rewards=(float(success),), observations=("x", "y"), success=success)  # fmt: skip


def test_a_step_is_no_batch_of_one_outcome(trajectories: list[Trajectory]) -> None:
    """Length gives the outcome away: 160 successes of 50 tokens, 160 failures of 500.

    A random set of 32 has 16 ± 2.7 successes; by length a step had 32 or none. Inside a step the
    passes are by length, within 1,000 padded tokens.
    """
    data = [of_length(trajectories[0], 50 if k % 2 else 500, k % 2 == 1) for k in range(320)]
    module = Seen()
    fit(module, data, TrainConfig(lr=1e-3, epochs=2, microbatch_tokens=1000))
    assert [len(batch) for batch in module.steps] == [32] * 20
    shares = [sum(t.success for t in batch) / 32 for batch in module.steps]
    assert min(shares) > 0.2 and max(shares) < 0.8
    assert 0.03 < np.std(shares) < 0.15  # binomial: 0.088
    padded = [len(part) * max(len(t.ids) for t in part) for part in module.parts]
    assert max(padded) <= 1000
    assert {len({len(t.ids) for t in part}) for part in module.parts} <= {1, 2}
    assert np.mean([len({len(t.ids) for t in part}) for part in module.parts]) < 1.1


def test_microbatches_change_nothing(folder: Path, examples: list[RewardExample]) -> None:
    """A step in one pass or in many: the same log and weights up to rounding, in float64."""
    found = []
    for tokens in (100_000, 400):
        module = RewardLoss(float64(random_reward_model(folder)), "agentprm", beta=0.7, lam=0.8)
        config = TrainConfig(lr=1e-3, epochs=2, batch=5, microbatch_tokens=tokens)
        found.append((fit(module, examples, config), weights(module)))
    (one, a), (many, b) = found
    for x, y in zip(one, many, strict=True):
        assert x == pytest.approx(y, abs=1e-9)
    for name, weight in a.items():
        torch.testing.assert_close(weight, b[name], rtol=0, atol=1e-7)


# --- reward models: labels and losses of every kind


def example(chat: ChatFormat, steps: int, **changes: Any) -> RewardExample:
    """A trajectory of so many steps, reward 1 at the last unless changed."""
    source = next(
        t for t in random_trajectories(chat, 60, seed=1) if t.num_steps == steps and t.final
    )
    fields = {"rewards": (0.0,) * (steps - 1) + (1.0,), "final": True} | changes
    outcomes = fields.pop("outcomes", None)
    return RewardExample(replace(source, **fields), outcomes)


def test_labels_worked(chat: ChatFormat) -> None:
    """M = 0.5 at all steps and roots. Row 0: five steps, success: with γ = 1, λ = 0.95 the label is
    1 − 0.05 · 0.5 Σ 0.95^k, that is 0.9073, 0.9287, 0.9513, 0.975, 1 (root 0.95 · 0.9073 + 0.025).
    Row 1: two steps, cut, the environment paid 0.4 on the way: no outcome, M stays."""
    five = example(chat, 5, outcomes=np.array([[0, 0], [0, 1], [1, 0], [0, 0], [1, 1]]))
    cut = example(
        chat, 2, final=False, rewards=(0.0, 0.4), outcomes=np.array([[True, False], [False, False]])
    )
    q, root = torch.full((2, 5), 0.5, dtype=F64), torch.full((2,), 0.5, dtype=F64)
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    soft = [[0, 0.5, 0.5, 0, 1], [0.5, 0, 0, 0, 0]]
    expected: dict[str, list[list[float]]] = {
        "orm": [[0, 0, 0, 0, 1], [0, 0, 0, 0, 0]],
        "pvm": [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]],
        "mc_hard": [[0, 1, 1, 0, 1], [1, 0, 0, 0, 0]],
        "mc_soft": soft,
        "pqm": [[0, 1, 1, 0, 1], [1, 0, 0, 0, 0]],
        "agentprm": [[0.9073, 0.9287, 0.9513, 0.975, 1], [0.5, 0.5, 0, 0, 0]],
    }
    for kind, rows in expected.items():
        labels = RewardLoss(None, kind, cut="bootstrap").labels([five, cut], q, root, mask)
        np.testing.assert_allclose(labels.q.numpy(), rows, atol=5e-5)
        labelled = mask if kind != "orm" else torch.eye(5, dtype=torch.bool)[[4, 1]]
        assert torch.equal(labels.q_mask, labelled)
        has_root = {"pvm": [1.0, 0.0], "agentprm": [0.95 * 0.90725 + 0.025, 0.5]}.get(kind)
        assert labels.root_mask.tolist() == [has_root is not None] * 2
        if has_root:
            np.testing.assert_allclose(labels.root.numpy(), has_root, atol=5e-5)


def test_a_cut_episode_has_failed_unless_asked_otherwise(chat: ChatFormat) -> None:
    """M = 0.5: by default the labels of row 1 are those of a failure, 0.95 · 0 + 0.05 · 0.5 at its
    first step, 0.95 · 0.025 + 0.025 at the root."""
    cut = example(chat, 2, final=False, rewards=(0.0, 0.4))
    q, root = torch.full((1, 2), 0.5, dtype=F64), torch.full((1,), 0.5, dtype=F64)
    labels = RewardLoss(None, "agentprm").labels([cut], q, root, q > 0)
    np.testing.assert_allclose(labels.q, [[0.025, 0.0]])
    np.testing.assert_allclose(labels.root, [0.04875])
    boot = RewardLoss(None, "agentprm", cut="bootstrap").labels([cut], q, root, q > 0)
    np.testing.assert_allclose(boot.q, [[0.5, 0.5]])


def independent_loss(
    kind: str, example: RewardExample, m: list[float], lam: float, cut: str
) -> list[Any]:
    """(squared errors of positions, squared errors of differences) of one trajectory; ``m`` begins
    with the root. TD labels by the unrolled sum of λ-returns, not by the recursion."""
    t = example.trajectory
    steps = t.num_steps
    r = t.rewards[-1] if t.final else 0.0
    target: list[float | None]
    if kind == "orm":
        target = [None] * steps + [r]
    elif kind == "pvm":
        target = [r] * (steps + 1)
    elif kind in ("mc_hard", "mc_soft"):
        assert example.outcomes is not None
        rows = [list(map(float, row)) for row in example.outcomes]
        target = [None, *(max(row) if kind == "mc_hard" else sum(row) / len(row) for row in rows)]
    else:
        end = m[steps] if not t.final and cut == "bootstrap" else r
        target = [
            sum((1 - lam) * lam**k * x for k, x in enumerate(m[i:-1])) + lam ** (steps - i) * end
            for i in range(steps + 1)
        ]
    errors = [(x - y) ** 2 for x, y in zip(m, target, strict=True) if y is not None]
    pairs = zip(m, m[1:], target, target[1:], strict=False)
    gains = [((b - a) - (y - x)) ** 2 for a, b, x, y in pairs if x is not None and y is not None]
    return [errors, gains]


def ranked(m: np.ndarray, rollouts: np.ndarray) -> float:
    """PQM's loss of one trajectory as a product of choices: e^z = M / (1 − M), the start is 1."""
    odds, right = m / (1 - m), rollouts.max(axis=1) == 1
    wrong = math.exp(4) * odds[~right].sum()
    losses = [math.log(1 + wrong)] if wrong else []
    chosen = [1.0]
    for x in odds[right]:
        chosen.append(x)
        losses.append(math.log((sum(chosen) + wrong) / x))
    return float(np.mean(losses))


@pytest.mark.parametrize(
    ("kind", "cut"), [*((kind, "failed") for kind in KINDS), ("agentprm", "bootstrap")]
)
def test_loss_equals_an_independent_computation(
    folder: Path, examples: list[RewardExample], kind: str, cut: Any
) -> None:
    model = float64(random_reward_model(folder))
    beta, lam = 0.7, 0.8
    scored = RewardModel(model).score([e.trajectory for e in examples])
    parts = [
        independent_loss(kind, e, [s.root, *s.q.tolist()], lam, cut)
        for e, s in zip(examples, scored, strict=True)
    ]
    errors = [x for a, _ in parts for x in a]
    gains = [x for _, b in parts for x in b]
    expected = 0.5 * sum(errors) / len(errors)
    if kind == "agentprm":
        expected += beta * 0.5 * sum(gains) / len(gains)
    if kind == "pqm":
        pairs = zip(examples, scored, strict=True)
        expected = np.mean([ranked(s.q, e.outcomes) for e, s in pairs])
    beta = beta if kind == "agentprm" else 0.0
    module = RewardLoss(model, kind, beta, lam=lam, cut=cut, m_loss="squared")
    loss, logs = whole(module, examples)
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    labelled = [s.q[-1:] if kind == "orm" else s.q for s in scored]
    assert logs["mean_m"] == pytest.approx(np.mean(np.concatenate(labelled)))


def test_three_forms_of_the_loss_of_m(folder: Path, examples: list[RewardExample]) -> None:
    """PVM's targets are outcomes: squared error and cross-entropy through the sigmoid, squared
    error of the output itself (the paper's), each against a loop over M."""
    rewards = [e.trajectory.outcome if e.trajectory.final else 0.0 for e in examples]
    for head, m_loss in (
        ("sigmoid", "squared"),
        ("sigmoid", "cross_entropy"),
        ("linear", "squared"),
    ):
        model = float64(randomize(new_reward_model(folder, Lora(r=4), 0, head)))
        scored = RewardModel(model).score([e.trajectory for e in examples])
        m = [np.array([s.root, *s.q]) for s in scored]
        assert (np.concatenate(m).min() < 0) == (head == "linear")
        if m_loss == "squared":
            terms = [0.5 * (x - r) ** 2 for x, r in zip(m, rewards, strict=True)]
        else:
            terms = [
                -r * np.log(x) - (1 - r) * np.log(1 - x) for x, r in zip(m, rewards, strict=True)
            ]
        loss, _ = whole(RewardLoss(model, "pvm", m_loss=m_loss), examples)
        assert loss.item() == pytest.approx(np.concatenate(terms).mean(), abs=1e-9)
    for usual in ({}, {"m_loss": "cross_entropy"}):  # the best in results/losses.json
        with pytest.raises(ValueError, match="this head is linear"):
            RewardLoss(model, "pvm", **usual)
        with pytest.raises(ValueError, match="this head is linear"):
            train_reward_model(model, examples, "pvm", TrainConfig(lr=1e-3, epochs=1), **usual)
    with pytest.raises(ValueError, match="m_loss is 'log', expected one of squared, cross_entropy"):
        RewardLoss(model, "pvm", m_loss="log")  # type: ignore[arg-type]


def test_a_linear_head_stays_linear_when_saved(
    folder: Path, chat: ChatFormat, trajectories: list[Trajectory], tmp_path: Path
) -> None:
    model = randomize(new_reward_model(folder, Lora(r=4), 0, "linear"))
    save_adapter(model, chat, tmp_path)
    again = RewardModel(load_reward_model(folder, tmp_path, chat)).score(trajectories)
    for a, b in zip(RewardModel(model).score(trajectories), again, strict=True):
        np.testing.assert_allclose([a.root, *a.q], [b.root, *b.q], atol=1e-6)
    assert min(v.q.min() for v in again) < 0


def test_labels_come_from_the_same_pass_and_carry_no_gradient(
    folder: Path, examples: list[RewardExample]
) -> None:
    """Algorithm 1. One forward pass; the gradient is that of a loss whose labels are numbers."""
    model = float64(random_reward_model(folder))
    module = RewardLoss(model, "agentprm", beta=0.7, lam=0.8, m_loss="squared")
    calls: list[int] = []
    handle = split_model(model)[0].register_forward_hook(lambda *_: calls.append(1))
    whole(module, examples)[0].backward()
    handle.remove()
    assert len(calls) == 1
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    model.zero_grad()
    trajectories = [e.trajectory for e in examples]
    q, root, mask = kinds.step_values(model, trajectories)
    labels = module.labels(examples, q.detach().clone(), root.detach().clone(), mask)
    assert not labels.q.requires_grad and not labels.root.requires_grad
    assert not module.labels(examples, q, root, mask).q.requires_grad
    m = torch.cat([root[:, None], q], 1)
    y = torch.cat([labels.root[:, None], labels.q], 1)
    real = torch.cat([torch.ones_like(mask[:, :1]), mask], 1)
    loss_q = 0.5 * (m - y)[real].pow(2).mean()
    loss_a = 0.5 * (m.diff(dim=1) - y.diff(dim=1))[mask].pow(2).mean()
    (loss_q + 0.7 * loss_a).backward()
    for name, p in model.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(found[name], p.grad, atol=1e-12, rtol=1e-9)


def test_unknown_kind() -> None:
    names = "orm, pvm, mc_hard, mc_soft, pqm, agentprm"
    with pytest.raises(ValueError, match=f"'prm', expected one of {names}"):
        RewardLoss(None, "prm")
    with pytest.raises(ValueError, match=f"'prm', expected one of {names}"):
        train_reward_model(None, [], "prm", TrainConfig(lr=1e-3, epochs=1))
    with pytest.raises(TypeError, match=r"missing .* 'beta'"):  # no row with a hole
        Kind(lambda s: s, loss="values", rollouts=False)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"beta is 1\.0, expected 0: pqm ranks steps"):
        RewardLoss(None, "pqm", beta=1.0)
    with pytest.raises(ValueError, match="cut is 'won', expected one of failed, bootstrap"):
        RewardLoss(None, "pvm", cut="won")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        (np.zeros((3, 4)), r"shape \[3, 4\] .*, expected \[2, K\]"),
        (np.zeros(2), r"shape \[2\] .*, expected \[2, K\]"),
        (np.array([[0.5], [1.5]]), r"values \[0.5, 1.5\], expected .* within \[0, 1\]"),
        (np.array([[0.5], [math.nan]]), r"values \[0.5, nan\]"),
    ],
)
def test_outcomes_are_one_row_a_step(chat: ChatFormat, outcomes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        example(chat, 2, outcomes=outcomes)


# --- whole trainings


def trained(
    folder: Path, examples: Sequence[RewardExample], kind: str, *, seed: int = 0, **settings: Any
) -> dict[str, Tensor]:
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    config = TrainConfig(lr=1e-2, epochs=3, batch=3, seed=seed)
    log = train_reward_model(model, examples, kind, config, held_out=0, **settings)
    assert len(log) >= 6 and all(math.isfinite(x["loss"]) for x in log)
    return weights(model)


def test_beta_zero_and_lambda_one_train_exactly_a_pvm(
    folder: Path, examples: list[RewardExample]
) -> None:
    """Same weights bit for bit after several steps; with β or another λ not."""
    finished = [e for e in examples if e.trajectory.final]
    pvm = trained(folder, finished, "pvm")
    assert same(pvm, trained(folder, finished, "agentprm", beta=0.0, lam=1.0))
    assert not same(pvm, trained(folder, finished, "agentprm", beta=1.0, lam=1.0))
    assert not same(pvm, trained(folder, finished, "agentprm", beta=0.0, lam=0.95))


def test_seeds(folder: Path, examples: list[RewardExample]) -> None:
    """The seed orders the batches: the same gives the same weights, another others."""
    first = trained(folder, examples, "agentprm")
    assert same(first, trained(folder, examples, "agentprm"))
    assert not same(first, trained(folder, examples, "agentprm", seed=1))
    for new in (new_reward_model, load_policy):
        a, b, again = (weights(new(folder, Lora(r=4), seed)) for seed in (0, 1, 0))
        assert same(a, again) and not same(a, b)


def test_training_moves_adapters_and_head_only(folder: Path, examples: list[RewardExample]) -> None:
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    assert names and all("lora_" in n or "score" in n for n in names)
    assert any("score" in n for n in names) and not any("lora_" in n for n in names if "score" in n)
    train_reward_model(model, examples, "pvm", TrainConfig(lr=1e-2, epochs=2, batch=4), held_out=0)
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved <= set(names)
    assert any("lora_A" in n for n in moved) and any("score" in n for n in moved)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_to_tell_success(
    folder: Path, examples: list[RewardExample], kind: str
) -> None:
    data = [
        RewardExample(e.trajectory, np.full((e.trajectory.num_steps, 2), e.trajectory.success))
        for e in examples
        if e.trajectory.final
    ]
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    train_reward_model(model, data, kind, TrainConfig(lr=2e-2, epochs=24), held_out=0)
    scored = RewardModel(model).score([e.trajectory for e in data])
    last = np.array([s.q[-1] for s in scored])
    success = np.array([e.trajectory.success for e in data])
    assert last[success].mean() > last[~success].mean() + 0.3


def test_every_fault_is_named_before_the_first_step(
    folder: Path, trajectories: list[Trajectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too long, an id the model doesn't have, a reward of 2, no step: one error."""
    monkeypatch.setattr(train, "fit", lambda *a, **k: pytest.fail("training began"))
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    body = split_model(model)[0]
    limit = max(len(t.ids) for t in trajectories)
    body.config.max_position_embeddings = limit
    fine = trajectories[4:]
    long, odd, rich, cut_off = (replace(t, sample=90 + k) for k, t in enumerate(trajectories[:4]))
    long = replace(long, ids=(*long.ids, *long.ids[:1] * limit))
    odd = replace(odd, ids=(*odd.ids[:-1], 10**6))
    rich = replace(rich, rewards=(*rich.rewards[:-1], 2.0))
    nothing: dict[str, Any] = {"spans": (), "logprobs": (), "actions": (), "rewards": ()}
    empty = replace(cut_off, observations=("x",), **nothing)
    wrong = [long, odd, rich, empty]
    says = [
        f"{long.key} has {len(long.ids)} tokens, the model reads {limit}: its last steps",
        f"{odd.key} has ids .* to 1000000, the model has ",
        f"{rich.key} has rewards .*2.0.*, expected the last in",
        f"{empty.key} has no step to learn from",
    ]
    config = TrainConfig(lr=1e-2, epochs=1)
    with pytest.raises(ValueError, match="4 faults in 10 examples: " + ".*".join(says)):
        train_reward_model(model, [RewardExample(t) for t in [*wrong, *fine]], "pvm", config)
    policy = load_policy(folder)
    split_model(policy)[0].config.max_position_embeddings = limit
    with pytest.raises(ValueError, match="3 faults in 10 .*" + ".*".join(says[:2] + says[3:])):
        sft(policy, [*wrong, *fine], config)  # demonstrations need no reward
    with pytest.raises(ValueError, match="got bare trajectories, expected RewardExample"):
        train_reward_model(model, [RewardExample(fine[0]), fine[1]], "pvm", config)
    bare = [
        RewardExample(t, np.zeros((t.num_steps, k))) for k, t in zip((2, 3), fine, strict=False)
    ]
    bare.append(RewardExample(fine[2]))
    with pytest.raises(ValueError, match=rf"{fine[2].key} has no outcomes.*\[2, 3\] roll"):
        train_reward_model(model, bare, "mc_soft", config)
    lost = replace(fine[1], rewards=(0.0,) * fine[1].num_steps, success=True, final=True, sample=96)
    odd = [RewardExample(t) for t in (*fine, fine[2], lost)]
    says = [
        f"{fine[2].key} is there 2 times",
        f"{lost.key} is a success with outcome 0",
    ]
    with pytest.raises(ValueError, match="2 faults in 8 examples: " + ".*".join(says)):
        train_reward_model(model, odd, "pvm", config)


# --- numbers that aren't finite


def poisoned(model: Any) -> Any:
    """One weight that is trained is NaN."""
    with torch.no_grad():
        next(p for n, p in model.named_parameters() if "lora_A" in n).view(-1)[0] = math.nan
    return model


def test_nan_never_trains(folder: Path, examples: list[RewardExample]) -> None:
    """A NaN weight makes every M and gradient NaN: the step is named, no other weight moves."""
    for new, go in (
        (new_reward_model, lambda m, c: train_reward_model(m, examples, "pvm", c, held_out=0)),
        (load_policy, lambda m, c: sft(m, [e.trajectory for e in examples], c)),
    ):
        model = poisoned(new(folder, Lora(r=4, alpha=8), 0))
        before = weights(model)
        with pytest.raises(ValueError, match=r"step 0: .*loss nan.* from trajectories textcraft/"):
            go(model, TrainConfig(lr=1e-2, epochs=1))
        after = weights(model)
        assert all(torch.equal(before[n].nan_to_num(7), after[n].nan_to_num(7)) for n in before)


class Explodes(Seen):
    """The gradient of one trajectory is infinite at the second step, its loss isn't."""

    def forward(self, part: list[Trajectory], sizes: int) -> Any:
        loss, logs = super().forward(part, sizes)
        if len(self.steps) > 1 and any(t.sample == 77 for t in part):
            loss = loss + (self.weight - self.weight.detach()).sqrt().sum()  # d√x at 0
        return loss, logs


def test_an_infinite_gradient_stops_before_the_step(trajectories: list[Trajectory]) -> None:
    odd = replace(trajectories[3], sample=77)
    module = Explodes()
    with pytest.raises(
        ValueError, match=rf"step 1: grad_norm \w+; .* from trajectories {odd.key}\."
    ):
        fit(module, [*trajectories[:3], odd], TrainConfig(lr=1e-3, epochs=3))
    assert module.weight.isfinite().all()


class Watched(nn.Module):
    """It notes in which precision it is asked to compute."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: set[torch.dtype] = set()

    def sizes(self, batch: Any) -> int:
        return len(batch)

    def forward(self, part: Any, sizes: int) -> Any:
        half = torch.is_autocast_enabled("cpu")
        self.seen.add(torch.get_autocast_dtype("cpu") if half else torch.float32)
        return self.weight.sum() * len(part) / sizes, {"loss": 0.0}


@pytest.mark.parametrize("fast", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("asked", [True, False])
def test_half_precision_is_taken_where_it_is_asked_for_and_fast(
    trajectories: list[Trajectory], monkeypatch: pytest.MonkeyPatch, fast: torch.dtype, asked: bool
) -> None:
    monkeypatch.setattr("agentprm_lite.loop.half_dtype", lambda: fast)
    module = Watched()
    fit(module, trajectories[:3], TrainConfig(lr=1e-3, epochs=1, bf16=asked))
    assert module.seen == {fast if asked else torch.float32}


def test_bfloat16_runs_and_keeps_float32_weights(
    folder: Path, examples: list[RewardExample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentprm_lite.loop.half_dtype", lambda: torch.bfloat16)
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    config = TrainConfig(lr=1e-2, epochs=1, bf16=True)
    log = train_reward_model(model, examples, "agentprm", config)
    assert all(math.isfinite(x["loss"]) for x in log)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    policy = load_policy(folder)
    sft(policy, [e.trajectory for e in examples], config)
    assert {p.dtype for p in policy.parameters()} == {torch.float32}


# --- held-out tasks say when to stop


class Scripted(nn.Module):
    """Its weight counts steps; its held-out losses are given."""

    def __init__(self, losses: list[float], explained: float = 0.5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.losses, self.explained = iter(losses), explained
        self.after: list[float] = []

    def sizes(self, batch: Any) -> int:
        return len(batch)

    def forward(self, part: Any, sizes: int) -> Any:
        return self.weight.sum() * len(part) / sizes, {"loss": 0.0}

    def values(self, part: Any) -> Tensor:
        return torch.zeros(len(part), 1 + max(e.trajectory.num_steps for e in part))

    def report(self, examples: Any, m: Tensor) -> dict[str, float]:
        self.after.append(self.weight.item())
        return {"held_out_loss": next(self.losses), "explained_variance": self.explained}


@pytest.mark.parametrize(
    ("losses", "epochs", "best"),
    [
        ([0.5, 0.3, 0.4, 0.35, 0.31], 5, 1),  # three epochs without a better one
        ([0.5, 0.3, 0.4, 0.4, 0.2, 0.3, 0.3, 0.3], 8, 4),  # two without are forgiven
        ([0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], 8, 7),  # at most what the config says
    ],
)
def test_the_best_epoch_is_kept(
    examples: list[RewardExample], losses: list[float], epochs: int, best: int
) -> None:
    module = Scripted(losses)
    config = TrainConfig(lr=1e-2, epochs=8, batch=4)
    log = fit(module, examples[:8], config, held_out=examples[8:])
    assert len(log) == 2 * epochs  # eight examples are two steps
    assert [x["held_out_loss"] for x in log[1::2]] == losses
    assert not any("held_out_loss" in x for x in log[::2])
    assert module.weight.item() == module.after[best] != module.after[best - 1]
    assert log[-1]["best_epoch"] == best and log[-1]["learned"] is True


def test_a_judge_that_learned_nothing_is_named(
    examples: list[RewardExample], caplog: pytest.LogCaptureFixture
) -> None:
    config = TrainConfig(lr=1e-2, epochs=1)
    for explained, learned in ((0.019, False), (0.02, True)):
        caplog.clear()
        log = fit(Scripted([0.5], explained), examples, config, held_out=examples, label="pvm")
        assert log[-1]["learned"] is learned
        assert log[-1]["best_explained_variance"] == explained
        said = "its squared error is 0.981 times that of a constant (explained variance 0.019)"
        assert (said in caplog.text) is not learned


def test_tasks_are_held_out_by_family(chat: ChatFormat, caplog: pytest.LogCaptureFixture) -> None:
    """84 attempts at 7 tasks: a fifth is one task, the same for every kind, order and subset."""
    pool = [RewardExample(t) for t in random_trajectories(chat, 84, seed=2)]

    def by_task(task: Any) -> Any:
        return task.index

    kept, out = split_families(pool, 0.2, by_task)
    assert len({e.trajectory.task for e in out}) == 1 and len(out) == 12
    assert {e.trajectory.task for e in kept}.isdisjoint(e.trajectory.task for e in out)
    again, _ = split_families(pool[::-1], 0.2, by_task)
    assert {e.trajectory.key for e in again} == {e.trajectory.key for e in kept}
    assert split_families(pool, 0, by_task) == (pool, [])
    half, rest = split_families(pool, 0.5, lambda task: task.index > 80)  # two families
    assert {e.trajectory.task.index > 80 for e in half} != {
        e.trajectory.task.index > 80 for e in rest
    }
    assert split_families(pool, 0.2, lambda task: 0) == (pool, [])
    assert "all 84 examples belong to one task, so none is held out" in caplog.text
    with pytest.raises(ValueError, match=r"held_out is 1, expected a share"):
        split_families(pool, 1, by_task)


def test_held_out_tasks_are_not_trained_on(
    folder: Path, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = [RewardExample(t) for t in random_trajectories(chat, 28, seed=2)]
    seen: list[RewardExample] = []
    sizes = RewardLoss.sizes
    monkeypatch.setattr(RewardLoss, "sizes", lambda self, b: seen.extend(b) or sizes(self, b))
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    log = train_reward_model(model, pool, "pvm", TrainConfig(lr=1e-3, epochs=1))
    kept, out = split_families(pool, 0.2, lambda task: (task.env, task.index))
    assert {e.trajectory.key for e in seen} == {e.trajectory.key for e in kept} and out
    assert {"held_out_loss", "best_epoch"} <= log[-1].keys()


def test_the_report_worked(chat: ChatFormat) -> None:
    """Two attempts at one task, a success and a failure of two steps each; M 0.5, 0.8, 0.9 and 0.5,
    0.3, 0.1. PVM: squares 0.25, 0.04, 0.01, 0.25, 0.09, 0.01, halved and over six. M at the steps
    explains 1 − (0.15/4) / 0.25. After turn 1 the success is above; turn 2 ends both."""
    good = example(chat, 2).trajectory
    good = RewardExample(replace(good, success=True))
    bad = RewardExample(replace(good.trajectory, success=False, rewards=(0.0, 0.0)))
    m = torch.tensor([[0.5, 0.8, 0.9], [0.5, 0.3, 0.1]])
    for kind in ("pvm", "agentprm"):  # AgentPRM's own labels would hold its own M
        found = RewardLoss(None, kind).report([good, bad], m)
        expected = {"held_out_loss": 0.5 * 0.65 / 6, "explained_variance": 0.85}
        assert found == pytest.approx(expected | {"auroc_turn_1": 1.0})
    orm = RewardLoss(None, "orm").report([good, bad], m)
    assert orm["held_out_loss"] == pytest.approx(0.5 * (0.01 + 0.01) / 2)
    cut = replace(bad.trajectory, terminated=False, truncated=True, final=False)
    three, more = [good, bad, RewardExample(cut)], torch.cat([m, m[:1]])
    assert RewardLoss(None, "pvm", cut="bootstrap").report(three, more) == RewardLoss(
        None, "pvm"
    ).report(three[:2], m)  # what is unknown isn't a failure that the judge missed
    assert RewardLoss(None, "pvm").report(three, more)["explained_variance"] < 0.5
    alone = RewardLoss(None, "pvm").report([good], m[:1])
    assert alone == pytest.approx({"held_out_loss": 0.5 * 0.3 / 3})


def test_learning_rate_and_log(folder: Path, examples: list[RewardExample]) -> None:
    """20 steps of one example each: warm-up over 2 (½, 1), then a cosine from 1 towards 0."""
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    config = TrainConfig(lr=1e-3, epochs=2, batch=1)
    log = train_reward_model(model, examples, "pvm", config, held_out=0)
    assert [x["step"] for x in log] == list(range(20))
    cosine = [0.5 * (1 + math.cos(math.pi * k / 18)) for k in range(18)]
    np.testing.assert_allclose([x["lr"] * 1000 for x in log], [0.5, 1.0, *cosine])
    assert {"loss", "mean_m", "grad_norm"} <= log[0].keys()


# --- interruption


class Memory:
    """Keeps a state in memory, as bytes would: later steps don't change it."""

    state: tuple[Any, Any] | None = None
    saves = 0

    def load(self, run: Any) -> tuple[Any, Any] | None:
        return None if self.state is None else copy.deepcopy(self.state)

    def save(self, run: Any, tensors: Any, record: Any) -> None:
        self.state, self.saves = copy.deepcopy((dict(tensors), record)), self.saves + 1

    def remove(self) -> None:
        self.state = None


@pytest.mark.parametrize("what", ["agentprm", "sft", "held out"])
@pytest.mark.parametrize("steps", [[1], [3], [4, 3]])
def test_resuming_gives_the_same_weights(
    folder: Path,
    examples: list[RewardExample],
    what: str,
    steps: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed before the first save, after one, and twice: as if never killed, bit for bit.

    The model that goes on begins with other weights: all that counts comes from the checkpoint, the
    best epoch's weights included."""
    monkeypatch.setattr(train, "SAVE_STEPS", 2)

    def module(seed: int) -> nn.Module:
        if what == "sft":
            return SFTLoss(load_policy(folder, Lora(r=4, alpha=8), seed))
        model = new_reward_model(folder, Lora(r=4, alpha=8), seed)
        return RewardLoss(model, "agentprm", m_loss="squared")

    data: Any = [e.trajectory for e in examples] if what == "sft" else examples
    config, settings = TrainConfig(lr=1e-2, epochs=4, batch=3), {}
    if what == "held out":  # so fast that the first epoch, of five steps, is the best
        config, settings = replace(config, lr=0.1, batch=2), {"held_out": examples[:3]}
    whole = module(0)
    log = fit(whole, data, config, **settings)
    assert log[-1].get("best_epoch", 0) == 0
    assert len(log) > sum(steps)

    keeper = Memory()
    for k in steps:
        torn = Fragile(module(1 if keeper.state else 0), k)
        with pytest.raises(Interrupted):
            fit(torn, data, config, checkpoint=keeper, **settings)
        assert (keeper.state is not None) == (sum(steps) >= 2)
    again = module(1 if keeper.state else 0)
    resumed = fit(again, data, config, checkpoint=keeper, **settings)
    assert same(weights(whole), weights(again))
    assert resumed == log
    assert keeper.state is None


def test_a_resumed_run_goes_on_and_does_not_begin_again(
    folder: Path,
    examples: list[RewardExample],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "SAVE_STEPS", 3)
    inner = RewardLoss(new_reward_model(folder, Lora(r=4, alpha=8), 0), "pvm")
    config, keeper = TrainConfig(lr=1e-2, epochs=1, batch=1), Memory()
    with pytest.raises(Interrupted):
        fit(Fragile(inner, 7), examples, config, checkpoint=keeper)
    # six of ten steps are saved: four are left, and a fifth would raise
    log = fit(Fragile(inner, 4), examples, config, checkpoint=keeper)
    assert len(log) == 10


@pytest.mark.parametrize("what", ["base", "outcomes", "ids", "cut", "nothing"])
def test_a_run_does_not_go_on_with_other_data_or_another_base(
    folder: Path,
    examples: list[RewardExample],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """``cut``: an episode that had ended was only cut off."""
    monkeypatch.setattr(train, "SAVE_STEPS", 1)
    config, keeper = TrainConfig(lr=1e-2, epochs=1, batch=2), Checkpoint(tmp_path)

    class Dies(Checkpoint):
        def save(self, *state: Any) -> None:
            super().save(*state)
            raise Interrupted

    def module() -> RewardLoss:
        return RewardLoss(new_reward_model(folder, Lora(r=4, alpha=8), 0), "mc_soft")

    with pytest.raises(Interrupted):
        fit(module(), examples, config, checkpoint=Dies(tmp_path))
    loss, first = module(), examples[0]
    t = first.trajectory
    if what == "base":
        with torch.no_grad():
            split_model(loss.model)[0].embed_tokens.weight[0] += 1
    changed = {
        "outcomes": replace(first, outcomes=1 - first.outcomes),
        "ids": replace(first, trajectory=replace(t, ids=(t.ids[0] + 1, *t.ids[1:]))),
        "cut": replace(
            first, trajectory=replace(t, terminated=False, truncated=True, final=not t.final)
        ),
    }
    again = [changed.get(what, first), *examples[1:]]
    if what == "nothing":
        assert len(fit(loss, again, config, checkpoint=keeper)) == 5
        return
    with pytest.raises(ValueError, match="another run, which differs"):
        fit(loss, again, config, checkpoint=keeper)


@pytest.mark.parametrize(("seconds", "saves"), [(60.0, 0), (0.0, 3)])
def test_states_are_saved_by_time_too(
    examples: list[RewardExample], folder: Path, seconds: float, saves: int, monkeypatch: Any
) -> None:
    """A run whose steps take minutes doesn't lose a hundred of them; the last one isn't saved."""
    monkeypatch.setattr(loop, "SAVE_SECONDS", seconds)
    module, keeper = RewardLoss(new_reward_model(folder, Lora(r=4, alpha=8), 0), "pvm"), Memory()
    fit(module, examples, TrainConfig(lr=1e-2, epochs=2, batch=5), checkpoint=keeper)
    assert keeper.saves == saves  # two steps an epoch


def test_a_path_is_no_checkpoint(examples: list[RewardExample], folder: Path) -> None:
    module = RewardLoss(new_reward_model(folder, Lora(r=4, alpha=8), 0), "pvm")
    with pytest.raises(ValueError, match=r"checkpoint is 'run', expected a Checkpoint\('run'\) or"):
        fit(module, examples, TrainConfig(lr=1e-2, epochs=1), checkpoint="run")


# --- RFT


def test_rft_keeps_distinct_successes(
    folder: Path, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = random_trajectories(chat, 84, seed=2)  # 12 samples of each of 7 tasks
    chosen: list[Trajectory] = []
    monkeypatch.setattr(train, "sft", lambda model, data, config, **_: chosen.extend(data) or [])
    monkeypatch.setattr(train, "RFT_PER_TASK", 2)
    rft(None, pool, TrainConfig(lr=1e-3, epochs=1))
    assert all(t.success for t in chosen)
    by_task: dict[Any, list[Trajectory]] = {}
    for t in chosen:
        by_task.setdefault(t.task, []).append(t)
    for task in {t.task for t in pool}:
        good = [t for t in pool if t.task == task and t.success]
        distinct = list(dict.fromkeys(t.actions for t in good))
        assert [t.actions for t in by_task.get(task, [])] == distinct[:2]
    assert max(map(len, by_task.values())) == 2
    assert len(chosen) < sum(t.success for t in pool)


def test_rft_trains_on_what_it_kept(folder: Path, trajectories: list[Trajectory]) -> None:
    config = TrainConfig(lr=1e-3, epochs=1, batch=2)
    one, other = load_policy(folder), load_policy(folder)
    rft(one, trajectories, config)
    distinct = {(t.task, t.actions): t for t in reversed(trajectories) if t.success}
    tasks = list(dict.fromkeys(t.task for t in trajectories))
    kept = [t for task in tasks for t in trajectories if t is distinct.get((task, t.actions))]
    sft(other, kept, config)
    assert same(weights(one), weights(other))


def test_errors(folder: Path, trajectories: list[Trajectory]) -> None:
    config = TrainConfig(lr=1e-3, epochs=1)
    failures = [t for t in trajectories if not t.success]
    with pytest.raises(ValueError, match=f"none of the {len(failures)} rollouts succeeded"):
        rft(load_policy(folder), failures, config)
    with pytest.raises(ValueError, match="no examples"):
        sft(load_policy(folder), [], config)
    for settings in ({"beta": -1.0}, {"beta": math.nan}, {"lam": math.nan}, {"lam": 1.5}):
        with pytest.raises(ValueError, match="expected beta >= 0 and lam within"):
            RewardLoss(None, "agentprm", **settings)
    for wrong in ({"lr": 0.0}, {"epochs": 0}, {"batch": 0}, {"microbatch_tokens": 0}):
        with pytest.raises(ValueError, match="must be positive"):
            replace(config, **wrong)
