"""Playing in memory: an expert's demonstrations, and on from every state of a trajectory."""

from __future__ import annotations

from collections.abc import Sequence

from agentprm_lite.chat import Chat, react
from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.sampling import Player
from agentprm_lite.types import Task, Trajectory


def demonstrate(chat: Chat, tasks: Sequence[Task], config: SamplingConfig) -> list[Trajectory]:
    """Trajectories of the environment's expert, in the ids of a policy that will learn from them.

    Tasks that the expert can't finish within ``config``'s limits are left out.
    """
    out = []
    for task in tasks:
        episode = Episode.start(task, 0, 0, chat, config)
        while not episode.done:
            episode.step(chat.turn_ids(react(*episode.env.expert_action())), [], chat)
        if episode.success and len(episode.ids) <= config.max_context:
            out.append(episode.trajectory("expert"))
    return out


def continue_from(player: Player, trajectory: Trajectory, samples: int) -> list[list[Trajectory]]:
    """Monte Carlo rollouts: play on from the state after each of T actions, ``samples`` times each.

    The environment gets to each state by the trajectory's actions, and has to answer as recorded;
    the history is the trajectory's own ids. After the last action of a finished episode there is
    nothing to play, and its outcome stands for all rollouts.
    """
    episode = player.start(trajectory.task, trajectory.sample, trajectory.seed)
    starts: list[Episode] = []
    for t, (start, end) in enumerate(trajectory.spans):
        episode.step(list(trajectory.ids[start:end]), [], player.chat)
        here, recorded = episode.observations[-1], trajectory.observations[t + 1]
        if here != recorded:
            raise ValueError(
                f"trajectory {trajectory.key}, step {t}: the environment answers {here!r}, the "
                f"record says {recorded!r}"
            )
        starts += [episode.fork(k, stream=trajectory.sample) for k in range(samples)]
    played = player.run(starts)
    return [played[i : i + samples] for i in range(0, len(played), samples)]
