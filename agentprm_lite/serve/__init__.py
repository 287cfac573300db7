"""Policies and worlds on servers: OpenAI-compatible completions, AgentGym.

Names are imported when they are used: sampling needs the extra [serve], AgentGym's worlds don't.
"""

from typing import TYPE_CHECKING, Any

from agentprm_lite.serve.address import check_url as check_url

if TYPE_CHECKING:
    from agentprm_lite.serve.openai import ServerPlayer

__all__ = ["ServerPlayer", "check_url"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from agentprm_lite.serve import openai
    except ModuleNotFoundError as err:
        install = 'pip install "agentprm-lite[serve] @ git+https://github.com/agentprm-lite/agentprm-lite"'
        message = f"sampling from servers needs openai: {install}"
        raise ModuleNotFoundError(message, name=err.name) from err
    return getattr(openai, name)
