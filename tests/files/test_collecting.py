"""Collecting: killed at any moment, the file ends up the same."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers import TASKS, Dice, backend, float64, in_another_process, until

from agentprm_lite.episode import Episode
from agentprm_lite.fast import FastPlayer
from agentprm_lite.files import collect, read_jsonl
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.types import Trajectory, Usage

FEW = TASKS[:4]
SAMPLES = 4
BATCH = 6  # 16 episodes: blocks of 6, 6 and 4, which begin in the middle of a task


@pytest.fixture(scope="module")
def player(folder: Path, chat: ChatFormat) -> FastPlayer:
    return backend(float64(load_policy(folder)), chat, max_new_tokens=4)


def run(player: Any, path: Path, **changes: Any) -> list[Trajectory]:
    arguments = {"tasks": FEW, "samples": SAMPLES, "seed": 5, "batch": BATCH} | changes
    return collect(player, arguments.pop("tasks"), arguments.pop("samples"), path, **arguments)


@pytest.fixture(scope="module")
def whole(player: FastPlayer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an uninterrupted run."""
    path = tmp_path_factory.mktemp("whole") / "rollouts.jsonl"
    run(player, path)
    return path


def episodes(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """Without what depends on the batch: who pays for a shared prompt, the last digits."""
    return [replace(t, usage=Usage(), logprobs=()) for t in trajectories]


class Counting:
    """A backend that notes how many episodes each call plays."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.policy, self.start = inner, inner.policy, inner.start
        self.played: list[int] = []

    def run(self, episodes: Sequence[Episode]) -> list[Trajectory]:
        self.played.append(len(episodes))
        return self.inner.run(episodes)


def test_every_task_and_sample_once_in_order(whole: Path, player: FastPlayer, tmp_path: Path):
    trajectories = read_jsonl(whole)
    assert [(t.task, t.sample) for t in trajectories] == [(u, k) for u in FEW for k in range(4)]
    assert {t.seed for t in trajectories} == {5}
    assert {t.policy for t in trajectories} == {"policy"}
    assert run(player, tmp_path / "again.jsonl") == trajectories
    assert (tmp_path / "again.jsonl").read_bytes() == whole.read_bytes()


def test_blocks_change_only_who_pays_for_shared_prompts(whole: Path, player: Any, tmp_path: Path):
    other = run(player, tmp_path / "b.jsonl", batch=16)
    assert episodes(other) == episodes(read_jsonl(whole))
    for a, b in zip(read_jsonl(whole), other, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-9)
    total = [sum((t.usage for t in part), Usage()) for part in (read_jsonl(whole), other)]
    assert total[0].generated == total[1].generated
    assert total[0].prefilled > total[1].prefilled  # blocks of 6 read some prompts twice


# --- interruptions --------------------------------------------------------------------------------


def test_resume_with_a_model(whole: Path, player: FastPlayer, tmp_path: Path):
    content = whole.read_bytes()
    path = tmp_path / "a.jsonl"
    path.write_bytes(content[: len(content) * 3 // 5])
    run(player, path)
    assert path.read_bytes() == content


def test_resume_after_a_cut_at_any_byte(chat: ChatFormat, tmp_path: Path):
    run(Dice(chat), tmp_path / "whole.jsonl")
    content = (tmp_path / "whole.jsonl").read_bytes()
    ends = [i + 1 for i, c in enumerate(content) if c == 10]
    # the cut, and the blocks that are still to be played: 0-5, 6-11, 12-15
    cuts = [
        (0, [6, 6, 4]),
        (1, [6, 6, 4]),
        (ends[0], [6, 6, 4]),
        (ends[4] + 7, [6, 6, 4]),
        (ends[5] - 2, [6, 6, 4]),
        (ends[5] - 1, [6, 4]),  # the line is whole but for its line break
        (ends[5], [6, 4]),
        (ends[5] + 1, [6, 4]),
        (ends[9] + 100, [6, 4]),
        (ends[11] - 2, [6, 4]),
        (ends[11] - 1, [4]),
        (ends[11], [4]),
        (ends[14], [4]),
        (len(content) - 2, [4]),
        (len(content) - 1, []),
        (len(content), []),
    ]
    for cut, blocks in cuts:
        path = tmp_path / f"{cut}.jsonl"
        path.write_bytes(content[:cut])
        counting = Counting(Dice(chat))
        run(counting, path)
        assert counting.played == blocks
        assert path.read_bytes() == content, f"cut at byte {cut}"


def killed_when(ready: Callable[[], bool], work: Callable[[], object]) -> None:
    """Do some work in another process and kill it as soon as something is the case."""
    child = in_another_process(work)
    until(ready)
    os.kill(child, signal.SIGKILL)  # a child that is done stays a zombie until waitpid
    os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_kill_9_at_random_moments_loses_and_doubles_nothing(chat: ChatFormat, tmp_path: Path):
    dice = Dice(chat)
    run(dice, tmp_path / "whole.jsonl", samples=40, batch=3)  # 54 blocks
    expected = (tmp_path / "whole.jsonl").read_bytes()
    path = tmp_path / "killed.jsonl"
    path.touch()
    rng = random.Random()
    lines = []
    for target in sorted(rng.randrange(len(expected) * 3 // 4) for _ in range(12)):
        pause = time.monotonic() + rng.uniform(0, 0.01)
        killed_when(
            lambda target=target, pause=pause: (
                path.stat().st_size >= target and time.monotonic() > pause
            ),
            partial(run, dice, path, samples=40, batch=3),
        )
        assert expected.startswith(path.read_bytes())
        lines.append(path.read_bytes().count(b"\n"))
    assert lines == sorted(lines)  # no whole line is lost again
    assert len({n for n in lines if 0 < n < 160}) >= 3  # it was hit at different stages
    result = run(dice, path, samples=40, batch=3)
    assert path.read_bytes() == expected
    assert read_jsonl(path) == result
    assert len({t.key for t in result}) == len(result) == 160


def test_more_tasks_go_on_in_the_same_file(whole: Path, player: FastPlayer, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    run(player, path, tasks=FEW[:2])
    run(player, path)
    assert episodes(read_jsonl(path)) == episodes(read_jsonl(whole))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"seed": 6}, 1),
        ({"tasks": FEW[::-1]}, 1),
        ({"tasks": [*FEW[:2], FEW[3]]}, 9),
        ({"samples": 3}, 4),  # sample 3 of the first task isn't wanted
        ({"samples": 5}, 5),  # sample 4 of the first task is missing
        ({"tasks": FEW[:3]}, 13),  # more than wanted
    ],
)
def test_another_runs_file_is_refused(
    whole: Path, player: FastPlayer, tmp_path: Path, changes: dict[str, Any], line: int
):
    path = tmp_path / "a.jsonl"
    path.write_bytes(whole.read_bytes())
    counting = Counting(player)
    with pytest.raises(ValueError, match=rf"a\.jsonl, line {line}: .*give another file or remove"):
        run(counting, path, **changes)
    assert counting.played == []
    assert path.read_bytes() == whole.read_bytes()


def test_another_policys_file_is_refused(whole: Path, player: FastPlayer, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(whole.read_bytes())
    other = FastPlayer(player.model, player.chat, player.config, "retrained")
    with pytest.raises(ValueError, match=r"of policy 'policy'.*this run of policy 'retrained'"):
        run(other, path)


@pytest.mark.parametrize("lines", [5, 6, 16], ids=["within a block", "whole blocks", "complete"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": True}, r"a\.jsonl: the prompt of textcraft/.* isn't what this run would begin"),
        ({"max_rounds": 19}, r"has 20 rounds.*, the limit of this run is 19; give another file"),
        ({"max_rounds": 21}, r"has 20 rounds and was cut there, the limit of this run is 21;"),
    ],
    ids=str,
)
def test_a_file_of_other_settings_is_refused(
    whole: Path,
    player: FastPlayer,
    tmp_path: Path,
    lines: int,
    change: dict[str, Any],
    message: str,
):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(whole.read_bytes().splitlines(keepends=True)[:lines]))
    before = path.read_bytes()
    other = Counting(FastPlayer(player.model, player.chat, replace(player.config, **change)))
    with pytest.raises(ValueError, match=message):
        run(other, path)
    assert other.played == [] and path.read_bytes() == before


def test_a_doubled_line_is_refused(whole: Path, player: FastPlayer, tmp_path: Path):
    lines = whole.read_bytes().splitlines(keepends=True)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join([*lines[:3], lines[2]]))
    with pytest.raises(ValueError, match="line 4"):
        run(player, path)
