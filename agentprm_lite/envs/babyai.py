"""BabyAI: reach, fetch and open things in a grid of rooms, seen and moved through in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium.error import ResetNeeded

from agentprm_lite.envs.babyai_expert import advise
from agentprm_lite.envs.babyai_levels import LEVEL_COUNT, SPLIT_LEVELS, indices, place_of
from agentprm_lite.envs.babyai_text import Menu, look
from agentprm_lite.envs.babyai_world import EMPTY, World, blueprint
from agentprm_lite.envs.base import Info, Split, TextEnv
from agentprm_lite.types import Task


class BabyAI(TextEnv):
    """DOC"""

    name: ClassVar[str] = "babyai"
    default_rounds: ClassVar[int] = 20
    instructions: ClassVar[str] = (
        "You explore rooms and want to finish every goal that you are given. "
        "Each round you get an observation; answer with a thought and one action.\n"
        "You can use these actions:\n"
        "- turn right\n"
        "- turn left\n"
        "- move forward\n"
        "- go to <obj> <id>\n"
        "- pickup <obj> <id>\n"
        "- drop\n"
        "- go through <door> <id>: the door must be open.\n"
        "- toggle and go through <door> <id>: the door is closed, or it is locked and you carry "
        "a key of its color.\n"
        "- toggle: a closed or locked door is right in front of you.\n"
        "Answer in this format:\n\n"
        "Thought:\n...\n\nAction:\n..."
    )
    acknowledgement: ClassVar[str] = "OK. I will follow the instructions and do my best."
    clumsy_actions: ClassVar[tuple[str, ...]] = (
        "",
        "look",
        "check available actions",
        "drop",
        "turn left",
        "turn left",
        "move forward",
        "move forward",
        "move forward",
        "move forward",
        "move forward",
        "move forward",
        "move forward",
    )

    def __init__(
        self,
        max_rounds: int | None = None,
        *,
        compat: Literal["agentgym"] | None = None,
        available_actions: bool = True,
    ) -> None:
        super().__init__(max_rounds)
        if compat not in (None, "agentgym"):
            raise ValueError(f'compat: expected None or "agentgym", got {compat!r}')
        self.compat: Literal["agentgym"] | None = compat
        self.available_actions = available_actions
        self._index = 0
        self._variant = 0
        self._known: set[int] = set()  # cells that an observation has shown
        self._last_reward = 0.0
        self._score = 0.0
        self._world: World
        self._menu: Menu

    @classmethod
    def tasks(
        cls, split: Split, *, levels: Sequence[int] | None = None, variants: int = 1
    ) -> list[Task]:
        """Tasks of a split, by variant and then by index.

        Args:
            split: "train" or "test"; they share no world.
            levels: AgentGym's numbers of the levels to keep; None: all 18.
            variants: How many worlds for each index.

        Returns:
            The tasks.

        Raises:
            ValueError: An unknown split, an unknown level, or no variant.

        Example:
            >>> len(BabyAI.tasks("train")), len(BabyAI.tasks("test", levels=(1, 19)))
            (810, 10)
        """
        if split not in ("train", "test"):
            raise ValueError(f'split: expected "train" or "test", got {split!r}')
        if variants < 1:
            raise ValueError(f"variants: expected at least 1, got {variants}")
        unknown = sorted(set(levels or ()) - set(SPLIT_LEVELS))
        if unknown:
            raise ValueError(f"levels: expected some of {SPLIT_LEVELS}, got {unknown}")
        kept = [
            index
            for index in indices(split)
            if levels is None or index % LEVEL_COUNT + 1 in levels
        ]
        return [Task(cls.name, index, k) for k in range(variants) for index in kept]

    def expert_action(self) -> tuple[str, str]:
        """Thought and action of an expert in the present state, also after detours.

        Returns:
            A thought about what is needed next, and an offered action. The expert knows what the
            observations of the episode have shown, nothing else.

        Raises:
            ResetNeeded: There is no running episode.
        """
        if self._rounds is None or self._terminated:
            raise ResetNeeded("call reset() before expert_action()")
        return advise(self._world, self._menu, self._known, mended=self.compat is None)

    def render(self, tile_size: int = 16) -> np.ndarray[Any, np.dtype[np.uint8]]:  # type: ignore[override]
        """Picture of the whole grid; what the agent sees is lighter.

        Args:
            tile_size: Pixels a cell.

        Returns:
            RGB values, [height, width, 3].

        Raises:
            ResetNeeded: The environment has not been reset.
        """
        if self._rounds is None:
            raise ResetNeeded("call reset() before render()")
        return self._world.render(tile_size)

    def _start(self, task: Task | None, options: dict[str, Any]) -> str:
        if "index" in options:
            index = int(options["index"])
        elif task:
            index = task.index
        else:
            index = indices("train")[int(self.np_random.integers(len(indices("train"))))]
        variant = int(options.get("variant", task.variant if task else 0))
        self._world = World(blueprint(*place_of(index, variant)))
        self._index, self._variant = index, variant
        self._last_reward = self._score = 0.0
        self._known = set()
        self._look()
        return f"Your goal: {self._goal()}\n{self._told(self._menu.text)}"

    def _goal(self) -> str:
        mission = self._world.plan.mission
        if self.compat is None:
            return mission
        return mission.replace("then", "and").replace("after you", "and")

    def _look(self) -> None:
        """Take in the present state."""
        world, first = self._world, self._world.steps == 0 and self.compat is not None
        if first and world.carried >= 0:  # the reference's first view is from before it is taken
            world.cells[world.plan.places[world.carried]] = world.carried
        self._menu = look(world, mended=self.compat is None)
        if first and world.carried >= 0:
            world.cells[world.plan.places[world.carried]] = EMPTY
        self._known |= self._world.seen_places()

    def _told(self, text: str) -> str:
        if not self.available_actions:
            return text
        return text + "\nAvailable actions: [" + ", ".join(f'"{a}"' for a in self._menu.macros) + "]"

    def _apply(self, action: str) -> tuple[str, float, bool, bool]:
        action = action.lower().strip()
        if self.compat is None and action.startswith("pick up "):
            action = "pickup " + action.removeprefix("pick up ")
        macro = self._menu.macros.get(action, [])
        status, played = "continue", False
        if "check" in action:
            text = "You can take the following actions: " + ", ".join(self._menu.macros)
        elif action and action not in self._menu.macros:
            unknown = "The action is not recognized. Please check valid actions."
            text = self._menu.refusals.get(action, unknown)
        elif not macro:
            text = "No change in state."
        else:
            played = True
            status = self._run(macro) if self.compat is None else self._run_as_agentgym(macro)
            self._look()
            text = self._menu.text
        if self.compat is not None:
            return self._close_as_agentgym(text, status, played)
        reward = self._reward() if status == "success" else 0.0
        if status != "continue":
            text += "\n The task is completed." if status == "success" else "\n The task has failed."
        return self._told(text), reward, status != "continue", status == "success"

    def _reward(self) -> float:
        steps, limit = self._world.steps, self._world.plan.max_steps
        return 1 - 0.9 * (steps if self.compat else min(steps, limit)) / limit

    def _run(self, macro: Sequence[int]) -> str:
        """Play low-level actions until one changes nothing or ends the mission."""
        status = "continue"
        for action in macro:
            changed, status = self._world.act(action)
            if not changed or status != "continue":
                break
        return status

    def _run_as_agentgym(self, macro: Sequence[int]) -> str:
        """Play low-level actions until one leaves the image as it was; only the last one counts."""
        status, image = "continue", self._world.image()
        for action in macro:
            before = image
            _, status = self._world.act(action)
            image = self._world.image()
            if image == before:
                break
        return status

    def _close_as_agentgym(
        self, text: str, status: str, played: bool
    ) -> tuple[str, float, bool, bool]:
        """End of a round with the reference's quirks; the reward is the score so far."""
        if played:
            self._last_reward = self._reward() if status == "success" else 0.0
        self._score += self._last_reward
        if status != "continue":
            text += "\n The task is completed."
        done = status == "success" and self._last_reward > 0.5
        return self._told(text), self._score, done, done

    def _facts(self) -> Info:
        level, seed = place_of(self._index, self._variant)
        return {
            "goal": self._goal(),
            "level": level,
            "seed": seed,
            "index": self._index,
            "variant": self._variant,
            "low_level_steps": self._world.steps,
        }

    def _save(self) -> dict[str, Any]:
        return {
            "index": self._index,
            "variant": self._variant,
            "compat": self.compat,
            "available_actions": self.available_actions,
            "known": sorted(self._known),
            "last_reward": self._last_reward,
            "score": self._score,
            "world": self._world.save(),
        }

    def _load(self, state: dict[str, Any]) -> None:
        self._index, self._variant = state["index"], state["variant"]
        self.compat, self.available_actions = state["compat"], state["available_actions"]
        self._last_reward, self._score = state["last_reward"], state["score"]
        self._world = World(blueprint(*place_of(self._index, self._variant)))
        self._world.load(state["world"])
        self._known = set(state["known"])
        self._look()
