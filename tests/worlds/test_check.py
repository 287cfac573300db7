"""A reader's own world, in a file outside the package, and every fault that the check names."""

import importlib
import random
import sys
import textwrap

import pytest

from agentprm_lite.env import env_class, make_env
from agentprm_lite.episode import SamplingConfig
from agentprm_lite.types import Task
from agentprm_lite.worlds import TextEnv
from agentprm_lite.worlds.check import WorldFault, check_world

LIGHTS = '''
"""Three switches: press the one that the task names."""
from agentprm_lite.worlds import TextEnv

class Lights(TextEnv):
    default_rounds, instructions, acknowledgement = 4, "Press the switch that is named.", "OK."

    @classmethod
    def _levels(cls, split):
        return dict.fromkeys({"train": range(6), "test": range(6, 9)}[split], 1)

    def _count(self):
        return 9

    def _start(self):
        self.pressed = []
        return f"Press {'abc'[self.index % 3]}."

    def _apply(self, action):
        self.pressed.append(action)
        won = action == "press " + "abc"[self.index % 3]
        return f"{len(self.pressed)} pressed", float(won), won, won

    def _advise(self):
        return "I do as told.", "press " + "abc"[self.index % 3]

    def _save(self):
        return {"pressed": list(self.pressed)}

    def _load(self, state):
        self.pressed = list(state["pressed"])
'''


@pytest.fixture
def lights(tmp_path, monkeypatch):
    """The world's class, from a module that only this test has."""
    (tmp_path / "my_lights.py").write_text(textwrap.dedent(LIGHTS))
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("my_lights").Lights
    sys.modules.pop("my_lights")


def test_a_world_from_a_file_outside_the_package(lights):
    env = make_env("my_lights:Lights", max_rounds=2)
    assert env_class("my_lights:Lights") is lights
    assert env.tasks("test") == [Task("my_lights:Lights", index) for index in (6, 7, 8)]
    assert env.reset(options={"index": 7})[0] == "Press b."
    assert env.step("press c")[:4] == ("1 pressed", 0.0, False, False)
    fork = make_env(env.name)
    fork.restore(env.snapshot())
    assert fork.step("press b")[:4] == ("2 pressed", 1.0, True, False)
    assert env.step("press a")[:4] == ("2 pressed", 0.0, False, True)
    assert [line.partition(":")[0] for line in check_world(lights)] == [
        "tasks",
        "any string is answered; episodes end by themselves or at the round limit",
        "the same actions get the same answers in two instances, at once, too",
        "a restored copy has the same future",
        "the expert wins in 9 of 9 tasks",
        "Gymnasium's own checks pass",
    ]


def test_everything_that_plays_and_searches_takes_it(lights, tmp_path):
    from agentprm_lite import fast
    from agentprm_lite.files import collect, read_jsonl
    from agentprm_lite.hub import load_chat, load_policy
    from agentprm_lite.prm import FewestTurns
    from agentprm_lite.rollout import continue_from
    from agentprm_lite.search import beam_search, best_of_n
    from agentprm_lite.tutorial.tiny import TinySize, make_tiny, vocabulary
    from agentprm_lite.worlds import demonstrate

    tasks, name = lights.tasks("train"), "my_lights:Lights"
    texts = [*vocabulary(tasks), lights.instructions, lights.acknowledgement]
    folder = tmp_path / "tiny"
    make_tiny(folder, texts, TinySize(hidden=16, layers=1, heads=2), 0)
    chat, config = load_chat(folder), SamplingConfig(max_new_tokens=6, rules=False)
    demos = demonstrate(chat, tasks, SamplingConfig(rules=False))
    assert [(t.task, t.success, t.num_steps) for t in demos] == [(t, True, 1) for t in tasks]
    player = fast.player(load_policy(folder), chat, config, "tiny")
    rollouts = collect(player, tasks, 2, tmp_path / "rollouts.jsonl", seed=1)
    assert rollouts == read_jsonl(tmp_path / "rollouts.jsonl")
    assert {t.task.env for t in rollouts} == {name}
    long = max(rollouts, key=lambda t: t.num_steps)
    states = continue_from(player, long, 3)
    assert len(states) == long.num_steps
    assert {t.task for state in states for t in state} == {long.task}
    found = beam_search(player, FewestTurns(), tasks[:2], 2, 2)
    assert [r.trajectory.task for r in found] == tasks[:2]
    chosen = best_of_n(rollouts, FewestTurns().score(rollouts), [1, 2])
    assert chosen.success.shape == (6, 2)


def test_names_that_lead_nowhere_are_one_line(lights):
    lights.Named = type("Named", (lights,), {"name": "lights", "__module__": "my_lights"})
    sys.modules["my_lights"].Named = lights.Named
    for name, message in (
        ("lights", r'expected one of \[.babyai.*\] or "module:Class", got .lights.'),
        ("my_lights:Ligths", "expected \"module:Class\", got 'my_lights:Ligths': .*no attribute"),
        ("my_ligths:Lights", "No module named 'my_ligths'"),
        ("random:Random", "expected a subclass of TextEnv"),
        ("my_lights:Named", "calls itself 'lights', by which nobody finds it; leave out"),
        (":", 'expected "module:Class"'),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            make_env(name)
        assert "\n" not in str(caught.value)


def faulty(lights: type[TextEnv], **changes) -> type[TextEnv]:
    """The world with other methods, to be found under its own name."""
    changed = type("Faulty", (lights,), {"__module__": "my_lights", **changes})
    sys.modules["my_lights"].Faulty = changed
    return changed


def _luck(self, action):
    won = random.random() < 0.5
    return "?", float(won), won, won


def _own_luck(self, action):
    self.pressed.append(str(id(self)))
    return self.pressed[-1], 0.0, False, False


def _one_board(board=[]):  # noqa: B006
    """Methods of a world whose instances have one board."""

    def start(self):
        board.clear()
        return "Press a."

    def apply(self, action):
        board.append(action)
        return f"{len(board)} pressed", 0.0, False, False

    def load(self, state):
        board[:] = state["pressed"]

    return {"_start": start, "_apply": apply, "_load": load,
            "_save": lambda self: {"pressed": list(board)}}  # fmt: skip


def _speechless_end(self, action):
    won = action == "press " + "abc"[self.index % 3]
    return (None, 1.0, True, True) if won else ("", 0.0, False, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "else"}, "calls itself 'else'"),
        (
            {"_levels": classmethod(lambda cls, split: {0: 1, 1: 1})},
            r"indices \[0, 1\] are in train and in test",
        ),
        ({"_levels": classmethod(lambda cls, split: {})}, "at least one"),
        ({"_apply": _luck}, "touched|in one instance and"),
        ({"_apply": _own_luck}, "in one instance and"),
        (_one_board(), "while another episode is under way: .* share something"),
        ({"_apply": lambda self, a: (None, 0.0, False, False)}, r"gave \(None, 0.0\), expected"),
        ({"_apply": _speechless_end}, r"gave \(None, 1.0\), expected a text"),
        ({"_apply": lambda self, a: ("", float("nan"), False, False)}, r"nan.*a finite number"),
        ({"_apply": lambda self, action: ("", 0.0, False, 0)}, "a bool as success"),
        ({"_save": lambda self: {"pressed": self.pressed}}, "`_save` shares a list"),
        ({"_load": lambda self, state: vars(self).update(state)}, "`_load` keeps a list"),
        ({"_load": lambda self, state: self._start()}, "saves another state"),
        ({"_advise": lambda self: ("", "press x")}, "the expert fails in 9 of 9 tasks"),
        ({"_advise": lambda self: ("", "press_ü")}, "action 'press_ü' does 'press'"),
    ],
)  # fmt: skip
def test_each_fault_is_named(lights, changes, message):
    with pytest.raises((WorldFault, ValueError), match=message):
        check_world(faulty(lights, **changes))


def test_a_world_without_an_expert_is_fine(lights):
    silent = faulty(lights, _advise=TextEnv._advise)
    assert check_world(silent)[-2] == "no expert: demonstrations must come from elsewhere"
    env = silent()
    env.reset(seed=0)
    with pytest.raises(NotImplementedError, match="my_lights:Faulty has no expert"):
        env.expert_action()


def test_a_missing_package_is_named(lights, tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import no_such_package\n")
    with pytest.raises(ValueError, match=r"needs_more:World needs the package no_such_package$"):
        make_env("needs_more:World")
    monkeypatch.setitem(sys.modules, "minigrid", None)
    for name in [name for name in sys.modules if name.startswith("agentprm_lite.worlds.babyai")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ValueError, match=r"needs the package minigrid; .*\[worlds\]"):
        make_env("babyai")
