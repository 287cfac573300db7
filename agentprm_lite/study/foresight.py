"""Beam search whose judge is measured Q, for which the policy plays on.

Where a beam by a reward model is below one greedy attempt, and this one is above it, the judge is
the reason, not the search. Q is measured by few rollouts, so a better judge could do more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from agentprm_lite.prm import StepValues
from agentprm_lite.sampling import Player
from agentprm_lite.search import beam_search
from agentprm_lite.study.bars import Raw, row, successes
from agentprm_lite.study.beams import searched
from agentprm_lite.study.provenance import provenance
from agentprm_lite.study.raw import attempt_row
from agentprm_lite.tutorial import (
    Profile,
    append_row,
    artifact,
    beam_tasks,
    greedy_runs,
    player,
    policy,
    read_rows,
    sampling_config,
    test_tasks,
)
from agentprm_lite.types import Trajectory

TASKS, SHAPE, ROLLOUTS = 24, (4, 4), 8


class MeasuredQ:
    """The judge that plays on: M of the last turn is the mean outcome of some rollouts after it.

    Earlier turns and the root have 0: a search by the last M doesn't ask for them.
    """

    def __init__(self, player: Player, samples: int) -> None:
        self.player, self.samples = player, samples

    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        """Measured Q of every path; paths that are alike are played on once."""
        paths = {(t.task, t.ids): t for t in trajectories if t.num_steps}
        starts = []
        for t in paths.values():
            episode = self.player.start(t.task, t.sample, t.seed)
            for start, end in t.spans:
                episode.step(list(t.ids[start:end]), [], self.player.chat)
            # the search itself draws from stream 0; what it will sample must not be known here
            starts += [episode.fork(k, stream=1) for k in range(self.samples)]
        ends = [t.outcome for t in self.player.run(starts)]
        q = dict(zip(paths, np.reshape(ends, (-1, self.samples)).mean(axis=1), strict=True))
        return [
            StepValues(0.0, np.array([*[0.0] * (t.num_steps - 1), q[t.task, t.ids]]))
            if t.num_steps
            else StepValues(0.0, np.zeros(0))
            for t in trajectories
        ]


def measure(p: Profile) -> dict[str, Any]:
    """Beams by measured Q on some of the held-out tasks: outcome, success and tokens of each; and
    the success of the same policy's greedy attempts there."""
    actor, tasks = policy(p), beam_tasks(replace(p, beam_tasks=TASKS))

    def make(folder: Path) -> None:
        plays, path = player(actor, p.eval_temperature), folder / "beams.jsonl"
        path.touch()
        judge = MeasuredQ(player(actor, p.eval_temperature), ROLLOUTS)  # with a cache of its own
        for task in tasks[len(read_rows(path)) :]:
            (found,) = beam_search(plays, judge, [task], *SHAPE)
            won, success, *_ = attempt_row(found.trajectory)
            append_row(path, [won, success, found.usage.generated])

    inputs = {
        "policy": actor.folder,
        "tasks": [t.key for t in tasks],
        "shape": [*SHAPE, ROLLOUTS],
        **asdict(sampling_config(p, p.eval_temperature)),
    }
    places, greedy = test_tasks(p), {t.task: attempt_row(t)[1] for t in greedy_runs(p)}
    return {
        **provenance(),
        "shape": "x".join(map(str, SHAPE)),
        "rollouts": ROLLOUTS,
        "tasks": [places.index(task) for task in tasks],
        "greedy": [greedy[task] for task in tasks],
        "runs": read_rows(artifact(p, "foresight", make, inputs) / "beams.jsonl"),
    }


def beam_ceiling(raw: Raw) -> dict[str, Any] | None:
    """Success of beams by measured Q, and how far it is above one greedy attempt's and the
    reward model's own beams at the same tasks, if there are any, with what these and an oracle of
    the samples succeed there; None where nothing was measured."""
    if "foresight" not in raw:
        return None
    some = raw["foresight"]
    places = some["tasks"]
    here = {**raw, "families": [raw["families"][i] for i in places]}
    won = np.array([[success for _, success, _ in some["runs"]]])
    greedy = np.array(some["greedy"])
    oracle = successes(raw if "own" in some else searched(raw))[places].max(axis=1)
    judged, own = raw["beams"]["tasks"], raw["beams"]["runs"].get(some["shape"])
    if "own" in some:  # beams of the same policy, where those of the table are of a later one
        own = np.array([some["own"]])
    elif own is not None and set(places) <= set(judged):
        own = np.array(own)[:, [judged.index(place) for place in places], 1]
    else:  # a profile of other or fewer beams
        own = None
    return {
        "commit": some["commit"],
        "shape": some["shape"],
        "rollouts": some["rollouts"],
        "tasks": len(places),
        "success": row(here, won),
        "greedy": row(here, greedy),
        "oracle16": row(here, oracle),
        "own": None if own is None else row(here, own),
        "minus_greedy": row(here, won, greedy),
        "minus_own": None if own is None else row(here, won, own),
    }
