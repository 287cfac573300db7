"""What a profile costs before it runs: tokens, FLOPs, memory and hours, from shapes alone.

Tokens are those of the stages in stages.py, rewards.py and guided.py, with a world's mean lengths.
A quarter of the attempts is taken to go on to the round limit. A GPU is taken to reach
``USED`` of its peak, and a layer to take ``LAYER`` at least in every pass: small models
wait for the host. Neither was measured on these GPUs.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from functools import cache
from math import ceil
from typing import Any

from transformers import AutoConfig

from agentprm_lite.env import env_class
from agentprm_lite.tutorial.memory import CONTEXT, QWEN, SMOLLM2, Shape, memory_estimate
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.tutorial.stages import base
from agentprm_lite.tutorial.tasks import beam_tasks, test_tasks, train_tasks

SHAPES = {"smollm2-135m": SMOLLM2, "Qwen/Qwen2.5-3B-Instruct": QWEN["Qwen2.5-3B"]}
#: Dense half-precision FLOP/s at best, and bytes/s of memory, from the makers' data sheets.
SPEEDS = {"T4": (65e12, 320e9), "L4": (121e12, 300e9), "A100": (312e12, 1555e9),
          "H100": (989e12, 3350e9)}  # fmt: skip
USED = 0.25
LAYER = 1.5e-3
WHOLE = 0.25  # share of attempts that go on to the round limit
PASSES = 6  # a step's forward and backward pass with adapters, in passes without a gradient


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of an attempt's parts, and the expert's turns."""

    rules: int
    prompt: int
    """Without the rules."""
    turns: float
    action: float
    reply: float


#: Of 60 expert's attempts at training tasks each. Qwen's tokenizer is taken to be like SmolLM2's.
LENGTHS = {
    "textcraft": Lengths(196, 279, 5.5, 37.2, 15.6),
    "babyai": Lengths(176, 195, 2.7, 32.2, 87.8),
    "webshop": Lengths(116, 74, 4.2, 43.0, 166.0),
    "math": Lengths(137, 80, 4.6, 31.5, 7.8),
}
#: The same of the small base, in the levels that its profiles have.
SMALL = {
    "textcraft": Lengths(0, 129, 4.5, 20.5, 6.1),
    "babyai": Lengths(0, 87, 1.9, 21.7, 29.7),
    "webshop": Lengths(0, 29, 3.0, 28.6, 97.5),
    "math": Lengths(0, 45, 4.6, 21.2, 2.3),
}


@dataclass(frozen=True)
class Work:
    """What a stage, or some of them together, computes."""

    sampled: float = 0.0
    """Tokens chosen one after the other."""
    prefilled: float = 0.0
    """Tokens that are read: prompts and replies by a policy, histories by a judge."""
    trained: float = 0.0
    """Tokens with a gradient, once an epoch."""
    passes: float = 0.0
    """Passes through all layers, one after the other."""
    flops: float = 0.0
    """Floating-point operations of all of them."""

    def __add__(self, other: Work) -> Work:
        """Both, one after the other."""
        return Work(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def times(self, n: float) -> Work:
        """As often."""
        return Work(*(n * x for x in astuple(self)))

    def hours(self, shape: Shape, gpu: str) -> float:
        """On a GPU: arithmetic, and passes at the speed of the memory or of the host."""
        flops, read = SPEEDS[gpu]
        a_pass = max(2 * shape.parameters / read, LAYER * shape.layers)
        return (self.flops / (USED * flops) + self.passes * a_pass) / 3600


def shape_of(p: Profile) -> Shape:
    """The shape of a profile's base."""
    return SHAPES[p.base] if p.base in SHAPES else Shape.of(AutoConfig.from_pretrained(base(p)))


class _Sizes:
    """What the stages of a profile take in its world."""

    def __init__(self, p: Profile) -> None:
        self.p, self.shape = p, shape_of(p)
        of = LENGTHS[p.env] if p.base in SHAPES else SMALL[p.env]
        self.action, self.reply = of.action, of.reply
        self.prompt = of.prompt + p.rules * of.rules
        self.rounds = p.max_rounds or env_class(p.env).default_rounds
        both = self.action + self.reply
        self.demo = self.prompt + of.turns * both
        room = max(0.0, p.max_context - self.prompt) / both
        self.turns = WHOLE * min(self.rounds, room) + (1 - WHOLE) * min(of.turns, room)
        self.history = self.prompt + self.turns * both
        self.head = 2 * self.shape.hidden * self.shape.vocab

    def play(self, n: float, prompts: float, part: float = 1.0) -> Work:
        """Attempts, or the last part of each; those that share a prompt compute it once."""
        turns = part * self.turns
        sampled, read = n * turns * self.action, prompts * self.prompt
        read += n * max(0.0, turns - 1) * self.reply  # nobody reads the last reply
        flops = (sampled + read) * self.shape.flops(self.history) + sampled * self.head
        passes = ceil(n / self.p.batch) * self.rounds * self.action
        return Work(sampled, read, 0, passes, flops)

    def read(self, attempts: float) -> Work:
        """Whole histories, by a judge."""
        n = attempts * self.history
        return Work(0, n, 0, n / 8192, n * self.shape.flops(self.history))

    def learn(self, n: float, length: float, config: Any, *, head: bool = False) -> Work:
        """Histories trained on; a language model's head reads the turns' tokens."""
        tokens, per_token = n * length * config.epochs, self.shape.flops(length, self.p.lora.r)
        turns = self.action / (self.action + self.reply) * (1 - self.prompt / length)
        per_token += head * 2 * self.head * turns
        passes = PASSES * tokens / config.microbatch_tokens
        return Work(0, 0, tokens, passes, tokens * per_token)

    def judge(self, attempts: float) -> Work:
        """A reward model, and what it takes to choose its settings on three quarters."""
        grid, config = [epochs for _, epochs in self.p.reward_grid], self.p.reward
        config = replace(config, epochs=max(grid)) if grid else config
        tried = replace(config, epochs=sum(grid)) if grid else None
        chosen = self.learn(0.75 * attempts, self.history, tried) if tried else Work()
        return self.learn(attempts, self.history, config) + chosen

    def beam(self, tasks: float, n: int, m: int) -> Work:
        """Beam search by policy and judge, n·m turns at a time."""
        groups = ceil(tasks / max(1, self.p.batch // (n * m)))
        longest = min(2 * self.action, self.p.max_new_tokens)  # all wait for it
        played = replace(self.play(tasks * n * m, tasks), passes=groups * self.rounds * longest)
        return played + self.read(tasks * n * m)

    def ppo(self) -> Work:
        """A run: attempts, three readings of each, steps."""
        c = self.p.ppo
        n = c.tasks * c.samples
        once = self.play(n, c.tasks) + self.read(3 * n) + self.learn(n, self.history, c, head=True)
        return once.times(c.iterations)


@cache
def stages(p: Profile) -> dict[str, Work]:
    """Every stage once: one reward model on each kind of data, one PPO run."""
    s, (demos, rolled), held = _Sizes(p), train_tasks(p), len(test_tasks(p))
    attempts, scored = len(rolled) * p.rollout_samples, held * p.eval_samples
    mc, truth = (t * s.turns * k for t, k in
                 ((p.mc_tasks, p.mc_samples), (p.truth_tasks, p.truth_samples)))  # fmt: skip
    return {
        "sft": s.learn(len(demos) * p.demo_variants, s.demo, p.sft, head=True),
        "rollouts": s.play(attempts, len(rolled)),
        "rft": s.learn((1 - WHOLE) * attempts, s.demo, p.rft, head=True),
        "greedy": s.play(held, held),
        "pool": s.play(scored, held),
        "mc": s.play(mc, 0, 0.5) + s.read(p.mc_tasks),  # half of an attempt is left on average
        "truth": s.play(truth, 0, 0.5) + s.read(p.truth_tasks),
        "judge": s.judge(attempts),
        "mc judge": s.judge(p.mc_tasks),
        "scores": s.read(scored),
        "beams": sum((s.beam(len(beam_tasks(p)), n, m) for n, m in p.beams), Work()),
        "ppo": s.ppo(),
        "ppo pool": s.play(held * p.ppo_samples, held),
    }


def memory(p: Profile) -> dict[str, float]:
    """GiB of sampling and of training, with what the driver takes."""
    s = _Sizes(p)
    sizes: dict[str, Any] = {"rank": p.lora.r, "rows": p.batch}
    sft, reward = (
        {**sizes, "tokens": config.microbatch_tokens, "checkpointing": config.checkpointing}
        for config in (p.sft, p.reward)
    )
    found = (
        memory_estimate(s.shape, "sampling", tokens=int(p.batch * s.history), **sizes),
        memory_estimate(s.shape, "sft", **sft),
        memory_estimate(s.shape, "reward", **reward),
    )
    names = ("sampling", "SFT", "a judge's training")
    return {k: (m.total + CONTEXT) / 2**30 for k, m in zip(names, found, strict=True)}
