"""Playing in memory: an expert's demonstrations, Monte Carlo rollouts from every state."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import TASKS, backend, float64

from agentprm_lite.env import make_env
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.fast import FastPlayer
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.rollout import continue_from
from agentprm_lite.tutorial.tiny import tiny_tokenizer, vocabulary
from agentprm_lite.types import Task, Trajectory, Usage
from agentprm_lite.worlds import demonstrate
from agentprm_lite.worlds.textcraft import TextCraft


@pytest.fixture(scope="module")
def player(folder: Path, chat: ChatFormat) -> FastPlayer:
    return backend(float64(load_policy(folder)), chat, max_new_tokens=4)


@pytest.fixture(scope="module")
def trajectory(player: FastPlayer) -> Trajectory:
    return player.run([player.start(TASKS[1], 1, 5)])[0]


# --- demonstrations -------------------------------------------------------------------------------


def test_demonstrations_are_the_experts_successes(chat: ChatFormat):
    out = demonstrate(chat, TASKS, SamplingConfig(rules=False))
    assert [t.task for t in out] == TASKS
    for t in out:
        assert t.success
        assert t.terminated
        assert t.outcome == 1.0
        assert t.logprobs == ()
        assert (t.policy, t.seed, t.sample) == ("expert", 0, 0)
        ids = chat.opening_ids(t.observations[0])
        for k, turn in enumerate(t.actions):
            ids += chat.turn_ids(turn)
            assert t.score_positions[k] == len(ids) - 1
            if k + 1 < t.num_steps:
                ids += chat.observation_ids(t.observations[k + 1])
        assert list(t.ids) == ids
        # the whole conversation in the tokenizer's own words; its end token closes the last turn
        messages = []
        for observation, turn in zip(t.observations, t.actions, strict=False):
            messages.append({"role": "user", "content": observation})
            messages.append({"role": "assistant", "content": turn})
        text = chat.tokenizer.apply_chat_template(messages, tokenize=False)
        assert chat.tokenizer.encode(text, add_special_tokens=False) == ids


def test_what_the_expert_cannot_finish_is_left_out(chat: ChatFormat):
    env = make_env("textcraft")
    netherite = Task("textcraft", env.reset(options={"goal": "netherite block"})[1]["index"])
    out = demonstrate(chat, [TASKS[0], netherite], SamplingConfig(rules=False))
    assert [t.task for t in out] == [TASKS[0]]  # 48 steps are more than 20 rounds


def test_demonstrations_keep_the_limit(chat: ChatFormat):
    """They are what a player could have played."""
    config = SamplingConfig(rules=False)
    (full,) = demonstrate(chat, TASKS[:1], config)
    most = {
        "max_context": full.spans[-1][0] + config.max_new_tokens,
        "max_new_tokens": max(end - start for start, end in full.spans),
    }
    for name, limit in most.items():
        for less, kept in ((0, [full]), (1, [])):
            found = demonstrate(chat, TASKS[:1], replace(config, **{name: limit - less}))
            assert found == kept, name


def test_vocabulary_covers_other_variants_and_their_episodes():
    tasks = TextCraft.tasks("train") + TextCraft.tasks("test")
    tokenizer = tiny_tokenizer(vocabulary(tasks))
    rng = random.Random(0)
    texts = []
    for task in rng.sample(tasks, 40):
        env = TextCraft(max_rounds=60)
        texts.append(env.reset(options={"index": task.index, "variant": rng.randint(1, 2000)})[0])
        commands = texts[-1].split("\n")
        for _ in range(12):
            action = rng.choice([env.expert_action()[1], rng.choice(commands), "inventory", ""])
            reply, _, terminated, _, _ = env.step(action)
            texts.append(reply)
            if terminated:
                break
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.unk_token_id not in ids, text
        assert tokenizer.decode(ids) == text


# --- Monte Carlo rollouts -------------------------------------------------------------------------


def test_continuing_a_greedy_episode_greedily_is_that_episode(folder: Path, chat: ChatFormat):
    player = backend(float64(load_policy(folder)), chat, max_new_tokens=6, temperature=0)
    (trajectory,) = player.run([player.start(TASKS[0], 0, 0)])
    rows = continue_from(player, trajectory, 2)
    assert len(rows) == trajectory.num_steps == 20
    for row in rows:
        for t in row:
            assert t.ids == trajectory.ids
            assert t.rewards == trajectory.rewards
    # state t lies 1 + t turns into the episode; two rollouts each play the other 19 - t
    assert sum(t.usage.env_steps for row in rows for t in row) == 2 * sum(range(20))


def test_rollouts_begin_with_the_history_and_then_differ(
    player: FastPlayer, trajectory: Trajectory
):
    rows = continue_from(player, trajectory, 3)
    assert len(rows) == trajectory.num_steps
    for t, row in enumerate(rows):
        assert len(row) == 3
        end = trajectory.spans[t][1]
        for rollout in row:
            assert rollout.ids[:end] == trajectory.ids[:end]
            assert rollout.actions[: t + 1] == trajectory.actions[: t + 1]
    assert len({t.ids for t in rows[3]}) == 3
    again = continue_from(player, trajectory, 3)
    assert again == rows
    # all states share one history: the prompt and every reply are read once, then each goes on
    prefilled = sum(t.usage.prefilled for row in rows for t in row)
    assert prefilled < 3 * 20 * len(trajectory.ids)


def test_another_prompt_is_refused(folder: Path, chat: ChatFormat, trajectory: Trajectory):
    other = backend(load_policy(folder), chat, rules=True)
    with pytest.raises(ValueError, match=rf"{trajectory.key}, step 0: .*other ids"):
        continue_from(other, trajectory, 1)


def test_nothing_is_played_after_the_end(player: FastPlayer, chat: ChatFormat):
    (expert,) = demonstrate(chat, TASKS[:1], SamplingConfig(rules=False))
    rows = continue_from(player, expert, 2)
    assert len(rows) == expert.num_steps
    for t in rows[-1]:
        assert (t.outcome, t.success, t.terminated) == (1.0, True, True)
        assert t.ids == expert.ids
        assert t.usage == Usage()


def test_a_record_that_the_environment_contradicts_is_refused(
    player: FastPlayer, trajectory: Trajectory
):
    wrong = list(trajectory.observations)
    wrong[2] = "Got 1 diamond"
    with pytest.raises(ValueError, match=r"step 1: the environment answers .* 'Got 1 diamond'"):
        continue_from(player, replace(trajectory, observations=tuple(wrong)), 1)
