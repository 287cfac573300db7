"""Every figure draws from literals without a warning and names its methods."""

import io
from collections.abc import Callable

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from agentprm_lite.tutorial import plots

mpl.use("Agg")

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
    "verdicts": (
        lambda: plots.verdict_grid(
            {
                "C1": {"Math": ("holds", "3 [1, 5]"), "BabyAI": ("fails", "0 [-1, 1]")},
                "C6": {"BabyAI": ("undecided", "1 [-4, 6]")},
            }
        ),
        [],
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
    "distributions": (
        lambda: plots.value_distributions(
            [[0.1, 0.2, 0.1], [0.5, 0.9], [0.3]], [False, True, True]
        ),
        ["failure", "success"],
    ),
    "labels": (
        lambda: plots.label_bars({"ORM": [float("nan"), 1.0], "PVM": [1.0, 1.0]}, ["0", "1"]),
        ["ORM", "PVM"],
    ),
    "tree": (lambda: plots.recipe_tree(TREE), []),
    "calculation": (lambda: plots.calculation_tree(CALCULATION), []),
    "lone_item": (lambda: plots.recipe_tree({"item": "a", "count": 1, "children": []}), []),
    "solutions": (lambda: plots.solution_tree(SOLUTIONS), []),
    "training": (
        lambda: plots.training_curves({"loss": {"SFT": ([1, 2, 3], [2.0, 1.0, 0.5])}}),
        ["SFT"],
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
    "forest": (
        lambda: plots.forest({"TextCraft": {"beam": LOW[0], "best of 4": HIGH[0]}, "Math": {}}),
        ["TextCraft"],
    ),
    "ppo": (
        lambda: plots.ppo_curves(
            [1, 2],
            {"raw Q": [[0.3, 0.2], [0.3, 0.1]], "shaped": [0.3, 0.5]},
            {"raw Q": [[5, 9], [5, 20]], "shaped": [5, 4]},
        ),
        ["raw Q", "shaped"],
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
    assert fig.get_facecolor()[3] == 0.0
    assert not mpl.pyplot.get_fignums()


def test_other_names_look_like_no_method_beside_them() -> None:
    """Rewards of PPO: two of five are no methods."""
    names = ["outcome", "ORM", "PVM", "AgentPRM", "raw Q"]
    (ax,) = plots.training_curves({"x": {name: ([1, 2], [0, 1]) for name in names}}).axes
    assert len({line.get_color() for line in ax.get_lines()}) == 5


def test_verdicts_stand_in_their_cells() -> None:
    (ax,) = FIGURES["verdicts"][0]().axes
    cells = {text.get_text(): text.get_position() for text in ax.texts}
    assert cells == {
        "holds\n3 [1, 5]": (0.5, 0.5),
        "fails\n0 [-1, 1]": (1.5, 0.5),
        "undecided\n1 [-4, 6]": (1.5, 1.5),
        "–": (0.5, 1.5),
    }
    assert [t.get_text() for t in ax.get_xticklabels()] == ["Math", "BabyAI"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["C1", "C6"]
    colours = [patch.get_facecolor() for patch in ax.patches]
    assert len(set(colours)) == 3


def test_tree_names_every_item() -> None:
    texts = [t.get_text() for t in plots.recipe_tree(TREE).axes[0].texts]
    assert sorted(texts) == ["1 × wooden pickaxe", "2 × oak planks", "2 × stick", "3 × oak planks"]


def test_right_and_wrong_steps_differ_in_more_than_colour() -> None:
    fig = plots.solution_tree(SOLUTIONS)
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
    ax = plots.calculation_tree(CALCULATION).axes[0]
    places = {t.get_text(): t.get_position()[0] for t in ax.texts}
    told = dict.fromkeys(["8", "9", "2", "5"], 2)  # 17 and 10 are no leaves: they were calculated
    assert places == {"17 + 10 = 27": 0, "8 + 9 = 17": 1, "2 * 5 = 10": 1, **told}
    assert len(ax.lines) == 6


@pytest.mark.parametrize("lines", [[], ["a step in words"], ["2 + 3 + 4 = 9"]])
def test_calculation_tree_refuses_what_is_no_step(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="lines: expected"):
        plots.calculation_tree(lines)


def test_methods_differ_in_more_than_colour() -> None:
    for looks in (list(plots.METHODS.values()), plots.SPARE):
        assert len({look.marker for look in looks}) == len(looks)


@pytest.mark.parametrize("look", [*plots.METHODS.values(), *plots.SPARE])
def test_colours_read_on_light_and_dark_pages(look: plots.Look) -> None:
    """WCAG contrast of graphics, at least 3 : 1, on white and on #121212."""

    def luminance(color: str) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in mpl.colors.to_rgb(color)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    own = luminance(look.color) + 0.05
    assert 1.05 / own >= 3.0
    assert own / (luminance("#121212") + 0.05) >= 3.0
