"""What a reward model learns from where it differs from the usual one of its kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import random_trajectories

from agentprm_lite.hub import ChatFormat, load_chat
from agentprm_lite.kinds import RewardExample
from agentprm_lite.prm import RewardModel
from agentprm_lite.tutorial import base as small_base
from agentprm_lite.tutorial import rewards
from agentprm_lite.tutorial.profiles import SMOKE, get_profile
from agentprm_lite.tutorial.rewards import Variant
from agentprm_lite.types import Task, Trajectory, Usage


@pytest.fixture
def told(chat: ChatFormat, monkeypatch: pytest.MonkeyPatch) -> list[Trajectory]:
    """Ten rollouts of 10 tokens each instead of the pipeline's."""
    played = [replace(t, usage=Usage(generated=10)) for t in random_trajectories(chat, 10, seed=1)]
    monkeypatch.setattr(rewards, "rollouts", lambda p: played)
    return played


def test_budget_counts_monte_carlo_rollouts(
    told: list[Trajectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rewards.reward_data(SMOKE, "pvm") == ([RewardExample(t) for t in told], [10] * 10)
    examples, spent = rewards.reward_data(SMOKE, "agentprm", variant=Variant(budget=59))
    assert ([e.trajectory for e in examples], spent) == (told[:5], [10] * 5)
    rolled = [RewardExample(t) for t in told[:3]]
    monkeypatch.setattr(rewards, "mc_files", lambda p: (told[:3], Path("mc")))
    monkeypatch.setattr(rewards, "outcomes", lambda starts, path: (rolled, [30, 20, 50]))
    for kind in ("mc_hard", "mc_soft", "pqm"):
        two = (rolled[:2], [40, 30])
        assert rewards.reward_data(SMOKE, kind, variant=Variant(budget=70)) == two
        assert rewards.reward_data(SMOKE, kind, variant=Variant(budget=69))[1] == [40]
    with pytest.raises(ValueError, match="budget is 39 tokens, the first example of mc_soft takes"):
        rewards.reward_data(SMOKE, "mc_soft", variant=Variant(budget=39))


def test_judges_of_webshop_learn_who_succeeded(
    told: list[Trajectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reward pays for a part of the wishes, too; other worlds' rewards stay as they are."""
    for name in ("smoke", "cpu", "study", "gpu", "paper"):
        worlds = {w: get_profile(name, w).learn_success for w in ("textcraft", "babyai", "math")}
        assert not any(worlds.values()) and get_profile(name, "webshop").learn_success
    ends = (0.0, 2 / 3, 1.0)
    part = [
        replace(t, rewards=(*t.rewards[:-1], r), success=r == 1)
        for t, r in zip(told, ends, strict=False)
    ]
    monkeypatch.setattr(rewards, "rollouts", lambda p: part)
    shop = replace(SMOKE, learn_success=True)
    found = [e.trajectory for e in rewards.reward_data(shop, "pvm")[0]]
    assert [t.outcome for t in found] == [0, 0, 1]
    assert [replace(t, rewards=old.rewards) for t, old in zip(found, part, strict=True)] == part
    assert [e.trajectory for e in rewards.reward_data(SMOKE, "pvm")[0]] == part
    rolled = [RewardExample(t, np.tile([[0.99, 1.0, 1 - 1e-12]], (t.num_steps, 1))) for t in part]
    monkeypatch.setattr(rewards, "mc_files", lambda p: (part, Path("mc")))
    monkeypatch.setattr(rewards, "outcomes", lambda starts, path: (rolled, [1] * 3))
    for example in rewards.reward_data(shop, "mc_soft")[0]:
        assert example.outcomes is not None
        assert (example.outcomes == [0, 1, 1]).all()


def test_the_best_setting_of_the_grid_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    p = replace(SMOKE, reward_grid=((1e-3, 1), (1e-3, 2), (4e-3, 1)))
    monkeypatch.setattr(rewards, "tuning", lambda p, kind, beta: [0.2, 0.4, 0.4])
    assert rewards.reward_config(p, "pvm") == replace(p.reward, lr=1e-3, epochs=2)
    assert rewards.reward_config(SMOKE, "pvm") == SMOKE.reward


def test_problems_of_one_template_are_held_out_together() -> None:
    """A template of math has 40 problems; every goal of TextCraft stands by itself."""
    assert rewards.family(Task("math", 120)) == rewards.family(Task("math", 159))
    assert rewards.family(Task("math", 120)) != rewards.family(Task("math", 160))
    assert rewards.family(Task("textcraft", 120)) != rewards.family(Task("textcraft", 121))


@pytest.mark.parametrize(("env", "name"), [("math", "checker"), ("webshop", "shop_checker")])
def test_judges_start_from_what_a_checker_says(env: str, name: str) -> None:
    """Those of math and WebShop; the others' from the policy, and from one half."""
    p = get_profile("smoke", env)
    assert rewards.judge_base(p) == small_base.folder(name)
    chat = load_chat(small_base.folder(name))
    played = random_trajectories(chat, 3, seed=1)
    first = RewardModel(rewards.new_judge(p, 0)).score(played)
    again = RewardModel(rewards.new_judge(p, 1)).score(played)  # fresh adapters change nothing
    assert all(
        (a.q == b.q).all() and np.ptp([a.root, *a.q]) > 0 for a, b in zip(first, again, strict=True)
    )
    assert get_profile("cpu", "babyai").judge_base is get_profile("t4", env).judge_base is None
