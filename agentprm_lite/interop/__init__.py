"""Logs of other agents in, models for other programs out.

Names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "commands": "add_commands add_log_options train_on_logs",
    "files": "read_logs",
    "exports": "export load_exported",
    "outputs": "new_file new_folder run_folder write_whole",
    "recordings": "from_messages trajectories",
}
_MODULE = {name: module for module, names in _WHERE.items() for name in names.split()}

__all__ = list(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE[name]}"), name)
