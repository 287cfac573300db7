"""Episodes of all worlds as text, from unlimited draws: what the small base is pretrained on.

Half of the episodes are an expert's. In the others the player now and then does something wrong or
wasteful, with a thought that fits, and mostly mends it. Nothing here comes from a goal, shop,
template or world that `tasks` keeps for judges or tests.
"""

from __future__ import annotations

import functools
import random
import re
from dataclasses import dataclass, replace
from typing import Literal

from agentprm_lite.chat import react
from agentprm_lite.env import Split, env_class, make_env
from agentprm_lite.tutorial.mistakes import SUM, Advice, false_sum, slip
from agentprm_lite.types import Task
from agentprm_lite.worlds.math import DRAWS, free_problem, templates
from agentprm_lite.worlds.textcraft import exchange, recipe_table, shuffle_words
from agentprm_lite.worlds.webshop import GOALS

Part = Literal["practice", "judge", "test"]
WORLDS = ("textcraft", "babyai", "webshop", "math")
LEVELS = {
    "textcraft": (1, 2, 3),
    "babyai": (1, 2, 3, 4, 5, 9, 10, 11, 19, 20, 21, 30),
    "webshop": (1, 2, 3),
    "math": (2, 3, 4),
}
ROUNDS = {"textcraft": 10, "babyai": 12, "webshop": 6, "math": 10}
FIRST_VARIANT = 1000
"""Variants from here on are drawn for pretraining; `tasks` never gives them."""
SLIPS = 0.15
"""How often an imperfect player slips."""
MENDED = 0.5
"""How often a slip in math is mended at once; in the other worlds the expert sees what to mend."""
WRONG = "That is wrong. "
"""What the thought of a mended sum begins with: only who checks the sum foresees it."""
SUMS = "Do these sums: "
"""What the question of a drill begins with."""
FALSE = 0.4
"""How often a sum is false in a solution that is checked; each of them is mended at once."""


@dataclass(frozen=True)
class Text:
    """An episode in words."""

    world: str
    """Name of the world."""
    observations: tuple[str, ...]
    """What is read before each turn."""
    turns: tuple[str, ...]
    """The turns."""
    success: bool
    """How it ended."""


def part_of(world: str, index: int) -> Part:
    """Which part of a world a task belongs to; the three parts share no goal, shop or template.

    Demonstrations and pretraining take "practice", rollouts for judges "judge", measurements
    "test". TextCraft is parted by goal, BabyAI by world, WebShop by shop, math by template.

    Args:
        world: name of the world.
        index: of the task.

    Returns:
        The part.

    Example:
        >>> [part_of("math", 40 * template) for template in range(4)]
        ['practice', 'practice', 'judge', 'test']
    """
    if index in _test_indices(world):
        return "test"
    size = {"babyai": 40, "webshop": GOALS, "math": DRAWS}.get(world, 1)
    return "judge" if index // size % 4 == 2 else "practice"


def part_tasks(world: str, part: Part, *, variants: int = 1) -> list[Task]:
    """Tasks of one part of a world, at the levels that the small base has met.

    Args:
        world: name of the world.
        part: "practice", "judge" or "test".
        variants: how many draws of each task.

    Returns:
        The tasks, by variant and then by index.
    """
    split: Split = "test" if part == "test" else "train"
    tasks = env_class(world).tasks(split, levels=LEVELS[world])
    kept = [task.index for task in tasks if part_of(world, task.index) == part]
    return [Task(world, index, k) for k in range(variants) for index in kept]


@functools.cache
def _test_indices(world: str) -> frozenset[int]:
    return frozenset(task.index for task in env_class(world).tasks("test"))


@functools.cache
def practice(world: str) -> tuple[int, ...]:
    """Indices of the tasks that texts are made from."""
    return tuple(task.index for task in part_tasks(world, "practice"))


def episode(world: str, seed: int) -> Text:
    """An episode of a world, from the part "practice".

    Args:
        world: name of the world.
        seed: of the draw.

    Returns:
        A function of the two arguments only.

    Example:
        >>> episode("math", 0) == episode("math", 0)
        True
    """
    rng = random.Random(f"corpus/{world}/{seed}")
    slips = SLIPS if rng.random() < 0.5 else 0.0
    if world == "math":
        return _solution(seed, slips, rng)
    index = rng.choice(practice(world))
    text = _played(Task(world, index, FIRST_VARIANT + seed), slips, rng)
    return _in_other_words(text, rng) if world == "textcraft" else text


def _played(task: Task, slips: float, rng: random.Random) -> Text:
    env = make_env(task.env, ROUNDS[task.env])
    observation, _ = env.reset(options={"index": task.index, "variant": task.variant})
    seen, turns = [observation], []
    while True:
        thought, action = env.expert_action()
        if rng.random() < slips:
            thought, action = slip(task.env, seen, (thought, action), rng)
        observation, _, terminated, truncated, info = env.step(action)
        turns.append(react(thought, action))
        if terminated or truncated:
            return Text(task.env, tuple(seen), tuple(turns), bool(info["success"]))
        seen.append(observation)


def _in_other_words(text: Text, rng: random.Random) -> Text:
    """A TextCraft episode with other items, but never with a goal of judges or tests."""
    kind = rng.random()
    if kind < 0.35:
        return text
    while True:
        words = (exchange if kind < 0.7 else shuffle_words)(rng.randrange(2**32))
        seen = tuple(map(words, text.observations))
        if seen[0].rpartition("Goal: craft ")[2].rstrip(".") not in _hidden_goals():
            return replace(text, observations=seen, turns=tuple(map(words, text.turns)))


@functools.cache
def _hidden_goals() -> frozenset[str]:
    goals = recipe_table().goals
    return frozenset(g for k, g in enumerate(goals) if part_of("textcraft", k) != "practice")


@functools.cache
def hidden_templates() -> frozenset[int]:
    """Templates of math that are kept for judges and tests."""
    return frozenset(k for k in range(len(templates())) if part_of("math", k * DRAWS) != "practice")


def _solution(seed: int, slips: float, rng: random.Random) -> Text:
    """A word problem with its solution, or with one that goes wrong and goes on from there."""
    problem = free_problem(seed, rng.choice(LEVELS["math"]), hidden_templates())
    steps = [*problem.steps, (problem.closing, f"#### {problem.answer}")]
    seen = [problem.question]
    turns: list[str] = []
    checked = bool(slips) and rng.random() < 0.5
    while steps:
        turn = steps.pop(0)
        if rng.random() < (FALSE if checked else slips):
            wrong = false_sum(turn, rng) if checked else slip("math", seen, turn, rng)
            mended = wrong != turn and (checked or rng.random() < MENDED)
            again = (f"{WRONG}{turn[0].removeprefix(WRONG)}", turn[1])
            steps = [again, *steps] if mended else carried(turn, wrong, steps)
            turn = wrong
        turns.append(react(*turn))
        seen.append("")
    answer = turns[-1].rpartition("#### ")[2]
    return Text("math", tuple(seen[:-1]), tuple(turns), answer == problem.answer)


def drill(seed: int) -> Text:
    """Sums one after the other, half of the results false at first and mended at once."""
    rng = random.Random(f"drill/{seed}")
    asked, sums = draw_sums(rng)
    turns: list[Advice] = []
    for turn in sums:
        while rng.random() < 0.5:
            turns.append(false_sum(turn, rng))
            turn = (f"{WRONG}I go on.", turn[1])
        turns.append(turn)
    texts = tuple(react(*turn) for turn in turns)
    return Text("math", (asked, *[""] * (len(turns) - 1)), texts, True)


def result_of(a: int, sign: str, b: int) -> int:
    """What a player takes for the result: never negative, always whole."""
    return {"+": a + b, "-": abs(a - b), "*": a * b, "/": a // max(b, 1)}[sign]


def draw_sums(rng: random.Random) -> tuple[str, list[Advice]]:
    """The question of a drill, and the turns that answer it."""
    sums = [draw_sum(rng) for _ in range(rng.randint(3, 8))]
    asked = f"{SUMS}{', '.join(left for left, _ in sums)}."
    return asked, [("I go on.", f"{left} = {right}") for left, right in sums]


def draw_sum(rng: random.Random) -> tuple[str, int]:
    """A sum without its result, and the result."""
    sign = rng.choice("+-*/")
    if sign in "*/":
        a, b = rng.randint(2, 12), rng.randint(2, 12)
        return (f"{a} * {b}", a * b) if sign == "*" else (f"{a * b} / {b}", a)
    a, b = rng.randint(1, 60), rng.randint(1, 60)
    return (f"{a} + {b}", a + b) if sign == "+" else (f"{a + b} - {b}", a)


def carried(turn: Advice, wrong: Advice, steps: list[Advice]) -> list[Advice]:
    """The later steps of a solution, with a wrong result in place of the right one."""
    old, new = turn[1].split()[-1], wrong[1].split()[-1]
    out: list[Advice] = []
    for k, (thought, action) in enumerate(steps):
        thought, action = (re.sub(rf"\b{old}\b", new, text) for text in (thought, action))
        match = SUM.fullmatch(action)
        if match is None or old == new:
            out.append((thought, action))
            continue
        a, b = int(match[1]), int(match[3])
        c = result_of(a, match[2], b)
        if c == int(match[4]):  # nothing of the wrong result went into it
            out.append((thought, action))
            continue
        before = (thought, f"{a} {match[2]} {b} = {match[4]}")
        after = (thought, f"{a} {match[2]} {b} = {c}")
        return [*out, after, *carried(before, after, steps[k + 1 :])]
    return out
