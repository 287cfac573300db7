"""The card of a pretrained base: what it is, how it was made, checksums of its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentprm_lite.hub import checksum
from agentprm_lite.tutorial.base import CARD

FILES = (
    *("model.safetensors", "config.json", "generation_config.json", "tokenizer.json"),
    *("tokenizer_config.json", "chat_template.jinja", "agentprm.json"),
)
POINTS = 40
"""Points of the loss curve in the card."""
DATA = (
    "Generated text of TextCraft, BabyAI, WebShop (made-up shops) and math word problems, and "
    "drills of sums: half of the episodes an expert's, half with slips "
    "(agentprm_lite/tutorial/corpus.py); and sums and solutions with mistakes, graded after each "
    "turn (graded.py). Nothing of a goal, world, shop or template that "
    "part_of() keeps for judges or tests."
)
DRILLS = {
    "purchases": "Purchases in made-up shops, about half of them of wrong products, graded after "
    "each turn (agentprm_lite/tutorial/graded.py). Nothing of a shop that part_of() keeps for "
    "judges or tests.",
    "solutions": "Sums and solutions of word problems with mistakes, graded after each turn "
    "(agentprm_lite/tutorial/graded.py). Nothing of a template that part_of() keeps for judges or "
    "tests.",
}


def write_card(
    folder: Path,
    config: dict[str, Any],
    parameters: int,
    curve: Sequence[Sequence[float]],
    sessions: Sequence[dict[str, Any]],
) -> None:
    """Write card.json and README.md beside a finished model.

    Args:
        folder: of the model.
        config: sizes of the run.
        parameters: number of weights.
        curve: of every step: loss on turns, loss on what is read, tokens, seconds.
        sessions: of every start: first step, commit, date, device, versions and command.
    """
    card = {
        "parameters": parameters,
        "steps": len(curve),
        "tokens": int(sum(tokens for _, _, tokens, _ in curve)),
        "hours": round(sum(seconds for *_, seconds in curve) / 3600, 2),
        "data": DRILLS.get(config["drill"], DATA),
        "config": config,
        "sessions": list(sessions),
        "curve": {
            "columns": [
                "step",
                "tokens",
                "loss on turns, copies and verdicts",
                "loss on what is read",
            ],
            "rows": _thinned(curve),
        },
        "files": {name: checksum(folder / name) for name in FILES},
    }
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n")
    (folder / "README.md").write_text(_told(card))


def _thinned(curve: Sequence[Sequence[float]]) -> list[list[float]]:
    """Means over equal parts of the run."""
    size, rows, tokens = max(1, len(curve) // POINTS), [], 0
    for start in range(0, len(curve), size):
        part = curve[start : start + size]
        tokens += int(sum(row[2] for row in part))
        means = (round(sum(row[k] for row in part) / len(part), 4) for k in (0, 1))
        rows.append([start + len(part), tokens, *means])
    return rows


def _told(card: dict[str, Any]) -> str:
    config, rows, last = card["config"], card["curve"]["rows"], card["sessions"][-1]
    starts = "\n".join(
        f"- from step {session['step']}: commit {session['commit']}, {session['date']}, "
        f"{session['device']}, torch {session['torch']}: `{session['command']}`"
        + (f". {session['note']}" if "note" in session else "")
        for session in card["sessions"]
    )
    picked = [rows[0], *rows[4::5], *([rows[-1]] if len(rows) % 5 else [])]
    table = "\n".join(f"| {s} | {t} | {a} | {r} |" for s, t, a, r in picked)
    name, use = "The small base", "for all four worlds, to be fine-tuned with LoRA. It"
    if config["drill"] == "purchases":
        name = "The shop checker"
        use = "where reward models of WebShop start. It went on from the small base: it"
    elif config["drill"] == "solutions":
        name = "The checker"
        use = (
            "where reward models of math start: after a turn's end it says whether all is right so "
            "far. It went on from an earlier checker; in this drill it"
        )
    return f"""# {name}

A Llama of {card["parameters"]:,} weights ({config["layers"]} layers, hidden size
{config["hidden"]}) {use} was pretrained on
{card["tokens"]:,} tokens in {card["steps"]:,} steps and {card["hours"]} hours of one core, last on
{last["date"]}. It speaks only of the four worlds and is of no other use.

{card["data"]}

## Sessions

{starts}

## Loss

| step | tokens | turns, copies and verdicts | what is read |
|---|---|---|---|
{table}

Checksums of all files are in {CARD}. License: MIT, as the library. Recipes and mission words come
from the packages textcraft and minigrid.
"""
