"""The book's figures: data in, a matplotlib Figure out.

Every figure is transparent with mid-grey text, so that it reads on light and dark pages, and tells
methods apart by colour, marker and line style. Figures come back closed, for
``notebook.show_figure``. An interval is (mean, lo, hi), from ``study.bootstrap_interval``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

GREY = "#7a7a7a"  # contrast above 4 : 1 on white and on near-black
Interval = tuple[float, float, float]


class Look(NamedTuple):
    """How one method is drawn."""

    color: str
    marker: str
    linestyle: str


METHODS = {
    "SFT": Look(GREY, "s", "--"),
    "RFT": Look("#9c6b3f", "P", "--"),
    "ORM": Look("#d55e00", "v", "-."),
    "PVM": Look("#029e73", "^", ":"),
    "MC-hard": Look("#8a63d2", "X", "-."),
    "MC-soft": Look("#c2589f", "D", "--"),
    "PQM": Look("#b8860b", "p", ":"),
    "AgentPRM": Look("#0a7ac2", "o", "-"),
    "no L_A": Look("#2b86b8", "8", "--"),
    "PAV-style": Look("#b4527f", "d", "-."),
    "likelihood": Look("#5d6dab", ">", "-."),
    "oracle": Look(GREY, "*", ":"),
    "random": Look(GREY, "x", "-."),
    "majority": Look("#8c7b1f", "h", "--"),
    "fewest turns": Look("#d6455d", "<", "--"),
}
# Names that are not in METHODS take these in order.
SPARE = [
    Look("#0a7ac2", "o", "-"),
    Look("#d55e00", "v", "--"),
    Look("#029e73", "^", "-."),
    Look("#c2589f", "D", ":"),
    Look("#9c6b3f", "P", "--"),
    Look("#8a63d2", "X", "-."),
]
VERDICTS = {"holds": "#8cc5e8", "fails": "#f2b280", "undecided": "#dcdcdc"}
HATCHES = ["", "///", "...", "xxx", "\\\\\\", "++", "oo"]


def style() -> None:
    """Set the book's figure style; every function here does so itself."""
    rc = dict.fromkeys(
        ["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], GREY
    )
    rc |= dict.fromkeys(["figure.facecolor", "axes.facecolor", "savefig.facecolor"], "none")
    rest = {"axes.grid": True, "grid.color": GREY, "grid.alpha": 0.25, "legend.frameon": False}
    sns.set_theme(context="notebook", style="ticks", font_scale=0.9, rc=rc | rest)


def curve_with_interval(
    x: Sequence[float] | Mapping[str, Sequence[float]],
    curves: Mapping[str, Sequence[Interval]],
    *,
    xlabel: str = "samples N",
    ylabel: str = "success rate",
) -> Figure:
    """Curves with interval bands over a log2 axis; ``x`` holds all curves' positions or each's."""
    fig, ax = _axes()
    for name, look in _looks(curves).items():
        at = x[name] if isinstance(x, Mapping) else x
        mean, lo, hi = np.array(curves[name]).T
        ax.fill_between(at, lo, hi, color=look.color, alpha=0.15, linewidth=0)
        ax.plot(at, mean, label=name, **look._asdict())
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return _finish(fig, ax)


def curves_by_panel(
    x: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[Interval]]],
    *,
    xlabel: str = "samples N",
    ylabel: str = "success rate",
    log: bool = True,
) -> Figure:
    """The curves of :func:`curve_with_interval`, two panels a row; ``log``: a log2 axis."""
    style()
    rows = (len(panels) + 1) // 2
    fig, axes = plt.subplots(rows, 2, figsize=(7.2, 2.7 * rows), layout="constrained")
    for ax, (title, curves) in zip(axes.flat, panels.items(), strict=False):
        for name, look in _looks(curves).items():
            mean, lo, hi = np.array(curves[name]).T
            ax.fill_between(x, lo, hi, color=look.color, alpha=0.15, linewidth=0)
            ax.plot(x, mean, label=name, **look._asdict())
        if log:
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:,g}")
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel, ylim=(-0.03, 1.03))
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    fig.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    plt.close(fig)
    return fig


def beam_points(
    widths: Sequence[str],
    results: Mapping[str, Sequence[Interval]],
    *,
    reference: Mapping[str, float] | None = None,
    ylabel: str = "success rate",
) -> Figure:
    """Beam search at sizes such as "2×2", an interval each; ``reference`` levels as lines."""
    fig, ax = _axes()
    looks = _looks([*results, *(reference or {})])
    for i, (name, intervals) in enumerate(results.items()):
        at = np.arange(len(widths)) + 0.12 * (i - (len(results) - 1) / 2)
        mean, lo, hi = np.array(intervals).T
        error, look = np.maximum(0.0, [mean - lo, hi - mean]), looks[name]
        ax.errorbar(at, mean, error, label=name, color=look.color, fmt=look.marker, capsize=3)
    for name, level in (reference or {}).items():
        ax.axhline(level, label=name, color=looks[name].color, linestyle=looks[name].linestyle)
    ax.set_xticks(range(len(widths)), widths)
    ax.set(xlabel="beam: kept × expanded", ylabel=ylabel, xlim=(-0.5, len(widths) - 0.5))
    return _finish(fig, ax)


def value_trajectory(
    values: Mapping[str, Sequence[float]], actions: Sequence[str], *, ylabel: str = "value M"
) -> Figure:
    """Values along one trajectory of T actions: for each line T + 1 values, the root first."""
    fig, ax = _axes(height=4.2)
    for name, look in _looks(values).items():
        ax.plot(range(len(values[name])), values[name], label=name, **look._asdict())
    names = ["prompt", *(fill(action, 24) for action in actions)]
    ax.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    ax.set_ylabel(ylabel)
    return _finish(fig, ax)


def reliability_diagram(bins: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]]) -> Figure:
    """Mean outcome against mean prediction (``study.reliability``); areas show the counts."""
    fig, ax = _axes(width=4.4, height=4.4)
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="calibrated")
    for name, (color, marker, linestyle) in _looks(bins).items():
        prediction, outcome, count = (np.asarray(x, dtype=float) for x in bins[name])
        ax.plot(prediction, outcome, color=color, linestyle=linestyle, linewidth=1)
        sizes = 15 + 150 * count / count.sum()
        ax.scatter(prediction, outcome, sizes, color=color, marker=marker, label=name)
    ax.set(xlabel="mean prediction", ylabel="mean outcome")
    return _finish(fig, ax)


def value_distributions(
    values: Sequence[Sequence[float]], success: Sequence[bool], *, parts: int = 4
) -> Figure:
    """Boxes of the values [T_i] in each part of the trajectories, failures beside successes."""
    fig, ax = _axes()
    groups: dict[bool, list[list[float]]] = {y: [[] for _ in range(parts)] for y in (False, True)}
    for row, y in zip(values, success, strict=True):
        for t, value in enumerate(row):
            groups[bool(y)][t * parts // len(row)].append(value)
    for y, color, hatch in ((False, "#d55e00", "///"), (True, "#0a7ac2", "")):
        drawn = ax.boxplot(
            groups[y],
            positions=np.arange(parts) + (0.19 if y else -0.19),
            widths=0.32,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": color, "alpha": 0.7, "hatch": hatch, "edgecolor": GREY},
            medianprops={"color": GREY, "linewidth": 2},
            whiskerprops={"color": GREY},
            capprops={"color": GREY},
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": color},
        )
        drawn["boxes"][0].set_label("success" if y else "failure")
    edges = [f"{100 * i // parts}–{100 * (i + 1) // parts} %" for i in range(parts)]
    ax.set_xticks(range(parts), edges)
    ax.set(xlabel="part of the trajectory", ylabel="value M")
    return _finish(fig, ax)


def label_bars(targets: Mapping[str, Sequence[float]], steps: Sequence[str]) -> Figure:
    """The target of each step, one bar a method; NaN where a step has none."""
    fig, ax = _axes()
    width = 0.8 / len(targets)
    for i, (name, look) in enumerate(_looks(targets).items()):
        at = np.arange(len(steps)) + width * (i - (len(targets) - 1) / 2)
        bars = {"color": look.color, "edgecolor": "white", "hatch": HATCHES[i % len(HATCHES)]}
        ax.bar(at, targets[name], width, label=name, linewidth=0, **bars)
    ax.set_xticks(range(len(steps)), steps)
    ax.set_ylabel("target")
    return _finish(fig, ax)


def recipe_tree(tree: Mapping[str, Any]) -> Figure:
    """A recipe, goal on the left: {"item": str, "count": int, "children": [the same, ...]}."""

    def box(node: Mapping[str, Any]) -> tuple[str, str, str]:
        color, shape = ("#0a5f99", "round") if node["children"] else ("#0a6e52", "square")
        return f"{node['count']} × {node['item']}", color, shape

    return _tree(tree, box, 2.2, 0.6)


def solution_tree(tree: Mapping[str, Any]) -> Figure:
    """Solutions merged where they begin alike: {"step": str, "right": bool | None, "children"}."""
    looks = {True: ("✓ ", "#0a5f99", "round"), False: ("✗ ", "#b34700", "square")}

    def box(node: Mapping[str, Any]) -> tuple[str, str, str]:
        mark, color, shape = looks.get(node["right"], ("", "#666666", "round"))
        return mark + node["step"], color, shape

    return _tree(tree, box, 2.4, 0.75)


def calculation_tree(lines: Sequence[str]) -> Figure:
    """A calculation from lines such as "12 - 5 = 7", the last on the left, told numbers as leaves.

    A number that is the result of an earlier line is taken for that result.
    """
    made: dict[str, dict[str, Any]] = {}
    last: dict[str, Any] = {}
    for line in lines:
        match = re.fullmatch(r"(\S+) [-+*/] (\S+) = (\S+)", line)
        if match is None:
            raise ValueError(f'lines: expected lines such as "12 - 5 = 7", got {line!r}')
        told = [made.get(x, {"text": x, "children": []}) for x in match.group(1, 2)]
        last = made[match[3]] = {"text": line, "children": told}
    if not last:
        raise ValueError("lines: expected at least one, got none")

    def box(node: Mapping[str, Any]) -> tuple[str, str, str]:
        color, shape = ("#0a5f99", "round") if node["children"] else ("#0a6e52", "square")
        return node["text"], color, shape

    return _tree(last, box, 1.5, 0.6)


def _tree(
    tree: Mapping[str, Any],
    box: Callable[[Mapping[str, Any]], tuple[str, str, str]],
    width: float,
    height: float,
) -> Figure:
    """A tree with its root on the left; `box` gives a node's text, colour and shape."""
    nodes: list[tuple[float, float, tuple[str, str, str]]] = []
    edges: list[tuple[float, float, float, float]] = []

    def place(node: Mapping[str, Any], depth: int, first: float) -> tuple[float, float]:
        # Places a subtree from row `first` on; returns its own row and the next free one.
        rows, free = [], first
        for child in node["children"]:
            row, free = place(child, depth + 1, free)
            rows.append(row)
        row = float(np.mean(rows)) if rows else first
        edges.extend((depth, row, depth + 1, below) for below in rows)
        nodes.append((depth, row, box(node)))
        return row, free if rows else first + 1.0

    _, leaves = place(tree, 0, 0.0)
    depth = max(x for x, *_ in nodes)
    fig, ax = _axes(width=width * (depth + 1), height=0.7 + height * leaves)
    for x0, y0, x1, y1 in edges:
        ax.plot([x0, x1], [y0, y1], color=GREY, linewidth=1, zorder=1)
    for x, y, (text, color, shape) in nodes:
        style = {"boxstyle": shape, "facecolor": color, "edgecolor": GREY}
        text = fill(text, 20)
        ax.text(x, y, text, ha="center", va="center", color="white", bbox=style, fontsize=9)
    ax.set(xlim=(-0.5, depth + 0.5), ylim=(leaves - 0.5, -0.5))
    ax.axis("off")
    plt.close(fig)
    return fig


def training_curves(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]], *, xlabel: str = "update"
) -> Figure:
    """For each panel and method (x [n], y [n] or [seeds, n]): mean, and seeds as thin lines."""
    fig, axes = _axes(len(panels), width=3.6 * len(panels) + 0.8, height=3.4)
    looks = _looks(dict.fromkeys(name for panel in panels.values() for name in panel))
    for ax, (title, panel) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        for name, (x, y) in panel.items():
            seeds = np.atleast_2d(np.asarray(y, dtype=float))
            color, marker, linestyle = looks[name]
            if len(seeds) > 1:
                ax.plot(x, seeds.T, color=color, alpha=0.3, linewidth=0.8)
            mark = {"marker": marker, "markevery": max(1, seeds.shape[1] // 8)}
            ax.plot(x, seeds.mean(axis=0), color=color, linestyle=linestyle, label=name, **mark)
        ax.set(title=title, xlabel=xlabel)
    return _finish(fig, np.atleast_1d(axes)[0])


def interval_panels(
    x: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[Interval]]],
    *,
    xlabel: str,
    ylabel: str,
) -> Figure:
    """For each panel and name one interval at every x; the panels share their scale."""
    fig, axes = _axes(len(panels), width=3.0 * len(panels) + 1.2, height=3.4)
    axes = np.atleast_1d(axes)
    for ax in axes[1:]:
        ax.sharey(axes[0])
        ax.tick_params(labelleft=False)
    looks = _looks(dict.fromkeys(name for panel in panels.values() for name in panel))
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        for name, intervals in panel.items():
            mean, lo, hi = np.array(intervals).T
            ax.fill_between(x, lo, hi, color=looks[name].color, alpha=0.15, linewidth=0)
            ax.plot(x, mean, label=name, **looks[name]._asdict())
        ax.set(title=title, xlabel=xlabel, xticks=x)
    axes[0].set_ylabel(ylabel)
    return _finish(fig, axes[0])


def forest(
    groups: Mapping[str, Mapping[str, Interval]],
    *,
    bar: float = 0.0,
    worth: float = 0.0,
    xlabel: str = "difference",
) -> Figure:
    """Intervals in rows, group by group, and the line that they have to clear; dotted beside it,
    where given, an effect worth having."""
    lines = [(group, name, x) for group, rows in groups.items() for name, x in rows.items()]
    fig, ax = _axes(width=7.2, height=1.0 + 0.32 * max(1, len(lines)))
    looks = _looks(groups)
    for i, (group, _, (mean, lo, hi)) in enumerate(lines):
        error = np.maximum(0.0, [[mean - lo], [hi - mean]])
        color, marker, _ = looks[group]
        first = all(group != other for other, *_ in lines[:i])
        label = group if first else None
        ax.errorbar(mean, i, xerr=error, color=color, fmt=marker, capsize=3, label=label)
    ax.axvline(bar, color=GREY, linewidth=1)
    if worth:
        ax.axvline(bar + worth, color=GREY, linewidth=1, linestyle=":")
    ax.set_yticks(range(len(lines)), [name for _, name, _ in lines])
    ax.invert_yaxis()
    ax.set_xlabel(xlabel)
    return _finish(fig, ax)


def verdict_grid(verdicts: Mapping[str, Mapping[str, tuple[str, str]]]) -> Figure:
    """Claims in rows, worlds in columns: each cell a verdict and its effect, in words; a dash where
    there is none."""
    worlds = list(dict.fromkeys(world for row in verdicts.values() for world in row))
    fig, ax = _axes(width=7.2, height=0.5 + 0.46 * len(verdicts))
    for y, row in enumerate(verdicts.values()):
        for x, world in enumerate(worlds):
            middle = {"ha": "center", "va": "center", "fontsize": 7.5}
            if world not in row:
                ax.text(x + 0.5, y + 0.5, "–", color=GREY, **middle)
                continue
            verdict, effect = row[world]
            ax.add_patch(Rectangle((x + 0.02, y + 0.05), 0.96, 0.9, color=VERDICTS[verdict]))
            ax.text(x + 0.5, y + 0.5, f"{verdict}\n{effect}", color="#1a1a1a", **middle)
    ax.set(xlim=(0, max(1, len(worlds))), ylim=(max(1, len(verdicts)), 0))
    ax.set_xticks([x + 0.5 for x in range(len(worlds))], worlds)
    ax.set_yticks([y + 0.5 for y in range(len(verdicts))], list(verdicts))
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    sns.despine(fig, left=True, bottom=True)
    plt.close(fig)
    return fig


def ppo_curves(
    update: ArrayLike, success: Mapping[str, ArrayLike], turns: Mapping[str, ArrayLike]
) -> Figure:
    """PPO with several rewards: success beside turns an episode ([n] or [seeds, n] each)."""
    measured = {"success rate": success, "turns an episode": turns}
    return training_curves(
        {title: {name: (update, y) for name, y in rows.items()} for title, rows in measured.items()}
    )


def _looks(names: Any) -> dict[str, Look]:
    taken = {METHODS[name].color for name in names if name in METHODS}
    free = [look for look in SPARE if look.color not in taken] or SPARE
    spare = iter(free * len(list(names)))
    return {name: METHODS[name] if name in METHODS else next(spare) for name in names}


def _axes(columns: int = 1, width: float = 6.4, height: float = 3.8) -> tuple[Figure, Any]:
    style()
    return plt.subplots(1, columns, figsize=(width, height), layout="constrained")


def _finish(fig: Figure, ax: Axes) -> Figure:
    """Take the frame off, put the legend beside the axes, close."""
    sns.despine(fig)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
    plt.close(fig)
    return fig
