"""Bars, sentences and the README's part, from a table by hand; and what is stored agrees."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import regime_page as page

from agentprm_lite.study import (
    WORLDS,
    bootstrap_interval,
    by_epoch,
    curves_named,
    gain,
    learned,
    losses_compared,
    read_raw,
    summary,
)
from agentprm_lite.study.bars import auroc_after, best_of, explained, row
from agentprm_lite.train import LEARNED

EARLIER = {
    "longer": "math",
    "fewer_templates": "math",
    "both_levels": "textcraft",
    "at_1_3": "babyai",
    "turns_of_64": "webshop",
    "reward_in_parts": "webshop",
    "success_from_policy": "webshop",
}
"""Regimes before today's, told in chapter 10."""
JUDGE = {
    "best_of_n": [0.7, 0.6, 0.8],
    "minus_sample": [-0.2, -0.3, -0.1],
    "minus_greedy": [0.1, -0.05, 0.25],
}


def world(**other: Any) -> dict[str, Any]:
    rows = {"greedy": [0.6, 0.5, 0.7], "sample": [0.3, 0.2, 0.4], "random": [0.1, 0.0, 0.2],
            "sample_minus_random": [0.2, 0.1, 0.3], "oracle16": [0.9, 0.8, 1.0],
            "headroom": [0.6, 0.5, 0.7], "cut": [0.0, 0.0, 0.0],
            "explained_variance": [0.31, 0.2, 0.4], "auroc_fixed_turn": [0.71, 0.6, 0.8],
            "share_of_headroom": [0.67, 0.5, 0.8], "fewest_turns": [0.5, 0.4, 0.6],
            "best_minus_fewest_turns": [0.2, -0.1, 0.4]}  # fmt: skip
    return {
        "command": "agentprm x", "commit": "abc", "beams_commit": "abc",
        "date": "d", "device": "CPU",
        "temperature": 1.3,
        "rollouts": 480, "tasks": 100, "families": 50, "candidates": 16, "seeds": 3,
        "fixed_turn": 3, "process_judge": "pvm", "best_judge": "orm", **rows,
        "judges": {"orm": JUDGE, "pvm": JUDGE, "agentprm": JUDGE},
        "agentprm_minus": {"orm": [0.1, 0.05, 0.15], "pvm": [0.1, 0.0, 0.2]},
        "beams": {"4x4": {"distinct": True, "success": [0.7, 0.6, 0.8],
                          "minus_greedy": [0.1, 0.05, 0.2], "minus_sample": [0.3, 0.2, 0.4]}},
        "score": {"by": "last"},
        "tokens": {"halving by pvm": [{"success": [0.7, 0.6, 0.8],
                                     "minus_best_of_equal_n": [0.1, 0.05, 0.2]}]},
        "ceiling": {"explained_variance": [0.44, 0.4, 0.5], "auroc_fixed_turn": None},
        "sight": {"turn": [0.59, 0.5, 0.6]}, "foresight": None,
        "cooler": None, "cooler_beams": None, "checker": None, **other,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "how", "bar", "expected"),
    [
        ([0.6, 0.5, 0.7], "≥", 0.6, True),
        ([0.59, 0.5, 0.7], "≥", 0.6, False),
        ([0.01, 0.0, 0.1], "≤", 0.01, True),
        ([0.02, 0.0, 0.1], "≤", 0.01, False),
        ([0.25, 0.2, 0.3], "in", (0.25, 0.55), True),
        ([0.56, 0.5, 0.6], "in", (0.25, 0.55), False),
        ([0.2, 0.0, 0.3], "> 0", 0, False),  # an interval that touches 0
        ([0.2, 0.01, 0.3], "> 0", 0, True),
    ],
)
def test_a_bar_is_met_or_not(row: list[float], how: str, bar: Any, expected: bool) -> None:
    assert page.met(row, how, bar) is expected


def test_the_bars_of_two_worlds() -> None:
    worlds = {"textcraft": world(), "math": world(auroc_fixed_turn=None, beams={})}
    lines = page.bars({"worlds": worlds}).splitlines()
    assert lines[1] == "<tr><th>TextCraft</th><th>Math</th></tr>"
    assert len(lines) == 3 + 2 * len(page.BARS)
    at = dict(pairwise(lines))
    greedy = at['<tr><th colspan="2" scope="colgroup">one greedy attempt</th></tr>']
    both = "<td><b>0.60</b><br>[0.50, 0.70]<br>✓ ≥ {}</td>"
    assert greedy == f"<tr>{both.format(0.6)}{both.format(0.5)}</tr>"
    label = "the judge's AUROC within tasks after a fixed turn"
    turn = at[f'<tr><th colspan="2" scope="colgroup">{label}</th></tr>']
    assert "✓ ≥ 0.65" in turn and "<td>–<br>not measured</td>" in turn
    ceiling = at[
        '<tr><th colspan="2" scope="colgroup">the same of measured Q: the ceiling</th></tr>'
    ]
    assert ceiling.count("<b>0.44</b><br>[0.40, 0.50]<br>reported") == 2
    seen = page.BARS[9][0]
    assert seen.endswith("where the text has shown them")
    row = at[f'<tr><th colspan="2" scope="colgroup">{seen}</th></tr>']
    assert row == f"<tr>{'<td><b>0.59</b><br>[0.50, 0.60]<br>reported</td>' * 2}</tr>"
    few = at['<tr><th colspan="2" scope="colgroup">best judge − fewest turns</th></tr>']
    assert "[−0.10, 0.40]<br>reported" in few and "[−0.10, 0.40]<br>✗ &gt; 0" in few


def test_sentences_follow_the_intervals() -> None:
    lower = {"orm": [-0.1, -0.2, -0.01], "pvm": [0.01, -0.2, 0.3]}
    worlds = {"textcraft": world(), "babyai": world(agentprm_minus=lower)}
    levels, sample, orm, pvm, few, careful, beam, halving, missing = page.said({"worlds": worlds})
    assert levels.replace("\u00a0", " ") == (
        "Where the best of three reward models (the best on these tasks) chooses one of 16 "
        "attempts, success is 70 % instead of 30 % in TextCraft and 70 % instead of 30 % in "
        "BabyAI. A perfect choice would have 90 % in TextCraft and 90 % in BabyAI. One greedy "
        "attempt has 60 % in TextCraft and 60 % in BabyAI."
    )
    assert sample == "The best reward model is worse than one sample in TextCraft and BabyAI."
    assert orm == "AgentPRM is better than ORM in TextCraft, worse in BabyAI."
    assert pvm == "Neither AgentPRM nor PVM is shown to be better in TextCraft and BabyAI."
    blind = {"textcraft": world(explained_variance=[-0.01, -0.1, 0.1])}
    assert page.said({"worlds": blind})[-2] == (
        "In TextCraft no process judge has learned what holds on other tasks: PVM explains −0.01 "
        "of the outcome, and the best choice by one is worse than a random one."
    )
    assert few.startswith(
        "Neither the best reward model nor the attempt with the fewest turns is s"
    )
    assert careful == (
        "Neither the best reward model nor one greedy attempt is shown to be better in TextCraft "
        "and BabyAI."
    )
    assert beam == "A beam of 4×4 is better than one greedy attempt in TextCraft and BabyAI."
    assert halving.startswith(
        "Halving from 16 attempts is better than Best-of-N with as many tokens in TextCraft and B"
    )
    rows = {"Math": [-0.1, -0.2, -0.01], "WebShop": [0.0, -0.1, 0.1]}
    assert page.verdicts("a beam", "greedy", rows) == (
        "A beam is worse than greedy in Math; in WebShop neither is shown to be better."
    )
    assert missing == "Not measured yet: WebShop and Math."
    table = page.differences({"worlds": worlds}).splitlines()
    assert table[0] == "| | TextCraft | BabyAI |"
    assert table[3] == "| AgentPRM − ORM | 10.0 [5.0, 15.0] | −10.0 [−20.0, −1.0] |"
    assert len(table) == 2 + 7
    cool = world(
        cooler={"temperatures": {"0.7": {"sample": [0.66, 0.6, 0.7]}}},
        cooler_beams={
            "sample": [0.55, 0.5, 0.6],
            "beams": {"4x4": {"minus_greedy": [0.1, 0.0, 0.2], "minus_sample": [0.2, 0.1, 0.3],
                              "success": [0.75, 0.7, 0.8]}},
        },
    )  # fmt: skip
    hot = {**{w: world(cooler_beams=None) for w in WORLDS}, "math": cool}
    levels, *_, halving = page.said({"worlds": hot})
    assert levels.replace("\u00a0", " ").endswith(
        "at temperature 1.3, so that they differ. At 0.7, the paper's, one sample without "
        "any judge has 55 % in Math: less is left to choose there."
    )
    assert halving.endswith("is better than Best-of-N with as many tokens in every world.")
    alone = {"commit": "c", "best_of_n": [0.5, 0.4, 0.6], "trained_minus": {"orm": [0.2, 0.1, 0.3]}}
    drilled = {"worlds": {"textcraft": world(), "math": world(checker=alone)}}
    levels, *_, trained, _ = page.said(drilled)
    assert levels.replace("\u00a0", " ").endswith(
        "In Math reward models start from a checker, which was drilled in grading turns; before it "
        "has learned from an attempt its choice has 50 %."
    )
    started = "the checker that it started from"
    assert trained == f"The best reward model is better than {started} in Math."
    assert page.differences(drilled).splitlines()[-1] == (
        f"| the best reward model − {started} | – | 20.0 [10.0, 30.0] |"
    )
    assert "; the checker at `c`." in page.made(drilled)
    every = {"worlds": {w: world() for w in WORLDS}}
    assert page.seeds_said(every).startswith("Seeds of a reward model: 3 in every world;")
    assert page.made({"worlds": {"math": world(beams_commit="def")}}).endswith(
        "at commit `abc` on d, CPU; beams at `def`."
    )


def test_without_results_all_parts_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page, "TABLE", tmp_path / "none.json")
    assert page.front() == page.readme() == page.MISSING
    assert page.MISSING in page.section()


def test_one_command_makes_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAW", "TABLE", "FIGURE", "README"):
        monkeypatch.setattr(page, name, tmp_path / getattr(page, name).name)
    (tmp_path / "regime").mkdir()
    (tmp_path / "regime" / "textcraft.json.gz").touch()
    monkeypatch.setattr(page, "read_raw", lambda path: path.name)
    monkeypatch.setattr(page, "summary", lambda raws: {"worlds": {w: world() for w in raws}})
    (tmp_path / "README.md").write_text(f"above\n{page.MARKS[0]}old\n{page.MARKS[1]}below\n")
    page.write()
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("above\n") and text.endswith("below\n") and "old" not in text
    assert '<img src="results/regime.png" width="480" alt="Success of TextCraft: random' in text
    assert page.FIGURE.stat().st_size > 10_000
    assert f"Made by `{page.COMMAND}`" in text
    assert "`agentprm x` at commit `abc` on d, CPU." in page.section()
    page.write()
    assert (tmp_path / "README.md").read_text() == text


def test_the_readme_has_what_the_script_writes() -> None:
    between = page.README.read_text().split(page.MARKS[0])[1].split(page.MARKS[1])[0]
    assert between == f"\n{page.readme()}\n"


@pytest.mark.parametrize("name", list(WORLDS))
def test_the_stored_table_is_that_of_the_raw_numbers(name: str) -> None:
    path = page.RAW / f"{name}.json.gz"
    if not path.exists():
        pytest.skip(f"results/regime/{name}.json.gz is not stored yet")
    now = json.loads(json.dumps(summary({name: read_raw(path)})))
    assert json.loads(page.TABLE.read_text())["worlds"][name] == now["worlds"][name]


def test_every_estimate_typed_in_a_chapter_is_of_the_world_that_its_sentence_names() -> None:
    """Estimates with an interval; a sentence that names no world goes on with those before it."""
    now = {
        w: [*estimates(x), *learning(w)]
        for w, x in (page.stored() or {"worlds": {}})["worlds"].items()
    }
    old = {w: list(rows) for w, rows in now.items()}
    for folder, w in EARLIER.items():
        old[w] += estimates(earlier(folder))
    words = {"textcraft": "TextCraft", "babyai": "BabyAI", "webshop": "WebShop", "math": "math"}
    found = {}
    for path in sorted((page.ROOT / "notebooks").glob("*.py")):
        ten, said = path.stem == "10_four_worlds", words_of(path.stem)
        known = {w: {as_typed(r) for r in rows} for w, rows in (old if ten else now).items()}
        found[path.stem] = 0
        for paragraph in said.split("\n#\n"):
            named: list[str] = []
            for sentence in re.split(r"(?<=[.;])\s", paragraph):
                named = [w for w, word in words.items() if word in sentence] or named
                typed = re.findall(r"-?\d\.\d\d \[-?\d\.\d\d, -?\d\.\d\d\]", sentence)
                allowed = set().union(*(known[w] for w in named or known))
                assert set(typed) <= allowed, f"{path.name} says of {named or 'all'}: {sentence}"
                found[path.stem] += len(typed)
    assert found["10_four_worlds"] > 20, "the chapter's estimates aren't found"


def test_what_chapters_5_and_10_say_of_the_curves_holds() -> None:
    """No L_A helps a judge that has learned; what more rollouts teach; epochs, turns, choice."""
    files = ("curves", "curves_both_levels")
    told = [(page.ROOT / "results" / f"{name}.json").read_text() for name in files]
    level_2, shops, both = curves_named(*told).values()
    assert (level_2["levels"], both["levels"]) == ([2], [1, 2])
    shop = {beta: gain(shops, beta) for beta in (1.0, 4.0)}
    assert all(list(rows) == [240, 960] for rows in shop.values())
    assert all(x.hi < 0 for rows in shop.values() for x in rows.values())
    assert shop[1.0][240].mean < shop[1.0][960].mean
    assert list(gain(both, 1.0)) == list(gain(both, 4.0)) == [60, 120, 240, 480]
    assert all(x.lo < 0 < x.hi for x in gain(both, 1.0).values())
    assert [x.hi < 0 for x in gain(both, 4.0).values()] == [False, True, True, True]
    (epochs,) = by_epoch(both, 1.0, 960)
    assert epochs[1] < 0 and max(epochs, key=epochs.get) == 2
    for n in (60, 120, 240):
        five = [
            row["explained_variance"]
            for row in both["rows"]
            if (row["beta"], row["rollouts"]) == (1.0, n)
        ]
        assert len(five) == 5 and max(five) - min(five) < 0.03
    turns = earlier("both_levels")["worlds"]["textcraft"]["turn_number_explains"]
    shares = {n: x.mean for n, x in learned(both, 1.0).items()}
    assert shares[60] < turns < shares[120] < turns + 0.05
    chosen = {r["rollouts"]: r["best_of_n"] for r in both["rows"] if r["beta"] == 1.0}
    assert chosen[60] < sum(both["sample"]) / len(both["sample"]) < chosen[120]

    small = gain(level_2, 1.0)[240]
    assert small.lo > 0 and all(learned(level_2, b)[240].mean < 0 for b in (0.0, 1.0))
    one, four = (gain(level_2, b)[480] for b in (1.0, 4.0))
    assert one.hi < 0 and four.lo < 0 < four.hi
    assert learned(level_2, 1.0)[480].mean < learned(level_2, 4.0)[480].mean
    for run in level_2["rows"]:  # the trainer's own verdict
        assert (run["held_out"][run["epochs"] - 1] >= LEARNED) == (run["rollouts"] >= 480)
    readme = " ".join(page.README.read_text(encoding="utf-8").split())
    assert "(240 taught nothing in TextCraft's level 2, 480 did)" in readme
    best = {
        n: sum(of) / len(of)
        for n in (60, 120, 240, 480)
        for of in [[r["best_of_n"] for r in level_2["rows"]
                    if (r["beta"], r["rollouts"]) == (1.0, n)]]
    }  # fmt: skip
    sample = sum(level_2["sample"]) / len(level_2["sample"])
    assert (
        f"solves {best[60]:.2f}, {best[120]:.2f} and {best[240]:.2f} of the tasks, where one "
        f"sample solves {sample:.2f}; with 480 it is {best[480]:.2f}"
    ) in words_of("10_four_worlds")


def test_what_chapters_7_and_10_say_of_copies_holds() -> None:
    """Without copies beams are better in TextCraft and WebShop, and what they cost."""
    beams = {w: x["beams"]["4x4"] for w, x in page.stored()["worlds"].items()}
    assert [w for w, x in beams.items() if x["minus_copies"][1] > 0] == ["textcraft", "webshop"]
    assert not [w for w, x in beams.items() if x["minus_copies"][2] < 0]
    more = {w: 100 * (x["tokens"] / x["copies"]["tokens"] - 1) for w, x in beams.items()}
    assert (
        f"generate {more['webshop']:.0f} % more tokens in WebShop, {more['babyai']:.0f} % more in "
        f"BabyAI and {-more['textcraft']:.0f} % fewer in TextCraft"
    ) in words_of("07_beam_search")


def test_plain_numbers_of_chapters_7_and_10_follow_the_table() -> None:
    """Those without an interval; all are made here anew from stored results."""
    worlds = json.loads(page.TABLE.read_text())["worlds"]
    seven, ten = words_of("07_beam_search"), words_of("10_four_worlds")
    shop = read_raw(page.RAW / "webshop.json.gz")["beams"]["candidates"]  # of the beams' own policy
    sample = sum(a[1] for task in shop for a in task) / sum(map(len, shop))
    assert f"one sample of the same policy solves {sample:.2f} here" in seven
    tokens = worlds["math"]["tokens"]
    less = tokens["best of n by pvm"][-1]["tokens"] / tokens["greedy"][0]["tokens"]
    assert round(less) == 18 and "with an eighteenth of the tokens" in ten

    def span(values: Any, form: str) -> str:
        low, *_, high = sorted(values)
        return f"{low:{form}} to {high:{form}}"

    second = {w: {k: y["auroc_by_turn"]["2"][0] for k, y in x["judges"].items()}
              for w, x in worlds.items()}  # fmt: skip
    assert f"AUROC within tasks is {span((x['orm'] for x in second.values()), '.2f')}" in seven
    equal = {w: f"{x['beams']['4x4']['equal_n']:.1f}" for w, x in worlds.items()}
    assert (
        f"as much as {equal['webshop']} samples in WebShop, {equal['babyai']} in BabyAI, "
        f"{equal['textcraft']} in TextCraft and {equal['math']} in math"
    ) in seven

    raw = read_raw(page.RAW / "textcraft.json.gz")
    assert {worlds[w]["foresight"]["tasks"] for w in ("textcraft", "babyai", "math")} == {24}
    assert ten.count("24 of the tasks") == 1
    rows = ("success", "greedy", "own")
    solved = {
        w: [round(24 * worlds[w]["foresight"][k][0]) for k in rows] for w in ("babyai", "math")
    }
    best, one, own = solved["babyai"]
    assert f"it solves all {best}; but greedy solves {one} of them and the beam by PVM {own}" in ten
    best, one, own = solved["math"]
    assert f"it solves {best}, the beam by PVM {own}, and greedy {one}: the four by which" in ten
    some = read_raw(page.RAW / "math.json.gz")["foresight"]
    won = [(run[1], first) for run, first in zip(some["runs"], some["greedy"], strict=True)]
    assert (won.count((1, 0)), won.count((0, 1))) == (4, 0)
    assert 2 * 0.5 ** won.count((1, 0)) == 0.125 and "p = 0.125" in ten
    end = max(len(a[3]) for task in raw["candidates"] for a in task)
    assert all(len(a[3]) == end for task in raw["candidates"] for a in task if not a[1])

    judges = {w: worlds[w]["process_judge"] for w in worlds}
    ways = {
        w: [worlds[w]["tokens"][f"{way} by {judges[w]}"][-1] for way in ("halving", "best of n")]
        for w in worlds
    }
    share = [100 * a["tokens"] / b["tokens"] for a, b in ways.values()]
    assert f"halving from 16 takes {span(share, '.0f')} % of the tokens" in ten
    pairs = {w: f"{a['success'][0]:.2f} and {b['success'][0]:.2f}" for w, (a, b) in ways.items()}
    assert (
        f"Halving and Best-of-16 solve {pairs['textcraft']} in TextCraft, {pairs['babyai']} in "
        f"BabyAI, {pairs['webshop']} in WebShop and {pairs['math']} in math"
    ) in ten
    different = {}
    for w in worlds:
        runs = read_raw(page.RAW / f"{w}.json.gz")["values"][judges[w]]
        after_one = [len({m[1] for m in task if len(m) > 1}) for run in runs for task in run]
        different[w] = round(median(after_one))
    assert (
        f"have {different['math']} different $M$ there in math, {different['textcraft']} in "
        f"TextCraft, {different['webshop']} in WebShop and {different['babyai']} in BabyAI "
        "(medians)"
    ) in ten
    assert (
        f"with {100 * ways['webshop'][0]['tokens'] / ways['webshop'][1]['tokens']:.0f} % of" in ten
    )
    gains = {w: [y["min_minus_last"] for y in x["judges"].values()] for w, x in worlds.items()}
    assert [low > 0 for _, low, _ in gains["math"]] == [True, True, False]  # orm, pvm, agentprm
    assert all(0.005 < mean < 0.025 and low <= 0 for mean, low, _ in gains["babyai"])
    babyai = sorted(y["best_of_n"][0] for y in worlds["babyai"]["judges"].values())
    assert "({:.2f}, {:.2f} and {:.2f})".format(*babyai) in ten


def test_each_number_of_chapter_10s_summary_is_the_one_that_it_names() -> None:
    ten, worlds = words_of("10_four_worlds"), page.stored()["worlds"]
    crafts, rooms, shop, sums = (worlds[w] for w in ("textcraft", "babyai", "webshop", "math"))
    assert [x["process_judge"] for x in (shop, crafts, rooms, sums)] == ["pvm", "agentprm"] + [
        "pvm"
    ] * 2
    room = [x["headroom"][0] for x in (crafts, rooms, shop, sums)]
    assert (
        "above one sample by {:.2f} in TextCraft, {:.2f} in BabyAI, {:.2f} in WebShop and {:.2f} in"
    ).format(*room) in ten
    equal = {
        w: [x["beams"]["4x4"]["minus_best_of_equal_n"],
            x["tokens"][f"halving by {x['process_judge']}"][-1]["minus_best_of_equal_n"]]
        for w, x in worlds.items()
    }  # fmt: skip
    assert [w for w, (beam, _) in equal.items() if beam[2] < 0] == ["textcraft", "math"]
    assert all(beam[1] <= 0 and halved[2] < 0 for beam, halved in equal.values())
    hot = {w: x["beams"]["4x4"]["minus_greedy"] for w, x in worlds.items()}
    cool = {w: x["cooler_beams"]["beams"]["4x4"] for w, x in worlds.items()}
    assert [w for w, x in hot.items() if x[1] > 0] == ["webshop"]
    assert [w for w, x in hot.items() if x[2] < 0] == ["textcraft", "math"]
    assert [w for w, x in cool.items() if x["minus_greedy"][1] > 0] == ["babyai", "webshop"]
    assert not [w for w, x in cool.items() if x["minus_greedy"][2] < 0]
    assert all(x["minus_sample"][1] > 0 for x in cool.values())
    assert f"{crafts['oracle16'][0] - crafts['greedy'][0]:.2f}" == "0.02"  # hardly above greedy
    assert all(max(x["judges"][k]["minus_fewest_turns"][1] for k in x["judges"]) <= 0
               for x in (crafts, rooms))  # fmt: skip
    assert shop["best_judge"] == "pvm" and shop["score"]["by"] == "last"
    assert (
        f"In WebShop PVM's choice solves {shop['judges']['pvm']['best_of_n'][0]:.2f}, where one "
        f"sample solves {shop['sample'][0]:.2f}, fewest turns {shop['fewest_turns'][0]:.2f} and "
        f"one greedy attempt {shop['greedy'][0]:.2f}."
    ) in ten
    alone = [x["checker"]["best_of_n"][0] for x in (shop, sums)]
    assert "which untrained chooses {:.2f} and {:.2f}.".format(*alone) in ten
    assert all(x["agentprm_minus"]["pvm"][1] <= 0 <= x["agentprm_minus"]["pvm"][2]
               for x in worlds.values())  # fmt: skip
    assert (
        f"solves {sums['judges']['pvm']['best_of_n'][0]:.2f}, where one sample solves "
        f"{sums['sample'][0]:.2f}, fewest turns {sums['fewest_turns'][0]:.2f} and one greedy "
        f"attempt {sums['greedy'][0]:.2f}."
    ) in ten
    late, fixed = rooms["sight"]["late"], rooms["auroc_fixed_turn"]
    assert (
        f"before the last turn {late['explained_variance'][0]:.2f} instead of PVM's "
        f"{late['pvm_explained_variance'][0]:.2f}, and the turn number "
        f"{late['turn_number_explains']:.2f}."
    ) in ten
    assert late["auroc_by_turn"][str(rooms["fixed_turn"])][1] < fixed[0]  # no gain is shown
    assert shop["foresight"]["success"] == [1, 1, 1] == shop["foresight"]["oracle16"]


def test_what_is_said_of_one_greedy_attempt_and_of_agentprm_beside_pvm_holds() -> None:
    """In chapters 5, 6 and 10."""
    ten, worlds = words_of("10_four_worlds"), page.stored()["worlds"]
    above = {w: [j["minus_greedy"] for j in x["judges"].values()] for w, x in worlds.items()}
    assert all(high < 0 for _, _, high in above["math"])
    assert all(low > 0 for _, low, _ in above["webshop"])
    assert all(low <= 0 <= high for w in ("textcraft", "babyai") for _, low, high in above[w])
    assert [worlds[w]["best_judge"] for w in ("webshop", "math")] == ["pvm", "pvm"]
    sums, shops = (
        as_typed(worlds[w]["judges"]["pvm"]["minus_greedy"]) for w in ("math", "webshop")
    )
    assert f"below it in math (PVM minus greedy: {sums}) and above it in WebShop (PVM: " in ten
    ways = worlds["webshop"]["tokens"]
    times = ways["best of n by pvm"][-1]["tokens"] / ways["greedy"][0]["tokens"]
    assert f"in WebShop (PVM: {shops}, at {times:.0f} times greedy's tokens)" in ten
    assert f"for {times:.0f} times the tokens" in words_of("06_best_of_n")
    chosen = {w: [j["best_of_n"][0] for j in x["judges"].values()] for w, x in worlds.items()}
    assert all(max(chosen[w]) - min(chosen[w]) < 0.02 for w in ("textcraft", "babyai", "webshop"))
    ranks = {w: x["agentprm_ranks_minus"]["pvm"] for w, x in worlds.items()}
    assert f"after the fourth, {as_typed(ranks['textcraft'])} more than PVM (after no" in ten
    assert worlds["textcraft"]["fixed_turn"] == 4 and ranks["textcraft"][1] > 0
    assert all(ranks[w][1] <= 0 <= ranks[w][2] for w in ("babyai", "webshop", "math"))
    raw = read_raw(page.RAW / "textcraft.json.gz")
    for turn in (1, 2, 3, 5, 6):
        (_, low, high), _ = auroc_after(raw, "agentprm", turn, "pvm") or ([0.0] * 3, 0)
        assert low <= 0 <= high
    raw = read_raw(page.RAW / "webshop.json.gz")
    for kind in raw["values"]:
        eight, all_of_them = np.moveaxis(best_of(raw, kind, [8, 16]), -1, 0)
        mean, *_ = row(raw, all_of_them, eight)
        assert mean > 0, "a curve falls"


def test_what_chapters_6_and_10_say_of_webshops_ends_holds() -> None:
    """Attempts that ran out of rounds, M after right and wrong purchases, what counting wins."""
    six, ten = words_of("06_best_of_n"), words_of("10_four_worlds")
    raw, shop = read_raw(page.RAW / "webshop.json.gz"), page.stored()["worlds"]["webshop"]
    right, wrong, out = webshop_ends(raw["values"]["pvm"]).values()
    assert f"mean $M$ is {right}, after a wrong one {wrong}, and {out} where the rounds" in six
    assert f"PVM's $M$ is {right} for right ones and {wrong} for wrong ones" in ten
    attempts = [attempt for task in raw["candidates"] for attempt in task]
    assert round(len(attempts) / sum(map(ran_out, attempts))) == 9 and "one in nine" in six
    counting = (shop["fewest_turns"][0] - shop["sample"][0]) / shop["headroom"][0]
    assert round(4 * counting) == 1 and "wins about a quarter of the headroom" in six
    gain, alone = shop["judges"]["pvm"]["minus_sample"][0], shop["checker"]["minus_sample"][0]
    assert gain / 2 < alone < gain and "more than half of what PVM adds" in six
    assert all(x["minus_fewest_turns"][1] > 0 for x in shop["judges"].values())
    assert all(row[1] <= 0 <= row[2] for row in shop["agentprm_minus"].values())
    assert all(
        x["minus_fewest_turns"][1] <= 0
        for x in earlier("reward_in_parts")["worlds"]["webshop"]["judges"].values()
    )
    first = read_raw(page.RAW / "reward_in_parts" / "webshop.json.gz")
    assert first["candidates"] == raw["candidates"] and not first.get("learn_success")
    rewards, won = (explained({**first, "learn_success": of}, "pvm") for of in (False, True))
    assert rewards and won
    said = f"PVM explained {as_typed(rewards)} of the reward, but {won[0]:.2f} of success"
    assert said in ten


def test_what_chapter_10_says_of_the_untrained_checker_holds() -> None:
    """Rollouts are shown to add something in WebShop, and not in math; the drill gives the most."""
    shop, sums = (page.stored()["worlds"][w] for w in ("webshop", "math"))
    assert shop["checker"]["trained_minus"]["pvm"][1] > 0
    assert all(row[1] <= 0 <= row[2] for row in sums["checker"]["trained_minus"].values())
    assert sums["checker"]["own_attempts"] and not shop["checker"]["own_attempts"]
    raw = read_raw(page.RAW / "webshop.json.gz")
    alone, pvm = (
        webshop_ends(x)["out"] for x in ([raw["checker"]["values"]], raw["values"]["pvm"])
    )
    tasks = list(zip(raw["values"]["pvm"][0], raw["candidates"], strict=True))
    chosen = [max(range(16), key=lambda i, ms=ms: ms[i][-1]) for ms, _ in tasks]
    first = [(ms[i][-1], task[i], task) for i, (ms, task) in zip(chosen, tasks, strict=True)]
    failed = [f for f in first if not f[1][1]]
    hopeless = [f for f in failed if not any(a[1] for a in f[2])]
    out = [f for f in failed if ran_out(f[1])]
    assert (len(failed), len(hopeless), len(out), out[0][0]) == (8, 2, 1, 969)
    said = f"the rounds ran out, the checker's mean $M$ is still {alone} and PVM's {pvm}."
    assert said in words_of("10_four_worlds")
    for x in (shop, sums):
        assert x["checker"]["minus_sample"][0] > x["judges"]["pvm"]["minus_sample"][0] / 2


def test_what_chapter_10_says_of_the_limit_holds() -> None:
    """WebShop's attempts were cut at 64 tokens; the same policy with 112, and elsewhere."""
    ten, raw = words_of("10_four_worlds"), read_raw(page.RAW / "turns_of_64" / "webshop.json.gz")
    worlds = json.loads((page.ROOT / "results" / "turn_limit.json").read_text())["worlds"]
    for name, rows in (("turn_limit", worlds["webshop"]["greedy"]["64"]), ("raw", raw["greedy"])):
        cut = [success for _, success, _, tokens in rows if 64 in tokens]
        rest = [success for _, success, _, tokens in rows if 64 not in tokens]
        assert (
            f"{len(cut)} of the {len(rows)} greedy attempts had a turn of 64 tokens, and "
            f"{sum(cut)} of these succeeded; of the other {len(rest)} it was {sum(rest)}"
        ) in ten, name
    now = read_raw(page.RAW / "webshop.json.gz")
    longest = [max(max(a[3]) for task in x["candidates"] for a in task) for x in (raw, now)]
    assert longest == [64, 112]
    assert sum(a[1] for a in now["greedy"]) == sum(
        row[1] for row in worlds["webshop"]["greedy"]["112"]
    )
    short, long = ([row[1] for row in worlds["webshop"]["greedy"][k]] for k in ("64", "112"))
    more = bootstrap_interval(long, short, families=worlds["webshop"]["families"])
    assert f"solves {sum(long)} of the tasks, {as_typed(more)} of all more than before" in ten
    for name in ("textcraft", "babyai", "math"):
        short, long = (worlds[name]["greedy"][k] for k in ("64", "112"))
        assert sum(row[1] for row in short) == sum(row[1] for row in long), name


def ran_out(attempt: list[Any]) -> bool:
    """Of WebShop: the sixth round was played, and no product was bought."""
    return len(attempt[3]) == 6 and attempt[0] == 0


def webshop_ends(runs: list[Any]) -> dict[str, str]:
    """The mean last M after right and wrong purchases, and where the rounds ran out."""
    ends: dict[str, list[float]] = {"right": [], "wrong": [], "out": []}
    for run in runs:
        for ms, task in zip(run, read_raw(page.RAW / "webshop.json.gz")["candidates"], strict=True):
            for m, attempt in zip(ms, task, strict=True):
                end = "right" if attempt[1] else "out" if ran_out(attempt) else "wrong"
                ends[end].append(m[-1] / 1000)
    return {end: f"{sum(m) / len(m):.2f}" for end, m in ends.items()}


def as_typed(row: Sequence[float]) -> str:
    """An estimate as chapters have it."""
    mean, low, high = (f"{x:.2f}" for x in row)
    return f"{mean} [{low}, {high}]"


@cache
def earlier(folder: str) -> dict[str, Any]:
    """The table of a regime before today's."""
    world = EARLIER[folder]
    return summary({world: read_raw(page.RAW / folder / f"{world}.json.gz")})


def words_of(chapter: str) -> str:
    """The text of a chapter, with the minus that code writes."""
    lines = (page.ROOT / "notebooks" / f"{chapter}.py").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.startswith("# ")).replace("−", "-")


def learning(world: str) -> list[list[float]]:
    """What the stored learning curves, losses and limits say of a world."""
    told = {
        name: json.loads(path.read_text())["worlds"].get(world)
        for name in ("curves", "curves_both_levels", "losses", "turn_limit")
        for path in [page.ROOT / "results" / f"{name}.json"]
    }
    curves = [x for name, x in told.items() if name.startswith("curves") and x]
    found = [learned(x, b) for x in curves for b in (0.0, 1.0, 4.0)]
    found += list(losses_compared(told["losses"]).values()) if told["losses"] else []
    long, short = ([row[1] for row in told["turn_limit"]["greedy"][k]] for k in ("112", "64"))
    more = bootstrap_interval(long, short, families=told["turn_limit"]["families"])
    return [list(more), *(list(x) for row in found for x in row.values())]


def estimates(node: Any) -> list[list[float]]:
    """All [mean, low, high] of plain data."""
    if isinstance(node, dict):
        return [row for value in node.values() for row in estimates(value)]
    if isinstance(node, list) and len(node) == 3 and all(isinstance(x, float) for x in node):
        return [node]
    return [row for value in node for row in estimates(value)] if isinstance(node, list) else []
