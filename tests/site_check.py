"""Open every built page in headless Chromium, at a desktop's and at a phone's width.

Of the library's source, whose pages are all made alike, one page is opened.

python tests/site_check.py [_build/html] [--shots FOLDER]
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import re
import shutil
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

from playwright.sync_api import sync_playwright

WIDTHS = ((1280, 900), (390, 844))
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
]  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROBE = r"""async () => {
  if (window.MathJax && MathJax.startup && MathJax.startup.promise) await MathJax.startup.promise;
  const imgs = [...document.images];
  imgs.forEach(i => i.loading = 'eager');
  await Promise.all(imgs.map(i => i.complete ? 0 : new Promise(
    r => { i.onload = i.onerror = r; setTimeout(r, 5000); })));
  const main = document.querySelector('article, main') || document.body;
  const copy = main.cloneNode(true);
  copy.querySelectorAll('pre, code, script, style, mjx-container, .cell_input')
    .forEach(e => e.remove());
  const text = copy.textContent;
  return {
    chars: main.innerText.length,
    broken: imgs.filter(i => !i.naturalWidth && i.getAttribute('src')).map(i => i.src.slice(0, 99)),
    alts: [...main.querySelectorAll('img')].map(i => (i.getAttribute('alt') || '').trim()),
    merror: [...document.querySelectorAll('mjx-merror, mjx-mtext[style*="red"]')]
      .map(e => e.textContent.slice(0, 80)),
    unmath: [...document.querySelectorAll('.math')]
      .filter(e => !e.querySelector('mjx-container')).map(e => e.textContent.slice(0, 60)),
    raw: text.match(/\$\$|\\\(|\\\[|\\begin\{|(^|\s)\$[^$\n]{1,80}\$/g) || [],
    myst: text.match(/:::+\{|\{(doc|ref|eq|cite|func)\}`/g) || [],
    links: [...document.querySelectorAll('a[href]')].map(a => a.href),
    ids: [...document.querySelectorAll('[id],a[name]')].map(e => e.id || e.name),
  };
}"""
OVERHANG = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing for each request."""


def browser_path() -> str:
    """The browser to use: CHROMIUM, or the first one on PATH."""
    for name in (os.environ.get("CHROMIUM", ""), *BROWSERS):
        if name and (found := shutil.which(name)):
            return found
    raise FileNotFoundError(
        "The pages are checked in Chromium, and there is none here: "
        "apt-get install chromium, or name one with CHROMIUM=/path/to/chrome"
    )


def bad_alt(alt: str) -> str:
    """Why a text is no alt text; empty if it is one."""
    if not alt:
        return "an image without alt text"
    if re.search(r"[0-9a-f]{20,}|\.(png|svg|jpe?g|gif)$", alt):
        return f"alt text is a file name: {alt[:60]}"
    if len(alt) < 10:
        return f"alt text says too little: {alt!r}"
    return ""


def check(root: Path, shots: Path | None = None) -> list[str]:
    """All that is wrong with the pages under a folder, one line each."""
    handler = functools.partial(Quiet, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    pages = [path for path in sorted(root.rglob("*.html")) if "_static" not in path.parts]
    if not pages:
        return [f"{root}: no pages"]
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    seen, closed, wrong = {}, {}, []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path(), args=FLAGS)
        context = browser.new_context()
        context.route(lambda url: not url.startswith((base, "data:", "blob:")), lambda r: r.abort())
        for path in pages:
            text = path.read_text("utf-8")
            if 'http-equiv="refresh"' in text.lower():
                continue
            name = path.relative_to(root).as_posix()
            if name.startswith("_modules/") and any(n.startswith("_modules/") for n in seen):
                closed[name] = {"links": [], "ids": re.findall(r' id="?([^" >]+)', text)}
                continue
            seen[name], found = visit(context, base, name, shots)
            wrong += [f"{name}: {problem}" for problem in found]
        browser.close()
    server.shutdown()
    server.server_close()
    wrong += dead_links(root, base, {**seen, **closed})
    links = sum(len(set(got["links"])) for got in seen.values())
    print(f"{len(seen)} pages at {len(WIDTHS)} widths, {links} links, {len(wrong)} problems")
    return wrong


def visit(context, base: str, name: str, shots: Path | None) -> tuple[dict, list[str]]:
    """Open one page at both widths; what it holds and what is wrong with it."""
    page, found = context.new_page(), []
    page.on("console", lambda m: m.type == "error" and found.append(f"console: {m.text[:200]}"))
    page.on("pageerror", lambda e: found.append(f"script: {str(e)[:200]}"))
    page.on("requestfailed", lambda r: found.append(f"request failed: {r.url[:200]}"))
    page.on("response", lambda r: r.status >= 400 and found.append(f"{r.status}: {r.url}"))
    for width, height in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        if width == WIDTHS[0][0]:
            page.goto(base + name, wait_until="load")
            got = page.evaluate(PROBE)
        over = page.evaluate(OVERHANG)
        if over > 1:
            found.append(f"scrolls sideways by {over} px at {width}")
        if shots:
            page.wait_for_timeout(600)  # the side bars slide
            shot = shots / f"{name.replace('/', '_').removesuffix('.html')}-{width}.png"
            page.screenshot(path=str(shot), full_page=width == WIDTHS[0][0])
    page.close()
    words = {"broken": "broken image", "merror": "TeX error", "unmath": "mathematics not set"}
    for key, word in {**words, "raw": "raw TeX", "myst": "raw MyST"}.items():
        found += [f"{word}: {item.strip()}" for item in got[key]]
    found += [problem for alt in got["alts"] if (problem := bad_alt(alt))]
    if got["chars"] < 20 and name != "search.html":
        found.append("empty page")
    return got, found


def dead_links(root: Path, base: str, seen: dict[str, dict]) -> list[str]:
    """Internal links whose page or anchor does not exist."""
    dead = []
    for name, got in seen.items():
        for href in sorted(set(got["links"])):
            if not href.startswith(base):
                continue
            url, anchor = urldefrag(href)
            target = unquote(urlparse(url).path).lstrip("/") or "index.html"
            if not (root / target).is_file():
                dead.append(f"{name}: dead link {target}")
            elif anchor and target in seen and unquote(anchor) not in seen[target]["ids"]:
                dead.append(f"{name}: dead anchor {target}#{anchor}")
    return dead


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=Path("_build/html"))
    parser.add_argument("--shots", type=Path, help="a folder for screenshots")
    args = parser.parse_args()
    problems = check(args.root.resolve(), args.shots)
    print(*problems, sep="\n")
    sys.exit(bool(problems))
