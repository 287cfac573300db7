"""Training over several ranks: the loop of one process, with each step shared out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor, nn
from torch.distributed.fsdp import register_fsdp_forward_method

from agentprm_lite.distributed import ranks
from agentprm_lite.forward import microbatches
from agentprm_lite.loop import Log, Loop, trajectory_of


class Ranks:
    """Every rank computes a part of each step; the result is that of one process.

    Give it to :func:`agentprm_lite.train.fit` and its kin as ``processes``, on every rank, with the
    same data and settings. Without ``torchrun`` it does what one process does.

    Args:
        shard: split weights, gradients and AdamW's moments over the ranks (FSDP2), for 7B and up.
            Before and after training each rank holds the whole model.
    """

    def __init__(self, *, shard: bool = False) -> None:
        self.rank = ranks.this_rank()
        self.shard = shard and self.rank.size > 1

    def __call__(self, module: nn.Module, *args: Any) -> Loop:
        """This rank's loop; the arguments are those of :class:`agentprm_lite.loop.Loop`."""
        return RankLoop(self, module, *args)

    def parts(self, lengths: Sequence[int], tokens: int) -> list[tuple[float, list[int]]]:
        """Every ``size``-th example by length: microbatches, and the weight of each one's loss.

        Split weights are fetched in every pass, so all ranks make the same number of passes: one
        without work computes the shortest example with weight 0. There the gradient is the mean
        over the ranks, and the weight of the others makes it the sum.
        """
        size = self.rank.size
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        dealt = []
        for rank in range(size):
            mine = order[rank::size]
            groups = microbatches([lengths[i] for i in mine], tokens)
            dealt.append([[mine[i] for i in group] for group in groups])
        passes = max(map(len, dealt)) if self.shard else 1  # one at least, to log the same
        own = [(float(size) if self.shard else 1.0, part) for part in dealt[self.rank.rank]]
        return own + [(0.0, order[:1])] * (passes - len(own))


class RankLoop(Loop):
    """The loop of one rank: what it does for the others, and waits for from them."""

    def __init__(self, here: Ranks, module: nn.Module, *args: Any) -> None:
        self.here, self.first, self.given = here, here.rank.first, module
        super().__init__(module, *args)

    def prepared(self, module: nn.Module) -> nn.Module:
        """The module, or its twin with split parameters."""
        if not self.here.shard:
            return module
        if self.half == torch.float16:  # its scale would differ between ranks
            raise ValueError("shard needs bfloat16, and this GPU has none: train with bf16=False")
        twin = ranks.split(module, PartialState().device)
        if hasattr(twin, "values"):  # a reward model's loss is also asked for M
            register_fsdp_forward_method(twin, "values")
        return twin

    def parts(self, examples: Sequence[Any]) -> list[tuple[float, list[int]]]:
        """This rank's."""
        lengths = [len(trajectory_of(e).ids) for e in examples]
        return self.here.parts(lengths, self.microbatch_tokens)

    def add_gradients(self) -> None:
        """The sum of all ranks' gradients, in one message."""
        if self.here.shard or self.here.rank.size == 1:
            return
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.params]
        flat = torch.cat([g.flatten() for g in grads])
        torch.distributed.all_reduce(flat)
        for p, g in zip(self.params, flat.split([p.numel() for p in self.params]), strict=True):
            p.grad = g.view_as(p)

    def total(self, numbers: Tensor) -> Tensor:
        """Sum over the ranks."""
        if self.here.rank.size == 1:
            return numbers
        out: Tensor = reduce(numbers.to(PartialState().device), "sum")
        return out.cpu()

    def whole(self, tensor: Tensor) -> Tensor:
        """See :func:`agentprm_lite.distributed.ranks.whole`."""
        return ranks.whole(tensor)

    def part_like(self, tensor: Tensor, other: Tensor) -> Tensor:
        """See :func:`agentprm_lite.distributed.ranks.part_like`."""
        return ranks.part_like(tensor, other)

    def due(self) -> bool:
        """Rank 0 says."""
        return ranks.agree(super().due())

    def load(self) -> Log:
        """All ranks go on from the same state, to the same work."""
        ranks.wait()  # until what there is to load has been written
        log = super().load()
        ranks.check_same(f"step {len(log)} of {self.run}")
        return log

    def end(self) -> None:
        """Every rank has the whole model again."""
        super().end()
        if self.here.shard:
            ranks.join(self.given, self.module)
            self.given.eval()
        ranks.wait()  # until nothing of the state is left
