"""Which steps of a solution to a made problem are wrong, and how: an analysis, no reward."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentprm_lite.worlds.math.answers import final_answer, parse_number
from agentprm_lite.worlds.math.arithmetic import check_steps
from agentprm_lite.worlds.math.problems import Problem

MISTAKES = ("false", "made up", "wrong turn", "wrong answer")
"""Kinds of steps that are mistakes."""

_LINE = re.compile(r"(\d+) [-+*/] (\d+) = (\d+)")


def step_kinds(problem: Problem, steps: Sequence[str]) -> list[str]:
    """What each step of a solution is.

    Args:
        problem: A made problem, whose solution is known.
        steps: Steps as played; a calculation is written as "12 - 5 = 7".

    Returns:
        For each step "false" (its arithmetic is), "made up" (a number that is neither in the
        question nor the result of an earlier step), "wrong turn" (true, with known numbers, but
        the result is no result of the solution), "wrong answer", "right", or "silent" (it states
        neither a calculation nor an answer). The first that holds counts.

    Example:
        >>> from agentprm_lite.worlds.math.problems import make_problem
        >>> problem = make_problem(0, 0)  # 12 / 3 = 4, 4 + 7 = 11
        >>> step_kinds(problem, ["12 / 3 = 4", "4 * 7 = 28", "28 + 5 = 32", "#### 11"])
        ['right', 'wrong turn', 'false', 'right']
    """
    known = set(re.findall(r"\d+", problem.question))
    goals = {line.split()[-1] for _, line in problem.steps}
    kinds = []
    for step in steps:
        answer, line = final_answer(step), _LINE.search(step)
        if answer is not None:
            correct = parse_number(answer) == parse_number(problem.answer)
            kinds.append("right" if correct else "wrong answer")
        elif line is None:
            kinds.append("silent")
        else:
            left, right, result = line.groups()
            if check_steps([step]) == [False]:
                kinds.append("false")
            elif not {left, right} <= known:
                kinds.append("made up")
            else:
                kinds.append("right" if result in goals else "wrong turn")
            known.add(result)
    return kinds


def first_mistake(kinds: Sequence[str]) -> int:
    """Place of the first mistake.

    Args:
        kinds: What `step_kinds` gives.

    Returns:
        Counted from 0; the number of steps if there is none.

    Example:
        >>> first_mistake(["right", "silent", "made up", "false"]), first_mistake(["right"])
        (2, 1)
    """
    return next((k for k, kind in enumerate(kinds) if kind in MISTAKES), len(kinds))
