"""Policies, reward models and base models: ordinary Hugging Face checkpoints.

A policy is an ``AutoModelForCausalLM``, a reward model the same trunk under a head with one output,
whose sigmoid is M (:class:`Scorer`, for all families alike). Both may carry LoRA adapters (peft).
Files are safetensors; beside every checkpoint lies ``agentprm.json`` with the boundary rule and
fingerprints of template, tokenizer and base.

Departure from the paper:
    1. M is the sigmoid of the head's output, so that it lies in [0, 1] as the outcome does.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoTokenizer, PreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.pytorch_utils import Conv1D

from agentprm_lite.chat import ChatFormat
from agentprm_lite.forward import LinearHead, is_linear
from agentprm_lite.loading import hide_old_torchao, read, read_ends, read_model

hide_old_torchao()

Head = Literal["sigmoid", "linear"]
Base: TypeAlias = str | Path | PreTrainedModel | PeftModel


@dataclass(frozen=True)
class Lora:
    """Shape of the LoRA adapters."""

    r: int = 16  #: Rank.
    alpha: int = 32  #: Scale; the update is multiplied by alpha / r.
    targets: str | tuple[str, ...] = "all-linear"
    """Layers with adapters: ``"all-linear"`` (but the head), or names such as ``q_proj``."""

    def add_to(self, model: Any, task: str, seed: int) -> Any:
        """A ``PeftModel`` with fresh adapters, without dropout: differences of M are the signal.

        The task is "CAUSAL_LM" or "TOKEN_CLS"; the global random stream is left alone.
        """
        reward = task == "TOKEN_CLS"
        config = LoraConfig(
            task_type=task,
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=0.0,
            target_modules=self.targets if isinstance(self.targets, str) else list(self.targets),
            exclude_modules=["score"] if reward else None,
            modules_to_save=["score"] if reward else None,
            fan_in_fan_out=any(isinstance(m, Conv1D) for m in model.modules()),  # GPT-2
        )
        with torch.random.fork_rng(), warnings.catch_warnings():
            # peft's own pattern for expert layers, which not every such model has
            warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys")
            torch.manual_seed(seed)
            return get_peft_model(model, config)


class Scorer(torch.nn.Module):
    """A trunk and a head of zeros, without bias, which vLLM's classifiers lack, too.

    Named as transformers' token classifiers name them. The head is float32 whatever the trunk is.
    """

    def __init__(self, trunk: PreTrainedModel, name: str, head: Head = "sigmoid") -> None:
        super().__init__()
        self.config = copy.deepcopy(trunk.config)
        new = {"num_labels": 1, "token_classification_bias": False, "classifier_dropout": 0.0}
        self.config.update(new)
        self.name_or_path = name
        self.base_model_prefix = trunk.base_model_prefix
        setattr(self, self.base_model_prefix, trunk)
        size = self.config.hidden_size
        kind = LinearHead if head == "linear" else torch.nn.Linear
        self.score = kind(size, 1, bias=False, device=trunk.device, dtype=torch.float32)
        torch.nn.init.zeros_(self.score.weight)

    @property
    def trunk(self) -> PreTrainedModel:
        """The model without its head."""
        trunk: PreTrainedModel = getattr(self, self.base_model_prefix)
        return trunk

    def get_input_embeddings(self) -> torch.nn.Module:
        """The trunk's."""
        return self.trunk.get_input_embeddings()

    def forward(self, input_ids: torch.Tensor, **kwargs: Any) -> TokenClassifierOutput:
        """One logit a token."""
        hidden = self.trunk(input_ids=input_ids, **kwargs).last_hidden_state
        return TokenClassifierOutput(logits=self.score(hidden.to(self.score.weight.dtype)))


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
            held twice (its adapters are left out).
        lora: shape of the adapters.
        seed: of the adapters.
        head: M is the ``"sigmoid"`` of the head's output, or, as in the paper, the output itself
            (``"linear"``), which may leave [0, 1]. A checkpoint says which.
        words: ids of what a base that grades says after a turn, such as " right" and " no" (a
            token each): M starts as the chance of the first against the second.

    Returns:
        A ``PeftModel`` around a :class:`Scorer`; without words M is 0.5 everywhere, with a linear
        head 0.
    """
    if words is not None:
        net = read_model(base, default_dtype())
        scorer = _scorer(base, head)
        right, wrong = net.get_output_embeddings().weight.detach()[list(words)].float()
        scorer.score.weight.data.copy_((right - wrong)[None])
        return lora.add_to(scorer, "TOKEN_CLS", seed).to(default_device()).eval()
    return lora.add_to(_scorer(base, head), "TOKEN_CLS", seed).to(default_device()).eval()


def _scorer(base: Base, head: Head) -> Scorer:
    net: Any
    if isinstance(base, str | Path):
        net = read_model(base, default_dtype())
    else:  # the modules are copied, so that each model has its own adapters; the parameters aren't
        net = copy.deepcopy(base, memo={id(p): p for p in base.parameters()})
        net = net.unload() if isinstance(net, PeftModel) else net
    return Scorer(getattr(net, net.base_model_prefix), net.name_or_path, head)


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
    chat.save(folder, base=weights_fingerprint(scorer.trunk), head=head)


def load_reward_model(base: Base, folder: str | Path, chat: ChatFormat) -> Any:
    """Read what :func:`save_adapter` wrote: a reward model in eval mode on the default device.

    Boundary rule, template, tokenizer and base must be those of the training, else a ValueError.
    For ``base`` see :func:`new_reward_model`.
    """
    record = chat.verify(folder)
    scorer = _scorer(base, record.get("head", "sigmoid"))
    trained, here = record.get("base", {}), weights_fingerprint(scorer.trunk)
    if any(trained.get(dtype, digest) != digest for dtype, digest in here.items()):
        raise ValueError(
            f"{folder} was trained on another base than {scorer.name_or_path!r}: its weights "
            f"differ ({here} for {trained}); give the base that it was trained on"
        )
    scorer.config.agentprm_chat = chat.fingerprint
    model = PeftModel.from_pretrained(scorer, str(folder))
    return model.to(default_device()).eval()


@torch.no_grad()
def weights_fingerprint(trunk: torch.nn.Module) -> dict[str, str]:
    """Hashes of a trunk's weights, without adapters, by the precision that they are in.

    A few numbers of every tensor enter. Weights in float32 are rounded to the others as well, so
    that one checkpoint is known again on machines that load it in another precision.
    """
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


def check_ids(reward_model: Any, chat: ChatFormat) -> None:
    """Refuse a reward model that was trained on other ids than a policy's."""
    trained = getattr(reward_model.config, "agentprm_chat", None)
    if trained not in (None, chat.fingerprint):
        raise ValueError(
            f"the reward model was trained on ids of the chat format {trained}, the policy's is "
            f"{chat.fingerprint}: ids of one mean nothing to the other; train a reward model on "
            "this policy's base"
        )


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
    """Number of parameters of a model."""
    return sum(p.numel() for p in model.parameters())
