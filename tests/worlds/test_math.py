"""Math: arithmetic by hand, GSM8K's own files and graded solutions, made problems, the world."""

import collections
import gzip
import hashlib
import json
import os
import random
import re
from fractions import Fraction
from pathlib import Path

import pytest
from gymnasium.error import ResetNeeded

from agentprm_lite.chat import react
from agentprm_lite.env import make_env
from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.hub import ChatFormat
from agentprm_lite.study import majority
from agentprm_lite.tutorial.tiny import tiny_tokenizer, vocabulary
from agentprm_lite.types import Task, Trajectory, Usage
from agentprm_lite.worlds import demonstrate
from agentprm_lite.worlds.math import GSM8K, MathWorld
from agentprm_lite.worlds.math.arithmetic import (
    check_steps,
    equations,
    evaluate,
    marks,
    parse_number,
    strip_marks,
)
from agentprm_lite.worlds.math.gsm8k import parse_example, read_gsm8k
from agentprm_lite.worlds.math.problems import (
    DRAWS,
    LARGEST,
    NOISE,
    count_problems,
    is_test,
    make_problem,
    templates,
)
from agentprm_lite.worlds.math.steps import first_mistake, step_kinds

REPOSITORY = Path(__file__).resolve().parents[2]


def reference() -> Path:
    """GSM8K in the reference data; skips the test where it is absent."""
    data = Path(os.environ.get("AGENTPRM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (data / "gsm8k" / "train.jsonl.gz").exists():
        pytest.skip(f"reference data {data / 'gsm8k'} not found (set AGENTPRM_DATA)")
    return data / "gsm8k"


def started(index: int, variant: int = 0) -> MathWorld:
    env = MathWorld()
    env.reset(options={"index": index, "variant": variant})
    return env


# --- numbers and expressions ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("48/2", 24),
        ("2+3*4", 14),
        ("(2+3)*4", 20),
        ("10-4-3", 3),  # from the left
        ("24/4/2", 3),
        ("24/4*2", 12),
        ("-36+13+-15+-10", -48),
        ("+30+46", 76),
        ("560//10", 56),
        ("7//2", 3),
        ("1/3", Fraction(1, 3)),
        ("20%*50", 10),
        ("50%%", Fraction(1, 200)),
        ("200*.15", 30),
        ("1,000 * 2", 2000),
        (" 7 ", 7),
        ("-(2-5)", 3),
        ("0.1+0.2", Fraction(3, 10)),
        ("1/0", None),
        ("1//0", None),
        ("", None),
        ("2**3", None),
        ("2 3", None),
        ("2+", None),
        ("*2", None),
        ("(2+3", None),
        ("2+3)", None),
        ("()", None),
        ("2x3", None),
        ("__import__('os')", None),
        ("(" * 119, None),
        ("(" * 10**6, None),
        ("1" + "+1" * 10**6, None),
    ],
)
def test_expressions_have_exact_values_or_none(text: str, value: Fraction | None):
    assert evaluate(text) == value


def test_random_expressions_agree_with_fractions():
    """On trees whose text and value are built together, with few parentheses."""
    rng = random.Random(0)

    def tree(depth: int) -> tuple[str, Fraction, int]:
        """Text, value and binding strength (2: an atom, 1: a product, 0: a sum)."""
        if depth == 0 or rng.random() < 0.2:
            n = rng.randrange(1, 30)
            return str(n), Fraction(n), 2
        sign = rng.choice("+-*/")
        (a, x, s), (b, y, t) = tree(depth - 1), tree(depth - 1)
        strength = 0 if sign in "+-" else 1
        a = f"({a})" if s < strength else a
        b = f"({b})" if t <= strength else b
        if sign == "/" and y == 0:
            sign = "*"
        value = {"+": x + y, "-": x - y, "*": x * y}[sign] if sign != "/" else x / y
        return f"{a}{sign}{b}", value, strength

    checked = 0
    while checked < 2000:
        text, value, _ = tree(3)
        if len(text) <= 120:
            assert evaluate(text) == value, text
            checked += 1


def test_marks_are_found_and_stripped():
    line = "Natalia sold 48+24 = <<48+24=72>>72 clips, for $<<2*3=6>>6."
    assert marks(line) == [("48+24", "72"), ("2*3", "6")]
    assert strip_marks(line) == "Natalia sold 48+24 = 72 clips, for $6."


@pytest.mark.parametrize(
    ("step", "truth"),
    [
        ("12 - 5 = 7", True),
        ("12 - 5 = 8", False),
        ("Mia has 12 - 5 = 7 apples and 2 x $3 = $6.", True),
        ("Mia has 12 - 5 = 7 apples and 2 x $3 = $5.", False),
        ("- 12 − 5 = 7", True),  # the bullet of a list, and a minus sign
        ("They sold .25 + .5 = .75", True),
        ("6 / 10 * 100 = 60%", True),
        ("6 / 10 = 60%", True),
        ("1/3 = 0.33", False),  # exact
        ("12+5=17*2=34", False),  # a chain that isn't true
        ("2*3 = 6 = 12/2", True),
        ("16 ÷ 4 = 4", True),
        ("The price is 3 + 2 = <<5=5>>5", True),
        ("He has <<2*3=7>>7", False),
        ("x = 5", None),
        ("x + 4 = 6", None),
        ("2*3 = 6*x", None),
        ("100/5 = 5A", None),
        ("Dan is 9.", None),
        ("#### 7", None),
        ("", None),
        ("=" * 10**6, None),
        ("1+1=" * 10**4 + "3", False),
    ],
)
def test_a_step_is_true_false_or_states_nothing(step: str, truth: bool | None):
    assert check_steps([step]) == [truth]


def test_equations_show_both_sides():
    assert equations("So 7/2 = 3.5 km") == [(Fraction(7, 2), Fraction(7, 2), True)]
    assert equations("1/0 = 3") == []


# --- GSM8K's files --------------------------------------------------------------------------------


def test_every_mark_verifies_and_every_answer_parses():
    folder = reference()
    train, test = read_gsm8k(str(folder))
    assert (len(train), len(test)) == (7473, 1319)
    rows = []
    for name in ("train", "test"):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows += [json.loads(line) for line in lines]
    counts = []
    for row in rows:
        found = marks(row["answer"])
        assert len(found) == row["answer"].count("<<")  # none is overlooked
        for expression, stated in found:
            assert evaluate(expression) == evaluate(stated) is not None
        counts.append(len(found))
        # independently: every answer is an integer, with commas at most
        answer = row["answer"].split("####")[1]
        assert parse_number(answer) == int(answer.replace(",", ""))
    assert (sum(counts[:7473]), sum(counts[7473:])) == (23716, 4282)
    for row, problem in zip(rows, train + test, strict=True):
        assert row["question"].strip() == problem.question
        assert not any("<<" in line for _, line in problem.steps)
    levels = collections.Counter(p.level for p in train + test)
    assert [levels[n] for n in range(12)] == [
        *(0, 0, 2287, 2520, 1956, 1130),
        *(506, 267, 110, 15, 0, 1),
    ]


def test_rewards_are_those_of_5276_graded_solutions():
    """Four models' solutions of the test problems, with OpenAI's verdicts; they end in "A: 18"."""
    folder = reference()
    env = GSM8K(folder=folder)
    counts: collections.Counter[tuple[bool, bool]] = collections.Counter()
    truths: collections.Counter[tuple[bool | None, bool]] = collections.Counter()
    with gzip.open(folder / "example_model_solutions.jsonl.gz", "rt", encoding="utf-8") as lines:
        for i, line in enumerate(lines):
            row = json.loads(line)
            for kind in (
                "6b_finetuning",
                "6b_verification",
                "175b_finetuning",
                "175b_verification",
            ):
                right = row[kind]["is_correct"]
                *steps, last = row[kind]["solution"].split("\n")
                question, _ = env.reset(options={"index": 7473 + i})
                assert question == row["question"].strip()
                if last.startswith("A: "):
                    last = "#### " + last[3:]
                _, reward, terminated, _, info = env.step(last)
                assert terminated == last.startswith("####")
                assert info["success"] == (reward == 1.0)
                counts[right, info["success"]] += 1
                truths.update((truth, right) for truth in check_steps(steps))
    assert counts == {(True, True): 2001, (False, False): 3275}
    # Arithmetic is rarely what is wrong: these models had a calculator.
    assert truths[False, False] < 0.05 * truths[True, False]


def test_gsm8k_survives_editors_and_line_separators(tmp_path: Path):
    row = {
        "question": "Tom has 2\u2028apples and buys 3. How many?",
        "answer": "2+3=<<2+3=5>>5\n#### 5",
    }
    line = json.dumps(row, ensure_ascii=False)
    for split in ("train", "test"):
        text = f"\ufeff{line}\r\n\r\n{line}\n"
        (tmp_path / f"{split}.jsonl").write_text(text, encoding="utf-8", newline="")
    train, test = read_gsm8k(str(tmp_path))
    assert (len(train), len(test)) == (2, 2) and str(train[0].answer) == "5"


def test_the_expert_solves_gsm8k():
    env = GSM8K(folder=reference())
    for index in range(0, 8792, 7):
        env.reset(options={"index": index})
        done = False
        while not done:
            _, reward, done, truncated, _ = env.step(env.expert_action()[1])
            assert not truncated
        assert reward == 1.0


def test_an_example_is_steps_and_an_answer():
    problem = parse_example(
        " How many? ", "She eats 2*3=<<2*3=6>>6 and <<6+1=7>>7.\nThat is all.\n#### 1,007"
    )
    assert problem.question == "How many?"
    assert problem.steps == (
        ("Calculate 2*3 and 6+1.", "She eats 2*3=6 and 7."),
        ("Continue.", "That is all."),
    )
    assert (problem.answer, problem.level) == ("1,007", 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2*3=<<2*3=7>>7\n#### 7", r"mark <<2\*3=7>> is wrong"),
        ("<<x=7>>7\n#### 7", "is wrong"),
        ("7\n#### some", "expected a number after '####'"),
        ("7", "expected a number after '####'"),
        ("#### 7\nmore", "expected a number after '####'"),
    ],
)
def test_a_broken_solution_is_refused(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        parse_example("How many?", text)


def test_missing_and_broken_files_say_where_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    where = "https://github.com/openai/grade-school-math"
    with pytest.raises(ValueError, match=f"holds no train.jsonl and no train.jsonl.gz.*{where}"):
        GSM8K(folder=tmp_path)
    monkeypatch.delenv("AGENTPRM_GSM8K")
    for call in (GSM8K, lambda: GSM8K.tasks("train")):
        with pytest.raises(ValueError, match=f"GSM8K is not part of this library.*{where}"):
            call()
    good = json.dumps({"question": "How many?", "answer": "#### 7"})
    for number, (content, message) in enumerate(
        [
            (f"{good}\n{{", "train.jsonl, line 2"),
            (f'{good}\n{{"question": "How many?"}}', "line 2: KeyError"),
            ("[1]", "line 1"),
            ('{"question": 3, "answer": 4}', "line 1"),
            ("", "is empty"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "train.jsonl").write_text(content)
        with pytest.raises(ValueError, match=f"{message}.*{where}"):
            GSM8K(folder=folder)
    (tmp_path / "train.jsonl.gz").write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(ValueError, match=f"can't be read.*{where}"):
        GSM8K(folder=tmp_path)


def test_gsm8k_levels_and_splits(small_gsm8k: Path):
    train, test = GSM8K.tasks("train"), GSM8K.tasks("test")
    assert [t.index for t in [*train, *test]] == list(range(len(train) + len(test)))
    some = GSM8K.tasks("test", levels=(3,))
    assert some
    for task in some:
        _, info = GSM8K().reset(options={"index": task.index})
        assert info["level"] == 3
    with pytest.raises(ValueError, match="split"):
        GSM8K.tasks("dev")


# --- made problems ------------------------------------------------------------------------------


def test_a_task_is_pinned():
    problem = make_problem(2570, 0)
    assert problem.template == "boxes, gain, (fact), start, more"
    assert problem.question == (
        "Gwen sells 3 bags with 2 books each. Gwen buys 8 more books. Gwen has 4 friends. "
        "Before all this Gwen had 14 books. Now Ada has 6 more books than Gwen. "
        "How many books does Ada have?"
    )
    assert problem.steps == (
        ("Gwen sells 3 bags with 2 books each.", "3 * 2 = 6"),
        ("Before all this Gwen had 14 books. Then 6 fewer.", "14 - 6 = 8"),
        ("Now Gwen has 8 books. Gwen buys 8 more books.", "8 + 8 = 16"),
        ("Now Gwen has 16 books. Now Ada has 6 more books than Gwen.", "16 + 6 = 22"),
    )
    assert problem.closing == "How many books does Ada have?"
    assert problem.answer == "22"


def replay(question: str) -> int:
    """Solve a made problem from its text alone, sentence by sentence: no code is shared."""
    sentences = re.findall(r"[^.?]+[.?]", question)
    told, asked = [s.strip() for s in sentences[:-1]], sentences[-1].strip()
    thing = re.search(r"all (\w+) (?:for|into)", question) or re.search(r"How many (\w+)", asked)
    assert thing
    things = thing[1]
    owner = re.search(rf"(\w+) (?:has|starts with|had) \d+ {things}\.", question)
    start = next(
        s for s in told if re.search(rf"(starts with|Before all this|has) .*{things}\.", s)
    )
    start = next((s for s in told if "Before all this" in s or "starts with" in s), start)
    assert owner
    who = re.search(r"(\w+) (?:has|had|starts)", start)[1]
    amount = int(re.search(r"\d+", start)[0])
    other = None
    for s in told:
        n = [int(d) for d in re.findall(r"\d+", s)]
        first = s.split()[0]
        if s == start or things not in s:
            continue
        if re.search(rf"gives {who} \d+", s) or re.fullmatch(
            rf"{who} (buys|finds) \d+ (more )?{things}\.", s
        ):
            amount += n[0]
        elif re.fullmatch(rf"{who} (loses|sells|gives) \d+ {things}( to \w+)?\.", s):
            amount -= n[0]
        elif "times as many" in s:
            amount *= n[0]
        elif "equal heaps" in s or "shares all" in s:
            assert amount % n[0] == 0
            amount //= n[0]
        elif " each" in s and ("buys" in s or "brings" in s):
            amount += n[0] * n[1]
        elif " each." in s or " each from" in s:
            amount = amount * n[0] if "coins" in s else amount - n[0] * n[1]
        elif "into bags of" in s:
            assert amount % n[0] == 0
            amount //= n[0]
        elif "wants to have" in s:
            amount = n[0] - amount
        elif s.startswith("Now "):
            other = amount - n[0] if "fewer" in s else amount + n[0]
        else:
            assert first != who, s  # somebody else's things
    if other is None:
        return amount
    return amount + other if "together" in asked else other


@pytest.mark.parametrize("variant", [0, 1])
def test_texts_and_solutions_agree(variant: int):
    for index in range(0, count_problems(), 3):
        problem = make_problem(index, variant)
        assert replay(problem.question) == int(problem.answer), problem
        assert check_steps([line for _, line in problem.steps]) == [True] * problem.level
        assert problem.steps[-1][1].endswith(f"= {problem.answer}")
        numbers = [int(n) for n in re.findall(r"\d+", f"{problem.question} {problem.steps}")]
        assert max(numbers) <= LARGEST[problem.level]
        assert len({line for _, line in problem.steps}) == problem.level
        said = " ".join(thought for thought, _ in problem.steps)
        for line in (line for _, line in problem.steps):
            left, _, right, _, _ = line.split()
            assert left in re.findall(r"\d+", said)  # a thought holds what its line needs
            assert right in re.findall(r"\d+", said)
        assert all(len(thought.split()) <= 60 for thought, _ in problem.steps)


@pytest.mark.parametrize(
    ("steps", "kinds"),
    [
        (["3 * 2 = 6", "14 - 6 = 8", "8 + 8 = 16", "16 + 6 = 22", "#### 22"], ["right"] * 5),
        (["2 * 3 = 6", "6 * 2 = 12", "#### 22.0"], ["right", "wrong turn", "right"]),
        (["3 * 2 = 7", "14 - 7 = 7"], ["false", "wrong turn"]),  # 7 was said: a known number
        (["14 - 9 = 5", "14 - 9 = 6"], ["made up", "false"]),  # false goes before made up
        (["8 + 8 = 16", "", "So", "#### 16"], ["right", "silent", "silent", "wrong answer"]),
        (["14 - 6 = 8 #### 22"], ["right"]),  # an answer ends the problem
        (["####"], ["wrong answer"]),
        ([], []),
    ],
)
def test_kinds_of_steps(steps: list[str], kinds: list[str]):
    """Task 2570 tells 3, 2, 8, 4, 14 and 6; its results are 6, 8, 16 and 22."""
    assert step_kinds(make_problem(2570, 0), steps) == kinds


def test_a_spoilt_solution_is_wrong_where_it_was_spoilt():
    """One more in the result of a step is false; a number beyond all others is made up."""
    for index in range(0, count_problems(), 17):
        problem = make_problem(index, 0)
        steps = [*(line for _, line in problem.steps), f"#### {problem.answer}"]
        assert first_mistake(step_kinds(problem, steps)) == len(steps)
        for place in range(problem.level):
            left, result = steps[place].rsplit(" ", 1)
            worse = [*steps[:place], f"{left} {int(result) + 1}", *steps[place + 1 :]]
            kinds = step_kinds(problem, worse)
            assert (first_mistake(kinds), kinds[place]) == (place, "false")
            worse[place] = f"97 + 1 = {97 + 1}"
            kinds = step_kinds(problem, worse)
            assert (first_mistake(kinds), kinds[place]) == (place, "made up")
        assert step_kinds(problem, [f"#### {problem.answer}1"]) == ["wrong answer"]


def test_test_templates_are_new_sequences_of_known_sentences():
    kinds: dict[bool, set[str]] = {True: set(), False: set()}
    cores: dict[bool, set[tuple]] = {True: set(), False: set()}
    for place, template in enumerate(templates()):
        cores[is_test(place)].add((template.events, template.ending))
        kinds[is_test(place)] |= {*template.events, template.ending, template.noise}
    assert len(cores[False]) == 96
    assert len(cores[True]) == 32
    assert not cores[True] & cores[False]
    assert kinds[True] <= kinds[False]
    assert set(NOISE) <= kinds[True]
    train, test = MathWorld.tasks("train"), MathWorld.tasks("test")
    assert (len(train), len(test)) == (3840, 1280)
    assert not {t.index // DRAWS for t in train} & {t.index // DRAWS for t in test}
    assert len({make_problem(t.index, 0).question for t in train + test}) == 5120


def test_templates_and_split_are_pinned():
    told = "\n".join(f"{is_test(i)} {t.name}" for i, t in enumerate(templates()))
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "6f9c66bcbd1a79c8"


def test_levels_are_numbers_of_steps():
    for level in LARGEST:
        for split, count in (("train", 24), ("test", 8)):
            tasks = MathWorld.tasks(split, levels=(level,))
            assert len(tasks) == count * DRAWS
            assert {make_problem(t.index, 0).level for t in tasks} == {level}
    with pytest.raises(ValueError, match=r"expected some of \[2, 3, 4, 5\], got \[1, 2, 6\]"):
        MathWorld.tasks("train", levels=(1, 2, 6))
    with pytest.raises(ValueError, match="split"):
        MathWorld.tasks("dev")


def test_a_variant_keeps_the_template_only():
    first, second = make_problem(4000, 0), make_problem(4000, 1)
    assert first.template == second.template
    assert first.question != second.question
    assert make_problem(4000, 10**30).template == first.template


# --- the world ----------------------------------------------------------------------------------


def test_nothing_replies_and_only_the_answer_counts():
    env = started(2570)
    assert env.step("3 * 2 = 7") == ("", 0.0, False, False, env._info())
    assert env.step("anything")[:4] == ("", 0.0, False, False)
    told, reward, terminated, truncated, info = env.step("#### 22 books")
    assert (told, reward, terminated, truncated) == ("", 1.0, True, False)
    assert info == {
        "success": True,
        "index": 2570,
        "variant": 0,
        "level": 4,
        "template": "boxes, gain, (fact), start, more",
        "answer": "22",
    }


@pytest.mark.parametrize(
    ("step", "right"),
    [
        ("#### 22", True),
        ("#### 22.0", True),
        ("So\n#### +22", True),
        ("####22", True),
        ("#### -22", False),
        ("#### 2 2", False),
        ("#### 220/10", False),
        ("#### 21 #### 22", False),
        ("#### 21\n#### 22", False),  # the first counts
        ("####", False),
        ("#### " + "2" * 10**6, False),
    ],
)
def test_the_first_answer_ends_the_problem(step: str, right: bool):
    told, reward, terminated, _, info = started(2570).step(step)
    assert (told, reward, terminated, info["success"]) == ("", float(right), True, right)


def test_the_expert_goes_on_after_detours():
    env = started(2570)
    first = env.expert_action()
    assert first == ("Gwen sells 3 bags with 2 books each.", "3 * 2 = 6")
    env.step("3 * 2 = 7")  # wrong: the expert says it right
    assert env.expert_action() == first
    env.step("14-6 = 8")  # ahead of its turn, spaces don't count
    assert env.expert_action() == first
    env.step("3 * 2 = 6\n8 + 8 = 16")  # two steps in one
    assert env.expert_action()[1] == "16 + 6 = 22"
    env.step(env.expert_action()[1])
    assert env.expert_action() == ("How many books does Ada have?", "#### 22")
    env.step("#### 22")
    with pytest.raises(ResetNeeded):
        env.expert_action()


def test_the_expert_answers_in_the_last_round():
    env = started(2570)
    for _ in range(9):
        env.step("")
    assert env.expert_action()[1] == "#### 22"
    assert env.step("#### 22")[1:4] == (1.0, True, False)


def test_the_expert_solves_every_task():
    for split in ("train", "test"):
        for task in MathWorld.tasks(split)[::5]:
            env = started(task.index, task.variant)
            steps, done = 0, False
            while not done:
                _, reward, done, truncated, info = env.step(env.expert_action()[1])
                steps += 1
            assert reward == 1.0
            assert not truncated
            assert steps == info["level"] + 1


# --- with a policy ------------------------------------------------------------------------------


def attempt(sample: int, *steps: str) -> Trajectory:
    """An attempt at task 2570 (the answer is 22) with a token a step; the last one counts."""
    n, end = len(steps), started(2570).step(steps[-1])
    return Trajectory(
        task=Task("math", 2570),
        sample=sample,
        seed=0,
        ids=tuple(range(1 + n)),
        prompt_len=1,
        spans=tuple((1 + i, 2 + i) for i in range(n)),
        logprobs=(),
        actions=tuple(react("", step) for step in steps),
        observations=("",) * (n + 1),
        rewards=(*(0.0,) * (n - 1), end[1]),
        terminated=end[2],
        truncated=not end[2],
        truncated_by="" if end[2] else "rounds",
        final=True,
        success=end[1] == 1.0,
        usage=Usage(),
        policy="",
    )


def test_self_consistency_votes_over_final_answers():
    """22 three times, each on its own way; 23 twice, word for word; four cut off, word for word.
    A vote over all steps would take the four, over the text of the answer the two."""
    ways = [
        ("3 * 2 = 6", "#### 22"),
        ("14 - 6 = 8", "#### 22 books"),
        ("16 + 6 = 22", "#### 22.0"),
        *[("3 * 2 = 6", "#### 23")] * 2,
        *[("3 * 2 = 6", "3 * 2 = 6")] * 4,
    ]
    pool = [attempt(i, *way) for i, way in enumerate(ways)]
    assert [t.outcome for t in pool] == [1.0] * 3 + [0.0] * 6
    (row,) = majority(pool, [1, 9]).success
    assert row.tolist() == pytest.approx([3 / 9, 1.0])
    assert majority(pool[3:], [6]).success.item() == 0.0
    cut = majority([*pool[5:], pool[0]], [4])  # 4 of 5: only {the four} lacks the answer
    assert cut.success.item() == pytest.approx(4 / 5)
    assert MathWorld.answer([]) is None


@pytest.fixture(scope="module")
def math_chat() -> ChatFormat:
    return ChatFormat(tiny_tokenizer(vocabulary(MathWorld.tasks("train")[::20])))


def test_a_turn_keeps_signs_and_points(math_chat: ChatFormat):
    assert make_env("math").parse(react("Five go.", "12 - 5 = 7")) == "12 - 5 = 7"
    assert MathWorld.parse("7 * 3 = 21") == "7 * 3 = 21"
    config = SamplingConfig(rules=False)
    episode = Episode.start(Task("math", 2570), 0, 0, math_chat, config)
    reply = episode.step(math_chat.turn_ids(react("", "3 * 2 = 6")), [], math_chat)
    assert math_chat.tokenizer.decode(reply) == "<|user|><|end|><|assistant|>"
    assert episode.env.expert_action()[1] == "14 - 6 = 8"  # the step was heard
    episode.step(math_chat.turn_ids(react("", "#### 22")), [], math_chat)
    assert episode.success


def test_demonstrations_need_no_unknown_word(math_chat: ChatFormat):
    tasks = [*MathWorld.tasks("train")[::49], *MathWorld.tasks("test")[::53]]
    demos = demonstrate(math_chat, tasks, SamplingConfig(rules=False))
    assert len(demos) == len(tasks)
    unknown = math_chat.tokenizer.unk_token_id
    assert not any(unknown in demo.ids for demo in demos)
    assert all(demo.success and set(demo.observations[1:]) == {""} for demo in demos)
