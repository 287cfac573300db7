"""Every family of models that the library is said to run: tried on tiny random ones.

Each goes the whole way: a step of SFT with LoRA, sampling by the plain player and by the fast one
where the model allows it, a step of a reward model, scoring, beam search, a round of PPO, export,
and the same M after reading the export. ``python -m agentprm_lite.tutorial.families FILE``
writes what worked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

from agentprm_lite.episode import SamplingConfig
from agentprm_lite.fast import FastPlayer, judge, player
from agentprm_lite.hub import load_chat, load_policy, new_reward_model
from agentprm_lite.interop import export, load_exported
from agentprm_lite.models import Lora
from agentprm_lite.ppo import PPOConfig, train_ppo
from agentprm_lite.prm import RewardModel
from agentprm_lite.rollout import demonstrate
from agentprm_lite.sampling import PlainPlayer
from agentprm_lite.search import beam_search
from agentprm_lite.train import RewardExample, TrainConfig, sft, train_reward_model
from agentprm_lite.tutorial.templates import STYLES, Splitting, small_tokenizer
from agentprm_lite.worlds.textcraft import TextCraft

_LINEAR = ["linear_attention", "full_attention"]
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "head_dim": 8,
}


@dataclass(frozen=True)
class Family:
    """A family, and what its tiny member needs besides the usual sizes."""

    config: str
    """Configuration class of transformers."""
    style: str
    """One of :data:`agentprm_lite.tutorial.templates.STYLES`."""
    splitting: Splitting = "bytes"
    """How its tokenizer splits."""
    options: dict[str, Any] = field(default_factory=dict)
    """More of the configuration."""
    model: str = ""
    """Class of the model; by default the configuration's ``ForCausalLM``."""


_VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "depth": 1,
    "num_attention_heads": 2,
    "num_heads": 2,
    "image_size": 16,
    "patch_size": 8,
    "out_hidden_size": 32,
}
FAMILIES = {
    "Llama 3": Family("LlamaConfig", "llama3"),
    "Qwen2.5": Family("Qwen2Config", "qwen2.5"),
    "Qwen3": Family("Qwen3Config", "qwen3", options={"head_dim": 8}),
    "Qwen3-Next": Family(
        "Qwen3NextConfig", "qwen3", options={"layer_types": _LINEAR, **_EXPERTS, **_DELTA}
    ),
    "Qwen3.5": Family("Qwen3_5TextConfig", "qwen3", options={"layer_types": _LINEAR, **_DELTA}),
    "Qwen3.5, with images": Family(
        "Qwen3_5Config", "qwen3", options={"layer_types": _LINEAR, **_DELTA}
    ),
    "SmolLM3": Family("SmolLM3Config", "smollm3"),
    "Phi-3": Family("Phi3Config", "phi3", "first"),
    "Mistral": Family("MistralConfig", "mistral", "first", {"sliding_window": 64}),
    "Gemma": Family("GemmaConfig", "gemma", "spaces", {"head_dim": 8}),
    "Gemma 2": Family("Gemma2Config", "gemma", "spaces", {"head_dim": 8, "sliding_window": 64}),
    "Gemma 3": Family("Gemma3TextConfig", "gemma", "spaces", {"head_dim": 8, "sliding_window": 64}),
    "Gemma 3, with images": Family(
        "Gemma3Config", "gemma", "spaces", {"head_dim": 8, "sliding_window": 64}
    ),
    "Granite": Family("GraniteConfig", "granite", options={"logits_scaling": 4.0}),
    "OLMo 2": Family("Olmo2Config", "olmo2"),
    "OLMo 3": Family("Olmo3Config", "olmo2", options={"sliding_window": 64}),
    "gpt-oss": Family(
        "GptOssConfig",
        "gpt-oss",
        options={"num_local_experts": 4, "head_dim": 8, "sliding_window": 64},
    ),
    "LFM2": Family("Lfm2Config", "qwen2.5", options={"layer_types": ["conv", "full_attention"]}),
    "GLM-4": Family("Glm4Config", "glm4", options={"head_dim": 8}),
    "GPT-2": Family("GPT2Config", "zephyr", model="GPT2LMHeadModel"),
    "GPT-NeoX": Family("GPTNeoXConfig", "zephyr"),
}


def make(name: str, folder: Path) -> None:
    """Write a tiny random member of a family with a small tokenizer."""
    family = FAMILIES[name]
    style = STYLES[family.style]
    tokenizer = small_tokenizer(style, family.splitting)
    ends = [tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(style.stops.split())]
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": ends[0],
        **family.options,
    }
    config_class = getattr(transformers, family.config)
    if "text_config" in config_class.sub_configs:
        config = config_class(text_config=sizes, vision_config=_VISION)
        model_class = family.config.replace("Config", "ForConditionalGeneration")
    else:
        config = config_class(**sizes)
        model_class = family.config.replace("TextConfig", "Config").replace("Config", "ForCausalLM")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, family.model or model_class)(config)
    model.generation_config.eos_token_id = ends
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def stages(name: str, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is tried, in order: each stage's name, and what does it."""
    base, tasks = folder / "base", TextCraft.tasks("train", levels=(1,))[:2]
    make(name, base)
    chat, lora, once = load_chat(base), Lora(r=2, alpha=4), TrainConfig(lr=1e-3, epochs=1)
    config = SamplingConfig(max_new_tokens=5, max_context=2048, rules=False, max_rounds=2)
    shown = demonstrate(chat, tasks, config)
    policy, model = load_policy(base, lora), new_reward_model(base, lora, 0)

    def sample() -> str:
        plain, best = PlainPlayer(policy, chat, config), player(policy, chat, config)
        runs = [p.run([p.start(t, 0, 0) for t in tasks]) for p in (plain, best)]
        if [t.ids for t in runs[0]] != [t.ids for t in runs[1]]:
            raise ValueError("the fast player's tokens aren't the plain one's")
        return "fast and plain" if isinstance(best, FastPlayer) else "plain"

    def search() -> None:
        beam_search(player(policy, chat, config), judge(model), tasks[:1], 2, 2)

    def reload() -> None:
        before = RewardModel(model).score(shown)
        export(model, chat, folder / "out", kind="pvm")
        after = RewardModel(load_exported(folder / "out")[0]).score(shown)
        far = max(float(abs(a.q - b.q).max()) for a, b in zip(before, after, strict=True))
        if far > 1e-4:
            raise ValueError(f"M differs by {far:.1e} after export")

    with torch.no_grad():  # so that M differs from place to place
        draw = torch.Generator().manual_seed(2)
        torch.nn.init.normal_(model.get_base_model().score.weight, std=0.3, generator=draw)
    yield "SFT", lambda: sft(policy, shown, once)
    yield "sampling", sample
    yield (
        "reward model",
        lambda: train_reward_model(model, [RewardExample(t) for t in shown], "pvm", once),
    )
    yield "scoring", lambda: RewardModel(model).score(shown)
    yield "beam search", search
    settings = PPOConfig(iterations=1, tasks=1, samples=2, lr=1e-4)
    yield "PPO", lambda: train_ppo(policy, chat, tasks, settings, config, RewardModel(model))
    yield "export", reload


def try_family(name: str) -> dict[str, Any]:
    """What worked: for every stage True (or which players), or the reason why not."""
    done: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for stage, run in stages(name, Path(folder)):
            try:
                came = run()
                done[stage] = came if isinstance(came, str) else True
            except Exception as err:
                done[stage] = f"{type(err).__name__}: {err}"
    return done


def main() -> None:
    """Try all families and write the record."""
    found = {}
    for name in FAMILIES:
        found[name] = try_family(name)
        print(name, found[name], flush=True)
    git = ["git", "log", "-1", "--format=%H %cs"]
    commit, date = subprocess.run(git, capture_output=True, text=True, check=True).stdout.split()
    record = {
        "command": "python -m agentprm_lite.tutorial.families results/families.json",
        "commit": commit,
        "date": date,
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)},
        "families": found,
    }
    Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
