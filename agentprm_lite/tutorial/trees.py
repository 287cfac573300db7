"""Figures of trees: recipes, solutions, calculations; the root is on the left."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from agentprm_lite.tutorial.looks import GREY, LOOKS, SPARE, new_axes

Box = tuple[str, str, str]  # text, colour, shape
MADE, GIVEN = (SPARE[0].color, "round"), (SPARE[2].color, "square")


def recipe_tree(tree: Mapping[str, Any]) -> Figure:
    """A recipe, goal on the left: {"item": str, "count": int, "children": [the same, ...]}."""

    def box(node: Mapping[str, Any]) -> Box:
        color, shape = MADE if node["children"] else GIVEN
        return f"{node['count']} × {node['item']}", color, shape

    return _tree(tree, box, 2.3, 0.65)


def solution_tree(tree: Mapping[str, Any]) -> Figure:
    """Solutions merged where they begin alike: {"step": str, "right": bool | None, "children"}."""
    right, wrong = LOOKS["success"].color, LOOKS["failure"].color
    looks = {True: ("✓ ", right, "round"), False: ("✗ ", wrong, "square")}

    def box(node: Mapping[str, Any]) -> Box:
        mark, color, shape = looks.get(node["right"], ("", SPARE[5].color, "round"))
        return mark + node["step"], color, shape

    return _tree(tree, box, 2.5, 0.8)


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
        parts = [made.get(x, {"text": x, "children": []}) for x in match.group(1, 2)]
        last = made[match[3]] = {"text": line, "children": parts}
    if not last:
        raise ValueError("lines: expected at least one, got none")

    def box(node: Mapping[str, Any]) -> Box:
        color, shape = MADE if node["children"] else GIVEN
        return node["text"], color, shape

    return _tree(last, box, 1.6, 0.65)


def _tree(
    tree: Mapping[str, Any],
    box: Callable[[Mapping[str, Any]], Box],
    width: float,
    height: float,
) -> Figure:
    """A tree with its root on the left; `box` gives a node's text, colour and shape."""
    nodes: list[tuple[float, float, Box]] = []
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
    fig, ax = new_axes(width=width * (depth + 1), height=0.7 + height * leaves)
    for x0, y0, x1, y1 in edges:
        ax.plot([x0, x1], [y0, y1], color=GREY, linewidth=1, zorder=1)
    for x, y, (text, color, shape) in nodes:
        style = {"boxstyle": shape, "facecolor": color, "edgecolor": GREY}
        text = fill(text, 20)
        ax.text(x, y, text, ha="center", va="center", color="white", bbox=style, fontsize=11)
    ax.set(xlim=(-0.5, depth + 0.5), ylim=(leaves - 0.5, -0.5))
    ax.axis("off")
    plt.close(fig)
    return fig
