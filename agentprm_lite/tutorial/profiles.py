"""The sizes of the same pipeline: plain data, one place.

smoke proves that everything runs, cpu makes the rendered book on two cores, study measures judges
there in hours, llm-smoke and llm take a real language model there (minutes and some hours), t4,
gpu and paper take one to a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from agentprm_lite.models import Lora
from agentprm_lite.ppo import PPOConfig
from agentprm_lite.train import TrainConfig


@dataclass(frozen=True)
class Profile:
    """All sizes of one run of the pipeline."""

    name: str
    """Name of the profile; artifacts lie in a folder of this name."""
    base: str
    """``"small-base"``, which is part of the package, or a model that
    :func:`agentprm_lite.tutorial.smollm2.resolve` knows."""
    env: str = "textcraft"
    """Environment."""
    judge_base: str | None = None
    """Where reward models start: a checker that the package ships; None: from the policy."""
    levels: tuple[int, ...] | None = (1, 2)
    """Difficulties of the tasks, see the environment's ``tasks``; None: all."""
    rules: bool = False
    """Show the environment's rules; a model trained from nothing needs none."""
    lora: Lora = field(default_factory=Lora)
    """Shape of all adapters."""
    max_new_tokens: int = 80
    """Most tokens of a turn."""
    max_context: int = 2048
    """Most tokens of a history."""
    max_rounds: int | None = None
    """Most turns of an episode; None: the environment's usual number, 20 in TextCraft."""
    batch: int = 192
    """Episodes that move together."""
    demo_goals: int = 200
    """Training goals with demonstrations; the others are kept for rollouts."""
    demo_variants: int = 12
    """Demonstrations a goal, each among other distractors."""
    sft: TrainConfig = field(default_factory=lambda: TrainConfig(lr=3e-3, epochs=2))
    """Behaviour cloning."""
    rft: TrainConfig = field(default_factory=lambda: TrainConfig(lr=5e-4, epochs=1))
    """Fine-tuning on own successes."""
    rollout_tasks: int = 200
    """Training goals that are rolled out, demonstrated or not."""
    rollout_parts: tuple[str, ...] = ("judge",)
    """Parts of the training goals that they come from, see ``corpus.part_of``; ``"practice"`` has
    those that are demonstrated, too."""
    rollout_samples: int = 8
    """Rollouts a goal (N_TD)."""
    rollout_temperature: float = 1.0
    """Of rollouts that reward models learn from, Monte Carlo rollouts and measured Q."""
    reward: TrainConfig = field(default_factory=lambda: TrainConfig(lr=2e-3, epochs=1))
    """Reward models."""
    learn_success: bool = False
    """Reward models learn who succeeded, not a reward that also pays for a part of the task."""
    reward_grid: tuple[tuple[float, int], ...] = ()
    """Learning rates and epochs that every kind of reward model may choose from, on held-out
    training tasks; empty: all take ``reward`` as it is."""
    reward_seeds: int = 3
    """Seeds of every reward model."""
    mc_tasks: int = 24
    """Goals with Monte Carlo rollouts from every state."""
    mc_samples: int = 8
    """Rollouts a state (N_mc)."""
    truth_tasks: int = 4
    """Held-out goals on which Q itself is measured."""
    truth_samples: int = 256
    """Rollouts a state for that."""
    eval_tasks: int = 72
    """Held-out goals."""
    eval_variants: tuple[int, ...] = (0,)
    """Draws of every held-out goal; 0 is the canonical text."""
    eval_samples: int = 16
    """Candidates a held-out goal."""
    eval_temperature: float = 1.0
    """Of candidates and beam search; the paper has 0.7."""
    beams: tuple[tuple[int, int], ...] = ((1, 1), (2, 2), (4, 4))
    """Beam searches N × M."""
    beam_tasks: int = 72
    """Held-out goals of a beam search, spread evenly."""
    ppo: PPOConfig = field(
        default_factory=lambda: PPOConfig(iterations=16, tasks=32, samples=4, lr=2e-3)
    )
    """Reinforcement learning."""
    ppo_worlds: tuple[str, ...] = ("textcraft",)
    """Worlds in which a study does it."""
    ppo_samples: int = 8
    """Samples a goal of a policy after PPO."""
    ppo_seeds: int = 3
    """Seeds of every PPO run in the test of the paper's claims."""


STUDY = Profile(
    name="study",
    base="small-base",
    levels=(2,),
    max_new_tokens=64,
    max_rounds=10,
    lora=Lora(r=16, alpha=32),
    demo_goals=300,
    demo_variants=1,
    sft=TrainConfig(lr=1e-3, epochs=1, microbatch_tokens=2048, bf16=True),
    rft=TrainConfig(lr=5e-4, epochs=1, microbatch_tokens=2048, bf16=True),
    rollout_tasks=120,
    rollout_samples=4,
    rollout_temperature=1.4,
    reward=TrainConfig(lr=2e-3, epochs=6, microbatch_tokens=2048, bf16=True),
    mc_tasks=32,
    truth_tasks=16,
    truth_samples=16,
    eval_tasks=100,
    eval_variants=(0, 1, 2),
    eval_temperature=1.4,
    beams=((4, 4),),
    beam_tasks=100,
    ppo=PPOConfig(iterations=6, tasks=16, samples=8, lr=1e-3, epochs=2, microbatch_tokens=8192),
)
CPU = replace(
    STUDY,
    name="cpu",
    levels=(1, 2),
    max_rounds=8,
    rollout_tasks=60,
    rollout_temperature=1.3,
    reward=replace(STUDY.reward, epochs=4),
    reward_seeds=1,
    mc_tasks=8,
    eval_tasks=40,
    eval_variants=(0,),
    eval_samples=8,
    eval_temperature=1.3,
    truth_tasks=3,
    truth_samples=64,
    beams=((1, 1), (2, 2), (4, 4)),
    beam_tasks=16,
    ppo=PPOConfig(iterations=4, tasks=8, samples=4, lr=1e-3, epochs=2, microbatch_tokens=8192),
    ppo_samples=2,
)
SMOKE = replace(
    CPU,
    name="smoke",
    levels=(1,),
    lora=Lora(r=4, alpha=8),
    max_new_tokens=48,
    max_rounds=5,
    demo_goals=64,
    rollout_temperature=1.0,
    eval_temperature=1.0,
    rollout_tasks=8,
    reward=TrainConfig(lr=2e-3, epochs=1, microbatch_tokens=2048, bf16=True),
    mc_tasks=2,
    mc_samples=2,
    eval_tasks=6,
    eval_samples=4,
    beams=((1, 1), (2, 2)),
    truth_tasks=1,
    truth_samples=4,
    ppo=PPOConfig(iterations=2, tasks=4, samples=2, lr=1e-3),
    ppo_seeds=2,
)
GPU = Profile(
    name="gpu",
    base="smollm2-135m",
    levels=(1, 2, 3),
    rules=True,
    max_new_tokens=128,
    max_context=4096,
    batch=64,
    demo_goals=300,
    demo_variants=1,
    sft=TrainConfig(lr=2e-4, epochs=3, microbatch_tokens=16384, bf16=True),
    rft=TrainConfig(lr=1e-4, epochs=1, microbatch_tokens=16384, bf16=True),
    rollout_tasks=444,
    rollout_samples=16,
    reward=TrainConfig(lr=1e-4, epochs=2, microbatch_tokens=16384, bf16=True),
    eval_tasks=97,
    eval_samples=64,
    eval_temperature=0.7,
    beam_tasks=97,
    beams=((1, 1), (2, 2), (4, 4), (8, 8)),
    ppo=PPOConfig(iterations=30, tasks=32, samples=4, lr=1e-4),
    ppo_worlds=("textcraft", "babyai", "webshop", "math"),
)
LLM = replace(
    GPU, name="llm", levels=(1,), rules=False, max_new_tokens=64, max_context=640, max_rounds=8,
    batch=32, demo_goals=200, rollout_tasks=48, rollout_samples=4, reward_seeds=2, mc_tasks=4,
    mc_samples=4, eval_tasks=31, eval_samples=8, beams=(), ppo_samples=4, ppo_worlds=("textcraft",),
    sft=TrainConfig(lr=5e-4, epochs=1, microbatch_tokens=1024, bf16=True),
    rft=TrainConfig(lr=2e-4, epochs=1, microbatch_tokens=1024, bf16=True),
    reward=TrainConfig(lr=5e-4, epochs=1, microbatch_tokens=1024, bf16=True),
    ppo=PPOConfig(iterations=4, tasks=8, samples=4, lr=2e-4),
)  # fmt: skip
T4 = replace(
    LLM, name="t4", levels=(1, 2), max_new_tokens=80, max_context=1024, batch=256, mc_tasks=8,
    mc_samples=8, truth_tasks=2, truth_samples=32, rollout_tasks=60, eval_tasks=30, beam_tasks=16,
    sft=replace(GPU.sft, epochs=2, microbatch_tokens=8192), beams=((1, 1), (4, 4)),
    rft=replace(GPU.rft, microbatch_tokens=8192),
    reward=replace(GPU.reward, microbatch_tokens=8192),
    ppo=PPOConfig(iterations=6, tasks=16, samples=8, lr=2e-4, microbatch_tokens=8192),
)  # fmt: skip
LLM_SMOKE = replace(
    LLM, name="llm-smoke", reward_seeds=1, demo_goals=80, rollout_tasks=8, rollout_samples=2,
    eval_tasks=4, eval_samples=1, beams=((2, 2),), beam_tasks=2,
    ppo=PPOConfig(iterations=1, tasks=2, samples=2, lr=2e-4),
)  # fmt: skip
PAPER = replace(
    GPU, name="paper", base="Qwen/Qwen2.5-3B-Instruct", batch=256,
    **{
        name: replace(getattr(GPU, name), microbatch_tokens=8192)
        for name in ("sft", "rft", "reward", "ppo")
    },
)  # fmt: skip


# The small base in the other worlds. The temperature is 1.3 (in study 1.4 in TextCraft, 1.5 in
# BabyAI and WebShop), as its attempts at 1 leave less to choose; it and levels were chosen on
# training tasks.
_WORLDS: dict[str, dict[str, Any]] = {
    "babyai": {"levels": (5, 9, 11, 19, 20, 21, 30), "max_rounds": 12},
    # the expert's longest turn has 104 tokens
    "webshop": {"levels": (1,), "max_new_tokens": 112, "judge_base": "shop_checker"},
    "math": {
        "levels": (3, 4),
        "judge_base": "checker",
        # 48 templates instead of 16; the policy is no better on those it was shown
        "rollout_parts": ("judge", "practice"),
    },
}
_SMOKE_WORLDS: dict[str, dict[str, Any]] = {"babyai": {"levels": (5,)}, "math": {"levels": (4,)}}
_CPU_WORLDS: dict[str, dict[str, Any]] = {
    "math": {"beams": ((2, 2),), "reward": replace(CPU.reward, lr=1e-3, epochs=3)}
}
# 1,920 rollouts to learn from, or more; every test task has one variant
_MANY: dict[str, Any] = {"eval_variants": (0,), "rollout_tasks": 480}
_STUDY_WORLDS: dict[str, dict[str, Any]] = {
    "babyai": {"truth_tasks": 20, "rollout_temperature": 1.5, "eval_temperature": 1.5},
    "webshop": {
        **_MANY,
        "rollout_temperature": 1.5,
        "eval_temperature": 1.5,
        "reward": replace(STUDY.reward, lr=3e-4, epochs=3),
    },
    "math": {**_MANY, "rollout_tasks": 960, "reward": replace(STUDY.reward, lr=3e-4, epochs=3)},
}


def get_profile(name: str, env: str = "textcraft", base: str | None = None) -> Profile:
    """The profile of a name.

    Args:
        name: ``"smoke"``, ``"cpu"``, ``"study"``, ``"llm-smoke"``, ``"llm"``,
            ``"t4"``, ``"gpu"``, ``"paper"``, or ``"auto"``: cpu, with or without a GPU.
        env: an environment that :func:`agentprm_lite.env.make_env` knows.
        base: another base than the profile's, a folder or a model of the hub.

    Returns:
        The profile; in another world than TextCraft with the sizes that fit there.

    Raises:
        ValueError: there is no such profile.

    Example:
        >>> get_profile("cpu").base, get_profile("smoke", "math").levels
        ('small-base', (4,))
    """
    known = {p.name: p for p in (SMOKE, CPU, STUDY, LLM_SMOKE, LLM, T4, GPU, PAPER)}
    known["auto"] = CPU
    if name not in known:
        raise ValueError(f"profile {name!r} is unknown, expected one of {sorted(known)}")
    size = known[name]
    profile = size if base is None else replace(size, base=base)
    if env == profile.env:
        return profile
    sizes: dict[str, Any] = {"levels": None}
    if profile.base == "small-base":
        sizes |= _WORLDS.get(env, {})
    elif env in ("babyai", "webshop"):  # long pages; in WebShop the expert has turns of 178 tokens
        sizes |= {"max_new_tokens": 192, "max_context": max(profile.max_context, 2048)}
    if size is SMOKE:
        sizes |= _SMOKE_WORLDS.get(env, {})
    if size is CPU:
        sizes |= _CPU_WORLDS.get(env, {})
    if size is STUDY:
        temperatures = ("rollout_temperature", "eval_temperature")
        sizes |= {k: getattr(CPU, k) for k in temperatures} | _STUDY_WORLDS.get(env, {})
    if size is T4:
        sizes |= {"beams": ((2, 2),), "rollout_tasks": 40}
    if env == "webshop":
        sizes |= {"max_rounds": 6, "learn_success": True}  # the paper's number, and its measure
    return replace(profile, env=env, **sizes)
