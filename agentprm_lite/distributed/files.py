"""Collecting by several ranks: each plays its blocks into a file of its own; these are joined."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from agentprm_lite.distributed.ranks import Rank, this_rank
from agentprm_lite.files import all_jobs, append_jsonl, play_jobs, read_jsonl
from agentprm_lite.sampling import Player
from agentprm_lite.types import Task, Trajectory

logger = logging.getLogger(__name__)


def collect(
    player: Player,
    tasks: Sequence[Task],
    samples: int,
    path: str | Path,
    *,
    seed: int = 0,
    batch: int = 128,
    shard: Rank | None = None,
) -> list[Trajectory]:
    """``agentprm_lite.collect``, shared by blocks among the ranks of ``torchrun``.

    Each rank writes its blocks to ``Rank.part(path)`` and gets its own trajectories back;
    :func:`merge` joins the files to the one that a single process would have written. Errors
    are those of one process.
    """
    shard = this_rank() if shard is None else shard
    jobs = all_jobs(tasks, samples, batch)
    if shard.first and len(jobs) <= (shard.size - 1) * batch:
        logger.warning(
            "%d episodes in blocks of %d: some of the %d ranks have nothing to do; a smaller batch "
            "gives work to more of them",
            len(jobs),
            batch,
            shard.size,
        )
    mine, hidden = shard.blocks(jobs, batch), None if this_rank().first else True
    return play_jobs(player, mine, shard.part(Path(path)), seed, batch, hidden)


def merge(
    path: str | Path,
    keys: Sequence[str],
    size: int,
    key: Callable[[Trajectory], str] = lambda t: t.key,
) -> list[Trajectory]:
    """Join the files of all ranks to the file that one process would have written.

    The ranks' files stay. A crash leaves the old file, or none, or the new one.

    Args:
        path: the file to write; rank r of ``size`` wrote ``Rank(r, size).part(path)``.
        keys: what the file has to hold, in its order.
        size: number of ranks.
        key: of a trajectory.

    Returns:
        All trajectories.

    Raises:
        ValueError: a trajectory is missing, there twice, wanted twice or not wanted (names the
            keys); seeds or policies differ.
    """
    path = Path(path)
    parts = [Rank(rank, size).part(path) for rank in range(size)]
    played = [t for part in parts if part.exists() for t in read_jsonl(part)]
    found = Counter(key(t) for t in played)
    wanted = Counter(keys)
    wrong = {
        "missing": [k for k in keys if k not in found],
        "there twice": [k for k, n in found.items() if n > 1],
        "wanted twice": [k for k, n in wanted.items() if n > 1],
        "not wanted": [k for k in found if k not in wanted],
    }
    said = [
        f"{len(ks)} {what} ({', '.join(ks[:5])}{', ...' * (len(ks) > 5)})"
        for what, ks in wrong.items()
        if ks
    ]
    if said:
        raise ValueError(
            f"{path}: of {len(keys)} trajectories in the files of {size} ranks {'; '.join(said)}. "
            "Let every rank finish collecting, with the same tasks and settings, or remove its file"
        )
    runs = sorted({(t.seed, t.policy) for t in played})
    if len(runs) > 1:
        raise ValueError(
            f"{path}: the files of {size} ranks have the seeds and policies {runs}, expected those "
            "of one run; remove the files of the others"
        )
    by_key = {key(t): t for t in played}
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    append_jsonl(new, [by_key[k] for k in keys])
    os.replace(new, path)
    return [by_key[k] for k in keys]
