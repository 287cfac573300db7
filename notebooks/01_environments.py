# %% [markdown]
# # Agent tasks as environments
#
# At the end you will have played a crafting task by hand, copied its state,
# gone on from the copy in several ways, and computed the exact value of an
# action by trying everything that can follow it.
#
# | | |
# |---|---|
# | Before this | nothing |
# | Run time | see the [status page](../book/status.md) |
# | Paper | section 3: the setting, equations 2, 3, 5, 7 and 8 |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/01_environments.ipynb) |

# %% tags=["hide-input"]
# On Colab: install the library. At home it is there already.
import importlib.util
import subprocess
import sys

REPO = "git+https://github.com/agentprm-lite/agentprm-lite"
if importlib.util.find_spec("agentprm_lite") is None:
    pip = [sys.executable, "-m", "pip", "install", "-q", REPO]
    subprocess.run(pip, check=True)

# %% tags=["parameters"]
PROFILE = "cpu"

# %% [markdown]
# ## The question
#
# An agent acts in turns. It hears whether it was right only after the last
# one. How many turns lie between the first decision and that answer?
#
# Our task is TextCraft: "craft a torch", told in text, to be done with the
# recipes that are shown. A goal has a *depth*: the number of crafts on the
# longest chain of its recipe.
#
# **Predict before you run:** how many turns does an expert need at depth 1, 2,
# 3 and 4? And how often does an agent succeed that picks its actions at random
# from what the task shows, within 20 turns?

# %%
import json
from dataclasses import asdict
from itertools import product
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from agentprm_lite import plots
from agentprm_lite.envs import TextCraft, TextEnv, make_env, recipe_tree
from agentprm_lite.metrics import bootstrap_interval
from agentprm_lite.models import load_chat
from agentprm_lite.notebook import show_figure, show_source
from agentprm_lite.pipeline import base
from agentprm_lite.profiles import get_profile

SEEDS, SAMPLES = 3, get_profile(PROFILE).eval_samples
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")


# %%
def expert_episode(task):
    """(observation, thought, action, reward) of every turn."""
    env = TextCraft(max_rounds=100)  # no limit for an expert
    options = {"index": task.index, "variant": task.variant}
    observation, info = env.reset(options=options)
    rows, done = [], False
    while not done:
        thought, action = env.expert_action()
        shown = observation
        observation, reward, done, _, info = env.step(action)
        rows.append((shown, thought, action, reward))
    return info["depth"], rows


test = TextCraft.tasks("test")
played = [expert_episode(task) for task in test]
depths = np.array([depth for depth, _ in played])
turns = np.array([len(rows) for _, rows in played])


# %%
def suggested(observation):
    """Every action that the first observation suggests."""
    lines = observation.split("\n")
    crafts = [line for line in lines if line.startswith("craft ")]
    inputs = [line.split(" using ")[1].split(", ") for line in crafts]
    gets = sorted({f"get {part}" for parts in inputs for part in parts})
    return crafts + gets


def random_success(task, rng):
    """Whether an agent that picks its actions at random succeeds."""
    env = TextCraft.from_task(task)
    observation, info = env.reset()
    actions, done = suggested(observation), False
    while not done:
        action = actions[rng.integers(len(actions))]
        _, _, terminated, truncated, info = env.step(action)
        done = terminated or truncated
    return info["success"]


# %%
luck = np.zeros((SEEDS, len(test)))  # success rate of each task
for seed in range(SEEDS):
    rng = np.random.default_rng(seed)
    for i, task in enumerate(test):
        wins = [random_success(task, rng) for _ in range(SAMPLES)]
        luck[seed, i] = np.mean(wins)
chance = {d: bootstrap_interval(luck[:, depths == d]) for d in (1, 2, 3, 4)}
print(f"{SEEDS} seeds x {SAMPLES} episodes of each of {len(test)} tasks")
for d, (mean, lo, hi) in chance.items():
    n = (depths == d).sum()
    print(f"depth {d} ({n} tasks): random {mean:.3f} [{lo:.3f}, {hi:.3f}]")

# %%
plots.style()
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
left.boxplot([turns[depths == d] for d in chance], widths=0.5)
left.axhline(20, linestyle="--", color="#d55e00")
left.text(0.6, 20.5, "20 rounds", color="#d55e00")
left.set(xlabel="depth of the goal", ylabel="turns of the expert")
mean, lo, hi = np.array(list(chance.values())).T
error = np.maximum(0, [mean - lo, hi - mean])
right.errorbar(list(chance), mean, error, fmt="s", color="#0a7ac2", capsize=4)
right.set(xlabel="depth of the goal", xticks=list(chance), ylim=(-0.03, 1))
right.set_ylabel("success of random actions")
fig.tight_layout()
medians = [int(np.median(turns[depths == d])) for d in chance]
show_figure(
    fig,
    alt=f"Median turns of the expert at depth 1 to 4: {medians}; random "
    f"actions succeed at rates {[round(float(m), 3) for m in mean]}.",
    caption="Left: turns until the only reward, on held-out goals. Right: "
    "success of random actions, 95 % intervals over seeds and tasks.",
)

# %% [markdown]
# Read the left panel first: that many decisions share one reward. Then the
# right one: how often blind luck finds it. Where random actions almost never
# succeed, an agent that starts from nothing hears almost nothing, and that is
# why [chapter 2](02_policy.ipynb) begins with imitation. (Where no episode
# succeeded, the printed interval has no width: resampling zeros gives zeros. A
# rate of up to about 3 in the number of episodes could hide behind it.)
#
# ## An episode as mathematics
#
# The paper describes an agent task as a partially observable Markov decision
# process $(\mathcal U, \mathcal S, \mathcal A, \mathcal O, \mathcal T, r)$:
# instructions, states, actions, observations, transitions and a reward. One
# episode is the trajectory
#
# $$\tau = (u, o_0, a_0, o_1, a_1, \dots, a_{T-1}, o_T)$$
#
# The agent sees only text, so its state is all the text so far:
#
# $$s_t = (u, o_0, a_0, \dots, o_t)$$
#
# There is one reward $r(u, \tau) \in [0, 1]$, paid at the last step; all others
# are 0. This is how the symbols are called in the code:
#
# | symbol | in the code | shape | meaning |
# |---|---|---|---|
# | $u$ | `Task`; goal and rules in the first text | | the instruction |
# | $o_t$ | `observations[t]` | T + 1 texts | what the environment says |
# | $a_t$ | `actions[t]` | T texts | one turn of the agent |
# | $s_t$ | `ids[:start]` of turn $t$ | tokens | the history that it has read |
# | $\mathcal T$ | `env.step(action)` | | the world; no dice in it |
# | $r_t$ | `rewards[t]` | T numbers | 0 until the last turn |
# | end | `terminated`, `truncated` | 2 flags | goal reached; out of rounds |
# | hidden state | `env.snapshot()` | a dict | inventory, rounds used |
#
# The round limit is part of the task: 20 turns, and running out of them is a
# failure. This is the library's own `step`:

# %%
show_source(TextEnv.step)

# %% [markdown]
# ## A case to solve by hand
#
# Goal: sugar, from one recipe, `craft 1 sugar using 1 sugar cane`. Two turns
# do it: get the cane, craft. The rewards are $(0, 1)$. The return
# $G_t = \sum_{k \ge t} \gamma^{k-t} r_k$ is
#
# - with $\gamma = 1$: $G_0 = 0 + 1 = 1$ and $G_1 = 1$;
# - with $\gamma = 0.9$: $G_0 = 0 + 0.9 \cdot 1 = 0.9$ and $G_1 = 1$.
#
# With $\gamma = 1$ both turns get the same return, the outcome. That is what
# "sparse" means: the reward alone can't tell a decisive turn from an idle one.

# %%
env = TextCraft()
observation, info = env.reset(options={"goal": "sugar"})
rewards = []
for action in ["get 1 sugar cane", "craft 1 sugar using 1 sugar cane"]:
    observation, reward, terminated, truncated, info = env.step(action)
    rewards.append(reward)
    print(f"{action:<34} -> {observation:<26} reward {reward}")
assert rewards == [0.0, 1.0] and terminated and not truncated


# %% [markdown]
# Now give the agent three rounds and let it choose each time with probability
# 1/3 between *get*, *craft* and *inventory*. What is the chance of success?
# The value of a turn is its expected outcome, and the value of a state the mean
# over the turns that the policy may take (paper, equations 2, 3 and 5):
#
# $$Q(s_t, a_t) = \mathbb E\,[r \mid s_t, a_t, \pi], \qquad
# V(s_t) = \mathbb E_{a \sim \pi}\, Q(s_t, a)$$
#
# $$A(s_t, a_t) = Q(s_t, a_t) - V(s_t)$$
#
# The paper calls $Q$ *promise* and $A$ *progress*. Write $F_k$ for the value
# with the cane in hand and $E_k$ for empty hands, $k$ rounds before the end.
#
# - With the cane only *craft* ends it: $F_k = 1 - (2/3)^k$, so
#   $F_1 = 1/3$, $F_2 = 5/9$.
# - With empty hands only *get* helps: $E_k = \frac13 F_{k-1} +
#   \frac23 E_{k-1}$, so $E_1 = 0$, $E_2 = 1/9$, $E_3 = 5/27 + 2/27 = 7/27$.
#
# So $V(s_0) = 7/27$, $Q(s_0, \text{get}) = F_2 = 5/9$ and
# $Q(s_0, \text{inventory}) = Q(s_0, \text{craft}) = E_2 = 1/9$. The progress of
# *get* is $5/9 - 7/27 = 8/27$; that of the two others is $-4/27$. The mean
# progress is zero, as it must be.
#
# An independent check: there are only $3^3 = 27$ sequences of actions. Play
# them all.

# %%
MOVES = ["get 1 sugar cane", "craft 1 sugar using 1 sugar cane", "inventory"]


def wins(plans):
    """How many of some plans end with sugar, in three rounds."""
    count = 0
    for plan in plans:
        env = TextCraft(max_rounds=3)
        env.reset(options={"goal": "sugar"})
        count += max(env.step(action)[1] for action in plan) == 1.0
    return count


plans = list(product(MOVES, repeat=3))
first = {a: wins([p for p in plans if p[0] == a]) for a in MOVES}
print(f"V(s0) = {wins(plans)}/27")
for action, count in first.items():
    print(f"Q(s0, {action}) = {count}/9")
assert wins(plans) == 7 and list(first.values()) == [5, 1, 1]

# %% [markdown]
# ## What determinism buys
#
# In our world the same action in the same state always has the same answer.
# So the state after a turn is known as soon as the turn is, and its value is
# the value of the turn (paper, equations 7 and 8):
#
# $$V(s_t) = Q(s_{t-1}, a_{t-1}) \quad\Longrightarrow\quad
# A(s_t, a_t) = Q(s_t, a_t) - Q(s_{t-1}, a_{t-1})$$
#
# This is why one model of $Q$ is enough in this book: progress is the
# difference of two of its values. In a world with dice it would not be. Let
# `get` find the cane only half of the time. Then $Q(s_0, \text{get}) =
# \frac12 F_2 + \frac12 E_2 = \frac13$, but the state that follows is worth
# either $5/9$ or $1/9$, never $1/3$: the difference of two $Q$ would credit the
# next turn with the luck of this one.

# %% [markdown]
# ## The recipe tree, and what the agent sees of it
#
# The goal hangs on a tree. Square boxes are got, round ones are crafted. The
# agent doesn't see the tree. It sees a shuffled list of commands with up to ten
# that are of no use.

# %%
GOAL = "lantern"
tree = asdict(recipe_tree(GOAL))
fig = plots.recipe_tree(tree)
show_figure(
    fig,
    alt=f"Recipe tree of {GOAL}: made of "
    + " and ".join(f"{c['count']} {c['item']}" for c in tree["children"]),
    caption=f"One way to make a {GOAL}: from right to left, depth 3.",
)
env = TextCraft()
observation, info = env.reset(options={"goal": GOAL})
print(f"{observation}\n\n{info}")

# %% [markdown]
# ## Play it yourself
#
# Change the list and run the cell again. Some things to try: craft before you
# have everything, get something that must be crafted (`get 1 stick`), write
# nonsense, put the inputs of a recipe in another order, go on after the end.
# Any text gets an answer; nothing raises an error.
#
# After your turns the expert takes over. It answers from any state, also after a
# detour: it makes a new plan from what is in the inventory now. Its turns are
# what a policy imitates in chapter 2.

# %%
ACTIONS = [
    "get 1 coal",
    "get 1 stick",
    "get 2 bamboo",
    "craft 1 stick using 2 bamboo",
    "craft 4 torch using 1 coal, 1 stick",
    "make me a lantern",
    "inventory",
]
rows = []
for action in ACTIONS:
    observation, reward, terminated, truncated, info = env.step(action)
    rows.append((action, observation, reward, terminated or truncated))
pd.set_option("display.max_colwidth", 60)
pd.DataFrame(rows, columns=["action", "observation", "reward", "over"])

# %%
while not (terminated or truncated):
    thought, action = env.expert_action()
    observation, reward, terminated, truncated, info = env.step(action)
    print(fill(thought, 72))
    print(f"  > {action}\n    {observation} (reward {reward})")
assert info["success"]

# %% [markdown]
# ## Copy a state and go on from it
#
# `snapshot()` gives the state of an episode as a plain dict; `restore()` takes
# it over, in this or in any other instance. So several continuations of one
# state can be tried: that is a *fork*. Monte Carlo labels
# ([chapter 4](04_labels.ipynb)) and beam search
# ([chapter 7](07_beam_search.ipynb)) are made of forks.

# %%
start = TextCraft(max_rounds=3)
start.reset(options={"goal": "sugar"})
saved = start.snapshot()
print(json.dumps(saved))

after = {}
for action in MOVES:
    fork = make_env("textcraft")
    fork.restore(saved)
    fork.step(action)
    after[action] = fork.snapshot()["state"]["inventory"]
print(after)
assert start.snapshot() == saved, "a fork changed its parent"


# %% [markdown]
# ## A misuse that looks right
#
# Estimate $Q(s_0, a)$ of the three actions by playing on at random after each.
# Both functions below take a snapshot and restore it before every rollout. One
# of them takes it in the wrong place: inside the loop over the actions, where
# the environment is no longer where it was.
#
# **Predict before you run:** which of the three estimates will still be right?


# %%
def play_on(env, saved, action, rng):
    """The outcome of an action and of random ones after it."""
    env.restore(saved)
    _, reward, *over, _ = env.step(action)
    while not any(over):
        _, reward, *over, _ = env.step(MOVES[rng.integers(3)])
    return reward


def estimate(order, rng, *, inside, n=900):
    env = TextCraft(max_rounds=3)
    env.reset(options={"goal": "sugar"})
    saved, q = env.snapshot(), {}
    for action in order:
        if inside:
            saved = env.snapshot()  # wrong: not the first state any more
        q[action] = sum(play_on(env, saved, action, rng) for _ in range(n)) / n
    return [q[action] for action in MOVES]


# %%
rng = np.random.default_rng(0)
bars = {
    "exact": [5 / 9, 1 / 9, 1 / 9],
    "restored": estimate(MOVES, rng, inside=False),
    "wrong place": estimate(MOVES, rng, inside=True),
    "wrong place, other order": estimate(MOVES[::-1], rng, inside=True),
}
fig = plots.label_bars(bars, [move.split()[0] for move in MOVES])
fig.axes[0].set_ylabel("estimate of Q(s0, action)")
show_figure(
    fig,
    alt="Estimates of Q for get, craft and inventory: "
    + "; ".join(f"{k} {np.round(v, 2).tolist()}" for k, v in bars.items()),
    caption="With the snapshot in the wrong place only the action that comes "
    "first gets its value. The symptom: the result depends on the order.",
)

# %% [markdown]
# The wrong version gives numbers that look sensible: *get* is far ahead, the
# others are at zero. Turn the order round and *get* is worth nothing. The same
# happens where two branches share one environment under two names. Two
# assertions catch it: the state before every branch is the first state, and the
# same action tried twice in a row gives about the same value.

# %%
env = TextCraft(max_rounds=3)
env.reset(options={"goal": "sugar"})
saved = env.snapshot()
for action in MOVES:
    env.restore(saved)
    assert env.snapshot() == saved, "this branch starts somewhere else"
    env.step(action)
twice = estimate(MOVES[:1] * 2 + MOVES[1:], rng, inside=False)
print("tried twice:", np.round(twice, 2), "exact:", np.round(bars["exact"], 2))
assert np.abs(np.array(twice) - bars["exact"]).max() < 0.1

# %% [markdown]
# ## How long the tasks are, in turns and tokens
#
# A policy reads tokens. With the tokenizer of this profile's base model the
# expert's episodes on the held-out goals come to the sizes below (medians).


# %%
from agentprm_lite.chat import react

chat = load_chat(base(PROFILE))


def sizes(rows):
    """Tokens of the first text, of all turns, of all replies."""
    own = sum(len(chat.turn_ids(react(t, a))) for _, t, a, _ in rows)
    texts = [len(chat.encode(observation)) for observation, *_ in rows]
    return len(rows), texts[0], own, sum(texts[1:])


columns = ["turns", "prompt", "own", "replies"]
table = pd.DataFrame([sizes(rows) for _, rows in played], columns=columns)
groups = table.groupby(pd.Series(depths, name="depth"))
groups.median().astype(int).assign(
    tasks=groups.size(),
    too_long=groups["turns"].agg(lambda n: int((n > 20).sum())),
)

# %% [markdown]
# `prompt`: the first text, with the recipes. `own`: what the policy must produce, over
# the whole episode. `replies`: what it reads between its turns. `too_long`:
# tasks that even the expert can't finish in 20 rounds; no policy can solve
# them, and a success rate over all tasks has its ceiling there.
#
# ## The other kinds of tasks
#
# The paper has four. This edition has TextCraft; the others follow, and will
# use the same `TextEnv`.
#
# | task | the agent | turns | outcome | here |
# |---|---|---|---|---|
# | TextCraft | crafts an item from recipes | 20 | 0 or 1 | yes |
# | WebShop | searches a shop and buys | 6 | 0 to 1, at the purchase | later |
# | BabyAI | walks through rooms to a goal | 20 | 0 to 1, less for detours | later |
# | mathematics | writes one step of a solution a turn | a few | 0 or 1 | later |
#
# They differ in one thing that matters later: in TextCraft the last reply gives
# the outcome away ("Crafted 1 lantern"), in WebShop and in mathematics the
# agent must judge for itself.

# %% [markdown]
# ### Exercise 01.1
#
# *Easy, 10 minutes.* Write `try_actions(env, actions)`: for each action what
# the environment answers to it **in its present state**, as a list of pairs
# (observation, reward). Afterwards `env` is in the state in which it was given.


# %% tags=["exercise-01-1"]
def try_actions(env, actions):
    """Return (observation, reward) of each action, tried on its own."""
    raise NotImplementedError


# %%
from agentprm_lite.exercises import attempt, check_try_actions

attempt(check_try_actions, try_actions)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `env.snapshot()` once, before anything else.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Restore after every step: then each action starts from the same state, and the
# last restore leaves the environment as it was.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def try_actions(env, actions):
#     saved, answers = env.snapshot(), []
#     for action in actions:
#         observation, reward, *_ = env.step(action)
#         answers.append((observation, reward))
#         env.restore(saved)
#     return answers
# ```
#
# </details>

# %% [markdown]
# ### Exercise 01.2
#
# *Medium, 20 minutes.* Write `state_value(env, actions)`: the exact value
# $V(s)$ of the environment's present state (the episode is not over) for a
# policy that takes each of `actions` with equal probability, until the episode
# ends. For sugar, three rounds and the three moves above it is $7/27$.


# %% tags=["exercise-01-2"]
def state_value(env, actions):
    """Return the mean outcome over all ways in which the episode can go on."""
    raise NotImplementedError


# %%
from agentprm_lite.exercises import check_state_value

attempt(check_state_value, state_value)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# $V(s)$ is the mean of $Q(s, a)$ over the actions. If the turn ends the
# episode, $Q$ is its reward; else $Q(s, a) = V(s')$: determinism.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A function that calls itself, with a snapshot before the loop and a restore
# before each step. An episode ends by `terminated` or by `truncated`.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def state_value(env, actions):
#     saved, total = env.snapshot(), 0.0
#     for action in actions:
#         env.restore(saved)
#         _, reward, terminated, truncated, _ = env.step(action)
#         over = terminated or truncated
#         total += reward if over else state_value(env, actions)
#     env.restore(saved)
#     return total / len(actions)
# ```
#
# </details>

# %% [markdown]
# ## Paper and here
#
# | | the paper | here |
# |---|---|---|
# | simplified | four kinds of tasks, served over HTTP | TextCraft, in this process |
# | faithful | TextCraft's texts, replies, reward, 20 rounds, test goals | the same; differences are numbered in the docstring of `TextCraft` |
# | faithful | 97 TextCraft queries | `tasks("test", levels=(1, 2, 3))`; with depth 4 there are 100 |
# | ours | index to goal depends on the server's file system | recipes are sorted: an index is the same goal everywhere |
# | ours | | `variant`: the same goal among other distractors |
# | ours | $\gamma$ is not given | $\gamma = 1$: the value is a chance of success |
#
# ## What the numbers mean
#
# | name | meaning | watch for |
# |---|---|---|
# | `reward` | 1 at the turn that makes the goal | any other place |
# | `terminated` | the goal was reached | |
# | `truncated` | 20 rounds are over | counts as failure *here*, not everywhere |
# | `info["success"]` | stays true after the end | reading it from the last reply instead |
# | `info["depth"]` | difficulty of the goal | a mean over depths hides it |
#
# To vary next: another `GOAL`; `max_rounds=3` in the random agent; a random
# agent that never repeats a turn.
#
# ## Summary
#
# 1. An episode pays once, at its end, so with $\gamma = 1$ all turns have the
#    same return ([the hand case](#a-case-to-solve-by-hand)).
# 2. The value of a turn is the mean outcome of what may follow; enumeration
#    gives $5/9$ and $1/9$ where we had computed it
#    ([the same section](#a-case-to-solve-by-hand)).
# 3. The world is deterministic (`test_fifty_random_steps_are_deterministic`),
#    so $V(s_t) = Q(s_{t-1}, a_{t-1})$ and progress is a difference of two $Q$
#    ([what determinism buys](#what-determinism-buys)).
# 4. A state can be copied and gone on from
#    (`test_restore_gives_the_same_future_from_any_state`); the snapshot must be
#    taken before the loop over branches
#    ([the misuse](#a-misuse-that-looks-right)).
#
# **Quiz**
#
# <details><summary>1. Why may an agent fail though its state can still be
# solved?</summary>
#
# The goal may be reachable by the right actions, but the policy may not take
# them, or the rounds may run out. Value is always that *of a policy*.
#
# </details>
#
# <details><summary>2. Where would the value of a state differ from
# that of the turn before it?</summary>
#
# Where the same action can have several answers: then $Q$ is the mean of the
# values of the states that may follow.
#
# </details>
#
# <details><summary>3. What does a snapshot not need to save, and why?</summary>
#
# The text of the observations: it follows from the task and the actions. Nor
# the generator that draws tasks at `reset`: an episode has no dice.
#
# </details>
#
# **References**
#
# - Xi et al. 2025, *AgentPRM* (arXiv 2511.08325): the setting, section 3.
# - Prasad et al. 2024, *ADaPT* (arXiv 2311.05772): where TextCraft comes from.
# - Xi et al. 2024, *AgentGym* (arXiv 2406.04151): the protocol that ours
#   follows, and the three other kinds of tasks.
# - Sutton and Barto 2018, *Reinforcement Learning*, chapter 3: returns and
#   values, slowly.
