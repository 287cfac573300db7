"""Reward models: where M is read, batches, errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import TASKS, float64, random_reward_model, random_trajectories, shortened
from transformers import (
    AutoModel,
    AutoModelForTokenClassification,
    Gemma2Config,
    Gemma2ForCausalLM,
    Lfm2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OpenAIGPTConfig,
    OPTConfig,
    Qwen2Config,
    Qwen3Config,
)

from agentprm_lite import prm
from agentprm_lite.forward import hidden_states, microbatches, pad_ids, split_model, step_values
from agentprm_lite.hub import ChatFormat, load_policy, new_reward_model
from agentprm_lite.models import Lora
from agentprm_lite.prm import FewestTurns, RewardModel, StepValues, check_finite
from agentprm_lite.train import TrainConfig, spare_activations
from agentprm_lite.types import Trajectory


@pytest.fixture(scope="module")
def model64(folder: Path) -> Any:
    return float64(random_reward_model(folder))


@pytest.fixture(scope="module")
def trajectories(chat: ChatFormat) -> list[Trajectory]:
    return random_trajectories(chat, 9, seed=3)


def whole_values(model: Any, trajectory: Trajectory) -> np.ndarray:
    """M at every token by the ordinary forward pass of the token classifier: [S]."""
    with torch.no_grad():
        out = model(input_ids=torch.tensor([trajectory.ids])).logits[0, :, 0]
    return out.sigmoid().double().numpy()


def test_values_of_the_stand_in_differ(model64: Any, trajectories: list[Trajectory]) -> None:
    """The tests below would say nothing about a constant M."""
    values = [x for s in RewardModel(model64).score(trajectories) for x in (s.root, *s.q)]
    assert np.std(values) > 0.05
    assert len({t.num_steps for t in trajectories}) > 2


def test_a_judge_has_one_output(folder: Path) -> None:
    two = AutoModelForTokenClassification.from_pretrained(folder)  # its usual number of labels
    words = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16}
    capped = Gemma2ForCausalLM(Gemma2Config(**words, **heads))  # its logits are changed after
    for model, outputs in ((two, 2), (load_policy(folder), 615), (capped, 40)):
        with pytest.raises(ValueError, match=f"the head has {outputs} outputs, expected 1"):
            RewardModel(model)


def test_scores_are_the_classifiers_own_at_the_recorded_positions(
    model64: Any, trajectories: list[Trajectory]
) -> None:
    """Against the ordinary forward pass, one trajectory at a time, no padding, no split model; the
    neighbouring positions hold other values."""
    scored = RewardModel(model64).score(trajectories)
    for trajectory, values in zip(trajectories, scored, strict=True):
        m = whole_values(model64, trajectory)
        ends = np.array([end for _, end in trajectory.spans])
        np.testing.assert_allclose(values.q, m[ends - 1], atol=1e-12, rtol=0)
        assert values.root == pytest.approx(m[trajectory.prompt_len - 1], abs=1e-12)
        assert np.abs(values.q - m[ends - 2]).min() > 1e-6
        assert abs(values.root - m[trajectory.prompt_len]) > 1e-6


@pytest.mark.parametrize("batch_tokens", [1, 400, 100_000])
def test_batch_composition_does_not_matter(
    model64: Any,
    trajectories: list[Trajectory],
    batch_tokens: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = [RewardModel(model64).score([t])[0] for t in trajectories]
    monkeypatch.setattr(prm, "BATCH_TOKENS", batch_tokens)
    together = RewardModel(model64).score(trajectories)
    for one, other in zip(alone, together, strict=True):
        assert one.root == pytest.approx(other.root, abs=1e-12)
        np.testing.assert_allclose(one.q, other.q, atol=1e-12, rtol=0)


def test_score_keeps_order_and_takes_nothing(model64: Any, trajectories: list[Trajectory]) -> None:
    judge = RewardModel(model64)
    forward, backward = judge.score(trajectories), judge.score(trajectories[::-1])[::-1]
    assert [len(s.q) for s in forward] == [t.num_steps for t in trajectories]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_allclose(one.q, other.q, atol=1e-12, rtol=0)
    assert judge.score([]) == []


def test_position_is_the_last_produced_token(
    model64: Any, chat: ChatFormat, trajectories: list[Trajectory]
) -> None:
    """A token changes M from its own position on: the first token after an action (the reply's)
    leaves that action's M as it is, the last token of the action doesn't."""
    judge = RewardModel(model64)
    trajectory = max(trajectories, key=lambda t: t.num_steps)
    before = judge.score([trajectory])[0]
    middle = trajectory.num_steps // 2
    _, end = trajectory.spans[middle]
    other = chat.encode("get")[0]

    def changed(position: int) -> np.ndarray:
        ids = list(trajectory.ids)
        assert ids[position] != other
        ids[position] = other
        after = judge.score([replace(trajectory, ids=tuple(ids))])[0]
        return np.abs(np.array([after.root - before.root, *(after.q - before.q)]))

    by_reply, by_action = changed(end), changed(end - 1)
    assert by_reply[: middle + 2].max() == 0 and by_reply[middle + 2 :].min() > 1e-9
    assert by_action[: middle + 1].max() == 0 and by_action[middle + 1 :].min() > 1e-9
    by_first = changed(trajectory.prompt_len)
    assert by_first[0] == 0 and by_first[1:].min() > 1e-9
    assert changed(trajectory.prompt_len - 1).min() > 1e-9


def test_step_values_masks_real_steps(model64: Any, trajectories: list[Trajectory]) -> None:
    q, root, mask = step_values(model64, trajectories)
    longest = max(t.num_steps for t in trajectories)
    assert q.shape == mask.shape == (len(trajectories), longest) and root.shape == (len(q),)
    assert mask.sum(1).tolist() == [t.num_steps for t in trajectories]
    assert not (mask[:, 1:] & ~mask[:, :-1]).any()
    assert q.requires_grad and q.dtype == torch.float64


def test_a_fresh_reward_model_says_one_half(folder: Path, trajectories: list[Trajectory]) -> None:
    judge = RewardModel(new_reward_model(folder, Lora(r=4, alpha=8), 0))
    for values in judge.score(trajectories):
        assert values.root == 0.5 and (values.q == 0.5).all()


def test_too_long_is_an_error_before_the_first_pass(
    folder: Path, trajectories: list[Trajectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A labelled step is never cut off: the error names the trajectory and both lengths."""
    model = random_reward_model(folder)
    judge = RewardModel(model)
    by_length = sorted(trajectories, key=lambda t: len(t.ids))
    short, long = by_length[0], by_length[-1]
    model.get_base_model().model.config.max_position_embeddings = len(long.ids) - 1
    size = len(long.ids)
    with pytest.raises(ValueError, match=f"{long.key} has {size} tokens.* {size - 1}"):
        judge.score([short, long])
    judge.score([short])
    monkeypatch.setattr("agentprm_lite.prm.step_values", None)  # nothing may be computed
    with pytest.raises(ValueError, match="its last steps would be lost"):
        judge.score([short, long])
    known = model.get_input_embeddings().num_embeddings
    foreign = replace(short, ids=(*short.ids[:-1], known))
    with pytest.raises(ValueError, match=rf"{short.key} has ids \d+ to {known}, the model has"):
        judge.score([short, foreign])  # was an IndexError of torch's, on a GPU its last words


def test_a_prompt_has_a_root_and_no_step(model64: Any, trajectories: list[Trajectory]) -> None:
    some = trajectories[:3]
    judge = RewardModel(model64)
    for alone, whole in zip(
        judge.score([shortened(t, 0) for t in some]), judge.score(some), strict=True
    ):
        assert alone.root == pytest.approx(whole.root, abs=1e-12)
        assert alone.q.shape == (0,)


def test_values_that_are_not_numbers_are_errors(
    folder: Path, trajectories: list[Trajectory]
) -> None:
    """The trajectory is named; 0 · NaN is NaN, so that bad weights spoil the root already."""
    model = random_reward_model(folder)
    with torch.no_grad():
        model.get_base_model().score.modules_to_save["default"].weight[0, 3] = torch.nan
    bad = min(trajectories, key=lambda t: len(t.ids))  # the shortest comes first
    with pytest.raises(ValueError, match=rf"trajectory {bad.key}: M at its root is nan, exp"):
        RewardModel(model).score(trajectories)
    with pytest.raises(ValueError, match="bad: M after step 1 is inf, expected a number"):
        check_finite("bad", StepValues(0.5, np.array([0.5, np.inf])))


def test_half_precision_gives_float32(folder: Path, trajectories: list[Trajectory]) -> None:
    q, _, _ = step_values(random_reward_model(folder).bfloat16(), trajectories[:2])
    assert q.dtype == torch.float32


def passes(body: Any, sequences: list[tuple[int, ...]]) -> tuple[torch.Tensor, list[int]]:
    """Hidden states of real tokens, one after another [N, E], and the tokens of each pass."""
    sizes: list[int] = []
    handle = body.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    hidden = hidden_states(body, sequences)
    handle.remove()
    return torch.cat([h[: len(s)] for h, s in zip(hidden, sequences, strict=True)]), sizes


def test_a_common_beginning_is_read_once(chat: ChatFormat, folder: Path) -> None:
    """Samples of one task, one of them the beginning of the others: states and gradients are those
    of each sequence by itself."""
    model = float64(random_reward_model(folder))
    same = [t for t in random_trajectories(chat, 40, seed=3) if t.task == TASKS[0]]
    sequences = [t.ids for t in same] + [same[0].ids[: same[0].prompt_len]]
    shared = len(sequences[-1]) - 1
    assert {s[:shared] for s in sequences} == {sequences[0][:shared]}
    weights = torch.randn(sum(map(len, sequences)), 1, dtype=torch.float64)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    body = split_model(model)[0]
    hidden, sizes = passes(body, sequences)
    assert sizes == [shared, len(sequences) * (max(map(len, sequences)) - shared)]
    grads = torch.autograd.grad((hidden * weights).sum(), [*trained.values()], allow_unused=True)
    parts = [passes(body, [s]) for s in sequences]
    assert [n for _, n in parts] == [[len(s)] for s in sequences]
    alone = torch.cat([h for h, _ in parts])
    torch.testing.assert_close(hidden, alone, rtol=0, atol=1e-10)
    expected = torch.autograd.grad((alone * weights).sum(), [*trained.values()], allow_unused=True)
    for name, a, b in zip(trained, grads, expected, strict=True):
        assert (a is None) == (b is None) == ("score" in name)
        if a is not None:  # RMSNorm works in float32
            assert b.abs().max() > 1e-3
            assert (a - b).abs().max() < 1e-5 * b.abs().max()


SHAPE: dict[str, Any] = {
    "vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
}  # fmt: skip


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    ("config", "times"),
    [
        (Qwen2Config(**SHAPE), 2),
        (Qwen3Config(**SHAPE), 2),
        (LlamaConfig(**SHAPE), 2),
        (LlamaConfig(**SHAPE, attn_implementation="eager"), 1),  # its masks are numbers
        (MistralConfig(**SHAPE, sliding_window=8), 1),
        (Lfm2Config(**SHAPE, layer_types=["conv", "full_attention"]), 1),
        (MambaConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2), 1),
        (OPTConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                   ffn_dim=32, word_embed_proj_dim=32), 2),  # positions from masks
        (OpenAIGPTConfig(vocab_size=50, n_embd=32, n_layer=2, n_head=2), 1),
    ],
    ids=lambda x: getattr(x, "model_type", x),
)  # fmt: skip
def test_other_models_read_the_beginning_once_or_not_at_all(
    config: Any, times: int, half: bool
) -> None:
    """With grouped keys and in bfloat16, too; a model without such a cache reads all in one."""
    torch.manual_seed(0)
    body = AutoModel.from_config(config).eval()
    ids = [tuple(x.tolist()) for x in torch.randint(0, 50, (3, 9))]
    sequences = [(*range(20), *x[:n]) for x, n in zip(ids, (9, 4, 7), strict=True)]
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        together, sizes = passes(body, sequences)
        alone = torch.cat([passes(body, [s])[0] for s in sequences])
    assert sizes[-1] == 3 * (9 if times == 2 else 29)
    torch.testing.assert_close(together, alone, rtol=0, atol=0.05 if half else 1e-5)


def test_a_beginning_is_read_once_only_where_that_is_worth_it(
    chat: ChatFormat, folder: Path
) -> None:
    body = split_model(random_reward_model(folder))[0]
    by_task = [t.ids for t in random_trajectories(chat, 7, seed=3)]  # seven tasks, no rules
    assert len(passes(body, by_task)[1]) == 1
    with_rules = [t.ids for t in random_trajectories(chat, 7, seed=3, rules=True)]
    assert len(passes(body, with_rules)[1]) == 2
    assert len(passes(body, with_rules[:1])[1]) == 1
    assert len(passes(body, [with_rules[0][:1]] * 4)[1]) == 1  # no first token to begin with


def test_activations_that_are_made_anew_have_no_keys(chat: ChatFormat, folder: Path) -> None:
    """Gradient checkpointing leaves no cache to a second pass; in eval mode it isn't at work."""
    model = random_reward_model(folder)
    sequences = [t.ids for t in random_trajectories(chat, 7, seed=3, rules=True)]
    spare_activations(model, TrainConfig(lr=1e-3, epochs=1, checkpointing=True))
    body = split_model(model)[0]
    assert len(passes(body, sequences)[1]) == 2
    assert len(passes(body.train(), sequences)[1]) == 1


def test_fewest_turns(trajectories: list[Trajectory]) -> None:
    values = FewestTurns().score([shortened(trajectories[0], 0), trajectories[0]])
    assert (values[0].root, values[0].q.tolist()) == (0.0, [])
    steps = trajectories[0].num_steps
    assert values[1].q.tolist() == [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0][:steps] and steps


def test_pad_ids() -> None:
    out = pad_ids([[1, 2, 3], [4]], torch.device("cpu"))
    assert out.tolist() == [[1, 2, 3], [4, 0, 0]]


def test_microbatches_worked() -> None:
    """Budget 12, shortest first: 2 | 2·3, 3·3 and 4·3 fit | 4·5 doesn't; 9 alone, 20 alone."""
    lengths = [9, 3, 2, 20, 3, 3]
    assert list(microbatches(lengths, 12)) == [[2, 1, 4, 5], [0], [3]]
    # given order: a long item first counts for those after it
    assert list(microbatches([], 10)) == []
