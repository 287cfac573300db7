"""Beam searches by the process judge, and the paper's, which keep copies, beside them.

They may be made later than the rest of a world, by another run of its policy; so the attempts that
they are compared with stand with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agentprm_lite.search import by_task
from agentprm_lite.study.bars import Raw, best_of_equal, fewest_turns, in_between, row, successes
from agentprm_lite.study.provenance import provenance
from agentprm_lite.study.raw import attempt_row, attempt_rows, value_rows
from agentprm_lite.tutorial import (
    Profile,
    beam_runs,
    beam_tasks,
    greedy_runs,
    pool,
    pool_values,
    test_tasks,
)


def measure(p: Profile, judge: str, score: str) -> dict[str, Any]:
    """:func:`searches` by a kind's first reward model; those that keep copies; the policy's greedy
    attempts, its candidates, and 1,000 × M of them."""
    candidates = pool(p)
    groups = list(by_task(candidates).values())
    return {
        **searches(p, judge, score),
        "copies": searches(p, judge, score, distinct=False)["runs"],
        "greedy": [attempt_row(t) for t in greedy_runs(p)],
        "candidates": attempt_rows(candidates, groups),
        "values": value_rows(pool_values(p, judge, 0), groups),
    }


def searches(p: Profile, judge: str, score: str, *, distinct: bool = True) -> dict[str, Any]:
    """Beams by a kind's first reward model: outcome, success and tokens of each, by shape."""
    places = test_tasks(p)
    return {
        **provenance(),
        "judge": judge,
        "distinct": distinct,
        "tasks": [places.index(task) for task in beam_tasks(p)],
        "runs": {
            f"{n}x{m}": [[
                [t.outcome, int(t.success), t.usage.generated]
                for t in beam_runs(p, judge, n, m, score=score, distinct=distinct)
            ]]
            for n, m in p.beams
        },
    }  # fmt: skip


def beams(raw: Raw) -> dict[str, Any]:
    """:func:`beam` of every shape, and how far it is above the paper's, where that was searched."""
    some, found = searched(raw), {}
    own = some["beams"]
    for shape, runs in own["runs"].items():
        found[shape] = {"distinct": own.get("distinct", False), **beam(some, shape)}
        if "copies" in own:
            paper, won = own["copies"][shape], np.array(runs)[..., 1]
            here = {**some, "families": [some["families"][i] for i in own["tasks"]]}
            found[shape] |= {
                "copies": beam({**some, "beams": {**own, "runs": {shape: paper}}}, shape),
                "minus_copies": row(here, won - np.array(paper)[..., 1]),
            }
    return found


def searched(raw: Raw) -> Raw:
    """The raw numbers, with the attempts that stand with the beams in place of the others."""
    own = raw["beams"]
    kept = {k: own[k] for k in ("greedy", "candidates") if k in own}
    return {**raw, **kept, **({"values": {own["judge"]: [own["values"]]}} if kept else {})}


def beam(raw: Raw, shape: str) -> dict[str, Any]:
    """Beam searches by the process judge's first seeds, against one greedy attempt, one sample, and
    the choice by the same seeds, or of the fewest turns, among samples of as many tokens."""
    places = raw["beams"]["tasks"]
    runs = np.array(raw["beams"]["runs"][shape])
    won, tokens = runs[..., 1], float(runs[..., 2].mean())
    some = {**raw, "families": [raw["families"][i] for i in places]}
    single = successes(raw)[places]
    equal, other = best_of_equal(raw, raw["beams"]["judge"], tokens)
    few = in_between(equal, fewest_turns(raw, [int(equal), int(np.ceil(equal))]))
    return {
        "tasks": len(places),
        "success": row(some, won),
        "tokens": round(tokens, 1),
        "minus_greedy": row(some, won, np.array([raw["greedy"][i][1] for i in places])),
        "minus_sample": row(some, won, single.mean(axis=1)),
        "equal_n": equal,
        "minus_best_of_equal_n": row(some, won - other[: len(won), places]),
        "minus_fewest_of_equal_n": row(some, won - few[:, places]),
    }
