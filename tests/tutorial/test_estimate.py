"""The estimate against what is counted in a run on the CPU, and against PyTorch's own FLOPs."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import TEXTS, random_trajectories
from torch.utils.flop_counter import FlopCounterMode

from agentprm_lite import fast
from agentprm_lite.env import env_class
from agentprm_lite.files import collect
from agentprm_lite.forward import split_model
from agentprm_lite.hub import load_chat, load_policy, new_reward_model
from agentprm_lite.kinds import RewardExample, RewardLoss
from agentprm_lite.models import Lora
from agentprm_lite.train import TrainConfig, train_reward_model
from agentprm_lite.tutorial import base as small_base
from agentprm_lite.tutorial import cli
from agentprm_lite.tutorial.chapters import CHAPTERS, chapter, report
from agentprm_lite.tutorial.estimate import LENGTHS, SMALL, Lengths, Work, memory, shape_of, stages
from agentprm_lite.tutorial.memory import GPUS, QWEN, SMOLLM2, Shape
from agentprm_lite.tutorial.profiles import SMOKE, Profile, get_profile
from agentprm_lite.tutorial.tasks import sampling_config, train_tasks
from agentprm_lite.tutorial.tiny import TinySize, make_tiny
from agentprm_lite.worlds import demonstrate

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SIZES = replace(
    SMOKE, base="small-base", levels=(1, 2), max_new_tokens=64, max_context=2048, rollout_samples=2
)


def attention(q: Any, k: Any, v: Any, *_: Any, **__: Any) -> int:
    """Two products of every query with every key, which the counter doesn't know on a CPU."""
    return int(2 * q[0] * q[1] * q[2] * k[2] * (q[3] + v[3]))


def counted_flops(call: Any) -> int:
    aten = torch.ops.aten
    mapping = {
        aten._scaled_dot_product_flash_attention_for_cpu: attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda _, *x, **k: (
            attention(*x[:3]) * 5 // 2
        ),
    }
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        call()
    return int(counter.get_total_flops())


def test_flops_are_those_that_pytorch_counts(tmp_path: Path) -> None:
    make_tiny(tmp_path, TEXTS, TinySize(hidden=64, layers=6, heads=4), 0)
    model = load_policy(tmp_path)
    shape, ids = Shape.of(model.config), torch.ones(2, 50, dtype=torch.long)
    body, head = split_model(model)
    with torch.no_grad():
        read = counted_flops(lambda: body(input_ids=ids))
        hidden = torch.ones(1, shape.hidden)
        assert counted_flops(lambda: head(hidden)) == 2 * shape.hidden * shape.vocab
    assert 100 * shape.flops(50) == read
    judge = new_reward_model(tmp_path, Lora(r=4, alpha=8), 0).train()
    one = [RewardExample(random_trajectories(load_chat(tmp_path), 1, 0)[0])]
    loss = RewardLoss(judge, "pvm")
    trained = counted_flops(lambda: loss(one, loss.sizes(one))[0].backward())
    n = len(one[0].trajectory.ids)
    # the first layer's inputs need no gradient
    assert n * shape.flops(n, 4) == pytest.approx(trained, rel=0.05)


def test_tokens_are_those_of_a_run(tmp_path: Path) -> None:
    """Rollouts and training of a smoke-size stage on the small base: within a factor of 1.5."""
    folder, tasks = small_base.folder(), train_tasks(SIZES)[1]
    player = fast.player(load_policy(folder), load_chat(folder), sampling_config(SIZES))
    played = collect(player, tasks, 2, tmp_path / "rollouts.jsonl", batch=24)
    said = stages(SIZES)
    sampled, read = (sum(getattr(t.usage, x) for t in played) for x in ("generated", "prefilled"))
    assert 1 / 1.5 < said["rollouts"].sampled / sampled < 1.5
    assert 1 / 1.5 < said["rollouts"].prefilled / read < 1.5

    model, seen = new_reward_model(folder, Lora(r=4, alpha=8), 0), []

    def count(_: Any, __: Any, given: dict[str, Any]) -> None:
        seen.append(int((given["input_ids"] != 0).sum()))  # 0 pads

    split_model(model)[0].register_forward_pre_hook(count, with_kwargs=True)
    settings = TrainConfig(lr=1e-3, epochs=1, microbatch_tokens=2048)
    train_reward_model(model, [RewardExample(t) for t in played], "pvm", settings, held_out=0)
    assert 1 / 1.5 < said["judge"].trained / sum(seen) < 1.5


def lengths(p: Profile, model: str | Path, *, rules: bool) -> Lengths:
    """As the table says that they were measured."""
    chat, config = load_chat(model), replace(sampling_config(p), rules=False, max_context=8192)
    tasks = train_tasks(replace(p, demo_goals=60))[0]
    demos = demonstrate(chat, tasks, config)
    turns = sum(t.num_steps for t in demos)
    prompts, actions = (
        sum(t.prompt_len for t in demos),
        sum(b - a for t in demos for a, b in t.spans),
    )
    replies = sum(len(t.ids) for t in demos) - prompts - actions
    shown = 0
    if rules:
        (with_rules,) = demonstrate(chat, [demos[0].task], replace(config, rules=True))
        shown = with_rules.prompt_len - demos[0].prompt_len
    return Lengths(
        shown, prompts // len(demos), turns / len(demos), actions / turns, replies / turns
    )


@pytest.mark.parametrize("env", SMALL)
def test_lengths_of_the_small_base(env: str) -> None:
    near(lengths(get_profile("cpu", env), small_base.folder(), rules=False), SMALL[env])


@pytest.mark.parametrize("env", LENGTHS)
def test_lengths_of_smollm2(env: str, smollm2: str) -> None:
    near(lengths(get_profile("gpu", env), smollm2, rules=True), LENGTHS[env])


def near(found: Lengths, said: Lengths) -> None:
    for name, value in vars(said).items():
        assert getattr(found, name) == pytest.approx(value, rel=0.2, abs=2), name


def test_no_chapter_takes_long_on_a_t4() -> None:
    for number in CHAPTERS:
        hours = sum(w.hours(shape_of(p), "T4") for p, w in chapter("t4", number))
        assert 60 * hours <= 25, number


def test_hours_by_hand() -> None:
    """100 passes of SmolLM2 wait for the host, 30 layers of 1.5 ms; a quarter of 65 TFLOP/s."""
    work = Work(passes=100, flops=65e12)
    assert work.hours(SMOLLM2, "T4") == pytest.approx((100 * 30 * 1.5e-3 + 4) / 3600)
    assert SMOLLM2.parameters == 134_515_008
    # a pass of a large model reads its weights: 2 · 7,615,616,512 bytes at 320 GB/s
    seven = Work(passes=1).hours(QWEN["Qwen2.5-7B"], "T4")
    assert seven == pytest.approx(2 * 7_615_616_512 / 320e9 / 3600)


def test_chapters_name_the_stages_that_their_notebooks_ask_for() -> None:
    chapters = {path.stem for path in NOTEBOOKS.glob("*.py")}
    untrained = {"01_environments", "10_four_worlds", "11_your_environment"}
    assert set(CHAPTERS) == chapters - untrained
    words = {"mc_rollouts(": "mc", "ppo_run(": "ppo", "beam_runs(": "all beams",
             "greedy_runs(": "greedy", "pool(": "pool", '"rft"': "rft"}  # fmt: skip
    for name, needs in CHAPTERS.items():
        text = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
        code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        for word, stage in words.items():
            if word in code:
                assert stage in needs, f"{name} asks for {word}"


@pytest.mark.parametrize(("name", "gpu"), [("t4", "T4"), ("gpu", "H100"), ("paper", "H100")])
def test_a_profile_fits_the_gpu_that_it_is_for(name: str, gpu: str) -> None:
    p = get_profile(name)
    assert max(memory(p).values()) < GPUS[gpu]
    slow = replace(p, sft=replace(p.sft, checkpointing=True))
    assert memory(slow)["SFT"] < memory(p)["SFT"]


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("agentprm_lite")
    monkeypatch.setattr(log, "handlers", [logging.NullHandler()])  # it adds none
    assert cli.main(["estimate", "--profile", "gpu", "--env", "math"]) == 0
    said = capsys.readouterr().out
    assert said.rstrip("\n") == report(get_profile("gpu", "math"))
    for gpu in ("T4", "L4", "A100", "H100"):
        assert gpu in said
    assert re.search(r"^sft +0 +0 +[\d,]+ +[\d,]+ +\d", said, re.M)
    assert "memory of SFT: " in said and "08_ppo" in said
    assert env_class("math").default_rounds == 10
