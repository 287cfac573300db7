"""What can be seen in BabyAI: how far an attempt is from its end, and whether the text tells.

Measured Q plays on from the true state, so it knows what lies behind a door. Who reads an attempt
knows only what has been shown, and M is read at the end of a turn, before the world's reply.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from agentprm_lite.env import make_env
from agentprm_lite.files import Checkpoint
from agentprm_lite.kinds import RewardExample
from agentprm_lite.prm import RewardModel, StepValues
from agentprm_lite.search import by_task
from agentprm_lite.study.bars import Raw, auroc_after, explained, fixed_turn, turn_number_explains
from agentprm_lite.study.ceiling import before_last
from agentprm_lite.study.curves import LOSSES, files_of
from agentprm_lite.study.provenance import provenance
from agentprm_lite.study.raw import value_rows
from agentprm_lite.train import train_reward_model
from agentprm_lite.tutorial import (
    Profile,
    artifact,
    family,
    new_judge,
    policy,
    pool,
    pool_file,
    read,
    reward_config,
    write_json,
)
from agentprm_lite.types import Trajectory
from agentprm_lite.worlds.babyai import shown

MOST = 20  # turns that the expert may take; one more stands for a mission that can't be done
READERS = ("turn", "reply", "world")
KIND = "pvm"


def measure(p: Profile) -> dict[str, Any]:
    """:func:`distances` of all attempts at held-out tasks; and M of reward models that are read
    after the reply."""
    candidates = pool(p)
    groups = list(by_task(candidates).values())
    turns = [[distances(candidates[i]) for i in group] for group in groups]
    late = [value_rows(late_values(p, seed), groups) for seed in range(p.reward_seeds)]
    return {**provenance(), "turns": turns, "late": late}


def read_late(trajectory: Trajectory) -> Trajectory:
    """The trajectory as one whose M is read after the reply to each turn, just before the next
    turn begins; after the last turn as ever. It is for scoring alone: spans are no turns now.
    """
    starts = [start for start, _ in trajectory.spans[1:]]
    spans = (*((start - 1, start) for start in starts), *trajectory.spans[-1:])
    return replace(trajectory, spans=spans, logprobs=())


def late_values(p: Profile, seed: int) -> list[StepValues]:
    """M of a PVM along every candidate, trained and read after replies."""
    config, candidates = replace(reward_config(p, KIND), seed=seed), pool_file(p, policy(p))
    (file,) = files_of(p, p.rollout_tasks * p.rollout_samples)

    def make(folder: Path) -> None:
        examples = [RewardExample(read_late(t)) for t in read(file) if t.num_steps]
        model, unfinished = new_judge(p, seed), Checkpoint(folder / "unfinished")
        train_reward_model(
            model,
            examples,
            KIND,
            config,
            m_loss=LOSSES["usual"][1],
            family=family,
            checkpoint=unfinished,
        )
        scores = RewardModel(model).score([read_late(t) for t in read(candidates)])
        write_json(folder / "values.json", [[v.root, *v.q.tolist()] for v in scores])

    inputs = {
        "policy": policy(p).folder,
        "data": file,
        "pool": candidates,
        "config": asdict(config),
        "lora": asdict(p.lora),
    }
    folder = artifact(p, f"late_{KIND}{seed}", make, inputs)
    rows = json.loads((folder / "values.json").read_text())
    return [StepValues(row[0], np.array(row[1:])) for row in rows]


def distances(trajectory: Trajectory) -> list[list[int]]:
    """After each turn: the turns that the expert still needs; and whether a thing that the mission
    asks for next had been shown before the reply, and with it. The environment has to answer as the
    record says."""
    task = trajectory.task
    env = make_env(task.env, MOST + trajectory.num_steps)
    env.reset(options={"index": task.index, "variant": task.variant})
    found = []
    for text, recorded in zip(trajectory.actions, trajectory.observations[1:], strict=True):
        known = set(env.snapshot()["state"]["known"])
        action = env.parse(text)
        reply, _, terminated, _, info = env.step(action or "")
        if action is not None and reply != recorded:
            raise ValueError(
                f"trajectory {trajectory.key}: the environment answers {reply!r}, the record says "
                f"{recorded!r}"
            )
        if terminated:
            found.append([0 if info["success"] else MOST + 1, 1, 1])
        else:
            after = env.snapshot()
            seen = [int(shown(after, cells)) for cells in (known, after["state"]["known"])]
            found.append([needed(after), *seen])
    return found


def needed(snapshot: dict[str, Any]) -> int:
    """Turns until the expert has done the mission; ``MOST + 1`` if it never has."""
    env = make_env("babyai")
    env.restore({**snapshot, "max_rounds": snapshot["rounds"] + MOST})
    for turn in range(1, MOST + 1):
        _, _, terminated, truncated, info = env.step(env.expert_action()[1])
        if info["success"]:
            return turn
        if terminated or truncated:
            break
    return MOST + 1


def ranked(raw: Raw) -> dict[str, Any] | None:
    """How the expert's distance ranks attempts at a task after the fixed turn, as AUROC: by the
    true state ("world"), and where it is known only once a thing that the mission asks for has
    been shown before the reply ("turn") or with it ("reply"). And how reward models that are read
    after the reply ("late") rank, and what they explain before the last turn: of that one the reply
    gives the end away. None where nothing was measured.

    An attempt that has shown nothing yet stands where such attempts are on average.
    """
    if "sight" not in raw:
        return None
    turn, found = fixed_turn(raw), {}
    for reader, name in enumerate(READERS):
        interval = auroc_after({**raw, "values": {name: [_ranks(raw, reader, turn)]}}, name, turn)
        found[name] = interval and interval[0]
    both = {**raw, "values": {KIND: raw["values"][KIND], "late": raw["sight"]["late"]}}
    last = max(len(a[3]) for task in raw["candidates"] for a in task)
    by_turn = {str(k): auroc_after(both, "late", k) for k in range(1, last)}
    going_on = before_last(both)
    return {
        "commit": raw["sight"]["commit"],
        "fixed_turn": turn,
        **found,
        "late": {
            "auroc_by_turn": {k: x[0] for k, x in by_turn.items() if x},
            "explained_variance": explained(going_on, "late"),
            f"{KIND}_explained_variance": explained(going_on, KIND),
            "explains_more": explained(going_on, "late", than=KIND),
            "turn_number_explains": turn_number_explains(going_on),
        },
    }


def _ranks(raw: Raw, reader: int, turn: int) -> list[list[list[float]]]:
    """Minus the distance after a turn, as far as a reader knows it, in the place of M."""

    def known(step: list[int]) -> bool:
        return READERS[reader] == "world" or bool(step[1 + reader])

    steps = [[a[turn - 1] if len(a) >= turn else None for a in t] for t in raw["sight"]["turns"]]
    hidden = [s[0] for task in steps for s in task if s and not known(s)]
    mean = float(np.mean(hidden)) if hidden else 0.0
    return [
        [[0.0] * turn + [-(s[0] if known(s) else mean) if s else 0.0] for s in task]
        for task in steps
    ]
