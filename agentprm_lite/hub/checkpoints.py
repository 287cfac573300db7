"""Checkpoints: ordinary Hugging Face folders, and adapters that belong to one of them.

Files are safetensors; beside every checkpoint lies ``agentprm.json`` with the boundary rule and
fingerprints of template, tokenizer and base.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeAlias

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedModel

from agentprm_lite.forward import is_linear
from agentprm_lite.hub.format import ChatFormat, checksum
from agentprm_lite.hub.loading import (
    default_device,
    default_dtype,
    hide_old_torchao,
    read,
    read_ends,
    read_model,
)
from agentprm_lite.models import Head, Lora, scorer_on

hide_old_torchao()
Base: TypeAlias = str | Path | PreTrainedModel | PeftModel


def load_chat(name: str | Path) -> ChatFormat:
    """Tokenizer and chat format of a model, given as a folder or a hub id."""
    return ChatFormat(read(AutoTokenizer, name), read_ends(name))


def load_policy(name: str | Path, lora: Lora | None = None, seed: int = 0) -> Any:
    """A causal language model, in eval mode on the default device, from a folder or a hub id.

    Of a model for texts and images the part for texts is taken. With ``lora`` it is a ``PeftModel``
    with fresh float32 adapters to train, and without them the reference policy. What is no causal
    language model is a ValueError, what can't be had an OSError, what doesn't fit a MemoryError.
    """
    model = read_model(name, default_dtype())
    if lora is not None:
        model = lora.add_to(model, "CAUSAL_LM", seed)
    return model.to(default_device()).eval()


def new_reward_model(
    base: Base,
    lora: Lora,
    seed: int,
    head: Head = "sigmoid",
    words: tuple[int, int] | None = None,
) -> Any:
    """A reward model on the trunk of a policy: LoRA adapters and a fresh head with one output.

    Args:
        base: the policy's folder or hub id; or a loaded one, whose weights are then shared and not
            held twice, and frozen in both (its adapters are left out, and go on as they are).
        lora: shape of the adapters.
        seed: of the adapters.
        head: M is the ``"sigmoid"`` of the head's output, or, as in the paper, the output itself
            (``"linear"``), which may leave [0, 1]. A checkpoint says which.
        words: ids of what a base that grades says after a turn, such as " right" and " no" (a
            token each): M starts as the chance of the first against the second, with a linear head
            as the difference of their logits.

    Returns:
        A ``PeftModel`` around a :class:`agentprm_lite.models.Scorer`; without words M is 0.5
        everywhere, with a linear head 0.
    """
    base = _loaded(base)
    scorer = scorer_on(base, head)
    if words is not None:
        right, wrong = base.get_output_embeddings().weight.detach()[list(words)].float()
        scorer.score.weight.data.copy_((right - wrong)[None])
    return lora.add_to(scorer, "TOKEN_CLS", seed).to(default_device()).eval()


def _loaded(base: Base) -> Any:
    return read_model(base, default_dtype()) if isinstance(base, str | Path) else base


def save_policy(model: Any, chat: ChatFormat, folder: str | Path) -> None:
    """Write a policy as a full checkpoint, with its adapters merged into the weights.

    That changes the model's own weights, and those of a reward model that shares them.
    """
    whole = model.merge_and_unload() if isinstance(model, PeftModel) else model
    stops = whole.generation_config.eos_token_id
    if not chat.end_ids <= {*(stops if isinstance(stops, list) else [stops])}:
        whole.generation_config.eos_token_id = sorted(chat.end_ids)
    whole.save_pretrained(folder)
    chat.tokenizer.save_pretrained(folder)
    chat.save(folder)


def save_adapter(model: PeftModel, chat: ChatFormat, folder: str | Path) -> None:
    """Write the adapters and the head of a reward model."""
    model.save_pretrained(str(folder))
    scorer = model.get_base_model()
    head = "linear" if is_linear(scorer.score) else "sigmoid"
    files = {p.name: checksum(p) for p in Path(folder).glob("*.safetensors")}
    chat.save(folder, base=weights_fingerprint(scorer.trunk), head=head, files=files)


def load_reward_model(base: Base, folder: str | Path, chat: ChatFormat) -> Any:
    """Read what :func:`save_adapter` wrote: a reward model in eval mode on the default device,
    whose training may go on.

    Boundary rule, template, tokenizer and base must be those of the training, else a ValueError.
    For ``base`` see :func:`new_reward_model`.
    """
    record = chat.verify(folder)
    if not (Path(folder) / "adapter_config.json").exists():
        raise ValueError(
            f"{folder} holds no adapters: a whole model is read by interop.load_exported(folder)"
        )
    scorer = scorer_on(_loaded(base), record.get("head", "sigmoid"))
    trained, here = record.get("base", {}), weights_fingerprint(scorer.trunk)
    if any(trained.get(dtype, digest) != digest for dtype, digest in here.items()):
        raise ValueError(
            f"{folder} was trained on another base than {scorer.name_or_path!r}: its weights "
            f"differ ({here} for {trained}); give the base that it was trained on"
        )
    scorer.config.agentprm_chat = chat.fingerprint
    try:
        model = PeftModel.from_pretrained(scorer, str(folder), is_trainable=True)
    except (SafetensorError, json.JSONDecodeError) as err:
        raise ValueError(f"{folder}: a file of adapters is cut or garbled: {err}") from err
    return model.to(default_device()).eval()


@torch.no_grad()
def weights_fingerprint(trunk: torch.nn.Module) -> dict[str, str]:
    """Hashes of a few numbers of every weight of a trunk, by the precisions it may be loaded in."""
    found = {n.replace(".base_layer.", "."): p for n, p in trunk.named_parameters()}
    own = [p for n, p in sorted(found.items()) if "lora_" not in n and p.is_floating_point()]
    coarsest = min((p.dtype for p in own), key=lambda dtype: dtype.itemsize)
    dtype = torch.float32 if coarsest == torch.float64 else coarsest
    exact = torch.cat([p.flatten()[:: max(1, p.numel() // 8)].to(dtype) for p in own]).cpu()
    rounded = (torch.float16, torch.bfloat16) if exact.dtype == torch.float32 else ()
    digests = {}
    for dtype in (exact.dtype, *rounded):
        data = exact.to(dtype).float().numpy().tobytes()
        digests[str(dtype).removeprefix("torch.")] = hashlib.sha256(data).hexdigest()[:16]
    return digests
