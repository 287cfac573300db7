"""What an interrupted run goes on from: one file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

SAVE_SECONDS = 60.0  # a run that can be cut off loses about this much


class Checkpoint:
    """The state of an unfinished run in ``folder/state.safetensors``: tensors and a JSON record.

    ``run`` says which run it is: a state of another one is refused. Without a folder nothing is
    kept.
    """

    def __init__(self, folder: str | Path | None, run: Mapping[str, Any]) -> None:
        self.path = Path(folder) / "state.safetensors" if folder else None
        self.run = dict(run)
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether the last save was so long ago that another one is worth its time."""
        return time.monotonic() - self._saved >= SAVE_SECONDS

    def save(self, tensors: Mapping[str, Tensor], record: Any) -> None:
        """Replace the state; a crash at any moment leaves the old one or the new one."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name("state.new")
        metadata = {"record": json.dumps(record), "run": json.dumps(self.run)}
        save_file({k: v.contiguous() for k, v in tensors.items()}, new, metadata=metadata)
        _sync(new)
        os.replace(new, self.path)
        _sync(self.path.parent)
        self._saved = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], Any] | None:
        """Tensors and record of this run, if it has been here before."""
        if self.path is None or not self.path.exists():
            return None
        with safe_open(self.path, "pt") as f:
            metadata = f.metadata() or {}
        saved = json.loads(metadata.get("run", "{}"))
        other = [
            f"{name} ({saved.get(name)} there, {value} here)"
            for name, value in self.run.items()
            if saved.get(name) != value
        ]
        if other:
            raise ValueError(
                f"{self.path} belongs to another run, which differs in {', '.join(other)}; give "
                "another folder or remove this file"
            )
        return load_file(self.path), json.loads(metadata["record"])

    def clear(self) -> None:
        """The run is over: nothing of it stays."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def digest(data: Any) -> str:
    """Eight letters that tell plain data apart."""
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()[:8]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
