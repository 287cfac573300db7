"""The checks of the book's exercises.

`attempt(check, answer)` is what a chapter calls. Each `check_NAME(answer)` tests one exercise and
raises an AssertionError whose message names the mistake; the tests run every check on the book's
solution, on the empty stub and on a list of known wrong answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentprm_lite.tutorial.exercises.acting import (
    check_keep_for_rft,
    check_pass_at_n,
    check_sft_loss,
    check_state_value,
    check_still_to_play,
    check_try_actions,
)
from agentprm_lite.tutorial.exercises.judging import (
    check_best_of,
    check_lambda_return,
    check_loss_by_hand,
    check_next_beam,
    check_samples_needed,
    check_score_positions,
    check_shaped,
    check_td_labels,
    check_tokens_computed,
    check_turn_gae,
)
from agentprm_lite.tutorial.exercises.worlds import (
    check_first_leak,
    check_first_wrong_step,
    check_kv_bytes,
    check_lora_bytes,
    check_moves,
    check_parse_answer,
    check_save_dice,
    check_share_won,
    check_tied_best,
    check_weighted_mean,
)

__all__ = [
    "attempt",
    "check_best_of",
    "check_first_leak",
    "check_first_wrong_step",
    "check_keep_for_rft",
    "check_kv_bytes",
    "check_lambda_return",
    "check_lora_bytes",
    "check_loss_by_hand",
    "check_moves",
    "check_next_beam",
    "check_parse_answer",
    "check_pass_at_n",
    "check_samples_needed",
    "check_save_dice",
    "check_score_positions",
    "check_sft_loss",
    "check_shaped",
    "check_share_won",
    "check_state_value",
    "check_still_to_play",
    "check_td_labels",
    "check_tied_best",
    "check_tokens_computed",
    "check_try_actions",
    "check_turn_gae",
    "check_weighted_mean",
]


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
