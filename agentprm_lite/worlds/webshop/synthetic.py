"""A made-up shop: 1,108 products of 40 kinds, many of which differ in one attribute only.

A kind, such as desk lamps, has families: one a pair of attributes. Goals ask for one product of a
family; a quarter of the families have a twin that costs too much or comes in other option values.
Two families of a kind share one attribute or none. Titles repeat the words of the instruction, and
product numbers are made of few pieces, so that a word-level tokenizer knows all of them. Every
fifth family is held out for tests.
"""

from __future__ import annotations

import itertools
import random
from typing import Any, NamedTuple

FAMILIES, HELD_OUT_EVERY = 22, 5
TWIN_SHARE = 0.25
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
NUMBER_WORDS = ["".join(parts) for parts in itertools.product(*[("BA", "KO", "LU", "MI")] * 3)]


def synthetic_records() -> tuple[list[dict[str, Any]], frozenset[str]]:
    """The products, in the fields of the product table, and which are held out for tests.

    Returns:
        Records of the products; ASINs of those that test goals ask for.

    Example:
        >>> records, held_out = synthetic_records()
        >>> len(records), len(held_out)
        (1108, 160)
    """
    rng = random.Random("webshop synthetic catalogue")
    records: list[dict[str, Any]] = []
    held_out = set()
    kinds = [(shop, kind) for shop in DEPARTMENTS for kind in shop.kinds.split(", ")]
    for number, (shop, kind) in enumerate(kinds):
        pairs = list(itertools.combinations(shop.attributes.split(", "), 2))
        rng.shuffle(pairs)
        made = []
        for family, pair in enumerate(pairs[:FAMILIES]):
            made.append(_wanted(shop, kind, pair, family, rng))
            if rng.random() < TWIN_SHARE:
                made.append(_twin(made[-1], shop, rng))
        for place, record in enumerate(made):
            record["asin"] = _asin(number, place)
            family_is_held_out = record.pop("family") % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
            if family_is_held_out and record["instruction"]:
                held_out.add(record["asin"])
        records += made
    rng.shuffle(records)
    return records, frozenset(held_out)


def _asin(kind: int, place: int) -> str:
    """A number of ten characters: its word differs within a kind, its digits between kinds."""
    word = NUMBER_WORDS[(kind * 29 + place) % len(NUMBER_WORDS)]
    return f"B0{word}{kind * 37 % 100:02d}"


def _wanted(
    shop: Department, kind: str, pair: tuple[str, str], family: int, rng: random.Random
) -> dict[str, Any]:
    """A product that goals ask for; a third of them has no option, a third one, a third two."""
    first, values = shop.first.split(": ")
    second, fixed = shop.second.split(": ")
    options = {}
    if family % 3 > 0:
        options[first] = rng.sample(values.split(", "), 3)
    if family % 3 > 1:
        options[second] = fixed.split(", ")
    price = 4.5 + rng.randrange(90) / 2
    dearest = price + 5 if options and rng.random() < 0.3 else price
    return {
        "family": family,
        **_described(rng.choice(BRANDS.split()), pair, kind),
        "pricing": [price] if dearest == price else [price, dearest],
        "query": kind,
        "product_category": f"{shop.path} › {kind}",
        "options": options,
        "attributes": list(pair),
        "instruction": f"Find me {pair[0]}, {pair[1]} {kind}",
        "instruction_attributes": list(pair),
    }


def _twin(record: dict[str, Any], shop: Department, rng: random.Random) -> dict[str, Any]:
    """The same from another brand: too dear, or in the other values of the first option."""
    brand = rng.choice([name for name in BRANDS.split() if not record["title"].startswith(name)])
    twin = {
        **record,
        **_described(brand, record["attributes"], record["query"]),
        "instruction": None,
        "instruction_attributes": None,
    }
    name, values = shop.first.split(": ")
    if name in record["options"] and rng.random() < 0.5:
        others = [value for value in values.split(", ") if value not in record["options"][name]]
        twin["options"] = {**record["options"], name: others}
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
