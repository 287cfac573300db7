"""Figures with a panel a world, and learning curves: data in, a matplotlib Figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agentprm_lite.tutorial.looks import (
    GREY,
    INK,
    LOOKS,
    Interval,
    band,
    finish,
    looks_of,
    new_axes,
    new_panels,
)


def seed_lines(
    panels: Mapping[str, Mapping[str, Sequence[Mapping[float, float]]]],
    *,
    xlabels: Sequence[str],
    ylabel: str,
) -> Figure:
    """For each panel and name the seeds as thin lines, and the mean of those that are there; what
    counts rollouts has a log2 axis."""
    fig, axes = new_panels(len(panels))
    looks = looks_of(dict.fromkeys(name for panel in panels.values() for name in panel))
    for ax, xlabel, (title, panel) in zip(axes, xlabels, panels.items(), strict=True):
        for name, seeds in panel.items():
            for seed in seeds:
                ax.plot(list(seed), list(seed.values()), color=looks[name].color, linewidth=0.6)
            places = sorted({x for seed in seeds for x in seed})
            mean = [float(np.mean([seed[x] for seed in seeds if x in seed])) for x in places]
            ax.plot(places, mean, label=name, **looks[name]._asdict())
        ax.axhline(0, color=GREY, linewidth=1)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if xlabel == "rollouts":
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:,g}")
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finish(fig, axes[0])


def gain_panels(
    panels: Mapping[str, Mapping[str, Mapping[float, Interval]]],
    *,
    base: str,
    xlabel: str,
    ylabel: str,
) -> Figure:
    """For each panel and name its difference from the base, which is the line at 0, with intervals
    over a log2 axis."""
    fig, axes = new_panels(len(panels))
    looks = looks_of(dict.fromkeys([base, *(name for panel in panels.values() for name in panel)]))
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        ax.axhline(0, label=base, color=looks[base].color, linestyle=looks[base].linestyle)
        for name, found in panel.items():
            band(ax, list(found), list(found.values()), name, looks[name])
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:,g}")
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return finish(fig, axes[0])


def tokens_panels(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, Interval]]]],
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """Success against generated tokens a task: for each panel and way to answer its points, a lone
    one with its interval; what generates none is a level, by panel. Bands only of the ways that
    search, Best-of-N and halving: more would hide each other."""
    fig, axes = new_panels(len(panels))
    looks = looks_of(dict.fromkeys(name for panel in panels.values() for name in panel))
    floor = LOOKS["random agent"]
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        for name, points in panel.items():
            tokens, (mean, lo, hi) = [x for x, _ in points], np.array([y for _, y in points]).T
            look = looks[name]
            if len(points) == 1:
                error = np.maximum(0.0, [mean - lo, hi - mean])
                ax.errorbar(tokens, mean, error, label=name, color=look.color, fmt=look.marker)
            elif name in ("Best-of-N", "halving"):
                band(ax, tokens, [y for _, y in points], name, look)
            else:
                ax.plot(tokens, mean, label=name, markersize=4, linewidth=1.2, **look._asdict())
        if levels:
            line = ax.axhline(levels[title], label="random agent", color=floor.color)
            line.set(linestyle=floor.linestyle, linewidth=1.2)
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:,g}")
        ax.set(title=title, xlabel="generated tokens a task", ylabel="success rate")
        ax.set_ylim(bottom=0)
    return finish(fig, axes[0])


def turn_panels(
    panels: Mapping[str, Mapping[str, Mapping[int, Interval]]],
    counts: Mapping[str, Mapping[int, int]],
    fixed: Mapping[str, int],
) -> Figure:
    """AUROC within tasks after each turn; below a turn the number of tasks with both outcomes. The
    turn of the bars is marked, and a coin."""
    fig, axes = new_panels(len(panels))
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        for name, look in looks_of(panel).items():
            band(ax, list(panel[name]), list(panel[name].values()), name, look)
        ax.axhline(0.5, color=INK, linewidth=1)
        ax.axvline(fixed[title], color=GREY, linewidth=1, linestyle="--")
        turns = list(counts[title])[:: 1 + (len(counts[title]) > 6)]
        ax.set_xticks(turns, [f"{k}\n({counts[title][k]})" for k in turns])
        ax.set(title=title, xlabel="after turn (tasks)", ylabel="AUROC within tasks")
    return finish(fig, axes[0])


def chosen_panels(panels: Mapping[str, Mapping[str, Interval]], *, xlabel: str) -> Figure:
    """For each panel a row a method: its mean with the interval, and the mean as a number; a line
    at one sample. All of it fits a phone in one piece."""
    names = list(next(iter(panels.values())))
    rows = -(-len(panels) // 2)
    fig, axes = new_axes(2, 4.5, 0.6 + rows * (0.5 + 0.23 * len(names)), rows)
    axes = np.atleast_1d(axes).reshape(rows, 2)
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    places = range(len(names), 0, -1)
    for k, (ax, (title, panel)) in enumerate(zip(axes.flat, panels.items(), strict=False)):
        for at, (name, look) in zip(places, looks_of(panel).items(), strict=True):
            mean, lo, hi = panel[name]
            error = np.maximum(0.0, [[mean - lo], [hi - mean]])
            ax.errorbar(mean, at, xerr=error, color=look.color, fmt=look.marker, markersize=6)
            ax.text(1.06, at, f"{mean:.2f}", va="center", fontsize=11)
        ax.axvline(panel["one sample"][0], color=GREY, linewidth=1, linestyle=":")
        ax.set(title=title, xlim=(-0.02, 1.02), ylim=(0.4, len(names) + 0.6))
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set_yticks(list(places), names if k % 2 == 0 else [""] * len(names))
        ax.tick_params("y", length=0)
        ax.grid(axis="y", visible=False)
    fig.supxlabel(xlabel, fontsize=11, color=INK)
    sns.despine(fig, left=True)
    plt.close(fig)
    return fig
