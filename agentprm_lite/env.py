"""What all environments share: observations and actions are text, states can be copied.

An environment here is a function of its task: the text of a task follows from (index, variant)
alone, on every machine. Stepping keeps Gymnasium's conventions and adds four things that search
and label making need: `snapshot`/`restore`, an expert, task lists, and the opening messages.
"""

from __future__ import annotations

import abc
import importlib
import operator
import pkgutil
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import gymnasium
from gymnasium.error import ResetNeeded

from agentprm_lite.chat import parse_action
from agentprm_lite.types import Task

Split = Literal["train", "test"]
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


class TextEnv(gymnasium.Env[str, str], abc.ABC):
    """A task told in text, played in rounds.

    A world fills in the class constants and the methods with a leading underscore; choosing a task,
    counting rounds, the end of an episode and snapshots are handled here. A step after the end
    changes nothing, says so, and repeats the flags of the last step with reward 0.

    Args:
        max_rounds: Steps after which an unfinished episode is truncated; None: the usual number.
    """

    name: ClassVar[str]
    """What `make_env` takes and tasks carry; a class that says nothing gets "module:Class"."""
    default_rounds: ClassVar[int]  #: Usual number of rounds.
    round_limit_is_failure: ClassVar[bool] = True  #: Running out of rounds is the outcome 0.
    instructions: ClassVar[str]  #: The rules: the first user turn.
    acknowledgement: ClassVar[str]  #: The answer to the rules: the first assistant turn.
    clumsy_actions: ClassVar[tuple[str, ...]] = ()
    """Played in order, they get every kind of reply that an expert never sees."""
    rare_replies: ClassVar[tuple[str, ...]] = ()
    """Replies that those actions cannot get in every task."""
    option_names: ClassVar[frozenset[str]] = frozenset({"index", "variant"})
    """Options that `reset` takes."""

    def __init_subclass__(cls) -> None:
        if "name" not in cls.__dict__:
            cls.name = f"{cls.__module__}:{cls.__qualname__}"

    def __init__(self, max_rounds: int | None = None) -> None:
        self.max_rounds: int = self.default_rounds if max_rounds is None else max_rounds
        if self.max_rounds < 1:
            raise ValueError(f"max_rounds: expected at least 1, got {max_rounds}")
        self.observation_space = AnyText()
        self.action_space = AnyText()
        self.index = self.variant = 0
        self._rounds: int | None = None  # None: not reset yet
        self._terminated = False
        self._success = False

    parse = staticmethod(parse_action)
    """The bare action in a policy's turn, by default as AgentGym's client reads it: "" if there is
    none; None if there are several, and then "" is played and the answer is an error."""

    @classmethod
    def answer(cls, turns: Sequence[str]) -> Hashable:
        """What self-consistency counts as the same answer: by default the same actions."""
        return tuple(cls.parse(turn) for turn in turns)

    @staticmethod
    def family(index: int) -> int:
        """Which tasks are alike, for intervals over tasks; by default each index stands alone."""
        return index

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
        observation, reward, self._terminated, self._success = self._apply(action)
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


WORLDS: dict[str, str] = {
    "textcraft": "agentprm_lite.worlds.textcraft:TextCraft",
    "babyai": "agentprm_lite.worlds.babyai:BabyAI",
    "webshop": "agentprm_lite.worlds.webshop:WebShop",
    "math": "agentprm_lite.worlds.math:MathWorld",
    "gsm8k": "agentprm_lite.worlds.math:GSM8K",
}
"""Name -> "module:Class", imported when first asked for. GSM8K needs files of its own."""
AGENTGYM = "agentgym:"


def env_class(name: str) -> type[TextEnv]:
    """The class behind a name; a world on a server has the class of the same world here."""
    world = name.removeprefix(AGENTGYM).partition("@")[0] if name.startswith(AGENTGYM) else name
    path = WORLDS.get(world, world)
    if ":" not in path:
        raise ValueError(f'name: expected one of {sorted(WORLDS)} or "module:Class", got {name!r}')
    try:
        found = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as err:
        if isinstance(err, ModuleNotFoundError) and str(err.name) not in path:
            extra = "; pip install agentprm-lite[worlds]" if world in WORLDS else ""
            raise ValueError(f"name: {path} needs the package {err.name}{extra}") from err
        raise ValueError(f'name: expected "module:Class", got {path!r}: {err}') from err
    if not (isinstance(found, type) and issubclass(found, TextEnv)):
        raise ValueError(f"name: {path!r} is {found!r}, expected a subclass of TextEnv")
    home = WORLDS.get(found.name, found.name)
    if ":" not in home or pkgutil.resolve_name(home) is not found:
        raise ValueError(
            f"name: {path} calls itself {found.name!r}, by which nobody finds it; leave out its "
            "`name`, or enter that in WORLDS"
        )
    return found


def make_env(name: str, max_rounds: int | None = None) -> TextEnv:
    """A new environment by its name, not reset yet.

    Args:
        name: A key of `WORLDS`, "module:Class" for a world of your own, or
            "agentgym:<world>@<url>" for a world on one of AgentGym's servers.
        max_rounds: Steps after which an episode is truncated; None: the usual number.

    Returns:
        The environment.
    """
    if name.startswith(AGENTGYM):
        client = importlib.import_module("agentprm_lite.serve.agentgym")
        return client.AgentGymEnv.from_name(name, max_rounds)  # type: ignore[no-any-return]
    return env_class(name)(max_rounds)
