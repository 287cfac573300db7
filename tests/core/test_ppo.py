"""PPO over turns: rewards, advantages against a loop, first gradient, reference, a small bandit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import (
    TASKS,
    backend,
    float64,
    random_reward_model,
    random_trajectories,
    randomize,
    whole_logprobs,
)
from torch import Tensor

from agentprm_lite.chat import ChatFormat
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.forward import action_logprobs, split_model
from agentprm_lite.models import Lora, load_policy
from agentprm_lite.ppo import (
    Critic,
    PPOConfig,
    ProcessReward,
    _Batch,
    _learn,
    _prepare,
    ppo,
    turn_rewards,
)
from agentprm_lite.prm import RewardModel, StepValues
from agentprm_lite.types import Trajectory
from agentprm_lite.worlds.textcraft import TextCraft

F64 = torch.float64
CONFIG = PPOConfig(iterations=1, tasks=1, samples=1, lr=1e-2)
SAMPLING = SamplingConfig(max_new_tokens=12, rules=False)
LORA = Lora(r=4, alpha=8)

# --- rewards of turns

REWARDS = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
Q = torch.tensor([[0.6, 0.9, 7.0], [0.2, 0.4, 0.3]])
ROOT = torch.tensor([0.5, 0.1])
MASK = torch.tensor([[True, True, False], [True, True, True]])
FINAL = torch.tensor([True, False])


@pytest.mark.parametrize(
    ("kind", "alpha", "gamma", "expected"),
    [
        ("outcome", 1.0, 1.0, [[0, 1, 0], [0, 0, 0]]),
        # r + M: 0.6, 1 + 0.9; padding earns nothing
        ("raw_q", 1.0, 1.0, [[0.6, 1.9, 0], [0.2, 0.4, 0.3]]),
        ("raw_q", 0.5, 1.0, [[0.3, 1.45, 0], [0.1, 0.2, 0.15]]),
        # 0.6 − 0.5, 1 + 0 − 0.6; cut: 0.2 − 0.1, 0.4 − 0.2, 0.3 − 0.4
        ("shaping", 1.0, 1.0, [[0.1, 0.4, 0], [0.1, 0.2, -0.1]]),
        # 2(0.45 − 0.5), 1 + 2(0 − 0.6); cut: 2(0.15 − 0.1), 2(0.3 − 0.2), 2(0.225 − 0.4)
        ("shaping", 2.0, 0.75, [[-0.1, -0.2, 0], [0.1, 0.2, -0.35]]),
    ],
)
def test_turn_rewards_worked(
    kind: ProcessReward, alpha: float, gamma: float, expected: list[list[float]]
) -> None:
    q = Q.clone()
    found = turn_rewards(REWARDS, q, ROOT, MASK, FINAL, kind=kind, alpha=alpha, gamma=gamma)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert torch.equal(q, Q)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_shaped_rewards_telescope(gamma: float, alpha: float) -> None:
    """Σ γ^t of shaped rewards is the environment's return − αΦ(s_0); of a cut episode + αγ^T M at
    its end. Nothing that happens between changes the sum."""
    g = torch.Generator().manual_seed(0)
    b, t = 40, 6
    q, root = torch.rand(b, t, generator=g, dtype=F64), torch.rand(b, generator=g, dtype=F64)
    rewards = torch.rand(b, t, generator=g, dtype=F64)
    lengths = torch.randint(1, t + 1, (b,), generator=g)
    mask = torch.arange(t) < lengths[:, None]
    final = torch.rand(b, generator=g) < 0.5
    shaped = turn_rewards(rewards, q, root, mask, final, kind="shaping", alpha=alpha, gamma=gamma)
    for k in range(b):
        n = int(lengths[k])
        expected = sum(gamma**i * float(rewards[k, i]) for i in range(n)) - alpha * float(root[k])
        if not final[k]:
            expected += alpha * gamma**n * float(q[k, n - 1])
        found = sum(gamma**i * float(shaped[k, i]) for i in range(t))
        assert found == pytest.approx(expected, abs=1e-12)


def test_raw_q_pays_for_dithering_and_shaping_does_not() -> None:
    """Two steps to the goal, or the first one four times: same outcome. Raw Q: 1 + 0.6 + 0.9 = 2.5
    against 1 + 4 · 0.6 + 0.9 = 4.3, shaping 1 − 0.5 for both."""
    q = torch.tensor([[0.6, 0.9, 0, 0, 0], [0.6, 0.6, 0.6, 0.6, 0.9]])
    rewards = torch.tensor([[0.0, 1, 0, 0, 0], [0, 0, 0, 0, 1]])
    mask, yes = q > 0, torch.tensor([True, True])
    half = torch.tensor([0.5, 0.5])
    raw = turn_rewards(rewards, q, half, mask, yes, kind="raw_q").sum(1)
    shaped = turn_rewards(rewards, q, half, mask, yes, kind="shaping").sum(1)
    np.testing.assert_allclose(raw, [2.5, 4.3], rtol=1e-6)
    np.testing.assert_allclose(shaped, [0.5, 0.5], rtol=1e-6)


# --- one round


@pytest.fixture
def model(folder: Path) -> Any:
    """A policy whose adapters have moved away from the reference."""
    return randomize(load_policy(folder, LORA), scale=0.1)


@pytest.fixture(scope="module")
def played(chat: ChatFormat) -> list[Trajectory]:
    """Trajectories with a success, a failure and an episode that was cut."""
    out = random_trajectories(chat, 8, seed=8)
    assert {t.success for t in out} == {t.final for t in out} == {True, False}
    return out


@pytest.fixture(scope="module")
def values(folder: Path, played: list[Trajectory]) -> list[StepValues]:
    return RewardModel(random_reward_model(folder)).score(played)


def random_critic(model: Any) -> Critic:
    return randomize(Critic(model), seed=3)


def states(model: Any, trajectory: Trajectory) -> list[Tensor]:
    """Hidden states before the turns, by an ordinary pass over one trajectory."""
    with torch.no_grad():
        out = split_model(model)[0](input_ids=torch.tensor([trajectory.ids])).last_hidden_state[0]
    return [out[start - 1] for start, _ in trajectory.spans]


def advantages_by_hand(
    model: Any, critic: Critic, t: Trajectory, m: StepValues, config: PPOConfig
) -> tuple[list[float], list[float]]:
    """Advantages by the double sum over δ, and V before every turn."""
    weight, bias = critic.head.weight[0].detach(), float(critic.head.bias.detach())
    v = [float(weight @ h) + bias for h in states(model, t)]
    phi = [m.root, *m.q.tolist()]
    rewards = list(t.rewards)
    if config.reward == "shaping":
        phi[-1] = 0.0 if t.final else phi[-1]
        gains = [config.gamma * b - a for a, b in pairwise(phi)]
        rewards = [r + config.alpha * x for r, x in zip(rewards, gains, strict=True)]
    if config.reward == "raw_q":
        rewards = [r + config.alpha * x for r, x in zip(rewards, phi[1:], strict=True)]
    after = [*v[1:], 0.0 if t.final else v[-1]]
    delta = [r + config.gamma * b - a for r, a, b in zip(rewards, v, after, strict=True)]
    decay = config.gamma * config.lam
    steps = len(delta)
    return [sum(decay ** (k - i) * delta[k] for k in range(i, steps)) for i in range(steps)], v


@pytest.mark.parametrize("reward", ["outcome", "shaping", "raw_q"])
def test_prepare_against_a_loop(
    model: Any, played: list[Trajectory], values: list[StepValues], reward: ProcessReward
) -> None:
    """Advantages over turns, whitened over all turns of all batches, the same for every token of a
    turn and in the order of the log-probabilities; returns before whitening."""
    config = replace(CONFIG, reward=reward, gamma=0.9, lam=0.8, alpha=0.7, batch_tokens=400)
    critic = random_critic(model)
    batches, process_reward = _prepare(model, critic, played, values, config)
    assert len(batches) > 2
    assert sorted(t.key for b in batches for t in b.trajectories) == sorted(t.key for t in played)
    by_hand = {
        t.key: advantages_by_hand(model, critic, t, m, config)
        for t, m in zip(played, values, strict=True)
    }
    turns = np.concatenate([a for a, _ in by_hand.values()])
    for batch in batches:
        expected, returns = [], []
        for t in batch.trajectories:
            a, v = by_hand[t.key]
            for (start, end), x in zip(t.spans, a, strict=True):
                expected += [(x - turns.mean()) / turns.std()] * (end - start)
            returns += [x + y for x, y in zip(a, v, strict=True)]
        np.testing.assert_allclose(batch.advantages, expected, atol=1e-4)
        np.testing.assert_allclose(batch.returns, returns, atol=1e-4)
        assert not batch.advantages.requires_grad and not batch.returns.requires_grad
    earned = {"outcome": 0.0, "raw_q": 0.7 * sum(float(m.q.sum()) for m in values) / len(values)}
    if reward in earned:
        assert process_reward == pytest.approx(earned[reward], abs=1e-5)


def test_reference_is_the_policy_without_adapters(
    folder: Path, model: Any, played: list[Trajectory], values: list[StepValues]
) -> None:
    """Against the checkpoint on the disk; the policy itself says something else."""
    batches, _ = _prepare(model, Critic(model), played, values, CONFIG)
    base = load_policy(folder)
    for batch in batches:
        expected = [
            float(whole_logprobs(base, t.ids)[k - 1])
            for t in batch.trajectories
            for start, end in t.spans
            for k in range(start, end)
        ]
        np.testing.assert_allclose(batch.reference, expected, atol=1e-4)
        with torch.no_grad():
            now = action_logprobs(model, batch.trajectories)
        assert float((now - batch.reference).abs().mean()) > 0.05


def test_one_turn_has_no_advantage(model: Any, chat: ChatFormat) -> None:
    """One turn in all: nothing to compare with, so whitening gives 0 and not NaN."""
    one = next(t for t in random_trajectories(chat, 40, seed=8) if t.num_steps == 1)
    config = replace(CONFIG, reward="outcome")
    batches, _ = _prepare(model, random_critic(model), [one], None, config)
    assert batches[0].advantages.tolist() == [0.0] * len(one.logprobs)


class Recorder(torch.optim.SGD):
    """Keeps the gradients of its steps and changes nothing."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, lr=1.0)
        self.seen: list[list[Tensor]] = []

    def step(self, closure: Any = None) -> None:
        self.seen.append([p.grad.clone() for g in self.param_groups for p in g["params"]])


def trained(model: Any) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


@pytest.mark.usefixtures("two_rounds")
def test_first_gradient_is_the_policy_gradient(folder: Path, chat: ChatFormat) -> None:
    """On episodes that the policy has just played the ratio is 1: the gradient is that of
    −mean(A log π) + kl · mean(k3), clipped to norm 1; the critic has no part in it."""
    model = float64(randomize(load_policy(folder, LORA), scale=0.1))
    base = float64(load_policy(folder))
    policy = backend(model, chat)
    episodes = policy.run([policy.start(t, k, 0) for t in TASKS[:3] for k in range(2)])
    config = replace(CONFIG, reward="outcome", kl=0.05)
    critic = random_critic(model)
    batches, _ = _prepare(model, critic, episodes, None, config)
    (batch,) = batches
    batch = replace(batch, advantages=torch.linspace(-1, 1.5, len(batch.advantages)))
    recorder = Recorder(trained(model))
    log = _learn(model, critic, recorder, Recorder(critic.parameters()), [batch], config)
    assert log["clipped"] == 0

    terms: list[Tensor] = []
    weights = iter(batch.advantages.tolist())
    for t in batch.trajectories:
        logits = model(input_ids=torch.tensor([t.ids])).logits[0].log_softmax(-1)
        reference = whole_logprobs(base, t.ids)
        for start, end in t.spans:
            for k in range(start, end):
                logp, d = logits[k - 1, t.ids[k]], reference[k - 1] - logits[k - 1, t.ids[k]]
                terms.append(-next(weights) * logp + 0.05 * (d.exp() - 1 - d))
    expected = torch.autograd.grad(torch.stack(terms).mean(), trained(model))
    norm = float(torch.stack([g.square().sum() for g in expected]).sum().sqrt())
    assert len(terms) == sum(len(t.logprobs) for t in episodes) and norm > 1e-3
    for found, wanted in zip(recorder.seen[0], expected, strict=True):
        torch.testing.assert_close(found, wanted / max(norm, 1.0), atol=1e-6, rtol=1e-4)


def test_critic_sends_no_gradient_into_the_policy(model: Any) -> None:
    hidden = torch.randn(3, 32, requires_grad=True)
    critic = random_critic(model)
    critic(hidden).sum().backward()
    assert hidden.grad is None and critic.head.weight.grad is not None
    assert Critic(model)(hidden).tolist() == [0.0] * 3


def hand_made(model: Any, trajectories: list[Trajectory], signs: list[float]) -> _Batch:
    """A batch whose trajectories have one advantage each."""
    with torch.no_grad():
        logp = action_logprobs(model, trajectories)
        hidden = torch.stack([h for t in trajectories for h in states(model, t)])
    sizes = torch.tensor([len(t.logprobs) for t in trajectories])
    known = [
        replace(t, logprobs=tuple(x.tolist()))
        for t, x in zip(trajectories, logp.split(sizes.tolist()), strict=True)
    ]
    advantages = torch.repeat_interleave(torch.tensor(signs), sizes)
    return _Batch(known, logp, advantages, hidden, torch.ones(len(hidden)))


def test_what_has_an_advantage_becomes_likelier(model: Any, played: list[Trajectory]) -> None:
    two = [next(t for t in played if t.success), next(t for t in played if not t.success)]
    for signs in ([1.0, -1.0], [-1.0, 1.0]):
        batch = hand_made(model, two, signs)
        critic = Critic(model)
        optimizer = torch.optim.AdamW(trained(model), lr=3e-3)
        other = torch.optim.AdamW(critic.parameters(), lr=1e-2)
        config = replace(CONFIG, kl=0.0, epochs=4, clip=10.0)
        log = _learn(model, critic, optimizer, other, [batch], config)
        with torch.no_grad():
            change = action_logprobs(model, two) - batch.reference
        first = len(two[0].logprobs)
        assert float(change[:first].mean()) * signs[0] > 0
        assert float(change[first:].mean()) * signs[1] > 0
        assert log["value_error"] < 1  # from 1, the square of the returns


def test_kl_pulls_back_to_the_reference(model: Any, played: list[Trajectory]) -> None:
    """Without advantages the penalty alone is left, and the policy goes back."""
    with torch.no_grad(), model.disable_adapter():
        reference = action_logprobs(model, played)
    batch = replace(hand_made(model, played, [0.0] * len(played)), reference=reference)
    critic = Critic(model)
    optimizer = torch.optim.AdamW(trained(model), lr=3e-3)
    other = torch.optim.AdamW(critic.parameters(), lr=1e-2)
    kls = [
        _learn(model, critic, optimizer, other, [batch], replace(CONFIG, kl=1.0))["kl"]
        for _ in range(6)
    ]
    assert kls[0] > 0.01 and kls[-1] < 0.7 * kls[0]


# --- whole runs


@pytest.fixture
def two_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextCraft, "default_rounds", 2)


class ShortTurns:
    """In place of a reward model: M is 1 after a turn of at most three tokens, else 0."""

    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        return [
            StepValues(0.0, np.array([float(end - start <= 3) for start, end in t.spans]))
            for t in trajectories
        ]


def run(folder: Path, chat: ChatFormat, **settings: Any) -> tuple[Any, list[dict[str, float]]]:
    model = load_policy(folder, LORA)
    fields: dict[str, Any] = {"iterations": 2, "tasks": 4, "samples": 4, "lr": 1e-2} | settings
    config = PPOConfig(**{"reward": "raw_q", "kl": 0.0} | fields)
    judge: Any = ShortTurns()
    return model, ppo(model, chat, TASKS, config, SAMPLING, judge)


@pytest.mark.usefixtures("two_rounds")
def test_a_bandit_is_learned(folder: Path, chat: ChatFormat) -> None:
    """Raw Q of a judge that likes short turns, two turns an episode: at most 2 to be had."""
    _, logs = run(folder, chat, iterations=6, samples=12, lr=2e-2)
    earned = [log["process_reward"] for log in logs]
    assert earned[0] < 1.4 and earned[-1] > earned[0] + 0.4
    assert logs[-1]["tokens"] < logs[0]["tokens"]


@pytest.mark.usefixtures("two_rounds")
def test_episodes_are_played_by_the_policy_as_it_is_now(folder: Path, chat: ChatFormat) -> None:
    """One batch and one epoch a round: the ratio is 1 in every round, so nothing is clipped.

    With a cache or log-probabilities from before the update it would be, as in a second epoch.
    """
    one_batch: dict[str, Any] = {"samples": 12, "lr": 5e-2, "batch_tokens": 10**6}
    _, fresh = run(folder, chat, iterations=3, **one_batch)
    assert [log["clipped"] for log in fresh] == [0.0] * 3
    _, twice = run(folder, chat, iterations=1, epochs=2, **one_batch)
    assert twice[0]["clipped"] > 0.05


@pytest.mark.usefixtures("two_rounds")
def test_run_is_a_function_of_its_seed_and_leaves_the_base(folder: Path, chat: ChatFormat) -> None:
    one, first = run(folder, chat)
    two, second = run(folder, chat)
    other, third = run(folder, chat, seed=1)
    assert first == second != third
    for a, b in zip(trained(one), trained(two), strict=True):
        assert torch.equal(a, b)
    assert any(not torch.equal(a, b) for a, b in zip(trained(one), trained(other), strict=True))
    base = dict(load_policy(folder).named_parameters())
    for name, p in one.get_base_model().named_parameters():
        if "lora_" not in name:
            assert torch.equal(p, base[name.replace(".base_layer", "")]), name


@pytest.mark.usefixtures("two_rounds")
def test_log_and_callback(folder: Path, chat: ChatFormat) -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    model = load_policy(folder, LORA)
    config = replace(CONFIG, iterations=2, tasks=3, samples=2, reward="outcome")
    logs = ppo(model, chat, TASKS, config, SAMPLING, on_round=lambda i, log: seen.append((i, log)))
    assert seen == list(enumerate(logs))
    names = {"success", "turns", "process_reward", "kl", "clipped", "value_error", "tokens"}
    assert all(log.keys() == names for log in logs)
    assert logs[0]["turns"] == 2 and logs[0]["process_reward"] == 0 and logs[0]["tokens"] > 12


def test_errors(model: Any, chat: ChatFormat) -> None:
    with pytest.raises(ValueError, match=r"temperature 1, got 0\.7"):
        ppo(model, chat, TASKS, CONFIG, replace(SAMPLING, temperature=0.7))
    with pytest.raises(ValueError, match="'shaping' needs a judge"):
        ppo(model, chat, TASKS, CONFIG, SAMPLING)
    short, outcome = replace(SAMPLING, max_context=20), replace(CONFIG, reward="outcome")
    with pytest.raises(ValueError, match="no episode has room"):
        ppo(model, chat, TASKS, outcome, short)
    with pytest.raises(ValueError, match="expected outcome, shaping or raw_q"):
        replace(CONFIG, reward="q")
    for name in ("iterations", "tasks", "samples", "epochs"):
        with pytest.raises(ValueError, match="must be >= 1"):
            replace(CONFIG, **{name: 0})
