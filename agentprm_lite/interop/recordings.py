"""Trajectories from the chat logs of an agent that acts somewhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentprm_lite.chat import ChatFormat
from agentprm_lite.types import Task, Trajectory, Usage


def from_messages(
    chat: ChatFormat,
    messages: Sequence[Mapping[str, Any]],
    reward: float | None,
    task: Task,
    *,
    sample: int = 0,
    policy: str = "recorded",
) -> Trajectory:
    """A recorded conversation as a trajectory that reward models learn from and score.

    The text is tokenized anew: where the agent's own ids are known and differ, log-probabilities
    and PPO need those, reward models don't.

    Args:
        chat: chat format of the reward model's base.
        messages: ``{"role": ..., "content": ...}`` with texts, ``user`` (what the agent is told:
            rules and task, then replies) and ``assistant`` (its turns) in turn, ``user`` first.
            A last reply may be left out.
        reward: what the episode earned, 0 to 1, where 1 is success; None if it isn't over, which
            is enough for scoring, and in training makes its labels bootstrap at the end.
        task: what was asked; attempts at one task share it.
        sample: number of the attempt at this task.
        policy: name of the agent.

    Returns:
        The trajectory, with the reward at its last turn and no log-probabilities.

    Raises:
        ValueError: the messages don't alternate, one isn't text, there is no turn, or the reward
            is out of range.

    Example:
        >>> from agentprm_lite.models import tiny_tokenizer
        >>> log = [{"role": "user", "content": "Open the vault."},
        ...        {"role": "assistant", "content": "Action: turn 3"}]
        >>> chat = ChatFormat(tiny_tokenizer([m["content"] for m in log]))
        >>> from_messages(chat, log, 1.0, Task("vault", 0)).success
        True
    """
    texts = [_text(i, message) for i, message in enumerate(messages)]
    if len(texts) < 2:
        raise ValueError(f"{len(texts)} messages, expected a user's and an assistant's at least")
    if reward is not None and not 0 <= reward <= 1:
        raise ValueError(f"reward is {reward}, expected 0 to 1 or None")
    observations, actions = texts[::2], texts[1::2]
    ids, spans = chat.episode_ids(observations, actions)
    over = reward is not None
    return Trajectory(
        task=task,
        sample=sample,
        seed=0,
        ids=tuple(ids),
        prompt_len=spans[0][0],
        spans=tuple(spans),
        logprobs=(),
        actions=tuple(actions),
        observations=(*observations, "")[: len(actions) + 1],
        rewards=(*[0.0] * (len(actions) - 1), reward or 0.0),
        terminated=over,
        truncated=not over,
        truncated_by="" if over else "tokens",
        final=over,
        success=reward == 1,
        usage=Usage(),
        policy=policy,
    )


def _text(i: int, message: Mapping[str, Any]) -> str:
    role, expected = message.get("role"), ("user", "assistant")[i % 2]
    if role != expected:
        hint = "; put a system message's text into the first user message" * (role == "system")
        raise ValueError(f"message {i} has the role {role!r}, expected {expected!r}{hint}")
    if not isinstance(message.get("content"), str):
        raise ValueError(f"message {i} has the content {message.get('content')!r}, expected a text")
    return str(message["content"])
