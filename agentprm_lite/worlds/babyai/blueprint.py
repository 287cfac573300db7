"""BabyAI's worlds as minigrid builds them, before the first action."""

from __future__ import annotations

import contextlib
import functools
import io
from dataclasses import dataclass
from typing import cast

import gymnasium
import minigrid  # noqa: F401  (registers the levels)
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel

from agentprm_lite.worlds.babyai.levels import LEVEL_NAMES
from agentprm_lite.worlds.babyai.mission import Clause, compile_mission

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE = range(6)
EMPTY, WALL, UNSEEN = -1, -2, -3
OPEN, CLOSED, LOCKED = range(3)
VIEW = 7
OWN_CELL = VIEW * (VIEW - 1) + VIEW // 2
"""Place of the agent among the 49 cells of its view, row by row from the farthest."""
COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")


@dataclass(frozen=True)
class Thing:
    """What does not change about an object."""

    kind: str
    """ "door", "key", "ball" or "box"."""
    colour: str
    """One of `COLOURS`."""


@dataclass(frozen=True)
class Blueprint:
    """A world as minigrid made it. Cells have a margin of walls as wide as the view."""

    width: int
    """Columns, margin included; a cell's number is column + row * width."""
    walls: tuple[int, ...]
    """EMPTY or WALL of each cell."""
    things: tuple[Thing, ...]
    """Objects; their place in this tuple is their number."""
    places: tuple[int, ...]
    """First cell of each object."""
    states: tuple[int, ...]
    """OPEN, CLOSED or LOCKED of a door, 0 of other objects."""
    carried: int
    """The object that the agent carries from the beginning, -1: none."""
    start: tuple[int, int]
    """First cell and direction of the agent (0 east, 1 south, 2 west, 3 north)."""
    mission: str
    """The goal in minigrid's words."""
    clause: Clause
    """The goal to verify."""
    max_steps: int
    """minigrid's limit of low-level actions, by which the reward falls."""


@functools.cache
def _level(number: int) -> RoomGridLevel:
    """minigrid's generator of a level; nothing of one world outlives the next reset."""
    return cast(RoomGridLevel, gymnasium.make(f"BabyAI-{LEVEL_NAMES[number]}-v0").unwrapped)


@functools.lru_cache(maxsize=2048)
def blueprint(level: int, seed: int) -> Blueprint:
    """The world of a level and a seed.

    Args:
        level: Number of a level.
        seed: Seed of minigrid's generator.

    Returns:
        The world before the first action; the same one for the same arguments.
    """
    env = _level(level)
    with contextlib.redirect_stdout(io.StringIO()):  # minigrid tells of each rejected sample
        env.reset(seed=seed)
    width, height = env.grid.width + 2 * VIEW, env.grid.height + 2 * VIEW
    walls, objects, places = [WALL] * (width * height), [], []
    for x in range(env.grid.width):
        for y in range(env.grid.height):
            cell, here = env.grid.get(x, y), x + VIEW + (y + VIEW) * width
            if cell is None or cell.type != "wall":
                walls[here] = EMPTY
            if cell is not None and cell.type != "wall":
                objects.append(cell)
                places.append(here)
    if env.carrying is not None:  # it lay in the world when the mission was made
        objects.append(env.carrying)
        x, y = (int(part) for part in env.carrying.init_pos or ())
        places.append(x + VIEW + (y + VIEW) * width)
    numbers = {id(thing): number for number, thing in enumerate(objects)}
    x, y = (int(part) + VIEW for part in env.agent_pos)
    return Blueprint(
        width=width,
        walls=tuple(walls),
        things=tuple(Thing(thing.type, thing.color) for thing in objects),
        places=tuple(places),
        states=tuple(int(thing.encode()[2]) for thing in objects),
        carried=-1 if env.carrying is None else numbers[id(env.carrying)],
        start=(x + y * width, int(env.agent_dir)),
        mission=str(env.mission),
        clause=compile_mission(env, numbers, lambda x, y: x + VIEW + (y + VIEW) * width),
        max_steps=int(env.max_steps),
    )
