"""The one table of colours, and how every figure of the book is laid out.

A colour means one method in the whole book; marker and line style say it a second time. Text is
near-black on white and at least 11 points high, and ``notebook.show_figure`` never shows a point
smaller than a pixel. Figures come back closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GREY = "#1a1a1a", "#8a8a8a"  # text; frames, grids and lines to compare with
PANEL = 3.4  # inches; a page shows two side by side, a phone one
WIDTH = 4.6  # inches of a figure with one panel: a phone shows it whole

Interval = tuple[float, float, float]


class Look(NamedTuple):
    """How one method is drawn."""

    color: str
    marker: str
    linestyle: str


LOOKS = {
    "AgentPRM": Look("#0072b2", "o", "-"),
    "ORM": Look("#d55e00", "v", "-."),
    "PVM": Look("#00875a", "^", ":"),
    "MC-soft": Look("#c44fa8", "D", "--"),
    "MC-hard": Look("#8560d6", "X", "-."),
    "PQM": Look("#a07800", "p", ":"),
    "SFT": Look("#7a4b2a", "s", "--"),
    "RFT": Look("#b5835a", "P", "--"),
    "oracle": Look(INK, "*", ":"),
    "one sample": Look(GREY, "x", "-."),
    "random agent": Look("#0b9aa8", "s", ":"),
    "fewest turns": Look("#e0315f", "<", "--"),
    "majority": Look("#748a00", "h", "--"),
    "likelihood": Look("#8d7f9b", ">", "-."),
    "Best-of-N": Look("#5a9e1f", "d", "--"),
    "halving": Look("#3d5ae0", "P", "-"),
    "beam": Look("#9c0f6a", "8", "-"),
    "outcome": Look("#4d6b73", "s", "-"),
    "shaping": Look("#7d3c98", "p", "--"),
    "raw Q": Look("#b8562f", "H", "-."),
    "success": Look("#0b4a1e", "o", "-"),
    "failure": Look("#9b1c1c", "X", "--"),
}
# Names that are no method take these in order; none is a method's colour.
SPARE = [
    Look("#1c2f9c", "o", "-"),
    Look("#5a4a00", "v", "--"),
    Look("#0b4f5c", "^", "-."),
    Look("#560f73", "D", ":"),
    Look("#5c1f10", "P", "--"),
    Look("#75685a", "X", "-."),
]
HATCHES = ["", "///", "...", "xxx", "\\\\\\", "++", "oo"]


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """The look of each name.

    "AgentPRM, λ = 0.8" has AgentPRM's colour; a second name of one method has another marker and
    line style.
    """
    found, spare, used = {}, iter(SPARE * 9), dict.fromkeys(LOOKS, 0)
    for name in names:
        known = [m for m in LOOKS if name == m or name.startswith((f"{m},", f"{m} "))]
        if not known:
            found[name] = next(spare)
            continue
        method = max(known, key=len)
        color, marker, linestyle = LOOKS[method]
        if k := used[method]:
            _, marker, linestyle = SPARE[k % len(SPARE)]
        found[name] = Look(color, marker, linestyle)
        used[method] += 1
    return found


def style() -> None:
    """Set the book's figure style; every figure function does so itself."""
    rc: dict[str, Any] = dict.fromkeys(
        ["text.color", "axes.labelcolor", "xtick.color", "ytick.color"], INK
    )
    rc |= {"axes.edgecolor": GREY, "axes.grid": True, "grid.color": GREY, "grid.alpha": 0.25}
    rc |= {"legend.frameon": False, "figure.facecolor": "white"}
    sns.set_theme(context="notebook", style="ticks", rc=rc)


def new_axes(
    columns: int = 1, width: float = WIDTH, height: float = 3.2, rows: int = 1
) -> tuple[Figure, Any]:
    """A figure in the book's style with one panel or more."""
    style()
    return plt.subplots(rows, columns, figsize=(width, height), layout="constrained")


def new_panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, two a row."""
    if count == 1:
        fig, ax = new_axes()
        return fig, [ax]
    rows = -(-count // 2)
    fig, axes = new_axes(2, 2 * PANEL, 3.2 * rows, rows)
    for ax in axes.flat[count:]:
        ax.remove()
    return fig, list(axes.flat[:count])


def band(
    ax: Axes, x: Sequence[float], intervals: Sequence[Interval], name: str, look: Look
) -> None:
    """A curve with its interval as a band."""
    mean, lo, hi = np.array(intervals).T
    ax.fill_between(x, lo, hi, color=look.color, alpha=0.15, linewidth=0)
    ax.plot(x, mean, label=name, **look._asdict())


def finish(fig: Figure, ax: Axes) -> Figure:
    """Take the frame off, put the legend below, close."""
    sns.despine(fig)
    handles, names = ax.get_legend_handles_labels()
    longest = max(map(len, names), default=0)
    columns = 1 + (longest <= 20) + (longest <= 12)
    width, height = fig.get_size_inches()
    fig.set_size_inches(width, height + 0.24 * -(-len(names) // columns))
    fig.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=columns,
        columnspacing=1.0,
        handlelength=1.8,
    )
    plt.close(fig)
    return fig
