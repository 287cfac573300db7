"""Runs and what a judge says of them after every turn: JSON lines, and one page to walk through.

The page holds everything, asks no server for anything, and is whole without its script: a table of
turns and values for each run, and the texts folded under it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import takewhile
from statistics import fmean

from agentprm_lite.interop.logs import Log, Message
from agentprm_lite.interop.render import said
from agentprm_lite.interop.report_page import SCRIPT, STYLE
from agentprm_lite.prm import StepValues

_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Scored:
    """A run and its values."""

    log: Log
    """The run."""
    root: float
    """M before the first turn."""
    q: tuple[float, ...]
    """M after each turn."""

    @classmethod
    def of(cls, log: Log, values: StepValues) -> Scored:
        """The values that a judge gave a run."""
        return cls(log, float(values.root), tuple(float(m) for m in values.q))

    @property
    def progress(self) -> tuple[float, ...]:
        """What each turn changed: M after it minus M before it."""
        return tuple(b - a for a, b in zip((self.root, *self.q), self.q, strict=False))

    def to_json(self) -> str:
        """One line: the run's own id, and for each turn its message in the log, M and progress."""
        turns = [
            {"message": index, "m": m, "progress": change}
            for index, m, change in zip(self.log.steps, self.q, self.progress, strict=True)
        ]
        return json.dumps({
            "id": self.log.id, "source": self.log.source, "task": self.log.task,
            "reward": self.log.reward, "start": self.root, "turns": turns,
        })  # fmt: skip


def page(runs: Sequence[Scored], judge: str, source: str) -> str:
    """The report.

    Args:
        runs: what to show, in order.
        judge: name of the judge.
        source: name of what was read.

    Returns:
        A whole HTML page.
    """
    turns, tasks = sum(len(s.q) for s in runs), len({s.log.task for s in runs})
    worst = min(range(len(runs)), key=lambda k: min(runs[k].progress))
    drop = round(min(runs[worst].progress), 2)
    turn = 1 + runs[worst].progress.index(min(runs[worst].progress))
    found = [
        f"{name}: last M {fmean(m):.2f} on average ({_count(len(m), 'run')})"
        for name, wanted in (("Reward 1", 1.0), ("Reward 0", 0.0))
        if (m := [s.q[-1] for s in runs if s.log.reward == wanted])
    ]
    if drop < 0:
        link = f'<a href="#run-{worst + 1}-turn-{turn}">run {worst + 1}, turn {turn}</a>'
        found.append(f"Largest drop: {_signed(drop)} in {link}")
    labelled = any(s.log.labels for s in runs)
    titles = _titles([_asked(s.log) for s in runs])
    numbers = range(1, len(runs) + 1)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{_text(judge)} on {_text(source)}</title><style>{STYLE}</style></head><body>
<header><h1><bdi>{_text(judge)}</bdi> reads <bdi>{_text(source)}</bdi></h1>
<p>{_count(len(runs), "run")} of {_count(tasks, "task")}, {_count(turns, "turn")}.
<b>M</b> is how promising a run is after a turn, from 0 (will fail) to 1 (will succeed);
<b>progress</b> is what the turn changed.</p>
<p class="facts">{" · ".join(found)}</p>
<p class="keys"><kbd>←</kbd> <kbd>→</kbd> turns,
<kbd>Shift</kbd> + <kbd>←</kbd> <kbd>→</kbd> runs</p>
</header>
<div class="app"><nav aria-label="Runs"><label class="order">Order <select id="order">
<option value="file">as in the file</option><option value="drop">largest drop</option>
<option value="last">lowest last M</option><option value="wrong">judge and reward disagree</option>
</select></label>
<p class="heads"><span>reward</span><span>run</span><span>M</span><span>last</span></p>
<ol id="runs">
{"".join(map(_entry, numbers, runs, titles))}</ol></nav>
<main>
{"".join(_article(*x, labelled) for x in zip(numbers, runs, titles, strict=True))}</main></div>
<script>{SCRIPT}</script></body></html>
"""


def _entry(k: int, s: Scored, title: str) -> str:
    """A run in the list: reward, what was asked, its values as a line, the last of them."""
    path = (s.root, *s.q)
    points = " ".join(
        f"{1 + 74 * i / len(s.q):.1f},{21 - 20 * _inside(m):.1f}" for i, m in enumerate(path)
    )
    return (
        f'<li><a href="#run-{k}"><span class="reward" title="reward">{_reward(s)}</span>'
        f'<span class="title" dir="auto">{k}. {_text(_short(title, 80))}</span>'
        f'<svg class="spark" viewBox="0 0 76 22" aria-hidden="true"><line x2="76" y1="11" y2="11"/>'
        f'<path d="M{points}"/></svg><span title="last M">{s.q[-1]:.2f}</span></a></li>\n'
    )


def _article(k: int, s: Scored, title: str, labelled: bool) -> str:
    reward, name = s.log.reward, f"run-{k}"
    wrong = "" if reward is None else f"{abs(reward - s.q[-1]):.4f}"
    own = f", id <bdi>{_text(_short(s.log.id, 40))}</bdi>" * (s.log.id not in ("", str(k)))
    drop = min(s.progress)
    facts = [
        "reward unknown" if reward is None else f"reward {reward:g}",
        _count(len(s.q), "turn"),
        f"M from {s.root:.2f} to {s.q[-1]:.2f}",
        f"largest drop {_signed(drop)} in turn {1 + s.progress.index(drop)}" * (round(drop, 2) < 0),
    ]
    ends = [m for m, message in enumerate(s.log.messages) if message.step]
    between = [s.log.messages[a + 1 : b] for a, b in zip([-1, *ends], [*ends, None], strict=True)]
    steps = [s.log.messages[m] for m in ends]
    marks = dict(s.log.labels)
    rows = [_row(name, 0, s.root, None, _asked(s.log), "" if labelled else None)]
    texts = [_details(name, 0, "Before the first turn", s.root, None, between[0])]
    values = zip(steps, s.q, s.progress, between[1:], strict=True)
    for t, (message, m, change, replies) in enumerate(values, start=1):
        label = f"{marks[message.index]:+g}".replace("-", "−") if message.index in marks else ""
        rows.append(_row(name, t, m, change, said(message), label if labelled else None))
        texts.append(_details(name, t, f"Turn {t}", m, change, [message, *replies], label))
    heads = ["turn", "M", "progress", *["label"] * labelled, "text"]
    buttons = "".join(
        f'<button data-{what}="{by}" aria-label="{sense} {what}">{text}</button>'
        for what, by, sense, text in (
            ("run", -1, "previous", "« run"),
            ("turn", -1, "previous", "‹ turn"),
            ("turn", 1, "next", "turn ›"),
            ("run", 1, "next", "run »"),
        )
    )
    return (
        f'<article id="{name}" data-drop="{drop:.4f}" data-last="{s.q[-1]:.4f}" '
        f'data-wrong="{wrong}"><div class="about"><h2>Run {k}{own}: '
        f"<bdi>{_text(_short(title, 160))}</bdi></h2>"
        f'<p class="facts">{" · ".join(filter(None, facts))}</p><p class="step">{buttons}</p></div>'
        f'<div class="table"><table><caption>M after each turn</caption><thead><tr>'
        f"{''.join(f'<th scope=col>{h}</th>' for h in heads)}</tr></thead>"
        f'<tbody>{"".join(rows)}</tbody></table></div><div class="texts">{"".join(texts)}</div>'
        "</article>\n"
    )


def _row(name: str, t: int, m: float, change: float | None, text: str, label: str | None) -> str:
    moved = 0.0 if change is None else round(change, 2)
    kind = "up" if moved > 0 else "down" if moved < 0 else ""
    cell = "" if label is None else f"<td>{label}</td>"
    return (
        f'<tr><td><a href="#{name}-turn-{t}">{t or "start"}</a></td><td class="m">'
        f'<span class="bar" style="--v:{100 * _inside(m):.0f}%"></span>{m:.2f}</td>'
        f'<td class="{kind}">{"" if change is None else _signed(change)}</td>{cell}'
        f'<td class="what" dir="auto">{_text(_short(text, 120))}</td></tr>\n'
    )


def _details(
    name: str,
    t: int,
    title: str,
    m: float,
    change: float | None,
    messages: Sequence[Message],
    label: str = "",
) -> str:
    """What was said in a turn, folded."""
    moved = "" if change is None else f", {_signed(change)}"
    parts = "".join(
        f'<p class="who">{message.role} <bdi>{_text(message.name)}</bdi></p>'
        + f'<pre dir="auto">{_text(message.reasoning)}</pre>' * bool(message.reasoning)
        + f'<pre dir="auto">{_text(said(message)) or "(nothing)"}</pre>'
        for message in messages
    )
    by_hand = f"; label {label}" * bool(label)
    return (
        f'<details id="{name}-turn-{t}"><summary>{title}: M = {m:.2f}{moved}{by_hand}</summary>'
        f"{parts}</details>\n"
    )


def _titles(asked: Sequence[str]) -> list[str]:
    """What each run was asked, without the words that all begin with."""
    texts = [" ".join(text.split()) for text in asked]
    columns = takewhile(lambda letters: len(set(letters)) == 1, zip(*set(texts), strict=False))
    shared = "".join(letters[0] for letters in columns).rpartition(" ")[0]
    if len(set(texts)) < 2 or len(shared) < 24:
        return texts
    return ["…" + text[len(shared) :] for text in texts]


def _asked(log: Log) -> str:
    return next((m.text for m in log.messages if m.role == "user"), log.task)


def _short(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(text: str) -> str:
    return escape(_UNSHOWABLE.sub("\ufffd", text))


def _reward(s: Scored) -> str:
    return "–" if s.log.reward is None else f"{s.log.reward:.2g}"


def _signed(x: float) -> str:
    """With its sign, unless it is nothing at two digits."""
    return f"{x:+.2f}".replace("-", "−") if round(x, 2) else "0.00"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _inside(m: float) -> float:
    return min(1.0, max(0.0, m))
