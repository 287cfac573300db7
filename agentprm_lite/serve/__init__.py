"""Policies and worlds on servers: OpenAI-compatible completions, AgentGym.

Names are imported when they are used: sampling needs the extra [serve], AgentGym's worlds don't.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentprm_lite.serve.openai import ServerPlayer

__all__ = ["ServerPlayer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agentprm_lite.serve import openai

    return getattr(openai, name)
