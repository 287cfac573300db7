"""The fast player: many episodes at once, every token computed once.

The episodes of a batch sample one token each in every pass, each at its own place in its own turn;
one whose turn is over reads the environment's reply in the next. Keys and values stay from the
first token of the prompt to the last action, finished episodes leave the batch, and samples of one
task and branches of a beam share what they have in common. What is shared is counted for the first
episode that uses it, so that the counts of a task don't depend on the other tasks.

Shape legend: B episodes, E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentprm_lite.chat import Chat
from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.fast.rows import Rows, packed
from agentprm_lite.sampling import PlainPlayer, Turn
from agentprm_lite.types import Trajectory, Usage


class FastPlayer(PlainPlayer):
    """A Hugging Face policy in this process that computes no token twice.

    Between two calls of :meth:`act` it keeps the keys and values of the episodes of the first:
    their forks, and they themselves, go on from there. :meth:`run` keeps nothing.

    Args:
        model: a causal language model, see :class:`agentprm_lite.fast.kvbatch.KVBatch`. After a
            change of its weights call :meth:`drop`.
        chat: its chat format.
        config: how to sample.
        policy: name that the trajectories carry.

    Raises:
        ValueError: ``config.max_context`` exceeds what the model can read, or the model allows no
            such cache.
    """

    def __init__(
        self, model: Any, chat: Chat, config: SamplingConfig, policy: str = "policy"
    ) -> None:
        super().__init__(model, chat, config, policy)
        self.drop()

    def drop(self) -> None:
        """Forget all keys and values."""
        self.rows = Rows(self.model)

    @torch.no_grad()
    def act(self, episodes: Sequence[Episode]) -> None:
        """Play one turn of every episode; one that is done, or without room, is left alone."""
        going = [episode for episode in episodes if episode.goes_on(self.config)]
        if not going:
            return
        hidden = self._read(going)
        turns = [Turn() for _ in going]
        live = list(range(len(going)))
        while live:
            self._speak(going, turns, live, self.rows.batch.head(hidden[live]))
            live = [k for k in live if not turns[k].over]
            new: list[list[int]] = [[] for _ in going]
            for k in live:
                new[k] = turns[k].tokens[-1:]
            self._append(new, hidden)
        for episode, turn in zip(going, turns, strict=True):
            episode.step(turn.tokens, turn.logprobs, self.chat)
        lengths = self.rows.batch.lengths.tolist()  # a turn's last token isn't computed yet
        self.rows.held = [packed(e.ids[:n]) for e, n in zip(going, lengths, strict=True)]

    @torch.no_grad()
    def run(self, episodes: Sequence[Episode]) -> list[Trajectory]:
        """Play episodes at any state to their end; trajectories in the same order."""
        self.drop()  # what was played before changes no counts
        active = [episode for episode in episodes if episode.goes_on(self.config)]
        if active:
            hidden, turns = self._read(active), [Turn() for _ in active]
            self.rows.held = []  # rows move below, and an error leaves them anywhere
        while active:
            live = [k for k, episode in enumerate(active) if not episode.done]
            if len(live) < 0.7 * len(active):  # leave out episodes that are over
                live.sort(key=lambda k: len(active[k].ids))
                self.rows.batch.select(live)
                active, turns = [active[k] for k in live], [turns[k] for k in live]
                hidden = hidden[torch.as_tensor(live, dtype=torch.long)]
                continue
            self._speak(active, turns, live, self.rows.batch.head(hidden[live]))
            new: list[list[int]] = [[] for _ in active]
            for k in live:
                episode, turn = active[k], turns[k]
                new[k] = turn.tokens[-1:]
                if turn.over:
                    reply = episode.step(turn.tokens, turn.logprobs, self.chat)
                    turns[k] = Turn()
                    if episode.goes_on(self.config):
                        new[k] += reply
                        known = len(episode.ids) - len(reply)
                        episode.usage += Usage(prefilled=len(reply), cached=known)
                    else:
                        new[k] = []
            self._append(new, hidden)
        self.drop()
        return [episode.trajectory(self.policy) for episode in episodes]

    def _read(self, episodes: Sequence[Episode]) -> Tensor:
        """Rows for some episodes: the state of each one's last token."""
        goes_on = bool(self.rows.held)
        hidden, computed = self.rows.read([episode.ids for episode in episodes])
        for episode, new in zip(episodes, computed, strict=True):
            # a turn's last token is computed with the reply, and counted as generated
            new -= goes_on and new == len(episode.ids) - episode.last_end + 1
            episode.usage += Usage(prefilled=new, cached=len(episode.ids) - new)
        return hidden

    def _append(self, new: Sequence[Sequence[int]], hidden: Tensor) -> None:
        """Compute new tokens, and keep the last state of every row that has some."""
        rows = [k for k, tokens in enumerate(new) if tokens]
        if rows:
            ends = np.cumsum([len(new[k]) for k in rows]) - 1
            hidden[rows] = self.rows.batch.append(new)[ends]
