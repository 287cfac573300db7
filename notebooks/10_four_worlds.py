# %% [markdown]
# # 10 Four worlds, one method
#
# At the end you will have compared judges in TextCraft, BabyAI, WebShop and math, side by side: what they explain of the outcome, whom they choose, and what success costs in generated tokens.
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
# Most of the chapters before this one looked at TextCraft. Does what they found depend on it? The worlds differ in what a reward model can see. In TextCraft the last action already shows whether the goal was made. WebShop shows the
# score only after the purchase, when nothing can be mended. BabyAI shows a part of the map. Math replies nothing at all.
#
# **Predict before you run.**
# 1. In which world will the three reward models differ least?
# 2. In which world is one sample furthest below the oracle of sixteen, who finds a success wherever there is one?
# 3. Where will the *least* $M$ of an attempt choose better than its last?
#
# One policy a world, each tuned from the one small base on that world's expert. Pretraining has shown
# the base all four. The tests share no goal, shop or template with pretraining, demonstrations or rollouts. Rollouts and demonstrations share none either. Math is the exception: there the judges learn from attempts at all training templates, also those that were demonstrated, with numbers drawn anew.
# Training and playing in all four takes two cores some hours, so this chapter trains nothing: a command has kept the **raw numbers**, and every table and figure below is computed from them here and now.
# *Held-out tasks* are those of the tests. *Held-out training tasks* are some of the training tasks, from which no judge learned: epoch, judge and score are chosen on them.

# %%
import pandas as pd
from IPython.display import display

from agentprm_lite import study
from agentprm_lite.tutorial import panels, plots
from agentprm_lite.tutorial.notebook import show_figure, stored, stored_raw
from agentprm_lite.tutorial.profiles import get_profile

NAMES, JUDGES = study.WORLDS, study.JUDGES
raws = {w: raw for w in NAMES if (raw := stored_raw(w))}

# %% [markdown]
# Raw numbers are four things for each attempt: outcome, success, whether its context was full, and the tokens of every turn; and from each judge $M$ at the prompt and after every turn. Here are six attempts at one task of the last world, with AgentPRM's $M$. Cover the column *success* and guess it from $M$.

# %%
def some(raw, kind="agentprm"):
    tasks = raw["candidates"]
    g = next((i for i, task in enumerate(tasks)
              if len({attempt[1] for attempt in task}) == 2), 0)
    rows = zip(tasks[g], raw["values"][kind][0][g], strict=True)
    return pd.DataFrame([
        {"M after each turn": ", ".join(f"{x / 1000:.2f}" for x in m[1:]),
         "tokens": sum(tokens), "success": "yes" if success else "no"}
        for (_, success, _, tokens), m in list(rows)[:6]
    ])


some(list(raws.values())[-1]) if raws else None

# %% [markdown]
# The chapters before ran in smaller sizes; here are both.

# %%
def sizes(raw):
    here, tasks = get_profile(PROFILE, raw["world"]), raw["candidates"]
    return {
        "rollouts": raw["rollouts"], "held-out tasks": len(tasks),
        "candidates a task": len(tasks[0]),
        "seeds a judge": len(raw["values"]["agentprm"]),
        f"rollouts in {here.name}": here.rollout_tasks * here.rollout_samples,
        f"tasks in {here.name}": here.eval_tasks,
    }


pd.DataFrame({NAMES[w]: sizes(raw) for w, raw in raws.items()}).T

# %% [markdown]
# ## What each world is like
#
# `study.summary` makes every number of this chapter from the raw ones, with a 95 % interval. Tasks that are alike are a *family*: variants of one goal in TextCraft and BabyAI, draws of one template in math; in WebShop every task is one by itself. The bootstrap draws whole families, and seeds. What counts is success. In TextCraft, WebShop and math that is a reward of 1; BabyAI also pays for speed, so there any reward above 0 is a success. Two measures use what $M$ has learned: explained variance and measured Q. In WebShop that is success (its reward can also be ⅓ or ⅔, for a purchase that misses a wish); elsewhere it is the reward, which in BabyAI falls with every move.

# %%
found = study.summary(raws)["worlds"]


def text(row):
    if not row:
        return "–"
    mean, low, high = (f"{round(x, 2) + 0.0:.2f}" for x in row)
    return f"{mean} [{low}, {high}]"


levels = {
    NAMES[w]: {
        "levels": ", ".join(map(str, x["levels"] or ["all"])),
        "temperature": x["temperature"], "random agent": text(x["random"]),
        "one sample": text(x["sample"]), "greedy": text(x["greedy"]),
        "oracle of 16": text(x["oracle16"]), "cut": text(x["cut"]),
    }
    for w, x in found.items()
}
pd.DataFrame(levels)

# %% [markdown]
# **How to read it.** The gap between *one sample* and the *oracle*, who always finds the success if there is one, is the headroom: a perfect judge would win all of it. Where it is nearly zero, no reward model can show anything, good or bad. Where greedy is far above one
# sample, the policy knows more than its samples show, and a judge on the same trunk has a chance to know it, too. The random agent is the floor: a policy near it has learned nothing. An attempt is *cut* when its context is full, and then counts as failed.
#
# TextCraft's tasks are of level 2 alone: something has to be made first, from which the goal is made. Level 1 is a single craft, and a random agent finds many of those. With both levels, at temperature 1.3 (`results/regime/both_levels`), the random agent solved 0.24 [0.14, 0.34], and the policy's headroom was 0.23 [0.17, 0.30]. At level 2 alone, at temperature 1.4, the random agent solves 0.00 [0.00, 0.01], and the headroom is 0.38 [0.30, 0.45]. Level and temperature were chosen on training tasks; how level 2 does on the test tasks at 1.3 was known by then.
#
# BabyAI is sampled at temperature 1.5, for at 1.3 (`results/regime/at_1_3`) one sample solved 0.73 [0.67, 0.80] where greedy has 0.82 [0.72, 0.91]: little is left to choose. At 1.5 one sample solves 0.63 [0.56, 0.69]. This has a price. We read seven failures at 1.5, and all of them end in noise: after a garbled turn or two the policy writes no action that the world knows. (1.5 was chosen on training tasks; what one sample solves of the test tasks at 1.3 was known by then.)
#
# **Read attempts before you blame a model.** In WebShop greedy had 0.52 here, and we had put that down to a policy of 2.5 million parameters, until we read failed attempts: turns had at most 64 tokens. The expert looks at one product of a page after the other before it clicks, and its longest turn has 104 tokens: so the policy learned turns that it could not finish, and many an action broke off before its last bracket. 38 of the 100 greedy attempts had a turn of 64 tokens, and 5 of these succeeded; of the other 62 it was 47. With turns of up to 112 tokens the same policy solves 74 of the tasks, 0.22 [0.13, 0.31] of all more than before (`results/turn_limit.json`); in the other worlds as many as before. The profile allows 112 tokens now, and samples at 1.5 (chosen on training tasks). The numbers of the interrupted policy stay in `results/regime/turns_of_64`.
#
# ## What the judges explain
#
# A judge can be right about the outcome in two ways: it can tell easy tasks from hard ones, and good attempts from bad ones at the same task. **Explained variance** counts both: 1 − Brier score / that of the best constant, over all turns of all attempts. **AUROC within a task** counts the second alone, and it is the second by which
# Best-of-N, halving (explained below) and beams choose. It is asked after a fixed turn, among the attempts that go on after it, so no last turn can give the outcome away.

# %%
pd.DataFrame({
    NAMES[w]: {
        JUDGES[k]: text(x["judges"][k]["explained_variance"])
        for k in x["judges"]
    } | {"turn number": f"{x['turn_number_explains']:.2f}"}
    for w, x in found.items()
})

# %% [markdown]
# PVM and AgentPRM explain a part of what becomes of an attempt in every world. The one that explains more on held-out *training* tasks is called the **process judge** of its world: AgentPRM in TextCraft, PVM elsewhere. (ORM, which is trained on outcomes at the last turn, takes no part.) The last row is what the turn number explains by itself, fitted on these very attempts: long attempts fail. TextCraft's process judge explains 0.15 [0.07, 0.21] more, WebShop's 0.24 [0.21, 0.26] and math's 0.21 [0.15, 0.24]; BabyAI's explains no more, -0.00 [-0.05, 0.04]: perhaps it mostly counts turns (not tested). ORM has learned the last turn only, and over all turns it is worse than a constant in TextCraft, BabyAI and WebShop; in math that is undecided. The reward models of math and WebShop start from a **checker**, not from the policy: the small base after drills in which solutions ([chapter 9](09_math.ipynb)) or purchases are graded turn by turn. [Best-of-N](10_four_worlds.ipynb#best-of-n-in-four-worlds) says why, and what a checker chooses before it has seen a rollout.
#
# Math's judges have learned from 3,840 attempts at all 48 training templates. From 1,920 attempts at 16 of them (raw numbers: `results/regime/fewer_templates`) they explained less: PVM 0.15 [0.07, 0.20], AgentPRM 0.15 [0.09, 0.18]. Our reading is that who knows few templates learns which of *those* are hard; but attempts and templates became more together, so the two aren't told apart.
#
# What the errors are decides what can be seen, too. With problems of four and five steps at temperature 1 (`results/regime/longer`, 16 templates) AgentPRM explained 0.10 [0.02, 0.15] and ranked attempts after the third turn with 0.63 [0.58, 0.68]; measured Q, which is explained below, explained 0.72 [0.58, 0.76] there. So more was to be seen, and the checker did not see it. The problems of this chapter have three and four steps, at temperature 1.3: there greedy solves 0.86 instead of 0.58, so more of the failures are slips of sampling, such as false sums, and fewer come of not understanding the question (our reading; levels and temperature changed together).

# %%
asked, ranks = {}, {}
for w, x in found.items():
    counts = x["judges"]["orm"]["auroc_tasks"]  # the same for every judge
    asked[NAMES[w]] = {int(k): n for k, n in counts.items() if n >= 10}
    ranks[NAMES[w]] = {
        JUDGES[k]: {i: y["auroc_by_turn"][str(i)] for i in asked[NAMES[w]]}
        for k, y in x["judges"].items()
    }
fixed = {NAMES[w]: x["fixed_turn"] for w, x in found.items()}
said = "; ".join(
    f"{NAMES[w]}: after turn {x['fixed_turn']} {JUDGES[x['process_judge']]} "
    f"{text(x['auroc_fixed_turn'])}" for w, x in found.items()
)
if found:
    show_figure(
        panels.turn_panels(ranks, asked, fixed),
        alt=f"AUROC within tasks by turn, three judges, four worlds. {said}.",
        caption=f"0.5 is a coin; dashed: the fixed turn. {said}.",
    )

# %% [markdown]
# In brackets stands the number of tasks that still have both outcomes among the attempts that go on. It falls, because attempts end: a curve that rises over the last turns is one of fewer and other tasks. So the fixed turn is the last one before that number falls below turn 2's. (The earlier rule, half of the median attempt, would say turn 5 in TextCraft; there AgentPRM has 0.61 [0.56, 0.67]. In the other worlds both name the same turn.)
# In WebShop PVM ranks attempts after the second turn with 0.72 [0.67, 0.76], and after the third with 0.77 [0.73, 0.82]; the untrained checker has 0.60 [0.56, 0.64] and 0.66 [0.60, 0.71]. In TextCraft AgentPRM has 0.67 [0.64, 0.72] after the fourth, 0.04 [0.01, 0.08] more than PVM (after no other of the first six turns is a difference shown); in the other worlds the two can't be told apart. In BabyAI PVM has 0.57 [0.52, 0.62] after the second, little more than a coin. In math PVM has 0.81 [0.76, 0.85] after the third turn and 0.84 [0.80, 0.88] after the fourth; there ORM ranks as well, with 0.81 [0.76, 0.85] and 0.84 [0.79, 0.88], so this is no credit to labels of steps: the checker, from which all three start, has graded every turn, and untrained it has 0.79 [0.73, 0.83] and 0.78 [0.70, 0.85] (on other attempts of the same policy).
#
# ### Could any judge do better?
#
# Nobody who sees a state alone can predict the end better than the policy's own expected reward from there (where rewards are 0 or 1, its chance of success). So the policy played on sixteen times from every state of some attempts. The mean outcome, **measured Q**, estimates it. What it explains is corrected for the noise of sixteen attempts; its rank is not, so the expected reward itself would rank at least as well. After the last turn Q is the outcome itself, so look at the turns before it.

# %%
pd.DataFrame({
    (NAMES[w], f"{c['attempts']} attempts, {turns}"): {
        "measured Q": text(x["explained_variance"]),
        "the judge": f"{JUDGES[found[w]['process_judge']]} "
                     f"{text(x['judge_explained_variance'])}",
        "turn number": f"{x['turn_number_explains']:.2f}",
    }
    for w in found if (c := found[w]["ceiling"])
    for turns, x in (("all turns", c), ("before the last", c["before_last"]))
}).T

# %% [markdown]
# In every world the process judge is below measured Q. In TextCraft measured Q explains 0.67 [0.59, 0.73] at all turns of these attempts and 0.60 [0.51, 0.67] before the last one, AgentPRM 0.20 [0.00, 0.33] and 0.19 [0.02, 0.31]. In WebShop measured Q explains 0.65 [0.59, 0.69] and 0.52 [0.44, 0.57], PVM 0.22 [0.08, 0.32] and 0.05 [-0.10, 0.14]; after the second turn measured Q ranks with 0.90 [0.81, 0.98], on 15 tasks, and PVM with 0.64 [0.47, 0.80] there. So WebShop's judge knows most when the purchase is made, and on the way little. In TextCraft nothing is hidden, so there the judge misses what can be seen. In WebShop a part may be hidden, since $M$ is read before the next page; that was not measured.
#
# In BabyAI measured Q explains 0.65 [0.58, 0.72] and 0.49 [0.41, 0.57]; PVM 0.33 [0.18, 0.46] and 0.16 [-0.05, 0.33], at neither shown to be more than the turn number's 0.25 and 0.20. After the second turn measured Q ranks with 0.74 [0.58, 0.89], on 14 tasks, and PVM with 0.56 [0.37, 0.74] there. So these judges aren't shown to explain more than how long attempts go on, and they rank attempts only a little better than a coin.
#
# Is that their fault? Measured Q plays on from the true state, so it knows what lies behind a door. A judge knows what the text has shown, and $M$ is read at the end of a turn, *before* the world's reply. Take a plain measure of a state: how many turns the expert would still need from there (`study/sight.py`, all attempts). By the true state it ranks attempts after the second turn with 0.67 [0.63, 0.72]. Now suppose that a reader knows this number only where a thing that the mission asks for next has been shown, and takes the mean elsewhere. With the reply the reader ranks with 0.65 [0.60, 0.69], before it with 0.57 [0.53, 0.60]. So at that moment little of what separates attempts can be read, and PVM's 0.57 [0.52, 0.62] is not as poor as it looks. (This is no strict bound: a reader could also notice turns that lead nowhere.) Before you blame a judge, ask what it could have read.
#
# So we read it later. Three more reward models learned PVM's labels with $M$ read just before the next turn, when the reply stands there (`study.sight.read_late` makes such trajectories of any others). What is read there is no longer $Q(s, a)$, it is the value of the state that followed. After the second turn they rank with 0.59 [0.53, 0.64], which is no clear gain; after the third with 0.70 [0.64, 0.75], where PVM has 0.58 [0.52, 0.65]. Before the last turn (whose reply gives the end away) they explain 0.17 [0.11, 0.23] of the outcome of all attempts (PVM 0.05 [-0.04, 0.13]; the 0.16 above was of 120 of them), 0.11 [0.06, 0.18] more than PVM, and no more than the turn number's 0.18; a part of the gain is only that a reply says that the attempt goes on. Everywhere else in the book $M$ is read before the reply, as in the paper. In a world that hides much, try the later place; we did so in BabyAI alone, and no search was run with it.
#
# In math measured Q explains 0.66 [0.57, 0.71] and 0.56 [0.45, 0.63], and after the third turn it ranks with 0.96 [0.90, 1.00], on 13 tasks. PVM explains 0.22 [-0.01, 0.35] of the same attempts and ranks them with 0.93 [0.88, 0.97]: of two attempts it mostly knows the better one, and how likely success is it knows badly.
#
# ### More rollouts, more epochs
#
# Here AgentPRM has learned from fewer rollouts, in runs of their own, a thin line for each seed. At the left it is measured on the held-out tasks, at the right, with as many rollouts as the title says, on held-out *training* tasks after each epoch, which is how the trainer chooses the epoch that it keeps. (TextCraft is there twice: as it is above, and with levels 1 and 2 at 1.3, where five seeds were trained.)

# %%
kept = stored("curves.json"), stored("curves_both_levels.json")
if told := study.curves_named(*kept):
    lines, said = {}, []
    for w, x in told.items():
        rows = [row for row in x["rows"] if row["beta"] == 1.0]
        most = max(row["rollouts"] for row in rows)
        lines[w] = {"AgentPRM": study.by_rollouts(x, 1.0)}
        lines[f"{w}, {most}"] = {
            "AgentPRM": study.by_epoch(x, 1.0, most)}
        said.append(f"{w}: " + ", ".join(
            f"{round(y.mean, 2) + 0:.2f} with {n}"
            for n, y in study.learned(x, 1.0).items()))
    show_figure(
        panels.seed_lines(lines, xlabels=["rollouts", "epochs"]
                          * (len(lines) // 2), ylabel="explained variance"),
        alt=f"What AgentPRM explains, by rollouts. {'; '.join(said)}.",
        caption=f"Explained, by rollouts. {'; '.join(said)}.",
    )

# %% [markdown]
# In WebShop, with two seeds, AgentPRM comes from 0.36 [0.31, 0.39] with 240 rollouts to 0.46 [0.43, 0.48] with 960. That policy was an earlier one, whose turns were cut, and its judges started from it and learned the reward: don't set these numbers beside those above.
#
# In TextCraft it learns nothing from 60, 120 or 240 rollouts: it explains -0.04 [-0.09, -0.03], -0.00 [-0.04, 0.00] and (one seed) -0.03 [-0.11, 0.00]. With 480 it explains 0.21 [0.15, 0.27] (0.26 in the run above), and with 960 (one seed) 0.28 [0.21, 0.34]. And a judge that has learned nothing isn't harmless: the best of sixteen by it solves 0.15, 0.14 and 0.26 of the tasks, where one sample solves 0.41; with 480 it is 0.79. The trainer had said so each time, from held-out *training* tasks alone ("has learned nothing … don't choose by it"). It said so of no judge with 480 rollouts or more. So look for that line before you choose by a judge.
#
# With levels 1 and 2 it takes fewer. From 60 rollouts to 240, with five seeds each, AgentPRM comes from 0.09 [0.01, 0.13] to 0.38 [0.30, 0.44]; the seeds lie within 0.03 of each other. 480, with two seeds, and 960, with one, add nothing more: 0.39 [0.27, 0.47] and 0.36 [0.28, 0.43]. After its first epoch AgentPRM is no better than a constant there, or worse; with 960 rollouts the second is already the best. So there more rollouts of the same kind, above 240, aren't shown to help. More epochs do: most of the judges with 480 rollouts or fewer were best after the sixth and last. With 60 rollouts it explains less than the turn number does there, and the best of sixteen by it is below one sample; with 120 it explains hardly more than the turn number. ([Chapter 5](05_agentprm.ipynb#what-the-loss-wants) has the same runs with other weights of $L_A$.)
#
# ## Best-of-N in four worlds
#
# Three floors stand beside the judges: the random agent, one sample (N = 1), and the attempt with the fewest turns, which costs nothing to find. The level line *SFT* is one greedy attempt.

# %%
curves, ends = {}, []
for w, x in found.items():
    ways = {JUDGES[k]: f"best of n by {k}" for k in x["judges"]}
    ways |= {"fewest turns": "best of n by fewest turns", "oracle": "oracle"}
    points = {name: x["tokens"][way] for name, way in ways.items()}
    ns = [point["n"] for point in points["oracle"]]
    curves[NAMES[w]] = {
        name: [y["success"] for y in row] for name, row in points.items()
    } | {k: [x[key]] * len(ns) for k, key in
         (("random agent", "random"), ("SFT", "greedy"))}
    best = JUDGES[x["best_judge"]]
    ends.append(f"{NAMES[w]}: " + ", ".join(
        f"{name} {curves[NAMES[w]][name][-1][0]:.2f}"
        for name in (best, "fewest turns", "oracle")
    ))

# %%
if found:
    show_figure(
        plots.curves_by_panel(ns, curves, ylabel="success rate"),
        alt=f"Best-of-N in four worlds. {'; '.join(ends)}.",
        caption=f"N = {ns[-1]}, the best judge first: "
        f"{'; '.join(ends)}.",
    )

# %%
def verdict(row):
    return "higher" if row[1] > 0 else "lower" if row[2] < 0 else "undecided"


pairs = []
for w, x in found.items():
    rows = {f"AgentPRM − {JUDGES[k]}": row
            for k, row in x["agentprm_minus"].items()}
    best = f"{JUDGES[x['best_judge']]} (the best here)"
    rows[f"{best} − fewest turns"] = x["best_minus_fewest_turns"]
    pairs += [[NAMES[w], k, text(r), verdict(r)] for k, r in rows.items()]
pd.DataFrame(pairs, columns=["world", "difference", "success", ""])

# %% [markdown]
# In TextCraft every failure runs to the last round, so the attempt with the fewest turns is a success wherever there is one: *fewest turns* is the oracle, and the reward models win nearly all of the headroom, AgentPRM 0.99 [0.95, 1.00] of it. But one greedy attempt solves 0.77 there, and the oracle 0.79: what the judges win back is mostly what hot sampling lost. In BabyAI most failures do. There PVM minus fewest turns is -0.04 [-0.07, -0.01], and neither of the others is shown to be above it. In WebShop failures can be as short as successes. There PVM, the best, solves 0.93 [0.88, 0.97], which is 0.43 [0.38, 0.49] above one sample, 0.32 [0.24, 0.39] above fewest turns and 0.19 [0.10, 0.29] above one greedy attempt. AgentPRM, with 0.92 [0.86, 0.97], can't be told from PVM, nor from ORM.
#
# **What is a judge paid for, and what can it read?** The first judges of WebShop (`results/regime/reward_in_parts`) started from the policy and learned the reward. PVM explained 0.33 [0.27, 0.39] of the reward, but 0.04 of success; its choice solved 0.61 [0.52, 0.71], and none was shown to be above fewest turns. We read attempts with $M$ beside each turn, and $M$ stayed high when a product that lacks a wish was bought. Two reasons came to mind. The reward is ⅓ or ⅔ for a purchase that misses a wish, so $M$ has little cause to fall there. And a policy that says "fits" of such a product doesn't see what is wrong with it, so a judge on its trunk may not see it either. The first was tried alone: judges that learn success, from the same trunk (`results/regime/success_from_policy`). By the last $M$ PVM solved 0.64 [0.55, 0.72], hardly more; by the least AgentPRM solved 0.73 [0.64, 0.81]. Then the second as well: WebShop's judges now start from a checker, which was drilled in the purchases of other shops, about half of them wrong: after every turn it was told whether the product on the page, and each value chosen, is as wanted.
#
# That is knowledge that no rollout has paid for, so the **untrained checker** has to stand beside the judges that start from it: $M$ is then the chance of its word *right* against *no*. As a forecast that is worse than a constant over all turns, -0.33 [-0.46, -0.23] in WebShop and -0.30 [-0.62, -0.09] in math: it says what is right, not how the attempt will end. But it chooses well. In WebShop its choice solves 0.84 [0.77, 0.91], and PVM, after 1,920 rollouts, 0.09 [0.03, 0.15] more. In math it solves 0.60 [0.47, 0.72], and PVM 0.08 [-0.01, 0.18] more, which is undecided (the checker read other attempts of the same policy there). So most of what is gained over one sample comes from the drill in both worlds. What the rollouts teach is how this policy fails besides: in WebShop, where the rounds ran out, the checker's mean $M$ is still 0.64 and PVM's 0.15. We read the eight choices of PVM's first seed that fail: at two tasks no attempt succeeds, five bought a product that lacks a wish, and one mangled its last click and bought nothing, with $M$ = 0.97. Look at your judge's base first: what it can't read, no label teaches it from a few thousand rollouts (our reading; a large language model may bring that along).
#
# In math failures are as short as successes, too. There the **least** $M$ chooses: an attempt is as good as its worst step, as in Math-Shepherd (Wang et al. 2024). In the attempts that we read $M$ fell at most of the false sums, but it often rose again, because the next steps are right by themselves. The least $M$ still shows the fall. By it PVM solves 0.68 [0.57, 0.79], which is 0.32 [0.24, 0.39] above one sample and 0.38 [0.30, 0.46] above fewest turns, AgentPRM 0.64 [0.53, 0.75] and ORM 0.61 [0.46, 0.75]; AgentPRM can't be told from either. By the last $M$ all three have 0.53 to 0.55. One greedy attempt solves 0.86 [0.75, 0.96], more than the best of sixteen by any reward model, with an eighteenth of the tokens: at this temperature samples have slips that greedy hasn't.
#
# Your predictions: the three reward models are within 0.02 of one another in TextCraft, BabyAI (0.91, 0.91 and 0.92) and WebShop, one sample is furthest below the oracle in math, 0.37 against 0.97, and the least $M$ chooses better than the last in math, by PVM 0.15 [0.06, 0.24] and by ORM 0.07 [0.02, 0.13] better, by AgentPRM undecided. In BabyAI and WebShop no difference is decided (AgentPRM in WebShop: -0.07 [-0.14, 0.00]).
#
# Which $M$ chooses was decided on held-out *training* tasks, among sixteen attempts at each, by one seed of each kind, averaged: the last, as in the paper, unless the least is better by an interval that leaves 0 out. In math it is: least minus last is 0.14 [0.07, 0.21] there, on 211 tasks, and -0.01 [-0.04, 0.00] in TextCraft, 0.01 [-0.04, 0.09] in BabyAI, -0.07 [-0.14, -0.01] in WebShop. So the least chooses in math and the last elsewhere. (That it is so on math's test tasks was known before, from the judges of fewer templates; there the same rule still said last.) The first table has both scores on the tasks of this chapter.

# %%
names = JUDGES | {"checker": "checker, untrained"}
display(pd.DataFrame({
    NAMES[w]: {
        f"{names[k]}, by the {how} M": text(y["best_of_n_by"][score])
        for k, y in (x["judges"] | {"checker": x["checker"]}).items() if y
        for how, score in (("last", "last"), ("least", "min"))
    } | {"one sample": text(x["sample"])}
    for w, x in found.items()
}).fillna("–"))
pd.DataFrame({
    f"{NAMES[w]}, temperature {t}": {
        "one sample": text(y["sample"]),
        "fewest turns": text(y["fewest_turns"]),
        **{JUDGES[k]: text(row) for k, row in y["best_of_n"].items()},
        "oracle of 16": text(y["oracle16"]), "greedy": text(x["greedy"]),
    }
    for w, x in found.items() if x["cooler"]
    for t, y in x["cooler"]["temperatures"].items()
})

# %% [markdown]
# The second table has math's reward models at lower temperatures: the same reward models, which learned from attempts at 1.3, choose among sixteen attempts at 0.7 (the paper's temperature) and at 1. The more careful the policy, the less is left to choose. Over one sample PVM gains 0.32 [0.24, 0.39] at 1.3, 0.18 [0.10, 0.27] at 1 and 0.09 [0.01, 0.17] at 0.7, and solves 0.68 [0.57, 0.79], 0.80 [0.69, 0.90] and 0.86 [0.75, 0.94]. At 0.7 its choice can't be told from one greedy attempt, -0.00 [-0.07, 0.07], and no judge's choice is shown to be above that attempt at any temperature, though an oracle would have 0.94 [0.89, 0.99]. (Fewest turns has 0.70 [0.55, 0.84] there.) We read the nine tasks at 0.7 where one seed of PVM chose a wrong attempt beside a right one: mostly the wrong one leaves a step out, and in five of them both share the turn with the least $M$, which then can't tell them apart. So cooling alone does about as much as the judge: one sample at 0.7 solves 0.77 [0.65, 0.88]. Measure a judge against one greedy attempt, not against samples alone.
#
# ## Beam search in four worlds
#
# A beam is judged in the middle of an episode: where a wrong turn is fatal, as WebShop's purchase is, one would expect that it asks more of the judge than Best-of-N does. The judge is the process judge. As in Best-of-N, a path's score is its last $M$, and in math the least $M$ so far. Where math's paths shared the turn with the least $M$ their scores were equal, and the first ones were kept; the library has since let the last $M$ decide.
# All beams are those of one seed of the judge, so their intervals cover tasks alone. *At equal tokens* is Best-of-N by the same judge, same seed, with as many samples as the beam's tokens pay for; N need not be whole: with 4.4 a task gets five samples in four of ten cases and four otherwise. (Chapter 7 rounds down.) The beams were searched later than the rest was measured, on another machine, where the same commands made the policy and the judge again; the greedy attempts, samples and Best-of-N that they are compared with are of that run, too.

# %%
def beams_of(x):
    yield x["temperature"], x["beams"]
    if cool := x["cooler_beams"]:  # not set against hotter samples
        yield cool["temperature"], cool["beams"]


pd.DataFrame({
    (NAMES[w], f"{shape.replace('x', '×')} at {t}"): {
        "judge": JUDGES[x["process_judge"]], "tasks": b["tasks"],
        "success": text(b["success"]), "tokens": round(b["tokens"]),
        "− greedy": text(b["minus_greedy"]),
        "− one sample": text(b["minus_sample"]),
        "− Best-of-N at equal tokens": text(b.get("minus_best_of_equal_n")),
        "− fewest turns": text(b.get("minus_fewest_of_equal_n")),
        "− with copies": text(b.get("minus_copies")),
    }
    for w, x in found.items() for t, beams in beams_of(x)
    for shape, b in beams.items()
})

# %% [markdown]
# **Above greedy?** *Hot* is the world's own temperature: 1.4 in TextCraft, 1.5 in BabyAI and WebShop, 1.3 in math. Hot, the beam is above one greedy attempt in WebShop alone, by 0.18 [0.09, 0.28]. In BabyAI that is undecided, 0.08 [-0.02, 0.18]; in TextCraft it is below, -0.14 [-0.23, -0.06], and in math, too, -0.30 [-0.41, -0.19]. At 0.7, the paper's temperature, it is above greedy in BabyAI, by 0.12 [0.03, 0.23], and in WebShop, by 0.13 [0.07, 0.19]. In TextCraft the difference is then 0.02 [0.00, 0.05], an interval that touches 0: there an oracle of sixteen samples is hardly above greedy either. In math it is 0.02 [-0.04, 0.09]. Than one sample at 0.7 the beam at 0.7 is better in every world: by 0.05 [0.01, 0.10] in TextCraft; by 0.12 [0.05, 0.18] in BabyAI; by 0.17 [0.12, 0.23] in WebShop; by 0.12 [0.04, 0.22] in math.
#
# **Is it the temperature?** The reward models learned from hot attempts, and here they judge cool ones, too. Cool, TextCraft's beam is better by 0.16 [0.08, 0.25]; math's, by 0.32 [0.20, 0.44], solves 0.88 [0.77, 0.96]. For hot policies slip early, and $M$ falls late: in TextCraft, in a search that kept copies, we read eight beams that failed where greedy doesn't, and all misread goal or recipe in the first two turns. In BabyAI the beam's two temperatures can't be told apart, 0.04 [-0.01, 0.10], nor in WebShop, -0.05 [-0.13, 0.02]. So sample coolly where a slip is fatal. (In the rows at 0.7 *one sample* is at 0.7, too. Nothing stands there against Best-of-N: at 0.7 we have it in math alone.)
#
# **Is it worth its tokens?** Best-of-N at the same hot temperature, with as many tokens, is better in TextCraft, beam minus Best-of-N -0.15 [-0.24, -0.06], and in math, -0.14 [-0.21, -0.07]. In BabyAI neither is shown to be better, -0.03 [-0.10, 0.03]; in WebShop, too, -0.01 [-0.07, 0.05]. The search knows which paths ended, and in TextCraft only success ends one, in BabyAI it mostly is one. So compare it there with the attempt of the fewest turns among as many tokens, which knows that, too: beam minus fewest turns is -0.16 [-0.25, -0.07] in TextCraft and, in BabyAI, -0.03 [-0.10, 0.03].
#
# **Copies.** The paper's beam may keep copies of one path, and WebShop's then solves 0.80 [0.72, 0.88], minus greedy 0.06 [0.00, 0.13]. Without them it solves 0.12 [0.04, 0.20] more. In TextCraft that is 0.13 [0.05, 0.21]; in BabyAI, 0.01 [-0.04, 0.06], and in math, -0.01 [-0.07, 0.04], nothing is decided. [Chapter 7](07_beam_search.ipynb#where-a-beam-goes-wrong) has examples.
#
# **Is it the search or the judge?** Let measured Q judge beams: from every new path the policy plays on eight times, and the mean outcome is the score (`study/foresight.py`; 24 of the tasks, hot). In TextCraft such a beam solves 0.92 [0.77, 1.00], 0.25 [0.10, 0.43] more than the beam by AgentPRM at the same tasks. Greedy has 0.83 [0.61, 1.00] there, and the oracle of sixteen samples 0.88 [0.67, 1.00]. In the other worlds these searches were made earlier and kept copies, as did the beams that stand beside them here. In WebShop it solves all 24, and so does the oracle; greedy has 0.67 [0.46, 0.83] there, 0.33 [0.17, 0.54] less, and the beam by PVM 0.62 [0.46, 0.83], 0.38 [0.17, 0.54] less. In BabyAI it solves all 24; but greedy solves 22 of them and the beam by PVM 21, so that neither difference is decided. In math it solves 23, the beam by PVM 13, and greedy 19: the four by which it is above greedy are too few to decide (all differences of one sign have p = 0.125 in a sign test, and there a bootstrap's interval, 0.17 [0.04, 0.32], is too narrow). But PVM's paths were scored by their least $M$, and measured Q has only a last value: there judge and score aren't told apart. Measured Q plays on so often that nobody would pay for it; it only shows what the search can do where the judge knows.
#
# ## Success against tokens
#
# Best-of-N pays for whole attempts and asks the judge once, at the end. There a judge that reads the last turn can do well without knowing anything of the way to it. **Halving** (`search.halving`) asks after every turn: it samples N attempts side by side, keeps the better half by $M$ (in math by the least so far) after the first turn, half of those after the second, and so on. What is dropped early costs few tokens. So a judge that is right *early* buys success with fewer tokens.
#
# **Predict before you run.** With attempts of eight turns, halving from 16 samples 16 + 8 + 4 + 2 + 1 + 1 + 1 + 1 = 34 turns, Best-of-16 128. How much of its success will it keep?

# %%
ways, floor, gains = {}, {}, []
for w, x in found.items():
    judge = x["process_judge"]
    title = f"{NAMES[w]}, by {JUDGES[judge]}"
    names = {"Best-of-N": f"best of n by {judge}",
             "halving": f"halving by {judge}", "beam": f"beam by {judge}",
             "ORM, Best-of-N": "best of n by orm",
             "fewest turns": "best of n by fewest turns",
             "SFT, greedy": "greedy"}
    ways[title] = {
        name: [(y["tokens"], y["success"]) for y in x["tokens"][way]]
        for name, way in names.items()
    }
    floor[title] = x["random"][0]
    last = x["tokens"][f"halving by {judge}"][-1]
    row = text(last["minus_best_of_equal_n"])
    gains.append(f"{NAMES[w]}: halving from {last['n']} − "
                 f"Best-of-{last['equal_n']} (as many tokens) {row}")

# %%
if found:
    show_figure(
        panels.tokens_panels(ways, floor),
        alt=f"Success against generated tokens a task. {'; '.join(gains)}.",
        caption="; ".join(gains) + ".",
    )

# %% [markdown]
# At equal tokens halving from sixteen is worse than Best-of-N in TextCraft, -0.15 [-0.21, -0.09], in BabyAI, -0.09 [-0.15, -0.03], in WebShop, -0.07 [-0.13, -0.02], and in math, -0.05 [-0.07, -0.03]. No hot beam is shown to be above Best-of-N. In WebShop halving solves 0.82 [0.74, 0.88] with 40 % of the tokens of Best-of-16, which solves 0.93 [0.88, 0.97] by the same judge. By the earlier judges, which hardly read the purchase, halving was better there than Best-of-N with as many tokens, by 0.06 [0.02, 0.10]. Halving drops an attempt while it is still searching; Best-of-N compares purchases, and after the last turn PVM's $M$ is 0.83 for right ones and 0.11 for wrong ones, in the mean. Which of the two wins is decided by where the judge knows more.
#
# The first cut comes after the first turn, which says little yet. By the process judge the sixteen attempts of a task have 3 different $M$ there in math, 7 in TextCraft, 7 in WebShop and 9 in BabyAI (medians): many did the same, and who of them is dropped is chance. Equal $M$ are ties, so we average over a hundred draws of attempts in random order, as Best-of-N averages over its ties. One greedy attempt is cheaper than all of them. Best-of-16 by every reward model is below it in math (PVM minus greedy: -0.18 [-0.26, -0.10]) and above it in WebShop (PVM: 0.19 [0.10, 0.29], at 25 times greedy's tokens); in TextCraft and BabyAI no difference is decided.
#
# Your prediction: halving from 16 takes 21 to 41 % of the tokens of Best-of-16. Halving and Best-of-16 solve 0.54 and 0.79 in TextCraft, 0.75 and 0.91 in BabyAI, 0.82 and 0.93 in WebShop and 0.63 and 0.68 in math.
#
# ## How much of the headroom?
#
# Success in different worlds can't be compared: a judge that lifts 0.10 to 0.15 where the oracle has 0.16 has done more than one that lifts 0.40 to 0.60 where the oracle has 1. The share of headroom won is
#
# $$\text{share} = \frac{\text{chosen} - \text{one sample}}{\text{oracle} - \text{one sample}}$$
#
# 0 is a random choice, 1 the oracle, and below 0 the judge does harm.

# %%
pd.DataFrame({
    NAMES[w]: {
        JUDGES[k]: text(y["share_of_headroom"])
        for k, y in x["judges"].items()
    }
    for w, x in found.items()
})

# %% [markdown]
# A dash stands where the headroom is below 0.02: there is nothing to share.
#
# ## Does each claim of the paper hold?
#
# The paper makes nine claims and gives neither seeds nor intervals. In November 2026 each was tested by a rule that was registered beforehand ([`results/PLAN.md`](https://github.com/agentprm-lite/agentprm-lite/blob/main/results/PLAN.md); commits `9aea6b3`, `d175a8f` and `e9908a2`). Those verdicts are **withdrawn and not to be quoted**: nearly all judges that they compare had learned nothing, because batches by length had been batches by outcome, there was one epoch, and in three worlds the policies were hardly better than a random agent. The files stay in `results/claims`, and the [results page](../book/results.md) has them in one table. No new plan is registered yet.
#
# ### Threats to validity
#
# - **One policy.** All rollouts and candidates of a world come from one training run of one policy. The intervals cover tasks and seeds of reward models; another policy could turn a difference.
# - **Length.** Where failures take more turns than successes, the number of turns gives the outcome away, and a judge that has learned no more than that looks good. Put *fewest turns* beside every judge.
# - **Few seeds.** Every judge has three, and a bootstrap over three seeds is a little too narrow. Beams have one: their intervals cover tasks alone, and another seed of the judge could choose otherwise.
# - **The best of three.** Whoever chooses best was found on the tasks that its number comes from, so that number is a little too good. The process judge of beams and halving, and whether the last or the least $M$ chooses, were chosen on training tasks.
# - **Temperature.** Candidates are drawn at the temperature in the first table, the paper's at 0.7. What that changes was measured in math for Best-of-N and in all worlds for beams; and the reward models had learned from attempts at the higher temperature.
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
# 1. A perfect choice among 16 is above one sample by 0.38 in TextCraft, 0.36 in BabyAI, 0.48 in WebShop and 0.60 in math: that is all that choosing among them can win ([what each world is like](10_four_worlds.ipynb#what-each-world-is-like)).
# 2. At 0.7 a beam of 4×4 by the process judge is above one greedy attempt in BabyAI and WebShop, nowhere shown to be below it, and above one sample at 0.7 in every world. Hot, it is above greedy in WebShop and below in TextCraft and math. At equal tokens halving from 16 is worse than Best-of-N in every world. A beam that keeps no copies is better in TextCraft and WebShop ([beams](10_four_worlds.ipynb#beam-search-in-four-worlds)).
# 3. In WebShop PVM's choice solves 0.93, where one sample solves 0.50, fewest turns 0.61 and one greedy attempt 0.74. In math PVM's, by the least $M$, solves 0.68, where one sample solves 0.37, fewest turns 0.30 and one greedy attempt 0.86. In both the judges start from a checker, which untrained chooses 0.84 and 0.60. In BabyAI PVM is below *fewest turns*, and the others aren't shown to be above it; in TextCraft none can be, since it is the oracle there. AgentPRM's choices and PVM's can't be told apart anywhere ([Best-of-N](10_four_worlds.ipynb#best-of-n-in-four-worlds)).
# 4. In BabyAI, whose text hides much, $M$ explains more when it is read after the world's reply: before the last turn 0.17 instead of PVM's 0.05, and the turn number 0.18. A part of that is only that the attempt goes on, and after the fixed turn ranking shows no gain ([could any judge do better?](10_four_worlds.ipynb#could-any-judge-do-better)).
#
# ## Quiz
#
# <details><summary>1. AUROC over all candidates of all tasks is 0.9. What do you know about Best-of-N?</summary>
#
# Nothing yet. The judge may tell easy tasks from hard ones. Best-of-N asks for the order of the candidates of *one* task.
#
# </details>
#
# <details><summary>2. A difference is 0.001, from −0.016 to 0.019. Was it shown that there is none?</summary>
#
# No. An effect of 0.02 or more was excluded, by a little. The difference may have either sign.
#
# </details>
#
# <details><summary>3. Your judge is above AgentPRM in WebShop. Which judge must it beat besides?</summary>
#
# The candidate with the fewest turns, which costs nothing: a judge that is not above it may only count turns. One greedy attempt, which costs a twenty-fifth in WebShop. And the model that it started from, untrained: what that chooses is no merit of the labels.
#
# </details>
#
# ## References
#
# - Xi et al. 2025, *AgentPRM*: the nine claims and the four worlds.
# - Wang et al. 2024, *Math-Shepherd*: the least step score of a solution as its score.
#
# ## Say it in three sentences
#
# Close the page and say: what headroom is, what *fewest turns* can do, and why halving asks more of a judge than Best-of-N.
#
# **Next:** [chapter 11](11_your_environment.ipynb) brings a world of your own.
