"""Choices that need no reward model, and the random agent: the floors of every comparison.

What judges a whole attempt at once is written as values of one step, so that `best_of_n` takes it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from agentprm_lite.env import TextEnv, env_class, make_env
from agentprm_lite.episode import random_stream
from agentprm_lite.prm import FewestTurns, StepValues
from agentprm_lite.search import Curve, best_of_n
from agentprm_lite.types import Task, Trajectory


def at_end(scores: Sequence[float]) -> list[StepValues]:
    """One score an attempt, known only when it is over."""
    return [StepValues(0.0, np.array([float(score)])) for score in scores]


def random_choice(candidates: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """Any one of the N: the mean outcome."""
    return best_of_n(candidates, at_end([0.0] * len(candidates)), ns)


def fewest_turns(candidates: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """The attempt with the fewest turns."""
    return best_of_n(candidates, FewestTurns().score(candidates), ns)


def majority(candidates: Sequence[Trajectory], ns: Sequence[int]) -> Curve:
    """Self-consistency (Wang et al. 2022): whose answer occurs most often among all attempts.

    What an answer is, the environment says (``TextEnv.answer``): the final answer in math, all
    actions elsewhere. An attempt without an answer is taken only where none has one. The votes are
    counted over all attempts, so this flatters small N.
    """
    ballots = [(t.task, env_class(t.task.env).answer(t.actions)) for t in candidates]
    votes = Counter(ballots)
    counts = [0 if answer is None else votes[task, answer] for task, answer in ballots]
    return best_of_n(candidates, at_end(counts), ns)


def likelihood(candidates: Sequence[Trajectory]) -> list[StepValues]:
    """What the policy itself thinks: mean log-probability of an attempt's tokens."""
    for t in candidates:
        if not t.logprobs:
            raise ValueError(f"trajectory {t.key} has no log-probabilities, expected one a token")
    return at_end([float(np.mean(t.logprobs)) for t in candidates])


def random_action(env: TextEnv, texts: Sequence[str], rng: np.random.Generator) -> str:
    """One of the actions that the text suggests; chapter 1 meets this agent first."""
    if env.name == "textcraft":  # the recipes and their ingredients
        shown = [x for x in texts[0].split("\n") if x.startswith("craft ")]
        parts = [p for x in shown for p in x.split(" using ")[1].split(", ")]
        shown += sorted({f"get {part}" for part in parts})
    elif env.name == "babyai":  # the list after "Available actions"
        shown = re.findall('"(.*?)"', texts[-1])
    elif env.name == "webshop":  # all fields to click, the wish to search
        fields = texts[-1].split(" [SEP] ")
        wish = fields[fields.index("Instruction:") + 1]
        shown = [f"search[{wish}]", *(f"click[{x}]" for x in fields)]
    elif env.name == "math":  # two known numbers, or one of them as the answer
        known = re.findall(r"\d+", " ".join(texts))
        b, a = sorted(int(x) for x in rng.choice(known, 2))
        shown = [f"{a} + {b} = {a + b}", f"{a} - {b} = {a - b}"]
        shown += [f"{a} * {b} = {a * b}", f"#### {a}", f"#### {b}"]
    else:
        raise ValueError(f"no random agent for the environment {env.name!r}")
    return shown[rng.integers(len(shown))]


def random_agent(task: Task, sample: int, seed: int, max_rounds: int | None) -> tuple[float, int]:
    """Outcome and turns of one episode of an agent that takes any action that the text suggests."""
    env, rng = make_env(task.env, max_rounds), random_stream(seed, task, sample)
    texts = [env.reset(options={"index": task.index, "variant": task.variant})[0]]
    turns, reward, over = 0, 0.0, False
    while not over:
        action = random_action(env, texts, rng)
        reply, reward, terminated, truncated, _ = env.step(action)
        texts += [action, reply]
        turns, over = turns + 1, terminated or truncated
    return float(reward), turns
