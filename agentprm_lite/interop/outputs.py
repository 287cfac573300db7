"""Where commands write: names are checked before any work starts, files appear whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile


def run_folder(name: str | Path) -> Path:
    """The folder of a run that goes on where it was stopped.

    Args:
        name: what the user gave.

    Returns:
        The path; nothing is made yet.

    Raises:
        ValueError: the name is empty, a file's or a repository's.
    """
    path = _named(name)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file, expected the name of a folder")
    if (path / ".git").exists():
        raise ValueError(f"{path} is the root of a repository, expected a folder of its own")
    return path


def new_folder(name: str | Path) -> Path:
    """A folder to write to.

    Args:
        name: what the user gave.

    Returns:
        The path; nothing is made yet.

    Raises:
        ValueError: the name is empty, a file's or a repository's, or the folder holds something.
    """
    path = run_folder(name)
    if path.is_dir() and any(path.iterdir()):
        raise ValueError(
            f"{path} is a folder that isn't empty, expected a new folder: nothing was written"
        )
    return path


def new_file(name: str | Path, *, sources: Sequence[str | Path] = ()) -> Path:
    """A file to write to; one that exists is replaced.

    Args:
        name: what the user gave.
        sources: files that must not be replaced.

    Returns:
        The path.

    Raises:
        ValueError: the name is empty, a folder's or a device's, or one of the sources.
    """
    path = _named(name)
    if path.is_dir() or str(name).endswith(("/", os.sep)):
        raise ValueError(f"{path} is a folder, expected the name of a file")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a device or a pipe, expected the name of a file")
    if any(path.resolve() == Path(source).resolve() for source in sources):
        raise ValueError(f"{path} is what is read, expected another file to write to")
    return path


def write_whole(path: Path, text: str | bytes) -> None:
    """Write a file that is whole or not there at all; a link stays one."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as f:
        f.write(text.encode() if isinstance(text, str) else text)
        f.flush()
        os.fsync(f.fileno())
    new.replace(path)


def _named(name: str | Path) -> Path:
    if not str(name).strip():
        raise ValueError("the name of the output is empty")
    path = Path(name)
    if "\0" in str(name):
        raise ValueError(f"the name of the output is {str(name)!r}, which has a null character")
    try:
        above = next((p for p in path.absolute().parents if p.exists()), path)
        if above.is_dir():  # permissions don't say whether something can be made there
            TemporaryFile(dir=above).close()
        path.exists()
    except OSError as err:
        raise ValueError(f"{str(path)[:60]} can't be made: {err.strerror}") from err
    if not above.is_dir():
        raise ValueError(f"{path} can't be made: {above} is a file")
    return path
