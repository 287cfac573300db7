"""What a player of BabyAI reads, and the actions offered to it, in AgentGym's words.

An offered action is a macro: a name for a list of low-level actions. All of them are found with
one search over the cells in view; AgentGym searches anew for each object.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agentprm_lite.worlds.babyai.blueprint import (
    CLOSED,
    DROP,
    EMPTY,
    FORWARD,
    LEFT,
    LOCKED,
    OWN_CELL,
    PICKUP,
    RIGHT,
    TOGGLE,
    UNSEEN,
    VIEW,
    WALL,
)
from agentprm_lite.worlds.babyai.paths import WIDE, Paths
from agentprm_lite.worlds.babyai.world import GridWorld

CHECK = "check available actions"
_STATES = ("open", "closed", "locked")
_NEAR_FIRST = sorted(
    (cell for cell in range(VIEW * VIEW) if cell != OWN_CELL),
    key=lambda cell: VIEW - 1 - cell // VIEW + abs(cell % VIEW - VIEW // 2),
)
_AHEAD = [row * VIEW + VIEW // 2 for row in range(VIEW - 2, -1, -1)]


@dataclass
class Menu:
    """What there is to read and to do in a state."""

    text: str
    """Description of the view."""
    macros: dict[str, list[int]] = field(default_factory=dict)
    """Offered action -> low-level actions."""
    refusals: dict[str, str] = field(default_factory=dict)
    """Action that is not offered -> why."""
    meant: dict[str, int] = field(default_factory=dict)
    """Offered action -> number of the object in it."""


def name_of(world: GridWorld, thing: int) -> str:
    """An object as the text calls it: "red ball", "grey closed door"."""
    it = world.plan.things[thing]
    state = f" {_STATES[world.states[thing]]}" if it.kind == "door" else ""
    return f"{it.colour}{state} {it.kind}"


def look(world: GridWorld, *, mended: bool) -> Menu:
    """Description and offered actions of a state.

    Args:
        world: The world.
        mended: Whether two messages name the number of a door; AgentGym prints a dict there.

    Returns:
        The menu.
    """
    view = world.view()
    things = world.plan.things
    sights = [(view[cell], cell) for cell in _NEAR_FIRST if view[cell] >= 0]
    blocked = {
        cell // VIEW * WIDE + cell % VIEW
        for cell in _NEAR_FIRST
        if view[cell] == WALL or (view[cell] >= 0 and things[view[cell]].kind != "door")
    }
    anything = bool(sights) or WALL in view
    barrier, distance = _barrier(world, view)
    menu = Menu(_describe(world, sights, anything, barrier, distance))
    menu.macros |= {"turn left": [LEFT], "turn right": [RIGHT]}
    if distance == 1:
        menu.refusals["move forward"] = (
            "There is a barrier in front of you, you can't move forward."
        )
    else:
        menu.macros["move forward"] = [FORWARD]
    paths = Paths(blocked, world.direction) if sights else None
    seen = [(thing, cell // VIEW * WIDE + cell % VIEW) for thing, cell in sights]
    if paths and world.carried < 0:
        movable = [pair for pair in seen if things[pair[0]].kind != "door"]
        _offer(menu, world, paths, "pickup", movable, [PICKUP])
    _offer_drop(menu, world, view[_AHEAD[0]])
    if paths:
        _offer_doors(menu, world, paths, seen, mended)
        _offer(menu, world, paths, "go to", seen, [])
    menu.macros[CHECK] = []
    return menu


def _barrier(world: GridWorld, view: list[int]) -> tuple[str, int]:
    """The nearest wall or box straight ahead and its distance; ("", 0) without one in sight."""
    for distance, cell in enumerate(_AHEAD, 1):
        seen = view[cell]
        if seen == WALL:
            return "wall", distance
        if seen >= 0 and world.plan.things[seen].kind == "box":
            return "box", distance
    return "", 0


def _describe(
    world: GridWorld, sights: list[tuple[int, int]], anything: bool, barrier: str, distance: int
) -> str:
    counts: dict[str, int] = {}
    parts = []
    for thing, cell in sights:
        name = name_of(world, thing)
        counts[name] = counts.get(name, 0) + 1
        ahead, right = VIEW - 1 - cell // VIEW, cell % VIEW - VIEW // 2
        if right == 0:
            where = f"right in front of you {ahead} steps away."
        else:
            side = "right" if right > 0 else "left"
            where = f"{ahead} steps in front of you and {abs(right)} steps to your {side}."
        parts.append(f"There is a {name} {counts[name]} {where}  ")
    if anything:
        text = "In front of you in this room, you can see several objects: " + "".join(parts)
    else:
        text = "You cannot see any objects within sight."
    text += "The room has walls around you. "
    if barrier:
        text += f"You are facing a {barrier} {distance} steps away. "
    if world.carried < 0:
        return text + "You are not carrying anything."
    return text + f"You are carrying a {name_of(world, world.carried)}."


def _offer(
    menu: Menu,
    world: GridWorld,
    paths: Paths,
    verb: str,
    seen: list[tuple[int, int]],
    ending: list[int],
) -> None:
    """Actions that walk up to an object. Only objects that can be reached are counted."""
    counts: dict[str, int] = {}
    for thing, cell in seen:
        name = name_of(world, thing)
        action = f"{verb} {name} {counts.get(name, 0) + 1}"
        path = paths.facing(cell)
        if path is None:
            menu.refusals[action] = f"You cannot {action}, as there is no path leading to it."
        else:
            counts[name] = counts.get(name, 0) + 1
            menu.macros[action] = path + ending
            menu.meant[action] = thing


def _offer_drop(menu: Menu, world: GridWorld, ahead: int) -> None:
    if world.carried < 0:
        menu.refusals["drop"] = "You cannot drop the object, as you are not carrying anything."
    elif ahead in (EMPTY, UNSEEN) or (ahead >= 0 and world.plan.things[ahead].kind == "door"):
        menu.macros["drop"] = [DROP]
    else:
        menu.refusals["drop"] = (
            "You cannot drop the object, as there is already an object in front of you."
        )


def _offer_doors(
    menu: Menu, world: GridWorld, paths: Paths, seen: list[tuple[int, int]], mended: bool
) -> None:
    """Actions that go through doors. All doors in sight are counted."""
    counts: dict[str, int] = {}
    for thing, cell in seen:
        if world.plan.things[thing].kind != "door":
            continue
        name, state = name_of(world, thing), world.states[thing]
        counts[name] = counts.get(name, 0) + 1
        door = f"{name} {counts[name]}"
        through, toggle = f"go through {door}", f"toggle and go through {door}"
        if state not in (CLOSED, LOCKED):
            path = paths.onto(cell)
            if path is None:
                menu.refusals[through] = f"You cannot {through}, as there is no path leading to it."
            else:
                menu.macros[through] = path
                menu.meant[through] = thing
            continue
        if state == LOCKED and not world.has_key(thing):
            key = world.carried >= 0 and world.plan.things[world.carried].kind == "key"
            why = (
                "the color of the key you are carrying does not match the color of door"
                if key
                else "you are not carrying a key"
            )
            menu.refusals[toggle] = f"You cannot {toggle}, as {why}."
            continue
        path = paths.facing(cell)
        if path is None:
            action = toggle if mended else f"toggle and go through {name} {counts}"
            menu.refusals[toggle] = f"You cannot {action}, as there is no path leading to it."
        else:
            menu.macros[toggle] = [*path, TOGGLE, FORWARD]
            menu.meant[toggle] = thing
            if not path:
                menu.macros["toggle"] = [TOGGLE]
                menu.meant["toggle"] = thing
        if state == CLOSED:
            menu.refusals[through] = (
                f"You cannot {through}, as it is closed. You should toggle it first."
            )
