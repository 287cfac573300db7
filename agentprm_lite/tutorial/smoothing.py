"""What the progress loss wants: exponential smoothing of Q along a trajectory.

With γ = 1 and no reward before the end, TD labels obey Q̂_{t-1} = (1 − λ) M_{t-1} + λ Q̂_t, so the
target of equation 9 is Q̂_t − Q̂_{t-1} = (1 − λ)(Q̂_t − M_{t-1}): a twentieth of the advantage at
λ = 0.95. What is left of L_A pulls M_t towards M_{t-1}. In a tabular model, with trajectories of D
steps and exact expectations, the fixed point of L_Q + βL_A is M_root = Q_root and

    M_i = c_i Q_i + (1 − c_i) M_{i-1}.

Everything here is exact or sampled on a small tree: nodes are histories, every node has as many
children as there are actions, leaves at depth D succeed or fail.

Shape legend: N nodes in breadth-first order, node 0 is the root.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tree:
    """A tree of states with random policies and outcomes, drawn by a seed."""

    depth: int
    """D, the steps of every trajectory."""
    actions: int
    """Children of a node; 1 makes a chain."""
    seed: int = 0
    """Of policies and of the leaves' chances."""

    @cached_property
    def parent(self) -> NDArray[np.int64]:
        """[N] parent of each node, −1 of the root."""
        count = sum(self.actions**d for d in range(self.depth + 1))
        return np.array([-1, *((i - 1) // self.actions for i in range(1, count))])

    @cached_property
    def level(self) -> NDArray[np.int64]:
        """[N] steps from the root."""
        return np.repeat(
            np.arange(self.depth + 1), [self.actions**d for d in range(self.depth + 1)]
        )

    @cached_property
    def policy(self) -> Floats:
        """[N] probability of a node given its parent; 1 at the root."""
        draws = np.random.default_rng([self.seed, 0]).gamma(2.0, size=len(self.parent))
        total = np.bincount(self.parent[1:], draws[1:], len(self.parent))
        return np.array([1.0, *(draws[1:] / total[self.parent[1:]])])

    @cached_property
    def visits(self) -> Floats:
        """[N] probability that a trajectory passes a node."""
        out = self.policy.copy()
        for i in range(1, len(out)):
            out[i] *= out[self.parent[i]]
        return out

    @cached_property
    def q(self) -> Floats:
        """[N] chance of success after a node: that of a leaf is drawn, others are means."""
        rng = np.random.default_rng([self.seed, 1])
        out = np.where(self.level == self.depth, rng.beta(0.7, 1.0, len(self.level)), 0.0)
        for i in range(len(out) - 1, 0, -1):
            out[self.parent[i]] += self.policy[i] * out[i]
        return out

    def path(self, leaf: int) -> list[int]:
        """Nodes from the root to a leaf."""
        nodes = [leaf]
        while nodes[-1]:
            nodes.append(int(self.parent[nodes[-1]]))
        return nodes[::-1]

    def sample(self, count: int, seed: int) -> tuple[NDArray[np.int64], Floats]:
        """Trajectories of the policy: [count] leaves and [count] outcomes."""
        rng = np.random.default_rng(seed)
        leaves = np.flatnonzero(self.level == self.depth)
        ends = rng.choice(leaves, count, p=self.visits[leaves] / self.visits[leaves].sum())
        return ends, (rng.random(count) < self.q[ends]).astype(np.float64)


def weights(depth: int, beta: float, lam: float) -> Floats:
    """c_1 … c_D of the closed form.

    With a = 1/(D+1) and b = β/D: 1 − c_D = λβ(D+1) / (D + β(D+1)); s_D = 1,
    s_i = λ[s_{i+1} + (1 − s_{i+1}) c_{i+1}], and
    1 − c_i = bλ / [(a + 2b) s_i + bλ(1 − s_i) − b s_{i+1} (1 − c_{i+1})].

    Args:
        depth: D ≥ 1.
        beta: weight of L_A.
        lam: λ in (0, 1].

    Returns:
        [D].

    Example:
        >>> weights(5, 1.0, 0.95).round(2).tolist()
        [0.59, 0.59, 0.59, 0.57, 0.48]
    """
    a, b = 1 / (depth + 1), beta / depth
    kappa = beta * (depth + 1) / (depth + beta * (depth + 1))
    c, s = np.ones(depth + 1), np.ones(depth + 1)
    c[depth] = 1 - lam * kappa
    for i in range(depth - 1, 0, -1):
        s[i] = lam * (s[i + 1] + (1 - s[i + 1]) * c[i + 1])
        rest = (a + 2 * b) * s[i] + b * lam * (1 - s[i]) - b * s[i + 1] * (1 - c[i + 1])
        c[i] = 1 - b * lam / rest
    return c[1:]


def closed_form(tree: Tree, beta: float, lam: float) -> Floats:
    """[N] M at the fixed point, from Q by the recursion above."""
    c = np.array([1.0, *weights(tree.depth, beta, lam)])[tree.level]
    m = tree.q.copy()
    for i in range(1, len(m)):
        m[i] = c[i] * tree.q[i] + (1 - c[i]) * m[tree.parent[i]]
    return m


def solve(
    tree: Tree, leaves: Sequence[int], share: Floats, outcome: Floats, beta: float, lam: float
) -> Floats:
    """[N] M where the semi-gradient of L_Q + βL_A is 0, by a linear system.

    Labels hold M without gradient, so the equations are linear in M. With every leaf, its
    probability and its Q, that is the exact expectation; with sampled leaves and outcomes it is
    what a tabular model learns from them.

    Args:
        tree: the tree.
        leaves: end of each trajectory.
        share: weight of each trajectory, adding up to 1.
        outcome: reward of each.
        beta: weight of L_A, target ``"difference"``.
        lam: λ.

    Returns:
        M; NaN at nodes that no trajectory passes.
    """
    n, d = len(tree.parent), tree.depth
    left, right = np.zeros((n, n)), np.zeros(n)
    a, b = 1 / (d + 1), beta / d
    eye = np.eye(d + 1)
    target, reward = np.zeros((d + 1, d + 1)), np.zeros(d + 1)  # Q̂ = target @ M + reward · r
    reward[d] = 1.0
    for t in range(d - 1, -1, -1):
        target[t], reward[t] = (1 - lam) * eye[t] + lam * target[t + 1], lam * reward[t + 1]
    q_error = a * (eye - target)  # gradient of L_Q, row t with respect to M_t
    gain = np.diff(eye - target, axis=0)  # error of the differences
    a_error = b * np.diff(eye, axis=0).T @ gain
    of_reward = a * reward + b * np.diff(eye, axis=0).T @ np.diff(reward)
    for leaf, weight, r in zip(leaves, share, outcome, strict=True):
        nodes = tree.path(int(leaf))
        left[np.ix_(nodes, nodes)] += weight * (q_error + a_error)
        right[nodes] += weight * r * of_reward
    seen = np.flatnonzero(np.diag(left) > 0)
    m = np.full(n, np.nan)
    m[seen] = np.linalg.solve(left[np.ix_(seen, seen)], right[seen])
    return m


def exact(tree: Tree, beta: float, lam: float) -> Floats:
    """[N] the fixed point by exact expectation over all trajectories."""
    leaves = np.flatnonzero(tree.level == tree.depth)
    return solve(tree, leaves.tolist(), tree.visits[leaves], tree.q[leaves], beta, lam)


def errors(
    tree: Tree, betas: Sequence[float], counts: Sequence[int], lam: float = 0.95, repeats: int = 40
) -> dict[str, list[float]]:
    """rms error of M against Q over the steps that a new trajectory passes, for each β and n.

    A node that the n trajectories don't pass takes the value of its parent. With β = 0 the row is
    also that of PVM and of the ``gae`` target, which have the same minimum.

    Args:
        tree: the tree.
        betas: weights of L_A.
        counts: numbers of sampled trajectories.
        lam: λ.
        repeats: data sets of each size.

    Returns:
        ``beta`` as text → one number for each of ``counts``.
    """
    found: dict[str, list[float]] = {f"{beta:g}": [] for beta in betas}
    share = tree.visits[1:] / tree.visits[1:].sum()
    for n in counts:
        squares: dict[str, list[float]] = {name: [] for name in found}
        for k in range(repeats):
            leaves, outcome = tree.sample(n, seed=1000 * n + k)
            ends, of = np.unique(leaves, return_inverse=True)
            size = np.bincount(of)
            mean = np.bincount(of, outcome) / size
            for beta in betas:
                m = solve(tree, ends.tolist(), size / n, mean, beta, lam)
                for i in range(1, len(m)):
                    m[i] = m[tree.parent[i]] if np.isnan(m[i]) else m[i]
                squares[f"{beta:g}"].append(float(share @ (m - tree.q)[1:] ** 2))
        for name, values in squares.items():
            found[name].append(float(np.sqrt(np.mean(values))))
    return found


def misranked(tree: Tree, m: Floats) -> float:
    """Share of the pairs of steps that M orders otherwise than Q.

    The pairs are those that beams and Best-of-N compare: two nodes of one level with different
    parents, each weighed by its visits. Siblings keep their order under the closed form.
    """
    wrong = total = 0.0
    for level in range(2, tree.depth + 1):
        at = np.flatnonzero(tree.level == level)
        weight = np.outer(tree.visits[at], tree.visits[at])
        weight *= tree.parent[at][:, None] != tree.parent[at]
        orders = [np.sign(np.subtract.outer(x[at], x[at])) for x in (m, tree.q)]
        wrong += float(weight[orders[0] != orders[1]].sum())
        total += float(weight.sum())
    return wrong / total


def wrong_sign(tree: Tree, m: Floats) -> float:
    """Share of the steps, weighed by visits, whose progress in M has another sign than in Q."""
    gains = [np.sign((x - x[tree.parent])[1:]) for x in (m, tree.q)]
    return float(tree.visits[1:] @ (gains[0] != gains[1]) / tree.depth)


def crossover(counts: Sequence[int], ours: Sequence[float], base: Sequence[float]) -> float | None:
    """From how many trajectories on a β is worse than β = 0, by interpolation in log n."""
    gap = np.subtract(ours, base)
    for k in range(1, len(gap)):
        if gap[k - 1] < 0 <= gap[k]:
            part = -gap[k - 1] / (gap[k] - gap[k - 1])
            low, high = np.log(counts[k - 1]), np.log(counts[k])
            return float(np.exp(low + part * (high - low)))
    return None


def figure_data(repeats: int = 40) -> dict[str, object]:
    """All numbers of the chapter's figure, as JSON-ready data."""
    tree, counts = Tree(depth=5, actions=3), [30, 60, 120, 240, 480, 960, 1920, 3840, 10000]
    found = errors(tree, [0, 1, 4], counts, repeats=repeats)
    fixed = {f"{beta}": exact(tree, beta, 0.95) for beta in (0, 1, 4)}
    return {
        "tree": {"depth": 5, "actions": 3, "seed": 0, "lam": 0.95, "repeats": repeats},
        "n": counts,
        "rms": found,
        "bias": {
            beta: float(np.sqrt(tree.visits[1:] @ (m - tree.q)[1:] ** 2 / 5))
            for beta, m in fixed.items()
        },
        "misranked": {beta: misranked(tree, m) for beta, m in fixed.items() if beta != "0"},
        "wrong_sign": {beta: wrong_sign(tree, m) for beta, m in fixed.items() if beta != "0"},
        "crossover": {name: crossover(counts, found[name], found["0"]) for name in ("1", "4")},
        "weights": {f"{beta}": weights(5, beta, 0.95).tolist() for beta in (1, 4)},
    }


def main() -> None:
    """``python -m agentprm_lite.tutorial.smoothing --out results/smoothing.json``."""
    parser = argparse.ArgumentParser(description="rms error of M over n, with and without L_A")
    parser.add_argument("--out", default="results/smoothing.json")
    args = parser.parse_args()
    command = "python -m agentprm_lite.tutorial.smoothing --out results/smoothing.json"
    Path(args.out).write_text(json.dumps({"command": command, **figure_data()}, indent=1) + "\n")
    print(args.out)


if __name__ == "__main__":
    main()
