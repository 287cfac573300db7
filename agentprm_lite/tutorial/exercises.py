"""The checks of the book's exercises.

`attempt(check, answer)` is what a chapter calls. Each `check_NAME(answer)` below tests one exercise
and raises an AssertionError whose message names the mistake; the tests run every check on the
book's solution, on the empty stub and on a list of known wrong answers.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from math import isclose
from typing import Any

from agentprm_lite.worlds.textcraft import TextCraft


def attempt(check: Callable[[Any], None], answer: Any) -> None:
    """Run one check on an answer and print the verdict in one line.

    Nothing is raised, so a chapter runs to its end with its exercises unsolved.

    Args:
        check: one of this module's check functions.
        answer: what the reader wrote, usually a function.

    Example:
        >>> def check_double(double):
        ...     assert double(2) == 4, "twice 2 is 4"
        >>> attempt(check_double, lambda x: 2 * x)
        ✓ check_double
        >>> attempt(check_double, lambda x: x + 1)
        ✗ check_double: twice 2 is 4
    """
    name = getattr(check, "__name__", str(check))
    try:
        check(answer)
    except NotImplementedError:
        print(f"○ {name}: not solved yet")
    except AssertionError as error:
        print(f"✗ {name}: {error}")
    except Exception as error:
        print(f"✗ {name}: your code raised {type(error).__name__}: {error}")
    else:
        print(f"✓ {name}")


# Chapter 01


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


# Chapter 02


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
    kept = keep_for_rft([("sugar", a, False), ("sugar", a, True)], 1)
    assert kept == [("sugar", a, True)], "a failure must not make a success look like a repetition"


# Chapter 03


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
    assert still_to_play(jobs, "\n".join(lines) + "\n") == [], "nothing is missing in a whole file"
    assert still_to_play(jobs, "") == jobs, "with an empty file everything is to be played"


# Chapter 04


def check_td_labels(td_labels: Any) -> None:
    """Exercise 04.1: labels by the backward recursion."""
    # from the end: 1; 0.25 * 0.6 + 0.75 * 1 = 0.9; 0.25 * 0.2 + 0.75 * 0.9 = 0.725
    m, right = [0.2, 0.6, 0.4], [0.725, 0.9, 1.0]
    labels = [float(x) for x in td_labels(list(m), 1.0, 0.75)]
    assert len(labels) == 3, f"expected one label a turn, 3 in all, got {len(labels)}"
    same = [isclose(a, b) for a, b in zip(labels, right, strict=True)]
    assert not all(isclose(a, b) for a, b in zip(labels, right[::-1], strict=True)), (
        "right numbers in reversed order: the first label belongs to the first turn"
    )
    assert not isclose(labels[2], 1.4), (
        "the last label is 1.4: the outcome plus the prediction of it is equation 12 taken "
        "literally"
    )
    assert same[2], f"the last label is the outcome, 1, not {labels[2]:.3f}"
    assert not isclose(labels[1], 0.7), "the weights are swapped: (1 - lam) belongs to m[t]"
    assert not isclose(labels[1], 0.85), "one off: the label of turn t contains m[t], not m[t + 1]"
    assert not isclose(labels[0], 1.0), "every label is the outcome: that is lam = 1, PVM"
    assert all(same), f"expected {right}, got {[round(x, 4) for x in labels]}"
    assert [float(x) for x in td_labels([0.3], 0.0, 0.95)] == [0.0], (
        "a trajectory of one turn has one label, its outcome"
    )


def check_lambda_return(lambda_return: Any) -> None:
    """Exercise 04.2: the return of Sarsa(λ) whose last value is the outcome."""
    # from turn 0: 0.5 * 0.6 + 0.25 * 0.4 + 0.25 * 1 = 0.65
    m = [0.2, 0.6, 0.4, 0.7]
    g = float(lambda_return(m, 1.0, 0.5, 0))
    assert not isclose(g, 0.6125), (
        "0.6125 bootstraps from m at the last turn: its value is known, it is the outcome"
    )
    assert not isclose(g, 0.425), (
        "0.425 is the label: its sum begins with m[t], the return's with m[t + 1]"
    )
    assert not isclose(g, 0.525), "the weights sum to 0.875: the outcome gets all that is left"
    assert isclose(g, 0.65), f"expected 0.65 for turn 0, got {g:.4f}"
    g = float(lambda_return(m, 1.0, 0.5, 2))
    assert isclose(g, 1.0), f"from turn 2 only the outcome is left: expected 1, got {g:.4f}"
    g = float(lambda_return(m, 1.0, 0.5, 3))
    assert isclose(g, 1.0), f"the return of the last turn is the outcome: expected 1, got {g:.4f}"


# Chapter 05


def check_loss_by_hand(loss_by_hand: Any) -> None:
    """Exercise 05.1: L_Q + beta * L_A of one trajectory."""
    # L_Q = (0.0225 + 0.04 + 0.04) / 6, L_A = (0.0025 + 0) / 4
    l_q, l_a = 0.1025 / 6, 0.0025 / 4
    loss = float(loss_by_hand([0.5, 0.6, 0.8], [0.65, 0.8, 1.0], 2.0))
    assert not isclose(loss, 2 * (l_q + 2 * l_a)), "twice too large: both losses carry a factor 1/2"
    assert not isclose(loss, 3 * l_q + 2 * 2 * l_a), "a loss is the mean of its terms, not the sum"
    assert not isclose(loss, 0.02), "the root is missing: it is labelled like every turn"
    assert not isclose(loss, l_q + l_a), "beta is not used: it multiplies L_A"
    assert not isclose(loss, l_q + 2 * (0.25**2 + 0.4**2) / 4), (
        "a sign in L_A: subtract the labels' differences from the model's"
    )
    assert not isclose(loss, l_q + 2 * (0.1**2 + 0.2**2) / 4), (
        "L_A pulls the model's differences to the labels' differences, not to 0"
    )
    assert isclose(loss, l_q + 2 * l_a), f"expected {l_q + 2 * l_a:.6f}, got {loss:.6f}"


def check_score_positions(score_positions: Any) -> None:
    """Exercise 05.2: the last produced token of every turn."""
    produced = [False, False, True, True, False, True]
    found = list(score_positions(list(produced)))
    assert found != [2, 5], "these are the first tokens of the turns, M is read at the last"
    assert found != [4, 6], "one token late: that token belongs to the world's answer"
    assert found != [3], "the last turn is missing: nothing comes after it, but it ends too"
    assert found != [2, 3, 5], "M is read once a turn, not at every token of it"
    assert found == [3, 5], f"expected [3, 5], got {found}"
    assert list(score_positions([False, True])) == [1], "a turn of one token has its last token too"


# Chapter 06


def check_best_of(best_of: Any) -> None:
    """Exercise 06.1: the expected outcome of the best of n samples."""
    scores, success = [0.9, 0.6, 0.4, 0.2], [0, 1, 0, 1]
    one, two = best_of(scores, success, 1), best_of(scores, success, 2)
    assert isclose(one, 0.5, abs_tol=1e-9), (
        f"Best-of-1 is the mean of all samples, 0.5 here, got {one}: the first n are one subset of "
        "many"
    )
    assert not isclose(two, 5 / 6, abs_tol=1e-9), "that is pass@n: the score chooses, not a success"
    assert not isclose(two, 3 / 8, abs_tol=1e-9), "a subset holds n different samples"
    assert not isclose(two, 2 / 3, abs_tol=1e-9), "the highest score wins, not the lowest"
    assert isclose(two, 1 / 3, abs_tol=1e-9), f"n = 2 in the hand case: expected 1/3, got {two}"
    for tied in ([1, 0], [0, 1]):
        got = best_of([0.5, 0.5], tied, 2)
        assert isclose(got, 0.5, abs_tol=1e-9), (
            f"two samples tie and one succeeded: expected 0.5, got {got}; tied winners count "
            "equally, whatever their order"
        )
    three = best_of([1.0, 0.0, 1.0, 0.0], [1, 1, 0, 1], 3)  # 2 of 4 subsets hold both tied winners
    assert isclose(three, 0.5, abs_tol=1e-9), f"with two ties and n = 3: expected 0.5, got {three}"


def check_samples_needed(samples_needed: Any) -> None:
    """Exercise 06.2: where a curve first reaches a target."""
    ns, curve = [1, 2, 4], [0.1, 0.2, 0.3]
    for target, expected in ((0.05, 1), (0.1, 1), (0.2, 2), (0.3, 4)):
        got = samples_needed(ns, curve, target)
        assert got is not None and isclose(got, expected, rel_tol=1e-9), (
            f"the curve has {target} or more from N = {expected} on, got {got}"
        )
    never = samples_needed(ns, curve, 0.5)
    assert never == float("inf"), (
        f'a target that is never reached needs float("inf") samples, got {never}'
    )
    between = samples_needed(ns, curve, 0.25)
    assert between not in (2, 4), f"0.25 lies between N = 2 and 4: interpolate, got {between}"
    assert not isclose(between, 3.0), "interpolate linearly over log N, not over N"
    assert isclose(between, 8**0.5, rel_tol=1e-9), f"expected 2·√2 for 0.25, got {between}"
    falling = samples_needed(ns, [0.1, 0.4, 0.2], 0.3)
    assert isclose(falling, 2 ** (2 / 3), rel_tol=1e-9), (
        f"a curve may fall again: it first reaches 0.3 at {2 ** (2 / 3):.3f}, got {falling}"
    )


# Chapter 07


def check_next_beam(next_beam: Any) -> None:
    """Exercise 07.1: one round of beam search."""
    b, d = ("b", 0.6, False), ("d", 0.55, False)
    ba, bb = ("ba", 0.2, False), ("bb", 0.4, False)
    da, db = ("da", 0.7, True), ("db", 0.5, False)
    dba, dbb = ("dba", 0.65, True), ("dbb", 0.1, False)
    children = {"b": [ba, bb], "d": [da, db], "db": [dba, dbb]}

    def expand(path: Any) -> Any:
        assert not path[2], f"path {path[0]} is over: it keeps its score and is not expanded"
        return list(children[path[0]])

    beam = [b, d]
    got = list(next_beam(beam, expand, 2))
    assert beam == [b, d], "leave the argument beam as it is"
    assert b not in got and d not in got, "a path that is not over gives way to its children"
    known = [ba, bb, da, db]
    assert all(path in known for path in got), (
        f"expected paths as expand gave them, got {got}: a path's score is that of its last step"
    )
    assert set(got) != {da, bb}, (
        "places belong to the beam, not to a parent: both may go to children of d"
    )
    assert set(got) == {da, db}, f"round 2 keeps da and db, got {[path[0] for path in got]}"
    assert got == [da, db], "the best path comes first"
    last = list(next_beam([da, db], expand, 2))
    assert da in last, "da is over and has the highest score: it keeps its place in the beam"
    assert last == [da, dba], f"round 3 keeps da and dba, got {[path[0] for path in last]}"


def check_tokens_computed(tokens_computed: Any) -> None:
    """Exercise 07.2: tokens with and without a cache."""
    got = tokens_computed(100, [(10, 5), (20, 7), (30, 9)])
    assert isinstance(got, tuple | list) and len(got) == 2, f"expected two numbers, got {got}"
    cached, whole = got
    assert (cached, whole) != (417, 172), "first the number with a cache, then the one without"
    assert cached not in (181, 426), "the reply to the last action is never read"
    assert cached == 172, f"with a cache every token counts once: 100+10+5+20+7+30, got {cached}"
    assert whole != 377, "the history before a turn holds the earlier actions, not the replies only"
    assert whole != 217, "without a cache the prompt is computed again at every turn"
    assert whole == 417, f"without a cache: (100+10) + (115+20) + (142+30) = 417, got {whole}"
    one = tuple(tokens_computed(50, [(5, 3)]))
    assert one == (55, 55), f"in a single turn a cache saves nothing: (55, 55), got {one}"


# Chapter 08


def check_turn_gae(turn_gae: Any) -> None:
    """Exercise 08.1: advantages over turns."""
    rewards, values = [0, 0, 0, 1.0], [0.3, 0.4, 0.5, 0.6]
    got = [float(a) for a in turn_gae(rewards, values, 0.0, 1.0, 0.95)]
    assert len(got) == 4, f"expected one advantage a turn, 4 here, got {len(got)}"
    expected = [0.6282, 0.556, 0.48, 0.4]
    assert not _close(got, expected[::-1]), "the first turn comes first"
    assert not _close(got, [0.1, 0.1, 0.1, 0.4]), (
        "that is delta alone: add γλ times the advantage of the next turn"
    )
    assert not _close(got, [0.7, 0.6, 0.5, 0.4]), "λ is missing: these are returns minus values"
    assert not isclose(got[-1], 1.0), (
        "after the last turn comes last_value, not the value before it once more"
    )
    assert _close(got, expected), f"the hand case: expected {expected}, got {got}"
    cut = [float(a) for a in turn_gae([0, 0], [0.3, 0.4], 0.7, 1.0, 0.5)]
    assert not isclose(cut[-1], -0.4), "last_value is not used: a cut episode bootstraps with it"
    assert _close(cut, [0.25, 0.3]), f"a cut episode: expected [0.25, 0.3], got {cut}"
    discounted = [float(a) for a in turn_gae([0, 1.0], [0.5, 0.5], 0.0, 0.5, 1.0)]
    assert _close(discounted, [0.0, 0.5]), (
        f"γ discounts the next value and the next advantage: expected [0, 0.5], got {discounted}"
    )


def check_shaped(shaped: Any) -> None:
    """Exercise 08.2: potential-based shaping with a zero terminal potential."""
    rewards, q = [0.0, 1.0], [0.6, 0.9]
    got = [float(r) for r in shaped(rewards, q, 0.5, True, 1.0)]
    assert rewards == [0.0, 1.0] and q == [0.6, 0.9], "leave the arguments as they are"
    assert len(got) == 2, f"expected one reward a turn, 2 here, got {len(got)}"
    assert not _close(got, [0.6, 1.9]), "that pays for the value itself: pay for its change"
    assert not isclose(got[1], 1.3), "the potential after a final end is 0, not q[-1]"
    assert not isclose(got[0], 0.6), "before the first turn the potential is the root value"
    assert _close(got, [0.1, 0.4]), f"the hand case: expected [0.1, 0.4], got {got}"
    cut = [float(r) for r in shaped([0.0, 0.0], q, 0.5, False, 1.0)]
    assert _close(cut, [0.1, 0.3]), (
        f"a cut episode keeps its last potential: expected [0.1, 0.3], got {cut}"
    )
    double = [float(r) for r in shaped(rewards, q, 0.5, True, 2.0)]
    assert _close(double, [0.2, -0.2]), (
        f"alpha weighs the process reward alone: expected [0.2, -0.2] for alpha 2, got {double}"
    )


# Chapter 09


def check_parse_answer(parse_answer: Any) -> None:
    """Exercise 09.1: the number after the first four signs."""
    assert parse_answer("48 + 24 = 72") is None, "without #### there is no answer: None"
    got = parse_answer("Of 12 rolls 3 burn.\n#### 9")
    assert got != 12, "12 is the first number of the text, not the one after ####"
    assert got == 9, f"'#### 9' in the second line: expected 9, got {got}"
    got = parse_answer("#### 9\nThat took 2 steps.")
    assert got == 9, f"the answer ends with its line: expected 9, got {got}"
    assert parse_answer("####\n9") is None, "no number in the line of ####: None"
    assert parse_answer("#### 8 #### 9") == 8, "the first #### counts"
    got = parse_answer("#### 1,234 rolls")
    assert got == 1234, f"commas group thousands: expected 1234, got {got}"
    got = parse_answer("#### -$3")
    assert got == -3, f"the sign counts: expected -3, got {got}"
    got = parse_answer("#### $2.50")
    assert got is not None and isclose(got, 2.5), f"decimals count: expected 2.5, got {got}"
    assert parse_answer("#### many") is None, "'#### many' states no number: None"


def check_first_wrong_step(first_wrong_step: Any) -> None:
    """Exercise 09.2: the first step that is false or uses a number from nowhere."""
    told = {12, 5, 3}
    got = first_wrong_step(["12 - 5 = 7", "7 * 3 = 20", "20 + 5 = 26", "#### 26"], told)
    assert got != 2, (
        "steps 1 and 2 are both false: the answer is the first, and places count from 0"
    )
    assert got != 0, "step 0, 12 - 5 = 7, is true and uses numbers that were told"
    assert got == 1, f"7 * 3 = 20 is the first wrong step: expected 1, got {got}"
    assert told == {12, 5, 3}, "leave the argument told as it is"
    got = first_wrong_step(["12 - 5 = 7", "7 * 3 = 21", "#### 21"], told)
    assert got != 2, "a step that states no calculation is not wrong: None is not False"
    assert got != 1, "7 is known in step 1: it is the result of an earlier step"
    assert got is None, f"nothing is wrong here: expected None, got {got}"
    got = first_wrong_step(["12 - 4 = 8", "8 * 3 = 24"], told)
    assert got == 0, f"12 - 4 = 8 is true, but nobody told 4: expected 0, got {got}"
    got = first_wrong_step(["7 * 3 = 21", "12 - 5 = 7"], told)
    assert got == 0, f"7 is used before it is computed: expected 0, got {got}"
    got = first_wrong_step(["12 + 5 = 17", "17 * 3 = 51"], told)
    assert got is None, f"a wrong turn can't be seen without the solution: expected None, got {got}"


# Chapter 10


def check_tied_best(tied_best: Any) -> None:
    """Exercise 10.1: the expected success of the best candidate."""
    scores = [0.2, 0.9, 0.9, 0.1]
    got = float(tied_best(scores, [0, 1, 0, 1]))
    assert not isclose(got, 1.0), "a tie is broken at random: the first of the best isn't chosen"
    assert not isclose(got, 0.0), "a tie is broken at random: the last of the best isn't chosen"
    assert isclose(got, 0.5), f"two candidates tie, one of them succeeds: expected 0.5, got {got}"
    low = float(tied_best([-3.0, -1.0, -2.0], [1, 0, 1]))
    assert not isclose(low, 1.0), "the largest score wins, also where all are negative"
    assert isclose(low, 0.0), f"one candidate is best and fails: expected 0, got {low}"
    assert isclose(float(tied_best([0.5], [1])), 1.0), "a single candidate is the best one"


def check_share_won(share_won: Any) -> None:
    """Exercise 10.2: the share of headroom that a judge wins."""
    got = share_won([1, 0, 0.5], [0.5, 0, 0.4], [1, 0, 0.8])
    assert got is not None, "there is headroom here: 0.6 against 0.3"
    assert not isclose(got, 0.2, abs_tol=1e-6), "divide by the headroom"
    assert not isclose(got, 5 / 6, abs_tol=1e-6), "subtract one sample's success above and below"
    assert isclose(got, 2 / 3, abs_tol=1e-6), f"0.2 of 0.3: expected 0.667, got {got}"
    harm = share_won([0.1, 0.1], [0.2, 0.2], [0.4, 0.4])
    assert isclose(harm, -0.5, abs_tol=1e-6), f"a harmful judge is negative: -0.5, got {harm}"
    assert share_won([0.3], [0.3], [0.3]) is None, "no headroom: None"


# Chapter 11


class _Dice:
    """A world of dice: what has been rolled, and a generator of its own."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.rolls: list[int] = []

    def roll(self, count: int) -> list[int]:
        self.rolls += [self.rng.randint(1, 6) for _ in range(count)]
        return list(self.rolls)


def check_save_dice(save_dice: Any) -> None:
    """Exercise 11.1: a complete copy of a state with a generator."""
    world = _Dice(1)
    world.roll(3)
    before, rolled = world.rng.getstate(), list(world.rolls)
    state = save_dice(world)
    assert (world.rng.getstate(), world.rolls) == (before, rolled), "saving has changed the world"
    assert isinstance(state, dict), f"expected a dict, got {type(state).__name__}"
    assert "rolls" in state, "what has been rolled is missing: load_dice reads state['rolls']"
    assert "rng" in state, "where the generator stands is missing: load_dice reads state['rng']"
    assert state["rolls"] is not world.rolls, (
        "the list in your state is the world's own: playing on would change the copy"
    )
    try:
        text = json.dumps(state)
    except TypeError as error:
        raise AssertionError(f"json.dumps cannot write your state: {error}") from None
    expected = world.roll(20)
    fork, read = _Dice(2), json.loads(text)
    version, numbers, gauss = read["rng"]
    fork.rng.setstate((version, tuple(numbers), gauss))
    fork.rolls = read["rolls"]
    assert fork.roll(20) == expected, "the copy rolls other numbers than the world it was made of"


class _Telling:
    """Says its secret in the observations with the given indices, else always the same."""

    def __init__(self, secret: int, tells: tuple[int, ...]) -> None:
        self.secret, self.tells, self.round = secret, tells, 9

    def reset(self) -> tuple[str, dict[str, Any]]:
        self.round = 0
        return self._told(), {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.round += 1
        return self._told(), 0.0, False, False, {}

    def _told(self) -> str:
        return f"Hint {self.secret}." if self.round in self.tells else f"Round {self.round}."


def check_first_leak(first_leak: Any) -> None:
    """Exercise 11.2: the first observation that gives a secret away."""
    actions = ["wait", "wait", "wait"]

    def asked(tells: tuple[int, ...], secrets: tuple[int, ...] = (1, 2, 3)) -> Any:
        return first_leak([_Telling(secret, tells) for secret in secrets], actions)

    assert asked((0,)) == 0, "index 0 is the observation of reset: here it gives the secret away"
    assert asked((2,)) is not None, "the replies to the actions count too"
    assert asked((2,)) == 2, (
        f"the reply to the second action leaks: expected 2 (index 0 is the observation of reset), "
        f"got {asked((2,))}"
    )
    assert asked((1,), (1, 1, 2)) == 1, "compare all worlds: here the third one differs"
    assert asked((1, 3)) == 1, f"two leaks, the first one is asked for: got {asked((1, 3))}"
    assert asked(()) is None, f"without a leak the answer is None, got {asked(())}"


# Chapter 12


def check_kv_bytes(kv_bytes: Any) -> None:
    """Exercise 12.1: memory of the cache of keys and values."""
    got = kv_bytes(3, 5, 7, 11, 2)
    assert got != 2310, "a key and a value: the cache keeps two vectors a head"
    assert got != 1540, "every layer has keys and values of its own"
    assert got != 924, "every key-value head has keys and values of its own"
    assert got == 4620, f"3 layers, 5 heads of 7, 11 tokens, 2 bytes: expected 4620, got {got}"
    assert kv_bytes(3, 5, 7, 11, 4) == 9240, "float32 takes 4 bytes a number: see bytes_each"
    assert kv_bytes(80, 8, 128, 1, 2) == 327_680, "a Llama of 70B takes 327,680 bytes a token"


def check_weighted_mean(weighted_mean: Any) -> None:
    """Exercise 12.2: one mean of the ranks' means."""
    got = weighted_mean([(1.0, 1), (0.0, 9)])
    assert got is not None, "there are ten positions here: expected 0.1, got None"
    assert not isclose(got, 0.5), "the average of means: rank 0 has one position of ten, not half"
    assert not isclose(got, 1.0), "divide by the number of positions"
    assert isclose(got, 0.1), f"one error of 1 among ten positions: expected 0.1, got {got}"
    assert isclose(weighted_mean([(0.5, 4), (0.2, 1), (0.2, 1)]), 0.4), "take all ranks"
    empty = weighted_mean([(0.25, 4), (float("nan"), 0)])
    assert empty is not None, "one rank has positions: its mean is the answer"
    assert isclose(empty, 0.25), f"a rank without positions counts for nothing: 0.25, got {empty}"
    try:
        none = weighted_mean([(float("nan"), 0), (float("nan"), 0)])
    except ZeroDivisionError:
        raise AssertionError("no rank has a position: return None, don't divide by 0") from None
    assert none is None, f"no rank has a position: None, got {none}"


# Chapter 13


def check_lora_bytes(lora_bytes: Any) -> None:
    """Exercise 13.1: what training adapters keeps."""
    got = lora_bytes([(10, 6), (6, 10)], 2)
    assert got != 1024, "the layers' own weights stay in memory: 4 bytes each"
    assert got != 1920 and got != 2944, "the layers' own weights aren't trained: 4 bytes each"
    assert got != 736, "gradients and moments are kept for the adapters: 16 bytes a weight"
    assert got != 1248, "AdamW keeps two moments a weight, besides its gradient"
    assert got != 992, "the rank is 2: both matrices of an adapter have r times as many weights"
    assert got != 752, "all layers have adapters, and all of them stay in memory"
    assert got != 4320, "an adapter is two thin matrices: r times (inputs + outputs) weights"
    assert got == 1504, f"two layers of 60 weights, adapters of 32: expected 1504, got {got}"
    assert lora_bytes([(1536, 576)], 16) == 4_079_616, "SmolLM2's layer takes 4,079,616 bytes"


def check_moves(moves: Any) -> None:
    """Exercise 13.2: where turns end after their text was tokenized anew."""
    got = moves([5, 7, 4, 6], [4, 7, 5, 3])
    assert isinstance(got, list) and len(got) == 4, "one number for each turn, in a list"
    assert got != [-1, 0, 1, -3], "a turn also moves by what the turns before it lost or won"
    assert got != [0, -1, -1, 0], "a turn's last token also moves by what the turn itself lost"
    assert got != [1, 1, 0, 3], "towards the beginning is below 0: a shorter turn gives -1"
    assert got != [1, 1, 2, 5], "turns that get longer and turns that get shorter cancel"
    assert got != [-3, -3, -3, -3], "a turn isn't moved by those after it"
    assert got == [-1, -1, 0, -3], f"expected [-1, -1, 0, -3], got {got}"
    assert moves([], []) == [], "no turns, no moves"


def _close(got: list[float], expected: list[float]) -> bool:
    return all(isclose(a, b, abs_tol=1e-6) for a, b in zip(got, expected, strict=True))
