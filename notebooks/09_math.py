# %% [markdown]
# # 9 The method on math
#
# At the end you will have computed promise and progress of a word problem by hand, verified the calculator marks of a solution in GSM8K's
# format, found the first wrong step in every sampled solution, and put intervals on three sentences: "the reward model ranks solutions",
# "its value drops at the first wrong step", and "it chooses better than a majority vote".
#
# | | |
# |---|---|
# | Before this | [chapter 5](05_agentprm.ipynb) (the reward models), [chapter 6](06_best_of_n.ipynb) (Best-of-N), [chapter 7](07_beam_search.ipynb) (beam search) |
# | Run time | see the [status page](../book/status.md) |
# | Paper | section 5.3, tables 2 and 3 (GSM8K), equations 2, 3, 5, 7 and 8, [claim](../book/paper-and-here.md#the-claims) C6 |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/09_math.ipynb) |

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
# In TextCraft the world answers every action: an item arrives, or an error. In mathematics nobody answers. A step of a solution is an action, the
# next observation is empty, and only the final answer is right or wrong. **Can a reward model judge steps that nobody replies to?** What it needs
# is not in the text. It has to be computed.
#
# The figure comes first: Best-of-N by $M$ at the last step, as in [chapter 6](06_best_of_n.ipynb). One line is new. *majority* is self-consistency (Wang et
# al. 2022): no reward model at all, the most frequent **final answer** wins, however it was reached. Its votes are counted over the whole pool, so
# only its right end is a fair comparison. *SFT* is one greedy attempt; *fewest turns* and the *random agent* are the floors of [chapter 3](03_rollouts.ipynb).
#
# **Predict before you run.**
# 1. Is *majority* above or below the reward models?
# 2. Can a reward model be worse than *one sample*?
# 3. Where does a wrong solution go wrong more often: in the arithmetic, or in what it chooses to compute?

# %%
import re
from fractions import Fraction
import numpy as np
import pandas as pd

from agentprm_lite import metrics, search, study
from agentprm_lite.tutorial import floors, plots, rewards, stages, trees
from agentprm_lite.worlds.math import MathWorld, arithmetic, gsm8k, problems
from agentprm_lite.worlds.math.arithmetic import check_steps, marks
from agentprm_lite.worlds.math.steps import MISTAKES, first_mistake, step_kinds
from agentprm_lite.tutorial.notebook import show_figure, show_source
from agentprm_lite.tutorial.profiles import get_profile
from agentprm_lite.tutorial.tasks import beam_tasks

profile = get_profile(PROFILE, "math")
SEEDS = range(profile.reward_seeds)
NS = study.powers_of_two(profile.eval_samples)
KINDS = {"ORM": "orm", "PVM": "pvm", "AgentPRM": "agentprm"}
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")

# %%
candidates = stages.pool(profile)
GROUPS = search.by_task(candidates)
TASKS = list(GROUPS)
values = {name: [rewards.pool_values(profile, kind, s) for s in SEEDS]
          for name, kind in KINDS.items()}
curves = {name: np.array([
    search.best_of_n(candidates, run, NS).success
    for run in runs]) for name, runs in values.items()}
for name, way in {"oracle": search.oracle, "majority": study.majority,
                  "fewest turns": study.fewest_turns,
                  "one sample": study.random_choice}.items():
    curves[name] = way(candidates, NS).success[None]
lines = {"SFT": study.task_means(stages.greedy_runs(profile)),
         "random agent": floors.random_outcomes(profile).mean(1)}
for name, one in lines.items():
    curves[name] = np.repeat(one[None, :, None], len(NS), axis=2)

# %%
def interval(*tables, tasks=TASKS):
    """Draws of one template are alike, so whole templates are resampled."""
    return study.bootstrap_interval(*tables, families=study.families(tasks))


# %%
shown = {name: [interval(c[:, :, j])
                for j in range(len(NS))] for name, c in curves.items()}
top = ", ".join(f"{k} {v[-1].mean:.2f}" for k, v in shown.items())
show_figure(
    plots.curve_with_interval(NS, shown),
    alt=f"Success against N on held-out problems. At N = {NS[-1]}: {top}.",
    caption=f"At N = {NS[-1]}: {top}. {len(TASKS)} problems; bands: 95 %.")


def explained(kind):  # variance, on held-out training problems
    ends = [stages.training_log(rewards.reward_model_folder(
        profile, kind, s))[-1] for s in SEEDS]
    return np.mean([x.get("best_explained_variance", np.nan) for x in ends])


for name, kind in KINDS.items():
    x = explained(kind)
    print(f"{name} explains {x:.3f} of the variance on held-out training "
          f"templates")

# %% [markdown]
# **Read the printed lines first.** ORM's number is about last steps alone, that of PVM and AgentPRM about all steps: they can't be compared. Held out are whole templates, few in this profile, so what is explained on them is a coarse number: it counts how well a
# judge knows which templates are hard, too. *In a problem*, in the second table further down, counts only what Best-of-N needs.
#
# In the other worlds a reward model is the policy with another head. Here that taught nothing when it was tried, on problems of four and five steps (commit `65c64f8`). Our guess, not tested: to see a false sum a judge has to check
# sums, and a policy that only writes them has no use for that. So the reward models of this chapter start from the **checker**, the same small model after drills in which sums and
# solutions with mistakes are graded after every turn (`tutorial/graded.py`; a third of the training templates and all test templates take no part). At first $M$ is the chance of
# its word *right* against *no*; the rollouts teach the rest: how often this policy still fails when all is right so far. (In the larger run of [chapter 10](10_four_worlds.ipynb#best-of-n-in-four-worlds) the checker alone, by its least $M$, chooses 0.60 [0.47, 0.72] of sixteen, PVM 0.68 [0.57, 0.79], and one sample solves 0.37. What training adds to choosing isn't decided there: 0.08 [-0.01, 0.18].)
# *Majority* needs none of that, and *oracle* shows how much there would be to win.
#
# ## A case to solve by hand
#
# *Mia has 12 pens. She loses 5. Then she works until there are 3 times as many. How many pens does Mia have now?*
#
# A policy begins with $12-5=7$ in three of four cases, else with $12+5=17$. After 7 it computes $7\cdot 3=21$ in nine of ten cases, else $7\cdot 3=20$. After 17 it
# goes on with $17 \cdot 3=51$ in four of five cases; in one of five it starts again with $12-5=7$. It always answers its last number. Promise is the
# chance of success from there on (equation 2):
#
# - $Q(7) = 0.9$, and $Q(20) = 0$, $Q(51) = 0$, $Q(21) = 1$.
# - $Q(17) = 0.2 \cdot 0.9 = 0.18$. It is not zero: **the world closes no door**. A wrong step is bad only because of what *this policy* does next.
# - $V(s_0) = 0.75 \cdot 0.9 + 0.25 \cdot 0.18 = 0.72$ (equation 3).
# - Progress (equation 5): $A(7) = 0.9 - 0.72 = 0.18$ and $A(17) = 0.18 - 0.72 = -0.54$. Weighted by the policy they cancel:
#   $0.75 \cdot 0.18 - 0.25 \cdot 0.54 = 0$.

# %%
P = Fraction
AFTER = {  # last number said -> the policy's next lines
    None: {"12 - 5 = 7": P(3, 4), "12 + 5 = 17": P(1, 4)},
    7: {"7 * 3 = 21": P(9, 10), "7 * 3 = 20": P(1, 10)},
    17: {"12 - 5 = 7": P(1, 5), "17 * 3 = 51": P(4, 5)},
}


def promise(last):
    """Chance of success after this number, by enumeration."""
    if last not in AFTER:  # the policy answers now
        return P(int(last == 21))
    lines = AFTER[last].items()
    return sum(p * promise(int(line.split()[-1])) for line, p in lines)


start, seven, wrong = promise(None), promise(7), promise(17)
assert (seven, wrong, start) == (P(9, 10), P(9, 50), P(18, 25))
assert P(3, 4) * (seven - start) + P(1, 4) * (wrong - start) == 0
print(f"V = {float(start)}, Q(7) = {float(seven)}, Q(17) = {float(wrong)}")

# %% [markdown]
# ## The world, and what stays of the equations
#
# The world is `MathWorld`: problems made from sentences, with exact answers. The whole of its transition is shown below. It has no reply, so the next
# state is the old one with the step appended, and equation 7 needs no assumption about the world; a reward at the end alone and $\gamma = 1$ remain:
#
# $$s_{t+1} = (s_t, a_t) \quad\Rightarrow\quad V(s_{t+1}) = Q(s_t, a_t), \qquad A(s_t, a_t) = Q(s_t, a_t) - Q(s_{t-1}, a_{t-1})$$
#
# | symbol | in the code | shape | meaning |
# |---|---|---|---|
# | $a_t$ | `actions[t]` | text | one step of the solution, or the answer `#### n` |
# | $o_{t+1}$ | `observations[t + 1]` | text | always empty |
# | $r$ | `outcome` | | 1 if the answer equals the right one exactly |
# | $M_t$ | `q[t]` | [T] | the reward model after step $t$ |
# | $M_{-1}$ | `root` | | the reward model after the question |
#
# So labels and losses are those of [chapter 5](05_agentprm.ipynb), without a line of new code. The paper's section 5.3 does the same with GSM8K: one
# reasoning step is one action.
#
# A made problem is a template (a sequence of kinds of sentences) with numbers, names and things drawn anew. New numbers in a known template would only
# test whether the policy can read numbers. So every fourth **template** is held out for tests: its sequence was never trained on, its single
# sentences were. Of the others two in three have demonstrations. The reward models' attempts are drawn from all of these others, with numbers of their own (in this profile not each template comes up). The last two lines
# below have the policy's success at those attempts and on the test templates. A gap says that one set is harder, or that the policy knows its demonstrations.

# %%
show_source(MathWorld._apply)
env = MathWorld()
print(env.reset(options={"index": 43})[0])
for step in ("2 + 2 = 5", env.expert_action()[1], "#### 11"):
    print(f"{step!r} -> reply, reward, over: {env.step(step)[:3]}")
cores = {test: {(t.events, t.ending)
                for place, t in enumerate(problems.templates())
                if problems.is_test(place) == test
                and t.level in profile.levels}
         for test in (False, True)}
assert not cores[True] & cores[False]
print(f"{len(cores[False])} templates to learn from, {len(cores[True])} "
      f"for tests; levels (steps) here: {profile.levels}")
for name, attempts in {"training": stages.rollouts(profile),
                       "test": candidates}.items():
    means = study.task_means(attempts)
    mean, lo, hi = interval(means, tasks=search.by_task(attempts))
    print(f"templates, {name}: success {mean:.3f} [{lo:.3f}, {hi:.3f}], "
          f"n = {len(means)} problems, drawn anew")

# %% [markdown]
# ## GSM8K's format by hand
#
# GSM8K (Cobbe et al. 2021) writes a step a line, marks every calculation as `<<48/4=12>>` for a calculator, and ends with `#### 72`. The example below is
# ours. Reading it takes three things: verify each mark exactly (fractions, no `eval`), strip it, and parse the answer.
#
# $4 \cdot 12 = 48$, $48/4 = 12$, $48-12 = 36$, $36 \cdot 2 = 72$: four marks, three lines, answer 72. An answer is compared as a **number**: `$1,250` is 1250 and
# `72 rolls.` is 72, and `1/2` is one half; `7 or 8` says two numbers and is no answer. `gsm8k.parse_example` refuses a solution with a wrong mark; where its files lie, the library's tests
# read all of GSM8K through it. `check_steps` says of each step whether its arithmetic is true; `None` if it states none.

# %%
ASKED = ("A baker bakes 4 trays of 12 rolls. A quarter is burnt. She sells "
         "the rest for $2 each. How much does she get?")
SOLVED = """She bakes 4*12=<<4*12=48>>48 rolls.
Of these 48/4=<<48/4=12>>12 are burnt and 48-12=<<48-12=36>>36 are good.
She gets 36*2=$<<36*2=72>>72.
#### 72"""
example = gsm8k.parse_example(ASKED, SOLVED)
for line, (_, step) in zip(SOLVED.split("\n"), example.steps, strict=False):
    print(f"{marks(line)} -> {step}")
assert sum(len(marks(line)) for line in SOLVED.split("\n")) == 4
print(check_steps([*(s for _, s in example.steps), "36*2=70", "#### 72"]))
assert example.level == 3 and arithmetic.parse_number(example.answer) == 72
for text in ("$1,250", "72 rolls.", "-3", "2.50", "1/2", "7 or 8"):
    print(f"{text!r:>12} -> {arithmetic.parse_number(text)}")
try:
    gsm8k.parse_example(ASKED, SOLVED.replace("48/4=12>>", "48/4=14>>"))
except ValueError as error:
    print(f"refused: {error}")

# %% [markdown]
# ## A solution tree, and four ways to be wrong
#
# Since a problem is made, we know its solution and can sort every sampled step. The reward models never see this.
#
# | kind | example for Mia's pens | who could see it |
# |---|---|---|
# | *false* | 12 - 5 = 8 | a judge that can subtract |
# | *made up* | 12 - 4 = 8 | one that compares the numbers with the question |
# | *wrong turn* | 12 + 5 = 17 | one that understands the question |
# | *wrong answer* | #### 7 after 7 * 3 = 21 | one that knows what was asked |
#
# A turn that states nothing is *silent*, which is no mistake. A step is a *wrong turn* if it is true, uses known numbers, and its result is no result of the solution (`agentprm_lite.worlds.math.steps.step_kinds`). The cell below
# checks this on the expert's solutions: every step must be right, and with a 1 added to its result the first step must be false. (It knows one solution of a problem. Who takes two losses together before subtracting them makes a *wrong turn* by this rule, and is right.) Then integer arithmetic,
# which shares no code with the library's, must find the same false steps among sums, differences and products.

# %%
def solved(t, spoil=0):
    """Problem and steps of a solution; spoil: added to the first result."""
    steps = [MathWorld.parse(turn) for turn in t.actions]
    if spoil:
        left, _, result = steps[0].rpartition(" ")
        steps[0] = f"{left} {int(result) + spoil}"
    return problems.make_problem(t.task.index, t.task.variant), steps


for t in stages.demonstrations(profile)[:300]:
    assert set(step_kinds(*solved(t))) == {"right"}
    assert step_kinds(*solved(t, spoil=1))[0] == "false"
SORTED = [step_kinds(*solved(t)) for t in candidates]
SIGNS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
for t, kinds in zip(candidates, SORTED, strict=True):
    for step, kind in zip(solved(t)[1], kinds, strict=True):
        if said := re.fullmatch(r"(\d+) ([-+*]) (\d+) = (\d+)", step):
            a, b, c = (int(said[k]) for k in (1, 3, 4))
            assert (kind == "false") == (SIGNS[said[2]](a, b) != c), step

# %%
def grow(paths, t=0):
    """Solutions merged where they begin alike; (n): how many."""
    groups = {}
    for path in paths:
        if t < len(path):
            groups.setdefault(path[t], []).append(path)
    return [{"step": f"{(step or 'nothing')[:40]} ({len(g)})",
             "right": None if kind == "silent" else kind == "right",
             "children": grow(g, t + 1)}
            for (step, kind), g in groups.items()]


paths = {task: [list(zip(solved(candidates[i])[1], SORTED[i], strict=True))
                for i in group[:8]] for task, group in GROUPS.items()}
mixed = [task for task, rows in paths.items()  # few ways, both outcomes
         if len({str(row) for row in rows}) <= 6
         and len({row[-1][1] == "right" for row in rows if row}) > 1]
task = (mixed or TASKS)[0]
asked = problems.make_problem(task.index, task.variant).question

# %%
tree = {"step": asked, "right": None, "children": grow(paths[task])}
ends = [row[-1][1] == "right" for row in paths[task] if row]
show_figure(
    trees.solution_tree(tree),
    alt=f"A tree of sampled solutions. The question: {asked} "
    f"Different first steps: {len(tree['children'])}; {sum(ends)} of "
    f"{len(ends)} solutions end with the right answer.",
    caption=f"{sum(ends)} of {len(ends)} sampled solutions of this held-out "
    "problem end right; in brackets: how many took this way. "
    "✓ and green: right; ✗ and red, with corners: wrong.")

# %% [markdown]
# ## A misuse that looks right
#
# "AUROC 0.8: the reward model tells right solutions from wrong ones." In mathematics this is an easy trap. Some problems are hard. A judge that reads **the question
# only** gives all solutions of a problem the same score, and over a whole pool it still ranks right above wrong, because easy problems hold more
# right solutions. Best-of-N chooses *within* a problem, where it is blind.
#
# The case below is made so that the truth is known: 300 problems, 16 solutions each. *question* knows how hard each problem is and nothing else. *steps* knows
# nothing of that and a little of each solution. Look at the AUROC in the legend, then at the curves. The assertion that catches it: inside a
# problem the AUROC must be above ½.

# %%
rng = np.random.default_rng(0)
hardness = rng.beta(0.8, 1.2, size=300)
made = (rng.random((300, 16)) < hardness[:, None]).astype(float)
judges = {"question": np.repeat(hardness[:, None], 16, axis=1),
          "steps": made + rng.normal(0, 2, made.shape)}
which = np.repeat(np.arange(300), 16)
panel, inside, sizes = {}, {}, [1, 2, 4, 8, 16]
for name, s in judges.items():
    pooled = metrics.auroc(s.ravel(), made.ravel())
    inside[name] = metrics.within_task_auroc(s.ravel(), made.ravel(), which)
    rows = np.array([metrics.best_of_n_curve(*pair, sizes)
                     for pair in zip(s, made, strict=True)])
    panel[f"{name}, AUROC {pooled:.2f}"] = [
        study.bootstrap_interval(column) for column in rows.T]
says = "; ".join(f"{k}: {v[-1].mean:.2f} at N = 16" for k, v in panel.items())
show_figure(plots.curve_with_interval(sizes, panel), alt=f"Two judges. {says}",
            caption="The judge with the higher AUROC chooses at random.")
assert (inside["question"] == 0.5).all()  # what the pooled AUROC hides
assert inside["steps"].mean() > 0.55

# %% [markdown]
# ## The experiment
#
# All ways to choose, at the largest $N$, with paired differences on the same problems. If AgentPRM minus
# *one sample* is "lower", the reward model prefers wrong solutions: choosing by it is worse than not choosing. By its *least* $M$ a solution is worth as much as
# its worst step (as in Math-Shepherd, Wang et al. 2024): a doubt counts even if the model has forgotten it at the end.
#
# The second table sets the trap on our own reward models. *question* is the AUROC over the pool of $M_{-1}$: the model has read the problem and not one step.
# *solution* is the AUROC over the pool of $M$ at the last step. If the two are close, most of what looks like judging solutions may be knowing problems.
# *in a problem* is what Best-of-N lives on: the AUROC within each problem that has both outcomes. *explained* is the number printed under the first figure, ORM's of last steps alone ([chapter 5](05_agentprm.ipynb#training)):
# it is about other templates, and counts how hard they are, too.
#
# In the larger study of [chapter 10](10_four_worlds.ipynb#best-of-n-in-four-worlds) all three reward models are above one sample by the last $M$: ORM by 0.17 [0.07, 0.27], PVM by 0.17 [0.08, 0.27], AgentPRM by 0.18 [0.08, 0.28]. By the least $M$ they are further above it: 0.24 [0.14, 0.34], 0.32 [0.24, 0.39] and 0.27 [0.20, 0.34]. One greedy attempt solves more than any of them chooses: 0.86 [0.75, 0.96], and PVM by its least $M$ minus greedy is -0.18 [-0.26, -0.10]. Attempts are sampled at 1.3, so a judge here mends slips that the temperature makes.
# Your predictions: the first is answered by the lines *minus majority*; a reward model can be worse than one sample, and a line says "lower" where it is. In the profile cpu none of the three is.

# %%
def verdict(what, difference):
    mean, lo, hi = np.round(difference, 3) + 0.0  # no "-0.000"
    word = "higher" if lo > 0 else "lower" if hi < 0 else "undecided"
    print(f"{what}: {mean:+.3f} [{lo:+.3f}, {hi:+.3f}]: {word}")


print(f"N = {NS[-1]}")
for name in KINDS:
    for other in curves:
        if other not in KINDS:
            pair = curves[name][:, :, -1], curves[other][:, :, -1]
            verdict(f"{name} minus {other}", interval(*pair))

# %%
for name, runs in values.items():
    least = np.array([
        search.best_of_n(candidates, run, NS, score="min").success[:, -1]
        for run in runs])
    verdict(f"{name} by its least M minus one sample",
            interval(least, curves["one sample"][:, :, -1]))
given = [MathWorld.answer(t.actions) is not None for t in candidates]
print(f"n = {len(TASKS)} problems, seeds: {len(SEEDS)}, 95 % intervals; "
      f"{np.mean(given):.2f} of the candidates give an answer")
pd.DataFrame(
    {k: [f"{i.mean:.2f} [{i.lo:.2f}, {i.hi:.2f}]" for i in v]
     for k, v in shown.items()}, index=[f"N = {n}" for n in NS]
).T.iloc[:, ::-2].iloc[:, ::-1]

# %%
won = [t.outcome for t in candidates]
names, record = [t.task for t in candidates], []
BOTH = [k for k, g in GROUPS.items() if len({won[i] for i in g}) == 2]
for name, runs in values.items():
    roots = [[run[GROUPS[task][0]].root for task in names] for run in runs]
    ends = [search.scores_of(run) for run in runs]
    line = [name, *(np.mean([metrics.auroc(row, won) for row in rows])
                    for rows in (roots, ends)), "none"]
    inside = np.array(
        [metrics.within_task_auroc(row, won, names) for row in ends])
    if inside.size:
        mean, lo, hi = interval(inside, tasks=BOTH)
        line[3] = f"{mean:.3f} [{lo:.3f}, {hi:.3f}]"
        verdict(f"{name}, in a problem, minus 1/2", np.subtract(
            (mean, lo, hi), 0.5))
    record.append([*line, inside.shape[1], explained(KINDS[name])])
pd.DataFrame(record, columns=["judge", "question", "solution", "in a problem",
                              "problems", "explained"]).round(3)

# %% [markdown]
# ## Where do wrong solutions go wrong?
#
# The table counts the first mistakes of all sampled solutions, and tells how $M$ changes there: $M_t - M_{t-1}$, mean over problems and seeds
# with its interval. The row *right* is the same for the right steps before any mistake. A judge that sees a kind of mistake has a lower number
# there than in the row *right*. ORM's labels stand at last steps only, but the checker that it starts from was graded after every turn, so its column can be read in all rows. The checker was drilled in false sums most of all,
# so *false* is where to look first. (The counts answer the third prediction: *false* against *made up* and *wrong turn*, which are what the policy chose to compute.)
#
# **Does $M$ drop at the first wrong step?** The table mixes problems, and hard problems have more mistakes. So the figure below it compares within a problem: $M$ before,
# at and after the first wrong step, and the same around right steps **of the same problems**, in other solutions or earlier in the same one. Answers are left
# out there, since nothing comes after them. If the judge sees the mistake, the line of *first wrong step* falls from −1 to 0 and that of *right step* does not. (At 1 the latter
# may fall too: a wrong step can follow a right one.)

# %%
def windows(run):
    """kind -> problem -> rows [3]: M before, at and after a step."""
    found = {}
    for t, value, kinds in zip(candidates, run, SORTED, strict=True):
        m = [value.root, *value.q, np.nan]  # nothing after the last step
        for k, kind in enumerate(kinds[: first_mistake(kinds) + 1]):
            rows = found.setdefault(kind, {}).setdefault(t.task, [])
            rows.append(m[k : k + 3])
    return found


around = {name: list(map(windows, runs)) for name, runs in values.items()}
clean = np.array([first_mistake(kinds) == len(kinds) for kinds in SORTED])
good = np.array([t.success for t in candidates])
print(f"{good.sum()} of {len(good)} solutions succeed, {sum(good & ~clean)} "
      f"of them with a mistake on the way; {sum(clean & ~good)} fail "
      "without a mistake (cut off, or silent)")

# %%
record = {}
for name, seeds in around.items():
    for kind in ("right", *MISTAKES):
        if kind in seeds[0]:
            change = np.array([
                [np.mean(np.diff(rows)[:, 0]) for rows in one[kind].values()]
                for one in seeds])
            mean, lo, hi = interval(change, tasks=seeds[0][kind])
            line = record.setdefault(kind, {
                "steps": sum(map(len, seeds[0][kind].values())),
                "problems": change.shape[1]})
            line[name] = f"{mean:+.3f} [{lo:+.3f}, {hi:+.3f}]"
pd.DataFrame(record).T

# %%
def both(found):
    """Problems; around right and first wrong steps [2, problems, 3]."""
    sides = {}, {}
    for kind, tasks in found.items():
        for task, rows in tasks.items():
            kept = [row for row in rows if not np.isnan(row[2])]
            if kept and kind != "silent":
                side = sides[kind in MISTAKES]
                side.setdefault(task, []).extend(kept)
    shared = [task for task in TASKS if all(task in side for side in sides)]
    return shared, [[np.mean(side[task], axis=0) for task in shared]
                    for side in sides]


SHARED = both(around["ORM"][0])[0]  # the same for all judges
aligned = {name: np.array([both(one)[1] for one in seeds])
           for name, seeds in around.items()}
print(f"{len(SHARED)} problems have right steps and wrong ones")

# %%
panels = {}
for name, m in aligned.items() if SHARED else ():
    right, wrong = np.moveaxis(m[..., 1] - m[..., 0], 1, 0)
    verdict(f"{name}: change at a wrong step minus at a right one",
            interval(wrong, right, tasks=SHARED))
    panels[name] = {
        side: [interval(m[:, i, :, j], tasks=SHARED) for j in range(3)]
        for i, side in enumerate(("right step", "first wrong step"))}
if SHARED:
    at = ", ".join(f"{k} {v['first wrong step'][0].mean:.2f} to "
                   f"{v['first wrong step'][1].mean:.2f}"
                   for k, v in panels.items())
    show_figure(
        plots.interval_panels([-1, 0, 1], panels,
                              xlabel="steps after", ylabel="M"),
        alt=f"M before and at the first wrong step: {at}.",
        caption=f"M before and at the first wrong step: {at}. Beside it right "
        "steps of the same problems. Bands: 95 %.")

# %% [markdown]
# ## Beam search, and the paper's numbers
#
# The same search as in [chapter 7](07_beam_search.ipynb), which here forks nothing but a text. The paper's table 2 has GSM8K by beam search, in percent (Xi et al. 2025); its
# table 3 has Best-of-8/16/32/64 of a reward model from TD labels, 68.9/72.4/73.9/74.7, and from MC labels, 61.8/63.3/63.9/65.0, with 1.5
# times the tokens.
#
# | policy | beam | ORM | PVM | AgentPRM |
# |---|---|---|---|---|
# | Qwen2.5-0.5B | 2×2, 4×4, 8×8 | 39.5, 42.9, 44.2 | 38.9, 41.3, 42.9 | 41.5, 44.7, 45.7 |
# | Qwen2.5-3B | 2×2, 4×4, 8×8 | 64.1, 70.3, 72.9 | 63.6, 69.6, 71.2 | 65.1, 70.5, 73.4 |
#
# No seeds and no intervals are given. If the whole test set of 1,319 problems was used, one standard error of a single entry is 1.2 to 1.4 points. AgentPRM is
# ahead in all six settings; its lead over ORM is 0.2 to 2.0 points.

# %%
places = [TASKS.index(task) for task in beam_tasks(profile)]
found = {(name, n, m): study.beam_table(kind, profile, n, m)
         for name, kind in KINDS.items() for n, m in profile.beams}
points = {name: [interval(found[name, n, m][0], tasks=beam_tasks(profile))
                 for n, m in profile.beams] for name in KINDS}
widths = [f"{n}×{m}" for n, m in profile.beams]
level = {name: curves[name][0, places, -1].mean()
         for name in ("SFT", "random agent", "fewest turns",
                      "majority", "oracle")}
says = "; ".join(f"{k} " + ", ".join(f"{i.mean:.2f}" for i in v)
                 for k, v in points.items())
show_figure(plots.beam_points(widths, points, reference=level),
            alt=f"Success at beams {', '.join(widths)}: {says}.",
            caption=f"Beams {', '.join(widths)}: {says}. Bars: 95 %.")
n, m = profile.beams[-1]
for other in ("ORM", "PVM"):
    verdict(f"AgentPRM minus {other} at {n}×{m}", interval(
        *(found[k, n, m][0] for k in ("AgentPRM", other)),
        tasks=beam_tasks(profile)))
print(f"n = {len(places)} problems, seeds: {len(SEEDS)}")

# %% [markdown]
# ### Exercise 09.1
#
# *Easy, 10 minutes.* Write `parse_answer(text)`: the number after the first `####`, up to the end of that line. There may be a minus sign, a dollar sign, commas between
# thousands, decimals, and a unit after the number. Without `####`, or without a number there, it is `None`. Use no `eval`.


# %% tags=["exercise-09-1"]
def parse_answer(text):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import attempt, check_parse_answer

attempt(check_parse_answer, parse_answer)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `text.partition("####")` gives what stands before, the marks or "", and what stands after.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Search the rest of the line for `-?\$?\d[\d,]*(\.\d+)?`, and take the dollar sign and the commas out before `Fraction` reads it.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def parse_answer(text):
#     _, _, rest = text.partition("####")
#     line = rest.partition("\n")[0]
#     match = re.search(r"-?\$?\d[\d,]*(\.\d+)?", line)
#     return Fraction(re.sub(r"[$,]", "", match[0])) if match else None
# ```
#
# </details>
#
# ### Exercise 09.2
#
# *Medium, 15 minutes.* Write `first_wrong_step(steps, told)`. A step is a text such as `"12 - 5 = 7"` with whole numbers, or it states no
# calculation. It is wrong if its arithmetic is false, or if it uses a number that is neither in the set `told` nor the result of an earlier step. Return the
# place of the first wrong step, counted from 0, or `None`. `check_steps` may help.


# %% tags=["exercise-09-2"]
def first_wrong_step(steps, told):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_first_wrong_step

attempt(check_first_wrong_step, first_wrong_step)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `check_steps([step])` is `[True]`, `[False]` or, for a step that states nothing, `[None]`. Only `False` is wrong.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Keep a set of known numbers, a copy of `told` at first. After each step put its result in, before you look at the next.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def first_wrong_step(steps, told):
#     known = set(told)
#     for t, step in enumerate(steps):
#         said = re.search(r"(\d+) [-+*/] (\d+) = (\d+)", step)
#         if said is None:
#             continue
#         a, b, c = (int(n) for n in said.groups())
#         if check_steps([step]) == [False] or not {a, b} <= known:
#             return t
#         known.add(c)
#     return None
# ```
#
# </details>

# %% [markdown]
# ## Paper and here
#
# | | the paper | here | why |
# |---|---|---|---|
# | Faithful | one reasoning step is one action; only the final answer counts | the same | |
# | Ours | the answer is part of the solution | the answer is an action of its own | the reward model has a value before it and after it |
# | Simplified | GSM8K | made problems of three and four steps with small numbers; `get_profile(PROFILE, "gsm8k")` plays GSM8K from its files | a small model that has met one kind of text |
# | Simplified | Qwen2.5, temperature 0.7, beams to 8×8 | a small policy, the profile's temperature and beams | two cores |
# | Ours | | a majority vote over final answers as a baseline | it needs no reward model |
# | Ours | | within-problem AUROC, and $M$ at the first wrong step | problems are not solutions |
#
# And with a real language model? [chapter 13](13_real_language_model.ipynb) tries one in TextCraft; `agentprm study --profile gpu --worlds math --out FILE` measures it here.
#
# ## What each number means, what to watch, what to vary
#
# - *success*: the answer is right. A right answer after a wrong step counts (the line "with a mistake on the way").
# - *question*, *solution*: AUROC over all candidates of all problems. *in a problem*: the mean over problems with both outcomes.
# - *change*: $M_t - M_{t-1}$, what the model thinks of step $t$ alone.
# - **Watch** *majority*: it needs no training. Watch curves that fall with $N$, and a *solution* column that is near *question*.
# - **Vary** `levels` and `rollout_samples` with `dataclasses.replace(profile, ...)`; add *majority* weighted by $M$.
#
# ## Summary
#
# 1. With empty replies the state is the text, and labels and losses need no change ([the world](09_math.ipynb#the-world-and-what-stays-of-the-equations);
#    `tests/worlds/test_math.py`).
# 2. A wrong step closes no door; its promise depends on the policy ([the hand case](09_math.ipynb#a-case-to-solve-by-hand)).
# 3. AUROC over a pool can come from the questions alone ([the misuse](09_math.ipynb#a-misuse-that-looks-right)).
# 4. A majority vote needs no reward model: below it a judge isn't worth choosing by. What chooses is the AUROC within a problem. In the larger study one greedy attempt solves more than
#    any reward model chooses ([the experiment](09_math.ipynb#the-experiment)).
# 5. Whether $M$ drops at a mistake is read as the change there minus the change at right steps of the same problems
#    ([where wrong solutions go wrong](09_math.ipynb#where-do-wrong-solutions-go-wrong)).
#
# ## Quiz
#
# <details><summary>1. A judge has AUROC 0.8 over the pool and 0.5 in a problem. What is its Best-of-8?</summary>
#
# About the success of one sample. It knows which problems are easy.
#
# </details>
#
# <details><summary>2. Why is Q(17) not 0 in the hand case?</summary>
#
# Nobody refuses the step, and the policy sometimes starts again. Promise is about what the policy does next.
#
# </details>
#
# <details><summary>3. Self-consistency elects a wrong answer although the oracle has 1. How?</summary>
#
# One wrong answer is more frequent than the right one. A vote finds the most likely answer of the policy, not the right one.
#
# </details>
#
# ## References
#
# - Xi et al. 2025, *AgentPRM*: section 5.3, the method on GSM8K.
# - Cobbe et al. 2021, *Training Verifiers to Solve Math Word Problems*: GSM8K, and the first learned judge of its solutions.
# - Wang et al. 2022, *Self-Consistency Improves Chain of Thought Reasoning*: the majority vote.
# - Wang et al. 2024, *Math-Shepherd*: process labels in mathematics from rollouts.
# - Lightman et al. 2023, *Let's Verify Step by Step*: where people marked the first wrong step.
