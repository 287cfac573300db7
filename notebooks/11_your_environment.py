# %% [markdown]
# # 11 Bring your own environment
#
# At the end you will have written a new world of about fifty lines, let it prove what search and labels need of
# it, and taken it through the whole pipeline: demonstrations, policy, rollouts, AgentPRM, Best-of-N and beam search. No
# file of the library changes.
#
# | | |
# |---|---|
# | Before this | [chapter 1](01_environments.ipynb) (what a world is), [chapter 6](06_best_of_n.ipynb), [chapter 7](07_beam_search.ipynb) |
# | Run time | see the [status page](../book/status.md) |
# | Paper | section 3.1: tasks as a POMDP; equations 2, 5, 7 and 8 ask for deterministic transitions and a reward at the end |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/11_your_environment.ipynb) |

# %% tags=["hide-input"]
# On Colab: install the library. At home it is there already.
import importlib.util
import subprocess
import sys

REPO = "git+https://github.com/agentprm-lite/agentprm-lite"
if importlib.util.find_spec("agentprm_lite") is None:
    pip = [sys.executable, "-m", "pip", "install", "-q"]
    if subprocess.run([*pip, f"agentprm-lite[tutorial] @ {REPO}"]).returncode:
        raise SystemExit(
            f"{REPO} can't be reached: make a wheel where the files are (pip "
            "wheel --no-deps .), upload it, pip install 'NAME.whl[tutorial]'"
        )
DRIVE = False  # True: Colab keeps what is computed on your Google Drive
if DRIVE:
    from agentprm_lite.tutorial.notebook import keep_on_drive

    keep_on_drive()

# %% tags=["parameters"]
PROFILE = "auto"  # cpu; "t4" takes a real model to a GPU

# %% [markdown]
# ## The question
#
# Here is a world that the library has never seen. A **vault** opens to a code of three words: a colour, an animal and a
# thing in the sky, ten of each. Notes with the words lie in three of the rooms; up to two other rooms hold dust. `look attic` costs a
# round. A whole code, such as `open red owl moon`, can be tried once: the vault opens, or an alarm ends the game.
#
# It is small on purpose, but its ending keeps a secret: every episode that gets that far ends with `open` and three words, so a judge
# has to compare the code with the notes to be sure of a success. And the slip that costs the game can be made
# earlier, where a thought carries a word on wrongly.
#
# **Predict before you run.** The result figure stands at the end, because its world does not exist yet.
# 1. A policy that has met vaults in a few hundred demonstrations only copies some words wrongly, or leaves them out. How much does Best-of-N gain over one sample, and over choosing the attempt with the fewest turns?
# 2. When does $M$ tell a success from a failure: at the slip, or only at `open`?
#
# ## Four cells make a world
#
# First the tasks. A task is a function of `(index, variant)` alone. The index gives the code, both together give the rooms. A generator
# seeded with a *string* gives the same numbers in every process; `hash("attic")` does not.

# %%
import random
from dataclasses import replace

import numpy as np
import pandas as pd

from agentprm_lite import Lora, TextEnv, make_env, search, study
from agentprm_lite.tutorial import guided, plots, rewards, stages
from agentprm_lite.tutorial.notebook import show_figure, show_source
from agentprm_lite.tutorial.profiles import get_profile
from agentprm_lite.worlds.check import WorldFault, check_world, same_future


# %%
class VaultTasks(TextEnv):
    default_rounds, acknowledgement = 8, "OK."
    instructions = "Find the three words of the code, then open. One try."
    clumsy_actions = ("", "look moon", "open owl owl owl")
    kinds = ("red blue green pink gold white black grey lime teal",
             "fox owl bear wolf crow hare seal toad lynx moth",
             "sun moon star rain snow wind fog hail dew ice")

    @classmethod
    def _levels(cls, split):
        part = {"train": range(900), "test": range(900, 1000)}[split]
        return {index: index % 3 for index in part}

    def _count(self):
        return 1000


# %%
class VaultRooms(VaultTasks):
    def layout(self, index, variant):
        """The code, and what is found in which room."""
        rng = random.Random(f"{index} {variant}")
        picks = map(int, f"{(387 * index + 113) % 1000:03}")
        code = [kind.split()[i]
                for kind, i in zip(self.kinds, picks, strict=True)]
        rooms = ["attic", "cellar", "hall", "study", "tower"]
        rng.shuffle(rooms)
        notes = [*code, "dust", "dust"][: 3 + index % 3]
        rng.shuffle(notes)
        return " ".join(code), dict(zip(rooms, notes, strict=False))


# %% [markdown]
# Then the rules: how an episode begins, and what an action does. Any string is answered. The only reward comes at the end.


# %%
class VaultRules(VaultRooms):
    def _start(self):
        self.code, self.notes = self.layout(self.index, self.variant)
        self.seen = []
        return f"Rooms: {' '.join(self.notes)}."

    def _apply(self, action):
        verb, _, what = action.partition(" ")
        if verb == "look" and what in self.notes:
            self.seen.append(what)
            return f"You find {self.notes[what]}.", 0.0, False, False
        if verb == "open" and len(what.split()) == 3:
            won = what == self.code
            return "Open!" if won else "Alarm!", float(won), True, won
        return "Nothing happens.", 0.0, False, False


# %% [markdown]
# Last, what the pipeline needs beyond play: an expert that goes on from *any* state, and a state that can be saved and
# loaded. The expert's thought repeats all that it knows.


# %%
class Vault(VaultRules):
    def _advise(self):
        found = [self.notes[room] for room in self.seen]
        known = " ".join(w for w in self.code.split() if w in found)
        left = [room for room in self.notes if room not in self.seen]
        action = f"open {known}" if known == self.code else f"look {left[0]}"
        return f"I know {known or 'nothing'}.", action

    def _save(self):
        return {"seen": [*self.seen]}

    def _load(self, state):
        self._start()
        self.seen = [*state["seen"]]


# %% [markdown]
# That is all. The class is found under its module's name and its own, here `__main__:Vault`, and in a file `vault.py` it would be `vault:Vault`:
# `make_env`, `--env` on the command line and the tasks' records all take that. The expert plays:

# %%
env = make_env("__main__:Vault")
print(env.reset(options={"index": 4})[0])
over = False
while not over:
    thought, action = env.expert_action()
    told, reward, over, _, _ = env.step(action)
    print(f"  {thought:<24} > {action:<19} {told}")
print("reward", reward)

# %% [markdown]
# ## What each method promises
#
# `TextEnv` counts rounds, ends episodes and wraps snapshots. You write what is special to your world:
#
# | you write | it promises | who relies on it |
# |---|---|---|
# | `default_rounds` | rounds after which an episode is cut | everybody |
# | `instructions`, `acknowledgement` | the rules, shown to a real language model | `profile.rules` |
# | `clumsy_actions` | actions that cause the error replies | only this library's tests; leave it out |
# | `_levels(split)` | index → level of the tasks of a split; no index is in both splits; the same in every process | honest held-out numbers |
# | `_count()` | how many indices there are; another index is an error | `reset` |
# | `_start()` | sets **everything** anew; the text depends on `self.index` and `self.variant` alone | seeds, resuming, the cache |
# | `_apply(action)` | observation, reward, terminated, success; answers any string, draws nothing from a global generator | rollouts |
# | `_save()`, `_load(state)` | a JSON-able copy that shares nothing; loading it into any instance gives the same future | beam search, MC labels |
# | `_advise()`, if there is one | an expert's thought and action that lead to success from here | demonstrations |
# | `_facts()`, if need be | what else `info` tells | tables |
# | `parse(text)`, if need be | the bare action in a policy's turn; the default reads what stands after "Action:" and keeps letters from a to z, digits, commas and spaces alone; `agentprm_lite.chat.last_action` keeps all | [chapter 9](09_math.ipynb) has its own |
#
# ## A checklist that runs
#
# `check_world` plays a world in every way that the library does. It stops at the first broken promise and says which; the library's own worlds pass it
# in their tests. Put your own class in place of `Vault`. The check that finds most faults is shown below: a copy that went through JSON has
# to play on as the original does.

# %%
for line in check_world(Vault):
    print("passed:", line)
show_source(same_future)

# %% [markdown]
# ## A case to solve by hand
#
# Take a player who has found $k$ of the three words and now opens, guessing the others. All codes that agree with
# the notes are equally likely to him, so his promise (equation 2) is $Q = 10^{-(3-k)}$: 0.001, 0.01, 0.1, 1.
# A look that finds a note multiplies the promise by ten; dust leaves it as it is.
#
# Snapshots let us check this by enumeration. We restore one state and try every code that agrees with the first $k$ words. Exactly one opens.


# %%
def promise(known):
    """Share of the codes in agreement with k words that open."""
    env = Vault()
    env.reset(options={"index": 4})
    kept, code = env.snapshot(), env.code.split()
    tried = []
    for index in range(1000):
        guess = env.layout(index, 0)[0]
        if guess.split()[:known] == code[:known]:
            env.restore(kept)
            tried.append(env.step(f"open {guess}")[1])
    return np.mean(tried)


print([float(promise(k)) for k in range(4)])
assert np.allclose([promise(k) for k in range(4)], [0.001, 0.01, 0.1, 1])

# %% [markdown]
# ## A misuse that looks right
#
# `return {..., "seen": self.seen}` saves a state, and every single game goes well. But the list in the copy is the list in the game: playing on changes the
# copy, and a sibling in a beam "remembers" rooms that it has never been in. Nothing crashes. The search is simply wrong. Only the comparison
# before and after catches it.


# %%
class Sharing(Vault):
    def _save(self):
        return {"seen": self.seen}


for world in (Vault, Sharing):
    env = world()
    env.reset(options={"index": 4})
    kept = env.snapshot()
    for _ in range(3):
        env.step(env.expert_action()[1])
    fork = world()
    fork.restore(kept)
    print(f"{world.__name__}: a fresh fork says {fork.expert_action()[0]!r}")
try:
    check_world(Sharing)
except WorldFault as fault:
    print("the check says:", fault)
else:
    raise AssertionError("the shared list went unnoticed")

# %% [markdown]
# ## The whole pipeline
#
# A profile is plain data. We take the one in use, name our world, and choose sizes for it: one demonstration of each training task that isn't
# kept for the judge, turns that hold the longest one of the expert, and short histories. The small base has never read of vaults, so its adapters are larger and see each demonstration four times. Everything else is what the other chapters call. Artifacts go to
# `artifacts/<profile>/`, in a folder that carries the world's name; their names carry a hash of the cells that hold the class, so a changed world is computed anew.

# %%
profile = replace(get_profile(PROFILE, Vault.name), max_rounds=None)
if profile.base == "small-base":
    profile = replace(
        profile, max_new_tokens=40, max_context=384, demo_goals=675,
        lora=Lora(r=64, alpha=128), demo_variants=1,
        sft=replace(profile.sft, lr=5e-3, epochs=4), rollout_tasks=80,
        rollout_temperature=1.0, eval_temperature=1.0, beam_tasks=100,
        eval_tasks=100,
    )
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")
    profile = replace(
        profile, demo_goals=64, eval_tasks=8, beam_tasks=8,
        rollout_tasks=10, eval_samples=4,
    )
demos = stages.demonstrations(profile)
said = max(end - start for t in demos for start, end in t.spans)
assert said <= profile.max_new_tokens, f"a turn has {said} tokens"

# %%
actor = stages.policy(profile)
rollouts = stages.rollouts(profile)
candidates = stages.pool(profile)
NS = study.powers_of_two(profile.eval_samples)
SEEDS = range(profile.reward_seeds)
values = [rewards.pool_values(profile, "agentprm", s) for s in SEEDS]
beams = [guided.beam_runs(profile, "agentprm", 2, 2, s) for s in SEEDS]
print(f"{len(demos)} demonstrations; the policy wins "
      f"{np.mean([t.success for t in rollouts]):.0%} of {len(rollouts)} "
      f"rollouts and {np.mean([t.success for t in candidates]):.0%} of "
      f"{len(candidates)} candidates")
logs = [stages.training_log(rewards.reward_model_folder(
    profile, "agentprm", s)) for s in SEEDS]
found = [log[-1].get("best_explained_variance", np.nan) for log in logs]
print(f"AgentPRM explains {np.mean(found):.2f} of the variance on held-out "
      "training tasks; below 0.02 it has learned nothing")
ends = pd.Series([t.observations[-1] for t in candidates], name="last reply")
ends.value_counts().head(4).to_frame()

# %%
curves = {
    "AgentPRM": np.array([
        search.best_of_n(candidates, v, NS).success for v in values
    ]),
    "fewest turns": study.fewest_turns(candidates, NS).success[None],
    "oracle": search.oracle(candidates, NS).success[None],
    "one sample": study.random_choice(candidates, NS).success[None],
}
cost = np.mean([t.usage.generated for t in candidates])
x = {name: cost * np.array(NS) for name in curves}
y = {name: [study.bootstrap_interval(c[:, :, j]) for j in range(len(NS))]
     for name, c in curves.items()}
beam = np.array([[t.success for t in run] for run in beams], dtype=float)
x["random code"] = x["oracle"]  # it opens at once, by hand: 1 in 1,000
y["random code"] = [study.Interval(0.001, 0.001, 0.001)] * len(NS)
x["beam 2×2"] = [np.mean([t.usage.generated for r in beams for t in r])]
y["beam 2×2"] = [study.bootstrap_interval(beam)]
says = ", ".join(f"{name} {v[-1].mean:.2f}" for name, v in y.items())

# %%
show_figure(
    plots.curve_with_interval(x, y, xlabel="generated tokens a task"),
    alt=f"Success against generated tokens at N = {NS[-1]}: {says}.",
    caption=f"Best-of-{NS[-1]}, and a beam of 2×2 by AgentPRM: {says}. A "
    "random code opens one time in a thousand. Bands: 95 %.",
)
base, best = study.task_means(candidates), curves["AgentPRM"][:, :, -1]
words = []
for name, ours, other in (
    (f"Best-of-{NS[-1]} minus one sample", best, base[None]),
    (f"Best-of-{NS[-1]} minus fewest turns",
     best, curves["fewest turns"][:, :, -1]),
    ("beam 2×2 minus one sample", beam, base[None]),
):
    mean, lo, hi = study.bootstrap_interval(ours, other)
    words.append("higher" if lo > 0 else "lower" if hi < 0 else "undecided")
    print(f"{name}: {mean:+.2f} [{lo:+.2f}, {hi:+.2f}]: {words[-1]}")
print(f"n = {len(base)} tasks, seeds: {len(SEEDS)}, 95 % intervals")
if words != ["higher", "undecided", "higher"]:
    print("The text below tells of a run with higher, undecided, higher.")

# %% [markdown]
# **Read *fewest turns* first.** It has no model at all, and a policy that wanders through rooms that it has seen has often lost the thread. If a judge isn't above it, its gain may be
# no more than counting turns. So it is in the profile cpu, which answers the first prediction: AgentPRM's choice and the beam are above one sample, but against fewest turns the choice is undecided. A code with a word too few costs a turn, so failures are longer here.
# Ask this of every new world before you believe a curve.
#
# *When* does $M$ know? The table has the mean of $M$ after the first half of the actions, before `open` and after it, for candidates that won and that
# raised the alarm. In the profile cpu they lie close together half-way; of the gap at the end more than half is there before `open`. Then come two attempts at one task, the pair that $M$ tells apart best: compare each thought with the notes found so far.
# A hand-picked pair is an illustration, not a finding.

# %%
last, halves = map(search.scores_of, (values[0], study.half(values[0])))
before = [v.q[-2] if len(v.q) > 1 else v.root for v in values[0]]
ended = {"Open!": [], "Alarm!": []}
for i, t in enumerate(candidates):
    ended.get(t.observations[-1], []).append(i)
for reply, group in ended.items():
    if group:
        half, ago, end = (
            np.mean([x[i] for i in group]) for x in (halves, before, last)
        )
        print(f"{reply:<7} n = {len(group):>3}, M after half {half:.3f}, "
              f"before open {ago:.3f}, after it {end:.3f}")

# %%
pairs = [(w, f) for w in ended["Open!"] for f in ended["Alarm!"]
         if candidates[w].task == candidates[f].task]
pair = max(pairs, key=lambda p: last[p[0]] - last[p[1]], default=())
for i in pair:
    told = candidates[i].observations
    print(f"\n{told[0]}  M = {values[0][i].root:.2f}")
    for k, turn in enumerate(candidates[i].actions):
        said = " ".join(turn.removeprefix("Thought:").split())
        print(f"  M = {values[0][i].q[k]:.2f}  {said} > {told[k + 1]}")

# %% [markdown]
# ## You have logs, not a world
#
# A reward model needs no world, only episodes and what they earned. If your agent acts elsewhere, its chat logs are enough for every kind that needs no further rollouts (orm, pvm, agentprm): what it was told, what it said, and the reward at the end. `from_messages` makes
# records of them like those of sampling. We forget all but the texts of the candidates, and score them again.

# %%
from agentprm_lite.interop import from_messages

def as_log(t):
    log = []
    for told, said in zip(t.observations[:-1], t.actions, strict=True):
        log += [{"role": "user", "content": told},
                {"role": "assistant", "content": said}]
    return log

logs = [from_messages(actor.chat, as_log(t), t.outcome, t.task,
                      sample=t.sample) for t in candidates]
fit = [i for i, t in enumerate(logs) if len(t.ids) <= 2048]  # the base's
judge = rewards.reward_model(profile, "agentprm", SEEDS[0])
again = dict(zip(fit, judge.score([logs[i] for i in fit]), strict=True))
same = [logs[i].ids == candidates[i].ids for i in fit]
gaps = [np.abs(v.q - values[0][i].q).max() for i, v in again.items()]
print(f"{np.mean(same):.0%} of {len(fit)} candidates have the same ids;")
print(f"M differs by {np.mean(gaps):.2f} on average, {max(gaps):.1f} at most")

# %% [markdown]
# One text can be tokenized in several ways. Where the policy sampled other tokens than the tokenizer gives, or its turn was cut short, the ids differ, and so does $M$. Score with a judge what it was trained on: sampled ids for this one, tokenized text for one that learned from logs, as below. A log's own ids are not read. PPO can't do without sampled ids, because it needs the probability of the very tokens that were sampled; so keep ids and
# log-probabilities when you can. In the profile gpu all ids differ: there the prompt also has the world's rules, which `as_log` leaves out.
#
# ### A file of logs, and four commands
#
# Your own logs are a file with one run a line. Tool calls, thoughts and messages in parts may stay as they are: OpenAI's and Anthropic's messages,
# ShareGPT and ATIF are read, and one assistant message with all its calls is one turn. The first command needs no model. It asks of the
# attempts alone: *can a judge help here at all?* Here it reads our candidates.

# %%
import contextlib
import json
import tempfile
from pathlib import Path

from agentprm_lite.tutorial.cli import main

rows = [
    {"task": t.task.index, "messages": as_log(t), "reward": t.outcome}
    for t in candidates
]
with contextlib.chdir(tempfile.mkdtemp()):
    Path("runs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    main(["diagnose", "runs.jsonl"])

# %% [markdown]
# A number in the ranking is the AUROC within tasks: how often, of two attempts at a task, the better one is put first; ± is 1.96 standard errors over the tasks with both outcomes. *Words of the last turn* counts words (naive Bayes, learned
# on the other tasks): if it is near 1, a judge of the last turn only reads the ending. A judge should beat both rows, and with fewer than 20 such tasks differences hardly show.
#
# The other commands train a reward model on a checkpoint of your choice, measure it on tasks that it has not seen, and read every run with it. The page walks through the runs turn by turn: where did
# M fall, and what had the agent just said?
#
# ```bash
# agentprm train reward --logs train.jsonl --base Qwen/Qwen2.5-0.5B-Instruct --kind agentprm --out my-prm
# agentprm diagnose test.jsonl --model my-prm
# agentprm score --model my-prm test.jsonl --out scored.jsonl --html report.html
# ```
#
# So put the runs of some tasks aside, in `test.jsonl`: on runs that it learned from, M looks better than it is. In `scored.jsonl` rank the attempts of a task by `turns[-1].m`.
# Every run has to fit the base's context, else the commands stop and name it. Training is LoRA, at most ten passes over the runs (`--epochs`, `--lr`); take a GPU for anything but short runs.
#
# To ask for M while an agent is still running, give its `messages` so far and the schemas of its `tools`:
#
# ```python
# # needs my-prm; this block is not executed
# from agentprm_lite import RewardModel, Task
# from agentprm_lite.interop import from_messages, load_exported
#
# model, chat = load_exported("my-prm")
# run = from_messages(chat, messages, None, Task("live", 0), tools=tools)
# print(RewardModel(model).score([run])[0].q[-1])  # after the last turn
# ```
#
# `my-prm/README.md` also has a program without the library. It doesn't show tool calls, and its messages have to end with the assistant's turn.
#
# ## Worlds on a server
#
# If your world is a program elsewhere, write the same class around its client: `_start` opens an episode, `_apply` sends an action. A state
# that cannot be copied is saved as its **list of actions**, and loaded by playing them again on a fresh instance. That is exact if the world is
# deterministic, so compare the replies with those on record and refuse to go on if they differ. The price is $t$ calls a fork.
#
# For AgentGym's own servers the library has such a class, in `agentprm_lite/serve/agentgym.py`. Its name says the world and the address, and tasks carry
# that name, so rollouts and search find their way (a profile's `env` takes local worlds only):
#
# ```python
# # needs a running server; this block is not executed
# from agentprm_lite import collect
# textcraft = stages.policy(get_profile(PROFILE))
# tasks = make_env("agentgym:textcraft@http://127.0.0.1:36001").tasks("train")
# collect(stages.player(textcraft, 1.0), tasks, 16, "rollouts.jsonl")
# ```
#
# Three rules for clients: a timeout on every call; retry only when the connection failed, never when the server said no (the
# action may have been played); and an exception, not reward 0, when the server is broken.
#
# ## A real language model
#
# The small base learns your format from demonstrations. A real one reads `instructions`, so write them for it: what the actions are, one example
# each, the format of an answer. Then a profile with another base is all there is to change:
#
# ```python
# # needs a GPU; this block is not executed
# profile = replace(get_profile("gpu", "vault:Vault"), base="Qwen/Qwen2.5-0.5B-Instruct")
# stages.pool(profile)
# ```
#
# A model from the hub can also play your world as it is, and a reward model that learned from its logs can search for it:
#
# ```python
# # needs a GPU, vault.py and my-prm; this block is not executed
# from agentprm_lite import SamplingConfig, beam_search, judge, load_policy
# from agentprm_lite import make_env, player
# from agentprm_lite.interop import load_exported
#
# base = "Qwen/Qwen2.5-0.5B-Instruct"  # the one that my-prm was trained on
# prm, chat = load_exported("my-prm")
# sampling = SamplingConfig(max_new_tokens=200, max_context=4096)
# actor = player(load_policy(base), chat, sampling)
# tasks = make_env("vault:Vault").tasks("test")[:20]
# found = beam_search(actor, judge(prm), tasks, n=2, m=2)
# print(sum(f.trajectory.success for f in found), "of", len(found), "open")
# ```
#
# Without an expert leave `_advise` out. Then `stages.policy`, which imitates it, and the stages after it have nothing to start from. In their place: the policy is such an `actor`, with the hub's model as it is or after `train.sft` on trajectories of yours
# (recordings, or the successes of a larger model). `collect(actor, tasks, 16, "rollouts.jsonl")` plays its rollouts, and `train_reward_model` learns from them.
#
# ### Exercise 11.1
#
# *Medium, 15 minutes.* A world of dice draws from its own generator. Write `save_dice(world)`, which returns a state that survives
# `json.loads(json.dumps(state))` and shares nothing with the world, and make it complete: `load_dice` below takes it, and a fresh
# world must then roll on exactly as the first does. The world has `rolls`, a list of numbers, and `rng`, a `random.Random`.
#
# ```python
# def load_dice(world, state):
#     version, numbers, gauss = state["rng"]
#     world.rng.setstate((version, tuple(numbers), gauss))
#     world.rolls = state["rolls"]
# ```


# %% tags=["exercise-11-1"]
def save_dice(world):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import attempt, check_save_dice

attempt(check_save_dice, save_dice)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two things decide the future: what has been rolled, and where the generator stands.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `world.rng.getstate()` is a tuple of a number, a tuple of numbers, and None; JSON makes lists of tuples.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def save_dice(world):
#     return {"rolls": list(world.rolls), "rng": world.rng.getstate()}
# ```
#
# </details>

# %% [markdown]
# ### Exercise 11.2
#
# *Medium, 15 minutes.* An observation that gives the answer away makes any policy look good. Test for it: `worlds` are instances that differ
# in their secret only, and `actions` are actions that should tell nothing about it. Write `first_leak(worlds, actions)`: reset every world, play the
# actions, and return the index of the first observation that is not the same in all worlds (0 is the one of `reset`), or None.


# %% tags=["exercise-11-2"]
def first_leak(worlds, actions):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_first_leak

attempt(check_first_leak, first_leak)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Make one list of observations for each world; `zip(*lists)` then gives what all worlds say at the same moment.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `reset()` gives (observation, info), `step(action)` gives a tuple that begins with the observation. A set with more than one member is a leak.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def first_leak(worlds, actions):
#     told = [
#         [world.reset()[0], *(world.step(a)[0] for a in actions)]
#         for world in worlds
#     ]
#     for i, replies in enumerate(zip(*told)):
#         if len(set(replies)) > 1:
#             return i
#     return None
# ```
#
# </details>

# %% [markdown]
# ## Paper and here
#
# | | the paper | here | why |
# |---|---|---|---|
# | Ours | four kinds of task | a fifth, made up | it shows the interface; it supports no claim of the paper |
# | Simplified | language models of 0.5 to 8 billion weights | the small base | two cores |
# | Faithful | transitions are deterministic, reward at the end | the checklist tests the first, `_apply` keeps the second | equations 7 and 8 need both |
#
# **Watch** the last replies (who opened too early?), the gap between one sample and oracle (without it no judge can help), the distance from *fewest turns*, and the number of rounds. **Vary** the
# number of words, `default_rounds`, `demo_variants` (does it copy or remember?), and reward for a code that is nearly right.
#
# ## Summary
#
# 1. A world is four cells; the library finds it by its module and class ([the class](11_your_environment.ipynb#four-cells-make-a-world)).
# 2. Five checks and Gymnasium's own tell whether search can rely on it ([the checklist](11_your_environment.ipynb#a-checklist-that-runs)).
# 3. A copy that shares a list plays every single game well; one check catches it ([the misuse](11_your_environment.ipynb#a-misuse-that-looks-right)).
# 4. A profile with another `env` takes it through the pipeline ([the figure](11_your_environment.ipynb#the-whole-pipeline)). Read *fewest turns* in it first.
#
# ## Quiz
#
# <details><summary>1. Why is random.Random(hash("attic")) no good seed for a task?</summary>
#
# Python salts the hash of strings in every process: the same task would read differently tomorrow.
#
# </details>
#
# <details><summary>2. Two candidates end with open and three words. What must a judge read to score the last action?</summary>
#
# The notes in the history: the code in the action has to agree with them.
#
# </details>
#
# <details><summary>3. The oracle's curve lies on that of one sample. Which judge helps?</summary>
#
# None. All candidates of a task end alike; a better or more varied policy is needed first.
#
# </details>
#
# ## References
#
# - Towers et al. 2024, *Gymnasium*: the conventions of `reset` and `step`, and the checker.
# - Xi et al. 2024, *AgentGym*: servers of many worlds behind one protocol.
# - Olsson et al. 2022, *In-context Learning and Induction Heads*: how a small transformer learns to copy, which is all that the vault asks for.
