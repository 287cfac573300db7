"""WebShop: buy the product that an instruction describes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from agentprm_lite.chat import last_action
from agentprm_lite.worlds.textenv import Info, Split, TextEnv
from agentprm_lite.worlds.webshop import pages as pages
from agentprm_lite.worlds.webshop.catalogue import (
    NO_CAP,
    Catalogue,
    Goal,
    Product,
    catalogue,
    made_shop,
    price_text,
)
from agentprm_lite.worlds.webshop.expert import OPENING, Shopper
from agentprm_lite.worlds.webshop.reward import EXACT, reward
from agentprm_lite.worlds.webshop.synthetic import GOALS, SHOPS, is_test, level_of

FOLDER_VARIABLE = "AGENTPRM_WEBSHOP"
MADE_UP = "made-up shops"
_OPENINGS = ("I am looking for ", "Please buy ", "I want to order ")


class WebShop(TextEnv):
    """Search a shop, look at products, choose options and buy what an instruction asks for.

    Description:
        A task is a goal: a product, the attributes and option values that are wanted of it and a
        highest price, told as one instruction. By default shops are made up: 1,024 of twelve
        goals each (see webshop_synthetic.py), so that index // 12 is the number of the shop. Many
        products differ from the right one in one attribute, some in the price or in the option
        values only. The test split holds the goals of every eighth shop. `variant` k > 0 plays
        another shop, drawn anew.
        The real catalogue is read from a folder that the argument `catalogue` or the environment
        variable AGENTPRM_WEBSHOP names (for `tasks` and `make_env` the variable); it holds
        WebShop's items_shuffle_1000.json and items_ins_v2_1000.json, or products_1000.jsonl[.gz].
        It has 6,910 goals in AgentGym's order. Its splits are AgentGym's where their lists
        (webshop_train_ids.json, webshop_test.json) lie in the folder or in ../agentgym_ids; else
        the first 200 goals are the test split.
        Levels: 1 has no options to choose, 2 one, 3 two or more. `variant` k > 0 also opens the
        instruction with other words, of which there are three; in the real catalogue that is all.
        Options of `reset`: "index", "variant", and "price_cap", a highest price in dollars in
        place of the goal's own.

    Actions:
        "search[<words>]" on every page. "click[<text>]" for what the page shows: a product
        number, an option value or a button; case doesn't count. Anything else does nothing.

    Observations:
        The text of the page, fields separated by " [SEP] ": the start page, results (ten to a
        page, fifty at most), a product, its description, features and reviews (there are none),
        and the page after a purchase. A chosen option value is not shown. "< Prev" on a product
        leads back to the results and forgets the chosen values.

    Reward:
        At the purchase r_type · (attributes met + options met + [price ≤ cap]) / (attributes +
        options + 1), from 0 to 1; see reward.py. 0 before, and if nothing is bought.
        Success is a reward of 1.

    Episode end:
        Terminated by a purchase; truncated after `max_rounds` steps, which counts as failure. The
        usual number is 10, as in AgentGym's script for several tasks; the paper has 6.

    Differences from AgentGym:
        1. spaCy is not needed: r_type compares all words of two titles, not only nouns. Of 56
           recorded purchases 54 get an equal reward (in the tests, which have 25 of them, all).
        2. Search is BM25 by bm25s: with the real catalogue 98.5 % of the ten first hits of 257
           recorded searches are the same; lengths of documents are not rounded as in Lucene.
        3. A product with a price range has the price in its middle; AgentGym draws one when it
           starts. So caps in the instructions of its goals may differ from a recorded one.
        4. Option values are reduced to a colour by our own list of colours.
        5. Search words are only words: "<r>", "<a>", "<c>" and "<q>" have no special meaning.
        6. The round limit is part of the environment; a step after the end is refused.
        7. An index out of range is an error.

    Source:
        WebShop by Yao et al. 2022 (arXiv 2207.01206), as served by AgentGym (Xi et al. 2024,
        arXiv 2406.04151).

    Args:
        max_rounds: Steps after which an unfinished episode is truncated; None: 10.
        catalogue: Folder of the real catalogue; None: the folder in AGENTPRM_WEBSHOP if that is
            set, else the made-up shops.

    Raises:
        FileNotFoundError: The folder doesn't hold the files.
        ValueError: A file is broken.

    Example:
        >>> env = WebShop()
        >>> observation, info = env.reset(options={"index": 0})
        >>> observation[:41]
        'WebShop [SEP] Instruction: [SEP] Find me '
    """

    name: ClassVar[str] = "webshop"
    default_rounds: ClassVar[int] = 10
    option_names: ClassVar[frozenset[str]] = frozenset({"index", "variant", "price_cap"})
    instructions: ClassVar[str] = (
        "You are shopping on the web. An instruction says what to buy.\n"
        "In every round you see a page. Answer with one action of this form:\n"
        "search[keywords]\n"
        "click[value]\n"
        "An action that is not valid does nothing. The keywords of a search are up to you; choose "
        "them with care. The value of a click must be something that the page lets you click.\n"
        "Answer in this format:\n\n"
        "Thought:\n...\n\nAction:\nclick[something]"
    )
    parse = staticmethod(last_action)
    acknowledgement: ClassVar[str] = "Ok."
    clumsy_actions: ClassVar[tuple[str, ...]] = (
        "search[desk lamps]",
        "click[Next >]",
        "click[< Prev]",
        "click[Next >]",
        "click[Back to Search]",
        "search[dimmable desk lamps]",
    )

    def __init__(self, max_rounds: int | None = None, catalogue: str | Path | None = None) -> None:
        super().__init__(max_rounds)
        self._real = _real(catalogue)
        self._shop = self._real or made_shop(0, 0)
        self._place = 0  # of the goal in its shop
        self._cap = NO_CAP
        self._page = "start"
        self._hits: list[int] = []
        self._seen: set[str] = set()  # products that were looked at
        self._number = 1
        self._asin = ""
        self._chosen: dict[str, str] = {}
        self._reward = 0.0

    @classmethod
    def _levels(cls, split: Split) -> dict[int, int]:
        real = _real(None)
        if real is None:
            every = range(SHOPS * GOALS)
            return {i: level_of(i) for i in every if is_test(i) == (split == "test")}
        return {i: real.goals[i].level for i in (real.train if split == "train" else real.test)}

    def _count(self) -> int:
        return SHOPS * GOALS if self._real is None else len(self._real.goals)

    def _advise(self) -> tuple[str, str]:
        return Shopper(
            shop=self._shop,
            goal=self._goal,
            cap=self._cap,
            page=self._page,
            hits=self._hits,
            number=self._number,
            asin=self._asin,
            chosen=self._chosen,
            seen=self._seen,
            knows=self._real is not None,
        ).advise()

    def html(self) -> str:
        """The present page for people, as one `div`; all text is escaped."""
        self._need_reset("html")
        return pages.page_html(self._parts(), self._chosen)

    @property
    def _goal(self) -> Goal:
        return self._shop.goals[self._place]

    @property
    def _wanted(self) -> Product:
        return self._shop.products[self._goal.place]

    @property
    def _instruction(self) -> str:
        goal = self._goal
        text = goal.instruction.removesuffix(price_text(goal.cap)) + price_text(self._cap)
        if self.variant == 0:
            return text
        return _OPENINGS[(self.variant - 1) % len(_OPENINGS)] + text.removeprefix(OPENING)

    def _start(self, **options: Any) -> str:
        self._enter()
        self._cap = float(options.get("price_cap", self._goal.cap))
        if not self._cap > 0:
            raise ValueError(f"price_cap: expected a positive price, got {self._cap}")
        self._page, self._hits, self._number = "start", [], 1
        self._asin, self._chosen, self._reward, self._seen = "", {}, 0.0, set()
        return pages.page_text(self._parts())

    def _enter(self) -> None:
        """Open the shop of the present goal."""
        if self._real is None:
            number, self._place = divmod(self.index, GOALS)
            self._shop = made_shop(number, self.variant)
        else:
            self._shop, self._place = self._real, self.index

    def _apply(self, action: str) -> tuple[str, float, bool, bool]:
        verb, value = _parsed(action)
        if verb == "search" and value:
            self._hits = self._shop.index.search(value)
            self._page, self._number = "results", 1
            self._asin, self._chosen = "", {}
        elif verb == "click":
            part = pages.clickables(self._parts()).get(value)
            if part is not None:
                self._click(part)
        bought = self._page == "done"
        success = bought and self._reward > 1 - EXACT
        return pages.page_text(self._parts()), self._reward, bought, success

    def _click(self, part: pages.Part) -> None:
        if part.kind == "product":
            self._page, self._asin, self._chosen = "item", part.text, {}
            self._seen.add(part.text)
        elif part.kind == "option":
            self._chosen[part.name] = part.text.lower()
        elif part.text == pages.BACK:
            self._page = "start"
        elif part.text == pages.NEXT:
            self._number += 1
        elif part.text == pages.PREVIOUS and self._page == "results":
            self._number -= 1
        elif part.text == pages.PREVIOUS and self._page == "item":
            self._page, self._asin, self._chosen = "results", "", {}
        elif part.text == pages.PREVIOUS:
            self._page = "item"
        elif part.text == pages.BUY:
            bought = self._shop.products[self._shop.places[self._asin]]
            self._page = "done"
            self._reward = reward(bought, self._chosen, self._goal, self._wanted, self._cap)
        else:
            self._page = part.text.lower()

    def _parts(self) -> list[pages.Part]:
        """The present page."""
        wanted = self._instruction
        if self._page == "start":
            return pages.start_page(wanted)
        if self._page == "results":
            first = (self._number - 1) * pages.PER_PAGE
            shown = self._hits[first : first + pages.PER_PAGE]
            hits = [self._shop.products[place] for place in shown]
            return pages.results_page(wanted, hits, self._number, len(self._hits))
        if self._page == "done":
            return pages.done_page(self._asin, self._chosen, self._reward)
        product = self._shop.products[self._shop.places[self._asin]]
        if self._page == "item":
            return pages.item_page(wanted, product)
        return pages.detail_page(wanted, product, self._page)

    def _facts(self) -> Info:
        return {
            "goal": self._instruction,
            "level": self._goal.level,
            "price_cap": self._cap,
        }

    def _save(self) -> dict[str, Any]:
        return {
            "catalogue": MADE_UP if self._real is None else self._real.key,
            "cap": self._cap,
            "page": self._page,
            "hits": list(self._hits),
            "number": self._number,
            "asin": self._asin,
            "chosen": [[name, value] for name, value in self._chosen.items()],
            "reward": self._reward,
            "seen": sorted(self._seen),
        }

    def _load(self, state: dict[str, Any]) -> None:
        key = MADE_UP if self._real is None else self._real.key
        if state["catalogue"] != key:
            raise ValueError(f"snapshot: expected catalogue {key}, got {state['catalogue']}")
        self._enter()
        self._cap = state["cap"]
        self._page, self._number, self._asin = state["page"], state["number"], state["asin"]
        self._hits, self._chosen = list(state["hits"]), dict(state["chosen"])
        self._reward, self._seen = state["reward"], set(state["seen"])


def _real(folder: str | Path | None) -> Catalogue | None:
    """The real catalogue, or None for made-up shops."""
    folder = folder or os.environ.get(FOLDER_VARIABLE)
    return catalogue(folder) if folder else None


def _parsed(action: str) -> tuple[str, str]:
    """What stands before and within the last brackets of the first line; the latter lower-cased."""
    line = action.split("\n", 1)[0]
    close = line.rfind("]")
    start = line.rfind("[", 1, max(close - 1, 1))
    return (line[:start], line[start + 1 : close].lower()) if start > 0 else ("", "")
