"""Choices that need no reward model: the floors of every comparison.

What judges a whole attempt at once is written as values of one step, so that `best_of_n` takes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from agentprm_lite.env import env_class
from agentprm_lite.prm import FewestTurns, StepValues
from agentprm_lite.search import Curve, best_of_n
from agentprm_lite.types import Trajectory


def at_end(scores: Sequence[float]) -> list[StepValues]:
    """One score an attempt, known only when it is over."""
    return [StepValues(0.0, np.array([float(score)])) for score in scores]


def random_choice(candidates: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """Any one of the N: the mean outcome."""
    return best_of_n(candidates, at_end([0.0] * len(candidates)), ns)


def fewest_turns(candidates: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """The attempt with the fewest turns."""
    return best_of_n(candidates, FewestTurns().score(candidates), ns)


def majority(candidates: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """Self-consistency (Wang et al. 2022): whose answer occurs most often among all attempts.

    What an answer is, the environment says (``TextEnv.answer``): the final answer in math, all
    actions elsewhere. An attempt without an answer is taken only where none has one. The votes are
    counted over all attempts, so this flatters small N.
    """
    ballots = [(t.task, env_class(t.task.env).answer(t.actions)) for t in candidates]
    votes = Counter(ballots)
    counts = [0 if answer is None else votes[task, answer] for task, answer in ballots]
    return best_of_n(candidates, at_end(counts), ns)


def likelihood(candidates: Sequence[Trajectory]) -> list[StepValues]:
    """What the policy itself thinks: mean log-probability of an attempt's tokens."""
    for t in candidates:
        if not t.logprobs:
            raise ValueError(f"trajectory {t.key} has no log-probabilities, expected one a token")
    return at_end([float(np.mean(t.logprobs)) for t in candidates])
