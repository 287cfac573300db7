"""Exercise 06.1: ways to get Best-of-N wrong. A docstring is a piece of the message it causes."""

from itertools import combinations, product

import numpy as np


def wrong_first_n(scores, success, n):
    """the first n are one subset of many"""
    return float(success[int(np.argmax(scores[:n]))])


def wrong_ties_by_order(scores, success, n):
    """tied winners count equally"""
    won = [
        success[max(subset, key=lambda i: scores[i])]
        for subset in combinations(range(len(scores)), n)
    ]
    return sum(won) / len(won)


def wrong_with_replacement(scores, success, n):
    """a subset holds n different samples"""
    won = [
        success[max(draw, key=lambda i: scores[i])]
        for draw in product(range(len(scores)), repeat=n)
    ]
    return sum(won) / len(won)


def wrong_oracle(scores, success, n):
    """that is pass@n"""
    won = [max(success[i] for i in subset) for subset in combinations(range(len(scores)), n)]
    return sum(won) / len(won)


def wrong_lowest(scores, success, n):
    """the highest score wins, not the lowest"""
    won = [
        success[min(subset, key=lambda i: scores[i])]
        for subset in combinations(range(len(scores)), n)
    ]
    return sum(won) / len(won)
