"""What search and labels need of a world, asked of any class: run it on your own."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
from gymnasium.utils.env_checker import check_env

from agentprm_lite.chat import react
from agentprm_lite.env import env_class
from agentprm_lite.worlds.textenv import AFTER_END, TextEnv

Answers = list[tuple[str, float, bool, bool, dict[str, Any]]]


class WorldFault(AssertionError):
    """What a world does that search and labels can't bear."""


def check_world(world: type[TextEnv], episodes: int = 30) -> list[str]:
    """Play a world in every way that the library does, and complain where it isn't as promised.

    Args:
        world: The class; each instance must be made without arguments.
        episodes: How many episodes each check plays; a slow world may ask for fewer.

    Returns:
        What was checked, one line each.

    Raises:
        WorldFault: What was expected and what came.
    """
    held = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    done = [check(world, episodes) for check in CHECKS]
    if held != (random.getstate(), repr(np.random.get_state())):  # noqa: NPY002
        raise WorldFault("the global random generators were touched; keep one of your own")
    check_env(world(), skip_render_check=True)
    return [*done, "Gymnasium's own checks pass"]


def known_by_name(world: type[TextEnv], episodes: int) -> str:
    """Tasks carry a name; from it alone the class must be found again."""
    env_class(f"{world.__module__}:{world.__qualname__}")  # complains of another `name`
    for split in ("train", "test"):
        listed = world.tasks(split)
        if not listed or listed != world.tasks(split):
            raise WorldFault(f"tasks({split!r}): expected the same in each call, at least one")
        if {task.env for task in listed} != {world.name}:
            raise WorldFault(f"tasks({split!r}): expected env {world.name!r} in each")
    shared = {t.index for t in world.tasks("train")} & {t.index for t in world.tasks("test")}
    if shared:
        raise WorldFault(f"tasks: indices {sorted(shared)[:5]} are in train and in test")
    return "tasks: found by name, the same in each call, no index in both splits"


def any_string(world: type[TextEnv], episodes: int) -> str:
    """Whatever a model writes is answered, with finite rewards, and ends as it should."""
    for index in _some(world, episodes):
        env, rng = world(), random.Random(index)
        env.reset(options={"index": index})
        for count in range(1, env.max_rounds + 1):
            action = garbage(rng)
            _, _, over, cut, _ = _step(env, action)
            if cut != (count == env.max_rounds and not over):
                raise WorldFault(f"round {count} of {env.max_rounds}: truncated is {cut}")
            if over:
                break
        before = env.snapshot()
        if env.step("anything")[:2] != (AFTER_END, 0.0) or env.snapshot() != before:
            raise WorldFault("a step after the end changed something")
    return "any string is answered; episodes end by themselves or at the round limit"


def deterministic(world: type[TextEnv], episodes: int) -> str:
    """The text of a task and its answers follow from index, variant and actions."""
    indices = _some(world, episodes)
    for index, other in zip(indices, [*indices[1:], indices[0]], strict=True):
        runs = []
        for _ in range(2):
            env = world()
            first = env.reset(options={"index": index})
            runs.append([first, *_play(env, random.Random(index), env.max_rounds)])
        if runs[0] != runs[1]:
            raise WorldFault(f"index {index}: {_difference(*runs)}")
        env, beside = world(), world()
        answers: list[Any] = [env.reset(options={"index": index})]
        beside.reset(options={"index": other})
        rng, another = random.Random(index), random.Random(other)
        for _ in range(env.max_rounds):
            answers += _play(env, rng, 1)
            _play(beside, another, 1)
        if answers != runs[0]:
            raise WorldFault(
                f"index {index}, while another episode is under way: "
                f"{_difference(answers, runs[0])}; instances share something, say an attribute of "
                "the class"
            )
    return "the same actions get the same answers in two instances, at once, too"


def same_future(world: type[TextEnv], episodes: int) -> str:
    """A copy that went through JSON plays on as the original, which leaves the copy alone."""
    for number, index in enumerate(_some(world, episodes)):
        env, fork = world(), world()
        env.reset(options={"index": index})
        _play(env, random.Random(index), number % 4)
        kept = env.snapshot()
        text = json.dumps(kept)
        ours = _play(env, random.Random(number), 8)
        if json.dumps(kept) != text:
            raise WorldFault(
                f"index {index}: playing on has changed the snapshot; `_save` shares a list or a "
                "dict with the world"
            )
        copy = json.loads(text)
        fork.restore(copy)
        if json.loads(json.dumps(fork.snapshot())) != json.loads(text):
            raise WorldFault(f"index {index}: a restored world saves another state")
        theirs = _play(fork, random.Random(number), 8)
        if ours != theirs:
            raise WorldFault(f"index {index}, after restore: {_difference(ours, theirs)}")
        if json.dumps(copy) != text:
            raise WorldFault(
                f"index {index}: playing on has changed the snapshot that was restored; `_load` "
                "keeps a list or a dict of it"
            )
    return "a restored copy has the same future"


def expert_wins(world: type[TextEnv], episodes: int) -> str:
    """Where there is an expert, a turn can say its actions, and it nearly always succeeds."""
    if world._advise is TextEnv._advise:
        return "no expert: demonstrations must come from elsewhere"
    indices, lost = _some(world, episodes), []
    for index in indices:
        env, over, cut = world(), False, False
        _, info = env.reset(options={"index": index})
        while not (over or cut):
            thought, action = env.expert_action()
            if (read := env.parse(react(thought, action))) != action:
                raise WorldFault(
                    f"index {index}: a policy that writes the expert's action {action!r} does "
                    f"{read!r}. The default `parse` keeps letters from a to z, digits, commas and "
                    "spaces; with `parse = staticmethod(agentprm_lite.chat.last_action)` all stays"
                )
            _, _, over, cut, info = _step(env, action)
        if not info["success"]:
            lost.append(index)
    if len(lost) > len(indices) / 10:
        raise WorldFault(f"the expert fails in {len(lost)} of {len(indices)} tasks: {lost[:5]}")
    return f"the expert wins in {len(indices) - len(lost)} of {len(indices)} tasks"


CHECKS = (known_by_name, any_string, deterministic, same_future, expert_wins)


def garbage(rng: random.Random) -> str:
    """A string as no world expects it, now and then one word of a sensible action."""
    words = ["get", "look", "go to", "search[", "]", "#### 3", "1", "9" * 500, "", "\x00", "é{}"]
    return rng.choice(["", " "]).join(rng.choices(words, k=rng.randrange(6)))


def _some(world: type[TextEnv], episodes: int) -> list[int]:
    """Indices spread over both splits."""
    tasks = [*world.tasks("train"), *world.tasks("test")]
    return [task.index for task in tasks[:: -(-len(tasks) // episodes)]]


def _play(env: TextEnv, rng: random.Random, steps: int) -> Answers:
    """Answers to the expert's actions, where there is one, mixed with garbage."""
    answers: Answers = []
    expert = type(env)._advise is not TextEnv._advise
    while len(answers) < steps and not _over(env):
        wild = rng.random() < 0.4 or not expert
        answers.append(_step(env, garbage(rng) if wild else env.expert_action()[1]))
    return answers


def _step(env: TextEnv, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
    """The answer to an action, if it is of the right types."""
    reply, reward, over, cut, info = env.step(action)
    if type(over) is not bool or not isinstance(reward, float):
        raise WorldFault(
            f"{action!r}: expected (text, float, bool, ...), got {(reply, reward, over)!r}"
        )
    if type(info.get("success")) is not bool:
        raise WorldFault(f"{action!r}: expected a bool as success, got {info!r}")
    return reply, reward, over, cut, info


def _over(env: TextEnv) -> bool:
    kept = env.snapshot()
    return kept["terminated"] or kept["rounds"] >= kept["max_rounds"]


def _difference(ours: list[Any], theirs: list[Any]) -> str:
    pairs = zip(ours, theirs, strict=False)
    place, pair = next(((i, p) for i, p in enumerate(pairs) if p[0] != p[1]), (0, (ours, theirs)))
    return f"answer {place} is {pair[0]!r} in one instance and {pair[1]!r} in the other"
