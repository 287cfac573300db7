"""The checks of the book's exercises.

`attempt(check, answer)` is what a chapter calls. Each `check_NAME(answer)` below tests one exercise
and raises an AssertionError whose message names the mistake; the tests run every check on the
book's solution, on the empty stub and on a list of known wrong answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def attempt(check: Callable[[Any], None], answer: Any) -> None:
    """Run one check on an answer and print the verdict in one line.

    Nothing is raised, so a chapter runs to its end with its exercises unsolved.

    Args:
        check: one of this module's check functions.
        answer: what the reader wrote, usually a function.

    Example:
        >>> def check_double(double):
        ...     assert double(2) == 4, "twice 2 is 4"
        >>> attempt(check_double, lambda x: 2 * x)
        ✓ check_double
        >>> attempt(check_double, lambda x: x + 1)
        ✗ check_double: twice 2 is 4
    """
    name = getattr(check, "__name__", str(check))
    try:
        check(answer)
    except NotImplementedError:
        print(f"○ {name}: not solved yet")
    except AssertionError as error:
        print(f"✗ {name}: {error}")
    except Exception as error:
        print(f"✗ {name}: your code raised {type(error).__name__}: {error}")
    else:
        print(f"✓ {name}")
