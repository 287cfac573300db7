"""What a checker is worth before it has seen a rollout: math's and WebShop's judges start there."""

from __future__ import annotations

from typing import Any

from agentprm_lite import fast
from agentprm_lite.search import by_task
from agentprm_lite.study.bars import Raw, best_of, judge, row
from agentprm_lite.study.raw import value_rows
from agentprm_lite.tutorial import Profile, new_judge, pool


def measure(p: Profile) -> list[list[list[int]]]:
    """1,000 × M of the candidates by a judge that isn't trained yet: what the checker says."""
    candidates = pool(p)
    values = fast.judge(new_judge(p, 0)).score(candidates)
    return value_rows(values, list(by_task(candidates).values()))


def untrained(raw: Raw) -> dict[str, Any] | None:
    """The checker as :func:`agentprm_lite.study.bars.judge` says it, and how much more success each
    trained judge chooses. None in a world without a checker."""
    if "checker" not in raw:
        return None
    n = len(raw["candidates"][0])
    alone = {**raw, "values": {"checker": [raw["checker"]]}}
    chosen = best_of(alone, "checker", [n])[..., 0]
    trained = {kind: best_of(raw, kind, [n])[..., 0] for kind in raw["values"]}
    return {
        **judge(alone, "checker"),
        "trained_minus": {kind: row(raw, some - chosen) for kind, some in trained.items()},
    }
