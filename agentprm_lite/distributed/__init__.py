"""The same loop under torchrun: ranks, shards of tasks, merged files."""

from agentprm_lite.distributed.fit import Ranks

__all__ = ["Ranks"]
