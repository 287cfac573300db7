# %% [markdown]
# # Four worlds, one method
#
# At the end you will have the same comparison in TextCraft, BabyAI, WebShop and math side by side: where there is headroom, who chooses well from a pool, and how much of the headroom is won.
#
# | | |
# |---|---|
# | Before this | [chapter 1](01_environments.ipynb) (the worlds), [chapter 6](06_best_of_n.ipynb) (Best-of-N), [chapter 7](07_beam_search.ipynb) (beam search) |
# | Run time | see the [status page](../book/status.md) |
# | Paper | tables 1 and 2: WebShop, BabyAI, TextCraft, and section 5.3 |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/10_four_worlds.ipynb) |

# %% tags=["hide-input"]
# On Colab: install the library. At home it is there already.
import importlib.util
import subprocess
import sys

REPO = "git+https://github.com/agentprm-lite/agentprm-lite"
if importlib.util.find_spec("agentprm_lite") is None:
    pip = [sys.executable, "-m", "pip", "install", "-q", REPO]
    subprocess.run(pip, check=True)
DRIVE = False  # True: Colab keeps what is computed on your Google Drive
if DRIVE:
    from agentprm_lite.notebook import keep_on_drive

    keep_on_drive()

# %% tags=["parameters"]
PROFILE = "auto"  # gpu where there is one, else cpu

# %% [markdown]
# ## The question
#
# The chapters before this one looked at one world. Does what they found depend on it? The worlds differ in what a reward model can see. TextCraft shows success in the last reply. WebShop shows the
# score only after the purchase, when nothing can be mended. BabyAI shows a part of the map. Math replies nothing at all.
#
# **Predict before you run.**
# 1. In which world will the three reward models differ least, and why?
# 2. Where will one sample be far below the best of sixteen?
# 3. In which world could a reward model make the choice *worse* than chance?
#
# One tiny policy a world, each trained from nothing on that world's expert. One policy for all four would have to share
# half a million parameters and one vocabulary among four languages; what a reader could learn from its failures would be about
# sharing, not about reward models. The sizes of each world stand in one place, `profiles.py`.

# %%
import numpy as np
import pandas as pd

from agentprm_lite import plots, study
from agentprm_lite.notebook import show_figure
from agentprm_lite.profiles import get_profile

NAMES = {"textcraft": "TextCraft", "babyai": "BabyAI",
         "webshop": "WebShop", "math": "Math"}
profiles = {env: get_profile(PROFILE, env) for env in NAMES}
pd.DataFrame({
    NAMES[env]: [p.levels or "all", p.demo_goals * p.demo_variants,
                 p.rollout_tasks * p.rollout_samples, p.eval_tasks,
                 p.eval_samples, p.reward_seeds]
    for env, p in profiles.items()
}, index=["levels", "demonstrations at most", "rollouts", "held-out tasks",
          "candidates a task", "reward model seeds"]).T

# %% [markdown]
# ## The whole pipeline, four times
#
# `study.world_study` does for a world what the chapters did step by step: demonstrations, SFT, rollouts, three kinds of reward models with every seed, the pool, Best-of-N, beam search. What is there already is not made again.
# Every number is a mean reward with a 95 % interval over tasks and seeds. In TextCraft and math the reward is success. BabyAI also pays for speed (the same success is worth less after more low-level moves), and WebShop pays in part for a
# product that fits in part.

# %%
found = {env: study.world_study(p) for env, p in profiles.items()}
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")

# %%
def text(row):
    return f"{row[0]:.2f} [{row[1]:.2f}, {row[2]:.2f}]"


table = {}
for env, world in found.items():
    oracle = world["best_of_n"]["oracle"][-1]
    table[NAMES[env]] = [
        world["tasks"], text(world["policy"]["greedy SFT"]),
        text(world["policy"]["sampled SFT"]), text(oracle),
        round(world["tokens_a_sample"]),
    ]
most = profiles["textcraft"].eval_samples
head = ["tasks", "greedy", "one sample", f"best of {most}", "tokens a sample"]
pd.DataFrame(table, index=head).T

# %% [markdown]
# **How to read it.** The gap between *one sample* and the *best of N* is the headroom: a perfect judge would win all of it. Where it is nearly zero, no reward model can show anything, good or bad. Where greedy is far above one
# sample, the policy knows more than its samples show, and a judge on the same trunk has a chance to know it, too.
#
# ## Best-of-N in four worlds

# %%
kinds = {"orm": "ORM", "pvm": "PVM", "agentprm": "AgentPRM",
         "oracle": "oracle"}
panels = {
    NAMES[env]: {label: world["best_of_n"][k] for k, label in kinds.items()}
    for env, world in found.items()
}
ns = study.powers_of_two(most)
says = "; ".join(
    f"{name}: " + ", ".join(f"{k} {c[-1][0]:.2f}" for k, c in curves.items())
    for name, curves in panels.items()
)
show_figure(
    plots.curves_by_panel(ns, panels, ylabel="reward"),
    alt=f"Best-of-N in four worlds, at N = {ns[-1]}. {says}.",
    caption="The candidate with the largest M at its last step. A curve that "
    "falls is a judge that prefers failures.",
)

# %%
def verdict(row):
    return "higher" if row[1] > 0 else "lower" if row[2] < 0 else "undecided"


for env, world in found.items():
    for pair, rows in world["difference"].items():
        for where, row in rows.items():
            print(f"{NAMES[env]:10}{pair:16}{where:24}"
                  f"{text(row):24}{verdict(row)}")

# %% [markdown]
# ## Beam search in four worlds
#
# A beam is judged in the middle of an episode, so a world where only the last reply tells (TextCraft) or where a wrong turn is fatal (WebShop's purchase) asks more of the judge than Best-of-N does. Not every world
# had every beam: the sizes are those of the profile.

# %%
rows = {}
for env, world in found.items():
    for kind in ("orm", "pvm", "agentprm"):
        rows[NAMES[env], kinds[kind]] = {
            shape.replace("x", "×"): text(beam["success"])
            for shape, beam in world["beam"][kind].items()
        }
pd.DataFrame(rows).T.fillna("not run")

# %% [markdown]
# ## How much of the headroom?
#
# Rewards of different worlds can't be compared: a judge that lifts 0.10 to 0.15 where the oracle has 0.16 has done more than one that lifts 0.40 to 0.60 where the oracle has 1. The share of headroom won is
#
# $$\text{share} = \frac{\text{chosen} - \text{one sample}}{\text{oracle} - \text{one sample}}$$
#
# 0 is a random choice, 1 the oracle, and below 0 the judge does harm.

# %%
shares = {}
for name, curves in panels.items():
    one, best = curves["oracle"][0][0], curves["oracle"][-1][0]
    room = best - one
    shares[name] = {
        k: (c[-1][0] - one) / room if room > 0.02 else np.nan
        for k, c in curves.items() if k != "oracle"
    }
pd.DataFrame(shares).T.round(2)

# %% [markdown]
# `NaN` stands where the headroom is below two points: there is nothing to share. These are ratios of means without an interval; the verdicts above have them.
#
# ## A misuse that looks right: one number for four worlds
#
# It is tempting to average the four curves and report one. The mean hides the sign: a judge that wins half of the headroom in one world and does harm in another looks harmless. And the worlds with the most headroom
# decide it, whatever is asked of a judge elsewhere. The paper reports each world, and so do we.
#
# ### Exercise 10.1
#
# *Easy, 10 minutes.* Write `tied_best(scores, successes)`: the expected success of the candidate with the largest score, when a tie is broken at random. Lists of equal length.


# %% tags=["exercise-10-1"]
def tied_best(scores, successes):
    raise NotImplementedError


# %%
from agentprm_lite.exercises import attempt, check_tied_best

attempt(check_tied_best, tied_best)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Several candidates can share the largest score.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The expected success is the mean over those candidates.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def tied_best(scores, successes):
#     top = max(scores)
#     tied = [y for s, y in zip(scores, successes) if s == top]
#     return sum(tied) / len(tied)
# ```
#
# </details>
#
# ### Exercise 10.2
#
# *Medium, 15 minutes.* Write `share_won(chosen, one, oracle)` for lists with one number a task: the share of headroom won over all tasks, from the means. Return `None` where there is no headroom.


# %% tags=["exercise-10-2"]
def share_won(chosen, one, oracle):
    raise NotImplementedError


# %%
from agentprm_lite.exercises import check_share_won

attempt(check_share_won, share_won)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Take the means first. A mean of ratios would divide by zero in every task that is always or never solved.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The headroom is the mean of the oracle minus the mean of one sample.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def share_won(chosen, one, oracle):
#     mean = lambda xs: sum(xs) / len(xs)
#     room = mean(oracle) - mean(one)
#     return (mean(chosen) - mean(one)) / room if room > 0 else None
# ```
#
# </details>
#
# ## What we left out
#
# - One policy a world and one training run of it: the intervals cover tasks and reward model seeds, not the luck of a policy.
# - The paper reports the mean reward for BabyAI, as here, and the success rate for WebShop, which is lower than the mean reward.
# - WebShop here is our made shop and a few levels, BabyAI a part of its levels: `get_profile("gpu", env)` has them all.
#
# ## Say it in three sentences
#
# Close the page and say: what headroom is, why success in the last reply makes reward models alike, and why four worlds need four verdicts.
#
# **Next:** [chapter 11](11_your_environment.ipynb) brings a world of your own.
