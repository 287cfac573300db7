"""BabyAI: reach, fetch and open things in a grid of rooms, seen and moved through in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from agentprm_lite.worlds.babyai.blueprint import EMPTY, blueprint
from agentprm_lite.worlds.babyai.expert import advise
from agentprm_lite.worlds.babyai.levels import LARGEST_INDEX, LEVEL_COUNT, indices, place_of
from agentprm_lite.worlds.babyai.text import Menu, look
from agentprm_lite.worlds.babyai.world import GridWorld
from agentprm_lite.worlds.textenv import Info, Split, TextEnv


class BabyAI(TextEnv):
    """Reach, fetch or open what a mission names, in rooms of which seven cells are seen ahead.

    Description:
        minigrid's BabyAI worlds as AgentGym numbers them: `index` is its `data_idx`, level
        index % 40 + 1 with seed index // 40. The splits are AgentGym's: 18 of the 40 levels, 45
        train and 5 test tasks each. The levels of `tasks` are those numbers: 1 GoToRedBallGrey,
        2 GoToRedBall, 3 GoToRedBallNoDists, 4 GoToObjS4, 5 GoToLocalS8N7, 6 GoToObjMazeS7,
        7 GoToImpUnlock, 8 GoToSeqS5R2, 9 GoToRedBlueBall, 10 GoToDoor, 11 GoToObjDoor,
        19 PickupLoc, 20 PickupDistDebug, 21 PickupAbove, 30 ActionObjDoor, 31 FindObjS7,
        33 OneRoomS20, 36 SynthLoc. `reset` plays every index from 0 to 39,999, also of the other
        levels; some of those cannot be done with the offered actions (boxes stay shut).
        A world has one telling only. `variant` k > 0 plays another world of the same level, seed
        index // 40 + 1000 k, so that there are as many demonstrations as one wants; no such
        world is in AgentGym's splits, but in small levels it can look like one that is.

    Actions:
        "turn left", "turn right", "move forward", "go to <object> <k>", "pickup <object> <k>",
        "drop", "go through <door> <k>", "toggle and go through <door> <k>", "toggle" and "check
        available actions". Case and outer spaces do not count. Most are macros: a shortest path
        in the 7 x 7 view and a last act. A macro stops where a low-level action has no effect.

    Observations:
        First the goal; then always the things in view, near ones first, with steps ahead and
        aside, the wall or box ahead, and what is carried; or a message of why nothing happened.
        The number after an object counts things of that name afresh in every observation: it is
        no identity. For pickup and "go to" only those are counted that can be reached, so the
        number in an action can be smaller than in the description.
        `available_actions=True` (the default) ends each observation with the list of offered
        actions, as AgentGym's server does today: it is where those numbers can be read. False
        leaves it out, as in the older AgentTraj-L, and makes observations half as long.

    Reward:
        1 - 0.9 n / limit when the mission is done after n low-level actions (limit: 16 to 980,
        by level; n counts at most up to it), else 0.

    Episode end:
        Terminated when the mission is done, or has failed for good (a wrong object picked up in
        level 20, where the text says so); truncated after `max_rounds` (20) steps, which counts
        as failure. Later steps change nothing. minigrid's own limit of low-level actions ends
        nothing, as in AgentGym.

    Differences from AgentGym:
        1. A mission done with a reward of at most 0.5 ends the episode. AgentGym goes on and adds
           the reward to the score again with each later message.
        2. "pick up <object> <k>", the words of AgentGym's prompt, does what "pickup" does. AgentGym
           does not know it.
        3. The goal keeps ", then" and "after you". AgentGym writes "and" for both.
        4. Two messages name the number of a door where AgentGym prints a dict.
        5. A macro stops when the mission is done. AgentGym plays it to its end and looks at the
           last low-level action only, so that a door opened on the way through does not count.
        6. A macro stops when the world stays as it was; in AgentGym, when the image does.
        7. A failed mission ends the episode and is told as such. AgentGym says completed and
           plays on.
        8. The reward is the step's own and at least 0.1 for a mission done. AgentGym's client
           gives the sum of rewards so far.
        9. The round limit, which AgentGym leaves to its controller, is part of the environment;
           an index above 39,999 is an error; a step after the end is refused without one.

        `compat="agentgym"` undoes 1 to 8: texts, scores and done flags are the server's own.
        Kept: objects that are not in sight do not block a path, nor do closed doors; facing some
        ways a path may use cells just outside the view; "check" anywhere in an action asks for
        the list. Level 4 is GoToObjS4, which AgentGym's GoToObjS6-v0 really was.

    Source:
        BabyAI by Chevalier-Boisvert et al. 2019 (arXiv 1810.08272), worlds from minigrid
        (MIT), as served by AgentGym (Xi et al. 2024, arXiv 2406.04151). The text is that
        of AgentBoard (Ma et al. 2024, arXiv 2401.13178).

    Args:
        max_rounds: Steps after which an unfinished episode is truncated; None: 20.
        compat: "agentgym" for the reference with its bugs; None for the mended environment.
        available_actions: Whether an observation lists the offered actions.

    Raises:
        ValueError: max_rounds is not positive, or an unknown compat.

    Example:
        >>> env = BabyAI()
        >>> observation, info = env.reset(options={"index": 1882})
        >>> observation.splitlines()[0]
        'Your goal: go to the red ball'
        >>> env.expert_action()
        ('I need the red ball. It is red ball 1.', 'go to red ball 1')
        >>> env.step("go to red ball 1")[1:3]
        (0.971875, True)
    """

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
        *("turn left",) * 4,
        *("move forward",) * 7,
    )
    rare_replies: ClassVar[tuple[str, ...]] = (
        "There is a barrier in front of you, you can't move forward.",
        "You cannot drop the object, as there is already an object in front of you.",
        "You cannot go to red ball 1, as there is no path leading to it.",
        "You cannot pickup red ball 1, as there is no path leading to it.",
        "You cannot go through red closed door 1, as it is closed. You should toggle it first.",
        "You cannot toggle and go through red locked door 1, as you are not carrying a key.",
        "You cannot toggle and go through red locked door 1, as the color of the key you are "
        "carrying does not match the color of door.",
        "You cannot see any objects within sight.The room has walls around you. "
        "You are facing a box 1 steps away. You are carrying a red ball.",
        "The task has failed.",
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
        self._known: set[int] = set()  # cells that an observation has shown
        self._last_reward = self._score = 0.0
        self._world: GridWorld
        self._menu: Menu

    @classmethod
    def _levels(cls, split: Split) -> dict[int, int]:
        return {index: index % LEVEL_COUNT + 1 for index in indices(split)}

    def _count(self) -> int:
        return LARGEST_INDEX + 1

    def _draw(self) -> int:
        known = indices("train")
        return known[int(self.np_random.integers(len(known)))]

    def _advise(self) -> tuple[str, str]:
        """The expert knows what the observations of the episode have shown, nothing else."""
        return advise(self._world, self._menu, self._known, mended=self.compat is None)

    def render(self, tile_size: int = 16) -> np.ndarray[Any, np.dtype[np.uint8]]:  # type: ignore[override]
        """Picture of the whole grid, RGB; what the agent sees is lighter."""
        self._need_reset("render")
        return self._world.render(tile_size)

    def _start(self, **options: Any) -> str:
        self._world = GridWorld(blueprint(*place_of(self.index, self.variant)))
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
        listed = ", ".join(f'"{action}"' for action in self._menu.macros)
        return f"{text}\nAvailable actions: [{listed}]"

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
            text += f"\n The task {'is completed' if status == 'success' else 'has failed'}."
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
        level, seed = place_of(self.index, self.variant)
        return {
            "goal": self._goal(),
            "level": level,
            "seed": seed,
            "low_level_steps": self._world.steps,
        }

    def _save(self) -> dict[str, Any]:
        return {
            "compat": self.compat,
            "available_actions": self.available_actions,
            "known": sorted(self._known),
            "last_reward": self._last_reward,
            "score": self._score,
            "world": self._world.save(),
        }

    def _load(self, state: dict[str, Any]) -> None:
        self.compat, self.available_actions = state["compat"], state["available_actions"]
        self._last_reward, self._score = state["last_reward"], state["score"]
        self._world = GridWorld(blueprint(*place_of(self.index, self.variant)))
        self._world.load(state["world"])
        self._known = set(state["known"])
        self._look()
