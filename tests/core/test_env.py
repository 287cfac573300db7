"""What the core asks of a world: a subclass of World is played, forked and shown by its expert."""

from __future__ import annotations

from typing import Any

import pytest

from agentprm_lite.chat import react
from agentprm_lite.env import Split, World, make_env
from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.types import Task
from agentprm_lite.worlds import demonstrate


class Bag(World):
    """Won by looking into the bag, within two rounds."""

    default_rounds, instructions, acknowledgement = 2, "Look into the bag.", "OK."

    def __init__(self, max_rounds: int | None = None) -> None:
        super().__init__(max_rounds)
        self.played: list[str] = []

    @classmethod
    def tasks(cls, split: Split, *, levels: Any = None) -> list[Task]:
        return [Task(cls.name, 0 if split == "train" else 1)]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.played = []
        return "Goal: look.", {"success": False}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.played.append(action)
        won, cut = action == "inventory", len(self.played) == self.max_rounds
        return "Inventory:", float(won), won, cut and not won, {"success": won}

    def expert_action(self) -> tuple[str, str]:
        return "I need 1 string.", "inventory"

    def snapshot(self) -> dict[str, Any]:
        return {"played": [*self.played]}

    def restore(self, snapshot: dict[str, Any]) -> None:
        self.played = [*snapshot["played"]]


def test_a_world_is_known_by_its_module_and_class() -> None:
    assert Bag.name == "test_env:Bag"
    assert Bag.tasks("test") == [Task("test_env:Bag", 1)]
    assert type(make_env(Bag.name)) is Bag
    assert (make_env(Bag.name).max_rounds, make_env(Bag.name, 5).max_rounds) == (2, 5)
    with pytest.raises(ValueError, match="max_rounds: expected at least 1, got 0"):
        make_env(Bag.name, 0)
    with pytest.raises(ValueError, match=r"'test_env:Task' is .*expected a subclass of TextEnv or"):
        make_env("test_env:Task")


def test_its_expert_is_recorded(chat: Any) -> None:
    (shown,) = demonstrate(chat, Bag.tasks("train"), SamplingConfig(rules=False))
    assert shown.actions == (react("I need 1 string.", "inventory"),)
    assert shown.observations == ("Goal: look.", "Inventory:")
    assert (shown.rewards, shown.success, shown.final) == ((1.0,), True, True)


def test_a_fork_plays_on_by_itself(chat: Any) -> None:
    episode = Episode.start(Task(Bag.name, 0), 0, 0, chat, SamplingConfig(rules=False))
    turn = react("I need 1 string.", "get 1 string")
    episode.step(chat.turn_ids(turn), [], chat)
    fork = episode.fork(1, stream=0)
    fork.step(chat.turn_ids(react("I need 1 string.", "inventory")), [], chat)
    assert (fork.env.played, fork.success) == (["get 1 string", "inventory"], True)
    assert (episode.env.played, episode.done) == (["get 1 string"], False)
    episode.step(chat.turn_ids(turn), [], chat)
    assert (episode.success, episode.truncated_by) == (False, "rounds")
