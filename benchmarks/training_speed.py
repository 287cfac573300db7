"""Reward-model training against TRL's PRMTrainer (1.13, the last that had one), in one run.

Both train LoRA adapters of one shape and a head on one base, on the same trajectories with the same
hard labels (0 or 1 a step), in float32, every run in a process of its own, in turns. TRL gets the
trajectories in its own format (prompt, completions, labels), cut so that its tokenizer makes the
same ids and labels the same tokens; it checks that on all of them. Three settings of TRL:

- trl: as many trajectories a batch as ours on average, no gradient checkpointing
- trl by length: the same, with trajectories of similar length together, as ours are
- trl defaults: 8 trajectories a batch, gradient checkpointing

Seconds are those of the training call after a short one for warm-up. Memory is the process's peak,
and how far that lies above what the process held when model and data were ready.

TRL needs an environment of its own: `python -m venv ENV; ENV/bin/pip install trl==1.13.0 peft` with
the versions of torch, transformers and peft that this package runs with.

Run: python benchmarks/training_speed.py --trl-python ENV/bin/python \\
         --out results/training_speed.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from side_by_side import Row, check, options, ratios, settings, show, spread, write

from agentprm_lite.files import append_jsonl, read_jsonl
from agentprm_lite.hub import ChatFormat, load_chat, new_reward_model
from agentprm_lite.kinds import RewardExample
from agentprm_lite.models import Lora
from agentprm_lite.train import TrainConfig, train_reward_model
from agentprm_lite.tutorial.tasks import sampling_config, train_tasks
from agentprm_lite.types import Trajectory
from agentprm_lite.worlds import demonstrate

HERE = Path(__file__).resolve().parent
WAYS: dict[str, dict[str, Any]] = {
    "trl": {"checkpointing": False, "by_length": False},
    "trl by length": {"checkpointing": False, "by_length": True},
    "trl defaults": {"checkpointing": True, "by_length": False, "batch": 8},
}
WARM_UP = 4  # trajectories


def stepwise(chat: ChatFormat, t: Trajectory) -> dict[str, Any] | None:
    """A trajectory as TRL wants it; None where its tokenizer would make other ids.

    The end-of-turn token is TRL's separator, so that its label stands where we read M; a completion
    is what stands between the ends of two turns.
    """
    encode, decode = chat.tokenizer.encode, chat.tokenizer.decode
    starts = [t.prompt_len, *[end for _, end in t.spans[:-1]]]
    pieces = [
        t.ids[: t.prompt_len],
        *[t.ids[a : b - 1] for a, (_, b) in zip(starts, t.spans, strict=True)],
    ]
    if any(t.ids[end - 1] != chat.end_id for _, end in t.spans):
        return None
    first = chat.tokenizer.bos_token_id
    if first is not None:  # TRL puts it there itself
        if t.ids[0] != first:
            return None
        pieces[0] = pieces[0][1:]
    texts = [decode(list(p), clean_up_tokenization_spaces=False) for p in pieces]
    if any(
        tuple(encode(x, add_special_tokens=False)) != tuple(p)
        for x, p in zip(texts, pieces, strict=True)
    ):
        return None
    label = t.task.index % 2  # any hard label will do for speed
    return {"prompt": texts[0], "completions": texts[1:], "labels": [label] * t.num_steps}


def make_data(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Trajectories and settings for both sides, as files; returns the settings."""
    profile, model = settings(args)
    chat, config = load_chat(model), sampling_config(profile)
    tasks = train_tasks(profile)[0]
    told = [replace(t, variant=v) for v in range(1 + args.size // len(tasks)) for t in tasks]
    played = demonstrate(chat, told[: args.size], config)
    rows = [(t, stepwise(chat, t)) for t in played]
    kept = [(t, row) for t, row in rows if row is not None]
    if len(kept) < len(played) / 2:
        raise SystemExit(f"TRL would tokenize {len(played) - len(kept)} of {len(played)} otherwise")
    trajectories = [t for t, _ in kept]
    train = replace(profile.reward, epochs=1, bf16=False)
    train = replace(train, microbatch_tokens=args.batch_tokens or train.microbatch_tokens)
    data = {
        "profile": profile.name,
        "model": str(model),
        "lora": {"r": profile.lora.r, "alpha": profile.lora.alpha},
        "lr": train.lr,
        "batch_tokens": train.microbatch_tokens,
        "batch": train.batch,
        "warm_up": WARM_UP,
        "separator": chat.tokenizer.decode([chat.end_id]),
        "threads": args.threads,
        "rows": [row for _, row in kept],
        "ids": [t.ids for t in trajectories],
        "positions": [t.score_positions for t in trajectories],
    }
    append_jsonl(folder / "trajectories.jsonl", trajectories)
    (folder / "data.json").write_text(json.dumps(data))
    return data


def ours(folder: Path) -> dict[str, float]:
    """Our side of a comparison, in a process of its own."""
    import torch

    data = json.loads((folder / "data.json").read_text())
    torch.set_num_threads(data["threads"])
    examples = [
        RewardExample(t, np.array(row["labels"])[:, None])
        for t, row in zip(read_jsonl(folder / "trajectories.jsonl"), data["rows"], strict=True)
    ]
    size = {"batch": data["batch"], "microbatch_tokens": data["batch_tokens"]}
    config = TrainConfig(lr=data["lr"], epochs=1, **size)
    model = new_reward_model(data["model"], Lora(**data["lora"]), 0)
    held = held_mb()
    train_reward_model(model, examples[: data["warm_up"]], "mc_hard", config, held_out=0)
    start = time.perf_counter()
    train_reward_model(model, examples, "mc_hard", config, held_out=0)
    return {"seconds": time.perf_counter() - start, "peak_mb": peak_mb(), "held_mb": held}


def peak_mb() -> float:
    """Most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def held_mb() -> float:
    """Memory that this process holds now."""
    return psutil.Process().memory_info().rss / 2**20


def run_side(command: Sequence[str], threads: int) -> dict[str, float]:
    """Run one side in a process of its own; its last line is its result."""
    quiet = {
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    env = {**os.environ, **quiet, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    out: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return out


def rows_of(runs: dict[str, list[dict[str, float]]], count: int) -> list[Row]:
    """One line of the table a way."""
    return [
        {
            "way": name,
            "seconds": [r["seconds"] for r in found],
            "peak_mb": [r["peak_mb"] for r in found],
            "training_mb": [r["peak_mb"] - r["held_mb"] for r in found],
            "trajectories_per_s": spread([count / r["seconds"] for r in found]),
        }
        for name, found in runs.items()
    ]


def comparisons(rows: Sequence[Row], smoke: bool) -> list[Row]:
    """TRL's seconds and memory over ours, run by run."""
    mine = next(r for r in rows if r["way"] == "ours")
    return [
        {
            "what": f"{what}: {r['way']} / ours",
            "ratio": ratios(r[key], mine[key]),
            "target": None if smoke or r["way"] == "trl defaults" else target,
        }
        for r in rows
        if r["way"] != "ours"
        for what, key, target in (
            ("seconds", "seconds", 1.5),
            ("peak memory", "peak_mb", 1.0),
            ("memory of training", "training_mb", 1.0),
        )
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Make data, run the sides in turns, print, write, check."""
    parser = options(__doc__)
    parser.add_argument("--trl-python", type=Path, help="interpreter of an environment with TRL")
    parser.add_argument("--size", type=int, default=400, help="trajectories")
    parser.add_argument("--batch-tokens", type=int, help="padded tokens of one step of ours")
    parser.add_argument("--side", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.side:
        print(json.dumps(ours(args.side)))
        return
    if args.smoke:
        args.size, args.repeats = 8, 1
    with tempfile.TemporaryDirectory() as name:
        data = make_data(Path(name), args)
        commands = {"ours": [sys.executable, str(HERE / "training_speed.py"), "--side", name]}
        if args.trl_python:
            for way, how in WAYS.items():
                said = json.dumps({"batch": data["batch"], **how})
                commands[way] = [str(args.trl_python), str(HERE / "trl_side.py"), name, said]
        else:
            print("no --trl-python: only our side runs, no ratio")
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in commands}
        for _ in range(args.repeats):
            for way, command in commands.items():
                runs[way].append(run_side(command, args.threads))
    rows = rows_of(runs, len(data["rows"]))
    found = comparisons(rows, args.smoke)
    print(f"{'way':16} {'trajectories/s':>14} {'peak, MB':>9} {'of training, MB':>16}")
    for r in rows:
        memory = f"{median(r['peak_mb']):9.0f} {median(r['training_mb']):16.0f}"
        print(f"{r['way']:16} {r['trajectories_per_s']['median']:14.2f} {memory}")
    show(found)
    tokens = sum(map(len, data["ids"]))
    facts = {k: data[k] for k in ("profile", "lora", "lr", "batch_tokens", "batch")}
    facts |= {
        "model": Path(data["model"]).name,
        "trajectories": len(data["rows"]),
        "tokens": tokens,
    }
    versions = {way: r[0].get("versions") for way, r in runs.items() if way == "trl"}
    write(args, __file__, argv, {**facts, "versions": versions, "rows": rows, "ratios": found})
    check(found)


if __name__ == "__main__":
    main()
