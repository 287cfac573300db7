"""The random agent, a floor of every comparison; the other floor is ``prm.FewestTurns``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentprm_lite.env import World, make_env
from agentprm_lite.episode import random_stream
from agentprm_lite.metrics import Floats
from agentprm_lite.tutorial.artifacts import artifact
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.tutorial.tasks import test_tasks
from agentprm_lite.types import Task

EPISODES = 16  # of the random agent on every held-out task


def random_action(env: World, texts: Sequence[str], rng: np.random.Generator) -> str:
    """One of the actions that the text suggests; ``texts``: all observations and actions so far."""
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


def random_agent(
    task: Task, sample: int, seed: int, max_rounds: int | None
) -> tuple[float, int, bool]:
    """Outcome, turns and success of one episode of :func:`random_action`."""
    env, rng = make_env(task.env, max_rounds), random_stream(seed, task, sample)
    observation, info = env.reset(options={"index": task.index, "variant": task.variant})
    texts, turns, reward, over = [observation], 0, 0.0, False
    while not over:
        action = random_action(env, texts, rng)
        reply, reward, terminated, truncated, info = env.step(action)
        texts += [action, reply]
        turns, over = turns + 1, terminated or truncated
    return float(reward), turns, bool(info["success"])


def random_outcomes(p: Profile) -> Floats:
    """[tasks, EPISODES] outcomes of the random agent on the profile's held-out tasks."""
    tasks = test_tasks(p)

    def make(folder: Path) -> None:
        rows = [
            [random_agent(task, k, 0, p.max_rounds)[0] for k in range(EPISODES)] for task in tasks
        ]
        np.save(folder / "outcomes.npy", np.array(rows))

    inputs = {
        "tasks": [task.key for task in tasks],
        "episodes": EPISODES,
        "max_rounds": p.max_rounds,
    }
    found: Floats = np.load(artifact(p, "random_agent", make, inputs) / "outcomes.npy")
    return found
