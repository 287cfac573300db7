"""A shopper who reads what the pages say, from the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from agentprm_lite.worlds.webshop import pages as pages
from agentprm_lite.worlds.webshop.catalogue import Catalogue, Goal, Product

OPENING = "Find me "
WORDS_OF_TITLE = 8


@dataclass(frozen=True)
class Shopper:
    """The expert in one state of an episode."""

    shop: Catalogue
    goal: Goal
    cap: float
    """Highest price."""
    page: str
    hits: Sequence[int]
    """Places of the products that the last search found."""
    number: int
    """Of the page of results."""
    asin: str
    """The product that is looked at."""
    chosen: Mapping[str, str]
    seen: Set[str]
    """Products that were looked at."""
    knows: bool
    """It is told which product is meant: the real catalogue's pages don't say."""

    def advise(self) -> tuple[str, str]:
        """What a shopper does who reads what the pages say, from the top.

        A search with the last words of what is wanted (one attribute and the kind, in a made-up
        shop); the first product that looks right; its options, Buy Now. A product without a wanted
        option value is left again. Where that search doesn't find the product, all words are
        searched, then its title.
        """
        if self.page == "start":
            return self._search_for(self._last_words)
        if self.page == "results":
            return self._pick()
        product = self.shop.products[self.shop.places[self.asin]]
        wrong = self._verdict(product) in ("no", "too dear")
        if wrong or (self.knows and product is not self._wanted):
            return f"{self.asin} is not what I want. I go back.", "click[< Prev]"
        if self.page != "item":
            return f"I have read enough about {self.asin}. I go back.", "click[< Prev]"
        offered = dict(product.options)
        for name, value in self.goal.options:
            if value not in offered.get(name, ()):
                return f"{self.asin} has no {name}: {value}. I go back.", "click[< Prev]"
        for name, value in self.goal.options:
            if self.chosen.get(name) != value:
                return f"I choose {name}: {value}.", f"click[{value}]"
        return f"{self.asin} is as wanted. I buy it.", "click[Buy Now]"

    @property
    def _request(self) -> str:
        """The words of the instruction that say what is wanted, without options and price."""
        return self._wanted.instruction.removeprefix(OPENING)

    @property
    def _last_words(self) -> str:
        """The end of the request, from its last comma on: results to choose among."""
        return self._request.rpartition(", ")[2]

    def _search_for(self, words: str) -> tuple[str, str]:
        return f"I look for {words}.", f"search[{words}]"

    def _pick(self) -> tuple[str, str]:
        """The next step from a page of results to the product, by another search if need be."""
        product = self._wanted
        if self.goal.place not in self.hits:
            wider = {self._last_words: self._request, self._request: product.title}
            tried = (words for words in wider if self.hits == self.shop.index.search(words))
            return self._search_for(wider.get(next(tried, ""), self._last_words))
        first = (self.number - 1) * pages.PER_PAGE
        read = []
        for place in self.hits[first : first + pages.PER_PAGE]:
            hit = self.shop.products[place]
            verdict = self._verdict(hit)
            read.append(f"{hit.asin} [SEP] {self._words_of(hit, verdict)}{verdict}.")
            if verdict == "fits":
                return " ".join(read), f"click[{hit.asin}]"
        later = self.hits.index(self.goal.place) >= first
        turn = pages.NEXT if later else pages.PREVIOUS
        return f"Page {self.number} doesn't have it.", f"click[{turn}]"

    def _verdict(self, hit: Product) -> str:
        """What the shopper says of a product in a page of results."""
        wanted = self._wanted
        if hit is wanted:
            return "fits"
        if (hit.query, hit.attributes) != (wanted.query, wanted.attributes):
            return "no"
        if hit.price > self.cap:
            return "too dear"
        return "seen" if hit.asin in self.seen or self.knows else "fits"

    def _words_of(self, hit: Product, verdict: str) -> str:
        """As much of what the page says of a product as the verdict needs."""
        words = hit.title.removesuffix(f" {self._wanted.query}").split()
        if verdict == "no":
            return " ".join([*words[:WORDS_OF_TITLE], ""])
        return f"{' '.join(hit.title.split()[:WORDS_OF_TITLE])} [SEP] {hit.tag} "

    @property
    def _wanted(self) -> Product:
        return self.shop.products[self.goal.place]
