"""Products and goals of WebShop: read from a folder, or of made-up shops."""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import random
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentprm_lite.worlds.webshop.search import SearchIndex
from agentprm_lite.worlds.webshop.synthetic import shop_records

NO_CAP = 1_000_000.0
SOURCE = (
    "WebShop's small data set has 1,000 products: run `setup.sh -d small` of "
    "https://github.com/princeton-nlp/WebShop and name its folder `data`"
)
_TABLE, _ITEMS, _NOTES = "products_1000.jsonl", "items_shuffle_1000.json", "items_ins_v2_1000.json"
_TEST_IDS, _TRAIN_IDS = "webshop_test.json", "webshop_train_ids.json"
CAPS = 4  # multiples of ten dollars above the price of a product, one of which is the cap
_FIRST_TEST = 200  # goals that are the test split where no lists of ids are found


@dataclass(frozen=True)
class Product:
    """A product of the catalogue."""

    asin: str
    """Ten characters."""
    title: str
    """Title."""
    description: str
    """Text of the description page, may be empty."""
    bullets: tuple[str, ...]
    """Lines of the features page."""
    price: float
    """Dollars; the middle where there is a range."""
    tag: str
    """Price as it is shown."""
    query: str
    """The search by which the product was found, such as "desk lamps"."""
    path: str
    """Category path with › between its parts."""
    options: tuple[tuple[str, tuple[str, ...]], ...]
    """Option names and their values."""
    attributes: tuple[str, ...]
    """What the product is said to be."""
    instruction: str
    """Beginning of the instructions that ask for it; "" if none does."""
    asked: tuple[str, ...]
    """Attributes that the instruction names."""


@dataclass(frozen=True)
class Goal:
    """What a user wants: a product, option values and a highest price."""

    place: int
    """Place of the product in the catalogue."""
    instruction: str
    """The whole instruction."""
    attributes: tuple[str, ...]
    """Attributes that count."""
    options: tuple[tuple[str, str], ...]
    """Option names and the wanted values, by name."""
    cap: float
    """Highest price in dollars."""

    @property
    def level(self) -> int:
        """1 without options, 2 with one, 3 with more."""
        return 1 + min(len(self.options), 2)


@dataclass(frozen=True)
class Catalogue:
    """Products, goals, splits and the search engine."""

    products: tuple[Product, ...]
    """In file order."""
    goals: tuple[Goal, ...]
    """In AgentGym's order; in a made-up shop, one a family."""
    train: tuple[int, ...]
    """Places of the training goals; empty in a made-up shop, which is of one split as a whole."""
    test: tuple[int, ...]
    """Places of the test goals."""
    places: dict[str, int]
    """ASIN -> place."""
    index: SearchIndex
    """Search engine."""
    key: str
    """Number of products and a checksum: two catalogues of one key are the same."""


def catalogue(folder: str | Path) -> Catalogue:
    """The catalogue of a folder, read once a process."""
    return _catalogue(str(Path(folder).resolve()))


@functools.lru_cache(maxsize=512)
def made_shop(number: int, variant: int) -> Catalogue:
    """A made-up shop; variant k > 0 draws another one of this number."""
    records, wanted = shop_records(number, variant)
    products = tuple(map(_product, records))
    places = {product.asin: place for place, product in enumerate(products)}
    rng = random.Random(f"webshop caps/{number}/{variant}")
    goals = []
    for asin, choice in wanted:
        product = products[places[asin]]
        cap = 10.0 * (product.price // 10 + 1 + int(rng.random() * CAPS))
        goals.append(_goal(places[asin], product, tuple(sorted(choice.items())), cap))
    return _indexed_catalogue(products, tuple(goals), (), ())


def price_text(cap: float) -> str:
    """End of an instruction: the highest price, "" where there is none."""
    return "" if cap >= NO_CAP else f", and price lower than {cap:.2f} dollars"


def make_goals(products: Sequence[Product]) -> tuple[Goal, ...]:
    """A goal for every choice of options of every product that has an instruction.

    The cap is the higher one of two draws among the next four multiples of ten dollars. Seeds and
    order of draws are such that real products give AgentGym's list: the same goals in the same
    order, and the same caps where a product has one price.

    Args:
        products: In file order.

    Returns:
        The goals, shuffled.
    """
    rng = random.Random(233)
    goals = []
    for place, product in enumerate(products):
        if not product.instruction:
            continue
        steps = [10.0 * i for i in range(1, 100) if 10.0 * i > product.price][:4]
        cap = max(rng.sample(steps, 2)) if len(steps) > 1 else NO_CAP
        named = sorted(product.options)
        for values in itertools.product(*(values for _, values in named)):
            options = tuple(zip((name for name, _ in named), values, strict=True))
            goals.append(_goal(place, product, options, cap))
    random.Random(233).shuffle(goals)
    return tuple(goals)


def _goal(place: int, product: Product, options: tuple[tuple[str, str], ...], cap: float) -> Goal:
    wanted = ", and ".join(f"{name}: {value}" for name, value in options)
    text = product.instruction + (f" with {wanted}" if wanted else "") + price_text(cap)
    return Goal(place, text, product.asked, options, cap)


@functools.lru_cache(maxsize=4)
def _catalogue(folder: str) -> Catalogue:
    try:
        products = tuple(_product(record) for record in _records(Path(folder)))
        if len({product.asin for product in products}) < len(products):
            raise ValueError("expected every asin once")
        goals = make_goals(products)
        train, test = _splits(Path(folder), len(goals))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError) as err:
        raise ValueError(
            f"catalogue: a file in {folder} is broken ({type(err).__name__}: {err}). {SOURCE}"
        ) from err
    except OSError as err:
        raise type(err)(f"catalogue: {err}. {SOURCE}") from err
    return _indexed_catalogue(products, goals, train, test)


def _indexed_catalogue(
    products: tuple[Product, ...],
    goals: tuple[Goal, ...],
    train: tuple[int, ...],
    test: tuple[int, ...],
) -> Catalogue:
    texts = [_indexed(product) for product in products]
    places = {product.asin: place for place, product in enumerate(products)}
    checksum = zlib.crc32("\n".join([*places, *texts]).encode("utf-8", "replace"))
    key = f"{len(products)}-{checksum:08x}"
    return Catalogue(products, goals, train, test, places, SearchIndex(texts), key)


def _indexed(product: Product) -> str:
    """What the search engine sees of a product: of the features only the first."""
    options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in product.options)
    return " ".join([product.title, product.description, *product.bullets[:1], options]).lower()


def _product(record: dict[str, Any]) -> Product:
    pricing = [float(price) for price in record["pricing"]]
    if not pricing:
        raise ValueError(f"pricing: expected a price, got none for {record['asin']}")
    return Product(
        asin=_text(record["asin"]),
        title=_text(record["title"]),
        description=_text(record["description"]),
        bullets=tuple(map(_text, record["bullet_points"])),
        price=sum(pricing) / len(pricing),
        tag=" to ".join(f"${price}" for price in pricing),
        query=_text(record["query"]),
        path=_text(record["product_category"]),
        options=tuple((name, tuple(map(_text, vs))) for name, vs in record["options"].items()),
        attributes=tuple(map(_text, record["attributes"])),
        instruction=_text(record["instruction"] or ""),
        asked=tuple(map(_text, record["instruction_attributes"] or ())),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def _records(folder: Path) -> Iterable[dict[str, Any]]:
    """Records of products, from the one table or from WebShop's two files."""
    for table in (folder / _TABLE, folder / f"{_TABLE}.gz"):
        if table.exists():
            lines = _read(table).removeprefix("\ufeff").split("\n")  # a text may hold U+2028
            return [json.loads(line) for line in lines if line.strip()]
    if (folder / _ITEMS).exists() and (folder / _NOTES).exists():
        notes = json.loads(_read(folder / _NOTES))
        first: dict[str, dict[str, Any]] = {}
        for item in json.loads(_read(folder / _ITEMS)):
            first.setdefault(item["asin"], item)
        usable = [(asin, item) for asin, item in first.items() if len(asin) <= 10]
        return [_translated(item, notes.get(asin, {})) for asin, item in usable]
    raise FileNotFoundError(f"expected {_ITEMS} and {_NOTES}, or {_TABLE}[.gz], in {folder}")


def _read(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def _translated(item: dict[str, Any], notes: dict[str, Any]) -> dict[str, Any]:
    """A record of WebShop's own files in our fields."""
    prices = [float(re.sub(r"[^\d.]", "", part)) for part in (item["pricing"] or "").split("$")[1:]]
    bullets, choices = item["small_description"], item["customization_options"] or {}
    return {
        "asin": item["asin"],
        "title": item["name"],
        "description": item["full_description"],
        "bullet_points": bullets if isinstance(bullets, list) else [bullets],
        "pricing": prices[:2] or [100.0],
        "query": item["query"].lower().strip(),
        "product_category": item["product_category"],
        "options": {
            name.lower(): [value["value"].strip().replace("/", " | ").lower() for value in values]
            for name, values in choices.items()
            if values is not None
        },
        "attributes": notes.get("attributes", []),
        "instruction": notes.get("instruction"),
        "instruction_attributes": notes.get("instruction_attributes"),
    }


def _splits(folder: Path, goals: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """AgentGym's train and test indices, or the first 200 goals as test split."""
    for place in (folder, folder.parent / "agentgym_ids"):
        if (place / _TEST_IDS).exists() and (place / _TRAIN_IDS).exists():
            train, test = (_ids(place / name, goals) for name in (_TRAIN_IDS, _TEST_IDS))
            return train, test
    cut = min(_FIRST_TEST, goals // 2)
    return tuple(range(cut, goals)), tuple(range(cut))


def _ids(path: Path, goals: int) -> tuple[int, ...]:
    found = sorted(int(row["item_id"].rpartition("_")[2]) for row in json.loads(_read(path)))
    if not found or not 0 <= found[0] <= found[-1] < goals:
        raise ValueError(f"{path}: expected indices from 0 to {goals - 1}")
    return tuple(found)
