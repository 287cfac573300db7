# %% [markdown]
# # 6 Best-of-N and compute efficiency
#
# At the end you will have computed the expected success of Best-of-N by hand for four samples, checked the
# library's estimator by brute force, drawn the curves of three reward models with intervals over tasks (and seeds, where there are several),
# and put an interval on the sentence "ours needs $k$ times fewer samples".
#
# | | |
# |---|---|
# | Before this | [chapter 3](03_rollouts.ipynb) (pass@N), [chapter 5](05_agentprm.ipynb) (the reward models) |
# | Run time | see the [status page](../book/status.md) |
# | Paper | section 4: Best-of-N (score of a trajectory = $M$ at its last step), [claims](../book/paper-and-here.md#the-claims) C1 to C3 |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/06_best_of_n.ipynb) |

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
# A policy has made $N$ finished attempts at a task. A reward model reads them and we keep the one with the highest
# score. How much better is that than one attempt, and what does it cost?
#
# All judges here choose from the **same stored candidates**, so a difference between two curves comes from the
# judges alone. [Chapter 3](03_rollouts.ipynb) has their bounds. *One sample* takes any of the $N$; *oracle* takes a success if there is one, which is
# pass@N. Chapter 3 also has the floors: the *random agent*, which needs no policy, and *fewest turns*, which needs no reward model.
#
# The figure comes first. The bands are 95 % bootstrap intervals over tasks, and over the seeds of the reward models where there are several. The greedy attempts of SFT and RFT ([chapter 2](02_policy.ipynb)) cost one sample each and are
# drawn as level lines.
#
# **Predict before you run.**
# 1. Where will the three reward models lie between *one sample* and *oracle*? Which of them will beat *fewest turns*?
# 2. Which of them was trained on the last step alone? Where will that help it, and where not?
# 3. Can a curve of a reward model fall as $N$ grows?

# %%
import numpy as np
import pandas as pd

from agentprm_lite import metrics, search, study
from agentprm_lite.tutorial import floors, plots, rewards, stages
from agentprm_lite.prm import FewestTurns
from agentprm_lite.tutorial.notebook import (
    show_figure, show_source, stored_raw)
from agentprm_lite.tutorial.profiles import get_profile

profile = get_profile(PROFILE)
SEEDS = range(profile.reward_seeds)
NS = study.powers_of_two(profile.eval_samples)
KINDS = {"ORM": "orm", "PVM": "pvm", "AgentPRM": "agentprm"}
candidates = stages.pool(profile)
TASKS = list(search.by_task(candidates))
print(f"{len(TASKS)} held-out tasks, {profile.eval_samples} candidates each")
print(f"seeds of each reward model: {len(SEEDS)}; N = {NS}")
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")

# %%
values = {
    name: [rewards.pool_values(profile, kind, s) for s in SEEDS]
    for name, kind in KINDS.items()
}


def curves_of(part):
    """[seeds, tasks, NS] of each reward model, which sees a part."""
    return {
        name: np.array([
            search.best_of_n(candidates, part(run), NS).success
            for run in runs
        ])
        for name, runs in values.items()
    }


by_last = curves_of(lambda run: run)  # all of every candidate

# %%
def level(outcomes):
    """[1, tasks, NS]: the same at every N."""
    return np.repeat(outcomes[None, :, None], len(NS), axis=2)


SHORT = FewestTurns().score(candidates)
baselines = {
    "oracle": search.oracle(candidates, NS).success[None],
    "fewest turns": search.best_of_n(candidates, SHORT, NS).success[None],
    "one sample": study.random_choice(candidates, NS).success[None],
    "majority": study.majority(candidates, NS).success[None],
    "SFT": level(study.task_means(stages.greedy_runs(profile))),
    "random agent": level(floors.random_outcomes(profile).mean(axis=1)),
}
try:
    greedy = stages.greedy_runs(profile, "rft")
    baselines["RFT"] = level(study.task_means(greedy))
except ValueError as reason:
    print(f"no line for RFT: {reason}")

# %%
def intervals(curves):
    """For each curve [seeds, tasks, NS] one interval an N."""
    return {
        name: [study.bootstrap_interval(c[:, :, j]) for j in range(len(NS))]
        for name, c in curves.items()
    }


last = intervals(by_last | baselines)
shown = {k: v for k, v in last.items() if k != "majority"}
top = ", ".join(f"{k} {v[-1].mean:.2f}" for k, v in shown.items())
show_figure(
    plots.curve_with_interval(NS, shown),
    alt=f"Success against N, by M at the last step. At N = {NS[-1]}: {top}.",
    caption=f"By M at the last step, N = {NS[-1]}: {top}. "
    "Bands: 95 %, over tasks (and seeds).",
)

# %% [markdown]
# *Fewest turns* lies on the *oracle*, or next to it: in TextCraft the shortest attempt is a success if any is ([chapter 3](03_rollouts.ipynb#the-question)).
# So no reward model can gain anything here that isn't free, and this figure can't tell a good one from a good counter. It shows how much a reward model
# *loses* against counting.
#
# ## A world that doesn't say who won
#
# In WebShop most attempts end with a purchase, right or wrong, one in nine runs out of rounds, and who has bought can't choose any more. There somebody has to judge. A command has kept the raw
# numbers of larger runs in all four worlds ([chapter 10](10_four_worlds.ipynb) shows them); here are WebShop's, by the same estimator.

# %%
raw = stored_raw("webshop")
if raw:
    shop = study.summary({"webshop": raw})["worlds"]["webshop"]
    ways = {name: shop["tokens"][f"best of n by {kind}"]
            for name, kind in KINDS.items()}
    ways |= {"oracle": shop["tokens"]["oracle"],
             "fewest turns": shop["tokens"]["best of n by fewest turns"]}
    ns = [point["n"] for point in ways["oracle"]]
    curves = {k: [y["success"] for y in row] for k, row in ways.items()}
    for name, key in (("SFT", "greedy"), ("one sample", "sample"),
                      ("random agent", "random")):
        curves[name] = [shop[key]] * len(ns)
    top = ", ".join(f"{k} {v[-1][0]:.2f}" for k, v in curves.items())
    show_figure(
        plots.curve_with_interval(ns, curves),
        alt=f"Best-of-N in WebShop. At N = {ns[-1]}: {top}.",
        caption=f"WebShop, N = {ns[-1]}, {shop['tasks']} tasks, seeds of a "
        f"judge: {shop['seeds']}: {top}.",
    )

# %% [markdown]
# *Fewest turns* isn't the oracle here: 0.61 [0.56, 0.67] against 0.98 [0.95, 1.00], so a judge who reads can win much more than counting does. PVM adds 0.43 [0.38, 0.49] to one sample, which is 0.90 [0.80, 0.97] of the headroom; it is 0.32 [0.24, 0.39] above fewest turns, which wins about a quarter of the headroom. AgentPRM can be told neither from PVM nor from ORM. One greedy attempt has 0.74 [0.65, 0.82], PVM's choice 0.19 [0.10, 0.29] more, for 25 times the tokens. After a right purchase PVM's mean $M$ is 0.83, after a wrong one 0.11, and 0.15 where the rounds ran out.
#
# These judges had help. WebShop's reward models don't start from the policy but from a *checker*, the small base after a drill in purchases of other shops, which were graded for it. Untrained, it chooses 0.84 [0.77, 0.91] already: more than half of what PVM adds to one sample. Judges that started from the policy, with the same rollouts, saw that an attempt went well and hardly whether "fits" was true; they were not above fewest turns ([chapter 10](10_four_worlds.ipynb#best-of-n-in-four-worlds)). What a judge can't read, labels hardly teach it.
#
# Your predictions: in WebShop all three lie between one sample and the oracle, and all three beat fewest turns. ORM was trained on the last turn alone. That is enough here, as in TextCraft: the purchase is the last turn, and a judge that reads it knows the outcome. And a curve can fall, as the hand case below shows; here none of the three does.
#
# Next: how such a curve is computed, by hand and by the library. Then, back in TextCraft, [what is left when the end isn't seen](06_best_of_n.ipynb#choosing-by-half-a-trajectory).
#
# ## A case to solve by hand
#
# Four samples of one task. The judge likes a failure most:
#
# | sample | a | b | c | d |
# |---|---|---|---|---|
# | score | 0.9 | 0.6 | 0.4 | 0.2 |
# | success | 0 | 1 | 0 | 1 |
#
# Best-of-2: there are six pairs. The three with *a* choose *a*: failure. $\{b,c\}$ and $\{b,d\}$ choose *b*:
# success. $\{c,d\}$ chooses *c*: failure. The mean is $2/6 = 1/3$. In the same way $N=1$ gives $2/4$, $N=3$ gives $1/4$
# (only $\{b,c,d\}$), and $N=4$ gives 0. **A curve can fall**: more samples give a wrong judge more chances to find the failure that it
# overrates. Meanwhile pass@2 is $1 - \binom{2}{2}/\binom{4}{2} = 5/6$.

# %%
from itertools import combinations


def brute_force(scores, success, n):
    """Mean over all n-subsets; tied winners count equally."""
    means = []
    for subset in combinations(range(len(scores)), n):
        best = max(scores[i] for i in subset)
        won = [success[i] for i in subset if scores[i] == best]
        means.append(sum(won) / len(won))
    return sum(means) / len(means)


hand = [0.9, 0.6, 0.4, 0.2], [0, 1, 0, 1]
print("by enumeration", [brute_force(*hand, n) for n in (1, 2, 3, 4)])
print("the library   ", metrics.best_of_n_curve(*hand, [1, 2, 3, 4]))
print("pass@2        ", metrics.pass_at_n(hand[1], [2]))
assert np.allclose(
    metrics.best_of_n_curve(*hand, [1, 2, 3, 4]), [1 / 2, 1 / 3, 1 / 4, 0]
)

# %% [markdown]
# ## The estimator
#
# The score of a trajectory is $M$ at its last step. We have $K$ candidates and want the expected outcome of the best
# of $N \le K$. Taking the first $N$ throws the others away. Instead we average over **all** subsets. Sort by score; let
# group $g$ hold $K_g$ samples of equal score with mean outcome $\bar r_g$, and let $L_g$ samples have lower
# scores. The winner comes from $g$ if the subset lies within the lower $L_g + K_g$, but not within the lower $L_g$:
#
# $$\widehat{\mathrm{BoN}}_N = \sum_g \frac{\binom{L_g + K_g}{N} - \binom{L_g}{N}}{\binom{K}{N}} \, \bar r_g$$
#
# Each $N$-subset of independent samples is itself a sample of size $N$, so this is unbiased. With the outcome as score
# it is pass@N (Chen et al. 2021).
#
# | symbol | in the code | shape | meaning |
# |---|---|---|---|
# | $K$ | `len(scores)` | | stored candidates of a task |
# | $N$ | `ns` | [len(ns)] | sizes of the subset |
# | $M_{T-1}$ | `scores` | [K] | score of each candidate |
# | $r$ | `success` | [K] | outcome of each candidate |
# | $K_g$ | `sizes` | [groups] | candidates in a group of equal score |
# | $L_g$ | `upto[:-1]` | [groups] | candidates with lower scores |
# | $\bar r_g$ | `means` | [groups] | mean outcome of a group |

# %%
show_source(metrics.best_of_n_curve, search.best_of_n)

# An independent check: enumeration, on random cases with many ties.
rng = np.random.default_rng(0)
worst = 0.0
for _ in range(50):
    size = int(rng.integers(2, 9))
    scores = rng.integers(0, 3, size) / 2  # 0, 0.5 or 1: ties
    success = rng.integers(0, 2, size)
    for n in range(1, size + 1):
        ours = metrics.best_of_n_curve(scores, success, [n])[0]
        worst = max(worst, abs(ours - brute_force(scores, success, n)))
print(f"largest difference in 50 cases: {worst:.1e}")
assert worst < 1e-12

# %% [markdown]
# ## A misuse that looks right
#
# `argmax` of the first $N$ scores looks like Best-of-N. It has a mistake and a waste. It breaks **ties by order**, and it
# uses **the first samples alone**. If the file is sorted (successes first, as after a filter or a
# sort by reward), the order carries the answer.
#
# The test below is made so that the truth is known: 300 tasks, 16 samples each, and a judge that knows nothing: its
# score is always 0.5. Its true curve is flat. The assertion after the figure catches the mistake: the order of the
# candidates must not matter, and a constant score must give the plain mean.

# %%
def naive(scores, success, n):
    return success[int(np.argmax(scores[:n]))]


def right(scores, success, n):
    return metrics.best_of_n_curve(scores, success, [n])[0]


rng = np.random.default_rng(1)
chance = rng.beta(0.5, 1.0, size=300)  # of success, task by task
made = (rng.random((300, 16)) < chance[:, None]).astype(float)
ordered = -np.sort(-made, axis=1)  # successes first
same, sizes = np.full(16, 0.5), [1, 2, 4, 8, 16]
know_nothing = {
    name: [np.mean([rule(same, r, n) for r in rows]) for n in sizes]
    for name, rule, rows in (("library", right, made),
                             ("argmax, as sampled", naive, made),
                             ("argmax, successes first", naive, ordered))
}

# %%
know_nothing["oracle"] = [metrics.pass_at_n(r, sizes) for r in made]
know_nothing["oracle"] = np.mean(know_nothing["oracle"], axis=0)
points = {k: [(y, y, y) for y in v] for k, v in know_nothing.items()}
first, true = know_nothing["argmax, successes first"][0], made.mean()
show_figure(
    plots.curve_with_interval(sizes, points),
    alt=f"A judge without knowledge. The library's estimate is flat at "
    f"{true:.2f}; argmax on the sorted file is flat at {first:.2f}, "
    "the oracle's value at N = 16.",
    caption="The symptom: a curve that is high at N = 1 already, and a judge "
    "without knowledge that meets the oracle at the largest N.",
)


# %%
def orderless(estimate, k=8, trials=20):
    """Whether an estimate(scores, success, n) ignores the order."""
    rng = np.random.default_rng(2)
    for _ in range(trials):
        scores, r = rng.integers(0, 3, k) / 2, rng.integers(0, 2, k)
        p = rng.permutation(k)
        a, b = estimate(scores, r, 3), estimate(scores[p], r[p], 3)
        if abs(float(a) - float(b)) > 1e-12:
            return False
    return True


assert orderless(right) and not orderless(naive)
assert np.isclose(right(same, made[0], 4), made[0].mean())
print("the library ignores the order, argmax does not")

# %% [markdown]
# ## The experiment
#
# All judges, with intervals. The rows *SFT* and *RFT* are greedy and cost one sample. *majority* votes for the most
# frequent sequence of actions among all $K$ candidates, at every $N$, so its numbers at small $N$ are too good.
#
# Read the comparisons above the table, not the overlap of two bands: on the same tasks much of the noise is common to both
# judges and cancels in the difference.

# %%
def verdict(what, difference):
    mean, lo, hi = np.round(difference, 3) + 0.0  # no "-0.000"
    word = "higher" if lo > 0 else "lower" if hi < 0 else "undecided"
    print(f"{what}: {mean:+.3f} [{lo:+.3f}, {hi:+.3f}]: {word}")


def against(ours, others, curves, note=""):
    for other in others:
        pair = curves[ours][:, :, -1], curves[other][:, :, -1]
        what = f"{ours} minus {other} at N = {NS[-1]}{note}"
        verdict(what, study.bootstrap_interval(*pair))


against("AgentPRM", ["ORM", "PVM", *baselines], by_last | baselines)
print(f"n = {len(TASKS)} tasks, seeds: {len(SEEDS)}, 95 % intervals")
columns = [f"N = {n}" for n in NS]
text = {k: [f"{i.mean:.2f} [{i.lo:.2f}, {i.hi:.2f}]" for i in v]
        for k, v in last.items()}
pd.DataFrame(text, index=columns).T.iloc[:, ::-2].iloc[:, ::-1]

# %% [markdown]
# ## The compute multiple
#
# "Ours needs $k$ times fewer samples" means: take the best score that the baseline reaches, find where each
# curve first reaches it (linear in $\log N$), and divide: $k = N_{\text{base}} / N_{\text{ours}}$. If the
# baseline goes 0.1, 0.2, 0.3 at $N = 1, 2, 4$ and ours 0.1, 0.3, 0.4, then $k = 4/2 = 2$.
#
# The point estimate alone misleads: where curves are flat, a small step up or down moves $N$ a lot. So it gets an interval. In
# each bootstrap resample the target is the baseline's own best. If ours never reaches it, $k$ is 0, and a lower end of 0
# says that this is so in some resamples. The paper reports more than 8 times without an interval (claim C2).
#
# Samples are not what one pays. So the figure has the same curves over tokens: what the policy generates for $N$ attempts. Greedy SFT is a single point here. What the judge reads comes on top; it is the same for all three reward models, which have
# the same size.

# %%
assert study.compute_multiple([1, 2, 4], [0.1, 0.2, 0.3],
                              [0.1, 0.3, 0.4]) == 2.0
ours = by_last["AgentPRM"].mean(axis=0)
for name in ("ORM", "PVM", "fewest turns"):
    base = (by_last | baselines)[name].mean(axis=0)
    k, lo, hi = study.compute_multiple_interval(NS, base, ours)
    says = ("fewer samples" if lo > 1 else "more samples" if hi < 1
            else "undecided: the interval holds 1")
    print(f"AgentPRM against {name}: {k:.2f} [{lo:.2f}, {hi:.2f}]: {says}")

# %%
per_sample = np.mean([t.usage.generated for t in candidates])
greedy = stages.greedy_runs(profile, "sft")
drawn = (*by_last, "fewest turns", "oracle")
x = {name: per_sample * np.array(NS) for name in drawn}
x["SFT"] = [np.mean([t.usage.generated for t in greedy])]
y = {name: last[name] for name in x} | {"SFT": last["SFT"][:1]}
show_figure(
    plots.curve_with_interval(x, y, xlabel="generated tokens a task"),
    alt=f"Success against generated tokens, {per_sample:.0f} a sample; "
    f"greedy SFT is one point at {x['SFT'][0]:.0f} tokens.",
    caption=f"The same curves over what they cost, {per_sample:.0f} tokens a "
    "sample: compare straight up and down.",
)

# %% [markdown]
# ## What the last action gives away
#
# In TextCraft the last action nearly tells the outcome. A success ends with the craft of the goal item; a failure
# ends with whatever the policy did when its rounds ran out. A judge that can read the last action alone sorts well, and ORM is
# trained on just that step. The figure asks when the judges know: the AUROC (chance that a success outscores a failure) at
# different parts of the trajectory. 0.5 is knowing nothing. It pools all tasks, and only its left end is free of length
# ([chapter 5](05_agentprm.ipynb#the-question)): *fewest turns* shows how much the number of turns alone gives away. At 0.5 stands
# the action ⌊T/2⌋, counted from 0: in a success of two actions the last.

# %%
won = [float(t.success) for t in candidates]
PARTS = [0.0, 0.25, 0.5, 0.75, 1.0]
auc = {name: np.array([
    study.auroc_by_part(
        [v.q if len(v.q) else [v.root] for v in run], won, PARTS
    ) for run in runs
]) for name, runs in (values | {"fewest turns": [SHORT]}).items()}
if np.isnan(auc["ORM"]).any():
    print("only one outcome in the pool: there is no AUROC")
else:
    ends = ", ".join(f"{k} {v.mean(0)[0]:.2f} to {v.mean(0)[-1]:.2f}"
                     for k, v in auc.items())
    panel = {"AUROC": {k: (PARTS, v) for k, v in auc.items()}}
    show_figure(
        plots.training_curves(panel, xlabel="part of the trajectory"),
        alt=f"AUROC from the first to the last action: {ends}.",
        caption=f"From the first to the last action: {ends}. A search has to "
        "choose at the left, Best-of-N at the right.",
    )

# %% [markdown]
# ## Choosing by half a trajectory
#
# A search ([chapter 7](07_beam_search.ipynb)) must choose long before the end. So the second experiment hides the second half. For
# a trajectory with $T$ actions the score is $M$ after its first $\lceil T/2 \rceil$ actions (`study.half`): unless $T = 1$, the last
# action is not seen. Everything else stays: the same candidates, the same estimator.
#
# One warning. Half of a long trajectory comes later than half of a short one, so the half score knows something of $T$. In TextCraft that is much:
# a success ends the episode, a failure goes on until its rounds run out. *Fewest turns* knows $T$ and nothing else: its score is $-T$. If
# it is near the oracle, a judge can do well here by counting turns, and the next figure, at a fixed number of turns, is the one to trust.

# %%
by_half = curves_of(study.half)
extra = {k: baselines[k] for k in (
    "oracle", "fewest turns", "one sample", "random agent")}
at_half = intervals(by_half | extra)
top = ", ".join(f"{k} {v[-1].mean:.2f}" for k, v in at_half.items())
show_figure(
    plots.curve_with_interval(NS, at_half),
    alt=f"Best-of-N by half a trajectory. At N = {NS[-1]}: {top}.",
    caption=f"Chosen by M after half of the actions, N = {NS[-1]}: {top}.",
)
against("AgentPRM", ["ORM", "PVM", *extra], by_half | extra)


def after(k):  # each judge sees the first k actions
    blind = search.best_of_n(candidates, study.first(SHORT, k), NS)
    return {"fewest turns": blind.success[None]} | curves_of(
        lambda run: study.first(run, k))

# %% [markdown]
# The same without knowing $T$: the judge sees the first $k$ actions of every candidate, and all of those that are over by
# then, as a beam search does. At $k = 0$ all candidates of a task look alike, and the choice is random. *Fewest turns* knows which candidates
# were over before action $k$, and after how many. What a judge has above it is foresight, or that it recognizes an ending at action $k$ itself. The first line below the figure counts at how many $k$ AgentPRM is
# above *fewest turns*, or below, as far as an interval can tell (at $k = 0$ nothing can differ, and one interval of twenty leaves 0 out by luck). A judge *below* it is worse than counting: it prefers a path under way to one that has already succeeded, or to a better one.
# The other lines compare the judges after two actions.

# %%
early = {k: after(k) for k in (0, 1, 2, 3, 4, 6, 8)}
at = [k + 1 for k in early]  # a log axis has no 0
seen = {name: [study.bootstrap_interval(c[name][:, :, -1])
               for c in early.values()] for name in early[0]}
says = ", ".join(f"{k} {v[2].mean:.2f}" for k, v in seen.items())
show_figure(plots.curve_with_interval(at, seen, xlabel="1 + actions seen"),
            alt=f"Success by the actions that a judge sees. Two: {says}.",
            caption=f"Best-of-{NS[-1]} by the beginnings of the candidates. "
            f"After two actions: {says}.")
gaps = [study.bootstrap_interval(c["AgentPRM"][:, :, -1],
                                 c["fewest turns"][:, :, -1])
        for c in early.values()]
print(f"AgentPRM against fewest turns at {len(gaps)} k: "
      f"{sum(g.lo > 0 for g in gaps)} above, {sum(g.hi < 0 for g in gaps)} "
      "below, the others undecided")
against("AgentPRM", ["ORM", "PVM"], early[2], ", two actions")

# %% [markdown]
# ## Ranking tasks or ranking attempts?
#
# A high AUROC over the whole pool can come from knowing which *tasks* are easy. Best-of-N chooses within a task, so that
# knowledge is worth nothing here. The measure that counts is the AUROC inside each task that has both outcomes. If *whole pool* is
# high and *in a task* is near 0.5, the judge ranks tasks.

# %%
names = [t.task for t in candidates]
record = []
for name, runs in values.items():
    for when, part in (("last", lambda run: run), ("half", study.half)):
        s = [search.scores_of(part(run)) for run in runs]
        whole = np.mean([metrics.auroc(row, won) for row in s])
        inside = np.array(
            [metrics.within_task_auroc(row, won, names) for row in s]
        )
        line = [name, when, f"{whole:.3f}", "none", inside.shape[1]]
        if inside.size:
            mean, lo, hi = study.bootstrap_interval(inside)
            line[3] = f"{mean:.3f} [{lo:.3f}, {hi:.3f}]"
        record.append(line)
pd.DataFrame(
    record, columns=["judge", "score", "whole pool", "in a task", "tasks"]
)

# %% [markdown]
# ### Exercise 06.1
#
# *Medium, 15 minutes.* Write `best_of(scores, success, n)`: the expected outcome of the best-scored of `n` samples, over all
# subsets of size `n`. Samples that tie for the best count equally. You may enumerate.


# %% tags=["exercise-06-1"]
def best_of(scores, success, n):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import attempt, check_best_of

attempt(check_best_of, best_of)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `itertools.combinations(range(len(scores)), n)` gives all subsets of indices.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# In each subset take the mean outcome of all members whose score equals the highest; then take the mean over subsets.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def best_of(scores, success, n):
#     means = []
#     for subset in combinations(range(len(scores)), n):
#         best = max(scores[i] for i in subset)
#         won = [success[i] for i in subset if scores[i] == best]
#         means.append(sum(won) / len(won))
#     return sum(means) / len(means)
# ```
#
# </details>

# %% [markdown]
# ### Exercise 06.2
#
# *Medium, 15 minutes.* Write `samples_needed(ns, curve, target)`: the smallest $N$ at which the curve reaches the target,
# interpolated linearly over $\log N$ between the points. It is `ns[0]` if the first point reaches it, and `float("inf")` if
# none does.


# %% tags=["exercise-06-2"]
def samples_needed(ns, curve, target):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_samples_needed

attempt(check_samples_needed, samples_needed)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Find the first index `i` with `curve[i] >= target`; the answer lies between `ns[i - 1]` and `ns[i]`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# With `part = (target - curve[i - 1]) / (curve[i] - curve[i - 1])` the answer is `ns[i - 1] * (ns[i] / ns[i - 1]) ** part`.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def samples_needed(ns, curve, target):
#     for i, score in enumerate(curve):
#         if score >= target:
#             if i == 0:
#                 return float(ns[0])
#             part = (target - curve[i - 1]) / (score - curve[i - 1])
#             return ns[i - 1] * (ns[i] / ns[i - 1]) ** part
#     return float("inf")
# ```
#
# </details>

# %% [markdown]
# ## Paper and here
#
# | | the paper | here | why |
# |---|---|---|---|
# | Faithful | the score of a trajectory is $M$ at its last step | the same | |
# | Ours | one draw of $N$ samples | the expectation over all $N$-subsets of a stored pool | less noise, the same candidates for all judges |
# | Ours | no seeds, no intervals | bootstrap over tasks, and over seeds where there are several | with 100 tasks one standard error is 4 to 5 points |
# | Ours | "more than 8 times" | the multiple with an interval | where curves are flat a point estimate is nearly free |
# | Ours | | choice from the first half, and within-task AUROC | the last action of TextCraft shows the outcome |
# | Simplified | LLMs of 0.5 to 8 billion parameters, temperature 0.7 | a small policy at the profile's temperature | two cores |
#
# And with a real language model? [chapter 13](13_real_language_model.ipynb) draws the same curves for SmolLM2-135M, from stored runs (they are older than random batches, so don't take their numbers as results).
#
# ## What each number means, what to watch, what to vary
#
# - *success at N*: mean over tasks of the expected outcome. *token axis*: tokens that the policy generates.
# - *multiple*: $N_{\text{base}}/N_{\text{ours}}$ at the baseline's best score; 0: ours never gets there.
# - *within-task AUROC*: over the tasks with both outcomes only; look at how many there are.
# - **Watch** a curve above *oracle* (a bug for certain), a curve that falls with $N$ (an overrated failure), *fewest turns* on a level with
#   the judges (they may have learned length), and a high AUROC over the pool with 0.5 within tasks.
# - **Vary** `eval_samples`, the temperature, MC labels (`rewards.pool_values(profile, "mc_soft", 0)`), and the part that the judge sees.
#
# ## Summary
#
# 1. Best-of-N can be computed exactly over a stored pool; ties count equally
#    ([the estimator](06_best_of_n.ipynb#the-estimator); `tests/core/test_metrics.py`, `tests/core/test_search.py`).
# 2. It can fall with $N$ ([the hand case](06_best_of_n.ipynb#a-case-to-solve-by-hand)).
# 3. `argmax` on a file in order measures the file ([the misuse](06_best_of_n.ipynb#a-misuse-that-looks-right)).
# 4. In TextCraft fewest turns wins the headroom without a model; what a judge has above it at a fixed number of actions is foresight, or that it
#    recognizes an ending ([choosing by half](06_best_of_n.ipynb#choosing-by-half-a-trajectory)).
# 5. If the last action shows the outcome, success at the last step says little about values in the middle
#    ([why](06_best_of_n.ipynb#what-the-last-action-gives-away)).
#
# ## Quiz
#
# <details><summary>1. A judge gives all candidates the same score. What is its Best-of-8?</summary>
#
# The mean outcome of the pool: every member of a subset ties.
#
# </details>
#
# <details><summary>2. Can a perfect judge have Best-of-N below pass@N?</summary>
#
# No. With the outcome as score the two are the same formula.
#
# </details>
#
# <details><summary>3. The multiple is 3.1 with the interval [0, 9]. What may be said?</summary>
#
# That it is undecided: ours may need fewer samples, more, or never reach the score.
#
# </details>
#
# ## References
#
# - Xi et al. 2025, *AgentPRM*: tables 1 and 3, against which to hold these curves.
# - Chen et al. 2021, *Evaluating Large Language Models Trained on Code*: the unbiased pass@k.
# - Cobbe et al. 2021, *Training Verifiers to Solve Math Word Problems*: Best-of-N with a verifier, and its fall at large $N$.
# - Snell et al. 2024, *Scaling LLM Test-Time Compute Optimally*: when to search and when to sample.
