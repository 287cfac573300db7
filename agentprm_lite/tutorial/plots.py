"""The book's figures: data in, a matplotlib Figure out.

Methods have the colours of ``looks``. An interval is (mean, lo, hi), from
``study.bootstrap_interval``. Trees are in ``trees``, what is shown world by world in ``panels``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from agentprm_lite.tutorial.looks import (
    GREY,
    HATCHES,
    Interval,
    band,
    finish,
    looks_of,
    new_axes,
    new_panels,
)


def curve_with_interval(
    x: Sequence[float] | Mapping[str, Sequence[float]],
    curves: Mapping[str, Sequence[Interval]],
    *,
    xlabel: str = "samples N",
    ylabel: str = "success rate",
) -> Figure:
    """Curves with interval bands over a log2 axis; ``x`` holds all curves' positions or each's."""
    fig, ax = new_axes()
    for name, look in looks_of(curves).items():
        band(ax, x[name] if isinstance(x, Mapping) else x, curves[name], name, look)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return finish(fig, ax)


def curves_by_panel(
    x: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[Interval]]],
    *,
    ylabel: str = "success rate",
) -> Figure:
    """The curves of :func:`curve_with_interval` in several panels."""
    fig, axes = new_panels(len(panels))
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        for name, look in looks_of(curves).items():
            band(ax, x, curves[name], name, look)
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:,g}")
        ax.set(title=title, xlabel="samples N", ylabel=ylabel, ylim=(-0.03, 1.03))
    return finish(fig, axes[0])


def beam_points(
    widths: Sequence[str],
    results: Mapping[str, Sequence[Interval]],
    *,
    reference: Mapping[str, float] | None = None,
    ylabel: str = "success rate",
) -> Figure:
    """Beam search at sizes such as "2×2", an interval each; ``reference`` levels as lines."""
    fig, ax = new_axes()
    looks = looks_of([*results, *(reference or {})])
    for i, (name, intervals) in enumerate(results.items()):
        at = np.arange(len(widths)) + 0.12 * (i - (len(results) - 1) / 2)
        mean, lo, hi = np.array(intervals).T
        error, look = np.maximum(0.0, [mean - lo, hi - mean]), looks[name]
        ax.errorbar(at, mean, error, label=name, color=look.color, fmt=look.marker, capsize=3)
    for name, level in (reference or {}).items():
        ax.axhline(level, label=name, color=looks[name].color, linestyle=looks[name].linestyle)
    ax.set_xticks(range(len(widths)), widths)
    if sum(max(map(len, name.split("\n"))) for name in widths) > 45:  # they would overlap
        ax.tick_params("x", rotation=60)
    ax.set(xlabel="beam: kept × expanded", ylabel=ylabel, xlim=(-0.5, len(widths) - 0.5))
    return finish(fig, ax)


def value_trajectory(
    values: Mapping[str, Sequence[float]], actions: Sequence[str], *, ylabel: str = "value M"
) -> Figure:
    """Values along one trajectory of T actions: for each line T + 1 values, the root first."""
    fig, ax = new_axes(height=4.2)
    for name, look in looks_of(values).items():
        ax.plot(range(len(values[name])), values[name], label=name, **look._asdict())
    names = ["prompt", *(fill(action, 24) for action in actions)]
    ax.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    ax.set_ylabel(ylabel)
    return finish(fig, ax)


def reliability_diagram(bins: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]]) -> Figure:
    """Mean outcome against mean prediction (``study.reliability``); areas show the counts."""
    fig, ax = new_axes(width=4.2, height=4.2)
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="calibrated")
    for name, (color, marker, linestyle) in looks_of(bins).items():
        prediction, outcome, count = (np.asarray(x, dtype=float) for x in bins[name])
        ax.plot(prediction, outcome, color=color, linestyle=linestyle, linewidth=1)
        sizes = 15 + 150 * count / count.sum()
        ax.scatter(prediction, outcome, sizes, color=color, marker=marker, label=name)
    ax.set(xlabel="mean prediction", ylabel="mean outcome")
    return finish(fig, ax)


def label_bars(targets: Mapping[str, Sequence[float]], steps: Sequence[str]) -> Figure:
    """The target of each step, one bar a method; NaN where a step has none."""
    fig, ax = new_axes()
    width = 0.8 / len(targets)
    for i, (name, look) in enumerate(looks_of(targets).items()):
        at = np.arange(len(steps)) + width * (i - (len(targets) - 1) / 2)
        bars = {"color": look.color, "edgecolor": "white", "hatch": HATCHES[i % len(HATCHES)]}
        ax.bar(at, targets[name], width, label=name, linewidth=0, **bars)
    ax.set_xticks(range(len(steps)), steps)
    ax.set_ylabel("target")
    return finish(fig, ax)


def training_curves(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]], *, xlabel: str = "update"
) -> Figure:
    """For each panel and method (x [n], y [n] or [seeds, n]): mean, and seeds as thin lines."""
    fig, axes = new_panels(len(panels))
    looks = looks_of(dict.fromkeys(name for panel in panels.values() for name in panel))
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        for name, (x, y) in panel.items():
            seeds = np.atleast_2d(np.asarray(y, dtype=float))
            color, marker, linestyle = looks[name]
            if len(seeds) > 1:
                ax.plot(x, seeds.T, color=color, alpha=0.3, linewidth=0.8)
            mark = {"marker": marker, "markevery": max(1, seeds.shape[1] // 8)}
            ax.plot(x, seeds.mean(axis=0), color=color, linestyle=linestyle, label=name, **mark)
        ax.set(title=title, xlabel=xlabel)
    return finish(fig, axes[0])


def interval_panels(
    x: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[Interval]]],
    *,
    xlabel: str,
    ylabel: str,
) -> Figure:
    """For each panel and name one interval at every x; the panels share their scale."""
    fig, axes = new_panels(len(panels))
    for ax in axes[1:]:
        ax.sharey(axes[0])
    looks = looks_of(dict.fromkeys(name for panel in panels.values() for name in panel))
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        for name, intervals in panel.items():
            band(ax, x, intervals, name, looks[name])
        ax.set(title=title, xlabel=xlabel, xticks=x, ylabel=ylabel)
    return finish(fig, axes[0])
