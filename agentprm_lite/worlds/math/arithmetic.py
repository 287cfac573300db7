"""Arithmetic in text, exactly: expressions, and whether a step is true.

Everything is a Fraction, nothing is evaluated as Python. Texts longer than `LONGEST` characters are
no expressions, so that any string is answered fast.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from fractions import Fraction

from agentprm_lite.worlds.math.answers import final_answer as final_answer
from agentprm_lite.worlds.math.answers import parse_number as parse_number

LONGEST = 120

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_NUMBER = rf"(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)"
_TOKEN = re.compile(rf"\s*({_NUMBER}|//|[-+*/()%])")
_MARK = re.compile(r"<<([^<>=]*)=([^<>=]*)>>")
_TIMES = re.compile(r"(?<=[0-9)%])\s*[x×]\s*(?=[$£€(0-9.])")
_LEFT = re.compile(r"[-+*/(). ,%0-9]+$")
_RIGHT = re.compile(r"[-+*/(). ,%0-9]+")
_PUNCTUATION = re.compile(r"^(?:[\s,]|\.(?![0-9]))+")


def evaluate(expression: str) -> Fraction | None:
    """Value of an expression of numbers with + - * / // ( ) and % (a hundredth).

    Args:
        expression: For example "(12 + 3) * 20%".

    Returns:
        The exact value; None if this is no expression, or something is divided by zero.

    Example:
        >>> evaluate("(12 + 3) * 20%"), evaluate("2 ** 3"), evaluate("1/0")
        (Fraction(3, 1), None, None)
    """
    if len(expression) > LONGEST:
        return None
    tokens, end = [], len(expression.rstrip())
    position = 0
    while position < end:
        match = _TOKEN.match(expression, position)
        if match is None:
            return None
        tokens.append(match[1])
        position = match.end()
    try:
        value, rest = _sum(tokens, 0)
    except (ValueError, ZeroDivisionError):
        return None
    return value if rest == len(tokens) else None


def _sum(tokens: list[str], i: int) -> tuple[Fraction, int]:
    value, i = _product(tokens, i)
    while i < len(tokens) and tokens[i] in "+-":
        term, after = _product(tokens, i + 1)
        value = value + term if tokens[i] == "+" else value - term
        i = after
    return value, i


def _product(tokens: list[str], i: int) -> tuple[Fraction, int]:
    value, i = _atom(tokens, i)
    while i < len(tokens) and tokens[i] in ("*", "/", "//"):
        factor, after = _atom(tokens, i + 1)
        if tokens[i] == "*":
            value *= factor
        else:
            value = value / factor if tokens[i] == "/" else Fraction(value // factor)
        i = after
    return value, i


def _atom(tokens: list[str], i: int) -> tuple[Fraction, int]:
    token = tokens[i] if i < len(tokens) else ""
    if token in ("-", "+"):
        value, i = _atom(tokens, i + 1)
        return -value if token == "-" else value, i
    if token == "(":
        value, i = _sum(tokens, i + 1)
        if tokens[i : i + 1] != [")"]:
            raise ValueError("expected a closing parenthesis")
    else:
        plain = token.replace(",", "")
        value = Fraction(int(plain) if plain.isdigit() else plain)  # ValueError for an operator
    i += 1
    while tokens[i : i + 1] == ["%"]:
        value, i = value / 100, i + 1
    return value, i


def marks(text: str) -> list[tuple[str, str]]:
    """Calculator marks of GSM8K, ``<<48/2=24>>``.

    Args:
        text: A solution or a line of it.

    Returns:
        Pairs of expression and stated value.

    Example:
        >>> marks("She sold 48/2 = <<48/2=24>>24 clips.")
        [('48/2', '24')]
    """
    return _MARK.findall(text)


def strip_marks(text: str) -> str:
    """A text without its calculator marks.

    Args:
        text: A solution or a line of it.

    Returns:
        What a reader sees.

    Example:
        >>> strip_marks("She sold 48/2 = <<48/2=24>>24 clips.")
        'She sold 48/2 = 24 clips.'
    """
    return _MARK.sub("", text)


def equations(text: str) -> list[tuple[Fraction, Fraction, bool]]:
    """Equations of numbers in running text; where there are calculator marks, those.

    Left of "=" an operation must stand ("x = 5" states nothing to check), and what is read must be
    a whole expression. Signs of currency and units after the right side are ignored.

    Args:
        text: A step of a solution.

    Returns:
        Left value, right value, whether they are equal. "60%" on the right also stands for 60,
        since "6 / 10 * 100 = 60%" is how people write. Rounded results are not equal.

    Example:
        >>> [equal for *_, equal in equations("So 12 - 5 = 7 apples, and 7 x $3 = $20.")]
        [True, False]
    """
    found = []
    for expression, stated in marks(text) or _written(text):
        value, result = evaluate(expression), evaluate(stated)
        if value is not None and result is not None:
            whole = evaluate(stated.rstrip("% ")) if stated.endswith("%") else result
            found.append((value, result, value in (result, whole)))
    return found


def _written(text: str) -> list[tuple[str, str]]:
    """Pairs of texts left and right of "=" that look like expressions."""
    plain = _TIMES.sub("*", text.replace("−", "-").replace("–", "-").replace("÷", "/"))
    for sign in "$£€":
        plain = plain.replace(sign, "")
    parts, pairs = plain.split("="), []
    for before, after in itertools.pairwise(parts):
        line, after = before[-LONGEST:].rpartition("\n")[2], after[:LONGEST]
        left, right = _LEFT.search(line), _RIGHT.match(after)
        if not left or not right or not re.search(r"[0-9)%]\s*[-+*/]", left[0]):
            continue
        ahead, expression = line[: left.start()].strip(), _PUNCTUATION.sub("", left[0])
        if not ahead:
            expression = expression.removeprefix("- ")  # the bullet of a list
        goes_on = re.match(r"[A-Za-z]", after[right.end() :]) and not right[0].endswith(" ")
        if goes_on or right[0].rstrip()[-1:] in "+-*/(":
            continue  # "= 6*x" or "= 6x"
        if ahead and (expression[:1] in "+-*/" or re.search(r"\b[x×]$", ahead)):
            continue  # "x + 4 = 6" or "3 apples x 2 = 6"
        pairs.append((expression, right[0].rstrip(" ,.")))
    return pairs


def check_steps(actions: Sequence[str]) -> list[bool | None]:
    """Whether the arithmetic of each step is true; an analysis, no reward.

    Args:
        actions: Steps as played.

    Returns:
        For each step True if all its equations hold, False if one does not, None without any.

    Example:
        >>> check_steps(["12 - 5 = 7", "7 * 3 = 20", "#### 20"])
        [True, False, None]
    """
    results = [[equal for *_, equal in equations(action)] for action in actions]
    return [all(equal) if equal else None for equal in results]
