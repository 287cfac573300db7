"""BabyAI's grid worlds in play, on plain lists.

A world is a list of cells and a few numbers. Even without its image minigrid steps at a ninth of
the speed, and a copy of it takes 150 times as long; beam search and Monte Carlo labels fork an
episode at every turn.
"""

from __future__ import annotations

import functools
from typing import Any, cast

import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.world_object import WorldObj

from agentprm_lite.worlds.babyai.blueprint import (
    CLOSED,
    DROP,
    EMPTY,
    FORWARD,
    LEFT,
    LOCKED,
    OPEN,
    OWN_CELL,
    PICKUP,
    RIGHT,
    TOGGLE,
    UNSEEN,
    VIEW,
    WALL,
    Blueprint,
    Thing,
)
from agentprm_lite.worlds.babyai.mission import first_flags, verify

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


@functools.cache
def steps_of(width: int) -> tuple[int, ...]:
    """From a cell to its neighbours to the east, south, west and north."""
    return tuple(dx + dy * width for dx, dy in _STEPS)


@functools.cache
def view_offsets(width: int, direction: int) -> tuple[int, ...]:
    """From the agent's cell to the 49 cells of its view, row by row from the farthest."""
    forward, right = steps_of(width)[direction], steps_of(width)[(direction + 1) % 4]
    return tuple(
        forward * (VIEW - 1 - row) + right * (column - VIEW // 2)
        for row in range(VIEW)
        for column in range(VIEW)
    )


@functools.cache
def _lit_row(lit: int, clear: int) -> tuple[int, int]:
    """What is seen of a row, and of the next one: light runs sideways and up through clear cells.

    Bit i of lit and clear stands for column i.
    """
    above = 0
    for column in range(VIEW - 1):
        if (lit & clear) >> column & 1:
            lit |= 2 << column
            above |= 3 << column
    for column in range(VIEW - 1, 0, -1):
        if (lit & clear) >> column & 1:
            lit |= 1 << (column - 1)
            above |= 3 << (column - 1)
    return lit, above


def visible(clear: list[bool]) -> list[bool]:
    """Which of the 49 cells of a view are seen, by minigrid's rule.

    Args:
        clear: For each cell whether one can see through it.

    Returns:
        For each cell whether it is seen.
    """
    seen = [False] * (VIEW * VIEW)
    lit = 1 << (VIEW // 2)
    for row in range(VIEW - 1, -1, -1):
        start = row * VIEW
        bits = 0
        for column in range(VIEW):
            bits |= clear[start + column] << column
        here, lit = _lit_row(lit, bits)
        for column in range(VIEW):
            if here >> column & 1:
                seen[start + column] = True
        if not lit:
            break
    return seen


class GridWorld:
    """A world in play.

    Args:
        plan: The world before the first action.
    """

    def __init__(self, plan: Blueprint) -> None:
        self.plan = plan
        self.places = list(plan.places)  # -1: carried or gone
        self.states = list(plan.states)
        self.agent, self.direction = plan.start
        self.carried = plan.carried
        if self.carried >= 0:
            self.places[self.carried] = -1
        self.steps = 0
        self.noted = list(plan.places)  # places as the verifier last noted them
        self.flags = first_flags(plan.clause)
        self._fill()

    def _fill(self) -> None:
        """Cells from places."""
        self.cells = list(self.plan.walls)
        for number, place in enumerate(self.places):
            if place >= 0:
                self.cells[place] = number

    def save(self) -> dict[str, Any]:
        """State, JSON-able and sharing nothing with the world."""
        return {
            "places": list(self.places),
            "states": list(self.states),
            "agent": self.agent,
            "direction": self.direction,
            "carried": self.carried,
            "steps": self.steps,
            "noted": list(self.noted),
            "flags": list(self.flags),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `save` of a world of the same plan gave."""
        self.places, self.states = list(state["places"]), list(state["states"])
        self.agent, self.direction = state["agent"], state["direction"]
        self.carried, self.steps = state["carried"], state["steps"]
        self.noted, self.flags = list(state["noted"]), list(state["flags"])
        self._fill()

    def front(self) -> int:
        """The cell before the agent."""
        return self.agent + steps_of(self.plan.width)[self.direction]

    def clear(self, place: int) -> bool:
        """Whether one can see through a cell."""
        cell = self.cells[place]
        return cell != WALL and (
            cell == EMPTY or self.plan.things[cell].kind != "door" or self.states[cell] == OPEN
        )

    def view_places(self) -> list[int]:
        """The 49 cells of the agent's view."""
        return [self.agent + offset for offset in view_offsets(self.plan.width, self.direction)]

    def view(self) -> list[int]:
        """What the agent sees: EMPTY, WALL, UNSEEN or an object's number for each cell.

        At its own place it sees what it carries.
        """
        places = self.view_places()
        seen = visible([self.clear(place) for place in places])
        cells = self.cells
        shown = [cells[p] if lit else UNSEEN for p, lit in zip(places, seen, strict=True)]
        shown[OWN_CELL] = self.carried if self.carried >= 0 else EMPTY
        return shown

    def seen_places(self) -> set[int]:
        """The cells that the agent sees."""
        shown = zip(self.view_places(), self.view(), strict=True)
        return {place for place, cell in shown if cell != UNSEEN}

    def image(self) -> tuple[object, ...]:
        """The view as minigrid's image tells it: two red balls look alike."""
        things, states = self.plan.things, self.states
        return tuple((things[c], states[c]) if c >= 0 else c for c in self.view())

    def act(self, action: int) -> tuple[bool, str]:
        """Play a low-level action.

        Args:
            action: LEFT to TOGGLE.

        Returns:
            Whether anything changed, and what the verifier says: "continue", "success", "failure".
        """
        self.steps += 1
        changed = self._move(action)
        if action == DROP:
            self.noted = list(self.places)
        return changed, verify(self.plan.clause, self, action)

    def _move(self, action: int) -> bool:
        if action in (LEFT, RIGHT):
            self.direction = (self.direction + (1 if action == RIGHT else -1)) % 4
            return True
        front = self.front()
        cell = self.cells[front]
        kind = self.plan.things[cell].kind if cell >= 0 else ""
        if action == FORWARD and (cell == EMPTY or (kind == "door" and self.states[cell] == OPEN)):
            self.agent = front
        elif action == PICKUP and kind in ("key", "ball", "box") and self.carried < 0:
            self.carried, self.places[cell], self.cells[front] = cell, -1, EMPTY
        elif action == DROP and cell == EMPTY and self.carried >= 0:
            self.cells[front], self.places[self.carried] = self.carried, front
            self.carried = -1
        elif action == TOGGLE and kind == "door":
            if self.states[cell] == LOCKED and not self.has_key(cell):
                return False
            self.states[cell] = CLOSED if self.states[cell] == OPEN else OPEN
        else:
            return False
        return True

    def has_key(self, door: int) -> bool:
        """Whether the agent carries the key of a door."""
        return self.carried >= 0 and self.plan.things[self.carried] == Thing(
            "key", self.plan.things[door].colour
        )

    def render(self, tile_size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Picture from above, what the agent sees highlighted; RGB, [height, width, 3]."""
        plan = self.plan
        height = len(plan.walls) // plan.width
        grid = Grid(plan.width - 2 * VIEW, height - 2 * VIEW)
        lit = np.zeros((grid.width, grid.height), dtype=bool)
        seen = self.seen_places()
        for x in range(grid.width):
            for y in range(grid.height):
                place = x + VIEW + (y + VIEW) * plan.width
                lit[x, y] = place in seen
                cell = self.cells[place]
                if cell == WALL:
                    grid.wall_rect(x, y, 1, 1)
                elif cell >= 0:
                    grid.set(x, y, _drawn(plan.things[cell], self.states[cell]))
        x, y = self.agent % plan.width - VIEW, self.agent // plan.width - VIEW
        return grid.render(tile_size, (x, y), self.direction, lit)


def _drawn(thing: Thing, state: int) -> WorldObj:
    """minigrid's object for a picture."""
    kind, colour = OBJECT_TO_IDX[thing.kind], COLOR_TO_IDX[thing.colour]
    return cast(WorldObj, WorldObj.decode(kind, colour, state))
