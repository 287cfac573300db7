"""Exercise 09.2: ways to get it wrong. A docstring is a piece of the message that it causes."""

import re

from agentprm_lite.worlds.math.arithmetic import check_steps


def said(step):
    match = re.search(r"(\d+) [-+*/] (\d+) = (\d+)", step)
    return [int(n) for n in match.groups()] if match else None


def wrong_last(steps, told):
    """the answer is the first"""
    found = [t for t, truth in enumerate(check_steps(steps)) if truth is False]
    return found[-1] if found else None


def wrong_from_one(steps, told):
    """places count from 0"""
    found = [t for t, truth in enumerate(check_steps(steps), 1) if truth is False]
    return found[0] if found else None


def wrong_none_is_false(steps, told):
    """None is not False"""
    return next((t for t, truth in enumerate(check_steps(steps)) if not truth), None)


def wrong_results_forgotten(steps, told):
    """it is the result of an earlier step"""
    for t, step in enumerate(steps):
        if said(step) and (check_steps([step]) == [False] or not {*said(step)[:2]} <= told):
            return t
    return None


def wrong_arithmetic_only(steps, told):
    """but nobody told 4"""
    return next((t for t, truth in enumerate(check_steps(steps)) if truth is False), None)


def wrong_results_of_later_steps(steps, told):
    """7 is used before it is computed"""
    known = told | {said(step)[2] for step in steps if said(step)}
    for t, step in enumerate(steps):
        if said(step) and (check_steps([step]) == [False] or not {*said(step)[:2]} <= known):
            return t
    return None


def wrong_changes_told(steps, told):
    """leave the argument told as it is"""
    for t, step in enumerate(steps):
        if said(step):
            a, b, c = said(step)
            if check_steps([step]) == [False] or not {a, b} <= told:
                return t
            told.add(c)
    return None


def wrong_two_passes(steps, told):
    """of either kind"""
    truths = check_steps(steps)
    if False in truths:
        return truths.index(False)
    known = set(told)
    for t, step in enumerate(steps):
        if said(step):
            if not {*said(step)[:2]} <= known:
                return t
            known.add(said(step)[2])
    return None


def wrong_no_division(steps, told):
    """12 / 5 isn't 3"""
    known = set(told)
    for t, (step, truth) in enumerate(zip(steps, check_steps(steps), strict=True)):
        if said(step) and "/" not in step:
            if truth is False or not {*said(step)[:2]} <= known:
                return t
            known.add(said(step)[2])
    return None
