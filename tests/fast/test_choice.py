"""The fast player and judge where the model allows them, the plain ones elsewhere."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import TASKS, random_reward_model
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from agentprm_lite import fast
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.fast import rows
from agentprm_lite.forward import split_model
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.prm import RewardModel
from agentprm_lite.sampling import PlainPlayer

CONFIG = SamplingConfig(max_new_tokens=3, rules=False, max_rounds=2)
SHAPE: dict[str, Any] = {
    "vocab_size": 4000, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0,
    "bos_token_id": None, "eos_token_id": 2,
}  # fmt: skip
BARE: dict[str, Any] = {"vocab_size": 4000, "hidden_size": 32, "num_hidden_layers": 2}
SMALL: dict[str, Any] = {
    "vocab_size": 4000, "n_positions": 2048, "n_embd": 32, "n_layer": 2, "n_head": 4,
    "bos_token_id": None, "eos_token_id": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "config", "reason"),
    [
        (Qwen3ForCausalLM, Qwen3Config(**SHAPE), ""),
        (GraniteForCausalLM, GraniteConfig(**SHAPE, logits_scaling=8.0), ""),
        (GPT2LMHeadModel, GPT2Config(**SMALL), ""),
        (MistralForCausalLM, MistralConfig(**SHAPE, sliding_window=8), "sliding_attention"),
        (Gemma2ForCausalLM, Gemma2Config(**SHAPE), "sliding_attention"),
        (Lfm2ForCausalLM, Lfm2Config(**SHAPE, layer_types=["conv", "full_attention"]), "conv"),
        (MambaForCausalLM, MambaConfig(**BARE), "attention"),
    ],
    ids=lambda x: getattr(x, "model_type", None),
)
def test_a_player_for_any_model(
    chat: ChatFormat,
    make: Any,
    config: Any,
    reason: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(0)
    model = make(config)
    with caplog.at_level(logging.INFO, "agentprm_lite"):
        player = fast.player(model, chat, CONFIG)
    assert isinstance(player, fast.FastPlayer) == (not reason)
    said = [r.getMessage() for r in caplog.records if r.name.startswith("agentprm_lite")]
    assert len(said) == bool(reason) and all(reason in text for text in said)
    plain = PlainPlayer(model, chat, CONFIG)
    jobs = [(task, k) for task in TASKS[:2] for k in range(2)]
    one, other = (p.run([p.start(*job, 3) for job in jobs]) for p in (player, plain))
    assert [t.ids for t in one] == [t.ids for t in other]
    assert len({t.ids for t in one}) == 4
    for a, b in zip(one, other, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)
    assert "Error" not in capfd.readouterr().err


def test_a_judge_that_may_keep_nothing_is_the_plain_one(folder: Path) -> None:
    model = random_reward_model(folder)
    assert type(fast.judge(model)) is fast.FastJudge
    split_model(model)[0].config._attn_implementation = "eager"
    assert type(fast.judge(model)) is RewardModel


def test_a_cache_that_gives_other_states_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No name in a configuration says so: a few tokens are computed both ways."""
    model = load_policy(folder)
    assert rows.check_rows(model) == ""
    append = rows.KVBatch.append

    def forgetful(self: Any, tokens: Any) -> Any:
        return append(self, tokens) * (1.01 if self.lengths.any() else 1)

    monkeypatch.setattr(rows.KVBatch, "append", forgetful)
    assert rows.check_rows(model).startswith("with a cache its states are off by")
