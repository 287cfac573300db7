"""Artifacts are made once, from the right tasks; the study and the command line use them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agentprm_lite.episode import SamplingConfig
from agentprm_lite.hub import load_chat
from agentprm_lite.tutorial import artifacts, stages, tasks
from agentprm_lite.tutorial.corpus import part_of
from agentprm_lite.tutorial.profiles import CPU, SMOKE, get_profile
from agentprm_lite.worlds import demonstrate
from agentprm_lite.worlds.math import MathWorld
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
    held_out = tasks.test_tasks(CPU)
    three = [{t.index for t in part} for part in (demonstrated, rolled, held_out)]
    assert [len(part) for part in three] == [261, 60, 40]
    assert len(set.union(*three)) == 261 + 60 + 40
    assert set(tasks.beam_tasks(CPU)) <= set(tasks.test_tasks(CPU))


def test_where_no_demonstration_is_left_the_error_says_what_it_may_be(root: Path) -> None:
    p = replace(SMOKE, max_new_tokens=2)
    said = r"can be played in turns of 2 tokens and histories of \d+, or the expert failed in all"
    with pytest.raises(ValueError, match=said):
        stages.demonstrations_file(p)


def test_an_artifact_is_made_once(root: Path) -> None:
    first = stages.demonstrations_file(SMOKE)
    written = first.stat().st_mtime_ns
    assert stages.demonstrations_file(SMOKE) == first
    assert first.stat().st_mtime_ns == written
    assert first.parent.parent == root / "smoke" / "textcraft"


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
        patch.setattr(stages, "demonstrate", fail)
        with pytest.raises(KeyboardInterrupt):
            stages.demonstrations_file(SMOKE)
    left = {p.suffix for p in (root / "smoke" / "textcraft").iterdir()}
    assert left == {".partial", ".lock"}
    assert stages.demonstrations_file(SMOKE).exists()


def test_rows_of_an_interrupted_artifact_are_not_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full after the demonstrations were written."""
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "_seal", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            stages.demonstrations_file(SMOKE)
    keys = [t.key for t in stages.demonstrations(SMOKE)]
    assert len(set(keys)) == len(keys)


def test_another_base_has_no_judge_and_no_sizes_of_the_small_one() -> None:
    """Checkers read the small base's ids; WebShop's turns are longer elsewhere."""
    small, other = (get_profile("study", "math", base) for base in (None, "some/model"))
    assert (small.judge_base, other.judge_base) == ("checker", None)
    assert get_profile("cpu", "webshop", "some/model").judge_base is None
    assert other.rollout_tasks == small.rollout_tasks
    turns = [get_profile("cpu", "webshop", b).max_new_tokens for b in ("small-base", "some/model")]
    assert turns == [112, 192]
    assert get_profile("cpu", base="some/model") == replace(CPU, base="some/model")


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


def test_committed_results_name_their_command_commit_and_device() -> None:
    files = sorted((Path(__file__).parents[2] / "results").glob("study_*.json"))
    for path in files:
        data = json.loads(path.read_text())
        missing = {"command", "commit", "date", "device", "profile"} - set(data)
        assert not missing, f"{path.name} lacks {sorted(missing)}"


def test_judges_of_math_learn_from_all_training_templates() -> None:
    """Their rollouts have templates of both parts, none of a test, and numbers drawn anew."""
    p = get_profile("study", "math")
    demonstrated, rolled = tasks.train_tasks(p)
    parts = {part_of("math", task.index) for task in rolled}
    assert parts == {"judge", "practice"} and len(set(rolled)) == len(rolled) == 960
    assert len({MathWorld.family(task.index) for task in rolled}) == 48
    assert not set(demonstrated) & set(rolled)
    only = tasks.train_tasks(get_profile("study", "webshop"))[1]
    assert {part_of("webshop", task.index) for task in only} == {"judge"}


@pytest.mark.parametrize("env", ["textcraft", "babyai", "webshop", "math"])
def test_a_policy_may_finish_every_turn_that_it_is_shown(env: str) -> None:
    """At 64 tokens a third of WebShop's demonstrations had turns that were cut when played."""
    p = get_profile("study", env)
    chat, shown = load_chat(stages.base(p)), tasks.train_tasks(p)[0]
    free = SamplingConfig(max_new_tokens=1000, max_context=8000, rules=False)
    turns = [end - start for t in demonstrate(chat, shown, free) for start, end in t.spans]
    chapter = Path(__file__).parents[2] / "notebooks" / "10_four_worlds.py"
    said = f"its longest turn has {max(turns)} tokens" in chapter.read_text(encoding="utf-8")
    assert said == (env == "webshop")
    assert max(turns) <= min(p.max_new_tokens, get_profile("cpu", env).max_new_tokens)


@pytest.mark.network
@pytest.mark.parametrize("env", ["textcraft", "babyai", "webshop", "math"])
def test_so_may_smollm2(env: str, smollm2: str) -> None:
    """Its tokenizer makes other lengths: at 64 or 128 tokens most or many of WebShop's were cut."""
    chat = load_chat(smollm2)
    for p in [get_profile(name, env) for name in ("llm", "t4", "gpu")]:
        shown = tasks.spread(tasks.train_tasks(p)[0], 24)
        fitting = tasks.sampling_config(p)
        free = replace(fitting, max_new_tokens=1000, max_context=20000)
        played = demonstrate(chat, shown, free)
        assert max(b - a for t in played for a, b in t.spans) <= p.max_new_tokens, p.name
        assert len(demonstrate(chat, shown, fitting)) >= 0.9 * len(played), p.name
