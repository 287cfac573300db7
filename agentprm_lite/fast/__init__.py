"""Players and judges that compute no token twice, chosen where the model allows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from agentprm_lite.chat import Chat
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.fast.judging import FastJudge
from agentprm_lite.fast.play import FastPlayer
from agentprm_lite.fast.rows import check_rows
from agentprm_lite.prm import RewardModel
from agentprm_lite.sampling import PlainPlayer

__all__ = ["FastJudge", "FastPlayer", "judge", "player"]

logger = logging.getLogger(__name__)
T = TypeVar("T")


def player(model: Any, chat: Chat, config: SamplingConfig, policy: str = "policy") -> PlainPlayer:
    """The fastest player that a model allows; the log says, at INFO, if it is the plain one.

    Args:
        model: a causal language model.
        chat: its chat format.
        config: how to sample.
        policy: name that the trajectories carry.

    Returns:
        A :class:`FastPlayer`, or a :class:`agentprm_lite.sampling.PlainPlayer`.

    Raises:
        ValueError: ``config.max_context`` exceeds what the model can read.
    """
    return _chosen(model, "policy", FastPlayer, PlainPlayer)(model, chat, config, policy)


def judge(model: Any) -> RewardModel:
    """The fastest judge for a search that a reward model allows; see :func:`player`.

    Args:
        model: from :func:`agentprm_lite.hub.checkpoints.load_reward_model`.

    Returns:
        A :class:`FastJudge`, or a :class:`agentprm_lite.prm.RewardModel`.
    """
    return _chosen(model, "reward model", FastJudge, RewardModel)(model)


def _chosen(model: Any, what: str, fast: Callable[..., T], plain: Callable[..., T]) -> Any:
    reason = check_rows(model)
    if reason:
        logger.info("this %s is read the plain way, which is slower: %s", what, reason)
    return plain if reason else fast
