"""Every family of models that the library is said to run: tried on tiny random ones.

Each goes the whole way: a step of SFT with LoRA, sampling by the plain player and by the fast one
where the model allows it, a step of a reward model, scoring, beam search, a round of PPO, export,
and the same M after reading the export. ``python -m agentprm_lite.tutorial.families FILE``
writes what worked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

from agentprm_lite.episode import SamplingConfig
from agentprm_lite.fast import FastPlayer, judge, player
from agentprm_lite.hub import load_chat, load_policy, new_reward_model
from agentprm_lite.interop import export, load_exported
from agentprm_lite.models import Lora
from agentprm_lite.ppo import PPOConfig, train_ppo
from agentprm_lite.prm import RewardModel
from agentprm_lite.sampling import PlainPlayer
from agentprm_lite.search import beam_search
from agentprm_lite.train import RewardExample, TrainConfig, sft, train_reward_model
from agentprm_lite.tutorial.small_families import FAMILIES, make
from agentprm_lite.worlds import demonstrate
from agentprm_lite.worlds.textcraft import TextCraft


def stages(name: str, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is tried, in order: each stage's name, and what does it."""
    base, tasks = folder / "base", TextCraft.tasks("train", levels=(1,))[:2]
    make(name, base)
    chat, lora, once = load_chat(base), Lora(r=2, alpha=4), TrainConfig(lr=1e-3, epochs=1)
    config = SamplingConfig(max_new_tokens=5, max_context=2048, rules=False, max_rounds=2)
    shown = demonstrate(chat, tasks, replace(config, max_new_tokens=512))
    policy, model = load_policy(base, lora), new_reward_model(base, lora, 0)

    def sample() -> str:
        plain, best = PlainPlayer(policy, chat, config), player(policy, chat, config)
        runs = [p.run([p.start(t, 0, 0) for t in tasks]) for p in (plain, best)]
        if [t.ids for t in runs[0]] != [t.ids for t in runs[1]]:
            raise ValueError("the fast player's tokens aren't the plain one's")
        return "fast and plain" if isinstance(best, FastPlayer) else "plain"

    def search() -> None:
        beam_search(player(policy, chat, config), judge(model), tasks[:1], 2, 2)

    def reload() -> None:
        before = RewardModel(model).score(shown)
        export(model, chat, folder / "out", kind="pvm")
        after = RewardModel(load_exported(folder / "out")[0]).score(shown)
        far = max(float(abs(a.q - b.q).max()) for a, b in zip(before, after, strict=True))
        if far > 1e-4:
            raise ValueError(f"M differs by {far:.1e} after export")

    with torch.no_grad():  # so that M differs from place to place
        draw = torch.Generator().manual_seed(2)
        torch.nn.init.normal_(model.get_base_model().score.weight, std=0.3, generator=draw)
    yield "SFT", lambda: sft(policy, shown, once)
    yield "sampling", sample
    yield (
        "reward model",
        lambda: train_reward_model(model, [RewardExample(t) for t in shown], "pvm", once),
    )
    yield "scoring", lambda: RewardModel(model).score(shown)
    yield "beam search", search
    settings = PPOConfig(iterations=1, tasks=1, samples=2, lr=1e-4)
    yield "PPO", lambda: train_ppo(policy, chat, tasks, settings, config, RewardModel(model))
    yield "export", reload


def try_family(name: str) -> dict[str, Any]:
    """What worked: for every stage True (or which players), or the reason why not."""
    done: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for stage, run in stages(name, Path(folder)):
            try:
                came = run()
                done[stage] = came if isinstance(came, str) else True
            except Exception as err:
                done[stage] = f"{type(err).__name__}: {err}"
    return done


def main() -> None:
    """Try all families and write the record."""
    found = {}
    for name in FAMILIES:
        found[name] = try_family(name)
        print(name, found[name], flush=True)
    git = ["git", "log", "-1", "--format=%H %cs"]
    commit, date = subprocess.run(git, capture_output=True, text=True, check=True).stdout.split()
    record = {
        "command": "python -m agentprm_lite.tutorial.families results/families.json",
        "commit": commit,
        "date": date,
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)},
        "families": found,
    }
    Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
