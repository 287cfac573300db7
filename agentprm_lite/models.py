"""Policies, reward models and base models: ordinary Hugging Face checkpoints.

A policy is an ``AutoModelForCausalLM``, a reward model an ``AutoModelForTokenClassification`` with
one label whose sigmoid is M. Both may carry LoRA adapters (peft). Files are safetensors; beside
every checkpoint lies ``agentprm.json`` with the boundary rule and the template's fingerprint.

Departure from the paper:
    1. M is the sigmoid of the head's output, so that it lies in [0, 1] as the outcome does.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from agentprm_lite.chat import ChatFormat
from agentprm_lite.loading import read_model, read_tokenizer
from agentprm_lite.tutorial.smollm2 import smollm2

WORDS = (
    r"Thought:\n|\n\nAction:\n| ?[A-Z](?=[A-Z0-9])|(?<=[A-Z0-9])[A-Z]"  # product numbers by letters
    r"| ?[A-Za-z]+| ?[0-9]{1,2}(?![0-9])| ?[0-9]|\s|[^\sA-Za-z0-9]"
)
PAD, UNKNOWN, END = "<|pad|>", "<|unknown|>", "<|end|>"
TINY_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
#: A head with one output: no bias, no dropout (0.1 where a configuration doesn't say).
HEAD = {"num_labels": 1, "token_classification_bias": False, "classifier_dropout": 0.0}


@dataclass(frozen=True)
class TinySize:
    """Shape of the tiny model."""

    hidden: int = 192
    """Hidden size E."""
    layers: int = 4
    """Decoder layers."""
    heads: int = 6
    """Attention heads."""
    context: int = 2048
    """Most tokens in a history."""


@dataclass(frozen=True)
class Lora:
    """Shape of the LoRA adapters."""

    r: int = 16
    """Rank."""
    alpha: int = 32
    """Scale; the update is multiplied by alpha / r."""
    targets: str | tuple[str, ...] = "all-linear"
    """Layers with adapters: ``"all-linear"`` (but the head), or names such as ``q_proj``."""

    def config(self, task: str) -> LoraConfig:
        """The peft configuration.

        Args:
            task: ``"CAUSAL_LM"`` or ``"TOKEN_CLS"``.

        Returns:
            A configuration without dropout: differences of M are the signal.
        """
        reward = task == "TOKEN_CLS"
        return LoraConfig(
            task_type=task,
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=0.0,
            target_modules=self.targets if isinstance(self.targets, str) else list(self.targets),
            exclude_modules=["score"] if reward else None,
            modules_to_save=["score"] if reward else None,
        )


def tiny_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer that knows the words of some texts, and decodes without loss.

    Every word is known with and without a space before it. Numbers below 100 are words, longer
    ones are read digit by digit.

    Args:
        texts: every text of the task.

    Returns:
        A fast tokenizer with a chat template.

    Example:
        >>> tok = tiny_tokenizer(["get 2 stick"])
        >>> tok.decode(tok.encode("get 2 stick"))
        'get 2 stick'
    """
    numbers = {form for n in range(100) for form in (f"{n}", f"{n:02}")}
    words = {word for text in [*texts, *numbers] for word in re.findall(WORDS, text)}
    bare = {word.removeprefix(" ") for word in words}
    words |= {form for word in bare if word.isalnum() for form in (word, f" {word}")}
    special = [PAD, UNKNOWN, END, "<|user|>", "<|assistant|>", "<|system|>"]
    vocab = {word: i for i, word in enumerate([*special, *sorted(words - set(special))])}
    core = Tokenizer(models.WordLevel(vocab, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "isolated")
    core.decoder = decoders.Fuse()
    core.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        chat_template=TINY_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def make_tiny(folder: str | Path, texts: Iterable[str], size: TinySize, seed: int) -> None:
    """Write an untrained tiny model as a normal Hugging Face folder.

    Args:
        folder: where to write.
        texts: every text of the task, for the vocabulary.
        size: shape of the model.
        seed: of the initial weights.
    """
    tokenizer = tiny_tokenizer(texts)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=size.hidden * 8 // 3 // 32 * 32,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=size.context,
        initializer_range=size.hidden**-0.5,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ChatFormat(tokenizer).save(folder)


def resolve(name: str | Path) -> str:
    """Folder or hub id behind a name.

    Args:
        name: a folder, ``smollm2-135m`` or a hub id such as ``Qwen/Qwen2.5-0.5B-Instruct``.

    Returns:
        What ``from_pretrained`` takes.

    Raises:
        ValueError: neither a folder with a ``config.json`` nor of the form owner/name.
        OSError: see :func:`agentprm_lite.tutorial.smollm2.smollm2`.
    """
    text = str(name)
    if (Path(text) / "config.json").exists():
        return text
    if text == "smollm2-135m":
        return smollm2()
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        raise ValueError(
            f"model {str(name)!r} is neither a folder with a config.json, nor 'smollm2-135m', nor "
            "a hub id of the form owner/name"
        )
    return text


def load_chat(name: str | Path) -> ChatFormat:
    """Tokenizer and chat format of a model.

    Args:
        name: see :func:`resolve`.

    Returns:
        The chat format.

    Raises:
        OSError: neither the hub nor its cache has the tokenizer.
        ValueError: see :class:`agentprm_lite.chat.ChatFormat`.
    """
    return ChatFormat(read_tokenizer(resolve(name)))


def load_policy(name: str | Path, lora: Lora | None = None, seed: int = 0) -> Any:
    """A causal language model, in eval mode on the default device.

    Args:
        name: see :func:`resolve`.
        lora: adds fresh adapters to train; the adapter-off model is then the reference policy.
        seed: of the adapters.

    Returns:
        The model in :func:`default_dtype`, a ``PeftModel`` if ``lora`` is given; its adapters are
        float32.

    Raises:
        OSError: see :func:`agentprm_lite.loading.read_model`.
        ValueError: see there.
    """
    model = read_model(AutoModelForCausalLM, resolve(name), default_dtype())
    if lora is not None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = get_peft_model(model, lora.config("CAUSAL_LM"))
    return model.to(default_device()).eval()


def new_reward_model(base: str | Path | PreTrainedModel | PeftModel, lora: Lora, seed: int) -> Any:
    """A reward model on the trunk of a policy: LoRA adapters and a fresh head with one output.

    Args:
        base: the policy, see :func:`resolve`; or a loaded one, whose weights are then shared and
            not held twice (its adapters are left out).
        lora: shape of the adapters.
        seed: of the adapters.

    Returns:
        A ``PeftModel`` around a token classifier; M starts at 0.5 everywhere. Adapters and head
        are float32.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wrapped = get_peft_model(_token_classifier(base), lora.config("TOKEN_CLS"))
    return wrapped.to(default_device()).eval()


def _token_classifier(base: str | Path | PreTrainedModel | PeftModel) -> Any:
    """A classifier with a head of zeros.

    The head is float32 whatever the trunk is: differences of M are the signal. It has no bias,
    because vLLM's classifiers have none.
    """
    if isinstance(base, str | Path):
        model = read_model(AutoModelForTokenClassification, resolve(base), default_dtype(), **HEAD)
    else:
        model = _on_the_same_weights(base)
    model.score = torch.nn.Linear(
        model.config.hidden_size, 1, bias=False, device=model.device, dtype=torch.float32
    )
    torch.nn.init.zeros_(model.score.weight)
    return model


def _on_the_same_weights(policy: PreTrainedModel | PeftModel) -> Any:
    """A token classifier whose trunk consists of the policy's own tensors.

    The modules are copied, so that each model has its own adapters; the parameters are not.
    """
    kept = {id(p): p for p in policy.parameters()}
    copied = copy.deepcopy(policy, memo=kept)
    net: Any = copied.unload() if isinstance(copied, PeftModel) else copied
    config = copy.deepcopy(net.config)
    config.update(HEAD)
    with torch.device("meta"):
        model = AutoModelForTokenClassification.from_config(config)
    setattr(model, model.base_model_prefix, getattr(net, net.base_model_prefix))
    return model


def save_policy(model: Any, chat: ChatFormat, folder: str | Path) -> None:
    """Write a policy as a full checkpoint; adapters are merged into the weights.

    Args:
        model: a policy, with or without adapters. If it has adapters, its weights are changed,
            and so is every reward model that shares them.
        chat: its chat format.
        folder: where to write.
    """
    whole = model.merge_and_unload() if isinstance(model, PeftModel) else model
    whole.save_pretrained(folder)
    chat.tokenizer.save_pretrained(folder)
    chat.save(folder)


def save_adapter(model: PeftModel, chat: ChatFormat, folder: str | Path) -> None:
    """Write the adapters and the head of a reward model.

    Args:
        model: from :func:`new_reward_model`.
        chat: chat format of its base.
        folder: where to write.
    """
    model.save_pretrained(str(folder))
    chat.save(folder)


def load_reward_model(
    base: str | Path | PreTrainedModel | PeftModel, folder: str | Path, chat: ChatFormat
) -> Any:
    """Read what :func:`save_adapter` wrote.

    Args:
        base: the base that the adapters were trained on, see :func:`new_reward_model`.
        folder: the adapters.
        chat: the chat format in use; must be the one of the training.

    Returns:
        The reward model in eval mode on the default device.

    Raises:
        ValueError: boundary rule or template differ from those of the training.
    """
    chat.verify(folder)
    model = PeftModel.from_pretrained(_token_classifier(base), str(folder))
    return model.to(default_device()).eval()


def default_device() -> torch.device:
    """A CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_dtype() -> torch.dtype:
    """Half precision of the default device: bfloat16, or float16 on a GPU older than Ampere."""
    old = torch.cuda.is_available() and torch.cuda.get_device_capability()[0] < 8
    return torch.float16 if old else torch.bfloat16


def default_dtype() -> torch.dtype:
    """What the weights of a base are loaded as: half precision on a GPU, float32 on a CPU."""
    return half_dtype() if torch.cuda.is_available() else torch.float32


def count_parameters(model: Any) -> int:
    """Number of parameters of a model.

    Args:
        model: any torch module.

    Returns:
        The count.
    """
    return sum(p.numel() for p in model.parameters())
