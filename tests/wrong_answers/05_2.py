"""Wrong answers to exercise 05.2."""

from itertools import pairwise


def wrong_first(produced):
    """the first tokens of the turns"""
    before = [False, *produced[:-1]]
    pairs = zip(produced, before, strict=True)
    return [i for i, (now, then) in enumerate(pairs) if now and not then]


def wrong_late(produced):
    """one token late"""
    after = [*produced[1:], False]
    pairs = zip(produced, after, strict=True)
    return [i + 1 for i, (now, then) in enumerate(pairs) if now and not then]


def wrong_open_end(produced):
    """the last turn is missing"""
    pairs = pairwise(produced)
    return [i for i, (now, then) in enumerate(pairs) if now and not then]


def wrong_every_token(produced):
    """not at every token of it"""
    return [i for i, now in enumerate(produced) if now]


def wrong_always_the_end(produced):
    """the last token of all may belong to the world's answer"""
    pairs = pairwise(produced)
    return [i for i, (now, then) in enumerate(pairs) if now and not then] + [len(produced) - 1]
