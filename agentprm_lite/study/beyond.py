"""Questions that the paper doesn't ask. Exploratory: they are measured, no verdict follows.

Shape legend: S seeds, G tasks (goals), N sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentprm_lite.env import env_class
from agentprm_lite.metrics import ece, within_task_auroc
from agentprm_lite.prm import StepValues
from agentprm_lite.search import best_of_n, by_task, half_scores, last_scores
from agentprm_lite.study.evidence import BETAS, SWEPT, gap, row, seed_rewards
from agentprm_lite.study.rules import WORLDS
from agentprm_lite.study.tables import powers_of_two, ppo_rewards, rows
from agentprm_lite.tutorial.pipeline import (
    USUAL,
    Variant,
    later_policy,
    later_pool,
    later_pool_values,
    pool,
    pool_values,
    reward_data,
    training_log,
)
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.types import Task, Trajectory

DEPTHS = {"textcraft": ((1,), (2,)), "math": ((2,), (3,))}  # short and deep tasks of the study
LEGS = 3


@dataclass(frozen=True)
class Question:
    """A question beyond the paper."""

    asks: str
    """What is asked."""
    answer: Callable[[Profile], dict[str, Any]]
    """What is measured in one world, as plain data."""
    worlds: tuple[str, ...]
    """Where it is asked."""


def calibration(p: Profile) -> dict[str, Any]:
    """Ranking and calibration of M after the first half, with every β; and the changes against 0.

    Args:
        p: a profile.

    Returns:
        For every β ``auroc`` within tasks that have both outcomes, ``brier`` and ``offset`` (M
        minus outcome) by task, ``ece``; for every other β ``minus_beta_0`` of the first three.
    """
    candidates = pool(p)
    groups = list(by_task(candidates).values())
    outcome = np.array([t.outcome for t in candidates])
    success, tasks = [float(t.success) for t in candidates], [t.task for t in candidates]
    found: dict[float, dict[str, np.ndarray]] = {}
    out: dict[str, Any] = {}
    for beta in BETAS if p.env in SWEPT else (0.0, 1.0):
        runs = [pool_values("agentprm", p, s, Variant(beta=beta)) for s in range(p.reward_seeds)]
        halves = np.array([half_scores(run) for run in runs])
        error = halves - outcome
        found[beta] = {
            "auroc": np.array([within_task_auroc(x, success, tasks) for x in halves]),
            "brier": np.array([[np.mean(e[g] ** 2) for g in groups] for e in error]),
            "offset": np.array([[np.mean(e[g]) for g in groups] for e in error]),
        }
        out[f"beta {beta:g}"] = {
            name: row(x) if x.size else None for name, x in found[beta].items()
        } | {"ece": round(float(np.mean([ece(x, outcome) for x in halves])), 4)}
        if beta:
            out[f"beta {beta:g}"]["minus_beta_0"] = {
                name: gap(x, found[0.0][name]) if x.size else None
                for name, x in found[beta].items()
            }
    return out


def depth(p: Profile) -> dict[str, Any]:
    """Judges of deep tasks that have learned from short ones, from deep ones, and from all.

    Short and deep ones are cut to the same sampled tokens.

    Args:
        p: a profile.

    Returns:
        ``best_of_n`` of each over the candidates of deep tasks, ``auroc`` within tasks after the
        first half, the difference of both, short minus deep, and the tokens.
    """
    short, deep = DEPTHS[p.env]
    budget = min(
        sum(reward_data("agentprm", p, variant=Variant(levels=x))[1]) for x in (short, deep)
    )
    variants = {
        "short tasks": Variant(levels=short, budget=budget),
        "deep tasks": Variant(levels=deep, budget=budget),
        "all tasks": USUAL,
    }
    known = {t.index for t in env_class(p.env).tasks("test", levels=deep)}
    places = [i for i, t in enumerate(pool(p)) if t.task.index in known]
    candidates = [pool(p)[i] for i in places]
    judged = {}
    for name, variant in variants.items():
        values = [pool_values("agentprm", p, s, variant) for s in range(p.reward_seeds)]
        judged[name] = [(candidates, [v[i] for i in places]) for v in values]
    found = compared(judged, p, "short tasks", "deep tasks")
    return {"tokens": budget, "deep_tasks": len(by_task(candidates)), **found}


def refresh(p: Profile) -> dict[str, Any]:
    """PPO in legs, with a new reward model before each or with the first one all the way.

    Args:
        p: a profile.

    Returns:
        ``judges`` of the candidates of the policies after one leg: what learned from the SFT
        policy's rollouts against what learned from their own; ``runs``, the reward after every
        leg, its difference from SFT's, success round by round; ``refreshed_minus_kept``.
    """
    seeds = range(p.ppo_seeds)
    before = ppo_rewards(p)
    finals: dict[bool, list[dict[str, np.ndarray]]] = {}
    runs: dict[str, Any] = {}
    for name, refreshed in (("refreshed", True), ("kept", False)):
        actors = [
            [later_policy(p, leg, s, refreshed=refreshed) for s in seeds]
            for leg in range(1, LEGS + 1)
        ]
        finals[refreshed] = [seed_rewards(p, leg) for leg in actors]
        logs = [[e for leg in actors for e in training_log(leg[s].folder)] for s in seeds]
        runs[name] = {
            "after_leg": [{w: row(x) for w, x in final.items()} for final in finals[refreshed]],
            "minus_sft": [
                {w: gap(x, before[w]) for w, x in final.items()} for final in finals[refreshed]
            ],
            "training_success": [[round(e["success"], 4) for e in log] for log in logs],
        }
    judged = {
        name: [
            (later_pool(p, 1, s), later_pool_values("agentprm", p, 1, s, variant)) for s in seeds
        ]
        for name, variant in (("kept", USUAL), ("refreshed", Variant(legs=1)))
    }
    return {
        "judges": compared(judged, p, "refreshed", "kept"),
        "runs": runs,
        "refreshed_minus_kept": [
            {w: row(new[w] - old[w]) for w in before}  # one seed, one first leg
            for new, old in zip(finals[True], finals[False], strict=True)
        ],
    }


def cuts(p: Profile) -> dict[str, Any]:
    """AgentPRM told that an episode that runs out of context earns nothing, and not told so.

    ORM and PVM learn a label of 0 there, and the candidates are paid 0; AgentPRM's labels bootstrap
    on its own value instead.

    Args:
        p: a profile.

    Returns:
        Shares of rollouts and candidates that were cut; for both judges ``best_of_n``, ``auroc``
        within tasks after the first half, and the last M on candidates that were cut and that
        weren't; the difference, told minus not told.
    """
    candidates = pool(p)
    cut = np.array([t.truncated_by == "tokens" for t in candidates])
    data = [e.trajectory for e in reward_data("agentprm", p)[0]]
    variants = {"told": Variant(cut_is_failure=True), "not told": USUAL}
    judged = {
        name: [(candidates, pool_values("agentprm", p, s, v)) for s in range(p.reward_seeds)]
        for name, v in variants.items()
    }
    last = {name: np.array([last_scores(v) for _, v in runs]) for name, runs in judged.items()}
    return {
        "cut": {
            "rollouts": round(float(np.mean([t.truncated_by == "tokens" for t in data])), 4),
            "candidates": round(float(cut.mean()), 4),
        },
        "last_m": {
            name: {
                where: round(float(m[:, there].mean()), 4) if there.any() else None
                for where, there in (("cut", cut), ("not cut", ~cut))
            }
            for name, m in last.items()
        },
        **compared(judged, p, "told", "not told"),
    }


def compared(
    judged: dict[str, list[tuple[list[Trajectory], list[StepValues]]]],
    p: Profile,
    ours: str,
    base: str,
) -> dict[str, Any]:
    """Best-of-N and ranking of several judges.

    Args:
        judged: for each judge and seed the candidates and M along them.
        p: a profile.
        ours: one of the judges.
        base: another one.

    Returns:
        ``best_of_n`` and ``auroc`` of each (within tasks that have both outcomes, after the first
        half; None if there is no such task), and how far ours is above base. Where every seed has
        a pool of its own, both judges of a seed are paired.
    """
    ns = powers_of_two(p.eval_samples)
    first = judged[ours][0][0]
    shared = all(c is first for c, _ in judged[ours])  # one pool for all seeds, or one a seed
    curves = {
        name: np.stack([best_of_n(c, last_scores(v), ns).success for c, v in runs])
        for name, runs in judged.items()
    }
    inside = {}
    for name, runs in judged.items():
        found = [
            within_task_auroc(half_scores(v), [float(t.success) for t in c], [t.task for t in c])
            for c, v in runs
        ]
        inside[name] = np.stack(found) if shared else _by_task(found, [c for c, _ in runs])
    tell = inside[ours].size > 0

    def minus(a: np.ndarray, b: np.ndarray) -> list[float]:
        return gap(a, b) if shared else row(a - b)

    return {
        "ns": ns,
        "best_of_n": {name: rows(x) for name, x in curves.items()},
        "auroc": {name: row(x) if tell else None for name, x in inside.items()},
        f"{ours} - {base}": {
            f"best of {ns[-1]}": minus(curves[ours][..., -1], curves[base][..., -1]),
            "auroc": minus(inside[ours], inside[base]) if tell else None,
        },
    }


def _by_task(found: list[np.ndarray], pools: list[list[Trajectory]]) -> np.ndarray:
    """Means over pools of what was found in each for its tasks with both outcomes: [1, tasks]."""
    of: dict[Task, list[float]] = {}
    for values, candidates in zip(found, pools, strict=True):
        both = [task for task, g in by_task(candidates).items()
                if len({candidates[i].success for i in g}) == 2]  # fmt: skip
        for task, value in zip(both, values, strict=True):
            of.setdefault(task, []).append(float(value))
    return np.array([[np.mean(x) for x in of.values()]])


QUESTIONS: dict[str, Question] = {
    "B1": Question("Does L_A trade calibration for ranking?", calibration, WORLDS),
    "B2": Question(
        "Does AgentPRM judge deep tasks after learning from short ones only?",
        depth,
        tuple(DEPTHS),
    ),
    "B3": Question(
        "Does it help PPO to refresh the reward model on the new policy's rollouts, once or twice?",
        refresh,
        ("textcraft",),
    ),
    "B4": Question(
        "Does AgentPRM choose better in WebShop if episodes that ran out of context are failures?",
        cuts,
        ("webshop",),
    ),
}
