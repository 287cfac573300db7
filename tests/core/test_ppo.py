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

from agentprm_lite import ppo
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.files import Checkpoint
from agentprm_lite.forward import action_logprobs, split_model
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.loop import Loop
from agentprm_lite.models import Lora
from agentprm_lite.ppo import (
    Credited,
    Critic,
    PPOConfig,
    PPOLoss,
    ProcessReward,
    credit,
    learn,
    train_ppo,
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


def nothing(played: list[Trajectory]) -> list[StepValues]:
    return [StepValues(0.0, np.zeros(t.num_steps)) for t in played]


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
    config = replace(CONFIG, reward=reward, gamma=0.9, lam=0.8, alpha=0.7, microbatch_tokens=400)
    critic = random_critic(model)
    episodes, process_reward = credit(model, critic, played, values, config)
    assert [e.trajectory for e in episodes] == played
    by_hand = {
        t.key: advantages_by_hand(model, critic, t, m, config)
        for t, m in zip(played, values, strict=True)
    }
    turns = np.concatenate([a for a, _ in by_hand.values()])
    for e in episodes:
        a, v = by_hand[e.trajectory.key]
        expected: list[float] = []
        for (start, end), x in zip(e.trajectory.spans, a, strict=True):
            expected += [(x - turns.mean()) / turns.std()] * (end - start)
        np.testing.assert_allclose(e.advantages, expected, atol=1e-4)
        np.testing.assert_allclose(e.returns, np.add(a, v), atol=1e-4)
        np.testing.assert_allclose(e.states, torch.stack(states(model, e.trajectory)), atol=1e-4)
        assert not e.advantages.requires_grad and not e.returns.requires_grad
    earned = {"outcome": 0.0, "raw_q": 0.7 * sum(float(m.q.sum()) for m in values) / len(values)}
    if reward in earned:
        assert process_reward == pytest.approx(earned[reward], abs=1e-5)


def test_reference_is_the_policy_without_adapters(
    folder: Path, model: Any, played: list[Trajectory], values: list[StepValues]
) -> None:
    """Against the checkpoint on the disk; the policy itself says something else."""
    episodes, _ = credit(model, Critic(model), played, values, CONFIG)
    base = load_policy(folder)
    for e in episodes:
        expected = [
            float(whole_logprobs(base, e.trajectory.ids)[k - 1])
            for start, end in e.trajectory.spans
            for k in range(start, end)
        ]
        np.testing.assert_allclose(e.reference, expected, atol=1e-4)
        with torch.no_grad():
            now = action_logprobs(model, [e.trajectory])
        assert float((now - e.reference).abs().mean()) > 0.01


def test_one_turn_has_no_advantage(model: Any, chat: ChatFormat) -> None:
    """One turn in all: nothing to compare with, so whitening gives 0 and not NaN."""
    one = next(t for t in random_trajectories(chat, 40, seed=8) if t.num_steps == 1)
    config = replace(CONFIG, reward="outcome")
    episodes, _ = credit(model, random_critic(model), [one], nothing([one]), config)
    assert episodes[0].advantages.tolist() == [0.0] * len(one.logprobs)


class Recorder(torch.optim.SGD):
    """Keeps the gradients of its steps and changes nothing."""

    def __init__(self, *groups: Any) -> None:
        super().__init__([{"params": list(group)} for group in groups], lr=1.0)
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
    played = policy.run([policy.start(t, k, 0) for t in TASKS[:3] for k in range(2)])
    config = replace(CONFIG, reward="outcome", kl=0.05)
    critic = random_critic(model)
    episodes, _ = credit(model, critic, played, nothing(played), config)
    spread = torch.linspace(-1, 1.5, sum(len(t.logprobs) for t in played))
    parts = spread.split([len(t.logprobs) for t in played])
    episodes = [replace(e, advantages=a) for e, a in zip(episodes, parts, strict=True)]
    recorder = Recorder(trained(model), critic.parameters())
    log = learn(looped(model, critic, config, recorder), episodes, config, 0)
    assert log["clipped"] == 0
    small = Recorder(trained(model), critic.parameters())  # many passes are the same step
    parted = replace(config, microbatch_tokens=150)
    again = learn(looped(model, critic, parted, small), episodes, parted, 0)
    assert again == pytest.approx(log, abs=1e-6)
    for a, b in zip(recorder.seen[0], small.seen[0], strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)

    terms: list[Tensor] = []
    weights = iter(spread.tolist())
    for t in played:
        logits = model(input_ids=torch.tensor([t.ids])).logits[0].log_softmax(-1)
        reference = whole_logprobs(base, t.ids)
        for start, end in t.spans:
            for k in range(start, end):
                logp, d = logits[k - 1, t.ids[k]], reference[k - 1] - logits[k - 1, t.ids[k]]
                terms.append(-next(weights) * logp + 0.05 * (d.exp() - 1 - d))
    expected = torch.autograd.grad(torch.stack(terms).mean(), trained(model))
    norm = float(torch.stack([g.square().sum() for g in expected]).sum().sqrt())
    assert len(terms) == sum(len(t.logprobs) for t in played) and norm > 1e-3
    for found, wanted in zip(recorder.seen[0][: len(expected)], expected, strict=True):
        torch.testing.assert_close(found, wanted / max(norm, 1.0), atol=1e-6, rtol=1e-4)


def test_critic_sends_no_gradient_into_the_policy(model: Any) -> None:
    hidden = torch.randn(3, 32, requires_grad=True)
    critic = random_critic(model)
    critic(hidden).sum().backward()
    assert hidden.grad is None and critic.head.weight.grad is not None
    assert Critic(model)(hidden).tolist() == [0.0] * 3


def adamw(model: Any, critic: Critic) -> torch.optim.Optimizer:
    groups = [{"params": trained(model)}, {"params": list(critic.parameters()), "lr": 1e-2}]
    return torch.optim.AdamW(groups, lr=3e-3)


def looped(model: Any, critic: Critic, config: PPOConfig, optimizer: Any = None) -> Loop:
    loss = PPOLoss(model, critic, config)
    make = (lambda _: optimizer) if optimizer else loss.adamw
    loop = Loop(loss, make, config.microbatch_tokens, None, {})
    model.eval()
    return loop


def hand_made(model: Any, trajectories: list[Trajectory], signs: list[float]) -> list[Credited]:
    """Episodes that have one advantage each."""
    with torch.no_grad():
        logp = action_logprobs(model, trajectories)
        hidden = [torch.stack(states(model, t)) for t in trajectories]
    sizes = torch.tensor([len(t.logprobs) for t in trajectories])
    known = [
        replace(t, logprobs=tuple(x.tolist()))
        for t, x in zip(trajectories, logp.split(sizes.tolist()), strict=True)
    ]
    return [
        Credited(t, ref, torch.full((len(ref),), sign), h, torch.ones(len(h)))
        for t, ref, sign, h in zip(known, logp.split(sizes.tolist()), signs, hidden, strict=True)
    ]


def test_what_has_an_advantage_becomes_likelier(model: Any, played: list[Trajectory]) -> None:
    two = [next(t for t in played if t.success), next(t for t in played if not t.success)]
    for signs in ([1.0, -1.0], [-1.0, 1.0]):
        episodes = hand_made(model, two, signs)
        critic = Critic(model)
        config = replace(CONFIG, kl=0.0, epochs=4, clip=10.0)
        log = learn(looped(model, critic, config, adamw(model, critic)), episodes, config, 0)
        with torch.no_grad():
            change = action_logprobs(model, two) - torch.cat([e.reference for e in episodes])
        first = len(two[0].logprobs)
        assert float(change[:first].mean()) * signs[0] > 0
        assert float(change[first:].mean()) * signs[1] > 0
        assert log["value_error"] < 1  # from 1, the square of the returns


def test_kl_pulls_back_to_the_reference(model: Any, played: list[Trajectory]) -> None:
    """Without advantages the penalty alone is left, and the policy goes back."""
    with torch.no_grad(), model.disable_adapter():
        reference = action_logprobs(model, played)
    parts = reference.split([len(t.logprobs) for t in played])
    flat = hand_made(model, played, [0.0] * len(played))
    episodes = [replace(e, reference=ref) for e, ref in zip(flat, parts, strict=True)]
    critic = Critic(model)
    config = replace(CONFIG, kl=1.0)
    loop = looped(model, critic, config, adamw(model, critic))
    kls = [learn(loop, episodes, config, k)["kl"] for k in range(6)]
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
    return model, train_ppo(model, chat, TASKS, config, SAMPLING, judge)


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
    one_batch: dict[str, Any] = {"samples": 12, "lr": 5e-2, "batch": 64}
    _, fresh = run(folder, chat, **one_batch)
    assert [log["clipped"] for log in fresh] == [0.0] * 2
    _, twice = run(folder, chat, iterations=1, epochs=2, **one_batch)
    assert twice[0]["clipped"] > 0.05


@pytest.mark.usefixtures("two_rounds")
def test_run_is_a_function_of_its_seed_and_leaves_the_base(folder: Path, chat: ChatFormat) -> None:
    one, first = run(folder, chat, tasks=2)
    two, second = run(folder, chat, tasks=2)
    other, third = run(folder, chat, tasks=2, seed=1)
    assert first == second != third
    for a, b in zip(trained(one), trained(two), strict=True):
        assert torch.equal(a, b)
    assert any(not torch.equal(a, b) for a, b in zip(trained(one), trained(other), strict=True))
    base = dict(load_policy(folder).named_parameters())
    for name, p in one.get_base_model().named_parameters():
        if "lora_" not in name:
            assert torch.equal(p, base[name.replace(".base_layer", "")]), name


@pytest.mark.usefixtures("two_rounds")
def test_the_log(folder: Path, chat: ChatFormat) -> None:
    model = load_policy(folder, LORA)
    config = replace(CONFIG, iterations=2, tasks=3, samples=2, reward="outcome")
    logs = train_ppo(model, chat, TASKS, config, SAMPLING)
    names = {"success", "turns", "process_reward", "kl", "clipped", "value_error", "tokens"}
    names |= {"loss", "grad_norm"}
    assert all(log.keys() == names for log in logs)
    assert logs[0]["turns"] == 2 and logs[0]["process_reward"] == 0 and logs[0]["tokens"] > 12


@pytest.mark.usefixtures("two_rounds")
def test_a_run_does_not_go_on_with_another_judge(
    folder: Path, chat: ChatFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two reward models of one base differ in their heads."""
    judges = [RewardModel(random_reward_model(folder, seed=seed)) for seed in (1, 2, 1)]
    config, rounds = PPOConfig(iterations=2, tasks=2, samples=2, lr=1e-2), []

    def learn_once(*args: Any) -> dict[str, float]:
        rounds.append(args)
        if len(rounds) == 2:
            raise KeyboardInterrupt
        return learn(*args)

    monkeypatch.setattr(ppo, "learn", learn_once)
    keep = Checkpoint(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train_ppo(load_policy(folder, LORA), chat, TASKS, config, SAMPLING, judges[0],
            checkpoint=keep)  # fmt: skip
    for other in (judges[1], ShortTurns()):
        with pytest.raises(ValueError, match="another run, which differs in judge"):
            train_ppo(load_policy(folder, LORA), chat, TASKS, config, SAMPLING, other,
                checkpoint=keep)  # fmt: skip
    logs = train_ppo(load_policy(folder, LORA), chat, TASKS, config, SAMPLING, judges[2],
        checkpoint=keep)  # fmt: skip
    assert len(logs) == 2


@pytest.mark.usefixtures("two_rounds")
def test_a_run_goes_on_after_its_last_round(folder: Path, chat: ChatFormat, tmp_path: Path) -> None:
    """Killed in the second and in the third round: the same log and weights, bit for bit."""
    config = PPOConfig(iterations=3, tasks=3, samples=3, lr=1e-2, reward="raw_q", epochs=2)
    whole = load_policy(folder, LORA)
    logs = train_ppo(whole, chat, TASKS, config, SAMPLING, ShortTurns())

    class Dies(ShortTurns):
        def __init__(self, rounds: int) -> None:
            self.left = rounds

        def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().score(trajectories)

    for seed, rounds in ((0, 1), (1, 1)):  # who goes on begins with other weights
        with pytest.raises(KeyboardInterrupt):
            train_ppo(load_policy(folder, LORA, seed), chat, TASKS, config, SAMPLING, Dies(rounds),
                checkpoint=Checkpoint(tmp_path))  # fmt: skip
    other = replace(config, lr=1e-3)
    with pytest.raises(ValueError, match=r"another run, which differs in lr \(0.01 there, 0.001"):
        train_ppo(load_policy(folder, LORA), chat, TASKS, other, SAMPLING, Dies(1),
            checkpoint=Checkpoint(tmp_path))  # fmt: skip
    again = load_policy(folder, LORA, 2)
    assert (
        train_ppo(again, chat, TASKS, config, SAMPLING, Dies(1), checkpoint=Checkpoint(tmp_path))
        == logs
    )
    for a, b in zip(trained(whole), trained(again), strict=True):
        assert torch.equal(a, b)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("two_rounds")
def test_a_step_is_a_random_set_of_episodes(
    folder: Path, chat: ChatFormat, monkeypatch: Any
) -> None:
    """24 episodes, of which every other one is twice as long: steps of eight mix both, in all
    orders; every episode is in one step an epoch."""
    seen: list[list[str]] = []
    real = PPOLoss.forward

    def noted(self: PPOLoss, part: Any, sizes: Any) -> Any:
        seen.append([e.trajectory.key for e in part])
        return real(self, part, sizes)

    monkeypatch.setattr(PPOLoss, "forward", noted)
    model, config = load_policy(folder, LORA), replace(CONFIG, batch=8, epochs=2)
    played = random_trajectories(chat, 24, seed=8)
    learn(looped(model, Critic(model), config), hand_made(model, played, [0.0] * 24), config, 0)
    assert [len(x) for x in seen] == [8] * 6
    for epoch in (seen[:3], seen[3:]):
        assert sorted(k for step in epoch for k in step) == sorted(t.key for t in played)
    assert sorted(map(sorted, seen[:3])) != sorted(map(sorted, seen[3:]))
    lengths = {t.key: len(t.ids) for t in played}
    shortest = set(sorted(lengths, key=lengths.__getitem__)[:8])  # by length these were one step
    assert all(0 < len(shortest & set(step)) < 7 for step in seen)


class NoNumber(ShortTurns):
    """M of the second trajectory is NaN."""

    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        values = super().score(trajectories)
        values[1].q[0] = np.nan
        return values


@pytest.mark.usefixtures("two_rounds")
def test_nan_never_reaches_the_policy(folder: Path, chat: ChatFormat) -> None:
    config = replace(CONFIG, tasks=2, samples=2, reward="raw_q")
    model = load_policy(folder, LORA)
    before = [p.clone() for p in trained(model)]
    with pytest.raises(ValueError, match=r"trajectory textcraft/.*: M after step 0 is nan"):
        train_ppo(model, chat, TASKS, config, SAMPLING, NoNumber())
    critic, two = Critic(model), random_trajectories(chat, 2, seed=8)
    episodes = hand_made(model, two, [1.0, -1.0])
    episodes[1] = replace(episodes[1], reference=episodes[1].reference + np.inf)
    with pytest.raises(ValueError, match=rf"round 4: .*loss \w+, .* trajectories {two[1].key}\."):
        learn(looped(model, critic, CONFIG), episodes, CONFIG, 4)
    for a, b in zip(trained(model), before, strict=True):
        assert torch.equal(a, b) and a.grad is None


def test_a_policy_without_adapters_is_refused_before_it_plays(
    folder: Path, chat: ChatFormat
) -> None:
    outcome = replace(CONFIG, reward="outcome")
    with pytest.raises(ValueError, match="the policy has no adapters"):
        train_ppo(load_policy(folder), chat, TASKS, outcome, SAMPLING, make_player=None)  # type: ignore[arg-type]


def test_errors(model: Any, chat: ChatFormat) -> None:
    with pytest.raises(ValueError, match=r"temperature 1, got 0\.7"):
        train_ppo(model, chat, TASKS, CONFIG, replace(SAMPLING, temperature=0.7))
    with pytest.raises(ValueError, match="'shaping' needs a judge"):
        train_ppo(model, chat, TASKS, CONFIG, SAMPLING)
    short, outcome = replace(SAMPLING, max_context=20), replace(CONFIG, reward="outcome")
    with pytest.raises(ValueError, match="no episode has room"):
        train_ppo(model, chat, TASKS, outcome, short)
    with pytest.raises(ValueError, match="expected one of outcome, shaping, raw_q"):
        replace(CONFIG, reward="q")
    for name in ("iterations", "tasks", "samples", "epochs", "batch"):
        with pytest.raises(ValueError, match="must be >= 1"):
            replace(CONFIG, **{name: 0})
    nan = float("nan")
    wrong = {"lr": (0, -1.0, nan), "critic_lr": (0, nan), "clip": (0, nan), "kl": (-1, nan)}
    wrong |= {"gamma": (0, 2, nan), "lam": (-1, 2, nan), "alpha": (nan,)}
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(ValueError, match=f"{name}={value}"):
                replace(CONFIG, **{name: value})
