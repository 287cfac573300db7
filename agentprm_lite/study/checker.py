"""What a checker is worth before it has seen a rollout: math's and WebShop's judges start there."""

from __future__ import annotations

from typing import Any

from agentprm_lite import fast
from agentprm_lite.search import by_task
from agentprm_lite.study.bars import Raw, best_of, judge, row
from agentprm_lite.study.provenance import provenance
from agentprm_lite.study.raw import attempt_rows, value_rows
from agentprm_lite.tutorial import Profile, new_judge, pool


def measure(p: Profile) -> dict[str, Any]:
    """Attempts at all tasks, and 1,000 × M of them by a judge that isn't trained yet. They may be
    other attempts than the trained judges read, if they are made later; so they stand here."""
    candidates = pool(p)
    groups = list(by_task(candidates).values())
    return {
        **provenance(),
        "candidates": attempt_rows(candidates, groups),
        "values": value_rows(fast.judge(new_judge(p, 0)).score(candidates), groups),
    }


def untrained(raw: Raw) -> dict[str, Any] | None:
    """The checker as :func:`agentprm_lite.study.bars.judge` says it, and how much more success each
    trained judge chooses. None in a world without a checker."""
    if "checker" not in raw:
        return None
    n, some = len(raw["candidates"][0]), raw["checker"]
    alone = {**raw, "candidates": some["candidates"], "values": {"checker": [some["values"]]}}
    chosen = best_of(alone, "checker", [n])[..., 0]
    trained = {kind: best_of(raw, kind, [n])[..., 0] for kind in raw["values"]}
    return {
        "commit": some["commit"],
        "own_attempts": some["candidates"] != raw["candidates"],
        **judge(alone, "checker"),
        "trained_minus": {kind: row(raw, won - chosen) for kind, won in trained.items()},
    }
