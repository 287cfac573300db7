"""Tasks, trajectories and their files.

A trajectory holds token ids, not text to be tokenized again: what the model saw and produced, and
where every action begins and ends in it. Files are JSON lines, one trajectory a line, appended and
never rewritten, so that a crash costs at most the line that was being written.

Shape legend: T steps (one action each), S tokens of the whole history.
"""

from __future__ import annotations

import json
import logging
import operator
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentprm_lite._line import check_line, cut_broken_end, finite_number

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1


@dataclass(frozen=True, order=True)
class Task:
    """One task of an environment.

    Raises:
        ValueError: the environment has no name, or index or variant is no whole number.

    Example:
        >>> Task("textcraft", 12).key
        'textcraft/12/0'
    """

    env: str
    """Name that :func:`agentprm_lite.env.make_env` knows."""
    index: int
    """Index of the task; the goal follows from it."""
    variant: int = 0
    """0 is the canonical text; k > 0 is the same goal among other distractors."""

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
    """Compute that a trajectory or a search took, in tokens and environment steps.

    Example:
        >>> (Usage(generated=3) + Usage(generated=2, env_steps=1)).generated
        5
    """

    generated: int = 0
    """Tokens that the policy sampled."""
    prefilled: int = 0
    """Prompt and observation tokens that the policy computed."""
    cached: int = 0
    """Tokens whose keys and values were reused, counted once a turn, instead of computed again."""
    scored: int = 0
    """Tokens that a reward model computed."""
    env_steps: int = 0
    """Calls of ``step`` on an environment."""

    def __add__(self, other: Usage) -> Usage:
        """Sum of two counts, field by field."""
        return Usage(
            self.generated + other.generated,
            self.prefilled + other.prefilled,
            self.cached + other.cached,
            self.scored + other.scored,
            self.env_steps + other.env_steps,
        )


@dataclass(frozen=True)
class Trajectory:
    """One episode of a policy in an environment.

    Raises:
        ValueError: spans, actions, observations and rewards disagree in length, a span lies
            outside ``ids``, the prompt is empty, not every action token has a log-probability, or
            a reward isn't a finite number.
    """

    task: Task
    """What was asked."""
    sample: int
    """Number of the attempt at this task."""
    seed: int
    """Seed of the run; with the task and the sample it fixes the random stream."""
    ids: tuple[int, ...]
    """S token ids: prompt, action, observation, action, and so on."""
    prompt_len: int
    """Tokens before the first action; the root value is read at ``prompt_len - 1``."""
    spans: tuple[tuple[int, int], ...]
    """T pairs [start, end) in ``ids``; step t is scored at ``end - 1``."""
    logprobs: tuple[float, ...]
    """Log-probability (temperature 1) of every action token, all spans joined; empty if unknown."""
    actions: tuple[str, ...]
    """T turns as produced: thought and action."""
    observations: tuple[str, ...]
    """T + 1 observations: the first, then the reply to each action."""
    rewards: tuple[float, ...]
    """T rewards of the environment."""
    terminated: bool
    """The environment ended the episode."""
    truncated: bool
    """A limit ended the episode."""
    truncated_by: str
    """``"rounds"``, ``"tokens"`` or, if not truncated, ``""``."""
    final: bool
    """The outcome is final: terminated, or cut at a round limit that counts as failure. Labels of
    a trajectory that isn't final bootstrap at its end."""
    success: bool
    """The goal was reached."""
    usage: Usage
    """Compute of this episode."""
    policy: str
    """Name of the policy that acted."""

    def __post_init__(self) -> None:
        t = len(self.spans)
        sizes = {
            "actions": len(self.actions),
            "rewards": len(self.rewards),
            "observations minus one": len(self.observations) - 1,
        }
        for name, size in sizes.items():
            if size != t:
                raise ValueError(f"trajectory {self.key}: {t} spans but {size} {name}")
        if not 1 <= self.prompt_len <= len(self.ids):
            raise ValueError(
                f"trajectory {self.key}: prompt_len is {self.prompt_len}, expected 1 to "
                f"{len(self.ids)}, the number of ids"
            )
        end = self.prompt_len
        for k, (a, b) in enumerate(self.spans):
            if not end <= a < b <= len(self.ids):
                raise ValueError(
                    f"trajectory {self.key}: span {k} is [{a}, {b}), expected within "
                    f"[{end}, {len(self.ids)}) and not empty"
                )
            end = b
        produced = sum(b - a for a, b in self.spans)
        if len(self.logprobs) not in (0, produced):
            raise ValueError(
                f"trajectory {self.key}: {len(self.logprobs)} logprobs for {produced} action "
                "tokens, expected one each or none"
            )
        rewards = tuple(finite_number(f"trajectory {self.key}: rewards", r) for r in self.rewards)
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "success", bool(self.success))

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
            check_line(data)
            task, usage = Task(**data.pop("task")), Usage(**data.pop("usage"))
            spans = tuple((a, b) for a, b in data.pop("spans"))
            lists = ("ids", "logprobs", "actions", "observations", "rewards")
            fields: dict[str, Any] = {name: tuple(data.pop(name)) for name in lists}
            return cls(task=task, usage=usage, spans=spans, **fields, **data)
        except (KeyError, TypeError) as err:
            missing = f"the field {err} is missing" if isinstance(err, KeyError) else err
            raise ValueError(f"not a trajectory: {missing}") from err


def append_jsonl(path: str | Path, trajectories: Iterable[Trajectory]) -> int:
    """Append trajectories to a file, one line each, and flush them to the disk.

    All lines are made before the first is written. A last line that a crash left unfinished is
    cut off first.

    Args:
        path: file to append to; made with its folder if absent.
        trajectories: what to append.

    Returns:
        Number of lines written.
    """
    path = Path(path)
    lines = [trajectory.to_json() + "\n" for trajectory in trajectories]
    path.parent.mkdir(parents=True, exist_ok=True)
    cut_broken_end(path)
    with path.open("a", encoding="utf-8") as f:
        f.writelines(lines)
        f.flush()
        os.fsync(f.fileno())
    return len(lines)


def read_jsonl(path: str | Path) -> list[Trajectory]:
    """Read a trajectory file.

    A broken last line (a crash while writing) is left out, with a warning in the log. A byte order
    mark and empty lines, which editors leave, are passed over.

    Args:
        path: file of :func:`append_jsonl`.

    Returns:
        The trajectories, in the order of the file.

    Raises:
        ValueError: any other line is broken, has an unknown version or a field of another type, or
            two lines hold the same attempt; names file, line and field.
    """
    found: list[Trajectory] = []
    lines: dict[tuple[Task, int, int], int] = {}
    for number, trajectory in _lines(Path(path)):
        key = (trajectory.task, trajectory.sample, trajectory.seed)
        if key in lines:
            raise ValueError(
                f"{path}, line {number}: task, sample and seed are those of line {lines[key]} "
                f"({trajectory.key}), expected each attempt once"
            )
        lines[key] = number
        found.append(trajectory)
    return found


def _lines(path: Path) -> Iterator[tuple[int, Trajectory]]:
    with path.open("rb") as f:
        for number, raw in enumerate(f, start=1):
            if not raw.removeprefix(b"\xef\xbb\xbf").strip():
                continue
            if not raw.endswith(b"\n"):
                logger.warning(
                    "%s: line %d is unfinished (the writer was interrupted); kept the %d whole "
                    "lines before it",
                    path,
                    number,
                    number - 1,
                )
                return
            try:
                yield number, Trajectory.from_json(raw.decode("utf-8-sig"))
            except ValueError as err:
                raise ValueError(f"{path}, line {number}: {err}") from err
