"""Stand-ins that tests share: a tiny model with random weights, TextCraft tasks, trajectories."""

from __future__ import annotations

import os
import socket
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agentprm_lite.chat import react
from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.fast import FastPlayer
from agentprm_lite.hub import ChatFormat, load_policy, new_reward_model
from agentprm_lite.models import Lora
from agentprm_lite.tutorial.tiny import TinySize, make_tiny, vocabulary
from agentprm_lite.types import Task, Trajectory, Usage
from agentprm_lite.worlds.textcraft import TextCraft

torch.set_num_threads(1)  # these models are so small that threads only wait for each other

TASKS = TextCraft.tasks("train", levels=(1,))[::18]  # 7 goals of one step each
TEXTS = [*vocabulary(TASKS), TextCraft.instructions, TextCraft.acknowledgement]
SIZE = TinySize(hidden=32, layers=2, heads=2)

# prompt 10 11 12 | turn 20 21 | observation 13 14 | turn 22
#    ids   0  1  2 |       3  4 |             5  6 |       7
TWO_STEPS = Trajectory(
    task=Task("textcraft", 12, 3),
    sample=5,
    seed=7,
    ids=(10, 11, 12, 20, 21, 13, 14, 22),
    prompt_len=3,
    spans=((3, 5), (7, 8)),
    logprobs=(-0.1, -1 / 3, -1e-17),
    actions=("Action:\nget 1 ☃\u2028\x00", "\ud800"),
    observations=("first\nline", "", "last"),
    rewards=(0.0, 1.0),
    terminated=True,
    truncated=False,
    truncated_by="",
    final=True,
    success=True,
    usage=Usage(3, 5, 8, 1, 2),
    policy="p",
)


def tiny_folder(folder: Path, *, seed: int = 0, size: TinySize = SIZE) -> Path:
    """A folder with a tiny random policy; use the fixture ``folder`` for one that exists already.

    The row of the end token is made longer, so that its logit spreads more than others': turns end
    after 6 tokens in the middle, many after one, some not within 64.
    """
    make_tiny(folder, TEXTS, size, seed)
    model = load_policy(folder)
    with torch.no_grad():
        model.get_input_embeddings().weight[model.config.eos_token_id] *= 6  # tied to the head
    model.save_pretrained(folder)
    return folder


def float64(model: Any) -> Any:
    """The same model in float64: what differs in exact arithmetic shows, rounding doesn't."""
    return model.double().eval()


def backend(model: Any, chat: ChatFormat, **config: Any) -> FastPlayer:
    """A sampling backend with short turns and no rules; ``config`` changes the rest."""
    short: dict[str, Any] = {"max_new_tokens": 12, "rules": False}
    return FastPlayer(model, chat, SamplingConfig(**short | config))


def random_trajectories(
    chat: ChatFormat, n: int, seed: int, *, rules: bool = False
) -> list[Trajectory]:
    """Trajectories of 1 to 7 steps, without a model: expert turns among clumsy ones.

    Some succeed, some run out of rounds, some are cut (``final`` is False). Log-probabilities are
    random numbers.
    """
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        config = SamplingConfig(rules=rules)
        episode = Episode.start(TASKS[i % len(TASKS)], i // len(TASKS), seed, chat, config)
        episode.env.max_rounds = int(rng.integers(1, 8))
        while not episode.done:
            clumsy = react("I need nothing.", "inventory")
            expert = rng.random() < 0.6
            turn = chat.turn_ids(react(*episode.env.expert_action()) if expert else clumsy)
            episode.step(turn, (-rng.random(len(turn))).tolist(), chat)
            if not episode.done and rng.random() < 0.1:
                episode.truncated_by = "tokens"
        out.append(episode.trajectory("stand-in"))
    return out


def shortened(t: Trajectory, steps: int) -> Trajectory:
    """A trajectory as it was after some of its steps."""
    spans = t.spans[:steps]
    end = spans[-1][1] if spans else t.prompt_len
    known = sum(b - a for a, b in spans) if t.logprobs else 0
    return replace(
        t,
        ids=t.ids[:end],
        spans=spans,
        logprobs=t.logprobs[:known],
        actions=t.actions[:steps],
        observations=t.observations[: steps + 1],
        rewards=t.rewards[:steps],
    )


def whole_logprobs(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """log π(ids[k] | ids[:k]) for k ≥ 1 by one ordinary forward pass, no cache: [S - 1]."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, :-1]
    return logits.log_softmax(-1)[torch.arange(len(ids) - 1), torch.tensor(list(ids)[1:])]


def randomize(model: Any, *, seed: int = 1, scale: float = 0.3) -> Any:
    """The same model with random numbers in all that is trained: adapters and heads."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.copy_(torch.randn(p.shape, generator=generator) * scale)
    return model


def random_reward_model(folder: Path, *, seed: int = 1) -> Any:
    """A reward model whose M differs everywhere; a fresh one says 0.5 at every token."""
    return randomize(new_reward_model(folder, Lora(r=4, alpha=8), seed), seed=seed)


class Dice:
    """A policy without a model: its turns are thrown from each episode's own random stream."""

    policy = "dice"

    def __init__(self, chat: ChatFormat) -> None:
        self.chat = chat

    def start(self, task: Task, sample: int, seed: int) -> Episode:
        return Episode.start(task, sample, seed, self.chat, SamplingConfig(rules=False))

    def run(self, episodes: Sequence[Episode]) -> list[Trajectory]:
        for e in episodes:
            while not e.done:
                actions = ["inventory", "get 1 string", e.env.expert_action()[1]]
                turn = self.chat.turn_ids(react("I need 1 string.", actions[e.rng.integers(3)]))
                e.step(turn, e.rng.random(len(turn)).tolist(), self.chat)
        return [e.trajectory(self.policy) for e in episodes]


def unused_url() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}/v1"


def weights(model: Any) -> dict[str, Tensor]:
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Bitwise."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Interrupted(Exception):
    """Stands for a crash."""


class Fragile(nn.Module):
    """Raises at its k-th step."""

    def __init__(self, inner: Any, at: int) -> None:
        super().__init__()
        vars(self).update(
            {k: v for k, v in vars(inner).items() if isinstance(v, str | float | int)}
        )
        self.inner, self.left = inner, [at]

    def sizes(self, batch: Any) -> Any:
        if self.left == [0]:
            raise Interrupted
        self.left[0] -= 1
        return self.inner.sizes(batch)

    def forward(self, part: Any, sizes: Any) -> Any:
        return self.inner(part, sizes)

    def values(self, part: Any) -> Any:
        return self.inner.values(part)

    def report(self, examples: Any, m: Any) -> Any:
        return self.inner.report(examples, m)


def in_another_process(work: Callable[[], object]) -> int:
    """Start some work there and give the process's id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of threads, of which there are none
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def until(ready: Callable[[], bool]) -> None:
    """Wait for something to be the case, at most a minute."""
    limit = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < limit
        time.sleep(1e-4)
