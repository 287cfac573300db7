"""What L_A wants: the closed form, the linear system, and the library's own gradients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from agentprm_lite.labels import td_gae_labels
from agentprm_lite.losses import Progress, agentprm_loss
from agentprm_lite.tutorial.smoothing import (
    Tree,
    closed_form,
    crossover,
    errors,
    exact,
    figure_data,
    misranked,
    weights,
    wrong_sign,
)

TREES = [Tree(depth=5, actions=3), Tree(depth=3, actions=2, seed=4), Tree(depth=30, actions=1)]


@pytest.mark.parametrize("tree", TREES, ids=str)
@pytest.mark.parametrize("lam", [1.0, 0.95, 0.5])
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, 4.0])
def test_the_closed_form_solves_the_linear_system(tree: Tree, beta: float, lam: float) -> None:
    found, m = closed_form(tree, beta, lam), exact(tree, beta, lam)
    np.testing.assert_allclose(found, m, rtol=0, atol=1e-12)
    assert m[0] == pytest.approx(tree.q[0], abs=1e-12)
    assert (np.abs(m - tree.q).max() < 1e-12) == (beta == 0 or tree.actions == 1)


def test_two_steps_worked() -> None:
    """One step, D = 1, λ = 1, β = 1: L = ½[½(M_0 − r)² + ½(M_1 − r)²] + ½(M_1 − M_0)². Means over
    the leaves: M_0 = Q_0, and 0 = ½(M_1 − Q_1) + (M_1 − M_0), so M_1 = Q_1/3 + 2 M_0/3."""
    assert weights(1, 1.0, 1.0).tolist() == pytest.approx([1 / 3])
    tree = Tree(depth=1, actions=2)
    expected = [tree.q[0], *(tree.q[1:] / 3 + 2 * tree.q[0] / 3)]
    np.testing.assert_allclose(exact(tree, 1.0, 1.0), expected)


def test_the_weights_do_not_fade_with_depth() -> None:
    """β = 1: half of Q at the last step, three fifths in the middle, however long the way."""
    for depth in (5, 20, 50):
        c = weights(depth, 1.0, 0.95)
        assert 0.48 < c[-1] < 0.53 and 0.58 < c[depth // 2] < 0.63
    assert weights(7, 0.0, 0.95).tolist() == [1.0] * 7


def gradient(tree: Tree, m: np.ndarray, progress: Progress, beta: float = 1.0) -> np.ndarray:
    """Expected gradient of the library's loss at M, every trajectory weighed by its chance."""
    values = torch.tensor(m, requires_grad=True)
    mask, yes = torch.ones(1, tree.depth, dtype=torch.bool), torch.tensor([True])
    loss = torch.zeros((), dtype=torch.float64)
    for leaf in np.flatnonzero(tree.level == tree.depth):
        along = values[tree.path(int(leaf))]
        q, root = along[None, 1:], along[:1]
        # labels are linear in the outcome, so its mean at the leaf stands for it
        reward = torch.tensor([tree.q[leaf]])
        labels = td_gae_labels(q, root, reward, mask, yes, lam=0.95)
        loss = loss + tree.visits[leaf] * agentprm_loss(q, root, labels, beta, progress)
    loss.backward()
    assert values.grad is not None
    return values.grad.numpy()


@pytest.mark.parametrize("beta", [1.0, 4.0])
@pytest.mark.parametrize("tree", TREES[:2], ids=str)
def test_the_librarys_gradient_is_zero_there_and_not_at_q(tree: Tree, beta: float) -> None:
    there = closed_form(tree, beta, 0.95)
    assert np.abs(gradient(tree, there, "difference", beta)).max() < 1e-15
    assert np.abs(gradient(tree, tree.q, "difference", beta)).max() > 1e-3
    # our target is exact at Q, and not at the smoothed values
    assert np.abs(gradient(tree, tree.q, "gae", beta)).max() < 1e-15
    assert np.abs(gradient(tree, there, "gae", beta)).max() > 1e-3


def test_a_smoother_helps_with_few_trajectories_and_harms_with_many() -> None:
    found = errors(TREES[0], [0.0, 1.0], [30, 10_000], repeats=6)
    assert found["1"][0] < 0.9 * found["0"][0]
    assert found["1"][1] > 1.5 * found["0"][1]
    assert found["0"][1] < 0.2 * found["0"][0]


def test_crossover_worked() -> None:
    """Gaps −0.1 at 100 and +0.1 at 400: half-way in the logarithm, 200."""
    assert crossover([100, 400], [0.4, 0.3], [0.5, 0.2]) == pytest.approx(200)
    assert crossover([100, 400], [0.4, 0.1], [0.5, 0.2]) is None


def test_the_stored_numbers_are_those_of_the_code() -> None:
    """The exact part is computed again; the sampled part takes half a minute."""
    path = Path(__file__).parents[2] / "results" / "smoothing.json"
    stored, now = json.loads(path.read_text()), figure_data(repeats=1)
    assert stored["n"] == now["n"] and stored["rms"].keys() == {"0", "1", "4"}
    for name in ("bias", "weights", "misranked", "wrong_sign"):
        for key, value in stored[name].items():
            np.testing.assert_allclose(value, now[name][key], atol=1e-12)  # type: ignore[index]
    for key, bias in stored["bias"].items():  # what is left with many trajectories
        assert stored["rms"][key][-1] == pytest.approx(bias, abs=0.04)


def test_siblings_keep_their_order_and_cousins_do_not() -> None:
    """Two turns of two actions, M = ½ Q + ½ M of the parent: a good node's bad child overtakes.

    Q after the first turn 0.8 and 0.4, leaves 0.9, 0.5 and 0.6, 0.2; M of the leaves 0.85, 0.65 and
    0.5, 0.3. Of the four pairs of cousins one (0.5 and 0.6 in Q) is turned round.
    """
    tree = Tree(depth=2, actions=2)
    even = np.array([1.0, *[0.5] * 2, *[0.25] * 4])
    q = np.array([0.6, 0.8, 0.4, 0.9, 0.5, 0.6, 0.2])
    vars(tree).update(visits=even, q=q)  # cached properties, set by hand
    m = np.array([0.6, 0.8, 0.4, 0.85, 0.65, 0.5, 0.3])
    assert misranked(tree, m) == pytest.approx(1 / 4)
    assert misranked(tree, q) == 0
    assert wrong_sign(tree, m) == 0
    m[3] = 0.75  # below its parent's 0.8: one leaf of four, half of the steps
    assert wrong_sign(tree, m) == pytest.approx(1 / 8)


def test_chapter_5_says_what_the_file_says() -> None:
    root = Path(__file__).parents[2]
    stored = json.loads((root / "results" / "smoothing.json").read_text())
    chapter = (root / "notebooks" / "05_agentprm.py").read_text()
    section = chapter.split("# ## What the loss wants")[1].split("# ## Training")[0]
    text = " ".join(section.replace("\n# ", " ").split())
    rms, cross = stored["rms"], stored["crossover"]
    first, last = ([rms[b][k] for b in ("1", "0")] for k in (0, -1))
    c = [f"{x:.2f}" for x in stored["weights"]["1"]]
    wrong, signs = (
        [f"{stored[k][b]:.0%}" for b in ("1", "4")] for k in ("misranked", "wrong_sign")
    )
    for said in (
        f"Up to about {round(cross['1'], -2):,.0f} episodes β = 1 is better",
        "with {} the error is {:.2f} instead of {:.2f}".format(stored["n"][0], *first),
        "With {:,} it is {:.2f} instead of {:.2f}".format(stored["n"][-1], *last),
        f"the weights $c_t$ are {', '.join(c[:-1])} and {c[-1]}",
        "{} of the pairs in the wrong order with β = 1 and {} with β = 4".format(*wrong),
        "The progress of {} and {} of the turns has the wrong sign".format(*signs),
        f"{stored['tree']['repeats']} data sets of each size",
    ):
        assert said.replace("%", " %") in text, said
    assert f"below about {round(cross['1'], -2):,.0f} episodes" in " ".join(
        chapter.split("# ## Summary")[1].replace("\n# ", " ").split()
    )
