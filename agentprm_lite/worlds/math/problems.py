"""Word problems made from sentences, with their solutions step by step.

A template is a sequence of kinds of sentences: what happens, how it is asked, whether an
irrelevant number is told and whether the start is told last. The test split has sequences that
the train split lacks, made of the same sentences. Numbers, names and things are drawn for each
task; the largest number grows with the number of steps.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agentprm_lite.worlds.math.sentences import (
    ENDING_SIGNS,
    ENDING_STEPS,
    ENDINGS,
    EVENT_SIGNS,
    EVENT_STEPS,
    EVENTS,
    LATE_START,
    NAMES,
    NOISE,
    STARTS,
    THINGS,
)

LARGEST = {2: 30, 3: 40, 4: 50, 5: 60}
"""Number of steps -> largest number in a problem and its solution."""
TEMPLATES_A_LEVEL = 32
DRAWS = 40
"""Tasks a template."""

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """A word problem and its solution."""

    question: str
    """What is told and asked."""
    steps: tuple[tuple[str, str], ...]
    """Thought and line of each step, without the answer."""
    closing: str
    """Thought before the answer."""
    answer: str
    """The number, as written after "####"."""
    template: str
    """Name of the template."""

    @property
    def level(self) -> int:
        """Number of steps."""
        return len(self.steps)


@dataclass(frozen=True)
class Template:
    """A sequence of kinds of sentences."""

    events: tuple[str, ...]
    """What happens, in order; keys of EVENTS."""
    ending: str
    """Key of ENDINGS."""
    noise: str = ""
    """Key of NOISE, or "" without an irrelevant sentence."""
    noise_at: int = 0
    """Number of told sentences before the irrelevant one."""
    late: bool = False
    """The number at the start is told after the events."""

    @property
    def level(self) -> int:
        """Number of steps of the solution."""
        return sum(EVENT_STEPS[e] for e in self.events) + ENDING_STEPS[self.ending]

    @property
    def name(self) -> str:
        """The sequence in words."""
        start = ["start"]
        told = [*self.events, *start] if self.late else [*start, *self.events]
        if self.noise:
            told.insert(self.noise_at, f"({self.noise})")
        return ", ".join([*told, self.ending])


@functools.cache
def templates() -> tuple[Template, ...]:
    """All templates, by level; every fourth belongs to the test split.

    Returns:
        32 templates for each number of steps.

    Example:
        >>> templates()[0].name
        'start, share, (fact), more'
    """
    rng = random.Random("math/templates")
    out: list[Template] = []
    for level in LARGEST:
        found: dict[tuple[tuple[str, ...], str], Template] = {}
        while len(found) < TEMPLATES_A_LEVEL:
            template = _draw_template(rng, level)
            if template:
                found.setdefault((template.events, template.ending), template)
        out += found.values()
    return tuple(out)


def _draw_template(rng: random.Random, level: int) -> Template | None:
    """A random sequence of sentences; None if it has another level, or repeats a big event."""
    events = tuple(_pick(rng, tuple(EVENTS)) for _ in range(_between(rng, 1, level)))
    noise = _pick(rng, tuple(NOISE)) if rng.random() < 0.5 else ""
    at = _between(rng, 1, len(events) + 1) if noise else 0
    ending, late = _pick(rng, tuple(ENDINGS)), rng.random() < 0.25
    template = Template(events, ending, noise, at, late)
    repeated = any(events.count(kind) > 1 for kind in ("times", "share"))
    return template if template.level == level and not repeated else None


def is_test(template: int) -> bool:
    """Whether a template is held out.

    Args:
        template: Its place in `templates()`.

    Returns:
        True for every fourth.
    """
    return template % 4 == 3


def count_problems() -> int:
    """Number of tasks.

    Returns:
        Templates times draws.
    """
    return len(templates()) * DRAWS


@functools.lru_cache(maxsize=8192)
def make_problem(index: int, variant: int) -> Problem:
    """The problem of a task: template `index // 40`, with numbers and names of its own.

    Args:
        index: 0 to `count_problems()` - 1.
        variant: k > 0 draws other numbers, names, things and wordings for the same template.

    Returns:
        A function of the two numbers only.

    Example:
        >>> [line for _, line in make_problem(0, 0).steps]
        ['12 / 3 = 4', '4 + 7 = 11']
    """
    return _fill(templates()[index // DRAWS], random.Random(f"math/{index}/{variant}"))


def free_problem(seed: int, level: int, unseen: Container[int]) -> Problem:
    """A problem of any template of a level, but of none that shall stay unseen.

    Args:
        seed: Of the draw.
        level: Number of steps.
        unseen: Places of templates in `templates()`; whatever has the events and the ending of
            one of them is drawn again.

    Returns:
        A function of the arguments only.

    Example:
        >>> free_problem(0, 2, ()).level
        2
    """
    rng = random.Random(f"math/free/{level}/{seed}")
    hidden = {(t.events, t.ending) for k, t in enumerate(templates()) if k in unseen}
    while True:
        template = _draw_template(rng, level)
        if template and (template.events, template.ending) not in hidden:
            return _fill(template, rng)


def _fill(template: Template, rng: random.Random) -> Problem:
    p, f, g, t = _shuffled(NAMES, rng)[:4]
    i, j = _shuffled(THINGS, rng)[:2]
    draw = _Draw(template, rng, {"p": p, "f": f, "g": g, "t": t, "i": i, "j": j})
    while True:
        try:
            return draw.problem()
        except _DrawAgain:
            continue


class _DrawAgain(Exception):
    """Numbers don't divide, are out of range, or a line occurs twice."""


class _Draw:
    """A template being filled: the sentences told and the steps taken so far."""

    def __init__(self, template: Template, rng: random.Random, words: dict[str, str]) -> None:
        self.template, self.rng, self.words = template, rng, words
        self.top = LARGEST[template.level]
        self.steps: list[tuple[str, str]] = []

    def tell(self, sentence: str, n: int = 0, k: int = 0) -> str:
        return sentence.format(**self.words, n=n, k=k)

    def factor(self, sign: str, a: int) -> int:
        """A number from 2 to 4 to multiply a by, or to divide it by without a rest."""
        fits = [k for k in (2, 3, 4) if (a % k == 0 if sign == "/" else a * k <= self.top)]
        if not fits:
            raise _DrawAgain
        return _pick(self.rng, fits)

    def step(self, thought: str, a: int, sign: str, b: int) -> int:
        """Write a step down; gives its result."""
        c = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[sign]
        line = f"{a} {sign} {b} = {c}"
        if max(a, b, c) > self.top or c < 2 or any(line == said for _, said in self.steps):
            raise _DrawAgain
        self.steps.append((thought, line))
        return c

    def event(self, kind: str, state: str, a: int) -> tuple[str, int]:
        """Draw and solve an event: its sentence and the new amount."""
        sign = EVENT_SIGNS[kind]
        pack = kind in ("packs", "boxes")
        n = _between(self.rng, 2, 6 if pack else 9)
        k = _between(self.rng, 2, 4) if sign in "+-" else self.factor(sign, a)
        sentence = self.tell(_pick(self.rng, EVENTS[kind]), n, k)
        if pack:
            n = self.step(sentence, k, "*", n)
            thought = f"{state} Then {n} {'more' if sign == '+' else 'fewer'}."
        else:
            thought = f"{state} {sentence}"
        return sentence, self.step(thought, a, sign, n if sign in "+-" else k)

    def end(self, state: str, a: int) -> tuple[str, int]:
        """Draw and solve the ending: what is told and asked, and the answer."""
        kind, rng = self.template.ending, self.rng
        fact, question = ENDINGS[kind]
        if kind == "now":
            return self.tell(question), a
        if kind == "goal":
            n = a + _between(rng, 2, 15)
            fact = self.tell(fact, n)
            return f"{fact} {self.tell(question)}", self.step(f"{state} {fact}", n, "-", a)
        sign = ENDING_SIGNS[kind]
        b = _between(rng, 2, 9) if sign in "+-" else self.factor(sign, a)
        fact = self.tell(fact, b, b)
        b = self.step(f"{state} {fact}", a, sign, b)
        if kind == "together":
            p, g = self.words["p"], self.words["g"]
            b = self.step(f"{p} has {a} and {g} has {b}.", a, "+", b)
        return f"{fact} {self.tell(question)}", b

    def problem(self) -> Problem:
        """One attempt at the whole problem."""
        template, rng = self.template, self.rng
        self.steps, amount = [], _between(rng, 4, 20)
        start = LATE_START if template.late else _pick(rng, STARTS)
        state = start = self.tell(start, amount)
        told = []
        for kind in template.events:
            sentence, amount = self.event(kind, state, amount)
            told.append(sentence)
            state = self.tell("Now {p} has {n} {i}.", amount)
        told.insert(len(told) if template.late else 0, start)
        asked, answer = self.end(state, amount)
        if template.noise:
            noise = self.tell(_pick(rng, NOISE[template.noise]), _between(rng, 2, 12))
            told.insert(template.noise_at, noise)
        return Problem(
            question=" ".join([*told, asked]),
            steps=tuple(self.steps),
            closing=self.tell(ENDINGS[template.ending][1]),
            answer=str(answer),
            template=template.name,
        )


def _between(rng: random.Random, low: int, high: int) -> int:
    """low to high. Only rng.random() is sure to stay the same across Python versions."""
    return low + int(rng.random() * (high - low + 1))


def _pick(rng: random.Random, choices: Sequence[T]) -> T:
    return choices[_between(rng, 0, len(choices) - 1)]


def _shuffled(words: Sequence[str], rng: random.Random) -> list[str]:
    return sorted(words, key=lambda _: rng.random())
