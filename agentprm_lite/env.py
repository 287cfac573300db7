"""What all environments share: observations and actions are text, states can be copied.

An environment here is a function of its task: the text of a task follows from (index, variant)
alone, on every machine. Stepping keeps Gymnasium's conventions and adds four things that search
and label making need: `snapshot`/`restore`, an expert, task lists, and the opening messages.
"""

from __future__ import annotations

import abc
import importlib
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Literal

import gymnasium
from gymnasium.error import ResetNeeded

from agentprm_lite.chat import parse_action
from agentprm_lite.types import Task

Split = Literal["train", "test"]
Info = dict[str, Any]

AFTER_END = "The episode is over."


class AnyText(gymnasium.Space[str]):
    """Every string. Gymnasium's Text is bounded in length and alphabet; answers echo any action.

    Args:
        seed: Seed for samples.

    Example:
        >>> "\\x00 anything" in AnyText(), 3 in AnyText()
        (True, False)
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(shape=None, dtype=str, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> str:
        """A random string of 0 to 40 printable ASCII characters."""
        length = int(self.np_random.integers(0, 41))
        return "".join(chr(code) for code in self.np_random.integers(32, 127, length))

    def contains(self, x: Any) -> bool:
        """Whether x is a string."""
        return isinstance(x, str)

    @property
    def is_np_flattenable(self) -> bool:
        """Strings are no arrays."""
        return False

    def __eq__(self, other: object) -> bool:
        """All spaces of this kind are equal."""
        return isinstance(other, AnyText)

    def __repr__(self) -> str:
        """Name of the space."""
        return "AnyText()"


class TextEnv(gymnasium.Env[str, str], abc.ABC):
    """A task told in text, played in rounds.

    Subclasses fill in the class constants, `tasks`, `expert_action` and the four methods with a
    leading underscore; the rounds, the end of an episode and snapshots are handled here. A step
    after the end changes nothing, says so, and repeats the flags of the last step with reward 0.

    Args:
        max_rounds: Steps after which an unfinished episode is truncated; None: the usual number.

    Raises:
        ValueError: max_rounds is not positive.
    """

    name: ClassVar[str]
    """Name that `make_env` knows."""
    default_rounds: ClassVar[int]
    """Usual number of rounds."""
    round_limit_is_failure: ClassVar[bool] = True
    """Whether running out of rounds counts as the outcome 0."""
    instructions: ClassVar[str]
    """The rules: the first user turn."""
    acknowledgement: ClassVar[str]
    """The answer to the rules: the first assistant turn."""
    clumsy_actions: ClassVar[tuple[str, ...]] = ()
    """Played in order, they get every kind of reply that an expert never sees."""
    rare_replies: ClassVar[tuple[str, ...]] = ()
    """Replies that those actions cannot get in every task."""
    option_names: ClassVar[frozenset[str]] = frozenset({"index", "variant"})
    """Options that `reset` takes."""

    def __init__(self, max_rounds: int | None = None) -> None:
        rounds = self.default_rounds if max_rounds is None else max_rounds
        if rounds < 1:
            raise ValueError(f"max_rounds: expected at least 1, got {rounds}")
        self.max_rounds: int = rounds
        self.observation_space = AnyText()
        self.action_space = AnyText()
        self._task: Task | None = None
        self._rounds: int | None = None  # None: not reset yet
        self._terminated = False
        self._success = False

    @classmethod
    def from_task(cls, task: Task) -> TextEnv:
        """An environment whose plain `reset()` plays the given task.

        Args:
            task: Task of this environment.

        Returns:
            The environment, not reset yet.

        Raises:
            ValueError: The task belongs to another environment.
        """
        if task.env != cls.name:
            raise ValueError(f"task: expected one of {cls.name!r}, got {task.key}")
        env = cls()
        env._task = task
        return env

    @staticmethod
    def parse(text: str) -> str | None:
        """The bare action in a policy's turn: by default what AgentGym's client reads.

        Args:
            text: The turn, thought and action.

        Returns:
            What `step` takes, "" if there is no action; None if the turn names several actions:
            then an empty action is played and the turn is answered with an error.

        Example:
            >>> TextEnv.parse("Thought:\\nI need it.\\n\\nAction:\\nget 1 [stick]")
            'get 1 stick'
        """
        return parse_action(text)

    @classmethod
    def answer(cls, turns: Sequence[str]) -> Hashable:
        """What self-consistency counts as the same answer: by default the same actions.

        Args:
            turns: The policy's turns of an episode.

        Returns:
            Equal for episodes that vote for each other; None casts no vote.

        Example:
            >>> TextEnv.answer(["Action: get 1 [stick]"]) == TextEnv.answer(["Action: get 1 stick"])
            True
        """
        return tuple(cls.parse(turn) for turn in turns)

    @staticmethod
    def family(index: int) -> int:
        """Which tasks are alike: an interval over tasks takes their families as wholes, too.

        Args:
            index: Of a task; its variants are of one family.

        Returns:
            Number of the family; by default every index is one by itself.
        """
        return index

    @classmethod
    @abc.abstractmethod
    def tasks(
        cls, split: Split, *, levels: Sequence[int] | None = None, variants: int = 1
    ) -> list[Task]:
        """Tasks of a split, by variant and then by index; levels keep some difficulties."""

    @abc.abstractmethod
    def expert_action(self) -> tuple[str, str]:
        """Thought and action of an expert in the present state."""

    @abc.abstractmethod
    def _start(self, task: Task | None, options: dict[str, Any]) -> str:
        """Begin an episode; returns the first observation."""

    @abc.abstractmethod
    def _apply(self, action: str) -> tuple[str, float, bool, bool]:
        """Play one action; returns observation, reward, terminated, success."""

    @abc.abstractmethod
    def _facts(self) -> Info:
        """What `info` tells about the task."""

    @abc.abstractmethod
    def _save(self) -> dict[str, Any]:
        """State of the episode, JSON-able, sharing nothing with the environment."""

    @abc.abstractmethod
    def _load(self, state: dict[str, Any]) -> None:
        """Take over a state that `_save` gave."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, Info]:
        """Begin an episode.

        Args:
            seed: Seeds this environment's own generator, which draws an index when neither an
                option nor `from_task` names one.
            options: {"index": int, "variant": int} or what else the environment takes; they go
                before the task of `from_task`.

        Returns:
            First observation and info.

        Raises:
            ValueError: An option is unknown or out of range.
        """
        super().reset(seed=seed)
        options = options or {}
        unknown = sorted(set(options) - self.option_names)
        if unknown:
            raise ValueError(f"options: expected {sorted(self.option_names)}, got {unknown}")
        task = None if {"index", "goal"} & options.keys() else self._task
        observation = self._start(task, options)
        self._rounds, self._terminated, self._success = 0, False, False
        return observation, self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """Play one round.

        Args:
            action: A bare action, such as "get 1 stick"; any string is answered.

        Returns:
            Observation, reward, terminated, truncated (out of rounds and not terminated), info.

        Raises:
            ResetNeeded: The environment has not been reset.
        """
        if self._rounds is None:
            raise ResetNeeded("call reset() before step()")
        if self._terminated or self._rounds >= self.max_rounds:
            return AFTER_END, 0.0, self._terminated, not self._terminated, self._info()
        observation, reward, self._terminated, self._success = self._apply(action)
        self._rounds += 1
        truncated = self._rounds >= self.max_rounds and not self._terminated
        return observation, reward, self._terminated, truncated, self._info()

    def snapshot(self) -> dict[str, Any]:
        """The state of the episode as a JSON-able dict.

        Returns:
            What `restore` on any instance of this class takes. The generator that draws indices
            at `reset` is not part of an episode and not saved.

        Raises:
            ResetNeeded: The environment has not been reset.
        """
        if self._rounds is None:
            raise ResetNeeded("call reset() before snapshot()")
        return {
            "env": self.name,
            "max_rounds": self.max_rounds,
            "rounds": self._rounds,
            "terminated": self._terminated,
            "success": self._success,
            "state": self._save(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take over a state, round limit included: the same actions then give the same answers.

        Args:
            snapshot: What `snapshot` of any instance gave; it is not changed.

        Raises:
            ValueError: The snapshot belongs to another environment.
        """
        if snapshot["env"] != self.name:
            raise ValueError(f"snapshot: expected env {self.name!r}, got {snapshot['env']!r}")
        self._load(snapshot["state"])
        self.max_rounds = snapshot["max_rounds"]
        self._rounds = snapshot["rounds"]
        self._terminated = snapshot["terminated"]
        self._success = snapshot["success"]

    def _info(self) -> Info:
        """A fresh info dict."""
        return {"success": self._success, **self._facts()}


WORLDS: dict[str, str] = {
    "textcraft": "agentprm_lite.worlds.textcraft:TextCraft",
    "babyai": "agentprm_lite.worlds.babyai:BabyAI",
    "webshop": "agentprm_lite.worlds.webshop:WebShop",
    "math": "agentprm_lite.worlds.math:MathWorld",
    "gsm8k": "agentprm_lite.worlds.math:GSM8K",
}
"""Name -> "module:Class", imported when first asked for. GSM8K needs files of its own."""
AGENTGYM = "agentgym:"
_AGENTGYM_CLIENT = "agentprm_lite.serve.agentgym:AgentGymEnv"


def env_class(name: str) -> type[TextEnv]:
    """The class that knows a world's tasks, how its turns are read and what an answer is.

    Args:
        name: As in :func:`make_env`; a world on a server has the class of the same world here.

    Returns:
        The class.

    Raises:
        ValueError: No environment has this name.

    Example:
        >>> env_class("agentgym:babyai@http://localhost:36001") is env_class("babyai")
        True
    """
    world = name.removeprefix(AGENTGYM).partition("@")[0] if name.startswith(AGENTGYM) else name
    path = WORLDS.get(world, world)
    if ":" not in path:
        raise ValueError(f'name: expected one of {sorted(WORLDS)} or "module:Class", got {name!r}')
    return _load_class(path)


def _load_class(path: str) -> type[TextEnv]:
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as err:
        raise ValueError(f'name: expected "module:Class", got {path!r}: {err}') from err
    if not (isinstance(found, type) and issubclass(found, TextEnv)):
        raise ValueError(f"name: {path!r} is {found!r}, expected a subclass of TextEnv")
    return found


def make_env(name: str, max_rounds: int | None = None) -> TextEnv:
    """An environment by its name.

    Args:
        name: A key of `WORLDS`, "module:Class" for a world of your own, or
            "agentgym:<world>@<url>" for a world on one of AgentGym's servers.
        max_rounds: Steps after which an episode is truncated; None: the usual number.

    Returns:
        A new environment, not reset yet.

    Raises:
        ValueError: No environment has this name.

    Example:
        >>> make_env("textcraft").max_rounds
        20
    """
    if name.startswith(AGENTGYM):
        return _load_class(_AGENTGYM_CLIENT).from_name(name, max_rounds)  # type: ignore[attr-defined,no-any-return]
    return env_class(name)(max_rounds)
