"""Chapter 11's programs for an exported reward model run as they stand there, on a tiny model."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jupytext
import numpy as np
import pytest
from helpers import SIZE, random_reward_model, tiny_folder

from agentprm_lite import RewardModel, Task, collect
from agentprm_lite.hub import load_chat
from agentprm_lite.interop import export, from_messages, load_exported
from agentprm_lite.types import Trajectory

CELLS = jupytext.read(Path(__file__).parents[2] / "notebooks" / "11_your_environment.py").cells
BASE = '"Qwen/Qwen2.5-0.5B-Instruct"'


def program(words: str) -> str:
    """The block of the chapter's text with some words."""
    text = "\n".join(c.source for c in CELLS if c.cell_type == "markdown")
    (code,) = (b for b in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S) if words in b)
    return code


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A tiny policy; in the working folder the chapter's world, and an exported reward model."""
    base = tiny_folder(tmp_path / "base", size=replace(SIZE, context=4096))
    export(random_reward_model(base), load_chat(base), tmp_path / "my-prm", kind="agentprm")
    world = [c.source for c in CELLS if c.cell_type == "code" and "class Vault" in c.source]
    assert len(world) == 4
    imports = "import random\nfrom agentprm_lite import TextEnv\n"
    (tmp_path / "vault.py").write_text(imports + "\n".join(world))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield base
    sys.modules.pop("vault", None)


def test_m_while_an_agent_is_running(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    messages = [{"role": "user", "content": "Goal: craft stick."},
                {"role": "assistant", "content": "get 2 planks"}]  # fmt: skip
    given = f"messages, tools = {messages}, []\n"
    Path("program.py").write_text(given + program("from_messages(chat, messages, None"))
    runpy.run_path("program.py")
    model, chat = load_exported("my-prm")
    run = from_messages(chat, messages, None, Task("any", 1))
    expected = RewardModel(model).score([run])[0].q[-1]
    assert float(capsys.readouterr().out.splitlines()[-1]) == pytest.approx(
        float(expected), abs=1e-6
    )


def test_a_beam_of_a_hub_policy_on_ones_own_world(base: Path) -> None:
    code = program("beam_search(")
    assert code.count(BASE) == 1 and "[:20]" in code
    Path("program.py").write_text(code.replace(BASE, repr(str(base))).replace("[:20]", "[:3]"))
    names = runpy.run_path("program.py")
    found = names["found"]
    played: list[Trajectory] = [f.trajectory for f in found]
    assert [t.task for t in played] == [Task("vault:Vault", k) for k in (900, 901, 902)]
    assert all(0 < f.score < 1 and t.num_steps for f, t in zip(found, played, strict=True))
    assert np.ptp([f.score for f in found]) > 0
    assert len(collect(names["actor"], names["tasks"], 2, "rollouts.jsonl")) == 6
