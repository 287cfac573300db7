"""Reading models and tokenizers, with errors that say what came and what to do."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import peft.import_utils
import psutil  # comes with accelerate
import torch
from huggingface_hub import constants
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    GenerationConfig,
)

from agentprm_lite.models import half_dtype


def where(name: str | Path) -> str:
    """What ``from_pretrained`` takes: a folder with a ``config.json``, or a hub id."""
    text = str(name)
    folder = text.strip() and (Path(text) / "config.json").exists()
    if folder or re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", text):
        return text
    raise ValueError(
        f"model {text!r} is neither a folder with a config.json nor a hub id of the form owner/name"
    )


def hide_old_torchao() -> None:
    """Let peft add LoRA beside a torchao that is too old for it, such as Colab's."""
    try:
        peft.import_utils.is_torchao_available()
    except ImportError:
        for name, module in list(sys.modules.items()):
            if name.startswith("peft.") and "is_torchao_available" in vars(module):
                vars(module)["is_torchao_available"] = lambda: False


def read(auto_class: Any, name: str | Path, **options: Any) -> Any:
    """What ``from_pretrained`` gives; an error says where it looked and what to do."""
    place = where(name)
    try:
        return auto_class.from_pretrained(place, **options)
    except (SafetensorError, json.JSONDecodeError) as err:
        kind = "weights" if isinstance(err, SafetensorError) else "JSON"
        raise ValueError(f"{place}: a file of {kind} is cut or garbled: {err}") from err
    except (TypeError, AttributeError, KeyError) as err:  # a list where an object belongs
        what = f"{type(err).__name__}: {err}"
        raise ValueError(f"{place}: a file isn't what transformers wrote: {what}") from err
    except OSError as err:
        if Path(place).is_dir():
            raise
        cache = os.environ.get("HF_HOME", constants.HF_HOME)
        raise OSError(
            f"model {place!r}: neither the hub ({constants.ENDPOINT}"
            f"{', which offline mode leaves alone' * constants.HF_HUB_OFFLINE}) nor its cache "
            f"({cache}) gave it. Check the name and the connection, set HF_ENDPOINT to a mirror or "
            f"HF_HOME to a filled cache, or give a folder instead. transformers says: {err}"
        ) from err


def read_ends(place: str | Path) -> list[int]:
    """Tokens after which a model stops, as its ``generation_config.json`` lists them."""
    try:
        ends = read(GenerationConfig, place).eos_token_id
    except OSError:  # none; a place that can't be reached has been noticed before
        if (Path(place) / "generation_config.json").exists():
            raise
        return []
    return ends if isinstance(ends, list) else [ends] * (ends is not None)


def read_model(place: str | Path, dtype: torch.dtype) -> Any:
    """A causal language model without dropout: differences of M are the signal."""
    config = read(AutoConfig, place)
    auto_class = check_architecture(config, place)
    text = config.get_text_config()
    known = text.to_dict()
    text.update({key: 0.0 for key in known if key.endswith(("dropout", "pdrop")) and known[key]})
    check_memory(auto_class, config, place, dtype)
    model = read(auto_class, place, config=config, dtype=dtype)
    return model if auto_class is AutoModelForCausalLM else _text_part(model)


def check_architecture(config: Any, place: str | Path) -> Any:
    """The class that reads a checkpoint, if it holds a language model."""
    text_type = type(config.get_text_config())
    known = text_type in MODEL_FOR_CAUSAL_LM_MAPPING
    expected = MODEL_FOR_CAUSAL_LM_MAPPING[text_type].__name__ if known else None
    held = list(config.architectures or [expected])
    if text_type is not type(config) and known and held[0].endswith("ForConditionalGeneration"):
        return AutoModelForImageTextToText
    if expected is None or expected not in held:
        raise ValueError(
            f"{place} holds {' and '.join(map(str, held))} (model type {config.model_type!r}), "
            f"expected {expected or 'a causal language model'}: give an instruct model such as "
            "'Qwen/Qwen2.5-0.5B-Instruct'"
        )
    return AutoModelForCausalLM


def _text_part(model: Any) -> Any:
    """The language model inside a model of texts and images, on its own."""
    config, part = model.config.get_text_config(), model.get_decoder()
    causal = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    if not isinstance(part, causal):  # Llama 4's has its head within
        decoder = part
        with torch.device("meta"):
            part = causal(config)
        setattr(part, part.base_model_prefix, decoder)
        part.set_output_embeddings(model.get_output_embeddings())
    part.generation_config = model.generation_config
    part.name_or_path = model.name_or_path
    return part


def check_memory(auto_class: Any, config: Any, place: str | Path, dtype: torch.dtype) -> None:
    """Refuse a model whose weights alone don't fit."""
    with torch.device("meta"):
        model = auto_class.from_config(config)
        model.tie_weights()  # transformers 5.0 leaves that out here
    count, (free, device) = model.num_parameters(), free_memory()
    need = count * dtype.itemsize
    if need > free:
        raise MemoryError(
            f"{place} has {count / 1e9:.2f} billion parameters: {need / 2**30:.1f} GiB in "
            f"{str(dtype).removeprefix('torch.')}, and {device} has {free / 2**30:.1f} GiB free. "
            "Choose a smaller model or a larger machine; agentprm_lite.tutorial.memory says what "
            "sampling and training take besides"
        )


def free_memory() -> tuple[int, str]:
    """Free bytes of the device that models are moved to, and its name."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0], torch.cuda.get_device_name()
    return psutil.virtual_memory().available, "this machine"


def default_device() -> torch.device:
    """A CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def default_dtype() -> torch.dtype:
    """What the weights of a base are loaded as: half precision on a GPU, float32 on a CPU."""
    return half_dtype() if torch.cuda.is_available() else torch.float32
