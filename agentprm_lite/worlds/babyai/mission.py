"""Missions of BabyAI: what is to be done, and whether an action did it, by minigrid's rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from minigrid.core.constants import DIR_TO_VEC
from minigrid.envs.babyai.core.verifier import (
    AfterInstr,
    AndInstr,
    BeforeInstr,
    GoToInstr,
    Instr,
    ObjDesc,
    OpenInstr,
    PickupInstr,
    PutNextInstr,
)

if TYPE_CHECKING:
    from minigrid.core.world_object import WorldObj
    from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel

    from agentprm_lite.worlds.babyai.world import GridWorld

_PICKUP, _DROP, _TOGGLE = 3, 4, 5


@dataclass(frozen=True)
class Clause:
    """A mission or a part of one."""

    kind: Literal["go to", "open", "pick up", "put", "and", "then"]
    """What to do; "then" and "and" have two parts, in the order in which they are done."""
    slot: int
    """Number of the clause; its two flags are what was carried when it was last looked at, and
    whether it is done."""
    targets: tuple[int, ...] = ()
    """Objects of which one is meant."""
    beside: tuple[int, ...] = ()
    """"put": objects of which one is to stand beside."""
    strict: bool = False
    """Whether a wrong object picked up, or a wrong door toggled, fails the mission."""
    phrase: str = ""
    """The targets in words: "the red ball"."""
    area: frozenset[int] = frozenset()
    """Cells where the targets were if the mission says where ("on your left"); else empty."""
    beside_phrase: str = ""
    """The other objects of "put" in words."""
    parts: tuple[Clause, ...] = ()
    """The two clauses of "and" and "then"."""


def compile_mission(
    env: RoomGridLevel, numbers: dict[int, int], cell: Callable[[int, int], int]
) -> Clause:
    """A mission as data.

    Args:
        env: minigrid's environment after a reset.
        numbers: From id() of its objects to their numbers.
        cell: From a position in its grid to the number of the cell.

    Returns:
        The mission.
    """
    count = 0

    def clause(instr: Instr) -> Clause:
        nonlocal count
        slot = count
        count += 1
        if isinstance(instr, (BeforeInstr, AfterInstr, AndInstr)):
            pair = [instr.instr_a, instr.instr_b]
            if isinstance(instr, AfterInstr):
                pair.reverse()
            kind: Literal["and", "then"] = "and" if isinstance(instr, AndInstr) else "then"
            parts = tuple(clause(part) for part in pair)
            return Clause(kind, slot, parts=parts)
        if isinstance(instr, PutNextInstr):
            return Clause(
                "put",
                slot,
                _numbers(instr.desc_move.obj_set, numbers),
                _numbers(instr.desc_fixed.obj_set, numbers),
                phrase=_phrase(instr.desc_move),
                area=_area(env, instr.desc_move.loc, cell),
                beside_phrase=_phrase(instr.desc_fixed),
            )
        assert isinstance(instr, (GoToInstr, OpenInstr, PickupInstr))
        leaf: Literal["go to", "open", "pick up"] = "go to"
        if isinstance(instr, OpenInstr):
            leaf = "open"
        elif isinstance(instr, PickupInstr):
            leaf = "pick up"
        return Clause(
            leaf,
            slot,
            _numbers(instr.desc.obj_set, numbers),
            strict=bool(getattr(instr, "strict", False)),
            phrase=_phrase(instr.desc),
            area=_area(env, instr.desc.loc, cell),
        )

    return clause(env.instrs)  # type: ignore[attr-defined]  # each level makes its own


def _numbers(objects: list[WorldObj], numbers: dict[int, int]) -> tuple[int, ...]:
    """Numbers of objects. "A grey object" means walls too, to minigrid; nobody can take those."""
    return tuple(numbers[id(thing)] for thing in objects if thing.type != "wall")


def _phrase(meant: ObjDesc) -> str:
    """An object as the mission calls it: "the red ball", "a key on your left"."""
    where = {None: "", "front": " in front of you", "behind": " behind you"}
    name = " ".join(word for word in (meant.color, meant.type or "object") if word)
    place = where.get(meant.loc, f" on your {meant.loc}")
    return f"{'a' if len(meant.obj_set) > 1 else 'the'} {name}{place}"


def _area(env: RoomGridLevel, where: str | None, cell: Callable[[int, int], int]) -> frozenset[int]:
    """Cells of the agent's first room on one side of it."""
    if where is None:
        return frozenset()
    room = env.room_from_pos(*env.agent_pos)
    (left, top), (wide, high) = room.top, room.size
    ahead = DIR_TO_VEC[env.agent_dir]
    right = (-ahead[1], ahead[0])
    sign = 1 if where in ("front", "right") else -1
    axis = ahead if where in ("front", "behind") else right
    return frozenset(
        cell(x, y)
        for x in range(left, left + wide)
        for y in range(top, top + high)
        if sign * ((x - env.agent_pos[0]) * axis[0] + (y - env.agent_pos[1]) * axis[1]) > 0
    )


def first_flags(clause: Clause) -> list[int]:
    """Flags of a mission and its parts before the first action."""
    return [-1, 0] + [flag for part in clause.parts for flag in first_flags(part)]


def is_done(clause: Clause, flags: list[int]) -> bool:
    """Whether a part of a mission is done."""
    return bool(flags[2 * clause.slot + 1])


def verify(clause: Clause, world: GridWorld, action: int) -> str:
    """Look at a mission after a low-level action; notes in the world's flags what is done.

    Args:
        clause: The mission or a part of it.
        world: The world after the action.
        action: The action.

    Returns:
        "continue", "success" or "failure".
    """
    if clause.kind == "then":
        first, second = clause.parts
        status = "success" if is_done(first, world.flags) else verify(first, world, action)
        return verify(second, world, action) if status == "success" else status
    if clause.kind == "and":
        for part in clause.parts:
            if not is_done(part, world.flags):
                verify(part, world, action)
        both = all(is_done(part, world.flags) for part in clause.parts)
        status = "success" if both else "continue"
    else:
        status = _verify_leaf(clause, world, action)
    world.flags[2 * clause.slot + 1] = int(status == "success")
    return status


def _verify_leaf(clause: Clause, world: GridWorld, action: int) -> str:
    before = world.flags[2 * clause.slot]
    world.flags[2 * clause.slot] = world.carried
    done = False
    if clause.kind == "go to":
        front = world.front()
        done = any(world.noted[target] == front for target in clause.targets)
    elif clause.kind == "open" and action == _TOGGLE:
        cell = world.cells[world.front()]
        done = cell in clause.targets and world.states[cell] == 0
        if clause.strict and not done and cell >= 0 and world.plan.things[cell].kind == "door":
            return "failure"
    elif clause.kind == "pick up" and action == _PICKUP:
        done = before < 0 and world.carried in clause.targets
        if clause.strict and not done and world.carried >= 0:
            return "failure"
    elif clause.kind == "put" and action == _DROP and before in clause.targets:
        place, width = world.places[before], world.plan.width
        near = {place + 1, place - 1, place + width, place - width} if place >= 0 else set()
        done = any(world.noted[other] in near for other in clause.beside)
    return "success" if done else "continue"
