"""Where and when numbers were made."""

from __future__ import annotations

import datetime
import platform
import subprocess
from pathlib import Path

import torch


def commit(folder: Path) -> str:
    """Short hash of a working tree's commit, with "-dirty" if a tracked file outside results/
    differs from it (a command may write several results); "unknown" outside a repository."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    head = git("rev-parse", "--short", "HEAD").stdout.strip()
    changed = git("diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)results").returncode
    return head + "-dirty" * bool(changed) if head else "unknown"


def provenance() -> dict[str, str]:
    """Commit, date, device and versions."""
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    return {
        "commit": commit(Path(__file__).parent),
        "date": datetime.date.today().isoformat(),
        "device": device,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
