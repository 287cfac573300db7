"""Policies and reward models: modules of transformers, with adapters.

A policy is an ``AutoModelForCausalLM``, a reward model the same trunk under a head with one output
(:class:`Scorer`). Both may carry LoRA adapters (peft) and are ordinary Hugging Face checkpoints.

Departure from the paper: M is the sigmoid of the head's output, to lie in [0, 1] as outcomes do.
"""

from __future__ import annotations

import copy
import re
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.pytorch_utils import Conv1D

from agentprm_lite.forward import LinearHead, split_model

warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")  # peft asks for it

Head = Literal["sigmoid", "linear"]


@dataclass(frozen=True)
class Lora:
    """Shape of the LoRA adapters."""

    r: int = 16  #: Rank.
    alpha: int = 32  #: Scale; the update is multiplied by alpha / r.
    targets: str | tuple[str, ...] = "all-linear"
    """Layers with adapters: ``"all-linear"`` (but the head), or names such as ``q_proj``."""

    def add_to(self, model: Any, task: str, seed: int) -> Any:
        """A ``PeftModel`` with fresh adapters for "CAUSAL_LM" or "TOKEN_CLS", without dropout."""
        names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
        fused = bool(re.search("mamba|falcon_h1|nemotron_h", model.config.model_type))
        config = LoraConfig(
            task_type=task,
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=0.0,
            target_modules=self.targets if isinstance(self.targets, str) else list(self.targets),
            exclude_modules=sorted(names & {"score", "router", *["out_proj"] * fused}) or None,
            modules_to_save=["score"] if task == "TOKEN_CLS" else None,
            fan_in_fan_out=any(isinstance(m, Conv1D) for m in model.modules()),  # GPT-2
        )
        with torch.random.fork_rng(), warnings.catch_warnings():
            # peft's own pattern for expert layers, which not every such model has
            warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys")
            torch.manual_seed(seed)
            return get_peft_model(model, config)


class Scorer(torch.nn.Module):
    """A trunk and a float32 head of zeros without bias, named as transformers' classifiers are."""

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
    def trunk(self) -> Any:
        """The model without its head."""
        return getattr(self, self.base_model_prefix)

    def get_input_embeddings(self) -> torch.nn.Module:
        """The trunk's."""
        return self.trunk.get_input_embeddings()

    def forward(self, input_ids: torch.Tensor, **kwargs: Any) -> TokenClassifierOutput:
        """One logit a token."""
        hidden = self.trunk(input_ids=input_ids, **kwargs).last_hidden_state
        return TokenClassifierOutput(logits=self.score(hidden.to(self.score.weight.dtype)))


def scorer_on(policy: Any, head: Head = "sigmoid") -> Scorer:
    """A fresh head on a policy's own tensors, which are not held twice; its adapters are left out.

    The modules are copied, so that each model has its own adapters; the parameters aren't.
    """
    net = copy.deepcopy(policy, memo={id(p): p for p in policy.parameters()})
    net = net.unload() if isinstance(net, PeftModel) else net
    return Scorer(split_model(net)[0], net.name_or_path, head)


def half_dtype() -> torch.dtype:
    """bfloat16; float16 on a GPU older than Ampere, float32 on a CPU that would emulate both."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.get_device_capability()[0] >= 8 else torch.float16
    known = getattr(torch.cpu, "get_capabilities", lambda: {"bf16": True})()  # not in older torch
    return torch.bfloat16 if any(known[k] for k in known if "bf16" in k) else torch.float32
