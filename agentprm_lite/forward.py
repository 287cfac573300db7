"""Forward passes of a policy or a reward model: log-probabilities of actions, M at every step.

Shape legend: B trajectories, T steps (padded), S tokens (padded), N action tokens, E hidden size.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from agentprm_lite.types import Trajectory


def inner_model(model: Any) -> PreTrainedModel:
    """The model of transformers, with its adapters in place, without a peft wrapper."""
    net: PreTrainedModel = model.get_base_model() if hasattr(model, "get_base_model") else model
    return net


def split_model(model: Any) -> tuple[Any, Any]:
    """Body and head of a Hugging Face model, with or without a peft wrapper."""
    net = inner_model(model)
    head: Any = getattr(net, "score", None)
    if head is None:
        head = net.get_output_embeddings()
        if head is None:
            raise ValueError(
                f"{type(net).__name__} has no language-model head and no score head; expected "
                "AutoModelForCausalLM or AutoModelForTokenClassification"
            )
        rescaled = _Rescaled(head, net.config.get_text_config())
        head = head if rescaled.factor == 1 and rescaled.cap is None else rescaled
    return getattr(net, net.base_model_prefix, None) or net.model, head  # Llama 4 says otherwise


class _Rescaled(nn.Module):
    """A language-model head with what Cohere, Falcon-H1, Granite and Gemma do to its logits."""

    def __init__(self, head: nn.Module, config: Any) -> None:
        super().__init__()
        names = ("logit_scale", "lm_head_multiplier", "logits_scaling")
        scale, multiplier, divisor = (getattr(config, name, None) or 1.0 for name in names)
        self.head, self.factor = head, scale * multiplier / divisor
        self.out_features = getattr(head, "out_features", None)
        self.cap = getattr(config, "final_logit_softcapping", None)

    def forward(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.head(hidden) * self.factor
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)


def context_limit(config: Any) -> int:
    """Most tokens of a history."""
    config = config.get_text_config()
    most: int = getattr(config, "max_position_embeddings", None) or sys.maxsize  # Mamba has none
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":  # Phi-3: beyond it the rest of a batch changes numbers
        return min(most, rope["original_max_position_embeddings"])
    return most


def faults_of(model: Any, t: Trajectory) -> dict[str, bool]:
    """What can keep a model from reading a trajectory, and whether it does."""
    body = split_model(model)[0]
    limit, known = context_limit(body.config), body.get_input_embeddings().num_embeddings
    low, high, n = min(t.ids), max(t.ids), len(t.ids)
    return {
        f"has {n} tokens, the model reads {limit}: its last steps would be lost": n > limit,
        f"has ids {low} to {high}, the model has {known}": not 0 <= low <= high < known,
    }


def check_readable(model: Any, trajectories: Sequence[Trajectory]) -> None:
    """Refuse trajectories that a model can't read whole: a labelled step is never cut off."""
    for t in trajectories:
        for fault in (what for what, found in faults_of(model, t).items() if found):
            raise ValueError(f"trajectory {t.key} {fault}")


def refusal(body: Any) -> str:
    """Why a second pass can't go on from the keys and values of a first; empty if it can."""
    config = body.config
    window = getattr(config, "sliding_window", None)  # Mistral has it and no layer_types
    default = ["full_attention" if window is None else "sliding_attention"]
    kinds = set(getattr(config, "layer_types", None) or default)
    if kinds != {"full_attention"}:
        return f"{config.model_type} has layers of the kinds {sorted(kinds)}"
    attention = config._attn_implementation
    if attention != "sdpa":  # eager adds a mask where we say what to read
        return f"the model's attention is {attention!r}; load it with attn_implementation='sdpa'"
    layers = DynamicCache(config=config).layers
    if body._is_stateful or not all(type(layer) is DynamicLayer for layer in layers):
        return f"{type(body).__name__} keeps more than keys and values"
    return ""


def cache_as(body: Any, cache: Any) -> dict[str, Any]:
    """A cache under the name that the body's forward gives it: ``cache`` from transformers 5.24."""
    new = "cache" in inspect.signature(type(body).forward).parameters
    return {"cache" if new else "past_key_values": cache}


def pad_ids(sequences: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """[B, S] from B lists of ids, right-padded with 0: no real token of causal models sees it."""
    rows = [torch.as_tensor(ids) for ids in sequences]
    return pad_sequence(rows, batch_first=True).to(device)


def hidden_states(body: Any, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Hidden states of whole sequences, with gradient: [B, S, E], right-padded with garbage.

    What all of them begin with is computed once, where that saves a quarter of the tokens.
    """
    device = next(body.parameters()).device
    columns = zip(*(s[:-1] for s in sequences), strict=False)  # each keeps a token of its own
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    saved = shared * (len(sequences) - 1)
    if 4 * saved < sum(len(s) for s in sequences) or not _keeps_keys(body):
        out: Tensor = body(input_ids=pad_ids(sequences, device), use_cache=False).last_hidden_state
        return out
    cache = DynamicCache(config=body.config)
    first = body(input_ids=pad_ids([sequences[0][:shared]], device), **cache_as(body, cache))
    cache.batch_repeat_interleave(len(sequences))
    own = pad_ids([s[shared:] for s in sequences], device)
    places = torch.arange(shared + own.shape[1], device=device)
    rest = body(
        input_ids=own,
        attention_mask=(places <= places[shared:, None])[None, None],
        position_ids=places[None, shared:],
        **cache_as(body, cache),
    )
    begin = first.last_hidden_state.expand(len(sequences), -1, -1)
    return torch.cat([begin, rest.last_hidden_state], 1)


def _keeps_keys(body: Any) -> bool:
    """Not with checkpointing, nor with weights split over ranks, which need equally many passes."""
    anew = any(getattr(m, "gradient_checkpointing", False) for m in body.modules())
    ordinary = all(type(p) is nn.Parameter for p in body.parameters())  # not split, not quantized
    return not refusal(body) and ordinary and not (anew and body.training)


def action_tokens(trajectories: Sequence[Trajectory]) -> tuple[Tensor, Tensor]:
    """Row and column of every action token: two [N] tensors."""
    places = [
        (b, k)
        for b, trajectory in enumerate(trajectories)
        for start, end in trajectory.spans
        for k in range(start, end)
    ]
    rows, columns = torch.tensor(places, dtype=torch.long).reshape(-1, 2).T
    return rows, columns


def action_logprobs(model: Any, trajectories: Sequence[Trajectory]) -> Tensor:
    """log π(token | history) of every action token."""
    body, head = split_model(model)
    sequences = [t.ids for t in trajectories]
    hidden = hidden_states(body, sequences)
    rows, columns = action_tokens(trajectories)
    logits = at_least_float32(head(hidden[rows, columns - 1]))
    target = pad_ids(sequences, logits.device)[rows, columns]
    return -nn.functional.cross_entropy(logits, target, reduction="none")


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class LinearHead(nn.Linear):
    """A head whose output is M itself, the paper's; that of an ordinary one is the logit of M."""


def is_linear(head: nn.Module) -> bool:
    """Whether M is the head's output itself and not its sigmoid."""
    return isinstance(getattr(head, "original_module", head), LinearHead)  # peft wraps heads


def read_head(head: nn.Module, hidden: Tensor) -> Tensor:
    """[...] a head's output from [..., E], in its precision whatever the trunk works in."""
    dtype = next(head.parameters()).dtype
    with torch.autocast(hidden.device.type, enabled=False):
        return at_least_float32(head(hidden.to(dtype)).squeeze(-1))


def squash(head: nn.Module, z: Tensor) -> Tensor:
    """M from a head's output: its sigmoid, or itself for a :class:`LinearHead`."""
    return z if is_linear(head) else z.sigmoid()


def read_m(head: nn.Module, hidden: Tensor) -> Tensor:
    """[...] M from hidden states [..., E], in float32 at least."""
    return squash(head, read_head(head, hidden))


def step_values(model: Any, trajectories: Sequence[Trajectory]) -> tuple[Tensor, Tensor, Tensor]:
    """M at every step, with gradient, as :func:`step_outputs` has the head's output."""
    head = split_model(model)[1]
    z, z_root, mask = step_outputs(model, trajectories)
    return squash(head, z), squash(head, z_root), mask


def step_outputs(model: Any, trajectories: Sequence[Trajectory]) -> tuple[Tensor, Tensor, Tensor]:
    """Head's outputs at the steps [B, T] and roots [B], with gradient, and the steps' mask."""
    body, head = split_model(model)
    hidden = hidden_states(body, [t.ids for t in trajectories])
    positions = [(t.root_position, *t.score_positions) for t in trajectories]
    mask = pad_ids([[1] * len(p) for p in positions], hidden.device).bool()
    rows = torch.arange(len(trajectories), device=hidden.device)[:, None]
    values = read_head(head, hidden[rows, pad_ids(positions, hidden.device)])
    return values[:, 1:], values[:, 0], mask[:, 1:]


def microbatches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Group items of similar length, at most so many padded tokens a group."""
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[i] > tokens:
            yield group
            group = []
        group.append(i)
    if group:
        yield group
