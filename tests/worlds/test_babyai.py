"""BabyAI against recordings of AgentGym's servers, against minigrid's own step, and by hand."""

import contextlib
import gzip
import io
import json
import os
import random
import re
import statistics
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from minigrid.utils.baby_ai_bot import BabyAIBot

from agentprm_lite.chat import TOO_MANY_ACTIONS, parse_action
from agentprm_lite.types import Task
from agentprm_lite.worlds.babyai import BabyAI
from agentprm_lite.worlds.babyai import blueprint as plans
from agentprm_lite.worlds.babyai.blueprint import blueprint
from agentprm_lite.worlds.babyai.expert import pending
from agentprm_lite.worlds.babyai.levels import LEVEL_NAMES, SPLIT_LEVELS, indices, place_of
from agentprm_lite.worlds.babyai.paths import Paths
from agentprm_lite.worlds.babyai.world import GridWorld, visible

REPOSITORY = Path(__file__).resolve().parents[2]


def reference(path: str) -> Path:
    """A file of the reference data; skips the test where it is absent."""
    folder = Path(os.environ.get("AGENTPRM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / path).exists():
        pytest.skip(f"reference data {path} not found (set AGENTPRM_DATA)")
    return folder / path


def number(entry: dict) -> int:
    return int(entry["item_id"].rsplit("_", 1)[1])


def started(index: int, **kwargs: object) -> BabyAI:
    env = BabyAI(**kwargs)
    env.reset(options={"index": index})
    return env


# --- recordings ---------------------------------------------------------------------------------


def test_replay_of_agenttraj():
    with gzip.open(reference("agenttraj_l/babyai.json.gz")) as file:
        records = json.load(file)
    assert len(records) == 389
    compared = 0
    for record in records:
        env = BabyAI(10**6, compat="agentgym", available_actions=False)
        told = [turn["value"] for turn in record["conversations"]]
        assert env.reset(options={"index": number(record)})[0] == told[2]
        done = False
        for turn, answer in zip(told[3::2], [*told[4::2], None], strict=True):
            action = turn.split("Action:")[-1]  # the controller of 2024 kept all its lines
            observation, _, done, _, _ = env.step(action)
            if answer is not None:
                assert observation == answer, (record["item_id"], action)
                compared += 1
        assert done  # these were kept because they succeeded
    assert compared == 1940


def test_replay_of_live_runs():
    # item_id names an entry of the train list; what the runs played is its position there
    ids = [
        number(e) for e in json.loads(reference("agentgym_ids/babyai_train_ids.json").read_text())
    ]
    with gzip.open(reference("live_runs/babyai.jsonl.gz")) as file:
        records = [json.loads(line) for line in file]
    assert len(records) == 129
    compared = 0
    for record in records:
        env = BabyAI(10**6, compat="agentgym")
        told = [turn["content"] for turn in record["conversations"]]
        assert env.reset(options={"index": ids.index(number(record))})[0] == told[2]
        score, done = 0.0, False
        for turn, answer in zip(told[3::2], told[4::2], strict=False):
            action = parse_action(turn)
            observation, score = TOO_MANY_ACTIONS, 0.0
            if action is not None:
                observation, score, done, _, _ = env.step(action)
            assert observation == answer, (record["item_id"], action)
            compared += 1
        assert score == pytest.approx(record["reward"], abs=1e-12)
        assert done or len(told) > 40  # they end when done or after 20 rounds
    assert compared == 1967


@pytest.mark.parametrize("index", [0, 7, 1882, 3919])
def test_replay_of_vectors(index):
    vector = json.loads(reference(f"vectors/babyai_{index}.json").read_text())
    env = BabyAI(compat="agentgym")
    assert env.reset(options={"index": index})[0] == vector["reset"]["observation"]
    for step in vector["steps"]:
        observation, score, done, _, _ = env.step(step["action"])
        assert (observation, score, done) == (step["observation"], step["score"], step["done"])


def test_splits_equal_agentgym():
    for split, name in (("train", "babyai_train_ids"), ("test", "babyai_test")):
        ids = json.loads(reference(f"agentgym_ids/{name}.json").read_text())
        assert sorted(map(number, ids)) == [task.index for task in BabyAI.tasks(split)]


# --- tasks --------------------------------------------------------------------------------------


def test_tasks():
    assert len(SPLIT_LEVELS) == 18
    for level in SPLIT_LEVELS:
        assert len(BabyAI.tasks("train", levels=(level,))) == 45
        assert len(BabyAI.tasks("test", levels=(level,))) == 5
    assert indices("test")[-1] == 12875
    assert BabyAI.tasks("train", levels=(1,))[0] == Task("babyai", 0)
    # index 1882 = 40 * 47 + 2: level 2 + 1, seed 47
    assert [place_of(1882, k) for k in (0, 3)] == [(3, 47), (3, 3047)]
    # a variant's seed is at least 1000, AgentGym's largest is 321
    assert max(place_of(index)[1] for index in indices("train") + indices("test")) == 321
    assert len(LEVEL_NAMES) == 40
    for wrong in ({"split": "dev"}, {"split": "test", "levels": (12,)}):
        with pytest.raises(ValueError, match=next(reversed(wrong))):
            BabyAI.tasks(**wrong)
    for options in ({"index": 40_000}, {"index": -1}, {"index": 0, "variant": -1}):
        with pytest.raises(ValueError, match=next(reversed(options))):
            BabyAI().reset(options=options)
    with pytest.raises(ValueError, match=r'expected None or "agentgym", got .mended'):
        BabyAI(compat="mended")


def test_nothing_is_printed(capfd):
    # seed 3 of level 36 and its neighbours reject samples, which minigrid prints
    blueprint.cache_clear()
    for seed in range(20):
        BabyAI().reset(options={"index": seed * 40 + 35})
    assert capfd.readouterr() == ("", "")
    with contextlib.redirect_stdout(io.StringIO()) as told:
        for seed in range(20):
            plans._level(36).reset(seed=seed)
    assert "Sampling rejected" in told.getvalue()  # else this test would show nothing


# --- texts --------------------------------------------------------------------------------------


def test_text_of_a_small_task():
    told, info = BabyAI().reset(options={"index": 1882})
    assert told == (
        "Your goal: go to the red ball\n"
        "In front of you in this room, you can see several objects: There is a red ball 1 0 steps "
        "in front of you and 2 steps to your right.  The room has walls around you. You are facing "
        "a wall 1 steps away. You are not carrying anything.\n"
        'Available actions: ["turn left", "turn right", "pickup red ball 1", "go to red ball 1", '
        '"check available actions"]'
    )
    assert info == {
        "success": False,
        "goal": "go to the red ball",
        "level": 3,
        "seed": 47,
        "index": 1882,
        "variant": 0,
        "low_level_steps": 0,
    }
    short, _ = BabyAI(available_actions=False).reset(options={"index": 1882})
    assert short == told.rsplit("\n", 1)[0]


def test_reward_counts_low_level_actions():
    # the ball is 2 to the right: turn right, forward; then it is right ahead. 2 of 64 steps.
    env = started(1882)
    observation, reward, terminated, truncated, info = env.step("Go to red ball 1 ")
    assert observation.splitlines()[1] == " The task is completed."
    assert (terminated, truncated, info["success"]) == (True, False, True)
    assert reward == 1 - 0.9 * 2 / 64
    assert info["low_level_steps"] == 2


def test_messages():
    env = started(1882)
    nothing = env.step("look")[0].splitlines()[0]
    assert nothing == "The action is not recognized. Please check valid actions."
    expected = {
        "": "No change in state.",
        "move forward": "There is a barrier in front of you, you can't move forward.",
        "drop": "You cannot drop the object, as you are not carrying anything.",
        "please CHECK": "You can take the following actions: turn left, turn right, "
        "pickup red ball 1, go to red ball 1, check available actions",
    }
    for action, message in expected.items():
        assert env.step(action)[0].splitlines()[0] == message


def test_every_message_is_known_beforehand():
    """Each reply to a random action is a view, a list, or one that a class constant shows."""
    names = re.compile(r"(\w+ (open|closed|locked) door|\w+ (ball|key|box)) \d+")
    shown = {names.sub("X", reply) for reply in BabyAI.rare_replies} | {
        "",
        "No change in state.",
        "The action is not recognized. Please check valid actions.",
        "You cannot drop the object, as you are not carrying anything.",
        "You cannot go through X, as there is no path leading to it.",
        "You cannot toggle and go through X, as there is no path leading to it.",
    }
    views = ("In front of you in this", "You cannot see any", "You can take the following")
    rng, env, met = random.Random(2), BabyAI(available_actions=False), set()
    for task in BabyAI.tasks("train")[::5]:
        env.reset(options={"index": task.index})
        for _ in range(19):
            offered = [*env._menu.macros, *env._menu.refusals]
            told, _, ended, _, _ = env.step(rng.choice(offered))
            first = told.splitlines()[0]
            if not first.startswith(views):
                met.add(names.sub("X", first))
            if ended:
                break
    assert met <= shown
    assert len(met) >= 8


def test_numbers_count_afresh():
    # four grey keys are in sight at first; turned left, fewer are, and they begin at 1 again
    env = started(0)
    before = env.step("check")[0]
    assert '"go to grey key 4"' in before
    after = env.step("turn left")[0]
    assert "grey key 4" not in after


# --- what is mended -----------------------------------------------------------------------------


def test_pick_up_is_pickup():
    # level 19, PickupLoc
    for compat, understood in ((None, True), ("agentgym", False)):
        env = BabyAI(compat=compat)
        for task in BabyAI.tasks("train", levels=(19,)):
            env.reset(options={"index": task.index})
            offered = [a for a in env._menu.macros if a.startswith("pickup ")]
            if offered:
                told = env.step(offered[0].replace("pickup", "pick up"))[0]
                assert ("not recognized" not in told) == understood


def test_goal_keeps_its_order():
    goals = {
        compat: [
            BabyAI(compat=compat).reset(options={"index": task.index})[1]["goal"]
            for task in BabyAI.tasks("train", levels=(8,))
        ]
        for compat in (None, "agentgym")
    }
    assert any(", then " in goal for goal in goals[None])
    assert any(" after you " in goal for goal in goals[None])
    assert not any(re.search("then|after you", goal) for goal in goals["agentgym"])


def waste(env: BabyAI, steps: int) -> None:
    for _ in range(steps):
        env.step("turn left")


def test_late_success_ends_the_episode():
    # level 4 has 16 low-level steps: 1 - 0.9 * 9 / 16 = 0.49 does not end AgentGym's episode
    index = BabyAI.tasks("train", levels=(4,))[3].index
    env = BabyAI(40)
    env.reset(options={"index": index})
    waste(env, 12)
    done = False
    while not done:
        told, reward, done, _, info = env.step(env.expert_action()[1])
    assert info["success"]
    assert reward == 1 - 0.9 * info["low_level_steps"] / 16 < 0.5
    theirs = BabyAI(40, compat="agentgym")
    theirs.reset(options={"index": index})
    waste(theirs, 12)
    for _ in range(10):
        told, score, done, _, _ = theirs.step(theirs.expert_action()[1])
        assert not done
        if "completed" in told:
            break
    assert 0 < score < 0.5
    assert theirs.step("nonsense")[1] == 2 * score  # counted again


def test_reward_has_a_floor():
    index = BabyAI.tasks("train", levels=(4,))[3].index
    env = BabyAI(60)
    env.reset(options={"index": index})
    waste(env, 32)
    done = False
    while not done:
        _, reward, done, _, info = env.step(env.expert_action()[1])
    assert info["success"]
    assert reward == pytest.approx(0.1)


def test_wrong_object_fails_where_the_mission_is_strict():
    index = BabyAI.tasks("train", levels=(20,))[0].index
    env = started(index)
    (leaf,) = pending(env._world.plan.clause, env._world.flags)
    assert leaf.strict
    wrong = [a for a, t in env._menu.meant.items() if a[:6] == "pickup" and t not in leaf.targets]
    told, reward, terminated, _, info = env.step(wrong[0])
    assert told.splitlines()[1] == " The task has failed."
    assert (reward, terminated, info["success"]) == (0.0, True, False)
    theirs = started(index, compat="agentgym")
    told, score, done, _, _ = theirs.step(wrong[0])
    assert told.splitlines()[1] == " The task is completed."
    assert (score, done) == (0.0, False)


def test_door_opened_on_the_way_counts():
    # level 12 (Open), which no split uses: "toggle and go through" opens and then walks on
    for seed in range(40):
        env, theirs = started(seed * 40 + 11), started(seed * 40 + 11, compat="agentgym")
        (leaf,) = pending(env._world.plan.clause, env._world.flags)
        doors = [a for a, t in env._menu.meant.items() if a[:6] == "toggle" and t in leaf.targets]
        if doors:
            assert env.step(doors[0])[2]
            told, score, done, _, _ = theirs.step(doors[0])
            assert (score, done, "completed" in told) == (0.0, False, False)
            return
    raise AssertionError("no such door in sight")


# --- against minigrid and against plain search --------------------------------------------------


def twin(level: int, seed: int):
    """minigrid's environment and our world of it."""
    world = GridWorld(blueprint(level, seed))
    env = plans._level(level)
    with contextlib.redirect_stdout(io.StringIO()):
        env.reset(seed=seed)
    return env, world


def theirs_as_ours(image: np.ndarray) -> list:
    """minigrid's image in the words of GridWorld.image."""
    kinds = {4: "door", 5: "key", 6: "ball", 7: "box"}
    cells = []
    for row in range(7):
        for column in range(7):
            kind, colour, state = (int(part) for part in image[column, row])
            if kind in kinds:
                thing = plans.Thing(kinds[kind], plans.COLOURS[colour])
                cells.append((thing, state))
            else:
                cells.append({0: plans.UNSEEN, 1: plans.EMPTY, 2: plans.WALL}[kind])
    return cells


@pytest.mark.parametrize("level", LEVEL_NAMES)
def test_low_level_play_equals_minigrid(level):
    rng = random.Random(level)
    for seed in range(3):
        env, world = twin(level, seed)
        for _ in range(80):
            front = env.grid.get(*env.front_pos)
            choices = [0, 1, 2, 2, 2, 3, 4, 5]
            if front is not None and front.type == "box":
                choices.remove(5)  # no offered action toggles a box
            action = rng.choice(choices)
            image, reward, terminated, _, _ = env.step(action)
            _, status = world.act(action)
            assert list(world.image()) == theirs_as_ours(image["image"])
            assert (status == "success") == (terminated and reward != 0)
            assert (status != "continue") == terminated
            if terminated:
                break


def test_paths_are_shortest():
    rng = random.Random(5)
    for _ in range(60):
        blocked = {rng.randrange(56) for _ in range(rng.randrange(30))} - {51}
        paths = Paths(blocked, 3)  # facing north the field is just the view
        # plain breadth-first search over (row, column, heading)
        distance, queue = {(6, 3, 0): 0}, deque([(6, 3, 0)])
        while queue:
            row, column, heading = pose = queue.popleft()
            ahead = (row + (-1, 0, 1, 0)[heading], column + (0, 1, 0, -1)[heading])
            turns = [(row, column, (heading + turn) % 4) for turn in (1, 3)]
            free = (
                0 <= ahead[0] < 7 and 0 <= ahead[1] < 7 and ahead[0] * 8 + ahead[1] not in blocked
            )
            for following in [*turns, *([(*ahead, heading)] if free else [])]:
                if following not in distance:
                    distance[following] = distance[pose] + 1
                    queue.append(following)
        for row in range(7):
            for column in range(7):
                found = paths.onto(row * 8 + column)
                reach = [d for (r, c, _), d in distance.items() if (r, c) == (row, column)]
                assert (None if found is None else len(found)) == min(reach, default=None)


def test_light():
    everything = visible([True] * 49)
    assert all(everything)
    # a closed row two ahead hides all behind it, and is seen itself
    wall = visible([row != 4 for row in range(7) for _ in range(7)])
    assert wall == [row >= 4 for row in range(7) for _ in range(7)]


# --- copies, pictures, speed --------------------------------------------------------------------


@pytest.mark.parametrize("compat", [None, "agentgym"])
def test_restore_in_every_level(compat):
    rng = random.Random(1)
    for level in LEVEL_NAMES:
        env, fork = started(level - 1, compat=compat), BabyAI()
        for _ in range(12):
            kept = json.loads(json.dumps(env.snapshot()))
            action = rng.choice(list(env._menu.macros))
            answer = env.step(action)
            fork.restore(kept)
            assert fork.step(action) == answer
            assert fork.snapshot() == env.snapshot()
            if answer[2]:
                break
            assert fork.expert_action() == env.expert_action()  # it remembers the same cells


def test_picture():
    env = started(0)
    picture = env.render(tile_size=8)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    inner, _ = twin(1, 0)
    assert np.array_equal(picture, inner.get_full_render(highlight=True, tile_size=8))
    env.step("turn left")
    assert not np.array_equal(env.render(tile_size=8), picture)
    with pytest.raises(ResetNeeded):
        BabyAI().render()


def test_steps_and_restores_are_fast():
    rng, steps, restores = random.Random(0), [], []
    for task in BabyAI.tasks("test"):
        env = BabyAI()
        env.reset(options={"index": task.index})
        for _ in range(5):
            action = rng.choice([env.expert_action()[1], *env._menu.macros])
            start = time.process_time()
            ended = env.step(action)[2]
            steps.append(time.process_time() - start)
            kept = env.snapshot()
            start = time.process_time()
            env.restore(kept)
            restores.append(time.process_time() - start)
            if ended:
                break
    assert statistics.median(steps) < 1e-3
    assert statistics.median(restores) < 3e-3


# --- expert -------------------------------------------------------------------------------------


def solve(env: BabyAI, *, rounds: int) -> bool:
    for _ in range(rounds):
        thought, action = env.expert_action()
        assert len(thought.split()) <= 60
        assert action in env._menu.macros  # it does what is offered
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            break
    return info["success"]


def test_expert_solves_the_test_tasks():
    solved = 0
    for task in BabyAI.tasks("test"):
        env = BabyAI()
        env.reset(options={"index": task.index})
        solved += solve(env, rounds=20)
    assert solved >= 88


def test_expert_after_detours():
    rng = random.Random(3)
    solved = tried = 0
    for task in BabyAI.tasks("train")[::20]:
        if place_of(task.index)[0] == 20:
            continue  # a wrong pickup ends it
        env = BabyAI(60)
        env.reset(options={"index": task.index})
        for _ in range(8):
            if env.step(rng.choice(list(env._menu.macros)))[2]:
                break
        else:
            tried += 1
            solved += solve(env, rounds=52)
    assert tried >= 20
    assert solved >= 0.95 * tried


def test_expert_knows_only_what_was_shown():
    # the same advice in a world where all that was never shown is walled up and emptied
    compared = hidden = 0
    for task in BabyAI.tasks("train", levels=(6, 7, 31, 33, 36))[::15]:
        env, other = BabyAI(), BabyAI()
        env.reset(options={"index": task.index})
        for _ in range(8):
            advice = env.expert_action()
            other.restore(env.snapshot())
            for thing, place in enumerate(other._world.places):
                if place not in other._known:
                    hidden += place >= 0
                    other._world.places[thing] = -1
            for place in range(len(other._world.cells)):
                if place not in other._known:
                    other._world.cells[place] = plans.WALL
            assert other.expert_action() == advice
            compared += 1
            if env.step(advice[1])[2]:
                break
    assert compared >= 60
    assert hidden >= 300


def test_thoughts():
    env = started(1882)
    assert env.expert_action() == ("I need the red ball. It is red ball 1.", "go to red ball 1")
    env.step("turn left")
    assert env.expert_action()[0] == "I need the red ball. I know the way."
    lost = started(BabyAI.tasks("train", levels=(31,))[0].index)
    assert "I do not see it." in lost.expert_action()[0]


def test_expert_is_as_good_as_minigrids_bot():
    # an independent solver on the same worlds: both reach the goal in these levels
    for task in BabyAI.tasks("test", levels=(1, 5, 9, 11, 19))[::2]:
        level, seed = place_of(task.index)
        inner, _ = twin(level, seed)
        bot, action, done, steps = BabyAIBot(inner), None, False, 0
        while not done and steps < 100:
            action = bot.replan(action)
            _, _, done, _, _ = inner.step(action)
            steps += 1
        assert done
        env = BabyAI()
        env.reset(options={"index": task.index})
        assert solve(env, rounds=20)
        assert env._world.steps <= 2 * steps + 4
