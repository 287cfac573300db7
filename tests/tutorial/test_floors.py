"""The random agent plays episodes that a task, a sample and a seed fix, and is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agentprm_lite.env import env_class, make_env
from agentprm_lite.study import WORLDS
from agentprm_lite.tutorial import floors
from agentprm_lite.tutorial.floors import random_action, random_agent, random_outcomes
from agentprm_lite.tutorial.profiles import get_profile
from agentprm_lite.tutorial.tasks import test_tasks as held_out


@pytest.mark.parametrize("world", WORLDS)
def test_the_random_agent_sometimes_wins_and_mostly_fails(world: str) -> None:
    tasks = env_class(world).tasks("test")
    tasks = tasks[:: len(tasks) // 5][:5]
    played = [random_agent(t, k, 0, 8) for t in tasks for k in range(8)]
    assert all(0 <= reward <= 1 and 1 <= turns <= 8 for reward, turns, _ in played)
    assert all(reward > 0 for reward, _, success in played if success)
    assert np.mean([reward for reward, *_ in played]) < 0.6
    assert random_agent(tasks[2], 3, 0, 8) == played[19]


def test_it_takes_each_suggested_action_equally_often() -> None:
    """Sugar's list holds its own recipe and distractors; each recipe and each ingredient once."""
    env = make_env("textcraft")
    texts = [env.reset(options={"goal": "sugar"})[0]]
    recipes = [line for line in texts[0].split("\n") if line.startswith("craft ")]
    gets = {f"get {part}" for r in recipes for part in r.split(" using ")[1].split(", ")}
    rng = np.random.default_rng(0)
    taken = [random_action(env, texts, rng) for _ in range(4000)]
    assert set(taken) == {*recipes, *gets} and "get 1 sugar cane" in gets
    share = taken.count("get 1 sugar cane") / len(taken)
    assert share == pytest.approx(1 / len({*recipes, *gets}), abs=0.02)


def test_outcomes_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path))
    p = replace(get_profile("smoke", "math"), eval_tasks=3)
    found = random_outcomes(p)
    assert found.shape == (3, floors.EPISODES)
    assert found[2, 5] == random_agent(held_out(p)[2], 5, 0, p.max_rounds)[0]
    monkeypatch.setattr(floors, "random_agent", None)  # nothing is played again
    assert (random_outcomes(p) == found).all()


def test_a_world_of_ones_own_has_no_random_agent() -> None:
    env = make_env("textcraft")
    env.name = "vault"  # type: ignore[misc]
    with pytest.raises(ValueError, match="no random agent for the environment 'vault'"):
        random_action(env, [""], np.random.default_rng(0))
