"""The ceiling of a judge: Q measured by playing on from every state of some held-out attempts.

Where a bar is missed, this says whether the world or the judge is the reason: who sees a state
can't tell more of an attempt's end than the policy's own chances there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agentprm_lite.search import by_task
from agentprm_lite.study.bars import (
    Raw,
    auroc_after,
    explained,
    fixed_turn,
    process_judge,
    share_explained,
    turn_number_explains,
)
from agentprm_lite.study.compare import rounded
from agentprm_lite.study.measures import bootstrap_interval
from agentprm_lite.study.provenance import provenance
from agentprm_lite.study.raw import learned
from agentprm_lite.tutorial import Profile, success_alone, test_tasks, truth

CANDIDATES = 6  # attempts a task from whose states the policy plays on


def measure(p: Profile) -> dict[str, Any]:
    """Places of some tasks, and 1,000 × the outcomes of the rollouts after each turn of the first
    attempts at each. It may be made later than the rest of a world, so it has its own commit."""
    tasks, (examples, _) = test_tasks(p), truth(p, CANDIDATES)
    examples = [success_alone(x) for x in examples] if p.learn_success else examples
    groups = by_task([example.trajectory for example in examples])
    return {
        **provenance(),
        "tasks": [tasks.index(task) for task in groups],
        "outcomes": [
            [np.rint(1000 * np.asarray(examples[i].outcomes)).astype(int).tolist() for i in group]
            for group in groups.values()
        ],
    }


def ceiling(raw: Raw) -> dict[str, Any] | None:
    """What measured Q explains, at all turns and before the last, and how it ranks after the fixed
    one; beside it, on the same attempts, the process judge and the turn number. None where nothing
    was measured.

    After the last turn Q is the outcome itself, so what counts is what is known before. What a
    state leaves open is estimated from its rollouts without bias, so a few of them are enough. They
    rank as a noisy Q does: that is a lower bound.
    """
    if "measured" not in raw:
        return None
    some, judge, turn = measured_part(raw), process_judge(raw), fixed_turn(raw)
    ranked = auroc_after(some, "measured", turn)
    judged = auroc_after(some, judge, turn)
    return {
        "commit": raw["measured"].get("commit"),
        "tasks": len(some["candidates"]),
        "attempts": sum(len(task) for task in some["candidates"]),
        **shares(some, judge),
        "before_last": shares(before_last(some), judge),
        "auroc_fixed_turn": ranked and ranked[0],
        "auroc_tasks": ranked and ranked[1],
        "judge_auroc_fixed_turn": judged and judged[0],
    }


def shares(some: Raw, judge: str) -> dict[str, Any]:
    """What measured Q, a judge and the turn number explain of the same turns."""
    return {
        "explained_variance": explained_by_states(some),
        "judge_explained_variance": explained(some, judge),
        "turn_number_explains": turn_number_explains(some),
    }


def before_last(some: Raw) -> Raw:
    """The same attempts without their last turns; outcomes stay."""

    def cut(tasks: list[list[list[Any]]]) -> list[list[list[Any]]]:
        return [[attempt[:-1] for attempt in task] for task in tasks]

    left = {
        **some,
        "candidates": [[[*a[:3], a[3][:-1]] for a in task] for task in some["candidates"]],
        "values": {kind: [cut(run) for run in runs] for kind, runs in some["values"].items()},
    }
    if "measured" in some:
        left["measured"] = {**some["measured"], "outcomes": cut(some["measured"]["outcomes"])}
    return left


def measured_part(raw: Raw) -> Raw:
    """The attempts with measured Q alone; it stands among the judges as "measured"."""
    places, found = raw["measured"]["tasks"], raw["measured"]["outcomes"]
    q = [[[0, *map(float, np.mean(a, axis=1))] for a in task] for task in found]
    values = {
        kind: [[run[g][: len(task)] for g, task in zip(places, found, strict=True)] for run in runs]
        for kind, runs in raw["values"].items()
    }
    return {
        **raw,
        "families": [raw["families"][g] for g in places],
        "candidates": [
            raw["candidates"][g][: len(task)] for g, task in zip(places, found, strict=True)
        ],
        "values": {**values, "measured": [q]},
    }


def explained_by_states(some: Raw) -> list[float] | None:
    """1 − the variance that states leave open / that of all outcomes, over all turns."""
    turns = np.array([sum(len(a[3]) for a in task) for task in some["candidates"]])
    ends = [[(len(a[3]), a[learned(some)]) for a in task] for task in some["candidates"]]
    left = [
        sum(float(np.var(np.array(turn) / 1e3, ddof=1)) for a in task for turn in a)
        for task in some["measured"]["outcomes"]
    ]
    sums = [[sum(n * r**k for n, r in task) for task in ends] for k in (1, 2)]
    if np.ptp([r for task in ends for _, r in task]) == 0:
        return None
    return rounded(
        bootstrap_interval(left, turns, *sums, of=share_explained, families=some["families"])
    )
