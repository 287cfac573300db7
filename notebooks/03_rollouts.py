# %% [markdown]
# # 3 Rollouts and headroom
#
# At the end you will have a file of episodes that survives a crash, an unbiased
# estimate of pass@N with an interval, and an account of every token that the
# episodes took.
#
# | | |
# |---|---|
# | Before this | [chapter 2](02_policy.ipynb) |
# | Run time | see the [status page](../book/status.md) |
# | Paper | the data of Algorithm 1; the ceiling of Best-of-N |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/03_rollouts.ipynb) |

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
# A reward model chooses among samples; it does not make them better. So before
# any reward model is trained: how much could a *perfect* one gain? That is the
# headroom, the distance from a single episode to **pass@N**, the chance that at
# least one of N samples succeeds. A perfect chooser, the *oracle*, has just that.
#
# Beside it stand two floors, here and in later figures of success. The **random
# agent** of [chapter 1](01_environments.ipynb) plays without any policy. And
# **fewest turns** chooses without any model: of the N samples it takes the
# shortest. Where a success ends the episode and a failure wanders on, that is
# hard to beat.
#
# **Predict before you run:** by how many points does the oracle exceed one
# sample, at the largest N? How much of that does *fewest turns* win?

# %%
import json
import math
import tempfile
from itertools import combinations
from pathlib import Path
import numpy as np
import pandas as pd
from agentprm_lite import metrics, study
from agentprm_lite.tutorial import looks, plots
from agentprm_lite.tutorial.exercises import attempt
from agentprm_lite.tutorial.floors import random_outcomes
from agentprm_lite.tutorial.notebook import show_figure, show_source
from agentprm_lite.tutorial.profiles import get_profile
from agentprm_lite.tutorial.stages import greedy_runs, player, policy, pool
from agentprm_lite.tutorial.tasks import test_tasks
from agentprm_lite.files import collect, to_line
from agentprm_lite.search import by_task, oracle
from agentprm_lite.types import Usage

# %%
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")
profile = get_profile(PROFILE)
actor = policy(profile)
candidates = pool(profile)
groups = by_task(candidates)  # task -> places of its K samples
K = len(next(iter(groups.values())))
wins = np.array([[candidates[i].success for i in g] for g in groups.values()])
ns = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= K]
greedy_of = {t.task: float(t.success) for t in greedy_runs(profile)}
greedy = np.array([greedy_of[task] for task in groups])


def intervals(curve):
    """An interval over tasks for each N."""
    return [study.bootstrap_interval(column) for column in curve.success.T]


# %%
luck = random_outcomes(profile).mean(axis=1)
curves = {
    "oracle": intervals(oracle(candidates, ns)),
    "fewest turns": intervals(study.fewest_turns(candidates, ns)),
    "one sample": intervals(study.random_choice(candidates, ns)),
    "SFT": [study.bootstrap_interval(greedy)] * len(ns),
    "random agent": [study.bootstrap_interval(luck)] * len(ns),
}
end = ", ".join(f"{k} {v[-1].mean:.2f}" for k, v in curves.items())
show_figure(
    plots.curve_with_interval(ns, curves),
    alt=f"Success against N. At N = {ns[-1]}: {end}.",
    caption=f"At N = {ns[-1]}: {end}. {len(groups)} held-out goals, {K} "
    "samples each; SFT is one greedy episode. Bands: 95 %, over goals.",
)

# %%
single = wins.mean(axis=1)
best = oracle(candidates, ns).success[:, -1]
short = study.fewest_turns(candidates, ns).success[:, -1]
bases = {"one sample": single, "greedy": greedy, "fewest turns": short}
for name, base in bases.items():
    gap = study.bootstrap_interval(best, base)
    print(
        f"pass@{ns[-1]} minus {name}: {gap.mean:+.3f} "
        f"[{gap.lo:+.3f}, {gap.hi:+.3f}], n = {len(groups)} goals"
    )
gap = study.bootstrap_interval(single, greedy)
word = "above" if gap.lo > 0 else "below" if gap.hi < 0 else "undecided"
print(f"one sample minus greedy: {gap.mean:+.3f}: {word}")
share = (short - single).mean() / max((best - single).mean(), 1e-9)
print(f"fewest turns wins {share:.0%} of the headroom, without any model")

# %% [markdown]
# The space between *one sample* and *oracle* is what chapters 6 and 7 fight for.
# A reward model that chooses blindly stays on the lower line; none can rise
# above the upper one. (Beam search can: it samples other episodes.) Look at the greedy line, too:
# where one greedy attempt comes near pass@8, most of what a judge can win is what hot sampling has lost.
#
# How the bands are made (*bootstrap*): draw as many goals as there are, with replacement, and take their mean; do so
# 2,000 times. The middle 95 % of these means is the interval.
#
# Now the other floor. In TextCraft a success ends the episode, and a failure
# uses up its rounds. So the shortest of N samples is a success whenever there is
# one, unless that came in the very last round and ties with the failures: the
# last line says which share of the headroom that wins. Among *finished* attempts
# no reward model is needed here. What is left for it is to choose *before* the
# end, when no attempt is over yet, and the worlds in which a wrong answer ends an
# episode, too (WebShop, math).
#
# ## Where a judge can help at all
#
# A mean hides three kinds of goals: those that no sample solves (a judge has
# nothing to choose), those that every sample solves (it can't go wrong), and
# the mixed ones between.

# %%
solved = wins.sum(axis=1)
fig, ax = looks.new_axes(height=2.6)
bins = np.arange(K + 2) - 0.5
ax.hist(solved, bins=bins, color=looks.SPARE[0].color, edgecolor="white")
ax.set(xlabel=f"successes among {K} samples", ylabel="held-out goals")
ax.set_xticks(range(0, K + 1, max(1, K // 8)))
mixed = int(((solved > 0) & (solved < K)).sum())
never, always = int((solved == 0).sum()), int((solved == K).sum())
show_figure(
    fig,
    alt=f"{never} goals are never solved, {mixed} sometimes, {always} always.",
    caption=f"{never} goals are never solved, {always} always. Only the "
    f"{mixed} between the two ends can tell judges apart.",
)

# %% [markdown]
# ## An unbiased estimate: a case to solve by hand
#
# From $K$ samples of a task with $c$ successes: what is the chance that $N$ of
# them, taken without replacement, hold at least one success? It is one minus
# the chance of drawing failures only (Chen et al. 2021, equation 1):
#
# $$\text{pass@}N = 1 - \binom{K - c}{N} \Big/ \binom{K}{N}$$
#
# Take $K = 4$ and $c = 1$. Then pass@1 is $1 - 3/4 = 1/4$, pass@2 is
# $1 - 3/6 = 1/2$, pass@3 is $1 - 1/4 = 3/4$, pass@4 is 1. The tempting formula
# $1 - (1 - c/K)^N$ gives $1 - (3/4)^2 = 0.4375$ for $N = 2$: it draws *with*
# replacement, the same failure may come twice, and the estimate is too low.
#
# An independent check: list all subsets.

# %%
outcomes = [0, 1, 0, 0]
for n in (1, 2, 3, 4):
    hits = [any(subset) for subset in combinations(outcomes, n)]
    exact = sum(hits) / len(hits)
    library = float(metrics.pass_at_n(outcomes, [n])[0])
    naive = 1 - (1 - 1 / 4) ** n
    print(f"N = {n}: all {exact}, library {library}, naive {naive:.4f}")
    assert math.isclose(exact, library)
show_source(metrics.pass_at_n)

# %% [markdown]
# | symbol | in the code | shape | meaning |
# |---|---|---|---|
# | $K$ | `len(success)` | | samples of one task that were made |
# | $c$ | `success.sum()` | | successes among them |
# | $N$ | `ns` | a few | samples that the judge would be shown |
# | pass@$N$ | `oracle(candidates, ns).success` | tasks × `len(ns)` | one estimate a task |
#
# Why this estimator and not "look at the first N samples"? That one is unbiased
# too, but it throws $K - N$ samples away. Repeat the experiment 20,000 times with
# a known chance of success, and all three can be judged.

# %%
rng = np.random.default_rng(0)
P, SIZE = 0.1, 16
drawn = rng.random((20_000, SIZE)) < P
at = np.arange(1, SIZE + 1)
truth = 1 - (1 - P) ** at
c = drawn.sum(axis=1)
per_count = [
    metrics.pass_at_n([1] * k + [0] * (SIZE - k), at) for k in range(SIZE + 1)
]
estimates = {
    "all subsets": np.array(per_count)[c],
    "first N": np.maximum.accumulate(drawn, axis=1).astype(float),
    "naive": 1 - (1 - c[:, None] / SIZE) ** at,
}
panels = {"bias": {}, "standard deviation": {}}
for name, values in estimates.items():
    panels["bias"][name] = (at, values.mean(axis=0) - truth)
    panels["standard deviation"][name] = (at, values.std(axis=0))

# %%
fig = plots.training_curves(panels, xlabel="N")
show_figure(
    fig,
    alt="At N = 8: "
    + "; ".join(
        f"{name} bias {v[:, 7].mean() - truth[7]:+.3f}, sd {v[:, 7].std():.3f}"
        for name, v in estimates.items()
    ),
    caption="Three estimators of pass@N from 16 samples, chance of success "
    "0.1. The naive one is biased; the first N samples are noisy.",
)
assert abs(estimates["all subsets"].mean(axis=0) - truth).max() < 0.01
assert estimates["naive"][:, 7].mean() < truth[7] - 0.02


# %% [markdown]
# ## Collecting, and going on after a crash
#
# `collect` plays tasks × samples and appends each episode to a file as one line
# of JSON. Every episode has its own random stream, a function of (seed, task,
# sample): so a run that was killed plays the missing episodes exactly as it
# would have. Below a file is cut in the middle of a line, as a crash would
# leave it, and the library says so; then the fields of one line are listed.

# %%
backend = player(actor, profile.eval_temperature)
tasks = test_tasks(profile)[:4]
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "episodes.jsonl"
    whole = collect(backend, tasks, 2, path, seed=7, batch=4)
    content = path.read_bytes()
    path.write_bytes(content[: int(0.6 * len(content))])
    left = path.read_bytes().count(b"\n")
    again = collect(backend, tasks, 2, path, seed=7, batch=4)
    print(f"{len(whole)} episodes; {left} whole lines after the cut")
    print("same file after the second run:", path.read_bytes() == content)
    assert [t.key for t in again] == [t.key for t in whole]
    assert [t.ids for t in again] == [t.ids for t in whole]

# %%
example = max(candidates, key=lambda t: t.num_steps)
record = {
    "version": json.loads(to_line(example))["version"],
    "task, sample": f"{example.task.key}, {example.sample}",
    "seed": example.seed,
    "ids": f"{len(example.ids)} tokens",
    "prompt_len": example.prompt_len,
    "spans": f"{example.num_steps} turns, first {example.spans[0]}",
    "logprobs": f"{len(example.logprobs)}, one an action token",
    "rewards": str(example.rewards[-3:]) + " (the last three)",
    "ended by": example.truncated_by or "the environment",
    "success": example.success,
    "usage": str(example.usage),
}
for name, value in record.items():
    print(f"{name:<20}{value}")

# %% [markdown]
# ## The tokens
#
# Success is one axis of later figures, compute the other. Each episode
# counts the tokens that the policy sampled (`generated`), those it had to read
# (`prefilled`), and those it would have had to read again at each turn, had it
# not kept their keys and values (`cached`).
#
# Without the cache every turn reads the whole history before it. So the sum of
# `prefilled` and `cached` must be the sum of all histories. That is a check on
# the bookkeeping from outside:

# %%
total = sum((t.usage for t in candidates), Usage())
histories = sum(start for t in candidates for start, _ in t.spans)
print(total)
print(f"sum of all histories: {histories:,}")
assert total.prefilled + total.cached == histories
with_cache = total.generated + total.prefilled
without = with_cache + total.cached
print(f"computed tokens: {with_cache:,} with the cache, {without:,} without")
print(f"the cache saves {1 - with_cache / without:.0%}")

# %%
longest = sorted(candidates, key=lambda t: -t.num_steps)[0]
kept = [end for _, end in longest.spans]
plain = np.cumsum(kept)
fig = plots.training_curves(
    {
        "one episode": {
            "keys and values kept": (np.arange(1, len(kept) + 1), kept),
            "read again each turn": (np.arange(1, len(kept) + 1), plain),
        }
    },
    xlabel="turn",
)
fig.axes[0].set_ylabel("tokens computed so far")
show_figure(
    fig,
    alt=f"After {len(kept)} turns: {kept[-1]} tokens with the cache, "
    f"{plain[-1]} without.",
    caption=f"{len(kept)} turns take {kept[-1]:,} tokens with the cache and "
    f"{plain[-1]:,} without: the second grows with the square of the length.",
)

# %% [markdown]
# ## Temperature
#
# The samples must differ, or N of them are worth one. Temperature $\theta$
# divides the logits before the softmax. A low one repeats the greedy episode; a
# high one makes mistakes. The best temperature for one sample need not be the
# best for many. One row is the profile's own temperature, from the stored
# candidates. In the profile cpu it is 1.3, because on training goals four attempts
# of this small policy at 1 reached hardly more goals than one: a judge would have
# nothing to choose. That is for the sake of the experiment and not of the agent:
# the column pass@1 shows what it costs, and pass@4 whether it finds more.

# %%
few = test_tasks(profile)[:: max(1, len(groups) // 18)][:18]
DRAWS = min(K, 4)
rows = []
own = [t for t in candidates if t.task in few and t.sample < DRAWS]
for temperature in sorted({0.5, 1.0, profile.eval_temperature}):
    hot = player(actor, temperature)
    jobs = [hot.start(task, k, 3) for task in few for k in range(DRAWS)]
    played = own if temperature == profile.eval_temperature else hot.run(jobs)
    won = np.array([t.success for t in played]).reshape(len(few), DRAWS)
    one = study.bootstrap_interval(won.mean(axis=1))
    any_ = study.bootstrap_interval(won.any(axis=1))
    texts = {(t.task, t.actions) for t in played}
    rows.append((temperature,
        f"{one.mean:.2f} [{one.lo:.2f}, {one.hi:.2f}]",
        f"{any_.mean:.2f} [{any_.lo:.2f}, {any_.hi:.2f}]",
        f"{len(texts) / len(played):.0%}",
    ))
print(f"{len(few)} goals x {DRAWS} samples")
names = ["temperature", "pass@1", f"pass@{DRAWS}", "different episodes"]
pd.DataFrame(rows, columns=names)

# %% [markdown]
# ## Where an outcome is decided
#
# When is an episode lost? Take episodes on a few training goals. From the state after
# each of their turns the policy has played on several times (*Monte Carlo rollouts*;
# [chapter 4](04_labels.ipynb) makes labels of them). Of those episodes look at the failed ones. Two answers for each of their turns: could
# the *expert* still reach the goal in the rounds that are left? And did *any
# rollout of the policy itself* reach it?


# %%
from agentprm_lite.chat import parse_action
from agentprm_lite.env import make_env


def expert_could(trajectory):
    """After each turn: would the expert still succeed?"""
    task, could = trajectory.task, []
    rounds = profile.max_rounds  # as the policy had them
    env, fork = (make_env(task.env, rounds) for _ in range(2))
    env.reset(options={"index": task.index, "variant": task.variant})
    for turn in trajectory.actions:
        *_, over, cut, info = env.step(parse_action(turn) or "")
        fork.restore(env.snapshot())
        while not (over or cut):
            *_, over, cut, info = fork.step(fork.expert_action()[1])
        could.append(bool(info["success"]))
    return could


# %%
from agentprm_lite.tutorial.stages import mc_rollouts

examples, _ = mc_rollouts(profile)
lost = [e for e in examples if not e.trajectory.success]
shares = {"the expert could": [], "a rollout did": []}
for e in lost:
    t = e.trajectory.num_steps
    at = np.array([math.ceil(t * k / 5) - 1 for k in range(1, 6)])
    expert = np.array(expert_could(e.trajectory), dtype=float)
    shares["the expert could"].append(expert[at])
    shares["a rollout did"].append(e.outcomes.max(axis=1)[at])
k = examples[0].outcomes.shape[1]
print(f"{len(lost)} failed episodes of {len(examples)}, {k} rollouts a state")

# %%
if lost:
    fig = plots.beam_points(
        ["20 %", "40 %", "60 %", "80 %", "end"],
        {
            name: [study.bootstrap_interval(c) for c in np.array(v).T]
            for name, v in shares.items()
        },
        ylabel="share of failed episodes",
    )
    fig.axes[0].set_xlabel("part of the episode that is played")
    means = ", ".join(f"{k} {np.mean(v, axis=0).round(2).tolist()}"
                      for k, v in shares.items())
    show_figure(
        fig,
        alt=f"Shares by part of the episode: {means}",
        caption=f"{len(lost)} failed episodes, from early to late: {means}. "
        "In the gap the expert could, and no rollout of the policy did. "
        "Bars: 95 %, as wide as so few episodes make them.",
    )

# %% [markdown]
# In TextCraft hardly anything is lost for good: base items are unlimited, so
# the expert can recover as long as enough rounds are left, and its curve falls
# only where they run out. From many of these states no rollout of the policy
# found a way; that doesn't say that it has none.
# What a reward model must learn belongs to the second question: not whether any
# rollout succeeds but which share does, the value *of this policy*. Where that
# falls early, a judge can stop an episode early; beam search hopes for that.
#
# ## A misuse that looks right
#
# One seed for everything makes runs reproducible, and it is easy to give it to
# every sample. Then all samples of a goal are the same episode. (The library
# refuses attempts with one number at one task; here they are numbered afterwards,
# as code that knows no numbers would have them.)
#
# **Predict before you run:** what does pass@N look like?

# %%
from dataclasses import replace

same = [backend.start(task, 0, 1) for task in few for _ in range(DRAWS)]
same = [replace(t, sample=k % DRAWS)
        for k, t in enumerate(backend.run(same))]
sets = {"one stream for all": same, "one each": own}

# %%
upto = [n for n in (1, 2, 4) if n <= DRAWS]
found = {name: oracle(played, upto) for name, played in sets.items()}
means = {k: c.success.mean(axis=0).round(2) for k, c in found.items()}
fig = plots.curve_with_interval(
    upto, {name: intervals(curve) for name, curve in found.items()}
)
fig.axes[0].set_ylabel("pass@N")
show_figure(
    fig,
    alt=f"pass@N at N = {upto}: {means}",
    caption="The symptom of a shared stream: pass@N is flat. It looks as if "
    "the policy had no headroom.",
)
for name, played in sets.items():
    of_task = [{played[i].ids for i in g} for g in by_task(played).values()]
    most = max(map(len, of_task))
    print(f"{name}: up to {most} different episodes of one goal")
assert most > 1, "all samples are equal: check their seeds"

# %% [markdown]
# ### Exercise 03.1
#
# *Easy, 10 minutes.* Write `pass_at_n(successes, n)`: the unbiased estimate of
# pass@n from a list of outcomes (True or False), $1 \le n \le K$. Use
# `math.comb`.


# %% tags=["exercise-03-1"]
def pass_at_n(successes, n):
    """Return the chance that n of the samples hold a success."""
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_pass_at_n

attempt(check_pass_at_n, pass_at_n)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Count the ways to draw n failures.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `math.comb(failures, n)` is 0 where there are fewer than n failures: no special
# case is needed.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def pass_at_n(successes, n):
#     k = len(successes)
#     failures = k - sum(successes)
#     return 1 - math.comb(failures, n) / math.comb(k, n)
# ```
#
# </details>

# %% [markdown]
# ### Exercise 03.2
#
# *Medium, 15 minutes.* Write `still_to_play(jobs, content)` for a run that goes
# on after a crash. `jobs` is the list of (task, sample) to play, in order;
# `content` is the text of the file: one line of JSON an episode, such as
# `{"task": "sugar", "sample": 1}`, each ended by a line break. The last line may
# be cut. Return the jobs that are not in the file yet, in order.


# %% tags=["exercise-03-2"]
def still_to_play(jobs, content):
    """Return the (task, sample) pairs that no whole line holds."""
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_still_to_play

attempt(check_still_to_play, still_to_play)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A line is whole if it ends with a line break. A cut line can be valid JSON, or
# begin like one: don't rely on the parser to tell.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `content.split("\n")[:-1]` are the whole lines: what stands after the last line
# break is cut, or empty.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def still_to_play(jobs, content):
#     done = set()
#     for line in content.split("\n")[:-1]:
#         record = json.loads(line)
#         done.add((record["task"], record["sample"]))
#     return [job for job in jobs if job not in done]
# ```
#
# </details>

# %% [markdown]
# ## Paper and here
#
# | | the paper | here |
# |---|---|---|
# | simplified | collection at temperature 1.0 | the profile's (`rollout_temperature`): 1.3 for the small base (in the stored study 1.4 in TextCraft, 1.5 in BabyAI and WebShop), so that both outcomes occur |
# | simplified | 16 episodes a query (N_TD) | in the profile cpu 4 (`rollout_samples`) on 60 goals |
# | ours | candidates at temperature 0.7 | the profile's (`eval_temperature`), as high as in collection: the samples must differ |
# | ours | samples are counted | tokens are counted, sampled, read and kept apart |
# | ours | one run, no intervals | intervals over goals, pass@N without bias |
#
# ## What the numbers mean
#
# | name | meaning | watch for |
# |---|---|---|
# | pass@N | chance that a perfect judge finds a success | it says nothing about a real judge |
# | mixed goals | solved by some samples | with few of them no judge can shine |
# | `generated` | sampled tokens, the dearest | grows with failures: they are long |
# | `prefilled`, `cached` | read once, and not read again | a prompt that episodes share is counted once, on the first of them |
# | `truncated_by` | `"rounds"` or `"tokens"` | many `"tokens"`: the limit is too short |
#
# To vary next: `eval_samples` (how far pass@N still rises); `eval_temperature`; the
# headroom of the RFT policy (`pool(profile, "rft")`).
#
# ## Summary
#
# 1. The headroom, oracle less one sample, comes from the mixed goals alone
#    ([where a judge can help](#where-a-judge-can-help-at-all)). In TextCraft the
#    shortest attempt wins it without a model ([the question](#the-question)).
# 2. pass@N over all subsets is unbiased and steadier than the first N; the
#    formula with replacement is too low
#    ([the hand case](#an-unbiased-estimate-a-case-to-solve-by-hand),
#    `test_pass_at_n_is_the_share_of_subsets_with_a_success`).
# 3. A run that was killed ends with the same file
#    ([collecting](#collecting-and-going-on-after-a-crash)).
# 4. Tokens are counted, and the count agrees with the lengths of all histories
#    ([the tokens](#the-tokens)).
# 5. From the same state the expert could succeed where no rollout of the policy did
#    ([where an outcome is decided](#where-an-outcome-is-decided)).
#
# **Quiz**
#
# <details><summary>1. A judge that always picks the best of 16: which success
# does it have?</summary>
#
# pass@16. With 16 samples made, that is the share of goals that were solved at
# least once.
#
# </details>
#
# <details><summary>2. pass@N is flat in N. Name two reasons.</summary>
#
# The samples are equal (a shared seed, a temperature near zero), or every goal
# is solved always or never: no mixed goals.
#
# </details>
#
# <details><summary>3. Why is an interval over episodes, as if they were
# independent, too narrow?</summary>
#
# Samples of one goal resemble each other. The goals are what was drawn, so the
# goals are resampled.
#
# </details>
#
# **References**
#
# - Chen et al. 2021 (arXiv 2107.03374), section 2.1: the estimator of pass@k and
#   why the simple one is biased.
# - Cobbe et al. 2021 (arXiv 2110.14168): sampling many and choosing with a
#   learned score, where headroom became a plan.
# - Snell et al. 2024 (arXiv 2408.03314): how to spend compute at test time.
