"""Pretraining of the small base: copying first, then the text of all worlds.

Copying what stood there before is learned late and needed everywhere (recipes, product numbers), so
the model is born with it (see copying.py) and practises it by itself before it reads the worlds.
The matrices inside the layers are trained by Muon, embeddings and norms by AdamW. The learning
rate warms up, stays, and falls to 0 at the end, so a run can be made longer. The finished model has
the running mean of the weights.
"""

from __future__ import annotations

import copy
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from agentprm_lite.files import to_disk
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.models import half_dtype
from agentprm_lite.study import provenance
from agentprm_lite.tutorial import base as small_base
from agentprm_lite.tutorial.card import write_card
from agentprm_lite.tutorial.copying import teach_copying
from agentprm_lite.tutorial.corpus import WORLDS, episode
from agentprm_lite.tutorial.rows import Batch, Drill, Rows
from agentprm_lite.tutorial.tokens import make_tokenizer

STATE = "state.pt"
STARTS: dict[Drill, tuple[str, float]] = {"purchases": ("", 1.0), "solutions": ("checker", 0.3)}
"""The shipped model from which a drill goes on, at which share of the learning rates."""
#: What a run that was stopped before its first state may have left.
TOKENIZER_FILES = {
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"),
    f"{STATE}.new",
}
SAMPLE_SEED = 10**12
MEMORY = 0.995
"""Of the running mean of the weights, a step."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainConfig:
    """Sizes of a run."""

    hidden: int = 192
    """Hidden size."""
    layers: int = 5
    """Decoder layers."""
    heads: int = 3
    """Attention heads."""
    context: int = 2048
    """Longest history that the model is meant for."""
    vocab: int = 2000
    """Most tokens of the tokenizer."""
    sample: int = 1500
    """Episodes of each world that the tokenizer is made from."""
    size: float = 1.0
    """Size of a step; see :data:`agentprm_lite.tutorial.rows.SHAPES`."""
    copy_steps: int = 60
    """Steps of copying before the first episode."""
    steps: int = 4000
    """Steps in all."""
    warmup: int = 50
    """Steps over which the learning rates rise."""
    decay: int = 1000
    """Steps, the last ones, over which they fall to 0."""
    lr_matrices: float = 0.01
    """Learning rate of Muon."""
    lr_others: float = 2e-3
    """Learning rate of AdamW."""
    seed: int = 0
    """Of weights and data."""
    drill: Drill | None = None
    """From a shipped model on, with nothing but a drill; None: from nothing, with all text."""

    def __post_init__(self) -> None:
        if min(self.hidden, self.layers - 1, self.heads - 2, self.size, self.steps) <= 0:
            raise ValueError(
                f"sizes must be positive, with 2 layers and 3 heads or more, got {self}"
            )
        if self.hidden % (2 * self.heads):
            raise ValueError(
                f"hidden must be a multiple of 2 heads = {2 * self.heads}, got {self.hidden}"
            )

    def rate(self, step: int) -> float:
        """Factor of the learning rates at a step."""
        factor = min(1.0, (step + 1) / self.warmup, (self.steps - step) / self.decay)
        return factor * STARTS[self.drill][1] if self.drill else factor


def new_base(config: PretrainConfig, chat: ChatFormat) -> LlamaForCausalLM:
    """A model that has learned nothing but can copy; for a drill the shipped one."""
    if config.drill:
        shipped: LlamaForCausalLM = load_policy(small_base.folder(STARTS[config.drill][0]))
        return shipped.to("cpu", torch.float32)
    shape = LlamaConfig(
        vocab_size=len(chat.tokenizer),
        hidden_size=config.hidden,
        intermediate_size=config.hidden * 8 // 3 // 32 * 32,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        pad_token_id=chat.tokenizer.pad_token_id,
        eos_token_id=chat.end_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = LlamaForCausalLM(shape)
    teach_copying(model, torch.Generator().manual_seed(config.seed))
    return model


def optimizers(model: torch.nn.Module, config: PretrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest."""
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(inner, lr=config.lr_matrices, weight_decay=0.0),
        torch.optim.AdamW(others, lr=config.lr_others, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def losses_of(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each next token, and its weight."""
    logits = model(batch.ids).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), batch.targets[:, 1:].flatten(), reduction="none"
    )
    return losses, batch.weights[:, 1:].flatten()


def pretrain(
    config: PretrainConfig,
    folder: str | Path,
    *,
    save_every: float = 300.0,
    until: int | None = None,
    command: str = "pretrain()",
) -> None:
    """Train a small base, or go on with a run that was stopped.

    Args:
        config: sizes.
        folder: of the run; ``state.pt`` in it holds all that is needed to go on, and beside it
            lies the model as an ordinary Hugging Face checkpoint.
        save_every: seconds between two states.
        until: step before which to stop; None: the last.
        command: what the card says that made it.

    Raises:
        ValueError: the folder holds a run of another configuration.
        FloatingPointError: the loss is not finite.
    """
    run = _Run.start(config, Path(folder))
    stop = config.steps if until is None else min(until, config.steps)
    if run.number >= stop:
        return
    where = {name: str(text) for name, text in provenance().items()}  # torch's own is no plain text
    run.sessions.append({"step": run.number, "command": command, **where})
    rows = Rows(run.chat, config.seed, config.copy_steps, config.size, config.drill)
    ahead = DataLoader(  # made by another process while the model learns from earlier ones
        rows, batch_size=None, sampler=range(run.number, stop), num_workers=1, prefetch_factor=8
    )
    saved = time.monotonic()
    for batches in ahead:
        run.step(batches)
        if time.monotonic() - saved > save_every:
            run.save()
            saved = time.monotonic()
    run.save()


@dataclass
class _Run:
    """A run under way."""

    config: PretrainConfig
    folder: Path
    chat: ChatFormat
    model: LlamaForCausalLM
    opts: list[torch.optim.Optimizer]
    mean: dict[str, Tensor]
    """Running mean of the weights: what the finished model has."""
    number: int = 0
    """Of the next step."""
    curve: list[list[float]] = field(default_factory=list)
    """Of every step: loss on turns, copies and verdicts, loss on what is read, tokens, seconds."""
    sessions: list[dict[str, Any]] = field(default_factory=list)
    """Of every start: its first step, and what the card tells of it."""

    @classmethod
    def start(cls, config: PretrainConfig, folder: Path) -> _Run:
        """A new run, or the one that the folder holds."""
        path = folder / STATE
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            if other := {p.name for p in folder.iterdir()} - TOKENIZER_FILES:
                raise ValueError(
                    f"{folder} has {sorted(other)} and no run to go on with: use a new folder"
                )
            if config.drill:
                for name in TOKENIZER_FILES & {f.name for f in small_base.folder().iterdir()}:
                    shutil.copy(small_base.folder() / name, folder)
            else:
                make_tokenizer(_texts(config.sample), config.vocab).save_pretrained(folder)
        chat = ChatFormat(AutoTokenizer.from_pretrained(folder))
        model = new_base(config, chat)
        mean = {name: w.clone() for name, w in model.state_dict().items()}
        run = cls(config, folder, chat, model, optimizers(model, config), mean)
        if path.exists():
            state = torch.load(path, weights_only=True)
            # an older run has no drill, and a run may be made longer
            known = {"drill": None, **state["config"], "steps": config.steps}
            if known != asdict(config):
                raise ValueError(f"{path}: has {state['config']}, this run is {asdict(config)}")
            model.load_state_dict(state["model"])
            for opt, saved in zip(run.opts, state["opts"], strict=True):
                opt.load_state_dict(saved)
            run.number, run.mean = state["number"], state["mean"]
            run.curve, run.sessions = state["curve"], state["sessions"]
        return run

    def step(self, batches: list[Batch]) -> None:
        """Learn from some batches."""
        began, config = time.monotonic(), self.config
        whole = sum(batch.weights[:, 1:].sum() for batch in batches)
        sums = torch.zeros(4)
        for batch in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=half_dtype() == torch.bfloat16):
                losses, weights = losses_of(self.model, batch)
            ((losses * weights).sum() / whole).backward()
            for k, kind in enumerate((weights >= 1, (weights > 0) & (weights < 1))):
                sums[2 * k] += losses.detach()[kind].sum()
                sums[2 * k + 1] += kind.sum()
        if not sums.isfinite().all():
            raise FloatingPointError(f"the loss of step {self.number} is not finite")
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for opt, rate in zip(self.opts, (config.lr_matrices, config.lr_others), strict=True):
            for group in opt.param_groups:
                group["lr"] = rate * config.rate(self.number)
            opt.step()
            opt.zero_grad()
        forget = max(1 - MEMORY, 1 / (self.number + 1))
        for name, weight in self.model.state_dict().items():
            self.mean[name].lerp_(weight, forget)
        self.number += 1
        acted, read = (float(sums[k] / sums[k + 1].clamp(min=1)) for k in (0, 2))
        tokens = sum(batch.ids.numel() for batch in batches)
        took = time.monotonic() - began
        self.curve.append([round(acted, 4), round(read, 4), tokens, round(took, 2)])
        if self.number % 20 == 0:
            means = [sum(column) / 20 for column in zip(*self.curve[-20:], strict=True)]
            logger.info("step %d: turns %.3f, read %.3f, %.0f tokens, %.2f s", self.number, *means)

    def save(self) -> None:
        """Write the state and the model; a crash leaves the old ones."""
        state = {
            "config": asdict(self.config),
            "model": self.model.state_dict(),
            "opts": [opt.state_dict() for opt in self.opts],
            "mean": self.mean,
            "number": self.number,
            "curve": self.curve,
            "sessions": self.sessions,
        }
        if not self.curve:
            return
        new = self.folder / f"{STATE}.new"
        torch.save(state, new)
        to_disk(new)
        os.replace(new, self.folder / STATE)
        finished = copy.deepcopy(self.model)
        finished.load_state_dict(self.mean)
        finished.to(torch.bfloat16).save_pretrained(self.folder)
        self.chat.save(self.folder)
        weights = self.model.num_parameters()
        write_card(self.folder, asdict(self.config), weights, self.curve, self.sessions)


def _texts(sample: int) -> Iterator[str]:
    """Texts to make the tokenizer from."""
    for world in WORLDS:
        for seed in range(sample):
            text = episode(world, SAMPLE_SEED + seed)
            yield from (*text.observations, *text.turns)
