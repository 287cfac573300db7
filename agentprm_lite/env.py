"""What a world is: observations and actions are text, states can be copied.

A world here is a function of its task: the text of a task follows from (index, variant) alone, on
every machine. Stepping keeps Gymnasium's conventions and adds four things that search and label
making need: `snapshot`/`restore`, an expert, task lists, and the opening messages.
"""

from __future__ import annotations

import abc
import importlib
import pkgutil
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Literal

import gymnasium

from agentprm_lite.chat import parse_action
from agentprm_lite.types import Task

Split = Literal["train", "test"]


class World(gymnasium.Env[str, str], abc.ABC):
    """A task told in text, played in rounds.

    :class:`agentprm_lite.worlds.textenv.TextEnv` has most of it done. `reset` takes the options
    "index" and "variant", and the `info` of a step says "success". A step after the end changes
    nothing, says so, and repeats the flags of the last step with reward 0.

    Args:
        max_rounds: Steps after which an unfinished episode is truncated; None: the usual number.
    """

    name: ClassVar[str]
    """What `make_env` takes and tasks carry; a class that says nothing gets "module:Class"."""
    default_rounds: ClassVar[int]  #: Usual number of rounds.
    round_limit_is_failure: ClassVar[bool] = True  #: Running out of rounds is the outcome 0.
    instructions: ClassVar[str]  #: The rules: the first user turn.
    acknowledgement: ClassVar[str]  #: The answer to the rules: the first assistant turn.

    def __init_subclass__(cls) -> None:
        if "name" not in cls.__dict__:
            cls.name = f"{cls.__module__}:{cls.__qualname__}"

    def __init__(self, max_rounds: int | None = None) -> None:
        self.max_rounds: int = self.default_rounds if max_rounds is None else max_rounds
        if self.max_rounds < 1:
            raise ValueError(f"max_rounds: expected at least 1, got {max_rounds}")

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
    @abc.abstractmethod
    def tasks(cls, split: Split, *, levels: Sequence[int] | None = None) -> list[Task]:
        """Tasks of a split, by index; levels keep some difficulties, None all."""

    @abc.abstractmethod
    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play one round: observation, reward, terminated, truncated and not terminated, info."""

    @abc.abstractmethod
    def expert_action(self) -> tuple[str, str]:
        """Thought and bare action of an expert in the present state, also after detours."""

    @abc.abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """The episode as a JSON-able dict, without the generator that draws indices at `reset`."""

    @abc.abstractmethod
    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take over what `snapshot` of any instance gave: the same actions get the same answers."""


WORLDS: dict[str, str] = {
    "textcraft": "agentprm_lite.worlds.textcraft:TextCraft",
    "babyai": "agentprm_lite.worlds.babyai:BabyAI",
    "webshop": "agentprm_lite.worlds.webshop:WebShop",
    "math": "agentprm_lite.worlds.math:MathWorld",
    "gsm8k": "agentprm_lite.worlds.math:GSM8K",
}
"""Name -> "module:Class", imported when first asked for. GSM8K needs files of its own."""
AGENTGYM = "agentgym:"


def env_class(name: str) -> type[World]:
    """The class behind a name; a world on a server has the class of the same world here."""
    world = name.removeprefix(AGENTGYM).partition("@")[0] if name.startswith(AGENTGYM) else name
    path = WORLDS.get(world, world)
    if ":" not in path:
        raise ValueError(f'name: expected one of {sorted(WORLDS)} or "module:Class", got {name!r}')
    try:
        found = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as err:
        if isinstance(err, ModuleNotFoundError) and str(err.name) not in path:
            install = 'pip install "agentprm-lite[worlds] @ git+https://github.com/agentprm-lite/agentprm-lite"'
            extra = f"; {install}" if world in WORLDS else ""
            raise ValueError(f"name: {path} needs the package {err.name}{extra}") from err
        raise ValueError(f'name: expected "module:Class", got {path!r}: {err}') from err
    if not (isinstance(found, type) and issubclass(found, World)):
        raise ValueError(f"name: {path!r} is {found!r}, expected a subclass of TextEnv or World")
    home = WORLDS.get(found.name, found.name)
    if ":" not in home or pkgutil.resolve_name(home) is not found:
        raise ValueError(
            f"name: {path} calls itself {found.name!r}, by which nobody finds it; leave out its "
            "`name`, or enter that in WORLDS"
        )
    return found


def make_env(name: str, max_rounds: int | None = None) -> World:
    """A new environment by its name, not reset yet.

    The name is a key of `WORLDS`, "module:Class" for a world of your own, or
    "agentgym:<world>@<url>" for a world on one of AgentGym's servers. An episode is truncated after
    ``max_rounds`` steps; None: the usual number.
    """
    if name.startswith(AGENTGYM):
        client = importlib.import_module("agentprm_lite.serve.agentgym")
        return client.AgentGymEnv.from_name(name, max_rounds)  # type: ignore[no-any-return]
    return env_class(name)(max_rounds)
