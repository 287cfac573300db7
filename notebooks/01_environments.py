# %% [markdown]
# # 1 Agent tasks as environments
#
# At the end you will have played four worlds by hand (a crafting task, a walk
# through rooms, a shop, a word problem), copied their states, gone on from the
# copies, and computed the exact value of an action by trying everything that
# can follow it.
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
# An agent acts in turns. It hears whether it was right only after the last
# one. How many turns lie between the first decision and that answer? The paper
# works in four worlds, all told in text:
#
# - **TextCraft**: "craft a lantern", with the recipes that are shown;
# - **BabyAI**: "pick up the key", in rooms of which only a part is in sight;
# - **WebShop**: "find me card games below 50 dollars", in a shop;
# - **math**: a word problem, one step of its solution a turn.
#
# **Predict before you run:** how many turns does an expert need in each of
# them? And how often does an agent succeed that picks its actions at random
# from what the text suggests?

# %%
import json
import re
from dataclasses import asdict
from itertools import product
from textwrap import fill, indent
import numpy as np
import pandas as pd
from IPython.display import HTML, display

from agentprm_lite.tutorial import looks, plots, trees
from agentprm_lite import TextEnv, make_env
from agentprm_lite.env import env_class
from agentprm_lite.worlds.textcraft import TextCraft, recipe_tree
from agentprm_lite.study import bootstrap_interval
from agentprm_lite.tutorial.floors import random_action, random_agent
from agentprm_lite.tutorial.notebook import show_figure, show_source
from agentprm_lite.tutorial.profiles import get_profile

WORLDS = ["textcraft", "babyai", "webshop", "math"]
SEEDS, TASKS, SAMPLES = 3, 30, get_profile(PROFILE).eval_samples


# %%
def expert_plays(task, max_rounds=60):
    """(thought, action, reply, reward) of every turn; all texts; success."""
    env = make_env(task.env, max_rounds)
    options = {"index": task.index, "variant": task.variant}
    texts, rows, over = [env.reset(options=options)[0]], [], [False]
    while not any(over):
        thought, action = env.expert_action()
        reply, reward, *over, info = env.step(action)
        texts += [action, reply]
        rows.append((thought, action, reply, reward))
    return rows, texts, info["success"]


show_source(random_action)  # one of the actions that the text suggests


# %%
played, luck = {}, np.zeros((2, len(WORLDS), SEEDS, TASKS))
for i, world in enumerate(WORLDS):
    test = env_class(world).tasks("test")
    test = test[:: len(test) // TASKS][:TASKS]  # spread over the levels
    played[world] = [expert_plays(task) for task in test]
    for seed in range(SEEDS):
        for j, task in enumerate(test):
            runs = [random_agent(task, k, seed, None) for k in range(SAMPLES)]
            ends = [(success, reward) for reward, _, success in runs]
            luck[:, i, seed, j] = np.mean(ends, axis=0)
turns = [[len(rows) for rows, *_ in played[world]] for world in WORLDS]
won, earned = ([bootstrap_interval(x) for x in kind] for kind in luck)
print(f"{TASKS} tasks a world, {SEEDS} seeds x {SAMPLES} random episodes each")
for world, w, e in zip(WORLDS, won, earned, strict=True):
    print(f"{world:<9} success {w.mean:.3f} [{w.lo:.3f}, {w.hi:.3f}], "
          f"reward {e.mean:.3f} [{e.lo:.3f}, {e.hi:.3f}]")
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")

# %%
fig, (left, right) = looks.new_axes(2, 6.8, 3.2)
at = np.arange(4)
limits = [env_class(world).default_rounds for world in WORLDS]
left.boxplot(turns, positions=at, medianprops={"color": looks.INK})
left.hlines(limits, at - 0.4, at + 0.4, colors=looks.INK, linestyles="--")
left.set(ylabel="turns of the expert", xticks=at, xticklabels=WORLDS)
rows = {"random agent, success": won, "random agent, reward": earned}
for shift, (name, look) in enumerate(looks.looks_of(rows).items()):
    mean, lo, hi = np.array(rows[name]).T
    bars = np.maximum(0, [mean - lo, hi - mean])
    right.errorbar(at + 0.2 * shift, mean, bars, fmt=look.marker,
                   color=look.color, capsize=4, label=name)
right.set(ylabel="random agent, mean", xticks=at, xticklabels=WORLDS)
looks.finish(fig, right)
needs = ", ".join(f"{np.median(n):g}" for n in turns)
finds = ", ".join(f"{x.mean:.0%}" for x in won)
show_figure(fig, alt=f"Turns {needs}; success of random actions {finds}.",
            caption=f"{', '.join(WORLDS)}: the expert needs {needs} turns "
            "(medians; dashed: the limit), random actions succeed in "
            f"{finds} of the episodes (bars: 95 %).")

# %% [markdown]
# Read the left panel first: that many decisions share one reward. Then the
# right one: how often blind luck finds it. The **random agent** is a floor: a
# **policy** (whatever chooses the actions, later written $\pi$) that isn't above
# it has learned nothing. It stands in the figures of chapters
# [3](03_rollouts.ipynb), 6, 7, 9 and 10, each time with the tasks and rounds of
# that chapter: here it plays all levels with the worlds' own limits. Mind what it picks
# from: BabyAI lists the actions that do something now, while most fields of a
# WebShop page do nothing when clicked. Where a world pays between 0 and 1, mean
# reward and success can lie apart. Where random actions almost never succeed,
# an agent that starts from nothing hears almost nothing, and that is why [chapter 2](02_policy.ipynb) begins with
# imitation.
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
# with $T$ turns (the paper's ends with $o_T, a_T$, so its $T$ is the last turn).
# The agent sees only text, so its state is all the text so far:
#
# $$s_t = (u, o_0, a_0, \dots, o_t)$$
#
# There is one reward $r(u, \tau) \in [0, 1]$, paid at the last step; all others
# are 0. This is how the symbols are called in the code:
#
# | symbol | in the code | shape | meaning |
# |---|---|---|---|
# | $u$ | `Task`; goal in the first text, rules in `env.instructions` | | the instruction |
# | $o_t$ | `observations[t]` | T + 1 texts | what the environment says |
# | $a_t$ | `actions[t]` | T texts | one turn of the agent |
# | $s_t$ | `ids[:start]` of turn $t$ | tokens | the history that it has read; as token ids in chapter 2 |
# | $\mathcal T$ | `env.step(action)` | | the world; no dice in it |
# | $r_t$ | `rewards[t]` | T numbers | 0 until the last turn |
# | end | `terminated`, `truncated` | 2 flags | the world ended it; out of rounds |
# | hidden state | `env.snapshot()` | a dict | inventory, grid, page, ...; rounds used |
#
# A *round* is a turn and the answer to it. Their limit is part of a task, and
# running out of rounds is a failure. This is the library's own `step`, one for all
# worlds; the table after it is read from the four classes and the expert's episodes.

# %%
show_source(TextEnv.step)


def said(cls, section):
    """The first sentence of a section of a class's docstring."""
    text = re.split(rf"\n *{section}:\n", cls.__doc__)[1]
    return re.split(r"\.\s", " ".join(text.split()))[0]


def words(runs):
    """Median words of the first text, of all actions, of all replies."""
    parts = [(t[:1], t[1::2], t[2::2]) for _, t, _ in runs]
    sizes = [[len(" ".join(x).split()) for x in part] for part in parts]
    return ", ".join(f"{size:.0f}" for size in np.median(sizes, axis=0))


# %%
def facts(world):
    cls, env, runs = env_class(world), make_env(world), played[world]
    test, ends = cls.tasks("test"), [r[-1][-1] for r, _, won in runs if won]
    infos = [env.reset(options={"index": t.index})[1] for t in test]
    late = sum(len(r) > env.max_rounds for r, *_ in runs)
    return {
        "tasks: train, test": f"{len(cls.tasks('train'))}, {len(test)}",
        "levels": len({x.get("level", x.get("depth")) for x in infos}),
        "rounds": cls.default_rounds,
        f"expert needs more, of {TASKS}": late,
        "reward": said(cls, "Reward"),
        "reward at a success": f"{min(ends):.3f} to {max(ends):.3f}",
        "end": said(cls, "Episode end"),
        "replies to actions": "yes" if any(t[2] for _, t, _ in runs) else "no",
        "words: first text, actions, replies": words(runs),
    }


pd.set_option("display.max_colwidth", None)
pd.DataFrame({world: facts(world) for world in WORLDS})

# %% [markdown]
# What to read from it:
#
# - *reward*: TextCraft and math pay 0 or 1. BabyAI takes a little off for every
#   move, so a success is worth less than 1. WebShop pays a part for a purchase that is
#   right in part; only a full 1 counts as success.
# - *replies*: in math nobody answers a step, so a wrong step looks like a right
#   one. In WebShop the pages answer, but they don't say which product is right.
#   In both the agent must judge for itself. The *last* reply gives the outcome
#   away in TextCraft ("Crafted 1 minecraft:lantern"), BabyAI and WebShop, where
#   it comes too late to choose another way; in math nothing does.
# - *expert needs more*: tasks that the expert doesn't finish within the rounds.
#   Where no policy can, a success rate over all tasks has its ceiling there.
# - *words*: what a policy must read and write. The reading is most of it.
#
# ## TextCraft: a tree of recipes
#
# A goal needs a tree of crafts. In the figure square boxes are got, round ones are
# crafted. The agent doesn't see the tree. It sees a shuffled list of commands with up to ten
# that are of no use. A goal has a *depth*: the number of crafts on the longest
# chain of its recipe.
#
# **Play it yourself.** Each world has a list `ACTIONS`. Change it and run the
# cell again. Here: craft before you have everything, get something that must be
# crafted (`get 1 stick`), write nonsense, put the inputs of a recipe in another
# order. Any text gets an answer; nothing raises an error. After your turns the
# expert takes over. It answers from any state, also after a detour, by a new
# plan from what is there now. Its turns are what a policy imitates in chapter 2.

# %%
GOAL = "lantern"
tree = asdict(recipe_tree(GOAL))
fig = trees.recipe_tree(tree)
show_figure(
    fig,
    alt=f"Recipe tree of {GOAL}: made of "
    + " and ".join(f"{c['count']} {c['item']}" for c in tree["children"]),
    caption=f"One way to make a {GOAL}: from right to left.",
)
env = TextCraft()
observation, info = env.reset(options={"goal": GOAL})
print(f"{observation}\n\n{info}")

# %%
def play(env, actions, then_expert=True):
    """Play some turns and print them, then those of the expert."""
    todo, over = list(actions), [False]
    while (todo or then_expert) and not any(over):
        thought, action = ("", todo.pop(0)) if todo else env.expert_action()
        reply, reward, *over, _ = env.step(action)
        print(f"{fill(thought, 72)}\n> {action}".strip())
        print(indent(fill(reply or "(no reply)", 68), "    "))
    print(f"reward {reward:.2f}{', the end' if any(over) else ''}")


ACTIONS = [
    "get 1 coal",
    "get 1 stick",
    "craft 1 stick using 2 bamboo",
    "make me a lantern",
    "inventory",
]
play(env, ACTIONS)

# %% [markdown]
# ## BabyAI: a grid of which a part is in sight
#
# The picture shows the whole world with the agent as a red triangle. The agent
# gets the text beside it, and the text tells only what lies in the lighter
# part: a square of seven by seven cells ahead, up to walls and closed doors. The
# rest is hidden state: it makes the process *partially observable*.
#
# An action such as `go to red ball 1` is a macro of many small steps. The numbers
# are given anew in every observation: the next `red ball 1` may be another ball. Try an action that isn't in the list, or `check available actions`.

# %%
env = make_env("babyai")
observation, info = env.reset(options={"index": 3310})
fig, (left, right) = looks.new_axes(2, 7.2, 3)
left.imshow(env.render())
lines = [fill(line, 38) for line in observation.split("\n")]
look = {"va": "top", "fontsize": 11}
right.text(0, 1, "\n\n".join(lines), **look)
for ax in (left, right):
    ax.axis("off")
show_figure(
    fig,
    alt="Rooms with doors from above, the agent as a red triangle, what it "
    f"sees in a lighter grey. It reads: {observation}",
    caption="The agent reads of the lighter part only.",
)
print(info)

# %%
ACTIONS = [
    "pick up the key",
    "toggle and go through red closed door 1",
]
play(env, ACTIONS)

# %% [markdown]
# ## WebShop: pages of a shop
#
# The agent reads the fields of a page with " [SEP] " between them. For people
# there is `env.html()`. Two things are hard to see. Which of the near-duplicates has
# what the instruction asks for: read the titles, or the page *Features*. And which
# option values are chosen: the page for people shows it, the text doesn't.
#
# The list below forgets one option before it buys. Which reward do you expect?
# At the purchase it is (attributes met + options met + [price in bounds]) /
# (attributes + options + 1), if the kind of product is right. The instruction
# has two attributes and two options. Mend the list.

# %%
ACTIONS = [
    "search[lightly salted rice crackers]",
    "click[B09UJC4B15]",
    "click[original]",
]
env = make_env("webshop")
observation, info = env.reset(options={"index": 14})
print(fill(observation, 72))
play(env, ACTIONS, then_expert=False)
display(HTML(env.html()))
play(env, ["click[Buy Now]"], then_expert=False)

# %% [markdown]
# ## Math: a tree of steps, and no reply
#
# A step of a solution takes two numbers, told ones or results of earlier steps,
# so that a solution is a tree too: square boxes are told, round ones calculated.
# GSM8K has solutions of this kind, one step a line, and the answer after "####".
# Our problems are made by a generator; about half of them tell a number that
# isn't needed. The agent sees the text only, and nobody says whether a step was
# right. So there is nothing here that a search could learn from on the way,
# except from a reward model.

# %%
env = make_env("math")
observation, info = env.reset(options={"index": 3480})
print(fill(observation, 72))
lines, fork = [], make_env("math")
fork.restore(env.snapshot())  # the solution is taken from a copy
while "####" not in (action := fork.expert_action()[1]):
    lines.append(action)
    fork.step(action)
told, used = (set(re.findall(r"\d+", x)) for x in (observation, str(lines)))
show_figure(
    trees.calculation_tree(lines),
    alt=f"Tree of the solution {'; '.join(lines)}.",
    caption="From right to left: told numbers, steps, the answer. "
    f"Told but not needed: {', '.join(sorted(told - used)) or 'nothing'}.",
)

# %%
ACTIONS = [
    "20 / 2 = 10",
    "10 - 4 = 6",
    "#### 9",
]
play(env, ACTIONS)

# %% [markdown]
# ## A case to solve by hand
#
# Goal: sugar, from one recipe, `craft 1 sugar using 1 sugar cane`. Two turns
# do it: get the cane, craft. The rewards are $(0, 1)$. The **return** of a turn
# is the sum of the rewards from it to the end, where a reward $k$ turns later
# counts $\gamma^k$; $\gamma \le 1$ is the *discount*. So
# $G_t = \sum_{k \ge t} \gamma^{k-t} r_k$ is
#
# - with $\gamma = 1$: $G_0 = 0 + 1 = 1$ and $G_1 = 1$;
# - with $\gamma = 0.9$: $G_0 = 0 + 0.9 \cdot 1 = 0.9$ and $G_1 = 1$.
#
# With $\gamma = 1$ both turns get the same return, the outcome. That is what
# "sparse" means: the reward alone can't tell a decisive turn from an idle one.
#
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


def rewards(plan):
    """The rewards of a sequence of actions, in three rounds."""
    env = TextCraft(max_rounds=3)
    env.reset(options={"goal": "sugar"})
    return [env.step(action)[1] for action in plan]


assert rewards(MOVES[:2]) == [0.0, 1.0]
plans = list(product(MOVES, repeat=3))
wins = {a: sum(max(rewards(p)) for p in plans if p[0] == a) for a in MOVES}
print(f"V(s0) = {sum(wins.values()):g}/27")
for action, count in wins.items():
    print(f"Q(s0, {action}) = {count:g}/9")
assert list(wins.values()) == [5, 1, 1]

# %% [markdown]
# ## What determinism buys
#
# In our worlds the same action in the same task and state always has the same
# answer. So the turn fixes the state after it, whose value is the value of the
# turn (paper, equations 7 and 8):
#
# $$V(s_t) = Q(s_{t-1}, a_{t-1}) \quad\Longrightarrow\quad
# A(s_t, a_t) = Q(s_t, a_t) - Q(s_{t-1}, a_{t-1})$$
#
# This is why one model of $Q$ is enough in this book: progress is the
# difference of two of its values. In a world with dice it would not be. Let
# `get` find the cane only half of the time. Then $E_2 = \frac13 \cdot \frac12 F_1
# = \frac1{18}$ and $Q(s_0, \text{get}) = \frac12 F_2 + \frac12 E_2 =
# \frac{11}{36}$, but the state that follows is worth either $5/9$ or $1/18$,
# never $11/36$: the difference of two $Q$ would credit the next turn with the
# luck of this one.
#
# A reward model reads text alone, and it reads a turn before the answer to it.
# What only the answer shows, such as a key behind a door, it can't know yet, so
# that counts for the next turn, as luck does. How much that is in BabyAI is
# measured in [chapter 10](10_four_worlds.ipynb#could-any-judge-do-better).
#
# ## Copy a state and go on from it
#
# `snapshot()` gives the state of an episode as a plain dict; `restore()` takes
# it over, in this or in any other instance. So several continuations of one
# state can be tried: that is a *fork*. Monte Carlo labels
# ([chapter 4](04_labels.ipynb)) and beam search
# ([chapter 7](07_beam_search.ipynb)) are made of forks. The cell checks both
# promises in all four worlds: two forks that play the same actions hear the
# same to the end, and their parent stays where it is.

# %%
def go_on(saved, texts):
    """All texts and the reward of a fork that plays on at random."""
    fork, rng = make_env(saved["env"]), np.random.default_rng(0)
    fork.restore(saved)
    texts, over = list(texts), [False]
    while not any(over):
        action = random_action(fork, texts, rng)
        reply, reward, *over, _ = fork.step(action)
        texts += [action, reply]
    return texts, reward


for world, index in zip(WORLDS, (430, 3310, 14, 3480), strict=True):
    env = make_env(world)
    texts = [env.reset(options={"index": index})[0]]
    texts.append(env.step(env.expert_action()[1])[0])
    saved = json.dumps(env.snapshot())
    one, other = (go_on(json.loads(saved), texts) for _ in range(2))
    assert one == other and json.dumps(env.snapshot()) == saved
    print(f"{world}: {len(saved)} characters saved, two futures agree")

# %% [markdown]
# ## A misuse that looks right
#
# Estimate $Q(s_0, a)$ of the three actions by playing on at random after each.
# `estimate` takes a snapshot, and `play_on` restores it before every rollout.
# With `inside=True` it is taken in the wrong place: inside the loop over the
# actions, where the environment is no longer where it was.
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

# %%
def branches(*, inside):
    """Steps along every action; the first state is compared before each."""
    env = TextCraft(max_rounds=3)
    env.reset(options={"goal": "sugar"})
    first = saved = env.snapshot()
    for action in MOVES:
        saved = env.snapshot() if inside else saved
        env.restore(saved)
        assert env.snapshot() == first, f"{action!r} starts somewhere else"
        env.step(action)


branches(inside=False)
try:
    branches(inside=True)
except AssertionError as caught:
    print("caught:", caught)
else:
    raise AssertionError("the wrong place went unnoticed")

# %% [markdown]
# The wrong version gives numbers that look sensible: *get* is far ahead, the
# others are at zero. Turn the order round and *get* is worth nothing. The same
# happens where two branches share one environment under two names. One
# assertion catches it: the state before every branch is the first state.
#
# ## Exercises
#
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
from agentprm_lite.tutorial.exercises import attempt, check_try_actions

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
from agentprm_lite.tutorial.exercises import check_state_value

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
# | simplified | four kinds of tasks, served over HTTP | the same four, in this process; `AgentGymEnv` speaks to the original servers |
# | faithful | texts, replies and rewards of TextCraft, BabyAI and WebShop | the same; all differences are numbered in the docstrings of the classes |
# | faithful | 97 TextCraft queries | `tasks("test", levels=(1, 2, 3))`; with depth 4 there are 100 |
# | mended | 90 BabyAI queries, 20 rounds, mean reward | the class does the same; some bugs of the server are mended, `compat="agentgym"` brings them back. The book's experiments take some of its levels and fewer rounds, and report success ([paper and here](../book/paper-and-here.md#the-worlds)) |
# | simplified | WebShop's real products, 6 rounds | a made-up catalogue and 10 rounds by default; the real one loads from a folder |
# | simplified | GSM8K | made-up problems by default; class `GSM8K` plays the real ones from a folder |
# | mended | index to goal depends on the server's file system | recipes are sorted: an index is the same goal everywhere |
# | ours | | `variant`: the same task told anew, or another one of its kind |
# | ours | $\gamma$ is not given | $\gamma = 1$: a value is the expected outcome |
#
# ## What the numbers mean
#
# | name | meaning | watch for |
# |---|---|---|
# | `reward` | the outcome, at the turn that ends the episode | any other place |
# | `terminated` | the world ended it: goal reached, bought, answered | it is no success yet |
# | `truncated` | the rounds are over | counts as failure *here*, not everywhere |
# | `info["success"]` | stays true after the end | reading it from the last reply instead |
# | `info["level"]`, `info["depth"]` | kind or difficulty of the task | a mean over levels hides it |
#
# To vary next: another `GOAL` or `index`; a random agent that never repeats a
# turn; one that only clicks on what WebShop's pages show as buttons.
#
# ## Summary
#
# 1. An episode pays once, at its end, so with $\gamma = 1$ all turns have the
#    same return ([the hand case](#a-case-to-solve-by-hand)).
# 2. The value of a turn is the mean outcome of what may follow; enumeration
#    gives $5/9$ and $1/9$ where we had computed it
#    ([the same section](#a-case-to-solve-by-hand)).
# 3. The worlds are deterministic (`test_every_world_passes_the_check_that_readers_run`),
#    so $V(s_t) = Q(s_{t-1}, a_{t-1})$ and progress is a difference of two $Q$
#    ([what determinism buys](#what-determinism-buys)).
# 4. A state can be copied and gone on from
#    (the same test); the snapshot must be
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
# values of the states that may follow. Or where the reader can't see the state:
# to it the answer is as good as a throw of dice.
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
#   follows.
# - Chevalier-Boisvert et al. 2019, *BabyAI* (arXiv 1810.08272): the grids, their
#   levels and the bot behind our expert.
# - Yao et al. 2022, *WebShop* (arXiv 2207.01206): the shop and its reward.
# - Cobbe et al. 2021, *GSM8K* (arXiv 2110.14168): word problems with solutions
#   step by step.
# - Sutton and Barto 2018, *Reinforcement Learning*, chapter 3: returns and
#   values, slowly.
