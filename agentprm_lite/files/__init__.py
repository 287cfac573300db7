"""What is kept on the disk: trajectories as JSON lines, the state of a training that can go on.

The core computes, and reads and writes no file.
"""

from agentprm_lite.files.collecting import all_jobs, collect, play_jobs
from agentprm_lite.files.state import Checkpoint, to_disk
from agentprm_lite.files.trajectories import append_jsonl, from_line, read_jsonl, to_line

__all__ = [
    "Checkpoint",
    "all_jobs",
    "append_jsonl",
    "collect",
    "from_line",
    "play_jobs",
    "read_jsonl",
    "to_disk",
    "to_line",
]
