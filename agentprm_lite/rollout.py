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
        if tuple(episode.ids) != trajectory.ids[:start]:
            raise ValueError(
                f"trajectory {trajectory.key}, step {t}: the player's history has other ids, "
                "expected the same model, chat format and rules"
            )
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
