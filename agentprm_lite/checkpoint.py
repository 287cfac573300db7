"""What an interrupted run goes on from: one file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor


def write_state(path: Path, tensors: Mapping[str, Tensor], run: Any, record: Any) -> None:
    """Replace a state; a crash at any moment leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name("state.new")
    metadata = {"record": json.dumps(record), "run": json.dumps(run)}
    save_file({k: v.contiguous() for k, v in tensors.items()}, new, metadata=metadata)
    _sync(new)
    os.replace(new, path)
    _sync(path.parent)


def read_state(path: Path, run: Mapping[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """Tensors and record of a run; those of another one are refused."""
    with safe_open(path, "pt") as f:
        metadata = f.metadata() or {}
    saved = json.loads(metadata.get("run", "{}"))
    other = [
        f"{name} ({saved.get(name)} there, {value} here)"
        for name, value in run.items()
        if saved.get(name) != value
    ]
    if other:
        raise ValueError(
            f"{path} belongs to another run, which differs in {', '.join(other)}; give another "
            "folder or remove this file"
        )
    return load_file(path), json.loads(metadata["record"])


def digest(data: Any) -> str:
    """Eight letters that tell plain data apart."""
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()[:8]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
