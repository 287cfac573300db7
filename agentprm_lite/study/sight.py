"""What can be seen in BabyAI: how far an attempt is from its end, and whether the text tells.

Measured Q plays on from the true state, so it knows what lies behind a door. Who reads an attempt
knows only what has been shown, and M is read at the end of a turn, before the world's reply.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agentprm_lite.env import make_env
from agentprm_lite.search import by_task
from agentprm_lite.study.bars import Raw, auroc_after, fixed_turn
from agentprm_lite.study.provenance import provenance
from agentprm_lite.tutorial import Profile, pool
from agentprm_lite.types import Trajectory
from agentprm_lite.worlds.babyai.blueprint import blueprint
from agentprm_lite.worlds.babyai.expert import pending
from agentprm_lite.worlds.babyai.levels import place_of
from agentprm_lite.worlds.babyai.world import GridWorld

MOST = 20  # turns that the expert may take; one more stands for a mission that can't be done
READERS = ("turn", "reply", "world")


def measure(p: Profile) -> dict[str, Any]:
    """:func:`distances` of all attempts at held-out tasks."""
    candidates = pool(p)
    groups = by_task(candidates).values()
    turns = [[distances(candidates[i]) for i in group] for group in groups]
    return {**provenance(), "turns": turns}


def distances(trajectory: Trajectory) -> list[list[int]]:
    """After each turn: the turns that the expert still needs; and whether a thing that the mission
    asks for next had been shown before the reply, and with it.

    Raises:
        ValueError: the environment answers something else than the record says.
    """
    task = trajectory.task
    env = make_env(task.env, MOST + trajectory.num_steps)
    env.reset(options={"index": task.index, "variant": task.variant})
    found = []
    for text, recorded in zip(trajectory.actions, trajectory.observations[1:], strict=True):
        known = set(env.snapshot()["state"]["known"])
        action = env.parse(text)
        reply, _, terminated, _, info = env.step(action or "")
        if action is not None and reply != recorded:
            raise ValueError(
                f"trajectory {trajectory.key}: the environment answers {reply!r}, the record says "
                f"{recorded!r}"
            )
        if terminated:
            found.append([0 if info["success"] else MOST + 1, 1, 1])
        else:
            after = env.snapshot()
            seen = [int(shown(after, cells)) for cells in (known, after["state"]["known"])]
            found.append([needed(after), *seen])
    return found


def shown(snapshot: dict[str, Any], cells: Any) -> bool:
    """Whether some cells hold a thing that the mission asks for next."""
    world = GridWorld(blueprint(*place_of(snapshot["index"], snapshot["variant"])))
    world.load(snapshot["state"]["world"])
    leaves = pending(world.plan.clause, world.flags)
    return any(world.places[thing] in cells for leaf in leaves for thing in leaf.targets)


def needed(snapshot: dict[str, Any]) -> int:
    """Turns until the expert has done the mission; ``MOST + 1`` if it never has."""
    env = make_env("babyai")
    env.restore({**snapshot, "max_rounds": snapshot["rounds"] + MOST})
    for turn in range(1, MOST + 1):
        _, _, terminated, truncated, info = env.step(env.expert_action()[1])
        if info["success"]:
            return turn
        if terminated or truncated:
            break
    return MOST + 1


def ranked(raw: Raw) -> dict[str, Any] | None:
    """How the expert's distance ranks attempts at a task after the fixed turn, as AUROC: by the
    true state ("world"), and where it is known only once a thing that the mission asks for has
    been shown before the reply ("turn") or with it ("reply"). None where nothing was measured.

    An attempt that has shown nothing yet stands where such attempts are on average.
    """
    if "sight" not in raw:
        return None
    turn, found = fixed_turn(raw), {}
    for reader, name in enumerate(READERS):
        interval = auroc_after({**raw, "values": {name: [_ranks(raw, reader, turn)]}}, name, turn)
        found[name] = interval and interval[0]
    return {"commit": raw["sight"]["commit"], "fixed_turn": turn, **found}


def _ranks(raw: Raw, reader: int, turn: int) -> list[list[list[float]]]:
    """Minus the distance after a turn, as far as a reader knows it, in the place of M."""

    def known(step: list[int]) -> bool:
        return READERS[reader] == "world" or bool(step[1 + reader])

    steps = [[a[turn - 1] if len(a) >= turn else None for a in t] for t in raw["sight"]["turns"]]
    hidden = [s[0] for task in steps for s in task if s and not known(s)]
    mean = float(np.mean(hidden)) if hidden else 0.0
    return [
        [[0.0] * turn + [-(s[0] if known(s) else mean) if s else 0.0] for s in task]
        for task in steps
    ]
