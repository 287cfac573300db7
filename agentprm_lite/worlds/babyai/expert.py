"""An expert for BabyAI: plans over what it has been shown, acts with the offered actions."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any

from agentprm_lite.worlds.babyai.blueprint import (
    EMPTY,
    FORWARD,
    LEFT,
    LOCKED,
    OPEN,
    RIGHT,
    VIEW,
    blueprint,
)
from agentprm_lite.worlds.babyai.known import Known, Pose
from agentprm_lite.worlds.babyai.levels import place_of
from agentprm_lite.worlds.babyai.mission import Clause, is_done
from agentprm_lite.worlds.babyai.text import Menu, name_of
from agentprm_lite.worlds.babyai.world import GridWorld

Advice = tuple[str, str]  # thought and action

_MOVES = ("turn ", "move ", "go ", "toggle and go ")
_TURN_COST = 1.5  # rounds that a look aside is taken to cost: there and back
_ROUNDS_PER_STEP = 0.8  # a macro is several low-level steps


def pending(clause: Clause, flags: list[int]) -> list[Clause]:
    """The parts of a mission that can be worked on now.

    Args:
        clause: The mission.
        flags: The world's flags.

    Returns:
        Clauses without parts; at least one.
    """
    if clause.kind == "then":
        first, second = clause.parts
        return pending(second if is_done(first, flags) else first, flags)
    if clause.kind == "and":
        parts = [part for part in clause.parts if not is_done(part, flags)] or clause.parts[-1:]
        return [leaf for part in parts for leaf in pending(part, flags)]
    return [clause]


def advise(world: GridWorld, menu: Menu, known: set[int], *, mended: bool) -> Advice:
    """What an expert would do.

    Args:
        world: The world; only its known cells are looked at.
        menu: The offered actions.
        known: Cells that an observation has shown.
        mended: False where only a door toggled without going through counts as opened.

    Returns:
        Thought and action.
    """
    leaves = pending(world.plan.clause, world.flags)
    for clearing in (False, True):
        planner = _Planner(world, menu, known, mended, clearing)
        found = [pair for leaf in leaves for pair in [planner.pursue(leaf)] if pair]
        if found:
            return min(found)[1]
        need, area = _need(leaves[0]), leaves[0].area
        advice = (
            planner.fetch_key(need)
            or (planner.explore(need, area - known) if area - known else None)
            or planner.explore(need, None)
        )
        if advice:
            return advice
    return f"{_need(leaves[0])} I see no way.", "turn left"


def shown(snapshot: dict[str, Any], cells: Iterable[int]) -> bool:
    """Whether some cells hold a thing that the mission asks for next.

    Args:
        snapshot: what BabyAI's ``snapshot()`` gave; its ``["state"]["known"]`` are the cells that
            the text has shown so far.
        cells: Numbers of cells.

    Returns:
        True if there is one.
    """
    world = GridWorld(blueprint(*place_of(snapshot["index"], snapshot["variant"])))
    world.load(snapshot["state"]["world"])
    leaves = pending(world.plan.clause, world.flags)
    places = {world.places[thing] for leaf in leaves for thing in leaf.targets}
    return not places.isdisjoint(cells)


def _need(leaf: Clause) -> str:
    """What a part of a mission is about, as the first words of a thought."""
    if leaf.kind == "put":
        return f"I need {leaf.phrase} next to {leaf.beside_phrase}."
    return f"I need {leaf.phrase}."


class _Planner(Known):
    """Plans in one state."""

    def __init__(
        self, world: GridWorld, menu: Menu, known: set[int], mended: bool, clearing: bool
    ) -> None:
        super().__init__(world, known, clearing)
        self.menu, self.mended = menu, mended
        self.ends = {
            action: self._end(macro)
            for action, macro in menu.macros.items()
            if macro and action.startswith(_MOVES)
        }

    # --- parts of a mission

    def pursue(self, leaf: Clause) -> tuple[int, Advice] | None:
        """Work on a part of the mission: what it costs and what to do; None: don't know how."""
        need, carried = _need(leaf), self.world.carried
        if leaf.kind == "pick up" or (leaf.kind == "put" and carried not in leaf.targets):
            return self._fetch(need, leaf.targets)
        if leaf.kind == "put":
            return self._put(need, leaf)
        if leaf.kind == "go to" and carried in leaf.targets:
            return self._put_down(f"{need} I carry it.")
        doors = [door for door in leaf.targets if self.world.states[door] != OPEN]
        targets = doors if leaf.kind == "open" else leaf.targets
        if leaf.kind == "open" and not self.mended and self.menu.meant.get("toggle") in targets:
            return 1, (f"{need} It is in front of me.", "toggle")
        verb = "toggle and go through" if leaf.kind == "open" and self.mended else "go to"
        direct = self._offered(verb, targets)
        if direct is None:
            return self._walk(need, self._facing(targets))
        if not self.menu.macros[direct]:
            return 2, (f"{need} I see it, but I must turn to it anew.", "turn left")
        thought = f"{need} It is {direct.removeprefix(verb + ' ')}."
        return len(self.menu.macros[direct]), (thought, direct)

    def _fetch(self, need: str, targets: Iterable[int]) -> tuple[int, Advice] | None:
        direct = self._offered("pickup", targets)
        if direct:
            thought = f"{need} It is {direct.removeprefix('pickup ')}."
            return len(self.menu.macros[direct]), (thought, direct)
        if self.world.carried >= 0 and self._offered("go to", targets):
            return self._put_down(f"{need} My hands are full.")
        return self._walk(need, self._facing(targets))

    def _put(self, need: str, leaf: Clause) -> tuple[int, Advice] | None:
        places = [self.world.places[other] for other in leaf.beside]
        free = {
            place + step
            for place in places
            if place in self.known
            for step in self.steps
            if self._cell(place + step) == EMPTY
        }
        goals = {(spot - self.steps[d], d) for spot in free for d in range(4)}
        if self.here in goals and "drop" in self.menu.macros:
            return 1, (f"{need} I carry it, and there is room in front of me.", "drop")
        return self._walk(f"{need} I carry it.", goals)

    def _put_down(self, why: str) -> tuple[int, Advice] | None:
        """Drop what is carried where it blocks no door."""
        goals = {
            (place, d)
            for place in self.known
            for d in range(4)
            if self._cell(place + self.steps[d]) == EMPTY
            and not any(self._is_door(place + self.steps[d] + step) for step in self.steps)
        }
        if self.here in goals and "drop" in self.menu.macros:
            name = name_of(self.world, self.world.carried)
            return 1, (f"{why} I drop the {name}.", "drop")
        return self._walk(f"{why} I look for a place to drop it.", goals)

    def fetch_key(self, need: str) -> Advice | None:
        """Get the key of a locked door that has been seen."""
        for door, place in enumerate(self.world.places):
            if place not in self.known or not self._is_door(place):
                continue
            if self.world.states[door] != LOCKED or self.world.has_key(door):
                continue
            colour = self.things[door].colour
            keys = [
                number
                for number, thing in enumerate(self.things)
                if (thing.kind, thing.colour) == ("key", colour)
            ]
            thought = f"{need} There is a {colour} locked door. I need the {colour} key."
            found = self._fetch(thought, keys)
            if found:
                return found[1]
        return None

    def explore(self, need: str, area: Set[int] | None) -> Advice | None:
        """Look at cells that have not been shown, in an area or anywhere."""
        best, action, goal = 0.0, None, None
        for offered, end in self.ends.items():
            rounds = _TURN_COST if offered.startswith("turn") else 1.0
            value = self._new_cells(end, area) / (rounds + len(self.menu.macros[offered]) / 100)
            if value > best:
                best, action = value, offered
        for cost, pose in self._from_here():
            rounds = 1 + _ROUNDS_PER_STEP * cost
            if VIEW * VIEW / rounds <= best:
                break
            value = self._new_cells(pose, area) / rounds
            if value > best and pose != self.here:
                best, goal = value, pose
        if goal is not None:
            found = self._walk(need, {goal})
            action = found[1][1] if found else None
        if action is None:
            return None
        thing = self.menu.meant.get(action)
        if thing is not None and self.things[thing].kind == "door":
            door = action[action.index(self.things[thing].colour) :]
            return f"{need} I do not see it. I look behind {door}.", action
        if action.startswith(("turn", "move")) or action in self.menu.macros:
            return f"{need} I do not see it. I look around.", action
        return None

    # --- ways

    def _walk(self, need: str, goals: set[Pose]) -> tuple[int, Advice] | None:
        """The offered action that comes nearest to one of some poses."""
        field = self._distances(goals)
        cost = field.get(self.here)
        if cost is None:
            return None
        far = cost + 1
        action = min(
            self.ends, key=lambda a: (field.get(self.ends[a], far), len(self.menu.macros[a]))
        )
        if field.get(self.ends[action], far) < cost:
            thing = self.menu.meant.get(action)
            if thing is None:
                return cost, (f"{need} I know the way.", action)
            name = action[action.index(self.things[thing].colour) :]
            return cost, (f"{need} I know the way. It leads to {name}.", action)
        return self._clear(need, field) if self.clearing else None

    def _clear(self, need: str, field: dict[Pose, int]) -> tuple[int, Advice] | None:
        """Carry away the first thing on the way."""
        place, direction = self.here
        for _ in range(field[self.here]):
            ahead = place + self.steps[direction]
            nearer = [(place, (direction + turn) % 4) for turn in (1, 3)]
            if self._enter_cost(ahead) is not None:
                nearer.append((ahead, direction))
            place, direction = min(nearer, key=lambda pose: field.get(pose, 10**9))
            cell = self._cell(place)
            if cell is not None and cell >= 0 and not self._is_door(place):
                found = self._fetch(
                    f"{need} The {name_of(self.world, cell)} is in the way.", [cell]
                )
                return (field[self.here], found[1]) if found else None
        return None

    def _offered(self, verb: str, targets: Iterable[int]) -> str | None:
        """The offered action with the shortest way to one of some things."""
        wanted, found = set(targets), []
        for action, thing in self.menu.meant.items():
            if thing not in wanted or not action.startswith(verb + " "):
                continue
            macro = self.menu.macros[action]
            place, direction = self._end([step for step in macro if step in (LEFT, RIGHT, FORWARD)])
            target = self.world.places[thing]
            if target in (place, place + self.steps[direction]):
                found.append((len(macro), action))
        return min(found)[1] if found else None

    def _facing(self, targets: Iterable[int]) -> set[Pose]:
        places = [self.world.places[t] for t in targets if self.world.places[t] in self.known]
        return {(place - self.steps[d], d) for place in places for d in range(4)}
