"""Sums, solutions and purchases with a verdict after each turn, so that the bases of math's and
WebShop's judges learn to see mistakes."""

from __future__ import annotations

import random
import re

from agentprm_lite.chat import react
from agentprm_lite.env import make_env
from agentprm_lite.tutorial.corpus import (
    FIRST_VARIANT,
    LEVELS,
    ROUNDS,
    SUMS,
    WRONG,
    Text,
    carried,
    draw_sum,
    draw_sums,
    hidden_templates,
    practice,
    result_of,
)
from agentprm_lite.tutorial.mistakes import Advice, any_product, false_sum, slip
from agentprm_lite.worlds.math import free_problem
from agentprm_lite.worlds.webshop import alike, as_wanted, level_of

MISTAKEN = 0.25
"""How often a turn is wrong."""
MISLED = 0.5
"""How often a shopper looks at a wrong product."""
OBSTINATE = 0.75
"""How many buy whatever they look at."""
SIMPLE = 0.8
"""How often a purchase has no options to choose: WebShop's level here."""


def graded(seed: int) -> tuple[Text, tuple[bool, ...]]:
    """Sums, or a solution, with mistakes; and after each turn whether all is right so far."""
    rng = random.Random(f"graded/{seed}")
    seen, steps = _exercise(seed, rng)
    only_sums = seen[0].startswith(SUMS)
    turns, right = [], []
    fine = True
    while steps:
        turn = steps.pop(0)
        fine = fine or turn[0].startswith(WRONG)
        if fine and rng.random() < MISTAKEN:
            wrong, then = turn, steps
            if only_sums or rng.random() < 0.5:
                wrong = turn[0], _false(turn[1], rng)
            else:
                wrong, then = _beside(seen, turn, steps, rng)
            fine = wrong == turn
            if not fine:
                again = (f"{WRONG}{turn[0].removeprefix(WRONG)}", turn[1])
                mended = only_sums or rng.random() < 0.3
                steps = [again, *steps] if mended else carried(turn, wrong, then)
            turn = wrong
        turns.append(react(*turn))
        right.append(fine)
        seen.append("")
    return Text("math", tuple(seen[:-1]), tuple(turns), right[-1]), tuple(right)


def graded_purchase(seed: int) -> tuple[Text, tuple[bool, ...]]:
    """A purchase, often of a wrong product with the same options; and after each turn whether the
    one on the page, or that was bought, is as wanted, and so is every value that was chosen.

    With other options a wrong product would be known by its page, without comparing.
    """
    rng = random.Random(f"graded/webshop/{seed}")
    env = make_env("webshop", ROUNDS["webshop"])
    simple = rng.random() < SIMPLE
    index = rng.choice([i for i in practice("webshop") if (level_of(i) == 1) == simple])
    observation, _ = env.reset(options={"index": index, "variant": FIRST_VARIANT + seed})
    seen, turns, right = [observation], [], []
    obstinate, noise = rng.random() < OBSTINATE, rng.choice((0.0, 0.0, 0.05, 0.15))
    while True:
        turn, now = env.expert_action(), env.snapshot()
        if obstinate and not as_wanted(now):
            turn = f"{now['state']['asin']} is as wanted. I buy it.", "click[Buy Now]"
        elif now["state"]["page"] == "results" and rng.random() < MISLED:
            turn = any_product(seen[-1], alike(now), rng) or turn
        elif rng.random() < MISTAKEN / 2:
            turn = slip("webshop", seen, turn, rng)
        observation, _, terminated, truncated, info = env.step(turn[1])
        turns.append(react(_garbled(turn[0], seen[-1], noise, rng), turn[1]))
        right.append(as_wanted(env.snapshot()))
        if terminated or truncated:
            return Text("webshop", tuple(seen), tuple(turns), bool(info["success"])), tuple(right)
        seen.append(observation)


def _garbled(thought: str, page: str, noise: float, rng: random.Random) -> str:
    """The thought with some words of the page in the place of its own, as warm policies write."""
    words = page.split()
    return " ".join(rng.choice(words) if rng.random() < noise else w for w in thought.split())


def _exercise(seed: int, rng: random.Random) -> tuple[list[str], list[Advice]]:
    if rng.random() < 0.5:
        asked, sums = draw_sums(rng)
        return [asked], sums
    problem = free_problem(seed, rng.choice(LEVELS["math"]), hidden_templates())
    return [problem.question], [*problem.steps, (problem.closing, f"#### {problem.answer}")]


def _beside(
    seen: list[str], turn: Advice, steps: list[Advice], rng: random.Random
) -> tuple[Advice, list[Advice]]:
    """A turn that is no step of the solution, and what comes after it: a step left out, one made
    twice, another sign, or a slip."""
    match = re.fullmatch(r"(\d+) ([-+*/]) (\d+) = (\d+)", turn[1])
    kind = rng.random()
    if match is None or not steps or kind > 0.9:
        return slip("math", seen, turn, rng), steps
    a, sign, b, c = match.groups()
    if kind < 0.5:
        wrong, *then = carried(turn, (turn[0], f"0 = {a}"), steps)
        return wrong, then
    if kind < 0.7:  # its result once more through the same
        thought = re.sub(rf"\b{a}\b", c, turn[0])
        return (thought, f"{c} {sign} {b} = {result_of(int(c), sign, int(b))}"), steps
    sign = rng.choice([s for s in "+-*" if s != sign])
    return (turn[0], f"{a} {sign} {b} = {result_of(int(a), sign, int(b))}"), steps


def _false(action: str, rng: random.Random) -> str:
    """False as policies make them: near, of another sign, of some other sum, or without a whole
    result."""
    match = re.fullmatch(r"(\d+) ([-+*/]) (\d+) = (\d+)", action)
    kind = rng.random()
    if kind < 0.4 or match is None:
        return false_sum(("", action), rng)[1]
    (a, sign, b), right = match.groups()[:3], int(match[4])
    left = f"{a} {sign} {b}"
    if kind < 0.6:  # 17 / 3, 5 - 12
        sign, small, large = rng.choice("-/"), *sorted(rng.sample(range(2, 60), 2))
        if sign == "-" or large % small:
            left, right = f"{small} - {large}" if sign == "-" else f"{large} / {small}", -1
            a, b = str(large), str(small)
    others = {int(a) + int(b), abs(int(a) - int(b)), int(a) // max(1, int(b)), draw_sum(rng)[1]}
    return f"{left} = {rng.choice(sorted(others - {right}))}"
