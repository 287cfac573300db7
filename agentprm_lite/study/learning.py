"""What the rows of :mod:`agentprm_lite.study.curves` say, with intervals; no model runs here.

``world`` is one of a file's worlds: what all rows share, and the rows.
"""

from __future__ import annotations

import json
from typing import Any

from agentprm_lite.study.bars import share_explained
from agentprm_lite.study.measures import Interval, bootstrap_interval
from agentprm_lite.study.names import WORLDS

World = dict[str, Any]


def curves_named(*texts: str | None) -> dict[str, World]:
    """The worlds of files of curves by the names that readers know, in the order of the files; with
    the levels where there are several. A file that isn't there has none."""
    found = {}
    for text in filter(None, texts):
        for name, world in json.loads(text)["worlds"].items():
            levels = " and ".join(map(str, world["levels"]))
            found[WORLDS[name] + f", levels {levels}" * (len(world["levels"]) > 1)] = world
    return found


def learned(world: World, beta: float) -> dict[int, Interval]:
    """Explained variance at each number of rollouts, with an interval over seeds and tasks."""
    sums = [world["turns"], world["returns"], world["squares"]]
    return {
        n: bootstrap_interval(
            errors,
            *sums,
            of=share_explained,
            families=world["families"],
        )
        for n, errors in tables(world, "error", beta).items()
    }


def gain(world: World, beta: float) -> dict[int, Interval]:
    """Mean squared error at β = 0 minus that at another β: above 0 where L_A helps.

    Outcomes scatter about Q alike for both, so this is the difference of their errors about Q.
    """
    ours, base = tables(world, "error", beta), tables(world, "error", 0.0)
    return {
        n: bootstrap_interval(
            base[n],
            ours[n],
            world["turns"],
            of=lambda b, o, t: (b - o) / t,
            families=world["families"],
        )
        for n in ours
        if n in base
    }


def by_rollouts(world: World, beta: float) -> list[dict[int, float]]:
    """Of each seed, explained variance on the pool at each number of rollouts."""
    found: dict[int, dict[int, float]] = {}
    for row in world["rows"]:
        if row["beta"] == beta:
            found.setdefault(row["seed"], {})[row["rollouts"]] = row["explained_variance"]
    return [dict(sorted(seed.items())) for seed in found.values()]


def by_epoch(world: World, beta: float, rollouts: int) -> list[dict[int, float]]:
    """Of each seed, explained variance on held-out training tasks after each epoch."""
    return [
        {epoch: x for epoch, x in enumerate(row["held_out"], 1) if x is not None}
        for row in world["rows"]
        if (row["beta"], row["rollouts"]) == (beta, rollouts)
    ]


def tables(world: World, key: str, beta: float) -> dict[int, list[list[float]]]:
    """[seeds, G] of what the rows say of every task, at each number of rollouts."""
    found: dict[int, list[list[float]]] = {}
    for row in world["rows"]:
        if row["beta"] == beta:
            found.setdefault(row["rollouts"], []).append(row[key])
    return dict(sorted(found.items()))


def losses_compared(world: World) -> dict[str, dict[str, Interval]]:
    """Of each loss what it explains on the pool, and that minus what the usual one explains."""
    errors: dict[str, list[list[float]]] = {}
    for row in world["rows"]:
        errors.setdefault(row["loss"], []).append(row["error"])
    sums = [world["turns"], world["returns"], world["squares"]]
    base, families = errors["usual"], world["families"]
    return {
        name: {
            "explained_variance": bootstrap_interval(
                ours, *sums, of=share_explained, families=families
            ),
            "minus_usual": bootstrap_interval(
                ours,
                base,
                *sums,
                of=lambda o, b, *x: share_explained(o, *x) - share_explained(b, *x),
                families=families,
            ),
        }
        for name, ours in errors.items()
    }
