"""Success against tokens: Best-of-N, halving and beams on one axis, from the same raw numbers.

Halving needs no new attempts: those that it would sample are the first tokens of the stored ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentprm_lite.metrics import Floats, best_of_n_curve
from agentprm_lite.study.bars import (
    Raw,
    best_of,
    best_of_equal,
    fewest_turns,
    row,
    score_of,
    successes,
    tokens_a_sample,
)
from agentprm_lite.study.beams import beams
from agentprm_lite.study.compare import powers_of_two

Points = list[dict[str, Any]]
Ints = NDArray[np.int64]
DRAWS = 100  # of n attempts at a task


def success_against_tokens(raw: Raw) -> dict[str, Points]:
    """For each way to answer its sizes, generated tokens a task, and success [mean, low, high].

    Keys are such as "best of n by pvm", "halving by pvm", "beam by pvm" and "greedy"; the random
    agent generates no token. A point of halving or of a beam also has its difference from Best-of-N
    by the same judge with as many tokens.
    """
    ns = powers_of_two(successes(raw).shape[1])
    sample = tokens_a_sample(raw)
    greedy = np.array([attempt[1] for attempt in raw["greedy"]])
    spent = float(np.mean([sum(attempt[3]) for attempt in raw["greedy"]]))
    random = np.array([np.mean(task) for task in raw["random"]])
    found = {
        "greedy": [{"n": 1, "tokens": round(spent, 1), "success": row(raw, greedy)}],
        "random agent": [{"n": 1, "tokens": 0.0, "success": row(raw, random)}],
        "oracle": _curve(
            raw, np.array([[best_of_n_curve(r, r, ns) for r in successes(raw)]]), ns, sample
        ),
        "best of n by fewest turns": _curve(raw, fewest_turns(raw, ns), ns, sample),
    }
    for kind in raw["values"]:
        found[f"best of n by {kind}"] = _curve(raw, best_of(raw, kind, ns), ns, sample)
        found[f"halving by {kind}"] = [halved(raw, kind, n) for n in ns[1:]]
    found[f"beam by {raw['beams']['judge']}"] = [
        {"n": shape, "tokens": x["tokens"], "success": x["success"],
         "equal_n": x["equal_n"], "minus_best_of_equal_n": x["minus_best_of_equal_n"]}
        for shape, x in beams(raw).items()
    ]  # fmt: skip
    return found


def halved(raw: Raw, kind: str, n: int) -> dict[str, Any]:
    """Halving from n attempts, over many random draws of n from a task's, each in random order.

    After a turn or two most scores are ties, which the search breaks by the order of the samples.
    """
    won, length, tokens = successes(raw), *_turns(raw)
    order = np.tile(np.arange(won.shape[1]), (DRAWS, 1))
    draws = np.random.default_rng(0).permuted(order, axis=1)[:, :n]
    success, spent = np.zeros((2, len(raw["values"][kind]), len(won)))
    for s, run in enumerate(raw["values"][kind]):
        m = _so_far(raw, run, tokens.shape[-1])
        drawn: Any = (x[:, draws].reshape(-1, n, *x.shape[2:]) for x in (m, tokens, length))
        place, used = (x.reshape(len(won), DRAWS) for x in halving_of(*drawn))
        answers = draws[np.arange(DRAWS), place]
        success[s] = np.take_along_axis(won, answers, axis=1).mean(axis=1)
        spent[s] = used.mean(axis=1)
    tokens_spent = float(spent.mean())
    equal, other = best_of_equal(raw, kind, tokens_spent)
    return {
        "n": n,
        "tokens": round(tokens_spent, 1),
        "success": row(raw, success),
        "equal_n": equal,
        "minus_best_of_equal_n": row(raw, success - other),
    }


def halving_of(m: Floats, tokens: Ints, length: Ints) -> tuple[Ints, Ints]:
    """What `search.halving` answers with from whole attempts, and the tokens that it samples.

    Args:
        m: [D, n, T] of each draw's attempts the score after every turn, and after the last one
            the same again.
        tokens: [D, n, T] of every turn, 0 after the last.
        length: [D, n] turns.

    Returns:
        [D] place of the answer among the attempts, and [D] tokens.

    Example:
        >>> m, tokens = np.array([[[0.2, 0.9], [0.4, 0.5]]]), np.full((1, 2, 2), 10)
        >>> [x.tolist() for x in halving_of(m, tokens, np.array([[2, 2]]))]
        [[1], [30]]
    """
    draw = np.arange(len(m))[:, None]
    kept, spent = np.tile(np.arange(m.shape[1]), (len(m), 1)), np.zeros(len(m), dtype=np.int64)
    for turn in range(m.shape[2]):
        if kept.shape[1] == 1:  # the answer plays on alone
            return kept[:, 0], spent + tokens[draw, kept, turn:].sum(axis=(1, 2))
        spent += tokens[draw, kept, turn].sum(axis=1)
        kept = _sorted(kept, length[draw, kept] > turn)  # what is over stands first, as there
        kept = _sorted(kept, -m[draw, kept, turn])[:, : -(-kept.shape[1] // 2)]
    return kept[:, 0], spent


def _sorted(kept: Ints, by: NDArray[Any]) -> Ints:
    return np.take_along_axis(kept, np.argsort(by, axis=1, kind="stable"), axis=1)


def _turns(raw: Raw) -> tuple[Ints, Ints]:
    """[G, K] turns of every attempt, and [G, K, T] tokens of each."""
    length = np.array([[len(a[3]) for a in task] for task in raw["candidates"]])
    tokens = np.zeros((*length.shape, max(1, length.max())), dtype=np.int64)
    for g, task in enumerate(raw["candidates"]):
        for k, attempt in enumerate(task):
            tokens[g, k, : len(attempt[3])] = attempt[3]
    return length, tokens


def _so_far(raw: Raw, run: list[list[list[int]]], turns: int) -> Floats:
    """[G, K, T] score of every attempt after each turn, by the world's choice of a score."""
    last = np.array([
        [(m[1:] + [m[-1] if m[1:] else 0] * turns)[:turns] for m in task] for task in run
    ])  # fmt: skip
    return np.minimum.accumulate(last, axis=-1) if score_of(raw) == "min" else last


def _curve(raw: Raw, success: Any, ns: Sequence[int], sample: float) -> Points:
    return [
        {"n": n, "tokens": round(n * sample, 1), "success": row(raw, success[..., j])}
        for j, n in enumerate(ns)
    ]
