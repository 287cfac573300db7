"""Success against tokens: Best-of-N, halving and beams on one axis, from the same raw numbers.

Halving needs no new attempts: those that it would sample are the first tokens of the stored ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agentprm_lite.metrics import best_of_n_curve
from agentprm_lite.study.bars import (
    Raw,
    beam,
    best_of,
    best_of_equal,
    fewest_turns,
    row,
    score_of,
    successes,
    tokens_a_sample,
)
from agentprm_lite.study.compare import powers_of_two

Points = list[dict[str, Any]]


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
        for shape in raw["beams"]["runs"]
        for x in [beam(raw, shape)]
    ]  # fmt: skip
    return found


def halved(raw: Raw, kind: str, n: int) -> dict[str, Any]:
    """Halving from n attempts; a task's K attempts are K / n draws of n, in order."""
    won = successes(raw)
    so_far = (lambda m: np.minimum.accumulate(m).tolist()) if score_of(raw) == "min" else list
    success, spent = np.zeros((2, len(raw["values"][kind]), len(won)))
    for s, run in enumerate(raw["values"][kind]):
        for g, (ms, attempts) in enumerate(zip(run, raw["candidates"], strict=True)):
            draws = [range(k, k + n) for k in range(0, len(attempts) - n + 1, n)]
            found = []
            for draw in draws:
                m, tokens = [so_far(ms[k][1:]) for k in draw], [attempts[k][3] for k in draw]
                answer, used = halving_of(m, tokens)
                found.append((won[g, draw[answer]], used))
            success[s, g], spent[s, g] = np.mean(found, axis=0)
    tokens_spent = float(spent.mean())
    equal, other = best_of_equal(raw, kind, tokens_spent)
    return {
        "n": n,
        "tokens": round(tokens_spent, 1),
        "success": row(raw, success),
        "equal_n": equal,
        "minus_best_of_equal_n": row(raw, success, other),
    }


def halving_of(m: Sequence[Sequence[float]], tokens: Sequence[Sequence[int]]) -> tuple[int, int]:
    """What `search.halving` answers with from whole attempts, and the tokens that it samples.

    Args:
        m: of each attempt its score after every turn.
        tokens: of each attempt the tokens of every turn.

    Returns:
        Place of the answer among the attempts, and the tokens.

    Example:
        >>> halving_of([[0.2, 0.9], [0.4, 0.5]], [[10, 10], [10, 10]])
        (1, 30)
    """
    kept, turn, spent = list(range(len(m))), 0, 0

    def better(k: int) -> float:
        return -m[k][min(turn, len(m[k])) - 1] if m[k] else 0.0

    while going := [k for k in kept if len(m[k]) > turn]:
        spent += sum(tokens[k][turn] for k in going)
        kept = [k for k in kept if k not in going] + going  # what is over stands first, as there
        turn += 1
        kept = sorted(kept, key=better)[: -(-len(kept) // 2)]
    return min(kept, key=better), spent


def _curve(raw: Raw, success: Any, ns: Sequence[int], sample: float) -> Points:
    return [
        {"n": n, "tokens": round(n * sample, 1), "success": row(raw, success[..., j])}
        for j, n in enumerate(ns)
    ]
