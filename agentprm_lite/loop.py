"""Weights in training: steps of the optimizer, the best weights so far, the state of a run.

The loss module that they belong to has ``sizes(batch)``, which counts the terms of a whole step,
and ``forward(part, sizes)``, which returns a part's share of the step's loss and of the numbers to
log. So a step may be computed in parts: in microbatches here, over ranks in the wing distributed.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from agentprm_lite.forward import at_least_float32, microbatches
from agentprm_lite.models import half_dtype
from agentprm_lite.types import Trajectory

Log = list[dict[str, float]]  # a dict a step, or a round
Share = tuple[Tensor, dict[str, float]]  # of a step's loss, and of what is logged of it
SAVE_SECONDS = 60.0  # a run that can be cut off loses about this much


@runtime_checkable
class Keeper(Protocol):
    """Keeps the state of a run that may be cut off; ``agentprm_lite.Checkpoint`` does, in a folder.

    A state is tensors by name and a record, plain data of JSON; ``run`` says whose it is.
    """

    def load(self, run: Mapping[str, Any]) -> tuple[dict[str, Tensor], Any] | None:
        """What was saved last, None if nothing was; that of another run is a ValueError."""

    def save(self, run: Mapping[str, Any], tensors: Mapping[str, Tensor], record: Any) -> None:
        """Replace what was saved before."""

    def remove(self) -> None:
        """The run is over: nothing of its state stays."""


class Loop:
    """Weights in training and all that belongs to them, in one process.

    ``optimizer`` makes an optimizer of the module; the gradient of its first group is clipped.
    What it goes on from is in ``keeper``, if there is one; ``run`` says whose it is.
    """

    first = True  #: This process writes and shows what all share.

    def __init__(
        self,
        module: nn.Module,
        optimizer: Callable[[Any], torch.optim.Optimizer],
        microbatch_tokens: int,
        keeper: Keeper | None,
        run: Mapping[str, Any],
        bf16: bool = False,
    ) -> None:
        if not isinstance(keeper, Keeper | None):
            raise ValueError(f"checkpoint is {keeper!r}, expected a Checkpoint({keeper!r}) or None")
        for p in module.parameters():
            if p.requires_grad:
                p.data = at_least_float32(p.data)
        self.keeper, self.run, self.saved = keeper, run, time.monotonic()
        self.microbatch_tokens = microbatch_tokens
        self.half = half_dtype() if bf16 else torch.float32
        self.best: list[Tensor] = []
        self.module: Any = self.prepared(module).train()
        self.optimizer = optimizer(self.module)
        self.params = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.device = self.params[0].device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.half == torch.float16)

    def step(self, batch: Sequence[Any], name: str) -> dict[str, float]:
        """One step of the optimizer; what the whole step logs. NaN stops before it."""
        sizes = self.module.sizes(batch)
        shares: list[list[float]] = []
        for weight, part in self.parts(batch):
            with self._autocast():
                loss, logs = self.module([batch[i] for i in part], sizes)
            self.scaler.scale(loss * weight).backward()
            shares.append([x if weight else 0.0 for x in logs.values()])
        total = self.total(torch.tensor(shares, dtype=torch.float64).sum(0)).tolist()
        self.add_gradients()
        self.scaler.unscale_(self.optimizer)
        first = self.optimizer.param_groups[0]["params"]
        norm = float(self.whole(nn.utils.clip_grad_norm_(first, 1.0)))
        numbers = {"grad_norm": norm, **dict(zip(logs, total, strict=True))}
        # a scaled loss may overflow: the scaler leaves that step out and lowers its scale
        overflow = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        if not all(map(math.isfinite, total if overflow else numbers.values())):
            raise ValueError(f"{name}: {self._fault(batch, numbers)}. Nothing of it was learned")
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return numbers

    def prepared(self, module: nn.Module) -> nn.Module:
        """The module to train with."""
        return module

    def parts(self, examples: Sequence[Any]) -> list[tuple[float, list[int]]]:
        """This process's microbatches of a step, and the weight of each one's loss."""
        lengths = [len(trajectory_of(e).ids) for e in examples]
        return [(1.0, group) for group in microbatches(lengths, self.microbatch_tokens)]

    def add_gradients(self) -> None:
        """Let every process have the sum of all gradients."""

    def total(self, numbers: Tensor) -> Tensor:
        """Sum over the processes."""
        return numbers

    def whole(self, tensor: Tensor) -> Tensor:
        """A tensor with the parts that other processes hold."""
        return tensor

    def part_like(self, tensor: Tensor, other: Tensor) -> Tensor:
        """The part of a whole tensor that this process holds of another one."""
        return tensor

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.half, enabled=self.half != torch.float32)

    def _fault(self, batch: Sequence[Any], numbers: dict[str, float]) -> str:
        """What isn't finite, and in which trajectories when each is computed by itself."""
        found = []
        for example in batch:
            self.optimizer.zero_grad()
            with self._autocast():
                loss, _ = self.module([example], self.module.sizes([example]))
            loss.backward()
            grads = [self.whole(p.grad) for p in self.params if p.grad is not None]
            if not all(bool(x.isfinite().all()) for x in (loss, *grads)):
                found.append(trajectory_of(example).key)
        self.optimizer.zero_grad()
        which = f"trajectories {some(found)}" if found else "no trajectory by itself"
        said = ", ".join(f"{k} {x:g}" for k, x in numbers.items() if not math.isfinite(x))
        return f"{said}; this comes from {which}"

    @torch.no_grad()
    def evaluate(self, held_out: Sequence[Any]) -> dict[str, float]:
        """The module's report of held-out examples."""
        width = 1 + max(trajectory_of(e).num_steps for e in held_out)
        m = torch.zeros(len(held_out), width, dtype=torch.float64)
        self.module.eval()
        for weight, part in self.parts(held_out):
            with self._autocast():
                values = self.module.values([held_out[i] for i in part])
            if weight:
                m[part, : values.shape[1]] = values.double().cpu()
        self.module.train()
        return self.module.report(held_out, self.total(m))

    def keep(self) -> None:
        """These weights are the best so far."""
        self.best = [self.whole(p.detach()).clone() for p in self.params]

    @torch.no_grad()
    def take(self, tensors: Sequence[Tensor]) -> None:
        """Go on with these weights."""
        for p, x in zip(self.params, tensors, strict=True):
            p.copy_(self.part_like(x, p))

    def due(self) -> bool:
        """Whether the last save was so long ago that another one is worth its time."""
        return time.monotonic() - self.saved >= SAVE_SECONDS

    def save(self, log: Log) -> None:
        """Weights, the optimizer's moments, the best weights and the log."""
        if self.keeper is None:
            return
        named = {f"param.{i}": p.detach() for i, p in enumerate(self.params)}
        named |= {f"best.{i}": x for i, x in enumerate(self.best)}
        for i, kept in self.optimizer.state_dict()["state"].items():
            named |= {f"{name}.{i}": torch.as_tensor(x) for name, x in kept.items()}
        tensors = {name: self.whole(x).clone() for name, x in named.items()}
        if self.first:
            self.keeper.save(self.run, tensors, {"log": log, "scaler": self.scaler.state_dict()})
        self.saved = time.monotonic()

    def load(self) -> Log:
        """Go on from a saved state, if there is one; its log."""
        state = None if self.keeper is None else self.keeper.load(self.run)
        if state is None:
            return []
        tensors, record = state
        count = range(len(self.params))
        self.take([tensors.pop(f"param.{i}") for i in count])
        if "best.0" in tensors:
            self.best = [tensors.pop(f"best.{i}").to(self.device) for i in count]
        moments: dict[int, dict[str, Tensor]] = {}
        for key in sorted(tensors):  # in one order on all ranks: who saves gathers them in it
            name, _, i = key.rpartition(".")
            moments.setdefault(int(i), {})[name] = self.part_like(tensors[key], self.params[int(i)])
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.scaler.load_state_dict(record["scaler"])
        return record["log"]

    def end(self) -> None:
        """The run is over: nothing of its state stays."""
        self.module.eval()
        if self.first and self.keeper is not None:
            self.keeper.remove()


def trajectory_of(example: Any) -> Trajectory:
    """Of an example, which may be a trajectory itself."""
    return example if isinstance(example, Trajectory) else example.trajectory


def random_sets(count: int, size: int, epochs: int, seed: str) -> list[list[int]]:
    """Steps of some epochs: each is random sets of at least ``size`` indices, about equal.

    >>> sorted(len(step) for step in random_sets(70, 32, 2, "0"))
    [35, 35, 35, 35]
    """
    steps, plan = max(1, count // size), []
    for epoch in range(epochs):
        order = random.Random(f"{seed}/{epoch}").sample(range(count), count)
        plan += [order[k::steps] for k in range(steps)]
    return plan


def some(names: Sequence[str], most: int = 20) -> str:
    """Names for a message, the first ones of many."""
    more = f" and {len(names) - most} more" * (len(names) > most)
    return ", ".join(names[:most]) + more


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate: warm-up over a tenth of the steps, then a cosine to 0."""
    warmup = max(1, steps // 10)
    angle = math.pi * max(0, step - warmup) / max(1, steps - warmup)
    return min((step + 1) / warmup, 0.5 * (1 + math.cos(angle)))


def digest(data: Any) -> str:
    """Eight letters that tell plain data, and arrays, apart."""
    text = json.dumps(data, default=lambda array: array.tolist())
    return hashlib.sha256(text.encode()).hexdigest()[:8]
