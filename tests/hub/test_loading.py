"""Errors of loading say what came and what to do; policy and reward model share one base."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import random_trajectories, randomize
from transformers import AutoModelForCausalLM, BertConfig, BertForMaskedLM, T5Config

from agentprm_lite import models
from agentprm_lite.forward import split_model, step_values
from agentprm_lite.hub import (
    ChatFormat,
    checkpoints,
    load_chat,
    load_policy,
    load_reward_model,
    loading,
    new_reward_model,
    save_adapter,
)
from agentprm_lite.interop.whole import save_whole
from agentprm_lite.kinds import RewardExample, RewardLoss
from agentprm_lite.models import Lora
from agentprm_lite.prm import RewardModel
from agentprm_lite.train import (
    TrainConfig,
    sft,
    spare_activations,
    train_reward_model,
)

LORA = Lora(r=4, alpha=8)
CONFIG = TrainConfig(lr=1e-3, epochs=1)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(40).reshape(2, 20)).logits


# --- errors


@pytest.mark.parametrize("load", [load_policy, load_chat, lambda n: new_reward_model(n, LORA, 0)])
def test_without_the_hub_the_error_says_what_to_do(load: Any) -> None:
    message = (
        r"model 'nobody/nothing': neither the hub \(https://\S+, which offline mode leaves alone\) "
        r"nor its cache \(.+\) gave it.*HF_ENDPOINT.*HF_HOME.*give a folder"
    )
    with pytest.raises(OSError, match=message):
        load("nobody/nothing")


def test_a_folder_without_weights_keeps_the_message_of_transformers(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(OSError, match=r"model\.safetensors") as caught:
        load_policy(tmp_path)
    assert "hub" not in str(caught.value).split("model.safetensors")[0]


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    BertForMaskedLM(
        BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    ).save_pretrained(tmp_path)
    message = r"holds BertForMaskedLM \(model type 'bert'\), expected BertLMHeadModel"
    with pytest.raises(ValueError, match=message):
        load_policy(tmp_path)
    T5Config(architectures=["T5ForConditionalGeneration"]).save_pretrained(tmp_path)
    message = r"holds T5ForConditionalGeneration .*expected a causal language model"
    with pytest.raises(ValueError, match=message):
        new_reward_model(tmp_path, LORA, 0)


def test_a_reward_model_is_no_policy(folder: Path, tmp_path: Path) -> None:
    save_whole(new_reward_model(folder, LORA, 0).merge_and_unload(), tmp_path)
    with pytest.raises(ValueError, match=r"holds LlamaForTokenClassification .*expected Llama"):
        load_policy(tmp_path)  # its language-model head would be random


def test_a_tokenizer_without_a_template_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="has no chat template; use an instruct model"):
        load_chat(tmp_path)


def test_a_model_that_does_not_fit_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "free_memory", lambda: (10 * 2**30, "a small GPU"))
    assert load_policy(folder)
    config = json.loads((folder / "config.json").read_text())
    # as large as Qwen2.5-3B without biases: nothing of it is ever made
    config |= {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
        "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 128, "vocab_size": 151936,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    message = r"3\.09 billion parameters: 11\.5 GiB in float32, and a small GPU has 10\.0 GiB free"
    with pytest.raises(MemoryError, match=message):
        load_policy(tmp_path)
    monkeypatch.setattr(checkpoints, "default_dtype", lambda: torch.bfloat16)
    with pytest.raises(OSError, match=r"model\.safetensors"):  # half as large: it would fit
        load_policy(tmp_path)


# --- precision


def test_half_precision_depends_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without bfloat16 would emulate it, at less than half of the speed."""
    assert loading.default_dtype() == torch.float32  # no GPU in tests
    for known, expected in [
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": True}, torch.bfloat16),  # ARM
    ]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda k=known: k, raising=False)
        assert models.half_dtype() == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # a torch that doesn't tell
    assert models.half_dtype() == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for capability, expected in [((7, 5), torch.float16), ((8, 0), torch.bfloat16)]:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda c=capability: c)
        assert loading.default_dtype() == models.half_dtype() == expected


def test_a_checkpoint_in_half_precision_is_float32_on_a_cpu(folder: Path, tmp_path: Path) -> None:
    load_policy(folder).bfloat16().save_pretrained(tmp_path)
    assert AutoModelForCausalLM.from_pretrained(tmp_path).dtype == torch.bfloat16
    model = new_reward_model(tmp_path, LORA, 0)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_on_a_half_precision_base_adapters_and_head_are_float32(
    folder: Path, chat: ChatFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "default_dtype", lambda: torch.bfloat16)
    model = new_reward_model(folder, LORA, 0)
    kinds = {p.requires_grad: set() for p in model.parameters()}
    for p in model.parameters():
        kinds[p.requires_grad].add(p.dtype)
    assert kinds[True] == {torch.float32}
    assert torch.bfloat16 in kinds[False]
    randomize(model)
    trajectories = random_trajectories(chat, 3, 0)
    with torch.autocast("cpu", torch.bfloat16):
        q, _, mask = step_values(model, trajectories)
    assert q.dtype == torch.float32
    # bfloat16 has 8 bits of mantissa: not all of these numbers can be written with them
    assert not torch.equal(q[mask], q[mask].bfloat16().float())
    save_adapter(model, chat, tmp_path)
    again = load_reward_model(folder, tmp_path, chat)
    assert torch.equal(step_values(again, trajectories)[0], step_values(model, trajectories)[0])


def test_what_is_trained_is_float32(
    folder: Path, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "default_dtype", lambda: torch.bfloat16)
    model = load_policy(folder)  # all of it is trained
    assert model.dtype == torch.bfloat16
    sft(model, random_trajectories(chat, 2, 0), CONFIG)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


# --- adapters


def test_lora_targets(folder: Path) -> None:
    model = load_policy(folder, Lora(r=4, alpha=8, targets=("q_proj", "v_proj")))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 2 * 2  # two layers, two targets, A and B
    assert all("q_proj" in name or "v_proj" in name for name in trained)


# --- one base for policy and reward model


def pair(folder: Path) -> tuple[Any, Any]:
    policy = randomize(load_policy(folder, LORA), seed=1)
    return policy, randomize(new_reward_model(policy, LORA, 0), seed=2)


def test_a_shared_base_is_in_memory_once(folder: Path) -> None:
    policy, judge = pair(folder)
    held = {p.data_ptr() for p in policy.parameters()}
    own = {name for name, p in judge.named_parameters() if p.data_ptr() not in held}
    assert {name for name, p in judge.named_parameters() if p.requires_grad} <= own
    assert all("lora_" in name or "score" in name for name in own)
    adapters = {p.data_ptr() for p in policy.parameters() if p.requires_grad}
    assert not adapters & {p.data_ptr() for p in judge.parameters()}


def test_a_shared_base_gives_the_outputs_of_two_models(folder: Path, chat: ChatFormat) -> None:
    trajectories = random_trajectories(chat, 6, 0)
    policy, judge = pair(folder)
    alone = randomize(load_policy(folder, LORA), seed=1)
    apart = randomize(new_reward_model(folder, LORA, 0), seed=2)
    assert type(judge.base_model.model) is type(apart.base_model.model)
    assert torch.equal(logits(policy), logits(alone))
    expected = step_values(apart, trajectories)[0]
    torch.testing.assert_close(step_values(judge, trajectories)[0], expected, rtol=0, atol=1e-6)
    assert not torch.allclose(expected, torch.full_like(expected, 0.5), atol=1e-2)


def test_training_one_of_two_leaves_the_other_alone(folder: Path, chat: ChatFormat) -> None:
    trajectories = random_trajectories(chat, 6, 0)
    policy, judge = pair(folder)
    before = logits(policy), RewardModel(judge).score(trajectories)[0].root
    config = TrainConfig(lr=1e-2, epochs=1)
    train_reward_model(judge, [RewardExample(t) for t in trajectories], "pvm", config)
    after = RewardModel(judge).score(trajectories)[0].root
    assert after != before[1]
    assert torch.equal(logits(policy), before[0])
    sft(policy, trajectories, config)
    assert not torch.equal(logits(policy), before[0])
    assert RewardModel(judge).score(trajectories)[0].root == after


def test_training_goes_on_from_a_saved_reward_model(
    folder: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    """Adapters and head change, and the base doesn't."""
    examples = [RewardExample(t) for t in random_trajectories(chat, 6, 0)]
    fresh = randomize(new_reward_model(folder, LORA, 0), seed=2)
    save_adapter(fresh, chat, tmp_path)
    policy = load_policy(folder)
    before = logits(policy)
    judge = load_reward_model(policy, tmp_path, chat)
    named = {
        key: {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
        for key, model in (("fresh", fresh), ("judge", judge))
    }
    assert named["fresh"].keys() == named["judge"].keys()
    train_reward_model(judge, examples, "pvm", TrainConfig(lr=1e-2, epochs=1))
    now = dict(judge.named_parameters())
    assert not any(torch.equal(now[name], old) for name, old in named["judge"].items())
    assert torch.equal(logits(policy), before)


def test_saved_adapters_load_onto_a_policy_in_memory(
    folder: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    trajectories = random_trajectories(chat, 3, 0)
    apart = randomize(new_reward_model(folder, LORA, 0), seed=2)
    save_adapter(apart, chat, tmp_path)
    policy = load_policy(folder)
    judge = load_reward_model(policy, tmp_path, chat)
    ours = split_model(judge)[0].embed_tokens.weight
    assert ours.data_ptr() == policy.get_input_embeddings().weight.data_ptr()
    expected = step_values(apart, trajectories)[0]
    assert torch.equal(step_values(judge, trajectories)[0], expected)


# --- gradient checkpointing


def test_checkpointing_changes_no_gradient(folder: Path, chat: ChatFormat) -> None:
    examples = [RewardExample(t) for t in random_trajectories(chat, 4, 0)]
    gradients = []
    for checkpointing in (False, True):
        model = randomize(new_reward_model(folder, LORA, 0)).double().train()
        spare_activations(model, replace(CONFIG, checkpointing=checkpointing))
        loss = RewardLoss(model, "agentprm")
        loss(examples, loss.sizes(examples))[0].backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    assert any(g.abs().max() > 1e-6 for g in gradients[0].values())
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("train", ["sft", "reward"])
def test_the_switch_turns_checkpointing_on(
    folder: Path, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch, train: str
) -> None:
    runs: list[int] = []
    trajectories = random_trajectories(chat, 2, 0)
    for checkpointing in (False, True):
        model = new_reward_model(folder, LORA, 0) if train == "reward" else load_policy(folder)
        count: list[int] = []
        layer = split_model(model)[0].layers[0].mlp
        layer.register_forward_pre_hook(lambda *_, seen=count: seen.append(1))
        config = replace(CONFIG, checkpointing=checkpointing)
        if train == "reward":
            examples = [RewardExample(t) for t in trajectories]
            train_reward_model(model, examples, "pvm", config, held_out=0)
        else:
            sft(model, trajectories, config)
        runs.append(len(count))
    assert runs == [1, 2]  # one step: forward, and once more for the gradient
