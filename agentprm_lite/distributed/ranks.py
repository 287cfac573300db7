"""Several processes at one run, as ``torchrun`` starts them: who am I, wait, agree.

Every process of a run is a rank. All ranks call the same functions in the same order; rank 0 alone
writes what they share. With one process all of this does nothing.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from zlib import crc32

import torch
from accelerate import PartialState
from accelerate.utils import broadcast, gather
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

# A rank may wait for hours while rank 0 makes something alone. A rank that dies isn't waited for:
# torchrun ends the others.
_PATIENCE = timedelta(days=7)
_alone = False

T = TypeVar("T")


@dataclass(frozen=True)
class Rank:
    """This process among those of its run.

    Raises:
        ValueError: not 0 ≤ rank < size.
    """

    rank: int = 0
    """Number of this process."""
    size: int = 1
    """Number of processes."""

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ValueError(f"rank is {self.rank} of {self.size}, expected 0 to size - 1")

    @property
    def first(self) -> bool:
        """This process writes what all share."""
        return self.rank == 0

    def blocks(self, items: Sequence[T], size: int) -> list[T]:
        """This rank's part of some work: whole blocks, dealt out in turn.

        Args:
            items: the work of all ranks.
            size: items of a block; the last may have fewer.

        Returns:
            The items of block ``rank``, ``rank + self.size``, and so on.

        Example:
            >>> Rank(1, 2).blocks("aabbccd", 2)
            ['b', 'b', 'd']
        """
        return [x for i, x in enumerate(items) if i // size % self.size == self.rank]

    def part(self, path: Path) -> Path:
        """The file of this rank.

        Args:
            path: the file of one process.

        Returns:
            The same if there is one process; otherwise a name with the rank in it.

        Example:
            >>> Rank(0, 2).part(Path("rollouts.jsonl")).name
            'rollouts.rank0of2.jsonl'
        """
        if self.size == 1:
            return path
        return path.with_name(f"{path.stem}.rank{self.rank}of{self.size}{path.suffix}")


def this_rank() -> Rank:
    """This process's place in its run; the first call under ``torchrun`` connects the ranks.

    Call it before models are loaded: it gives each rank its own GPU.

    Returns:
        Rank 0 of 1 without ``torchrun``, and within :func:`alone`.

    Raises:
        RuntimeError: ``WORLD_SIZE`` says that there are several processes, but they aren't
            connected.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if _alone or size == 1:
        return Rank()
    missing = [
        n for n in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if n not in os.environ
    ]
    if missing:
        raise RuntimeError(
            f"WORLD_SIZE is {size}, but {', '.join(missing)} isn't set: start the processes with "
            "torchrun, or unset WORLD_SIZE"
        )
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
    if state.num_processes != size:
        raise RuntimeError(
            f"WORLD_SIZE is {size}, but {state.num_processes} process is connected: something "
            "used accelerate before; call agentprm_lite.distributed.ranks.this_rank() first"
        )
    return Rank(state.process_index, state.num_processes)


@contextmanager
def alone() -> Iterator[None]:
    """Work of one rank while the others wait: within it :func:`this_rank` has one process."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def wait() -> None:
    """Go on when every rank has come this far."""
    if this_rank().size > 1:
        PartialState().wait_for_everyone()


def agree(answer: bool) -> bool:
    """Rank 0's answer to a question that the ranks may see differently, such as "is it there?".

    Args:
        answer: this rank's.

    Returns:
        Rank 0's.
    """
    if this_rank().size == 1:
        return answer
    said: Tensor = broadcast(torch.tensor([int(answer)], device=PartialState().device))
    return bool(said.item())


def check_same(what: str) -> None:
    """Make sure that all ranks are about to do the same thing.

    Args:
        what: description of it; names a position in the work, settings, a digest of the data.

    Raises:
        RuntimeError: the descriptions differ; on every rank, with its own description.
    """
    here = this_rank()
    if here.size == 1:
        return
    digests = gather(torch.tensor([crc32(what.encode())], device=PartialState().device)).tolist()
    if len(set(digests)) > 1:
        odd = [rank for rank, digest in enumerate(digests) if digest != digests[0]]
        raise RuntimeError(
            f"ranks {odd} aren't at the same work as rank 0; rank {here.rank} is at {what}. All "
            "ranks need the same data and settings, and one folder that they share"
        )


def split(module: nn.Module, device: torch.device) -> nn.Module:
    """A twin of a module, with its parameters split over the ranks (FSDP2).

    A rank holds its part of every tensor and fetches the others' when a decoder layer needs them.
    The module itself is empty until :func:`join`, also if something goes wrong in between.

    Args:
        module: the same on all ranks.
        device: where this rank computes.

    Returns:
        The twin; gradients are means over the ranks, as DDP's are.
    """
    mesh = init_device_mesh(device.type, (this_rank().size,))
    twin = copy.deepcopy(module, {id(p): p for p in module.parameters()})
    names = {n for m in twin.modules() for n in getattr(m, "_no_split_modules", None) or ()}
    layers = [m for m in twin.modules() if type(m).__name__ in names]
    for part in (*layers, twin):
        held = [p for p in part.parameters() if not isinstance(p, DTensor)]
        unit = fully_shard(part, mesh=mesh)
        unit.set_force_sum_reduction_for_comms(True)  # gloo once mistook means: pytorch 162338
        for p in held:
            p.data = p.data.new_empty(0)
    return twin


def join(module: nn.Module, twin: nn.Module) -> None:
    """Give a module the parameters of its twin, on every rank all of them.

    Args:
        module: what was given to :func:`split`.
        twin: what came of it.
    """
    for unit in twin.modules():
        if isinstance(unit, FSDPModule):
            unit.reshard()  # a pass without gradient leaves copies of the outermost weights
    for p, part in zip(module.parameters(), twin.parameters(), strict=True):
        p.data = whole(part.detach())


def whole(tensor: Tensor) -> Tensor:
    """A tensor with the parts of all ranks; all of them have to ask for it.

    Args:
        tensor: of any kind; one that isn't split stays.

    Returns:
        An ordinary tensor.
    """
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_like(tensor: Tensor, other: Tensor) -> Tensor:
    """This rank's part of a tensor that every rank has, if another one of its shape is split.

    Args:
        tensor: an ordinary tensor.
        other: split or not.

    Returns:
        The tensor, split as the other one is.
    """
    if not isinstance(other, DTensor) or tensor.shape != other.shape:
        return tensor
    return distribute_tensor(tensor, other.device_mesh, other.placements, src_data_rank=None)
