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
from agentprm_lite.tutorial.mistakes import SUM, Advice, any_product, slip
from agentprm_lite.worlds.math import NAMES, THINGS, free_problem
from agentprm_lite.worlds.webshop import alike, as_wanted, level_of

MISTAKEN = 0.25
"""How often a turn is wrong."""
MISLED = 0.5
"""How often a shopper looks at a wrong product."""
OBSTINATE = 0.75
"""How many buy whatever they look at."""
SIMPLE = 0.8
"""How often a purchase has no options to choose: WebShop's level here."""
NEAR = (-20, -10, -4, -3, -2, -1, 1, 2, 3, 4, 10, 20)
"""How far false results are from the right ones, where they are near."""
ONLY_SUMS = 0.4
"""How often a text has sums without a problem."""
_STATE = re.compile(r"(?:Now |Before all this )?(\w+) (?:has|had|starts with) \d+ (\w+)\.")


def graded(seed: int) -> tuple[Text, tuple[bool, ...]]:
    """Sums, or a solution, with mistakes; and after each turn whether all is right so far. A turn
    that was made before is wrong, but spoils nothing."""
    rng = random.Random(f"graded/{seed}")
    seen, steps = _exercise(seed, rng)
    only_sums, noise = seen[0].startswith(SUMS), rng.choice((0.0, 0.0, 0.05))
    said: list[Advice] = []
    turns, right = [], []
    fine = mended = True
    while steps:
        turn = steps.pop(0)
        fine = fine or mended
        if fine and rng.random() < MISTAKEN:
            wrong, then = (
                (_false(turn, rng), steps) if only_sums else _wrong(seen[0], said, turn, steps, rng)
            )
            fine = wrong[1] == turn[1]
            if not fine:
                turn = (turn[0].removeprefix(WRONG), turn[1])
                again = wrong[1] in [action for _, action in said]
                mended = only_sums or again or rng.random() < 0.2
                if mended:
                    then = [turn if again else (f"{WRONG}{turn[0]}", turn[1]), *steps]
                turn, steps = wrong, then
        said += [turn] * fine
        thought = turn[0]
        if not thought.startswith(WRONG):
            thought = _garbled(thought, seen[0], noise, rng)
        turns.append(react(thought, turn[1]))
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
    if rng.random() < ONLY_SUMS:
        asked, sums = draw_sums(rng)
        return [asked], sums
    problem = free_problem(seed, rng.choice(LEVELS["math"]), hidden_templates())
    return [problem.question], [*problem.steps, (problem.closing, f"#### {problem.answer}")]


def _wrong(
    question: str, said: list[Advice], turn: Advice, steps: list[Advice], rng: random.Random
) -> tuple[Advice, list[Advice]]:
    """A turn that is no step of the solution, and what comes after it: the mistakes that were read
    in the attempts of trained policies."""
    match = SUM.fullmatch(turn[1])
    kind = rng.random()
    if said and kind < (0.2 if match else 0.6):
        return _again(said[-1] if rng.random() < 0.7 else rng.choice(said), turn, steps, rng)
    if match is None:
        return (turn[0], f"#### {rng.choice(_numbers(question, rng))}"), steps
    a, sign, b, _ = match.groups()
    thought, then = turn[0], steps
    if kind < 0.4:
        wrong = _false(turn, rng)
        return wrong, carried(turn, wrong, steps)
    if kind < 0.65 and steps:  # a sentence of the problem is left out
        wrong, *then = carried(turn, (thought, f"0 = {a}"), steps)
        return wrong, then
    if kind < 0.75:
        sign = rng.choice([s for s in "+-*/" if s != sign])
    elif kind < 0.88:
        old, new = rng.choice((a, b)), rng.choice(_numbers(question, rng))
        if rng.random() < 0.3:
            thought = re.sub(rf"\b{old}\b", new, thought)
        a, b = (new if number == old else number for number in (a, b))
    else:  # what some other problem tells, in place of a step or before it
        other = free_problem(rng.randrange(2**40), rng.choice(LEVELS["math"]), hidden_templates())
        thought, action = rng.choice(other.steps)
        first, sign, b = action.split()[:3]
        thought = re.sub(rf"\b{first}\b", a, _as_in(question, thought, rng))
        if rng.random() < 0.5:
            c = str(result_of(int(a), sign, int(b)))
            return (thought, f"{a} {sign} {b} = {c}"), _on(a, c, [turn, *steps])
    wrong = thought, f"{a} {sign} {b} = {result_of(int(a), sign, int(b))}"
    return wrong, carried(turn, wrong, then)


def _again(
    done: Advice, turn: Advice, steps: list[Advice], rng: random.Random
) -> tuple[Advice, list[Advice]]:
    """What was done is done again, word by word or with what there is now."""
    match, state = SUM.fullmatch(done[1]), _STATE.match(done[0])
    if match is None or state is None or rng.random() < 0.4:
        return (done[0].removeprefix(WRONG), done[1]), [turn, *steps]
    _, sign, b, c = match.groups()
    more = str(result_of(int(c), sign, int(b)))
    thought = f"Now {state[1]} has {c} {state[2]}.{done[0][state.end() :]}"
    return (thought, f"{c} {sign} {b} = {more}"), _on(c, more, [turn, *steps])


def _on(old: str, new: str, steps: list[Advice]) -> list[Advice]:
    """The steps with another number than the one that they begin with."""
    return carried(("", f"0 = {old}"), ("", f"0 = {new}"), steps)


def _numbers(question: str, rng: random.Random) -> list[str]:
    return [*re.findall(r"\d+", question), str(rng.randint(2, 60))]


def _as_in(question: str, thought: str, rng: random.Random) -> str:
    """The thought with names and things of the problem."""
    words = {
        word: rng.choice([other for other in known if other in question] or [word])
        for known in (NAMES, THINGS)
        for word in known
    }
    return re.sub(r"\w+", lambda found: words.get(found[0], found[0]), thought)


def _false(turn: Advice, rng: random.Random) -> Advice:
    """False as policies make them: near, of another sign, of some other sum, torn, or without a
    whole result."""
    match = SUM.fullmatch(turn[1])
    kind = rng.random()
    if match is None:
        return turn
    if kind < 0.4:
        near = [n for n in map(int(match[4]).__add__, NEAR) if n > 0]
        return turn[0], f"{turn[1].rsplit(' ', 1)[0]} {rng.choice(near)}"
    if kind > 0.92:  # 34 * 2 = 6lamps
        return turn[0], f"{turn[1][:-1]}{rng.choice(THINGS)}"
    (a, sign, b), right = match.groups()[:3], int(match[4])
    left = f"{a} {sign} {b}"
    if kind < 0.6:  # 17 / 3, 5 - 12
        sign, small, large = rng.choice("-/"), *sorted(rng.sample(range(2, 60), 2))
        if sign == "-" or large % small:
            left, right = f"{small} - {large}" if sign == "-" else f"{large} / {small}", -1
            a, b = str(large), str(small)
    others = {int(a) + int(b), abs(int(a) - int(b)), int(a) // max(1, int(b)), draw_sum(rng)[1]}
    return turn[0], f"{left} = {rng.choice(sorted(others - {right}))}"
