"""The sentences of word problems, by kind, and what each kind calculates.

{p} is the person of the problem, {f} and {g} are others, {t} one who has nothing to do with it; {i}
are the things, {j} others; {n} and {k} are numbers.
"""

NAMES = (
    *("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gwen", "Hugo"),
    *("Ida", "Jon", "Kim", "Leo", "Mia", "Noah", "Pia", "Tom"),
)
THINGS = (
    *("apples", "beads", "books", "buttons", "cards", "cookies", "eggs", "flowers"),
    *("marbles", "nuts", "pears", "pens", "shells", "stamps", "stickers", "stones"),
)
EVENTS = {
    "gain": (
        "{p} buys {n} more {i}.",
        "{p} finds {n} {i}.",
        "{f} gives {p} {n} {i}.",
    ),
    "lose": (
        "{p} gives {n} {i} to {f}.",
        "{p} loses {n} {i}.",
        "{p} sells {n} {i}.",
    ),
    "times": (
        "A month later {p} has {k} times as many {i}.",
        "Then {p} works until there are {k} times as many {i}.",
    ),
    "share": (
        "{p} makes {k} equal heaps of {i} and keeps only one heap.",
        "{p} shares all {i} equally among {k} people and keeps one part.",
    ),
    "packs": (
        "{p} buys {k} bags with {n} {i} each.",
        "{f} brings {p} {k} boxes of {n} {i} each.",
    ),
    "boxes": (
        "{p} sells {k} bags with {n} {i} each.",
        "{f} takes {k} boxes of {n} {i} each from {p}.",
    ),
}
EVENT_STEPS = {"gain": 1, "lose": 1, "times": 1, "share": 1, "packs": 2, "boxes": 2}
ENDINGS = {
    "now": ("", "How many {i} does {p} have now?"),
    "price": ("{p} sells all {i} for {k} coins each.", "How many coins does {p} get?"),
    "goal": ("{p} wants to have {n} {i}.", "How many {i} are missing?"),
    "bags": ("{p} puts all {i} into bags of {k}.", "How many bags does {p} fill?"),
    "fewer": ("Now {g} has {n} fewer {i} than {p}.", "How many {i} does {g} have?"),
    "more": ("Now {g} has {n} more {i} than {p}.", "How many {i} does {g} have?"),
    "together": (
        "Now {g} has {n} fewer {i} than {p}.",
        "How many {i} do {p} and {g} have together?",
    ),
}
ENDING_STEPS = {k: {"now": 0, "together": 2}.get(k, 1) for k in ENDINGS}
EVENT_SIGNS = {"gain": "+", "lose": "-", "times": "*", "share": "/", "packs": "+", "boxes": "-"}
ENDING_SIGNS = {"price": "*", "bags": "/", "fewer": "-", "more": "+", "together": "-"}
STARTS = ("{p} has {n} {i}.", "{p} starts with {n} {i}.")
LATE_START = "Before all this {p} had {n} {i}."
NOISE = {
    "other person": ("{t} buys {n} more {i}.", "{t} has {n} {i}.", "{t} loses {n} {i}."),
    "other thing": ("{p} buys {n} {j}.", "{p} also has {n} {j}."),
    "fact": ("{p} has {n} friends.", "{p} lives at number {n}."),
}
