"""What the limit of a turn's tokens costs: the study's policies, greedily, with two limits.

A turn that reaches the limit is cut there, and an action that is cut is no action.

Run: python benchmarks/turn_limit.py --out results/turn_limit.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentprm_lite.env import env_class
from agentprm_lite.study.provenance import provenance
from agentprm_lite.study.raw import attempt_row
from agentprm_lite.tutorial import get_profile, player, policy, test_tasks

LIMITS = (64, 112)


def measure(profile: str, world: str) -> dict[str, Any]:
    """Rows of greedy attempts at the held-out tasks, by limit."""
    p = get_profile(profile, world)
    actor, tasks = policy(p), test_tasks(p)
    rows = {}
    for limit in LIMITS:
        greedy = player(replace(actor, profile=replace(p, max_new_tokens=limit)), 0.0)
        played = greedy.run([greedy.start(task, 0, 1) for task in tasks])
        rows[f"{limit}"] = [attempt_row(t) for t in played]
    families = [env_class(world).family(task.index) for task in tasks]
    return {**provenance(), "families": families, "greedy": rows}


def main(argv: Sequence[str] | None = None) -> int:
    """Play and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="study")
    parser.add_argument("--worlds", nargs="+", default=["textcraft", "babyai", "webshop", "math"])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    kept = {
        "command": f"python benchmarks/turn_limit.py --out {args.out}",
        "profile": args.profile,
        "row": "reward, success, cut by the context, tokens of each turn",
        "worlds": {world: measure(args.profile, world) for world in args.worlds},
    }
    args.out.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    for world, found in kept["worlds"].items():
        solved = {k: sum(row[1] for row in rows) for k, rows in found["greedy"].items()}
        print(world, solved, "of", len(found["families"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
