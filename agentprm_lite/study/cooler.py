"""Does a judge help where a policy is careful? The same judges at lower temperatures.

Reward models learn from attempts at a temperature at which the policy often fails, and choose among
others of the same kind. Here they choose among attempts at the paper's 0.7 and at 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from agentprm_lite.search import by_task
from agentprm_lite.study.bars import Raw, best_of, fewest_turns, row, successes
from agentprm_lite.study.beams import beam, searched, searches
from agentprm_lite.study.names import COMPARED
from agentprm_lite.study.provenance import provenance
from agentprm_lite.study.raw import attempt_rows, value_rows
from agentprm_lite.tutorial import (
    Profile,
    beam_tasks,
    policy,
    pool,
    read,
    reward_model,
    sample,
    test_tasks,
)

PAPER = 0.7  # at which the paper evaluates
TEMPERATURES = (PAPER, 1.0)
SAMPLES = 4  # attempts a task beside the beams


def measure(p: Profile) -> dict[str, Any]:
    """Attempts at the held-out tasks at lower temperatures, and M of all reward models."""
    pools = {}
    for temperature in TEMPERATURES:
        played = read(sample(p, policy(p), "cooler", test_tasks(p), p.eval_samples, temperature))
        groups = list(by_task(played).values())
        pools[str(temperature)] = {
            "candidates": attempt_rows(played, groups),
            "values": {
                kind: [
                    value_rows(reward_model(p, kind, seed).score(played), groups)
                    for seed in range(p.reward_seeds)
                ]
                for kind in COMPARED
            },
        }
    return {**provenance(), "pools": pools}


def by_temperature(raw: Raw) -> dict[str, Any] | None:
    """Of each temperature, the world's own among them: one sample, the oracle, the attempt
    with the fewest turns, and the choice of every reward model, also against one greedy attempt.
    None where nothing was measured."""
    if "cooler" not in raw:
        return None
    own = {"candidates": raw["candidates"], "values": raw["values"]}
    greedy = np.array([attempt[1] for attempt in raw["greedy"]])
    found = {}
    for name, attempts in {**raw["cooler"]["pools"], str(raw["temperature"]): own}.items():
        some = {**raw, **attempts}
        won = successes(some)
        chosen = {k: best_of(some, k, [won.shape[1]])[..., 0] for k in some["values"]}
        found[name] = {
            "sample": row(raw, won.mean(axis=1)),
            "oracle16": row(raw, won.max(axis=1)),
            "fewest_turns": row(raw, fewest_turns(some, [won.shape[1]])[0, :, 0]),
            "best_of_n": {k: row(raw, x) for k, x in chosen.items()},
            "minus_sample": {k: row(raw, x, won.mean(axis=1)) for k, x in chosen.items()},
            "minus_greedy": {k: row(raw, x, greedy) for k, x in chosen.items()},
        }
    return {"commit": raw["cooler"]["commit"], "temperatures": found}


def measure_beams(p: Profile, judge: str, score: str) -> dict[str, Any]:
    """Beams at the paper's temperature, and what one sample succeeds there at their tasks."""
    cool = replace(p, eval_temperature=PAPER, eval_samples=SAMPLES)
    sampled = pool(cool)
    alone = by_task(sampled)
    return {
        **searches(cool, judge, score),
        "temperature": PAPER,
        "sample": [
            float(np.mean([sampled[i].success for i in alone[task]])) for task in beam_tasks(cool)
        ],
    }


def beams(raw: Raw) -> dict[str, Any] | None:
    """One sample at a lower temperature, and beams by shape, as
    :func:`agentprm_lite.study.beams.beam` says it, but against that sample, against the world's own
    beams, and not against Best-of-N, which is hotter. None where nothing was measured."""
    if "cooler_beams" not in raw:
        return None
    raw, cool = searched(raw), raw["cooler_beams"]
    here, found = {**raw, "families": [raw["families"][i] for i in cool["tasks"]]}, {}
    for shape, runs in cool["runs"].items():
        won, own = (np.array(x)[..., 1] for x in (runs, raw["beams"]["runs"][shape]))
        found[shape] = {
            **{k: v for k, v in beam({**raw, "beams": cool}, shape).items() if "equal" not in k},
            "minus_sample": row(here, won, np.array(cool["sample"])),
            "minus_own": row(here, won, own),
        }
    return {
        "commit": cool["commit"],
        "temperature": cool["temperature"],
        "sample": row(here, np.array([cool["sample"]])),
        "beams": found,
    }
