"""Sampling from real server processes on loopback, which fail on purpose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from helpers import TASKS, unused_url, whole_logprobs

from agentprm_lite.episode import SamplingConfig
from agentprm_lite.fast import FastPlayer
from agentprm_lite.files import collect, read_jsonl
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.serve.openai import AllServersDown, ServerPlayer, ServerRefused
from agentprm_lite.tutorial import cli, stages
from agentprm_lite.tutorial.profiles import SMOKE
from agentprm_lite.types import Trajectory

REPOSITORY = Path(__file__).parents[2]
CONFIG = SamplingConfig(max_new_tokens=8, rules=False, max_rounds=4)
JOBS = [(task, k) for task in TASKS[:4] for k in range(4)]  # 16 episodes


class Remote:
    """A server process, from the side of a test."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid, self.port = pid, port
        self.url = f"http://127.0.0.1:{port}/v1"

    def control(self, method: str, command: str, **words: Any) -> Any:
        body = json.dumps(words).encode()
        url = f"http://127.0.0.1:{self.port}/control/{command}"
        with urlopen(Request(url, body, method=method), timeout=60.0) as answer:
            return json.loads(answer.read())

    def fault(self, how: str, **words: Any) -> None:
        self.control("POST", "fault", how=how, **words)

    def bodies(self) -> list[dict[str, Any]]:
        return self.control("GET", "played")["bodies"]


class Fleet:
    """Server processes with one model."""

    def __init__(self, folder: Path) -> None:
        self.parent = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "tests" / "completions_server.py"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.servers = [self.start(), self.start()]

    def start(self, port: int = 0) -> Remote:
        assert self.parent.stdin and self.parent.stdout
        self.parent.stdin.write(f"{port}\n")
        self.parent.stdin.flush()
        pid, port = self.parent.stdout.readline().split()
        return Remote(int(pid), int(port))

    def stop(self) -> None:
        self.parent.communicate()


@pytest.fixture(scope="module")
def fleet(folder: Path) -> Iterator[Fleet]:
    fleet = Fleet(folder)
    yield fleet
    fleet.stop()


@pytest.fixture
def two(fleet: Fleet) -> list[Remote]:
    """Two servers that are alive and well."""
    for i, server in enumerate(fleet.servers):
        try:
            server.control("POST", "begin")
        except URLError:  # a test killed it
            fleet.servers[i] = fleet.start()
    return fleet.servers


def backend(chat: ChatFormat, *servers: Remote, **options: Any) -> ServerPlayer:
    config = options.pop("config", CONFIG)
    options = {"timeout": 120.0, **options}
    return ServerPlayer([s.url for s in servers], chat, config, "remote", **options)


def play(player: Any, jobs: Any = JOBS) -> list[Trajectory]:
    return player.run([player.start(task, k, 3) for task, k in jobs])


@pytest.fixture(scope="module")
def played(fleet: Fleet, chat: ChatFormat) -> list[Trajectory]:
    """What one healthy server gives."""
    return play(backend(chat, fleet.servers[0]))


# --- what a trajectory holds ----------------------------------------------------------------------


def test_trajectories_are_whole(played: list[Trajectory], chat: ChatFormat):
    assert [(t.task, t.sample) for t in played] == JOBS
    assert {t.policy for t in played} == {"remote"}
    assert all(t.terminated or t.truncated_by == "rounds" for t in played)
    assert len({t.ids for t in played}) == 16
    steps = [s for t in played for s in t.spans]
    assert {b - a for a, b in steps} >= {2, 5, 8}
    for t in played:
        for (a, b), action in zip(t.spans, t.actions, strict=True):
            assert chat.decode(t.ids[a:b]) == action
        assert t.usage.generated == sum(b - a for a, b in t.spans)
        # the servers told nothing of a cache: every turn read its whole history
        assert t.usage.prefilled == sum(a for a, _ in t.spans)
        assert (t.usage.cached, t.usage.env_steps) == (0, t.num_steps)


def test_logprobs_are_the_models_own(played: list[Trajectory], folder: Path):
    model = load_policy(folder)
    for t in played[:4]:
        whole = whole_logprobs(model, t.ids)
        expected = [float(whole[k - 1]) for a, b in t.spans for k in range(a, b)]
        assert t.logprobs == pytest.approx(expected, abs=1e-4)


def test_greedy_as_in_this_process(two: list[Remote], chat: ChatFormat, folder: Path):
    config = replace(CONFIG, temperature=0.0)
    here = play(FastPlayer(load_policy(folder), chat, config), JOBS[::4])
    there = play(backend(chat, two[0], config=config), JOBS[::4])
    assert [t.ids for t in there] == [t.ids for t in here]
    assert [t.observations for t in there] == [t.observations for t in here]


def test_every_turn_is_asked_with_the_exact_history(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory]
):
    play(backend(chat, two[0]), JOBS[:1])
    bodies, t = two[0].bodies(), played[0]
    assert [body["prompt"] for body in bodies] == [list(t.ids[:a]) for a, _ in t.spans]
    assert {body["model"] for body in bodies} == {"tiny"}
    assert {body["max_tokens"] for body in bodies} == {8}
    assert {tuple(body["stop_token_ids"]) for body in bodies} == {(chat.end_id,)}
    assert len({body["seed"] for body in bodies}) == len(bodies) == t.num_steps > 1


def test_an_episode_without_room_is_truncated(two: list[Remote], chat: ChatFormat):
    player = backend(chat, two[0])
    room = len(player.start(*JOBS[0], 3).ids) + 8
    for limit, steps in ((room - 1, 0), (room, 1)):
        (t,) = play(backend(chat, two[0], config=replace(CONFIG, max_context=limit)), JOBS[:1])
        assert (t.num_steps, t.truncated_by, t.final) == (steps, "tokens", False)


# --- several servers ------------------------------------------------------------------------------


def test_two_servers_give_what_one_gives(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory]
):
    assert play(backend(chat, *two)) == played
    shares = [len(server.bodies()) for server in two]
    assert sum(shares) == sum(t.num_steps for t in played)
    assert min(shares) >= 10


def test_one_server_killed_midway_and_nothing_lost(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory], tmp_path: Path
):
    two[1].fault("die", after=12)  # SIGKILL before its 13th answer
    path = tmp_path / "rollouts.jsonl"
    again = collect(backend(chat, *two), TASKS[:4], 4, path, seed=3, batch=16)
    with pytest.raises(URLError):
        two[1].bodies()
    assert again == read_jsonl(path) == played
    # what had been asked of the dead one is asked of the other again
    assert len(two[0].bodies()) == sum(t.num_steps for t in played) - 12


def test_a_server_that_comes_back_gets_work_again(
    fleet: Fleet, two: list[Remote], chat: ChatFormat, played: list[Trajectory]
):
    """The other one stands still until the one that came back has answered."""
    os.kill(two[1].pid, signal.SIGKILL)
    os.kill(two[0].pid, signal.SIGSTOP)

    def revive() -> None:
        try:
            time.sleep(0.3)  # it is tried in vain at once and after 0.2 seconds
            fleet.servers[1] = fleet.start(two[1].port)
            for _ in range(600):
                if len(fleet.servers[1].bodies()) > 2:
                    return
                time.sleep(0.1)
        finally:
            os.kill(two[0].pid, signal.SIGCONT)

    helper = threading.Thread(target=revive)
    helper.start()
    assert play(backend(chat, *two, in_flight=4)) == played
    helper.join()
    assert len(fleet.servers[1].bodies()) > 2


def test_a_dead_server_from_the_start(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory]
):
    urls = [unused_url(), two[0].url]
    assert play(ServerPlayer(urls, chat, CONFIG, "remote", retries=0)) == played


def test_when_all_are_dead_what_was_collected_is_kept(
    fleet: Fleet, two: list[Remote], chat: ChatFormat, played: list[Trajectory], tmp_path: Path
):
    path = tmp_path / "rollouts.jsonl"
    first = sum(t.num_steps for t in played[:8])
    two[0].fault("die", after=first + 3)
    dead = unused_url()
    player = ServerPlayer([two[0].url, dead], chat, CONFIG, "remote", retries=2)
    with pytest.raises(AllServersDown) as caught:
        collect(player, TASKS[:4], 4, path, seed=3, batch=8)
    for url in (two[0].url, dead):
        assert f"  {url}: " in str(caught.value)
    assert read_jsonl(path) == played[:8]  # the ninth's first turns are lost
    # another run, with a server that lives, adds the rest
    assert collect(backend(chat, two[1]), TASKS[:4], 4, path, seed=3, batch=8) == played


def test_when_all_die_the_block_under_way_is_kept(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory], tmp_path: Path
):
    """The first episodes go first: of a block of 16 only those under way are lost."""
    two[0].fault("die", after=sum(t.num_steps for t in played[:11]) + 1)
    path = tmp_path / "rollouts.jsonl"
    player = ServerPlayer([two[0].url], chat, CONFIG, "remote", retries=1, in_flight=2)
    with pytest.raises(AllServersDown, match="what was collected is in the file"):
        collect(player, TASKS[:4], 4, path, seed=3, batch=16)
    kept = read_jsonl(path)
    assert 4 <= len(kept) <= 11 and kept == played[: len(kept)]
    assert collect(backend(chat, two[1]), TASKS[:4], 4, path, seed=3, batch=16) == played


def test_the_command_line_collects_from_servers(
    two: list[Remote], chat: ChatFormat, folder: Path, tmp_path: Path, monkeypatch: Any
):
    actor = stages.Policy(folder, chat, replace(SMOKE, batch=5))
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path))
    monkeypatch.setattr(stages, "policy", lambda profile, kind="sft": actor)
    monkeypatch.setattr(stages, "test_tasks", lambda profile: TASKS[:2])
    servers = [word for server in two for word in ("--server", server.url)]
    command = ["collect", "--profile", "smoke", "--split", "test"]
    assert cli.main([*command, *servers]) == 0
    assert min(len(server.bodies()) for server in two) > 0
    assert max(server.control("GET", "played")["most"] for server in two) <= 3  # of ⌈5 / 2⌉
    (file,) = tmp_path.glob("smoke/textcraft/pool-*/pool.jsonl")
    trajectories = read_jsonl(file)
    assert {(t.task, t.policy) for t in trajectories} == {(u, folder.name) for u in TASKS[:2]}
    assert stages.pool(SMOKE) == trajectories  # what comes after needs no servers


# --- back-pressure --------------------------------------------------------------------------------


def test_no_more_requests_in_flight_than_places(two: list[Remote], chat: ChatFormat):
    two[0].fault("slow", times=1000, seconds=0.02)
    play(backend(chat, two[0], in_flight=3))
    assert two[0].control("GET", "played")["most"] == 3


def test_a_slow_server_gets_less(two: list[Remote], chat: ChatFormat, played: list[Trajectory]):
    two[0].fault("slow", times=1000, seconds=1.0)
    assert play(backend(chat, *two, in_flight=4)) == played
    slow, fast = (len(server.bodies()) for server in two)
    assert slow < fast


# --- misbehaviour ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"how": "status", "status": 500},
        {"how": "status", "status": 503},
        {"how": "status", "status": 429},
        {"how": "drop"},
        {"how": "slow", "seconds": 4.0},  # longer than the timeout
        {"how": "edit", "choice": {"finish_reason": "abort"}},
    ],
    ids=str,
)
def test_a_failure_that_passes_changes_nothing(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory], fault: dict[str, Any]
):
    two[0].fault(**fault, after=5, times=3)
    patience = 2.0 if fault["how"] == "slow" else 120.0
    assert play(backend(chat, two[0], timeout=patience), JOBS[:8]) == played[:8]
    again = len(two[0].bodies()) - sum(t.num_steps for t in played[:8])
    assert again == 3 or (again > 3 and fault["how"] == "slow")  # a busy machine is slow, too


def test_retries_are_bounded(two: list[Remote], chat: ChatFormat):
    two[0].fault("status", status=500, times=1000)
    message = f"{two[0].url}: POST /completions: HTTP 500: .as asked for"
    with pytest.raises(AllServersDown, match=message):
        play(backend(chat, two[0], retries=2), JOBS[:1])
    assert len(two[0].bodies()) == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"how": "status", "status": 400}, "POST /completions: HTTP 400: .as asked for"),
        ({"how": "status", "status": 401}, "HTTP 401"),
        ({"how": "status", "status": 404}, "HTTP 404.*\n.*the url normally ends in /v1"),
        ({"how": "edit", "choice": {"text": "other words"}}, "tokenizer isn't the policy's"),
        ({"how": "edit", "choice": {"prompt_token_ids": [1]}}, "aren't the prompt that was sent"),
        ({"how": "edit", "choice": {"token_ids": None, "logprobs": None}}, "has no token ids"),
    ],
    ids=str,
)
def test_a_server_that_never_gave_a_good_answer_is_refused_at_once(
    two: list[Remote],
    chat: ChatFormat,
    played: list[Trajectory],
    fault: dict[str, Any],
    message: str,
):
    two[0].fault(**fault, times=1000)
    with pytest.raises(ServerRefused, match=f"(?s){two[0].url}: .*{message}") as caught:
        play(backend(chat, two[0]), JOBS[:1])
    assert "return_token_ids" in str(caught.value)
    assert len(two[0].bodies()) == 1
    # another one is used in its place
    assert play(backend(chat, *two), JOBS[:4]) == played[:4]


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"message": "model overloaded", "code": 503}},
        {"how": "edit", "choice": {"finish_reason": "content_filter"}},
        {"how": "edit", "choice": {"logprobs": {"token_logprobs": [None] * 8}}},
        {"how": "status", "status": 500},
        {"how": "status", "status": 400},
        {"how": "malformed"},
        {"how": "drop"},
        {"how": "edit", "choice": {"text": 5}},
        {"how": "edit", "seconds": 12},
    ],
    ids=str,
)
def test_a_bad_answer_costs_at_most_its_episode(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory], answer: dict[str, Any]
):
    bad = played[1].ids[: played[1].spans[1][0]]  # the second turn of the second episode
    two[0].fault(answer.pop("how", "answer"), prompt=list(bad), times=1000, answer=answer, **answer)
    got = play(backend(chat, two[0], in_flight=4, retries=1, timeout=10), JOBS)
    assert [*got[:1], *got[2:]] == [*played[:1], *played[2:]]
    assert (got[1].truncated_by, got[1].final, got[1].spans) == (
        "server", False, played[1].spans[:1],
    )  # fmt: skip
    # elsewhere it is answered, and nothing is lost
    assert play(backend(chat, *two, in_flight=4, retries=9, timeout=10), JOBS[:4]) == played[:4]


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 512 tokens, you asked for 600",
        "The input (600 tokens) is longer than the model's context length (512 tokens).",
        "the request exceeds the available context size, try increasing it",
        "`inputs` tokens + `max_new_tokens` must be <= 2048. Given: 2000 `inputs` tokens",
        "prompt is too long: 600 tokens > 512 maximum",
    ],
)
def test_a_history_that_a_server_cannot_read_is_truncated_alone(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory], message: str
):
    bad = list(played[1].ids[: played[1].spans[1][0]])
    two[0].fault("status", status=400, message=message, prompt=bad, times=1)
    got = play(backend(chat, two[0]), JOBS[:3])
    assert (got[0], got[2]) == (played[0], played[2])
    assert (got[1].truncated_by, got[1].final, got[1].num_steps) == ("tokens", False, 1)


def test_a_server_that_finds_every_history_too_long_is_refused(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory], tmp_path: Path
):
    """Its context is shorter than a turn may be: no episode has ended by that."""
    message = "'max_tokens' is too large: this model's maximum context length is 8 tokens"
    two[0].fault("status", status=400, message=message, times=1000)
    path = tmp_path / "rollouts.jsonl"
    with pytest.raises(ServerRefused, match=r"no server answers.*'max_tokens' is too large"):
        collect(backend(chat, two[0]), TASKS[:4], 4, path, seed=3)
    assert collect(backend(chat, two[1]), TASKS[:4], 4, path, seed=3) == played


def test_a_limit_of_another_setting_is_no_matter_of_length(two: list[Remote], chat: ChatFormat):
    two[0].fault("status", status=400, message="min_p must be <= 1", times=1000)
    with pytest.raises(ServerRefused, match="min_p must be <= 1"):
        play(backend(chat, two[0], retries=1), JOBS[:2])


def test_what_an_outage_has_spoiled_is_asked_for_again(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory], tmp_path: Path
):
    """After some good answers the server aborts every turn, until it counts as dead."""
    fault = {"choice": {"finish_reason": "abort"}, "after": 9, "times": 1000}
    two[0].fault("edit", **fault)
    path = tmp_path / "rollouts.jsonl"
    with pytest.raises(AllServersDown, match="expected 'stop' or 'length'"):  # all four at once
        collect(backend(chat, two[0], retries=1, in_flight=4), TASKS[:4], 4, path, seed=3, batch=4)
    assert collect(backend(chat, two[1]), TASKS[:4], 4, path, seed=3, batch=4) == played


def test_a_server_is_left_alone_as_long_as_it_asks(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory]
):
    two[0].fault("status", status=429, times=1, headers={"Retry-After": "2"})
    start = time.monotonic()
    assert play(backend(chat, two[0]), JOBS[:4]) == played[:4]
    assert time.monotonic() - start >= 2.0
    begun = two[0].control("GET", "played")["times"]
    late = [moment - begun[0] for moment in begun]
    assert late[4] >= 2.0  # the first four were under way at once


@pytest.mark.parametrize("reason", [None, "eos", "eos_token"])
def test_other_words_for_the_end_of_a_turn(
    two: list[Remote], chat: ChatFormat, played: list[Trajectory], reason: str | None
):
    two[0].fault("edit", choice={"finish_reason": reason}, times=1000)
    whole = [k for k in range(16) if all(t[-1] == 2 for t in turns(played[k]))][:2]
    assert play(backend(chat, two[0]), [JOBS[k] for k in whole]) == [played[k] for k in whole]


def turns(t: Trajectory) -> list[tuple[int, ...]]:
    """Its turns' tokens."""
    return [t.ids[a:b] for a, b in t.spans]


def test_the_key_is_sent_and_never_told(
    two: list[Remote], chat: ChatFormat, monkeypatch: pytest.MonkeyPatch
):
    two[0].fault("status", status=401, times=1000, message="wrong key: sk-secret")
    for options, variable in (({"api_key": "sk-secret"}, ""), ({}, "sk-secret")):
        monkeypatch.setenv("OPENAI_API_KEY", variable)
        player = backend(chat, two[0], **options)
        with pytest.raises(ServerRefused, match=r"wrong key: \*\*\*") as caught:
            play(player, JOBS[:1])
        assert "secret" not in f"{caught.value}{player!r}{vars(player)}"
    assert two[0].control("GET", "played")["keys"] == ["Bearer sk-secret"] * 2
    with pytest.raises(ValueError, match="without name, password") as refused:
        ServerPlayer(["http://me:sk-secret@localhost:1/v1"], chat, CONFIG)
    assert "secret" not in str(refused.value)


def test_one_turn_at_a_time(two: list[Remote], chat: ChatFormat, played: list[Trajectory]):
    player = backend(chat, *two)
    episodes = [player.start(task, k, 3) for task, k in JOBS[:3]]
    player.act(episodes)
    assert [len(e.spans) for e in episodes] == [1, 1, 1]
    assert player.run(episodes) == played[:3]


def test_the_model_must_be_named_where_there_are_several(two: list[Remote], chat: ChatFormat):
    two[0].control("POST", "fault", how="models", names=["base", "adapter"])
    with pytest.raises(ServerRefused, match=r"lists the models \['base', 'adapter'\]; name one"):
        play(backend(chat, two[0]), JOBS[:1])
    play(backend(chat, two[0], model="adapter"), JOBS[:1])
    assert {body["model"] for body in two[0].bodies()} == {"adapter"}


@pytest.mark.parametrize(
    ("urls", "options"),
    [
        ([], {}),
        ("http://localhost:1/v1", {}),
        (["http://localhost:1/v1"] * 2, {}),
        (["localhost:8000"], {}),
        (["http://localhost:1/v1"], {"in_flight": 0}),
        (["http://localhost:1/v1"], {"timeout": 0}),
        (["http://localhost:1/v1"], {"retries": -1}),
    ],
)
def test_arguments_are_checked(chat: ChatFormat, urls: Any, options: dict[str, Any]):
    with pytest.raises(ValueError, match="expected"):
        ServerPlayer(urls, chat, CONFIG, **options)
