"""A tiny random member of every family of decoders that the library is tried with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from agentprm_lite.tutorial.templates import STYLES, Splitting, small_tokenizer

_LINEAR = ["linear_attention", "full_attention"]
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_ROUTED = {
    **_EXPERTS,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
_LATENT = {
    **_ROUTED,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "num_key_value_heads": 4,
}
_MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1}
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
    "Apertus": Family("ApertusConfig", "llama3"),
    "Bamba": Family("BambaConfig", "qwen2.5", options={"attn_layer_indices": [1], **_MAMBA}),
    "BitNet": Family("BitNetConfig", "llama3"),
    "Bloom": Family("BloomConfig", "zephyr"),
    "Cohere": Family("CohereConfig", "qwen2.5"),
    "Cohere 2": Family("Cohere2Config", "qwen2.5", options={"sliding_window": 64}),
    "DeepSeek-V3": Family("DeepseekV3Config", "qwen2.5", options=_LATENT),
    "Ernie 4.5": Family("Ernie4_5Config", "qwen2.5", options={"head_dim": 8}),
    "EXAONE 4": Family("Exaone4Config", "qwen2.5", options={"sliding_window": 64}),
    "Falcon": Family("FalconConfig", "zephyr"),
    "Falcon-H1": Family("FalconH1Config", "zephyr", options={"mamba_d_ssm": 64, **_MAMBA}),
    "Gemma 3n": Family(
        "Gemma3nTextConfig",
        "gemma",
        "spaces",
        {
            "head_dim": 8,
            "sliding_window": 64,
            "layer_types": ["sliding_attention", "full_attention"],
            "num_kv_shared_layers": 0,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": 600,
            "laurel_rank": 4,
            "intermediate_size": [32, 32],
            "activation_sparsity_pattern": [0.0, 0.0],
        },
    ),
    "GLM-4 MoE": Family("Glm4MoeConfig", "glm4", options={"head_dim": 8, **_ROUTED}),
    "GPT-J": Family("GPTJConfig", "zephyr", options={"rotary_dim": 4}),
    "Hunyuan": Family("HunYuanDenseV1Config", "qwen2.5", options={"head_dim": 8}),
    "Jamba": Family(
        "JambaConfig",
        "zephyr",
        options={
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "use_mamba_kernels": False,
            "mamba_d_state": 8,
            **_EXPERTS,
        },
    ),
    "LLaVA": Family("LlavaConfig", "qwen2.5"),
    "Llama 4, with images": Family(
        "Llama4Config",
        "llama3",
        options={
            "head_dim": 8,
            "intermediate_size_mlp": 32,
            "interleave_moe_layer_step": 1,
            **_ROUTED,
        },
    ),
    "Mamba 2": Family(
        "Mamba2Config",
        "zephyr",
        options={"state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 1},
    ),
    "MiniMax": Family(
        "MiniMaxConfig",
        "qwen2.5",
        options={"layer_types": _LINEAR, "block_size": 16, "head_dim": 8, **_ROUTED},
    ),
    "Mistral 3, with images": Family("Mistral3Config", "mistral", "first"),
    "Mixtral": Family("MixtralConfig", "mistral", "first", _ROUTED),
    "Nemotron": Family("NemotronConfig", "zephyr"),
    "OLMoE": Family("OlmoeConfig", "olmo2", options=_EXPERTS),
    "OPT": Family("OPTConfig", "zephyr", options={"ffn_dim": 32, "word_embed_proj_dim": 32}),
    "Phi-2": Family("PhiConfig", "phi3", "first"),
    "Phi-3.5-MoE": Family("PhimoeConfig", "phi3", "first", _ROUTED),
    "Qwen3-MoE": Family("Qwen3MoeConfig", "qwen3", options={"head_dim": 8, **_EXPERTS}),
    "RecurrentGemma": Family(
        "RecurrentGemmaConfig",
        "gemma",
        "spaces",
        {"block_types": ["recurrent", "attention"], "attention_window_size": 64},
    ),
    "Seed-OSS": Family("SeedOssConfig", "qwen2.5", options={"head_dim": 8}),
    "SmolVLM": Family("SmolVLMConfig", "qwen2.5"),
    "StableLM": Family("StableLmConfig", "zephyr"),
    "StarCoder 2": Family("Starcoder2Config", "zephyr"),
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
