"""What the benchmarks share: options, interleaved repeats, their spread, the record, token counts.

A figure is a ratio of two ways to do the same work, repeated in turns in one run, so that whatever
else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from transformers.utils import logging

from agentprm_lite.forward import split_model
from agentprm_lite.study import provenance
from agentprm_lite.tutorial import stages
from agentprm_lite.tutorial.profiles import Profile, get_profile
from agentprm_lite.tutorial.smollm2 import resolve

Row = dict[str, Any]


def options(doc: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--smoke", action="store_true", help="sizes that end in seconds, no limits")
    parser.add_argument("--profile", help="profile of sizes and policy (cpu; with --smoke: smoke)")
    parser.add_argument("--model", help="another policy than the profile's: folder or smollm2-135m")
    parser.add_argument("--repeats", type=int, default=5, help="runs of every way")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


def settings(args: argparse.Namespace) -> tuple[Profile, Path]:
    """The profile and the folder of the policy; the policy is trained if need be."""
    torch.set_num_threads(args.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    profile = get_profile(args.profile or ("smoke" if args.smoke else "cpu"))
    return profile, Path(resolve(args.model)) if args.model else stages.policy(profile).folder


def interleaved(
    ways: Mapping[str, Callable[[int], Any]], repeats: int
) -> tuple[dict[str, list[float]], dict[str, list[Any]]]:
    """Seconds and results of every way, run in turns; each gets the number of the repeat."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, list[Any]] = {name: [] for name in ways}
    for repeat in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            results[name].append(way(repeat))
            seconds[name].append(time.perf_counter() - start)
    return seconds, results


def spread(numbers: Sequence[float]) -> dict[str, float]:
    """Smallest, median and largest."""
    return {"min": min(numbers), "median": statistics.median(numbers), "max": max(numbers)}


def ratios(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Spread of the quotients of each repeat."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def show(found: Sequence[Row]) -> None:
    """Print ratios, with their targets."""
    for r in found:
        low, middle, high = (f"{r['ratio'][k]:.2f}" for k in ("min", "median", "max"))
        target = f", target {r['target']}x" if r["target"] else ""
        print(f"{r['what']}: {middle}x (from {low}x to {high}x{target})")


def write(args: argparse.Namespace, script: str, argv: Sequence[str] | None, found: Row) -> None:
    """The numbers with where, when and by which command they were made, if a file is named."""
    if args.out is None:
        return
    words = list(sys.argv[1:] if argv is None else argv)
    for i, option in enumerate(words[:-1]):  # folders of one machine mean nothing on another
        if option == "--model":
            words[i + 1] = Path(words[i + 1]).name
        elif option == "--trl-python":
            words[i + 1] = "ENV/bin/python"
    record = {
        "command": f"python benchmarks/{Path(script).name} {shlex.join(words)}",
        **provenance(),
        "transformers": version("transformers"),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "threads": args.threads,
        "repeats": args.repeats,
        **found,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def check(found: Sequence[Row]) -> None:
    """Stop with an error if a ratio's median misses its target."""
    missed = [f"{r['what']}: {r['ratio']['median']:.2f}x, target {r['target']}x"
              for r in found if r["target"] and r["ratio"]["median"] < r["target"]]  # fmt: skip
    if missed:
        raise SystemExit("missed: " + "; ".join(missed))


class Tokens:
    """Counts what goes through a model's body, by a hook on its forward.

    ``real`` leaves out padding: every batch of the library is padded with id 0, which no history
    may hold.
    """

    def __init__(self, model: Any) -> None:
        self.body = split_model(model)[0]
        self.real = self.positions = self.calls = 0

    def __enter__(self) -> Self:
        self._hook = self.body.register_forward_pre_hook(self._count, with_kwargs=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        self._hook.remove()

    def _count(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        ids = kwargs["input_ids"]
        self.real += int((ids != 0).sum())
        self.positions += ids.numel()
        self.calls += 1
