"""A world with its bookkeeping done: tasks, rounds, the end of an episode, snapshots."""

from __future__ import annotations

import abc
import math
import operator
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

import gymnasium
from gymnasium.error import ResetNeeded

from agentprm_lite.env import Split, World
from agentprm_lite.types import Task

Info = dict[str, Any]

AFTER_END = "The episode is over."


class AnyText(gymnasium.Space[str]):
    """Every string. Gymnasium's Text is bounded in length and alphabet; answers echo any action."""

    def sample(self, mask: None = None, probability: None = None) -> str:
        """0 to 40 printable ASCII characters."""
        length = int(self.np_random.integers(0, 41))
        return "".join(chr(code) for code in self.np_random.integers(32, 127, length))

    def contains(self, x: Any) -> bool:
        """Whether x is a string."""
        return isinstance(x, str)


class TextEnv(World):
    """A task told in text, played in rounds.

    A world fills in the class constants and the methods with a leading underscore; choosing a task,
    counting rounds, the end of an episode and snapshots are handled here. A step after the end
    changes nothing, says so, and repeats the flags of the last step with reward 0.

    Args:
        max_rounds: Steps after which an unfinished episode is truncated; None: the usual number.
    """

    clumsy_actions: ClassVar[tuple[str, ...]] = ()
    """Played in order, they get every kind of reply that an expert never sees."""
    rare_replies: ClassVar[tuple[str, ...]] = ()
    """Replies that those actions cannot get in every task."""
    option_names: ClassVar[frozenset[str]] = frozenset({"index", "variant"})
    """Options that `reset` takes."""

    def __init__(self, max_rounds: int | None = None) -> None:
        super().__init__(max_rounds)
        self.observation_space = AnyText()
        self.action_space = AnyText()
        self.index = self.variant = 0
        self._rounds: int | None = None  # None: not reset yet
        self._terminated = False
        self._success = False

    @classmethod
    def tasks(cls, split: Split, *, levels: Sequence[int] | None = None) -> list[Task]:
        """Tasks of a split, by index; levels keep some difficulties, None all."""
        if split not in ("train", "test"):
            raise ValueError(f'split: expected "train" or "test", got {split!r}')
        if levels is not None:
            known = {*cls._levels("train").values(), *cls._levels("test").values()}
            if not set(levels) <= known:
                raise ValueError(f"levels: expected some of {sorted(known)}, got {[*levels]}")
        listed = cls._levels(split)
        return [Task(cls.name, i) for i in listed if levels is None or listed[i] in levels]

    def expert_action(self) -> tuple[str, str]:
        """Thought and bare action of an expert in the present state, also after detours."""
        self._need_reset("expert_action")
        if self._terminated:
            raise ResetNeeded("the episode is over: call reset() before expert_action()")
        return self._advise()

    @classmethod
    @abc.abstractmethod
    def _levels(cls, split: Split) -> Mapping[int, int]:
        """Index -> level of a split's tasks, in order."""

    @abc.abstractmethod
    def _count(self) -> int:
        """Number of indices that can be played."""

    @abc.abstractmethod
    def _start(self, **options: Any) -> str:
        """Set everything anew for `index` and `variant`; returns the first observation."""

    @abc.abstractmethod
    def _apply(self, action: str) -> tuple[str, float, bool, bool]:
        """Play one action; returns observation, reward, terminated, success."""

    @abc.abstractmethod
    def _save(self) -> dict[str, Any]:
        """State of the episode beyond index and variant, JSON-able, sharing nothing with it."""

    @abc.abstractmethod
    def _load(self, state: dict[str, Any]) -> None:
        """Take over a state that `_save` gave; `index` and `variant` are set already."""

    def _advise(self) -> tuple[str, str]:
        """What an expert thinks and does; only demonstrations need one."""
        raise NotImplementedError(f"{self.name} has no expert")

    def _facts(self) -> Info:
        """What else `info` tells about the task."""
        return {}

    def _draw(self) -> int:
        """An index where `reset` is given none; worlds that don't count their tasks change it."""
        return int(self.np_random.integers(self._count()))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, Info]:
        """Begin an episode; options are "index" (else ``seed``'s generator draws one), "variant"
        and what else the environment takes."""
        super().reset(seed=seed)
        given = dict(options or {})
        unknown = sorted(set(given) - self.option_names)
        if unknown:
            raise ValueError(f"options: expected {sorted(self.option_names)}, got {unknown}")
        self._rounds = None  # a reset that fails leaves no episode
        self.index = operator.index(given.pop("index") if "index" in given else self._draw())
        self.variant = operator.index(given.pop("variant", 0))
        if not 0 <= self.index < self._count():
            raise ValueError(f"index: expected 0 to {self._count() - 1}, got {self.index}")
        if self.variant < 0:
            raise ValueError(f"variant: expected 0 or more, got {self.variant}")
        observation = self._start(**given)
        self._rounds, self._terminated, self._success = 0, False, False
        return observation, self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """Play one round: observation, reward, terminated, truncated and not terminated, info."""
        rounds = self._need_reset("step")
        if self._terminated or rounds >= self.max_rounds:
            return AFTER_END, 0.0, self._terminated, not self._terminated, self._info()
        observation, reward, terminated, success = self._apply(action)
        number = isinstance(reward, Real) and math.isfinite(reward)
        if not (isinstance(observation, str) and number):
            raise ValueError(
                f"{self.name}, index {self.index}, action {action!r}: _apply gave "
                f"{(observation, reward)!r}, expected a text and a finite number"
            )
        self._terminated, self._success = terminated, success
        self._rounds = rounds + 1
        truncated = self._rounds >= self.max_rounds and not self._terminated
        return observation, reward, self._terminated, truncated, self._info()

    def snapshot(self) -> dict[str, Any]:
        """The episode as a JSON-able dict, without the generator that draws indices at `reset`."""
        return {
            "env": self.name,
            "index": self.index,
            "variant": self.variant,
            "max_rounds": self.max_rounds,
            "rounds": self._need_reset("snapshot"),
            "terminated": self._terminated,
            "success": self._success,
            "state": self._save(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take over what `snapshot` of any instance gave: the same actions get the same answers."""
        if snapshot["env"] != self.name:
            raise ValueError(f"snapshot: expected env {self.name!r}, got {snapshot['env']!r}")
        self.index, self.variant = snapshot["index"], snapshot["variant"]
        self._load(snapshot["state"])
        self.max_rounds, self._rounds = snapshot["max_rounds"], snapshot["rounds"]
        self._terminated, self._success = snapshot["terminated"], snapshot["success"]

    def _need_reset(self, call: str) -> int:
        """Rounds played so far."""
        if self._rounds is None:
            raise ResetNeeded(f"call reset() before {call}()")
        return self._rounds

    def _info(self) -> Info:
        task = {"index": self.index, "variant": self.variant}
        return {"success": self._success, **task, **self._facts()}
