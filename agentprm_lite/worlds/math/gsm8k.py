"""GSM8K from its own files: questions, steps by line, verified calculator marks, exact answers."""

from __future__ import annotations

import functools
import gzip
import json
import os
from pathlib import Path
from typing import ClassVar

from agentprm_lite.env import Split
from agentprm_lite.worlds.math.answers import final_answer, parse_number
from agentprm_lite.worlds.math.arithmetic import evaluate, marks, strip_marks
from agentprm_lite.worlds.math.env import MathWorld
from agentprm_lite.worlds.math.problems import Problem

FOLDER_VARIABLE = "AGENTPRM_GSM8K"
WHERE = (
    "get train.jsonl and test.jsonl from https://github.com/openai/grade-school-math, folder "
    f"grade_school_math/data, and name their folder in the environment variable {FOLDER_VARIABLE}"
)


def gsm8k_folder(folder: str | Path | None = None) -> str:
    """The folder to read GSM8K from.

    Args:
        folder: A folder; None: what the environment variable AGENTPRM_GSM8K names.

    Returns:
        Its path.

    Raises:
        ValueError: No folder is named.
    """
    named = folder or os.environ.get(FOLDER_VARIABLE)
    if not named:
        raise ValueError(f"GSM8K is not part of this library: {WHERE}")
    return str(named)


@functools.lru_cache(maxsize=4)
def read_gsm8k(folder: str) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Training and test problems, in the order of the files.

    Args:
        folder: Holds train.jsonl and test.jsonl, or the same with .gz.

    Returns:
        Two tuples of problems.

    Raises:
        ValueError: A file is missing or a line is broken; says which and where to get the files.
    """
    return _read(folder, "train"), _read(folder, "test")


def _read(folder: str, split: str) -> tuple[Problem, ...]:
    plain = Path(folder, f"{split}.jsonl")
    packed = Path(folder, f"{split}.jsonl.gz")
    path = plain if plain.exists() else packed
    if not path.exists():
        raise ValueError(f"{folder} holds no {plain.name} and no {packed.name}: {WHERE}")
    out = []
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path is packed else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as err:
        raise ValueError(f"{path} can't be read ({err}): {WHERE}") from err
    for number, line in enumerate(text.split("\n"), start=1):  # a text may hold U+2028
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            out.append(parse_example(row["question"], row["answer"]))
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise ValueError(f"{path}, line {number}: {err!r}; {WHERE}") from err
    if not out:
        raise ValueError(f"{path} is empty: {WHERE}")
    return tuple(out)


def parse_example(question: str, answer: str) -> Problem:
    """A problem from the two fields of GSM8K.

    Args:
        question: The question.
        answer: The solution, a step a line, with calculator marks, and "#### n" at its end.

    Returns:
        The problem. Steps are the lines without marks; the thought before a step names the
        calculations of its marks.

    Raises:
        ValueError: A mark is wrong, the answer is no number or doesn't stand at the end.

    Example:
        >>> parse_example("How many?", "She has 2*3=<<2*3=6>>6.\\n#### 6").steps
        (('Calculate 2*3.', 'She has 2*3=6.'),)
    """
    *lines, last = [line.strip() for line in answer.strip().split("\n") if line.strip()]
    stated = final_answer(last)
    if stated is None or not last.startswith("####") or parse_number(stated) is None:
        raise ValueError(f"expected a number after '####' in the last line, got {last[:80]!r}")
    steps = []
    for line in lines:
        calculations = marks(line)
        for expression, value in calculations:
            result = evaluate(value)
            if result is None or evaluate(expression) != result:
                raise ValueError(f"calculator mark <<{expression}={value}>> is wrong")
        told = " and ".join(expression for expression, _ in calculations)
        steps.append((f"Calculate {told}." if told else "Continue.", strip_marks(line)))
    return Problem(
        question=question.strip(),
        steps=tuple(steps),
        closing="State the answer.",
        answer=stated,
        template="gsm8k",
    )


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
        units such as "$", "%" and "clips" do not.

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
        """Every problem is one by itself."""
        return index

    @classmethod
    def _levels(cls, split: Split) -> dict[int, int]:
        train, test = read_gsm8k(gsm8k_folder())
        first, problems = (0, train) if split == "train" else (len(train), test)
        return {first + i: problem.level for i, problem in enumerate(problems)}

    def _count(self) -> int:
        return len(self._problems)

    def _make(self, index: int, variant: int) -> Problem:
        return self._problems[index]
