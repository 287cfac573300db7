"""Claims: the rule on hand-made intervals, measures by hand, one claim end to end, the table."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import results_page as results
from helpers import random_trajectories

from agentprm_lite.chat import ChatFormat
from agentprm_lite.env import env_class
from agentprm_lite.metrics import Interval
from agentprm_lite.prm import StepValues
from agentprm_lite.study import (
    CLAIMS,
    QUESTIONS,
    Estimate,
    beyond,
    claim,
    decide,
    evidence,
    overall,
    predict,
    question,
    report,
    values,
)
from agentprm_lite.study import tables as study
from agentprm_lite.study.report import sampled_tokens
from agentprm_lite.train import RewardExample
from agentprm_lite.tutorial import cli, pipeline
from agentprm_lite.tutorial.pipeline import USUAL, Policy, Variant
from agentprm_lite.tutorial.profiles import SMOKE, Profile, get_profile
from agentprm_lite.types import Task, Trajectory, Usage, append_jsonl

# --- the rule


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.3, "holds"),
        (0.0, 0.3, "undecided"),  # an interval that touches the bar
        (-0.1, 0.02, "undecided"),  # an effect worth having isn't excluded
        (-0.1, 0.019, "fails"),
        (-0.3, -0.1, "fails"),
        (0.001, 0.01, "holds"),  # small, but above
        (0.0, 0.0, "fails"),  # no difference at all
    ],
)
def test_verdict_of_an_interval(low: float, high: float, verdict: str) -> None:
    assert decide(Interval((low + high) / 2, low, high)) == verdict


def test_verdict_of_a_multiple() -> None:
    assert decide(Interval(9.0, 8.1, 12.0), bar=8.0, worth=0.0) == "holds"
    assert decide(Interval(4.0, 1.0, 8.0), bar=8.0, worth=0.0) == "fails"
    assert decide(Interval(8.0, 4.0, 16.0), bar=8.0, worth=0.0) == "undecided"


def test_no_verdict_without_a_finite_interval() -> None:
    for ends in ((float("nan"), 1.0), (0.0, float("inf")), (1.0, 0.0)):
        with pytest.raises(ValueError, match="expected finite ends"):
            decide(Interval(0.5, *ends))


def test_what_is_stored_is_what_is_judged() -> None:
    assert Estimate("x", Interval(0.1, 0.00004, 0.2), 3, 1).verdict == "undecided"  # low is 0.0


def test_verdict_on_a_claim() -> None:
    good = Estimate("good", Interval(0.2, 0.1, 0.3), 10, 3)
    better = Estimate("better", Interval(0.3, 0.2, 0.4), 10, 3)
    open_ = Estimate("open", Interval(0.1, -0.1, 0.3), 10, 3)
    bad = Estimate("bad", Interval(-0.2, -0.3, -0.1), 10, 3)
    assert overall([better, good]) == ("holds", good)  # rests on the smallest
    assert overall([better, open_]) == ("undecided", open_)
    assert overall([bad, open_, good]) == ("fails", bad)
    multiples = [Estimate(str(b), Interval(b + 1, b + 0.5, b + 2), 9, 3, b, 0.0) for b in (0.5, 8)]
    assert overall(multiples)[1].name == "0.5"  # an equal distance above its bar: the first
    with pytest.raises(ValueError, match="expected at least one"):
        overall([])


# --- measures by hand


def test_squared_error_of_labels_by_hand() -> None:
    """Outcomes 0, 0, 1, Q = 1/3. Mean of 2: variance (1/3)(2/3) / 2 = 1/9. Largest of 2 of the 3:
    0 in one pair, 1 in two: (1/3)(1/9) + (2/3)(4/9) = 1/3. A sure state has no error."""
    outcomes = np.array([[0.0, 0, 1], [1, 1, 1]])
    assert values.label_error(outcomes, 2, hard=False) == pytest.approx((1 / 9 + 0) / 2)
    assert values.label_error(outcomes, 2, hard=True) == pytest.approx((1 / 3 + 0) / 2)


def test_largest_fall_and_tokens_by_hand() -> None:
    success = np.array([[0.2, 0.6, 0.4, 0.5, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5]])
    assert evidence.largest_fall(success).tolist() == pytest.approx([0.5, 0.0])
    tokens = np.array([10, 20, 30, 40, 50])
    assert evidence.tokens_to(success[1], tokens, 0.3) == 30.0  # before the third round
    assert evidence.tokens_to(success[0] * 0, tokens, 0.2) is None
    assert evidence.spread(np.array([0.1, 0.3])) == 0.1414 and evidence.spread(np.ones(1)) is None


def test_quartiles_by_quarter() -> None:
    """Eight steps: two a quarter; one step lies in the first quarter."""
    parts = values.quartiles([np.arange(8.0), np.array([9.0])])
    assert parts == [[0.5, 1.0, 5.0], [2.25, 2.5, 2.75], [4.25, 4.5, 4.75], [6.25, 6.5, 6.75]]
    assert values.quartiles([np.array([1.0])])[1:] == [None, None, None]


def story(task: int, actions: str, outcome: float, source: Trajectory) -> Trajectory:
    """A trajectory with one letter an action; its ids don't matter."""
    steps = len(actions)
    return replace(
        source,
        task=Task("textcraft", task),
        ids=tuple(range(steps + 1)),
        prompt_len=1,
        spans=tuple((k + 1, k + 2) for k in range(steps)),
        logprobs=(),
        actions=tuple(actions),
        observations=("",) * (steps + 1),
        rewards=(0.0,) * (steps - 1) + (outcome,),
        success=outcome == 1,
    )


def test_a_counter_of_turns_looks_like_a_judge(
    chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Successes of 2, 3 and 4 steps, failures of 10; M sees the step's number only. By the first
    half it separates them, and so does a counter; after a fixed step it is a coin."""
    source = random_trajectories(chat, 1, seed=0)[0]
    lengths = [2, 3, 4, 10, 10, 10]
    played = [story(0, "x" * n, float(n < 10), source) for n in lengths]
    m = [StepValues(0.5, 1 - 0.05 * np.arange(1, n + 1)) for n in lengths]
    monkeypatch.setattr(values, "pool", lambda p: played)
    monkeypatch.setattr(values, "pool_values", lambda *a, **k: m)
    p = replace(SMOKE, truth_tasks=0, reward_seeds=1)
    found = values.value_quality("agentprm", p)
    assert found["auroc_within_half"].tolist() == [[1.0]]
    counted = values.turn_counter(p)
    assert counted is not None and counted.tolist() == [1.0]
    fixed = {k: x.tolist() for k, x in found["auroc_within_step"].items()}
    assert fixed == {"1": [[0.5]], "2": [[0.5]], "3": [[0.5]]}
    monkeypatch.setattr(values, "pool", lambda p: played[:3])  # no failure: nothing to tell
    monkeypatch.setattr(values, "pool_values", lambda *a, **k: m[:3])
    assert values.turn_counter(p) is None
    assert values.value_quality("agentprm", p)["auroc_within_step"]["1"] is None


def test_a_study_has_the_candidate_with_the_fewest_turns(
    chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two candidates the shorter one is chosen: right in the first task, wrong in the second."""
    source = random_trajectories(chat, 1, seed=0)[0]
    told = [(0, "aaa", 0.0), (0, "a", 1.0), (1, "bb", 1.0), (1, "b", 0.0), (2, "c", 1.0)]
    played = [story(*x, source) for x in (*told, (2, "ccc", 1.0))]
    for name in ("pool", "greedy_runs", "rollouts", "beam_tasks"):
        monkeypatch.setattr(study, name, lambda *args: played)
    for name in ("kind_curves", "_ranking"):
        monkeypatch.setattr(study, name, lambda *args, **kwargs: np.zeros((1, 3, 2)))
    p = replace(SMOKE, env="math", eval_samples=2)
    best = study.world_study(p, parts=("best_of_n",))["best_of_n"]
    means = {name: [round(row[0], 2) for row in rows] for name, rows in best.items()}
    assert means["fewest turns"] == [0.67, 0.67] and means["oracle"] == [0.67, 1.0]


def test_families_of_tasks_by_hand() -> None:
    """Two draws of one goal agree, so there are two opinions and not four: one is 0, one is 1."""
    goals = [Task("textcraft", index, variant) for index in (3, 8) for variant in (1, 2)]
    ours = np.array([[0.0, 0.0, 1.0, 1.0]])
    together = evidence.difference("x", ours, np.zeros(4), goals)
    assert together.interval.mean == 0.5 and together.by_family == (0.5, 0.0, 1.0)
    assert together.to_json()["by_family"] == [0.5, 0.0, 1.0]
    assert together.verdict == decide(together.interval)
    apart = evidence.difference("x", ours, np.zeros(4), [Task("textcraft", k) for k in range(4)])
    assert apart.interval == together.interval and "by_family" not in apart.to_json()
    read = evidence.difference("x", ours, ours, [Task("gsm8k", k) for k in range(4)])
    assert read.by_family is None  # GSM8K has no templates
    problems = [Task("math", index) for index in (0, 39, 40, 79)]  # two templates
    assert evidence.difference("x", ours, ours, problems).by_family == (0.0, 0.0, 0.0)


def test_siblings_share_their_state(chat: ChatFormat) -> None:
    """a then b (8 of 8 succeed), a then c (0 of 8), d (4 of 8, then e), f (7 visits: too few)."""
    source = random_trajectories(chat, 1, seed=0)[0]
    told = ["ab"] * 8 + ["ac"] * 8 + ["de"] * 8 + ["fg"] * 7
    wins = [1.0] * 8 + [0.0] * 8 + [1.0] * 4 + [0.0] * 4 + [1.0] * 7
    played = [story(0, a, y, source) for a, y in zip(told, wins, strict=True)]
    m = [StepValues(0.5, np.array([k / 100, 1 - k / 100])) for k in range(len(played))]
    ours, exact, states = values.siblings(played, m)
    task = Task("textcraft", 0)
    assert sorted(zip(states, exact, ours, strict=True)) == sorted([
        ((task, ()), 0.5, 0.0),  # a
        ((task, ("a",)), 1.0, 1.0),  # ab
        ((task, ("a",)), 0.0, 0.92),  # ac
        ((task, ()), 0.5, 0.16),  # d
        ((task, ("d",)), 0.5, 0.84),  # de
    ])  # fmt: skip


def test_values_of_a_hand_made_pool(chat: ChatFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Task 0: the success is scored below the failure by the last step, above it by the first
    half. Task 1: nothing but failures, all scored high."""
    source = random_trajectories(chat, 1, seed=0)[0]
    played = [story(0, "ab", 1, source), story(0, "cd", 0, source), story(1, "ab", 0, source)]
    m = [StepValues(0.5, np.array(x)) for x in ([0.6, 0.2], [0.4, 0.7], [0.9, 0.9])]
    monkeypatch.setattr(values, "pool", lambda p: played)
    monkeypatch.setattr(values, "pool_values", lambda *a, **k: m)
    found = values.value_quality("agentprm", replace(SMOKE, truth_tasks=0))
    assert found["auroc_within_half"].tolist() == [[1.0], [1.0]]  # two seeds, one task with both
    assert found["mixed_tasks"] == 1
    assert found["auroc_by_fraction"][0] == 0.5  # over all: 0.6 is above 0.4, below 0.9
    assert found["auroc_by_fraction"][-1] == 0.0
    assert found["brier_half"] == pytest.approx((0.16 + 0.16 + 0.81) / 3, abs=1e-4)
    assert found["sibling_accuracy"] is None and found["sibling_actions"] == 0


# --- data and settings


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
    for variant in (Variant(levels=(1,)), Variant(cut_is_failure=True)):
        with pytest.raises(ValueError, match="of pqm: expected all rollouts of the SFT policy"):
            pipeline.reward_data("pqm", SMOKE, variant=variant)


def test_cuts_become_failures(told: list[Trajectory], monkeypatch: pytest.MonkeyPatch) -> None:
    """The labels then don't bootstrap there; the usual model keeps its name."""
    played = [replace(t, final=k % 2 == 0) for k, t in enumerate(told)]
    monkeypatch.setattr(pipeline, "rollouts", lambda p: played)
    told_so = Variant(cut_is_failure=True)
    examples, spent = pipeline.reward_data("agentprm", SMOKE, variant=told_so)
    assert [e.trajectory for e in examples] == [replace(t, final=True) for t in told]
    assert spent == [10] * 10
    inputs = []
    monkeypatch.setattr(pipeline, "later_policy", lambda *a: Policy(Path("sft"), None, SMOKE))
    monkeypatch.setattr(pipeline, "_data", lambda *a: Path("rollouts"))
    monkeypatch.setattr(pipeline, "_artifact", lambda p, name, stage, i, *a, **k: inputs.append(i))
    for variant in (USUAL, told_so):
        pipeline.reward_model_folder("agentprm", SMOKE, 0, variant)
    assert inputs[1] == {**inputs[0], "cut_is_failure": True}
    assert "cut_is_failure" not in inputs[0]


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


# --- claims from hand-made curves


def hand_made(monkeypatch: pytest.MonkeyPatch, curves: dict[Any, list[float]]) -> Profile:
    """Two seeds, three tasks, the same curve for all; keys are a kind, or a kind and β."""

    def fake(kind: str, p: Profile, *, variant: Variant = USUAL, **_: Any) -> np.ndarray:
        curve = curves.get((kind, variant.beta), curves.get(kind))
        return np.broadcast_to(np.array(curve), (2, 3, 5))

    monkeypatch.setattr(evidence, "kind_curves", fake)
    return replace(SMOKE, eval_tasks=3, eval_samples=16, beams=())


@pytest.mark.parametrize(("ours", "verdict"), [(1, "holds"), (2, "fails")])
def test_c2_by_hand(
    chat: ChatFormat, monkeypatch: pytest.MonkeyPatch, ours: int, verdict: str
) -> None:
    """ORM is best at N = 16, PVM too. AgentPRM is there at N = 1 or 2: 16 or 8 times fewer."""
    slow, fast = [0, 0.1, 0.2, 0.3, 0.4], [0.4 if k + 1 >= ours else 0.0 for k in range(5)]
    others = dict.fromkeys(evidence.JUDGES, slow)
    p = hand_made(monkeypatch, {**others, "agentprm": fast})
    candidates = random_trajectories(chat, 7 * 16, seed=3)
    monkeypatch.setattr(evidence, "pool", lambda p: candidates)
    tests, shown = evidence.c2(p)
    assert [t.interval for t in tests] == [(16 / ours,) * 3] * 2
    assert [t.verdict for t in tests] == [verdict] * 2
    assert shown["multiple_at_last_n"]["orm"] == [16 / ours] * 3
    assert set(shown["best_of_n"]) == {
        *("orm", "pvm", "mc_hard", "mc_soft", "pqm", "agentprm", "no_la", "pav"),
        *("majority", "likelihood", "oracle", "fewest turns"),
    }


def test_c4_compares_with_beta_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    p = hand_made(monkeypatch, {("agentprm", 1.0): [0.5] * 5, ("agentprm", 0.0): [0.2] * 5})
    tests, shown = evidence.c4(p)
    assert [t.name for t in tests] == ["best of 16", "best of 16, first half"]
    for test in tests:
        assert test.interval == pytest.approx((0.3, 0.3, 0.3)) and test.verdict == "holds"
    assert shown["sweep"] == {}


def test_c6_and_c9_compare_at_all_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    rising = [0, 0, 0, 0, 0.5]
    p = hand_made(monkeypatch, {"agentprm": rising, "orm": [0.1] * 5, "pvm": [0.6] * 5})
    tests, _ = evidence.EVIDENCE["C6"](p)
    assert [t.interval.mean for t in tests] == pytest.approx([0.4, -0.1])
    assert overall(tests)[0] == "fails"
    assert evidence.EVIDENCE["C9"] is evidence.EVIDENCE["C6"]


def test_c7_cuts_all_kinds_to_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fake(kind: str, p: Profile, *, variant: Variant = USUAL) -> np.ndarray:
        asked.append((kind, variant.budget))
        return np.full((2, 3, 5), 0.5 if kind == "agentprm" else 0.25)

    spent = {"mc_hard": [100, 300], "mc_soft": [100, 300], "agentprm": [10] * 100}
    monkeypatch.setattr(evidence, "kind_curves", fake)
    monkeypatch.setattr(evidence, "reward_data", lambda kind, p: ([], spent[kind]))
    p = replace(SMOKE, eval_tasks=3)
    tests, shown = evidence.c7(replace(p, truth_tasks=0))
    assert set(asked) == {("mc_hard", None), ("mc_soft", None), ("agentprm", 400)}
    assert shown["tokens"] == 400
    assert shown["tokens_of_all_data"]["agentprm"] == 1000
    assert [t.verdict for t in tests] == ["holds", "holds"]
    monkeypatch.setattr(evidence, "step_values_against_q", lambda p, budget: {"budget": budget})
    _, shown = evidence.c7(p)  # where Q is measured, at a quarter of the tokens, too
    assert {(k, b) for k, b in asked if b == 100} == {(k, 100) for k in spent}
    assert shown["squared_error"] == {"budget": 400}
    asked.clear()
    spent["mc_soft"][:] = [101, 299]  # a quarter no longer pays for one example
    evidence.c7(p)
    assert {b for _, b in asked} == {None, 400}


# --- files


def test_tokens_of_an_artifact(tmp_path: Path, told: list[Trajectory]) -> None:
    for name in ("pool-1", "demos-1"):
        (tmp_path / name).mkdir()
        append_jsonl(tmp_path / name / "pool.jsonl", told)
    (tmp_path / "pool-1" / "outcomes.json").write_text('[{"outcomes": [], "tokens": 7}]')
    assert sampled_tokens(tmp_path / "pool-1") == 107
    assert sampled_tokens(tmp_path / "demos-1") == 0


def test_what_ppo_samples_in_training_is_to_learn_from(
    tmp_path: Path, told: list[Trajectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, tokens in (("ppo_shaping_orm0-1", 40), ("ppo_pool-1", 0), ("rollouts-1", 0)):
        (tmp_path / name).mkdir()
        if tokens:
            log = [{"tokens": tokens / 2}, {"tokens": tokens / 2}]
            (tmp_path / name / "log.json").write_text(json.dumps(log))
        else:
            append_jsonl(tmp_path / name / "played.jsonl", told)
        (tmp_path / name / "made.json").write_text('{"seconds": 1}')
    cut = replace(told[0], terminated=False, truncated=True, truncated_by="tokens", final=False)
    monkeypatch.setattr(report, "pool", lambda p: [cut, *[replace(cut, truncated_by="rounds")] * 3])
    cost = report._cost(SMOKE, sorted(tmp_path.iterdir()))
    assert cost["tokens"] == {"training": 40 + 100, "evaluation": 100}
    assert cost["cut_by_context"] == 0.25


def test_artifacts_are_noted_with_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path))
    for _ in range(2):  # made, then found
        with pipeline.artifacts_used() as folders:
            base = Path(pipeline.base(SMOKE))
        assert folders == [base]
    assert pipeline.seconds_of(base) > 0


def test_unknown_claims_and_worlds() -> None:
    with pytest.raises(ValueError, match="claim 'C10' is unknown"):
        claim("C10", "smoke")
    with pytest.raises(ValueError, match=r"C6 is tested in \['math'\], not in \['babyai'\]"):
        claim("C6", "smoke", ["babyai"])


SMALL = {
    "demo_goals": 12,
    "demo_variants": 1,
    "rollout_tasks": 4,
    "rollout_samples": 2,
    "reward_grid": ((1e-3, 1), (2e-3, 1)),
    "mc_tasks": 3,
    "eval_tasks": 4,
    "beams": ((2, 1),),
    "beam_tasks": 2,
    "max_rounds": 3,
    "reward_seeds": 1,
    "ppo_samples": 2,
    "ppo_seeds": 1,
}


ASKED_HERE = sorted(set(QUESTIONS) - {"B4"})  # which is asked in WebShop only


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All claims from nothing in the smallest sizes, in math, and PPO in TextCraft."""
    folder = tmp_path_factory.mktemp("claims")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTPRM_ARTIFACTS", str(folder / "artifacts"))
        patch.setattr(
            report, "get_profile", lambda name, env="math": replace(get_profile(name, env), **SMALL)
        )
        patch.setattr(evidence, "BETAS", (0.0, 1.0))
        patch.setattr(evidence, "LAMS", (0.95,))
        patch.setattr(beyond, "LEGS", 2)
        patch.setattr(beyond, "BETAS", (0.0, 1.0))
        common = ["reproduce", "--profile", "smoke", "--out", str(folder / "out")]
        assert cli.main([*common, "--claim", "all", "--worlds", "math"]) == 0
        made = {p: p.stat().st_mtime_ns for p in (folder / "artifacts").rglob("made.json")}
        first = (folder / "out" / "C1_smoke.json").read_text()
        assert cli.main([*common, "--claim", "C1", "--worlds", "math"]) == 0
        assert {p: p.stat().st_mtime_ns for p in (folder / "artifacts").rglob("made.json")} == made
        assert (folder / "out" / "C1_smoke.json").read_text() == first  # from what was there
        assert cli.main([*common, "--claim", "C5"]) == 0
        assert cli.main([*common, "--claim", "B3"]) == 0
    return {p.stem: json.loads(p.read_text()) for p in (folder / "out").glob("*.json")} | {
        "figures": sorted(p.stem for p in (folder / "out").glob("*.png")),
        "inputs": {
            p.parent.name: json.loads(p.read_text())
            for p in (folder / "artifacts").rglob("inputs.json")
        },
    }


def test_every_claim_is_written_with_what_backs_it(files: dict[str, Any]) -> None:
    every = sorted(f"{name}_smoke" for name in [*CLAIMS, *ASKED_HERE])
    assert sorted(files) == sorted([*every, "figures", "inputs"])
    assert files["figures"] == every
    for name in CLAIMS:
        numbers = files[f"{name}_smoke"]
        assert numbers["command"].startswith(f"agentprm reproduce --claim {name} --profile smoke")
        assert {"commit", "date", "device", "torch", "base", "paper"} <= set(numbers)
        for world in numbers["worlds"].values():
            assert world["candidates"] == 4 and world["tasks"] == 4
            assert world["minutes"] >= 0 and world["tokens"]["evaluation"] > 0
            assert world["artifacts"]
            tests = [Estimate(t["name"], Interval(*t["interval"]), t["tasks"], t["seeds"],
                              t["bar"], t["worth"]) for t in world["tests"]]  # fmt: skip
            assert [t.verdict for t in tests] == [t["verdict"] for t in world["tests"]]
            if tests:
                verdict, basis = overall(tests)
                assert (world["verdict"], world["rests_on"]) == (verdict, basis.name)


def test_what_the_claims_show(files: dict[str, Any]) -> None:
    shown = {name: files[f"{name}_smoke"]["worlds"].get("math", {}).get("shown") for name in CLAIMS}
    assert set(shown["C4"]["sweep"]) == {"beta 0, lambda 0.95", "beta 1, lambda 0.95"}
    assert {"labels of agentprm", "values of mc_soft"} <= set(shown["C7"]["squared_error"])
    assert set(shown["C8"]["values"]) == set(evidence.JUDGES)
    runs = files["C5_smoke"]["worlds"]["textcraft"]["shown"]["runs"]
    assert set(runs) == {"outcome", "ORM", "PVM", "AgentPRM", "raw Q"}
    assert np.shape(runs["ORM"]["training_success"]) == (1, 2)  # seeds, rounds


def test_questions_are_written_with_what_backs_them(files: dict[str, Any]) -> None:
    for name in ASKED_HERE:
        numbers, known = files[f"{name}_smoke"], QUESTIONS[name]
        assert numbers["asks"] == known.asks and numbers["commit"]
        assert set(numbers["worlds"]) <= set(known.worlds)
        for world in numbers["worlds"].values():
            assert world["artifacts"] and world["tokens"]["training"] > 0
            assert "verdict" not in world
    with pytest.raises(ValueError, match="question 'B5' is unknown"):
        question("B5", "smoke")


def test_a_refreshed_reward_model_learns_from_the_new_policy(files: dict[str, Any]) -> None:
    """The chain of artifacts behind B3: who trained on what."""
    inputs = files["inputs"]
    names = files["B3_smoke"]["worlds"]["textcraft"]["artifacts"]
    first, *second = [n for n in names if n.startswith("ppo_shaping_agentprm0-")]
    sft, judge = inputs[first]["policy"], inputs[first]["reward_model"]
    assert sft.startswith("sft-") and inputs[judge]["policy"] == sft
    assert {inputs[n]["policy"] for n in second} == {first} and len(second) == 2
    used = {inputs[n]["reward_model"]: n for n in second}
    (fresh,) = set(used) - {judge}  # the other leg keeps the first one
    assert len(used) == 2 and inputs[fresh]["policy"] == first
    assert inputs[inputs[fresh]["data"]]["policy"] == first
    assert inputs[inputs[judge]["data"]]["policy"] == sft
    pools = [n for n in names if n.startswith("pool-") and inputs[n]["policy"] == first]
    scored = [inputs[n] for n in names if n.startswith("values_")]
    assert {x["reward_model"] for x in scored if x["data"] in pools} == {judge, fresh}
    shown = files["B3_smoke"]["worlds"]["textcraft"]["shown"]
    rounds = [len(run["training_success"][0]) for run in shown["runs"].values()]
    assert rounds == [4, 4] and len(shown["refreshed_minus_kept"]) == 2
    assert shown["refreshed_minus_kept"][0]["held_out"][0] == 0  # the first leg is the same


def test_figures_show_what_is_stored(files: dict[str, Any]) -> None:
    shown = files["C3_smoke"]["worlds"]["math"]["shown"]
    panels = {ax.get_title(): ax for ax in report.figure(files["C3_smoke"]).axes}
    assert list(panels) == ["Math: reward", "Math: M of the chosen"]
    for ax, key in zip(panels.values(), ("best_of_n", "score_of_chosen"), strict=True):
        lines = {line.get_label(): list(line.get_ydata()) for line in ax.get_lines()}
        assert lines["PVM"] == [row[0] for row in shown[key]["pvm"]]
    judges = files["C2_smoke"]["worlds"]["math"]["shown"]["best_of_n"]
    judges["oracle"] = [[1.0, 1.0, 1.0]] * 3
    judges["agentprm"] = [[0.1, 0.05, 0.2]] * 3
    judges |= {k: [[0.1, 0.1, 0.1]] * 3 for k in judges if k not in ("oracle", "agentprm")}
    (ax,) = report.figure(files["C2_smoke"]).axes
    assert ax.get_ylim() == pytest.approx((0, 0.22))  # the oracle leaves the panel, no band does
    (upper,) = ax.child_axes
    each = files["C2_smoke"]["worlds"]["math"]["shown"]["tokens_a_sample"]
    assert [t.get_text() for t in upper.get_xticklabels()] == [f"{each:,.0f}"]  # N = 1 of 1, 2, 4
    shown = files["C8_smoke"]["worlds"]["math"]["shown"]
    for each in shown["values"].values():
        fixed = [[0.1] * 3, None, [0.3] * 3]
        each["auroc_within_step"] = dict(zip("123", fixed, strict=True))
        each["auroc_within_half"] = [0.6, 0.5, 0.7]
    shown["turn_counter"] = [0.9, 0.8, 1.0]
    (ax,) = report.figure(files["C8_smoke"]).axes
    assert (ax.get_title(), ax.get_ylabel()) == ("Math", "AUROC")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["turn 1", "turn 2", "turn 3", "half"]
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    np.testing.assert_equal(lines["MC-soft"], [0.1, np.nan, 0.3, 0.6])
    np.testing.assert_equal(lines["fewest turns"], [np.nan] * 3 + [0.9])
    runs = files["C5_smoke"]["worlds"]["textcraft"]["shown"]["runs"]
    (ax,) = report.figure(files["C5_smoke"]).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == list(runs) * 2
    means = [float(line.get_xdata()[0]) for line in ax.get_lines() if line.get_marker() in "sPov^D"]
    gains = [run["minus_sft"][w][0] for w in ("held_out", "training") for run in runs.values()]
    assert means == pytest.approx(gains)


def test_figures_of_questions(files: dict[str, Any]) -> None:
    world = files["B1_smoke"]["worlds"]["math"]["shown"]
    world["beta 1"]["minus_beta_0"] = {"auroc": None, "brier": [0.1, 0, 0.2], "offset": [0, 0, 0]}
    (ax,) = report.figure(files["B1_smoke"]).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["Brier score", "mean M - outcome"]
    (ax,) = report.figure(files["B2_smoke"]).axes
    names = {line.get_label(): list(line.get_ydata()) for line in ax.get_lines()}
    stored = files["B2_smoke"]["worlds"]["math"]["shown"]["best_of_n"]
    assert names == {k: [r[0] for r in curve] for k, curve in stored.items()}
    (ax,) = report.figure(files["B3_smoke"]).axes
    shown = files["B3_smoke"]["worlds"]["textcraft"]["shown"]["runs"]["kept"]
    (line,) = (x for x in ax.get_lines() if x.get_label() == "kept")
    assert list(line.get_ydata()) == shown["training_success"][0]


def judge_by_hand(
    chat: ChatFormat, monkeypatch: pytest.MonkeyPatch, m: dict[float, list[float]]
) -> Profile:
    """Two tasks with two candidates of one step each, success and failure; M for every β."""
    source = random_trajectories(chat, 1, seed=0)[0]
    played = [story(k // 2, "a", 1.0 - k % 2, source) for k in range(4)]
    monkeypatch.setattr(beyond, "pool", lambda p: played)
    monkeypatch.setattr(
        beyond,
        "pool_values",
        lambda kind, p, s, v: [StepValues(0.5, np.array([x])) for x in m[v.beta]],
    )
    return replace(SMOKE, eval_samples=2)


def test_calibration_by_hand(chat: ChatFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """β = 0 is calibrated and can't rank; β = 1 ranks and lies 0.4 too high in both tasks."""
    p = judge_by_hand(chat, monkeypatch, {0.0: [0.5] * 4, 1.0: [1.0, 0.8, 1.0, 0.8]})
    found = beyond.calibration(p)
    assert found["beta 0"]["auroc"] == [0.5] * 3 and found["beta 0"]["offset"] == [0.0] * 3
    assert found["beta 0"]["brier"] == [0.25] * 3 and found["beta 0"]["ece"] == 0.0
    assert found["beta 1"]["ece"] == pytest.approx(0.4)  # 0.8 against 0, and 1.0 against 1
    change = found["beta 1"]["minus_beta_0"]
    assert change["auroc"] == [0.5] * 3
    assert change["offset"] == pytest.approx([0.4] * 3)
    assert change["brier"] == pytest.approx([0.32 - 0.25] * 3)


def test_judges_compared_by_hand(chat: ChatFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """One always takes the success, one the failure; each seed has a pool of its own, or not."""
    p = judge_by_hand(chat, monkeypatch, {})
    pool = beyond.pool(p)
    good, bad = ([StepValues(0.5, np.array([x])) for x in row] for row in ([1, 0] * 2, [0, 1] * 2))
    for pools in ((pool, pool), (pool, list(pool))):
        judged = {"good": [(c, good) for c in pools], "bad": [(c, bad) for c in pools]}
        found = beyond.compared(judged, p, "good", "bad")
        assert found["ns"] == (1, 2)
        assert found["best_of_n"] == {"good": [[0.5] * 3, [1.0] * 3], "bad": [[0.5] * 3, [0.0] * 3]}
        assert found["auroc"] == {"good": [1.0] * 3, "bad": [0.0] * 3}
        assert found["good - bad"] == {"best of 2": [1.0] * 3, "auroc": [1.0] * 3}


def test_seeds_with_one_pool_stay_rows(chat: ChatFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks are told apart by 2 seeds: [2, 2] on one pool, means [1, 2] over two of them."""
    p = judge_by_hand(chat, monkeypatch, {})
    values = [StepValues(0.5, np.array([x])) for x in (1, 0, 1, 0)]
    monkeypatch.setattr(beyond, "row", np.shape)
    pool = beyond.pool(p)
    for second, shape in ((pool, (2, 2)), (list(pool), (1, 2))):
        judged = {name: [(pool, values), (second, values)] for name in ("a", "b")}
        assert beyond.compared(judged, p, "a", "b")["auroc"] == {"a": shape, "b": shape}


def test_pools_of_different_tasks_are_averaged_by_task(chat: ChatFormat) -> None:
    """Task 0 has both outcomes in both pools, task 1 in the second only."""
    source = random_trajectories(chat, 1, seed=0)[0]
    first = [story(k // 2, "a", y, source) for k, y in enumerate([1, 0, 1, 1])]
    second = [story(k // 2, "a", y, source) for k, y in enumerate([1, 0, 0, 1])]
    found = beyond._by_task([np.array([1.0]), np.array([0.0, 0.25])], [first, second])
    assert found.tolist() == [[0.5, 0.25]]


def test_judges_of_one_seed_s_pool_are_paired(
    chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds differ much, judges of one seed not at all: no interval."""
    p = judge_by_hand(chat, monkeypatch, {})
    pool = beyond.pool(p)
    good, bad = ([StepValues(0.5, np.array([x])) for x in row] for row in ([1, 0] * 2, [0, 1] * 2))
    runs = [(pool, good), (list(pool), bad)]
    found = beyond.compared({"a": runs, "b": runs}, p, "a", "b")
    assert found["best_of_n"]["a"][-1] == [0.5, 0.0, 1.0]
    assert found["a - b"] == {"best of 2": [0.0] * 3, "auroc": [0.0] * 3}


def test_cuts_by_hand(chat: ChatFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """A success and a cut episode a task. Who isn't told prefers the cut ones."""
    source = random_trajectories(chat, 1, seed=0)[0]
    cut = {"terminated": False, "truncated": True, "truncated_by": "tokens", "final": False}
    whole = {"terminated": True, "truncated": False, "truncated_by": "", "final": True}
    played = [
        replace(story(k // 2, "a", 1.0 - k % 2, source), **(cut if k % 2 else whole))
        for k in range(4)
    ]
    m = {True: [0.75, 0.25] * 2, False: [0.5, 0.75] * 2}
    monkeypatch.setattr(beyond, "pool", lambda p: played)
    monkeypatch.setattr(beyond, "reward_data", lambda *a: ([RewardExample(played[1])], [1]))
    monkeypatch.setattr(
        beyond,
        "pool_values",
        lambda kind, p, s, v: [StepValues(0.5, np.array([x])) for x in m[v.cut_is_failure]],
    )
    found = beyond.cuts(replace(SMOKE, eval_samples=2))
    assert found["cut"] == {"rollouts": 1.0, "candidates": 0.5}
    assert found["last_m"] == {
        "told": {"cut": 0.25, "not cut": 0.75}, "not told": {"cut": 0.75, "not cut": 0.5},
    }  # fmt: skip
    assert found["told - not told"] == {"best of 2": [1.0] * 3, "auroc": [1.0] * 3}


def test_beam_search_refuses_a_later_policy_s_judge() -> None:
    with pytest.raises(ValueError, match="legs is 1, expected 0"):
        pipeline.beam_runs("agentprm", SMOKE, 2, 2, 0, Variant(legs=1))


def test_what_goes_with_a_gain_by_hand() -> None:
    """Gains 0.3, 0.2, 0.1. AUROC falls with them: 1. Sibling accuracy rises: -1. Brier falls, and
    less is better: -1. ECE is the same for all: nothing to tell."""
    ends = {"orm": 0.5, "pvm": 0.4, "pqm": 0.3}
    curves = {kind: [[0.2, 0, 1], [0.9, 0, 1], [end, 0, 1]] for kind, end in ends.items()}
    quality = {
        kind: {"auroc_within_half": [0.9 - k / 10, 0, 1], "sibling_accuracy": 0.5 + k / 10,
               "brier_half": 0.3 - k / 10, "ece_half": 0.2}
        for k, kind in enumerate(ends)
    }  # fmt: skip
    c2 = {"worlds": {"math": {"shown": {"best_of_n": {**curves, "oracle": [[1, 1, 1]]}}}}}
    c8 = {"worlds": {"math": {"shown": {"values": quality}}, "babyai": {}}}
    frame = predict.judges(c2, c8)
    assert frame["kind"].tolist() == ["orm", "pqm", "pvm"]
    assert frame["gain"].tolist() == pytest.approx([0.3, 0.1, 0.2])
    found = predict.rank_correlations(frame)["math"]
    assert found[["auroc_within_half", "sibling_accuracy", "brier_half"]].tolist() == (
        pytest.approx([1, -1, -1])
    )
    assert np.isnan(found["ece_half"])
    quality["orm"]["auroc_within_half"] = None
    assert np.isnan(predict.judges(c2, c8)["auroc_within_half"][0])


# --- the page


def test_claims_without_files_say_how_to_run_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(results, "CLAIMS", tmp_path)
    lines = results.claim_tables().splitlines()
    for name in CLAIMS:
        for profile in ("study", "gpu"):
            command = f"`agentprm reproduce --claim {name} --profile {profile}`"
            rows = [x for x in lines if command in x]
            assert len(rows) == 1 and rows[0].startswith("- Not run yet: ")


HAND_MADE = {
    "claim": "C2",
    "unit": "times",
    "profile": "study",
    "base": "tiny",
    "command": "agentprm reproduce --claim C2 --profile study --worlds math",
    "worlds": {
        "math": {
            "verdict": "fails",
            "rests_on": "compute multiple over pvm",
            "tests": [
                {"name": "compute multiple over orm", "interval": [9.0, 8.5, 16.0], "bar": 8.0,
                 "worth": 0.0, "verdict": "holds", "tasks": 120, "seeds": 3},
                {"name": "compute multiple over pvm", "interval": [1.2345, 0.5, 2.0], "bar": 8.0,
                 "worth": 0.0, "verdict": "fails", "tasks": 120, "seeds": 3},
            ],
            "shown": {"multiple_at_last_n": {"pvm": [1.5, 0.5, 3.0]}},
            "tokens": {"training": 123456, "evaluation": 7890},
            "minutes": 12.34,
        }
    },
}  # fmt: skip


def test_a_row_says_what_its_file_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "C2_study.json").write_text(json.dumps(HAND_MADE))
    monkeypatch.setattr(results, "CLAIMS", tmp_path)
    text = results.claim_tables()
    link = "../results/claims/C2_study"
    section = text.split("### C2: ")[1].split("### C3: ")[0]
    assert section.startswith(CLAIMS["C2"].says.rstrip("."))
    assert f"The paper: {CLAIMS['C2'].paper}.\n" in section
    assert (
        "| Math | tiny (study) | **fails** | 1.2× [0.5, 2.0], bar 8× | compute multiple over "
        "PVM | 120 tasks, 3 seeds | 123,456 + 7,890 | 12.3 |\n"
    ) in section
    for name, verdict, shown in (("ORM", "holds", "9.0× [8.5, 16.0]"), ("PVM", "fails", "1.2×")):
        test = f"| Math | tiny (study) | compute multiple over {name} | {verdict} | {shown}"
        assert section.count(test) == 1
    made = "`agentprm reproduce --claim C2 --profile study --worlds math`"
    assert f"[Figure]({link}.png) and [data]({link}.json) by {made}\n" in section
    assert "- Not run yet: TextCraft, BabyAI, WebShop with tiny (study), " in section


def test_what_stands_beside_the_tests_by_hand() -> None:
    half, three = [0.5, 0.25, 0.75], [0.1, 0.05, 0.2]
    shown = {
        "multiple_at_last_n": {"orm": [2.5, 1.3, 5.8]},
        "beam": {"2x2": {"pvm": {"reward": half, "tokens": 1234.4}}},
        "sweep": {"beta 4, lambda 0.5": {"last": half, "half": three}},
        "runs": {"raw Q": {
            "minus_sft": {"held_out": half, "training": three}, "spread_of_final": 0.0123,
            "largest_fall": [0.0, 0.195], "tokens_to_plus_10": [None, 88724.0],
        }},
        "tokens": 1000, "reward_by_share_of_tokens": {"mc_hard": {"0.25": half}},
        "squared_error": {"trajectories": 4, "rollouts_a_state": 256, "labels of mc_soft": three},
        "turn_counter": half,
        "values": {"pqm": {
            "auroc_within_half": three, "auroc_within_step": {"1": half, "2": None},
            "fractions": [0.0, 0.25], "auroc_by_fraction": [0.5, None],
            "quartiles": {"success": [[0.1, 0.2, 0.3], None]},
            "brier_half": 0.1, "ece_half": 0.2, "sibling_accuracy": 0.46, "sibling_actions": 103,
            "advantage_sign": None, "advantages": 0,
        }},
    }  # fmt: skip
    assert [tuple(row) for name in results.BESIDE for row in results.beside(name, shown)] == [
        ("ORM", "compute multiple at its score for the largest N", "2.5× [1.3, 5.8]"),
        ("PVM", "beam 2×2", "50.0 [25.0, 75.0], 1,234 tokens"),
        ("β = 4, λ = 0.5", "reward of the best, last step", "50.0 [25.0, 75.0]"),
        ("β = 4, λ = 0.5", "reward of the best, first half", "10.0 [5.0, 20.0]"),
        ("raw Q", "minus SFT, held-out goals", "50.0 [25.0, 75.0]"),
        ("raw Q", "minus SFT, training goals", "10.0 [5.0, 20.0]"),
        ("raw Q", "spread of the final reward over seeds, points", "1.2"),
        ("raw Q", "largest fall in training, points, seed by seed", "0, 20"),
        ("raw Q", "tokens to SFT + 10 points in training, seed by seed", "never, 88,724"),
        ("MC-hard", "reward of the best, 250 tokens to learn from", "50.0 [25.0, 75.0]"),
        ("MC-soft", "squared error of labels against Q, 4 trajectories", "0.100 [0.050, 0.200]"),
        ("a counter of turns", "AUROC within a task, halfway", "0.50 [0.25, 0.75]"),
        ("PQM", "AUROC within a task, halfway", "0.10 [0.05, 0.20]"),
        ("PQM", "the same after turns 1, 2", "0.50 [0.25, 0.75], can't be told"),
        ("PQM", "AUROC over all at parts 0, 0.25", "0.50, –"),
        ("PQM", "quartiles of M by quarters of the way, success", "0.10, 0.20, 0.30; –"),
        ("PQM", "Brier score, ECE halfway", "0.100, 0.200"),
        ("PQM", "siblings in the right order, actions", "0.46 of 103"),
        ("PQM", "right sign of the advantage, actions", "can't be told"),
    ]
    assert results.beside("C1", shown) == []
    shown["runs"]["raw Q"] |= {"spread_of_final": None, "tokens_to_plus_10": [0.0]}  # type: ignore
    assert [row[2] for row in results.beside("C5", shown)][2::2] == ["one seed", "0"]


def test_paper_and_here_says_the_verdicts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "C2_study.json").write_text(json.dumps(HAND_MADE))
    monkeypatch.setattr(results, "CLAIMS", tmp_path)
    rows = [[c.strip() for c in x.split("|")[1:-1]] for x in results.claim_summary().splitlines()]
    here = {row[0]: row[3:] for row in rows}
    assert here["C2"] == ["Math fails", "[6](../notebooks/06_best_of_n.ipynb)"]
    assert [here[name][0] for name in CLAIMS if name != "C2"] == ["not run yet"] * 8
    for name in CLAIMS:
        chapter = here[name][1].split("../")[1].rstrip(")")
        assert (Path(results.ROOT) / chapter).exists()


@pytest.mark.parametrize(
    ("profile", "base", "how"), [("more", "tiny", "more tasks"), ("llm", "big", "SmolLM2")]
)
def test_a_claim_tested_again_has_a_row_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str, base: str, how: str
) -> None:
    again = {**HAND_MADE, "profile": profile, "base": base}
    (tmp_path / f"C2_{profile}.json").write_text(json.dumps(again))
    monkeypatch.setattr(results, "CLAIMS", tmp_path)
    text = results.claim_tables()
    assert text.count(f"| Math | {base} ({profile}) | **fails** |") == 1
    # its tests, what is beside them, and no other row
    assert text.count(f"({profile})") == 1 + 2 + 1
    (row,) = (x for x in results.claim_summary().splitlines() if x.startswith("| C2 |"))
    assert f"not run yet, {how}: Math fails" in row


def test_the_grid_marks_what_a_counter_of_turns_passes() -> None:
    tests = [{"name": "x", "interval": [0.9, 0.8, 1.0], "bar": 0.5}]
    worlds = {
        env: {"verdict": "holds", "rests_on": "x", "tests": tests, "shown": {"turn_counter": row}}
        for env, row in (
            ("textcraft", [0.9, 0.7, 1.0]),
            ("math", [0.6, 0.4, 0.8]),
            ("babyai", None),
        )
    }
    grid = report.verdict_figure({"C8": {"unit": "AUROC", "worlds": worlds}, "C2": HAND_MADE})
    texts = [t.get_text() for t in grid.axes[0].texts]
    plain = "holds\n0.900 [0.800, 1.000]"
    assert texts == [f"{plain} †", plain, plain, "–", "fails\n1.2× [0.5, 2.0]", "–"]
    never = {**HAND_MADE["worlds"]["math"], "rests_on": "y",  # type: ignore[index]
             "tests": [{"name": "y", "interval": [0.0, 0.0, 1.0], "bar": 8.0}]}  # fmt: skip
    grid = report.verdict_figure({"C2": {"unit": "times", "worlds": {"math": never}}})
    assert [t.get_text() for t in grid.axes[0].texts] == ["fails\nnever [0.0, 1.0]"]


def test_the_grid_of_verdicts_has_a_row_for_what_was_tested_again() -> None:
    ax = report.verdict_figure(
        {"C2": HAND_MADE, "C8": HAND_MADE},
        {"more tasks": {"C2": HAND_MADE}, "SmolLM2": {"C8": HAND_MADE}},
    ).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "C2 8× fewer samples", "C2, more tasks", "C8 values tell", "C8, SmolLM2",
    ]  # fmt: skip
    assert [t.get_text() for t in ax.get_xticklabels()] == ["Math"]
    assert [t.get_text() for t in ax.texts] == ["fails\n1.2× [0.5, 2.0]"] * 4


def test_the_table_of_questions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    change = {"auroc": [0.0412, -0.01, 0.09], "brier": [0.02, 0.01, 0.03], "offset": None}
    shown = {"beta 0": {"ece": 0.1}, "beta 4": {"minus_beta_0": change}}
    world = {"tasks": 48, "seeds": 3, "tokens": {"training": 1234, "evaluation": 5}, "minutes": 2.5}
    numbers = {"command": "agentprm x", "worlds": {"math": {**world, "shown": shown}}}
    (tmp_path / "B1_study.json").write_text(json.dumps(numbers))
    monkeypatch.setattr(results, "CLAIMS", tmp_path)
    lines = results.question_tables().splitlines()
    assert [x.strip("| ").split(" | ")[1:] for x in lines if x.startswith("| Math")] == [
        ["auroc: β = 4 minus β = 0", "+0.041 [-0.010, +0.090]", *(end := [
            "48 tasks, 3 seeds", "1,234 + 5", "2.5"])],
        ["brier: β = 4 minus β = 0", "+0.020 [+0.010, +0.030]", *end],
        ["offset: β = 4 minus β = 0", "can't be told", *end],
    ]  # fmt: skip
    for name in ("B2", "B3"):
        (row,) = (x for x in lines if f"`agentprm reproduce --claim {name} --profile study`" in x)
        assert row.startswith("- Not run yet: ")


def test_answers_in_words(files: dict[str, Any]) -> None:
    for name in ("B2", "B3"):
        ((_, world),) = files[f"{name}_smoke"]["worlds"].items()
        found = dict(results.answers(name, world["shown"]))
        if name == "B2":
            row = world["shown"]["short tasks - deep tasks"]["best of 4"]
            key = "best of 4: learned from short tasks minus from deep ones"
        else:
            row = world["shown"]["refreshed_minus_kept"][1]["held_out"]
            key = "reward on held-out goals after leg 2: refreshed − kept"
        mean, low, high = (f"{100 * x:.1f}" for x in row)
        assert found[key] == f"{mean} [{low}, {high}] points"


def test_effects_in_their_units() -> None:
    test = {"interval": [0.1234, -0.0456, 0.3], "bar": 0.5}
    assert results.effect(test, "points") == "12.3 [-4.6, 30.0] points"
    assert results.effect(test, "AUROC") == "0.123 [-0.046, 0.300], bar 0.5"


def recomputed(numbers: dict[str, Any], world: dict[str, Any]) -> tuple[str, list[str], int]:
    """Verdict, the effect's numbers as printed, and tasks, from the file's intervals alone."""
    verdicts = []
    for test in world["tests"]:
        _, low, high = test["interval"]
        excluded = high < test["bar"] + test["worth"] or high <= test["bar"]
        verdicts.append("holds" if low > test["bar"] else "fails" if excluded else "undecided")
    worst = next(v for v in ("fails", "undecided", "holds") if v in verdicts)
    tests = [t for t, v in zip(world["tests"], verdicts, strict=True) if v == worst]
    basis = sorted(tests, key=lambda t: t["interval"][0] - t["bar"])[0]
    scale, digits = {"points": (100, 1), "times": (1, 1), "AUROC": (1, 3)}[numbers["unit"]]
    return worst, [f"{scale * x:.{digits}f}" for x in basis["interval"]], basis["tasks"]


def printed_rows(text: str) -> tuple[dict[Any, list[str]], dict[Any, list[str]]]:
    """Rows of verdicts by claim, task and size; rows of tests by these and the test's name."""
    verdicts, tests = {}, {}
    for section in text.split("\n### ")[1:]:
        for line in section.splitlines():
            row = [c.strip() for c in line.split("|")[1:-1]]
            if len(row) == 8 and "**" in row[2]:
                verdicts[section[:2], row[0], row[1]] = row
            if len(row) == 7 and re.search(r"\d", row[4]):
                tests[section[:2], *row[:3]] = row
    return verdicts, tests


def test_every_printed_number_follows_from_its_file() -> None:
    """From results/claims/*.json, by code that shares nothing with the page's."""
    stored = sorted(results.CLAIMS.glob("*.json"))
    if not stored:
        pytest.skip("no claim is stored yet")
    shown, shown_tests = printed_rows(results.claim_tables())
    expected, tested = 0, 0
    for path in stored:
        numbers = json.loads(path.read_text())
        assert path.with_suffix(".png").exists()
        listed = (*results.TESTED, *results.AGAIN)
        if "question" in numbers or numbers["profile"] not in listed:
            continue
        for env, world in numbers["worlds"].items():
            expected += 1
            key = (numbers["claim"], results.WORLDS[env],
                   f"{numbers['base']} ({numbers['profile']})")  # fmt: skip
            row = shown[key]
            tokens = [f"{n:,}" for n in world["tokens"].values()]
            assert row[6] == " + ".join(tokens) and row[7] == f"{world['minutes']:.1f}"
            if not world["tests"]:
                assert row[2] == "**undecided**" and row[3] == "–"
                continue
            verdict, effect, tasks = recomputed(numbers, world)
            assert row[2] == f"**{verdict}**"
            assert re.findall(r"-?\d+\.\d+", row[3])[:3] == effect
            assert row[5].startswith(f"{tasks} tasks")
            for test in world["tests"]:
                tested += 1
                row = shown_tests[*key, report.in_words(test["name"])]
                verdict, effect, tasks = recomputed(numbers, {"tests": [test]})
                families = [f"{100 * x:.1f}" for x in test.get("by_family", [])]
                assert re.findall(r"-?\d+\.\d+", row[5]) == families
                assert row[3] == verdict and row[6] == f"{tasks} tasks, {test['seeds']} seeds"
                assert re.findall(r"-?\d+\.\d+", row[4])[:3] == effect
    assert (expected, tested) == (len(shown), len(shown_tests))


def test_chapter_10_tells_what_came_out() -> None:
    """Every sentence of "What came out", against the stored files."""
    stored = {f.stem: json.loads(f.read_text()) for f in results.CLAIMS.glob("C*_study.json")}
    worlds = {name.split("_")[0]: numbers["worlds"] for name, numbers in stored.items()}
    verdicts = {(c, w): x["verdict"] for c, rows in worlds.items() for w, x in rows.items()}
    said = {("C1", "textcraft"): "holds", ("C1", "babyai"): "holds", ("C1", "webshop"): "fails"}
    said |= {(c, w): "undecided" for c in ("C3", "C4", "C5", "C6", "C7") for w in worlds[c]}
    said |= {("C7", "textcraft"): "holds", ("C8", "textcraft"): "holds", ("C8", "babyai"): "holds"}
    said |= {("C2", w): "fails" for w in results.WORLDS}
    said |= {(c, "webshop"): "fails" for c in ("C3", "C4", "C9")}
    said |= {("C9", "textcraft"): "fails", ("C1", "math"): "undecided"}
    assert {key: verdicts[key] for key in said} == said
    tests = {t["name"]: t["interval"] for c in ("C3", "C4", "C9")
             for t in worlds[c]["webshop"]["tests"]}  # fmt: skip
    assert tests["gain from 8 to 64"][2] < 0 and tests["best of 64"][2] < 0  # no gain; L_A worse
    assert tests["best of 64 - orm"][2] < -0.2  # far below
    cut = {w: x["cut_by_context"] for w, x in worlds["C1"].items()}
    assert cut["webshop"] > 0.5 and max(cut["textcraft"], cut["math"]) < 0.01
    assert all(t["interval"][2] < 0 for t in worlds["C1"]["webshop"]["tests"])  # below both
    shop = [row[0] for row in worlds["C1"]["webshop"]["shown"]["best_of_n"]["AgentPRM"]]
    assert shop[-1] < shop[0]  # and falling
    over_orm = worlds["C2"]["textcraft"]["tests"][0]
    assert over_orm["name"].endswith("orm") and over_orm["interval"][0] == 0
    pvm = next(t for t in worlds["C9"]["textcraft"]["tests"] if t["name"].endswith("pvm"))
    assert pvm["verdict"] == "holds"
    soft = [row[0] for row in worlds["C2"]["textcraft"]["shown"]["best_of_n"]["mc_soft"]]
    assert soft[-1] < soft[0]
    halfway = of_claim("C8", "math")["shown"]["values"].values()
    assert all(v["auroc_within_half"][1] < 0.5 < v["auroc_within_half"][2] for v in halfway)


def test_chapters_10_and_13_tell_what_smollm2_gave() -> None:
    """C9's second size: 31 goals, 8 candidates, two seeds; nothing is above ORM or fewest turns."""
    found = of_claim("C9", "textcraft", "llm")
    assert found["verdict"] == "fails" and found["rests_on"] == "best of 8 - orm"
    over_orm, over_pvm = found["tests"]
    assert (over_orm["tasks"], over_orm["seeds"], found["shown"]["ns"][-1]) == (31, 2, 8)
    assert points(over_orm["interval"]) == [-3, -10, 0] and over_pvm["verdict"] == "undecided"
    study = json.loads((results.ROOT / "results" / "study_llm.json").read_text())
    best = study["worlds"]["textcraft"]["best_of_n"]
    assert best["orm"] == best["oracle"] == best["fewest turns"]


def of_claim(name: str, world: str, profile: str = "study") -> dict[str, Any]:
    file = results.CLAIMS / f"{name}_{profile}.json"
    found: dict[str, Any] = json.loads(file.read_text())["worlds"][world]
    return found


def points(row: list[float]) -> list[int]:
    return [round(100 * x) for x in row]


def every_test(name: str, world: str, profile: str = "study") -> dict[str, Any]:
    return {t["name"]: t for t in of_claim(name, world, profile)["tests"]}


def test_chapter_10_tells_what_beams_do() -> None:
    beams = {w: of_claim("C1", w)["shown"]["beam"] for w in ("textcraft", "babyai", "webshop")}
    assert all(x["- greedy SFT"][1] > 0 for x in beams["babyai"].values())
    falling = [x["reward"][0] for x in beams["textcraft"].values()]
    assert list(beams["textcraft"]) == ["2x2", "4x4", "8x8"]
    assert points(falling) == [32, 27, 20]
    assert all(low < 0 < high for x in beams["textcraft"].values() for _, low, high in
               [x["- greedy SFT"]])  # fmt: skip
    assert beams["webshop"]["4x4"]["- greedy SFT"][2] < 0
    every = [t["interval"] for w in results.WORLDS for k, t in every_test("C4", w).items()
             if k.startswith("beam")]  # fmt: skip
    assert points([min(x[1] for x in every), max(x[2] for x in every)]) == [-18, 27]
    verdicts = {k: t["verdict"] for k, t in every_test("C4", "webshop").items()}
    assert [k for k, v in verdicts.items() if v == "fails"] == ["best of 64"]
    assert len(verdicts) == 4


def test_chapter_10_tells_who_gains_and_who_saves() -> None:
    best = {w: of_claim("C2", w)["shown"]["best_of_n"] for w in results.WORLDS}
    last = {w: {k: points(rows[-1])[0] for k, rows in x.items()} for w, x in best.items()}
    assert [last["textcraft"][k] for k in ("fewest turns", "agentprm")] == [62, 56]
    assert [last["babyai"][k] for k in ("fewest turns", "agentprm")] == [91, 89]
    assert last["math"]["majority"] == 15 > max(last["math"][k] for k in evidence.JUDGES)
    assert points([best["webshop"]["orm"][i][0] for i in (0, -1)]) == [9, 36]
    greedy = of_claim("C1", "textcraft")["shown"]["policies"]["greedy SFT"][0]
    assert all(best["textcraft"][k][-1][0] > greedy for k in ("majority", "likelihood"))
    for kind in ("orm", "pvm"):  # at most N = 8 is their best: no multiple above 8
        assert np.argmax([row[0] for row in best["math"][kind]]) <= 3
    saving = every_test("C2", "textcraft")["compute multiple over pvm"]["interval"]
    assert [f"{x:.1f}" for x in saving] == ["2.5", "1.3", "5.8"]
    for kind in ("mc_hard", "mc_soft"):
        assert best["textcraft"][kind][-1][0] < best["textcraft"][kind][3][0]
    p = get_profile("study")
    assert (p.rollout_tasks * p.rollout_samples, p.mc_tasks) == (960, 32)
    verdicts = [t["verdict"] for t in every_test("C7", "babyai").values()]
    assert verdicts == ["undecided", "holds"]  # MC-hard, MC-soft
    gains = {w: every_test("C3", w) for w in ("textcraft", "babyai")}
    assert [points(x["gain from 8 to 64"]["interval"])[0] for x in gains.values()] == [13, 7]
    assert gains["textcraft"]["gain from 8 to 64 - that of pvm"]["verdict"] == "holds"
    assert all(x["gain from 8 to 64 - that of orm"]["verdict"] == "undecided"
               for x in gains.values())  # fmt: skip


def test_chapter_10_tells_what_ppo_gains() -> None:
    runs = of_claim("C5", "textcraft")["shown"]["runs"].values()
    training, held_out = ([r["minus_sft"][w] for r in runs] for w in ("training", "held_out"))
    assert (min(points(x)[0] for x in training), max(points(x)[0] for x in training)) == (7, 12)
    assert all(low > 0 for _, low, _ in training)
    assert all(low < 0 < high for _, low, high in held_out)


def test_chapter_10_tells_what_the_second_tests_say() -> None:
    c3, c6 = (every_test(c, "math", "more") for c in ("C3", "C6"))
    for tests in (c3, c6):
        assert {t["tasks"] for t in tests.values()} == {1280}
        assert "fails" in {t["verdict"] for t in tests.values()}
    gain = c3["gain from 8 to 64"]["interval"]
    assert f"{100 * gain[0]:.1f}" == "-2.8" and gain[2] < 0
    curves = of_claim("C3", "math", "more")["shown"]["best_of_n"]
    assert all(curve[-1][0] < curve[3][0] for curve in curves.values())
    assert c6["best of 64 - pvm"]["interval"][2] < 0.02
    l_a = every_test("C4", "math", "more")
    for way in ("best of 64", "best of 64, first half"):
        assert l_a[way]["interval"][2] < 0.02 and l_a[way]["tasks"] == 1280
    c5 = every_test("C5", "textcraft", "more")
    over_pvm = c5["final reward - with PVM"]
    assert (over_pvm["verdict"], over_pvm["tasks"]) == ("fails", 144)
    assert [f"{100 * x:.1f}" for x in over_pvm["interval"]] == ["0.1", "-1.6", "1.9"]
    assert f"{100 * over_pvm['by_family'][2]:.1f}" == "2.1"
    runs = of_claim("C5", "textcraft", "more")["shown"]["runs"]
    gains = {name: run["minus_sft"]["held_out"] for name, run in runs.items()}
    assert [name for name, x in gains.items() if x[1] > 0 or x[2] < 0] == ["raw Q"]
    assert [f"{100 * x:.1f}" for x in gains["raw Q"]] == ["1.4", "0.3", "2.6"]
    ends = [abs(x) for t in c5.values() for x in t["interval"][1:]]
    assert max(ends) < 0.025 and all(t["interval"][1] < 0 < t["interval"][2] for t in c5.values())


def test_chapter_10_tells_threats_and_what_goes_with_gains() -> None:
    cut = {w: of_claim("C1", w)["cut_by_context"] for w in results.WORLDS}
    said = {"textcraft": "0.0", "babyai": "6.2", "webshop": "77.8", "math": "0.1"}
    assert {w: f"{100 * x:.1f}" for w, x in cut.items()} == said
    assert of_claim("C8", "webshop")["shown"]["values"]["agentprm"]["mixed_tasks"] == 6
    c2, c8 = (json.loads((results.CLAIMS / f"{c}_study.json").read_text()) for c in ("C2", "C8"))
    found = predict.rank_correlations(predict.judges(c2, c8))
    same = [prop for prop, row in found.iterrows() if (row > 0).all() or (row < 0).all()]
    assert same == [found.index[0]] == ["auroc_within_half"]


def test_chapter_10_tells_judgment_from_a_clock() -> None:
    c2, c8 = (json.loads((results.CLAIMS / f"{c}_study.json").read_text()) for c in ("C2", "C8"))
    for world in ("textcraft", "babyai"):
        best = {k: v[-1][0] for k, v in c2["worlds"][world]["shown"]["best_of_n"].items()}
        judges = [best[k] for k in (*evidence.JUDGES, "no_la", "pav")]
        assert best["fewest turns"] > max(judges)
        assert world != "textcraft" or best["fewest turns"] == best["oracle"]
        shown = c8["worlds"][world]["shown"]
        ours = shown["values"]["agentprm"]
        assert shown["turn_counter"][0] >= ours["auroc_within_half"][0]
        clear = [step for step, row in ours["auroc_within_step"].items() if row[1] > 0.5]
        assert clear == (["2", "3"] if world == "textcraft" else [])


def test_chapter_10_tells_the_answers() -> None:
    stored = {n: json.loads((results.CLAIMS / f"{n}_study.json").read_text()) for n in ("B1", "B2")}
    for world, found in stored["B1"]["worlds"].items():
        for beta, quality in found["shown"].items():
            low, high = quality["offset"][1:]
            assert low > 0 if world in ("math", "webshop") else high < 0
            for what, row in quality.get("minus_beta_0", {}).items():
                decided = row[2] < 0 or row[1] > 0
                assert decided == (world == "webshop" and what != "auroc"), (world, beta, what)
    change = stored["B1"]["worlds"]["webshop"]["shown"]["beta 1"]["minus_beta_0"]
    assert [round(change[k][0], 2) for k in ("brier", "offset")] == [-0.04, -0.06]
    told = json.loads((results.CLAIMS / "B4_study.json").read_text())["worlds"]["webshop"]["shown"]
    assert {k: [f"{x:.2f}" for x in m.values()] for k, m in told["last_m"].items()} == {
        "told": ["0.05"] * 2, "not told": ["0.41"] * 2,
    }  # fmt: skip
    assert points(told["told - not told"]["best of 64"]) == [8, -4, 25]
    refreshed = json.loads((results.CLAIMS / "B3_study.json").read_text())["worlds"]["textcraft"]
    last = refreshed["shown"]["refreshed_minus_kept"][-1]["held_out"]
    assert [f"{100 * x:.1f}" for x in last] == ["-1.4", "-6.2", "3.3"]
    assert all(f"{row[0]:.2f}" == "0.98" for row in refreshed["shown"]["judges"]["auroc"].values())
    changes = [
        *refreshed["shown"]["judges"]["refreshed - kept"].values(),
        *(x for leg in refreshed["shown"]["refreshed_minus_kept"] for x in leg.values()),
    ]
    assert all(low <= 0 <= high for _, low, high in changes)
    deep = {w: x["shown"]["short tasks - deep tasks"]["best of 64"]
            for w, x in stored["B2"]["worlds"].items()}  # fmt: skip
    assert deep["textcraft"][1] > 0 and deep["math"][1] < 0 < deep["math"][2]


def test_the_recomputation_finds_the_hand_made_row() -> None:
    world = HAND_MADE["worlds"]["math"]  # type: ignore[index]
    assert recomputed(HAND_MADE, world) == ("fails", ["1.2", "0.5", "2.0"], 120)


# --- the plan


def test_the_plan_has_the_profile_s_sizes() -> None:
    plan = (Path(results.ROOT) / "results" / "PLAN.md").read_text()
    rows = {}
    for line in plan.split("## Sizes")[1].split("## ")[0].splitlines():
        if line.startswith("| ") and "---" not in line:
            label, *cells = [c.strip() for c in line.split("|")[1:-1]]
            rows[label] = dict(zip(("textcraft", "babyai", "webshop", "math"), cells, strict=True))
    for env in results.WORLDS:
        p = get_profile("study", env)
        held_out = len(pipeline.test_tasks(p))
        assert rows["rollouts: training tasks × samples"][env] == (
            f"{len(pipeline.train_tasks(p)[1])} × {p.rollout_samples}"
        )
        assert rows[f"Monte Carlo: trajectories × {p.mc_samples} rollouts a state"][env] == (
            str(p.mc_tasks)
        )
        assert rows["evaluation tasks × candidates"][env] == f"{held_out} × {p.eval_samples}"
        assert rows["beam search N×M"][env] == ", ".join(f"{n}×{m}" for n, m in p.beams)
        assert rows["tasks of beam search"][env] == str(len(pipeline.beam_tasks(p)))
        measured = rows[f"Q measured: trajectories × {p.truth_samples} rollouts a state"][env]
        assert measured == (str(p.truth_tasks) if p.truth_tasks else "–")
        assert p.reward_seeds == p.ppo_seeds == 3
        assert p.reward_grid == ((1e-3, 1), (1e-3, 2), (4e-3, 1), (4e-3, 2))


def test_more_tests_the_study_s_models_on_all_held_out_goals_in_new_draws() -> None:
    for env, tasks in (("textcraft", 144), ("math", 1280)):
        study, more = get_profile("study", env), get_profile("more", env)
        changed = {f.name for f in fields(study) if getattr(study, f.name) != getattr(more, f.name)}
        assert changed <= {"eval_variants", "eval_tasks", "eval_samples", "ppo_samples"}
        new = {t.key for t in pipeline.test_tasks(more)}
        assert (
            len(new) == tasks == 2 * len(pipeline.env_class(env).tasks("test", levels=study.levels))
        )
        assert not new & {t.key for t in pipeline.test_tasks(study)}
        assert not new & {t.key for ts in pipeline.train_tasks(study) for t in ts}


def test_the_sweep_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((2, 5, 7))
    monkeypatch.setattr(evidence, "kind_curves", lambda *a, **k: values)
    monkeypatch.setattr(evidence, "beam_table", lambda *a, **k: (values[..., 0], 1.0))
    few = {"eval_tasks": 5, "beam_tasks": 5}
    first, again = (
        evidence.c4(replace(get_profile(name, "math"), **few))[1] for name in ("study", "more")
    )
    assert len(first["sweep"]) == 5 and again["sweep"] == {}
