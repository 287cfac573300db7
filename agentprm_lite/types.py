"""Tasks, trajectories and their files.

A trajectory holds token ids, not text to be tokenized again: what the model saw and produced, and
where every action begins and ends in it. Files are JSON lines, one trajectory a line, appended and
never rewritten, so that a crash costs at most the line that was being written.

Shape legend: T steps (one action each), S tokens of the whole history.
"""

from __future__ import annotations

import json
import logging
import math
import operator
import os
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1


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
        ValueError: fields disagree in length, a span lies outside ``ids``, the prompt is empty, or
            a reward isn't a finite number.
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
    """The outcome is final: terminated, or cut at a round limit that counts as failure. Labels of
    a trajectory that isn't final bootstrap at its end."""
    success: bool  #: The goal was reached.
    usage: Usage  #: Compute of this episode.
    policy: str  #: Name of the policy that acted.

    def __post_init__(self) -> None:
        object.__setattr__(self, "rewards", tuple(map(self._finite, self.rewards)))
        object.__setattr__(self, "success", bool(self.success))
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
            raise self._error(
                f"{found} logprobs for {produced} action tokens, expected all or none"
            )

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
    def root_position(self) -> int:
        """Index of the last token before any action."""
        return self.prompt_len - 1

    @property
    def score_positions(self) -> tuple[int, ...]:
        """T indices: the last token of every action."""
        return tuple(end - 1 for _, end in self.spans)

    def to_json(self) -> str:
        """One line of JSON, without the line break."""
        return json.dumps({"version": SCHEMA_VERSION, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> Trajectory:
        """Read what :meth:`to_json` wrote; a field that is missing or wrong is named."""
        data = json.loads(line)
        if not isinstance(data, dict):
            raise ValueError(f"a trajectory is a JSON object, got {type(data).__name__}")
        version = data.pop("version", None)
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"schema version {version!r}, this library reads {SCHEMA_VERSION}: install the "
                "agentprm_lite that wrote the file, or collect the file again"
            )
        try:
            _check_fields(data)
            task, usage = Task(**data.pop("task")), Usage(**data.pop("usage"))
            spans = tuple((a, b) for a, b in data.pop("spans"))
            lists = {name: tuple(value) for name, value in data.items() if type(value) is list}
            return cls(task=task, usage=usage, spans=spans, **data | lists)
        except (KeyError, TypeError) as err:
            missing = f"the field {err} is missing" if isinstance(err, KeyError) else err
            raise ValueError(f"not a trajectory: {missing}") from err


#: Type of a field -> types of a value in a file (bool is no int), and what is expected.
_HELD: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "bool": ((bool,), "true or false"),
    "str": ((str,), "a text"),
    "Task": ((dict,), "an object"),
    "Usage": ((dict,), "an object"),
    "tuple[int, ...]": ((int,), "a list of whole numbers"),
    "tuple[float, ...]": ((int, float), "a list of finite numbers"),
    "tuple[str, ...]": ((str,), "a list of texts"),
    "tuple[tuple[int, int], ...]": ((list,), "a list of pairs of whole numbers"),
}


def _check_fields(data: dict[str, Any]) -> None:
    for field in fields(Trajectory):
        value, (types, expected) = data[field.name], _HELD[str(field.type)]
        if not expected.startswith("a list"):
            if type(value) not in types:
                raise ValueError(f"{field.name} is {value!r}, expected {expected}")
            continue
        odd = [v for v in value if type(v) not in types] if type(value) is list else [value]
        if float in types:
            odd = odd or [v for v in value if not math.isfinite(v)]
        if list in types:
            odd = odd or [v for v in value if list(map(type, v)) != [int, int]]
        if odd:
            raise ValueError(f"{field.name} has {odd[0]!r}, expected {expected}")


def append_jsonl(path: str | Path, trajectories: Iterable[Trajectory]) -> None:
    """Append trajectories to a file, made if absent, and flush it to the disk.

    All lines are made before the first is written. A last line that a crash left unfinished is
    cut off first.
    """
    path = Path(path)
    lines = [trajectory.to_json().encode() + b"\n" for trajectory in trajectories]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as f:
        end = f.tell()
        while end > 0:
            f.seek(end - 1)
            if f.read(1) == b"\n":
                break
            end -= 1
        f.truncate(end)
        f.writelines(lines)
        f.flush()
        os.fsync(f.fileno())


def read_jsonl(path: str | Path) -> list[Trajectory]:
    """Trajectories of a file, in its order.

    A broken last line (a crash while writing) is left out, with a warning in the log; a byte order
    mark and empty lines, which editors leave, are passed over. Any other broken line, another
    version, a field of another type or the same attempt twice is a ValueError that names file, line
    and field.
    """
    found: list[Trajectory] = []
    lines: dict[tuple[Task, int, int], int] = {}
    with Path(path).open("rb") as f:
        for number, raw in enumerate(f, start=1):
            if not raw.removeprefix(b"\xef\xbb\xbf").strip():
                continue
            if not raw.endswith(b"\n"):
                logger.warning(
                    "%s: line %d is unfinished (the writer was interrupted); kept the %d whole "
                    "lines before it",
                    *(path, number, number - 1),
                )
                break
            try:
                trajectory = Trajectory.from_json(raw.decode("utf-8-sig"))
            except ValueError as err:
                raise ValueError(f"{path}, line {number}: {err}") from err
            key = (trajectory.task, trajectory.sample, trajectory.seed)
            if lines.setdefault(key, number) != number:
                raise ValueError(
                    f"{path}, line {number}: task, sample and seed are those of line {lines[key]} "
                    f"({trajectory.key}), expected each attempt once"
                )
            found.append(trajectory)
    return found
