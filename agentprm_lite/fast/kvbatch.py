"""A batch of token sequences of different lengths, each with its keys and values.

Transformers' own caches keep one length for the whole batch, so that rows which grow at different
speeds fill up with padding. Here every row has its own length: rows can be repeated (the branches
of a beam), dropped (finished episodes), cut back (a prefix of a known sequence) and extended by a
different number of tokens each, and no token of a row is ever computed twice.

The new tokens of all rows go through the model as one sequence. Only attention has to know whose
they are: it runs once for every block of neighbouring rows that read about as many tokens after
about as many, so keep rows in the order of their lengths.

A cache belongs to the weights that made it. Drop the batch after every weight update.

Shape legend: B rows, N new tokens of all rows, T those with the padding of their blocks, R rows of
a block, Q new tokens of its rows (the most of one), L its columns, H key-value heads, D head size,
E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, Cache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from agentprm_lite.forward import cache_as, refusal, split_model

ATTENTION = "agentprm_lite_rows"  # our name among transformers' attention functions
CALL = {"cpu": 2_000, "cuda": 100_000}  # cost of a call of attention: measured, guessed; _blocks


@dataclass
class _Block:
    """Neighbouring rows whose attention is one call."""

    first: int
    end: int  # the first row after it
    width: int  # Q
    columns: int  # L
    bias: Tensor | None = None  # [R, 1, Q, L], 0 or -inf; None: all columns up to its own

    @property
    def size(self) -> int:
        return (self.end - self.first) * self.width


def _blocks(counts: Sequence[int], lengths: Sequence[int], call: int) -> list[_Block]:
    """Blocks that hold all rows with new tokens.

    A row joins the block before it where the padding that this makes costs less than a call. Cost
    is counted in pairs of a query and a column; a query is worth 500 more for the other layers.
    """
    out: list[_Block] = []
    for k, (count, length) in enumerate(zip(counts, lengths, strict=True)):
        if not count:
            continue
        columns = length + count
        if out:
            last = out[-1]
            width, most = max(last.width, count), max(last.columns, columns)
            together = (k + 1 - last.first) * width * (most + 500)
            apart = last.size * (last.columns + 500) + count * (columns + 500) + call
            if together <= apart:
                out[-1] = _Block(last.first, k + 1, width, most)
                continue
        out.append(_Block(k, k + 1, count, columns))
    return out


class _RowLayer(DynamicLayer):
    """Keys and values [B, H, ·, D] of one layer; row b is valid up to its own length."""

    def __init__(self) -> None:
        super().__init__()
        self.is_initialized = False
        self.count = 0  # B
        self.blocks: list[_Block] = []
        self.rows = self.positions = torch.empty(0)  # [T] where the new tokens belong
        self.columns = 0  # the most that a row needs

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            shape = (self.count, key_states.shape[1], 0, key_states.shape[3])
            self.keys, self.values = key_states.new_empty(shape), value_states.new_empty(shape)
            self.is_initialized = True
        if self.keys.shape[2] < self.columns:  # by half more, so that growing stays cheap
            room = self.columns * 3 // 2
            self.keys, self.values = _widen(self.keys, room), _widen(self.values, room)
        self.keys[self.rows, :, self.positions] = key_states[0].transpose(0, 1)
        self.values[self.rows, :, self.positions] = value_states[0].transpose(0, 1)
        return self, self  # any other attention than ours stops at these

    def get_seq_length(self) -> int:
        return self.columns


def _attend(
    module: Any, query: Tensor, key: Any, value: Any, mask: None, **kwargs: Any
) -> tuple[Tensor, None]:
    """Attention of the new tokens [1, ·, T, D] of all rows, a call of sdpa a block."""
    layer: _RowLayer = key
    parts = query[0].split([b.size for b in layer.blocks], 1)
    out = []
    for block, part in zip(layer.blocks, parts, strict=True):
        queries = part.unflatten(1, (-1, block.width)).transpose(0, 1)
        keys, values = (
            x[block.first : block.end, :, : block.columns] for x in (layer.keys, layer.values)
        )
        attended, _ = sdpa_attention_forward(module, queries, keys, values, block.bias, **kwargs)
        out.append(attended.flatten(0, 1))
    return torch.cat(out)[None], None


AttentionInterface.register(ATTENTION, _attend)


def _widen(x: Tensor, columns: int) -> Tensor:
    out = x.new_zeros(x.shape[0], x.shape[1], columns, x.shape[3])
    out[:, :, : x.shape[2]] = x
    return out


class KVBatch:
    """Token sequences of different lengths, computed once each.

    Args:
        model: a decoder with full attention in every layer, computed by PyTorch's ``sdpa``
            (transformers' default); the weights must not change while the batch lives.

    Raises:
        ValueError: the model is another one.
    """

    def __init__(self, model: Any) -> None:
        self.body, self.head = split_model(model)
        config, reason = self.body.config, refusal(self.body)
        if not reason and not self.body.is_backend_compatible():
            reason = f"{type(self.body).__name__} computes attention by itself"
        if reason:
            raise ValueError(
                f"{reason}; a cache with a length a row needs full_attention in every layer, by "
                "transformers' attention interface"
            )
        self.device = next(self.body.parameters()).device
        self.lengths = torch.zeros(0, dtype=torch.long)
        self.cache = Cache(layers=[_RowLayer() for _ in range(config.num_hidden_layers)])

    def __len__(self) -> int:
        """B, the number of rows."""
        return len(self.lengths)

    @torch.no_grad()
    def append(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Compute new tokens at the end of the rows; the first call makes the rows.

        Args:
            tokens: one list of new ids a row; an empty one leaves its row as it is.

        Returns:
            Hidden states [N, E] of the new tokens, row after row.

        Raises:
            ValueError: the number of lists isn't the number of rows, or all are empty.
        """
        if not len(self):
            self.lengths = torch.zeros(len(tokens), dtype=torch.long)
        counts, lengths = [len(t) for t in tokens], self.lengths.tolist()
        if len(tokens) != len(self) or not any(counts):
            raise ValueError(
                f"append got {len(tokens)} lists with {sum(counts)} tokens in all for "
                f"{len(self)} rows; expected one list a row and at least one token"
            )
        blocks = _blocks(counts, lengths, CALL.get(self.device.type, CALL["cuda"]))
        # what is written beyond a row's length is garbage, never attended to and overwritten later
        rows, positions, dtype = [], [], self.body.dtype
        ids: list[int] = []
        real: list[int] = []
        for block in blocks:
            here, wide = torch.arange(block.first, block.end), torch.arange(block.width)
            at = self.lengths[here, None] + wide
            # sdpa knows by itself what to hide from rows that begin, and from single last tokens
            past = lengths[block.first : block.end]
            if any(past) and min(past) + 1 < block.columns:
                hidden = torch.arange(block.columns) > at[:, None, :, None]
                bias = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, -torch.inf)
                block.bias = bias.to(self.device)
            rows.append(here.repeat_interleave(block.width))
            positions.append(at.flatten())
            for k in range(block.first, block.end):
                start = len(ids)
                ids += [*tokens[k], *[0] * (block.width - counts[k])]
                real += range(start, start + counts[k])
        place = torch.cat(rows), torch.cat(positions)
        columns = int(place[1].max()) + 1
        # padding beyond a row's last token would have positions that the model may not know
        last = (self.lengths + torch.tensor(counts) - 1).clamp(min=0)[place[0]]
        known = torch.minimum(place[1], last).to(self.device)
        where, at = (x.to(self.device) for x in place)
        for layer in self.cache.layers:
            layer.count, layer.columns, layer.blocks = len(self), columns, blocks
            layer.rows, layer.positions = where, at
        config = self.body.config
        config._attn_implementation = ATTENTION
        try:
            out = self.body(
                input_ids=torch.tensor([ids], device=self.device),
                position_ids=known[None],
                use_cache=True,
                **cache_as(self.body, self.cache),
            ).last_hidden_state[0]
        finally:
            config._attn_implementation = "sdpa"
        self.lengths = self.lengths + torch.tensor(counts)
        return out if len(real) == len(ids) else out[torch.tensor(real, device=self.device)]

    def select(self, rows: Sequence[int], lengths: Sequence[int] | None = None) -> None:
        """Keep, drop, repeat or reorder rows, and cut them back.

        Args:
            rows: for each new row, the old row that it continues.
            lengths: for each new row, how many of its first tokens to keep; all by default.

        Raises:
            ValueError: a row is unknown, or a length exceeds what the row holds.
        """
        if len(rows) and not 0 <= min(rows) <= max(rows) < len(self):
            raise ValueError(f"rows {min(rows)}..{max(rows)} asked for, the batch has {len(self)}")
        index = torch.as_tensor(list(rows), dtype=torch.long)
        kept = self.lengths[index]
        if lengths is not None:
            cut = torch.as_tensor(list(lengths), dtype=torch.long)
            if bool((cut > kept).any()):
                raise ValueError("select can shorten a row but not lengthen it")
            kept = cut
        where = index.to(self.device)
        for layer in self.cache.layers:
            if layer.is_initialized:
                layer.keys = layer.keys.index_select(0, where)  # and the room that is left
                layer.values = layer.values.index_select(0, where)
        self.lengths = kept
