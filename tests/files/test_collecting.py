"""Collecting: killed at any moment, the file ends up the same."""

from __future__ import annotations

import os
import random
import signal
import sys
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


def test_a_task_given_twice_is_refused_before_playing(chat: ChatFormat, tmp_path: Path):
    """Its file could be neither read nor continued."""
    counting = Counting(Dice(chat))
    with pytest.raises(ValueError, match=rf"tasks has {FEW[0].key} more than once, expected each"):
        run(counting, tmp_path / "a.jsonl", tasks=[FEW[0], FEW[1], FEW[0]])
    assert counting.played == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"batch": 0}, {"batch": -1}, {"samples": 0}, {"samples": -1}])
def test_numbers_below_one_are_refused(chat: ChatFormat, tmp_path: Path, change: dict[str, int]):
    [(name, number)] = change.items()
    with pytest.raises(ValueError, match=rf"^{name} is {number}, expected at least 1"):
        run(Dice(chat), tmp_path / "a.jsonl", **change)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and flock")
def test_a_second_process_stops_at_once(chat: ChatFormat, tmp_path: Path):
    """Each used to write every row; the lock goes with the process that has it."""
    path, dice = tmp_path / "a.jsonl", Dice(chat)
    slow = Counting(dice)

    def wait(episodes: Sequence[Episode]) -> list[Trajectory]:
        if slow.played:
            time.sleep(60)
        slow.played.append(len(episodes))
        return dice.run(episodes)

    slow.run = wait  # type: ignore[method-assign]

    def second() -> None:
        second = Counting(dice)
        with pytest.raises(ValueError, match=r"a\.jsonl: another process is collecting into this"):
            run(second, path)
        assert second.played == []
        run(dice, tmp_path / "b.jsonl")  # another file is free

    def ready() -> bool:
        return path.exists() and path.read_bytes().count(b"\n") == 6

    def stop() -> bool:
        if not ready():
            return False
        second()
        return True

    killed_when(stop, partial(run, slow, path))
    assert len(read_jsonl(path)) == 6
    run(dice, path)
    assert path.read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="needs flock")
def test_a_disk_without_locks_is_no_obstacle(
    whole: Path, player: FastPlayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def unsupported(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    assert run(player, tmp_path / "a.jsonl") == read_jsonl(whole)


def test_a_finished_file_may_be_read_only(
    whole: Path, player: FastPlayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, opened = tmp_path / "a.jsonl", []
    path.write_bytes(whole.read_bytes())
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda p, mode: (opened.append(mode), real(p, mode))[1])
    assert run(player, path) == read_jsonl(whole)
    assert set(opened) == {"rb"}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rewards", float("nan"), "rewards has nan, expected finite numbers"),
        ("observations", None, "can't be written: observations has None, expected a list of texts"),
    ],
)
def test_an_episode_that_can_not_be_written_costs_none_before_it(
    chat: ChatFormat, tmp_path: Path, field: str, value: object, message: str
):
    """The eighth of 16, in the second block; the seventh was dropped with it once."""
    path, dice, odd = tmp_path / "a.jsonl", Dice(chat), f"{FEW[1].key}/3"
    whole = run(dice, tmp_path / "whole.jsonl")
    broken = Counting(dice)

    def play(episodes: Sequence[Episode]) -> list[Trajectory]:
        played = dice.run(episodes)
        for e in episodes:
            if e.key == odd:
                getattr(e, field)[-1] = value
        return played

    broken.run = play  # type: ignore[method-assign]
    for _ in range(2):  # it fails again, and doubles nothing
        with pytest.raises(ValueError, match=f"trajectory {odd}.* {message}"):
            run(broken, path)
        assert read_jsonl(path) == whole[:7]
    assert run(dice, path) == whole
