"""Weights in training: a step of the optimizer, the best weights so far, the state of a run.

The loss module that they belong to has ``sizes(batch)``, which counts the terms of a whole step,
and ``forward(part, sizes)``, which returns a part's share of the step's loss and of the numbers to
log. So microbatches and the ranks of :class:`agentprm_lite.distributed.Ranks` are the same thing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agentprm_lite.checkpoint import Checkpoint, moments, set_moments
from agentprm_lite.examples import some, trajectory_of
from agentprm_lite.forward import at_least_float32, microbatches
from agentprm_lite.models import half_dtype

logger = logging.getLogger(__name__)

LEARNED = 0.02  # explained variance below which a judge has learned nothing


class OneProcess:
    """Who computes a step: this process, all of it. ``distributed.Ranks`` has the same methods."""

    first = True
    """This process writes what all share."""
    title = ""
    """For the progress bar."""

    def prepare(self, module: nn.Module, bf16: bool) -> nn.Module:
        """The module to train with."""
        return module

    def finish(self, module: nn.Module, trained: nn.Module) -> None:
        """Give the module what was learned."""

    def parts(self, lengths: Sequence[int], tokens: int) -> list[tuple[float, list[int]]]:
        """This process's microbatches of a step, and the weight of each one's loss."""
        return [(1.0, group) for group in microbatches(lengths, tokens)]

    def add_gradients(self, params: Sequence[Tensor]) -> None:
        """Let every process have the sum of all gradients."""

    def total(self, numbers: Tensor) -> Tensor:
        """Sum over the processes."""
        return numbers

    def agree(self, answer: bool) -> bool:
        """One answer for all processes."""
        return answer

    def check_same(self, run: str) -> None:
        """Make sure that all processes are about to do the same."""

    def wait(self) -> None:
        """Go on when every process has come this far."""

    def whole(self, tensor: Tensor) -> Tensor:
        """A tensor with the parts that other processes hold."""
        return tensor

    def part_like(self, tensor: Tensor, other: Tensor) -> Tensor:
        """The part of a whole tensor that this process holds of another one."""
        return tensor


class Loop:
    """Weights in training and all that belongs to them."""

    def __init__(
        self,
        module: nn.Module,
        here: OneProcess,
        *,
        weight_decay: float,
        microbatch_tokens: int,
        bf16: bool,
    ) -> None:
        for p in module.parameters():
            if p.requires_grad:
                p.data = at_least_float32(p.data)
        self.module: Any = module
        self.here, self.microbatch_tokens, self.bf16 = here, microbatch_tokens, bf16
        self.trained: Any = here.prepare(module, bf16).train()
        self.params = [p for p in self.trained.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.params, weight_decay=weight_decay)
        self.device = self.params[0].device
        scaled = bf16 and half_dtype() == torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)
        self.best: list[Tensor] = []

    def step(self, batch: list[Any], number: int, lr: float) -> dict[str, float]:
        """One step of the optimizer; what the whole step logs."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        sizes = self.module.sizes(batch)
        shares: list[list[float]] = []
        for weight, part in self._parts(batch):
            with self._autocast():
                loss, logs = self.trained([batch[i] for i in part], sizes)
            self.scaler.scale(loss * weight).backward()
            shares.append([x if weight else 0.0 for x in logs.values()])
        total = self.here.total(torch.tensor(shares, dtype=torch.float64).sum(0)).tolist()
        self.here.add_gradients(self.params)
        self.scaler.unscale_(self.optimizer)
        norm = float(self.here.whole(nn.utils.clip_grad_norm_(self.params, 1.0)))
        numbers = {"grad_norm": norm, **dict(zip(logs, total, strict=True))}
        # a scaled loss may overflow: the scaler leaves that step out and lowers its scale
        overflow = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        if not all(map(math.isfinite, total if overflow else numbers.values())):
            raise ValueError(self._fault(batch, number, numbers))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return numbers

    def _parts(self, examples: Sequence[Any]) -> list[tuple[float, list[int]]]:
        lengths = [len(trajectory_of(e).ids) for e in examples]
        return self.here.parts(lengths, self.microbatch_tokens)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, half_dtype(), enabled=self.bf16)

    def _fault(self, batch: list[Any], number: int, numbers: dict[str, float]) -> str:
        """What isn't finite, and in which trajectories when each is computed by itself."""
        found = []
        for example in batch:
            self.optimizer.zero_grad()
            with self._autocast():
                loss, _ = self.trained([example], self.module.sizes([example]))
            loss.backward()
            grads = [self.here.whole(p.grad) for p in self.params if p.grad is not None]
            if not all(bool(x.isfinite().all()) for x in (loss, *grads)):
                found.append(trajectory_of(example).key)
        self.optimizer.zero_grad()
        which = f"trajectories {some(found)}" if found else "no trajectory by itself"
        said = ", ".join(f"{k} {x:g}" for k, x in numbers.items() if not math.isfinite(x))
        return f"step {number}: {said}; this comes from {which}. Nothing of this step was learned"

    @torch.no_grad()
    def evaluate(self, held_out: Sequence[Any]) -> dict[str, float]:
        """The module's report of held-out examples."""
        width = 1 + max(trajectory_of(e).num_steps for e in held_out)
        m = torch.zeros(len(held_out), width, dtype=torch.float64)
        self.trained.eval()
        for weight, part in self._parts(held_out):
            with self._autocast():
                values = self.trained.values([held_out[i] for i in part])
            if weight:
                m[part, : values.shape[1]] = values.double().cpu()
        self.trained.train()
        found: dict[str, float] = self.module.report(held_out, self.here.total(m))
        return found

    def keep_best(self, log: list[dict[str, float]]) -> int:
        """Keep these weights if no epoch was better; how many epochs ago the best one was."""
        best, last = _epochs(log)
        if best == last:
            self.best = [self.here.whole(p.detach()).clone() for p in self.params]
        return last - best

    def take_best(self, log: list[dict[str, float]], label: str) -> dict[str, float]:
        """Go back to the best epoch's weights; its number, and whether anything was learned."""
        best, _ = _epochs(log)
        self._set(self.params, self.best)
        share = [x for x in log if "held_out_loss" in x][best].get("explained_variance")
        if share is None:
            logger.warning("%s: all held-out targets are equal: it can't be told from them", label)
            return {"best_epoch": best}
        if share < LEARNED:
            logger.warning(
                "%s has learned nothing: on held-out tasks its M explains %.3f of the variance of "
                "its targets, a constant explains 0. Don't choose by it",
                label,
                share,
            )
        learned = share >= LEARNED
        return {"best_epoch": best, "best_explained_variance": share, "learned": learned}

    def _set(self, params: Sequence[Tensor], tensors: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for p, x in zip(params, tensors, strict=True):
                p.copy_(self.here.part_like(x, p))

    def save(self, state: Checkpoint, log: list[dict[str, float]]) -> None:
        """Weights, AdamW's moments, the best epoch's weights and the log."""
        named = {f"param.{i}": p.detach() for i, p in enumerate(self.params)}
        named |= {f"best.{i}": x for i, x in enumerate(self.best)} | moments(self.optimizer)
        tensors = {name: self.here.whole(x).clone() for name, x in named.items()}
        if self.here.first:
            state.save(tensors, {"log": log, "scaler": self.scaler.state_dict()})

    def load(self, state: Checkpoint) -> list[dict[str, float]]:
        """Go on from a saved state, if there is one; its log."""
        found = state.load()
        if found is None:
            return []
        tensors, record = found
        count = range(len(self.params))
        self._set(self.params, [tensors.pop(f"param.{i}") for i in count])
        if "best.0" in tensors:
            self.best = [tensors.pop(f"best.{i}").to(self.device) for i in count]
        split = {
            key: self.here.part_like(x, self.params[int(key.rsplit(".", 1)[1])])
            for key, x in sorted(tensors.items())
        }
        set_moments(self.optimizer, split)
        self.scaler.load_state_dict(record["scaler"])
        log: list[dict[str, float]] = record["log"]
        return log


def _epochs(log: list[dict[str, float]]) -> tuple[int, int]:
    """Number of the epoch with the lowest held-out loss, and of the last one."""
    losses = [x["held_out_loss"] for x in log if "held_out_loss" in x]
    return losses.index(min(losses)), len(losses) - 1


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate: warm-up over a tenth of the steps, then a cosine to 0."""
    warmup = max(1, steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
