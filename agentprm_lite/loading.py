"""Reading models and tokenizers, with errors that say what came and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
import torch
from huggingface_hub import constants
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoTokenizer


def read_tokenizer(where: str) -> Any:
    """The tokenizer of a model.

    Args:
        where: a folder or a hub id.

    Returns:
        The tokenizer.

    Raises:
        OSError: it isn't there, or the hub doesn't answer.
    """
    return _read(AutoTokenizer, where)


def read_model(auto_class: Any, where: str, dtype: torch.dtype, **changes: Any) -> Any:
    """A model of ``transformers``, after a look at what the checkpoint holds and needs.

    Args:
        auto_class: ``AutoModelForCausalLM`` or ``AutoModelForTokenClassification``.
        where: a folder or a hub id.
        dtype: of the weights.
        **changes: what to change in the configuration.

    Returns:
        The model, on the CPU.

    Raises:
        OSError: it isn't there, or the hub doesn't answer.
        ValueError: the checkpoint isn't that of a causal language model.
        MemoryError: there is less free memory than the weights take.
    """
    config = _read(AutoConfig, where)
    check_architecture(config, where)
    config.update(changes)
    check_memory(config, where, dtype)
    return _read(auto_class, where, config=config, dtype=dtype)


def check_architecture(config: Any, where: str) -> None:
    """Refuse a checkpoint that isn't a causal language model.

    Args:
        config: the checkpoint's configuration.
        where: its name, for the message.

    Raises:
        ValueError: transformers has no causal language model of this type, or the checkpoint holds
            another model of the type, whose language-model head would be made of random numbers.
    """
    known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    expected = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].__name__ if known else None
    held = list(config.architectures or [expected])
    if expected is None or expected not in held:
        raise ValueError(
            f"{where} holds {' and '.join(map(str, held))} (model type {config.model_type!r}), "
            f"expected {expected or 'a causal language model'}: give an instruct model such as "
            "'smollm2-135m' or 'Qwen/Qwen2.5-0.5B-Instruct'"
        )


def check_memory(config: Any, where: str, dtype: torch.dtype) -> None:
    """Refuse a model whose weights alone don't fit.

    Args:
        config: its configuration.
        where: its name, for the message.
        dtype: of the weights.

    Raises:
        MemoryError: they take more than what is free.
    """
    with torch.device("meta"):
        model = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)
    count = sum(p.numel() for p in model.parameters())
    need, (free, place) = count * dtype.itemsize, free_memory()
    if need > free:
        raise MemoryError(
            f"{where} has {count / 1e9:.2f} billion parameters: {need / 2**30:.1f} GiB in "
            f"{str(dtype).removeprefix('torch.')}, and {place} has {free / 2**30:.1f} GiB free. "
            "agentprm_lite.tutorial.memory.memory_estimate says what sampling and training take "
            "besides; choose a smaller model or a larger machine"
        )


def free_memory() -> tuple[int, str]:
    """Memory that can still be used on the device that models are moved to.

    Returns:
        Bytes, and the name of the device.
    """
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0], torch.cuda.get_device_name()
    return psutil.virtual_memory().available, "this machine"


def _read(auto_class: Any, where: str, **options: Any) -> Any:
    try:
        return auto_class.from_pretrained(where, **options)
    except OSError as err:
        if Path(where).is_dir():
            raise
        cache = os.environ.get("HF_HOME", constants.HF_HOME)
        raise OSError(
            f"model {where!r}: neither the hub ({constants.ENDPOINT}"
            f"{', which offline mode leaves alone' * constants.HF_HUB_OFFLINE}) nor its cache "
            f"({cache}) gave it. Check the name and the connection, set HF_ENDPOINT to a mirror or "
            f"HF_HOME to a filled cache, or give a folder instead. transformers says: {err}"
        ) from err
