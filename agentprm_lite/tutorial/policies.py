"""A policy of a profile, and what plays it: this process, or servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agentprm_lite import fast
from agentprm_lite.hub import ChatFormat, load_policy
from agentprm_lite.sampling import PlainPlayer, Player
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.tutorial.tasks import sampling_config


@dataclass(frozen=True)
class Policy:
    """A policy of a profile."""

    folder: Path
    """Checkpoint, an ordinary Hugging Face folder."""
    chat: ChatFormat
    """Its chat format."""
    profile: Profile
    """The profile that it belongs to."""


def player(actor: Policy, temperature: float) -> PlainPlayer:
    """A policy, loaded and ready to play; temperature 0 is greedy."""
    config = sampling_config(actor.profile, temperature)
    return fast.player(load_policy(actor.folder), actor.chat, config, actor.folder.name)


def remote_player(actor: Policy, temperature: float, servers: Sequence[str]) -> Player:
    """A policy on servers that serve its folder; a batch is spread over them."""
    from agentprm_lite.serve import ServerPlayer  # needs the extra [serve]

    config, name = sampling_config(actor.profile, temperature), actor.folder.name
    each = -(-actor.profile.batch // len(servers))
    return ServerPlayer(servers, actor.chat, config, name, in_flight=each)


def player_on(servers: Sequence[str]) -> Callable[[Policy, float], Player] | None:
    """What plays on servers; None if none is named."""
    return partial(remote_player, servers=servers) if servers else None
