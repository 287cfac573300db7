"""Sampling: exact tokens, exact probabilities, exact counts, whatever the batch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import TASKS, backend, float64, random_trajectories, whole_logprobs

from agentprm_lite import sampling
from agentprm_lite.chat import TOO_MANY_ACTIONS, last_action, react
from agentprm_lite.episode import Episode, SamplingConfig, random_stream
from agentprm_lite.fast import FastPlayer
from agentprm_lite.fast.kvbatch import CALL, KVBatch
from agentprm_lite.forward import action_logprobs, split_model
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.sampling import PlainPlayer, choose
from agentprm_lite.types import Task, Trajectory, Usage
from agentprm_lite.worlds.textcraft import TextCraft


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return float64(load_policy(folder))


def play(player: FastPlayer, jobs: Sequence[tuple[Task, int]], size: int) -> list[Trajectory]:
    """Trajectories of some (task, sample), ``size`` at a time."""
    out = []
    for i in range(0, len(jobs), size):
        out += player.run([player.start(task, k, 3) for task, k in jobs[i : i + size]])
    return out


JOBS = [(task, k) for task in TASKS[:4] for k in range(4)]


@pytest.fixture(scope="module")
def played(model: Any, chat: ChatFormat) -> list[Trajectory]:
    """16 episodes that were played together, 12 tokens a turn, 20 turns."""
    return play(backend(model, chat), JOBS, 16)


def without_usage(trajectory: Trajectory) -> Trajectory:
    # who pays for a shared prompt depends on the batch; the logprobs are compared on their own
    return replace(trajectory, usage=Usage(), logprobs=())


# --- one token ------------------------------------------------------------------------------------

P = torch.tensor([[0.1, 0.2, 0.3, 0.4]])


@pytest.mark.parametrize(
    ("u", "token"),
    # the cumulative sums are .1 .3 .6 1
    [(0.0, 0), (0.0999, 0), (0.1001, 1), (0.2999, 1), (0.3001, 2), (0.5999, 2), (0.6001, 3),
     (1 - 2**-53, 3)],
)  # fmt: skip
def test_choose_inverts_the_cumulative_distribution(u: float, token: int):
    assert choose(P.log(), np.array([u]), 1.0)[0] == [token]
    assert choose(P.log() + 100.0, np.array([u]), 1.0)[0] == [token]  # logits, not probabilities


@pytest.mark.parametrize(("u", "token"), [(0.03, 0), (0.04, 1), (0.16, 1), (0.17, 2), (0.47, 3)])
def test_choose_at_half_the_temperature_squares_the_odds(u: float, token: int):
    # p² = .01 .04 .09 .16, of .30: the cumulative sums are .0333 .1667 .4667 1
    tokens, logprobs = choose(P.log(), np.array([u]), 0.5)
    assert tokens == [token]
    # the log-probability is the policy's own, at temperature 1
    assert logprobs == pytest.approx([math.log(P[0, token])], abs=1e-7)


def test_choose_greedily_ignores_the_random_number():
    logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0]])
    for u in (0.0, 0.999):
        tokens, logprobs = choose(logits, np.array([u, u]), 0)
        assert tokens == [1, 0]
        # log(e² / (1 + e² + e)), log(e⁵ / (e⁵ + e² + e))
        below = [1 + math.e**2 + math.e, math.e**5 + math.e**2 + math.e]
        expected = [2 - math.log(below[0]), 5 - math.log(below[1])]
        assert logprobs == pytest.approx(expected, abs=1e-12)


def test_choose_never_takes_an_impossible_token():
    inf = -math.inf
    logits = torch.tensor([[inf, 0.0, 0.0, inf]])
    assert choose(logits, np.array([0.0]), 1.0)[0] == [1]
    assert choose(logits, np.array([1 - 2**-53]), 1.0)[0] == [2]


def test_choose_uses_each_rows_own_number():
    assert choose(P.log().repeat(3, 1), np.array([0.7, 0.0, 0.2]), 1.0)[0] == [3, 0, 1]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_first_tokens_follow_the_softmax(model: Any, chat: ChatFormat, temperature: float):
    n = 1500
    player = backend(model, chat, max_new_tokens=1, temperature=temperature)
    episodes = [player.start(TASKS[0], k, 0) for k in range(n)]
    for episode in episodes:
        episode.env.max_rounds = 1
    counts = Counter(t.ids[t.prompt_len] for t in player.run(episodes))
    prompt = torch.tensor([player.start(TASKS[0], 0, 0).ids])
    with torch.no_grad():
        logits = model(input_ids=prompt).logits[0, -1]

    def chi_square(t: float) -> tuple[float, int]:
        p = (logits / t).softmax(-1)
        often = [i for i in range(len(p)) if n * p[i] >= 8]
        rest = 1 - sum(float(p[i]) for i in often)
        cells = [(counts[i], n * float(p[i])) for i in often]
        cells.append((n - sum(c for c, _ in cells), n * rest))
        return sum((c - e) ** 2 / e for c, e in cells), len(cells) - 1

    statistic, df = chi_square(temperature)
    assert df > 10
    assert statistic < df + 5 * math.sqrt(2 * df)
    statistic, df = chi_square(1.5 - temperature)  # the other temperature doesn't fit
    assert statistic > df + 20 * math.sqrt(2 * df)


# --- the same episode in any batch ----------------------------------------------------------------


def test_the_stand_in_takes_turns_of_all_lengths(played: list[Trajectory], chat: ChatFormat):
    lengths = {b - a for t in played for a, b in t.spans}
    ends = {t.ids[b - 1] == chat.end_id for t in played for _, b in t.spans}
    assert lengths >= set(range(2, 13))
    assert ends == {True, False}


@pytest.mark.parametrize(("size", "every"), [(1, 3), (3, 1)])
def test_same_seed_same_trajectories_in_any_batch(
    model: Any, chat: ChatFormat, played: list[Trajectory], size: int, every: int
):
    again, before = play(backend(model, chat), JOBS[::every], size), played[::every]
    assert [without_usage(t) for t in again] == [without_usage(t) for t in before]
    for a, b in zip(again, before, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-9)


def test_same_seed_same_trajectories_in_any_order(
    model: Any, chat: ChatFormat, played: list[Trajectory]
):
    order = np.random.default_rng(0).permutation(len(JOBS))
    again = play(backend(model, chat), [JOBS[i] for i in order], 16)
    assert [without_usage(t) for t in again] == [without_usage(played[i]) for i in order]


def test_seed_task_and_sample_change_the_episode(played: list[Trajectory], model: Any, chat: Any):
    assert len({t.ids[t.prompt_len :] for t in played}) == len(played)
    player = backend(model, chat)
    other = player.run([player.start(*JOBS[0], 4)])[0]
    assert other.prompt_len == played[0].prompt_len
    assert other.ids != played[0].ids


def test_random_streams_are_pinned_and_apart():
    # crc32("textcraft") = 2919711914; the stream is NumPy's for these five numbers
    expected = np.random.default_rng([9, 2919711914, 12, 1, 4]).random(3)
    assert np.array_equal(random_stream(9, Task("textcraft", 12, 1), 4).random(3), expected)
    grid = [
        random_stream(seed, Task(env, index, variant), sample).random()
        for env in ("textcraft", "babyai")
        for seed in range(3)
        for index in range(3)
        for variant in range(3)
        for sample in range(3)
    ]
    assert len(set(grid)) == len(grid)


# --- probabilities --------------------------------------------------------------------------------


def test_logprobs_are_those_of_one_whole_pass(played: list[Trajectory], model: Any):
    for trajectory in played:
        whole = whole_logprobs(model, trajectory.ids)
        # log π of ids[k] stands at k - 1
        expected = [float(whole[k - 1]) for a, b in trajectory.spans for k in range(a, b)]
        assert trajectory.logprobs == pytest.approx(expected, abs=1e-9)


def test_training_sees_the_same_logprobs(played: list[Trajectory], model: Any):
    with torch.no_grad():
        trained = action_logprobs(model, played)
    sampled = [x for t in played for x in t.logprobs]
    assert trained.tolist() == pytest.approx(sampled, abs=1e-5)


def test_greedy_takes_the_most_likely_token_everywhere(model: Any, chat: ChatFormat):
    for trajectory in play(backend(model, chat, temperature=0), JOBS[::4], 4):
        with torch.no_grad():
            best = model(input_ids=torch.tensor([trajectory.ids])).logits[0].argmax(-1)
        for a, b in trajectory.spans:
            assert best[a - 1 : b - 1].tolist() == list(trajectory.ids[a:b])


# --- what is written down -------------------------------------------------------------------------


def test_ids_are_prompt_turns_and_observations_in_order(played: list[Trajectory], chat: ChatFormat):
    for t in played:
        ids = chat.opening_ids(t.observations[0])
        assert t.prompt_len == len(ids)
        assert t.root_position == len(ids) - 1
        for k, (a, b) in enumerate(t.spans):
            assert len(ids) == a
            turn = list(t.ids[a:b])
            assert chat.decode(turn) == t.actions[k]
            # the score is read at the last token that was sampled: the end, or the limit's token
            assert t.score_positions[k] == b - 1
            assert turn[-1] == chat.end_id or len(turn) == 12
            assert chat.end_id not in turn[:-1]
            ids += turn
            if k + 1 < t.num_steps:
                ids += chat.observation_ids(t.observations[k + 1], ended=turn[-1] == chat.end_id)
        assert list(t.ids) == ids  # which ends with the last action
        assert len(t.logprobs) == sum(b - a for a, b in t.spans)


def test_rules_stand_before_the_first_observation(model: Any, chat: ChatFormat):
    with_rules = backend(model, chat, rules=True).start(TASKS[0], 0, 0)
    env = with_rules.env
    rules = (env.instructions, env.acknowledgement)
    assert with_rules.ids == chat.opening_ids(with_rules.observations[0], rules)
    assert chat.tokenizer.unk_token_id not in with_rules.ids
    (trajectory,) = backend(model, chat, rules=True).run([with_rules])
    assert trajectory.prompt_len == len(chat.opening_ids(with_rules.observations[0], rules))


def test_twenty_rounds_are_final(played: list[Trajectory]):
    for t in played:
        assert (t.num_steps, t.truncated, t.truncated_by) == (20, True, "rounds")
        assert t.final
        assert not t.terminated
        assert not t.success


def test_a_goal_reached_ends_the_episode(chat: ChatFormat):
    done = [t for t in random_trajectories(chat, 30, 0) if t.success]
    assert done
    for t in done:
        assert (t.terminated, t.truncated, t.truncated_by, t.final) == (True, False, "", True)
        assert t.rewards == (0.0,) * (t.num_steps - 1) + (1.0,)
        assert t.ids[-1] == chat.end_id  # nothing is read after the end


def test_several_actions_get_an_error_and_use_a_round(chat: ChatFormat):
    episode = Episode.start(TASKS[0], 0, 0, chat, SamplingConfig(rules=False))
    before = episode.env.snapshot()
    turn = chat.turn_ids("Action:\nget 1 string\nAction:\nget 1 string")
    reply = episode.step(turn, [-1.0] * len(turn), chat)
    assert episode.observations[-1] == TOO_MANY_ACTIONS
    assert reply == chat.observation_ids(TOO_MANY_ACTIONS)
    after = episode.env.snapshot()
    assert after == {**before, "rounds": 1}  # nothing was got
    assert episode.usage == Usage(generated=len(turn), env_steps=1)


def test_a_turn_without_action_uses_a_round(chat: ChatFormat):
    episode = Episode.start(TASKS[0], 0, 0, chat, SamplingConfig(rules=False))
    episode.step(chat.turn_ids("get 1 string"), [], chat)
    assert episode.observations[-1] == "Could not execute "
    assert episode.env.snapshot()["rounds"] == 1


def test_the_environment_says_how_its_action_is_read(
    chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(TextCraft, "parse", staticmethod(last_action))
    episode = Episode.start(TASKS[0], 0, 0, chat, SamplingConfig(rules=False))
    episode.step(chat.turn_ids("Action:\nget 1 string\nAction:\nget 2 string"), [], chat)
    assert episode.observations[-1] == "Got 2 string"  # AgentGym's rule refuses two actions


def test_a_turn_cut_by_its_limit_is_ended_for_it(chat: ChatFormat):
    episode = Episode.start(TASKS[0], 0, 0, chat, SamplingConfig(rules=False))
    start = len(episode.ids)
    turn = chat.turn_ids(react("I need 1 string.", "get 1 string"))[:-1]
    reply = episode.step(turn, [], chat)
    assert reply[0] == chat.end_id
    assert episode.ids[start:] == turn + reply
    assert episode.spans == [(start, start + len(turn))]  # the end token wasn't sampled


# --- histories that grow too long -----------------------------------------------------------------


def test_a_history_without_room_ends_truncated_and_whole(
    model: Any, chat: ChatFormat, played: list[Trajectory]
):
    limit = 200
    short = play(backend(model, chat, max_context=limit), JOBS, 16)
    assert "tokens" in {t.truncated_by for t in short}
    for cut, full in zip(short, played, strict=True):
        assert len(cut.ids) <= limit
        assert cut.ids == full.ids[: len(cut.ids)]  # the same episode, up to there
        assert cut.spans == full.spans[: cut.num_steps]
        assert cut.observations == full.observations[: cut.num_steps + 1]
        if cut.truncated_by == "tokens":
            assert (cut.truncated, cut.final, cut.success) == (True, False, False)
            last = cut.spans[-1][1] if cut.spans else cut.prompt_len
            assert len(cut.ids) == last
            # there was no room for another turn of 12: its start is where the next span began
            assert full.spans[cut.num_steps][0] + 12 > limit


def test_the_limit_is_exact(model: Any, chat: ChatFormat):
    prompt = len(backend(model, chat).start(TASKS[0], 0, 0).ids)
    for limit, steps in [(prompt + 12, 1), (prompt + 11, 0)]:
        player = backend(model, chat, max_context=limit)
        (trajectory,) = player.run([player.start(TASKS[0], 0, 0)])
        assert min(trajectory.num_steps, 1) == steps
        assert trajectory.truncated_by == "tokens"
        assert not trajectory.final
    assert trajectory.ids == tuple(player.start(TASKS[0], 0, 0).ids)
    assert trajectory.usage == Usage()  # nothing was computed
    assert trajectory.observations[0].startswith("Crafting commands")


def test_limits_are_checked(model: Any, chat: ChatFormat):
    for wrong in ({"temperature": -1.0}, {"max_new_tokens": 0}, {"max_context": 1}):
        with pytest.raises(ValueError, match="must be >= 0"):
            SamplingConfig(**wrong)
    with pytest.raises(ValueError, match="max_context is 2049, the model reads 2048"):
        backend(model, chat, max_context=2049)


# --- counts ---------------------------------------------------------------------------------------


def counts(t: Trajectory) -> Usage:
    """Tokens of an episode that was played alone, from its record.

    Turn k begins at start_k with the tokens up to end_{k-1} known; the reply in between is read.
    """
    starts, ends = [a for a, _ in t.spans], [b for _, b in t.spans]
    return Usage(
        generated=sum(b - a for a, b in t.spans),
        prefilled=t.prompt_len + sum(a - b for a, b in zip(starts[1:], ends, strict=False)),
        cached=sum(ends[:-1]),
        env_steps=t.num_steps,
    )


def test_usage_of_an_episode_alone(model: Any, chat: ChatFormat):
    for t in play(backend(model, chat, max_context=250), JOBS[::3], 1):
        assert t.usage == counts(t)


def test_usage_of_a_batch_differs_by_the_shared_prompts(
    played: list[Trajectory], model: Any, chat: ChatFormat
):
    total = sum((t.usage for t in played), Usage())
    alone = sum((counts(t) for t in played), Usage())
    prompts = sum({t.task: t.prompt_len for t in played}.values())  # one a task, not one a sample
    saved = sum(t.prompt_len for t in played) - prompts
    assert total.generated == alone.generated
    assert total.env_steps == alone.env_steps
    assert total.prefilled == alone.prefilled - saved
    assert total.cached == alone.cached + saved


def test_usage_of_a_task_in_a_batch_is_that_of_the_task_alone(
    played: list[Trajectory], model: Any, chat: ChatFormat
):
    """The prompt is counted for a task's first sample: n tokens once, and n reused by each other.
    Booking a batch's prompts on its first episode would give all other tasks a prefill too low."""
    for task in dict.fromkeys(t.task for t in played):
        together = [t for t in played if t.task == task]
        jobs = [(task, t.sample) for t in together]
        alone = play(backend(model, chat), jobs, len(jobs))
        assert [t.usage for t in together] == [t.usage for t in alone]
        first, *others = together
        assert first.usage == counts(first)
        for t in others:
            shared = Usage(prefilled=-t.prompt_len, cached=t.prompt_len)
            assert t.usage == counts(t) + shared


def forward_shapes(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    body = split_model(model)[0]
    shapes: list[tuple[int, int]] = []
    forward = body.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(body, "forward", counting)
    return shapes


def test_finished_episodes_leave_the_batch(
    model: Any, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
):
    player = backend(model, chat, max_new_tokens=1)  # a turn is one token: no pass within a turn
    episodes = [player.start(task, 0, 0) for task in TASKS[:4]]
    for episode, rounds in zip(episodes, (3, 1, 5, 3), strict=True):
        episode.env.max_rounds = rounds
    append, rows = KVBatch.append, []

    def counting(batch: KVBatch, tokens: Sequence[Sequence[int]]) -> Any:
        rows.append((len(tokens), sum(map(bool, tokens))))
        return append(batch, tokens)

    monkeypatch.setattr(KVBatch, "append", counting)
    player.run(episodes)
    # the prompts, then one reading after rounds 1 to 4; none after the last round of an episode;
    # the rows of those that are over are dropped before the next pass
    assert rows == [(4, 4), (4, 3), (4, 3), (4, 1), (1, 1)]


def test_a_short_turn_does_not_wait_for_a_long_one(
    model: Any, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
):
    def ends_one_time_in_ten(logits: torch.Tensor, uniforms: Any, temperature: float) -> Any:
        return [chat.end_id if u < 0.1 else 5 for u in uniforms], [0.0] * len(uniforms)

    monkeypatch.setattr(sampling, "choose", ends_one_time_in_ten)
    player = backend(model, chat, max_new_tokens=40, max_context=1024, max_rounds=8)
    episodes = [player.start(task, k, 3) for task in TASKS[:6] for k in range(4)]
    shapes = forward_shapes(model, monkeypatch)
    trajectories = player.run(episodes)
    # the prompts, and one pass for each token that is not an episode's last; replies need none
    assert len(shapes) == max(sum(b - a for a, b in t.spans) for t in trajectories)
    rounds = zip_longest(*([b - a for a, b in t.spans] for t in trajectories), fillvalue=0)
    assert len(shapes) < 0.7 * sum(map(max, rounds))


def test_ended_turns_leave_the_batch_within_the_turn(
    model: Any, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
):
    player = backend(model, chat)
    episodes = [player.start(task, k, 3) for task, k in JOBS]
    shapes = forward_shapes(model, monkeypatch)
    monkeypatch.setitem(CALL, "cpu", 0)  # nothing is padded to save a call of attention
    player.act(episodes)
    turns = [e.ids[slice(*e.spans[0])] for e in episodes]
    # the prompts, one a task, and of a turn of n tokens n - 1
    prompts = sum({e.task: e.prompt_len for e in episodes}.values())
    assert sum(tokens for _, tokens in shapes) == prompts + sum(len(turn) - 1 for turn in turns)
    assert len(shapes) == 1 + max(map(len, turns)) - 1


def test_a_weight_update_needs_nothing_but_a_new_run(folder: Path, chat: ChatFormat):
    model = float64(load_policy(folder))
    player = backend(model, chat)
    first = play(player, JOBS[:2], 2)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)).double()
    for t in play(player, JOBS[:2], 2):
        whole = whole_logprobs(model, t.ids)
        expected = [float(whole[k - 1]) for a, b in t.spans for k in range(a, b)]
        assert t.logprobs == pytest.approx(expected, abs=1e-9)
    assert play(player, JOBS[:2], 2)[0].ids != first[0].ids


# --- forks ----------------------------------------------------------------------------------------


@pytest.fixture
def midway(chat: ChatFormat) -> Episode:
    """An episode after one good turn."""
    episode = Episode.start(TASKS[1], 2, 7, chat, SamplingConfig(rules=False))
    turn = chat.turn_ids(react(*episode.env.expert_action()))
    episode.step(turn, [-0.5] * len(turn), chat)
    assert not episode.done
    return episode


def test_a_fork_has_the_same_state_and_its_own_stream(midway: Episode, chat: ChatFormat):
    forks = [midway.fork(0, 0), midway.fork(1, 0), midway.fork(0, 1)]
    for fork in forks:
        assert fork.env.snapshot() == midway.env.snapshot()
        for name in ("ids", "spans", "logprobs", "actions", "observations", "rewards"):
            assert getattr(fork, name) == getattr(midway, name)
            assert getattr(fork, name) is not getattr(midway, name)
        assert (fork.prompt_len, fork.done, fork.success) == (midway.prompt_len, False, False)
        assert fork.usage == Usage()
    base = random_stream(7, TASKS[1], 2)
    draws = [e.rng.random(4).tolist() for e in (*forks, midway)] + [base.random(4).tolist()]
    assert draws[3] == draws[4]  # a fork takes nothing from its parent's stream
    assert len({tuple(d) for d in draws[:4]}) == 4
    assert midway.fork(0, 0).rng.random(4).tolist() == draws[0]
    turn = chat.turn_ids("get 1 string")
    midway.step(turn, [-0.5] * len(turn), chat)
    assert midway.fork(0, 0).rng.random(4).tolist() != draws[0]  # another state, another stream


def test_a_fork_goes_its_own_way(midway: Episode, chat: ChatFormat):
    fork, twin = midway.fork(0, 0), midway.fork(1, 0)
    before = (midway.env.snapshot(), list(midway.ids), list(midway.actions))
    turn = chat.turn_ids(react(*fork.env.expert_action()))
    fork.step(turn, [], chat)
    assert fork.env.snapshot() != midway.env.snapshot()
    assert (midway.env.snapshot(), midway.ids, midway.actions) == before
    twin.step(turn, [], chat)
    assert twin.env.snapshot() == fork.env.snapshot()
    assert twin.observations == fork.observations
    assert twin.ids == fork.ids


def test_forks_go_on_from_the_parents_history(midway: Episode, model: Any, chat: ChatFormat):
    player = backend(model, chat)
    out = player.run([midway.fork(k, 0) for k in range(3)])
    assert len({t.ids for t in out}) == 3
    for t in out:
        assert list(t.ids[: len(midway.ids)]) == midway.ids
        assert t.actions[:1] == tuple(midway.actions)
        whole = whole_logprobs(model, t.ids)
        expected = [float(whole[k - 1]) for a, b in t.spans[1:] for k in range(a, b)]
        known = len(midway.logprobs)
        assert t.logprobs[:known] == (-0.5,) * known
        assert t.logprobs[known:] == pytest.approx(expected, abs=1e-9)
    total = sum((t.usage for t in out), Usage())
    own = sum(b - a for t in out for a, b in t.spans[1:])
    assert (total.generated, total.env_steps) == (own, sum(t.num_steps - 1 for t in out))


def test_a_history_with_unknown_logprobs_has_none(chat: ChatFormat, model: Any):
    player = backend(model, chat)
    episode = player.start(TASKS[1], 0, 0)
    episode.step(chat.turn_ids(react(*episode.env.expert_action())), [], chat)
    (trajectory,) = player.run([episode])
    assert trajectory.num_steps > 1
    assert trajectory.logprobs == ()  # some would stand at the wrong tokens


def test_turn_by_turn_is_the_same_episode_with_the_same_counts(
    played: list[Trajectory], model: Any, chat: ChatFormat
):
    player = backend(model, chat)
    episodes = [player.start(task, k, 3) for task, k in JOBS]
    while not all(e.done for e in episodes):
        player.act(episodes)
    for e, t in zip(episodes, played, strict=True):
        again = e.trajectory("policy")
        assert without_usage(again) == without_usage(t)
        assert again.logprobs == pytest.approx(t.logprobs, abs=1e-9)
        assert again.usage == t.usage


def test_forks_and_reordered_episodes_go_on_from_their_own_rows(
    model: Any, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
):
    player = backend(model, chat)
    episodes = [player.start(task, 0, 0) for task in TASKS[:3]]
    player.act(episodes)
    branches = [episodes[k].fork(i, 0) for i, k in enumerate((2, 0, 2))]
    shapes = forward_shapes(model, monkeypatch)
    monkeypatch.setitem(CALL, "cpu", 0)
    player.act(branches)
    monkeypatch.undo()
    # two histories read what is new to them: the last token of a turn, and the reply
    new = [len(episodes[k].ids) - episodes[k].last_end + 1 for k in (2, 0)]
    assert shapes[0] == (1, sum(new))
    assert [b.usage.prefilled for b in branches] == [new[0] - 1, new[1] - 1, 0]
    player.act(branches[1:])
    for episode in branches[1:]:
        assert len(episode.spans) == 3
        whole = whole_logprobs(model, episode.ids)
        expected = [float(whole[k - 1]) for a, b in episode.spans for k in range(a, b)]
        assert episode.logprobs == pytest.approx(expected, abs=1e-9)


def test_an_episode_that_stands_still_is_read_again(model: Any, chat: ChatFormat):
    """A turn of one token: the row that is left holds the whole history of its parent."""
    player = backend(model, chat, max_new_tokens=1)
    parent = player.start(TASKS[0], 0, 0)
    for k in range(2):
        fork = parent.fork(k, 0)
        player.act([fork])
        assert fork.logprobs == pytest.approx(
            [float(whole_logprobs(model, fork.ids)[parent.prompt_len - 1])], abs=1e-9
        )


def test_an_interrupted_run_leaves_nothing_that_a_later_turn_reads(
    model: Any, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
):
    """Ctrl-C after some episodes have left the batch; the next turns are those of a new player."""
    player, fresh = (backend(model, chat, max_rounds=4) for _ in range(2))
    step, left = Episode.step, iter(range(19))

    def stopped(*args: Any) -> list[int]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Episode, "step", stopped)
        with pytest.raises(KeyboardInterrupt):
            player.run([player.start(TASKS[k % 7], k, 3) for k in range(6)])
    ours, theirs = ([player.start(task, 0, 5) for task in TASKS[:2]] for _ in range(2))
    player.act(ours)
    fresh.act(theirs)
    assert [e.ids for e in ours] == [e.ids for e in theirs]
    assert [e.usage for e in ours] == [e.usage for e in theirs]


def test_a_turn_that_runs_out_of_memory_can_be_taken_one_by_one(
    model: Any, chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
):
    player, fresh = (backend(model, chat) for _ in range(2))
    ours, theirs = ([player.start(task, 0, 5) for task in TASKS[:4]] for _ in range(2))
    player.act(ours)
    fresh.act(theirs)

    def full(*args: Any) -> None:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(KVBatch, "append", full)
        with pytest.raises(torch.OutOfMemoryError):
            player.act(ours[::-1])
    for episode in ours[::-1]:
        player.act([episode])
    fresh.act(theirs)
    assert [e.ids for e in ours] == [e.ids for e in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.logprobs, other.logprobs, atol=1e-10)


# --- weights that hold NaN ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FastPlayer, PlainPlayer])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_policy_with_nan_weights_writes_no_token(
    folder: Path, chat: ChatFormat, kind: Any, temperature: float
):
    model = load_policy(folder)
    player = kind(model, chat, SamplingConfig(temperature=temperature, rules=False))
    episodes = [player.start(TASKS[1], k, 0) for k in range(2)]
    with torch.no_grad():
        model.model.norm.weight[3] = torch.nan
    with pytest.raises(ValueError, match=rf"for episode {TASKS[1].key}/0, turn 0, token 0 aren't"):
        player.run(episodes)
    assert all(e.ids == player.start(TASKS[1], 0, 0).ids for e in episodes)


# --- the plain player -----------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_plain_player_plays_the_same_episodes(
    folder: Path, chat: ChatFormat, temperature: float
):
    model = load_policy(folder)  # float32
    config = SamplingConfig(temperature, max_new_tokens=12, rules=False, max_rounds=4)
    fast, plain = (play(kind(model, chat, config), JOBS, 16) for kind in (FastPlayer, PlainPlayer))
    assert [without_usage(t) for t in plain] == [without_usage(t) for t in fast]
    for a, b in zip(plain, fast, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)
        assert (a.usage.generated, a.usage.env_steps) == (b.usage.generated, b.usage.env_steps)
        # it keeps nothing from turn to turn
        assert (a.usage.prefilled, a.usage.cached) == (sum(start for start, _ in a.spans), 0)


def test_the_plain_player_knows_no_penalty_of_the_checkpoint(folder: Path, chat: ChatFormat):
    config = SamplingConfig(max_new_tokens=12, rules=False, max_rounds=2)
    found = []
    for penalty in (None, 3.0):
        model = load_policy(folder)
        model.generation_config.repetition_penalty = penalty
        player = PlainPlayer(model, chat, config)
        found.append(play(player, JOBS[:2], 2))
        assert model.generation_config.repetition_penalty == penalty
    assert found[0] == found[1]
