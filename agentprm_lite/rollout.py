"""Collecting trajectories: tasks × samples into a file, resumable after any crash."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from agentprm_lite.chat import TOO_MANY_ACTIONS, ChatFormat, react
from agentprm_lite.distributed.ranks import Place, place
from agentprm_lite.env import AGENTGYM, make_env
from agentprm_lite.episode import Episode, SamplingConfig
from agentprm_lite.sampling import Player
from agentprm_lite.types import Task, Trajectory, append_jsonl, read_jsonl

logger = logging.getLogger(__name__)


def collect(
    player: Player,
    tasks: Sequence[Task],
    samples: int,
    path: str | Path,
    *,
    seed: int = 0,
    batch: int = 128,
    shard: Place | None = None,
) -> list[Trajectory]:
    """Sample every task a number of times and write the trajectories to a file.

    The work is cut into fixed blocks of ``batch`` episodes, written in order. A run that finds
    whole blocks in the file goes on after them; what a crash left of an unfinished block is played
    again, with the same random streams, and only the missing lines are added. So the file ends up
    the same however often the run was killed.

    Several processes share the work by blocks: each writes the blocks of its rank to a file of its
    own, ``Place.part(path)``, and :func:`merge` joins them to the file that one process would have
    written.

    Of how the player samples, a file tells the prompts and the round limit; these are compared
    (not for worlds on a server). Temperature and limits of tokens are not told: give a policy that
    is sampled otherwise another name.

    Args:
        player: the policy.
        tasks: what to do.
        samples: episodes a task.
        path: trajectory file; continued if it exists.
        seed: of the random streams.
        batch: episodes that move together.
        shard: which part of the work to do; by default this process's under ``torchrun``, and all
            of it without.

    Returns:
        All trajectories of the file: sample 0..n-1 of the first task, then of the second, and so
        on; of a shard, its own.

    Raises:
        ValueError: the file holds trajectories of another run, or of other settings.
    """
    shard = place() if shard is None else shard
    path = shard.part(Path(path))
    jobs = [(task, sample) for task in tasks for sample in range(samples)]
    if shard.first and len(jobs) <= (shard.size - 1) * batch:
        logger.warning(
            "%d episodes in blocks of %d: some of the %d ranks have nothing to do; a smaller batch "
            "gives work to more of them",
            len(jobs),
            batch,
            shard.size,
        )
    jobs = shard.blocks(jobs, batch)
    done = read_jsonl(path) if path.exists() else []
    wanted = [(task, sample, seed, player.policy) for task, sample in jobs]
    found = [(t.task, t.sample, t.seed, t.policy) for t in done]
    if found != wanted[: len(found)]:
        first = next(i for i, job in enumerate(found) if i >= len(wanted) or job != wanted[i])
        other = done[first]
        raise ValueError(
            f"{path}, line {first + 1}: holds {other.key} with seed {other.seed} of policy "
            f"{other.policy!r}, which isn't what this run of policy {player.policy!r} with seed "
            f"{seed} would write there; give another file or remove this one"
        )
    _check_settings(player, path, done)
    hidden = None if place().first else True
    with tqdm(total=len(jobs), initial=len(done), desc=path.stem, disable=hidden) as bar:
        first = len(done) // batch * batch if len(done) < len(jobs) else len(jobs)
        for start in range(first, len(jobs), batch):
            block = jobs[start : start + batch]
            played = player.run([player.start(task, sample, seed) for task, sample in block])
            new = played[max(0, len(done) - start) :]
            append_jsonl(path, new)
            done += new
            bar.update(len(new))
    return done


def merge(
    path: str | Path,
    keys: Sequence[str],
    size: int,
    key: Callable[[Trajectory], str] = lambda t: t.key,
) -> list[Trajectory]:
    """Join the files of all ranks to the file that one process would have written.

    The ranks' files stay. A crash leaves the old file, or none, or the new one.

    Args:
        path: the file to write; rank r of ``size`` wrote ``Place(r, size).part(path)``.
        keys: what the file has to hold, in its order.
        size: number of ranks.
        key: of a trajectory.

    Returns:
        All trajectories.

    Raises:
        ValueError: a trajectory is missing, there twice or not wanted; names the keys.
    """
    path = Path(path)
    parts = [Place(rank, size).part(path) for rank in range(size)]
    played = [t for part in parts if part.exists() for t in read_jsonl(part)]
    found = Counter(key(t) for t in played)
    wanted = set(keys)
    wrong = {
        "missing": [k for k in keys if k not in found],
        "there twice": [k for k, n in found.items() if n > 1],
        "not wanted": [k for k in found if k not in wanted],
    }
    said = [
        f"{len(ks)} {what} ({', '.join(ks[:5])}{', ...' * (len(ks) > 5)})"
        for what, ks in wrong.items()
        if ks
    ]
    if said:
        raise ValueError(
            f"{path}: of {len(keys)} trajectories in the files of {size} ranks {'; '.join(said)}. "
            "Let every rank finish collecting, with the same tasks and settings, or remove its file"
        )
    by_key = {key(t): t for t in played}
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    append_jsonl(new, [by_key[k] for k in keys])
    os.replace(new, path)
    return [by_key[k] for k in keys]


def _check_settings(player: Player, path: Path, done: Sequence[Trajectory]) -> None:
    """Compare recorded episodes with those that the player would begin, one an environment."""
    remedy = "give another file or remove this one"
    here = [t for t in reversed(done) if not t.task.env.startswith(AGENTGYM)]
    for env, t in {t.task.env: t for t in here}.items():
        new = player.start(t.task, t.sample, t.seed)
        if tuple(new.ids) != t.ids[: t.prompt_len]:
            raise ValueError(
                f"{path}: the prompt of {t.key} isn't what this run would begin with (rules, chat "
                f"format or environment are others); {remedy}"
            )
        limit = new.env.max_rounds
        for o in done:
            cut = o.truncated_by == "rounds" and o.num_steps < limit
            if o.task.env == env and (cut or o.num_steps > limit):
                raise ValueError(
                    f"{path}: {o.key} has {o.num_steps} rounds{' and was cut there' * cut}, the "
                    f"limit of this run is {limit}; {remedy}"
                )


def demonstrate(
    chat: ChatFormat, tasks: Sequence[Task], config: SamplingConfig, *, seed: int = 0
) -> list[Trajectory]:
    """Trajectories of the environment's expert, in the ids of a policy.

    Args:
        chat: chat format of the policy that will learn from them.
        tasks: what to do.
        config: whether the rules are shown, and the most tokens of a history.
        seed: kept in the record; the expert is deterministic.

    Returns:
        One successful trajectory a task; tasks that the expert can't finish within the limits are
        left out.
    """
    out = []
    for task in tasks:
        episode = Episode.start(task, 0, seed, chat, config)
        while not episode.done:
            tokens = chat.turn_ids(react(*episode.env.expert_action()))
            episode.step(tokens, [], chat)
        if episode.success and len(episode.ids) <= config.max_context:
            out.append(episode.trajectory("expert"))
    return out


def translate(
    trajectory: Trajectory, chat: ChatFormat, config: SamplingConfig, words: Callable[[str], str]
) -> Trajectory:
    """A demonstration in other words, for training only.

    Args:
        trajectory: a demonstration; it isn't changed.
        chat: chat format of the policy that will learn from it.
        config: whether the rules are shown.
        words: from text to text.

    Returns:
        The demonstration with all observations and turns translated and tokenized.
    """
    env = make_env(trajectory.task.env)
    rules = (env.instructions, env.acknowledgement) if config.rules else None
    observations = [words(text) for text in trajectory.observations]
    actions = [words(text) for text in trajectory.actions]
    ids, spans = chat.episode_ids(observations, actions, rules)
    return replace(
        trajectory,
        ids=tuple(ids),
        prompt_len=spans[0][0],
        spans=tuple(spans),
        logprobs=(),  # nobody has sampled these ids
        actions=tuple(actions),
        observations=tuple(observations),
        policy="expert, translated",
    )


def vocabulary(tasks: Sequence[Task]) -> list[str]:
    """Texts that together hold every word of some tasks, for the tiny model's tokenizer.

    Args:
        tasks: the tasks.

    Returns:
        First observations, the turns and replies of the expert, and the replies to mistakes.
    """
    texts = [TOO_MANY_ACTIONS]
    for task in {task.env: task for task in tasks}.values():
        env = make_env(task.env)
        env.reset(options={"index": task.index})
        texts += [env.step(action)[0] for action in env.clumsy_actions] + [*env.rare_replies]
    for task in tasks:
        env = make_env(task.env)
        observation, _ = env.reset(options={"index": task.index, "variant": task.variant})
        texts.append(observation)
        ended = False
        while not ended:
            thought, action = env.expert_action()
            observation, _, terminated, truncated, _ = env.step(action)
            texts += [react(thought, action), observation]
            ended = terminated or truncated
    return texts


def continue_from(player: Player, trajectory: Trajectory, samples: int) -> list[list[Trajectory]]:
    """Monte Carlo rollouts: play on from the state after each action of a trajectory.

    The environment is brought to each state by playing the trajectory's actions again; the history
    is the trajectory's own ids, computed once for all states.

    Args:
        player: the policy.
        trajectory: its states are the starting points.
        samples: rollouts a state.

    Returns:
        For each of the T actions the rollouts; after the last action of a finished episode there is
        nothing to play, and its outcome stands for all of them.

    Raises:
        ValueError: the environment answers otherwise than recorded.
    """
    episode = player.start(trajectory.task, trajectory.sample, trajectory.seed)
    starts: list[Episode] = []
    for t, (start, end) in enumerate(trajectory.spans):
        episode.step(list(trajectory.ids[start:end]), [], player.chat)
        if episode.observations[-1] != trajectory.observations[t + 1]:
            raise ValueError(
                f"trajectory {trajectory.key}, step {t}: the environment answers "
                f"{episode.observations[-1]!r}, the record says {trajectory.observations[t + 1]!r}"
            )
        starts += [episode.fork(k, stream=trajectory.sample) for k in range(samples)]
    played = player.run(starts)
    return [played[i : i + samples] for i in range(0, len(played), samples)]
