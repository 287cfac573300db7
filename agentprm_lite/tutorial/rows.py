"""Batches for pretraining: each a function of its number, so that a run can go on anywhere."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from agentprm_lite.hub import ChatFormat
from agentprm_lite.tutorial.corpus import Text, checks, drill, episode
from agentprm_lite.tutorial.tiny import episode_ids

SHAPES = {
    "textcraft": (3, 512),
    "babyai": (1, 512),
    "webshop": (1, 1024),
    "math": (4, 256),
    "sums": (4, 256),
    "checks": (16, 256),
}
"""Rows of a step and tokens of a row, by world; sums and checks are drills for math."""
WEIGHT_READ = 0.1
"""Weight of a token that is read, in the loss; one that a turn consists of has 1."""
WEIGHT_VERDICT = 5.0
"""Weight of the word that says whether a sum is right."""


@dataclass(frozen=True)
class Batch:
    """Rows of token ids, and how much each counts as something to predict."""

    ids: Tensor
    """[B, L]."""
    weights: Tensor
    """[B, L]; 0 where a token is not to be predicted."""


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
    return Batch(torch.from_numpy(ids), torch.from_numpy(weights))


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


def checked(chat: ChatFormat, seed: int) -> tuple[list[int], list[float]]:
    """Sums with a verdict after each in ids, with weights: only the verdicts count."""
    ids: list[int] = []
    weights: list[float] = []
    for said, verdict in checks(seed):
        for text, weight in ((said, 0.0), (verdict, WEIGHT_VERDICT)):
            new = chat.ids(text)
            ids += new
            weights += [weight] * len(new)
    return ids, weights


def episodes(chat: ChatFormat, world: str, seed: str, rows: int, length: int) -> Batch:
    """Rows of episodes of a world, one after the other; the last of a row is cut.

    Args:
        chat: chat format.
        world: name of the world, "sums" or "checks".
        seed: of the draws.
        rows: B.
        length: L.

    Returns:
        The batch.
    """
    rng = random.Random(seed)
    ids, weights = np.zeros((rows, length), np.int64), np.zeros((rows, length), np.float32)
    for row in range(rows):
        at = 0
        while at < length:
            number = rng.randrange(2**40)
            if world == "checks":
                new, weight = checked(chat, number)
            else:
                new, weight = encoded(
                    chat, drill(number) if world == "sums" else episode(world, number)
                )
            end = min(length, at + len(new))
            ids[row, at:end], weights[row, at:end] = new[: end - at], weight[: end - at]
            at = end
    return Batch(torch.from_numpy(ids), torch.from_numpy(weights))


class Rows(Dataset[list[Batch]]):
    """What each step learns from, by number: a batch of every world, and some copying.

    Args:
        chat: chat format.
        seed: of the run.
        copy_steps: steps of nothing but copying, at the beginning.
        size: 1 for the usual batches; less for smaller ones.
    """

    def __init__(self, chat: ChatFormat, seed: int, copy_steps: int, size: float) -> None:
        self.chat, self.seed, self.copy_steps, self.size = chat, seed, copy_steps, size

    def __getitem__(self, number: int) -> list[Batch]:
        chat, only = self.chat, number < self.copy_steps
        length = (64, 128, 256)[number % 3]
        rows = max(1, round(self.size * (2048 if only else 512) / length))
        batches = []
        if only or number % 2:
            vocab, first = len(chat.tokenizer), len(chat.tokenizer.all_special_ids)
            batches.append(copying(number, self.seed, vocab, first, rows, length))
        if not only:
            for world, (most, tokens) in SHAPES.items():
                seed = f"rows/{self.seed}/{world}/{number}"
                batches.append(episodes(chat, world, seed, max(1, round(self.size * most)), tokens))
        return batches
