"""The benchmarks run, count what they say, and a shared prefix is computed once."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import (
    SIZE,
    TASKS,
    backend,
    float64,
    random_reward_model,
    random_trajectories,
)
from transformers import ContinuousBatchingConfig, LlamaConfig, LlamaForCausalLM

from agentprm_lite import sampling
from agentprm_lite.fast import FastPlayer
from agentprm_lite.fast.kvbatch import KVBatch
from agentprm_lite.hub import load_policy
from agentprm_lite.prm import RewardModel
from agentprm_lite.tutorial.profiles import SMOKE
from agentprm_lite.tutorial.tasks import train_tasks
from agentprm_lite.tutorial.tiny import make_tiny, vocabulary

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a script of benchmarks/ as it imports its neighbours."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def smoke(load: Callable[[str], Any], name: str, folder: Path, tmp_path: Path) -> dict[str, Any]:
    """What a script writes with --smoke."""
    out = tmp_path / "out.json"
    load(name).main(["--smoke", "--model", str(folder), "--out", str(out)])
    record: dict[str, Any] = json.loads(out.read_text())
    assert (
        record["command"]
        == f"python benchmarks/{name}.py --smoke --model {folder.name} --out {out}"
    )
    assert record["threads"] == torch.get_num_threads() and record["torch"] == torch.__version__
    return record


def test_ways_take_turns_and_ratios_are_pairwise(load: Callable[[str], Any]) -> None:
    s = load("side_by_side")
    order: list[str] = []
    seconds, results = s.interleaved(
        {"a": lambda k: order.append(f"a{k}"), "b": lambda k: order.append(f"b{k}") or k}, 2
    )
    assert order == ["a0", "b0", "a1", "b1"]
    assert results == {"a": [None, None], "b": [0, 1]}
    assert [len(x) for x in seconds.values()] == [2, 2]
    assert s.ratios([6, 8, 9], [2, 8, 1]) == {"min": 1, "median": 3, "max": 9}


def test_a_missed_target_is_an_error(load: Callable[[str], Any]) -> None:
    s = load("side_by_side")
    row = {"what": "steps/s", "ratio": {"min": 1.0, "median": 1.9, "max": 5.0}}
    s.check([{**row, "target": None}, {**row, "target": 1.9}])
    with pytest.raises(SystemExit, match=r"missed: steps/s: 1\.90x, target 2x"):
        s.check([{**row, "target": 2}])


def test_no_path_of_a_machine_is_stored(load: Callable[[str], Any], tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    args = argparse.Namespace(out=out, threads=1, repeats=2)
    argv = ["--model", "a/b/smol", "--trl-python", "/c/bin/python3", "--repeats", "2"]
    load("side_by_side").write(args, "x/y.py", argv, {})
    assert json.loads(out.read_text())["command"] == (
        "python benchmarks/y.py --model smol --trl-python ENV/bin/python --repeats 2"
    )


def test_tokens_and_padding_are_counted_apart(load: Callable[[str], Any], folder: Path) -> None:
    model = load_policy(folder)
    batch = KVBatch(model)
    with load("side_by_side").Tokens(model) as tokens:
        batch.append([[5, 6, 7], [8, 9]])
        batch.append([[], [9, 10]])
        batch.append([[11], []])
    batch.append([[5], [5]])  # not counted any more
    assert (tokens.real, tokens.positions, tokens.calls) == (8, 9, 3)


def test_a_shared_prefix_is_computed_once(
    load: Callable[[str], Any], folder: Path, chat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beam search 4×4 and 4 rollouts a state, ten rounds: a quarter of the tokens, a fifth scored.

    Counted by hooks on both models; the library's own accounting has to say the same.
    """
    s = load("shared_prefix")
    policy = backend(float64(load_policy(folder)), chat, max_rounds=10)
    judge = RewardModel(float64(random_reward_model(folder)))
    setting = s.Setting(policy, judge, [TASKS[1], TASKS[3]])
    draw, act, reads = sampling.choose, FastPlayer.act, []

    def never_the_padding(logits: torch.Tensor, uniforms: Any, temperature: float) -> Any:
        """The hooks take id 0 for padding, so this untrained policy may not say it."""
        logits = logits.index_fill(-1, torch.tensor([0]), -torch.inf)
        return draw(logits, uniforms, temperature)

    def counted_act(self: FastPlayer, episodes: Any) -> None:
        if type(self) is FastPlayer:  # ours
            reads.append(len({tuple(e.ids) for e in episodes}))
        act(self, episodes)

    monkeypatch.setattr(sampling, "choose", never_the_padding)
    monkeypatch.setattr(FastPlayer, "act", counted_act)
    searched, facts = s.search_rows(setting, 1)
    assert reads == [2, *[2 * 4] * 9]  # kept paths, no two alike
    last_tokens_read = sum(reads[1:])
    assert facts["rounds"] == [10, 10] and facts["equal_answers"] == 2
    assert facts["largest_score_difference"] < 1e-10
    ours, scorer, again, rescorer = searched
    assert again["tokens"] >= 4 * ours["tokens"] and again["positions"] >= 4 * ours["positions"]
    assert rescorer["tokens"] >= 5 * scorer["tokens"]
    assert rescorer["positions"] >= 5 * scorer["positions"]
    assert scorer["tokens"] == scorer["accounted"]
    # of every turn the last token is computed only if the episode goes on
    turns = 2 * 10 * 16
    assert ours["tokens"] == ours["accounted"] - turns + last_tokens_read

    start = policy.run([policy.start(TASKS[1], 0, 0)])[0]
    rolled, facts = s.rollout_rows(setting, start, 1)
    assert start.num_steps == 10 and facts["rollouts"] == 40
    assert facts["equal_own caches"] == facts["equal_re-encoding"] == 40
    ours, own, again = rolled
    assert again["tokens"] >= 4 * ours["tokens"] > 0
    started = len(start.ids) - len(start.ids[start.spans[8][1] :])
    assert own["tokens"] - ours["tokens"] > 4 * started  # four rollouts of every state read it


@pytest.mark.skipif(
    "page_size" not in signature(ContinuousBatchingConfig).parameters,
    reason="the benchmark asks for continuous batching in the words of a newer transformers",
)
def test_sampling(load: Callable[[str], Any], folder: Path, tmp_path: Path) -> None:
    record = smoke(load, "sampling_speed", folder, tmp_path)
    ways = ["ours", "one at a time", "left-padded batch", "continuous batching"]
    assert [r["way"] for r in record["rows"]] == ways
    assert record["greedily_equal"] == dict.fromkeys(ways[1:], 4)
    assert all(1 <= r["env_steps"][0] <= 4 * 2 for r in record["rows"])
    for r, way in zip(record["ratios"], ways[1:], strict=True):
        mine, theirs = (
            x["env_steps"][0] / x["seconds"][0]
            for x in (record["rows"][0], record["rows"][ways.index(way)])
        )
        assert r["what"].endswith(way) and r["ratio"]["median"] == pytest.approx(mine / theirs)


def test_shared_prefix(load: Callable[[str], Any], folder: Path, tmp_path: Path) -> None:
    record = smoke(load, "shared_prefix", folder, tmp_path)
    assert record["shape"] == "2x2, 3 rounds, 2 rollouts a state"
    assert record["beam_search"]["equal_answers"] == record["beam_search"]["tasks"] == 1
    rows = record["rows"]
    assert [(r["work"], r["way"]) for r in rows] == [
        ("beam search, policy", "ours"),
        ("beam search, reward model", "ours"),
        ("beam search, policy", "re-encoding"),
        ("beam search, reward model", "re-encoding"),
        ("rollouts", "ours"),
        ("rollouts", "own caches"),
        ("rollouts", "re-encoding"),
    ]
    assert all(len(r["seconds"]) == 1 and r["seconds"][0] > 0 for r in rows)
    ratio = {r["what"]: r["ratio"]["median"] for r in record["ratios"]}
    for unit, what in (("tokens", int), ("positions", int), ("seconds", lambda x: x[0])):
        assert ratio[f"beam search, reward model: {unit}, re-encoding / ours"] == pytest.approx(
            what(rows[3][unit]) / what(rows[1][unit])
        )
    assert len(ratio) == 4 * 3


def test_where_time_goes(load: Callable[[str], Any], tmp_path: Path) -> None:
    model = tmp_path / "fluent"  # its turns are as short as the profile's limit wants
    make_tiny(model, vocabulary(train_tasks(SMOKE)[1]), SIZE, seed=0)
    record = smoke(load, "where_time_goes", model, tmp_path)
    assert (tmp_path / "out.png").stat().st_size > 10_000
    rows = {r["stage"]: r for r in record["rows"]}
    assert list(rows) == [
        "SFT",
        "sampling",
        "reward-model training",
        "scoring",
        "beam search 4x4",
        "PPO, one round",
    ]
    for r in rows.values():
        assert sum(r["share"].values()) == pytest.approx(1)
        assert r["share"]["forward"] > 0 and r["flops"] > 0 and 0 < r["floor_share"] < 1
    assert rows["scoring"]["share"]["backward"] == rows["scoring"]["share"]["environment"] == 0
    assert rows["SFT"]["share"]["backward"] > 0 and rows["SFT"]["share"]["choose"] == 0
    assert all(
        rows["sampling"]["share"][k] > 0 for k in ("cache", "choose", "environment", "tokenizer")
    )


def test_the_clock_counts_inner_work_once(
    load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    w = load("where_time_goes")
    now = iter([0.0, 1.0, 3.0, 7.0, 15.0, 31.0])  # clock, call, inner call, their ends, mark
    monkeypatch.setattr(w.time, "perf_counter", lambda: next(now))
    clock = w.Clock()
    clock.timed("environment", clock.timed("tokenizer", lambda: None))()
    clock.mark()
    assert dict(clock.seconds) == {"rest": 1 + 16, "environment": 2 + 8, "tokenizer": 4}


def test_flops_of_a_model_are_those_on_paper(load: Callable[[str], Any]) -> None:
    shape = {"vocab_size": 11, "hidden_size": 8, "intermediate_size": 20, "num_hidden_layers": 3}
    model = LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=2)).eval()
    ids = torch.ones(2, 5, dtype=torch.long)

    def forward() -> None:
        with torch.no_grad():
            model(input_ids=ids, use_cache=False)

    linear = 4 * 8 * 8 + 3 * 8 * 20  # of a layer: attention's four, the three of the MLP
    attention = 2 * 5 * 8  # a token's products with 5 keys and 5 values
    products = 2 * 2 * 5 * (3 * (linear + attention) + 8 * 11)
    rotary = 2 * 2 * 5  # some transformers make the angles by a product, too
    assert load("where_time_goes").count_flops(forward) - products in (0, rotary)


def test_bytes_that_a_call_reads(load: Callable[[str], Any], folder: Path) -> None:
    w, model = load("where_time_goes"), load_policy(folder)
    # the embedding is the head, read whole
    assert w.weight_bytes(model) == sum(4 * p.numel() for p in model.parameters())
    judge = random_reward_model(folder)  # nothing reads all of its embedding
    norms = (2 * 2 + 1) * 32
    layer = 4 * 32 * 32 + 3 * 32 * 64 + 4 * (4 * 64) + 4 * 3 * (32 + 64)  # and LoRA of rank 4
    heads = 2 * 32  # peft keeps the head that it copied
    assert w.weight_bytes(judge) == 4 * (2 * layer + norms + heads)
    batch = KVBatch(model)
    batch.append([[5, 6, 7], [8]])
    token = 4 * 2 * 2 * 32  # float32, layers, keys and values, size
    assert w.cache_bytes(batch, [[9], [9]]) == token * (3 + 1)
    assert w.cache_bytes(batch, [[9], []]) == token * 3


@pytest.fixture
def fluent(tmp_path: Path) -> Path:
    """A policy that knows the words of the smoke profile's first tasks."""
    tasks = train_tasks(SMOKE)[0][:8]
    make_tiny(tmp_path / "fluent", vocabulary(tasks), SIZE, seed=0)
    return tmp_path / "fluent"


def test_training(load: Callable[[str], Any], fluent: Path, tmp_path: Path, capsys: Any) -> None:
    record = smoke(load, "training_speed", fluent, tmp_path)
    assert record["trajectories"] == 8 and record["ratios"] == []
    (row,) = record["rows"]
    assert row["way"] == "ours" and record["batch"] >= 1
    assert row["trajectories_per_s"]["median"] == pytest.approx(8 / row["seconds"][0])
    assert row["peak_mb"][0] > row["training_mb"][0] > 0
    assert "no --trl-python" in capsys.readouterr().out


def test_ratios_of_training_are_run_by_run(load: Callable[[str], Any]) -> None:
    def runs(*found: tuple[float, float]) -> list[dict[str, float]]:
        return [{"seconds": s, "peak_mb": mb, "held_mb": 100.0} for s, mb in found]

    t = load("training_speed")
    rows = t.rows_of({
        "ours": runs((2.0, 300.0), (1.0, 200.0)),
        "trl": runs((3.0, 600.0), (4.0, 500.0)),
        "trl defaults": runs((4.0, 300.0), (4.0, 200.0)),
    }, 10)  # fmt: skip
    assert rows[0]["trajectories_per_s"] == {"min": 5.0, "median": 7.5, "max": 10.0}
    found = t.comparisons(rows, smoke=False)
    assert [(r["what"], r["ratio"]["median"], r["target"]) for r in found[:4]] == [
        ("seconds: trl / ours", (1.5 + 4.0) / 2, 1.5),
        ("peak memory: trl / ours", (2.0 + 2.5) / 2, 1.0),
        ("memory of training: trl / ours", (2.5 + 4.0) / 2, 1.0),
        ("seconds: trl defaults / ours", (2.0 + 4.0) / 2, None),
    ]
    assert {r["target"] for r in t.comparisons(rows, smoke=True)} == {None}


def test_limits_of_a_turn(
    load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One policy, the same tasks; a limit of two tokens stops it in every turn."""
    script, out = load("turn_limit"), tmp_path / "out.json"
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path / "made"))
    monkeypatch.setattr(script, "LIMITS", (2, 48))
    script.main(["--profile", "smoke", "--worlds", "textcraft", "--out", str(out)])
    found = json.loads(out.read_text())["worlds"]["textcraft"]
    short, long = found["greedy"]["2"], found["greedy"]["48"]
    assert len(found["families"]) == len(short) == len(long)
    assert all(set(tokens) == {2} and not success for _, success, _, tokens in short)
    assert max(tokens for *_, row in long for tokens in row) > 2


def test_a_trajectory_in_trls_words_has_our_ids(load: Callable[[str], Any], chat: Any) -> None:
    stepwise = load("training_speed").stepwise
    for t in random_trajectories(chat, 6, 0):
        row = stepwise(chat, t)
        ids, positions = chat.tokenizer.encode(row["prompt"], add_special_tokens=False), []
        for text in row["completions"]:
            ids += chat.tokenizer.encode(text + "<|end|>", add_special_tokens=False)
            positions.append(len(ids) - 1)
        assert tuple(ids) == t.ids and tuple(positions) == t.score_positions
        assert len(row["labels"]) == t.num_steps
