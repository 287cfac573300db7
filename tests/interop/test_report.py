"""The page of scored runs: whole without its script, and a walk through every turn with it."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from agentprm_lite.interop.files import read_log
from agentprm_lite.interop.report import Scored, page

EVIL = '</script><script>alert(1)</script> <img src=x onerror="alert(2)"> & \x00 \ud800 "\''


def scored(k: int, reward: float | None, *q: float, text: str = "turn", **fields: Any) -> Scored:
    messages = [{"role": "user", "content": f"Answer this question of mine, please: number {k}"}]
    for i, _ in enumerate(q):
        messages += [{"role": "assistant", "content": f"{text} {i + 1}"},
                     {"role": "user", "content": f"reply {i + 1}"}]  # fmt: skip
    row = {"messages": messages, "reward": reward, "id": f"id-{k}", **fields}
    return Scored(read_log(row, f"runs.jsonl, line {k}"), 0.5, q)


RUNS = [
    scored(1, 1.0, 0.625, 0.75),
    scored(2, 0.0, 0.25, 0.375, 0.125, text=EVIL, step_labels={"3": -1}),
    scored(3, None, 0.5),
]


class Reader(HTMLParser):
    """Tags, attributes and texts of a page; an element that isn't closed is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "line", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_progress_and_the_line_of_a_run() -> None:
    """0.5 → 0.25 → 0.375 → 0.125."""
    assert RUNS[1].progress == (-0.25, 0.125, -0.25)
    line = RUNS[1].to_json()
    assert json.loads(line) == {
        "id": "id-2",
        "source": "runs.jsonl, line 2",
        "task": "Answer this question of mine, please: number 2",
        "reward": 0.0,
        "start": 0.5,
        "turns": [
            {"message": 1, "m": 0.25, "progress": -0.25},
            {"message": 3, "m": 0.375, "progress": 0.125},
            {"message": 5, "m": 0.125, "progress": -0.25},
        ],
    }


def test_the_page_says_first_what_it_shows() -> None:
    reader = read(page(RUNS, "my-prm", "runs.jsonl"))
    text = " ".join("".join(t for tag, t in reader.texts if tag not in ("style", "script")).split())
    start = text[: text.index("Order")]
    assert "my-prm reads runs.jsonl 3 runs of 3 tasks, 6 turns. M is how promising" in start
    assert "Reward 1: last M 0.75 on average (1 run) · Reward 0: last M 0.12 on average" in start
    assert "Largest drop: −0.25 in run 2, turn 1" in start
    titles = [t for tag, t in reader.texts if tag == "span" and "…" in t]
    assert titles == ["1. … 1", "2. … 2", "3. … 3"]  # what all share is left out


def test_the_table_of_turns_and_values_is_there_without_the_script() -> None:
    reader = read(page(RUNS, "my-prm", "runs.jsonl"))
    cells = [t for tag, t in reader.texts if tag in ("td", "a")]
    flat = " ".join(" ".join(cells).split())
    assert "start 0.50 Answer this" in flat
    for row in ("1 0.25 −0.25", "2 0.38 +0.12 −1", "3 0.12 −0.25"):
        assert row in flat
    bars = [a["style"] for tag, a in reader.tags if a.get("class") == "bar"]
    assert bars[3:7] == ["--v:50%", "--v:25%", "--v:38%", "--v:12%"]
    folded = [t for tag, t in reader.texts if tag == "summary"]
    assert folded[3:7] == [
        "Before the first turn: M = 0.50",
        "Turn 1: M = 0.25, −0.25",
        "Turn 2: M = 0.38, +0.12; label −1",
        "Turn 3: M = 0.12, −0.25",
    ]
    assert "reply 3" in [t for tag, t in reader.texts if tag == "pre"]


def test_what_rounds_to_nothing_is_no_drop() -> None:
    """0.5 → 0.498 → 0.5: both changes are 0.00 at two digits."""
    text = page([scored(1, 1.0, 0.498, 0.5)], "j", "s")
    reader = read(text)
    assert (
        "argest drop:" not in text
        and "largest drop −" not in text
        and "−0.00" not in text
        and "+0.00" not in text
    )
    assert [t for tag, t in reader.texts if t == "0.00" and tag == "td"] == ["0.00"] * 2
    assert not [a for _, a in reader.tags if a.get("class") in ("up", "down")]


def test_texts_from_right_to_left_have_their_own_direction() -> None:
    """What a text does to the direction ends with it (U+202E), and its begin is what is cut off
    last."""
    reader = read(page([scored(1, 1.0, 0.25, text="שלום \u202e", id="\u202ex")], "\u202ej", "s"))
    blocks = [a for tag, a in reader.tags if tag == "pre" or a.get("class") in ("what", "title")]
    assert len(blocks) == 6 and all(a["dir"] == "auto" for a in blocks)
    inline = [t for tag, t in reader.texts if tag == "bdi"]
    assert "\u202ej" in inline and "\u202ex" in inline
    assert not [t for tag, t in reader.texts if tag in ("h1", "h2") and "\u202e" in t]


def test_texts_are_only_text_and_nothing_is_asked_of_the_network() -> None:
    whole = page(RUNS, EVIL, EVIL)
    reader = read(whole)
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert not {"img", "iframe", "link", "object"} & {tag for tag, _ in reader.tags}
    assert not [a for _, a in reader.tags if {"src", "onerror"} & set(a)]
    assert all(a["href"].startswith("#") for tag, a in reader.tags if tag == "a")
    assert "http:" not in whole and "https:" not in whole and "url(" not in whole
    assert any(EVIL[:66] in t for tag, t in reader.texts if tag == "pre")
    assert "\x00" not in whole and whole.encode("utf-8")
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = {a["href"].removeprefix("#") for tag, a in reader.tags if tag == "a"}
    assert links <= set(ids)


def test_one_run_and_many_and_values_beyond_the_scale() -> None:
    assert read(page(RUNS[2:], "j", "s")).tags
    many = [scored(k, float(k % 2), *[(k * t % 7) / 7 for t in range(12)]) for k in range(300)]
    assert len(page(many, "j", "s")) < 4_000_000
    bars = read(page([scored(1, 1, -3.0, 7.0)], "j", "s")).tags
    assert [a["style"] for _, a in bars if a.get("class") == "bar"][1:] == ["--v:0%", "--v:100%"]


@pytest.mark.book
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_a_walk_in_chromium(tmp_path: Path, width: int, height: int) -> None:
    """Keyboard, buttons and order; nothing is wider than the screen, and no script fails."""
    from playwright.sync_api import sync_playwright
    from site_check import FLAGS, browser_path

    path = tmp_path / "report.html"
    path.write_text(page(RUNS, "my-prm", "runs.jsonl"), encoding="utf-8")
    wrong: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path(), args=FLAGS)
        tab = browser.new_page(viewport={"width": width, "height": height})
        tab.on("pageerror", lambda err: wrong.append(str(err)))
        tab.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        tab.goto(path.as_uri())

        def now() -> tuple[str, str]:
            title = tab.locator("article.now h2").inner_text().split(",")[0]
            return title, tab.locator("article.now details[open] summary").inner_text()

        assert now() == ("Run 1", "Before the first turn: M = 0.50")
        for keys, expected in (
            (["ArrowRight"], ("Run 1", "Turn 1: M = 0.62, +0.12")),
            (["ArrowRight"] * 3, ("Run 1", "Turn 2: M = 0.75, +0.12")),  # it stays at the last
            (["Shift+ArrowRight", "ArrowRight"], ("Run 2", "Turn 1: M = 0.25, −0.25")),
            (["ArrowLeft"] * 3, ("Run 2", "Before the first turn: M = 0.50")),
            (["Shift+ArrowLeft"] * 2, ("Run 1", "Before the first turn: M = 0.50")),
        ):
            for key in keys:
                tab.keyboard.press(key)
            assert now() == expected
        tab.locator("article.now button", has_text="turn ›").click()
        assert now() == ("Run 1", "Turn 1: M = 0.62, +0.12") and tab.url.endswith("#run-1-turn-1")
        tab.locator("nav a").nth(1).click()
        assert now()[0] == "Run 2"
        tab.locator("article.now tbody tr").nth(3).click()
        assert now()[1] == "Turn 3: M = 0.12, −0.25"
        tab.select_option("#order", "wrong")  # |0 - 0.125| and |1 - 0.75|, the unknown last
        assert [x.split(".")[0] for x in tab.locator("nav .title").all_inner_texts()] == list("123")
        tab.select_option("#order", "drop")
        assert [x.split(".")[0] for x in tab.locator("nav .title").all_inner_texts()] == list("231")
        tab.goto(path.as_uri() + "#run-3-turn-1")
        assert now()[0] == "Run 3"
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        still = browser.new_page(java_script_enabled=False)
        still.goto(path.as_uri())
        assert still.locator("article table").count() == 3
        assert still.locator("article table").nth(2).is_visible()
        browser.close()
    assert wrong == [] and shutil.which(browser_path())
