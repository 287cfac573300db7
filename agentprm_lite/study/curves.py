"""Learning curves: what a judge has learned from n rollouts, and what the weight β of L_A changes.

Each reward model is a row of plain data, made once and kept as an artifact, so that an interrupted
run goes on. All are measured on the profile's pool of held-out tasks. Rollouts beyond the profile's
own are of more draws of its training tasks, in the same order, four or so a task.

Shape legend: G held-out tasks, K attempts at each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from agentprm_lite.env import env_class
from agentprm_lite.files import Checkpoint
from agentprm_lite.interop import write_whole
from agentprm_lite.kinds import MLoss, RewardExample
from agentprm_lite.losses import Progress
from agentprm_lite.models import Head
from agentprm_lite.prm import RewardModel, StepValues
from agentprm_lite.search import by_task
from agentprm_lite.study.bars import (
    Raw,
    auroc_after,
    best_of,
    explained,
    fixed_turn,
    outcomes,
    squared_errors,
    successes,
)
from agentprm_lite.study.provenance import provenance
from agentprm_lite.study.raw import attempt_rows, value_rows
from agentprm_lite.train import train_reward_model
from agentprm_lite.tutorial import (
    Profile,
    artifact,
    family,
    get_profile,
    new_judge,
    policy,
    pool,
    pool_file,
    read,
    reward_config,
    sample,
    test_tasks,
    train_tasks,
    write_json,
)

KIND = "agentprm"  # at β = 0 its labels alone
LOSSES: dict[str, tuple[Head, MLoss, Progress]] = {
    "usual": ("sigmoid", "squared", "difference"),
    "cross-entropy": ("sigmoid", "cross_entropy", "difference"),
    "linear head": ("linear", "squared", "difference"),  # the paper's
    "target gae": ("sigmoid", "squared", "gae"),
}
Row = dict[str, Any]


def curves(
    profile: str,
    worlds: Sequence[str],
    command: str,
    out: Path,
    rollouts: Sequence[int],
    seeds: int,
    betas: Sequence[float],
) -> None:
    """Train and measure a judge of every size, seed and β; the file has each as soon as it is made.

    What the file holds already stays. Commit, date and device of a row are those of its training.
    """
    kept: Row = _held(out) if out.exists() else {"profile": profile, "worlds": {}}
    if kept["profile"] != profile:
        raise ValueError(
            f"{out} is of the profile {kept['profile']}, got {profile}: use a new file"
        )
    for world in worlds:
        p = get_profile(profile, world)
        shared = json.loads(json.dumps(tasks_of(p)))
        before = kept["worlds"].get(world, {**shared, "rows": []})
        if {**before, "rows": []} != {**shared, "rows": []}:
            raise ValueError(f"{out}: the candidates of {world} have changed, use a new file")
        rows = {_name(row): row for row in before["rows"]}
        for seed in range(seeds):
            for n in rollouts:
                for beta in betas:
                    row = json.loads((judged(p, n, seed, beta) / "row.json").read_text())
                    rows[_name(row)] = row | {"command": command}
                    kept["worlds"][world] = {**shared, "rows": [rows[k] for k in sorted(rows)]}
                    write_whole(out, as_text(kept))


def _held(out: Path) -> Row:
    try:
        kept: Row = json.loads(out.read_text("utf-8"))
        if {"profile", "worlds"} <= kept.keys():
            return kept
    except (ValueError, AttributeError):
        pass
    raise ValueError(f"{out} holds something else than curves: use a new file")


def _name(row: Row) -> tuple[float, ...]:
    return row["rollouts"], row["beta"], row["seed"]


def as_text(kept: Row) -> str:
    """JSON with a line for each row."""
    worlds = [
        json.dumps(name) + ": " + json.dumps({**world, "rows": []})[:-2]
        + ",".join("\n" + json.dumps(row, allow_nan=False) for row in world["rows"]) + "\n]}"
        for name, world in kept["worlds"].items()
    ]  # fmt: skip
    return (
        f'{{"profile": {json.dumps(kept["profile"])}, "worlds": {{\n' + ",\n".join(worlds) + "}}\n"
    )


def files_of(p: Profile, n: int) -> list[Path]:
    """Files with at least n rollouts, in the order of their tasks, each of the profile's size."""
    size = p.rollout_tasks
    count = -(-n // (size * p.rollout_samples))
    tasks = train_tasks(replace(p, rollout_tasks=count * size))[1]
    samples, temperature = p.rollout_samples, p.rollout_temperature
    return [
        sample(p, policy(p), "rollouts", tasks[k : k + size], samples, temperature)
        for k in range(0, len(tasks), size)
    ]


def judged(p: Profile, n: int, seed: int, beta: float, loss: str = "usual") -> Path:
    """Folder with the row of a reward model that has learned from the first n rollouts."""
    head, m_loss, progress = LOSSES[loss]
    actor, config = policy(p), replace(reward_config(p, KIND, beta=beta), seed=seed)
    files, candidates = files_of(p, n), pool_file(p, actor)

    def make(folder: Path) -> None:
        played = [t for file in files for t in read(file)][:n]
        model = new_judge(p, seed, head)
        log = train_reward_model(
            model,
            [RewardExample(t) for t in played if t.num_steps],
            KIND,
            config,
            beta=beta,
            m_loss=m_loss,
            progress=progress,
            family=family,
            checkpoint=Checkpoint(folder / "unfinished"),
        )
        reports = [x.get("explained_variance") for x in log if "held_out_loss" in x]
        values = RewardModel(model).score(read(candidates))
        row = {
            "rollouts": n,
            "beta": beta,
            "loss": loss,
            "seed": seed,
            "kind": KIND,
            "held_out": [x if x is None else round(x, 4) for x in reports],
            "epochs": log[-1].get("best_epoch", config.epochs - 1) + 1,
            **measured(raw_of(p, values)),
            **provenance(),
        }
        write_json(folder / "row.json", row)

    inputs = {
        "policy": actor.folder,
        **{f"rollouts{k}": file for k, file in enumerate(files)},
        "pool": candidates,
        "count": n,
        "config": asdict(config),
        "lora": asdict(p.lora),
        "beta": beta,
        "loss": LOSSES[loss],
    }
    return artifact(p, f"curve{n}_{beta:g}_{seed}", make, inputs)


def raw_of(p: Profile, values: list[StepValues]) -> Raw:
    """Candidates and one judge's values of them, as :mod:`agentprm_lite.study.bars` takes them."""
    tasks, candidates = test_tasks(p), pool(p)
    groups = list(by_task(candidates).values())
    return {
        "families": [env_class(p.env).family(task.index) for task in tasks],
        "learn_success": p.learn_success,
        "candidates": attempt_rows(candidates, groups),
        "values": {KIND: [value_rows(values, groups)] if values else []},
    }


def measured(raw: Raw) -> Row:
    """What a judge explains, ranks and chooses on the pool, and of every task the sum of its
    squared errors and the success of its choice among all attempts."""
    share, ranked = explained(raw, KIND), auroc_after(raw, KIND, fixed_turn(raw))
    chosen = best_of(raw, KIND, [successes(raw).shape[1]])[0, :, 0]
    return {
        "explained_variance": share[0] if share else None,
        "auroc_fixed_turn": ranked[0][0] if ranked else None,
        "best_of_n": round(float(chosen.mean()), 4),
        "error": squared_errors(raw, KIND)[0].round(3).tolist(),
        "chosen": chosen.round(3).tolist(),
    }


def tasks_of(p: Profile) -> Row:
    """What all rows of a world share: the tasks, their attempts' turns and outcomes."""
    raw = raw_of(p, [])
    turns = np.array([[len(a[3]) for a in task] for task in raw["candidates"]])
    outcome = outcomes(raw)
    return {
        "temperature": p.eval_temperature,
        "levels": p.levels,
        "candidates": successes(raw).shape[1],
        "fixed_turn": fixed_turn(raw),
        "families": raw["families"],
        "turns": turns.sum(1).tolist(),
        "returns": (turns * outcome).sum(1).round(4).tolist(),
        "squares": (turns * outcome**2).sum(1).round(4).tolist(),
        "sample": successes(raw).mean(1).round(4).tolist(),
    }
