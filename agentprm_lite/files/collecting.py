"""Collecting trajectories: tasks × samples into a file, resumable after any crash."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile, zip_longest
from pathlib import Path

if sys.platform != "win32":
    import fcntl

from tqdm import tqdm

from agentprm_lite.env import AGENTGYM
from agentprm_lite.episode import Episode
from agentprm_lite.files.trajectories import append_jsonl, read_jsonl, to_line
from agentprm_lite.sampling import Player
from agentprm_lite.types import Task, Trajectory

_REMEDY = "give another file or remove this one"


def collect(
    player: Player,
    tasks: Sequence[Task],
    samples: int,
    path: str | Path,
    *,
    seed: int = 0,
    batch: int = 128,
) -> list[Trajectory]:
    """Sample every task a number of times and write the trajectories to a file.

    Blocks of ``batch`` episodes are written in order, and of one that fails the first whole ones. A
    later run adds only what is missing, so the file ends up the same however often it was killed.

    Prompts and round limit are compared with the file's (not for worlds on a server). Temperature
    and limits of tokens aren't in it: another name, please, for a policy sampled otherwise.

    Args:
        player: the policy.
        tasks: what to do.
        samples: episodes a task.
        path: trajectory file; continued if it exists.
        seed: of the random streams.
        batch: episodes that move together.

    Returns:
        All trajectories of the file: all samples of the first task, of the second, and so on.

    Raises:
        ValueError: the file holds trajectories of another run, or of other settings, or another
            process is writing it; a task is there twice; samples or batch is below 1; an episode
            can't be written.
    """
    return play_jobs(player, all_jobs(tasks, samples, batch), Path(path), seed, batch)


def all_jobs(tasks: Sequence[Task], samples: int, batch: int) -> list[tuple[Task, int]]:
    """Every task and sample of a run, in order.

    A task that is there twice is a ValueError, and so is a number below 1.
    """
    for name, number in (("samples", samples), ("batch", batch)):
        if number < 1:
            raise ValueError(f"{name} is {number}, expected at least 1")
    twice = [task.key for task, n in Counter(tasks).items() if n > 1]
    if twice:
        raise ValueError(f"tasks has {', '.join(twice)} more than once, expected each task once")
    return [(task, sample) for task in tasks for sample in range(samples)]


def play_jobs(
    player: Player,
    jobs: Sequence[tuple[Task, int]],
    path: Path,
    seed: int,
    batch: int,
    hidden: bool | None = None,
) -> list[Trajectory]:
    """What :func:`collect` does, for any list of (task, sample); the progress bar may be hidden."""
    with _held(path):
        done = _begun(player, jobs, path, seed)
        with tqdm(total=len(jobs), initial=len(done), desc=path.stem, disable=hidden) as bar:
            first = len(done) // batch * batch if len(done) < len(jobs) else len(jobs)
            for start in range(first, len(jobs), batch):
                block = [player.start(task, k, seed) for task, k in jobs[start : start + batch]]
                try:
                    player.run(block)
                finally:
                    new = _write(path, block[max(0, len(done) - start) :], player.policy)
                done += new
                bar.update(len(new))
    return done


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keep other processes from collecting into a file, where system and disk can."""
    path.parent.mkdir(parents=True, exist_ok=True)
    readable = path.exists() and not os.access(path, os.W_OK)  # no more than that: a finished file
    with path.open("rb" if readable else "ab") as f:
        if sys.platform != "win32":
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"{path}: another process is collecting into this file; wait until it ends, or "
                    "give another file"
                ) from None
            except OSError:  # a disk without locks
                pass
        yield


def _write(path: Path, block: Sequence[Episode], policy: str) -> list[Trajectory]:
    """Write the episodes before the first that isn't over, or can't be written."""
    new: list[Trajectory] = []
    try:
        for episode in takewhile(lambda episode: episode.done, block):
            t = episode.trajectory(policy)
            to_line(t)
            new.append(t)
    finally:
        append_jsonl(path, new)
    return new


def _begun(
    player: Player, jobs: Sequence[tuple[Task, int]], path: Path, seed: int
) -> list[Trajectory]:
    """What a file holds of a run; that of another run is refused and stays as it is."""
    done = read_jsonl(path)
    wanted = [(task, sample, seed, player.policy) for task, sample in jobs]
    for line, (old, job) in enumerate(zip_longest(done, wanted), start=1):
        if old and (old.task, old.sample, old.seed, old.policy) != job:
            raise ValueError(
                f"{path}, line {line}: holds {old.key} with seed {old.seed} of policy "
                f"{old.policy!r}, which isn't what this run of policy {player.policy!r} with seed "
                f"{seed} would write there; {_REMEDY}"
            )
    _check_settings(player, path, done)
    if os.access(path, os.W_OK):
        append_jsonl(path, [])  # a last row without its line break gets it
    return done


def _check_settings(player: Player, path: Path, done: Sequence[Trajectory]) -> None:
    """Compare recorded episodes with those that the player would begin, one an environment."""
    here = [t for t in reversed(done) if not t.task.env.startswith(AGENTGYM)]
    for env, t in {t.task.env: t for t in here}.items():
        new = player.start(t.task, t.sample, t.seed)
        if tuple(new.ids) != t.ids[: t.prompt_len]:
            raise ValueError(
                f"{path}: the prompt of {t.key} isn't what this run would begin with (rules, chat "
                f"format or environment are others); {_REMEDY}"
            )
        limit = new.env.max_rounds
        for o in done:
            cut = o.truncated_by == "rounds" and o.num_steps < limit
            if o.task.env == env and (cut or o.num_steps > limit):
                raise ValueError(
                    f"{path}: {o.key} has {o.num_steps} rounds{' and was cut there' * cut}, the "
                    f"limit of this run is {limit}; {_REMEDY}"
                )
