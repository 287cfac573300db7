"""A claim's numbers as a file, with where they come from, and its figure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agentprm_lite.distributed.ranks import place
from agentprm_lite.metrics import Interval
from agentprm_lite.study.beyond import QUESTIONS, Question
from agentprm_lite.study.evidence import EVIDENCE
from agentprm_lite.study.rules import CLAIMS, WORTH, decide, overall
from agentprm_lite.study.tables import provenance
from agentprm_lite.tutorial import plots
from agentprm_lite.tutorial.pipeline import artifacts_used, beam_tasks, pool, seconds_of, test_tasks
from agentprm_lite.tutorial.profiles import Profile, get_profile

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
CHANGES = {"auroc": "AUROC within tasks", "brier": "Brier score", "offset": "mean M - outcome"}
BANDS = ("ORM", "PVM", "AgentPRM")
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
    chosen = _chosen(name, known.worlds, worlds)
    return {
        "claim": name,
        "says": known.says,
        "paper": known.paper,
        "unit": known.unit,
        **_where(profile),
        "worlds": {env: _in_world(name, get_profile(profile, env)) for env in chosen},
    }


def question(name: str, profile: str, worlds: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure what bears on a question beyond the paper; no verdict follows.

    Args:
        name: ``"B1"`` to ``"B4"``.
        profile: name of a profile.
        worlds: environments; by default all in which it is asked.

    Returns:
        Plain data: what is asked, and for every world what was measured, n, seeds, sampled tokens
        and minutes.

    Raises:
        ValueError: there is no such question, or it isn't asked in one of the worlds.
    """
    if name not in QUESTIONS:
        raise ValueError(f"question {name!r} is unknown, expected one of {sorted(QUESTIONS)}")
    known = QUESTIONS[name]
    chosen = _chosen(name, known.worlds, worlds)
    return {
        "question": name,
        "asks": known.asks,
        **_where(profile),
        "worlds": {env: _answered(known, get_profile(profile, env)) for env in chosen},
    }


def _chosen(name: str, known: Sequence[str], asked: Sequence[str] | None) -> list[str]:
    wrong = sorted(set(asked or ()) - set(known))
    if wrong:
        raise ValueError(f"{name} is tested in {list(known)}, not in {wrong}")
    return [env for env in known if asked is None or env in asked]


def _where(profile: str) -> dict[str, str]:
    return {"profile": profile, "base": get_profile(profile).base, **provenance()}


def _answered(known: Question, p: Profile) -> dict[str, Any]:
    with artifacts_used() as folders:
        shown = known.answer(p)
    return {"shown": shown, **_cost(p, folders)}


def _in_world(name: str, p: Profile) -> dict[str, Any]:
    with artifacts_used() as folders:
        tests, shown = EVIDENCE[name](p)
    verdict, basis = overall(tests) if tests else ("undecided", None)
    return {
        "verdict": verdict,
        "rests_on": basis.name if basis else "no held-out task has both outcomes",
        "tests": [t.to_json() for t in tests],
        "shown": shown,
        **_cost(p, folders),
    }


def _cost(p: Profile, folders: Sequence[Path]) -> dict[str, Any]:
    """Sizes, and what everything took that was made or used."""
    learned = [f for f in folders if f.name.startswith(TRAINING) or _is_ppo_run(f)]
    cut = [t.truncated_by == "tokens" for t in pool(p)]
    return {
        "tasks": len(test_tasks(p)),
        "cut_by_context": round(float(np.mean(cut)), 4),
        "beam_tasks": len(beam_tasks(p)),
        "candidates": p.eval_samples,
        "seeds": p.reward_seeds,
        "tokens": {
            "training": sum(map(sampled_tokens, learned)),
            "evaluation": sum(sampled_tokens(f) for f in folders if f not in learned),
        },
        "minutes": round(sum(map(seconds_of, folders)) / 60, 1),
        "artifacts": [f.name for f in folders],
    }


def _is_ppo_run(folder: Path) -> bool:
    return folder.name.startswith("ppo_") and (folder / "log.json").exists()


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
    if _is_ppo_run(folder):
        log = json.loads((folder / "log.json").read_text())
        total += int(sum(r["tokens"] for r in log))
    return total


def reproduce(
    names: Sequence[str], profile: str, worlds: Sequence[str] | None, out: Path
) -> list[Path]:
    """Test claims, answer questions, and write each one's numbers and figure.

    Everything is made from the pipeline's artifacts, so that an interrupted call goes on where it
    stopped. The file of a claim is written when all its worlds are done.

    Args:
        names: ``"C1"`` to ``"C9"``, ``"B1"`` to ``"B4"``.
        profile: name of a profile.
        worlds: environments; what isn't tested in any of them is left out.
        out: folder of the files.

    Returns:
        The JSON files; each has a figure of the same name beside it.

    Raises:
        ValueError: nothing is tested in these worlds.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in names:
        everywhere = (CLAIMS | QUESTIONS)[name].worlds
        chosen = [env for env in everywhere if worlds is None or env in worlds]
        if not chosen:
            continue
        command = f"agentprm reproduce --claim {name} --profile {profile}"
        if chosen != list(everywhere):
            command += f" --worlds {' '.join(chosen)}"
        measure = claim if name in CLAIMS else question
        numbers = {"command": command, **measure(name, profile, chosen)}
        path = out / f"{name}_{profile}.json"
        written.append(path)
        if place().first:
            path.write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n")
            drawn = figure(numbers)
            drawn.savefig(path.with_suffix(".png"), dpi=144, facecolor="white", bbox_inches="tight")
    if not written:
        raise ValueError(f"none of {list(names)} is tested in {list(worlds or ())}")
    return written


def figure(numbers: dict[str, Any]) -> Any:
    """The figure of a claim or question: its curves, or intervals.

    Args:
        numbers: what :func:`claim` or :func:`question` returned.

    Returns:
        A matplotlib figure.
    """
    worlds = numbers["worlds"]
    shown = {env: w["shown"] for env, w in worlds.items()}
    name = numbers.get("claim") or numbers["question"]
    if name == "C5":
        gains = {
            f"{where.replace('_', '-')} goals": {
                reward: Interval(*run["minus_sft"][where]) for reward, run in w["runs"].items()
            }
            for w in shown.values()
            for where in ("held_out", "training")
        }
        return plots.forest(gains, xlabel="reward after PPO minus SFT's")
    if name == "B3":
        runs = next(iter(shown.values()))["runs"]
        success = {name: run["training_success"] for name, run in runs.items()}
        rounds = range(1, 1 + len(next(iter(success.values()))[0]))
        panel = {name: (list(rounds), y) for name, y in success.items()}
        return plots.training_curves({"success in training": panel}, xlabel="round")
    if name == "B1":
        changes = {
            TITLES[env]: {
                label: Interval(*w["beta 1"]["minus_beta_0"][key])
                for key, label in CHANGES.items()
                if w["beta 1"]["minus_beta_0"][key]
            }
            for env, w in shown.items()
        }
        return plots.forest(changes, xlabel="with minus without L_A")
    if name == "C8":
        return _auroc_figure(shown)
    if all("best_of_n" in w for w in shown.values()):
        ns = next(iter(shown.values()))["ns"]
        panels = {TITLES[env]: _curves(w["best_of_n"]) for env, w in shown.items()}
        if name == "C2":
            return _judges_figure(ns, panels, [w["tokens_a_sample"] for w in shown.values()])
        if name == "C3":  # beside each world's rewards what the judges believed
            panels = {
                f"{TITLES[env]}: {title}": _curves(w[key])
                for env, w in shown.items()
                for title, key in (("reward", "best_of_n"), ("M of the chosen", "score_of_chosen"))
            }
        ylabel = "" if name == "C3" else "reward of the chosen"
        return plots.curves_by_panel(ns, panels, ylabel=ylabel)
    tests = {
        TITLES[env]: {in_words(t["name"]): Interval(*t["interval"]) for t in w["tests"]}
        for env, w in worlds.items()
    }
    bar = next((t["bar"] for w in worlds.values() for t in w["tests"]), 0.0)
    unit = "difference in reward" if numbers["unit"] == "points" else numbers["unit"]
    return plots.forest(tests, bar=bar, worth=WORTH, xlabel=unit)


def in_words(test: str) -> str:
    """The name of a test with its judges' names and a minus sign.

    Args:
        test: as in a claim's file.

    Returns:
        The text.

    Example:
        >>> in_words("best of 64 - mc_hard")
        'best of 64 − MC-hard'
    """
    words = (NAMES.get(word, word) for word in test.replace(" - ", " − ").split(" "))
    return " ".join(words)


def _auroc_figure(shown: dict[str, Any]) -> Any:
    """AUROC within a task after fixed turns and halfway, where a counter of turns stands, too."""
    nothing = [np.nan] * 3
    panels = {}
    steps = list(next(iter(next(iter(shown.values()))["values"].values()))["auroc_within_step"])
    for env, w in shown.items():
        rows = {
            kind: [*v["auroc_within_step"].values(), v["auroc_within_half"]]
            for kind, v in w["values"].items()
        }
        rows["fewest turns"] = [None] * len(steps) + [w["turn_counter"]]
        known = {k: [x or nothing for x in curve] for k, curve in rows.items()}
        panels[TITLES[env]] = _curves({
            k: c if NAMES.get(k) == "AgentPRM" else [[x[0]] * 3 for x in c]
            for k, c in known.items()
        })  # fmt: skip
    at = range(1, len(steps) + 2)
    drawn = plots.curves_by_panel(at, panels, xlabel="after", ylabel="AUROC", log=False)
    for ax in drawn.axes:
        ax.set_xticks(list(at), [*(f"turn {k}" for k in steps), "half"])
        ax.axhline(0.5, color=plots.GREY, linewidth=1)
    return drawn


def effect(test: dict[str, Any], unit: str) -> str:
    """A test's estimate with its interval, in the unit of its claim; rewards as points.

    Args:
        test: one of a claim's ``tests``.
        unit: the claim's.

    Returns:
        The text.

    Example:
        >>> effect({"interval": [0.123, -0.04, 0.3]}, "points")
        '12.3 [-4.0, 30.0]'
    """
    if unit == "AUROC":
        mean, low, high = (f"{x:.3f}" for x in test["interval"])
        return f"{mean} [{low}, {high}]"
    scale = 100 if unit == "points" else 1
    mean, low, high = (f"{scale * x:.1f}" for x in test["interval"])
    return f"{mean}{'×' if unit == 'times' else ''} [{low}, {high}]"


def deciding(world: dict[str, Any]) -> dict[str, Any] | None:
    """The test that the verdict rests on.

    Args:
        world: one of a claim's ``worlds``.

    Returns:
        One of its ``tests``; None if there is none.
    """
    return next((t for t in world["tests"] if t["name"] == world["rests_on"]), None)


def verdict_figure(
    claims: dict[str, dict[str, Any]], again: dict[str, dict[str, dict[str, Any]]] | None = None
) -> Any:
    """All verdicts and their effects in one picture.

    "never" is a multiple of 0; † marks a test that a counter of turns passes, too.

    Args:
        claims: for each name what :func:`claim` returned.
        again: the same for claims that were tested again, by what was different then ("more
            tasks"); rows of their own.

    Returns:
        A matplotlib figure.
    """
    cells: dict[str, dict[str, tuple[str, str]]] = {}
    for name, numbers in claims.items():
        cells[f"{name} {CLAIMS[name].short}"] = _verdict_cells(numbers)
        for different, others in (again or {}).items():
            if name in others:
                cells[f"{name}, {different}"] = _verdict_cells(others[name])
    return plots.verdict_grid(cells)


def _verdict_cells(numbers: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """World: verdict and the effect that it rests on."""
    cells = {}
    for env, world in numbers["worlds"].items():
        test = deciding(world)
        says = effect(test, numbers["unit"]) if test else "no task has both outcomes"
        says = says.replace("0.0× ", "never ") if says.startswith("0.0× ") else says
        counter = world.get("shown", {}).get("turn_counter")
        clock = counter and test and decide(Interval(*counter), test["bar"]) == "holds"
        cells[TITLES[env]] = (world["verdict"], says + " †" * bool(clock))
    return cells


def _judges_figure(
    ns: Sequence[int], panels: dict[str, dict[str, list[Interval]]], tokens: Sequence[float]
) -> Any:
    """Many judges: bands only of three, scales that fit the judges; the oracle may leave them.

    The upper axis counts what N samples cost in tokens.
    """
    drawn = plots.curves_by_panel(
        ns,
        {
            title: {
                name: curve if name in BANDS else [Interval(*[x.mean] * 3) for x in curve]
                for name, curve in curves.items()
            }
            for title, curves in panels.items()
        },
        ylabel="reward of the chosen",
    )
    for ax, curves, each in zip(drawn.axes, panels.values(), tokens, strict=True):
        upper = ax.secondary_xaxis("top")
        upper.set_xticks(ns[::3], [f"{each * n:,.0f}" for n in ns[::3]])
        upper.minorticks_off()
        upper.set_xlabel("generated tokens a task", fontsize="small")
        highest = max(x.hi for k, c in curves.items() for x in c if k in BANDS)
        others = max(x.mean for k, c in curves.items() for x in c if k != "oracle")
        ax.set_ylim(0.0, min(1.03, 1.1 * max(highest, others, 0.05)))
    return drawn


def _curves(rows: dict[str, list[list[float]]]) -> dict[str, list[Interval]]:
    return {NAMES.get(k, k): [Interval(*r) for r in curve] for k, curve in rows.items()}
