"""What judges of the small base are worth in four worlds, for the results page, the book's first
page and the README: all of it from results/regime/<world>.json.gz.

`python scripts/results_page.py` makes results/regime.json and results/regime.png of them and writes
the README's part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from agentprm_lite.study import JUDGES, WORLDS, read_raw, summary
from agentprm_lite.train import LEARNED

ROOT = Path(__file__).resolve().parents[1]
RAW = ROOT / "results" / "regime"
TABLE = ROOT / "results" / "regime.json"
FIGURE = ROOT / "results" / "regime.png"
README = ROOT / "README.md"
MARKS = ("<!-- made by scripts/results_page.py -->\n", "<!-- end of what is made -->\n")
COMMAND = "agentprm regime --profile study --out results/regime.json"
COMMANDS = """Two commands make and check this book on two CPU cores (the figure is of longer runs):

```bash
make book
make test
```
"""
BEAM = "4x4"
COOL_BEAM = "a beam of 4×4 at temperature 0.7"
MISSING = f"Not measured yet: `{COMMAND}` does it, in hours on two cores.\n"

Row = list[float]
Bar = tuple[str, Callable[[dict[str, Any]], Row | None], str, tuple[Any, ...]]


def _beam(against: str, *, cool: bool = False) -> Callable[[dict[str, Any]], Row | None]:
    def widest(world: dict[str, Any]) -> Row | None:
        beams = (world["cooler_beams"] or {"beams": {}})["beams"] if cool else world["beams"]
        return next((b.get(against) for b in list(beams.values())[-1:]), None)

    return widest


def _key(name: str) -> Callable[[dict[str, Any]], Row | None]:
    return lambda world: world[name]


def _part(part: str, name: str) -> Callable[[dict[str, Any]], Row | None]:
    return lambda world: (world.get(part) or {}).get(name)


#: What is asked of a world: label, number, how it is compared, and with what in each world.
BARS: list[Bar] = [
    ("one greedy attempt", _key("greedy"), "≥", (0.60, 0.75, 0.55, 0.50)),
    ("one sample", _key("sample"), "in", ((0.25, 0.55), (0.4, 0.7), (0.25, 0.55), (0.2, 0.5))),
    ("one sample − random agent", _key("sample_minus_random"), "> 0", (0, 0, 0, 0)),
    ("oracle of 16 − one sample", _key("headroom"), "≥", (0.3, 0.2, 0.3, 0.3)),
    ("attempts cut by the context", _key("cut"), "≤", (0.01, 0.02, 0.02, 0.01)),
    ("variance explained by the best process judge, all turns", _key("explained_variance"), "≥",
     (0.2, 0.2, 0.2, 0.15)),
    ("the same of measured Q: the ceiling", _part("ceiling", "explained_variance"), "≥",
     (None,) * 4),
    ("the judge's AUROC within tasks after a fixed turn", _key("auroc_fixed_turn"), "≥",
     (0.65, 0.65, 0.70, 0.65)),
    ("the same of measured Q, which is noisy: a lower bound of the ceiling",
     _part("ceiling", "auroc_fixed_turn"), "≥", (None,) * 4),
    ("the same of the turns that the expert still needs, where the text has shown them",
     _part("sight", "turn"), "≥", (None,) * 4),
    ("best judge's share of the headroom, Best-of-16", _key("share_of_headroom"), "≥",
     (0.6, 0.5, 0.5, 0.4)),
    ("best judge − fewest turns", _key("best_minus_fewest_turns"), "> 0", (None, None, 0, 0)),
    ("beam 4×4 by the best process judge − one greedy attempt", _beam("minus_greedy"), "> 0",
     (0, 0, 0, 0)),
    ("the same beam − one sample", _beam("minus_sample"), "> 0", (0, 0, 0, 0)),
    ("the same beam − the attempt with the fewest turns among samples of as many tokens",
     _beam("minus_fewest_of_equal_n"), "≥", (None,) * 4),
    ("the same beam − the paper's, which keeps copies",
     _beam("minus_copies"), "≥", (None,) * 4),
    ("a beam 4×4 by measured Q − one greedy attempt, some tasks: a lower bound of the ceiling",
     _part("foresight", "minus_greedy"), "≥", (None,) * 4),
    ("a beam 4×4 by the process judge at temperature 0.7 − one greedy attempt",
     _beam("minus_greedy", cool=True), "≥", (None,) * 4),
]  # fmt: skip


def stored() -> dict[str, Any] | None:
    """The table that is stored."""
    return json.loads(TABLE.read_text()) if TABLE.exists() else None


def met(row: Row, how: str, bar: Any) -> bool:
    """Whether an estimate meets its bar; above 0 is one whose interval leaves 0 out."""
    mean, low, _ = row
    if how == "> 0":
        return low > 0
    if how == "in":
        return bool(bar[0] <= mean <= bar[1])
    return bool(mean >= bar if how == "≥" else mean <= bar)


def cell(row: Row | None, how: str, bar: Any) -> str:
    """Value, interval, bar and whether it is met."""
    if row is None:
        return "<td>–<br>not measured</td>"
    digits = 3 if how == "≤" else 2
    mean, low, high = (f"{round(x, digits) + 0.0:.{digits}f}".replace("-", "−") for x in row)
    if bar is None:
        said = "reported"
    else:
        asked = how if how == "> 0" else f"{bar[0]} to {bar[1]}" if how == "in" else f"{how} {bar}"
        said = f"{'✓' if met(row, how, bar) else '✗'} {escape(asked)}"
    return f"<td><b>{mean}</b><br>[{low}, {high}]<br>{said}</td>"


def bars(regime: dict[str, Any]) -> str:
    """The bars of all worlds as an HTML table: a line with the bar's name, then a cell a world."""
    worlds = regime["worlds"]
    shown = [w for w in WORLDS if w in worlds]
    lines = ["<tr>" + "".join(f"<th>{WORLDS[w]}</th>" for w in shown) + "</tr>"]
    for label, number, how, wanted in BARS:
        cells = [cell(number(worlds[w]), how, wanted[list(WORLDS).index(w)]) for w in shown]
        lines.append(f'<tr><th colspan="{len(shown)}" scope="colgroup">{label}</th></tr>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return '<table class="bars">\n' + "\n".join(lines) + "\n</table>\n"


def section() -> str:
    """The results page's part."""
    head, regime = "## Judges of the small base in four worlds\n", stored()
    if regime is None:
        return f"{head}\n{MISSING}"
    worlds = regime["worlds"]
    sizes = "; ".join(
        f"{WORLDS[w]}: {x['tasks']} held-out tasks in {x['families']} families, {x['rollouts']} "
        f"rollouts to learn from, temperature {x['temperature']}, {JUDGES[x['process_judge']]} the "
        f"best process judge, fixed turn {x['fixed_turn']}"
        for w, x in worlds.items()
    )
    return "\n".join([
        head,
        f"{made(regime)} {sizes}. {seeds_said(regime)}, "
        f"{next(iter(worlds.values()))['candidates']} candidates a task. {scores_said(regime)} "
        "Success, in BabyAI any "
        "reward; 95 % intervals. ✓ is a bar that is met, ✗ one "
        "that is not; \"> 0\" asks for an interval without 0, every other bar for the mean.\n",
        bars(regime),
        *(f"- {sentence}" for sentence in said(regime)),
        f"\nDifferences of success in points:\n\n{differences(regime)}",
        "",
    ])  # fmt: skip


def made(regime: dict[str, Any]) -> str:
    """Where the numbers come from."""
    runs: dict[tuple[str, ...], list[str]] = {}
    for w, x in regime["worlds"].items():
        parts = {
            "beams": x["beams_commit"],
            "the choice of the M": x["score"].get("commit"),
            "measured Q": (x["ceiling"] or {}).get("commit"),
            "beams by it": (x.get("foresight") or {}).get("commit"),
            "beams at 0.7": (x.get("cooler_beams") or {}).get("commit"),
            "the checker": (x["checker"] or {}).get("commit"),
        }
        by = {"beams": f" by `{x['beams_command']}`"} if x.get("beams_command") else {}
        later = "".join(
            f"; {k}{by.get(k, '')} at `{c}`"
            for k, c in parts.items()
            if c not in (None, x["commit"])
        )
        key = (x["command"], x["commit"], x["date"], x["device"], later)
        runs.setdefault(key, []).append(WORLDS[w])
    return " ".join(
        f"{listed(names)}: made by `{command}` at commit `{commit}` on {date}, {device}{later}."
        for (command, commit, date, device, later), names in runs.items()
    )


def said(regime: dict[str, Any]) -> list[str]:
    """What is seen, in sentences that the numbers choose; also where AgentPRM does not win."""
    worlds = regime["worlds"]
    levels = [
        f"{_percent(x['judges'][x['best_judge']]['best_of_n'])} instead of "
        f"{_percent(x['sample'])} in {WORLDS[w]}"
        for w, x in worlds.items()
    ]
    greedy, perfect = (
        listed([f"{_percent(x[key])} in {WORLDS[w]}" for w, x in worlds.items()])
        for key in ("greedy", "oracle16")
    )
    found = [
        "Where the best of three reward models (the best on these tasks) chooses one of "
        f"{next(iter(worlds.values()))['candidates']} attempts, success is {listed(levels)}. A "
        f"perfect choice would have {perfect}. One greedy attempt has {greedy}."
        f"{_checkers(worlds)}{_cooler(worlds)}"
    ]
    found += [verdicts(*pair) for pair in pairs(worlds)]
    for w, x in worlds.items():
        share, chosen = x["explained_variance"], x["judges"][x["best_judge"]]["minus_sample"]
        if share and share[0] < LEARNED:
            said_so = f"explains {share[0]:.2f} of the outcome".replace("-", "−")
            harm = ", and the best choice by one is worse than a random one" * (chosen[2] < 0)
            found.append(
                f"In {WORLDS[w]} no process judge has learned what holds on other tasks: "
                f"{JUDGES[x['process_judge']]} {said_so}{harm}."
            )
    if missing := [name for w, name in WORLDS.items() if w not in worlds]:
        found.append(f"Not measured yet: {listed(missing)}.")
    return found


def _checkers(worlds: dict[str, Any]) -> str:
    """Where reward models start from a checker, and what that chooses untrained."""
    alone = {WORLDS[w]: x["checker"]["best_of_n"] for w, x in worlds.items() if x["checker"]}
    if not alone:
        return ""
    return (
        f" In {listed(list(alone))} reward models start from a checker, which was drilled in "
        "grading turns; before it has learned from an attempt its choice has "
        f"{listed([_percent(row) for row in alone.values()])}."
    )


def _cooler(worlds: dict[str, Any]) -> str:
    """What one sample solves at the paper's temperature, where that was measured."""
    hot = sorted({x["temperature"] for x in worlds.values()})
    span = " to ".join(map(str, dict.fromkeys([hot[0], hot[-1]])))
    alone = {w: x["cooler_beams"]["sample"] for w, x in worlds.items() if x["cooler_beams"]}
    for w, x in worlds.items():
        if "0.7" in ((x["cooler"] or {}).get("temperatures") or {}):
            alone.setdefault(w, x["cooler"]["temperatures"]["0.7"]["sample"])
    if not alone:
        return ""
    ones = listed([f"{_percent(row)} in {WORLDS[w]}" for w, row in alone.items()])
    return (
        f" Attempts are sampled hot, at temperature {span}, so that they differ. At "
        f"0.7, the paper's, one sample without any judge has {ones}: less is left to choose there."
    )


def pairs(worlds: dict[str, Any]) -> list[tuple[str, str, dict[str, Row]]]:
    """What is compared: ours, the other, and the difference of success in each world."""
    n = next(iter(worlds.values()))["candidates"]
    best = {WORLDS[w]: x["judges"][x["best_judge"]] for w, x in worlds.items()}
    halves = {w: x["tokens"][f"halving by {x['process_judge']}"][-1] for w, x in worlds.items()}
    model, ours = "the best reward model", {WORLDS[w]: x for w, x in worlds.items()}
    cool = {w: x["cooler_beams"]["beams"][BEAM] for w, x in ours.items() if x["cooler_beams"]}
    found = [
        (model, "one sample", {w: x["minus_sample"] for w, x in best.items()}),
        ("AgentPRM", "ORM", {w: x["agentprm_minus"]["orm"] for w, x in ours.items()}),
        ("AgentPRM", "PVM", {w: x["agentprm_minus"]["pvm"] for w, x in ours.items()}),
        (model, "the attempt with the fewest turns",
         {w: x["best_minus_fewest_turns"] for w, x in ours.items()}),
        (model, "one greedy attempt", {w: x["minus_greedy"] for w, x in best.items()}),
        ("a beam of 4×4", "one greedy attempt",
         {w: x["beams"][BEAM]["minus_greedy"] for w, x in ours.items()}),
        (COOL_BEAM, "one greedy attempt", {w: x["minus_greedy"] for w, x in cool.items()}),
        (COOL_BEAM, "one sample at 0.7", {w: x["minus_sample"] for w, x in cool.items()}),
        (f"halving from {n} attempts", "Best-of-N with as many tokens",
         {WORLDS[w]: x["minus_best_of_equal_n"] for w, x in halves.items()}),
        (model, "the checker that it started from",
         {w: x["checker"]["trained_minus"][x["best_judge"]]
          for w, x in ours.items() if x["checker"]}),
    ]  # fmt: skip
    return [pair for pair in found if pair[2]]


def differences(regime: dict[str, Any]) -> str:
    """The same pairs as a table: the first minus the second, in points."""
    worlds = regime["worlds"]
    names = [WORLDS[w] for w in worlds]
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for ours, other, rows in pairs(worlds):
        cells = [points(rows[name]) if name in rows else "–" for name in names]
        lines.append(f"| {ours} − {other} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def points(row: Row) -> str:
    """An estimate and its interval in points."""
    mean, low, high = (f"{round(100 * x, 1) + 0.0:.1f}".replace("-", "−") for x in row)
    return f"{mean} [{low}, {high}]"


def verdicts(ours: str, other: str, rows: dict[str, Row]) -> str:
    """In which worlds one is above another, below it, or neither."""
    better = [world for world, row in rows.items() if row[1] > 0]
    worse = [world for world, row in rows.items() if row[2] < 0]
    undecided = [world for world in rows if world not in better + worse]
    if not better + worse:
        return f"Neither {ours} nor {other} is shown to be better {_where(undecided, 'any')}."
    told = [f"better than {other} {_where(better, 'every')}"] if better else []
    if worse:
        told.append(f"worse {'' if better else f'than {other} '}{_where(worse, 'every')}")
    rest = f"; in {listed(undecided)} neither is shown to be better" if undecided else ""
    return f"{ours[0].upper()}{ours[1:]} is {', '.join(told)}{rest}."


def _where(names: list[str], whole: str) -> str:
    return f"in {whole} world" if len(names) == len(WORLDS) else f"in {listed(names)}"


def _percent(row: Row) -> str:
    return f"{100 * row[0]:.0f}\u00a0%"


def listed(parts: list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def alt(regime: dict[str, Any]) -> str:
    """The figure for who can't see it."""
    return "Success of " + "; ".join(
        f"{WORLDS[w]}: " + ", ".join(f"{name} {row[0]:.2f}" for name, row in methods(x).items())
        for w, x in regime["worlds"].items()
    )


def methods(world: dict[str, Any]) -> dict[str, Row]:
    """The figure's rows: floors, one attempt, Best-of-N by each judge, halving, a beam, a perfect
    choice."""
    return {
        "random agent": world["random"],
        "one sample": world["sample"],
        "SFT, greedy": world["greedy"],
        "fewest turns": world["fewest_turns"],
        **{JUDGES[k]: x["best_of_n"] for k, x in world["judges"].items()},
        "halving": world["tokens"][f"halving by {world['process_judge']}"][-1]["success"],
        "beam": world["beams"][BEAM]["success"],
        **_methods_at_0_7(world["cooler_beams"]),
        "oracle": world["oracle16"],
    }


def _methods_at_0_7(cool: dict[str, Any] | None) -> dict[str, Row]:
    if not cool:
        return {}
    beam = cool["beams"][BEAM]["success"]
    return {"one sample at 0.7": cool["sample"], "beam at 0.7": beam}


def front() -> str:
    """The first page's figure and what is seen, side by side where there is room."""
    regime = stored()
    if regime is None:
        return MISSING
    sentences = "\n\n".join(said(regime))
    return (
        "`````{grid} 1 1 2 2\n:class-container: front\n:padding: 0\n"
        "````{grid-item}\n:columns: 12 12 7 7\n"
        f"```{{figure}} ../results/{FIGURE.name}\n:alt: {alt(regime)}\n:width: 480px\n\n"
        f"{caption(regime)}\n```\n````\n````{{grid-item}}\n:columns: 12 12 5 5\n"
        f"{COMMANDS}\n{sentences}\n\nNumbers and bars: [results](results.md).\n````\n`````\n"
    )


def readme() -> str:
    """The same for the README."""
    regime = stored()
    if regime is None:
        return MISSING
    name = f"results/{TABLE.name}"
    lines = [f'<img src="results/{FIGURE.name}" width="480" alt="{alt(regime)}">', caption(regime)]
    source = (
        f"Differences of success in points, with 95 % intervals. Made by `{COMMAND}`; commits, "
        f"dates and devices stand in [{name}]({name})."
    )
    first, *others = said(regime)
    return "\n\n".join([*lines, first, " ".join(others), differences(regime), source]) + "\n"


def seeds_said(regime: dict[str, Any]) -> str:
    """How many training runs of a reward model stand behind a number."""
    worlds: dict[int, list[str]] = {}
    for w, x in regime["worlds"].items():
        worlds.setdefault(x["seeds"], []).append(WORLDS[w])
    seeds = ", ".join(
        f"{n} in {'every world' if len(names) == len(WORLDS) else listed(names)}"
        for n, names in sorted(worlds.items())
    )
    alone = "; with one seed an interval covers tasks and not the luck of training" * (1 in worlds)
    return f"Seeds of a reward model: {seeds}{alone}; one beam a world"


def caption(regime: dict[str, Any]) -> str:
    """What the figure's rows are."""
    world = next(iter(regime["worlds"].values()))
    return (
        "Success on held-out tasks with 95 % intervals; dotted: one sample. From fewest turns to "
        f"AgentPRM: the choice among {world['candidates']} samples, of the shortest, or of the "
        "best by a reward model, which has learned outcomes at the last turn (ORM), at every turn "
        "(PVM), or with temporal differences and progress (AgentPRM). Halving: those attempts side "
        "by side, the worse half dropped after every turn. Beam: 4 paths, 4 turns tried on each; "
        f"copies give way{_with_copies(regime)}. "
        f"Both by {judges_said(regime)}. {scores_said(regime)} Rows at 0.7 are sampled at the "
        f"paper's temperature, others hotter. {seeds_said(regime)}."
    )


def _with_copies(regime: dict[str, Any]) -> str:
    """Where beams were not searched anew."""
    names = [WORLDS[w] for w, x in regime["worlds"].items() if not x["beams"][BEAM]["distinct"]]
    return f", in {listed(names)} they stay, as in the paper" if names else ""


def judges_said(regime: dict[str, Any]) -> str:
    """Which process judge each world has, the commonest last."""
    by = dict[str, list[str]]()
    for w, x in regime["worlds"].items():
        by.setdefault(JUDGES[x["process_judge"]], []).append(WORLDS[w])
    parts = sorted(by.items(), key=lambda item: len(item[1]))
    said = [f"{judge} in {listed(names)}" for judge, names in parts]
    return " and by ".join(said)


def scores_said(regime: dict[str, Any]) -> str:
    """By which M reward models choose."""
    least = [WORLDS[w] for w, x in regime["worlds"].items() if x["score"]["by"] == "min"]
    if not least:
        return "Reward models choose by M after the last turn."
    return (
        "Reward models choose by M, their value of a turn: by the last one, in "
        f"{listed(least)} by the least, shown to be better there on held-out training tasks."
    )


def write() -> None:
    """Make table, figure and the README's part from the raw numbers."""
    from agentprm_lite.tutorial.panels import chosen_panels

    raws = {w: RAW / f"{w}.json.gz" for w in WORLDS if (RAW / f"{w}.json.gz").exists()}
    if raws:
        regime = summary({w: read_raw(path) for w, path in raws.items()})
        TABLE.write_text(json.dumps(regime, indent=1) + "\n")
        shown = {WORLDS[w]: methods(x) for w, x in regime["worlds"].items()}
        figure = chosen_panels(shown, xlabel="success rate")
        figure.savefig(FIGURE, dpi=180, facecolor="white", bbox_inches="tight")
    text = README.read_text(encoding="utf-8")
    inside = re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1])
    new = re.sub(inside, lambda _: f"{MARKS[0]}\n{readme()}\n{MARKS[1]}", text, flags=re.S)
    README.write_text(new, encoding="utf-8")
