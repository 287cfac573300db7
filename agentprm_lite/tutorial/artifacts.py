"""Artifacts: what a chapter needs, computed once, kept in a folder, and checked before it is used.

The folder's name ends in a key: a hash of what went in. A path among the inputs counts by what its
files hold, wherever they lie; the code that computes counts by what it does (see
:mod:`agentprm_lite.tutorial.code`). A finished artifact has a manifest with the size and checksum
of each of its files, and a file that isn't what the manifest says is an error that names it.

Under ``torchrun`` all ranks call :func:`artifact` and need one folder that they share.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from agentprm_lite.distributed import agree, alone, this_rank, wait
from agentprm_lite.env import env_class
from agentprm_lite.files import to_disk
from agentprm_lite.hub import checksum
from agentprm_lite.tutorial.code import code_hash, world_hash
from agentprm_lite.tutorial.profiles import Profile
from agentprm_lite.worlds import math as math_world
from agentprm_lite.worlds.webshop import env as webshop

logger = logging.getLogger(__name__)
MANIFEST = "manifest.json"
RECORDS = ("inputs.json", "made.json", "log.json")  # how it came about: no input of what follows
DATA_FOLDERS = {"webshop": webshop.FOLDER_VARIABLE, "gsm8k": math_world.FOLDER_VARIABLE}
_sums: dict[tuple[Any, ...], str] = {}  # checksums that this process has computed


class DamagedArtifactError(RuntimeError):
    """A file of a finished artifact isn't what was written."""


def artifacts_root() -> Path:
    """Folder of all artifacts: ``AGENTPRM_ARTIFACTS``, or ``artifacts`` in the repository.

    Returns:
        The folder; for an installed package it is ``artifacts`` in the working directory.
    """
    named = os.environ.get("AGENTPRM_ARTIFACTS")
    if named:
        return Path(named)
    repository = Path(__file__).resolve().parents[2]
    return (repository if (repository / "pyproject.toml").exists() else Path.cwd()) / "artifacts"


def artifact(
    profile: Profile,
    name: str,
    make: Callable[[Path], None],
    inputs: dict[str, Any],
    *,
    together: bool = False,
) -> Path:
    """Folder of an artifact; ``make(folder)`` fills it if it isn't there yet.

    An interrupted ``make`` is called again with the same folder, and may go on.

    Args:
        profile: its name and world are part of the path.
        name: what it is, such as ``"rollouts"``.
        make: a function inside the one that calls this; both count as the code that computes.
        inputs: everything that decides the outcome, as plain data; a path counts by its content.
        together: under ``torchrun`` all ranks call ``make`` and share the work; otherwise rank 0
            makes it while the others wait.

    Returns:
        The folder, checked.

    Raises:
        DamagedArtifactError: a file isn't what was written.
        FileNotFoundError: this rank doesn't see what rank 0 has made.
    """
    code = code_hash(((make.__module__, make.__qualname__.split(".")[0]),))
    world = world_hash(env_class(profile.env))
    if data := os.environ.get(DATA_FOLDERS.get(profile.env, "")):  # other files, other tasks
        inputs = {**inputs, "folder": Path(data)}
    inputs = {k: content(v) if isinstance(v, Path) else v for k, v in inputs.items()}
    text = json.dumps([name, code, world, inputs], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:10]
    folder = artifacts_root() / profile.name / profile.env / f"{name}-{key}"
    if not agree(folder.exists()):
        with _lock(folder) if this_rank().first else nullcontext():
            if not agree(folder.exists()):  # another process may have made it meanwhile
                _make(folder, make, inputs, together)
        wait()
    if not folder.exists():
        raise FileNotFoundError(
            f"rank 0 made {folder}, which rank {this_rank().rank} doesn't see: all ranks need one "
            "folder that they share, see AGENTPRM_ARTIFACTS"
        )
    check(folder)
    return folder


def _make(
    folder: Path, make: Callable[[Path], None], inputs: dict[str, Any], together: bool
) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    if together:
        make(partial)
    elif this_rank().first:
        with alone():
            make(partial)
    wait()
    if this_rank().first:
        write_json(partial / "inputs.json", inputs)
        from agentprm_lite.study import provenance  # study reads artifacts

        seconds = round(time.perf_counter() - started, 2)
        write_json(partial / "made.json", {"seconds": seconds, **provenance()})
        _seal(partial, folder)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One process at a time makes an artifact; the system frees the lock of one that dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("another process is making %s: waiting for it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
        if folder.exists():  # whoever waits for the lock finds it and makes nothing
            Path(lock.lock_file).unlink(missing_ok=True)


# --- what was written -----------------------------------------------------------------------------


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON; a number that isn't finite is an error."""
    path.write_text(json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n", "utf-8")


def _seal(partial: Path, folder: Path) -> None:
    """Write the manifest and give a finished artifact its name, all of it safe on the disk."""
    paths = sorted(p for p in partial.rglob("*") if p.is_file() and p.name != MANIFEST)
    files = {p.relative_to(partial).as_posix(): [p.stat().st_size, _sha256(p)] for p in paths}
    (partial / MANIFEST).write_text(_manifest(folder.name, files), "utf-8")
    for path in [*partial.rglob("*"), partial]:
        to_disk(path)
    os.replace(partial, folder)
    to_disk(folder.parent)


def _manifest(name: str, files: dict[str, list[Any]]) -> str:
    """The manifest's text, which holds a checksum of itself."""
    data: dict[str, Any] = {"artifact": name, "files": files}
    data["sha256"] = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return json.dumps(data, indent=1) + "\n"


def check(folder: Path) -> dict[str, str]:
    """Compare an artifact with its manifest: sizes always, checksums once in a process.

    Args:
        folder: of a finished artifact.

    Returns:
        The checksum of each of its files.

    Raises:
        DamagedArtifactError: names the file, what is wrong with it, and the folder to remove.
    """

    def damaged(name: str, what: str) -> DamagedArtifactError:
        return DamagedArtifactError(
            f"{folder / name} {what}: the artifact is damaged; remove the folder {folder}, and it "
            "is made anew"
        )

    try:
        text = (folder / MANIFEST).read_text("utf-8")
        files: dict[str, list[Any]] = json.loads(text)["files"]
        if text != _manifest(folder.name, files):
            raise ValueError("it isn't what was written")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(MANIFEST, f"can't be used ({error})") from None
    for name, (size, sha256) in files.items():
        path = folder / name
        if not path.is_file():
            raise damaged(name, "is missing")
        if path.stat().st_size != size:
            raise damaged(name, f"has {path.stat().st_size} bytes, {size} were written")
        if _sha256(path) != sha256:
            raise damaged(name, "has another checksum than what was written")
    return {name: sha256 for name, (_, sha256) in files.items()}


def content(path: Path) -> str:
    """Hash of what files hold, wherever they lie.

    Args:
        path: an artifact or a file in it; or any other folder, such as a base model's, of which the
            files directly in it count.

    Returns:
        64 hexadecimal digits. How an artifact came about, its log for one, isn't part of it.
    """
    if path.is_file():
        return check(path.parent)[path.name]
    if (path / MANIFEST).exists():
        sums = {k: v for k, v in check(path).items() if k not in RECORDS}
    else:
        files = [p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")]
        sums = {p.name: _sha256(p) for p in files}
    return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    """Checksum of a file; read once as long as size and time of change stay the same."""
    stat = path.stat()
    key = (os.path.abspath(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if key not in _sums:
        _sums[key] = checksum(path)
    return _sums[key]


# --- rows of an unfinished artifact ---------------------------------------------------------------


def append_row(path: Path, row: Any) -> None:
    """Add a line of JSON to a file, safe on the disk."""
    with path.open("a", encoding="utf-8") as f:
        f.write(json.dumps(row, allow_nan=False) + "\n")
        f.flush()
        os.fsync(f.fileno())


def read_rows(path: Path) -> list[Any]:
    """The lines of such a file; a last one that an interruption left unfinished is cut off."""
    text = path.read_text("utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, "utf-8")
    return [json.loads(line) for line in whole.splitlines()]
