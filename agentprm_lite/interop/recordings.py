"""Trajectories from the chat logs of an agent that acts somewhere else."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

from agentprm_lite.hub import ChatFormat
from agentprm_lite.interop.logs import Log, read_reward
from agentprm_lite.interop.readers import read_messages, read_tools
from agentprm_lite.interop.render import trajectory
from agentprm_lite.types import Task, Trajectory

logger = logging.getLogger(__name__)


def from_messages(
    chat: ChatFormat,
    messages: Sequence[Any],
    reward: Any,
    task: Task,
    *,
    tools: Sequence[Any] = (),
    sample: int = 0,
    policy: str = "recorded",
) -> Trajectory:
    """A recorded conversation as a trajectory that reward models learn from and score.

    One assistant message with all its tool calls is one step. The text goes through the chat
    template and is tokenized anew: where the agent's own ids are known and differ,
    log-probabilities and PPO need those, reward models don't. What the template can't show is
    shown as text or left out, and said in the log once.

    Args:
        chat: chat format of the reward model's base.
        messages: OpenAI's or Anthropic's messages, or ShareGPT's conversations.
        reward: what the episode earned, 0 to 1, where 1 is success, as a number, a text or a
            boolean; None if it isn't known, which is enough for scoring, and is refused in
            training.
        task: what was asked; attempts at one task share it.
        tools: schemas of the agent's tools.
        sample: number of the attempt at this task.
        policy: name of the agent.

    Returns:
        The trajectory, with the reward at its last turn and no log-probabilities.

    Raises:
        ValueError: a message has an unknown shape, none is the assistant's, the reward is out of
            range, or the template can't show the conversation.

    Example:
        >>> from agentprm_lite.tutorial.tiny import tiny_tokenizer
        >>> log = [{"role": "user", "content": "Open the vault."},
        ...        {"role": "assistant", "content": "Action: turn 3"}]
        >>> chat = ChatFormat(tiny_tokenizer([m["content"] for m in log]))
        >>> from_messages(chat, log, 1.0, Task("vault", 0)).success
        True
    """
    read, left_out = read_messages(messages)
    name = f"{task.key}/{sample}"
    log = Log(
        tuple(read),
        source=f"trajectory {name}",
        task=task.key,
        id=name,
        reward=read_reward(reward),
        tools=read_tools(tools),
        left_out=tuple(left_out),
    )
    made, notes = trajectory(chat, log, task, sample=sample, policy=policy)
    for note, _ in notes:
        _say(note)
    return made


def trajectories(chat: ChatFormat, logs: Sequence[Log]) -> tuple[list[Trajectory], dict[str, int]]:
    """Logs as trajectories.

    A task's index is a hash of its name, the same in every call; attempts are numbered within
    their task as they come.

    Args:
        chat: chat format of the reward model's base.
        logs: from :func:`agentprm_lite.interop.files.read_logs`.

    Returns:
        One trajectory a log, and what is not as in the logs, with counts.

    Raises:
        ValueError: the template can't show some of the logs; names them all.
    """
    attempts: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    out, wrong = [], []
    for log in logs:
        task = Task("logs", _index(log.task))
        try:
            made, said = trajectory(chat, log, task, sample=attempts[log.task])
        except ValueError as err:
            wrong.append(str(err))
            continue
        attempts[log.task] += 1
        notes.update(dict(said))
        out.append(made)
    if wrong:
        raise ValueError(f"{len(wrong)} of {len(logs)} runs can't be shown: {'; '.join(wrong)}")
    return out, dict(notes)


def _index(name: str) -> int:
    """48 bits: two of ten thousand names share a number once in five million times."""
    return int(sha256(name.encode(errors="surrogatepass")).hexdigest()[:12], 16)


@lru_cache
def _say(note: str) -> None:
    """Said once."""
    logger.warning("not as in the logs: %s", note)
