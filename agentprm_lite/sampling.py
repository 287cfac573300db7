"""Multi-turn sampling: many episodes at once, every token computed once.

The episodes of a batch sample one token each in every pass, each at its own place in its own turn;
one whose turn is over reads the environment's reply in the next. Keys and values stay from the
first token of the prompt to the last action, finished episodes leave the batch, and samples of one
task and branches of a beam share what they have in common. What is shared is counted for the first
episode that uses it, so that the counts of a task don't depend on the other tasks. Beam search
alone needs all turns of a round at once.

Every episode draws from a random stream of its own, so that the same seed gives the same trajectory
in any batch. In floating point the batch's shape changes logits in the last digits; only where a
random number falls that close to the border of two tokens can a trajectory differ.

Shape legend: B episodes, V tokens in the vocabulary, E hidden size.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from agentprm_lite.chat import TOO_MANY_ACTIONS, ChatFormat
from agentprm_lite.env import TextEnv, make_env
from agentprm_lite.fast.kvbatch import context_limit, prefill
from agentprm_lite.types import Task, Trajectory, Usage


@dataclass(frozen=True)
class SamplingConfig:
    """How a policy is sampled."""

    temperature: float = 1.0
    """Softmax temperature; 0 takes the most likely token."""
    max_new_tokens: int = 64
    """Most tokens of one turn."""
    max_context: int = 2048
    """Most tokens of a history; an episode that could exceed it ends as truncated."""
    rules: bool = True
    """Put the environment's rules before the first observation."""
    max_rounds: int | None = None
    """Most turns of an episode; None: the environment's usual number."""

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.max_new_tokens < 1 or self.max_context < 2:
            raise ValueError(
                f"temperature must be >= 0, max_new_tokens >= 1, max_context >= 2, got {self}"
            )


@dataclass
class Turn:
    """A turn under way, or what is to be read after it."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    """After the turn's end: its last token, and the environment's reply."""


@dataclass
class Episode:
    """An episode under way: an environment, the ids so far, a random stream."""

    task: Task
    sample: int
    seed: int
    env: TextEnv
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
    turn: Turn = field(default_factory=Turn)

    @classmethod
    def start(
        cls, task: Task, sample: int, seed: int, chat: ChatFormat, config: SamplingConfig
    ) -> Episode:
        """Reset an environment and write the prompt.

        Args:
            task: what to do.
            sample: number of the sample; samples of a task differ by their random stream.
            seed: of the run.
            chat: the policy's chat format.
            config: whether the rules are shown, and the most turns.

        Returns:
            An episode without steps.
        """
        env = make_env(task.env, config.max_rounds)
        observation, _ = env.reset(options={"index": task.index, "variant": task.variant})
        rules = (env.instructions, env.acknowledgement) if config.rules else None
        ids = chat.opening_ids(observation, rules)
        rng = random_stream(seed, task, sample)
        return cls(task, sample, seed, env, rng, ids, len(ids), [observation])

    @property
    def done(self) -> bool:
        """The environment or a limit ended the episode."""
        return self.terminated or bool(self.truncated_by)

    def goes_on(self, config: SamplingConfig) -> bool:
        """Whether there is a next turn; an episode without room for one ends here as truncated.

        Args:
            config: the most tokens of a turn and of a history.

        Returns:
            False at the end of the episode.
        """
        if not self.done and len(self.ids) + config.max_new_tokens > config.max_context:
            self.truncated_by = "tokens"
        return not self.done

    def fork(self, sample: int, stream: int) -> Episode:
        """An independent copy that goes on with another random stream.

        Args:
            sample: number of the copy's sample.
            stream: tells copies of one state apart.

        Returns:
            The copy; it has counted nothing yet.
        """
        env = make_env(self.task.env)
        env.restore(self.env.snapshot())
        entropy = [*_entropy(self.seed, self.task, sample), len(self.ids), stream]
        rng = np.random.default_rng(entropy)
        return Episode(
            self.task,
            sample,
            self.seed,
            env,
            rng,
            list(self.ids),
            self.prompt_len,
            list(self.observations),
            list(self.spans),
            list(self.logprobs),
            list(self.actions),
            list(self.rewards),
            self.terminated,
            self.truncated_by,
            self.success,
        )

    def step(self, tokens: Sequence[int], logprobs: Sequence[float], chat: ChatFormat) -> list[int]:
        """Take one turn in the environment.

        Args:
            tokens: what the policy produced.
            logprobs: log-probability of each token.
            chat: the policy's chat format.

        Returns:
            The ids to read before the next turn; empty at the end of the episode.
        """
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
        self.terminated = terminated
        self.truncated_by = "rounds" if truncated and not terminated else ""
        self.success = bool(info["success"])
        self.usage += Usage(generated=len(tokens), env_steps=1)
        if self.done:
            return []
        reply = chat.observation_ids(observation, ended=tokens[-1] == chat.end_id)
        self.ids += reply
        return reply

    def trajectory(self, policy: str) -> Trajectory:
        """The episode as a record.

        Args:
            policy: name of the policy.

        Returns:
            The trajectory.
        """
        by_rounds = self.truncated_by == "rounds" and self.env.round_limit_is_failure
        end = self.spans[-1][1] if self.spans else self.prompt_len
        known = len(self.logprobs) == sum(b - a for a, b in self.spans)
        return Trajectory(
            task=self.task,
            sample=self.sample,
            seed=self.seed,
            ids=tuple(self.ids[:end]),
            prompt_len=self.prompt_len,
            spans=tuple(self.spans),
            logprobs=tuple(self.logprobs) if known else (),
            actions=tuple(self.actions),
            observations=tuple(self.observations),
            rewards=tuple(self.rewards),
            terminated=self.terminated,
            truncated=bool(self.truncated_by),
            truncated_by=self.truncated_by,
            final=self.terminated or by_rounds,
            success=self.success,
            usage=self.usage,
            policy=policy,
        )


def _entropy(seed: int, task: Task, sample: int) -> list[int]:
    return [seed, zlib.crc32(task.env.encode()), task.index, task.variant, sample]


def random_stream(seed: int, task: Task, sample: int) -> np.random.Generator:
    """The random stream of one episode.

    Args:
        seed: of the run.
        task: the task.
        sample: number of the sample.

    Returns:
        A generator that no other episode shares.
    """
    return np.random.default_rng(_entropy(seed, task, sample))


def choose(
    logits: Tensor, uniforms: np.ndarray, temperature: float
) -> tuple[list[int], list[float]]:
    """Sample one token a row by inverting the cumulative distribution.

    Args:
        logits: [B, V].
        uniforms: [B] numbers in [0, 1), one from each row's own stream.
        temperature: softmax temperature; 0 takes the most likely token.

    Returns:
        B tokens, and their log-probabilities at temperature 1.

    Example:
        >>> choose(torch.tensor([[0.0, 0.0]]), np.array([0.7]), 1.0)[0]
        [1]
    """
    logits = logits.double()
    if temperature == 0:
        tokens = logits.argmax(-1)
    else:
        cdf = (logits / temperature).softmax(-1).cumsum(-1)
        u = torch.as_tensor(uniforms, device=cdf.device)[:, None] * cdf[:, -1:]
        tokens = torch.searchsorted(cdf, u, right=True).squeeze(-1)
        tokens = tokens.clamp(max=logits.shape[-1] - 1)
    logp = logits.log_softmax(-1).gather(-1, tokens[:, None]).squeeze(-1)
    return tokens.tolist(), logp.tolist()


class Backend(Protocol):
    """What plays episodes to their end."""

    policy: str
    """Name that the trajectories carry."""

    def start(self, task: Task, sample: int, seed: int) -> Episode:
        """An episode of a task, in this policy's format.

        Args:
            task: what to do.
            sample: number of the sample.
            seed: of the run.

        Returns:
            The episode, without steps.
        """
        ...

    def run(self, episodes: Sequence[Episode]) -> list[Trajectory]:
        """Play episodes to their end.

        Args:
            episodes: at any state; not yet done.

        Returns:
            Their trajectories, in the same order.
        """
        ...


class HFBackend:
    """A Hugging Face policy in this process.

    Args:
        model: a causal language model. Make a new backend, or call nothing on an old one, after a
            weight update: nothing is cached between calls of :meth:`run`.
        chat: its chat format.
        config: how to sample.
        policy: name that the trajectories carry.

    Raises:
        ValueError: ``config.max_context`` exceeds what the model can read.
    """

    def __init__(
        self, model: Any, chat: ChatFormat, config: SamplingConfig, policy: str = "policy"
    ) -> None:
        limit = context_limit(model.config)
        if config.max_context > limit:
            raise ValueError(f"max_context is {config.max_context}, the model reads {limit} tokens")
        self.model, self.chat, self.config, self.policy = model.eval(), chat, config, policy

    def start(self, task: Task, sample: int, seed: int) -> Episode:
        """An episode of a task, in this policy's format.

        Args:
            task: what to do.
            sample: number of the sample.
            seed: of the run.

        Returns:
            The episode, without steps.
        """
        return Episode.start(task, sample, seed, self.chat, self.config)

    def run(self, episodes: Sequence[Episode]) -> list[Trajectory]:
        """Play episodes to their end.

        Args:
            episodes: B episodes at any state.

        Returns:
            Their trajectories, in the same order.
        """
        Play(self, episodes).finish()
        return [episode.trajectory(self.policy) for episode in episodes]


class Play:
    """Episodes that move together, with their cache.

    Args:
        backend: the policy.
        episodes: episodes at any state; those that are done, or have no room for a turn, are left
            out of ``active``.
    """

    def __init__(self, backend: HFBackend, episodes: Sequence[Episode]) -> None:
        self.backend = backend
        self.active = [e for e in episodes if e.goes_on(backend.config)]
        if self.active:
            self.batch, self.hidden, computed = prefill(backend.model, [e.ids for e in self.active])
            for episode, new in zip(self.active, computed, strict=True):
                episode.usage += Usage(prefilled=new, cached=len(episode.ids) - new)

    @torch.no_grad()
    def finish(self) -> None:
        """Play every active episode to its end, each at its own pace."""
        while self.active:
            live = [k for k, episode in enumerate(self.active) if not episode.done]
            if len(live) < 0.7 * len(self.active):  # leave out episodes that are over
                self.select(sorted(live, key=lambda k: len(self.active[k].ids)))
                continue
            going = self._speak(live)
            new = self._last_tokens(going)
            for k in sorted(set(live) - set(going)):
                self._end(k)
                if self.active[k].goes_on(self.backend.config):
                    new[k] = self._unread(k)
            self._append(new)

    @torch.no_grad()
    def act(self) -> list[list[int]]:
        """Sample one turn of every active episode and step the environments.

        Returns:
            The ids of each turn.
        """
        going = list(range(len(self.active)))
        while going:
            going = self._speak(going)
            self._append(self._last_tokens(going))
        produced = [episode.turn.tokens for episode in self.active]
        for k in range(len(self.active)):
            self._end(k)
        return produced

    def read(self, rows: Sequence[int]) -> None:
        """Go on with some of the active episodes and let them read the environment's replies.

        Args:
            rows: their places in ``active``; episodes that are over are left out.
        """
        rows = [k for k in rows if self.active[k].goes_on(self.backend.config)]
        self.select(rows)
        self._append([self._unread(k) for k in range(len(rows))])

    def select(self, rows: Sequence[int], episodes: Sequence[Episode] | None = None) -> None:
        """Keep, drop, repeat or reorder the active episodes.

        Args:
            rows: for each new place, the old one.
            episodes: what stands at the new places; by default the same episodes.
        """
        if list(rows) == list(range(len(self.active))) and episodes is None:
            return
        self.active = list(episodes) if episodes is not None else [self.active[k] for k in rows]
        self.batch.select(rows)
        self.hidden = self.hidden[torch.as_tensor(list(rows), dtype=torch.long)]

    def _speak(self, rows: Sequence[int]) -> list[int]:
        """Sample one token in some rows; which of the turns go on."""
        chat, config = self.backend.chat, self.backend.config
        uniforms = np.array([self.active[k].rng.random() for k in rows])
        chosen = choose(self.batch.head(self.hidden[rows]), uniforms, config.temperature)
        going = []
        for k, token, logp in zip(rows, *chosen, strict=True):
            turn = self.active[k].turn
            turn.tokens.append(token)
            turn.logprobs.append(logp)
            if token not in chat.end_ids and len(turn.tokens) < config.max_new_tokens:
                going.append(k)
        return going

    def _last_tokens(self, going: Sequence[int]) -> list[list[int]]:
        """What to append to the rows so that some of them go on with their turns."""
        new: list[list[int]] = [[] for _ in self.active]
        for k in going:
            new[k] = self.active[k].turn.tokens[-1:]
        return new

    def _end(self, k: int) -> None:
        """Step the environment of one row."""
        episode, turn = self.active[k], self.active[k].turn
        reply = episode.step(turn.tokens, turn.logprobs, self.backend.chat)
        episode.turn = Turn(unread=turn.tokens[-1:] + reply)

    def _unread(self, k: int) -> list[int]:
        """What one row has to read before its next turn, from now on counted as read."""
        episode = self.active[k]
        new, episode.turn = episode.turn.unread, Turn()
        past = len(episode.ids) - len(new) + 1
        episode.usage += Usage(prefilled=len(new) - 1, cached=past)
        return new

    def _append(self, new: Sequence[Sequence[int]]) -> None:
        """Compute new tokens, and keep the last state of every row that has some."""
        rows = [k for k, tokens in enumerate(new) if tokens]
        if rows:
            ends = np.cumsum([len(new[k]) for k in rows]) - 1
            self.hidden[rows] = self.batch.append(new)[ends]
