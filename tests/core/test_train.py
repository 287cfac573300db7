"""Training: what carries a loss, labels of every kind, batches, resuming, seeds, RFT."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import float64, random_reward_model, random_trajectories, whole_logprobs
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from agentprm_lite import train
from agentprm_lite.chat import ChatFormat
from agentprm_lite.forward import action_logprobs, action_tokens, split_model
from agentprm_lite.models import Lora, load_policy, new_reward_model
from agentprm_lite.prm import RewardModel
from agentprm_lite.train import (
    Kind,
    RewardExample,
    RewardLoss,
    SFTLoss,
    TrainConfig,
    fit,
    make_batches,
    rft,
    sft,
    train_reward_model,
)
from agentprm_lite.types import Trajectory

F64 = torch.float64
KINDS: tuple[Kind, ...] = ("orm", "pvm", "mc_hard", "mc_soft", "pqm", "agentprm")


@pytest.fixture(scope="module")
def trajectories(chat: ChatFormat) -> list[Trajectory]:
    return random_trajectories(chat, 10, seed=8)


@pytest.fixture(scope="module")
def examples(trajectories: list[Trajectory]) -> list[RewardExample]:
    rng = np.random.default_rng(0)
    return [RewardExample(t, rng.integers(0, 2, (t.num_steps, 3))) for t in trajectories]


def weights(model: Any) -> dict[str, Tensor]:
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Bitwise."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


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
    loss, logs = SFTLoss(model)(trajectories)
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
    SFTLoss(model)(trajectories)[0].backward()
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
    log = sft(model, trajectories[:4], TrainConfig(lr=3e-3, epochs=16, batch_tokens=600))
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]
    assert not model.training


# --- batches


def test_make_batches_covers_everything_once_within_the_budget() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(50, 900, 300).tolist()
    config = TrainConfig(lr=1e-3, epochs=3, batch_tokens=4096, seed=7)
    plans = [make_batches(lengths, config, epoch) for epoch in range(3)]
    for plan in plans:
        assert sorted(i for group in plan for i in group) == list(range(300))
        assert all(len(g) * max(lengths[i] for i in g) <= 4096 for g in plan)
    assert plans[0] == make_batches(lengths, config, 0)
    assert plans[0] != plans[1] != plans[2]
    assert plans[0] != make_batches(lengths, replace(config, seed=8), 0)


def test_make_batches_puts_similar_lengths_together() -> None:
    """Padding: at random order half the tokens of these would be padding; here a tenth."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(10, 1000, 2000).tolist()
    plan = make_batches(lengths, TrainConfig(lr=1e-3, epochs=1, batch_tokens=8192), 0)
    padded = sum(len(g) * max(lengths[i] for i in g) for g in plan)
    assert sum(lengths) / padded > 0.85
    # in random order, not from short to long
    means = [np.mean([lengths[i] for i in g]) for g in plan]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_a_long_example_stands_alone() -> None:
    plan = make_batches([5000, 10, 10], TrainConfig(lr=1e-3, epochs=1, batch_tokens=64), 0)
    assert sorted(map(sorted, plan)) == [[0], [1, 2]]


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
    expected: dict[Kind, list[list[float]]] = {
        "orm": [[0, 0, 0, 0, 1], [0, 0, 0, 0, 0]],
        "pvm": [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]],
        "mc_hard": [[0, 1, 1, 0, 1], [1, 0, 0, 0, 0]],
        "mc_soft": soft,
        "pqm": [[0, 1, 1, 0, 1], [1, 0, 0, 0, 0]],
        "agentprm": [[0.9073, 0.9287, 0.9513, 0.975, 1], [0.5, 0.5, 0, 0, 0]],
    }
    for kind, rows in expected.items():
        labels = RewardLoss(nn.Identity(), kind).labels([five, cut], q, root, mask)
        np.testing.assert_allclose(labels.q.numpy(), rows, atol=5e-5)
        labelled = mask if kind != "orm" else torch.eye(5, dtype=torch.bool)[[4, 1]]
        assert torch.equal(labels.q_mask, labelled)
        has_root = {"pvm": [1.0, 0.0], "agentprm": [0.95 * 0.90725 + 0.025, 0.5]}.get(kind)
        assert labels.root_mask.tolist() == [has_root is not None] * 2
        if has_root:
            np.testing.assert_allclose(labels.root.numpy(), has_root, atol=5e-5)


def independent_loss(kind: Kind, example: RewardExample, m: list[float], lam: float) -> list[Any]:
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
        end = r if t.final else m[steps]
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


@pytest.mark.parametrize("kind", KINDS)
def test_loss_equals_an_independent_computation(
    folder: Path, examples: list[RewardExample], kind: Kind
) -> None:
    model = float64(random_reward_model(folder))
    beta, lam = 0.7, 0.8
    scored = RewardModel(model).score([e.trajectory for e in examples])
    parts = [
        independent_loss(kind, e, [s.root, *s.q.tolist()], lam)
        for e, s in zip(examples, scored, strict=True)
    ]
    errors = [x for a, _ in parts for x in a]
    gains = [x for _, b in parts for x in b]
    expected = 0.5 * sum(errors) / len(errors)
    if kind == "agentprm":
        expected += beta * 0.5 * sum(gains) / len(gains)
    if kind == "pqm":
        pairs = zip(examples, scored, strict=True)
        expected = np.mean([ranked(s.q, e.rollouts()) for e, s in pairs])
    loss, logs = RewardLoss(model, kind, beta=beta, lam=lam)(examples)
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert logs["mean_m"] == pytest.approx(np.mean(np.concatenate([s.q for s in scored])))


def test_labels_come_from_the_same_pass_and_carry_no_gradient(
    folder: Path, examples: list[RewardExample]
) -> None:
    """Algorithm 1. One forward pass; the gradient is that of a loss whose labels are numbers."""
    model = float64(random_reward_model(folder))
    module = RewardLoss(model, "agentprm", beta=0.7, lam=0.8)
    calls: list[int] = []
    handle = split_model(model)[0].register_forward_hook(lambda *_: calls.append(1))
    module(examples)[0].backward()
    handle.remove()
    assert len(calls) == 1
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    model.zero_grad()
    trajectories = [e.trajectory for e in examples]
    q, root, mask = train.step_values(model, trajectories)
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
    with pytest.raises(ValueError, match="'prm', expected one of"):
        RewardLoss(nn.Identity(), "prm")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        (None, "one row of outcomes for each of its 2 steps"),
        (np.zeros((3, 4)), "one row of outcomes for each of its 2 steps"),
        (np.array([[0.5], [1.5]]), r"outcomes within \[0, 1\], got \[0.5, 1.5\]"),
    ],
)
def test_monte_carlo_needs_outcomes(chat: ChatFormat, outcomes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        example(chat, 2, outcomes=outcomes).rollouts()


def test_monte_carlo_needs_one_number_of_rollouts(chat: ChatFormat) -> None:
    pair = [example(chat, 2, outcomes=np.zeros((2, k))) for k in (1, 4)]
    q = torch.full((2, 2), 0.5)
    with pytest.raises(ValueError, match=r"\[1, 4\] rollouts a step"):
        RewardLoss(nn.Identity(), "mc_soft").labels(pair, q, q[:, 0], q > 0)


# --- whole trainings


def trained(
    folder: Path, examples: Sequence[RewardExample], kind: Kind, *, seed: int = 0, **settings: Any
) -> dict[str, Tensor]:
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    config = TrainConfig(lr=1e-2, epochs=3, batch_tokens=700, seed=seed)
    log = train_reward_model(model, examples, kind, config, **settings)
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
    train_reward_model(model, examples, "pvm", TrainConfig(lr=1e-2, epochs=2, batch_tokens=700))
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved <= set(names)
    assert any("lora_A" in n for n in moved) and any("score" in n for n in moved)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_to_tell_success(
    folder: Path, examples: list[RewardExample], kind: Kind
) -> None:
    data = [
        RewardExample(e.trajectory, np.full((e.trajectory.num_steps, 2), e.trajectory.success))
        for e in examples
        if e.trajectory.final
    ]
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    train_reward_model(model, data, kind, TrainConfig(lr=2e-2, epochs=12, batch_tokens=2000))
    scored = RewardModel(model).score([e.trajectory for e in data])
    last = np.array([s.q[-1] for s in scored])
    success = np.array([e.trajectory.success for e in data])
    assert last[success].mean() > last[~success].mean() + 0.3


def test_a_step_lost_to_truncation_is_an_error(folder: Path, examples: list[RewardExample]) -> None:
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    longest = max((e.trajectory for e in examples), key=lambda t: len(t.ids))
    split_model(model)[0].config.max_position_embeddings = len(longest.ids) - 1
    with pytest.raises(ValueError, match=f"{longest.key} .* last steps would be lost"):
        train_reward_model(model, examples, "pvm", TrainConfig(lr=1e-2, epochs=1))


def test_bfloat16_runs_and_keeps_float32_weights(
    folder: Path, examples: list[RewardExample]
) -> None:
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    config = TrainConfig(lr=1e-2, epochs=1, batch_tokens=2000, bf16=True)
    log = train_reward_model(model, examples, "agentprm", config)
    assert all(math.isfinite(x["loss"]) for x in log)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    policy = load_policy(folder)
    sft(policy, [e.trajectory for e in examples], config)
    assert {p.dtype for p in policy.parameters()} == {torch.float32}


def test_a_split_model_needs_bfloat16(
    folder: Path, trajectories: list[Trajectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scaled loss has to be unscaled on all ranks alike, which nobody does here."""
    monkeypatch.setattr(train, "half_dtype", lambda: torch.float16)
    config = TrainConfig(lr=1e-3, epochs=1, bf16=True, shard=True)
    with pytest.raises(ValueError, match="shard needs bfloat16"):
        sft(load_policy(folder), trajectories, config)


def test_learning_rate_and_log(folder: Path, examples: list[RewardExample]) -> None:
    """20 steps of one example each: warm-up over 2 (½, 1), then a cosine from 1 towards 0."""
    model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
    config = TrainConfig(lr=1e-3, epochs=2, batch_tokens=1)
    log = train_reward_model(model, examples, "pvm", config)
    assert [x["step"] for x in log] == list(range(20))
    cosine = [0.5 * (1 + math.cos(math.pi * k / 18)) for k in range(18)]
    np.testing.assert_allclose([x["lr"] * 1000 for x in log], [0.5, 1.0, *cosine])
    assert {"loss", "mean_m", "grad_norm"} <= log[0].keys()


# --- interruption


class Interrupted(Exception):
    """Stands for a crash."""


class Fragile(nn.Module):
    """Raises at its k-th step."""

    def __init__(self, inner: nn.Module, at: int) -> None:
        super().__init__()
        self.inner, self.left = inner, at

    def forward(self, examples: Any) -> Any:
        if self.left == 0:
            raise Interrupted
        self.left -= 1
        return self.inner(examples)


@pytest.mark.parametrize("what", ["agentprm", "sft"])
@pytest.mark.parametrize("steps", [[1], [3], [4, 3]])
def test_resuming_gives_the_same_weights(
    folder: Path, examples: list[RewardExample], tmp_path: Path, what: str, steps: list[int]
) -> None:
    """Killed before the first save, after one, and twice: as if never killed, bit for bit.

    The model that goes on begins with other weights: all that counts comes from the checkpoint."""

    def module(seed: int) -> nn.Module:
        if what == "sft":
            return SFTLoss(load_policy(folder, Lora(r=4, alpha=8), seed))
        return RewardLoss(new_reward_model(folder, Lora(r=4, alpha=8), seed), "agentprm")

    data = examples if what == "agentprm" else [e.trajectory for e in examples]
    length = (lambda e: len(e.trajectory.ids)) if what == "agentprm" else (lambda t: len(t.ids))
    config = TrainConfig(lr=1e-2, epochs=3, batch_tokens=500)
    whole = module(0)
    log = fit(whole, data, length, config)
    assert len(log) > sum(steps)

    (tmp_path / "state.new").write_bytes(b"half of a checkpoint")
    saved = False
    for k in steps:
        torn = Fragile(module(1 if saved else 0), k)
        with pytest.raises(Interrupted):
            fit(torn, data, length, config, checkpoint=tmp_path, save_every=2)
        saved = (tmp_path / "state.safetensors").exists()
        assert saved == (sum(steps) >= 2)
    again = module(1 if saved else 0)
    resumed = fit(again, data, length, config, checkpoint=tmp_path, save_every=2)
    assert same(weights(whole), weights(again))
    assert resumed == log
    assert not (tmp_path / "state.safetensors").exists()


def test_a_resumed_run_goes_on_and_does_not_begin_again(
    folder: Path, examples: list[RewardExample], tmp_path: Path
) -> None:
    inner = RewardLoss(new_reward_model(folder, Lora(r=4, alpha=8), 0), "pvm")
    config = TrainConfig(lr=1e-2, epochs=1, batch_tokens=1)
    arguments: Any = (examples, lambda e: len(e.trajectory.ids), config)
    with pytest.raises(Interrupted):
        fit(Fragile(inner, 7), *arguments, checkpoint=tmp_path, save_every=3)
    # six of ten steps are saved: four are left, and a fifth would raise
    log = fit(Fragile(inner, 4), *arguments, checkpoint=tmp_path, save_every=3)
    assert len(log) == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 2e-2}, r"in lr \(0.01 there, 0.02 here\); give another folder or remove this file"),
        ({"epochs": 2}, r"in epochs \(1 there, 2 here\), batches \(10 of 10 examples, "),
        ({"seed": 1}, r"in seed \(0 there, 1 here\), batches \("),
        ({"data": slice(0, 9)}, r"in batches \(10 of 10 examples, .* there, 9 of 9 examples, "),
        ({"data": slice(None, None, -1)}, r"in batches \(10 of 10 .* there, 10 of 10 .* here\);"),
        ({"r": 8}, r"in parameters \(.* there, .* here\);"),
        ({"label": "orm"}, r"in label \(pvm there, orm here\);"),
        ({"old": True}, r"in label \(None there, pvm here\), lr \(None there"),
    ],
    ids=str,
)
def test_a_checkpoint_of_another_run_is_refused(
    folder: Path,
    examples: list[RewardExample],
    tmp_path: Path,
    change: dict[str, Any],
    message: str,
) -> None:
    """It would be continued with other batches or settings, or its weights would not fit."""
    change = dict(change)
    config = TrainConfig(lr=1e-2, epochs=1, batch_tokens=1)

    def go(data: Any, config: TrainConfig, r: int = 4, label: str = "pvm", at: int = 5) -> None:
        module = RewardLoss(new_reward_model(folder, Lora(r=r, alpha=8), 0), "pvm")
        arguments: Any = (data, lambda e: len(e.trajectory.ids), config)
        fit(Fragile(module, at), *arguments, checkpoint=tmp_path, save_every=2, label=label)

    with pytest.raises(Interrupted):
        go(examples, config)
    state = tmp_path / "state.safetensors"
    if change.pop("old", False):  # as they were written before the run was told
        with safe_open(state, "pt") as f:
            log = f.metadata()["log"]
        save_file(load_file(state), state, metadata={"log": log})
    before = state.read_bytes()
    other: Any = {k: change.pop(k) for k in ("r", "label") if k in change}
    data = examples[change.pop("data", slice(None))]
    with pytest.raises(ValueError, match=rf"state\.safetensors belongs to another run.*{message}"):
        go(data, replace(config, **change), **other)
    assert state.read_bytes() == before


# --- RFT


def test_rft_keeps_distinct_successes(
    folder: Path, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = random_trajectories(chat, 84, seed=2)  # 12 samples of each of 7 tasks
    chosen: list[Trajectory] = []
    monkeypatch.setattr(train, "sft", lambda model, data, config, **_: chosen.extend(data) or [])
    rft(None, pool, TrainConfig(lr=1e-3, epochs=1), per_task=2)
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
    config = TrainConfig(lr=1e-3, epochs=1, batch_tokens=700)
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
    for wrong in ({"lr": 0.0}, {"epochs": 0}, {"batch_tokens": 0}):
        with pytest.raises(ValueError, match="must be positive"):
            replace(config, **wrong)
