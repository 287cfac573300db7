"""How much memory a model takes: what is kept while sampling and while training, in bytes.

An estimate, not a measurement: it counts the large tensors and leaves out fragments, kernels' work
space and the CUDA context (:data:`CONTEXT`). Saved activations are counted tensor by tensor, as
PyTorch saves them for the gradient with LoRA on all linear layers; a test compares them with what
is really saved.

Shape legend: N tokens of a batch, E hidden size, I size inside the MLP, Q and K sizes of all query
and of all key-value heads, V tokens in the vocabulary, r rank of the adapters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

#: Bytes of the CUDA context and PyTorch's own kernels.
CONTEXT = 700 * 2**20


@dataclass(frozen=True)
class Shape:
    """What the memory of a decoder follows from."""

    hidden: int
    """E."""
    layers: int
    """Decoder layers."""
    queries: int
    """Q, query heads × head size."""
    keys: int
    """K, key-value heads × head size."""
    inner: int
    """I."""
    vocab: int
    """V."""
    tied: bool
    """The head is the embedding."""
    bias: bool
    """Queries, keys and values have a bias."""

    @classmethod
    def of(cls, config: Any) -> Shape:
        """The shape of a Llama-like model (Llama, SmolLM2, Qwen2, Mistral).

        Args:
            config: its ``transformers`` configuration.

        Returns:
            The shape.
        """
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return cls(
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            queries=config.num_attention_heads * size,
            keys=config.num_key_value_heads * size,
            inner=config.intermediate_size,
            vocab=config.vocab_size,
            tied=config.tie_word_embeddings,
            bias=config.model_type == "qwen2",
        )

    @property
    def parameters(self) -> int:
        """Number of parameters of the causal language model."""
        e = self.hidden
        layer = 2 * e * self.queries + 2 * e * self.keys + 3 * e * self.inner + 2 * e
        layer += (self.queries + 2 * self.keys) * self.bias
        return self.layers * layer + e + self.vocab * e * (1 if self.tied else 2)

    def adapters(self, rank: int) -> int:
        """Number of parameters of LoRA adapters on all linear layers.

        Args:
            rank: r.

        Returns:
            The count.
        """
        e = self.hidden
        sizes = 2 * (e + self.queries) + 2 * (e + self.keys) + 3 * (e + self.inner)
        return self.layers * rank * sizes

    def flops(self, context: float, rank: int = 0) -> float:
        """Floating-point operations of one token in a history, without the head.

        With a gradient for adapters only, the backward pass takes as many for the frozen matrices,
        five products for the two of attention, and twice as many for the adapters.

        Args:
            context: tokens of the history; attention counts all of them.
            rank: r of the adapters in training; 0: a forward pass without any.

        Returns:
            The count, multiplications and additions each one.
        """
        e = self.hidden
        frozen = self.layers * 2 * (2 * e * self.queries + 2 * e * self.keys + 3 * e * self.inner)
        attention = self.layers * 4 * self.queries * context
        if not rank:
            return frozen + attention
        return 2 * frozen + 3.5 * attention + 6 * self.adapters(rank)


SMOLLM2 = Shape(576, 30, 576, 192, 1536, 49_152, True, False)
#: The models of the paper and their smaller sister, from their configurations.
QWEN = {
    "Qwen2.5-0.5B": Shape(896, 24, 896, 128, 4864, 151_936, True, True),
    "Qwen2.5-3B": Shape(2048, 36, 2048, 256, 11008, 151_936, True, True),
    "Qwen2.5-7B": Shape(3584, 28, 3584, 512, 18944, 152_064, False, True),
}
#: Memory that the driver reports, in GiB.
GPUS = {"T4": 15.0, "L4": 22.5, "A100": 40.0, "H100": 79.6}


@dataclass(frozen=True)
class Memory:
    """An estimate, part by part, in bytes."""

    weights: int
    """The base."""
    adapters: int
    """LoRA weights in float32 and, in training, their gradients and AdamW's two moments."""
    cache: int
    """Keys and values of the episodes under way."""
    activations: int
    """What the gradient needs, and the logits."""

    @property
    def total(self) -> int:
        """The sum."""
        return self.weights + self.adapters + self.cache + self.activations


def memory_estimate(
    shape: Shape,
    use: Literal["sampling", "sft", "reward"],
    *,
    dtype: torch.dtype = torch.bfloat16,
    rank: int = 16,
    tokens: int = 8192,
    rows: int = 16,
    checkpointing: bool = False,
) -> Memory:
    """Memory that one stage takes.

    Args:
        shape: of the model.
        use: sampling episodes, or training a policy or a reward model with LoRA.
        dtype: of the base; in half precision training runs under autocast.
        rank: r.
        tokens: of all histories while sampling; padded tokens of a batch while training.
        rows: episodes that are sampled together.
        checkpointing: see :class:`agentprm_lite.train.TrainConfig`.

    Returns:
        The estimate.

    Raises:
        ValueError: the use is unknown.

    Example:
        >>> memory_estimate(QWEN["Qwen2.5-0.5B"], "sampling").weights
        988065536
    """
    if use not in ("sampling", "sft", "reward"):
        raise ValueError(f"use is {use!r}, expected 'sampling', 'sft' or 'reward'")
    size = dtype.itemsize
    weights = shape.parameters * size
    count = shape.adapters(rank)
    if use == "sampling":
        # the cache grows by half; logits and three copies in float64 while choosing a token
        cache = 3 * tokens * shape.keys * shape.layers * size
        return Memory(weights, 4 * count, cache, rows * shape.vocab * (size + 24))
    if use == "reward" and not shape.tied:
        weights -= shape.vocab * shape.hidden * size  # no language-model head
    layer = _layer_bytes(shape, size, rank)
    kept = shape.layers * shape.hidden * size + layer if checkpointing else shape.layers * layer
    kept += shape.hidden * (4 + size)
    # a quarter of a trajectory are action tokens: logits, two float32 copies, two gradients
    logits = shape.vocab * (2 * size + 12) // 4 if use == "sft" else 0
    return Memory(weights, 16 * count, 0, tokens * (kept + logits))


def _layer_bytes(shape: Shape, size: int, rank: int) -> int:
    """Bytes a token that one layer saves for the gradient; keys and values once a query head."""
    e, q, i = shape.hidden, shape.queries, shape.inner
    inner = 3 * q + q + 4 * i + 7 * rank  # attention and its output, the MLP, inside the adapters
    if size == 4:
        return 4 * (inner + 4 * e)  # before and after each of two norms
    # the norms' inputs in float32; each adapter casts an input of its own, the last one's is in 4i
    return size * (inner + 5 * e + q) + 4 * 2 * e


def memory_table() -> list[dict[str, Any]]:
    """What fits where: Qwen2.5 on four GPUs, by :func:`memory_estimate`.

    Returns:
        One row a GPU and model: ``gpu``, ``model``, ``dtype``, ``weights`` in GiB; ``episodes`` of
        2,048 tokens that can be sampled together; ``batch`` and ``batch_checkpointing``, padded
        tokens of an SFT step without and with checkpointing. 0: doesn't fit.
    """
    rows = []
    for gpu, gib in GPUS.items():
        for model, shape in QWEN.items():
            dtype = torch.float16 if gpu == "T4" else torch.bfloat16
            free = int(gib * 2**30) - CONTEXT
            row: dict[str, Any] = {"gpu": gpu, "model": model}
            row["dtype"] = str(dtype).removeprefix("torch.")
            row["weights"] = round(shape.parameters * dtype.itemsize / 2**30, 1)
            one, two = (
                memory_estimate(shape, "sampling", dtype=dtype, tokens=2048 * n, rows=n).total
                for n in (1, 2)
            )
            row["episodes"] = max(0, 1 + (free - one) // (two - one))
            for name, checkpointing in (("batch", False), ("batch_checkpointing", True)):
                fixed, more = (
                    memory_estimate(
                        shape, "sft", dtype=dtype, tokens=n, checkpointing=checkpointing
                    ).total
                    for n in (0, 1024)
                )
                row[name] = max(0, (free - fixed) // (more - fixed) * 1024)
            rows.append(row)
    return rows
