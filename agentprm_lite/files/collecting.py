"""Collecting trajectories: tasks × samples into a file, resumable after any crash."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile, zip_longest
from pathlib import Path

from tqdm import tqdm

from agentprm_lite.env import AGENTGYM
from agentprm_lite.files.trajectories import append_jsonl, read_jsonl
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
        ValueError: the file holds trajectories of another run, or of other settings.
    """
    jobs = [(task, sample) for task in tasks for sample in range(samples)]
    return play_jobs(player, jobs, Path(path), seed, batch)


def play_jobs(
    player: Player,
    jobs: Sequence[tuple[Task, int]],
    path: Path,
    seed: int,
    batch: int,
    hidden: bool | None = None,
) -> list[Trajectory]:
    """What :func:`collect` does, for any list of (task, sample); the progress bar may be hidden."""
    done = read_jsonl(path) if path.exists() else []
    wanted = [(task, sample, seed, player.policy) for task, sample in jobs]
    for line, (old, job) in enumerate(zip_longest(done, wanted), start=1):
        if old and (old.task, old.sample, old.seed, old.policy) != job:
            raise ValueError(
                f"{path}, line {line}: holds {old.key} with seed {old.seed} of policy "
                f"{old.policy!r}, which isn't what this run of policy {player.policy!r} with seed "
                f"{seed} would write there; {_REMEDY}"
            )
    _check_settings(player, path, done)
    if path.exists() and os.access(path, os.W_OK):
        append_jsonl(path, [])  # a last row without its line break gets it
    with tqdm(total=len(jobs), initial=len(done), desc=path.stem, disable=hidden) as bar:
        first = len(done) // batch * batch if len(done) < len(jobs) else len(jobs)
        for start in range(first, len(jobs), batch):
            block = [player.start(task, k, seed) for task, k in jobs[start : start + batch]]
            try:
                player.run(block)
            finally:  # if it fails, what comes before the first unfinished episode is kept
                over = takewhile(lambda episode: episode.done, block)
                new = [e.trajectory(player.policy) for e in over][max(0, len(done) - start) :]
                append_jsonl(path, new)
            done += new
            bar.update(len(new))
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
