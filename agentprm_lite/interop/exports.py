"""A trained reward model as one ordinary folder, read without peft and without this library.

Where transformers has a token classifier for the family, it is one of these; elsewhere the trunk
with the head in a file of its own, see whole.py. The card's program reads either.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import GenerationConfig

from agentprm_lite.forward import is_linear
from agentprm_lite.hub import (
    ChatFormat,
    checksum,
    default_device,
    default_dtype,
    load_chat,
    load_reward_model,
)
from agentprm_lite.interop.card import card, program
from agentprm_lite.interop.outputs import new_folder
from agentprm_lite.interop.whole import HEAD, read_whole, save_whole


def export(
    model: PeftModel,
    chat: ChatFormat,
    folder: str | Path,
    *,
    kind: str,
    dtype: torch.dtype = torch.float32,
    recorded: bool = False,
) -> None:
    """Merge a reward model's adapters and write it with tokenizer and model card.

    The card's program makes the same ids of a conversation as this library does.

    Args:
        model: from :func:`agentprm_lite.hub.checkpoints.load_reward_model`. Its weights are
            changed, and those of a policy that shares them: do this last.
        chat: its chat format.
        folder: where to write; new or empty.
        kind: which labels it was trained on, for the card.
        dtype: of the file; half precision halves it and rounds the scores.
        recorded: it learned from logs, whose last turn stands as the chat template shows it; else
            from ids that a policy produced. With most templates that is the same.

    Raises:
        ValueError: the folder isn't new or empty, the head is linear, or a program that renders
            conversations by the chat template would have other ids.
    """
    if is_linear(model.get_base_model().score):
        raise ValueError("the card's program squashes the head's output, and this head is linear")
    folder, lines = new_folder(folder), program(chat, recorded=recorded)
    whole = model.float().merge_and_unload().to(dtype)  # merged before it is rounded
    there = folder.absolute()
    new = there.with_name(f".{there.name}.new")  # the folder is whole or not there
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    save_whole(whole, new)
    chat.tokenizer.save_pretrained(new)
    chat.save(new, files={p.name: checksum(p) for p in sorted(new.glob("*.safetensors"))})
    GenerationConfig(eos_token_id=sorted(chat.end_ids)).save_pretrained(new)  # ends of turns
    text = card(
        chat,
        lines,
        folder,
        trunk_alone=(new / HEAD).exists(),
        architecture=f"{whole.config.model_type} with one output",
        billions=sum(p.numel() for p in whole.parameters()) / 1e9,
        dtype=str(dtype).removeprefix("torch."),
        kind=kind,
    )
    (new / "README.md").write_text(text, encoding="utf-8")
    new.replace(there)


def load_exported(folder: str | Path) -> tuple[Any, ChatFormat]:
    """Read a reward model with its tokenizer: what :func:`export` wrote, or adapters.

    Args:
        folder: of :func:`export`, or of :func:`agentprm_lite.hub.checkpoints.save_adapter`.

    Returns:
        The model in eval mode on the default device, and its chat format.

    Raises:
        ValueError: the folder holds no reward model of this library, or not the weights that were
            exported.
    """
    folder = Path(folder)
    if (folder / "adapter_config.json").exists():
        try:
            said = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        except ValueError as err:
            raise ValueError(f"{folder}/adapter_config.json is cut or garbled: {err}") from err
        base = said.get("base_model_name_or_path") if isinstance(said, dict) else None
        if not isinstance(base, str):
            raise ValueError(f"{folder}/adapter_config.json names no base_model_name_or_path")
        chat = load_chat(base)
        return load_reward_model(base, folder, chat), chat
    if not (folder / "config.json").exists():
        raise ValueError(f"{folder} holds no model: there is no config.json")
    chat = load_chat(folder)
    chat.verify(folder)
    model = read_whole(folder, default_dtype())
    model.config.agentprm_chat = chat.fingerprint
    return model.to(default_device()).eval(), chat
