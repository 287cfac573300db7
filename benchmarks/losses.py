"""Losses of AgentPRM compared: the usual one (M's squared error through a sigmoid, L_A with the
paper's differences), cross-entropy on soft targets, the paper's squared error on a head without a
sigmoid, and L_A with the target "gae". All else is the same: data, seeds, epochs, held-out tasks.

Run: python benchmarks/losses.py --out results/losses.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from agentprm_lite.study import Interval, bootstrap_interval
from agentprm_lite.study.bars import share_explained
from agentprm_lite.study.curves import LOSSES, as_text, judged, tasks_of
from agentprm_lite.tutorial import get_profile


def verdicts(world: dict[str, Any]) -> dict[str, dict[str, Interval]]:
    """Of each loss what it explains on the pool, and how much of the variance the usual one
    explains less."""
    errors: dict[str, list[list[float]]] = {}
    for row in world["rows"]:
        errors.setdefault(row["loss"], []).append(row["error"])
    sums = [world["turns"], world["returns"], world["squares"]]
    base, families = errors[next(iter(LOSSES))], world["families"]
    return {
        name: {
            "explained_variance": bootstrap_interval(
                ours, *sums, of=share_explained, families=families
            ),
            "minus_usual": bootstrap_interval(
                ours,
                base,
                *sums,
                of=lambda o, b, *x: share_explained(o, *x) - share_explained(b, *x),
                families=families,
            ),
        }
        for name, ours in errors.items()
    }


def main() -> int:
    """Train and measure; the file has each row as soon as it is made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="study")
    parser.add_argument("--world", default="textcraft")
    parser.add_argument("--rollouts", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    p = get_profile(args.profile, args.world)
    world = {**json.loads(json.dumps(tasks_of(p))), "rows": []}
    for seed in range(args.seeds):
        for loss in LOSSES:
            row = json.loads((judged(p, args.rollouts, seed, 1.0, loss) / "row.json").read_text())
            world["rows"].append(row | {"command": f"python benchmarks/losses.py --out {args.out}"})
            kept = {"profile": args.profile, "worlds": {args.world: world}}
            args.out.write_text(as_text(kept), encoding="utf-8")
    for name, found in verdicts(world).items():
        print(name, {k: tuple(round(x, 3) for x in v) for k, v in found.items()})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
