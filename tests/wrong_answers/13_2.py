"""Exercise 13.2: ways to move. A docstring is a piece of the message it causes."""


def wrong_own_change(sampled, again):
    """by what the turns before it lost or won"""
    return [b - a for a, b in zip(sampled, again, strict=True)]


def wrong_without_own(sampled, again):
    """by what the turn itself lost"""
    return [sum(again[:t]) - sum(sampled[:t]) for t in range(len(sampled))]


def wrong_sign(sampled, again):
    """towards the beginning is below 0"""
    return [sum(sampled[: t + 1]) - sum(again[: t + 1]) for t in range(len(sampled))]


def wrong_distance(sampled, again):
    """turns that get longer and turns that get shorter cancel"""
    gaps = [abs(b - a) for a, b in zip(sampled, again, strict=True)]
    return [sum(gaps[: t + 1]) for t in range(len(gaps))]


def wrong_total(sampled, again):
    """a turn isn't moved by those after it"""
    return [sum(again) - sum(sampled)] * len(sampled)


def wrong_one_number(sampled, again):
    """one number for each turn"""
    return sum(again) - sum(sampled)
