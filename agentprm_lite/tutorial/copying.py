"""A model that copies before it has learned anything: some attention heads set by hand.

Copying what followed the same words before takes two heads in a row (Olsson et al. 2022,
arXiv 2209.11895, "induction heads"). The first looks back and notes what stood there; the second
looks for the place whose notes are the present words, and says the token at that place. Gradient
descent finds such heads late. Set by hand, they are there from the start, and training goes on
from them as from any other weights. Three heads look back by one, two and three tokens, so that
"red wool using" is not taken for "blue wool using".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

SPREAD = 0.08
"""Standard deviation of the embeddings."""
LOOK_BACK, SAY = 10.0, 3.0
"""How sharply the first heads look back, and how loud the second says what it found."""
MATCH = (3.0, 2.0, 2.0)
"""How sharply the second head matches the present token, the one before and the one before that."""
SLOW = 0.012
"""The second head matches in dimensions that turn by less than this, in radians a token."""


def teach_copying(model: LlamaForCausalLM, generator: torch.Generator) -> None:
    """Set the first three heads of the first layer and one of the second so that the model copies.

    Two thirds of the residual stream hold the token, the last third the notes; the first dimension
    is the same for all tokens, which lets a head look by place only.

    Args:
        model: fresh, with tied embeddings; changed.
        generator: of the random directions.
    """
    config = model.config
    size, head = config.hidden_size, config.hidden_size // config.num_attention_heads
    back = min(len(MATCH), config.num_attention_heads)
    words, room, width = slice(1, size - head), size - head - 1, head // back
    notes = [slice(size - head + k * width, size - head + (k + 1) * width) for k in range(back)]
    spin = config.rope_parameters["rope_theta"] ** (-torch.arange(0, head, 2) / head)
    slow = [i for i in range(head // 2) if spin[i] < SLOW]
    note = _directions(width, room, generator)
    say = _directions(head, room, generator)
    first, second = (layer.self_attn for layer in model.model.layers[:2])
    with torch.no_grad():
        embeddings = model.model.embed_tokens.weight
        embeddings.zero_()
        embeddings[:, words] = SPREAD * torch.randn(len(embeddings), room, generator=generator)
        embeddings[:, 0] = 4 * SPREAD
        constant = 4 * math.sqrt(size / (16 + room))  # the first dimension after the norm
        turn = math.sqrt(LOOK_BACK * math.sqrt(head)) / constant
        for attention, heads in ((first, back), (second, 1)):
            for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
                linear.weight[: heads * head] = 0
            attention.o_proj.weight[:, : heads * head] = 0
        for k in range(back):
            at = k * head
            for i in range(4):
                first.k_proj.weight[at + i, 0] = turn
                first.q_proj.weight[at + i, 0] = turn * math.cos((k + 1) * spin[i])
                first.q_proj.weight[at + i + head // 2, 0] = -turn * math.sin((k + 1) * spin[i])
            first.v_proj.weight[at : at + width, words] = note
            first.o_proj.weight[notes[k], at : at + width] = SPREAD * torch.eye(width)
            dims = [i + half for i in slow[k::back] for half in (0, head // 2)]
            match = MATCH[k] * _directions(min(len(dims), width), width, generator)
            second.k_proj.weight[dims[: len(match)], notes[k]] = match
            if k == 0:
                second.q_proj.weight[dims[: len(match)], words] = match @ note
            else:
                second.q_proj.weight[dims[: len(match)], notes[k - 1]] = match
        second.v_proj.weight[:head, words] = say
        second.o_proj.weight[words, :head] = SAY * SPREAD * say.T


def _directions(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Random orthonormal rows."""
    return torch.linalg.qr(torch.randn(size, count, generator=generator))[0].T
