"""How good the values of a reward model are, on the pool and against measured Q.

Shape legend: S seeds, T steps of a trajectory, K rollouts a state, N trajectories.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from agentprm_lite.labels import td_gae_labels
from agentprm_lite.metrics import (
    advantage_sign_accuracy,
    auroc_by_step,
    best_of_n_curve,
    bootstrap_interval,
    brier,
    ece,
    sibling_pair_accuracy,
    within_task_auroc,
)
from agentprm_lite.prm import StepValues
from agentprm_lite.search import half_scores
from agentprm_lite.train import Kind
from agentprm_lite.tutorial.pipeline import Variant, pool, pool_values, reward_data, truth
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.types import Task, Trajectory

FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
STEPS = (1, 2, 3)
VISITS = 8  # candidates through an action before their mean outcome counts as its value
CLEAR = 0.1  # a measured advantage below this is noise: one standard error is up to 0.04


def value_quality(kind: Kind, p: Profile) -> dict[str, Any]:
    """Separation, calibration and ranking of a reward model's values.

    Args:
        kind: which reward model.
        p: a profile.

    Returns:
        ``auroc_within_half``: [S, tasks with both outcomes], None if there is no such task;
        ``auroc_within_step`` the same for M after a fixed step, among the candidates that got
        there; everything else is plain data, means over seeds, None where it can't be told.
    """
    candidates = pool(p)
    success = [float(t.success) for t in candidates]
    outcome = [t.outcome for t in candidates]
    tasks = [t.task for t in candidates]
    runs = [pool_values(kind, p, s) for s in range(p.reward_seeds)]
    halves = [half_scores(run) for run in runs]
    within = np.array([within_task_auroc(x, success, tasks) for x in halves])
    steps = [[v.q for v in run] for run in runs]
    fixed = {}
    for step in STEPS:
        there = [i for i, t in enumerate(candidates) if t.num_steps >= step]
        after = [[float(x[i][step - 1]) for i in there] for x in steps]
        found = np.array([_within(candidates, there, x) for x in after])
        fixed[str(step)] = found if found.size else None
    quality: dict[str, Any] = {
        "auroc_within_half": within if within.size else None,
        "auroc_within_step": fixed,
        "mixed_tasks": within.shape[1],
        "fractions": FRACTIONS,
        "auroc_by_fraction": _mean(
            [auroc_by_step(x, success, FRACTIONS, "fraction") for x in steps]
        ),
        "brier_half": _mean([brier(x, outcome) for x in halves]),
        "ece_half": _mean([ece(x, outcome) for x in halves]),
        "quartiles": {
            name: quartiles([v for v, y in zip(steps[0], success, strict=True) if y == wanted])
            for name, wanted in (("success", 1.0), ("failure", 0.0))
        },
    }
    pairs = [siblings(candidates, run) for run in runs]
    quality["sibling_accuracy"] = _mean([sibling_pair_accuracy(*x) for x in pairs if x[0]])
    quality["sibling_actions"] = len(pairs[0][0])
    if p.truth_tasks:
        true = truth_by_place(p)
        signs = []
        for run in runs:
            ours, exact = [], []
            for place, outcomes in true.items():
                gain = np.diff(outcomes.mean(axis=1))
                exact += np.where(np.abs(gain) >= CLEAR, gain, 0.0).tolist()
                ours += np.diff(run[place].q).tolist()
            signs.append(advantage_sign_accuracy(ours, exact) if ours else np.nan)
        quality["advantage_sign"] = _mean(signs)
        quality["advantages"] = int(np.count_nonzero(exact))
    return quality


def turn_counter(p: Profile) -> np.ndarray | None:
    """What a counter of turns does in the place of M after the first half.

    Failures often take more turns, so their half lies later: to prefer the earlier one needs no
    model.

    Args:
        p: a profile.

    Returns:
        [tasks with both outcomes] AUROC within a task; None if there is no such task.
    """
    candidates = pool(p)
    halves = [-((t.num_steps + 1) // 2) for t in candidates]
    found = _within(candidates, range(len(candidates)), halves)
    return found if found.size else None


def _within(
    candidates: Sequence[Trajectory], places: Sequence[int], scores: Sequence[float]
) -> np.ndarray:
    chosen = [candidates[i] for i in places]
    success = [float(t.success) for t in chosen]
    return within_task_auroc(scores, success, [t.task for t in chosen]) if chosen else np.zeros(0)


def siblings(
    candidates: Sequence[Trajectory], values: Sequence[StepValues]
) -> tuple[list[float], list[float], list[tuple[Task, tuple[str, ...]]]]:
    """Actions from one state that many candidates took, with the mean outcome behind each.

    Candidates of a task that began with the same turns are in the same state.

    Args:
        candidates: many of each task.
        values: M along them.

    Returns:
        M, mean outcome and state of every action that at least ``VISITS`` candidates took.
    """
    through: dict[tuple[Task, tuple[str, ...]], list[int]] = {}
    for i, t in enumerate(candidates):
        for k in range(t.num_steps):
            through.setdefault((t.task, t.actions[: k + 1]), []).append(i)
    often = {key: places for key, places in through.items() if len(places) >= VISITS}
    return (
        [float(values[places[0]].q[len(turns) - 1]) for (_, turns), places in often.items()],
        [float(np.mean([candidates[i].outcome for i in places])) for places in often.values()],
        [(task, turns[:-1]) for task, turns in often],
    )


def truth_by_place(p: Profile) -> dict[int, np.ndarray]:
    """Measured outcomes of rollouts along some candidates.

    Args:
        p: a profile.

    Returns:
        Place in the pool to [T, K] outcomes.
    """
    places = {t.key: i for i, t in enumerate(pool(p))}
    return {places[e.trajectory.key]: e.rollouts() for e in truth(p)[0]}


def step_values_against_q(p: Profile, budget: int) -> dict[str, Any]:
    """Squared error against measured Q: of what a model is taught, and of what it then says.

    Args:
        p: a profile.
        budget: sampled tokens that all models' data are cut to.

    Returns:
        Rows [mean, low, high] over trajectories, and over seeds where a model is involved.
    """
    true = truth_by_place(p)
    kinds: tuple[Kind, ...] = ("mc_hard", "mc_soft", "agentprm")
    out: dict[str, Any] = {"trajectories": len(true), "rollouts_a_state": p.truth_samples}
    exact = {place: outcomes.mean(axis=1) for place, outcomes in true.items()}
    runs = {}
    for kind in kinds:
        limit = None if sum(reward_data(kind, p)[1]) <= budget else budget
        runs[kind] = [pool_values(kind, p, s, Variant(budget=limit)) for s in range(p.reward_seeds)]
        errors = [[np.mean((v[i].q - q) ** 2) for i, q in exact.items()] for v in runs[kind]]
        out[f"values of {kind}"] = _row(errors)
    candidates = pool(p)
    labels = {
        "labels of pvm": [np.mean((candidates[i].outcome - q) ** 2) for i, q in exact.items()],
        "labels of mc_hard": [label_error(o, p.mc_samples, hard=True) for o in true.values()],
        "labels of mc_soft": [label_error(o, p.mc_samples, hard=False) for o in true.values()],
        "labels of agentprm": [
            [np.mean((_td(candidates[i], v[i]) - q) ** 2) for i, q in exact.items()]
            for v in runs["agentprm"]
        ],
    }
    return out | {name: _row(x) for name, x in labels.items()}


def label_error(outcomes: np.ndarray, samples: int, *, hard: bool) -> float:
    """Expected squared error of a Monte Carlo label made from few of many rollouts.

    Args:
        outcomes: [T, K] outcomes of many rollouts a state.
        samples: rollouts that the label is made from.
        hard: the largest outcome instead of the mean.

    Returns:
        The mean over states.

    Example:
        >>> label_error(np.array([[0.0, 1.0, 0.0, 1.0]]), 2, hard=False)
        0.125
    """
    exact = outcomes.mean(axis=1)
    if not hard:
        return float(np.mean(outcomes.var(axis=1) / samples))
    ns = [min(samples, outcomes.shape[1])]
    rows = [best_of_n_curve(o, (o - q) ** 2, ns)[0] for o, q in zip(outcomes, exact, strict=True)]
    return float(np.mean(rows))


def quartiles(values: Sequence[np.ndarray]) -> list[list[float] | None]:
    """Quartiles of the values in each quarter of the trajectories.

    Args:
        values: a [T] array a trajectory.

    Returns:
        For each quarter three numbers, None for one without steps.
    """
    parts: list[list[float]] = [[] for _ in range(4)]
    for row in values:
        for t, value in enumerate(row):
            parts[t * 4 // len(row)].append(float(value))
    return [np.quantile(x, (0.25, 0.5, 0.75)).round(4).tolist() if x else None for x in parts]


def _td(t: Trajectory, m: StepValues) -> np.ndarray:
    """TD labels along one trajectory from a model's values."""
    q, root = torch.tensor(m.q)[None], torch.tensor([m.root], dtype=torch.float64)
    reward = torch.tensor([t.outcome if t.final else 0.0], dtype=torch.float64)
    yes = torch.ones(q.shape, dtype=torch.bool)
    return np.asarray(td_gae_labels(q, root, reward, yes, torch.tensor([t.final])).q[0].numpy())


def _mean(numbers: Sequence[Any]) -> Any:
    """Mean over seeds as plain data; None instead of NaN and for no number."""
    if not len(numbers):
        return None
    mean = np.mean(numbers, axis=0)
    plain = [None if np.isnan(x) else round(float(x), 4) for x in np.atleast_1d(mean)]
    return plain if mean.ndim else plain[0]


def _row(values: Any) -> list[float]:
    return [round(float(x), 5) for x in bootstrap_interval(values)]
