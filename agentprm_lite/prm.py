"""Reward models at work: M at every step of a trajectory, or of the next step alone.

Shape legend: B trajectories, T steps (padded), S tokens (padded), E hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import DynamicCache

from agentprm_lite.fast.kvbatch import KVBatch, attention_kinds, context_limit, prefill, split_model
from agentprm_lite.types import Trajectory


@dataclass(frozen=True)
class StepValues:
    """M along one trajectory."""

    root: float
    """M at the end of the prompt, before any action."""
    q: np.ndarray
    """M after each of the T actions."""


def pad_ids(sequences: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Right-pad lists of ids with 0.

    Right padding needs no mask in a causal model: no real token sees what comes after it.

    Args:
        sequences: B lists.
        device: where the result lives.

    Returns:
        [B, S] int64.
    """
    out = torch.zeros(len(sequences), max(len(s) for s in sequences), dtype=torch.long)
    for row, ids in zip(out, sequences, strict=True):
        row[: len(ids)] = torch.as_tensor(ids)
    return out.to(device)


def hidden_states(body: Any, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Hidden states of whole sequences, with gradient.

    What all of them begin with, such as the rules of an environment, is computed once where that
    saves a quarter of the tokens. It takes two passes, so it is not done where keys and values
    can't go from one to the other: with gradient checkpointing in training, with weights that are
    split over ranks (all need the same number of passes), and in models whose attention isn't
    PyTorch's ``sdpa`` over everything before.

    Args:
        body: the model without its head.
        sequences: B lists of ids.

    Returns:
        [B, S, E], right-padded with garbage.
    """
    device = next(body.parameters()).device
    columns = zip(*(s[:-1] for s in sequences), strict=False)  # each keeps a token of its own
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    saved = shared * (len(sequences) - 1)
    if 4 * saved >= sum(len(s) for s in sequences) and _keeps_keys(body):
        cache = DynamicCache(config=body.config)
        first = body(input_ids=pad_ids([sequences[0][:shared]], device), past_key_values=cache)
        cache.batch_repeat_interleave(len(sequences))
        own = pad_ids([s[shared:] for s in sequences], device)
        places = torch.arange(shared + own.shape[1], device=device)
        rest = body(
            input_ids=own,
            attention_mask=(places <= places[shared:, None])[None, None],
            position_ids=places[None, shared:],
            past_key_values=cache,
        )
        begin = first.last_hidden_state.expand(len(sequences), -1, -1)
        return torch.cat([begin, rest.last_hidden_state], 1)
    out: Tensor = body(input_ids=pad_ids(sequences, device), use_cache=False).last_hidden_state
    return out


def _keeps_keys(body: Any) -> bool:
    """Whether a second pass can go on from the keys and values of a first."""
    config = body.config
    plain = attention_kinds(config) == {"full_attention"} and config._attn_implementation == "sdpa"
    anew = any(getattr(m, "gradient_checkpointing", False) for m in body.modules())
    split = any(isinstance(p, DTensor) for p in body.parameters())
    return plain and not split and not (anew and body.training)


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 stay.

    Args:
        x: any floating-point tensor.

    Returns:
        The same numbers.

    Example:
        >>> at_least_float32(torch.ones(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def read_m(head: nn.Module, hidden: Tensor) -> Tensor:
    """M from hidden states, in the head's precision whatever the trunk works in.

    Args:
        head: the reward model's head.
        hidden: [..., E].

    Returns:
        [...] M, the sigmoid of the head's output, in float32 at least.
    """
    dtype = next(head.parameters()).dtype
    with torch.autocast(hidden.device.type, enabled=False):
        return at_least_float32(head(hidden.to(dtype)).squeeze(-1)).sigmoid()


def step_values(model: Any, trajectories: Sequence[Trajectory]) -> tuple[Tensor, Tensor, Tensor]:
    """M at every step, with gradient, see :func:`hidden_states`.

    Args:
        model: a reward model.
        trajectories: B trajectories with at least one step each.

    Returns:
        q [B, T], the root value [B], and the mask [B, T] of real steps.

    Raises:
        ValueError: a trajectory has no step, or is longer than the model's context (a labelled
            step is never cut off).
    """
    body, head = split_model(model)
    device = next(body.parameters()).device
    limit = context_limit(body.config)
    for trajectory in trajectories:
        if not trajectory.num_steps:
            raise ValueError(f"trajectory {trajectory.key} has no step to score")
        if len(trajectory.ids) > limit:
            raise ValueError(
                f"trajectory {trajectory.key} has {len(trajectory.ids)} tokens, the model reads "
                f"{limit}: its last steps would be lost"
            )
    hidden = hidden_states(body, [t.ids for t in trajectories])
    width = 1 + max(t.num_steps for t in trajectories)
    where = torch.zeros(len(trajectories), width, dtype=torch.long)
    mask = torch.zeros(len(trajectories), width, dtype=torch.bool)
    for b, trajectory in enumerate(trajectories):
        positions = (trajectory.root_position, *trajectory.score_positions)
        where[b, : len(positions)] = torch.as_tensor(positions)
        mask[b, : len(positions)] = True
    rows = torch.arange(len(trajectories))[:, None].to(device)
    values = read_m(head, hidden[rows, where.to(device)])
    return values[:, 1:], values[:, 0], mask[:, 1:].to(device)


def token_batches(
    lengths: Sequence[int], batch_tokens: int, order: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Group items of similar length, at most ``batch_tokens`` padded tokens a group.

    Args:
        lengths: tokens of each item.
        batch_tokens: rows × longest row of a group; a longer item stands alone.
        order: in which the items are taken; shortest first by default.

    Yields:
        Lists of indices.

    Example:
        >>> list(token_batches([5, 2, 3], 6))
        [[1, 2], [0]]
    """
    group: list[int] = []
    longest = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__) if order is None else order:
        longest = max(longest, lengths[i])
        if group and (len(group) + 1) * longest > batch_tokens:
            yield group
            group, longest = [], lengths[i]
        group.append(i)
    if group:
        yield group


class RewardModel:
    """A trained reward model.

    Args:
        model: from :func:`agentprm_lite.models.load_reward_model`.
        batch_tokens: padded tokens of one forward pass. On a CPU larger batches are slower: their
            activations don't stay in its cache.
    """

    def __init__(self, model: Any, batch_tokens: int = 8192) -> None:
        self.model = model.eval()
        self.batch_tokens = batch_tokens
        self._head = split_model(model)[1]

    @torch.no_grad()
    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        """M along whole trajectories.

        Args:
            trajectories: any number, with at least one step each.

        Returns:
            Their values, in the same order.
        """
        out: dict[int, StepValues] = {}
        for group in token_batches([len(t.ids) for t in trajectories], self.batch_tokens):
            q, root, _ = step_values(self.model, [trajectories[i] for i in group])
            for row, i in enumerate(group):
                steps = trajectories[i].num_steps
                out[i] = StepValues(float(root[row]), q[row, :steps].double().cpu().numpy())
        return [out[i] for i in range(len(trajectories))]

    @torch.no_grad()
    def start(self, prompts: Sequence[Sequence[int]]) -> tuple[KVBatch, np.ndarray, list[int]]:
        """Read prompts, to score what follows step by step.

        Args:
            prompts: B lists of ids.

        Returns:
            Their cache, the root values [B], and the tokens computed for each, those that several
            prompts share for the first.
        """
        batch, last, computed = prefill(self.model, prompts)
        return batch, self._read(last), computed

    @torch.no_grad()
    def score_next(self, batch: KVBatch, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """M at the end of new tokens, with everything before them in the cache.

        Args:
            batch: cache of the B histories; extended by the new tokens.
            tokens: B lists of new ids that end with an action's last token.

        Returns:
            M [B].
        """
        ends = np.cumsum([len(t) for t in tokens]) - 1
        return self._read(batch.append(tokens)[ends])

    def _read(self, hidden: Tensor) -> np.ndarray:
        return np.asarray(read_m(self._head, hidden).double().cpu().numpy())
