"""What each chapter of the book costs, by :mod:`agentprm_lite.tutorial.estimate`.

Chapters 1, 10 and 11 are not here: the first needs no model, the second reads what is stored, the
third's world is its own.
"""

from __future__ import annotations

from agentprm_lite.tutorial.estimate import SPEEDS, Work, memory, shape_of, stages
from agentprm_lite.tutorial.memory import GPUS
from agentprm_lite.tutorial.profiles import Profile, get_profile

_THREE = {"pool": 1, "greedy": 1, "judges": 3, "all scores": 3}
#: How often a chapter needs each stage besides SFT and rollouts; "judges": of every seed, ...
CHAPTERS: dict[str, dict[str, int]] = {
    "02_policy": {"rft": 1, "greedy": 5, "pool": 1},
    "03_rollouts": {"greedy": 1, "pool": 1, "mc": 1},
    "04_labels": {"mc": 1, "judges": 1},
    "05_agentprm": {**_THREE, "mc": 1, "judge": 1, "mc judge": 1},
    "06_best_of_n": {**_THREE, "rft": 1, "greedy": 2},
    "07_beam_search": {**_THREE, "all beams": 3},
    "08_ppo": {"judge": 1, "ppo": 3, "pool": 1, "ppo pool": 7},
    "09_math": {**_THREE, "all beams": 3},
    "12_beyond_one_machine": {"pool": 1, "judge": 1},
    "13_real_language_model": {},
}
WORLDS = {"09_math": ("math",)}


def chapter(name: str, number: str) -> list[tuple[Profile, Work]]:
    """What a chapter computes when it is opened alone: the profile and sum of each world."""
    found = []
    for env in WORLDS.get(number, ("textcraft",)):
        p = get_profile(name, env)
        seeds = {"judges": "judge", "all scores": "scores", "all beams": "beams"}
        parts = [
            stages(p)[seeds.get(word, word)].times(n * (p.reward_seeds if word in seeds else 1))
            for word, n in {"sft": 1, "rollouts": 1, **CHAPTERS[number]}.items()
        ]
        found.append((p, sum(parts, Work())))
    return found


def report(p: Profile) -> str:
    """Both tables as text."""
    shape, gpus = shape_of(p), list(SPEEDS)
    head = "".join(f"{x:>12}" for x in ("sampled", "read", "trained", "TFLOPs", *gpus))
    lines = [f"{p.name}, {p.env}: {shape.parameters:,} parameters ({p.base})", f"{'':22}{head}"]
    for stage, w in stages(p).items():
        numbers = [f"{x:,.0f}" for x in (w.sampled, w.prefilled, w.trained, w.flops / 1e12)]
        times = [clock(w.hours(shape, gpu)) for gpu in gpus]
        lines.append(f"{stage:22}" + "".join(f"{x:>12}" for x in numbers + times))
    for use, gib in memory(p).items():
        fits = ", ".join(gpu for gpu in gpus if gib <= GPUS[gpu]) or "none of these"
        lines.append(f"memory of {use}: {gib:.1f} GiB; fits {fits}")
    lines.append("chapters, each opened alone, in the worlds that they use")
    for number in CHAPTERS:
        sums = [sum(w.hours(shape_of(q), gpu) for q, w in chapter(p.name, number)) for gpu in gpus]
        lines.append(f"{number:22}" + " " * 48 + "".join(f"{clock(x):>12}" for x in sums))
    return "\n".join(lines)


def clock(hours: float) -> str:
    """Minutes below two hours.

    >>> clock(0.25), clock(30)
    ('15.0 min', '30.0 h')
    """
    return f"{60 * hours:.1f} min" if hours < 2 else f"{hours:.1f} h"
