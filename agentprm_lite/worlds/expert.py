"""Demonstrations of a world's expert."""

from __future__ import annotations

from collections.abc import Sequence

from agentprm_lite.chat import Chat, react
from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.types import Task, Trajectory


def demonstrate(chat: Chat, tasks: Sequence[Task], config: SamplingConfig) -> list[Trajectory]:
    """Trajectories of the environment's expert, in the ids of a policy that will learn from them.

    Tasks that the expert can't finish within ``config``'s limits are left out.
    """
    out = []
    for task in tasks:
        episode = Episode.start(task, 0, 0, chat, config)
        while episode.goes_on(config):
            turn = chat.turn_ids(react(*episode.env.expert_action()))
            if len(turn) > config.max_new_tokens:
                break
            episode.step(turn, [], chat)
        if episode.success:
            out.append(episode.trajectory("expert"))
    return out
