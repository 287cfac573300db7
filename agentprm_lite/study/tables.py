"""The comparison that the book reports: one profile's numbers, with intervals, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from agentprm_lite.metrics import Floats, within_task_auroc
from agentprm_lite.ppo import ProcessReward
from agentprm_lite.search import by_task, oracle, scores_of
from agentprm_lite.study.baselines import fewest_turns, majority
from agentprm_lite.study.compare import (
    beam_table,
    compute_multiple_interval,
    families,
    half,
    kind_curves,
    powers_of_two,
    rounded,
    row,
    rows,
    task_means,
)
from agentprm_lite.study.names import COMPARED
from agentprm_lite.study.provenance import provenance
from agentprm_lite.tutorial import (
    Policy,
    Profile,
    beam_tasks,
    get_profile,
    greedy_runs,
    policy,
    pool,
    pool_values,
    ppo_pool,
    ppo_run,
    ppo_training_pool,
    random_outcomes,
    rollouts,
    training_log,
)

#: Parts of a study that can be left out.
PARTS = ("best_of_n", "beam", "ppo")


def study(
    profile: str, worlds: Sequence[str], command: str, parts: Sequence[str] = PARTS
) -> dict[str, Any]:
    """All numbers of the comparison.

    Args:
        profile: name of a profile.
        worlds: names of environments; PPO only in those of the profile's ``ppo_worlds``.
        command: what remakes the numbers; stored with them.
        parts: some of :data:`PARTS`; where time is short, a slow part can wait.

    Returns:
        JSON-able data; every estimate is [mean, low, high] of a 95 % interval.
    """
    p = get_profile(profile)
    return {
        "command": command,
        **provenance(),
        "measure": "mean reward of the answers: success in TextCraft and math, where it is 0 or 1",
        "profile": p.name,
        "base": p.base,
        "candidates": p.eval_samples,
        "ns": list(powers_of_two(p.eval_samples)),
        "worlds": {env: world_study(get_profile(profile, env), parts) for env in worlds},
        "ppo": {
            env: ppo_study(get_profile(profile, env))
            for env in worlds
            if "ppo" in parts and env in p.ppo_worlds
        },
    }


def world_study(p: Profile, parts: Sequence[str] = PARTS) -> dict[str, Any]:
    """Policies, Best-of-N and beam search in one world."""
    ns = powers_of_two(p.eval_samples)
    candidates = pool(p)
    base = task_means(candidates)
    alike = families(by_task(candidates))

    def one(values: Floats, other: Floats | None = None) -> list[float]:
        return row(values, other, alike)

    def curve(success: Floats) -> list[list[float]]:
        return rows(success, alike)

    out: dict[str, Any] = {
        "tasks": len(base),
        "beam_tasks": len(beam_tasks(p)),
        "reward_model_seeds": p.reward_seeds,
        "tokens_a_sample": float(np.mean([t.usage.generated for t in candidates])),
        "policy": {
            "random agent": one(random_outcomes(p).mean(axis=1)),
            "greedy SFT": one(task_means(greedy_runs(p))),
            "sampled SFT": one(base),
        },
        "best_of_n": {"oracle": curve(oracle(candidates, ns).success)},
        "best_of_n_first_half": {},
        "within_task_auroc": {},
        "beam": {},
        "difference": {},
        "compute_multiple": {},
    }
    if p.env == "textcraft" and any(t.success for t in rollouts(p)):
        out["policy"]["greedy RFT"] = one(task_means(greedy_runs(p, "rft")))
    shapes = p.beams if "beam" in parts else ()
    beams = {(kind, n, m): beam_table(kind, p, n, m) for kind in COMPARED for n, m in shapes}
    some = families(beam_tasks(p))
    for kind, n, m in beams:
        success, tokens = beams[kind, n, m]
        found = {"success": row(success, families=some), "tokens": tokens}
        out["beam"].setdefault(kind, {})[f"{n}x{m}"] = found
    curves, halves = {}, {}
    if "best_of_n" in parts:
        out["best_of_n"]["majority"] = curve(majority(candidates, ns).success)
        out["best_of_n"]["fewest turns"] = curve(fewest_turns(candidates, ns).success)
        curves = {kind: kind_curves(kind, p) for kind in COMPARED}
        halves = {kind: kind_curves(kind, p, halved=True) for kind in COMPARED}
        out["best_of_n"] |= {kind: curve(curves[kind]) for kind in COMPARED}
        out["best_of_n_first_half"] = {kind: curve(halves[kind]) for kind in COMPARED}
        out["within_task_auroc"] = {kind: _ranking(kind, p) for kind in COMPARED}
    for other in ("orm", "pvm"):
        found = {}
        if curves:
            most = f"best of {ns[-1]}"
            found[most] = one(curves["agentprm"][..., -1], curves[other][..., -1])
            found[f"{most}, first half"] = one(halves["agentprm"][..., -1], halves[other][..., -1])
            out["compute_multiple"][f"over {other}"] = rounded(
                compute_multiple_interval(ns, curves[other], curves["agentprm"], alike)
            )
        for n, m in shapes:
            pair = beams["agentprm", n, m][0], beams[other, n, m][0]
            found[f"beam {n}x{m}"] = row(*pair, some)
        out["difference"][f"agentprm - {other}"] = found
    return out


def _ranking(kind: str, p: Profile) -> dict[str, list[float] | None]:
    """AUROC inside the tasks with both outcomes; None where no task has both."""
    candidates = pool(p)
    won, tasks = [t.success for t in candidates], [t.task for t in candidates]
    values = [pool_values(p, kind, seed) for seed in range(p.reward_seeds)]
    both = [task for task, group in by_task(candidates).items()
            if len({won[i] for i in group}) == 2]  # fmt: skip
    found: dict[str, list[float] | None] = {}
    for when, runs in (("last", values), ("half", [half(v) for v in values])):
        inside = np.stack([within_task_auroc(scores_of(v), won, tasks) for v in runs])
        found[when] = row(inside, families=families(both)) if inside.size else None
    return found


def ppo_rewards(p: Profile, actor: Policy | None = None) -> dict[str, Floats]:
    """Mean reward of each goal, held out or trained on, by a policy after PPO or by SFT's."""
    return {
        "held_out": task_means(ppo_pool(p, actor) if actor else pool(p)),
        "training": task_means(ppo_training_pool(p, actor or policy(p))),
    }


def ppo_study(p: Profile) -> dict[str, Any]:
    """Every PPO run against SFT, on held-out and on training goals."""
    before = ppo_rewards(p)
    pools = {"held_out": pool(p), "training": ppo_training_pool(p, policy(p))}
    alike = {where: families(by_task(attempts)) for where, attempts in pools.items()}
    out: dict[str, Any] = {}
    for name, kind in PPO_RUNS:
        actor = ppo_run(p, name, kind)
        after = ppo_rewards(p, actor)
        log = training_log(actor.folder)
        out[name] = {
            "goals": {where: len(x) for where, x in after.items()},
            "success": {where: row(x, families=alike[where]) for where, x in after.items()},
            "minus_sft": {where: row(x, before[where], alike[where]) for where, x in after.items()},
            "turns": [round(entry["turns"], 3) for entry in log],
            "training_success": [round(entry["success"], 4) for entry in log],
            "seeds": 1,
        }
    return out


PPO_RUNS: tuple[tuple[ProcessReward, str | None], ...] = tuple(
    (name, None if name == "outcome" else "agentprm") for name in get_args(ProcessReward)
)
