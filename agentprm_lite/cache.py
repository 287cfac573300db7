"""A batch of token sequences of different lengths, each with its keys and values.

Transformers' own caches keep one length for the whole batch, so that rows which grow at different
speeds fill up with padding. Here every row has its own length: rows can be repeated (the branches
of a beam), dropped (finished episodes), cut back (a prefix of a known sequence) and extended by a
different number of tokens each, and no token of a row is ever computed twice.

A cache belongs to the weights that made it. Drop the batch after every weight update.

Shape legend: B rows, Q new tokens (the most in a row), L columns, H key-value heads, D head size,
E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer


class _RowLayer(DynamicLayer):
    """Keys and values [B, H, L, D] of one layer; row b is valid up to its own length."""

    def __init__(self) -> None:
        super().__init__()
        self.is_initialized = False
        self.size = 0  # B
        self.rows: Tensor | None = None  # of the new tokens; None: all
        self.positions: Tensor = torch.empty(0)
        self.columns = 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            shape = (self.size, key_states.shape[1], 0, key_states.shape[3])
            self.keys, self.values = key_states.new_empty(shape), value_states.new_empty(shape)
            self.is_initialized = True
        if self.keys.shape[2] < self.columns:  # by half more, so that growing stays cheap
            room = self.columns * 3 // 2
            self.keys, self.values = _widen(self.keys, room), _widen(self.values, room)
        rows = torch.arange(self.size, device=self.device) if self.rows is None else self.rows
        self.keys[rows[:, None], :, self.positions] = key_states.transpose(1, 2)
        self.values[rows[:, None], :, self.positions] = value_states.transpose(1, 2)
        keys, values = self.keys[:, :, : self.columns], self.values[:, :, : self.columns]
        if self.rows is None:
            return keys, values
        return keys.index_select(0, rows), values.index_select(0, rows)

    def get_seq_length(self) -> int:
        return self.columns


def _widen(x: Tensor, columns: int) -> Tensor:
    out = x.new_zeros(x.shape[0], x.shape[1], columns, x.shape[3])
    out[:, :, : x.shape[2]] = x
    return out


def _alike(counts: Sequence[int]) -> list[list[int]]:
    """Rows with something to read, in groups in which the most is less than twice the least."""
    groups: list[list[int]] = []
    for k in sorted(range(len(counts)), key=lambda k: -counts[k]):
        if counts[k] and groups and 2 * counts[k] > counts[groups[-1][0]]:
            groups[-1].append(k)
        elif counts[k]:
            groups.append([k])
    return [sorted(rows) for rows in groups]


def split_model(model: Any) -> tuple[Any, Any]:
    """Body and head of a Hugging Face model, with or without a peft wrapper.

    Args:
        model: a causal language model or a token classifier.

    Returns:
        The module from token ids to hidden states, and the one from hidden states to logits.

    Raises:
        ValueError: the architecture has neither an output embedding nor a ``score`` head, or does
            more than the head to make logits (Cohere, Gemma 2, Granite).
    """
    net: PreTrainedModel = model.get_base_model() if hasattr(model, "peft_config") else model
    head = getattr(net, "score", None)
    if head is None:
        head = net.get_output_embeddings()
    if head is None:
        raise ValueError(
            f"{type(net).__name__} has no language-model head and no score head; expected "
            "AutoModelForCausalLM or AutoModelForTokenClassification"
        )
    for name in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        if getattr(net.config, name, None) not in (None, 1):
            raise ValueError(f"{type(net).__name__} changes its logits after the head ({name})")
    return getattr(net, net.base_model_prefix), head


def attention_kinds(config: Any) -> set[str]:
    """What the layers of a model attend to.

    Args:
        config: its configuration.

    Returns:
        transformers' names, such as ``"full_attention"`` and ``"sliding_attention"``.
    """
    window = getattr(config, "sliding_window", None)  # Mistral has it and no layer_types
    default = ["full_attention" if window is None else "sliding_attention"]
    return set(getattr(config, "layer_types", None) or default)


class KVBatch:
    """Token sequences of different lengths, computed once each.

    Args:
        model: a decoder with full attention in every layer, computed by PyTorch's ``sdpa``
            (transformers' default); the weights must not change while the batch lives.

    Raises:
        ValueError: the model uses sliding-window or linear attention, or not ``sdpa``.
    """

    def __init__(self, model: Any) -> None:
        self.body, self.head = split_model(model)
        config = self.body.config
        kinds = attention_kinds(config)
        if kinds != {"full_attention"}:
            raise ValueError(
                f"{config.model_type} has layers of the kinds {sorted(kinds)}; a cache with a "
                "length a row needs full_attention in every layer"
            )
        if config._attn_implementation != "sdpa":  # eager adds a mask where we say what to read
            raise ValueError(
                f"the model's attention is {config._attn_implementation!r}; load it with "
                "attn_implementation='sdpa'"
            )
        self.device = next(self.body.parameters()).device
        self.lengths = torch.zeros(0, dtype=torch.long)
        self.cache = Cache(layers=[_RowLayer() for _ in range(config.num_hidden_layers)])

    def __len__(self) -> int:
        """B, the number of rows."""
        return len(self.lengths)

    @torch.no_grad()
    def append(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Compute new tokens at the end of the rows.

        The first call makes the rows.

        Args:
            tokens: one list of new ids a row; an empty one leaves its row as it is.

        Returns:
            Hidden states [B, Q, E], right-padded with garbage.

        Raises:
            ValueError: the number of lists isn't the number of rows, or all are empty.
        """
        if not len(self):
            self.lengths = torch.zeros(len(tokens), dtype=torch.long)
        counts = [len(t) for t in tokens]
        if len(tokens) != len(self) or not any(counts):
            raise ValueError(
                f"append got {len(tokens)} lists with {sum(counts)} tokens in all for "
                f"{len(self)} rows; expected one list a row and at least one token"
            )
        groups = _alike(counts)
        if max(counts) == 1 or len(groups[0]) == len(tokens):
            return self._forward(tokens, range(len(tokens)))
        parts = [self._forward([tokens[k] for k in rows], rows) for rows in groups]
        out = parts[0].new_zeros(len(tokens), max(counts), parts[0].shape[-1])
        for rows, hidden in zip(groups, parts, strict=True):
            out[torch.as_tensor(rows), : hidden.shape[1]] = hidden
        return out

    def _forward(self, tokens: Sequence[Sequence[int]], rows: Sequence[int]) -> Tensor:
        where = torch.as_tensor(rows)
        counts = torch.tensor([len(t) for t in tokens])
        width = int(counts.max())
        ids = torch.zeros(len(tokens), width, dtype=torch.long)
        for row, new in zip(ids, tokens, strict=True):
            row[: len(new)] = torch.as_tensor(new)
        # what is written beyond a row's length is garbage, never attended to and overwritten later
        positions = self.lengths[where, None] + torch.arange(width)
        columns = int(positions.max()) + 1
        mask = torch.arange(columns) <= positions[:, :, None]  # [B, Q, L]: itself and before
        positions = positions.to(self.device)
        for layer in self.cache.layers:
            layer.size, layer.positions, layer.columns = len(self), positions, columns
            layer.rows = None if len(rows) == len(self) else where.to(self.device)
        out = self.body(
            input_ids=ids.to(self.device),
            attention_mask=mask[:, None].to(self.device),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.lengths = self.lengths.index_add(0, where, counts)
        return out.last_hidden_state

    def copy(self, rows: Sequence[int]) -> KVBatch:
        """An independent batch that continues some of the rows.

        Args:
            rows: for each new row, the old row that it continues.

        Returns:
            The copy.
        """
        out = KVBatch.__new__(KVBatch)
        out.body, out.head, out.device = self.body, self.head, self.device
        out.lengths = self.lengths
        out.cache = Cache(layers=[_RowLayer() for _ in self.cache.layers])
        for mine, new in zip(self.cache.layers, out.cache.layers, strict=True):
            new.keys, new.values, new.is_initialized = mine.keys, mine.values, True
            new.dtype, new.device = mine.dtype, mine.device
        out.select(rows)
        return out

    def replace(self, rows: Sequence[int], other: KVBatch) -> None:
        """Take over what a copy has computed since :meth:`copy`.

        Args:
            rows: the rows that were copied.
            other: the copy.
        """
        if not len(rows):
            return
        index = torch.as_tensor(list(rows), dtype=torch.long)
        first, end = int(self.lengths[index].min()), int(other.lengths.max())
        where = index.to(self.device)
        for mine, new in zip(self.cache.layers, other.cache.layers, strict=True):
            if mine.keys.shape[2] < end:
                mine.keys, mine.values = _widen(mine.keys, end), _widen(mine.values, end)
            mine.keys[where, :, first:end] = new.keys[:, :, first:end]
            mine.values[where, :, first:end] = new.values[:, :, first:end]
        self.lengths = self.lengths.index_copy(0, index, other.lengths)

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
        columns = int(kept.max()) if len(kept) else 0
        where = index.to(self.device)
        for layer in self.cache.layers:
            if layer.is_initialized:
                layer.keys = layer.keys[:, :, :columns].index_select(0, where)
                layer.values = layer.values[:, :, :columns].index_select(0, where)
        self.lengths = kept


def prefill(model: Any, sequences: Sequence[Sequence[int]]) -> tuple[KVBatch, Tensor, list[int]]:
    """Compute sequences from nothing; one that begins another is computed with it.

    Args:
        model: see :class:`KVBatch`.
        sequences: B non-empty lists of ids. One that equals another or begins it costs nothing.

    Returns:
        The batch (a row a sequence), the hidden state of every sequence's last token [B, E], and
        for each sequence the number of tokens that were computed for it. A token that several
        sequences share is counted for the first of them.

    Raises:
        ValueError: a sequence is empty.
    """
    if not all(sequences):
        raise ValueError("prefill got an empty sequence; expected at least one token in each")
    order = sorted(range(len(sequences)), key=lambda i: tuple(sequences[i]))
    source: dict[int, int] = {}
    distinct: list[Sequence[int]] = []
    for i in reversed(order):  # a sequence sorts right before those that it begins
        new = sequences[i]
        if not distinct or tuple(distinct[-1][: len(new)]) != tuple(new):
            distinct.append(new)
        source[i] = len(distinct) - 1
    batch = KVBatch(model)
    hidden = batch.append(distinct)
    rows = [source[i] for i in range(len(sequences))]
    lengths = [len(s) for s in sequences]
    last = hidden[torch.as_tensor(rows), torch.as_tensor(lengths) - 1]
    batch.select(rows, lengths)
    known = [0] * len(distinct)
    computed = []
    for row, length in zip(rows, lengths, strict=True):
        computed.append(max(0, length - known[row]))
        known[row] += computed[-1]
    return batch, last, computed
