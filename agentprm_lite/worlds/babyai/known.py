"""What a player of BabyAI knows of a world, and the ways through it."""

from __future__ import annotations

import functools
import heapq
from collections.abc import Iterable, Iterator, Set

from agentprm_lite.worlds.babyai.blueprint import (
    EMPTY,
    FORWARD,
    LEFT,
    LOCKED,
    OPEN,
    OWN_CELL,
    RIGHT,
    TOGGLE,
    VIEW,
    WALL,
)
from agentprm_lite.worlds.babyai.world import GridWorld, steps_of, view_offsets, visible

Pose = tuple[int, int]  # a cell and a direction

_BLOCKER_COST = 8  # pick it up, turn, drop it, turn back


@functools.cache
def _inside(width: int, rows: int) -> frozenset[int]:
    """Cells that are not margin."""
    return frozenset(
        column + row * width
        for column in range(VIEW, width - VIEW)
        for row in range(VIEW, rows - VIEW)
    )


class Known:
    """A world of which only some cells have been shown.

    Args:
        world: The world; only its known cells are looked at.
        known: Cells that an observation has shown.
        clearing: Whether a way may lead through things that can be carried away.
    """

    def __init__(self, world: GridWorld, known: set[int], clearing: bool) -> None:
        self.world, self.known, self.clearing = world, known, clearing
        self.things = world.plan.things
        self.steps = steps_of(world.plan.width)
        self.here: Pose = (world.agent, world.direction)

    def _cell(self, place: int) -> int | None:
        """What is known of a cell; None: nothing."""
        return self.world.cells[place] if place in self.known else None

    def _is_door(self, place: int) -> bool:
        cell = self._cell(place)
        return cell is not None and cell >= 0 and self.things[cell].kind == "door"

    def _enter_cost(self, place: int) -> int | None:
        """Low-level actions to enter a cell from the cell beside it; None: no way."""
        cell = self._cell(place)
        if cell is None or cell == WALL:
            return None
        if cell == EMPTY:
            return 1
        if not self._is_door(place):
            return _BLOCKER_COST if self.clearing else None
        if self.world.states[cell] == LOCKED and not self.world.has_key(cell):
            return None
        return 1 if self.world.states[cell] == OPEN else 2

    def _end(self, macro: Iterable[int]) -> Pose:
        """Where a macro ends, as far as is known."""
        place, direction = self.here
        opened: set[int] = set()
        for action in macro:
            ahead = place + self.steps[direction]
            if action in (LEFT, RIGHT):
                direction = (direction + (1 if action == RIGHT else -1)) % 4
            elif action == TOGGLE:
                opened.add(ahead)
            elif action == FORWARD:
                cell = self._cell(ahead)
                free = cell is None or cell == EMPTY or ahead in opened
                if not free and not (self._is_door(ahead) and self.world.clear(ahead)):
                    break
                place = ahead
        return place, direction

    def _distances(self, goals: Iterable[Pose]) -> dict[Pose, int]:
        """Low-level actions from each pose to the nearest goal, over known cells."""
        starts = [g for g in goals if g[0] == self.here[0] or self._enter_cost(g[0]) is not None]
        field: dict[Pose, int] = {}
        queue = [(0, goal) for goal in sorted(starts)]
        while queue:
            cost, pose = heapq.heappop(queue)
            if pose in field:
                continue
            field[pose] = cost
            if pose == self.here and not self.clearing:
                break
            place, direction = pose
            for turn in (1, 3):
                heapq.heappush(queue, (cost + 1, (place, (direction + turn) % 4)))
            enter = self._enter_cost(place)
            behind = place - self.steps[direction]
            if enter is not None and (behind == self.here[0] or self._enter_cost(behind)):
                heapq.heappush(queue, (cost + enter, (behind, direction)))
        return field

    def _from_here(self) -> Iterator[tuple[int, Pose]]:
        """Poses by their distance from the agent."""
        done: set[Pose] = set()
        queue = [(0, self.here)]
        while queue:
            cost, pose = heapq.heappop(queue)
            if pose in done:
                continue
            done.add(pose)
            yield cost, pose
            place, direction = pose
            for turn in (1, 3):
                heapq.heappush(queue, (cost + 1, (place, (direction + turn) % 4)))
            ahead = place + self.steps[direction]
            enter = self._enter_cost(ahead)
            if enter is not None:
                heapq.heappush(queue, (cost + enter, (ahead, direction)))

    def _new_cells(self, pose: Pose, area: Set[int] | None) -> int:
        """How many cells a pose may show for the first time, if all that is unknown is clear."""
        place, direction = pose
        plan, known = self.world.plan, self.known
        inside = _inside(plan.width, len(plan.walls) // plan.width)
        places = [place + offset for offset in view_offsets(plan.width, direction)]
        fresh = [
            number
            for number, p in enumerate(places)
            if p not in known and p in inside and (area is None or p in area)
        ]
        if not fresh:
            return 0
        clear = [self.world.clear(p) if p in known else p in inside for p in places]
        clear[OWN_CELL] = True
        lit = visible(clear)
        return sum(lit[number] for number in fresh)
