"""Search at test time: Best-of-N on a stored pool, step-level beam search, and their baselines.

Best-of-N curves are exact expectations over all subsets of the pool, so that reward models are
compared on the same candidates. Beam search forks the environments, shares every common prefix
in both caches and counts all tokens, those of discarded branches too.

Departures from the paper:
    1. Algorithm 2 begins with N copies of the root, so that every round compares N × M candidates.

Shape legend: K candidates of a task, T steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentprm_lite.env import env_class
from agentprm_lite.metrics import best_of_n_curve
from agentprm_lite.prm import RewardModel, StepValues
from agentprm_lite.sampling import Episode, HFBackend, Play
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


def by_task(pool: Sequence[Trajectory]) -> dict[Task, list[int]]:
    """Places in a pool, task by task.

    Args:
        pool: candidates of several tasks, in any number for each.

    Returns:
        For each task the indices of its candidates.
    """
    groups: dict[Task, list[int]] = {}
    for i, trajectory in enumerate(pool):
        groups.setdefault(trajectory.task, []).append(i)
    return groups


def last_scores(values: Sequence[StepValues]) -> list[float]:
    """Score of a trajectory: M at its last step.

    Args:
        values: M along trajectories.

    Returns:
        One score a trajectory; 0 for one without steps.
    """
    return [float(v.q[-1]) if len(v.q) else 0.0 for v in values]


def half_scores(values: Sequence[StepValues]) -> list[float]:
    """Score of a trajectory from its first half: M after step ⌈T/2⌉.

    Args:
        values: M along trajectories.

    Returns:
        One score a trajectory; 0 for one without steps.
    """
    return [float(v.q[(len(v.q) + 1) // 2 - 1]) if len(v.q) else 0.0 for v in values]


def pav_scores(values: Sequence[StepValues], weight: float = 1.0) -> list[float]:
    """Q plus advantage at search time: M_{T-1} + w (M_{T-1} − M_{T-2}), M_{-1} being the root's.

    The idea of process advantage verifiers (Setlur et al. 2024, arXiv 2410.08146) on the values of
    one reward model; there the advantage is that of another policy, the prover.

    Args:
        values: M along trajectories.
        weight: w.

    Returns:
        One score a trajectory; 0 for one without steps.

    Example:
        >>> pav_scores([StepValues(0.5, np.array([0.25, 0.75]))], weight=0.5)
        [1.0]
    """
    paths = [np.array([v.root, *v.q]) for v in values]
    return [float(m[-1] + weight * (m[-1] - m[-2])) if len(m) > 1 else 0.0 for m in paths]


def likelihood_scores(pool: Sequence[Trajectory]) -> list[float]:
    """What the policy itself thinks: mean log-probability of a trajectory's action tokens.

    Args:
        pool: trajectories with log-probabilities.

    Returns:
        One score a trajectory.

    Raises:
        ValueError: a trajectory has no log-probabilities.
    """
    for t in pool:
        if not t.logprobs:
            raise ValueError(f"trajectory {t.key} has no log-probabilities, expected one a token")
    return [float(np.mean(t.logprobs)) for t in pool]


def pick(pool: Sequence[Trajectory], scores: Sequence[float]) -> float:
    """Mean outcome over tasks of the candidate with the highest score; ties are averaged.

    Args:
        pool: candidates, in any number for each task.
        scores: one a candidate.

    Returns:
        The mean.
    """
    chosen = [
        best_of_n_curve([scores[i] for i in g], [pool[i].outcome for i in g], [len(g)])[0]
        for g in by_task(pool).values()
    ]
    return float(np.mean(chosen))


def best_of_n(pool: Sequence[Trajectory], scores: Sequence[float], ns: Sequence[int]) -> Curve:
    """Best-of-N: the sample with the highest score, in expectation over all N-subsets.

    Args:
        pool: candidates. A task with fewer than N takes part with all that it has, so that every N
            is measured on the same tasks.
        scores: one a candidate, for example M at its last step.
        ns: values of N, at most the largest number of candidates of a task.

    Returns:
        The curve.

    Raises:
        ValueError: not one score a candidate, or N exceeds what every task has.
    """
    if len(scores) != len(pool):
        raise ValueError(f"got {len(scores)} scores for {len(pool)} candidates")
    groups = list(by_task(pool).values())
    most = max(map(len, groups), default=0)
    if max(ns, default=0) > most:
        raise ValueError(f"ns is {list(ns)}, expected sizes within 1..{most}")
    taken = [[min(n, len(group)) for n in ns] for group in groups]
    rows = [
        best_of_n_curve([scores[i] for i in group], [pool[i].outcome for i in group], sizes)
        for group, sizes in zip(groups, taken, strict=True)
    ]
    tokens = np.mean([t.usage.generated for t in pool]) * np.mean(taken, axis=0)
    return Curve(tuple(ns), np.array(rows), tokens)


def oracle(pool: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """A perfect judge, in expectation over all N-subsets: pass@N where rewards are 0 or 1.

    Args:
        pool: candidates, see :func:`best_of_n`.
        ns: values of N.

    Returns:
        The curve.
    """
    return best_of_n(pool, [t.outcome for t in pool], ns)


def random_choice(pool: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """A sample taken at random: the mean outcome, whatever N.

    Args:
        pool: candidates, see :func:`best_of_n`.
        ns: values of N.

    Returns:
        The curve.
    """
    return best_of_n(pool, [0.0] * len(pool), ns)


def majority(pool: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """Self-consistency (Wang et al. 2022): the sample whose answer occurs most often among all.

    What an answer is, the environment says (``TextEnv.answer``): the final answer in math, all
    actions elsewhere. A sample without an answer is taken only where none has one. The votes are
    counted over the whole pool, so this flatters small N.

    Args:
        pool: candidates, see :func:`best_of_n`.
        ns: values of N.

    Returns:
        The curve.
    """
    ballots = [(t.task, env_class(t.task.env).answer(t.actions)) for t in pool]
    votes = Counter(ballots)
    scores = [0 if answer is None else votes[task, answer] for task, answer in ballots]
    return best_of_n(pool, scores, ns)


def fewest_turns(pool: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """Best-of-N by a judge without a model: the candidate with the fewest turns.

    Args:
        pool: candidates, see :func:`best_of_n`.
        ns: values of N.

    Returns:
        The curve.
    """
    return best_of_n(pool, [-t.num_steps for t in pool], ns)


def greedy(backend: HFBackend, tasks: Sequence[Task]) -> list[Trajectory]:
    """One trajectory a task with the most likely tokens.

    Args:
        backend: a policy with temperature 0.
        tasks: what to do.

    Returns:
        One trajectory a task.

    Raises:
        ValueError: the temperature isn't 0.
    """
    if backend.config.temperature != 0:
        raise ValueError(f"greedy needs temperature 0, got {backend.config.temperature}")
    return backend.run([backend.start(task, 0, 0) for task in tasks])


def beam_search(
    backend: HFBackend,
    reward_model: RewardModel,
    tasks: Sequence[Task],
    n: int,
    m: int,
    *,
    seed: int = 0,
) -> list[SearchResult]:
    """Step-level beam search @N×M (paper, Algorithm 2).

    Every round each kept path is continued by M sampled turns, the reward model scores the new step
    of each, and the best N paths of a task are kept. A path that is over keeps its place and its
    score. The answer is the path with the highest score when all kept paths are over.

    Args:
        backend: the policy; its temperature makes the M turns differ.
        reward_model: scores M(s, a).
        tasks: searched side by side.
        n: paths kept.
        m: turns sampled a path.
        seed: of the random streams.

    Returns:
        One result a task.

    Raises:
        ValueError: n or m is below 1.
    """
    if n < 1 or m < 1:
        raise ValueError(f"beam search needs n >= 1 and m >= 1, got {n} x {m}")
    roots = [backend.start(task, 0, seed) for task in tasks]
    play = Play(backend, roots)
    read, values, computed = reward_model.start([root.ids for root in roots])
    read.select([k for k, root in enumerate(roots) if not root.done])
    beams = [[_Path(root, float(v))] * n for root, v in zip(roots, values, strict=True)]
    usage = [root.usage + Usage(scored=new) for root, new in zip(roots, computed, strict=True)]
    while play.active:
        place = {id(episode): row for row, episode in enumerate(play.active)}
        children = [
            (task, place[id(path.episode)], path.episode.fork(number, stream=0))
            for task, beam in enumerate(beams)
            for number, path in enumerate(p for p in beam if not p.episode.done for _ in range(m))
        ]
        rows = [row for _, row, _ in children]
        play.select(rows, [child for _, _, child in children])
        read.select(rows)
        replies = [child.ids[child.spans[-1][1] :] if child.spans else [] for *_, child in children]
        turns = play.act()
        new = [reply + turn for reply, turn in zip(replies, turns, strict=True)]
        scores = reward_model.score_next(read, new)
        beams = [[path for path in beam if path.episode.done] for beam in beams]
        for (task, _, child), score in zip(children, scores, strict=True):
            beams[task].append(_Path(child, float(score)))
        beams = [sorted(beam, key=lambda path: -path.score)[:n] for beam in beams]
        kept = {id(path.episode) for beam in beams for path in beam}
        play.read([row for row, (*_, child) in enumerate(children) if id(child) in kept])
        going = {id(episode) for episode in play.active}
        read.select([row for row, (*_, child) in enumerate(children) if id(child) in going])
        for (task, _, child), tokens in zip(children, new, strict=True):
            usage[task] += child.usage + Usage(scored=len(tokens))
            child.usage = Usage()
    return [
        SearchResult(
            replace(beam[0].episode.trajectory(backend.policy), usage=spent), beam[0].score, spent
        )
        for beam, spent in zip(beams, usage, strict=True)
    ]


@dataclass(frozen=True)
class _Path:
    """A path in the beam of one task, and the score of its last step."""

    episode: Episode
    score: float
