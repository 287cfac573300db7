"""Pages of WebShop: one list of parts gives the text, the clickable words and the HTML view."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from agentprm_lite.worlds.webshop.catalogue import Product

PER_PAGE = 10
BACK, PREVIOUS, NEXT, BUY = "Back to Search", "< Prev", "Next >", "Buy Now"
DETAILS = ("Description", "Features", "Reviews")
SEPARATOR = " [SEP] "


class Part(NamedTuple):
    """A piece of text on a page."""

    kind: Literal["text", "title", "search", "button", "product", "name", "option"]
    """What it is."""
    text: str
    """What it says."""
    name: str = ""
    """Name of the option that a value belongs to."""


def start_page(instruction: str) -> list[Part]:
    """The page with the search bar.

    Args:
        instruction: What the user wants.

    Returns:
        Its parts.
    """
    return [Part("title", "WebShop"), *_told(instruction), Part("search", "Search")]


def results_page(instruction: str, hits: Sequence[Product], number: int, total: int) -> list[Part]:
    """A page of search results.

    Args:
        instruction: What the user wants.
        hits: Products of this page.
        number: Number of the page, from 1.
        total: How many products were found.

    Returns:
        Its parts.
    """
    parts = [
        *_told(instruction),
        Part("button", BACK),
        Part("text", f"Page {number} (Total results: {total})"),
        *([Part("button", PREVIOUS)] if number > 1 else []),
        Part("button", NEXT),
    ]
    for hit in hits:
        parts += [Part("product", hit.asin), Part("text", hit.title), Part("text", hit.tag)]
    return parts


def item_page(instruction: str, product: Product) -> list[Part]:
    """The page of a product. It doesn't tell which option values are chosen.

    Args:
        instruction: What the user wants.
        product: The product.

    Returns:
        Its parts.
    """
    parts = [*_told(instruction), Part("button", BACK), Part("button", PREVIOUS)]
    for name, values in product.options:
        parts += [Part("name", name), *(Part("option", value, name) for value in values)]
    return [
        *parts,
        Part("title", product.title),
        Part("text", f"Price: {product.tag}"),
        Part("text", "Rating: N.A."),
        *(Part("button", detail) for detail in DETAILS),
        Part("button", BUY),
    ]


def detail_page(instruction: str, product: Product, detail: str) -> list[Part]:
    """Description, features or reviews of a product; there are no reviews.

    Args:
        instruction: What the user wants.
        product: The product.
        detail: "description", "features" or "reviews".

    Returns:
        Its parts.
    """
    body = {"description": (product.description,), "features": product.bullets, "reviews": ()}
    return [
        *_told(instruction),
        Part("button", BACK),
        Part("button", PREVIOUS),
        *(Part("text", text) for text in body[detail]),
    ]


def done_page(asin: str, options: Mapping[str, str], reward: float) -> list[Part]:
    """The page after a purchase.

    Args:
        asin: The product that was bought.
        options: Its chosen option values by name.
        reward: The score.

    Returns:
        Its parts.
    """
    lines = (
        "Thank you for shopping with us!|Your code:|None|(Paste it in your MTurk interface.)|"
        f"Purchased|asin|{asin}|options|OPTIONS|attrs|None|category|None|query|None|"
        "product category|None|Target|asin|options|attrs|price upper|instuction text|category|"
        "product category|query|Goal|None|Reward|Your score (min 0.0, max 1.0)|"
        f"{reward}|Reward Details|None"
    ).split("|")
    chosen = json.dumps(dict(options), sort_keys=True)
    return [Part("text", chosen if line == "OPTIONS" else line) for line in lines]


def page_text(parts: Sequence[Part]) -> str:
    """What an agent reads.

    Args:
        parts: A page.

    Returns:
        The texts with " [SEP] " between them; what is empty leaves no field.

    Example:
        >>> page_text(start_page("Find me a lamp"))
        'WebShop [SEP] Instruction: [SEP] Find me a lamp [SEP] Search'
    """
    return SEPARATOR.join(part.text.strip() for part in parts if part.text)


def clickables(parts: Sequence[Part]) -> dict[str, Part]:
    """What can be clicked, by its text in lower case; option values go before buttons.

    Args:
        parts: A page.

    Returns:
        Text -> part.

    Example:
        >>> list(clickables(results_page("Find me a lamp", [], 2, 0)))
        ['back to search', '< prev', 'next >']
    """
    links = {part.text.lower(): part for part in parts if part.kind in ("button", "product")}
    return links | {part.text.lower(): part for part in parts if part.kind == "option"}


_STYLE = (
    "font:14px sans-serif;max-width:44em;border:1px solid #888;border-radius:6px;padding:1em;"
    "color:#222;background:#fff"
)
_TAGS = {
    "text": ("<p>", "</p>"),
    "title": ("<h3>", "</h3>"),
    "search": ('<p><input placeholder="Search" disabled> <button disabled>', "</button></p>"),
    "button": ("<button disabled>", "</button> "),
    "product": ("<hr><b>", "</b>"),
    "name": ("<p><i>", "</i></p>"),
}


def page_html(parts: Sequence[Part], chosen: Mapping[str, str] | None = None) -> str:
    """A view of a page for people. All text is escaped, nothing in it is active.

    Args:
        parts: A page.
        chosen: Option values that are chosen, by name; they are marked.

    Returns:
        One `div` element.

    Example:
        >>> page_html([Part("title", "<script>")])[-29:]
        '<h3>&lt;script&gt;</h3></div>'
    """
    chosen = chosen or {}
    pieces = []
    for part in parts:
        text = html.escape(part.text)
        if part.kind == "option":
            on = " checked" if chosen.get(part.name) == part.text.lower() else ""
            pieces.append(f'<label><input type="radio" disabled{on}>{text}</label> ')
        else:
            before, after = _TAGS[part.kind]
            pieces.append(f"{before}{text}{after}")
    return f'<div class="webshop" style="{_STYLE}">{"".join(pieces)}</div>'


def _told(instruction: str) -> list[Part]:
    return [Part("text", "Instruction:"), Part("text", instruction)]
