"""Batches for pretraining: each a function of its number, so that a run can go on anywhere."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from agentprm_lite.hub import ChatFormat
from agentprm_lite.tutorial.base import VERDICTS
from agentprm_lite.tutorial.corpus import Text, drill, episode
from agentprm_lite.tutorial.graded import graded, graded_purchase
from agentprm_lite.tutorial.tiny import episode_ids

SHAPES = {
    "textcraft": (6, 512),
    "babyai": (2, 512),
    "webshop": (2, 1024),
    "math": (5, 256),
    "sums": (4, 256),
    "graded": (16, 256),
}
"""Rows of a step and tokens of a row, by world; sums and graded turns are drills for math."""
Drill = Literal["purchases", "solutions"]
DRILLS: dict[Drill, dict[str, tuple[int, int]]] = {
    "purchases": {"purchases": (8, 1024)},
    "solutions": {"graded": (16, 256)},
}
"""Those of a drill for WebShop's judges, and of one for math's: graded turns alone."""
WEIGHT_READ = 0.1
"""Weight of a token that is read, in the loss; one that a turn consists of has 1."""
WEIGHT_VERDICT = 5.0
"""Weight of the word that says whether all is right so far."""


@dataclass(frozen=True)
class Batch:
    """Rows of token ids, and how much each counts as something to predict."""

    ids: Tensor
    """[B, L]."""
    weights: Tensor
    """[B, L]; 0 where a token is not to be predicted."""
    targets: Tensor
    """[B, L]; what is to be predicted: the ids, but for verdicts."""


def copying(number: int, seed: int, vocab: int, first: int, rows: int, length: int) -> Batch:
    """Random strings that repeat: only what stood there before counts.

    Args:
        number: of the batch.
        seed: of the run.
        vocab: number of tokens.
        first: first token to draw.
        rows: B.
        length: L.

    Returns:
        The batch.
    """
    rng = np.random.default_rng([seed, number, 1])
    ids, weights = np.zeros((rows, length), np.int64), np.zeros((rows, length), np.float32)
    for row in range(rows):
        period = int(rng.integers(3, length // 2))
        ids[row] = np.resize(rng.integers(first, vocab, period), length)
        weights[row, period:] = 1
    return Batch(torch.from_numpy(ids), torch.from_numpy(weights), torch.from_numpy(ids))


def encoded(chat: ChatFormat, text: Text) -> tuple[list[int], list[float]]:
    """An episode in ids, with weights.

    Args:
        chat: chat format.
        text: the episode.

    Returns:
        Ids up to the end of the last turn, and the weight of each.
    """
    ids, spans = episode_ids(chat, text.observations, text.turns)
    weights = np.full(len(ids), WEIGHT_READ)
    for start, end in spans:
        weights[start:end] = 1
    return ids, weights.tolist()


def verdicts(
    chat: ChatFormat, text: Text, right: Sequence[bool]
) -> tuple[list[int], list[float], list[int]]:
    """Graded turns in ids; only what is said of each counts, in the place of what follows it."""
    ids, spans = episode_ids(chat, text.observations, text.turns)
    ids += chat.observation_ids("")
    targets, weights = list(ids), [0.0] * len(ids)
    for (_, end), fine in zip(spans, right, strict=True):
        (targets[end],) = chat.ids(VERDICTS[not fine])
        weights[end] = WEIGHT_VERDICT
    return ids, weights, targets


def episodes(chat: ChatFormat, world: str, seed: str, rows: int, length: int) -> Batch:
    """Rows of episodes of a world, one after the other; the last of a row is cut.

    Args:
        chat: chat format.
        world: name of the world, "sums", "graded" or "purchases".
        seed: of the draws.
        rows: B.
        length: L.

    Returns:
        The batch.
    """
    rng = random.Random(seed)
    ids, targets = np.zeros((2, rows, length), np.int64)
    weights = np.zeros((rows, length), np.float32)
    for row in range(rows):
        at = 0
        while at < length:
            number = rng.randrange(2**40)
            if world in ("graded", "purchases"):
                made = graded(number) if world == "graded" else graded_purchase(number)
                new, weight, said = verdicts(chat, *made)
            else:
                text = drill(number) if world == "sums" else episode(world, number)
                new, weight = encoded(chat, text)
                said = new
            end = min(length, at + len(new))
            size = end - at
            ids[row, at:end], targets[row, at:end] = new[:size], said[:size]
            weights[row, at:end] = weight[:size]
            at = end
    return Batch(*map(torch.from_numpy, (ids, weights, targets)))


class Rows(Dataset[list[Batch]]):
    """What each step learns from, by number: a batch of every world, and some copying.

    Args:
        chat: chat format.
        seed: of the run.
        copy_steps: steps of nothing but copying, at the beginning.
        size: 1 for the usual batches; less for smaller ones.
        drill: nothing but its graded turns; None: all worlds.
    """

    def __init__(
        self, chat: ChatFormat, seed: int, copy_steps: int, size: float, drill: Drill | None = None
    ) -> None:
        self.chat, self.seed, self.copy_steps, self.size = chat, seed, copy_steps, size
        self.drill: Drill | None = drill

    def __getitem__(self, number: int) -> list[Batch]:
        if self.drill:
            return self._episodes(number, DRILLS[self.drill])
        chat, only = self.chat, number < self.copy_steps
        length = (64, 128, 256)[number % 3]
        rows = max(1, round(self.size * (2048 if only else 512) / length))
        batches = []
        if only or number % 2:
            vocab, first = len(chat.tokenizer), len(chat.tokenizer.all_special_ids)
            batches.append(copying(number, self.seed, vocab, first, rows, length))
        return batches if only else batches + self._episodes(number, SHAPES)

    def _episodes(self, number: int, shapes: dict[str, tuple[int, int]]) -> list[Batch]:
        return [
            episodes(
                self.chat,
                world,
                f"rows/{self.seed}/{world}/{number}",
                max(1, round(self.size * most)),
                tokens,
            )
            for world, (most, tokens) in shapes.items()
        ]
