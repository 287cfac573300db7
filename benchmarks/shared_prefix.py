"""What a shared prefix saves: tokens that go through the models, and time, with and without caches.

Beam search 4×4, Monte Carlo rollouts and step-by-step scoring on episodes of ten rounds, each two
ways with the same random numbers:

- ours: a prefix that branches share is computed once, and nothing is computed again
- re-encoding: every history is computed from its first token, for every turn and for every score

Rollouts also a third way: each rollout computes its start and keeps a cache of its own.

Tokens are counted by a hook on each model's forward, padding apart; the library's own accounting is
printed beside. Answers have to be the same, and the largest difference of scores is stored.

Run: python benchmarks/shared_prefix.py --out results/shared_prefix.json
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from side_by_side import Row, Tokens, check, interleaved, options, ratios, settings, show, write
from torch import Tensor

from agentprm_lite.env import env_class, make_env
from agentprm_lite.episode import Episode
from agentprm_lite.fast import FastJudge, FastPlayer
from agentprm_lite.fast.kvbatch import KVBatch
from agentprm_lite.forward import read_m
from agentprm_lite.hub import load_chat, load_policy, new_reward_model
from agentprm_lite.prm import RewardModel, StepValues
from agentprm_lite.rollout import continue_from
from agentprm_lite.sampling import PlainPlayer
from agentprm_lite.search import SearchResult, beam_search
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.tutorial.tasks import sampling_config
from agentprm_lite.types import Task, Trajectory


def encode(model: Any, histories: Sequence[Sequence[int]]) -> tuple[KVBatch, Tensor]:
    """Every history from its first token, equal ones too; the batch and the last hidden states."""
    batch = KVBatch(model)
    ends = np.cumsum([len(h) for h in histories]) - 1
    return batch, batch.append(histories)[ends]


class OwnCaches(FastPlayer):
    """Every episode computes its start itself; then it keeps its cache."""

    def _read(self, episodes: Sequence[Episode]) -> Tensor:
        self.rows.batch, hidden = encode(self.model, [e.ids for e in episodes])
        return hidden


class Reencoding(OwnCaches):
    """Every turn begins with the computation of the whole history; all turns of a round at once."""

    run = PlainPlayer.run


class Rescoring(RewardModel):
    """Scores a step by a pass over its whole history, in one batch and without sharing."""

    @torch.no_grad()
    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        batch = KVBatch(self.model)
        parts = batch.append([t.ids for t in trajectories]).split(
            [len(t.ids) for t in trajectories]
        )
        out = []
        for t, hidden in zip(trajectories, parts, strict=True):
            m = read_m(batch.head, hidden[[t.root_position, *t.score_positions]])
            out.append(StepValues(float(m[0]), m[1:].double().cpu().numpy()))
        return out


@dataclass
class Setting:
    """The models and the work."""

    backend: FastPlayer
    judge: RewardModel
    tasks: list[Task]
    n: int = 4
    m: int = 4
    samples: int = 4

    def player(self, way: str) -> FastPlayer:
        return KINDS[way](self.backend.model, self.backend.chat, self.backend.config)

    def search(self, way: str, judge: RewardModel, seed: int) -> list[SearchResult]:
        return beam_search(self.player(way), judge, self.tasks, self.n, self.m, seed=seed)

    def rollouts(self, way: str, trajectory: Trajectory) -> list[Trajectory]:
        played = continue_from(self.player(way), trajectory, self.samples)
        return [t for row in played for t in row]


KINDS = {"ours": FastPlayer, "own caches": OwnCaches, "re-encoding": Reencoding}


def clocked(judge: RewardModel) -> list[float]:
    """Seconds of each call that scores, appended to the list returned."""
    seconds: list[float] = []
    score = judge.score

    def timed(trajectories: Sequence[Trajectory]) -> list[StepValues]:
        start = time.perf_counter()
        out = score(trajectories)
        seconds.append(time.perf_counter() - start)
        return out

    judge.score = timed  # type: ignore[method-assign]
    return seconds


def row(work: str, way: str, counts: Tokens, seconds: Sequence[float]) -> Row:
    """One line of the table: tokens of the first repeat, seconds of all."""
    return {
        "work": work,
        "way": way,
        "tokens": counts.real,
        "positions": counts.positions,
        "calls": counts.calls,
        "seconds": list(seconds),
    }


def search_rows(s: Setting, repeats: int) -> tuple[list[Row], dict[str, Any]]:
    """Beam search: tokens and seconds of both models, and whether the answers are the same."""
    judges = {"ours": FastJudge(s.judge.model), "re-encoding": Rescoring(s.judge.model)}
    clocks = {way: clocked(judge) for way, judge in judges.items()}

    def searched(way: str, repeat: int) -> tuple[list[SearchResult], Tokens, Tokens, float]:
        clocks[way].clear()
        with Tokens(s.backend.model) as policy, Tokens(s.judge.model) as scorer:
            results = s.search(way, judges[way], repeat)
        return results, policy, scorer, sum(clocks[way])

    seconds, runs = interleaved(
        {way: lambda repeat, way=way: searched(way, repeat) for way in judges}, repeats
    )
    rows, found = [], []
    for way, repeated in runs.items():
        results, policy, scorer, _ = repeated[0]
        scoring = [r[-1] for r in repeated]
        rest = [whole - part for whole, part in zip(seconds[way], scoring, strict=True)]
        rows += [
            row("beam search, policy", way, policy, rest),
            row("beam search, reward model", way, scorer, scoring),
        ]
        found.append(results)
    ours, again = found
    usage = [r.usage for r in ours]
    rows[0]["accounted"] = sum(u.prefilled + u.generated for u in usage)
    rows[1]["accounted"] = sum(u.scored for u in usage)
    same = [a.trajectory.ids == b.trajectory.ids for a, b in zip(ours, again, strict=True)]
    apart = [abs(a.score - b.score) for a, b, y in zip(ours, again, same, strict=True) if y]
    return rows, {
        "tasks": len(ours),
        "rounds": [r.trajectory.num_steps for r in ours],
        "equal_answers": sum(same),
        "largest_score_difference": max(apart, default=None),
    }


def rollout_rows(
    s: Setting, trajectory: Trajectory, repeats: int
) -> tuple[list[Row], dict[str, Any]]:
    """Rollouts from every state: tokens and seconds, and whether the rollouts are the same."""

    def rolled(way: str) -> tuple[list[Trajectory], Tokens]:
        with Tokens(s.backend.model) as counts:
            played = s.rollouts(way, trajectory)
        return played, counts

    seconds, runs = interleaved({way: lambda _, way=way: rolled(way) for way in KINDS}, repeats)
    played = {way: repeated[0][0] for way, repeated in runs.items()}
    rows = [row("rollouts", way, r[0][1], seconds[way]) for way, r in runs.items()]
    rows[0]["accounted"] = sum(t.usage.prefilled + t.usage.generated for t in played["ours"])
    return rows, {
        "states": trajectory.num_steps,
        "rollouts": len(played["ours"]),
        **{
            f"equal_{way}": sum(a.ids == b.ids for a, b in zip(played["ours"], found, strict=True))
            for way, found in played.items()
            if way != "ours"
        },
    }


def comparisons(rows: Sequence[Row], smoke: bool) -> list[Row]:
    """How many times fewer tokens, positions and seconds ours takes."""
    targets = {"beam search, policy": 4, "beam search, reward model": 5, "rollouts": 4}
    ours = {r["work"]: r for r in rows if r["way"] == "ours"}

    def numbers(r: Row, unit: str) -> list[float]:
        return r[unit] if unit == "seconds" else [r[unit]]

    return [
        {
            "what": f"{r['work']}: {unit}, {r['way']} / ours",
            "ratio": ratios(numbers(r, unit), numbers(ours[r["work"]], unit)),
            "target": targets[r["work"]]
            if unit == "tokens" and r["way"] == "re-encoding" and not smoke
            else None,
        }
        for r in rows
        if r["way"] != "ours"
        for unit in ("tokens", "positions", "seconds")
    ]


def long_tasks(profile: Profile, steps: int, count: int) -> list[Task]:
    """Training tasks that take the expert at least so many steps."""
    found: list[Task] = []
    for task in env_class(profile.env).tasks("train"):
        env = make_env(task.env, steps)
        env.reset(options={"index": task.index, "variant": task.variant})
        for _ in range(steps - 1):
            ended = env.step(env.expert_action()[1])[2]
            if ended:
                break
        else:
            found.append(task)
        if len(found) == count:
            break
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Count, time, print, write, check."""
    parser = options(__doc__)
    parser.add_argument("--tasks", type=int, default=4, help="of the beam search")
    parser.add_argument("--new-tokens", type=int, help="most tokens of a turn")
    args = parser.parse_args(argv)
    profile, folder = settings(args)
    rounds, width = 10, 4
    if args.smoke:
        rounds, width, args.tasks, args.new_tokens, args.repeats = 3, 2, 1, 6, 1
    model = load_policy(folder)
    config = sampling_config(profile)
    config = replace(
        config,
        max_rounds=rounds,
        max_new_tokens=args.new_tokens or config.max_new_tokens,
        max_context=model.config.max_position_embeddings,  # no episode is cut
    )
    backend = FastPlayer(model, load_chat(folder), config)
    scorer = new_reward_model(folder, profile.lora, 0)
    torch.manual_seed(0)
    with torch.no_grad():  # a new one says 0.5 everywhere
        scorer.get_base_model().score.modules_to_save["default"].weight.normal_(std=0.1)
    setting = Setting(
        backend, RewardModel(scorer), long_tasks(profile, rounds, args.tasks), width, width, width
    )
    longest = max(
        backend.run([backend.start(t, k, 0) for t in setting.tasks for k in range(4)]),
        key=lambda t: t.num_steps,
    )
    searched, search_facts = search_rows(setting, args.repeats)
    rolled, rollout_facts = rollout_rows(setting, longest, args.repeats)
    rows = searched + rolled
    found = comparisons(rows, args.smoke)
    for r in rows:
        accounted = f", accounted {r['accounted']:,}" if "accounted" in r else ""
        print(f"{r['work']}, {r['way']}: {r['tokens']:,} tokens, {r['positions']:,} positions, "
              f"{r['calls']} calls{accounted}, {median(r['seconds']):.2f} s")  # fmt: skip
    print(search_facts, rollout_facts)
    show(found)
    write(
        args,
        __file__,
        argv,
        {
            "model": folder.name,
            "profile": profile.name,
            "shape": f"{width}x{width}, {rounds} rounds, {width} rollouts a state",
            "sampling": asdict(config),
            "beam_search": search_facts,
            "rollouts": rollout_facts,
            "rows": rows,
            "ratios": found,
        },
    )
    check(found)


if __name__ == "__main__":
    main()
