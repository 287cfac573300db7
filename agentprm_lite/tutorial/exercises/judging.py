"""Chapters 4 to 8: labels, losses, choice, search, PPO."""

from __future__ import annotations

import math
from typing import Any


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
    g = float(lambda_return(m, 0.0, 0.5, 1))
    assert isclose(g, 0.2), (
        f"after turn 1 of a failure m[2] has half of the weight and the outcome, 0, the rest: "
        f"expected 0.2, got {g:.4f}"
    )


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
    assert list(score_positions([False, True, False])) == [1], (
        "the last token of all may belong to the world's answer"
    )


def check_best_of(best_of: Any) -> None:
    """Exercise 06.1: the expected outcome of the best of n samples."""
    scores, success = [0.9, 0.6, 0.4, 0.2], [0, 1, 0, 1]
    one, two = best_of(scores, success, 1), best_of(scores, success, 2)
    assert isclose(one, 0.5), (
        f"Best-of-1 is the mean of all samples, 0.5 here, got {one}: the first n are one subset of "
        "many"
    )
    assert not isclose(two, 5 / 6), "that is pass@n: the score chooses, not a success"
    assert not isclose(two, 3 / 8), "a subset holds n different samples"
    assert not isclose(two, 2 / 3), "the highest score wins, not the lowest"
    assert isclose(two, 1 / 3), f"n = 2 in the hand case: expected 1/3, got {two}"
    for tied in ([1, 0], [0, 1]):
        got = best_of([0.5, 0.5], tied, 2)
        assert isclose(got, 0.5), (
            f"two samples tie and one succeeded: expected 0.5, got {got}; tied winners count "
            "equally, whatever their order"
        )
    three = best_of([1.0, 0.0, 1.0, 0.0], [1, 1, 0, 1], 3)  # 2 of 4 subsets hold both tied winners
    assert isclose(three, 0.5), f"with two ties and n = 3: expected 0.5, got {three}"


def check_samples_needed(samples_needed: Any) -> None:
    """Exercise 06.2: where a curve first reaches a target."""
    ns, curve = [1, 2, 4], [0.1, 0.2, 0.3]
    for target, expected in ((0.05, 1), (0.1, 1), (0.2, 2), (0.3, 4)):
        got = samples_needed(ns, curve, target)
        assert got is not None and isclose(got, expected), (
            f"the curve has {target} or more from N = {expected} on, got {got}"
        )
    never = samples_needed(ns, curve, 0.5)
    assert never == float("inf"), (
        f'a target that is never reached needs float("inf") samples, got {never}'
    )
    between = samples_needed(ns, curve, 0.25)
    assert between not in (2, 4), f"0.25 lies between N = 2 and 4: interpolate, got {between}"
    assert not isclose(between, 3.0), "interpolate linearly over log N, not over N"
    assert isclose(between, 8**0.5), f"expected 2·√2 for 0.25, got {between}"
    falling = samples_needed(ns, [0.1, 0.4, 0.2], 0.3)
    assert isclose(falling, 2 ** (2 / 3)), (
        f"a curve may fall again: it first reaches 0.3 at {2 ** (2 / 3):.3f}, got {falling}"
    )
    for target, expected in ((0.1, 2), (0.2, 4)):
        got = samples_needed([2, 8], [0.1, 0.3], target)
        assert got is not None and isclose(got, expected), (
            f"ns need not begin at 1 or double: for {target} between 2 and 8 samples expected "
            f"{expected}, got {got}"
        )


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
    assert list(next_beam(beam, expand, 1)) == [da], "n says how many are kept, not the beam's size"
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
    lost = [float(r) for r in shaped([0.0, 0.0], q, 0.5, True, 1.0)]
    assert not isclose(lost[1], 0.3), "a failure is final, too: the potential after it is 0"
    assert _close(lost, [0.1, -0.6]), f"a final failure: expected [0.1, -0.6], got {lost}"
    double = [float(r) for r in shaped(rewards, q, 0.5, True, 2.0)]
    assert _close(double, [0.2, -0.2]), (
        f"alpha weighs the process reward alone: expected [0.2, -0.2] for alpha 2, got {double}"
    )


def isclose(a: float, b: float) -> bool:
    """Equal but for rounding, in float32 too."""
    return math.isclose(a, b, abs_tol=1e-6)


def _close(got: list[float], expected: list[float]) -> bool:
    return all(map(isclose, got, expected))
