"""A claim's numbers as a file, with where they come from, and its figure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agentprm_lite import plots
from agentprm_lite.claims.evidence import EVIDENCE
from agentprm_lite.claims.rules import CLAIMS, overall
from agentprm_lite.metrics import Interval
from agentprm_lite.pipeline import artifacts_used, beam_tasks, pool, seconds_of
from agentprm_lite.profiles import Profile, get_profile
from agentprm_lite.ranks import place
from agentprm_lite.search import by_task
from agentprm_lite.study import provenance

TITLES = {"textcraft": "TextCraft", "babyai": "BabyAI", "webshop": "WebShop", "math": "Math"}
NAMES = {
    "orm": "ORM",
    "pvm": "PVM",
    "mc_hard": "MC-hard",
    "mc_soft": "MC-soft",
    "pqm": "PQM",
    "agentprm": "AgentPRM",
    "greedy SFT": "SFT",
    "greedy RFT": "RFT",
    "no_la": "no L_A",
    "pav": "PAV-style",
}
TRAINING = ("rollouts-", "mc-")  # artifacts that reward models learn from


def claim(name: str, profile: str, worlds: Sequence[str] | None = None) -> dict[str, Any]:
    """Test one claim of the paper.

    Args:
        name: ``"C1"`` to ``"C9"``.
        profile: name of a profile; its base model is the size that is tested.
        worlds: environments; by default all in which the claim is tested.

    Returns:
        Plain data: what is claimed, and for every world the verdict, all tests with intervals, n,
        seeds, sampled tokens and minutes.

    Raises:
        ValueError: there is no such claim, or it isn't tested in one of the worlds.
    """
    if name not in CLAIMS:
        raise ValueError(f"claim {name!r} is unknown, expected one of {sorted(CLAIMS)}")
    known = CLAIMS[name]
    wrong = sorted(set(worlds or ()) - set(known.worlds))
    if wrong:
        raise ValueError(f"{name} is tested in {list(known.worlds)}, not in {wrong}")
    chosen = [env for env in known.worlds if worlds is None or env in worlds]
    return {
        "claim": name,
        "says": known.says,
        "paper": known.paper,
        "unit": known.unit,
        "profile": profile,
        "base": get_profile(profile).base,
        **provenance(),
        "worlds": {env: _in_world(name, get_profile(profile, env)) for env in chosen},
    }


def _in_world(name: str, p: Profile) -> dict[str, Any]:
    with artifacts_used() as folders:
        tests, shown = EVIDENCE[name](p)
        tasks, beamed = len(by_task(pool(p))), len(beam_tasks(p))
    verdict, basis = overall(tests) if tests else ("undecided", None)
    learned = [f for f in folders if f.name.startswith(TRAINING)]
    return {
        "verdict": verdict,
        "rests_on": basis.name if basis else "no held-out task has both outcomes",
        "tests": [t.to_json() for t in tests],
        "tasks": tasks,
        "beam_tasks": beamed,
        "candidates": p.eval_samples,
        "tokens": {
            "training": sum(map(sampled_tokens, learned)),
            "evaluation": sum(sampled_tokens(f) for f in folders if f not in learned),
        },
        "minutes": round(sum(map(seconds_of, folders)) / 60, 1),
        "artifacts": [f.name for f in folders],
        "shown": shown,
    }


@lru_cache(maxsize=1000)
def sampled_tokens(folder: Path) -> int:
    """Tokens that a policy sampled for an artifact; the expert's and servers' own are none.

    Args:
        folder: of the artifact.

    Returns:
        The number.
    """
    if folder.name.startswith("demos-"):
        return 0
    files = sorted(folder.glob("*.jsonl"))
    counts = [re.findall(rb'"usage":\{"generated":(\d+)', f.read_bytes()) for f in files]
    total = sum(int(n) for found in counts for n in found)
    if (folder / "outcomes.json").exists():
        total += sum(r["tokens"] for r in json.loads((folder / "outcomes.json").read_text()))
    if folder.name.startswith("ppo_") and (folder / "log.json").exists():
        log = json.loads((folder / "log.json").read_text())
        total += int(sum(r["tokens"] for r in log))
    return total


def reproduce(
    names: Sequence[str], profile: str, worlds: Sequence[str] | None, out: Path
) -> list[Path]:
    """Test claims and write each one's numbers and figure.

    Everything is made from the pipeline's artifacts, so that an interrupted call goes on where it
    stopped. The file of a claim is written when all its worlds are done.

    Args:
        names: ``"C1"`` to ``"C9"``.
        profile: name of a profile.
        worlds: environments; claims that aren't tested in any of them are left out.
        out: folder of the files.

    Returns:
        The JSON files; each has a figure of the same name beside it.

    Raises:
        ValueError: no claim is tested in these worlds.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in names:
        chosen = [env for env in CLAIMS[name].worlds if worlds is None or env in worlds]
        if not chosen:
            continue
        command = f"agentprm reproduce --claim {name} --profile {profile}"
        if chosen != list(CLAIMS[name].worlds):
            command += f" --worlds {' '.join(chosen)}"
        numbers = {"command": command, **claim(name, profile, chosen)}
        path = out / f"{name}_{profile}.json"
        written.append(path)
        if place().first:
            path.write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n")
            drawn = figure(numbers)
            drawn.savefig(
                path.with_suffix(".png"), dpi=144, facecolor="white", bbox_inches="tight"
            )
    if not written:
        raise ValueError(f"none of {list(names)} is tested in {list(worlds or ())}")
    return written


def figure(numbers: dict[str, Any]) -> Any:
    """The figure of a claim: its curves, or the intervals of its tests.

    Args:
        numbers: what :func:`claim` returned.

    Returns:
        A matplotlib figure.
    """
    worlds = numbers["worlds"]
    shown = {env: w["shown"] for env, w in worlds.items()}
    if numbers["claim"] == "C5":
        runs = next(iter(shown.values()))["runs"]
        success = {name: run["training_success"] for name, run in runs.items()}
        rounds = range(1, 1 + len(next(iter(success.values()))[0]))
        panel = {name: (list(rounds), y) for name, y in success.items()}
        return plots.training_curves({"success in training": panel}, xlabel="round")
    if numbers["claim"] == "C8":
        panels = {
            TITLES[env]: _curves({
                k: [[np.nan if x is None else x] * 3 for x in v["auroc_by_fraction"]]
                for k, v in w["values"].items()
            })
            for env, w in shown.items()
        }  # fmt: skip
        at = next(iter(next(iter(shown.values()))["values"].values()))["fractions"]
        xlabel = "part of the way"
        return plots.curves_by_panel(at, panels, xlabel=xlabel, ylabel="AUROC", log=False)
    if all("best_of_n" in w for w in shown.values()):
        ns = next(iter(shown.values()))["ns"]
        panels = {TITLES[env]: _curves(w["best_of_n"]) for env, w in shown.items()}
        if numbers["claim"] == "C3":  # beside each world's rewards what the judges believed
            panels = {
                f"{TITLES[env]}: {title}": _curves(w[key])
                for env, w in shown.items()
                for title, key in (("reward", "best_of_n"), ("M of the chosen", "score_of_chosen"))
            }
        ylabel = "" if numbers["claim"] == "C3" else "reward of the chosen"
        return plots.curves_by_panel(ns, panels, ylabel=ylabel)
    tests = {
        TITLES[env]: {t["name"]: Interval(*t["interval"]) for t in w["tests"]}
        for env, w in worlds.items()
    }
    bar = next((t["bar"] for w in worlds.values() for t in w["tests"]), 0.0)
    unit = "difference in reward" if numbers["unit"] == "points" else numbers["unit"]
    return plots.forest(tests, bar=bar, xlabel=unit)


def _curves(rows: dict[str, list[list[float]]]) -> dict[str, list[Interval]]:
    return {NAMES.get(k, k): [Interval(*r) for r in curve] for k, curve in rows.items()}
