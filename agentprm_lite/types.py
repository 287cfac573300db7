"""Tasks and trajectories.

A trajectory holds token ids, not text to be tokenized again: what the model saw and produced, and
where every action begins and ends in it.

Shape legend: T steps (one action each), S tokens of the whole history.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Task:
    """One task of an environment.

    Raises:
        ValueError: the environment has no name, or index or variant is no whole number.
    """

    env: str  #: Name that :func:`agentprm_lite.env.make_env` knows.
    index: int  #: Index of the task; the goal follows from it.
    variant: int = 0  #: 0 is the canonical text; k > 0 is the same goal among other distractors.

    def __post_init__(self) -> None:
        if not isinstance(self.env, str) or not self.env:
            raise ValueError(f"a task's env is {self.env!r}, expected a name")
        for name in ("index", "variant"):
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, int(operator.index(value)))  # numpy's become int
            except TypeError:
                raise ValueError(
                    f"a task's {name} is {value!r}, expected a whole number; number tasks that "
                    "have other names in the order in which they come"
                ) from None

    @property
    def key(self) -> str:
        """Name of the task: environment/index/variant."""
        return f"{self.env}/{self.index}/{self.variant}"


@dataclass(frozen=True)
class Usage:
    """Compute that a trajectory or a search took, in tokens and environment steps."""

    generated: int = 0  #: Tokens that the policy sampled.
    prefilled: int = 0  #: Prompt and observation tokens that the policy computed.
    cached: int = 0  #: Tokens whose keys and values were reused, counted once a turn.
    scored: int = 0  #: Tokens that a reward model computed.
    env_steps: int = 0  #: Calls of ``step`` on an environment.

    def __add__(self, other: Usage) -> Usage:
        """Sum of two counts, field by field."""
        return Usage(*map(operator.add, astuple(self), astuple(other)))


@dataclass(frozen=True)
class Trajectory:
    """One episode of a policy in an environment.

    Raises:
        ValueError: fields disagree in length, a span lies outside ``ids``, the prompt is empty, a
            reward isn't a finite number, or a flag isn't True or False.
    """

    task: Task  #: What was asked.
    sample: int  #: Number of the attempt at this task.
    seed: int  #: Seed of the run; with the task and the sample it fixes the random stream.
    ids: tuple[int, ...]  #: S token ids: prompt, action, observation, action, and so on.
    prompt_len: int  #: Tokens before the first action; the root is read at ``prompt_len - 1``.
    spans: tuple[tuple[int, int], ...]  #: T pairs [start, end); step t is scored at ``end - 1``.
    logprobs: tuple[float, ...]  #: At temperature 1, of every action token; empty if unknown.
    actions: tuple[str, ...]  #: T turns as produced: thought and action.
    observations: tuple[str, ...]  #: T + 1 observations: the first, then the reply to each action.
    rewards: tuple[float, ...]  #: T rewards of the environment.
    terminated: bool  #: The environment ended the episode.
    truncated: bool  #: A limit ended the episode.
    truncated_by: str  #: ``"rounds"``, ``"tokens"`` or, if not truncated, ``""``.
    final: bool
    """The outcome is final: terminated, or cut at a round limit that counts as failure."""
    success: bool  #: The goal was reached.
    usage: Usage  #: Compute of this episode.
    policy: str  #: Name of the policy that acted.

    def __post_init__(self) -> None:
        object.__setattr__(self, "rewards", tuple(map(self._finite, self.rewards)))
        for name in ("terminated", "truncated", "final", "success"):
            if (flag := getattr(self, name)) not in (True, False):
                raise self._error(f"{name} is {flag!r}, expected True or False")
            object.__setattr__(self, name, bool(flag))
        if self.terminated and not self.final:
            raise self._error("it has terminated, so its outcome is final, not the opposite")
        t = self.num_steps
        for name, size in (("actions", t), ("rewards", t), ("observations", t + 1)):
            if len(getattr(self, name)) != size:
                found = len(getattr(self, name))
                raise self._error(f"{t} spans but {found} {name}, expected {size}")
        if not 1 <= self.prompt_len <= len(self.ids):
            raise self._error(
                f"prompt_len is {self.prompt_len}, expected 1 to {len(self.ids)}, the number of ids"
            )
        end = self.prompt_len
        for k, (a, b) in enumerate(self.spans):
            if not end <= a < b <= len(self.ids):
                within = f"[{end}, {len(self.ids)})"
                raise self._error(f"span {k} is [{a}, {b}), expected within {within} and not empty")
            end = b
        produced = sum(b - a for a, b in self.spans)
        if len(self.logprobs) not in (0, produced):
            found = len(self.logprobs)
            raise self._error(f"{found} logprobs, {produced} action tokens, expected all or none")

    def _error(self, what: str) -> ValueError:
        return ValueError(f"trajectory {self.key}: {what}")

    def _finite(self, reward: Any) -> float:
        """A number of any library as Python's."""
        try:
            number = math.nan if isinstance(reward, str) else float(reward)
        except (TypeError, ValueError, RuntimeError):
            number = math.nan
        if not math.isfinite(number):
            raise self._error(f"rewards has {reward!r}, expected finite numbers")
        return number

    @property
    def key(self) -> str:
        """Name of the trajectory: task and sample."""
        return f"{self.task.key}/{self.sample}"

    @property
    def num_steps(self) -> int:
        """T, the number of actions."""
        return len(self.spans)

    @property
    def outcome(self) -> float:
        """Outcome reward r(u, τ): the reward of the last step, 0 without steps."""
        return self.rewards[-1] if self.rewards else 0.0

    @property
    def counted(self) -> float:
        """The outcome as training and Best-of-N count it: a cut episode has failed."""
        return self.outcome if self.final else 0.0

    @property
    def root_position(self) -> int:
        """Index of the last token before any action."""
        return self.prompt_len - 1

    @property
    def score_positions(self) -> tuple[int, ...]:
        """T indices: the last token of every action."""
        return tuple(end - 1 for _, end in self.spans)


def uncountable(trajectories: Sequence[Trajectory]) -> list[str]:
    """A fault for each attempt that is there more than once, or whose outcome nobody knows."""
    counts = Counter((t.key, t.seed, t.policy, t.ids) for t in trajectories)
    unknown = [t.key for t in trajectories if not (t.terminated or t.truncated)]
    twice = [f"{key} is there {n} times" for (key, *_), n in counts.items() if n > 1]
    return twice + [f"{key} has no known outcome: leave it out" for key in unknown]
