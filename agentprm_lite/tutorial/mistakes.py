"""Turns that go wrong, made from what the player has read and what an expert would do there.

A slip is a turn whose thought fits its action: a wrong count, a craft too early, another object, a
wrong product said to fit, a false sum. In most worlds the expert mends it afterwards.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence, Set

Advice = tuple[str, str]  # thought and action
COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
_OFFERED = re.compile(r'"([^"]+)"')
_HIT = re.compile(r"\[SEP\] (B0\w{8}) \[SEP\] (.+?) \[SEP\] (\$\S+)")
_CAP = re.compile(r"lower than ([\d.]+) dollars")
FITTING = 0.7  # of wrong products that keep to the price
SUM = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


def slip(world: str, seen: Sequence[str], turn: Advice, rng: random.Random) -> Advice:
    """What an imperfect player does in place of an expert.

    Args:
        world: name of the world.
        seen: the observations so far.
        turn: thought and action of the expert.
        rng: makes the choice.

    Returns:
        Thought and action; those of the expert where nothing else can be done.

    Example:
        >>> slip("math", ["Ann has 5 eggs."], ("Five and two.", "5 + 2 = 7"), random.Random(1))
        ('Five and two.', '5 + 2 = 8')
    """
    return {"textcraft": _craft, "babyai": _move, "webshop": _shop, "math": _sum}[world](
        seen, turn, rng
    )


def _craft(seen: Sequence[str], turn: Advice, rng: random.Random) -> Advice:
    thought, action = turn
    lines = [line for line in seen[0].split("\n") if line.startswith("craft ")]
    kind = rng.random()
    if kind < 0.35 and action.startswith("get "):  # a wrong count
        count, item = action.removeprefix("get ").split(" ", 1)
        other = rng.choice([n for n in (int(count) - 1, int(count) + 1, int(count) * 2) if n > 0])
        need = thought.replace(f"I need {count} {item}.", f"I need {other} {item}.")
        return need, f"get {other} {item}"
    if kind < 0.65:  # a craft of some line, too early or beside the point
        line = rng.choice(lines)
        return f"I have everything for {_made(line)}.", line
    if kind < 0.95:  # an input of another line
        line = rng.choice(lines)
        part = rng.choice(line.split(" using ")[1].split(", "))
        return f"{line}. I need {part}.", f"get {part}"
    return "I look at what I carry.", "inventory"


def _made(line: str) -> str:
    return line.split(" using ")[0].split(" ", 2)[2]


def _move(seen: Sequence[str], turn: Advice, rng: random.Random) -> Advice:
    thought, action = turn
    others = [text for text in _OFFERED.findall(seen[-1]) if text != action and "check" not in text]
    if not others:
        return turn
    other = rng.choice(others)
    need = thought.split(". ")[0] + "."
    if rng.random() < 0.2:  # something that isn't there
        name = f"{rng.choice(COLOURS)} {rng.choice(('ball', 'box', 'key'))} 1"
        return f"{need} It is {name}.", f"{rng.choice(('go to', 'pickup'))} {name}"
    for verb in ("pickup ", "go to ", "toggle and go through "):
        if other.startswith(verb):
            return f"{need} It is {other.removeprefix(verb)}.", other
    if other.startswith("go through "):
        return f"{need} I do not see it. I look behind {other.removeprefix('go through ')}.", other
    if other == "drop":
        return f"{need} I carry it, and there is room in front of me.", other
    return f"{need} I do not see it. I look around.", other


def _shop(seen: Sequence[str], turn: Advice, rng: random.Random) -> Advice:
    thought, action = turn
    hits = _HIT.findall(seen[-1])
    if action.startswith("search["):
        words = action[7:-1].split()
        cut = " ".join(words[rng.randrange(1, len(words)) :]) if len(words) > 1 else words[0]
        return f"I look for {cut}.", f"search[{cut}]"
    if hits and action.startswith("click[B0"):  # a product before or after the right one
        place = [number for number, _, _ in hits].index(action[6:-1])
        other = rng.choice([k for k in range(min(len(hits), place + 3)) if k != place] or [place])
        read = re.split(r"(?<=\.) (?=B0)", thought)[:other]
        kind = " ".join(hits[0][1].split()[-2:])
        for number, title, _ in hits[len(read) : other]:
            read.append(f"{number} [SEP] {title.removesuffix(' ' + kind)} no.")
        number, title, price = hits[other]
        read = [line.replace(" fits.", " too dear.") for line in read]
        read.append(f"{number} [SEP] {title} [SEP] {price} fits.")
        return " ".join(read), f"click[{number}]"
    if thought.startswith("I choose ") or "I go back" in thought:
        number = _current(seen)
        options = _options(seen[-1])
        if rng.random() < 0.5 and options:
            name, value = rng.choice(options)
            return f"I choose {name}: {value}.", f"click[{value}]"
        if number:
            return f"{number} is as wanted. I buy it.", "click[Buy Now]"
    return turn


def any_product(page: str, among: Set[str], rng: random.Random) -> Advice | None:
    """A click on one of some products, said to fit; what is said of those before it on the page of
    results is drawn, be it true or not. None where none of them is on the page."""
    hits = _HIT.findall(page)
    places = [place for place, (number, _, _) in enumerate(hits) if number in among]
    if not places:
        return None
    cap = float(_CAP.findall(page)[0])
    fits = [place for place in places if float(hits[place][2].removeprefix("$")) <= cap]
    places = fits if fits and rng.random() < FITTING else places
    place = rng.choice(places[:4])
    kind = " ".join(hits[0][1].split()[-2:])
    read = []
    for number, title, price in hits[:place]:
        if rng.random() < 0.7:
            read.append(f"{number} [SEP] {title.removesuffix(' ' + kind)} no.")
        else:
            read.append(f"{number} [SEP] {title} [SEP] {price} too dear.")
    number, title, price = hits[place]
    read.append(f"{number} [SEP] {title} [SEP] {price} fits.")
    return " ".join(read), f"click[{number}]"


def _current(seen: Sequence[str]) -> str:
    """Number of the product whose page is open: it was the only one clicked on since."""
    page = seen[-1].split(" [SEP] ")
    title = page[page.index("Price: " + _price(page)) - 1] if _price(page) else ""
    for text in reversed(seen[:-1]):
        for number, name, _ in _HIT.findall(text):
            if name == title:
                return number
    return ""


def _price(page: Sequence[str]) -> str:
    return next((part.removeprefix("Price: ") for part in page if part.startswith("Price: ")), "")


def _options(text: str) -> list[tuple[str, str]]:
    """Names and values on the page of a product."""
    if "[SEP] < Prev [SEP]" not in text or "[SEP] Price: " not in text:
        return []
    names = {"color", "size", "scent", "pack", "length", "theme", "age", "flavor"}
    found, name = [], ""
    for part in text.partition("[SEP] < Prev [SEP] ")[2].split(" [SEP] ")[:-7]:
        if part in names:
            name = part
        elif name:
            found.append((name, part))
    return found


def _sum(seen: Sequence[str], turn: Advice, rng: random.Random) -> Advice:
    thought, action = turn
    match = SUM.fullmatch(action)
    if match is None:
        return turn
    a, sign, b = int(match[1]), match[2], int(match[3])
    if rng.random() < 0.5:
        return false_sum(turn, rng)
    numbers = [int(text) for text in re.findall(r"\d+", seen[0])]
    if rng.random() < 0.5:  # a number that isn't asked for
        b = rng.choice(numbers)
    else:
        sign = rng.choice([s for s in "+-*" if s != sign])
    if sign == "/" and a % b:
        sign = "-"
    results = {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0}
    if results[sign] < 1:
        a, b = b, a
        results["-"] = a - b
    return (thought, f"{a} {sign} {b} = {results[sign]}") if 0 < results[sign] < 100 else turn


def false_sum(turn: Advice, rng: random.Random) -> Advice:
    """The turn with another result; itself where it is no sum.

    >>> false_sum(("Five and two.", "5 + 2 = 7"), random.Random(1))
    ('Five and two.', '5 + 2 = 9')
    """
    match = SUM.fullmatch(turn[1])
    if match is None:
        return turn
    c = int(match[4])
    other = rng.choice([n for n in (c + 1, c + 2, c - 1, c + 10, c - 10) if n > 0])
    return turn[0], f"{match[1]} {match[2]} {match[3]} = {other}"
