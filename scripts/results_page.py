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
    ns = [str(n) for n in study["ns"]]
    beams = list(study["beam"]["agentprm"])
    parts = [
        f"Made by `{study['command']}` at commit `{study['commit']}` on {study['date']}, "
        f"{study['device']}, torch {study['torch']}. {study['tasks']} held-out goals, "
        f"{study['candidates']} candidates each, {study['reward_model_seeds']} seeds of every "
        f"reward model; beam search on {study['beam_tasks']} of the goals. Percentages with 95 % "
        "bootstrap intervals over tasks and seeds.\n",
        "## Policies\n",
        table(["policy", "success"], [[k, cell(v)] for k, v in study["policy"].items()]),
        "## Best-of-N, by M at the last step\n",
        table(
            ["judge", *[f"N = {n}" for n in ns]],
            [[NAMES[k], *map(cell, rows)] for k, rows in study["best_of_n"].items()],
        ),
        "## Best-of-N, by M after the first half\n",
        table(
            ["judge", *[f"N = {n}" for n in ns]],
            [[NAMES[k], *map(cell, rows)] for k, rows in study["best_of_n_first_half"].items()],
        ),
        "## Beam search\n",
        table(
            ["judge", *beams],
            [
                [NAMES[k], *[f"{cell(r['success'])}, {r['tokens']:.0f} tokens" for r in v.values()]]
                for k, v in study["beam"].items()
            ],
        ),
        "## AgentPRM against the baselines\n",
        table(
            ["difference", "where", "points", "verdict"],
            [
                [name.replace("agentprm", "AgentPRM").replace("- ", "− "), where, cell(row),
                 verdict(row)]
                for name, rows in study["difference"].items()
                for where, row in rows.items()
            ],
        ),
        "## PPO\n",
        table(
            ["reward", "success after", "minus SFT", "verdict", "turns, first and last round"],
            [
                [k, cell(v["success"]), cell(v["minus_sft"]), verdict(v["minus_sft"]),
                 f"{v['turns'][0]:.1f}, {v['turns'][-1]:.1f}"]
                for k, v in study["ppo"].items()
            ],
        ),
    ]  # fmt: skip
    return "\n".join(parts)


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
    from agentprm_lite.plots import curve_with_interval

    study = json.loads(STUDY.read_text())
    kinds = ("orm", "pvm", "agentprm")
    curves = {
        NAMES[k]: [Interval(*row) for row in study["best_of_n_first_half"][k]] for k in kinds
    }
    curves["oracle"] = [Interval(*row) for row in study["best_of_n"]["oracle"]]
    figure = curve_with_interval(
        study["ns"], curves, xlabel="samples N", ylabel="success of the chosen sample"
    )
    figure.savefig(FIGURE, dpi=144, facecolor="white", bbox_inches="tight")
    print(FIGURE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
