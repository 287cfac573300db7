"""A reward model without adapters, as a folder that transformers reads without this library.

Where transformers has a token classifier for the family with the same head as ours, the folder is
one. Elsewhere (Gemma 3, Granite, OLMo, LFM2, GPT-2, …) it is the trunk's, with the head's weights
in a file of their own.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    AutoModel,
    AutoModelForTokenClassification,
)

from agentprm_lite.models import Scorer

HEAD = "score.safetensors"


def classifier(model: Scorer) -> Any:
    """transformers' token classifier with the same weights; None if it has none for the family."""
    config = copy.deepcopy(model.config)
    if type(config) not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING:
        return None
    with torch.device("meta"):
        made = AutoModelForTokenClassification.from_config(config)
    head = getattr(made, "score", None)  # GPT-2 and GPT-NeoX have another name and a bias
    if made.base_model_prefix != model.base_model_prefix or not isinstance(head, torch.nn.Linear):
        return None
    setattr(made, made.base_model_prefix, model.trunk)
    made.score = model.score
    return made


def save_whole(model: Scorer, folder: Path) -> None:
    """Write a reward model whose adapters are merged."""
    made = classifier(model)
    if made is not None:
        made.save_pretrained(folder)
        return
    model.trunk.save_pretrained(folder)
    save_file({"weight": model.score.weight.detach().contiguous()}, folder / HEAD)


def read_whole(folder: Path, dtype: torch.dtype) -> Any:
    """Read what :func:`save_whole` wrote."""
    if not (folder / HEAD).exists():
        model, info = AutoModelForTokenClassification.from_pretrained(
            folder, dtype=dtype, output_loading_info=True
        )
        if model.config.num_labels != 1 or info["missing_keys"]:
            raise ValueError(
                f"{folder} holds no reward model of this library, which has one output: it has "
                f"{model.config.num_labels} labels, and lacks {sorted(info['missing_keys'])}"
            )
        return model
    model = Scorer(AutoModel.from_pretrained(folder, dtype=dtype), str(folder))
    model.score.load_state_dict(load_file(folder / HEAD))
    return model
