"""The same loop under torchrun: ranks, shards of tasks, merged files."""

from agentprm_lite.distributed.files import collect, merge
from agentprm_lite.distributed.fit import Ranks
from agentprm_lite.distributed.ranks import Rank, agree, alone, this_rank, wait

__all__ = ["Rank", "Ranks", "agree", "alone", "collect", "merge", "this_rank", "wait"]
