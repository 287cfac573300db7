"""Measurements behind each claim in one world: its tests, and what its figure shows.

Every function takes a profile, which names the world, and makes what it lacks. Curves are over
N = 1, 2, 4, ... candidates; a row is [mean, low, high] of a 95 % interval over seeds and tasks.

Shape legend: S seeds, G tasks (goals), N sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agentprm_lite.env import env_class
from agentprm_lite.metrics import (
    best_of_n_curve,
    bootstrap_interval,
    compute_multiple_interval,
    paired_bootstrap,
)
from agentprm_lite.ppo import ProcessReward
from agentprm_lite.search import (
    best_of_n,
    by_task,
    fewest_turns,
    half_scores,
    last_scores,
    likelihood_scores,
    majority,
    oracle,
    pav_scores,
)
from agentprm_lite.study.rules import Estimate
from agentprm_lite.study.tables import (
    beam_table,
    kind_curves,
    powers_of_two,
    ppo_rewards,
    rounded,
    rows,
    task_means,
)
from agentprm_lite.study.values import step_values_against_q, turn_counter, value_quality
from agentprm_lite.train import Kind
from agentprm_lite.tutorial.pipeline import (
    USUAL,
    Policy,
    Variant,
    beam_tasks,
    greedy_runs,
    pool,
    pool_values,
    ppo_run,
    reward_data,
    rollouts,
    test_tasks,
    training_log,
)
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.types import Task

Evidence = tuple[list[Estimate], dict[str, Any]]
NO_LA = Variant(beta=0.0)
OTHERS: tuple[Kind, ...] = ("orm", "pvm")
JUDGES: tuple[Kind, ...] = ("orm", "pvm", "mc_hard", "mc_soft", "pqm", "agentprm")
BETAS = (0.0, 1.0, 4.0)
LAMS = (0.5, 0.95, 1.0)
SWEPT = ("math",)  # the world in which a reward model costs least
PPO_REWARDS: dict[str, tuple[ProcessReward, Kind | None]] = {
    "outcome": ("outcome", None),
    "ORM": ("shaping", "orm"),
    "PVM": ("shaping", "pvm"),
    "AgentPRM": ("shaping", "agentprm"),
    "raw Q": ("raw_q", "agentprm"),
}


def c1(p: Profile) -> Evidence:
    """Guidance against greedy policies."""
    ns, ours = powers_of_two(p.eval_samples), kind_curves("agentprm", p)
    greedy = {"greedy SFT": task_means(greedy_runs(p))}
    if any(t.success for t in rollouts(p)):
        greedy["greedy RFT"] = task_means(greedy_runs(p, "rft"))
    tests = [
        difference(f"best of {ns[-1]} - {name}", ours[..., -1], base, test_tasks(p))
        for name, base in greedy.items()
    ]
    tasks = list(by_task(pool(p)))
    beams = {}
    for n, m in p.beams:
        outcomes, tokens = beam_table("agentprm", p, n, m)
        beams[f"{n}x{m}"] = {"reward": row(outcomes), "tokens": tokens}
        for name, base in greedy.items():
            same = base[beam_places(p, tasks)]
            beams[f"{n}x{m}"][f"- {name}"] = gap(outcomes, same)
    levels = {name: row(x) for name, x in greedy.items()}
    curves = {"AgentPRM": rows(ours), **{k: [v] * len(ns) for k, v in levels.items()}}
    return tests, {"ns": ns, "best_of_n": curves, "policies": levels, "beam": beams}


def c2(p: Profile) -> Evidence:
    """Samples that AgentPRM needs for the best score of ORM and of PVM."""
    ns, candidates = powers_of_two(p.eval_samples), pool(p)
    curves = {kind: kind_curves(kind, p) for kind in JUDGES}
    tests, at_last = [], {}
    for kind in OTHERS:
        multiple = compute_multiple_interval(ns, curves[kind], curves["agentprm"])
        seeds, tasks, _ = curves[kind].shape
        tests.append(Estimate(f"compute multiple over {kind}", multiple, tasks, seeds, 8.0, 0.0))
        last = compute_multiple_interval(ns, curves[kind], curves["agentprm"], last=True)
        at_last[kind] = rounded(last)
    free = {
        "majority": majority(candidates, ns).success,
        "likelihood": best_of_n(candidates, likelihood_scores(candidates), ns).success,
        "oracle": oracle(candidates, ns).success,
        "fewest turns": fewest_turns(candidates, ns).success,
    }
    more = {
        "no_la": kind_curves("agentprm", p, variant=NO_LA),
        "pav": kind_curves("agentprm", p, score=pav_scores),
    }
    return tests, {
        "ns": ns,
        "tokens_a_sample": float(np.mean([t.usage.generated for t in candidates])),
        "best_of_n": {k: rows(v) for k, v in (curves | more | free).items()},
        "multiple_at_last_n": at_last,
    }


def c3(p: Profile) -> Evidence:
    """Gain from an eighth of the candidates to all; what the score says and what is earned."""
    ns, candidates = powers_of_two(p.eval_samples), pool(p)
    start = max(0, len(ns) - 4)
    name = f"{ns[start]} to {ns[-1]}"
    curves = {kind: kind_curves(kind, p) for kind in (*OTHERS, "agentprm")}
    gains = {kind: c[..., -1] - c[..., start] for kind, c in curves.items()}
    bases = {"": np.zeros(len(by_task(candidates)))}
    bases |= {f" - that of {kind}": gains[kind] for kind in OTHERS}
    tests = [
        difference(f"gain from {name}{minus}", gains["agentprm"], base, test_tasks(p))
        for minus, base in bases.items()
    ]
    believed: dict[str, Any] = {}
    beams: dict[str, Any] = {}
    groups = list(by_task(candidates).values())
    for kind in curves:
        scores = [last_scores(pool_values(kind, p, s)) for s in range(p.reward_seeds)]
        chosen = [[[x[i] for i in g] for g in groups] for x in scores]
        believed[kind] = rows(np.array([[best_of_n_curve(x, x, ns) for x in r] for r in chosen]))
        for n, m in p.beams:
            outcomes, tokens = beam_table(kind, p, n, m)
            beams.setdefault(f"{n}x{m}", {})[kind] = {"reward": row(outcomes), "tokens": tokens}
    best = {k: rows(v) for k, v in curves.items()}
    return tests, {"ns": ns, "best_of_n": best, "score_of_chosen": believed, "beam": beams}


def c4(p: Profile) -> Evidence:
    """AgentPRM with and without L_A under every sampling strategy; β and λ in one world."""
    ns = powers_of_two(p.eval_samples)
    tests = []
    for way, score in (("", last_scores), (", first half", half_scores)):
        with_la, without = (
            kind_curves("agentprm", p, score=score, variant=v)[..., -1] for v in (USUAL, NO_LA)
        )
        tests.append(difference(f"best of {ns[-1]}{way}", with_la, without, test_tasks(p)))
    for n, m in p.beams:
        with_la, without = (beam_table("agentprm", p, n, m, v)[0] for v in (USUAL, NO_LA))
        tests.append(difference(f"beam {n}x{m}", with_la, without, beam_tasks(p)))
    sweep: dict[str, Any] = {}
    if p.env in SWEPT and 0 in p.eval_variants:  # it decides nothing: not again on new draws
        for beta, lam in [(b, 0.95) for b in BETAS] + [(1.0, x) for x in LAMS if x != 0.95]:
            v = Variant(beta=beta, lam=lam)
            sweep[f"beta {beta:g}, lambda {lam:g}"] = {
                "last": row(kind_curves("agentprm", p, variant=v)[..., -1]),
                "half": row(kind_curves("agentprm", p, score=half_scores, variant=v)[..., -1]),
            }
    return tests, {"ns": ns, "sweep": sweep}


def c5(p: Profile) -> Evidence:
    """PPO with five rewards on held-out goals; what happened in training."""
    seeds = range(p.ppo_seeds)
    before = ppo_rewards(p)
    actors = {name: [ppo_run(p, *how, s) for s in seeds] for name, how in PPO_REWARDS.items()}
    after = {name: seed_rewards(p, runs_of) for name, runs_of in actors.items()}
    ours = after["AgentPRM"]["held_out"]
    tests = [
        difference(f"final reward - with {k}", ours, after[k]["held_out"], test_tasks(p))
        for k in ("outcome", "ORM", "PVM")
    ]
    runs = {}
    for name, runs_of in actors.items():
        logs = [training_log(a.folder) for a in runs_of]
        success = np.array([[r["success"] for r in log] for log in logs])
        tokens = np.array([[r["tokens"] for r in log] for log in logs])
        final = after[name]
        runs[name] = {
            "final": {where: row(x) for where, x in final.items()},
            "minus_sft": {w: gap(x, before[w]) for w, x in final.items()},
            "training_success": success.round(4).tolist(),
            "largest_fall": largest_fall(success).round(4).tolist(),
            "spread_of_final": spread(final["held_out"].mean(axis=1)),
            "tokens_to_plus_10": [
                tokens_to(x, y, float(before["training"].mean()) + 0.1)
                for x, y in zip(success, tokens, strict=True)
            ],
        }
    return tests, {"runs": runs, "sft": {w: row(x) for w, x in before.items()}}


def c7(p: Profile) -> Evidence:
    """TD labels against Monte Carlo labels at equal sampled tokens."""
    kinds: tuple[Kind, ...] = ("mc_hard", "mc_soft", "agentprm")
    costs = {kind: reward_data(kind, p)[1] for kind in kinds}
    spent = {kind: sum(tokens) for kind, tokens in costs.items()}
    most = min(spent.values())
    curves = {}
    enough = 0.25 * most >= max(tokens[0] for tokens in costs.values())
    shares = (0.25, 1.0) if p.truth_tasks and enough else (1.0,)
    for share in shares:
        budget = int(share * most)
        for kind in kinds:
            limit = None if spent[kind] <= budget else budget
            curves[share, kind] = kind_curves(kind, p, variant=Variant(budget=limit))
    ours = curves[1.0, "agentprm"][..., -1]
    n = p.eval_samples
    tests = [
        difference(
            f"best of {n} at equal tokens - {k}", ours, curves[1.0, k][..., -1], test_tasks(p)
        )
        for k in ("mc_hard", "mc_soft")
    ]
    rewards = {
        kind: {str(share): row(curves[share, kind][..., -1]) for share in shares} for kind in kinds
    }
    return tests, {
        "tokens": most,
        "tokens_of_all_data": spent,
        "reward_by_share_of_tokens": rewards,
        "squared_error": step_values_against_q(p, most) if p.truth_tasks else {},
    }


def c8(p: Profile) -> Evidence:
    """Do values tell the steps of successes from those of failures, within a task?"""
    quality = {kind: value_quality(kind, p) for kind in JUDGES}
    estimate = quality["agentprm"]["auroc_within_half"]
    if estimate is None:
        return [], {"values": quality, "turn_counter": None}
    tasks = quality["agentprm"]["mixed_tasks"]
    ours = bootstrap_interval(estimate)
    for each in quality.values():
        each["auroc_within_half"] = row(each["auroc_within_half"])
        each["auroc_within_step"] = {
            step: None if x is None else row(x) for step, x in each["auroc_within_step"].items()
        }
    name = "AUROC within a task after the first half"
    counting = turn_counter(p)
    return [Estimate(name, ours, tasks, p.reward_seeds, bar=0.5)], {
        "values": quality,
        "turn_counter": None if counting is None else row(counting),
    }


def against_others(p: Profile) -> Evidence:
    """C6 and C9: AgentPRM against ORM and PVM by Best-of-N; beams beside it."""
    ns = powers_of_two(p.eval_samples)
    curves = {kind: kind_curves(kind, p) for kind in (*OTHERS, "agentprm")}
    ours = curves["agentprm"][..., -1]
    tests = [
        difference(f"best of {ns[-1]} - {k}", ours, curves[k][..., -1], test_tasks(p))
        for k in OTHERS
    ]
    beams: dict[str, Any] = {}
    for n, m in p.beams:
        outcomes = {kind: beam_table(kind, p, n, m)[0] for kind in curves}
        beams[f"{n}x{m}"] = {kind: row(x) for kind, x in outcomes.items()} | {
            f"agentprm - {k}": gap(outcomes["agentprm"], outcomes[k]) for k in OTHERS
        }
    best = {k: rows(v) for k, v in curves.items()}
    return tests, {"ns": ns, "best_of_n": best, "beam": beams}


def difference(name: str, ours: np.ndarray, base: np.ndarray, tasks: Sequence[Task]) -> Estimate:
    """A test that ours is above base on the same tasks.

    Args:
        name: what is compared.
        ours: [S, G] rewards.
        base: [G] or [S, G] rewards.
        tasks: the G tasks.

    Returns:
        The test; where tasks belong together, with the interval over their families.
    """
    places: dict[int, list[int]] = {}
    for place, task in enumerate(tasks):
        places.setdefault(env_class(task.env).family(task.index), []).append(place)
    by_family = None
    if len(places) < len(tasks):
        mean_ours, mean_base = (
            np.stack([x[..., g].mean(-1) for g in places.values()], -1) for x in (ours, base)
        )
        by_family = paired_bootstrap(mean_ours, mean_base)
    interval = paired_bootstrap(ours, base)
    return Estimate(name, interval, len(tasks), len(ours), by_family=by_family)


def gap(ours: np.ndarray, base: np.ndarray) -> list[float]:
    """The same difference as a row.

    Args:
        ours: [S, G] rewards.
        base: [G] or [S, G] rewards.

    Returns:
        [mean, low, high], rounded to four digits.
    """
    return rounded(paired_bootstrap(ours, base))


def seed_rewards(p: Profile, actors: Sequence[Policy]) -> dict[str, np.ndarray]:
    """Mean reward of each goal for policies after PPO.

    Args:
        p: a profile.
        actors: one policy a seed.

    Returns:
        [S, G] ``held_out`` and [S, G] ``training``.
    """
    each = [ppo_rewards(p, actor) for actor in actors]
    return {where: np.array([x[where] for x in each]) for where in each[0]}


def spread(means: np.ndarray) -> float | None:
    """Standard deviation over seeds.

    Args:
        means: [S].

    Returns:
        That of the population which the seeds are drawn from; None for a single seed.
    """
    return round(float(means.std(ddof=1)), 4) if len(means) > 1 else None


def largest_fall(success: np.ndarray) -> np.ndarray:
    """How far each run once fell below the best it had reached before.

    Args:
        success: [S, rounds].

    Returns:
        [S], 0 for a run that never falls.

    Example:
        >>> largest_fall(np.array([[0.25, 0.75, 0.5, 1.0]])).tolist()
        [0.25]
    """
    best = np.maximum.accumulate(success, axis=1)
    return np.asarray((best - success).max(axis=1))


def tokens_to(success: np.ndarray, tokens: np.ndarray, level: float) -> float | None:
    """Tokens sampled before the first round that reaches a level of success.

    Args:
        success: [rounds] success of each round's episodes.
        tokens: [rounds] tokens of each round's episodes.
        level: the level; a round is measured before the policy learns from it.

    Returns:
        The tokens, or None if no round is.

    Example:
        >>> tokens_to(np.array([0.25, 0.25, 0.5]), np.array([10, 10, 10]), 0.45)
        20.0
    """
    there = np.flatnonzero(success >= level - 1e-9)
    return float(tokens[: there[0]].sum()) if len(there) else None


def beam_places(p: Profile, tasks: list[Any]) -> list[int]:
    """Which of the tasks beam search has.

    Args:
        p: a profile.
        tasks: held-out tasks, in order.

    Returns:
        Their places among ``tasks``.
    """
    place = {task: i for i, task in enumerate(tasks)}
    return [place[task] for task in beam_tasks(p)]


def row(values: Any) -> list[float]:
    """Mean and interval of values.

    Args:
        values: [G] or [S, G].

    Returns:
        [mean, low, high], rounded to four digits.
    """
    return rounded(bootstrap_interval(values))


EVIDENCE: dict[str, Callable[[Profile], Evidence]] = {
    "C1": c1,
    "C2": c2,
    "C3": c3,
    "C4": c4,
    "C5": c5,
    "C6": against_others,
    "C7": c7,
    "C8": c8,
    "C9": against_others,
}
