"""Does the method work here? What policy and judges of a profile are worth in each world.

A world is measured once and stored as raw numbers; the table and all figures are made from those,
see bars.py and tokens.py.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentprm_lite.env import env_class
from agentprm_lite.interop import write_whole
from agentprm_lite.kinds import RewardExample, split_families
from agentprm_lite.search import by_task
from agentprm_lite.study import beams, checker, cooler, foresight, sight
from agentprm_lite.study.bars import Raw, best_of, process_judge, row, table
from agentprm_lite.study.ceiling import ceiling, measure
from agentprm_lite.study.names import COMPARED
from agentprm_lite.study.provenance import provenance
from agentprm_lite.study.raw import attempt_row, attempt_rows, value_rows
from agentprm_lite.study.tokens import success_against_tokens
from agentprm_lite.tutorial import (
    Profile,
    family,
    get_profile,
    greedy_runs,
    policy,
    pool,
    pool_values,
    random_agent,
    read,
    reward_model,
    reward_model_folder,
    rollouts,
    sample,
    test_tasks,
    training_log,
)

RANDOM_AGENTS = 16  # episodes of the random agent a task
HELD_OUT = 0.2  # share of the training families from which no reward model learns


def gather(p: Profile, command: str) -> Raw:
    """Everything that is measured in a world, as plain data; what is made already is read.

    ``held_out`` is 0 for a judge whose held-out tasks all ended alike: it can't be told from them.
    """
    tasks, candidates = test_tasks(p), pool(p)
    groups = list(by_task(candidates).values())
    logs = {k: [_log(p, k, seed) for seed in range(p.reward_seeds)] for k in COMPARED}
    raw: Raw = {
        "command": command,
        **provenance(),
        "world": p.env,
        "profile": p.name,
        "temperature": p.eval_temperature,
        "levels": p.levels,
        "rollouts": p.rollout_tasks * p.rollout_samples,
        "learn_success": p.learn_success,
        "families": [env_class(p.env).family(task.index) for task in tasks],
        "greedy": [attempt_row(t) for t in greedy_runs(p)],
        "candidates": attempt_rows(candidates, groups),
        "random": [
            [int(random_agent(task, k, 0, p.max_rounds)[2]) for k in range(RANDOM_AGENTS)]
            for task in tasks
        ],
        "held_out": {k: [log.get("best_explained_variance", 0.0) for log in runs]
                     for k, runs in logs.items()},
        "values": {k: [value_rows(pool_values(p, k, seed), groups)
                       for seed in range(p.reward_seeds)] for k in COMPARED},
    }  # fmt: skip
    if p.truth_tasks:
        raw["measured"] = measure(p)
    if p.judge_base:
        raw["checker"] = checker.measure(p)
    if p.env == "babyai":  # its expert can say what the text has shown
        raw["sight"] = sight.measure(p)
    if p.env == "math":  # where the process judges gain most; elsewhere most of an hour
        raw["cooler"] = cooler.measure(p)
    judge, raw["score"] = process_judge(raw), chosen_score(p)
    return {**raw, **search(p, judge, raw["score"]["by"])}


def search(p: Profile, judge: str, score: str) -> Raw:
    """The beams of a world, at its own temperature and at the paper's, and those by measured Q."""
    return {
        "beams": beams.measure(p, judge, score),
        "cooler_beams": cooler.measure_beams(p, judge, score),
        "foresight": foresight.measure(p),
    }


def regime(
    profile: str, worlds: Sequence[str], command: str, out: Path, *, only_beams: bool = False
) -> dict[str, Any]:
    """The table of all worlds that have been measured, by this call or an earlier one; raw numbers
    of a world go to ``<world>.json.gz`` in a folder beside ``out`` that has its name. With
    ``only_beams`` these are searched anew, and the rest stays."""
    folder = out.with_suffix("")
    if folder == out:
        raise ValueError(f"{out} is to be a file such as {out}.json: {out}/ has the raw numbers")
    folder.mkdir(parents=True, exist_ok=True)
    for path in set(folder.glob("*.json.gz")) - {folder / f"{world}.json.gz" for world in worlds}:
        if (other := read_raw(path)["profile"]) != profile:
            raise ValueError(f"{path} is of profile {other!r}, not {profile!r}: use a new file")
    for world in worlds:
        path, p = folder / f"{world}.json.gz", get_profile(profile, world)
        if only_beams:
            raw = read_raw(path)
            raw |= search(p, raw["beams"]["judge"], raw["score"]["by"])
            raw["beams"]["command"] = command
        else:
            raw = gather(p, command)
        write_raw(path, raw)
    return summary({p.name.split(".")[0]: read_raw(p) for p in sorted(folder.glob("*.json.gz"))})


def summary(raws: dict[str, Raw]) -> dict[str, Any]:
    """Table and success against tokens of all worlds, from raw numbers alone."""
    kept = ("command", "commit", "date", "device", "profile", "temperature", "levels", "rollouts")
    return {
        "measure": "success: reward 1, in BabyAI any reward; intervals over families of tasks",
        "worlds": {
            world: {
                **{key: raw[key] for key in kept},
                "beams_commit": raw["beams"].get("commit", raw["commit"]),
                "beams_command": raw["beams"].get("command"),
                **table(raw),
                "beams": beams.beams(raw),
                "ceiling": ceiling(raw),
                "sight": sight.ranked(raw),
                "checker": checker.untrained(raw),
                "cooler": cooler.by_temperature(raw),
                "cooler_beams": cooler.beams(raw),
                "foresight": foresight.beam_ceiling(raw),
                "tokens": success_against_tokens(raw),
            }
            for world, raw in raws.items()
        },
    }


def write_raw(path: Path, raw: Raw) -> None:
    """Write raw numbers; the same numbers make the same file."""
    text = json.dumps(raw, separators=(",", ":")).encode()
    write_whole(path, gzip.compress(text, mtime=0))


def read_raw(path: Path) -> Raw:
    """Read what :func:`write_raw` wrote."""
    raw: Raw = json.loads(gzip.decompress(path.read_bytes()))
    return raw


def chosen_score(p: Profile) -> dict[str, Any]:
    """How judges score whole attempts in a world: :func:`last_or_least` on the training tasks that
    are held out, among as many attempts as on held-out tasks, all kinds together, a seed of each.
    """
    examples = [RewardExample(t) for t in rollouts(p) if t.num_steps]
    tasks = list(by_task([e.trajectory for e in split_families(examples, HELD_OUT, family)[1]]))
    actor, n = policy(p), p.eval_samples
    played = read(sample(p, actor, "choosing", tasks, n, p.eval_temperature))
    groups = by_task(played)
    raw = {
        "families": [family(task) for task in groups],
        "candidates": attempt_rows(played, groups.values()),
        "values": {
            kind: [value_rows(reward_model(p, kind, 0).score(played), list(groups.values()))]
            for kind in COMPARED
        },
    }
    return {**provenance(), **last_or_least(raw)}


def last_or_least(raw: Raw) -> dict[str, Any]:
    """The last M, as in the paper, unless Best-of-N by the least is better over all kinds, with an
    interval that leaves 0 out; tasks with fewer attempts than others take no part."""
    most = max(map(len, raw["candidates"]))
    whole = [g for g, task in enumerate(raw["candidates"]) if len(task) == most]
    some = {
        "families": [raw["families"][g] for g in whole],
        "candidates": [raw["candidates"][g] for g in whole],
        "values": {k: [[run[g] for g in whole] for run in x] for k, x in raw["values"].items()},
    }
    least, last = (
        np.mean([best_of(some, kind, [most], score)[..., 0] for kind in some["values"]], axis=0)
        for score in ("min", "last")
    )
    found = row(some, least, last)
    by = "min" if found[1] > 0 else "last"
    return {"by": by, "least_minus_last": found, "tasks": len(whole)}


def _log(p: Profile, kind: str, seed: int) -> dict[str, float]:
    return training_log(reward_model_folder(p, kind, seed))[-1]
