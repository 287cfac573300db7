"""The fast judge: step by step against one whole pass, in any order, and what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import float64, random_reward_model, random_trajectories, shortened

from agentprm_lite.fast import FastJudge
from agentprm_lite.fast.kvbatch import KVBatch
from agentprm_lite.hub import ChatFormat
from agentprm_lite.prm import RewardModel, StepValues
from agentprm_lite.types import Trajectory


@pytest.fixture(scope="module")
def model64(folder: Path) -> Any:
    return float64(random_reward_model(folder))


@pytest.fixture(scope="module")
def trajectories(chat: ChatFormat) -> list[Trajectory]:
    return random_trajectories(chat, 9, seed=3)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of every call of the cache."""
    append, sizes = KVBatch.append, []

    def counting(batch: KVBatch, tokens: Sequence[Sequence[int]]) -> Any:
        sizes.append(sum(map(len, tokens)))
        return append(batch, tokens)

    monkeypatch.setattr(KVBatch, "append", counting)
    return sizes


def same(found: Sequence[StepValues], expected: Sequence[StepValues], tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        a, b = [one.root, *one.q], [other.root, *other.q]
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=0)


@pytest.mark.parametrize(("double", "tolerance"), [(False, 1e-5), (True, 1e-10)])
def test_step_by_step_equals_one_pass(
    folder: Path,
    trajectories: list[Trajectory],
    computed: list[int],
    double: bool,
    tolerance: float,
) -> None:
    """Rows leave at their ends; every token of a trajectory is computed once."""
    model = random_reward_model(folder)
    model = float64(model) if double else model
    expected = RewardModel(model).score(trajectories)
    judge = FastJudge(model)
    computed.clear()
    same(
        judge.score([shortened(t, 0) for t in trajectories]),
        [StepValues(v.root, v.q[:0]) for v in expected],
        tolerance,
    )
    for step in range(1, 1 + max(t.num_steps for t in trajectories)):
        going = [k for k, t in enumerate(trajectories) if t.num_steps >= step]
        found = judge.score([shortened(trajectories[k], step) for k in going])
        same(found, [StepValues(expected[k].root, expected[k].q[:step]) for k in going], tolerance)
    prompts = {t.ids[: t.prompt_len] for t in trajectories}
    assert len(prompts) == 7 < 9 == len(trajectories)
    steps = sum(len(t.ids) - t.prompt_len for t in trajectories)
    assert sum(computed) == sum(map(len, prompts)) + steps


def test_branches_repeat_and_reorder_rows(model64: Any, trajectories: list[Trajectory]) -> None:
    """Two branches of b and one of a, in another order than before; one of them two steps on."""
    a, b = [t for t in trajectories if t.num_steps >= 3][:2]
    judge = FastJudge(model64)
    judge.score([shortened(t, 0) for t in (a, b)])
    judge.score([shortened(t, 1) for t in (a, b)])
    now = [shortened(b, 2), shortened(a, 3), shortened(b, 3)]
    same(judge.score(now), RewardModel(model64).score(now), 1e-10)


def test_a_pool_is_scored_whole_and_a_search_goes_on_after_it(
    model64: Any, trajectories: list[Trajectory], computed: list[int]
) -> None:
    plain, judge = RewardModel(model64), FastJudge(model64)
    same(judge.score(trajectories), plain.score(trajectories), 0)
    assert computed == []  # no cache was filled
    a, b = [t for t in trajectories if t.num_steps >= 2][:2]
    judge.score([shortened(a, 0)])
    mixed = [shortened(a, 1), shortened(b, 1)]  # one of them continues nothing
    same(judge.score(mixed), plain.score(mixed), 0)
    same(judge.score([shortened(a, 1)]), plain.score([shortened(a, 1)]), 1e-10)
    assert computed == [a.prompt_len, a.spans[0][1] - a.prompt_len]
    assert judge.score([]) == []


def test_a_longer_prompt_that_begins_alike_is_no_continuation(
    model64: Any, trajectories: list[Trajectory]
) -> None:
    """Its root lies elsewhere."""
    t = next(t for t in trajectories if t.num_steps >= 2)
    longer = replace(
        t,
        prompt_len=t.spans[1][0],
        spans=t.spans[1:],
        logprobs=(),
        actions=t.actions[1:],
        observations=t.observations[1:],
        rewards=t.rewards[1:],
    )
    judge = FastJudge(model64)
    judge.score([shortened(t, 0)])
    same(judge.score([longer]), RewardModel(model64).score([longer]), 0)


def test_after_an_error_the_judge_knows_nothing_of_its_rows(
    model64: Any, trajectories: list[Trajectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory once, in the middle of a search, whose rows were in another order."""
    some = [t for t in trajectories if t.num_steps >= 2][:3]
    now = [shortened(t, 2) for t in reversed(some)]
    judge = FastJudge(model64)
    for steps in (0, 1):
        judge.score([shortened(t, steps) for t in some])

    def full(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(KVBatch, "append", full)
        with pytest.raises(torch.OutOfMemoryError):
            judge.score(now)
    same(judge.score(now), RewardModel(model64).score(now), 0)


def test_weights_that_hold_nan_are_an_error(folder: Path, trajectories: list[Trajectory]) -> None:
    model = random_reward_model(folder)
    with torch.no_grad():
        model.get_base_model().score.modules_to_save["default"].weight[0, 3] = torch.nan
    judge = FastJudge(model)
    with pytest.raises(ValueError, match=rf"{trajectories[0].key}: M at its root is nan"):
        judge.score([shortened(t, 0) for t in trajectories])
