"""Search: choices from a pool against enumeration, beam search against a slow one without cache."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import (
    TASKS,
    backend,
    float64,
    random_reward_model,
    random_trajectories,
    whole_logprobs,
)

from agentprm_lite.chat import parse_action, react
from agentprm_lite.env import make_env
from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.fast import FastJudge, FastPlayer
from agentprm_lite.fast.kvbatch import KVBatch
from agentprm_lite.forward import split_model
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.prm import FewestTurns, RewardModel, StepValues
from agentprm_lite.sampling import PlainPlayer, choose
from agentprm_lite.search import (
    SCORES,
    SearchResult,
    beam_search,
    best_of_n,
    halving,
    oracle,
    scores_of,
)
from agentprm_lite.types import Task, Trajectory, Usage
from agentprm_lite.worlds import TextEnv
from agentprm_lite.worlds.textcraft import TextCraft

# --- choosing from a pool


@pytest.fixture(scope="module")
def pool(chat: ChatFormat) -> list[Trajectory]:
    """Five candidates of each of seven tasks, tasks in turn."""
    return random_trajectories(chat, 35, seed=4)


def enumerate_subsets(
    pool: Sequence[Trajectory], n: int, pick: Callable[[tuple[int, ...]], float]
) -> list[float]:
    """Mean of ``pick`` over all n-subsets of each task's candidates."""
    out = []
    for task in dict.fromkeys(t.task for t in pool):
        places = [i for i, t in enumerate(pool) if t.task == task]
        subsets = list(itertools.combinations(places, n))
        out.append(sum(map(pick, subsets)) / len(subsets))
    return out


def best_of(pool: Sequence[Trajectory], scores: Sequence[float]) -> Callable[[Any], float]:
    def pick(subset: tuple[int, ...]) -> float:
        top = max(scores[i] for i in subset)
        return float(np.mean([pool[i].outcome for i in subset if scores[i] == top]))

    return pick


def at_end(scores: Sequence[float]) -> list[StepValues]:
    """One score an attempt, as values of one step."""
    return [StepValues(0.0, np.array([float(score)])) for score in scores]


def test_best_of_n_against_enumeration(pool: list[Trajectory]) -> None:
    scores = (np.random.default_rng(0).integers(0, 4, 35) / 3).tolist()  # with ties
    ns = [1, 2, 3, 5]
    curve = best_of_n(pool, at_end(scores), ns)
    for column, n in zip(curve.success.T, ns, strict=True):
        np.testing.assert_allclose(column, enumerate_subsets(pool, n, best_of(pool, scores)))
    assert curve.ns == (1, 2, 3, 5) and curve.success.shape == (7, 4)
    assert np.ptp(curve.success.mean(0)) > 0.02  # the choice makes a difference


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("last", [0.4, 0.75, 0.5]),
        ("min", [0.1, 0.75, 0.5]),
        ("mean", [0.3, 0.75, 0.5]),
        ("product", [0.016, 0.75, 0.5]),
    ],
)
def test_scores_by_hand(score: str, expected: list[float]) -> None:
    """M = 0.5 at the root, then 0.1, 0.4, 0.4: their product is 0.016. An attempt without a turn is
    judged by its root."""
    values = [StepValues(0.5, np.array(q)) for q in ([0.1, 0.4, 0.4], [0.75], [])]
    assert scores_of(values, score) == pytest.approx(expected)


def test_attempts_that_cannot_be_counted_are_refused(pool: list[Trajectory]) -> None:
    """An outcome that nobody knows isn't a failure, and no attempt counts twice."""
    going_on = replace(pool[0], terminated=False, truncated=False, truncated_by="", final=False)
    for chosen in (
        lambda ts: oracle(ts, [1]),
        lambda ts: best_of_n(ts, at_end([1.0] * len(ts)), [1]),
    ):
        with pytest.raises(ValueError, match=rf"{pool[0].key} has no known outcome: leave it out"):
            chosen([going_on, *pool[1:]])
        with pytest.raises(ValueError, match=rf"{pool[0].key} is there 2 times"):
            chosen([*pool, pool[0]])
        chosen([*pool, replace(pool[0], ids=(*pool[0].ids, 0))])  # the same number, other ids


def test_a_cut_attempt_counts_as_failed_whatever_its_last_step_earned(
    pool: list[Trajectory],
) -> None:
    won = next(t for t in pool if t.outcome == 1)
    cut = replace(won, terminated=False, truncated=True, truncated_by="tokens", final=False)
    half = replace(won, sample=1, rewards=(*won.rewards[:-1], 0.5))
    assert oracle([cut, half], [1, 2]).success.tolist() == [[0.25, 0.5]]


def test_tokens_are_a_mean_over_tasks_as_success_is(pool: list[Trajectory]) -> None:
    """Task a has two attempts of 100 tokens, task b one of 1,000."""
    a = [replace(pool[0], sample=k, usage=Usage(generated=100)) for k in range(2)]
    b = replace(pool[0], task=Task("textcraft", 999), usage=Usage(generated=1000))
    assert oracle([*a, b], [1, 2]).tokens.tolist() == [550.0, 600.0]


def test_another_score_chooses_another_attempt(pool: list[Trajectory]) -> None:
    """Two attempts at one task: the success is high before, the failure at its end."""
    won = next(t for t in pool if t.outcome == 1)
    two = [won, replace(won, rewards=(0.0,) * len(won.rewards), sample=1)]
    values = [StepValues(0.5, np.array(q)) for q in ([0.5, 0.9, 0.55], [0.4, 0.6])]
    best = {score: best_of_n(two, values, [2], score=score).success.item() for score in SCORES}
    assert best == {"last": 0, "min": 1, "mean": 1, "product": 1}


def test_unknown_scores_and_values_that_are_not_finite(pool: list[Trajectory]) -> None:
    with pytest.raises(ValueError, match="score 'max' is unknown, expected one of"):
        best_of_n(pool, at_end([0.0] * 35), [1], score="max")
    for broken in (StepValues(0.5, np.array([0.1, np.nan])), StepValues(np.inf, np.array([0.1]))):
        values = [*at_end([0.0] * 34), broken]
        with pytest.raises(ValueError, match=r"attempt 34: M .* expected a number"):
            best_of_n(pool, values, [1])


def test_oracle_against_enumeration(pool: list[Trajectory]) -> None:
    """pass@N: any of the N. A perfect judge's Best-of-N is the same."""
    curve = oracle(pool, [1, 2, 5])
    for column, n in zip(curve.success.T, [1, 2, 5], strict=True):
        expected = enumerate_subsets(pool, n, lambda s: float(any(pool[i].success for i in s)))
        np.testing.assert_allclose(column, expected)
    perfect = best_of_n(pool, at_end([t.outcome for t in pool]), [1, 2, 5])
    np.testing.assert_allclose(curve.success, perfect.success)


def test_a_judge_that_knows_nothing_takes_the_mean_whatever_n(pool: list[Trajectory]) -> None:
    curve = best_of_n(pool, at_end([0.5] * 35), [1, 2, 4])
    for column in curve.success.T:
        np.testing.assert_allclose(column, enumerate_subsets(pool, 1, lambda s: pool[s[0]].outcome))


def test_tokens_of_a_choice(pool: list[Trajectory]) -> None:
    """Generating N samples takes N times the mean of a sample."""
    counted = [replace(t, usage=Usage(generated=10 + i)) for i, t in enumerate(pool)]
    assert best_of_n(counted, at_end([0.0] * 35), [1, 4]).tokens.tolist() == [27.0, 108.0]


def test_a_task_with_fewer_candidates_takes_part_with_all(pool: list[Trajectory]) -> None:
    """Task a: outcomes 1, 0, 0 with scores 3, 2, 1; task b: 0 and 1 with scores 2 and 1.

    N = 1: 1/3 and 1/2. N = 2: the top one of a is in 2 of 3 pairs; b takes its 0. N = 3: all of a,
    and b takes part with both. Tokens: 10 a sample, and (N + min(N, 2)) / 2 samples a task.
    """
    won = replace(next(t for t in pool if t.outcome == 1), usage=Usage(generated=10))
    lost = replace(won, rewards=(0.0,) * len(won.rewards))
    b = Task("textcraft", 999)
    some = [won, replace(lost, task=b), lost, replace(won, task=b), lost]
    uneven = [replace(t, sample=k) for k, t in enumerate(some)]
    curve = best_of_n(uneven, at_end([3, 2, 2, 1, 1]), [1, 2, 3])
    np.testing.assert_allclose(curve.success, [[1 / 3, 2 / 3, 1], [1 / 2, 0, 0]])
    assert curve.tokens.tolist() == [10.0, 20.0, 25.0]
    np.testing.assert_allclose(oracle(uneven, [3]).success, [[1], [1]])
    with pytest.raises(ValueError, match=r"ns is \[1, 4\], expected sizes within 1..3"):
        best_of_n(uneven, at_end([0.0] * 5), [1, 4])


def test_pool_errors(pool: list[Trajectory]) -> None:
    with pytest.raises(ValueError, match="34 values for 35 candidates"):
        best_of_n(pool, at_end([0.0] * 34), [1])
    with pytest.raises(ValueError, match=r"ns is \[6\], expected sizes within 1..5"):
        best_of_n(pool, at_end([0.0] * 35), [6])
    with pytest.raises(ValueError, match=r"ns is \[0\], expected sizes"):
        best_of_n(pool, at_end([0.0] * 35), [0])


# --- beam search by real models


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return float64(load_policy(folder))


@pytest.fixture(scope="module")
def judge(folder: Path) -> RewardModel:
    return FastJudge(float64(random_reward_model(folder)))


@pytest.fixture
def four_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextCraft, "default_rounds", 4)


def slow_turn(model: Any, episode: Episode, policy: FastPlayer) -> list[int]:
    """One turn with a whole forward pass a token."""
    tokens: list[int] = []
    logps: list[float] = []
    while len(tokens) < policy.config.max_new_tokens and tokens[-1:] != [policy.chat.end_id]:
        with torch.no_grad():
            logits = model(torch.tensor([episode.ids + tokens]), use_cache=False).logits[:, -1]
        new, logp = choose(logits, np.array([episode.rng.random()]), policy.config.temperature)
        tokens += new
        logps += logp
    episode.step(tokens, logps, policy.chat)
    longest = len(episode.ids) + policy.config.max_new_tokens
    if not episode.done and longest > policy.config.max_context:
        episode.truncated_by = "tokens"
    return tokens


def slow_beam(
    policy: FastPlayer, judge: RewardModel, task: Task, n: int, m: int, seed: int, distinct: bool
) -> tuple[Trajectory, float, Usage]:
    """Algorithm 2 without cache or batch: every score is that of a whole trajectory."""

    def place(candidate: tuple[float, Episode]) -> tuple[bool, bool, float]:
        score, path = candidate
        copy = any(s > score and e.env.snapshot() == path.env.snapshot() for s, e in candidates)
        return (path.truncated_by != "", distinct and copy, -score)

    root = policy.start(task, 0, seed)
    spent = Usage(prefilled=root.prompt_len, scored=root.prompt_len)
    beam: list[tuple[float, Episode]] = [(0.0, root)] * n
    while not all(e.done for _, e in beam):
        candidates = [(score, e) for score, e in beam if e.done]
        going = [e for _, e in beam if not e.done]
        replies = {}
        for number, parent in enumerate(e for e in going for _ in range(m)):
            child = parent.fork(number, stream=0)
            tokens = slow_turn(policy.model, child, policy)
            (values,) = judge.score([child.trajectory("slow")])
            candidates.append((float(values.q[-1]), child))
            before = parent.spans[-1][1] if parent.spans else parent.prompt_len
            scored = child.spans[-1][1] - before
            spent += Usage(generated=len(tokens), env_steps=1, scored=scored)
            replies[id(child)] = len(child.ids) - child.spans[-1][1]
        beam = sorted(candidates, key=place)[:n]
        for _, e in beam:
            if not e.done:
                new = replies[id(e)]
                spent += Usage(prefilled=new, cached=len(e.ids) - new)
    score, best = beam[0]
    return best.trajectory("slow"), score, spent


@pytest.mark.usefixtures("four_rounds")
@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 2), (3, 2), (1, 3)])
def test_beam_search_equals_the_slow_one(
    model: Any, judge: RewardModel, chat: ChatFormat, n: int, m: int, distinct: bool
) -> None:
    """Tokens, log-probabilities, scores and counts: caches, forks and order in the whole search.

    With 1×1 the slow one is plain sampling with the forked streams.
    """
    policy = backend(model, chat)
    tasks = TASKS[:4]
    found = beam_search(policy, judge, tasks, n, m, seed=3, distinct=distinct)
    for task, result in zip(tasks, found, strict=True):
        trajectory, score, spent = slow_beam(policy, judge, task, n, m, 3, distinct)
        assert result.trajectory.task == task
        assert result.trajectory.ids == trajectory.ids
        assert result.trajectory.spans == trajectory.spans
        assert result.trajectory.observations == trajectory.observations
        np.testing.assert_allclose(result.trajectory.logprobs, trajectory.logprobs, atol=1e-9)
        assert result.score == pytest.approx(score, abs=1e-10)
        assert result.trajectory.usage == result.usage == spent


@pytest.mark.usefixtures("four_rounds")
@pytest.mark.parametrize("double", [False, True])
def test_score_of_the_answer_is_the_reward_models(
    folder: Path, chat: ChatFormat, double: bool
) -> None:
    policy, scorer = load_policy(folder), random_reward_model(folder)
    if double:
        policy, scorer = float64(policy), float64(scorer)
    found = beam_search(backend(policy, chat), FastJudge(scorer), TASKS, 2, 3, seed=1)
    scores = RewardModel(scorer).score([r.trajectory for r in found])
    for result, values in zip(found, scores, strict=True):
        assert result.score == pytest.approx(values.q[-1], abs=1e-10 if double else 1e-5)
        assert result.trajectory.num_steps == 4 and result.trajectory.truncated_by == "rounds"
        logp = whole_logprobs(policy, result.trajectory.ids)
        expected = [float(logp[k - 1]) for a, b in result.trajectory.spans for k in range(a, b)]
        np.testing.assert_allclose(
            result.trajectory.logprobs, expected, atol=1e-9 if double else 1e-4
        )


@pytest.mark.usefixtures("four_rounds")
def test_tokens_and_steps_are_all_counted(
    model: Any, judge: RewardModel, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against counters in the caches, in the environment and at the sampler."""
    computed: Counter[Any] = Counter()
    append, step, speak = KVBatch.append, TextEnv.step, FastPlayer._speak

    def counted_append(self: KVBatch, tokens: Sequence[Sequence[int]]) -> Any:
        who = "judge" if self.body is split_model(judge.model)[0] else "policy"
        computed[who] += sum(map(len, tokens))
        return append(self, tokens)

    def counted_step(self: TextEnv, action: str) -> Any:
        computed["steps"] += 1
        return step(self, action)

    def counted_speak(self: FastPlayer, episodes: Any, turns: Any, live: Any, logits: Any) -> None:
        speak(self, episodes, turns, live, logits)
        computed["generated"] += len(live)
        computed["ends"] += sum(turns[k].over for k in live)

    monkeypatch.setattr(KVBatch, "append", counted_append)
    monkeypatch.setattr(TextEnv, "step", counted_step)
    monkeypatch.setattr(FastPlayer, "_speak", counted_speak)
    tasks = TASKS[:3]
    read: list[int] = []
    acted = FastPlayer.act

    def counted_act(self: FastPlayer, episodes: Sequence[Episode]) -> None:
        histories = {tuple(e.ids) for e in episodes}  # kept paths
        read.append(len(histories))
        assert len(histories) == 3 if len(read) == 1 else len(histories) <= 6
        acted(self, episodes)

    monkeypatch.setattr(FastPlayer, "act", counted_act)
    spent = [r.usage for r in beam_search(backend(model, chat), judge, tasks, 2, 2)]
    assert read == [3, 6, 6, 6]  # no two paths of a task are alike
    assert sum(u.scored for u in spent) == computed["judge"]
    assert sum(u.env_steps for u in spent) == computed["steps"] == 3 * 4 * 4  # 2 × 2, four rounds
    assert sum(u.generated for u in spent) == computed["generated"]
    # a turn's last token is computed with the reply, if its path is kept and goes on
    last = computed["ends"] - sum(read[1:])
    made = sum(u.prefilled + u.generated for u in spent) - last
    assert computed["policy"] == made


@pytest.mark.usefixtures("four_rounds")
def test_tasks_do_not_influence_each_other(
    model: Any, judge: RewardModel, chat: ChatFormat
) -> None:
    policy = backend(model, chat)
    together = beam_search(policy, judge, TASKS[:4], 2, 2)
    backward = beam_search(policy, judge, TASKS[3::-1], 2, 2)[::-1]
    for task, one, other in zip(TASKS, together, backward, strict=False):
        (alone,) = beam_search(policy, judge, [task], 2, 2)
        assert one.trajectory.ids == other.trajectory.ids == alone.trajectory.ids
        assert one.score == pytest.approx(alone.score, abs=1e-10)
        assert one.usage == other.usage == alone.usage


@pytest.mark.usefixtures("four_rounds")
def test_seeds(model: Any, judge: RewardModel, chat: ChatFormat) -> None:
    def ids(seed: int) -> list[tuple[int, ...]]:
        found = beam_search(backend(model, chat), judge, TASKS[:3], 2, 2, seed=seed)
        return [r.trajectory.ids for r in found]

    assert ids(0) == ids(0) != ids(1)


@pytest.mark.usefixtures("four_rounds")
def test_one_by_one_at_temperature_zero_is_greedy(
    model: Any, judge: RewardModel, chat: ChatFormat
) -> None:
    policy = backend(model, chat, temperature=0)
    found = beam_search(policy, judge, TASKS[:3], 1, 1)
    greedy = policy.run([policy.start(task, 0, 0) for task in TASKS[:3]])
    assert [r.trajectory.ids for r in found] == [t.ids for t in greedy]


def test_episodes_that_run_out_of_tokens_end(
    model: Any, judge: RewardModel, chat: ChatFormat
) -> None:
    """Context 100, turns of up to 12: prompts of 94 to 156 tokens leave no room, the others end
    after some turns, at different times; with context 20 no prompt leaves room."""
    policy = backend(model, chat, max_context=100)
    found = beam_search(policy, judge, TASKS, 2, 2)
    lengths = []
    for task, result in zip(TASKS, found, strict=True):
        t = result.trajectory
        prompt = policy.start(task, 0, 0).prompt_len
        assert t.task == task and t.truncated_by == "tokens" and t.truncated and not t.final
        assert len(t.ids) <= max(100, prompt) and (t.num_steps == 0) == (prompt + 12 > 100)
        if t.num_steps:
            assert result.score == pytest.approx(judge.score([t])[0].q[-1], abs=1e-10)
            lengths.append(t.num_steps)
        else:
            assert result.score == pytest.approx(judge.score([t])[0].root, abs=1e-10)
            assert result.usage.generated == 0
    assert lengths and len(lengths) < len(TASKS)
    nothing = beam_search(backend(model, chat, max_context=20), judge, TASKS, 2, 2)
    assert all(r.trajectory.num_steps == 0 and r.trajectory.truncated for r in nothing)


def test_beam_sizes_are_checked(model: Any, judge: RewardModel, chat: ChatFormat) -> None:
    for n, m in [(0, 1), (1, 0)]:
        with pytest.raises(ValueError, match=f"got {n} x {m}"):
            beam_search(backend(model, chat), judge, TASKS, n, m)


# --- beam search by a scripted policy and a judge that is a function: what is kept and answered


class Script:
    """A player whose episodes do what ``say`` says; no model and no cache."""

    policy, config = "script", SamplingConfig(rules=False)

    def __init__(self, chat: ChatFormat, say: Callable[[Episode], str]) -> None:
        self.chat, self.say = chat, say

    def start(self, task: Task, sample: int, seed: int) -> Episode:
        return Episode.start(task, sample, seed, self.chat, self.config)

    def act(self, episodes: Sequence[Episode]) -> None:
        for episode in episodes:
            episode.step(self.chat.turn_ids(react("x", self.say(episode))), [], self.chat)

    def run(self, episodes: Sequence[Episode]) -> list[Trajectory]:
        raise NotImplementedError


Value = Callable[[Task, tuple[str, ...]], float]


class Opinion:
    """A judge whose M is a function of the task and the actions so far."""

    def __init__(self, value: Value) -> None:
        self.value = value

    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        out = []
        for t in trajectories:
            actions = tuple(str(parse_action(a)) for a in t.actions)
            last = [self.value(t.task, actions)] if actions else []
            out.append(StepValues(0.0, np.array([*[0.0] * (len(actions) - 1), *last])))
        return out


def remaining(task: Task, actions: Sequence[str]) -> float:
    """Steps that the expert still needs after some actions; 0 if the goal is reached."""
    env = make_env(task.env)
    env.reset(options={"index": task.index, "variant": task.variant})
    env.max_rounds = 100
    ended = False
    for action in actions:
        _, _, ended, _, _ = env.step(action)
    steps = 0
    while not ended:
        _, _, ended, _, _ = env.step(env.expert_action()[1])
        steps += 1
    return steps


@pytest.fixture
def scripted(chat: ChatFormat) -> Callable[..., list[SearchResult]]:
    """beam_search with a script and a judge."""

    def run(
        say: Callable[[Episode], str],
        value: Value,
        tasks: Sequence[Task],
        n: int,
        m: int,
        seed: int = 0,
        distinct: bool = True,
    ) -> list[SearchResult]:
        return beam_search(
            Script(chat, say), Opinion(value), tasks, n, m, seed=seed, distinct=distinct
        )

    return run


DYE = TASKS[-1]  # get 1 dandelion, craft 1 yellow dye using 1 dandelion
GET, CRAFT, LOOK = "get 1 dandelion", "craft 1 yellow dye using 1 dandelion", "inventory"


def lines(*texts: str) -> Callable[[Episode], str]:
    """A script: one action after the other, in the order of the children."""
    left: Iterator[str] = iter(texts)
    return lambda episode: next(left)


def table(**values: float) -> Value:
    """Scores by the initials of the actions: glc = get, look, craft."""
    return lambda task, actions: values["".join("l" if a == LOOK else a[0] for a in actions)]


def test_a_path_that_is_over_keeps_its_place_and_its_score(scripted: Any) -> None:
    """2×1. get 0.5 and look 0.4 are kept; get-craft is over with 0.6 and kept beside look-look 0.9;
    only the latter goes on: get 0.7, then craft 0.3, over. Of the two that are over 0.6 wins."""
    values = table(g=0.5, l=0.4, gc=0.6, ll=0.9, llg=0.7, llgc=0.3)
    (result,) = scripted(lines(GET, LOOK, CRAFT, LOOK, GET, CRAFT), values, [DYE], 2, 1)
    # the script has no seventh line: the path that is over isn't played on
    assert [parse_action(a) for a in result.trajectory.actions] == [GET, CRAFT]
    assert result.score == 0.6 and result.trajectory.success and result.trajectory.terminated
    assert result.usage.env_steps == 6


def test_a_path_that_is_over_can_lose_its_place(scripted: Any) -> None:
    """1×2. get 0.5 beats look 0.4; get-craft is over with 0.1 and loses against get-look 0.2."""
    values = table(g=0.5, l=0.4, gc=0.1, gl=0.2, glc=0.8, gll=0.0)
    (result,) = scripted(lines(GET, LOOK, CRAFT, LOOK, LOOK, CRAFT), values, [DYE], 1, 2)
    assert [parse_action(a) for a in result.trajectory.actions] == [GET, LOOK, CRAFT]
    assert result.score == 0.8


def test_children_of_one_path_can_fill_the_beam(scripted: Any) -> None:
    """2×2, first round of four: 0.2, 0.4, 0.1, 0.3 keeps the second and the fourth, in this order;
    then both children of the former win: 0.9 and 0.8 against 0.7 and 0.6."""
    scores = iter([0.2, 0.4, 0.1, 0.3, 0.8, 0.9, 0.6, 0.7, 1.0, 0.5, 0.4, 0.3])
    script = lines(*[LOOK, GET, GET, LOOK], *[GET, LOOK, LOOK, LOOK], *[CRAFT] * 4)
    (result,) = scripted(script, lambda task, actions: next(scores), [DYE], 2, 2)
    # 0.9 is get-look, first in the beam; its first child ends with 1.0
    assert [parse_action(a) for a in result.trajectory.actions] == [GET, LOOK, CRAFT]
    assert result.score == 1.0 and result.usage.env_steps == 12


@pytest.mark.usefixtures("four_rounds")
@pytest.mark.parametrize(("distinct", "expected"), [(True, [GET, CRAFT]), (False, [LOOK, GET])])
def test_a_path_in_the_state_of_a_better_one_gives_way(
    scripted: Any, distinct: bool, expected: list[str]
) -> None:
    """2×2. Two looks, 0.9 and 0.8, leave the world as it is, so get, 0.3, has the second place;
    with copies both looks stay, and get comes a turn later, when M is low."""
    scores = iter(
        [0.9, 0.8, 0.3, 0.2, *([0.1, 0.4, 0.9, 0.5] if distinct else [0.1, 0.4, 0.3, 0.2])]
    )
    script = lines(*[LOOK, LOOK, GET, GET], *[LOOK, GET, CRAFT, LOOK] * 9)

    def value(task: Task, actions: tuple[str, ...]) -> float:
        return next(scores, 0.05)

    (result,) = scripted(script, value, [DYE], 2, 2, distinct=distinct)
    assert [parse_action(a) for a in result.trajectory.actions][:2] == expected


@pytest.mark.usefixtures("four_rounds")
def test_a_path_that_a_limit_has_cut_has_failed(scripted: Any) -> None:
    """2×1, four rounds. Four looks have 0.9 and are cut; get, twice look, and craft have 0.2. The
    paper answers with the best path that ended."""
    script = lines(LOOK, GET, LOOK, LOOK, LOOK, LOOK, LOOK, CRAFT)
    (result,) = scripted(script, lambda t, a: 0.2 if GET in a else 0.9, [DYE], 2, 1)
    assert parse_action(result.trajectory.actions[-1]) == CRAFT
    assert result.trajectory.success and result.score == 0.2
    (cut,) = scripted(lines(*[LOOK] * 8), lambda t, a: 0.9, [DYE], 2, 1)  # there is no other
    assert cut.trajectory.truncated and cut.score == 0.9


class Table:
    """A judge whose M after each turn is looked up by the initials of the actions so far."""

    def __init__(self, **values: float) -> None:
        self.value = table(**values)

    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        out = []
        for t in trajectories:
            actions = [str(parse_action(a)) for a in t.actions]
            m = [self.value(t.task, tuple(actions[: k + 1])) for k in range(len(actions))]
            out.append(StepValues(0.5, np.array(m)))
        return out


@pytest.mark.parametrize(
    ("score", "expected"),
    [("last", [GET, LOOK, CRAFT]), ("min", [LOOK, GET, CRAFT]), ("mean", [LOOK, GET, CRAFT])],
)
def test_beams_by_another_score(chat: ChatFormat, score: str, expected: list[str]) -> None:
    """2×1. get 0.1, then look 0.9; look 0.6, then get 0.7. The last M prefers the former; its least
    M, 0.1 against 0.6, and its mean, 0.5 against 0.65, the latter. Both craft, with the same M."""
    judge = Table(g=0.1, l=0.6, gl=0.9, lg=0.7, glc=0.9, lgc=0.7)
    player = Script(chat, lines(GET, LOOK, GET, LOOK, CRAFT, CRAFT))  # look, the better, goes first
    (result,) = beam_search(player, judge, [DYE], 2, 1, score=score)
    assert [parse_action(a) for a in result.trajectory.actions] == expected


def test_of_equal_scores_the_higher_last_m_wins(chat: ChatFormat) -> None:
    """1×2. After get, 0.3, come look, 0.6, and craft, 0.9: the least M of both is that of get."""
    player = Script(chat, lines(GET, GET, LOOK, CRAFT))
    judge = Table(g=0.3, gl=0.6, gc=0.9)
    (result,) = beam_search(player, judge, [DYE], 1, 2, score="min")
    assert [parse_action(a) for a in result.trajectory.actions] == [GET, CRAFT]
    assert result.score == 0.3


# --- halving


def test_halving_by_hand(chat: ChatFormat) -> None:
    """Four attempts. After turn 1 their values 0.2, 0.4, 0.1, 0.3 keep the second and the fourth;
    after turn 2, 0.5 and 0.6 keep what was the fourth, which plays on alone: 4 + 2 + 1 turns."""
    scores = iter([0.2, 0.4, 0.1, 0.3, 0.5, 0.6, 0.9])
    script = lines(LOOK, GET, GET, LOOK, LOOK, GET, CRAFT)
    judge = Opinion(lambda task, actions: next(scores))
    (result,) = halving(Script(chat, script), judge, [DYE], 4)
    assert [parse_action(a) for a in result.trajectory.actions] == [LOOK, GET, CRAFT]
    assert result.score == 0.9 and result.trajectory.success and result.trajectory.sample == 3
    assert result.usage.env_steps == 7 and result.trajectory.usage == result.usage


def test_halving_keeps_an_attempt_that_is_over(chat: ChatFormat) -> None:
    """Five attempts; get with 0.9 and two of the looks with 0.1 are kept. The first is over after
    turn 2 with 0.4 and keeps its place beside 0.6, before 0.3. After turn 3 the other has fallen to
    0.2, so the attempt that was over before is the answer."""
    values = table(g=0.9, l=0.1, gc=0.4, ll=0.6, lg=0.3, lll=0.2)
    script = lines(GET, LOOK, LOOK, LOOK, LOOK, CRAFT, LOOK, GET, LOOK)
    (result,) = halving(Script(chat, script), Opinion(values), [DYE], 5)
    assert [parse_action(a) for a in result.trajectory.actions] == [GET, CRAFT]
    assert result.score == 0.4 and result.usage.env_steps == 5 + 3 + 1


@pytest.mark.usefixtures("four_rounds")
@pytest.mark.parametrize("n", [1, 2, 5])
def test_halving_plays_the_attempts_of_best_of_n(
    model: Any, judge: RewardModel, chat: ChatFormat, n: int
) -> None:
    """Against the N whole attempts and their values: which are kept, the tokens of all, the scored
    ones. Every prompt is read once; every reply by those that play on."""
    policy = backend(model, chat)
    found = halving(policy, judge, TASKS[:4], n, seed=3)
    plain = PlainPlayer(model, chat, policy.config)
    assert [r.trajectory.ids for r in halving(plain, judge, TASKS[:4], n, seed=3)] == [
        r.trajectory.ids for r in found
    ]
    for task, result in zip(TASKS, found, strict=False):
        whole = policy.run([policy.start(task, k, 3) for k in range(n)])
        m = [v.q for v in RewardModel(judge.model).score(whole)]
        kept = list(range(n))
        spent = Usage(scored=whole[0].prompt_len, prefilled=whole[0].prompt_len)
        spent += Usage(cached=(n - 1) * whole[0].prompt_len)
        for turn in range(4):  # no attempt ends before the fourth round
            for k in kept:
                start, end = whole[k].spans[turn]
                before = whole[k].spans[turn - 1][1] if turn else whole[k].prompt_len
                spent += Usage(generated=end - start, scored=end - before, env_steps=1)
                if turn:
                    spent += Usage(prefilled=start - before, cached=before)
            kept = sorted(kept, key=lambda k: -m[k][turn])[: (len(kept) + 1) // 2]
        assert result.trajectory.ids == whole[kept[0]].ids
        assert result.trajectory.sample == kept[0]
        assert result.score == pytest.approx(m[kept[0]][-1], abs=1e-10)
        assert result.usage == spent


@pytest.mark.usefixtures("four_rounds")
def test_any_judge_and_its_faults(model: Any, chat: ChatFormat) -> None:
    """The judge without a model takes the first of equally long attempts; an M that isn't finite
    stops a search, whatever judge gave it."""
    policy = backend(model, chat)
    for search in (halving, lambda *args: beam_search(*args, 2)):
        (result,) = search(policy, FewestTurns(), TASKS[:1], 2)
        assert result.score == -4.0
        for broken in (float("nan"), float("inf")):
            judge = Opinion(lambda task, actions, m=broken: m if len(actions) > 1 else 0.5)
            with pytest.raises(ValueError, match=r"attempt 0: M after step 1 is \w+, exp"):
                search(policy, judge, TASKS[:1], 2)
    with pytest.raises(ValueError, match="halving needs n >= 1, got 0"):
        halving(policy, FewestTurns(), TASKS[:1], 0)
    with pytest.raises(ValueError, match="score 'best' is unknown"):
        halving(policy, FewestTurns(), TASKS[:1], 2, score="best")


@pytest.mark.usefixtures("four_rounds")
def test_halving_with_the_truth_beats_sampling(chat: ChatFormat) -> None:
    """More attempts help a judge that counts the steps left, and harm its opposite."""

    def success(n: int, sign: float = 1.0) -> float:
        judge = Opinion(lambda t, a: -sign * remaining(t, a))
        runs = [halving(Script(chat, noisy_expert), judge, TASKS, n, seed=s) for s in range(6)]
        return float(np.mean([r.trajectory.success for run in runs for r in run]))

    one, sixteen = success(1), success(16)
    assert 0.4 < one < sixteen - 0.2 and sixteen > 0.9
    assert success(4, sign=-1.0) < one - 0.2


# --- forks


def test_the_answer_is_what_a_fresh_environment_gives(scripted: Any) -> None:
    """Forks share nothing: the answer's observations and rewards are those of its actions alone."""
    answers = []
    for seed in range(3):
        answers += scripted(noisy_expert, lambda t, a: -remaining(t, a), TASKS, 2, 3, seed)
    for result in answers:
        t = result.trajectory
        env = make_env(t.task.env)
        observation, _ = env.reset(options={"index": t.task.index, "variant": t.task.variant})
        replies = [env.step(str(parse_action(a))) for a in t.actions]
        assert t.observations == (observation, *(r[0] for r in replies))
        assert t.rewards == tuple(r[1] for r in replies)
        assert t.terminated == replies[-1][2]


def test_forks_of_an_episode_share_nothing(model: Any, chat: ChatFormat) -> None:
    parent = backend(model, chat).start(DYE, 0, 0)
    one, other = parent.fork(0, 0), parent.fork(1, 0)
    before, ids = other.env.snapshot(), list(other.ids)
    for action in (GET, CRAFT):
        one.step(chat.turn_ids(react("x", action)), [], chat)
    assert one.success
    assert other.env.snapshot() == before == parent.env.snapshot()
    assert other.ids == ids == parent.ids and not other.spans and not parent.rewards
    assert one.rng.random() != other.rng.random() != parent.rng.random()


def noisy_expert(episode: Episode) -> str:
    """The expert's action half of the time, else a look that takes a round."""
    return episode.env.expert_action()[1] if episode.rng.random() < 0.5 else LOOK


@pytest.mark.usefixtures("four_rounds")
def test_search_with_the_truth_beats_sampling(scripted: Any) -> None:
    """Four rounds, mostly two steps needed. A judge that counts the steps left: 2×2 beats 1×1 and
    4×4 beats it; the opposite judge is worse (TextCraft ends by success alone, and then the search
    keeps what ended)."""

    def success(n: int, m: int, sign: float = 1.0, distinct: bool = True) -> float:
        def value(task: Task, actions: tuple[str, ...]) -> float:
            return -sign * remaining(task, actions)

        runs = [scripted(noisy_expert, value, TASKS, n, m, seed) for seed in range(6)]
        return float(np.mean([r.trajectory.success for run in runs for r in run]))

    one, two, four = success(1, 1), success(2, 2), success(4, 4)
    assert 0.4 < one < two - 0.15 and two <= four
    assert four > 0.95
    assert success(2, 2, sign=-1.0) < two - 0.2
