"""Episodes under way: an environment, the ids so far and a random stream of its own.

Every episode draws from a stream that no other shares, so that the same seed gives the same
trajectory in any batch and with any player.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from agentprm_lite.chat import TOO_MANY_ACTIONS, Chat
from agentprm_lite.env import World, make_env
from agentprm_lite.types import Task, Trajectory, Usage


@dataclass(frozen=True)
class SamplingConfig:
    """How a policy is sampled."""

    temperature: float = 1.0  #: Softmax temperature; 0 takes the most likely token.
    max_new_tokens: int = 64  #: Most tokens of one turn.
    max_context: int = 2048  #: Most tokens of a history; what could exceed it is truncated.
    rules: bool = True  #: Put the environment's rules before the first observation.
    max_rounds: int | None = None  #: Most turns; None: the environment's usual number.

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.max_new_tokens < 1 or self.max_context < 2:
            least = "temperature must be >= 0, max_new_tokens >= 1, max_context >= 2"
            raise ValueError(f"{least}, got {self}")


@dataclass
class Episode:
    """An episode under way."""

    task: Task
    sample: int
    seed: int
    env: World
    rng: np.random.Generator
    ids: list[int]
    prompt_len: int
    observations: list[str]
    spans: list[tuple[int, int]] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False
    truncated_by: str = ""
    success: bool = False
    usage: Usage = field(default_factory=Usage)

    @classmethod
    def start(
        cls, task: Task, sample: int, seed: int, chat: Chat, config: SamplingConfig
    ) -> Episode:
        """Reset an environment and write the prompt."""
        env = make_env(task.env, config.max_rounds)
        observation, _ = env.reset(options={"index": task.index, "variant": task.variant})
        rules = (env.instructions, env.acknowledgement) if config.rules else None
        ids = chat.opening_ids(observation, rules)
        rng = random_stream(seed, task, sample)
        return cls(task, sample, seed, env, rng, ids, len(ids), [observation])

    @property
    def key(self) -> str:
        """Name of the episode: task and sample."""
        return f"{self.task.key}/{self.sample}"

    @property
    def done(self) -> bool:
        """The environment or a limit ended the episode."""
        return self.terminated or bool(self.truncated_by)

    @property
    def last_end(self) -> int:
        """Where the last turn ends in ``ids``; 0 before the first."""
        return self.spans[-1][1] if self.spans else 0

    def goes_on(self, config: SamplingConfig) -> bool:
        """Whether there is a next turn; an episode without room for one ends here as truncated."""
        if not self.done and len(self.ids) + config.max_new_tokens > config.max_context:
            self.truncated_by = "tokens"
        return not self.done

    def fork(self, sample: int, stream: int) -> Episode:
        """An independent copy that goes on with another random stream."""
        env = make_env(self.task.env)
        env.restore(self.env.snapshot())
        rng = random_stream(self.seed, self.task, sample, len(self.ids), stream)
        own: dict[str, Any] = {k: [*v] for k, v in vars(self).items() if isinstance(v, list)}
        return replace(self, sample=sample, env=env, rng=rng, usage=Usage(), **own)

    def step(self, tokens: Sequence[int], logprobs: Sequence[float], chat: Chat) -> list[int]:
        """Take one turn in the environment."""
        start = len(self.ids)
        self.ids += tokens
        self.spans.append((start, len(self.ids)))
        self.logprobs += logprobs
        text = chat.decode(tokens)
        action = self.env.parse(text)
        # an empty action changes nothing in any of our worlds, but uses up a round
        observation, reward, terminated, truncated, info = self.env.step(action or "")
        if action is None:
            observation = TOO_MANY_ACTIONS
        self.actions.append(text)
        self.observations.append(observation)
        self.rewards.append(float(reward))
        self.success = bool(info["success"])
        self.usage += Usage(generated=len(tokens), env_steps=1)
        self.terminated = terminated  # last: an episode that is done is whole
        self.truncated_by = "rounds" if truncated and not terminated else ""
        if self.done:
            return []
        reply = chat.observation_ids(observation, ended=tokens[-1] == chat.end_id)
        self.ids += reply
        return reply

    def trajectory(self, policy: str) -> Trajectory:
        """The episode so far as a record that ends with its last action."""
        by_rounds = self.truncated_by == "rounds" and self.env.round_limit_is_failure
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in vars(self).items()
            if name not in ("env", "rng")
        }
        fields["ids"] = fields["ids"][: self.last_end or self.prompt_len]
        if len(self.logprobs) < sum(b - a for a, b in self.spans):
            fields["logprobs"] = ()  # not all are known
        return Trajectory(
            **fields,
            truncated=bool(self.truncated_by),
            final=self.terminated or by_rounds,
            policy=policy,
        )


def random_stream(seed: int, task: Task, sample: int, *more: int) -> np.random.Generator:
    """The random stream of one episode, or, with more numbers, of a fork; no other shares it."""
    world = zlib.crc32(task.env.encode())
    return np.random.default_rng([seed, world, task.index, task.variant, sample, *more])
