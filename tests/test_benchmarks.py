"""The benchmarks run, count what they say, and a shared prefix is computed once."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import TASKS, backend, float64, random_reward_model

from agentprm_lite import sampling
from agentprm_lite.cache import KVBatch
from agentprm_lite.models import load_policy
from agentprm_lite.prm import RewardModel
from agentprm_lite.sampling import Play

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


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
    load("side_by_side").write(args, "x/y.py", ["--model", "a/b/smol", "--repeats", "2"], {})
    assert (
        json.loads(out.read_text())["command"] == "python benchmarks/y.py --model smol --repeats 2"
    )


def test_tokens_and_padding_are_counted_apart(load: Callable[[str], Any], folder: Path) -> None:
    model = load_policy(folder)
    batch = KVBatch(model)
    with load("side_by_side").Tokens(model) as tokens:
        batch.append([[5, 6, 7], [8]])
        batch.append([[], [9, 10]])
    batch.append([[5], [5]])  # not counted any more
    assert (tokens.real, tokens.positions, tokens.calls) == (6, 10, 2)


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
    draw, read, reads = sampling.choose, Play.read, []

    def never_the_padding(logits: torch.Tensor, uniforms: Any, temperature: float) -> Any:
        """The hooks take id 0 for padding, so this untrained policy may not say it."""
        logits = logits.index_fill(-1, torch.tensor([0]), -torch.inf)
        return draw(logits, uniforms, temperature)

    def counted_read(self: Play, rows: Any) -> None:
        read(self, rows)
        reads.append(len(self.active))

    monkeypatch.setattr(sampling, "choose", never_the_padding)
    monkeypatch.setattr(Play, "read", counted_read)
    searched, facts = s.search_tokens(setting)
    last_tokens_read = sum(reads)  # re-encoding has a read of its own
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
    rolled, facts = s.rollout_tokens(setting, start)
    assert start.num_steps == 10 and facts["rollouts"] == 40
    assert facts["equal_own caches"] == facts["equal_re-encoding"] == 40
    ours, own, again = rolled
    assert again["tokens"] >= 4 * ours["tokens"] > 0
    started = len(start.ids) - len(start.ids[start.spans[8][1] :])
    assert own["tokens"] - ours["tokens"] > 4 * started  # four rollouts of every state read it


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
    assert len(record["tokens"]) == 7 and len(record["seconds"]) == 7
