# %% [markdown]
# # 7 Step-level beam search
#
# At the end you will have run a 2×2 beam search by hand, seen every branch get its own environment and its own rows in two
# caches, and compared beam search with greedy and Best-of-N at equal generated tokens, with intervals.
#
# | | |
# |---|---|
# | Before this | [chapter 1](01_environments.ipynb) (snapshots), [chapter 6](06_best_of_n.ipynb) (Best-of-N) |
# | Run time | see the [status page](../book/status.md) |
# | Paper | Algorithm 2, table 1, [claims](../book/paper-and-here.md#the-claims) C1 and C3 |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/07_beam_search.ipynb) |

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
# Best-of-N reads finished attempts. A process reward model can do more: it can tell *during* the attempt which branch to follow.
# Beam search @N×M keeps $N$ paths; every round it tries $M$ turns on each, scores the $N \cdot M$ new turns, and keeps the best $N$.
# In this chapter $M$ is that number of turns, and the reward model's value is $M_\phi$.
#
# The first figure has beams of growing size for three reward models. Level lines: one greedy attempt (SFT), one sample,
# the floors *fewest turns* (of the stored pool) and *random agent*, and pass@N of the pool (oracle), which no choice *among those samples* can beat; a beam can, because it makes new ones. A beam costs much, so the
# profile may search on a part of the held-out goals; everything in this chapter is about those goals.
#
# **Predict before you run.**
# 1. A beam of 1×1 makes no choice. Where will it lie?
# 2. ORM is trained on last steps alone. What will it say in the middle of a path?
# 3. A beam of 4×4 tries 16 turns a round. Does it cost 16 samples?

# %%
import numpy as np
from agentprm_lite import search, study
from agentprm_lite.tutorial import (
    floors, guided, looks, panels, plots, rewards, stages)
from agentprm_lite.tutorial.notebook import show_figure, show_source
from agentprm_lite.tutorial.profiles import get_profile
from agentprm_lite.tutorial.tasks import beam_tasks, test_tasks

profile = get_profile(PROFILE)
SEEDS = range(profile.reward_seeds)
KINDS = {"ORM": "orm", "PVM": "pvm", "AgentPRM": "agentprm"}
TASKS = beam_tasks(profile)
pool = stages.pool(profile)
candidates = [t for t in pool if t.task in TASKS]
runs = {
    (name, n, m): [guided.beam_runs(profile, kind, n, m, s) for s in SEEDS]
    for name, kind in KINDS.items() for n, m in profile.beams
}
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")


# %%
def table_of(answers, value=lambda t: t.outcome):
    """[seeds, tasks] of a list of answers a seed."""
    rows = [{t.task: value(t) for t in run} for run in answers]
    return np.array([[row[task] for task in TASKS] for row in rows], float)


print(f"{len(TASKS)} held-out tasks, seeds a reward model: {len(SEEDS)}")
won = {key: table_of(answers) for key, answers in runs.items()}
greedy = stages.greedy_runs(profile, "sft")
PLACES = [test_tasks(profile).index(task) for task in TASKS]
K = profile.eval_samples
lines = {
    "SFT": table_of([greedy]).mean(),
    "one sample": study.random_choice(candidates, [1]).success.mean(),
    "fewest turns": study.fewest_turns(candidates, [K]).success.mean(),
    "random agent": floors.random_outcomes(profile)[PLACES].mean(),
    "oracle": search.oracle(candidates, [K]).success.mean(),
}
print({name: round(float(x), 3) for name, x in lines.items()}, f"K = {K}")

# %%
widths = [f"{n}×{m}" for n, m in profile.beams]
points = {
    name: [study.bootstrap_interval(won[name, n, m])
           for n, m in profile.beams]
    for name in KINDS
}
says = "; ".join(
    f"{k} " + ", ".join(f"{i.mean:.2f}" for i in v) for k, v in points.items()
)
show_figure(
    plots.beam_points(widths, points, reference=lines),
    alt=f"Success at beams {', '.join(widths)}: {says}.",
    caption=f"Beams {', '.join(widths)}: {says}; one sample "
    f"{lines['one sample']:.2f}, fewest turns of {K} stored samples "
    f"{lines['fewest turns']:.2f}. Bars: 95 %, over {len(TASKS)} tasks.",
)

# %% [markdown]
# ## A case to solve by hand
#
# A beam of 2×2. Each turn has a name and a score; ✓ marks a path that is over.
#
# | round | candidates | kept |
# |---|---|---|
# | 1 | a 0.50, b 0.60, c 0.30, d 0.55 | b, d |
# | 2 | from b: ba 0.20, bb 0.40; from d: da 0.70 ✓, db 0.50 | da ✓, db |
# | 3 | da 0.70 ✓ is still there, with the score it has; from db: dba 0.65 ✓, dbb 0.10 | da ✓, dba ✓ |
#
# As a tree; kept paths are marked with ●:
#
# ```text
# root (2 copies)
# ├── a 0.50
# ├── b 0.60 ●
# │   ├── ba 0.20
# │   └── bb 0.40
# ├── c 0.30
# └── d 0.55 ●
#     ├── da 0.70 ● ✓
#     └── db 0.50 ●
#         ├── dba 0.65 ● ✓
#         └── dbb 0.10
# ```
#
# All kept paths are over, so the answer is the best: **da**. Three things to see. Round 1 already compares $N \cdot M = 4$ turns, because the
# search begins with $N$ copies of the root. Both places of round 2 go to children of *d*: places belong to the beam and not to a parent. And *a* is
# gone after round 1, whatever it would have led to.

# %%
SCORES = {"a": 0.5, "b": 0.6, "c": 0.3, "d": 0.55, "ba": 0.2, "bb": 0.4,
          "da": 0.7, "db": 0.5, "dba": 0.65, "dbb": 0.1}
OVER = {"da", "dba"}
beam = [""]
while not all(path in OVER for path in beam):
    new = [
        child for child in SCORES for path in beam
        if path not in OVER and child[:-1] == path
    ]
    both = [path for path in beam if path in OVER] + new
    beam = sorted(both, key=SCORES.get, reverse=True)[:2]
    print("candidates", both, "-> kept", beam)
assert beam == ["da", "dba"]

# %% [markdown]
# ## Algorithm 2 and the library
#
# From the root, until all kept paths are over or the round limit is reached:
#
# $$\mathcal B_{t+1} = \operatorname*{top\,N}_{(s, a)} \; M_\phi(s, a), \qquad s \in \mathcal B_t,\; a = a^{(1)}, \dots, a^{(M)} \sim \pi(\cdot \mid s)$$
#
# Kept paths that are over stand among the candidates too, with the score that they have. The answer is the path with the highest score among those that are over (paper, Algorithm 2). The score of a path is $M_\phi$ at its **last** step: neither
# a sum nor a mean over steps. With $\gamma = 1$ it estimates the chance of success from there, so paths of different length can be compared.
#
# A path that ran out of rounds or of context hasn't ended but failed: it stands behind all others, whatever its $M$, from that round on. And there is a rule of ours: two paths are *copies* if their worlds are in the same situation (equal snapshots), even if other words led there; of copies only the best keeps its place, the others stand behind all other paths. [Where a beam goes wrong](07_beam_search.ipynb#where-a-beam-goes-wrong) says why; `distinct=False` keeps copies, as the paper does.
#
# | symbol | in the code | shape | meaning |
# |---|---|---|---|
# | $N$ | `n` | | paths kept |
# | $M$ | `m` | | turns sampled on each path |
# | $\mathcal B_t$ | `paths[task]` | up to N paths | kept paths of one task |
# | $a^{(k)}$ | `grown` | N·M episodes | paths with a new turn |
# | $M_\phi(s, a)$ | `scores` | [N·M] | value at the last token of each new turn |
# | | `player`, `judge` | | each keeps what it has read of the kept paths |
#
# ## Forked environments, two caches
#
# Two branches of one path must not share a world. `Episode.fork` copies the episode: its ids, and a new environment that is restored from a snapshot. The
# policy's keys and values and those of the reward model are rows of two batches. The fast player and the fast judge find the row that a branch goes on from by
# its ids; `select(rows)` repeats and reorders the rows as the beam does, so that no common prefix is computed twice.
#
# We run a small search and check it against two independent computations: the answer's actions **replayed** in a fresh environment must give the same
# replies and the same outcome, and its score must equal $M_\phi$ from one **full pass** without any cache. Above the lines of the check stands the library's search.

# %%
show_source(search.beam_search, search._search)
from agentprm_lite.chat import TOO_MANY_ACTIONS, parse_action
from agentprm_lite.env import make_env

actor = stages.policy(profile)
backend = stages.player(actor, profile.eval_temperature)
judge = rewards.reward_model(profile, "agentprm", 0)
found = search.beam_search(backend, judge, TASKS[:3], 2, 2, seed=0)
for result in found:
    t = result.trajectory
    env = make_env(t.task.env)
    options = {"index": t.task.index, "variant": t.task.variant}
    replies, reward = [env.reset(options=options)[0]], 0.0
    for action in map(parse_action, t.actions):
        reply, reward, *_ = env.step(action or "")
        replies.append(TOO_MANY_ACTIONS if action is None else reply)
    full = judge.score([t])[0].q[-1]
    print(f"{t.num_steps} turns, cached {result.score:.6f}, full {full:.6f}")
    assert tuple(replies) == t.observations and reward == t.outcome
    assert abs(result.score - full) < 1e-5

# %% [markdown]
# ## A misuse that looks right
#
# After a round the kept children are a *reordering with repeats* of the old rows. Forget `select` on one cache and everything still runs: every row has a
# plausible history, only not its own. The score then belongs to a mixture of two paths.
#
# We take stored candidates, put their history up to the second action into the reward model's cache, reverse the order of the beam, and append the second
# action. Once with `select`, once without. The truth is the full pass.

# %%
from agentprm_lite.fast.kvbatch import KVBatch
from agentprm_lite.forward import read_m

some = {t.task: t for t in candidates if t.num_steps > 1}
paths = list(some.values())[:24]
parts = []
for t in paths:
    start, end = t.spans[1]
    parts.append((list(t.ids[:start]), list(t.ids[start:end])))
truth = np.array([v.q[1] for v in judge.score(paths)])[::-1]
turned = list(range(len(paths)))[::-1]
next_turns = [parts[k][1] for k in turned]


# %%
def second_scores(reorder):
    batch = KVBatch(judge.model)
    batch.append([history for history, _ in parts])
    if reorder:
        batch.select(turned)
    hidden = batch.append(next_turns)
    ends = np.cumsum([len(turn) for turn in next_turns]) - 1
    return read_m(batch.head, hidden[ends]).numpy(force=True)


good, stale = second_scores(True), second_scores(False)

# %%
fig, ax = looks.new_axes(height=3.6)
ax.axline((truth[0], truth[0]), slope=1, color=looks.GREY, linewidth=1)
rows = {"with select": good, "without": stale}
for (name, row), look in zip(rows.items(), looks.SPARE, strict=False):
    ax.scatter(truth, row, marker=look.marker, color=look.color, label=name)
ax.set(xlabel="value by a full pass", ylabel="value with the cache")
looks.finish(fig, ax)
off = np.abs(stale - truth).max()
show_figure(
    fig,
    alt=f"With select all {len(paths)} points lie on the diagonal; without "
    f"it the largest error is {off:.3f}.",
    caption="The symptom: scores that are off, though nothing fails.",
)
assert np.abs(good - truth).max() < 1e-5  # the check that catches it
print(f"largest error: {np.abs(good - truth).max():.1e} with select, "
      f"{off:.1e} without")

# %% [markdown]
# The same mistake with environments: two branches that share one world. Branch A gets the ingredient. Branch B skips that and crafts at once, which must fail:
# B has nothing. In a shared world it succeeds, on what A carries. The search then reports a success that no policy could repeat. What catches it is the replay above.

# %%
def two_branches(fork):
    root = make_env("textcraft")
    root.reset(options={"goal": "sugar"})
    a, b = root, root
    if fork:
        b = make_env("textcraft")
        b.restore(root.snapshot())
    a.step("get 1 sugar cane")
    return b.step("craft 1 sugar using 1 sugar cane")[:2]


print("shared:", two_branches(fork=False))
print("forked:", two_branches(fork=True))
assert two_branches(fork=True)[1] == 0.0

# %% [markdown]
# ## The experiment: equal generated tokens
#
# A wider beam is better than a narrow one for a dull reason too: it samples more. So the fair question is: what would Best-of-N reach with the **same number of generated
# tokens**, from the same policy and the same reward model? Discarded branches are counted. All points stand over tokens below; the greedy attempt is the point
# SFT. The lines below take for each beam the largest $N$ whose tokens do not exceed the beam's. The pool has $K$ samples a task: a beam that is worth more of them is compared with
# Best-of-$K$, which has fewer tokens than it. *worth* says how many samples the beam's tokens pay for.

# %%
def tokens_of(key, what="generated"):
    """Mean over seeds and tasks of one count of the whole search."""
    return np.mean([getattr(t.usage, what) for run in runs[key] for t in run])


sample = np.mean([t.usage.generated for t in candidates])
NS = study.powers_of_two(K)
here = [i for i, t in enumerate(pool) if t.task in TASKS]
values = {name: [rewards.pool_values(profile, kind, s) for s in SEEDS]
          for name, kind in KINDS.items()}


def chosen(name, ns):
    """Best-of-N by one kind: [seeds, tasks, len(ns)]."""
    return np.array([
        search.best_of_n(candidates, [run[i] for i in here], ns).success
        for run in values[name]
    ])


# %%
x, y = {}, {}
for name in KINDS:
    x[name] = [tokens_of((name, *b)) for b in profile.beams]
    y[name] = points[name]
best = chosen("AgentPRM", NS)
x["Best-of-N"] = sample * np.array(NS)
y["Best-of-N"] = [study.bootstrap_interval(best[:, :, j])
                  for j in range(len(NS))]
short = study.fewest_turns(candidates, NS).success
x["fewest turns"] = x["Best-of-N"]
y["fewest turns"] = list(map(study.bootstrap_interval, short.T))
x["SFT"] = [np.mean([t.usage.generated for t in greedy])]
y["SFT"] = [study.bootstrap_interval(table_of([greedy]))]
ends = ", ".join(f"{k} {y[k][-1].mean:.2f} at {x[k][-1]:.0f}" for k in x)
show_figure(
    plots.curve_with_interval(x, y, xlabel="generated tokens a task"),
    alt=f"Success over tokens; the right end of each line: {ends}.",
    caption="Beams by ORM, PVM and AgentPRM, Best-of-N by AgentPRM and by "
    f"fewest turns. At the right ends: {ends} tokens.",
)


# %%
def verdict(what, difference):
    mean, lo, hi = np.round(difference, 3) + 0.0  # no "-0.000"
    word = "higher" if lo > 0 else "lower" if hi < 0 else "undecided"
    print(f"{what}: {mean:+.3f} [{lo:+.3f}, {hi:+.3f}]: {word}")


for name in KINDS:
    for n, m in profile.beams:
        worth = tokens_of((name, n, m)) / sample
        equal = int(np.clip(worth, 1, K))
        other = chosen(name, [equal])[:, :, 0]
        verdict(f"{name} beam {n}×{m} (worth {worth:.1f}) minus its "
                f"Best-of-{equal}",
                study.bootstrap_interval(won[name, n, m], other))
wide, narrow = profile.beams[-1], profile.beams[0]
for name in KINDS:
    pair = won[name, *wide], won[name, *narrow]
    verdict(f"{name}: {widths[-1]} minus {widths[0]}",
            study.bootstrap_interval(*pair))

# %%
for n, m in profile.beams:
    for other in ("ORM", "PVM"):
        pair = won["AgentPRM", n, m], won[other, n, m]
        verdict(f"{n}×{m}: AgentPRM minus {other}",
                study.bootstrap_interval(*pair))
    for other, base in (("greedy SFT", table_of([greedy])),
                        ("fewest turns", short[None, :, -1])):
        verdict(f"{n}×{m}: AgentPRM minus {other}",
                study.bootstrap_interval(won["AgentPRM", n, m], base))
gaps = [study.bootstrap_interval(w, table_of([greedy])) for w in won.values()]
print(f"of {len(gaps)} beams {sum(g.lo > 0 for g in gaps)} are above greedy "
      f"SFT, {sum(g.hi < 0 for g in gaps)} below, the others undecided")
print(f"n = {len(TASKS)} tasks, seeds: {len(SEEDS)}, 95 % intervals")

# %% [markdown]
# How to read it. *Undecided* means that the interval holds zero; with so few tasks a difference of 0.20 can hide in it. So this chapter shows how beams are made and
# compared, not who wins (the last line counts what can be told here): [chapter 10](10_four_worlds.ipynb) has beams on 100 tasks in every world. Best-of-N is a strong opponent in TextCraft: its judge reads the outcome off the last action
# ([chapter 6](06_best_of_n.ipynb#what-the-last-action-gives-away)), *fewest turns* needs none, and the beam must foresee it.
#
# Your predictions: a 1×1 beam chooses nothing, so it lies where one sample does; with one episode a goal and few goals it can be far off by luck, and its interval is wide and rough. In the middle of an attempt ORM, which learns last turns, knows little: after the second turn its AUROC within tasks is 0.50 to 0.69 in the four worlds (the most in math, whose judges start from a model that grades turns, as WebShop's do) of [chapter 10](10_four_worlds.ipynb#what-the-judges-explain). And a 4×4 beam has no fixed price: a round takes sixteen turns, four fewer for each kept path that is over. In chapter 10 it costs as much as 15.8 samples in WebShop, 12.4 in BabyAI, 14.3 in TextCraft and 16.0 in math. Where many samples end early and the beam's paths run to the last round, it can cost more than sixteen samples.
#
# ## A world where a turn is final
#
# In WebShop a purchase can't be undone, so a turn that is chosen well is worth most *before* the end. The stored raw numbers of chapter 10 have a beam of 4×4 on all of their WebShop tasks, by the *process judge*: PVM or AgentPRM, whichever explained more on held-out training tasks.

# %%
from agentprm_lite.tutorial.notebook import stored_raw

if raw := stored_raw("webshop"):
    shop = study.summary({"webshop": raw})["worlds"]["webshop"]
    kind = shop["process_judge"]
    names = {"beam": f"beam by {kind}", "Best-of-N": f"best of n by {kind}",
             "fewest turns": "best of n by fewest turns",
             "SFT, greedy": "greedy"}
    ways = {k: [(y["tokens"], y["success"]) for y in shop["tokens"][way]]
            for k, way in names.items()}
    wide = shop["beams"]["4x4"]
    more = ", ".join(f"{x:.2f}" for x in wide["minus_greedy"])
    title = f"WebShop, by {study.JUDGES[kind]}"
    show_figure(
        panels.tokens_panels({title: ways}, {title: shop["random"][0]}),
        alt=f"{title}: success against tokens. Beam minus greedy: {more}.",
        caption=f"{title}, {wide['tasks']} tasks: beam 4×4 "
        f"{wide['success'][0]:.2f}, greedy {shop['greedy'][0]:.2f}; the "
        f"difference and its interval: {more}.",
    )

# %% [markdown]
# The beam solves 0.92 [0.87, 0.97] of WebShop's tasks, 0.18 [0.09, 0.28] more than one greedy attempt and 0.45 [0.39, 0.51] more than one sample. From Best-of-N with as many tokens it can't be told apart, beam minus Best-of-N is -0.01 [-0.07, 0.05]. After the second turn the judge's AUROC within tasks is only 0.72 [0.67, 0.76]. A reason why that may do, not tested: it is enough that one of the four kept paths looks at a right product, for at the purchase $M$ tells right from wrong. It is one beam in one world, by one seed of the judge; one sample of the same policy solves 0.47 here.
#
# Look at the temperature, too. The turns that a beam chooses from are sampled, in these stored runs hotter than in the paper. At 0.7, the paper's, TextCraft's beam solves 0.79 [0.67, 0.91], 0.16 [0.08, 0.25] more than at 1.4, and 0.05 [0.01, 0.10] more than one sample at 0.7 ([chapter 10](10_four_worlds.ipynb#beam-search-in-four-worlds)).
#
# ## Where a beam goes wrong
#
# **Collapse.** The $N$ best turns can be children of one parent, and copies of each other: then $N$ places hold one path. Nothing fails, the search has just
# become narrow. We count, round by round, how many of the *new* candidates differ, and how many of the $N$ best of them, in a search as the paper has it. Paths that are over take no part, and later rounds have fewer candidates and fewer tasks. There are no snapshots in what was kept of it: two candidates count as one path if the new turn and its value
# (to four digits) are the same: the same turn after another history would get another value.

# %%
class Recorder:  # a judge that keeps the scores
    def __init__(self, judge):
        self.judge, self.rounds = judge, []
    def score(self, paths):
        values = self.judge.score(paths)
        if paths[0].num_steps:  # the first call is for the prompts
            ends = [(t.prompt_len, *(b for _, b in t.spans)) for t in paths]
            self.rounds.append([
                (v.q[-1].round(4), t.ids[end[-2] :])
                for t, v, end in zip(paths, values, ends, strict=True)
            ])
        return values

(n, m), counts = profile.beams[-1], {}
for task in TASKS[:: max(1, len(TASKS) // 6)][:6]:
    recorder = Recorder(judge)
    search.beam_search(backend, recorder, [task], n, m, seed=0, distinct=False)
    for k, new in enumerate(recorder.rounds):
        kept = sorted(new, key=lambda pair: -pair[0])[:n]
        counts.setdefault(k, []).append((len(set(new)), len(set(kept))))

# %%
depth = [k for k in counts if k < 20]
every, kept = np.array([np.mean(counts[k], axis=0) for k in depth]).T
levels = {f"candidates (of {n * m})": (depth, every),
          f"best {n}": (depth, kept)}
show_figure(
    plots.training_curves({"distinct paths": levels}, xlabel="round"),
    alt=f"Distinct candidates: {every[0]:.1f} in the first round, "
    f"{every[-1]:.1f} in the last; among the best {n}: {kept[0]:.1f} and "
    f"{kept[-1]:.1f}.",
    caption=f"A {n}×{m} beam on a few tasks: of the best {n}, {kept[0]:.1f} "
    f"differ in the first round and {kept[-1]:.1f} in the last. At 1 the "
    "best new candidates are one path.",
)

# %%
for world in ("textcraft", "babyai", "webshop"):
    if raw := stored_raw(world):
        wide = study.summary({world: raw})["worlds"][world]["beams"]["4x4"]
        paper = wide["copies"]
        verdict(f"{world}: {wide['success'][0]:.2f} here, "
                f"{paper['success'][0]:.2f} as in the paper; the difference",
                wide["minus_copies"])
        verdict("  here, minus greedy", wide["minus_greedy"])
        print(f"  tokens: {wide['tokens']:.0f}, {paper['tokens']:.0f}")

# %% [markdown]
# **What copies cost.** The paper's beams keep copies. The library's, without them, solve 0.12 [0.04, 0.20] more in WebShop, on the same tasks, by the same policy, judge and seed, and 0.13 [0.05, 0.21] more in TextCraft; in BabyAI the difference, 0.01 [-0.04, 0.06], is undecided. They generate 20 % more tokens in WebShop, 20 % more in BabyAI and 3 % fewer in TextCraft. We read seven WebShop searches with copies that failed: after the second turn none had kept a right product, though in six of them one stood among the sixteen candidates. In one all four places held wrong products with $M$ = 0.60, and the right product had 0.33. When they were bought $M$ fell to 0.07, but nothing else was left. Where copies give way, an error of the judge takes one place instead of four.
#
# **An end that is none.** A path that has used up its rounds has failed, whatever its $M$ says. In one WebShop search it had just gone back to the results and had 1.00, where a right purchase beside it had 0.89. The paper answers with the best path that *ended*, and so do we. In TextCraft only success ends an episode, and in BabyAI it mostly is a success; so there this alone finds a success among the kept paths without asking the judge, as *fewest turns* does. Compare the beam with it.
#
# **Going in circles, and stopping too early.** A path that is over keeps its score, so an overrated end stays until $N$ other paths score higher. In TextCraft the world ends an
# episode on success alone, so no end is overrated here; what fails is a beam whose paths use up their rounds. The table looks at the failures: how long the answers
# are, and what share of their actions repeat an earlier action of the same path. Compare with 1×1, which chooses nothing: what its failures repeat is the policy's doing. Only a clearly higher share suggests that the reward model likes standing still.

# %%
import pandas as pd


def repeats(t):
    seen = [parse_action(a) for a in t.actions]
    return 1 - len(set(seen)) / len(seen) if seen else 0.0


record = []
for (name, n, m), answers in runs.items():
    lost = [t for run in answers for t in run if not t.success]
    turns = np.mean([t.num_steps for t in lost]) if lost else np.nan
    again = np.mean([repeats(t) for t in lost]) if lost else np.nan
    record.append([name, f"{n}×{m}", len(lost), turns, again])
head = ["judge", "beam", "failures", "turns", "repeated"]
pd.DataFrame(record, columns=head).round(2)

# %% [markdown]
# ## What the caches save
#
# Without a cache each turn encodes the whole history again. The usage of a search counts both: *computed* tokens (generated and prefilled) and *cached* ones, whose keys and values
# were there already. Without a cache each of the $M$ turns that are tried on a path would read that whole path. So a search without caches would compute at least *generated* + $M$ · (*prefilled* + *cached*), and in the first round even more.

# %%
record = []
for n, m in profile.beams:
    key = ("AgentPRM", n, m)
    made, read = tokens_of(key), tokens_of(key, "prefilled")
    whole = made + m * (read + tokens_of(key, "cached"))
    factor = f"{whole / (made + read):.1f}×"
    record.append([f"{n}×{m}", made, read, whole, factor,
                   tokens_of(key, "scored")])
head = ["beam", "generated", "prefilled", "without cache", "saved", "scored"]
pd.DataFrame(record, columns=head).round(0)

# %% [markdown]
# ### Exercise 07.1
#
# *Medium, 15 minutes.* Write one round: `next_beam(beam, expand, n)`. A path is a tuple `(name, score, over)`. `beam` is a list of paths; `expand(path)` gives the scored children of a
# path that is not over. Return the best `n`, best first; a path that is over is a candidate with the score it has.


# %% tags=["exercise-07-1"]
def next_beam(beam, expand, n):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import attempt, check_next_beam

attempt(check_next_beam, next_beam)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Candidates are the paths that are over and the children of all others, in one list.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `sorted(pool, key=lambda path: -path[1])[:n]`
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def next_beam(beam, expand, n):
#     pool = [path for path in beam if path[2]]
#     for path in beam:
#         if not path[2]:
#             pool += expand(path)
#     return sorted(pool, key=lambda path: -path[1])[:n]
# ```
#
# </details>
#
# ### Exercise 07.2
#
# *Medium, 15 minutes.* Write `tokens_computed(prompt, turns)`: two numbers, the tokens that a policy computes for one path with a cache, and without one. `turns` is a list of
# `(action, reply)` lengths. Every turn the policy must know the whole history before it; the action's own tokens are computed as they are sampled. The reply to the last action is never read.


# %% tags=["exercise-07-2"]
def tokens_computed(prompt, turns):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_tokens_computed

attempt(check_tokens_computed, tokens_computed)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# With a cache every token is computed once. Without, each turn costs the history before it and its own action.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Walk over the turns with a running history; after each turn it grows by action and reply.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def tokens_computed(prompt, turns):
#     history, without = prompt, 0
#     for action, reply in turns:
#         without += history + action
#         history += action + reply
#     return history - turns[-1][1], without
# ```
#
# </details>

# %% [markdown]
# ## Paper and here
#
# | | the paper | here | why |
# |---|---|---|---|
# | Faithful | Algorithm 2: expand, score the new step, keep the best $N$, answer with the best path that ended | the same | |
# | Ours | kept paths may be copies of each other | a path in the state of a better one stands behind the others | copies find nothing new; `distinct=False` keeps them |
# | Ours | begins with one root | begins with $N$ copies of it | every round compares $N \times M$ turns |
# | Ours | beams 2×2, 4×4, 8×8 | 1×1, 2×2, 4×4 in the profile cpu | two cores; 1×1 is the control that chooses nothing |
# | Ours | samples | generated tokens, discarded branches included | paths of different length cost different amounts |
# | Simplified | temperature 0.7 | the profile's temperature | the small policy's samples are alike when it is low |
# | Ours | one run | intervals over tasks (and seeds where there are several) | |
#
# And with a real language model? [chapter 13](13_real_language_model.ipynb) has the command for beams with SmolLM2-135M; their numbers aren't stored yet.
#
# ## What each number means, what to watch, what to vary
#
# - *generated*: tokens sampled in the whole search. *prefilled*: prompts and replies computed. *cached*: tokens not computed again.
#   *scored*: tokens that the reward model computed. All are means a task.
# - *distinct paths*: see above; at 1 the best new candidates are one path. *repeated*: share of actions that occurred before in the same path.
# - **Watch** 1×1 away from *one sample* with several seeds (a bug: it chooses nothing), cached scores off the full pass, and a beam that gets worse as it gets wider
#   (an overrated state: the wider, the surer it is found).
# - **Vary** $N$ against $M$ at a fixed product, the temperature, and the reward model: `guided.beam_runs(profile, "mc_soft", 2, 2, 0)`.
#
# ## Summary
#
# 1. A beam keeps $N$ places, not a place a parent ([the hand case](07_beam_search.ipynb#a-case-to-solve-by-hand)).
# 2. Cached scores equal the full pass, and answers can be replayed
#    ([the check](07_beam_search.ipynb#forked-environments-two-caches); `tests/core/test_search.py`, `tests/fast/test_cache.py`).
# 3. A missing `select` or a shared environment fails silently ([the misuse](07_beam_search.ipynb#a-misuse-that-looks-right)).
# 4. A wider beam also samples more: compare it with Best-of-N at equal tokens, discarded branches counted. At 4×4, one
#    seed, hot sampling, it can't be told from Best-of-N in WebShop and BabyAI, and is below it in TextCraft and math ([chapter 10](10_four_worlds.ipynb#beam-search-in-four-worlds)).
# 5. Copies of one path make a beam narrow: without them it is better in TextCraft and WebShop ([where a beam goes wrong](07_beam_search.ipynb#where-a-beam-goes-wrong)).
#
# ## Quiz
#
# <details><summary>1. Why may scores of paths of different length be compared?</summary>
#
# Each estimates the chance of success from its last state, with $\gamma = 1$; a sum over steps could not be compared.
#
# </details>
#
# <details><summary>2. Can a beam beat pass@16 of a stored pool?</summary>
#
# Yes. The pool is one set of samples; the beam makes new ones from states that the reward model prefers.
#
# </details>
#
# <details><summary>3. Two kept paths are the same. What does a 2×2 beam do next?</summary>
#
# It samples four turns from one state and keeps the best two. That is why the library keeps a copy only where there is no other path.
#
# </details>
#
# ## References
#
# - Xi et al. 2025, *AgentPRM*: Algorithm 2 and table 1.
# - Snell et al. 2024, *Scaling LLM Test-Time Compute Optimally*: beams against Best-of-N at equal compute, and when beams over-optimize.
# - Uesato et al. 2022, *Solving math word problems with process- and outcome-based feedback*: step scores as a guide for search.
# - Lightman et al. 2023, *Let's Verify Step by Step*: process supervision for choosing solutions.
