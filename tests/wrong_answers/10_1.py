"""Known wrong answers to exercise 10.1."""


def wrong_first(scores, successes):
    """the first of the best isn't chosen"""
    return successes[scores.index(max(scores))]


def wrong_last(scores, successes):
    """the last of the best isn't chosen"""
    return [y for s, y in zip(scores, successes, strict=True) if s == max(scores)][-1]


def wrong_positive_only(scores, successes):
    """the largest score wins, also where all are negative"""
    top = max([0.0, *scores])
    tied = [y for s, y in zip(scores, successes, strict=True) if s == top] or successes[:1]
    return sum(tied) / len(tied)
