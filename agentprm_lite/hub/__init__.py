"""Models of any family: chat templates taken apart, checkpoints read and written."""

from agentprm_lite.hub.checkpoints import (
    Base,
    load_chat,
    load_policy,
    load_reward_model,
    new_reward_model,
    save_adapter,
    save_policy,
    weights_fingerprint,
)
from agentprm_lite.hub.format import ChatFormat, checksum
from agentprm_lite.hub.loading import default_device, default_dtype, read, where

__all__ = [
    "Base",
    "ChatFormat",
    "checksum",
    "default_device",
    "default_dtype",
    "load_chat",
    "load_policy",
    "load_reward_model",
    "new_reward_model",
    "read",
    "save_adapter",
    "save_policy",
    "weights_fingerprint",
    "where",
]
