"""Math: solve a word problem, one step of reasoning a round, without any reply."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar

from agentprm_lite.chat import last_action
from agentprm_lite.worlds.math.answers import final_answer, parse_number
from agentprm_lite.worlds.math.problems import (
    DRAWS,
    Problem,
    count_problems,
    is_test,
    make_problem,
    templates,
)
from agentprm_lite.worlds.textenv import Info, Split, TextEnv


class MathWorld(TextEnv):
    """Word problems made by a generator, told and solved in steps.

    Description:
        5,120 tasks: 128 templates with 40 draws of numbers, names and wordings each. A template is
        a sequence of kinds of sentences (see problems.py). Its level is its number of steps, 2 to
        5; larger levels have larger numbers, up to 30, 40, 50 and 60. Every fourth template is
        held out: the test split has sequences of the same sentences that were never trained on.
        Half of the templates tell a number that has nothing to do with the question, a quarter
        tell the start last. `variant` k > 0 keeps the template and draws the rest anew.
        Options of `reset`: "index" and "variant".

    Actions:
        Any text is a step of the solution, such as "12 - 5 = 7". A step with "#### n" gives the
        answer n, as in GSM8K, read as a person reads it: units, Markdown, LaTeX and a sentence
        around the number don't count (see answers.py); a heading such as "#### Step 1" gives none.
        In a policy's turn the step is all that follows the last "Action:".

    Observations:
        First the problem. Then always the empty text: nothing replies to a thought.

    Reward:
        1 when the answer equals the right one exactly, else 0; steps are neither rewarded nor
        checked (`arithmetic.check_steps` does that for analysis).

    Episode end:
        Terminated by the first answer, right or wrong, also by a "####" with nothing after it;
        truncated after `max_rounds` (10) steps, which counts as failure. Later steps change
        nothing.

    Differences from AgentGym:
        1. AgentGym has no such world. The AgentPRM paper (section 5.3) takes one reasoning step of
           GSM8K as one action; here the answer is an action of its own.
        2. Problems are made, not taken from GSM8K, which `GSM8K` plays.

    Source:
        Our own sentences. The protocol is that of GSM8K by Cobbe et al. 2021 (arXiv 2110.14168).

    Args:
        max_rounds: Steps after which an unfinished episode is truncated; None: 10.

    Example:
        >>> env = MathWorld()
        >>> _ = env.reset(options={"index": 0})
        >>> env.step("9 + 9 = 18")[:3]
        ('', 0.0, False)
    """

    name: ClassVar[str] = "math"
    parse = staticmethod(last_action)  # the step is all after the last "Action:"
    default_rounds: ClassVar[int] = 10
    instructions: ClassVar[str] = (
        "You are given a word problem. Solve it step by step. "
        'In every round, write down one step of the calculation, such as "12 - 5 = 7". '
        "Nobody replies to a step. "
        'When you know the answer, write it after four signs: "#### 7". That ends the problem.\n'
        "Answer in this format:\n\n"
        "Thought:\n...\n\nAction:\n...\n\n"
        "Reminders:\n"
        "1. Write one step in a round.\n"
        "2. Only the answer counts, and the first one is final."
    )
    acknowledgement: ClassVar[str] = "OK. I will follow the instructions and do my best."

    def __init__(self, max_rounds: int | None = None) -> None:
        super().__init__(max_rounds)
        self._done: set[int] = set()  # steps of the solution that were said
        self._problem: Problem | None = None

    @classmethod
    def answer(cls, turns: Sequence[str]) -> Fraction | None:
        """The number that an episode ends with: however it was reached, it is one vote for it."""
        return parse_number(final_answer(cls.parse(turns[-1])) or "") if turns else None

    @staticmethod
    def family(index: int) -> int:
        """Draws of one template are alike: this is the template's place."""
        return index // DRAWS

    @classmethod
    def _levels(cls, split: Split) -> dict[int, int]:
        return {
            place * DRAWS + draw: template.level
            for place, template in enumerate(templates())
            if is_test(place) == (split == "test")
            for draw in range(DRAWS)
        }

    def _count(self) -> int:
        return count_problems()

    def _make(self, index: int, variant: int) -> Problem:
        """The problem of a task."""
        return make_problem(index, variant)

    def _start(self, **options: Any) -> str:
        self._problem, self._done = self._make(self.index, self.variant), set()
        return self._problem.question

    def _advise(self) -> tuple[str, str]:
        """The first step that was not said yet; after all, and in the last round, the answer."""
        assert self._problem is not None
        if self._need_reset("expert_action") < self.max_rounds - 1:
            for place, step in enumerate(self._problem.steps):
                if place not in self._done:
                    return step
        return self._problem.closing, f"#### {self._problem.answer}"

    def _apply(self, action: str) -> tuple[str, float, bool, bool]:
        assert self._problem is not None
        answer = final_answer(action)
        if answer is not None:
            right = parse_number(answer) == parse_number(self._problem.answer)
            return "", float(right), True, right
        said = {"".join(line.split()) for line in action.split("\n")}
        for place, (_, line) in enumerate(self._problem.steps):
            if "".join(line.split()) in said:
                self._done.add(place)
        return "", 0.0, False, False

    def _facts(self) -> Info:
        assert self._problem is not None
        return {
            "level": self._problem.level,
            "template": self._problem.template,
            "answer": self._problem.answer,
        }

    def _save(self) -> dict[str, Any]:
        return {"done": sorted(self._done)}

    def _load(self, state: dict[str, Any]) -> None:
        self._problem = self._make(self.index, self.variant)
        self._done = set(state["done"])
