"""Answers as Qwen, Llama and GPT write them: what a person reads, in literal cases."""

import gzip
import json
import os
from fractions import Fraction
from pathlib import Path

import pytest

from agentprm_lite.worlds.math import MathWorld
from agentprm_lite.worlds.math.answers import final_answer, parse_number

READ = [
    ("1,000", 1000),
    ("$5.00", 5),
    ("50%", 50),
    ("-3", -3),
    ("−3", -3),
    ("72 clips", 72),
    ("5.", 5),
    ("5.0", 5),
    ("USD 5", 5),
    ("**72**", 72),
    (r"\boxed{72}", 72),
    ("$72$", 72),
    (r"$\boxed{72}$", 72),
    (r"\$72", 72),
    ("72!", 72),
    ("1 000", 1000),
    ("1'000", 1000),
    ("1’234’567.5", Fraction(2469135, 2)),
    ("72.00", 72),
    ("72 dollars", 72),
    ("So the answer is 72.", 72),
    ("= 72", 72),
    ("1/2", Fraction(1, 2)),
    (r"\frac{1}{2}", Fraction(1, 2)),
    (r"-\dfrac{3}{4}", Fraction(-3, 4)),
    ("2 1/2", Fraction(5, 2)),
    (r"2\frac{1}{2}", Fraction(5, 2)),
    ("2½ hours", Fraction(5, 2)),
    ("½", Fraction(1, 2)),
    ("9 * 8 = 72", 72),
    ("48 + 24 = 72 clips", 72),
    ("72 = 48 + 24", 72),
    ("x = 72", 72),
    ("The answer is 72 clips in 2 months.", 72),
    ("72 clips in 2 months", 72),
    ("Natalia sold 72 clips altogether in April and May.", 72),
    ("72 clips (48 in April and 24 in May)", 72),
    ("**72** clips in April and May, 24 in May", 72),
    (r"The final answer is: $\boxed{1,000}$ dollars.", 1000),
    ("**Answer:** 72", 72),
    ("**Final Answer: 72**", 72),
    ("Answer - 72", 72),
    ("Answer: -72", -72),
    ("minus 5", -5),
    ("negative 5 degrees", -5),
    ("-$1,234.50", Fraction(-2469, 2)),
    ("$-18", -18),
    ("$ -18", -18),
    ("It is -$5", -5),
    (r"\text{72 clips}", 72),
    (r"72\text{ clips}", 72),
    (r"72 \text{ km}^2", 72),
    ("72 m^2", 72),
    ("72 m²", 72),
    ("9 m²", 9),
    (r"$72\,\text{cm}^2$", 72),
    (r"50\%", 50),
    ("50 percent", 50),
    ("3 million", 3000000),
    ("1.5 million dollars", 1500000),
    ("5k", 5000),
    ("5 km", 5),
    ("2 thousand", 2000),
    ("1,00,000", 100000),
    ("₹500", 500),
    ("€1,200.50", Fraction(2401, 2)),
    ("72¢", 72),
    ("~72", 72),
    ("≈ 72", 72),
    ("approximately 72", 72),
    ("about 72 clips", 72),
    ("72<|im_end|>", 72),
    ("72</s>", 72),
    ("<b>72</b>", 72),
    ("`72`", 72),
    ("(72)", 72),
    ("[72]", 72),
    ('"72"', 72),
    ("72;", 72),
    ("72 g of CO2", 72),
    ("72km", 72),
    ("5th", 5),
    ("5-year-old", 5),
    (r"1\,000", 1000),
    ("1{,}000", 1000),
    ("1\u202f000", 1000),
    ("1,000,000", 1000000),
    ("12 345", 12345),
    ("1,000.", 1000),
    (".5", Fraction(1, 2)),
    ("0.1", Fraction(1, 10)),
    ("007", 7),
    ("+3", 3),
    ("£ 2.5", Fraction(5, 2)),
    (r"\boxed{72} and again \boxed{72}", 72),
    (r"\boxed{\$72}", 72),
    (r"\boxed{72 \text{ clips}}", 72),
    (r"\boxed{\frac{3}{4}}", Fraction(3, 4)),
    ("The answer is 72 because 48 + 24 = 72", 72),
    ("72 miles per hour", 72),
    ("72 mph", 72),
    ("72 km/h", 72),
    ("total of $72", 72),
    ("Janet makes $18 every day.", 18),
    ("18 dollars per day", 18),
    (r"\(72\)", 72),
    (r"\[72\]", 72),
    ("*72*", 72),
    ("__72__", 72),
    ("- 72", -72),
    ("#72", 72),
    ("72 = 72", 72),
    ("$0.75", Fraction(3, 4)),
    ("$.75", Fraction(3, 4)),
    ("72%.", 72),
    ("0.5%", Fraction(1, 2)),
    ("-1/2", Fraction(-1, 2)),
    ("3/4 cup", Fraction(3, 4)),
    ("1 / 2", Fraction(1, 2)),
    (r"\frac12", Fraction(1, 2)),
    (r"25\%", 25),
    ("72°", 72),
    (r"72^\circ", 72),
    ("72 degrees", 72),
    (r"6 \times 12 = 72", 72),
    (r"$6 \times 12 = \boxed{72}$", 72),
    ("The total is $72.", 72),
    ("Ans: 72", 72),
    ("A: 26", 26),
    ("答案是72", 72),
    ("72元", 72),
    ("The answer is: 5", 5),
    ("the answer is $5$.", 5),
    ("So, the final answer is 1,080 minutes.", 1080),
    ("It takes 5 days.", 5),
    (r"\text{The answer is } 7.", 7),
    (r"\$1{,}250", 1250),
    ("$1,250$", 1250),
    ("72.0 km", 72),
    ("3.14159", Fraction(314159, 100000)),
    ("-0.5", Fraction(-1, 2)),
    ("no number 7", 7),
    (" 1,234 ", 1234),
    ("1,234,567.50", Fraction(2469135, 2)),
    ("72 clips per hour.", 72),
    ("1e3", 1000),
    ("2E5", 200000),
    ("1.5e3 clips", 1500),
    ("1e-3", Fraction(1, 1000)),
    (r"1.2 \times 10^{3}", 1200),
    ("1.2 × 10^3", 1200),
    ("seven", 7),
    ("**Seven.**", 7),
    ("zero", 0),
    ("negative five", -5),
    ("twenty-one", 21),
    ("one hundred and five", 105),
    ("two thousand three hundred", 2300),
    (r"\boxed{\text{seven}}", 7),
    (r"\boxed 72", 72),
    (r"2 \tfrac{1}{4}", Fraction(9, 4)),
]
UNANSWERED = [
    "7 or 8",
    "between 7 and 8",
    "Between 7 and 8 apples",
    "48/2",
    "220/10",
    "48 + 24",
    "6*6",
    "6 + 6",
    "x = 7 or x = 8",
    "x = 3, y = 4",
    "7-8",
    "7 - 8",
    "7–8",
    "7 to 8",
    "3:2",
    "12:30",
    "1.2.3",
    "3 4",
    "12,34",
    "1,2345",
    "--3",
    "-$-3",
    "1_000",
    "٣",
    "nan",
    "",
    "apples",
    "I don't know",
    "2^3",
    r"3\pi",
    r"\sqrt{2}",
    "5²",
    "2 hours 30 minutes",
    "5 feet 10 inches",
    "72 out of 100",
    r"\boxed{7} or \boxed{8}",
    "The answer is 7 or 8",
    "The answer is 48 + 24",
    "not 72",
    "$5 and 50 cents",
    "seven or eight",
    "seven eight",
    "twenty thirty",
    "hundred",
    "zero zero",
    "12e3e4",
    "12 * 10^3",
    "±5",
    "10:1",
    "She has 5 apples left, so 5",
    "7 apples and 3 pears",
    "9" * 500,
    "\ud800",
]


@pytest.mark.parametrize(("text", "value"), READ)
def test_what_a_person_reads(text: str, value: Fraction | int):
    assert parse_number(text) == value
    assert parse_number(f"  {text}\n") == value
    assert parse_number(final_answer(f"So.\n#### {text}\nBye 1") or "") == value


@pytest.mark.parametrize("text", UNANSWERED, ids=lambda text: ascii(text[:30]))
def test_what_states_no_number_or_several(text: str):
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("So:\n#### 72 clips", "72 clips"),
        ("####72", "72"),
        ("#### 72 ####", "72"),
        ("####", ""),
        ("####\n72", "72"),
        ("#### 21\n#### 22", "21"),
        ("#### 21 #### 22", "21"),
        ("#### Final Answer: 72", "Final Answer: 72"),
        ("#### Final Answer\n\n72\n\nDone.", "72"),
        ("#### **Answer:**\n\\boxed{5}", "\\boxed{5}"),
        # headings of Markdown
        ("#### Step 1\n9 + 9 = 18", None),
        ("#### Step 2: 9 + 9 = 18", None),
        ("#### Solution\n9 + 9 = 18", None),
        ("#### 1. Calculate the cost\n5 * 3 = 15", None),
        ("#### 1. First, the cost\n5 * 3 = 15", None),
        ("#### **Step 1**\n3\n#### 7", "7"),
        ("#### Solution\n5 - 1 = 4\n#### 4", "4"),
        # the other way in which models end
        ("So she has \\boxed{72} clips.", "72"),
        (r"\[ \boxed{\frac{3}{4}} \]", r"\frac{3}{4}"),
        (r"\boxed{72", None),
        (r"\boxed{5} days, so" + "\n" + r"\boxed{7}", "7"),
        (r"\boxed{7} or \boxed{8}", r"\boxed{7} or \boxed{8}"),
        (r"\boxed{7}, again \boxed{ 7 }", "7"),
        (r"\fbox{72}", "72"),
        (r"It is \boxed 72.", "72."),
        ("#### Seven", "Seven"),
        ("#### Step one", None),
        ("#### The two costs", None),
        ("48 + 24 = 72", None),
        ("### 72", None),
        ("", None),
    ],
)
def test_where_the_answer_stands(step: str, answer: str | None):
    assert final_answer(step) == answer


@pytest.mark.parametrize(
    "form", ["{}", "**{}**", "\\boxed{{{}}}", "${}$", "{}.00", "The answer is {}."]
)
def test_the_world_pays_for_each_form(form: str):
    env = MathWorld()
    _, info = env.reset(options={"index": 0})
    assert env.step("#### Step 1\n9 + 9 = 18")[1:4] == (0.0, False, False)
    assert env.step("#### " + form.format(info["answer"]))[1:4] == (1.0, True, False)


def test_answers_of_gsm8k_are_integers_and_its_steps_are_none():
    data = Path(os.environ.get("AGENTPRM_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (data / "gsm8k" / "train.jsonl.gz").exists():
        pytest.skip(f"reference data {data / 'gsm8k'} not found (set AGENTPRM_DATA)")
    count = 0
    for name in ("train", "test"):
        with gzip.open(data / "gsm8k" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                *steps, last = json.loads(line)["answer"].split("\n")
                written = last.removeprefix("#### ").replace(",", "")
                assert parse_number(final_answer(last) or "") == int(written)
                assert all(final_answer(step) is None for step in steps)
                count += 1
    assert count == 8792


def test_long_texts_are_answered_fast():
    for text in ("#### " * 10**5, "1 " * 10**6, "\\boxed{" * 10**5, "#### " + "9," * 10**6):
        assert parse_number(final_answer(text) or text) is None
