"""AgentGym's client against a real HTTP server on loopback that misbehaves on purpose."""

import copy
import http.client
import json
import os
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from agentprm_lite.env import WORLDS, make_env
from agentprm_lite.serve.address import pause
from agentprm_lite.serve.agentgym import _IDLE, AgentGymEnv, ReplayDiffers, close_idle
from agentprm_lite.serve.agentgym_http import (
    AgentGymError,
    AgentGymTimeout,
    ConnectionLost,
    Server,
)
from agentprm_lite.types import Task
from agentprm_lite.worlds import AFTER_END
from agentprm_lite.worlds.textcraft import TextCraft

SLEEP = time.sleep  # the client's own pauses are left out below
REPOSITORY = Path(__file__).parents[2]
INDEX = 0  # of our TextCraft: one craft
FIRST = TextCraft().reset(options={"index": INDEX})[0]

BABYAI = {
    "world": "babyai",
    "first": 'Your goal: go to the red ball\nThere is ...\nAvailable actions: ["turn left"]',
    "steps": [
        {"action": "turn left", "observation": "a", "reward": 0, "score": 0, "done": False},
        # not done at a reward of 0.5 or less, and the reward counted again in the next score
        {"action": "move forward", "observation": "b", "reward": 0.2, "score": 0.2, "done": False},
        {"action": "turn left", "observation": "c", "reward": 0.2, "score": 0.4, "done": False},
        {"action": "toggle", "observation": "d", "reward": 0.5, "score": 0.9, "done": True},
    ],
}
WEBSHOP = {
    "world": "webshop",
    "first": "WebShop [SEP] Instruction: [SEP] Find me a lamp [SEP] Search",
    "steps": [
        {"action": "search[lamp]", "observation": "Page 1", "reward": 0.0, "done": False},
        {"action": "click[buy now]", "observation": "Thank you", "reward": 0.75, "done": True},
    ],
}


class Remote:
    """The server process, from the side of a test."""

    def __init__(self, port):
        self.port = port

    def control(self, command, /, **words):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", f"/control/{command}", json.dumps(words))
        reply = json.loads(connection.getresponse().read())
        connection.close()
        return reply

    def fault(self, call, how, **words):
        self.control("fault", call=call, how=how, **words)

    def url(self, world="textcraft"):
        return f"http://127.0.0.1:{self.port}/{world}"

    def env(self, world="textcraft", **kwargs):
        return AgentGymEnv(world, self.url(world), **{"timeout": 10.0, **kwargs})

    def calls(self, *kinds):
        """[call, words or action] of the requests so far; of /step the instance and the action."""
        played = self.control("played")["played"]
        return [
            (call, words.get("id", words.get("env_idx")), words.get("action"))
            for _, call, words, _ in played
            if not kinds or call in kinds
        ]


@pytest.fixture(scope="module")
def process():
    server = subprocess.Popen(
        [sys.executable, str(REPOSITORY / "tests" / "agentgym_server.py")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    yield Remote(int(server.stdout.readline()))
    server.terminate()
    server.wait()
    server.stdout.close()


@pytest.fixture
def remote(process, monkeypatch):
    process.control("begin")
    for script in (BABYAI, WEBSHOP):
        process.control("script", **script)
    for world in ("babyai", "webshop"):  # as long as this library lacks the world
        if world not in WORLDS:
            monkeypatch.setitem(WORLDS, world, WORLDS["textcraft"])
    monkeypatch.setattr("agentprm_lite.serve.agentgym_http.time.sleep", lambda seconds: None)
    _IDLE.clear()
    yield process
    _IDLE.clear()


# --- what the servers say when all is well


def test_textcraft_answers_as_in_this_process(remote):
    here, there = TextCraft(), remote.env()
    for index in (0, 31, 425):
        told = here.reset(options={"index": index})[0]
        assert there.reset(options={"index": index})[0] == told
        done = False
        while not done:
            action = here.expert_action()[1]
            mine, answer = here.step(action), there.step(action)
            assert answer[:4] == mine[:4]
            assert answer[4] == {"success": mine[4]["success"], "index": index, "variant": 0}
            if not (answer[2] or answer[3]):
                assert there.observation() == mine[0]
            done = mine[2] or mine[3]
    assert remote.calls("/create") == [("/create", None, None)]  # one instance for three episodes
    assert there.step("inventory")[0] == AFTER_END


def test_babyai_reward_is_the_score(remote):
    env = remote.env("babyai")
    assert env.reset(options={"index": 7})[0] == BABYAI["first"]
    assert remote.control("played")["played"][-1][2] == {"id": 0, "data_idx": 7}
    assert env.observation() == "Your goal: x\n" + BABYAI["first"]
    answers = [env.step(step["action"]) for step in BABYAI["steps"]]
    # observation, score, done, truncated; success once the score is above 0
    assert [(*a[:4], a[4]["success"]) for a in answers] == [
        ("a", 0.0, False, False, False),
        ("b", 0.2, False, False, True),
        ("c", 0.4, False, False, True),
        ("d", 0.9, True, False, True),
    ]
    # the server would say {"error": "The task with environment 1 has finished."}
    assert env.step("turn left")[:4] == (AFTER_END, 0.0, True, False)
    assert len(remote.calls("/step")) == 4


def test_webshop_shapes(remote):
    env = remote.env("webshop")
    assert env.reset(options={"index": 3})[0] == WEBSHOP["first"]
    assert remote.control("played")["played"][-1][2] == {"env_idx": 0, "session_id": 3}
    assert env.observation() == WEBSHOP["first"]
    assert env.step("search[lamp]")[:4] == ("Page 1", 0.0, False, False)
    told, reward, terminated, _, info = env.step("click[buy now]")
    assert (told, reward, terminated, info["success"]) == ("Thank you", 0.75, True, False)


def recorded(name):
    folder = Path(os.environ.get("AGENTPRM_DATA", REPOSITORY.parent / "shared" / "data"))
    path = folder / "vectors" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"reference data {path} not found (set AGENTPRM_DATA)")
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    ("world", "name"),
    [
        ("babyai", "babyai_0"),
        ("babyai", "babyai_7"),
        ("babyai", "babyai_1882"),
        ("babyai", "babyai_3919"),
        ("webshop", "webshop_session0_r0"),
        ("webshop", "webshop_session3_r1"),
        ("webshop", "webshop_session6_r0p0286"),
    ],
)
def test_recorded_episodes(remote, world, name):
    record = recorded(name)
    first = record["reset"]["observation"] if world == "babyai" else record["initial_observation"]
    keys = ("action", "observation", "reward", "score", "done")
    steps = [{k: step[k] for k in keys if k in step} for step in record["steps"]]
    remote.control("script", world=world, first=first, steps=steps)
    index = record["data_idx"] if world == "babyai" else record["session_idx"]
    env = remote.env(world, max_rounds=len(steps) + 1)
    assert env.reset(options={"index": index})[0] == first
    for step in steps:
        answer = env.step(step["action"])
        reward = step["score" if world == "babyai" else "reward"]
        assert answer[:4] == (step["observation"], reward, step["done"], False)
    if world == "webshop":
        assert answer[1] == record["final_reward"]
        assert answer[4]["success"] == (record["final_reward"] == 1)


@pytest.mark.parametrize("world", ["textcraft", "babyai"])
def test_recorded_shapes_are_understood(remote, world):
    # every answer on record, word for word, in place of the server's own
    shapes = recorded(f"http_shapes_{world}")
    server = Server(world, remote.url(world), 10.0, 0)
    for name, body in shapes.items():
        call = "/" + name.split("/")[1].split("?")[0].split(" ")[0]
        if call in ("/", "/detail", "/commands", "/goal"):
            continue
        remote.fault(call, "reply", body=json.dumps(body))
        ask = {
            "/create": lambda: server.create(),
            "/reset": lambda: server.reset(0, 1),
            "/step": lambda: server.step(0, "x"),
            "/observation": lambda: server.observation(0),
        }[call]
        if isinstance(body, dict) and "error" in body:
            with pytest.raises(AgentGymError, match="the server says"):
                ask()
        elif call == "/create":
            assert ask() == body["id"]
        elif call == "/step":
            reward = body["score" if world == "babyai" else "reward"]
            assert ask() == (body["observation"], reward, body["done"])
        else:
            assert ask() == (body if isinstance(body, str) else body["observation"])


# --- what can go wrong

CALLS = {
    "/create": lambda env: env.reset(options={"index": INDEX}),
    "/reset": lambda env: env.reset(options={"index": INDEX}),
    "/step": lambda env: env.step("inventory"),
    "/observation": lambda env: env.observation(),
    "/close": lambda env: env.close(),
}
WRONG = {
    "500": ({"how": "500"}, "HTTP 500: 'Internal Server Error'"),
    "malformed": ({"how": "malformed"}, "not JSON .*Got 1 s"),
    "error": ({"how": "reply", "body": '{"error": "The id 999 is not valid."}'}, "id 999 is not"),
    "not http": ({"how": "not http"}, "not HTTP"),
    "list": ({"how": "reply", "body": "[]"}, r"expected .*, got \[\]"),
    "number": ({"how": "reply", "body": "12.5"}, "expected .*, got 12.5"),
    "null": ({"how": "reply", "body": "null"}, "expected .*, got None"),
    "deep": ({"how": "reply", "body": "[" * 100_000}, "not JSON"),
    "bytes": ({"how": "reply", "body": ""}, "not JSON"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_answer_is_an_error_that_names_call_and_instance(remote, call, wrong):
    fault, message = WRONG[wrong]
    env = remote.env(retries=3)
    if call not in ("/create", "/reset"):
        env.reset(options={"index": INDEX})
    before = len(remote.calls(call))
    remote.fault(call, **fault)
    with pytest.raises(AgentGymError, match=message) as caught:
        CALLS[call](env)
    method = "GET" if call == "/observation" else "POST"
    number = "" if call == "/create" else " (id 0)"
    assert str(caught.value).startswith(f"{method} {remote.url()}{call}{number}: ")
    assert not isinstance(caught.value, ConnectionLost | AgentGymTimeout)
    assert len(remote.calls(call)) == before + 1  # and is not asked again


@pytest.mark.parametrize(
    ("world", "call", "body", "message"),
    [
        ("textcraft", "/create", {"observation": "x"}, "expected an object with 'id'"),
        ("textcraft", "/create", {"id": "0"}, "expected a number of an instance, got '0'"),
        ("webshop", "/create", True, "expected a number of an instance, got True"),
        ("textcraft", "/reset", {"id": 0}, "expected an object with 'observation'"),
        ("textcraft", "/reset", {"observation": None}, "expected a text as the observation"),
        ("webshop", "/reset", {"observation": "x"}, r"expected a list \[observation, null\]"),
        ("textcraft", "/step", {"observation": "x", "done": False}, "an object with 'reward'"),
        ("textcraft", "/step", {"observation": "x", "reward": 0}, "an object with 'done'"),
        ("babyai", "/step", {"observation": "", "reward": 0, "done": False}, "with 'score'"),
        ("webshop", "/step", {"observation": "", "reward": 0, "done": False}, "with 'state'"),
        ("textcraft", "/step", {"observation": "", "reward": "1", "done": True}, "a number as"),
        ("textcraft", "/step", {"observation": "", "reward": True, "done": True}, "a number as"),
        ("textcraft", "/step", {"observation": "", "reward": 1, "done": 1}, "true or false"),
        ("textcraft", "/step", {"observation": 3, "reward": 0, "done": False}, "a text"),
        ("textcraft", "/close", {"closed": True}, "expected true or false"),
    ],
)
def test_wrong_shapes(remote, world, call, body, message):
    env = remote.env(world)
    if call in ("/step", "/close"):
        env.reset(options={"index": INDEX})
    remote.fault(call, "reply", body=json.dumps(body))
    with pytest.raises(AgentGymError, match=message):
        CALLS[call](env)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_reward_is_finite(remote, number):
    env = remote.env()
    env.reset(options={"index": INDEX})
    body = '{"observation": "x", "reward": ' + number + ', "done": false}'
    remote.fault("/step", "reply", body=body)
    with pytest.raises(AgentGymError, match=r"'reward' is (nan|inf)"):
        env.step("inventory")


@pytest.mark.parametrize("call", ["/create", "/reset", "/step", "/observation", "/close"])
@pytest.mark.parametrize("how", ["slow", "drip"])
def test_a_slow_server_times_out_and_is_not_asked_again(remote, call, how):
    env = remote.env(retries=3)
    if call not in ("/create", "/reset"):
        env.reset(options={"index": INDEX})
    if call == "/reset":  # an idle instance: no call but this one
        remote.env().reset(options={"index": INDEX})
    env._server.timeout = 0.25
    before = len(remote.calls(call))
    remote.fault(call, how, seconds=9.0 if how == "slow" else 0.2)
    start = time.perf_counter()
    with pytest.raises(AgentGymTimeout, match=rf"{call}.*no answer within 0\.25 s"):
        CALLS[call](env)
    assert time.perf_counter() - start < 8
    assert len(remote.calls(call)) == before + 1


@pytest.mark.parametrize("how", ["drop before", "drop after", "cut"])
@pytest.mark.parametrize("call", ["/create", "/reset", "/observation"])
def test_other_calls_are_repeated_after_a_lost_connection(remote, call, how):
    env = remote.env(retries=2)
    if call == "/observation":
        env.reset(options={"index": INDEX})
    for _ in range(2):
        remote.fault(call, how)
    CALLS[call](env)
    assert len(remote.calls(call)) == 3
    assert env.observation() == FIRST


@pytest.mark.parametrize("call", ["/create", "/reset", "/observation", "/close"])
def test_repeats_are_bounded(remote, call):
    env = remote.env(retries=2)
    if call not in ("/create", "/reset"):
        env.reset(options={"index": INDEX})
    before = len(remote.calls(call))
    for _ in range(9):
        remote.fault(call, "drop before")
    with pytest.raises(ConnectionLost, match=call):
        CALLS[call](env)
    assert len(remote.calls(call)) == before + 3


def test_nobody_listens(remote):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ConnectionLost, match=f"POST {url}/create: ConnectionRefusedError"):
        AgentGymEnv("textcraft", url).reset(options={"index": 0})


def test_pauses_grow_and_are_bounded():
    assert [pause(again) for again in (0, 1, 2, 99)] == [0.2, 0.4, 0.8, 5.0]


# --- a step is played once


def start(remote, **kwargs):
    """An episode under way, on the server and here."""
    env, here = remote.env(**kwargs), TextCraft()
    env.reset(options={"index": 425})
    here.reset(options={"index": 425})
    for action in ("get 2 string", "get 1 ink sac"):
        assert env.step(action)[0] == here.step(action)[0]
    return env, here


@pytest.mark.parametrize("how", ["drop before", "drop after", "cut"])
def test_a_lost_step_is_played_once_on_another_instance(remote, how):
    env, here = start(remote)
    earlier = [action for _, _, action in remote.calls("/step")]
    action = "get 3 string"  # playing it twice would show in the inventory
    remote.fault("/step", how)
    assert env.step(action)[:4] == here.step(action)[:4]
    assert env.step("inventory")[0] == here.step("inventory")[0]
    assert remote.calls("/step")[2:] == [
        ("/step", 0, action),  # lost: nobody knows whether it was played
        *[("/step", 1, before) for before in earlier],
        ("/step", 1, action),
        ("/step", 1, "inventory"),
    ]


def test_lost_steps_are_bounded(remote):
    env, here = start(remote, retries=2)
    before = env.snapshot()
    for _ in range(30):
        remote.fault("/step", "drop after")
    with pytest.raises(ConnectionLost, match=r"/step \(id 2\)"):
        env.step("inventory")
    lost = remote.calls("/step")[2:]
    assert len(lost) == 3  # the action once, then twice the first action of a replay
    assert env.snapshot() == before  # the round does not count
    remote.control("begin")  # the server is back, without memory
    action = "get 3 string"
    assert env.step(action)[:4] == here.step(action)[:4]


@pytest.mark.parametrize("wrong", ["500", "malformed", "error", "number"])
def test_after_any_other_error_the_next_step_is_on_another_instance(remote, wrong):
    env, here = start(remote)
    action = "get 3 string"
    remote.fault("/step", **WRONG[wrong][0])
    with pytest.raises(AgentGymError):
        env.step(action)
    assert env.step(action)[:4] == here.step(action)[:4]
    assert env.step("inventory")[0] == here.step("inventory")[0]
    assert {number for _, number, _ in remote.calls("/step")[3:]} == {1}


def test_a_timed_out_step_is_not_waited_for(remote):
    # the server plays it in the end, on the instance that was given up
    env, here = start(remote)
    action = "get 3 string"
    remote.fault("/step", "slow", seconds=0.5)
    env._server.timeout = 0.25
    with pytest.raises(AgentGymTimeout):
        env.step(action)
    env._server.timeout = 10.0
    SLEEP(0.4)
    assert env.step(action)[:4] == here.step(action)[:4]
    assert env.step("inventory")[0] == here.step("inventory")[0]


def test_a_server_that_forgot(remote):
    env, here = start(remote)
    remote.control("restart")
    with pytest.raises(AgentGymError, match=r"id 0.*The id 0 is not valid"):
        env.step("inventory")
    assert env.step("inventory")[0] == here.step("inventory")[0]  # on an instance of its own


# --- copies


def test_restore_plays_the_actions_again(remote):
    env, here = start(remote)
    kept = env.snapshot()
    assert json.loads(json.dumps(kept)) == kept
    fork = make_env(env.name)
    fork.restore(json.loads(json.dumps(kept)))
    assert fork.snapshot() == kept
    assert {number for _, number, _ in remote.calls("/step")} == {0, 1}
    assert env.step("get 7 string")[0] == "Got 7 string"
    assert fork.step("inventory")[0] == here.step("inventory")[0]  # without the string
    assert kept["rounds"] == 2
    env.restore(kept)  # and back
    assert env.step("inventory")[0] == here.step("inventory")[0]


def test_restore_at_the_end(remote):
    env, here = remote.env(), TextCraft()
    env.reset(options={"index": INDEX})
    here.reset(options={"index": INDEX})
    while env.step(here.expert_action()[1])[2] is False:
        here.step(here.expert_action()[1])
    fork = make_env(env.name)
    fork.restore(env.snapshot())
    assert fork.step("inventory")[:4] == (AFTER_END, 0.0, True, False)
    assert fork.snapshot() == env.snapshot()


@pytest.mark.parametrize(
    ("step", "change", "message"),
    [
        (0, lambda s: s | {"first": "x"}, "index 425 begins with 'Crafting .* it was 'x' before"),
        (1, lambda s: s | {"turns": [[*s["turns"][0][:1], "x", 0.0, False]]}, "'x', 0.0, False"),
        (2, lambda s: s | {"turns": [s["turns"][0], ["inventory", "x", 0.0, False]]}, "step 2"),
        (2, lambda s: s | {"turns": [s["turns"][0], [*s["turns"][1][:2], 1, False]]}, "1.0, Fal"),
        (2, lambda s: s | {"turns": [s["turns"][0], [*s["turns"][1][:3], True]]}, "0.0, True"),
    ],
)
def test_a_replay_that_differs_names_the_step(remote, step, change, message):
    env, here = start(remote)
    kept = env.snapshot()
    with pytest.raises(ReplayDiffers, match=message) as caught:
        env.restore(kept | {"state": change(kept["state"])})
    assert caught.value.step == step
    assert env.snapshot() == kept  # the environment is where it was
    assert env.step("inventory")[0] == here.step("inventory")[0]


def test_restore_refuses_another_server(remote):
    env, _ = start(remote)
    with pytest.raises(ValueError, match="snapshot: expected env 'agentgym:textcraft@http"):
        AgentGymEnv("textcraft", "http://127.0.0.1:1").restore(env.snapshot())


def test_instances_are_not_copied(remote):
    env, _ = start(remote)
    for copying in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="use snapshot"):
            copying(env)


# --- instances


def test_instances_are_used_again(remote):
    for _ in range(3):  # dropped in the middle
        env, _ = start(remote)
        del env
    env = remote.env("webshop")
    for _ in range(2):  # closed, which WebShop's server can't
        env.reset(options={"index": 0})
        env.step("search[lamp]")
        env.close()
    assert [call for call, *_ in remote.calls("/create", "/close")] == ["/create"] * 2
    a, b = remote.env("webshop"), remote.env("webshop")
    a.reset(options={"index": 0})
    b.reset(options={"index": 0})
    assert a._instance.number != b._instance.number
    assert close_idle() == 1  # TextCraft's
    assert remote.calls("/close") == [("/close", 0, None)]
    assert close_idle() == 0


def test_the_end_frees_the_instance(remote):
    over, cut = remote.env("webshop"), remote.env("webshop", max_rounds=1)
    for env, actions in ((over, ("search[lamp]", "click[buy now]")), (cut, ("search[lamp]",))):
        env.reset(options={"index": 0})
        for action in actions:
            env.step(action)
        assert env._instance is None
    assert len(remote.calls("/create")) == 1  # though both environments are still here


def test_close_closes_and_the_episode_can_go_on(remote):
    with remote.env() as env:
        env.reset(options={"index": INDEX})
        assert remote.control("played")["alive"] == 1
    assert remote.control("played")["alive"] == 0
    env.close()  # nothing to close
    assert env.step("inventory")[0] == "Inventory: You are not carrying anything."
    with pytest.raises(AgentGymError, match="no episode is running"):
        remote.env().observation()


def test_an_idle_instance_that_the_server_forgot(remote):
    env, _ = start(remote)
    del env
    remote.control("restart")
    assert remote.env().reset(options={"index": INDEX})[0] == FIRST
    assert len(remote.calls("/create")) == 2


def test_a_forked_process_leaves_its_parents_instances_alone(remote, monkeypatch):
    env, _ = start(remote)
    del env
    monkeypatch.setattr("agentprm_lite.serve.agentgym.os.getpid", lambda: -1)
    remote.env().reset(options={"index": INDEX})
    assert len(remote.calls("/create")) == 2
    assert close_idle() == 1  # its own


# --- one of this library's environments


def test_gymnasium_checker(remote):
    check_env(remote.env(), skip_render_check=True)


def test_any_action_is_answered(remote):
    env = remote.env()
    env.reset(options={"index": INDEX})
    for action in ("", "\x00", "\ud800 x", "é", "x" * 1_000_000, '"\\\n'):
        assert env.step(action)[0].startswith("Could not execute")
    assert env.snapshot()["state"]["turns"][2][0] == "? x"


def test_the_same_word_for_everything(remote):
    env = remote.env()
    assert env.name == f"agentgym:textcraft@{remote.url()}"
    assert (env.instructions, env.acknowledgement, env.max_rounds) == (
        TextCraft.instructions,
        TextCraft.acknowledgement,
        20,
    )
    assert env.tasks("test", levels=(1,)) == [
        Task(env.name, t.index) for t in TextCraft.tasks("test", levels=(1,))
    ]
    made = make_env(env.name + "/")
    assert (type(made), made.name) == (AgentGymEnv, env.name)
    assert make_env(env.name).reset(options={"index": INDEX})[0] == FIRST
    assert remote.env().reset(seed=3) == remote.env().reset(seed=3)
    with pytest.raises(ResetNeeded):
        env.step("inventory")
    env.reset(options={"index": INDEX})
    with pytest.raises(NotImplementedError, match="has no expert"):
        env.expert_action()


def test_wrong_arguments(remote):
    for name, message in (
        ("agentgym:nosuch@http://localhost", "world: expected one of .*'textcraft', 'webshop'"),
        ("agentgym:textcraft", "expected agentgym:<world>@<url>, got 'agentgym:textcraft'"),
        ("agentgym:textcraft@localhost:36001", "url: expected http"),
        ("agentgym:textcraft@ftp://localhost", "url: expected http"),
        ("agentgym:textcraft@http://user:secret@localhost", "url of localhost: expected"),
        ("agentgym:textcraft@http://localhost?x=1", "url of localhost: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            make_env(name)
    for kwargs in ({"timeout": 0}, {"retries": -1}, {"max_rounds": 0}):
        with pytest.raises(ValueError, match=next(iter(kwargs))):
            remote.env(**kwargs)
    env = remote.env()
    for options in ({"index": -1}, {"index": 10**9}, {"index": 0, "variant": 1}, {"goal": "x"}):
        with pytest.raises(ValueError, match=r"index|variant|options"):
            env.reset(options=options)


def test_rollouts_on_a_server(remote, folder, chat, tmp_path):
    from helpers import backend

    from agentprm_lite.files import collect
    from agentprm_lite.hub import load_policy  # torch, which no other test here needs
    from agentprm_lite.rollout import continue_from

    env = remote.env()
    tasks = env.tasks("train", levels=(1,))[::50][:2]
    policy = backend(load_policy(folder), chat)
    remote.fault("/step", "drop after")  # nothing of it shows
    played = collect(policy, tasks, 2, tmp_path / "rollouts.jsonl")
    assert [t.task for t in played] == [task for task in tasks for _ in range(2)]
    for t in played:
        here = TextCraft()
        assert t.observations[0] == here.reset(options={"index": t.task.index})[0]
        assert t.num_steps == 20
        assert t.final
    assert collect(policy, tasks, 2, tmp_path / "rollouts.jsonl") == played
    more = continue_from(policy, played[0], 1)  # forks: snapshot and restore
    assert [rollouts[0].observations[: k + 2] for k, rollouts in enumerate(more)] == [
        played[0].observations[: k + 2] for k in range(20)
    ]
    assert len(remote.calls("/create")) <= 25
