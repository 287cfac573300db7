"""How well a purchase fits a goal: WebShop's reward without its language model.

Departures from WebShop:
    1. The title score counts all words of a title, WebShop those that spaCy tags as nouns. Two of
       56 recorded purchases get another reward for it.
    2. The colours to which option values are reduced are our list.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from rapidfuzz import fuzz, utils

from agentprm_lite.worlds.webshop.catalogue import Catalogue, Goal, Product, made_shop
from agentprm_lite.worlds.webshop.synthetic import GOALS

CLOSE = 85
EXACT = 1e-9
_COLORS = (
    "aqua beige black blue bronze brown burgundy charcoal coral cream gold gray green grey ivory "
    "khaki lavender magenta maroon mint navy olive orange peach pink plum purple red rose silver "
    "tan teal turquoise violet white wine yellow"
)
_TITLE_WORD = re.compile(r"\w+")


def reward(
    bought: Product, options: Mapping[str, str], goal: Goal, wanted: Product, cap: float
) -> float:
    """r = r_type · (#attributes met + #options met + [price ≤ cap]) / (#attributes + #options + 1).

    Yao et al. 2022 (arXiv 2207.01206), section 3.1.

    Args:
        bought: The product that was bought.
        options: Its chosen option values by name.
        goal: The goal.
        wanted: The product from which the goal was made.
        cap: Highest price in dollars.

    Returns:
        From 0 to 1.
    """
    met = sum(_has(bought, attribute) for attribute in goal.attributes)
    chosen = [_color(value) or value for value in options.values()]
    # As in WebShop a wanted option is the text of the pair, unless its value is a colour.
    asked = [_color(value, whole=True) or str((name, value)) for name, value in goal.options]
    met += sum(any(similar(value, option) for value in chosen) for option in asked)
    met += bought.price <= cap
    parts = len(goal.attributes) + len(goal.options) + 1
    return type_factor(bought, wanted) * met / parts


def as_wanted(snapshot: dict[str, Any]) -> bool:
    """Whether nothing that is looked at, chosen or bought is wrong, in a made-up shop.

    Args:
        snapshot: Of the environment.

    Returns:
        True on pages without a product; after a purchase, whether its reward is 1.
    """
    state = snapshot["state"]
    if snapshot["terminated"]:
        return bool(snapshot["success"])
    if state["page"] in ("start", "results"):
        return True
    shop, goal = _asked(snapshot)
    product, wanted = shop.products[shop.places[state["asin"]]], shop.products[goal.place]
    options, chosen = dict(goal.options), dict(state["chosen"])
    worth = reward(product, options, goal, wanted, state["cap"])
    return worth > 1 - EXACT and chosen.items() <= options.items()


def alike(snapshot: dict[str, Any]) -> set[str]:
    """Numbers of wrong products whose pages have options of the same names as the wanted one's.

    Args:
        snapshot: Of the environment, in a made-up shop.

    Returns:
        Product numbers.
    """
    shop, goal = _asked(snapshot)
    wanted, cap = shop.products[goal.place], snapshot["state"]["cap"]
    names, chosen = dict(wanted.options).keys(), dict(goal.options)
    return {
        product.asin
        for product in shop.products
        if dict(product.options).keys() == names
        and reward(product, chosen, goal, wanted, cap) <= 1 - EXACT
    }


def _asked(snapshot: dict[str, Any]) -> tuple[Catalogue, Goal]:
    number, place = divmod(snapshot["index"], GOALS)
    shop = made_shop(number, snapshot["variant"])
    return shop, shop.goals[place]


def type_factor(bought: Product, wanted: Product) -> float:
    """r_type: whether the bought product is of the wanted kind at all.

    Args:
        bought: The product that was bought.
        wanted: The product from which the goal was made.

    Returns:
        0 if the titles share no word, 0.1 if less than a tenth of the wanted title's words; 1 for
        the same query, two shared parts of the category path or a fifth of the words; else 0.5.
    """
    asked = _title_words(wanted.title)
    share = len(set(asked) & set(_title_words(bought.title))) / len(asked) if asked else 0.2
    if share < 0.1:
        return 0.1 if share else 0.0
    same_path = len(_path(bought.path) & _path(wanted.path)) >= 2
    return 1.0 if bought.query == wanted.query or same_path or share > 0.2 else 0.5


@functools.lru_cache(maxsize=65_536)
def similar(one: str, other: str) -> bool:
    """Whether two texts have mostly the same words, whatever their order.

    Args:
        one: A text.
        other: Another text.

    Returns:
        Whether the ratio of their sets of words, rounded, is above 85; words that only one of the
        texts has don't count if the other has no such words.

    Example:
        >>> similar("non slip", "slip non sole"), similar("light blue", "blue dark")
        (True, False)
    """
    return round(fuzz.token_set_ratio(_plain(one), _plain(other))) > CLOSE


def _has(product: Product, attribute: str) -> bool:
    """Whether a product has an attribute by its list or anywhere in its texts."""
    texts = (product.title, " ".join(product.bullets), product.description)
    return any(similar(own, attribute) for own in product.attributes) or any(
        attribute in text.lower() for text in texts
    )


def _color(value: str, *, whole: bool = False) -> str | None:
    """The first colour, by the alphabet, that is a value or occurs in it."""
    found = (color for color in _COLORS.split() if color in value)
    return next((color for color in found if color == value or not whole), None)


def _plain(text: str) -> str:
    return utils.default_process(text.encode("ascii", "ignore").decode())


def _path(path: str) -> set[str]:
    return {part.strip() for part in path.split("›")}


def _title_words(title: str) -> list[str]:
    return _TITLE_WORD.findall(title.lower())
