"""Small inputs after public reports, each run as it was written but for names that have moved.

They lie beside the reference data, in the folder `cases`, and aren't part of the repository.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("AGENTPRM_DATA", REPOSITORY.parent / "shared" / "data"))
CASES = DATA.parent / "cases"
MOVED = {
    "from agentprm_lite.export import": "from agentprm_lite.interop import",
    "from agentprm_lite.recordings import": "from agentprm_lite.interop import",
    "from agentprm_lite.train import RewardExample,": "from agentprm_lite import RewardExample,",
    ".openai_backend import": ".serve import ServerPlayer as",
    "agentprm_lite.sampling import HFBackend,": "agentprm_lite import PlainPlayer as HFBackend,",
    "from agentprm_lite.sampling import SamplingConfig": "from agentprm_lite import SamplingConfig",
    "from agentprm_lite.envs import make_env": "from agentprm_lite import make_env",
    "agentprm_lite.envs import TextCraft": "agentprm_lite.worlds.textcraft import TextCraft",
    "from agentprm_lite.envs.arithmetic import": "from agentprm_lite.worlds.math.arithmetic import",
    "from agentprm_lite.envs.mathworld import": "from agentprm_lite.worlds.math import",
    "from agentprm_lite.envs.gsm8k import": "from agentprm_lite.worlds.math.gsm8k import",
    "import agentprm_lite.train as tr": "import agentprm_lite.kinds as tr",
    ", batch_tokens=": ", microbatch_tokens=",
    "load_policy, make_tiny, TinySize": "load_policy",
    "load_chat, Lora, new_reward_model": "load_chat, new_reward_model",
    "models import Lora, load_chat": "models import load_chat",
    "from agentprm_lite.models": "from agentprm_lite import Lora\nfrom agentprm_lite.hub",
    "from agentprm_lite.chat import ChatFormat": "from agentprm_lite import ChatFormat",
    ".rollout import": ".tutorial.tiny import make_tiny, TinySize,",
    "ppo.ppo(": "ppo.train_ppo(",
    "agentprm_lite.types import Task, append_jsonl": "agentprm_lite import Task, append_jsonl",
    "agentprm_lite.types import Trajectory": "agentprm_lite.files import from_line, to_line",
    "Trajectory.from_json(t.to_json())": "from_line(to_line(t))",
}  # fmt: skip
#: The README's loop is `read_logs` now.
MOVED["return len(out)"] = "return len(out)\nfrom agentprm_lite import read_logs\n" + (
    "def readme(path): return len(read_logs([path]))"
)


def run(name: str, folder: Path) -> str:
    """What a case prints."""
    if not CASES.exists():
        pytest.skip(f"shared cases {CASES} not found (set AGENTPRM_DATA)")
    text = (CASES / name).read_text(encoding="utf-8")
    for old, new in MOVED.items():
        text = text.replace(old, new)
    (folder / name).write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{CASES}"}
    environment.pop("OPENAI_API_KEY", None)
    command = [sys.executable, str(folder / name)]
    done = subprocess.run(
        command, env=environment, cwd=CASES, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def said(text: str, pattern: str) -> int:
    return len(re.findall(pattern, text, re.M))


def test_a_date_in_the_template(tmp_path: Path) -> None:
    out = run("01_date_in_template.py", tmp_path)
    assert said(out, r"same ids: True$") == 1
    assert said(out, r"^\[load_reward_model next day\] returned: PeftModel") == 1
    one, two = re.findall(r"\[([\d.]+)\]", out.splitlines()[-1])
    assert one == two


def test_sentencepiece(tmp_path: Path) -> None:
    out = run("02b_sentencepiece.py", tmp_path)
    assert (said(out, "same ids: True$"), said(out, "same ids: False")) == (5, 0)
    assert said(out, r"turn decoded: 'turn 3 left' wanted 'turn 3 left'$") == 5


def test_mistrals_own_vocabularies(tmp_path: Path) -> None:
    if not (CASES / "mm").exists():
        pytest.skip(f"vocabularies {CASES / 'mm'} not found; the case says where they come from")
    out = run("02c_real_mistral_tokenizer.py", tmp_path)
    assert said(out, "same ids True; prompt as a server reads it True$") == 6


def test_logs_as_agents_write_them(tmp_path: Path) -> None:
    out = run("03_openai_logs.py", tmp_path)
    assert said(out, r"^\[tool call.*returned: turns \('calc\(\{\"e\": \"6\*7\"\}\)', ") == 3
    assert said(out, r"^\[legacy function_call\] returned: turns \('calc\(\{\}\)',\)$") == 1
    assert said(out, r"^\[refusal\] returned: turns \(\"I can't help with that.\",\)$") == 1
    for name in ("system first", "developer first", "text parts", "two users in a row",
                 "ShareGPT from/value", "image part", r"reasoning.*"):  # fmt: skip
        assert said(out, rf"^\[{name}\] returned: turns \('42',\)$") >= 1, name
    assert said(out, r"^\[weight 0\] ValueError: .* no message is a step of the agent") == 1
    assert said(out, r"^\[pydantic-like object\] ValueError: .*message\.model_dump\(\)") == 1
    assert said(out, r"^\[reward (True|1|'1'|'1\.0'|tensor\(1\.\))\] returned: True$") == 5
    assert said(out, r"^\[reward (-1\.0|100|nan|\{.*\})\] ValueError: reward is .*0 to 1") == 4
    assert said(out, r"^\[task .*\] ValueError: a task's index is .* whole number") == 3


def test_turns_that_end_with_another_token_than_eos(tmp_path: Path) -> None:
    out = run("05_gemma_phi_base.py", tmp_path)
    assert said(out, r": load_chat\] returned: <agentprm_lite") == 3
    assert said(out, r"returned: works; exported eos <") == 3


def test_json_lines_of_the_web(tmp_path: Path) -> None:
    out = run("07_readme_jsonl.py", tmp_path)
    assert said(out, r"\] returned: 1$") == 5
    assert said(out, r"^\[append_jsonl, read_jsonl\] returned: True$") == 1


def test_too_long_before_the_first_step(tmp_path: Path) -> None:
    out = run("08_too_long.py", tmp_path)
    assert said(out, r"ValueError: .*mine/60/0/0 has 1428 tokens, the model reads 256") == 5
    assert said(out, r"batches before the error: 0$") == 4


def test_servers(tmp_path: Path) -> None:
    out = run("09_servers.py", tmp_path)
    played = ["ok", "usage null", "no usage", "finish null", "finish eos", "429 .*"]
    for mode in played:
        assert said(out, rf"^\[{mode}\] returned: 20 steps, 140 logprobs$") == 1, mode
    assert said(out, r"^\[too long\] returned: 0 steps, 0 logprobs$") == 1
    assert said(out, r"^\[logprobs null\] returned: 20 steps, 0 logprobs$") == 1
    assert said(out, r"HTTP 401: 'Unauthorized'; give the server's key by the argument") == 1
    for mode in ("error in 200", "a logprob null", "a logprob -Infinity", "finish abort"):
        assert said(out, rf"^\[{mode}\] AllServersDown: ") == 1, mode
    for mode in ("stream", "html", "empty turn", "end token not returned", "text only .*"):
        assert said(out, rf"^\[{mode}\] ServerRefused: ") == 1, mode
    assert "secret" not in out.partition("arguments:")[0]
    assert said(out, r"posts at \[0\.\d, 25\.") == 1  # as long as it asked, and not again before


def test_answers_as_models_write_them(tmp_path: Path) -> None:
    out = run("10_answers.py", tmp_path)
    assert said(out, r"^15 as a reader, 0 not$") == 1
    assert said(out, r"^\(0\.0, False, False\)$") == 1  # a heading ends nothing
    assert said(out, r"^right answer written .*: reward 1\.0$") == 4


def test_rewards_of_a_table(tmp_path: Path) -> None:
    out = run("11_numpy_rewards.py", tmp_path)
    assert said(out, r"returned: \('file ok', True\)$") == 5
    assert said(out, r"returned: \(2, 'of 2 lines'\)$") == 5


def test_nan_in_search_and_ppo(tmp_path: Path) -> None:
    out = run("17_nan_in_search_and_ppo.py", tmp_path)
    assert said(out, r"ValueError: trajectory .*: M at its root is nan") == 2
    assert said(out, r"^policy adapters with NaN after PPO: 0 of 28$") == 1


def test_an_exported_folder_in_use(tmp_path: Path) -> None:
    out = run("28_exported_folder_in_use.py", tmp_path)
    assert said(out, r"^card says pipeline_tag: \[\]$") == 1
    inside = re.findall(r"^M in the library: (.*)$", out, re.M)
    assert inside == re.findall(r"^\[back into the library.*\] returned: (.*)$", out, re.M)
    recipes = re.findall(r"alone (\[.*?\]); batched, the card's `last` (\[.*?\])", out)
    assert len(recipes) == 2
    for alone, batched in recipes:
        numbers = [re.findall(r": ([\d.]+)", x) for x in (alone, batched)]
        assert numbers[0] == numbers[1]
