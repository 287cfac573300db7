"""The same loop under torchrun: ranks, shards of tasks, merged files."""

from agentprm_lite.distributed.files import collect, merge
from agentprm_lite.distributed.fit import Ranks
from agentprm_lite.distributed.ranks import Place, agree, alone, place, wait

__all__ = ["Place", "Ranks", "agree", "alone", "collect", "merge", "place", "wait"]
