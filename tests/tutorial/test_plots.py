"""Every figure draws from literals without a warning and names its methods."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from agentprm_lite.tutorial import looks, panels, plots, trees
from agentprm_lite.tutorial.notebook import _pieces

mpl.use("Agg")

CHAPTERS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.py"))
LOW = [(0.1, 0.05, 0.2), (0.2, 0.1, 0.3), (0.25, 0.2, 0.3)]
HIGH = [(0.1, 0.05, 0.2), (0.4, 0.3, 0.5), (0.6, 0.5, 0.7)]
TREE = {
    "item": "wooden pickaxe",
    "count": 1,
    "children": [
        {
            "item": "stick",
            "count": 2,
            "children": [{"item": "oak planks", "count": 2, "children": []}],
        },
        {"item": "oak planks", "count": 3, "children": []},
    ],
}
SOLUTIONS = {
    "step": "12 pens, 5 are lost",
    "right": None,
    "children": [
        {"step": "12 - 5 = 7", "right": True, "children": []},
        {"step": "12 + 5 = 17", "right": False, "children": []},
    ],
}

CALCULATION = ["8 + 9 = 17", "2 * 5 = 10", "17 + 10 = 27"]

FIGURES: dict[str, tuple[Callable[[], Figure], list[str]]] = {
    "curve": (
        lambda: plots.curve_with_interval([1, 2, 4], {"ORM": LOW, "AgentPRM": HIGH}),
        ["ORM", "AgentPRM"],
    ),
    "curve_over_tokens": (
        lambda: plots.curve_with_interval(
            {"ORM": [100, 200, 400], "mine": [120, 240, 480]},
            {"ORM": LOW, "mine": HIGH},
            xlabel="tokens",
        ),
        ["ORM", "mine"],
    ),
    "beam": (
        lambda: plots.beam_points(
            ["1×1", "2×2", "4×4"], {"PVM": LOW, "AgentPRM": HIGH}, reference={"SFT": 0.15}
        ),
        ["SFT", "PVM", "AgentPRM"],
    ),
    "trajectory": (
        lambda: plots.value_trajectory(
            {"success": [0.3, 0.5, 0.9], "failure": [0.3, 0.2]}, ["get 1 log", "craft 4 planks"]
        ),
        ["success", "failure"],
    ),
    "reliability": (
        lambda: plots.reliability_diagram({"ORM": ([0.1, 0.9], [0.2, 0.7], [30, 10])}),
        ["calibrated", "ORM"],
    ),
    "labels": (
        lambda: plots.label_bars({"ORM": [float("nan"), 1.0], "PVM": [1.0, 1.0]}, ["0", "1"]),
        ["ORM", "PVM"],
    ),
    "tree": (lambda: trees.recipe_tree(TREE), []),
    "calculation": (lambda: trees.calculation_tree(CALCULATION), []),
    "lone_item": (lambda: trees.recipe_tree({"item": "a", "count": 1, "children": []}), []),
    "solutions": (lambda: trees.solution_tree(SOLUTIONS), []),
    "training": (
        lambda: plots.training_curves({"loss": {"SFT": ([1, 2, 3], [2.0, 1.0, 0.5])}}),
        ["SFT"],
    ),
    "seeds": (
        lambda: panels.seed_lines(
            {
                "pool": {"β = 0": [{60: 0.1, 120: 0.2}, {60: 0.2}]},
                "held out": {"β = 0": [{1: 0.1, 2: 0.3}, {1: 0.1, 2: 0.2, 3: 0.3}]},
            },
            xlabels=["rollouts", "epoch"],
            ylabel="explained variance",
        ),
        ["β = 0"],
    ),
    "gain": (
        lambda: panels.gain_panels(
            {"tree": {"β = 1": dict(zip([60, 120, 240], LOW, strict=True))}},
            base="β = 0",
            xlabel="rollouts",
            ylabel="gain",
        ),
        ["β = 0", "β = 1"],
    ),
    "tokens": (
        lambda: panels.tokens_panels(
            {"math": {"halving": [(100, LOW[0]), (200, HIGH[1])], "SFT, greedy": [(90, HIGH[2])]}},
            {"math": 0.1},
        ),
        ["halving", "random agent", "SFT, greedy"],
    ),
    "turns": (
        lambda: panels.turn_panels(
            {"math": {"PVM": {1: LOW[1], 2: HIGH[1]}}}, {"math": {1: 50, 2: 40}}, {"math": 2}
        ),
        ["PVM"],
    ),
    "chosen": (
        lambda: panels.chosen_panels(
            {w: {"one sample": LOW[0], "PVM": HIGH[2]} for w in ("math", "shop", "rooms")},
            xlabel="success",
        ),
        [],
    ),
    "panels": (
        lambda: plots.interval_panels(
            [-1, 0, 1],
            {"ORM": {"right": HIGH, "wrong": LOW}, "PVM": {"right": LOW, "wrong": HIGH}},
            xlabel="steps after",
            ylabel="M",
        ),
        ["right", "wrong"],
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws(name: str) -> None:
    draw, legend = FIGURES[name]
    fig = draw()
    target = io.BytesIO()
    fig.savefig(target, format="png")
    assert target.getbuffer().nbytes > 1000
    assert [text.get_text() for box in fig.legends for text in box.get_texts()] == legend
    assert not mpl.pyplot.get_fignums()


def test_other_names_look_like_no_method_beside_them() -> None:
    """Rewards of PPO: two of five are no methods."""
    names = ["outcome", "ORM", "PVM", "AgentPRM", "raw Q"]
    (ax,) = plots.training_curves({"x": {name: ([1, 2], [0, 1]) for name in names}}).axes
    assert len({line.get_color() for line in ax.get_lines()}) == 5


def test_tree_names_every_item() -> None:
    texts = [t.get_text() for t in trees.recipe_tree(TREE).axes[0].texts]
    assert sorted(texts) == ["1 × wooden pickaxe", "2 × oak planks", "2 × stick", "3 × oak planks"]


def test_right_and_wrong_steps_differ_in_more_than_colour() -> None:
    fig = trees.solution_tree(SOLUTIONS)
    texts = [t.get_text() for t in fig.axes[0].texts]
    assert sorted(texts) == ["12 pens, 5 are lost", "✓ 12 - 5 = 7", "✗ 12 + 5 = 17"]


def test_panels_share_a_scale_that_holds_all() -> None:
    far = [(5.0, 4.0, 6.0)] * 3
    panels = {"ORM": {"right": LOW}, "PVM": {"right": far}}
    fig = plots.interval_panels([-1, 0, 1], panels, xlabel="steps", ylabel="M")
    low, high = fig.axes[0].get_ylim()
    assert low < 0.05 and high > 6.0
    assert fig.axes[1].get_ylim() == (low, high)


def test_calculation_tree_joins_results_to_the_steps_that_use_them() -> None:
    ax = trees.calculation_tree(CALCULATION).axes[0]
    places = {t.get_text(): t.get_position()[0] for t in ax.texts}
    told = dict.fromkeys(["8", "9", "2", "5"], 2)  # 17 and 10 are no leaves: they were calculated
    assert places == {"17 + 10 = 27": 0, "8 + 9 = 17": 1, "2 * 5 = 10": 1, **told}
    assert len(ax.lines) == 6


@pytest.mark.parametrize("lines", [[], ["a step in words"], ["2 + 3 + 4 = 9"]])
def test_calculation_tree_refuses_what_is_no_step(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="lines: expected"):
        trees.calculation_tree(lines)


def test_methods_differ_in_more_than_colour() -> None:
    colors = [look.color for look in [*looks.LOOKS.values(), *looks.SPARE]]
    assert len(set(colors)) == len(colors)
    marks = [(look.marker, look.linestyle) for look in looks.LOOKS.values()]
    assert len({*marks[:-2]}) == len(marks) - 2  # success and failure stand beside no method
    assert len({look.marker for look in looks.SPARE}) == len(looks.SPARE)


def test_a_name_has_its_methods_colour() -> None:
    """One method with two settings: one colour, two markers; the longest method's name counts."""
    found = looks.looks_of(["AgentPRM, λ = 1", "AgentPRM, λ = 0.8", "random agent", "mine"])
    first, second, agent, mine = found.values()
    assert first == looks.LOOKS["AgentPRM"]
    assert second.color == first.color and second.marker != first.marker
    assert agent == looks.LOOKS["random agent"]
    assert mine == looks.SPARE[0]
    assert looks.looks_of(["PVMs"])["PVMs"] == looks.SPARE[0]


def colours_of(fig: Figure) -> set[str]:
    """Every colour with which something of a figure is drawn, without its transparency."""
    found = set()
    for part in fig.findobj():
        for ask in ("get_color", "get_facecolor", "get_edgecolor"):
            if part.get_visible() and hasattr(part, ask):
                given = getattr(part, ask)()
                rows = [given] if isinstance(given, str | tuple) else list(given)
                found |= {mpl.colors.to_hex(x) for x in rows if mpl.colors.to_rgba(x)[3]}
    return found


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_takes_its_colours_from_the_table(name: str) -> None:
    table = {look.color for look in [*looks.LOOKS.values(), *looks.SPARE]}
    allowed = table | {looks.INK, looks.GREY, "#ffffff", "#000000"}
    assert colours_of(FIGURES[name][0]()) <= allowed


@pytest.mark.parametrize("name", FIGURES)
def test_text_is_dark_and_eleven_points_high(name: str) -> None:
    for text in FIGURES[name][0]().findobj(mpl.text.Text):
        if text.get_text():
            assert text.get_fontsize() >= 11, text
            assert text.get_color() in (looks.INK, "white"), text


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_names_no_colour(path: Path) -> None:
    """Colours, sizes of text and the table itself are the library's."""
    text = path.read_text()
    assert not re.search(r"""["']#[0-9a-fA-F]{6}|figsize|LOOKS\[|fontsize": [0-9]\b""", text)


def test_panels_and_legend_are_pieces_that_a_phone_shows_whole() -> None:
    assert len(list(_pieces(FIGURES["panels"][0]()))) == 3
    (whole,) = _pieces(FIGURES["curve"][0]())
    for _, points in [whole, *_pieces(FIGURES["panels"][0]())]:
        assert points <= 358


@pytest.mark.parametrize("look", [*looks.LOOKS.values(), *looks.SPARE])
def test_colours_read_on_white(look: looks.Look) -> None:
    """WCAG contrast of graphics, at least 3 : 1; every figure has a white ground."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in mpl.colors.to_rgb(look.color)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 3.0


def test_a_mean_is_of_the_seeds_that_are_there() -> None:
    """Two seeds with 60 rollouts, one with 120: a line each, then 0.2 and 0.3."""
    figure = panels.seed_lines(
        {"pool": {"β = 0": [{60: 0.1, 120: 0.3}, {60: 0.3}]}}, xlabels=["rollouts"], ylabel="share"
    )
    lines = [(*line.get_xdata(), *line.get_ydata()) for line in figure.axes[0].lines[:3]]
    assert lines == [(60, 120, 0.1, 0.3), (60, 0.3), (60, 120, pytest.approx(0.2), 0.3)]
