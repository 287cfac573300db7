"""Known wrong answers to exercise 03.1."""

import math


def wrong_with_replacement(successes, n):
    """with replacement"""
    return 1 - (1 - sum(successes) / len(successes)) ** n


def wrong_first_n(successes, n):
    """the order of the samples must not matter"""
    return float(any(successes[:n]))


def wrong_any_of_all(successes, n):
    """whether any of all"""
    return float(any(successes))


def wrong_chance_of_failures(successes, n):
    """chance of failures only"""
    k = len(successes)
    return math.comb(k - sum(successes), n) / math.comb(k, n)


def wrong_all_succeed(successes, n):
    """chance that all of them succeed"""
    return math.comb(sum(successes), n) / math.comb(len(successes), n)
