"""TextCraft in other words: colours, woods, stones and metals trade places.

A recipe of acacia becomes one of birch, white wool becomes cyan wool, everywhere in an episode at
once. The world stays consistent, its recipes are no longer Minecraft's, so whoever plays it has to
read the commands instead of knowing them by heart.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable

from agentprm_lite.worlds.textcraft.recipes import recipe_table

FAMILIES: tuple[tuple[str, ...], ...] = (
    (
        *("white", "orange", "magenta", "light blue", "yellow", "lime", "pink", "gray"),
        *("light gray", "cyan", "purple", "blue", "brown", "green", "red", "black"),
    ),
    ("oak", "spruce", "birch", "jungle", "acacia", "dark oak", "crimson", "warped"),
    (
        *("stone", "cobblestone", "blackstone", "andesite", "diorite", "granite", "sandstone"),
        *("red sandstone", "prismarine", "quartz", "end stone", "purpur", "basalt"),
    ),
    ("iron", "gold", "diamond", "netherite", "golden"),
)
_WORDS = sorted((word for family in FAMILIES for word in family), key=len, reverse=True)
_ANY = re.compile(
    r"(?<![A-Za-z])(?:" + "|".join(w.replace(" ", "[ _]") for w in _WORDS) + r")(?![A-Za-z])"
)


def exchange(seed: int) -> Callable[[str], str]:
    """A translation of texts in which the members of each family trade places.

    Args:
        seed: of the exchange.

    Returns:
        A function from text to text; identifiers such as ``minecraft:oak_log`` keep their form.

    Example:
        >>> exchange(0)("craft 1 stick using 2 oak planks, 3 string")
        'craft 1 stick using 2 birch planks, 3 string'
    """
    rng = random.Random(seed)
    other: dict[str, str] = {}
    for family in FAMILIES:
        other |= dict(zip(family, rng.sample(family, len(family)), strict=True))

    def replace(match: re.Match[str]) -> str:
        word = other[match.group().replace("_", " ")]
        text, start, end = match.string, match.start(), match.end()
        edges = {text[start - 1 : start], text[end : end + 1]}
        identifier = "_" in match.group() or edges & {":", "_"}
        return word.replace(" ", "_") if identifier else word

    return lambda text: _ANY.sub(replace, text)


_KEPT = frozenset(("a", "of", "on", "the", "item", "with"))  # also words of replies


@functools.cache
def _item_words() -> tuple[str, ...]:
    table = recipe_table()
    names = [*table.goals, *table.base, *table.tags]
    return tuple(sorted({word for name in names for word in name.split()} - _KEPT))


def shuffle_words(seed: int) -> Callable[[str], str]:
    """A translation of texts in which all words of all items trade places.

    Args:
        seed: of the exchange.

    Returns:
        A function from text to text, one to one.

    Example:
        >>> text = shuffle_words(0)("craft 1 stick using 2 oak planks")
        >>> [word for word in text.split() if word in ("craft", "using", "1", "2")]
        ['craft', '1', 'using', '2']
    """
    words = _item_words()
    other = dict(zip(words, random.Random(seed).sample(words, len(words)), strict=True))
    return lambda text: re.sub(r"[a-z]+", lambda match: other.get(match[0], match[0]), text)
