"""What instruct models write after "####", read as a person reads it; nothing is calculated.

Markdown, LaTeX, currency signs, units and a sentence around a number are looked through. What
states several numbers, or a calculation without its result, is no answer.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from math import gcd

LONGEST_ANSWER = 400

_DIGIT = "[0-9½¼¾⅓⅔]"
_CURRENCY = "$£€¥₹"
_WHOLE = (
    r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}|[0-9]{1,3}(?: [0-9]{3})+|[0-9]+"
)
_NUMBER = re.compile(
    rf"(?<![0-9A-Za-z.^+±-])(?<![0-9][:/,'])(?P<sign>[-+]?)(?P<space> *)"
    rf"(?:(?:(?P<more>[0-9]+)(?: +|-))?(?P<top>[0-9]+) ?/ ?(?P<bottom>[0-9]+)"
    rf"|(?P<value>(?:{_WHOLE})(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?![0-9]|[.,:/'^][0-9]| ?[*^²³π√!](?=[0-9])| ?[²³π√^])"
    r"(?P<times>[kK](?![A-Za-z])| (?:hundred|thousand|million|billion|trillion)\b)?"
)
_TIMES = {"k": 3, "hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_ANCHOR = re.compile(r".*\banswer(?: is| equals|:| =)+:?", re.IGNORECASE | re.DOTALL)
_LIST = re.compile(r"[^0-9]{0,20}?(?:\b(?:or|and|to|through|versus)\b|[-+*/,|]) *[0-9]")
_IN = re.compile(r" [A-Za-z ]*?\b(?:in|per|after|within|every|each)\b")

_WRAPPED = re.compile(
    r"\\(?:text(?:bf|it|rm|normal)?|math(?:rm|bf|it)|mbox|boxed|fbox|underline|emph)"
    r"\s*\{([^{}]*)\}"
)
_LATEX = (
    (r"(?<=[0-9])['’](?=[0-9]{3}(?![0-9]))", ","),  # of thousands
    (r"\{,\}", ","),
    (r"\\!", ""),
    (r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r" \1/\2 "),
    (r"\\[dt]?frac\s*([0-9])\s*([0-9])", r" \1/\2 "),
    (r"\^\s*\{?\\circ\}?", "°"),
    (r"\\(?:approx|simeq|sim|equiv)(?![A-Za-z])", "="),
    (r"\\(?:cdot|times)(?![A-Za-z])", "*"),
    (r"\\(?:left|right|quad|qquad|displaystyle)(?![A-Za-z])|\\[()\[\],;: ]|\\\\", " "),
    (r"\\([$%&#_€£])", r"\1"),
)
_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "‑": "-", "‐": "-", "—": "|", "*": "|", "_": "|", "`": "|", "~": " "}
    | {"≈": "=", "⁄": "/", "\t": " ", "½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3"}
    | {"⅔": " 2/3"}
    | dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f", " ")
    | dict.fromkeys("\u200b\ufeff", "")
)
_TAG = re.compile(r"<<[^<>]*>>|</?[A-Za-z|][^<>]*>")
_CODE = re.compile(r"\b(?:USD|EUR|GBP|INR|CAD|AUD|US|Rs\.?) ?(?=[-0-9.])")
_NAME = re.compile(r"(?<![0-9A-Za-z.,/^-])[A-Za-z]+[0-9]+[A-Za-z0-9]*")  # CO2, B12
_POWER = re.compile(r"(?<=[A-Za-z]) *\^ *\{?-?[0-9]+\}?")  # cm^2

_SCIENTIFIC = re.compile(
    r"(?<![0-9A-Za-z.,])"
    r"(?:([0-9]+(?:\.[0-9]+)?)[eE]|([1-9](?:\.[0-9]+)?) ?[*×] ?10 ?\^ ?\{?)"
    r"([-+]?[0-9]{1,2})\}?(?![0-9A-Za-z.])"
)
_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {w: k for k, w in enumerate(_UNITS)} | {w: 20 + 10 * k for k, w in enumerate(_TENS)}

_HEADING = re.compile(
    r"\W*(?i:step|part|case|section|calculation|method|question|problem|phase|stage|example) *[0-9]"
    r"|\W*[0-9]{1,2}[.)]\W+[A-Z][a-z]+,? [a-zA-Z]"
)


def final_answer(text: str) -> str | None:
    r"""The answer of a step, as written: what stands after "####", else in \boxed.

    Args:
        text: A step.

    Returns:
        The rest of the first such line, or the next line where it only announces the answer; None
        if the step gives none. Words without a number, and "Step 1", are headings of Markdown. Of
        lines with boxes the last one's box, or the whole line if it has different ones.

    Example:
        >>> final_answer("So:\n#### 72 clips"), final_answer("48 + 24 = 72")
        ('72 clips', None)
    """
    for part in text.split("####")[1:]:
        line, *below = [row.strip(" \t\r#") for row in part.split("\n")]
        bare = not re.search(r"[^\W_]", line)
        if bare or (not re.search(_DIGIT, line) and "answer" in line.lower()):
            return next(filter(None, below), line)
        if (re.search(_DIGIT, line) and not _HEADING.match(line)) or _words(plain(line)):
            return line
    ends = [line for line in text.split("\n") if "\\" in line and _boxed(line)] or [text]
    boxed = _boxed(ends[-1])
    return ends[-1].strip() if len({plain(b) for b in boxed}) > 1 else boxed[-1] if boxed else None


def parse_number(text: str) -> Fraction | None:
    r"""The number that a text states, exactly.

    A sign may stand before or after a currency sign; commas and spaces must group thousands; a unit
    after the number ("clips", "%", "km per hour") is ignored, so "5%" is 5. Of an equation the
    right side counts, of "the answer is 7 because 3 + 4 = 7" what it is, of "72 clips (48 and 24)"
    what stands outside. "1/2" in lowest terms is a number, "48/2" a calculation.

    Args:
        text: A number, with or without words, Markdown and LaTeX.

    Returns:
        Its value; None if the text states none or several, such as "7 or 8", "3 4" and "12,34".

    Example:
        >>> parse_number("-$1,234.50"), parse_number("**72** clips."), parse_number("7 or 8")
        (Fraction(-2469, 2), Fraction(72, 1), None)
    """
    if len(text) > LONGEST_ANSWER:
        return None
    boxed = _boxed(text)
    if boxed:
        return _read(plain(boxed[0])) if len({plain(b) for b in boxed}) == 1 else None
    value = _read(plain(text))
    bold = re.findall(r"\*\*(.+?)\*\*", text)
    return _read(plain(bold[0])) if value is None and len(bold) == 1 else value


def plain(text: str) -> str:
    """A text without Markdown, LaTeX and tags; what stood between two words is "|"."""
    text = _TAG.sub(" ", text)
    for pattern, new in _LATEX:
        text = re.sub(pattern, new, text)
    for _ in range(4):  # one inside the other
        text = _WRAPPED.sub(r" \1 ", text)
    text = _SCIENTIFIC.sub(_written_out, text)
    text = re.sub(rf"([-+]) *[{_CURRENCY}] *", r"\1", text.translate(_SIGNS))
    text = _CODE.sub(" ", re.sub(rf"[{_CURRENCY}]", " ", text))
    text = re.sub(r"\b(?:minus|negative) +(?=[0-9.])", "-", text, flags=re.IGNORECASE)
    return _NAME.sub(" ", _POWER.sub("", text)).strip(" |")


def _boxed(text: str) -> list[str]:
    r"""What stands in each \boxed{...}, braces within it included."""
    found = []
    text = re.sub(r"\\boxed +([-0-9.,]+)", r"\\boxed{\1}", text)
    for part in re.split(r"\\(?:boxed|fbox)\s*\{", text)[1:]:
        depth = 1
        for place, sign in enumerate(part):
            depth += (sign == "{") - (sign == "}")
            if depth == 0:
                found.append(part[:place].strip())
                break
    return found


def _written_out(found: re.Match[str]) -> str:
    """1.2e3 as 1200."""
    return format(Decimal(found[1] or found[2]).scaleb(int(found[3])), "f")


def _words(text: str) -> str | None:
    """ "Minus twenty-one" as "-21", up to "nine hundred thousand"; None for any other text."""
    words = re.sub(r"[-,]|\band\b", " ", text.lower().strip(" .!|")).split()
    minus = words[:1] in (["minus"], ["negative"])
    words, total, part, last = words[minus:], 0, 0, 1000
    for word in words:
        if word in _SMALL and (last >= 100 or (last >= 20 and 0 < _SMALL[word] < 10)):
            part, last = part + _SMALL[word], _SMALL[word] if part == 0 or last >= 100 else 1
        elif word == "hundred" and 0 < part < 10:
            part, last = 100 * part, 100
        elif word == "thousand" and part and not total:
            total, part, last = 1000 * part, 0, 1000
        else:
            return None
    return f"{'-' * minus}{total + part}" if words else None


def _read(text: str) -> Fraction | None:
    """The one number of a plain text."""
    text = _words(text) or text
    if re.search(r"[0-9].*\bor\b.*[0-9]|\bbetween\b", text, re.IGNORECASE):
        return None
    if "\\" in text or len(re.findall(r"\b[A-Za-z] *=", text)) > 1:
        return None
    left, equals, right = text.rpartition("=")
    if equals:
        value = _only(right)
        return value if value is not None or re.search(r"[A-Za-z]", left) else _only(left)
    value = _only(text)
    if value is None:
        value = _only(re.sub(r"\([^()]*\)", " ", text))
    if value is None and (anchor := _ANCHOR.match(text)):
        value = _first(text[anchor.end() :])
    elif value is None and (first := _NUMBER.match(text)) and _IN.match(text[first.end() :]):
        value = _value(text, first)
    return value


def _only(text: str) -> Fraction | None:
    """The value of a text with one number and no other digit."""
    found = list(_NUMBER.finditer(text))
    if len(found) != 1 or any(sign.isdecimal() for sign in _NUMBER.sub("", text)):
        return None
    return _value(text, found[0])


def _first(text: str) -> Fraction | None:
    """The number that a text begins with, unless more follow in a list or a calculation."""
    found = _NUMBER.search(text)
    if found is None or re.search(r"[0-9]", text[: found.start()]):
        return None
    return None if _LIST.match(text[found.end() :]) else _value(text, found)


def _value(text: str, found: re.Match[str]) -> Fraction | None:
    before = text[: found.start()].rstrip()
    if re.search(r"\b(?:not|isn't|never)$", before, re.IGNORECASE):
        return None
    if found["value"] is not None:
        value = Fraction(re.sub(r"[, ]", "", found["value"]))
    else:
        top, bottom = int(found["top"]), int(found["bottom"])
        if bottom < 2 or gcd(top, bottom) > 1 or (found["more"] and top >= bottom):
            return None
        value = Fraction(top, bottom) + int(found["more"] or 0)
    value *= 10 ** _TIMES.get((found["times"] or "").strip().lower(), 0)
    dash = found["space"] and before[-1:].isalnum()  # "Answer - 72"
    return -value if found["sign"] == "-" and not dash else value
