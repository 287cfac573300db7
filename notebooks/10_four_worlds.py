# %% [markdown]
# # 10 Four worlds, one method
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
# The chapters before this one looked at one world. Does what they found depend on it? The worlds differ in what a reward model can see. TextCraft shows success in the last reply. WebShop shows the
# score only after the purchase, when nothing can be mended. BabyAI shows a part of the map. Math replies nothing at all.
#
# **Predict before you run.**
# 1. In which world will the three reward models differ least, and why?
# 2. Where will one sample be far below the best of sixteen?
# 3. In which world could a reward model make the choice *worse* than chance?
#
# One policy a world, each tuned from the one small base on that world's expert. Pretraining has shown
# the base all four; demonstrations, the rollouts of the judges and the tests share no goal, shop or template.
# The sizes and temperatures of each world stand in one place, `profiles.py`.

# %%
import numpy as np
import pandas as pd

from agentprm_lite import study
from agentprm_lite.tutorial import plots
from agentprm_lite.tutorial.notebook import show_figure
from agentprm_lite.tutorial.profiles import get_profile

NAMES = study.WORLDS
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
        world["tasks"], text(world["policy"]["random agent"]),
        text(world["policy"]["greedy SFT"]),
        text(world["policy"]["sampled SFT"]), text(oracle),
        round(world["tokens_a_sample"]),
    ]
most = profiles["textcraft"].eval_samples
head = ["tasks", "random agent", "greedy", "one sample", f"best of {most}",
        "tokens a sample"]
pd.DataFrame(table, index=head).T

# %% [markdown]
# **How to read it.** The gap between *one sample* and the *best of N* is the headroom: a perfect judge would win all of it. Where it is nearly zero, no reward model can show anything, good or bad. Where greedy is far above one
# sample, the policy knows more than its samples show, and a judge on the same trunk has a chance to know it, too.
#
# ## Best-of-N in four worlds

# %%
kinds = {"orm": "ORM", "pvm": "PVM", "agentprm": "AgentPRM",
         "fewest turns": "fewest turns", "oracle": "oracle"}
ns = study.powers_of_two(most)
panels = {
    NAMES[env]: {label: world["best_of_n"][k] for k, label in kinds.items()}
    | {"random agent": [world["policy"]["random agent"]] * len(ns)}
    for env, world in found.items()
}
says = "; ".join(
    f"{name}: " + ", ".join(f"{k} {c[-1][0]:.2f}" for k, c in curves.items())
    for name, curves in panels.items()
)

# %%
said = []
for name, curves in panels.items():
    end = {k: c[-1][0] for k, c in curves.items()}
    best = max(("ORM", "PVM", "AgentPRM"), key=end.get)
    said.append(f"{name}: best judge {best} {end[best]:.2f}, fewest turns "
                f"{end['fewest turns']:.2f}, oracle {end['oracle']:.2f}")
show_figure(
    plots.curves_by_panel(ns, panels, ylabel="reward"),
    alt=f"Best-of-N in four worlds, at N = {ns[-1]}. {says}.",
    caption=f"By M at the last step, N = {ns[-1]}. {'; '.join(said)}.",
)

# %%
def verdict(row):
    return "higher" if row[1] > 0 else "lower" if row[2] < 0 else "undecided"


lines = [
    [NAMES[env], pair.replace("agentprm", "AgentPRM").replace("- ", "− "),
     where, text(row), verdict(row)]
    for env, world in found.items()
    for pair, rows in world["difference"].items()
    for where, row in rows.items()
]
pd.DataFrame(lines, columns=["world", "difference", "where", "reward", ""])

# %% [markdown]
# ## Beam search in four worlds
#
# A beam is judged in the middle of an episode, so a world where a wrong turn is fatal (WebShop's purchase) asks more of the judge than Best-of-N does. Not every world
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
        for k, c in curves.items() if k not in ("oracle", "random agent")
    }
pd.DataFrame(shares).T.round(2)

# %% [markdown]
# `NaN` stands where the headroom is below two points: there is nothing to share. These are ratios of means without an interval; the verdicts above have them.
#
# ## Does each claim of the paper hold?
#
# The paper makes nine claims and gives neither seeds nor intervals. In November 2026 each was tested by a rule that was registered beforehand ([`results/PLAN.md`](https://github.com/agentprm-lite/agentprm-lite/blob/main/results/PLAN.md); commits `9aea6b3`, `d175a8f` and `e9908a2`). Those verdicts are **closed and not to be quoted**. The judges that they compare had learned nothing: in WebShop PVM's $M$ was 0.062 at every step of every
# candidate, and at a fixed turn within a task every process judge was near a coin. Batches by length had been batches by outcome, there was one epoch, and in three worlds the policies did worse than a random agent or hardly better, so there was little to learn. The files stay in `results/claims`, and the [results page](../book/results.md) has them in one table. A new plan comes with judges that explain something.
#
# ### Threats to validity
#
# - **One policy.** All rollouts and candidates of a world come from one training run of one policy. The intervals cover tasks and seeds of reward models; another policy could turn a difference.
# - **Length.** Where failures take more turns than successes, the number of turns gives the outcome away, and a judge that has learned no more than that looks good. Put *fewest turns* beside every judge.
# - **Few tasks, few seeds.** A difference of a few points stays undecided on some dozen tasks, and a bootstrap over two or three seeds is a little too narrow.
# - **Temperature.** Candidates are drawn at 1.0, the paper's at 0.7; its pool probably has less to choose from and better candidates; not measured.
# - **Our reading of the paper.** Where it is silent we chose: the reward at the end, the root value, LoRA, shaping in PPO. Each choice could matter.
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
from agentprm_lite.tutorial.exercises import attempt, check_tied_best

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
from agentprm_lite.tutorial.exercises import check_share_won

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

# %% [markdown]
# ## Summary
#
# 1. Headroom differs from world to world, and with it what a judge can win ([the whole pipeline](10_four_worlds.ipynb#the-whole-pipeline-four-times)).
# 2. Shares of the headroom can be compared between worlds, rewards can't ([how much of the headroom](10_four_worlds.ipynb#how-much-of-the-headroom)).
# 3. A verdict is worth no more than the judges that it compares: look at what they explain first ([the claims](10_four_worlds.ipynb#does-each-claim-of-the-paper-hold)).
#
# ## Quiz
#
# <details><summary>1. AUROC over all candidates of all tasks is 0.9. What do you know about Best-of-N?</summary>
#
# Nothing yet. The judge may tell easy tasks from hard ones. Best-of-N asks for the order of the candidates of *one* task.
#
# </details>
#
# <details><summary>2. A difference is 0.1 points, from −1.6 to 1.9. Was it shown that there is none?</summary>
#
# No. An effect of two points or more was excluded, by a little. The difference may have either sign.
#
# </details>
#
# <details><summary>3. Your judge is above AgentPRM in TextCraft. Which judge must it beat besides?</summary>
#
# The candidate with the fewest turns. It costs nothing, and a judge that is not above it may only count turns.
#
# </details>
#
# ## References
#
# - Xi et al. 2025, *AgentPRM*: the nine claims and the four worlds.
# - Gao et al. 2022, *Scaling Laws for Reward Model Overoptimization*: curves that fall while the judge's score rises.
#
# ## Say it in three sentences
#
# Close the page and say: what headroom is, what *fewest turns* can do, and why four worlds need four answers.
#
# **Next:** [chapter 11](11_your_environment.ipynb) brings a world of your own.
