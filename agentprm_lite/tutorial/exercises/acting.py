"""Chapters 1 to 3: worlds, policies, rollouts."""

from __future__ import annotations

from math import isclose
from typing import Any

from agentprm_lite.worlds.textcraft import TextCraft


def check_try_actions(try_actions: Any) -> None:
    """Exercise 01.1: what the environment answers to several actions in one state."""
    env = TextCraft()
    env.reset(options={"goal": "sugar"})
    env.step("get 1 sugar cane")
    saved = env.snapshot()
    answers = try_actions(env, ["craft 1 sugar using 1 sugar cane", "inventory", "get 2 stone"])
    assert isinstance(answers, list) and len(answers) == 3, "one answer for each action, in a list"
    pairs = [answer for answer in answers if isinstance(answer, tuple) and len(answer) == 2]
    assert len(pairs) == 3, f"expected pairs (observation, reward), got {answers[0]!r}"
    assert "not carrying" not in pairs[1][0], (
        "try each action in its present state, not from the beginning of the task"
    )
    assert [reward for _, reward in pairs] == [1.0, 0.0, 0.0], "the rewards should be 1, 0, 0"
    assert pairs[1][0].startswith("Inventory: [sugar cane] (1)"), (
        f"'inventory' after the craft got {pairs[1][0]!r}: "
        "restore the environment after every action"
    )
    assert env.snapshot() == saved, "the environment is not in the state in which you got it"


def check_state_value(state_value: Any) -> None:
    """Exercise 01.2: the exact value of a state under random actions."""
    moves = ["get 1 sugar cane", "craft 1 sugar using 1 sugar cane", "inventory"]
    env = TextCraft(max_rounds=3)
    env.reset(options={"goal": "sugar"})
    saved = env.snapshot()
    value = state_value(env, moves)
    left = env.snapshot()
    assert not isclose(value, 1.0), "1 is the best action's value, not the mean over the actions"
    assert not isclose(value, 5.0), "5 is a sum: divide by the number of actions, at each turn"
    assert not isclose(value, 0.0), (
        "0: your answer looks one turn ahead only; where the episode goes on, use the value of the "
        "next state"
    )
    assert isclose(value, 7 / 27), (
        f"expected 7/27 = 0.2593, got {value:.4f}: every action must be tried from the same state"
    )
    assert left == saved, "the environment is not in the state in which you got it"
    env.step("get 1 sugar cane")
    value = state_value(env, moves)
    assert isclose(value, 5 / 9), f"with the cane in hand expected 5/9 = 0.5556, got {value:.4f}"


def check_sft_loss(sft_loss: Any) -> None:
    """Exercise 02.1: the mean negative log-probability of the action tokens."""
    # prompt 0-1, turn 2-4 (three tokens), observation 5, turn 6 (one token), rest 7
    logprobs = [-9.0, -8.0, -1.0, -2.0, -3.0, -7.0, -4.0, -6.0]
    loss = sft_loss(logprobs, [(2, 5), (6, 7)])
    right = (1.0 + 2.0 + 3.0 + 4.0) / 4
    assert not isclose(loss, 40 / 8), "5.0 counts the prompt and the observations too"
    assert not isclose(loss, -right), "a loss is positive: the logarithm of a probability is not"
    assert not isclose(loss, 10.0), "10 is a sum: divide by the number of action tokens"
    assert not isclose(loss, (2.0 + 4.0) / 2), (
        "3.0 is a mean of the turns' means: every token counts the same"
    )
    assert not isclose(loss, (8.0 + 1.0 + 2.0 + 7.0) / 4), (
        "4.5: shifted by one; logprobs[i] already belongs to the token at i"
    )
    assert not isclose(loss, (1.0 + 2.0 + 3.0 + 7.0 + 4.0 + 6.0) / 6), (
        "the token at end is not part of the turn"
    )
    assert isclose(loss, right), f"expected {right}, got {loss}"


def check_keep_for_rft(keep_for_rft: Any) -> None:
    """Exercise 02.2: the successes that RFT learns from."""
    a, b, c = ("get", "craft"), ("inventory", "get", "craft"), ("get", "get", "craft")
    kept = keep_for_rft([("sugar", a, True), ("sugar", b, False)], 4)
    assert kept == [("sugar", a, True)], "a failure was kept"
    kept = keep_for_rft([("sugar", a, True), ("sugar", a, True), ("sugar", b, True)], 4)
    assert len(kept) == 2, "the same actions were kept twice for one task"
    kept = keep_for_rft([("sugar", actions, True) for actions in (a, b, c)], 2)
    assert len(kept) <= 2, "more than per_task episodes of one task were kept"
    kept = keep_for_rft([("sugar", a, True), ("sugar", b, True), ("bread", c, True)], 2)
    assert len(kept) == 3, "the limit holds for each task on its own"
    kept = keep_for_rft([("sugar", a, True), ("bread", a, True)], 2)
    assert len(kept) == 2, "the same actions in another task are another episode"
    kept = keep_for_rft([("sugar", a, False), ("sugar", b, True)], 1)
    assert kept == [("sugar", b, True)], "a failure must not use up a place"
    kept = keep_for_rft([("sugar", a, True), ("sugar", a, True), ("sugar", b, True)], 2)
    assert len(kept) == 2, "a repetition must not use up a place"
    mixed = [("sugar", a), ("bread", a), ("sugar", b), ("sugar", c), ("bread", b)]
    kept = keep_for_rft([(*episode, True) for episode in mixed], 2)
    wanted = [(*mixed[i], True) for i in (0, 1, 2, 4)]
    assert kept == wanted, "keep the first per_task of each task, in the order in which they came"
    kept = keep_for_rft([("sugar", a, False), ("sugar", a, True)], 1)
    assert kept == [("sugar", a, True)], "a failure must not make a success look like a repetition"


def check_pass_at_n(pass_at_n: Any) -> None:
    """Exercise 03.1: the unbiased estimate of pass@n."""
    one_of_four = [False, True, False, False]
    value = pass_at_n([False, False, True, True, False, False], 2)  # 1 − C(4, 2) / C(6, 2)
    assert not isclose(value, 0.4), "0.4 is the chance of failures only: take one minus it"
    assert not isclose(value, 1 / 15), "1/15 is the chance that all of them succeed"
    assert not isclose(value, 1 - (4 / 6) ** 2), (
        "0.5556 draws with replacement: the same sample can't be taken twice"
    )
    turned = pass_at_n(one_of_four[::-1], 2)
    assert isclose(pass_at_n(one_of_four, 2), turned), "the order of the samples must not matter"
    assert not isclose(turned, 1.0), "1.0 says whether any of all samples succeeds, not of n"
    assert isclose(value, 0.6), f"with 2 of 6 successes pass@2 is 0.6, got {value}"
    assert isclose(turned, 0.5), f"with 1 of 4 successes pass@2 is 0.5, got {turned}"
    assert isclose(pass_at_n([True, True, False], 2), 1.0), (
        "with fewer than n failures every draw holds a success"
    )


def check_still_to_play(still_to_play: Any) -> None:
    """Exercise 03.2: the jobs that are missing in a file after a crash."""
    jobs = [("sugar", 0), ("sugar", 1), ("bread", 0), ("bread", 1)]
    lines = [f'{{"task": "{task}", "sample": {sample}}}' for task, sample in jobs]
    left = still_to_play(jobs, lines[0] + "\n")
    assert left != jobs, "nothing that is in the file is played again"
    assert ("sugar", 1) in left, "samples of one task are different jobs"
    assert left == jobs[1:], f"in the order of the jobs expected {jobs[1:]}, got {left}"
    left = still_to_play(jobs, lines[0] + "\n" + lines[1] + "\n" + lines[2][:-4])
    assert left == jobs[2:], "a line without its line break is cut: its episode is to be played"
    left = still_to_play(jobs, lines[0] + "\n" + lines[1])
    assert left == jobs[1:], (
        "a cut line can be valid JSON: without its line break the next episode would be appended "
        "to it"
    )
    left = still_to_play(jobs, lines[2] + "\n")
    assert left == [jobs[0], jobs[1], jobs[3]], (
        "episodes may end in another order than that of the jobs: read which they are"
    )
    assert still_to_play(jobs, "\n".join(lines) + "\n") == [], "nothing is missing in a whole file"
    assert still_to_play(jobs, "") == jobs, "with an empty file everything is to be played"
