"""Chapters 9 to 13: math, four worlds, a world of your own, size, real models."""

from __future__ import annotations

import json
import random
from math import isclose
from typing import Any


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
    got = first_wrong_step(["12 - 4 = 8", "8 * 3 = 25"], told)
    assert got == 0, f"the first wrong step of either kind, here 4 from nowhere: 0, got {got}"
    got = first_wrong_step(["12 / 5 = 3"], told)
    assert got == 0, f"12 / 5 isn't 3: expected 0, got {got}"
    got = first_wrong_step(["12 + 5 = 17", "17 * 3 = 51"], told)
    assert got is None, f"a wrong turn can't be seen without the solution: expected None, got {got}"


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
    got = weighted_mean([(0.0, 4)])
    assert got is not None, "a mean of 0 is a mean: None is for no positions"
    assert isclose(got, 0.0), f"one rank with the mean 0: expected 0, got {got}"


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
