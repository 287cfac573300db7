"""A world that plays on one of AgentGym's own servers, for those who run one."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from agentprm_lite.env import AGENTGYM, Split, env_class
from agentprm_lite.serve.address import pause
from agentprm_lite.serve.agentgym_http import (
    AgentGymError,
    AgentGymTimeout,
    ConnectionLost,
    Server,
)
from agentprm_lite.types import Task
from agentprm_lite.worlds import TextEnv

Exchange = tuple[str, str, float, bool]  # action, observation, reward, done

# (process, world, url) -> instances that nobody plays on. A forked process must not use its
# parent's: two players on one instance would read each other's answers.
_IDLE: defaultdict[tuple[int, str, str], list[int]] = defaultdict(list)


class ReplayDiffers(AgentGymError):
    """A server that answers the same actions otherwise than before; step 0 is the beginning."""

    def __init__(self, call: str, step: int, problem: str) -> None:
        super().__init__(call, problem)
        self.step = step


class AgentGymEnv(TextEnv):
    """One task of TextCraft, BabyAI or WebShop, played on AgentGym's server over HTTP.

    Description:
        The rules, the round limit and the task lists are those of the world of the same name in
        this library; the texts come from the server. `env.name` is
        "agentgym:<world>@<url>": tasks carry it, `make_env` understands it, and so rollouts,
        search and label making work on a server as they do in this process. What an index means
        is the server's affair: TextCraft's index -> goal depends on the server's file system, and
        WebShop's goals are not those of the made-up shops, so that for WebShop tasks are
        best made by hand: `Task(env.name, index)`.
        Option of `reset`: "index". There are no variants, and no expert.

    Actions:
        As the server takes them. A lone surrogate, which is no Unicode text, is sent as "?".

    Observations:
        As the server sends them.

    Reward:
        What AgentGym's own client reports: `reward` for TextCraft and WebShop, `score` for
        BabyAI, which is the sum of the episode's rewards. `info["success"]` is reward 1 at the
        end, for BabyAI a score above 0 (its missions are rewarded only when they are done, with
        less than 1).

    Episode end:
        Terminated when the server says done; truncated after `max_rounds` steps. Later steps are
        answered here and not sent. At the end the instance is free for other episodes of this
        process; so is that of an environment which is garbage-collected. `close()` closes the
        instance on the server, and `close_idle()` all that are free; WebShop's server can't
        close, there they stay free to be used again (creating one takes it many seconds).

    Differences from AgentGym:
        1. A request has `timeout` seconds and is sent again, at most `retries` times, after a lost
           connection and nothing else. Whatever else is wrong (an {"error": ...} body, HTTP 500,
           no JSON, a missing key) is an `AgentGymError` that names the call and the instance.
        2. A /step is never sent twice to one instance, because after a lost connection it may have
           been played, and the text does not always tell (WebShop's page is the same before and
           after an option is chosen). Instead the instance is given up and the episode played
           again on another one, where every answer must be the same as before; there the action is
           sent. After any other error of a /step the same happens at the next `step`. The instance
           that was given up is not closed.
        3. `snapshot` holds the actions and answers so far; `restore` plays them again on another
           instance and raises `ReplayDiffers` with the number of the step if an answer differs.
           Where two instances tell a task differently that is the usual outcome: WebShop draws
           some prices anew for every instance.
        4. Kept: BabyAI's server says not done at a reward of 0.5 or less.

    Source:
        AgentGym (Xi et al. 2024, arXiv 2406.04151), its servers for TextCraft, BabyAI, WebShop.

    Args:
        world: "textcraft", "babyai" or "webshop".
        url: Address of the server, such as "http://localhost:36001".
        timeout: Seconds to wait for an answer; AgentGym's client has 300, too.
        retries: How often a request is repeated after a lost connection.
        max_rounds: Steps after which an unfinished episode is truncated; None: as in this library.

    Raises:
        ValueError: The world is unknown, or an argument is no address or not positive.

    Example:
        >>> env = AgentGymEnv("textcraft", "http://localhost:36001")
        >>> env.tasks("test", levels=(1,))[0].key
        'agentgym:textcraft@http://localhost:36001/0/0'
    """

    name: ClassVar[str] = "agentgym"
    default_rounds: ClassVar[int] = 20
    instructions: ClassVar[str] = ""
    acknowledgement: ClassVar[str] = ""

    def __init__(
        self,
        world: str,
        url: str,
        timeout: float = 300.0,
        retries: int = 2,
        max_rounds: int | None = None,
    ) -> None:
        self._server = Server(world, url, timeout, retries)
        self._local = env_class(world)
        shared = ("default_rounds", "round_limit_is_failure", "instructions", "acknowledgement")
        for constant in (*shared, "clumsy_actions", "parse"):
            setattr(self, constant, getattr(self._local, constant))
        setattr(self, "name", f"{AGENTGYM}{world}@{self._server.url}")  # noqa: B010
        super().__init__(max_rounds)
        self._instance: _Instance | None = None
        self._first = ""
        self._turns: list[Exchange] = []

    @classmethod
    def from_name(cls, name: str, max_rounds: int | None = None) -> AgentGymEnv:
        """The environment that has a name, with the usual timeout and retries."""
        world, at, url = name.removeprefix(AGENTGYM).partition("@")
        if not name.startswith(AGENTGYM) or not at:
            raise ValueError(f"name: expected {AGENTGYM}<world>@<url>, got {name!r}")
        return cls(world, url, max_rounds=max_rounds)

    def tasks(  # type: ignore[override]  # it needs to know the world: ask an instance
        self, split: Split, *, levels: Sequence[int] | None = None
    ) -> list[Task]:
        """Tasks of the world of the same name in this library, to be played on this server."""
        return [Task(self.name, t.index) for t in self._local.tasks(split, levels=levels)]

    @classmethod
    def _levels(cls, split: Split) -> dict[int, int]:
        return {}

    def _count(self) -> int:
        return 10**9

    def _draw(self) -> int:
        known = self._local.tasks("train")
        return known[int(self.np_random.integers(len(known)))].index

    def observation(self) -> str:
        """What the instance shows, by the server itself; for debugging."""
        if self._instance is None:
            raise AgentGymError(f"GET {self._server.url}/observation", "no episode is running")
        return self._server.observation(self._instance.number)

    def close(self) -> None:
        """Close the instance on the server, where the server can.

        The episode is not lost: a further `step` plays it again on another instance.

        Raises:
            AgentGymError: The server fails.
        """
        instance, self._instance = self._instance, None
        if instance is not None and self._server.dialect.can_close:
            instance.usable = False
            self._server.close(instance.number)

    def _start(self, **options: Any) -> str:
        if self.variant != 0:
            raise ValueError(f"variant: a server has one text a task, got {self.variant}")
        self._instance = None  # free, and likely the one that is taken again
        instance, first = self._begin(self.index)
        self._instance, self._first, self._turns = instance, first, []
        return first

    def _apply(self, action: str) -> tuple[str, float, bool, bool]:
        action = action.encode(errors="replace").decode()
        for again in range(1 + self._server.retries):
            try:
                observation, reward, done = self._play(action)
                break
            except ConnectionLost:
                if again == self._server.retries:
                    raise
                time.sleep(pause(again))
        self._turns.append((action, observation, reward, done))
        if done or len(self._turns) == self.max_rounds:
            self._instance = None
        success = reward > 0 if self._server.world == "babyai" else done and reward == 1
        return observation, reward, done, success

    def _play(self, action: str) -> tuple[str, float, bool]:
        """Send an action to an instance in the present state; on failure give the instance up."""
        instance, self._instance = self._instance, None
        if instance is None:
            instance = self._replay(self.index, self._first, self._turns)
        with instance:
            answer = self._server.step(instance.number, action)
        self._instance = instance
        return answer

    def _begin(self, index: int) -> tuple[_Instance, str]:
        """An instance at the beginning of a task, and its first observation."""
        idle = _IDLE[os.getpid(), self._server.world, self._server.url]
        while True:
            try:
                instance = _Instance(idle.pop(), idle)
            except IndexError:
                break
            try:
                with instance:
                    return instance, self._server.reset(instance.number, index)
            except (ConnectionLost, AgentGymTimeout):
                raise
            except AgentGymError:  # the server was started anew and knows it no more
                continue
        instance = _Instance(self._server.create(), idle)
        with instance:
            return instance, self._server.reset(instance.number, index)

    def _replay(self, index: int, first: str, turns: Sequence[Exchange]) -> _Instance:
        """An instance on which an episode was played again, with the same answers."""
        instance, text = self._begin(index)
        call = f"replay on {self._server.url} ({self._server.dialect.instance} {instance.number})"
        if text != first:
            raise ReplayDiffers(
                call, 0, f"index {index} begins with {text!r}, it was {first!r} before"
            )
        with instance:
            for t, (action, *before) in enumerate(turns, start=1):
                answer = self._server.step(instance.number, action)
                if list(answer) != before:
                    raise ReplayDiffers(
                        call,
                        t,
                        f"step {t}, action {action!r}: the answer is {list(answer)}, "
                        f"it was {before} before",
                    )
        return instance

    def _save(self) -> dict[str, Any]:
        return {"first": self._first, "turns": [list(turn) for turn in self._turns]}

    def _load(self, state: dict[str, Any]) -> None:
        turns: list[Exchange] = [(a, o, float(r), d) for a, o, r, d in state["turns"]]
        instance = self._replay(self.index, state["first"], turns)
        self._first, self._turns = state["first"], turns
        over = bool(turns) and turns[-1][3]
        self._instance = None if over else instance


class _Instance:
    """An instance on a server: idle again when nobody holds it, unless a call on it has failed."""

    def __init__(self, number: int, idle: list[int]) -> None:
        self.number, self.usable, self._idle = number, True, idle

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # nobody knows its state; a server may still be busy with it
            self.usable = False

    def __del__(self) -> None:
        if self.usable:
            self._idle.append(self.number)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a remote instance can't be copied; use snapshot() and restore()")


def close_idle() -> int:
    """Close all instances that this process made and nobody plays on; how many (not WebShop's)."""
    count = 0
    for (process, world, url), numbers in _IDLE.items():
        server = Server(world, url, timeout=10.0, retries=0)
        while process == os.getpid() and server.dialect.can_close and numbers:
            count += server.close(numbers.pop())
    return count
