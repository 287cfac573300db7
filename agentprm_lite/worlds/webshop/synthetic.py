"""Made-up shops by number: a dozen goals each, among products that differ in one attribute.

A shop sells two kinds of product, such as desk lamps, in six families each: a family is a pair out
of four attributes, so every rival of a product shares one attribute with it or none. Half of the
families have a twin of another brand that costs too much, or comes in other option values, which
only its own page tells. Product numbers have ten characters drawn at random, as real ones look.
Every eighth shop is held out for tests.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

SHOPS = 1024
"""Numbers of shops; every variant of a number is a shop of its own."""
KINDS, FAMILIES = 2, 6
GOALS = KINDS * FAMILIES
"""Goals a shop, one a family; their options go round from none to two."""
HELD_OUT_EVERY = 8
TWIN_SHARE = 0.5
TOO_MUCH = 50.0  # a cap is less than this above the price of the product


class Department(NamedTuple):
    """Kinds of product that share attributes and options."""

    path: str
    """Category path."""
    kinds: str
    """Five kinds."""
    attributes: str
    """Eight attributes, of which a product has two."""
    first: str
    """First option: its name and six values, of which a product has three."""
    second: str
    """Second option: its name and three values."""


DEPARTMENTS = (
    Department(
        "Home › Lighting",
        "desk lamps, floor lamps, wall lanterns, ceiling lamps, candle holders",
        "dimmable, cordless, warm glow, touch control, swivel arm, frosted glass, energy saving, "
        "rust proof",
        "color: black, white, brass, copper, green, blue",
        "size: small, medium, large",
    ),
    Department(
        "Pantry › Cooking",
        "tea kettles, mixing bowls, cutting boards, frying pans, storage jars",
        "dishwasher safe, hand painted, non stick, heat resistant, stackable, leak proof, "
        "easy clean, double walled",
        "color: red, blue, green, cream, black, orange",
        "size: small, medium, large",
    ),
    Department(
        "Clothing › Outdoor",
        "rain jackets, hooded sweaters, running shorts, wool scarves, hiking socks",
        "machine washable, quick drying, stretchy, slim fit, wind proof, reflective, "
        "long lasting, lightly padded",
        "color: navy, gray, purple, red, yellow, white",
        "size: small, medium, large",
    ),
    Department(
        "Beauty › Care",
        "hand creams, hair masks, bath salts, lip balms, body scrubs",
        "fragrance free, plant based, deeply moisturizing, fast absorbing, dermatologist tested, "
        "travel sized, gentle, vitamin rich",
        "scent: rose, lemon, vanilla, mint, coconut, lavender",
        "pack: single, double, triple",
    ),
    Department(
        "Electronics › Gadgets",
        "phone stands, charging cables, desktop speakers, laptop sleeves, camera straps",
        "foldable, scratch resistant, noise reducing, light weight, shock absorbing, "
        "splash proof, braided, magnetic",
        "color: black, silver, blue, pink, white, teal",
        "length: short, regular, long",
    ),
    Department(
        "Garden › Tools",
        "plant pots, pruning shears, garden gloves, watering cans, bird feeders",
        "weather proof, non slip, extra durable, self draining, easy assemble, recycled, "
        "ergonomic, frost hardy",
        "color: green, brown, yellow, gray, red, beige",
        "size: small, medium, large",
    ),
    Department(
        "Toys › Play",
        "building blocks, jigsaw puzzles, card games, plush animals, craft kits",
        "battery free, hand made, brightly colored, washable, educational, wooden, "
        "family friendly, award winning",
        "theme: ocean, space, farm, forest, castle, circus",
        "age: toddler, child, teen",
    ),
    Department(
        "Food › Snacks",
        "trail mixes, rice crackers, fruit bars, roasted nuts, dried berries",
        "gluten free, low sodium, unsweetened, organic, high protein, kosher, lightly salted, "
        "resealable",
        "flavor: honey, chili, cinnamon, original, maple, garlic",
        "pack: single, double, triple",
    ),
)
BRANDS = (
    "Almera Bravik Corano Dellmo Elvora Fintra Galdur Hestia Ivando Jolver Kestra Lumora Morvik "
    "Nordal Oltera Pavino Quorra Rendal Sorvia Tavik Ultano Velmar Wendra Zelko"
)
SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
T = TypeVar("T")
Wanted = tuple[str, dict[str, str]]


def is_test(index: int) -> bool:
    """Whether a goal belongs to a shop that is held out.

    Args:
        index: Of the goal.

    Returns:
        True for the goals of every eighth shop.

    Example:
        >>> is_test(7 * GOALS - 1), is_test(7 * GOALS)
        (False, True)
    """
    return index // GOALS % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def level_of(index: int) -> int:
    """1 without options to choose, 2 with one, 3 with two.

    Args:
        index: Of the goal.

    Returns:
        The level.
    """
    return 1 + index % FAMILIES % 3


def shop_records(number: int, variant: int) -> tuple[list[dict[str, Any]], list[Wanted]]:
    """The products of a shop, in the fields of the product table, and what its goals ask for.

    Args:
        number: Of the shop.
        variant: k > 0 draws another shop of this number.

    Returns:
        Records of the products, shuffled; for each goal the product number and the option values.

    Example:
        >>> records, wanted = shop_records(0, 0)
        >>> 12 <= len(records) <= 24, [len(options) for _, options in wanted[:6]]
        (True, [0, 1, 2, 0, 1, 2])
    """
    rng = random.Random(f"webshop/{number}/{variant}")
    records: list[dict[str, Any]] = []
    wanted: list[Wanted] = []
    for shop in _draw(DEPARTMENTS, KINDS, rng):
        kind = _draw(shop.kinds.split(", "), 1, rng)[0]
        pairs = list(itertools.combinations(_draw(shop.attributes.split(", "), 4, rng), 2))
        brands = _draw(BRANDS.split(), 2 * FAMILIES, rng)
        for family, pair in enumerate(_draw(pairs, FAMILIES, rng)):
            record = _wanted(shop, kind, pair, family, brands.pop(), rng)
            choice = {name: _draw(values, 1, rng)[0] for name, values in record["options"].items()}
            records.append(record)
            wanted.append((record["asin"], choice))
            if rng.random() < TWIN_SHARE:
                records.append(_twin(record, choice, brands.pop(), rng))
    return _draw(records, len(records), rng), wanted


def _draw(items: Sequence[T], count: int, rng: random.Random) -> list[T]:
    """Some items in a random order. Only rng.random() stays the same across Python versions."""
    return sorted(items, key=lambda _: rng.random())[:count]


def _asin(rng: random.Random) -> str:
    """A product number; the first two characters of real ones are the same, too."""
    return "B0" + "".join(SIGNS[int(rng.random() * len(SIGNS))] for _ in range(8))


def _wanted(
    shop: Department,
    kind: str,
    pair: tuple[str, str],
    family: int,
    brand: str,
    rng: random.Random,
) -> dict[str, Any]:
    """A product that a goal asks for; a third of them has no option, a third one, a third two."""
    first, values = shop.first.split(": ")
    second, fixed = shop.second.split(": ")
    options = {}
    if family % 3 > 0:
        options[first] = _draw(values.split(", "), 3, rng)
    if family % 3 > 1:
        options[second] = fixed.split(", ")
    return {
        "asin": _asin(rng),
        **_described(brand, pair, kind),
        "pricing": [4.5 + int(rng.random() * 90) / 2],
        "query": kind,
        "product_category": f"{shop.path} › {kind}",
        "options": options,
        "attributes": list(pair),
        "instruction": f"Find me {pair[0]}, {pair[1]} {kind}",
        "instruction_attributes": list(pair),
    }


def _twin(
    record: dict[str, Any], choice: dict[str, str], brand: str, rng: random.Random
) -> dict[str, Any]:
    """The same from another brand: too dear, or (with one option) without the wanted value."""
    twin = {
        **record,
        **_described(brand, record["attributes"], record["query"]),
        "asin": _asin(rng),
        "instruction": None,
        "instruction_attributes": None,
    }
    if len(choice) == 1 and rng.random() < 0.5:
        name, value = next(iter(choice.items()))
        twin["options"] = {name: [other for other in record["options"][name] if other != value]}
    else:
        twin["pricing"] = [price + TOO_MUCH for price in record["pricing"]]
    return twin


def _described(brand: str, pair: Any, kind: str) -> dict[str, Any]:
    one, other = pair
    return {
        "title": f"{brand} {one} {other} {kind}",
        "description": f"These {kind} by {brand} are {one} and {other}.",
        "bullet_points": [f"Made by {brand}", f"Quality: {one}", f"Quality: {other}"],
    }
