"""Artifacts are made once, from the right tasks; the study and the command line use them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agentprm_lite.chat import ChatFormat
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.models import load_chat
from agentprm_lite.rollout import demonstrate
from agentprm_lite.tutorial import artifacts, stages, tasks
from agentprm_lite.tutorial.profiles import CPU, SMOKE, get_profile
from agentprm_lite.tutorial.tiny import translate
from agentprm_lite.worlds.textcraft.env import TextCraft
from agentprm_lite.worlds.textcraft.exchange import FAMILIES, exchange


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path))
    return tmp_path


def test_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'big' is unknown, expected one of \['auto', 'cpu', 'g"):
        get_profile("big")


def test_goals_of_training_and_test_are_apart() -> None:
    demonstrated, rolled = tasks.train_tasks(CPU)
    held_out = {t.index for t in tasks.test_tasks(CPU)}
    assert len(held_out) == 72
    assert not held_out & {t.index for t in (*demonstrated, *rolled)}
    new = {t.index for t in rolled} - {t.index for t in demonstrated}
    assert len(new) == 348 - 300  # every goal without a demonstration is rolled out
    assert set(tasks.beam_tasks(CPU)) <= set(tasks.test_tasks(CPU))


def test_an_artifact_is_made_once(root: Path) -> None:
    first = stages.base(SMOKE)
    written = Path(first, "model.safetensors").stat().st_mtime_ns
    assert stages.base(SMOKE) == first
    assert Path(first, "model.safetensors").stat().st_mtime_ns == written
    assert Path(first).parent == root / "smoke" / "textcraft"


def test_artifacts_of_other_data_are_others(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def folder(env: str) -> Path:
        profile = get_profile("smoke", env)
        return artifacts.artifact(profile, "x", lambda folder: None, {})

    monkeypatch.delenv("AGENTPRM_WEBSHOP", raising=False)
    made_up, crafts = folder("webshop"), folder("textcraft")
    shops = [root / name for name in ("one", "same", "other")]
    for shop, text in zip(shops, ("a", "a", "b"), strict=True):
        shop.mkdir()
        (shop / "items.json").write_text(text)
    found = []
    for shop in shops:
        monkeypatch.setenv("AGENTPRM_WEBSHOP", str(shop))
        found.append(folder("webshop"))
        assert folder("textcraft") == crafts
    assert found[0] == found[1] and len({made_up, *found}) == 3


def test_an_interrupted_artifact_is_made_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stages, "make_tiny", fail)
        with pytest.raises(KeyboardInterrupt):
            stages.base(SMOKE)
    left = {p.suffix for p in (root / "smoke" / "textcraft").iterdir()}
    assert left == {".partial", ".lock"}
    assert Path(stages.base(SMOKE), "config.json").exists()


def test_unknown_policy(root: Path) -> None:
    with pytest.raises(ValueError, match="policy 'dpo' is unknown"):
        stages.policy(SMOKE, "dpo")


def test_exchange_keeps_families_and_identifiers() -> None:
    swap = exchange(5)
    for family in FAMILIES:
        assert sorted(swap(word) for word in family) == sorted(family)
    text = "Crafted 1 minecraft:dark_oak_planks"
    assert swap(text) == f"Crafted 1 minecraft:{swap('dark oak').replace(' ', '_')}_planks"
    assert swap("crafting redstone cookies") == "crafting redstone cookies"  # whole words only


def test_translated_demonstration_is_the_same_episode_in_other_words(root: Path) -> None:
    chat: ChatFormat = load_chat(stages.base(SMOKE))
    sampling = SamplingConfig(rules=False)
    demo = demonstrate(chat, TextCraft.tasks("train", levels=(2,))[:1], sampling)[0]
    same = translate(demo, chat, sampling, lambda text: text)
    assert (same.ids, same.spans, same.prompt_len) == (demo.ids, demo.spans, demo.prompt_len)
    swap = exchange(2)
    sampled = replace(demo, logprobs=(-1.0,) * sum(b - a for a, b in demo.spans))
    other = translate(sampled, chat, sampling, swap)
    assert other.logprobs == ()  # they belong to other ids
    assert other.actions == tuple(swap(a) for a in demo.actions) != demo.actions
    for (a, b), action in zip(other.spans, other.actions, strict=True):
        assert chat.decode(other.ids[a:b]) == action


def test_committed_results_name_their_command_commit_and_device() -> None:
    files = sorted((Path(__file__).parents[2] / "results").glob("study_*.json"))
    for path in files:
        data = json.loads(path.read_text())
        missing = {"command", "commit", "date", "device", "profile"} - set(data)
        assert not missing, f"{path.name} lacks {sorted(missing)}"
