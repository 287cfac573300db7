"""What a reward model learns from where it differs from the usual one of its kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers import random_trajectories

from agentprm_lite.chat import ChatFormat
from agentprm_lite.env import env_class
from agentprm_lite.examples import RewardExample
from agentprm_lite.tutorial import pipeline
from agentprm_lite.tutorial.pipeline import USUAL, Policy, Variant
from agentprm_lite.tutorial.profiles import SMOKE
from agentprm_lite.types import Trajectory, Usage


@pytest.fixture
def told(chat: ChatFormat, monkeypatch: pytest.MonkeyPatch) -> list[Trajectory]:
    """Ten rollouts of 10 tokens each instead of the pipeline's."""
    played = [replace(t, usage=Usage(generated=10)) for t in random_trajectories(chat, 10, seed=1)]
    monkeypatch.setattr(pipeline, "rollouts", lambda p: played)
    return played


def test_budget_counts_monte_carlo_rollouts(
    told: list[Trajectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pipeline.reward_data("pvm", SMOKE) == ([RewardExample(t) for t in told], [10] * 10)
    examples, spent = pipeline.reward_data("agentprm", SMOKE, variant=Variant(budget=59))
    assert ([e.trajectory for e in examples], spent) == (told[:5], [10] * 5)
    rolled = [RewardExample(t) for t in told[:3]]
    monkeypatch.setattr(pipeline, "_mc", lambda p: Path("mc"))
    monkeypatch.setattr(pipeline, "_outcomes", lambda starts, folder: (rolled, [30, 20, 50]))
    for kind in ("mc_hard", "mc_soft", "pqm"):
        two = (rolled[:2], [40, 30])
        assert pipeline.reward_data(kind, SMOKE, variant=Variant(budget=70)) == two
        assert pipeline.reward_data(kind, SMOKE, variant=Variant(budget=69))[1] == [40]
    with pytest.raises(ValueError, match="budget is 39 tokens, the first example of mc_soft takes"):
        pipeline.reward_data("mc_soft", SMOKE, variant=Variant(budget=39))
    for variant in (Variant(levels=(1,)), Variant(cut="bootstrap")):
        with pytest.raises(ValueError, match="of pqm: expected all rollouts of the SFT policy"):
            pipeline.reward_data("pqm", SMOKE, variant=variant)


def test_cuts_are_failures_unless_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model whose labels bootstrap there is another one."""
    inputs = []
    monkeypatch.setattr(pipeline, "later_policy", lambda *a: Policy(Path("sft"), None, SMOKE))
    monkeypatch.setattr(pipeline, "_data", lambda *a: Path("rollouts"))
    monkeypatch.setattr(pipeline, "_artifact", lambda p, name, stage, i, *a, **k: inputs.append(i))
    for variant in (USUAL, Variant(cut="bootstrap")):
        pipeline.reward_model_folder("agentprm", SMOKE, 0, variant)
    assert inputs[0]["cut"] == "failed"
    assert inputs[1] == {**inputs[0], "cut": "bootstrap"}


def test_levels_choose_the_rollouts(chat: ChatFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three goals of level 1 and two of level 2, each with an own number of tokens."""
    source = random_trajectories(chat, 1, seed=1)[0]
    short, deep = (env_class("textcraft").tasks("train", levels=(x,)) for x in (1, 2))
    played = [
        replace(source, task=task, usage=Usage(generated=k))
        for k, task in enumerate([short[0], deep[0], short[1], deep[1], short[2]])
    ]
    monkeypatch.setattr(pipeline, "rollouts", lambda p: played)
    for levels, tokens in (((1,), [0, 2, 4]), ((2,), [1, 3]), (None, [0, 1, 2, 3, 4])):
        variant = Variant(levels=levels)
        assert pipeline.reward_data("agentprm", SMOKE, variant=variant)[1] == tokens


def test_the_best_setting_of_the_grid_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    p = replace(SMOKE, reward_grid=((1e-3, 1), (1e-3, 2), (4e-3, 1)))
    monkeypatch.setattr(pipeline, "tuning", lambda kind, p, beta: [0.2, 0.4, 0.4])
    assert pipeline.reward_config("pvm", p) == replace(p.reward, lr=1e-3, epochs=2)
    assert pipeline.reward_config("pvm", SMOKE) == SMOKE.reward


def test_artifacts_are_noted_with_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path))
    for _ in range(2):  # made, then found
        with pipeline.artifacts_used() as folders:
            base = Path(pipeline.base(SMOKE))
        assert folders == [base]
    assert pipeline.seconds_of(base) > 0


def test_beam_search_refuses_a_later_policy_s_judge() -> None:
    with pytest.raises(ValueError, match="legs is 1, expected 0"):
        pipeline.beam_runs("agentprm", SMOKE, 2, 2, 0, Variant(legs=1))
