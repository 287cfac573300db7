"""The comparison that the book reports: one profile's numbers, with intervals, as plain data."""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from agentprm_lite.metrics import (
    Interval,
    bootstrap_interval,
    compute_multiple_interval,
    paired_bootstrap,
    within_task_auroc,
)
from agentprm_lite.ppo import ProcessReward
from agentprm_lite.prm import StepValues
from agentprm_lite.search import (
    best_of_n,
    by_task,
    fewest_turns,
    half_scores,
    last_scores,
    majority,
    oracle,
)
from agentprm_lite.train import Kind
from agentprm_lite.tutorial.pipeline import (
    USUAL,
    Policy,
    Variant,
    beam_runs,
    beam_tasks,
    greedy_runs,
    policy,
    pool,
    pool_values,
    ppo_pool,
    ppo_run,
    ppo_training_pool,
    rollouts,
    training_log,
)
from agentprm_lite.tutorial.profiles import Profile, get_profile
from agentprm_lite.types import Trajectory

KINDS: tuple[Kind, ...] = ("orm", "pvm", "agentprm")
WORLDS = ("textcraft", "babyai", "webshop", "math")
#: Parts of a study that can be left out.
PARTS = ("best_of_n", "beam", "ppo")


def powers_of_two(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to a number.

    Args:
        most: the largest allowed.

    Returns:
        The powers.

    Example:
        >>> powers_of_two(9)
        (1, 2, 4, 8)
    """
    return tuple(2**k for k in range(most.bit_length()) if 2**k <= most)


def kind_curves(
    kind: Kind,
    profile: Profile | str,
    *,
    score: Callable[[Sequence[StepValues]], list[float]] = last_scores,
    variant: Variant = USUAL,
) -> np.ndarray:
    """Best-of-N of every seed of a reward model.

    Args:
        kind: which reward model.
        profile: a profile or its name.
        score: from M along trajectories to one score each.
        variant: how the reward model differs from the usual one.

    Returns:
        [seeds, tasks, len(ns)] with ns = :func:`powers_of_two` of the pool's size.
    """
    p = get_profile(profile) if isinstance(profile, str) else profile
    ns, candidates = powers_of_two(p.eval_samples), pool(p)
    seeds = range(p.reward_seeds)
    values = [pool_values(kind, p, s, variant) for s in seeds]
    return np.stack([best_of_n(candidates, score(v), ns).success for v in values])


def beam_table(
    kind: Kind, profile: Profile | str, n: int, m: int, variant: Variant = USUAL
) -> tuple[np.ndarray, float]:
    """Outcome of beam search for every seed of a reward model.

    Args:
        kind: which reward model.
        profile: a profile or its name.
        n: paths kept.
        m: turns sampled a path.
        variant: how the reward model differs from the usual one.

    Returns:
        [seeds, tasks] outcome, and generated tokens a task.
    """
    p = get_profile(profile) if isinstance(profile, str) else profile
    runs = [beam_runs(kind, p, n, m, seed, variant) for seed in range(p.reward_seeds)]
    tokens = float(np.mean([t.usage.generated for run in runs for t in run]))
    return np.array([[t.outcome for t in run] for run in runs]), tokens


def task_means(trajectories: Sequence[Trajectory]) -> np.ndarray:
    """Mean outcome of each task: its success where rewards are 0 or 1.

    Args:
        trajectories: any number of every task.

    Returns:
        [tasks].
    """
    groups = by_task(trajectories).values()
    return np.array([np.mean([trajectories[i].outcome for i in g]) for g in groups])


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
    """Policies, Best-of-N and beam search in one world.

    Args:
        p: a profile; it names the world.
        parts: what to do of :data:`PARTS`; PPO is none of it.

    Returns:
        A part of :func:`study`.
    """
    ns = powers_of_two(p.eval_samples)
    candidates = pool(p)
    base = task_means(candidates)
    out: dict[str, Any] = {
        "tasks": len(base),
        "beam_tasks": len(beam_tasks(p)),
        "reward_model_seeds": p.reward_seeds,
        "tokens_a_sample": float(np.mean([t.usage.generated for t in candidates])),
        "policy": {
            "greedy SFT": rounded(bootstrap_interval(task_means(greedy_runs(p)))),
            "sampled SFT": rounded(bootstrap_interval(base)),
        },
        "best_of_n": {"oracle": rows(oracle(candidates, ns).success)},
        "best_of_n_first_half": {},
        "within_task_auroc": {},
        "beam": {},
        "difference": {},
        "compute_multiple": {},
    }
    if p.env == "textcraft" and any(t.success for t in rollouts(p)):
        out["policy"]["greedy RFT"] = rounded(bootstrap_interval(task_means(greedy_runs(p, "rft"))))
    shapes = p.beams if "beam" in parts else ()
    beams = {(kind, n, m): beam_table(kind, p, n, m) for kind in KINDS for n, m in shapes}
    for kind, n, m in beams:
        success, tokens = beams[kind, n, m]
        row = {"success": rounded(bootstrap_interval(success)), "tokens": tokens}
        out["beam"].setdefault(kind, {})[f"{n}x{m}"] = row
    curves, halves = {}, {}
    if "best_of_n" in parts:
        out["best_of_n"]["majority"] = rows(majority(candidates, ns).success)
        out["best_of_n"]["fewest turns"] = rows(fewest_turns(candidates, ns).success)
        curves = {kind: kind_curves(kind, p) for kind in KINDS}
        halves = {kind: kind_curves(kind, p, score=half_scores) for kind in KINDS}
        out["best_of_n"] |= {kind: rows(curves[kind]) for kind in KINDS}
        out["best_of_n_first_half"] = {kind: rows(halves[kind]) for kind in KINDS}
        out["within_task_auroc"] = {kind: _ranking(kind, p) for kind in KINDS}
    for other in ("orm", "pvm"):
        pairs = {}
        if curves:
            most = f"best of {ns[-1]}"
            pairs[most] = (curves["agentprm"][..., -1], curves[other][..., -1])
            pairs[f"{most}, first half"] = (halves["agentprm"][..., -1], halves[other][..., -1])
            out["compute_multiple"][f"over {other}"] = rounded(
                compute_multiple_interval(ns, curves[other], curves["agentprm"])
            )
        for n, m in shapes:
            pairs[f"beam {n}x{m}"] = (beams["agentprm", n, m][0], beams[other, n, m][0])
        out["difference"][f"agentprm - {other}"] = {
            name: rounded(paired_bootstrap(ours, theirs)) for name, (ours, theirs) in pairs.items()
        }
    return out


def _ranking(kind: Kind, p: Profile) -> dict[str, list[float] | None]:
    """AUROC inside the tasks with both outcomes; None where no task has both."""
    candidates = pool(p)
    won, tasks = [t.success for t in candidates], [t.task for t in candidates]
    values = [pool_values(kind, p, seed) for seed in range(p.reward_seeds)]
    found: dict[str, list[float] | None] = {}
    for when, score in (("last", last_scores), ("half", half_scores)):
        inside = np.stack([within_task_auroc(score(v), won, tasks) for v in values])
        found[when] = rounded(bootstrap_interval(inside)) if inside.size else None
    return found


def ppo_rewards(p: Profile, actor: Policy | None = None) -> dict[str, np.ndarray]:
    """Mean reward of each goal: the held-out ones, and those that PPO trains on.

    Args:
        p: a profile.
        actor: a policy after PPO; None: the SFT policy.

    Returns:
        [tasks] ``held_out`` and [tasks] ``training``.
    """
    return {
        "held_out": task_means(ppo_pool(p, actor) if actor else pool(p)),
        "training": task_means(ppo_training_pool(p, actor or policy(p))),
    }


def ppo_study(p: Profile) -> dict[str, Any]:
    """Every PPO run against SFT, on held-out and on training goals.

    Args:
        p: a profile.

    Returns:
        A part of :func:`study`.
    """
    before = ppo_rewards(p)
    out: dict[str, Any] = {}
    for name, kind in PPO_RUNS:
        actor = ppo_run(p, name, kind)
        after = ppo_rewards(p, actor)
        log = training_log(actor.folder)
        out[name] = {
            "goals": {where: len(x) for where, x in after.items()},
            "success": {where: rounded(bootstrap_interval(x)) for where, x in after.items()},
            "minus_sft": {w: rounded(paired_bootstrap(x, before[w])) for w, x in after.items()},
            "turns": [round(row["turns"], 3) for row in log],
            "training_success": [round(row["success"], 4) for row in log],
            "seeds": 1,
        }
    return out


PPO_RUNS: tuple[tuple[ProcessReward, Kind | None], ...] = tuple(
    (name, None if name == "outcome" else "agentprm") for name in get_args(ProcessReward)
)


def rounded(interval: Interval) -> list[float]:
    """An estimate as plain data.

    Args:
        interval: mean and 95 % interval.

    Returns:
        [mean, low, high], rounded to four digits.
    """
    return [round(float(x), 4) for x in interval]


def rows(success: np.ndarray) -> list[list[float]]:
    """Mean and interval at every size.

    Args:
        success: [tasks, N] or [seeds, tasks, N].

    Returns:
        N times [mean, low, high].
    """
    return [rounded(bootstrap_interval(success[..., k])) for k in range(success.shape[-1])]


def commit(folder: Path) -> str:
    """The commit of a working tree.

    Args:
        folder: any folder of it.

    Returns:
        Its short hash, with "-dirty" if a tracked file outside results/ differs from it (a command
        may write several results, one after the other); "unknown" outside a repository.
    """

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    head = git("rev-parse", "--short", "HEAD").stdout.strip()
    changed = git("diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)results").returncode
    return head + "-dirty" * bool(changed) if head else "unknown"


def provenance() -> dict[str, str]:
    """Where and when numbers were made.

    Returns:
        Commit, date, device and versions.
    """
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    return {
        "commit": commit(Path(__file__).parent),
        "date": datetime.date.today().isoformat(),
        "device": device,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
