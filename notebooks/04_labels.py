# %% [markdown]
# # 4 Labels: outcome, Monte Carlo, TD, GAE
#
# At the end you will have computed the TD label of every turn of a five-turn
# episode by hand, checked the library's labels against exact values from
# dynamic programming, and measured what each kind of label costs and how far
# from the truth it is.
#
# | | |
# |---|---|
# | Before this | [chapter 3](03_rollouts.ipynb): rollouts and their outcomes |
# | Run time | see the [status page](../book/status.md) |
# | Paper | section 3, equations 2 to 8 and 11 to 14; [claim](../book/paper-and-here.md#the-claims) C7 |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/04_labels.ipynb) |

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

# %% tags=["hide-input"]
from math import comb

import numpy as np
import torch

from agentprm_lite.tutorial.exercises import attempt
from agentprm_lite.labels import (
    gae,
    mc_hard_labels,
    mc_soft_labels,
    pvm_labels,
    td_gae_labels,
)
from agentprm_lite.study import bootstrap_interval
from agentprm_lite.tutorial.notebook import show_figure, show_source
from agentprm_lite.tutorial.plots import curve_with_interval, label_bars
from agentprm_lite.tutorial.plots import training_curves

if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")

# %% [markdown]
# ## The question
#
# A reward model must say after every turn how good the chances are. But the
# world says only at the end whether the episode succeeded. **What number
# should the model learn for a turn in the middle?** The candidates:
#
# - *outcome* (ORM): the last turn gets the outcome, no other turn gets a label;
# - *PVM*: every turn gets the outcome of its own trajectory;
# - *Monte Carlo*: go back to the state after each turn, play on $K$ times, and
#   take the share that succeeds (*soft*) or whether any does (*hard*);
# - *temporal differences* (TD; AgentPRM): mix the outcome with what the model
#   itself says about this turn and later ones. A number λ between 0 and 1 sets the mixture:
#   going backwards from the outcome, the label of a turn is λ times the label
#   of the next turn plus $1 - λ$ times the model's value of this one. With λ = 1 only
#   the outcome is left, which is PVM; the smaller λ, the more the model's word
#   counts.
#
# We first compare them where the right answer is known. The world is a chain,
# and the agent stands at place 0. At each move its policy tosses a coin: go one
# place on, or stay. (The world itself has no dice.) It has to reach place 20
# within 30 moves. The truth comes from dynamic programming, backwards in time, and uses none of the label
# code: $V = 1$ at the goal, $V = 0$ when the moves are used up, and before that
#
# $$V(\text{place}, k) = 0.5\, V(\text{place} + 1, k + 1)
# + 0.5\, V(\text{place}, k + 1).$$
#
# The value of a move is the value of the state that it leads to. From the
# start it is the chance of at least 20 heads among 30 fair coins: 4.9 %, so
# success is rare, and one outcome says little.
#
# **Predict before you run:** each learner may use the same number of moves
# (the chain's tokens). Four rollouts from every state give the cleanest
# labels. Will they also give the smallest error? And will λ = 1 be better than
# λ = 0.8, or worse?
#
# The next four cells (folded in the book) hold the chain and the learners.
# Look at the figure first; the rest of the chapter explains what is in it.

# %% tags=["hide-input"]
GOAL, LIMIT, ON = 20, 30, 0.5
SIZE = (GOAL + 1) * (LIMIT + 1)  # a state is (place, moves made)


def walk(rng, place, moved):
    """Play on from n states: states after each move, mask, success."""
    moves = rng.random((len(place), LIMIT)) < ON
    places = place[:, None] + moves.cumsum(axis=1)
    clock = moved[:, None] + np.arange(1, LIMIT + 1)
    mask = (places - moves < GOAL) & (clock <= LIMIT)
    won = place + (moves & mask).sum(axis=1) >= GOAL
    states = np.where(mask, places * (LIMIT + 1) + clock, 0)
    return states, mask, won


def mean_by_state(states, labels, mask):
    """What least squares learns for each state; 0.5 where it saw none."""
    count = np.bincount(states[mask], minlength=SIZE)
    total = np.bincount(states[mask], labels[mask], SIZE)
    return np.where(count > 0, total / np.maximum(count, 1), 0.5)


# %% tags=["hide-input"]
def learn_td(rng, n, lam, epochs=20):
    """n trajectories, then Algorithm 1 with a table; moves used."""
    start = np.zeros(n, dtype=int)
    states, mask, won = walk(rng, start, start)
    r, m, yes = torch.tensor(won * 1.0), torch.tensor(mask), r_final(n)
    table = np.full(SIZE, 0.5)
    for _ in range(epochs):
        q = torch.tensor(table[states])
        labels = td_gae_labels(q, 0.5 + 0 * r, r, m, yes, lam=lam)
        table = mean_by_state(states, labels.q.numpy(), mask)
    return table, mask.sum()


def r_final(n):
    return torch.ones(n, dtype=torch.bool)


# %% tags=["hide-input"]
def learn_mc(rng, n, k, make_labels=mc_soft_labels):
    """n trajectories and k rollouts from each state; moves used."""
    start = np.zeros(n, dtype=int)
    states, mask, _ = walk(rng, start, start)
    place, moved = np.divmod(states[mask].repeat(k), LIMIT + 1)
    _, extra, won = walk(rng, place, moved)
    outcomes = np.zeros((*mask.shape, k))
    outcomes[mask] = won.reshape(-1, k)
    labels = make_labels(torch.tensor(outcomes), torch.tensor(mask))
    table = mean_by_state(states, labels.q.double().numpy(), mask)
    return table, mask.sum() + extra.sum()


# %% tags=["hide-input"]
def exact():
    """V of every state, and how often the policy visits it."""
    v, visits = np.zeros((2, GOAL + 1, LIMIT + 1))
    v[GOAL], visits[0, 0] = 1.0, 1.0
    for k in reversed(range(LIMIT)):
        v[:GOAL, k] = ON * v[1:, k + 1] + (1 - ON) * v[:GOAL, k + 1]
    for k in range(LIMIT):
        visits[1:, k + 1] += ON * visits[:GOAL, k]
        visits[:GOAL, k + 1] += (1 - ON) * visits[:GOAL, k]
    visits[GOAL] = visits[:, LIMIT] = visits[0, 0] = 0.0  # known or no Q
    return v.ravel(), visits.ravel() / visits.sum()


EXACT, WEIGHT = exact()


def error(table):
    """Root mean squared error over the states that the policy visits."""
    return float(np.sqrt(WEIGHT @ (table - EXACT) ** 2))


# %%
WINS = [comb(LIMIT, k) for k in range(GOAL, LIMIT + 1)]
assert EXACT[0] == sum(WINS) / 2**LIMIT
SEEDS = {"smoke": 4}.get(PROFILE, 16)
BUDGETS = [256, 1024] if PROFILE == "smoke" else [2**i for i in range(8, 14)]
LEARNERS = {
    "PVM, λ = 1": (learn_td, 1.0),
    "AgentPRM, λ = 0.95": (learn_td, 0.95),
    "AgentPRM, λ = 0.8": (learn_td, 0.8),
    "MC-soft, K = 1": (learn_mc, 1),
    "MC-soft, K = 4": (learn_mc, 4),
}
used, errors = {}, {}
for name, (learn, x) in LEARNERS.items():
    cost = learn(np.random.default_rng(0), 500, x)[1] / 500
    used[name], errors[name] = [], []
    for budget in BUDGETS:
        n = max(1, round(budget / cost))
        runs = [learn(np.random.default_rng(s), n, x) for s in range(SEEDS)]
        used[name].append(float(np.mean([moves for _, moves in runs])))
        errors[name].append([error(table) for table, _ in runs])

# %%
curves = {
    name: [bootstrap_interval(row) for row in rows]
    for name, rows in errors.items()
}
last = {name: rows[-1].mean for name, rows in curves.items()}
show_figure(
    curve_with_interval(
        used, curves, xlabel="moves sampled", ylabel="error of the values"
    ),
    alt="Error of learned values against moves sampled. At the most moves: "
    + ", ".join(f"{name} {value:.3f}" for name, value in last.items()),
    caption="With the most moves the error is "
    + ", ".join(f"{value:.3f} ({name})" for name, value in last.items())
    + f". Means over {SEEDS} seeds, 95 % intervals.",
)


# %%
def verdict(name, ours, base):
    """Difference of two means with its interval, in words."""
    d = bootstrap_interval(ours, base)
    word = "lower" if d.hi < 0 else "higher" if d.lo > 0 else "undecided"
    print(f"{name}: {d.mean:+.3f} [{d.lo:+.3f}, {d.hi:+.3f}]: {word}")


for i in (0, -1):
    print(f"error with about {BUDGETS[i]:,} moves, {SEEDS} seeds")
    for name in ("PVM, λ = 1", "AgentPRM, λ = 0.8", "MC-soft, K = 1"):
        moves = f"{name} ({used[name][i]:,.0f} moves)"
        text = f"  {moves} minus AgentPRM, λ = 0.95"
        verdict(text, errors[name][i], errors["AgentPRM, λ = 0.95"][i])
if PROFILE != "smoke" and (GOAL, LIMIT) == (20, 30):  # what is said below
    pvm, long, short, once, four = last.values()
    assert short < long < pvm < 0.5 * once and once < four

# %% [markdown]
# Your predictions: no, four rollouts a state have the largest error of all;
# and λ = 1 is worse than λ = 0.8. A rollout pays for a whole
# episode and labels one state with it, a trajectory labels every state that it
# passes. So at equal moves Monte Carlo labels far fewer states. With four
# rollouts a state its labels are cleaner than PVM's, with one they are as noisy;
# on a long chain the number of states matters more. (With one rollout a state
# a labelled trajectory costs about 460 moves, more than the fewest moves of the
# figure: at its left end a Monte Carlo learner has a single trajectory. And a state that a
# learner never saw keeps the value 0.5 here, far from 0.05 at the start.)
# And λ < 1 lies below PVM: in the chain many
# trajectories pass through the same state, and the model's value there is the
# mean over all of them, while the outcome of one trajectory is a coin toss
# that is rarely won.
#
# A small λ needs more epochs, though, because each one carries the outcome
# only a little way back. With
# λ = 0.5 half of the outcome is lost at every step back, and twenty epochs are
# not enough for thirty moves; the section on λ shows it.
#
# ## The definitions
#
# The agent has seen the history $s_t$ and takes the turn $a_t$. The outcome
# $r$ comes at the end and lies in $[0, 1]$. With the policy $\pi$ fixed:
#
# $$Q(s_t, a_t) = \mathbb E\,[\,r \mid s_t, a_t, \pi\,] \tag{2}$$
# $$V(s_t) = \mathbb E_{a \sim \pi}\, Q(s_t, a) \tag{3}$$
# $$A(s_t, a_t) = Q(s_t, a_t) - V(s_t) \tag{5}$$
#
# The paper calls $Q$ *promise* and $A$ *progress*. It fits $M_t$ to $Q$ by
# least squares (equation 4) and $M_t - M_{t-1}$ to the advantages
# (equations 6 and 9; [chapter 5](05_agentprm.ipynb)). The world is
# deterministic and pays only at the end, so the state after a turn is fixed by
# the turn (equations 7 and 8):
#
# $$V(s_t) = Q(s_{t-1}, a_{t-1}), \qquad
# A(s_t, a_t) = Q(s_t, a_t) - Q(s_{t-1}, a_{t-1}).$$
#
# Hence one number a turn is enough. Its predecessor is the value before the
# turn. Before the first turn there is no predecessor: there we read $M$ at the
# end of the prompt and call it the *root*, $M_{-1}$.
#
# ## The labels
#
# Monte Carlo, equation 11, in its hard form: 1 if any of $N_{mc}$ rollouts from
# the state after $a_t$ succeeds, else 0. TD with generalized advantage
# estimation (GAE), equations 12 to 14. Here $T$ is the last turn, and $r_t$ the
# reward of turn $t$: 0 before the last turn, $r$ at the last. γ discounts what
# comes later; it is 1 in this book.
#
# $$\delta_t = r_t + \gamma M_t - M_{t-1} \tag{12}$$
# $$\hat A_t = \sum_{k \ge 0} (\gamma\lambda)^k\, \delta_{t+k} \tag{13}$$
# $$\hat Q_t = \hat A_t + M_{t-1} \text{ for } t < T, \qquad \hat Q_T = r \tag{14}$$
#
# with one mend: at the last turn of an episode whose outcome is known, $M$ counts as 0 in equation 12, so that
# $\delta_T = r - M_{T-1}$ (the section on a misuse shows why). In words: $\delta_t$,
# the *TD error*, is how much the model's opinion changed at turn $t$, at the end how far
# the outcome is from it; $\hat A_t$ adds this change and the later ones, one $k$
# turns later times $\lambda^k$; the label is the opinion before the turn plus that sum.
# With the mend the two cases of equation 14 agree, and everything is one backward recursion:
#
# $$\hat Q_t = (1 - \lambda) M_t + \lambda \hat Q_{t+1} \quad (\gamma = 1),
# \qquad \hat Q_T = r.$$

# %%
show_source(td_gae_labels)

# %% [markdown]
# In the code $T$ is the number of turns, and the last one is $T - 1$.
#
# | symbol | variable | shape | meaning |
# |---|---|---|---|
# | $M_t$ | `q` | [B, T] | the model's value at the last token of turn $t$ |
# | $M_{-1}$ | `v_root` | [B] | its value at the end of the prompt |
# | $r$ | `reward` | [B] | outcome, in [0, 1] |
# | | `mask` | [B, T] | which turns are real, the rest is padding |
# | | `final` | [B] | the outcome is known; False: the episode was cut |
# | $\gamma$, $\lambda$ | `gamma`, `lam` | | discount (1) and mix (0.95) |
# | $\hat Q_t$ | `Labels.q` | [B, T] | what $M_t$ is trained toward |
# | | `Labels.root` | [B] | what the root is trained toward |
#
# All values on the right-hand side are detached: a label is a number, no
# gradient runs through it.
#
# ## A case to solve by hand
#
# Five turns, a success, $\gamma = 1$, $\lambda = 0.95$. The model is untrained
# and says 0.5 everywhere, at the root too. Work backwards: the last label is 1.
# The one before is $0.05 \cdot 0.5 + 0.95 \cdot 1 = 0.975$. Each step back
# keeps 0.95 of the distance to 0.5:
#
# $$\hat Q_t = 0.5 + 0.5 \cdot 0.95^{\,4 - t}
# = 0.90725,\ 0.92869,\ 0.95125,\ 0.975,\ 1.$$

# %%
half = torch.full((1, 5), 0.5, dtype=torch.float64)
root, won = half[:, 0], torch.ones(1, dtype=torch.float64)
real, final = half > 0, torch.tensor([True])
td = td_gae_labels(half, root, won, real, final, lam=0.95)
print("labels", td.q.numpy().round(5), "root", td.root.numpy().round(5))
by_hand = torch.tensor([[0.90725, 0.92869, 0.95125, 0.975, 1.0]])
assert torch.allclose(td.q, by_hand.double(), atol=5e-6)
bars = {
    "ORM": [np.nan] * 5 + [1.0],
    "PVM": [1.0] * 6,
    "AgentPRM": [td.root.item(), *td.q[0].tolist()],
}
show_figure(
    label_bars(bars, ["prompt", *(f"turn {t}" for t in range(5))]),
    alt="Labels of a five-turn success: ORM labels the last turn with 1, PVM "
    "everything with 1, AgentPRM rises from 0.887 at the prompt to 1.",
    caption="The earlier the turn, the more of the model's own 0.5 is in its "
    "AgentPRM label. ORM has no label before the last turn.",
)

# %% [markdown]
# ### Exercise 04.1
#
# *Easy, 10 minutes.* Write `td_labels(m, r, lam)`. `m` is the list of $M_t$ of
# one finished trajectory, `r` its outcome; $\gamma = 1$. Return the list of
# labels $\hat Q_t$, as long as `m`.


# %% tags=["exercise-04-1"]
def td_labels(m, r, lam):
    """Labels of one finished trajectory, by the backward recursion."""
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_td_labels

attempt(check_td_labels, td_labels)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Start at the end: the last label is the outcome. What does the model's own
# last value do? Nothing.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Going backwards, the next label is `(1 - lam) * m[t] + lam * label`, where
# `label` is the one of turn t + 1.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def td_labels(m, r, lam):
#     labels = [r]
#     for value in reversed(m[:-1]):
#         labels.append((1 - lam) * value + lam * labels[-1])
#     return labels[::-1]
# ```
#
# </details>
#
# ## Three identities
#
# Unrolled, with $T$ turns counted from 0:
# $\hat Q_t = (1-\lambda) \sum_{k < T-1-t} \lambda^k M_{t+k}
# + \lambda^{T-1-t}\, r$. The sum begins with $M_t$ itself. From this follow:
#
# 1. $\lambda = 1$: every label is the outcome. This is PVM.
# 2. $\lambda = 0$: the label is $M_t$ itself, except at the last turn. Nothing
#    is learned before the end.
# 3. Before the last turn $\hat Q_t = (1-\lambda) M_t + \lambda G_t$, where $G_t$
#    mixes the outcome and later values from the *next* turn on. It is the return
#    of Sarsa($\lambda$), a classical method that learns $Q$ from the turns that
#    were taken. The gradient of $\frac12 (M_t - \hat Q_t)^2$ is thus $\lambda$
#    times Sarsa's there: a smaller λ also learns more slowly.
#
# One fine point about $G_t$. Textbook Sarsa($\lambda$) bootstraps (uses the
# model's own value) from $M$ at every later action, the last one too. Here the last action is never
# bootstrapped from: its value is known, it is the outcome.

# %%
m, r, lam = [0.2, 0.6, 0.4], 1.0, 0.5
row = torch.tensor([m], dtype=torch.float64)
args = (row, root, won, row > 0, final)
pvm = pvm_labels(won, row > 0)
assert torch.equal(td_gae_labels(*args, lam=1.0).q, pvm.q)
print("λ = 1:", pvm.q[0].tolist())
print("λ = 0:", td_gae_labels(*args, lam=0.0).q[0].tolist(), "M:", m)

g_0 = (1 - lam) * m[1] + lam * r
textbook = (1 - lam) * m[1] + lam * ((1 - lam) * m[2] + lam * r)
label = td_gae_labels(*args, lam=lam).q[0, 0].item()
print(f"λ = ½: label {label:.3f}")
print(f"  from G_0 {(1 - lam) * m[0] + lam * g_0:.3f}")
print(f"  from the textbook's G_0 {(1 - lam) * m[0] + lam * textbook:.3f}")

# %% [markdown]
# ### Exercise 04.2
#
# *Harder, 15 minutes.* Write `lambda_return(m, r, lam, t)`, the return $G_t$ of
# identity 3 in its forward form. The $n$-step return of turn $t$ is $M_{t+n}$
# if turn $t+n$ is not the last, and $r$ otherwise. Mix them: the $n$-step
# returns before the end with weights $(1-\lambda)\lambda^{n-1}$, and $r$ with
# all the weight that is left. For the last turn the return is $r$.


# %% tags=["exercise-04-2"]
def lambda_return(m, r, lam, t):
    """G_t of a finished trajectory with values m and outcome r."""
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_lambda_return

attempt(check_lambda_return, lambda_return)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# With `to_go = len(m) - 1 - t` turns to go, the values that are bootstrapped
# from are those of turns t + 1 to t + to_go - 1.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The weights $(1-\lambda)\lambda^{n-1}$ for $n = 1, \dots, to\_go - 1$ sum to
# $1 - \lambda^{to\_go - 1}$. What is left belongs to r.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def lambda_return(m, r, lam, t):
#     to_go = len(m) - 1 - t
#     if to_go == 0:
#         return r
#     total = lam ** (to_go - 1) * r
#     for n in range(1, to_go):
#         total += (1 - lam) * lam ** (n - 1) * m[t + n]
#     return total
# ```
#
# </details>
#
# ## A check against exact values
#
# If $M$ already holds the exact values, the mean label of every state must be
# its exact value again, for any λ: the truth is a fixed point. We sample many
# trajectories of the chain, put exact values into `q`, and compare the mean
# label of each state with dynamic programming. Sampling noise is measured, not
# guessed: the printed number is the largest deviation in standard errors.

# %%
rng, n = np.random.default_rng(7), 20_000
start = np.zeros(n, dtype=int)
states, mask, success = walk(rng, start, start)
r, q = torch.tensor(success * 1.0), torch.tensor(EXACT[states])
for lam in (0.0, 0.5, 0.95, 1.0):
    labels = td_gae_labels(
        q, 0 * r + EXACT[0], r, torch.tensor(mask), r_final(n), lam=lam
    ).q.numpy()
    mean = mean_by_state(states, labels, mask)
    square = mean_by_state(states, labels**2, mask)
    count = np.bincount(states[mask], minlength=SIZE)
    seen = (count >= 50) & (EXACT > 0.02) & (EXACT < 0.98)
    spread = np.maximum(square - mean**2, 0)[seen]
    noise = np.sqrt(spread / count[seen]) + 1e-9
    off = np.abs(mean - EXACT)[seen]
    print(f"λ = {lam}: at most {off.max():.4f} off, {max(off / noise):.1f} SE")
    assert max(off / noise) < 5

# %% [markdown]
# ## λ from 0 to 1
#
# What is learned is wrong in two ways. *Bias*: its mean over data sets is not $Q$,
# for two reasons: a label with a small λ leans on a model that is still wrong, and a state that no
# trajectory passed keeps 0.5. *Variance*: it changes from
# data set to data set, because one outcome is a coin toss. We give twenty epochs
# from $M = 0.5$ to many small data sets of the same size and take the error of
# the learned values apart, state by state.


# %%
def take_apart(learn, n, runs, *how):
    """Squared bias and variance of learned values."""
    rngs = [np.random.default_rng(100 + s) for s in range(runs)]
    tables = np.array([learn(rng, n, *how)[0] for rng in rngs])
    variance = tables.var(axis=0, ddof=1)
    # The mean of R tables is itself off by variance / R.
    bias = (tables.mean(axis=0) - EXACT) ** 2 - variance / runs
    return max(0.0, WEIGHT @ bias), WEIGHT @ variance


RUNS = 8 if PROFILE == "smoke" else 50
LAMS = [0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0]
parts = [take_apart(learn_td, 60, RUNS, lam) for lam in LAMS]
bias, variance = np.array(parts).T

# %%
lines = {"bias²": bias, "variance": variance, "sum": bias + variance}
panel = {name: (LAMS, y) for name, y in lines.items()}
best = LAMS[int(np.argmin(bias + variance))]
show_figure(
    training_curves(
        {"60 trajectories, 20 epochs, start at 0.5": panel}, xlabel="λ"
    ),
    alt=f"Squared bias and variance against λ; their sum is smallest at {best}"
    f" here; bias² at λ = 0 is {bias[0]:.4f}, at λ = 1 {bias[-1]:.4f}.",
    caption=f"The sum is smallest at λ = {best}. Small λ keeps what the model "
    f"believed at the start, large λ the coin tosses. {RUNS} data sets.",
)

# %% [markdown]
# Read it with care: where the minimum lies depends on the number of epochs, the
# amount of data and the start. A table has no generalization error, so the
# chain flatters small λ: its states are all there is to know.
#
# ## Hard and soft Monte Carlo
#
# The hard label of equation 11 asks whether *any* of $N$ rollouts succeeds. Its
# mean is the chance of at least one success, $1 - (1 - Q)^N$; that of the soft
# label, the share of rollouts that succeed, is $Q$. (So the bias² that the cell
# prints for soft labels is that of states never seen.) The exact means:

# %%
q = np.linspace(0, 1, 41)
hard = {f"hard, N = {n}": (q, 1 - (1 - q) ** n) for n in (1, 4, 16)}
show_figure(
    training_curves(
        {"mean label": hard | {"soft, any N": (q, q)}}, xlabel="true Q"
    ),
    alt="Mean Monte Carlo label against the true Q: the soft label and the "
    "hard one with N = 1 lie on the diagonal, hard with N = 16 jumps to 1.",
    caption=f"With 16 rollouts a state with Q = 0.2 has a hard label of "
    f"{1 - 0.8**16:.3f} on average: it says reachable, not likely.",
)
size = 5 if PROFILE == "smoke" else 50
for name, make in (("soft", mc_soft_labels), ("hard", mc_hard_labels)):
    b, v = take_apart(learn_mc, size, RUNS, 16, make)
    print(f"MC {name}, 16 rollouts: bias² {b:.4f}, variance {v:.4f}")

# %% [markdown]
# ## A misuse that looks right: equation 12, word for word
#
# Equation 12 has $r_t + \gamma M_t$ at every turn. At the last turn that is the
# outcome *plus* the model's prediction of the outcome. Equation 14 sets the last
# label to $r$, but every earlier label contains that $\delta_T$. A generic GAE function
# makes this mistake easy: pass the last $M$ as the value after the end. The
# code runs and the shapes fit.


# %%
def literal_labels(q, root, reward, mask):
    """Equations 12 to 14 without the mend. Wrong."""
    before = torch.cat([root[:, None], q[:, :-1]], dim=1)
    rewards = torch.zeros_like(q)
    rewards[:, -1] = reward
    labels = gae(rewards, before, q[:, -1], mask, 1.0, 0.95) + before
    labels[:, -1] = reward
    return labels


history = {"literal": [], "mended": []}
for name, rows in history.items():
    q = half
    for _ in range(8):  # a learner that fits its labels exactly
        rows.append(q[0, -2].item())
        mended = td_gae_labels(q, root, won, real, final).q
        literal = literal_labels(q, root, won, real)
        q = mended if name == "mended" else literal

# %%
rounds = list(range(8))
show_figure(
    training_curves(
        {"M before the last turn": {k: (rounds, v)
                                    for k, v in history.items()}},
        xlabel="rounds of fitting",
    ),
    alt="M before the last turn of a success: with the literal equation "
    f"it grows to {history['literal'][-1]:.2f}, mended to "
    f"{history['mended'][-1]:.2f}.",
    caption="Taken literally, M before the last turn of a sure success goes "
    "to 2, twice its value.",
)
labels = literal_labels(half, root, won, real)
print("first labels:", labels.numpy().round(3))
try:
    assert labels.max() <= 1, f"a label of {labels.max():.2f} is no chance"
except AssertionError as caught:
    print("caught:", caught)

# %% [markdown]
# The last $M$ settles at $r$, the others at $2Q$: 2 on a sure success, 0 on a sure failure.
# A sigmoid head hides this: $M$ can't leave $[0, 1]$, so every turn with $Q$ above 0.5 goes to 1, and
# turns that differ look alike. The assertion on the
# labels still catches it. With the mend, labels are mixtures of outcome and
# values, and can't leave the range of these.
#
# ## γ below 1
#
# The paper does not give γ; here it is 1. With γ < 1 equation 7 no longer
# holds as written: the value *before* a turn is γ times the value after it.
# Equations 12 to 14 then settle at $M_t = c\, M_{t+1}$ with
# $c = \gamma\lambda / (1 - \gamma(1-\lambda))$, a discount that depends on λ:
# with γ = 0.9 and λ = 0.5 it is 0.818, not 0.9
# (`tests/core/test_labels.py`, `test_gamma_below_one_has_another_fixed_point`).
#
# ## The same on the agent
#
# Now the trained policy in TextCraft. `mc_rollouts` restores the world to the
# state after every turn of some training trajectories and lets the policy play
# on. `rollouts` are the trajectories that TD labels (and PVM, and ORM) learn
# from. First the price, in sampled tokens. A trajectory of $T$ turns costs $T$
# turns; with $K$ rollouts from the state after each turn, played to the same
# length, it costs $T + K\, T(T-1)/2$.
#
# In the paper Monte Carlo used 1.9 (WebShop) and 2.8 (BabyAI) times the tokens
# of TD. That counts all tokens of a *task*: 16 rollouts a state for one
# trajectory against 16 trajectories. For a *labelled turn* the gap is larger,
# because Monte Carlo labels the turns of one trajectory and TD those of sixteen. Both are printed.
#
# Next the quality. For each of these trajectories we compare three labels with
# the soft Monte Carlo estimate of $Q$: a constant 0.5, PVM, and the TD label
# with the $M$ of a trained AgentPRM. The estimate is itself noisy, so we take
# off its own variance, $\hat q (1 - \hat q) / (K - 1)$; what is left is the
# label's mean squared distance to $Q$. The last turn is left out, because its
# outcome is known.

# %%
from agentprm_lite.tutorial.profiles import get_profile
from agentprm_lite.tutorial.rewards import reward_model
from agentprm_lite.tutorial.stages import mc_rollouts, rollouts

profile = get_profile(PROFILE)
examples, mc_tokens = mc_rollouts(profile)
played = rollouts(profile)
td_tokens = sum(t.usage.generated for t in played)
own = sum(e.trajectory.usage.generated for e in examples)
turns = sum(e.trajectory.num_steps for e in examples)
each = td_tokens / sum(t.num_steps for t in played)
print(f"TD:  {len(played):,} trajectories, {td_tokens:,} tokens")
print(f"MC:  {len(examples):,} trajectories, {own + mc_tokens:,} tokens")
print(f"a labelled turn: TD {each:.0f}, MC {(own + mc_tokens) / turns:.0f}")
task = (own + mc_tokens) / len(examples), td_tokens / profile.rollout_tasks
print(f"{profile.mc_samples} rollouts a state: {task[0] / task[1]:.1f} times "
      f"the tokens of a task, {(own + mc_tokens) / turns / each:.1f} times "
      "those of a labelled turn")

# %%
seen = [e for e in examples if e.trajectory.num_steps > 1]
trajectories = [e.trajectory for e in seen]
soft = [e.outcomes.mean(axis=1) for e in seen]
guesses = {"0.5": [], "PVM": [], "TD, trained M": []}
for s in range(profile.reward_seeds if seen else 0):
    values = reward_model(profile, "agentprm", s).score(trajectories)
    rows = []
    for v, t in zip(values, trajectories, strict=True):
        q, root = torch.tensor(v.q)[None], torch.tensor([v.root]).double()
        r = torch.tensor([t.counted]).double()  # 0 if the episode was cut
        rows.append(td_gae_labels(q, root, r, q > -1, final).q[0].numpy())
    guesses["TD, trained M"].append(rows)
guesses["PVM"].append([np.full(t.num_steps, t.outcome) for t in trajectories])
guesses["0.5"].append([np.full(t.num_steps, 0.5) for t in trajectories])


# %%
def distance(label, q_soft):
    """Mean squared distance to Q over all turns but the last."""
    own = q_soft * (1 - q_soft) / (profile.mc_samples - 1)
    return float(np.mean(((label - q_soft) ** 2 - own)[:-1]))


if seen:
    table = {
        name: [[distance(*x) for x in zip(g, soft, strict=True)] for g in gs]
        for name, gs in guesses.items()
    }
    print(f"{len(seen)} trajectories, {profile.reward_seeds} reward models")
    for name, rows in table.items():
        mean, lo, hi = bootstrap_interval(rows)
        print(f"{name}: distance² to Q {mean:.3f} [{lo:.3f}, {hi:.3f}]")
    verdict("TD minus PVM", table["TD, trained M"], table["PVM"])
    verdict("PVM minus 0.5", table["PVM"], table["0.5"])
else:
    print("no trajectory with two turns or more: nothing to compare")


# %%
spread = [row[:-1].var() if len(row) > 1 else 0.0 for row in soft]
if seen:
    i = int(np.argmax(spread))
    shown = {
        "MC-soft": soft[i],
        "MC-hard": (soft[i] > 0) * 1.0,
        "PVM": guesses["PVM"][0][i],
        "AgentPRM": guesses["TD, trained M"][0][i],
    }
    turns = [str(t) for t in range(len(soft[i]))]
    outcome = "success" if trajectories[i].success else "failure"
    fig = label_bars(shown, turns)
    fig.axes[0].set_xlabel("turn")
    show_figure(
        fig,
        alt=f"Four labels of each of {len(turns)} turns of one {outcome}; "
        f"soft Monte Carlo goes from {soft[i][0]:.2f} to {soft[i][-1]:.2f}.",
        caption=f"A {outcome} of the policy, the one with the most varied "
        "Monte Carlo values. No bar means a label of 0.",
    )

# %% [markdown]
# How to read the distances. Both labels beat the constant 0.5 by far more than
# they differ from each other: at λ = 0.95 the outcome dominates in short
# episodes. If "TD minus PVM" is lower, the model's own values have taken
# noise out of the outcome. The comparison is noisy, because few trajectories have
# Monte Carlo rollouts, and kind to TD, because AgentPRM was trained
# on these trajectories, too. Where the bars of the figure part, the outcome of this one attempt
# was luck, good or bad: fresh rollouts from the same state ended otherwise.
#
# ## What each number means, and what to vary
#
# | number | meaning | watch |
# |---|---|---|
# | `labels.max()` | largest target | above 1: the literal equation 12 |
# | error on the chain | distance to exact values, in chances | falls about with the root of the moves for PVM and TD, more slowly for Monte Carlo |
# | bias², variance | two parts of that error, squared | that of hard Monte Carlo and of a small λ stays with more data |
# | tokens a labelled turn | price of a label | grows with length for MC, not for TD |
# | distance² to Q | a label against fresh rollouts | 0.25 at most for a constant 0.5 |
#
# Vary next: the epochs of `learn_td` (50, 300), the start value 0.5, and the
# length of the chain: with `GOAL, LIMIT = 4, 8` PVM and λ = 0.95 hardly differ.
#
# ## Paper and here
#
# | | the paper | here |
# |---|---|---|
# | mended | equation 12 counts reward and prediction at the end | the value after a final turn is 0 |
# | mended | no value before the first turn | $M$ at the end of the prompt, trained like the others |
# | ours | γ not given | γ = 1 |
# | ours | hard Monte Carlo labels only | hard and soft |
# | ours | cut episodes not discussed | training takes them as failures; with `cut="bootstrap"` `final` is False and the label bootstraps from $M$ |
# | simplified | 16 rollouts a state | as many as the profile says (`mc_samples`) |
#
# ## Summary
#
# 1. A TD label mixes the outcome with the model's own values; the hand case
#    gives 0.90725 to 1 ([a case to solve by hand](04_labels.ipynb#a-case-to-solve-by-hand);
#    `tests/core/test_labels.py`, `test_td_gae_worked_success`).
# 2. λ = 1 is PVM and λ = 0 learns nothing before the last turn
#    ([three identities](04_labels.ipynb#three-identities)).
# 3. The exact values are a fixed point of the labels for every λ
#    ([a check against exact values](04_labels.ipynb#a-check-against-exact-values)).
# 4. Equation 12 taken word for word doubles every value before the last turn
#    ([a misuse that looks right](04_labels.ipynb#a-misuse-that-looks-right-equation-12-word-for-word)).
# 5. The hard Monte Carlo label is biased, the soft one is not, and both pay
#    $K$ rollouts for one label
#    ([hard and soft Monte Carlo](04_labels.ipynb#hard-and-soft-monte-carlo)).
#
# ## Quiz
#
# **1.** A failure, $M = 0.5$ everywhere, λ = 0.95. What is the label of the turn
# before the last?
#
# <details><summary>Answer</summary>
#
# $0.05 \cdot 0.5 + 0.95 \cdot 0 = 0.025$.
#
# </details>
#
# **2.** All 16 rollouts of a state fail, and its own trajectory succeeded.
# What do MC-soft, MC-hard and PVM say?
#
# <details><summary>Answer</summary>
#
# 0, 0 and 1. Monte Carlo labels look at the rollouts only.
#
# </details>
#
# **3.** Why does λ = 0 not make the chain's table worse, only no better?
#
# <details><summary>Answer</summary>
#
# The label of every turn but the last is the value that the table has already.
# The error there stays where it started.
#
# </details>
#
# ## References
#
# - Xi et al. 2025, [AgentPRM](https://arxiv.org/abs/2511.08325): the labels of
#   this chapter, section 3.
# - Schulman et al. 2016, [GAE](https://arxiv.org/abs/1506.02438): why
#   $\lambda$ trades bias for variance.
# - Wang et al. 2024, [Math-Shepherd](https://arxiv.org/abs/2312.08935): the
#   Monte Carlo labels, hard and soft, for mathematics.
# - Sutton and Barto 2018,
#   [Reinforcement Learning](http://incompleteideas.net/book/the-book-2nd.html):
#   chapters 6 and 12, batch TD against Monte Carlo and the λ-return.
