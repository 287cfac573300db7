"""Players: what a policy is played by, and the plain one that any model can use.

:mod:`agentprm_lite.fast` has a player that computes no token twice, and its function ``player``
chooses it wherever the model allows; :mod:`agentprm_lite.serve` has one for policies on servers.
All draw every token of an episode from the episode's own random stream. In floating point a cache
or a batch changes logits in the last digits; only where a random number falls that close to the
border of two tokens can two players' trajectories differ.

Shape legend: B episodes, V tokens in the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from agentprm_lite.chat import Chat
from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.forward import context_limit, inner_model
from agentprm_lite.types import Task, Trajectory, Usage


class Player(Protocol):
    """What plays episodes of one policy."""

    policy: str  #: Name that the trajectories carry.
    chat: Chat  #: The policy's chat format.
    config: SamplingConfig  #: How it is sampled.

    def start(self, task: Task, sample: int, seed: int) -> Episode:
        """An episode of a task, in this policy's format and without steps."""
        return Episode.start(task, sample, seed, self.chat, self.config)

    def act(self, episodes: Sequence[Episode]) -> None:
        """Play one turn of every episode; one that is done, or without room, is left alone."""

    def run(self, episodes: Sequence[Episode]) -> list[Trajectory]:
        """Play episodes at any state to their end; trajectories in the same order."""
        while any(episode.goes_on(self.config) for episode in episodes):
            self.act(episodes)
        return [episode.trajectory(self.policy) for episode in episodes]


class PlainPlayer(Player):
    """A Hugging Face policy in this process, turn by turn through ``generate``.

    Every turn reads its whole history. Histories of one length go together, so nothing is padded.
    The model must be able to read ``config.max_context`` tokens.
    """

    def __init__(
        self, model: Any, chat: Chat, config: SamplingConfig, policy: str = "policy"
    ) -> None:
        limit = context_limit(model.config)
        if config.max_context > limit:
            raise ValueError(f"max_context is {config.max_context}, the model reads {limit} tokens")
        self.model, self.chat, self.config, self.policy = model.eval(), chat, config, policy

    def act(self, episodes: Sequence[Episode]) -> None:
        """Play one turn of every episode; one that is done, or without room, is left alone."""
        by_length: dict[int, list[Episode]] = {}
        for episode in episodes:
            if episode.goes_on(self.config):
                by_length.setdefault(len(episode.ids), []).append(episode)
        for same in by_length.values():
            for episode, turn in zip(same, self._generate(same), strict=True):
                episode.usage += Usage(prefilled=len(episode.ids))
                episode.step(turn.tokens, turn.logprobs, self.chat)

    @torch.no_grad()
    def _generate(self, episodes: Sequence[Episode]) -> list[Turn]:
        """A turn of each of some episodes with histories of one length."""
        net, turns = inner_model(self.model), [Turn() for _ in episodes]

        def draw(_: Tensor, scores: Tensor) -> Tensor:
            """Has ``generate`` take the tokens that the episodes' random streams say."""
            live = [k for k, turn in enumerate(turns) if not turn.over]
            self._speak(episodes, turns, live, scores[live])
            forced = torch.full_like(scores, -torch.inf)
            forced[torch.arange(len(turns)), [turn.tokens[-1] for turn in turns]] = 0
            return forced

        def over(*_: Any, **__: Any) -> Tensor:
            return torch.tensor([turn.over for turn in turns], device=net.device)

        ids = torch.tensor([episode.ids for episode in episodes], device=net.device)
        own, net.generation_config = net.generation_config, GenerationConfig()  # no penalties
        try:
            net.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=GenerationConfig(
                    do_sample=False, max_new_tokens=self.config.max_new_tokens, pad_token_id=0
                ),
                logits_processor=LogitsProcessorList([draw]),
                stopping_criteria=StoppingCriteriaList([over]),
            )
        finally:
            net.generation_config = own
        return turns

    def _speak(
        self, episodes: Sequence[Episode], turns: Sequence[Turn], live: list[int], logits: Tensor
    ) -> None:
        """Add a token to the turns that are live, drawn from each episode's random stream."""
        uniforms = np.array([episodes[k].rng.random() for k in live])
        tokens, logprobs = choose(logits, uniforms, self.config.temperature)
        for k, logp in zip(live, logprobs, strict=True):
            if not math.isfinite(logp):
                raise ValueError(
                    f"the policy's logits for episode {episodes[k].key}, turn "
                    f"{len(episodes[k].spans)}, token {len(turns[k].tokens)} aren't finite: its "
                    f"weights hold NaN, or overflow in {logits.dtype}; nothing of this turn is kept"
                )
        for k, token, logp in zip(live, tokens, logprobs, strict=True):
            turn = turns[k]
            turn.tokens.append(token)
            turn.logprobs.append(logp)
            turn.over = token in self.chat.end_ids or len(turn.tokens) == self.config.max_new_tokens


@dataclass
class Turn:
    """The tokens of a turn under way."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    over: bool = False


def choose(
    logits: Tensor, uniforms: np.ndarray, temperature: float
) -> tuple[list[int], list[float]]:
    """Sample one token a row by inverting the cumulative distribution."""
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
