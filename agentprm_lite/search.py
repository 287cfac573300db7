"""Search at test time: Best-of-N on stored attempts, halving, and step-level beam search.

Best-of-N curves are exact expectations over all subsets of the attempts, so that judges are
compared on the same candidates. Halving and beam search judge attempts under way, and count all
tokens, those of dropped attempts too.

Departures from the paper:
    1. Algorithm 2 begins with N copies of the root, so that every round compares N × M candidates.
    2. A path in the state of a better one gives way to the others (``distinct=False``: it stays).

Shape legend: K candidates of a task, T steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentprm_lite.episode import Episode
from agentprm_lite.loop import some
from agentprm_lite.metrics import best_of_n_curve, group_by
from agentprm_lite.prm import Judge, StepValues, check_finite, check_ids
from agentprm_lite.sampling import Player
from agentprm_lite.types import Task, Trajectory, Usage, uncountable

_Path = tuple[Episode, StepValues]  # a path of one task, and M after each of its turns


@dataclass(frozen=True)
class Curve:
    """Success of a way to choose among N samples."""

    ns: tuple[int, ...]  #: Values of N.
    success: np.ndarray  #: [tasks, len(ns)] expected outcome on each task.
    tokens: np.ndarray  #: [len(ns)] tokens that the policy generates for a task's samples.


@dataclass(frozen=True)
class SearchResult:
    """What a search found for one task."""

    trajectory: Trajectory  #: The answer.
    score: float  #: Its score; from M at the root if the prompt left no room for a step.
    usage: Usage  #: Compute of the whole search on this task, discarded branches included.


SCORES: dict[str, Callable[[np.ndarray], float]] = {
    "last": lambda m: m[-1], "min": np.min, "mean": np.mean, "product": np.prod,
}  # fmt: skip
"""How M after every turn becomes an attempt's score."""


def scores_of(values: Sequence[StepValues], score: str = "last") -> list[float]:
    """One score an attempt; that without a turn is judged by its root."""
    if score not in SCORES:
        raise ValueError(f"score {score!r} is unknown, expected one of {sorted(SCORES)}")
    for i, v in enumerate(values):
        check_finite(f"attempt {i}", v)
    return [float(SCORES[score](v.q if len(v.q) else np.array([v.root]))) for v in values]


def by_task(candidates: Sequence[Trajectory]) -> dict[Task, list[int]]:
    """Places of each task's candidates, in any number for each."""
    return group_by([t.task for t in candidates], len(candidates))


def best_of_n(
    candidates: Sequence[Trajectory],
    values: Sequence[StepValues],
    ns: Sequence[int],
    *,
    score: str = "last",
) -> Curve:
    """Best-of-N: the attempt with the highest score, in expectation over all N-subsets.

    ``values`` are a judge's, one a candidate. A task with fewer than N candidates takes part with
    all that it has; no N may exceed what the largest has.
    """
    if len(values) != len(candidates):
        raise ValueError(f"got {len(values)} values for {len(candidates)} candidates")
    return _choice(candidates, scores_of(values, score), ns)


def oracle(candidates: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """A perfect judge's Best-of-N: pass@N where rewards are 0 or 1."""
    return _choice(candidates, [t.counted for t in candidates], ns)


def _choice(candidates: Sequence[Trajectory], scores: Sequence[float], ns: Sequence[int]) -> Curve:
    if faults := uncountable(candidates):
        raise ValueError(f"{len(faults)} faults in {len(candidates)} attempts: {some(faults)}")
    groups = list(by_task(candidates).values())
    most = max(map(len, groups), default=0)
    if max(ns, default=0) > most:
        raise ValueError(f"ns is {list(ns)}, expected sizes within 1..{most}")
    taken = [[min(n, len(group)) for n in ns] for group in groups]
    rows = [
        best_of_n_curve([scores[i] for i in g], [candidates[i].counted for i in g], sizes)
        for g, sizes in zip(groups, taken, strict=True)
    ]
    mean = np.array([np.mean([candidates[i].usage.generated for i in g]) for g in groups])
    return Curve(tuple(ns), np.array(rows), (mean[:, None] * taken).mean(axis=0))


def beam_search(
    player: Player,
    judge: Judge,
    tasks: Sequence[Task],
    n: int,
    m: int,
    *,
    score: str = "last",
    seed: int = 0,
    distinct: bool = True,
) -> list[SearchResult]:
    """Step-level beam search @N×M (paper, Algorithm 2).

    Every round each kept path is continued by M sampled turns, the judge scores the new step of
    each, and the best N paths of a task are kept. A path that is over keeps its place and its
    score. The answer is the path with the highest score when all kept paths are over. A path that
    a limit has cut has failed and gives way to any other; with ``distinct`` so does one whose world
    is in the state of a better one. Of equal scores the higher last M wins.

    One result a task. The player's temperature makes turns differ; ``score`` is of :data:`SCORES`.
    """
    if n < 1 or m < 1:
        raise ValueError(f"beam search needs n >= 1 and m >= 1, got {n} x {m}")

    def grow(going: list[Episode]) -> list[Episode]:
        parents = [parent for parent in going for _ in range(m)]
        return [parent.fork(k, stream=0) for k, parent in enumerate(parents)]

    roots = [[player.start(task, 0, seed)] * n for task in tasks]
    return _search(player, judge, roots, grow, lambda count: n, score, distinct)


def halving(
    player: Player,
    judge: Judge,
    tasks: Sequence[Task],
    n: int,
    *,
    score: str = "last",
    seed: int = 0,
) -> list[SearchResult]:
    """Sample ``n`` attempts side by side, and keep the better half of them time and again.

    After every turn the half with the higher scores is kept, until one attempt is left; it plays on
    to its end. An attempt that is over keeps its place and its score. The attempts are those that
    Best-of-N would sample, as far as each is played. Otherwise as :func:`beam_search`.
    """
    if n < 1:
        raise ValueError(f"halving needs n >= 1, got {n}")
    roots = [[player.start(task, k, seed) for k in range(n)] for task in tasks]
    return _search(player, judge, roots, list, lambda count: -(-count // 2), score)


def _best(paths: list[_Path], count: int, score: str, distinct: bool) -> list[_Path]:
    order = sorted(paths, key=lambda path: -scores_of([path[1]])[0])  # decides between equal scores
    order.sort(key=lambda path: (bool(path[0].truncated_by), -scores_of([path[1]], score)[0]))
    if distinct:
        states = [json.dumps(e.env.snapshot(), sort_keys=True) for e, _ in order]
        last = [(bool(e.truncated_by), states[k] in states[:k]) for k, (e, _) in enumerate(order)]
        order = [order[k] for k in sorted(range(len(order)), key=last.__getitem__)]
    return order[:count]


def _search(
    player: Player,
    judge: Judge,
    roots: list[list[Episode]],
    grow: Callable[[list[Episode]], list[Episode]],
    keep: Callable[[int], int],
    score: str,
    distinct: bool = False,
) -> list[SearchResult]:
    """Turn by turn: ``grow`` says which episodes play on, ``keep`` how many paths of a task stay.

    Usage counts every token of a path once, as :mod:`agentprm_lite.fast` computes it.
    """
    check_ids(judge, player.chat)
    first = [task[0].trajectory(player.policy) for task in roots]
    paths = [[(e, m) for e in task] for task, m in zip(roots, judge.score(first), strict=True)]
    usage = [Usage(scored=t.prompt_len) for t in first]
    while True:
        grown: list[tuple[int, Episode]] = []
        for task, known_paths in enumerate(paths):
            going = [e for e, _ in known_paths if e.goes_on(player.config)]
            paths[task] = [(e, m) for e, m in known_paths if e.done]
            for k, episode in enumerate({id(e): e for e in going}.values()):
                known = episode.last_end or (episode.prompt_len if k else 0)  # one prompt is read
                usage[task] += Usage(prefilled=len(episode.ids) - known, cached=known)
            grown += [(task, episode) for episode in grow(going)]
        if not grown:
            break
        before = [(e.last_end or e.prompt_len, e.usage.generated) for _, e in grown]
        player.act([episode for _, episode in grown])
        played = [episode.trajectory(player.policy) for _, episode in grown]
        values = judge.score(played)
        for (task, e), t, (known, spent), m in zip(grown, played, before, values, strict=True):
            paths[task].append((e, m))
            new = t.usage.generated - spent
            usage[task] += Usage(generated=new, scored=len(t.ids) - known, env_steps=1)
        paths = [_best(task, keep(len(task)), score, distinct) for task in paths]
    answers = [_best(task, 1, score, distinct)[0] for task in paths]
    scores = scores_of([m for _, m in answers], score)
    return [
        SearchResult(replace(e.trajectory(player.policy), usage=spent), m, spent)
        for (e, _), m, spent in zip(answers, scores, usage, strict=True)
    ]
