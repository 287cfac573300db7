"""Shortest paths in a view, the very ones that AgentGym finds among equals."""

from __future__ import annotations

import functools

from agentprm_lite.worlds.babyai.blueprint import FORWARD, LEFT, RIGHT, VIEW

WIDE = VIEW + 1
"""The search goes over 8 x 8 cells: a column to the right of the view, a row behind."""
_START = (VIEW - 1) * WIDE + VIEW // 2


@functools.cache
def _moves(direction: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """For each node (cell * 4 + heading), the pairs (low-level action, next node).

    AgentGym's ranges are one too long towards smaller coordinates: facing east and south a path
    may use the row behind the agent, facing south and west the column to the right of the view.
    """
    columns = VIEW + (direction in (1, 2))
    rows = VIEW + (direction in (0, 1))
    table = []
    for node in range(WIDE * WIDE * 4):
        cell, heading = divmod(node, 4)
        row, column = divmod(cell, WIDE)
        row2, column2 = row + (-1, 0, 1, 0)[heading], column + (0, 1, 0, -1)[heading]
        pairs = []
        if 0 <= row2 < rows and 0 <= column2 < columns:
            pairs.append((FORWARD, (row2 * WIDE + column2) * 4 + heading))
        pairs.append((LEFT, cell * 4 + (heading - 1) % 4))
        pairs.append((RIGHT, cell * 4 + (heading + 1) % 4))
        table.append(tuple(pairs))
    return tuple(table)


@functools.cache
def _faced(node: int) -> int:
    """The cell before a node, -1 outside."""
    cell, heading = divmod(node, 4)
    row, column = divmod(cell, WIDE)
    row, column = row + (-1, 0, 1, 0)[heading], column + (0, 1, 0, -1)[heading]
    return row * WIDE + column if 0 <= row < WIDE and 0 <= column < WIDE else -1


class Paths:
    """Shortest paths in a view, the very ones that AgentGym finds among equals.

    Its queue holds a node once for each way to it. A path ends at the node that came first into
    the queue; each node keeps the parent that put it there last. So two orders of the nodes of
    each depth are kept here, by first and by last arrival.

    Args:
        blocked: Cells of the 8 x 8 field that cannot be entered.
        direction: Direction of the agent.
    """

    def __init__(self, blocked: set[int], direction: int) -> None:
        moves = _moves(direction)
        start = _START * 4
        self._parents: dict[int, tuple[int, int]] = {start: (-1, -1)}
        self._facing: dict[int, int] = {}
        self._at: dict[int, int] = {}
        by_first, by_last = [start], [start]
        parents = self._parents
        while by_first:
            new_first: dict[int, None] = {}
            new_last: dict[int, tuple[int, int]] = {}
            for node in by_first:
                self._facing.setdefault(_faced(node), node)
                self._at.setdefault(node >> 2, node)
                for _, following in moves[node]:
                    if following not in parents and following >> 2 not in blocked:
                        new_first.setdefault(following)
            for node in by_last:
                for action, following in moves[node]:
                    if following in new_first:
                        new_last.pop(following, None)
                        new_last[following] = (node, action)
            parents.update(new_last)
            by_first, by_last = list(new_first), list(new_last)

    def facing(self, cell: int) -> list[int] | None:
        """Low-level actions that end before a cell, looking at it; None if there is no way."""
        return self._trace(self._facing.get(cell))

    def onto(self, cell: int) -> list[int] | None:
        """Low-level actions that end on a cell; None if there is no way."""
        return self._trace(self._at.get(cell))

    def _trace(self, node: int | None) -> list[int] | None:
        if node is None:
            return None
        path: list[int] = []
        while True:
            node, action = self._parents[node]
            if node < 0:
                return path[::-1]
            path.append(action)
