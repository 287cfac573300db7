"""Histories that are found again by their beginnings, so that only what is new is computed.

Shape legend: B histories, E hidden size.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from agentprm_lite.fast.kvbatch import KVBatch

_WIDTH = array("l").itemsize


def packed(ids: Sequence[int]) -> bytes:
    """Ids as bytes, whose beginnings are compared fast."""
    return array("l", ids).tobytes()


def longest_beginning(rows: Sequence[bytes], key: bytes) -> tuple[int, int]:
    """The row that is the longest beginning of a key, and how many ids it has; (0, 0) if none."""
    found = [(len(row), -k) for k, row in enumerate(rows) if key.startswith(row)]
    size, k = max(found, default=(0, 0))
    return -k, size // _WIDTH


class Rows:
    """The rows of a batch, with what each of them holds.

    Args:
        model: see :class:`KVBatch`.

    Raises:
        ValueError: see there.
    """

    def __init__(self, model: Any) -> None:
        self.batch = KVBatch(model)
        self.held: list[bytes] = []

    @torch.no_grad()
    def read(self, histories: Sequence[Sequence[int]]) -> tuple[Tensor, list[int]]:
        """Have one row for each history, in their order, and compute what no old row begins with.

        A history that equals or begins another is computed with it.

        Args:
            histories: B non-empty lists of ids.

        Returns:
            The hidden state of every history's last token [B, E], and for each history the number
            of tokens that were computed for it. A token that several share is counted for the first
            of them.

        Raises:
            ValueError: a history is empty.
        """
        if not all(histories):
            raise ValueError("read got an empty history; expected at least one token in each")
        keys = [packed(h) for h in histories]
        place: dict[bytes, int] = {}  # of a history's row among those that are computed
        rows: list[tuple[int, int, Sequence[int]]] = []  # old row, what it gives, what is new
        ends: list[bytes] = []
        for i in sorted(range(len(keys)), key=lambda i: tuple(histories[i]), reverse=True):
            if keys[i] in place:
                continue
            # a history sorts right after those that it begins
            if ends and ends[-1].startswith(keys[i]) and rows[-1][1] < len(histories[i]):
                place[keys[i]] = len(rows) - 1
                continue
            old, size = longest_beginning(self.held, keys[i])
            size = min(size, len(histories[i]) - 1)  # the state of its last token is asked for
            place[keys[i]] = len(rows)
            rows.append((old, size, histories[i][size:]))
            ends.append(keys[i])
        # rows of about one length lie together, as the cache likes it
        order = sorted(range(len(rows)), key=lambda d: rows[d][1] + len(rows[d][2]))
        self.held = []  # an error from here on leaves rows of which nothing is known
        if len(self.batch):
            self.batch.select([rows[d][0] for d in order], [rows[d][1] for d in order])
        hidden = self.batch.append([rows[d][2] for d in order])
        mine = [place[key] for key in keys]
        lengths = [len(h) for h in histories]
        where, first, start = {}, {}, 0  # a row's place, and what to add to an index in it
        for k, d in enumerate(order):
            where[d], first[d] = k, start - rows[d][1]
            start += len(rows[d][2])
        last = hidden[[first[d] + n - 1 for d, n in zip(mine, lengths, strict=True)]]
        self.batch.select([where[d] for d in mine], lengths)
        self.held = keys
        known = [size for _, size, _ in rows]
        computed = []
        for d, n in zip(mine, lengths, strict=True):
            computed.append(max(0, n - known[d]))
            known[d] += computed[-1]
        return last, computed


@torch.no_grad()
def check_rows(model: Any) -> str:
    """Why a model can't be computed in rows; empty if it can, which is tried on a few tokens."""
    try:
        rows = Rows(model.eval())  # as the players have it: without dropout
        body = rows.batch.body
        some = [i * 7 % body.config.get_text_config().vocab_size for i in range(1, 9)]
        rows.read([some[:3], some[:6]])
        hidden, _ = rows.read([some, some[:4]])
        whole = body(
            input_ids=torch.tensor([some], device=rows.batch.device), use_cache=False
        ).last_hidden_state[0, [7, 3]]
    except (ValueError, TypeError, RuntimeError, AttributeError) as err:
        return str(err).splitlines()[0]
    off = float((hidden.float() - whole.float()).abs().max() / whole.float().abs().max())
    most = 1e-3 if whole.dtype in (torch.float32, torch.float64) else 0.1
    return "" if off <= most else f"with a cache its states are off by {off:.1e} of their size"
