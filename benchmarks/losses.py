"""Losses of AgentPRM compared: the usual one (M's squared error through a sigmoid, L_A with the
paper's differences), cross-entropy on soft targets, the paper's squared error on a head without a
sigmoid, and L_A with the target "gae". All else is the same: data, seeds, epochs, held-out tasks.

Run: python benchmarks/losses.py --out results/losses.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from agentprm_lite.study import losses_compared
from agentprm_lite.study.curves import LOSSES, as_text, judged, tasks_of
from agentprm_lite.tutorial import get_profile


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
    for name, found in losses_compared(world).items():
        print(name, {k: tuple(round(x, 3) for x in v) for k, v in found.items()})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
