"""The command line: what is wrong is one line on stderr; its help needs no torch."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from agentprm_lite.env import make_env
from agentprm_lite.hub import ChatFormat, load_chat
from agentprm_lite.labels import KINDS
from agentprm_lite.ppo import ProcessReward
from agentprm_lite.prm import StepValues
from agentprm_lite.sampling import SamplingConfig
from agentprm_lite.tutorial import arguments, cli, rewards, stages, tasks
from agentprm_lite.tutorial.profiles import SMOKE, Profile, get_profile
from agentprm_lite.types import Trajectory, Usage
from agentprm_lite.worlds import demonstrate
from agentprm_lite.worlds.textcraft.env import TextCraft

ENVS = "expected one of"
STAGED = ("collect", "label", "eval", "search", "ppo", "show", "train sft", "train agentprm")
WRONG: list[tuple[str, str, int]] = [
    ("", "the following arguments are required: command", 2),
    ("colect", "invalid choice: 'colect' (choose from", 2),
    ("train", "the following arguments are required: model", 2),
    ("train gpt", "kind of reward model is 'gpt', expected one of orm, pvm", 2),
    ("train agentprm --kindd x", "unrecognized arguments", 2),
    ("train reward", "train reward needs --logs and --base and --out", 1),
    ("train reward --logs nothing.jsonl --base x/y --out {new}", "nothing.jsonl", 1),
    ("train reward --logs nothing.jsonl --base x/y --kind orn --out {new}", "is 'orn'", 1),
    ("train reward --logs nothing.jsonl --base x/y --kind pqm --out {new}", "logs have none", 1),
    ("train reward --logs nothing.jsonl --base x/y --out {full}", "a folder that isn't empty", 1),
    ("train reward --logs nothing.jsonl --base x/y --epochs two --out {new}", "invalid int", 2),
    ("collect --split dev", "invalid choice: 'dev' (choose from", 2),
    ("collect --server", "expected one argument", 2),
    ("collect --server http://bo:secret@host/v1", "url of host: expected http://host:port/path", 2),
    ("collect --server host:8000", "url: expected http://host:port or https", 2),
    ("search --kind agentprn", "kind of reward model is 'agentprn', expected one of orm", 2),
    ("search --model x", "kind of reward model is 'x', expected one of orm", 2),
    ("search -n 0", "'0' is no whole number from 1 up", 2),
    ("search -n -2", "'-2' is no whole number from 1 up", 2),
    ("search -m 1.5", "'1.5' is no whole number from 1 up", 2),
    ("search -m many", "'many' is no whole number from 1 up", 2),
    ("show --episodes 0", "'0' is no whole number from 1 up", 2),
    ("show --episodes all", "'all' is no whole number from 1 up", 2),
    ("show --kind q", "kind of reward model is 'q'", 2),
    ("ppo --reward dense", "invalid choice: 'dense' (choose from", 2),
    ("ppo --kind sparse", "kind of reward model is 'sparse'", 2),
    ("export", "the following arguments are required: --out", 2),
    ("export --out {empty}", "the name of the output is empty", 2),
    ("export --out {full}", "a folder that isn't empty, expected a new folder", 2),
    ("export --out {repository}", "the root of a repository, expected a folder of its own", 2),
    ("export --out {file}", "is a file, expected the name of a folder", 2),
    ("export --out {file}/new", "file is a file", 2),
    ("export --out {new} --kind prm", "kind of reward model is 'prm'", 2),
    ("study", "the following arguments are required: --out", 2),
    ("study --out {empty}", "the name of the output is empty", 2),
    ("study --out {full}", "is a folder, expected the name of a file", 2),
    ("study --out {new} --worlds texcraft", "world 'texcraft' is unknown, expected some of", 2),
    ("study --out {new} --parts beams", "invalid choice: 'beams' (choose from", 2),
    ("study --out {new} --profile big", "profile 'big' is unknown, expected one of", 2),
    ("curves", "the following arguments are required: --out", 2),
    ("curves --out {empty}", "the name of the output is empty", 2),
    ("curves --out {full}", "is a folder, expected the name of a file", 2),
    ("regime --out {full}", "is a folder, expected the name of a file", 2),
    ("curves --out {new} --worlds chess", "world 'chess' is unknown, expected some of", 2),
    ("curves --out {new} --rollouts 0", "'0' is no whole number from 1 up", 2),
    ("score", "the following arguments are required: logs, --model", 2),
    ("score logs.jsonl", "the following arguments are required: --model", 2),
    ("score nothing.jsonl --model {full} --out {new}", "", 1),
    ("diagnose", "the following arguments are required: logs", 2),
    ("diagnose nothing.jsonl", "nothing.jsonl", 1),
    ("pretrain", "the following arguments are required: folder", 2),
    ("pretrain {new} --steps 0", "'0' is no whole number from 1 up", 2),
    *((f"{c} --profile huge", "profile 'huge' is unknown, expected one of", 2) for c in STAGED),
    *((f"{c} --env chess", "expected one of ['babyai', 'gsm8k', 'math'", 2) for c in STAGED),
    *((f"{c} --seed -1", "'-1' is no whole number from 0 up", 2) for c in STAGED[3:]),
    *((f"{c} --seed 1", "unrecognized arguments: --seed 1", 2) for c in STAGED[:3]),
    ("train sft --seed 1", "--seed belongs to reward models, not to 'sft'", 2),
    ("train {empty}", "kind of reward model is '', expected one of orm, pvm", 2),
    ("estimate --env gsm8k", "no lengths of 'gsm8k' are known, expected one of ['textcraft'", 2),
    ("estimate --env agentprm_lite.worlds.math.env:MathWorld", "no lengths of 'agentprm", 2),
    ("study --out {new} --worlds math babyai math", "math is given twice", 2),
    ("curves --out {new} --rollouts 60 120 60", "60 is given twice", 2),
    ("curves --out {new} --betas 1 0 1", "1.0 is given twice", 2),
    ("curves --out {new} --betas -1", "a weight of L_A is 0 or more, got -1.0", 2),
    ("curves --out {new} --betas nan", "a weight of L_A is 0 or more, got nan", 2),
    ("curves --out {file}", "file holds something else than curves: use a new file", 1),
    ("curves --out {json}", "json holds something else than curves: use a new file", 1),
    ("regime --out {new}", "is to be a file such as", 1),
    ("collect --env agentgym:babyai@http://host:1", "a server's world is for agentprm_lite.co", 2),
    ("pretrain {full}", "has ['thing'] and no run to go on with: use a new folder", 1),
    ("pretrain {empty}", "the name of the output is empty", 1),
    ("pretrain {file}", "file is a file, expected the name of a folder", 1),
    ("pretrain {repository}", "is the root of a repository, expected a folder of its own", 1),
    ("eval --env nowhere:World", "expected \"module:Class\", got 'nowhere:World'", 2),
    ("eval --env json:JSONDecoder", "expected a subclass of TextEnv", 2),
    ("eval --base {empty}", "model '' is neither a folder with a config.json", 2),
    ("show --seed 99999999999", "is no whole number from 0 up", 2),
    ("eval --base llama", "model 'llama' is neither a folder with a config.json", 2),
    ("eval --base {full}", "neither a folder with a config.json", 2),
    ("eval --base a/b/c", "neither a folder with a config.json", 2),
    ("eval --profile", "expected one argument", 2),
]


@pytest.fixture
def quiet_log() -> object:
    """The command line's handler of notes goes after the test."""
    log = logging.getLogger("agentprm_lite")
    before, level = list(log.handlers), log.level
    yield
    log.handlers[:] = before
    log.setLevel(level)


@pytest.mark.usefixtures("quiet_log")
def test_sixty_wrong_command_lines_say_one_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "json").write_text("[]")
    (tmp_path / "config.json").write_text("{}")  # what a folder without a name would be
    names = {n: str(tmp_path / n) for n in ("full", "repository", "file", "json", "new")}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path / "artifacts"))
    assert len(WRONG) >= 60
    for line, expected, status in WRONG:
        words = [w.format(**names, empty="") for w in line.split()]
        try:
            found = cli.main(words)
        except SystemExit as stop:
            found = stop.code
        said = capsys.readouterr()
        assert (found, said.out) == (status, ""), line
        assert said.err.count("\n") == 1 and said.err.startswith("agentprm"), (line, said.err)
        assert "Traceback" not in said.err and expected in said.err, (line, said.err)
    assert not (tmp_path / "artifacts").exists() and not (tmp_path / "new").exists()


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\nfrom agentprm_lite.tutorial.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "found = {m.split('.')[0] for m in sys.modules}\n"
        "print(sorted(found & {'torch', 'transformers', 'matplotlib', 'numpy'}),\n"
        "      [m for m in sys.modules if m.startswith('agentprm_lite.worlds')])"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] []"
    assert done.stderr == "" and "collect" in done.stdout
    assert time.monotonic() - start < 20  # 0.2 s on an idle machine


def test_help_names_what_exists() -> None:
    assert arguments._KINDS.replace(" or ", " ").replace(",", "").split() == list(KINDS)
    known = set(arguments.PROFILES.replace(" or ", " ").replace(",", "").split())
    with pytest.raises(ValueError) as caught:
        get_profile("none")
    assert all(f"'{name}'" in str(caught.value) for name in known)
    assert len(known) + 1 == str(caught.value).count("'") // 2 - 1  # and "auto"
    assert ProcessReward.__args__ == ("outcome", "shaping", "raw_q")


@pytest.mark.usefixtures("quiet_log")
def test_eval_reports(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(stages, "greedy_runs", lambda profile: [])
    monkeypatch.setattr(cli, "_report", lambda name, played: print(name, len(played)))
    monkeypatch.setattr(stages, "pool", lambda profile: [profile.base, 2])
    assert cli.main(["eval", "--profile", "smoke", "--base", "small-base"]) == 0
    assert capsys.readouterr().out == "greedy SFT 0\nsampled SFT 2\n"


COIN = """
from agentprm_lite.worlds import TextEnv

class Coin(TextEnv):
    default_rounds, instructions, acknowledgement = 1, "Say heads or tails.", "OK."
    _levels = classmethod(lambda cls, split: {"train": {0: 1}, "test": {1: 1}}[split])
    _count = lambda self: 2
    _start = lambda self: "Heads or tails?"
    _apply = lambda self, action: ("It fell.", 1.0, True, True)
    _save = lambda self: {}
    _load = lambda self, state: None
"""


@pytest.mark.usefixtures("quiet_log")
def test_a_world_in_this_folder_and_a_base_in_any(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are named on the command line; no file of the package knows them."""
    (tmp_path / "coins.py").write_text(COIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    asked: list[Profile] = []
    monkeypatch.setattr(stages, "rollouts", lambda p, servers: asked.append(p) or [demo])
    demo = SimpleNamespace(success=True, usage=Usage(generated=5))
    line = f"collect --profile smoke --env coins:Coin --base {folder}"
    assert cli.main(line.split()) == 0
    assert stages.base(asked[0]) == folder
    assert {(t.env, t.index) for t in tasks.test_tasks(asked[0])} == {("coins:Coin", 1)}
    assert make_env(asked[0].env).reset(options={"index": 1})[0] == "Heads or tails?"


@pytest.mark.usefixtures("quiet_log")
def test_show_prints_episodes_with_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTPRM_ARTIFACTS", str(tmp_path))
    chat: ChatFormat = load_chat(stages.base(SMOKE))
    demos = demonstrate(chat, TextCraft.tasks("train", levels=(1,))[:3], SamplingConfig())
    asked = []

    class Judge:
        def score(self, played: list[Trajectory]) -> list[StepValues]:
            return [StepValues(0.25, np.linspace(0.5, 0.75, t.num_steps)) for t in played]

    monkeypatch.setattr(stages, "pool", lambda profile: demos)
    monkeypatch.setattr(rewards, "reward_model", lambda *args: asked.append(args[1]) or Judge())
    assert cli.main(["show", "--profile", "smoke", "--model", "orm", "--episodes", "2"]) == 0
    told = capsys.readouterr().out
    assert asked == ["orm"]
    assert told.count("(M = 0.250)") == 2 and told.count("--- reward 1 after") == 2
    first = demos[0]
    assert f"{first.actions[0]}\n> {first.observations[1]}\n(M = 0.500)" in told
    assert demos[2].task.key not in told
