"""Math: solve a word problem, one step of reasoning a round, without any reply."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

from gymnasium.error import ResetNeeded

from agentprm_lite.chat import last_action
from agentprm_lite.env import Info, Split, TextEnv
from agentprm_lite.types import Task
from agentprm_lite.worlds.math.arithmetic import final_answer, parse_number
from agentprm_lite.worlds.math.gsm8k import gsm8k_folder, read_gsm8k
from agentprm_lite.worlds.math.problems import (
    DRAWS,
    LARGEST,
    Problem,
    count_problems,
    is_test,
    make_problem,
    templates,
)


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
        answer n, as in GSM8K: the number after the first "####", up to the end of the line; its
        unit does not count. In a policy's turn the step is all that follows the last "Action:".

    Observations:
        First the problem. Then always the empty text: nothing replies to a thought.

    Reward:
        1 when the answer equals the right one exactly, else 0; steps are neither rewarded nor
        checked (`arithmetic.check_steps` does that for analysis).

    Episode end:
        Terminated by the first answer, right or wrong, also by a "####" without a number;
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
        self._index = 0
        self._variant = 0
        self._done: set[int] = set()  # steps of the solution that were said
        self._problem: Problem | None = None

    @staticmethod
    def parse(text: str) -> str:
        """The step in a policy's turn: all after the last "Action:", or the whole turn without it.

        Args:
            text: The turn.

        Returns:
            The step.

        Example:
            >>> MathWorld.parse("Thought:\\nFive go.\\n\\nAction:\\n12 - 5 = 7")
            '12 - 5 = 7'
        """
        return last_action(text)

    @classmethod
    def answer(cls, turns: Sequence[str]) -> Fraction | None:
        """The number that an episode ends with: however it was reached, it is one vote for it.

        Args:
            turns: The policy's turns of an episode.

        Returns:
            The number; None where the last turn gives none.

        Example:
            >>> MathWorld.answer(["Action:\\n12 - 5 = 7", "Action:\\n#### 7 apples"])
            Fraction(7, 1)
        """
        return parse_number(final_answer(cls.parse(turns[-1])) or "") if turns else None

    @staticmethod
    def family(index: int) -> int:
        """Draws of one template are alike.

        Args:
            index: Of a task.

        Returns:
            Place of its template.

        Example:
            >>> MathWorld.family(39), MathWorld.family(40)
            (0, 1)
        """
        return index // DRAWS

    @classmethod
    def tasks(
        cls, split: Split, *, levels: Sequence[int] | None = None, variants: int = 1
    ) -> list[Task]:
        """Tasks of a split, by variant and then by index.

        Args:
            split: "train" or "test"; they share no template.
            levels: Numbers of steps to keep (2 to 5); None: all.
            variants: How many draws of each task.

        Returns:
            The tasks.

        Raises:
            ValueError: An unknown split, an unknown level, or no variant.

        Example:
            >>> len(MathWorld.tasks("test", levels=(2, 3)))
            640
        """
        _check(split, variants)
        unknown = sorted(set(levels or ()) - set(LARGEST))
        if unknown:
            raise ValueError(f"levels: expected {min(LARGEST)} to {max(LARGEST)}, got {unknown}")
        indices = [
            place * DRAWS + draw
            for place, template in enumerate(templates())
            if is_test(place) == (split == "test") and (levels is None or template.level in levels)
            for draw in range(DRAWS)
        ]
        return [Task(cls.name, index, k) for k in range(variants) for index in indices]

    def expert_action(self) -> tuple[str, str]:
        """Thought and step of an expert: the first step of the solution that was not said yet.

        Returns:
            The step; the answer when all steps were said, and in the last round.

        Raises:
            ResetNeeded: There is no running episode.
        """
        if self._rounds is None or self._terminated or self._problem is None:
            raise ResetNeeded("call reset() before expert_action()")
        if self._rounds < self.max_rounds - 1:
            for place, step in enumerate(self._problem.steps):
                if place not in self._done:
                    return step
        return self._problem.closing, f"#### {self._problem.answer}"

    def _count(self) -> int:
        """Number of indices."""
        return count_problems()

    def _make(self, index: int, variant: int) -> Problem:
        """The problem of a task."""
        return make_problem(index, variant)

    def _start(self, task: Task | None, options: dict[str, Any]) -> str:
        count = self._count()
        if "index" in options:
            index = int(options["index"])
        else:
            index = task.index if task else int(self.np_random.integers(count))
        variant = int(options.get("variant", task.variant if task else 0))
        if not 0 <= index < count:
            raise ValueError(f"index: expected 0 to {count - 1}, got {index}")
        if variant < 0:
            raise ValueError(f"variant: expected 0 or more, got {variant}")
        self._problem = self._make(index, variant)
        self._index, self._variant, self._done = index, variant, set()
        return self._problem.question

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
            "index": self._index,
            "variant": self._variant,
            "level": self._problem.level,
            "template": self._problem.template,
            "answer": self._problem.answer,
        }

    def _save(self) -> dict[str, Any]:
        return {"index": self._index, "variant": self._variant, "done": sorted(self._done)}

    def _load(self, state: dict[str, Any]) -> None:
        self._index, self._variant = state["index"], state["variant"]
        self._done = set(state["done"])
        self._problem = self._make(self._index, self._variant)


class GSM8K(MathWorld):
    """GSM8K's 8,792 problems, from its own files.

    Description:
        Training problems have the indices 0 to 7472 and test problems 7473 to 8791, in the order
        of the files, which the reader downloads. Levels are numbers of steps, 1 to 11: the lines
        of the solution in the file. Each problem has one text, the same for every `variant`.
        Options of `reset`: "index" and "variant".

    Actions:
        As in `MathWorld`. The expert says the lines of the solution, without the calculator marks
        "<<48/2=24>>", and thinks of the calculations in the marks.

    Observations:
        First the question. Then always the empty text.

    Reward:
        1 when the answer equals the right one exactly, else 0. Signs, commas and decimals count,
        units such as "$", "%" and "clips" do not, fractions are no answer.

    Episode end:
        As in `MathWorld`.

    Differences from AgentGym:
        1. AgentGym has no such world.

    Source:
        GSM8K by Cobbe et al. 2021 (arXiv 2110.14168), github.com/openai/grade-school-math. All
        calculator marks are verified when the files are read.

    Args:
        max_rounds: Steps after which an unfinished episode is truncated; None: 10.
        folder: Holds train.jsonl and test.jsonl (or .jsonl.gz); None: what the environment
            variable AGENTPRM_GSM8K names, which is also what `tasks` reads.

    Raises:
        ValueError: A file is missing or broken; says where to get it.
    """

    name: ClassVar[str] = "gsm8k"

    def __init__(self, max_rounds: int | None = None, folder: str | Path | None = None) -> None:
        super().__init__(max_rounds)
        train, test = read_gsm8k(gsm8k_folder(folder))
        self._problems = train + test

    @staticmethod
    def family(index: int) -> int:
        """Every problem is one by itself.

        Args:
            index: Of a task.

        Returns:
            The index.
        """
        return index

    @classmethod
    def tasks(
        cls, split: Split, *, levels: Sequence[int] | None = None, variants: int = 1
    ) -> list[Task]:
        """Tasks of a split, by variant and then by index, of the folder that AGENTPRM_GSM8K names.

        Args:
            split: "train" or "test".
            levels: Numbers of steps to keep; None: all.
            variants: How many times to list each task; they are told alike.

        Returns:
            The tasks.

        Raises:
            ValueError: An unknown split, no variant, or no files.
        """
        _check(split, variants)
        train, test = read_gsm8k(gsm8k_folder())
        first, problems = (0, train) if split == "train" else (len(train), test)
        return [
            Task(cls.name, first + i, k)
            for k in range(variants)
            for i, problem in enumerate(problems)
            if levels is None or problem.level in levels
        ]

    def _count(self) -> int:
        return len(self._problems)

    def _make(self, index: int, variant: int) -> Problem:
        return self._problems[index]


def _check(split: str, variants: int) -> None:
    if split not in ("train", "test"):
        raise ValueError(f'split: expected "train" or "test", got {split!r}')
    if variants < 1:
        raise ValueError(f"variants: expected at least 1, got {variants}")
