"""Playing on from every state of a trajectory."""

from __future__ import annotations

from agentprm_lite.episode import Episode
from agentprm_lite.sampling import Player
from agentprm_lite.types import Trajectory


def continue_from(player: Player, trajectory: Trajectory, samples: int) -> list[list[Trajectory]]:
    """Monte Carlo rollouts: play on from the state after each of T actions, ``samples`` times each.

    The environment gets to each state by the trajectory's actions, and has to answer as recorded;
    the history has to be the trajectory's own ids. After the last action of a finished episode
    there is nothing to play, and its outcome stands for all rollouts.
    """
    episode = player.start(trajectory.task, trajectory.sample, trajectory.seed)
    starts: list[Episode] = []
    for t, (start, end) in enumerate(trajectory.spans):
        at = f"trajectory {trajectory.key}, step {t}"
        if tuple(episode.ids) != trajectory.ids[:start]:
            raise ValueError(f"{at}: the history has other ids, expected the same chat and rules")
        episode.step(list(trajectory.ids[start:end]), [], player.chat)
        here, told = episode.observations[-1], trajectory.observations[t + 1]
        if here != told:
            raise ValueError(f"{at}: the environment answers {here!r}, the record says {told!r}")
        starts += [episode.fork(k, stream=trajectory.sample) for k in range(samples)]
    played = player.run(starts)
    return [played[i : i + samples] for i in range(0, len(played), samples)]
