"""Chat logs become the trajectories that sampling would have recorded."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import SIZE, TEXTS, random_reward_model, random_trajectories

from agentprm_lite.files import append_jsonl, from_line, read_jsonl, to_line
from agentprm_lite.hub import ChatFormat, load_chat, new_reward_model
from agentprm_lite.interop.files import read_log
from agentprm_lite.interop.recordings import from_messages, trajectories
from agentprm_lite.kinds import RewardExample
from agentprm_lite.models import Lora
from agentprm_lite.prm import RewardModel
from agentprm_lite.train import TrainConfig, train_reward_model
from agentprm_lite.tutorial.tiny import make_tiny
from agentprm_lite.types import Task, Trajectory

TOLD = {"role": "user", "content": "Goal: craft 1 stick."}
TURN = {"role": "assistant", "content": "Action: inventory"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that knows every word of these trajectories, so that no text is lost."""
    made = tmp_path_factory.mktemp("wordy")
    make_tiny(made, [*TEXTS, "I need nothing."], SIZE, seed=0)
    return made


@pytest.fixture(scope="module")
def chat(folder: Path) -> ChatFormat:
    return load_chat(folder)


@pytest.fixture(scope="module")
def played(chat: ChatFormat) -> list[Trajectory]:
    return random_trajectories(chat, 12, seed=5)


def messages_of(t: Trajectory, *, last_reply: bool = False) -> list[dict[str, Any]]:
    texts = [x for pair in zip(t.observations, t.actions, strict=False) for x in pair]
    texts += [t.observations[-1]] * last_reply
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


@pytest.mark.parametrize("last_reply", [False, True])
def test_a_log_has_the_ids_and_steps_of_its_episode(
    chat: ChatFormat, played: list[Trajectory], last_reply: bool
) -> None:
    for t in played:
        log = messages_of(t, last_reply=last_reply)
        again = from_messages(chat, log, t.outcome, t.task, sample=t.sample)
        assert again.ids == t.ids and again.spans == t.spans and again.prompt_len == t.prompt_len
        assert again.actions == t.actions and again.rewards == t.rewards
        assert again.success == t.success and again.final and again.logprobs == ()
        assert again.observations[:-1] == t.observations[:-1]
        assert again.observations[-1] == (t.observations[-1] if last_reply else "")
        assert from_line(to_line(again)) == again


def test_what_is_not_over_scores_alike_and_is_refused_in_training(
    chat: ChatFormat, folder: Path, played: list[Trajectory]
) -> None:
    judge = RewardModel(random_reward_model(folder))
    log = messages_of(max(played, key=lambda t: t.num_steps))
    under_way, over = (from_messages(chat, log, reward, Task("mine", 0)) for reward in (None, 0.0))
    assert not (under_way.final or under_way.truncated or under_way.terminated)
    assert over.final and over.terminated and not over.truncated
    a, b = judge.score([under_way, over])
    assert np.allclose([a.root, *a.q], [b.root, *b.q], atol=1e-6) and len(a.q) == len(log) // 2
    model, examples = new_reward_model(folder, Lora(), 0), [RewardExample(under_way)]
    with pytest.raises(ValueError, match="mine/0/0/0 has no known outcome: leave it out"):
        train_reward_model(model, examples, "pvm", TrainConfig(lr=1e-2, epochs=1))


def test_a_task_has_its_number_by_its_name(chat: ChatFormat) -> None:
    """So tasks of two calls don't meet under one number. sha256("a") begins with ca978112ca1b."""

    def read(*tasks: str) -> list[Task]:
        rows = [{"task": task, "messages": [TOLD, TURN], "reward": 1} for task in tasks]
        return [t.task for t in trajectories(chat, [read_log(r, "runs.jsonl") for r in rows])[0]]

    assert read("a") == [Task("logs", 0xCA978112CA1B)]
    assert read("b", "a", "b") == [*read("b"), *read("a"), *read("b")]
    assert len({t.index for t in read(*map(str, range(100)))}) == 100


def test_a_reward_model_learns_the_same_from_logs(
    chat: ChatFormat, folder: Path, played: list[Trajectory]
) -> None:
    ours = [t for t in played if t.final]
    logs = [from_messages(chat, messages_of(t), t.outcome, t.task, sample=t.sample) for t in ours]
    scores = []
    for data in (ours, logs):
        model = new_reward_model(folder, Lora(r=4, alpha=8), 0)
        config = TrainConfig(lr=1e-2, epochs=1, microbatch_tokens=512)
        train_reward_model(model, [RewardExample(t) for t in data], "agentprm", config)
        scores.append(np.concatenate([v.q for v in RewardModel(model).score(data)]))
    assert np.array_equal(*scores) and np.ptp(scores[0]) > 1e-3


@pytest.mark.parametrize(
    ("messages", "reward", "message"),
    [
        ([], 1.0, "trajectory mine/0/0/0: no message is a step of the agent"),
        ([TOLD], 1.0, "no message is a step of the agent; expected one with the role 'assistant'"),
        ([TOLD, {**TURN, "weight": 0}], 1.0, "at least, whose weight isn't 0"),
        ([TOLD, {**TURN, "role": "robot"}], 1.0, "message 1 has the role 'robot', expected one of"),
        ([TOLD, TURN, object()], 1.0, "message 2 is of type object, expected a mapping with"),
        ("hello", 1.0, "messages are a text that isn't JSON"),
        (3, 1.0, "messages are int, expected a list of messages"),
        ([TOLD, TURN], "good", "reward is 'good', expected 0 to 1 or None"),
        ([TOLD, TURN], {"score": 1}, "reward is {'score': 1}, expected 0 to 1 or None"),
        ([TOLD, TURN], -1, "reward is -1, expected 0 to 1 or None; scale it"),
        ([TOLD, TURN], 1.5, "reward is 1.5, expected 0 to 1 or None"),
        ([TOLD, TURN], float("nan"), "reward is nan, expected 0 to 1 or None"),
    ],
)
def test_bad_logs_are_refused(chat: ChatFormat, messages: Any, reward: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        from_messages(chat, messages, reward, Task("mine", 0))


@pytest.mark.parametrize(
    ("reward", "success", "outcome"),
    [
        *[(r, True, 1.0) for r in (True, 1, "1", "1.0", " true ", np.float32(1), np.bool_(True))],
        (torch.tensor(1.0), True, 1.0),
        *[(r, False, 0.0) for r in (False, 0, "0", "False", np.int64(0))],
        *[(r, False, 0.5) for r in ("0.5", np.float64(0.5))],
        *[(r, False, 0.0) for r in (None, "")],
    ],
)
def test_rewards_of_any_library_are_written_and_read(
    chat: ChatFormat, tmp_path: Path, reward: Any, success: bool, outcome: float
) -> None:
    made = from_messages(chat, [TOLD, TURN], reward, Task("mine", np.int64(3)))
    assert (made.success, made.outcome) == (success, outcome)
    assert made.final == (reward not in (None, ""))
    append_jsonl(tmp_path / "a.jsonl", [made])
    assert read_jsonl(tmp_path / "a.jsonl") == [made]


def test_what_is_not_as_in_the_log_is_said_once(
    chat: ChatFormat, caplog: pytest.LogCaptureFixture
) -> None:
    turn = {**TURN, "reasoning_content": "nothing", "audio": {"id": "a"}}
    for _ in range(2):
        from_messages(chat, [TOLD, turn], 1.0, Task("mine", 0))
    said = [r.getMessage() for r in caplog.records]
    assert said == [
        "not as in the logs: field 'audio'",
        "not as in the logs: turns without their thoughts",
    ]


def test_the_readmes_program_for_logs_runs(
    folder: Path, played: list[Trajectory], tmp_path: Path
) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    _, code = re.findall(r"```python\n(.+?)```", readme, re.S)
    base = '"HuggingFaceTB/SmolLM2-135M-Instruct"'
    assert code.count(base) == 1
    (logs,) = re.findall(r'read_logs\(\["(.+?)"\]\)', code)
    (tmp_path / logs).write_text("".join(
        json.dumps({"task": t.task.index, "messages": messages_of(t), "reward": t.outcome}) + "\n"
        for t in played
    ))  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", code.replace(base, repr(str(folder)))],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.findall(r"^M = 0\.\d\d  (.+)$", run.stdout, re.M) == [
        action.splitlines()[0] for action in played[0].actions
    ]
    assert (tmp_path / "my-prm-2" / "config.json").exists()
