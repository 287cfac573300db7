"""Search at test time: Best-of-N on a stored pool, step-level beam search, and their baselines.

Best-of-N curves are exact expectations over all subsets of the pool, so that reward models are
compared on the same candidates. Beam search forks the environments, shares every common prefix
in both caches and counts all tokens, those of discarded branches too.

Departures from the paper:
    1. Algorithm 2 begins with N copies of the root, so that every round compares N × M candidates.

Shape legend: K candidates of a task, T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentprm_lite.episode import Episode
from agentprm_lite.metrics import best_of_n_curve
from agentprm_lite.prm import Judge, StepValues
from agentprm_lite.sampling import Player
from agentprm_lite.types import Task, Trajectory, Usage


@dataclass(frozen=True)
class Curve:
    """Success of a way to choose among N samples."""

    ns: tuple[int, ...]
    """Values of N."""
    success: np.ndarray
    """[tasks, len(ns)] expected outcome on each task: its success where rewards are 0 or 1."""
    tokens: np.ndarray
    """[len(ns)] tokens that the policy generates for a task's samples: their number, N or all that
    a task has, times the mean of the pool."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found for one task."""

    trajectory: Trajectory
    """The answer."""
    score: float
    """Its score at the last step; M at the root if the prompt left no room for a step."""
    usage: Usage
    """Compute of the whole search on this task, discarded branches included."""


SCORES: dict[str, Callable[[StepValues], float]] = {
    "last": lambda v: float(_path(v)[-1]),
    "min": lambda v: float(_path(v).min()),
    "mean": lambda v: float(_path(v).mean()),
    "product": lambda v: float(_path(v).prod()),
    "sum_of_progress": lambda v: float(np.diff([v.root, *v.q]).sum()),
}
"""How M along the turns of an attempt becomes its score. The sum of progress M_t − M_{t−1} is the
last M minus the root's: among attempts at one task it orders as "last" does."""


def _path(values: StepValues) -> np.ndarray:
    """M after every turn; an attempt without a turn is judged by the root's."""
    return values.q if len(values.q) else np.array([values.root])


def scores_of(values: Sequence[StepValues], score: str = "last") -> list[float]:
    """One score an attempt.

    Args:
        values: M along attempts.
        score: one of :data:`SCORES`.

    Returns:
        The scores.

    Raises:
        ValueError: there is no such score, or an M isn't finite.
    """
    if score not in SCORES:
        raise ValueError(f"score {score!r} is unknown, expected one of {sorted(SCORES)}")
    for i, v in enumerate(values):
        if not np.isfinite([v.root, *v.q]).all():
            raise ValueError(f"M of attempt {i} is {[v.root, *v.q]}, expected finite numbers")
    return [SCORES[score](v) for v in values]


def by_task(candidates: Sequence[Trajectory]) -> dict[Task, list[int]]:
    """Places of each task's candidates, in any number for each."""
    groups: dict[Task, list[int]] = {}
    for i, trajectory in enumerate(candidates):
        groups.setdefault(trajectory.task, []).append(i)
    return groups


def best_of_n(
    candidates: Sequence[Trajectory],
    values: Sequence[StepValues],
    ns: Sequence[int],
    *,
    score: str = "last",
) -> Curve:
    """Best-of-N: the attempt with the highest score, in expectation over all N-subsets.

    Args:
        candidates: attempts. A task with fewer than N takes part with all that it has, so that
            every N is measured on the same tasks.
        values: a judge's, one a candidate.
        ns: values of N, at most the largest number of candidates of a task.
        score: one of :data:`SCORES`.

    Returns:
        The curve.

    Raises:
        ValueError: not one value a candidate, N exceeds what every task has, or as in
            :func:`scores_of`.
    """
    if len(values) != len(candidates):
        raise ValueError(f"got {len(values)} values for {len(candidates)} candidates")
    return _choice(candidates, scores_of(values, score), ns)


def oracle(candidates: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """A perfect judge's Best-of-N: pass@N where rewards are 0 or 1."""
    return _choice(candidates, [t.outcome for t in candidates], ns)


def _choice(candidates: Sequence[Trajectory], scores: Sequence[float], ns: Sequence[int]) -> Curve:
    groups = list(by_task(candidates).values())
    most = max(map(len, groups), default=0)
    if max(ns, default=0) > most:
        raise ValueError(f"ns is {list(ns)}, expected sizes within 1..{most}")
    taken = [[min(n, len(group)) for n in ns] for group in groups]
    rows = [
        best_of_n_curve([scores[i] for i in g], [candidates[i].outcome for i in g], sizes)
        for g, sizes in zip(groups, taken, strict=True)
    ]
    tokens = np.mean([t.usage.generated for t in candidates]) * np.mean(taken, axis=0)
    return Curve(tuple(ns), np.array(rows), tokens)


def greedy(player: Player, tasks: Sequence[Task]) -> list[Trajectory]:
    """One trajectory a task with the most likely tokens.

    Args:
        player: of a policy, with temperature 0.
        tasks: what to do.

    Returns:
        One trajectory a task.

    Raises:
        ValueError: the temperature isn't 0.
    """
    if player.config.temperature != 0:
        raise ValueError(f"greedy needs temperature 0, got {player.config.temperature}")
    return player.run([player.start(task, 0, 0) for task in tasks])


def beam_search(
    player: Player,
    judge: Judge,
    tasks: Sequence[Task],
    n: int,
    m: int,
    *,
    score: str = "last",
    seed: int = 0,
) -> list[SearchResult]:
    """Step-level beam search @N×M (paper, Algorithm 2).

    Every round each kept path is continued by M sampled turns, the judge scores each, and the best
    N paths of a task are kept. A path that is over keeps its place and its
    score. The answer is the path with the highest score when all kept paths are over.

    Args:
        player: of the policy; its temperature makes the M turns differ.
        judge: scores M(s, a).
        tasks: searched side by side.
        n: paths kept.
        m: turns sampled a path.
        score: one of :data:`SCORES`; the paper's is the last step's M.
        seed: of the random streams.

    Returns:
        One result a task. Its usage counts what a player and a judge compute that keep what they
        have read, as those of :mod:`agentprm_lite.fast` do: every token of a path once.

    Raises:
        ValueError: n or m is below 1, or as in :func:`scores_of`.
    """
    if n < 1 or m < 1:
        raise ValueError(f"beam search needs n >= 1 and m >= 1, got {n} x {m}")
    roots = [player.start(task, 0, seed) for task in tasks]
    scores = scores_of(judge.score([root.trajectory(player.policy) for root in roots]), score)
    beams = [[_Path(root, s)] * n for root, s in zip(roots, scores, strict=True)]
    usage = [Usage(scored=root.prompt_len) for root in roots]
    while True:
        children: list[tuple[int, Episode]] = []
        for task, beam in enumerate(beams):
            going = [path.episode for path in beam if path.episode.goes_on(player.config)]
            for parent in {id(parent): parent for parent in going}.values():  # N roots are one
                known = parent.last_end
                usage[task] += Usage(prefilled=len(parent.ids) - known, cached=known)
            parents = [parent for parent in going for _ in range(m)]
            children += [(task, p.fork(k, stream=0)) for k, p in enumerate(parents)]
        if not children:
            break
        before = [child.last_end or child.prompt_len for _, child in children]
        player.act([child for _, child in children])
        played = [child.trajectory(player.policy) for _, child in children]
        scores = scores_of(judge.score(played), score)
        beams = [[path for path in beam if path.episode.done] for beam in beams]
        for (task, child), t, known, s in zip(children, played, before, scores, strict=True):
            beams[task].append(_Path(child, s))
            new = Usage(generated=t.usage.generated, scored=len(t.ids) - known, env_steps=1)
            usage[task] += new
        beams = [sorted(beam, key=lambda path: -path.score)[:n] for beam in beams]
    return [
        SearchResult(
            replace(beam[0].episode.trajectory(player.policy), usage=spent), beam[0].score, spent
        )
        for beam, spent in zip(beams, usage, strict=True)
    ]


@dataclass(frozen=True)
class _Path:
    """A path in the beam of one task."""

    episode: Episode
    score: float
