"""Tables and figure of the results page, from results/study_cpu.json and nothing else.

python scripts/results_page.py    writes results/study_cpu.png (README and results page)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STUDY = ROOT / "results" / "study_cpu.json"
FIGURE = STUDY.with_suffix(".png")
NAMES = {
    "orm": "ORM", "pvm": "PVM", "agentprm": "AgentPRM", "oracle": "oracle", "majority": "majority",
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
    """The results page's tables in Markdown."""
    parts = [
        f"Made by `{study['command']}` at commit `{study['commit']}` on {study['date']}, "
        f"{study['device']}, torch {study['torch']}. {study['candidates']} candidates for every "
        f"held-out task, {study['reward_model_seeds']} seeds of every reward model. Percentages "
        "with 95 % bootstrap intervals over tasks and seeds. The measure is the mean reward of the "
        "answers. In TextCraft and math that is success; BabyAI also pays for speed, and WebShop "
        "for what fits in part.\n",
        *(world_tables(WORLDS[env], world, study["ns"]) for env, world in study["worlds"].items()),
        "## PPO on TextCraft\n",
        table(
            ["reward", "goals", "success after", "minus SFT", "verdict", "turns, first to last"],
            [
                [f"{k}, 1 seed", f"{v['goals'][where]} {where.replace('_', '-')}",
                 cell(v["success"][where]), cell(v["minus_sft"][where]),
                 verdict(v["minus_sft"][where]), f"{v['turns'][0]:.1f}, {v['turns'][-1]:.1f}"]
                for k, v in study["ppo"].items()
                for where in ("training", "held_out")
            ],
        ),
    ]  # fmt: skip
    return "\n".join(parts)


def world_tables(title: str, world: dict[str, Any], ns: list[int]) -> str:
    """Tables of one world."""
    heads = ["judge", *[f"N = {n}" for n in ns]]
    return "\n".join([
        f"## {title}\n",
        f"{world['tasks']} held-out tasks; beam search on {world['beam_tasks']} of them.\n",
        table(["policy", "reward"], [[k, cell(v)] for k, v in world["policy"].items()]),
        "Best-of-N, by M at the last step:\n",
        table(heads, [[NAMES[k], *map(cell, rows)] for k, rows in world["best_of_n"].items()]),
        "Best-of-N, by M after the first half:\n",
        table(
            heads,
            [[NAMES[k], *map(cell, rows)] for k, rows in world["best_of_n_first_half"].items()],
        ),
        "Beam search:\n",
        table(
            ["judge", *world["beam"]["agentprm"]],
            [
                [NAMES[k], *[f"{cell(r['success'])}, {r['tokens']:.0f} tokens" for r in v.values()]]
                for k, v in world["beam"].items()
            ],
        ),
        "AgentPRM against the baselines:\n",
        table(
            ["difference", "where", "points", "verdict"],
            [
                [name.replace("agentprm", "AgentPRM").replace("- ", "− "), where, cell(row),
                 verdict(row)]
                for name, rows in world["difference"].items()
                for where, row in rows.items()
            ],
        ),
    ])  # fmt: skip


def page() -> str:
    """What the results page includes; a line that says so where nothing is measured yet."""
    if not STUDY.exists():
        return (
            "No run of the profile cpu is stored yet: `agentprm study --profile cpu --out "
            "results/study_cpu.json` makes it.\n"
        )
    return tables(json.loads(STUDY.read_text()))


def main() -> int:
    from agentprm_lite.metrics import Interval
    from agentprm_lite.plots import curves_by_panel

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
    return 0


if __name__ == "__main__":
    sys.exit(main())
