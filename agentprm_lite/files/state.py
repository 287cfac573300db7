"""The state of a training that may be cut off: one file, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """A folder from which an interrupted training goes on, as if it had not been interrupted.

    ``sft``, ``rft``, ``train_reward_model`` and ``train_ppo`` take it as ``checkpoint``. The state
    of another run is refused, and when a run has ended none is left. Under torchrun all ranks need
    one folder that they share.
    """

    folder: str | Path  #: Made if absent; one run at a time.

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.folder) / "state.safetensors"

    def load(self, run: Mapping[str, Any]) -> tuple[dict[str, Tensor], Any] | None:
        """Tensors and record of a run, None if nothing was saved.

        A broken file and that of another run are a ValueError that names it.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as f:
                metadata = f.metadata() or {}
        except SafetensorError as err:
            raise ValueError(
                f"{self.path} can't be read ({err}), expected the state of a training; remove it, "
                "and the training begins anew"
            ) from err
        saved = json.loads(metadata.get("run", "{}"))
        other = [
            f"{name} ({saved.get(name)} there, {value} here)"
            for name, value in json.loads(_text(run)).items()
            if saved.get(name) != value
        ]
        if other:
            raise ValueError(
                f"{self.path} belongs to another run, which differs in {', '.join(other)}; give "
                "another folder or remove this file"
            )
        return load_file(self.path), json.loads(metadata["record"])

    def save(self, run: Mapping[str, Any], tensors: Mapping[str, Tensor], record: Any) -> None:
        """Replace a state; a crash at any moment leaves the old one or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name("state.new")
        metadata = {"record": _text(record), "run": _text(run)}
        save_file({k: v.contiguous() for k, v in tensors.items()}, new, metadata=metadata)
        to_disk(new)
        os.replace(new, self.path)
        to_disk(self.path.parent)

    def remove(self) -> None:
        """The run is over: nothing of its state stays."""
        self.path.unlink(missing_ok=True)


def _text(data: Any) -> str:
    """Plain data as JSON, with numbers of numpy's, too."""
    return json.dumps(data, default=lambda n: n.item())


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would outlive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
