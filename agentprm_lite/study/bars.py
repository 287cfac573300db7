"""What judges are worth in one world, from raw numbers alone: nothing here runs a model.

``raw`` is what `regime.gather` stores. Its tasks, attempts and turns stand in order everywhere:
an attempt is [outcome, success, cut, tokens of each turn], and a judge's values are 1,000 × M at
the prompt and after each turn. An attempt's score is the last M or the least, whichever was chosen
on training tasks.

Shape legend: S seeds, G tasks, K attempts at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agentprm_lite.metrics import Floats, auroc, best_of_n_curve
from agentprm_lite.search import SCORES
from agentprm_lite.study.compare import rounded
from agentprm_lite.study.measures import bootstrap_interval
from agentprm_lite.study.raw import learned

Raw = dict[str, Any]


def table(raw: Raw) -> dict[str, Any]:
    """The bars of one world; each an estimate [mean, low, high] over tasks or families, and seeds.

    ``process_judge`` explains most on held-out training tasks; ``best_judge`` chooses best here.
    """
    won, one = successes(raw), successes(raw).mean(axis=1)
    greedy = np.array([attempt[1] for attempt in raw["greedy"]])
    random = np.array([np.mean(task) for task in raw["random"]])
    cut = np.array([[attempt[2] for attempt in task] for task in raw["candidates"]])
    oracle, few = won.max(axis=1), fewest_turns(raw, [won.shape[1]])[0, :, 0]
    judges = {kind: judge(raw, kind) for kind in raw["values"]}
    process, others = process_judge(raw), [kind for kind in judges if kind != "agentprm"]
    best = max(judges, key=lambda kind: judges[kind]["best_of_n"][0])
    chosen = {kind: best_of(raw, kind, [won.shape[1]])[..., 0] for kind in judges}
    return {
        "tasks": len(won),
        "families": len(set(raw["families"])),
        "candidates": won.shape[1],
        "seeds": len(raw["values"][process]),
        "greedy": row(raw, greedy),
        "sample": row(raw, one),
        "random": row(raw, random),
        "sample_minus_random": row(raw, one, random),
        "oracle16": row(raw, oracle),
        "headroom": row(raw, oracle, one),
        "cut": row(raw, cut.mean(axis=1)),
        "fewest_turns": row(raw, few),
        "reward": row(raw, outcomes(raw), mean=True),
        "judges": judges,
        "agentprm_minus": {k: row(raw, chosen["agentprm"], chosen[k]) for k in others},
        "agentprm_ranks_minus": {
            k: (auroc_after(raw, "agentprm", fixed_turn(raw), k) or [None])[0] for k in others
        },
        "score": {"by": score_of(raw), **raw.get("score", {})},
        "process_judge": process,
        "best_judge": best,
        "explained_variance": judges[process]["explained_variance"],
        "turn_number_explains": turn_number_explains(raw),
        "auroc_fixed_turn": judges[process]["auroc_by_turn"].get(str(fixed_turn(raw))),
        "fixed_turn": fixed_turn(raw),
        "share_of_headroom": judges[best]["share_of_headroom"],
        "best_minus_fewest_turns": judges[best]["minus_fewest_turns"],
    }


def judge(raw: Raw, kind: str) -> dict[str, Any]:
    """What a judge explains at all turns, how it ranks at fixed ones, and what it chooses."""
    won = successes(raw)
    one, oracle = won.mean(axis=1), won.max(axis=1)
    n = won.shape[1]
    by = {score: best_of(raw, kind, [n], score)[..., 0] for score in ("last", "min")}
    chosen, few = by[score_of(raw)], fewest_turns(raw, [n])[0, :, 0]
    last = max(len(attempt[3]) for task in raw["candidates"] for attempt in task)
    ranked = {str(k): found for k in range(1, last) if (found := auroc_after(raw, kind, k))}
    room = float((oracle - one).mean()) > 0.02  # otherwise there is nothing to share
    return {
        "explained_variance": explained(raw, kind),
        "minus_turn_number": more_than_the_turn_number(raw, kind),
        "auroc_by_turn": {k: interval for k, (interval, _) in ranked.items()},
        "auroc_tasks": {k: tasks for k, (_, tasks) in ranked.items()},
        "best_of_n": row(raw, chosen),
        "minus_sample": row(raw, chosen, one),
        "minus_fewest_turns": row(raw, chosen, few),
        "minus_greedy": row(raw, chosen, np.array([attempt[1] for attempt in raw["greedy"]])),
        "best_of_n_by": {score: row(raw, some) for score, some in by.items()},
        "min_minus_last": row(raw, by["min"] - by["last"]),
        "minus_sample_by": {score: row(raw, some, one) for score, some in by.items()},
        "share_of_headroom": rounded(
            bootstrap_interval(
                chosen,
                one,
                oracle,
                of=lambda c, o, b: (c - o) / (b - o),
                families=raw["families"],
            )
        )
        if room
        else None,
    }


def explained(raw: Raw, kind: str, than: str | None = None) -> list[float] | None:
    """1 − Brier score / that of the best constant, over all turns of all attempts, or how much more
    that is ``than`` another judge's; None where all attempts ended alike, for then there is nothing
    to explain."""
    if np.ptp(outcomes(raw)) == 0:
        return None
    sums = _sums(raw)[:3]
    errors = [squared_errors(raw, judge) for judge in (kind, than) if judge]

    def share(error: Floats, *more: Floats) -> Floats:
        found = share_explained(error, *more[-3:])
        return found - share_explained(*more) if than else found

    return rounded(bootstrap_interval(*errors, *sums, of=share, families=raw["families"]))


def share_explained(errors: Floats, turns: Floats, outcome: Floats, square: Floats) -> Floats:
    """1 − Brier score / that of the best constant, from sums over turns; 0 where outcomes are all
    alike, as in some resample of few tasks."""
    variance = square / turns - (outcome / turns) ** 2
    alike = variance < 1e-12
    return np.where(alike, 0.0, 1 - errors / turns / np.where(alike, 1.0, variance))


def turn_number_explains(raw: Raw) -> float | None:
    """Explained variance of the mean outcome at each turn, fitted on these very attempts: what a
    judge explains that only counts turns, or a little more. None as for :func:`explained`."""
    if np.ptp(outcomes(raw)) == 0:
        return None
    return round(float(_share_of_turn_number(*[x.mean(axis=0) for x in _sums(raw)])), 4)


def more_than_the_turn_number(raw: Raw, kind: str) -> list[float] | None:
    """How much more a judge explains; the turn number is fitted anew in each resample."""
    if np.ptp(outcomes(raw)) == 0:
        return None
    errors, (turns, outcome, square, at) = squared_errors(raw, kind), _sums(raw)

    def more(e: Floats, *sums: Floats) -> Floats:
        return share_explained(e, *sums[:3]) - _share_of_turn_number(*sums)

    sums = (turns, outcome, square, at[None])
    return rounded(bootstrap_interval(errors, *sums, of=more, families=raw["families"]))


def _share_of_turn_number(turns: Floats, outcome: Floats, square: Floats, at: Floats) -> Floats:
    """``at`` has the attempts that reach each turn, [..., T], and then the sums of outcomes."""
    count, total = np.split(at, 2, axis=-1)
    errors = square - (total**2 / np.maximum(count, 1e-12)).sum(axis=-1)
    return share_explained(errors, turns, outcome, square)


def _sums(raw: Raw) -> tuple[Floats, Floats, Floats, Floats]:
    """[G] turns, and outcomes and their squares summed over them; [G, 2 T] by turn."""
    turns = np.array([[len(a[3]) for a in task] for task in raw["candidates"]])
    outcome = outcomes(raw)
    reached = turns[..., None] > np.arange(turns.max())
    at = np.concatenate([reached.sum(1), (reached * outcome[..., None]).sum(1)], axis=-1)
    return turns.sum(1), (turns * outcome).sum(1), (turns * outcome**2).sum(1), at


def squared_errors(raw: Raw, kind: str) -> Floats:
    """[S, G] sum of (M − r)² over all turns of all attempts at a task."""

    def error(m: list[int], outcome: float) -> float:
        return float(((np.array(m[1:]) / 1e3 - outcome) ** 2).sum())

    return np.array([
        [sum(error(m, a[learned(raw)]) for m, a in zip(ms, attempts, strict=True))
         for ms, attempts in zip(run, raw["candidates"], strict=True)]
        for run in raw["values"][kind]
    ])  # fmt: skip


def auroc_after(
    raw: Raw, kind: str, turn: int, minus: str | None = None
) -> tuple[list[float], int] | None:
    """Within-task AUROC of M after a turn, among attempts that go on after it, or how far it is
    above another judge's; and the tasks with both outcomes among them. None if there is none."""
    if not (on := under_way(raw, turn)):
        return None
    success = {g: [float(raw["candidates"][g][k][1]) for k in ks] for g, ks in on.items()}
    runs = [
        [
            [auroc([run[g][k][turn] for k in ks], success[g]) for g, ks in on.items()]
            for run in raw["values"][name]
        ]
        for name in (kind, *([minus] if minus else []))
    ]
    some = {**raw, "families": [raw["families"][g] for g in on]}
    return row(some, *runs), len(on)


def under_way(raw: Raw, turn: int) -> dict[int, list[int]]:
    """The attempts that go on after a turn, of each task where these have both outcomes."""
    tasks = [[(k, a[1]) for k, a in enumerate(task) if len(a[3]) > turn]
             for task in raw["candidates"]]  # fmt: skip
    return {g: [k for k, _ in on] for g, on in enumerate(tasks) if len({s for _, s in on}) == 2}


def score_of(raw: Raw) -> str:
    """The score by which judges choose in a world, see :data:`agentprm_lite.search.SCORES`."""
    return str(raw.get("score", {"by": "last"})["by"])


def best_of(raw: Raw, kind: str, ns: Sequence[int], score: str | None = None) -> Floats:
    """[S, G, len(ns)] Best-of-N by a score of search's, the world's if none is named."""
    of = SCORES[score or score_of(raw)]
    scores = [[[of(np.array(m[1:] or m)) for m in ms] for ms in run] for run in raw["values"][kind]]
    return _chosen(raw, scores, ns)


def best_of_equal(raw: Raw, kind: str, tokens: float) -> tuple[float, Floats]:
    """The N whose samples take as many tokens, and [S, G] Best-of-N: with N = 2.25 a task gets
    three samples in one case of four, and two otherwise."""
    most = successes(raw).shape[1]
    n = float(np.clip(tokens / tokens_a_sample(raw), 1, most))
    return round(n, 2), in_between(n, best_of(raw, kind, [int(n), min(int(n) + 1, most)]))


def in_between(n: float, both: Floats) -> Floats:
    """[..., G] what N that is no whole number is worth, from [..., G, 2] the two beside it."""
    low, high = np.moveaxis(both, -1, 0)
    return low + (n - int(n)) * (high - low)


def fewest_turns(raw: Raw, ns: Sequence[int]) -> Floats:
    """[1, G, len(ns)] Best-of-N by the fewest turns."""
    return _chosen(raw, [[[-len(a[3]) for a in task] for task in raw["candidates"]]], ns)


def _chosen(raw: Raw, scores: Any, ns: Sequence[int]) -> Floats:
    won = successes(raw)
    return np.array([
        [best_of_n_curve(s, w, ns) for s, w in zip(run, won, strict=True)] for run in scores
    ])  # fmt: skip


def outcomes(raw: Raw) -> Floats:
    """[G, K] outcome of every attempt, as its judges learned it."""
    at = learned(raw)
    return np.array([[a[at] for a in task] for task in raw["candidates"]], dtype=np.float64)


def successes(raw: Raw) -> Floats:
    """[G, K] success of every attempt."""
    return np.array([[a[1] for a in task] for task in raw["candidates"]], dtype=np.float64)


def tokens_a_sample(raw: Raw) -> float:
    """Generated tokens of an attempt, mean over all."""
    return float(np.mean([sum(a[3]) for task in raw["candidates"] for a in task]))


def fixed_turn(raw: Raw) -> int:
    """The turn after which judges are asked: the last one that keeps as many tasks with both
    outcomes as any but the first does. What a judge says has no part in it."""
    turns = range(2, max([3, *(len(a[3]) for task in raw["candidates"] for a in task)]))
    tasks = {turn: len(under_way(raw, turn)) for turn in turns}
    return max(turns, key=lambda turn: (tasks[turn], turn if tasks[turn] else -turn))


def process_judge(raw: Raw) -> str:
    """The reward model of turns that explains most on held-out training tasks."""
    process = [kind for kind in raw["values"] if kind != "orm"]
    return max(process, key=lambda kind: float(np.mean(raw["held_out"][kind])))


def row(raw: Raw, values: Any, base: Any = None, *, mean: bool = False) -> list[float]:
    """An estimate [mean, low, high] over tasks; ``mean``: the last axis is averaged before."""
    values = np.asarray(values, dtype=np.float64)
    tables = [values.mean(axis=-1) if mean else values, *([] if base is None else [base])]
    return rounded(bootstrap_interval(*tables, families=raw["families"]))
