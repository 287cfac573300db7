# %% [markdown]
# # 2 A policy: ReAct, behaviour cloning and RFT
#
# At the end you will have trained a small language model to act by imitation,
# measured how far that carries to goals it has never seen, and let it learn
# once more from its own successes.
#
# | | |
# |---|---|
# | Before this | [chapter 1](01_environments.ipynb) |
# | Run time | see the [status page](../book/status.md) |
# | Paper | section 3 (policy, ReAct); the baselines SFT and RFT |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/02_policy.ipynb) |

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
# A policy $\pi(a_t \mid s_t)$ reads the history and writes the next turn. Ours
# is a causal language model that imitates an expert (*behaviour cloning*, or
# SFT: supervised fine-tuning). *RFT*, rejection-sampling fine-tuning, lets the
# trained policy play, keeps the episodes that succeeded, and imitates those.
#
# **Predict before you run:** with greedy decoding, how far does success fall
# from goals with demonstrations (shown here among new distractors) to goals
# that were never trained on? Does RFT lift either?
#
# The cells below train what is not there yet, and play. RFT needs at least one
# success to learn from; without any there is no RFT policy, and we say so.

# %%
import math
from dataclasses import replace
import numpy as np
import pandas as pd
import torch

from agentprm_lite.tutorial import looks, plots
from agentprm_lite.chat import parse_action
from agentprm_lite import load_policy, make_env
from agentprm_lite.tutorial.exercises import attempt
from agentprm_lite.study import bootstrap_interval
from agentprm_lite.tutorial.notebook import show_figure, show_source
from agentprm_lite.tutorial.profiles import get_profile
from agentprm_lite.tutorial.stages import Policy, base, demonstrations, player
from agentprm_lite.tutorial.stages import greedy_runs, policy, pool, rollouts
from agentprm_lite.tutorial.stages import training_log
from agentprm_lite.tutorial.tasks import train_tasks
from agentprm_lite.worlds import demonstrate
from agentprm_lite.forward import action_logprobs, action_tokens

# %%
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")
profile = get_profile(PROFILE)
demos = demonstrations(profile)
policies = {"SFT": policy(profile, "sft")}
try:
    policies["RFT"] = policy(profile, "rft")
except ValueError as error:
    print("no RFT policy:", error)
known = [replace(task, variant=2000) for task in train_tasks(profile)[0][:48]]
runs = {}
for name, actor in policies.items():
    greedy = player(actor, 0.0)
    seen = greedy.run([greedy.start(task, 0, 0) for task in known])
    runs[name] = {"demonstrated": seen}
    runs[name]["held out"] = greedy_runs(profile, name.lower())
size = load_policy(policies["SFT"].folder).num_parameters()
print(f"{size:,} parameters, {len(demos)} demonstrations")


# %%
def depth_of(task):
    return make_env(task.env).reset(options={"index": task.index})[1]["depth"]


def success(trajectories, depth=None):
    """Success of each task, of one depth or of all."""
    keep = [t for t in trajectories if depth in (None, depth_of(t.task))]
    return np.array([t.success for t in keep], dtype=float)


rates = {}  # policy -> group of goals -> interval
for name, by_kind in runs.items():
    rates[name] = {}
    for kind, trajectories in by_kind.items():
        for d in sorted({depth_of(t.task) for t in trajectories}):
            wins = success(trajectories, d)
            group = f"{kind}\ndepth {d}\nn = {len(wins)}"
            rates[name][group] = bootstrap_interval(wins)

# %%
groups = list(rates["SFT"])
fig = plots.beam_points(
    groups, {name: [r[g] for g in groups] for name, r in rates.items()}
)
fig.axes[0].set(xlabel="goals", ylabel="greedy success", ylim=(-0.03, 1.03))
fig.axes[0].tick_params("x", rotation=0)
known_to, new = (success(runs["SFT"][k]) for k in ("demonstrated", "held out"))
means = {n: [round(r[g].mean, 2) for g in groups] for n, r in rates.items()}
show_figure(
    fig,
    alt=f"Greedy success by group of goals {groups}: {means}",
    caption=f"SFT reaches {known_to.mean():.0%} of the goals that it has seen "
    f"demonstrated and {new.mean():.0%} of the held-out ones. "
    "Greedy, one episode a goal, one training run; 95 % over goals.",
)

# %% [markdown]
# The figure shows pretraining and imitation together: the base has read thousands of
# episodes before it sees a demonstration. What imitation adds to that is the first line
# printed [further below](#rft-learning-from-own-successes).
#
# ## A turn, and the history around it
#
# A turn is a thought and an action, in the ReAct format. A chat template puts
# marks between the turns.
#
# The demonstrations come from the environment's expert. It plays a part of the
# training goals (the others are kept for rollouts), among distractors. Its
# thoughts quote the commands that an item is for, from the goal's own command
# downwards, so that a turn can be written by copying from the prompt.
#
# The policy starts from the small base that the package ships: a Llama of 2.5
# million parameters, pretrained on generated text of all four worlds, but on none of
# the goals, shops or templates that are kept for reward models or tests. It has read how agents act, good
# ones and bad ones; the demonstrations show it which of them to be. LoRA trains
# small matrices beside the frozen weights.

# %%
chat = policies["SFT"].chat
demo = min(demos, key=lambda t: (abs(t.num_steps - 3), len(t.ids)))
print(chat.tokenizer.decode(demo.ids))
show_source(demonstrate)

# %% [markdown]
# A trajectory stores the ids of all this and the place of every turn in them.
# Nothing is tokenized a second time: what the model produced is kept as it was
# produced (*ids in, ids out*). The table marks the parts. Only the turns carry
# loss; `score` is the position of a turn's last token, where a reward model
# will read its value later, and the `root` before the first turn has one too.


# %%
def parts(trajectory):
    """(kind, start, end) of every stretch of the ids."""
    found, end = [("prompt", 0, trajectory.prompt_len)], trajectory.prompt_len
    for a, b in trajectory.spans:
        if a > end:
            found.append(("observation", end, a))
        found.append(("turn", a, b))
        end = b
    return found


rows = []
for kind, a, b in parts(demo):
    text = chat.tokenizer.decode(demo.ids[a:b]).replace("\n", " ")
    loss = "■ yes" if kind == "turn" else "□ no"
    score = {"turn": b - 1, "prompt": "root"}.get(kind, "")
    rows.append((kind, f"[{a}, {b})", loss, score, text[:24] + "…"))
pd.DataFrame(rows, columns=["part", "ids", "loss", "score", "text"])

# %%
longest = max(demos[:200], key=lambda t: t.num_steps)
kinds = {"prompt": ("", 1), "observation": ("//", 1), "turn": ("", 2)}
fig, ax = looks.new_axes(height=1.6)
for (kind, (hatch, height)), look in zip(
    kinds.items(), looks.SPARE[::-1], strict=False
):
    bars = [(a, b - a) for k, a, b in parts(longest) if k == kind]
    style = {"facecolor": look.color, "edgecolor": "white", "hatch": hatch}
    ax.broken_barh(bars, (0, height), label=kind, **style)
ax.plot(longest.score_positions, [2.2] * longest.num_steps, "v", c=looks.INK)
ax.set(xlabel="position in the history", yticks=[], ylim=(0, 2.6))
looks.finish(fig, ax)
share = sum(b - a for a, b in longest.spans) / len(longest.ids)
show_figure(
    fig,
    alt=f"{longest.num_steps} turns, {share:.0%} of {len(longest.ids)} tokens",
    caption=f"Turns, the high bars, are {share:.0%} of this history: the only "
    "tokens with loss. Triangles: where the turns end and are scored.",
)

# %% [markdown]
# ## Loss on action tokens only
#
# Let $x_1, \dots, x_S$ be the ids of a history and $\mathcal I$ the positions
# inside turns. Behaviour cloning minimizes
#
# $$L = -\frac{1}{|\mathcal I|} \sum_{i \in \mathcal I}
# \log \pi(x_i \mid x_1, \dots, x_{i-1})$$
#
# The prompt and the observations are conditions, not targets: the agent doesn't
# choose them.
#
# | symbol | in the code | shape | meaning |
# |---|---|---|---|
# | $x$ | `ids` | S | the history |
# | $\mathcal I$ | `action_tokens(...)` | $\lvert\mathcal I\rvert$ | positions inside `spans` |
# | $\log \pi(x_i \mid \cdot)$ | `action_logprobs(...)` | $\lvert\mathcal I\rvert$ | from the logits at $i - 1$ |
# | $L$ | `-logp.mean()` | | mean over all action tokens of the batch |
#
# **By hand.** A history of four tokens: a prompt token, a turn of two tokens,
# an observation. The model gives the turn's tokens the probabilities 1/2 and
# 1/4, and the observation 1/100. Then
# $L = (\ln 2 + \ln 4)/2 = \frac32 \ln 2 = 1.0397$. With the observation counted
# it would be $(\ln 2 + \ln 4 + \ln 100)/3 = 2.2282$: more than half of it comes
# from a token that nobody asks the agent to write.

# %%
logp = np.log([0.5, 0.25, 0.01])
loss, with_observation = -logp[:2].mean(), -logp.mean()
print(f"turn only {loss:.4f}, with the observation {with_observation:.4f}")
assert math.isclose(loss, 1.5 * math.log(2))
assert math.isclose(round(with_observation, 4), 2.2282)
show_source(action_logprobs, action_tokens)

# %% [markdown]
# An independent check, on the trained policy: the whole table of probabilities
# for one demonstration, without the library's shortcut (which computes logits
# at the needed positions only), and the shift by one done by hand.

# %%
model = load_policy(policies["SFT"].folder)
with torch.no_grad():
    ids = torch.tensor([demo.ids], device=model.device)
    table = model(ids).logits[0].double().log_softmax(-1)  # [S, V]
    by_hand = [
        float(table[i - 1, demo.ids[i]])
        for start, end in demo.spans
        for i in range(start, end)
    ]
    library = action_logprobs(model, [demo]).tolist()
print(f"{len(library)} action tokens, loss {-np.mean(library):.4f}")
assert np.allclose(by_hand, library, atol=1e-4)

# %% [markdown]
# ## Training

# %%
panels, ends = {"loss on action tokens": {}, "gradient norm": {}}, []
for name, actor in policies.items():
    log = training_log(actor.folder)
    pieces = np.array_split(np.arange(len(log)), min(40, len(log)))
    x = [100 * (piece[-1] + 1) / len(log) for piece in pieces]
    for title, key in zip(panels, ("loss", "grad_norm"), strict=True):
        y = [np.mean([log[i][key] for i in piece]) for piece in pieces]
        panels[title][name] = (x, y)
    first, last = log[0]["loss"], log[-1]["loss"]
    ends.append(f"{name} from {first:.2f} to {last:.2f} in {len(log)} steps")
show_figure(
    plots.training_curves(panels, xlabel="% of the training"),
    alt=f"Loss and gradient norm by step. Loss of {'; '.join(ends)}.",
    caption=f"Loss of {'; '.join(ends)}. RFT starts where SFT ended, on texts "
    "that it wrote itself. Means over stretches of the training.",
)

# %% [markdown]
# What each number means: `loss` is the mean of $-\log \pi$ over the action
# tokens of one batch, in nats; $e^{-\text{loss}}$ is the (geometric) mean
# probability of an expert's token. `grad_norm` is the length of the gradient
# before it is cut to 1. `lr` rises for a tenth of the steps and then falls to 0
# along a cosine. Watch for a loss that falls while the greedy success on new
# goals does not rise: the model may learn the goals by heart.
#
# ## What the policy does
#
# A held-out episode, and what the replies were in all of them. In a failed
# episode the reply tells what kind of mistake it was.

# %%
held = runs["SFT"]["held out"]
shown = next((t for t in held if not t.success), held[0])
print(shown.observations[0].splitlines()[-1], "success:", shown.success)
for t in range(min(6, shown.num_steps)):
    action = parse_action(shown.actions[t])
    print(f"  > {action}\n    {shown.observations[t + 1][:72]}")


# %%
def reply_kind(reply):
    kinds = {
        "Got": "ok: got",
        "Crafted": "ok: crafted",
        "Inventory": "ok: inventory",
        "Could not find enough": "too few items",
        "Could not find a valid": "no such recipe",
        "Could not find": "can't be got",
    }
    return next((v for k, v in kinds.items() if reply.startswith(k)), "format")


rows = [
    (f"{name}, {'success' if t.success else 'failure'}", reply_kind(reply))
    for name in runs
    for t in runs[name]["held out"]
    for reply in t.observations[1:]
]
replies = pd.DataFrame(rows, columns=["episodes", "reply"])
pd.crosstab(replies["reply"], replies["episodes"])

# %% [markdown]
# *can't be got*: no base item; it must be crafted, or doesn't exist. `format` means that no command could be read. These are the rules of the
# parser, AgentGym's:

# %%
turns = {
    "one action": "Thought:\nI need it.\n\nAction:\nget 2 stick",
    "on the same line": "Action: get 2 stick",
    "signs and spaces": "Action:\nget  2 [stick]!",
    "a second line": "Action:\nget 2 stick\nand 1 coal",
    "two actions": "Action:\nget 2 stick\nAction:\nget 1 coal",
    "no action": "I give up.",
}
table = [(k, repr(t), repr(parse_action(t))) for k, t in turns.items()]
pd.DataFrame(table, columns=["case", "turn", "action"])

# %% [markdown]
# None, for several actions, is answered by an error and uses up the round; so
# does the empty action.
#
# ## RFT: learning from own successes
#
# Let $\mathcal D$ be the policy's own episodes on training goals that have no
# demonstration. RFT minimizes the same loss on
# $\mathcal D^+ = \{\tau \in \mathcal D : r(u, \tau) = 1\}$,
# with repetitions dropped and at most four episodes a goal, so that easy goals don't
# crowd out the others (this profile samples four a goal, so only repetitions go). It needs rewards but no expert. It can't learn what the policy
# never gets right.

# %%
played = rollouts(profile)
wins = [t for t in played if t.success]
different = {(t.task, t.actions) for t in wins}
print(f"{len(played)} episodes of {len({t.task for t in played})} goals")
print(f"{len(wins)} succeeded, {len(different)} of them different")
print(f"{len({t.task for t in wins})} goals have a success to learn from")


def verdict(name, ours, base):
    mean, lo, hi = bootstrap_interval(ours, base)
    word = "more" if lo > 0 else "less" if hi < 0 else "undecided"
    n = np.shape(ours)[-1]
    print(f"{name} (n = {n}): {mean:+.3f} [{lo:+.3f}, {hi:+.3f}]: {word}")


# %%
SAMPLES, tasks = 3, [t.task for t in held[::2]]
first = player(Policy(base(profile), chat, profile), 0.0)
played = first.run([first.start(t.task, 0, 0) for t in held])
verdict("SFT minus its base, greedy, held out", success(held), success(played))
print("RFT minus SFT" if "RFT" in policies else "there is no RFT policy")
if "RFT" in policies:
    for kind in ("demonstrated", "held out"):
        both = (success(runs[name][kind]) for name in ("RFT", "SFT"))
        verdict(f"greedy, {kind}", *both)
    hot = player(policies["RFT"], profile.eval_temperature)
    jobs = [hot.start(t, k, 1) for k in range(SAMPLES) for t in tasks]
    ours = success(hot.run(jobs)).reshape(SAMPLES, len(tasks))
    of_sft = {(t.sample, t.task): t for t in pool(profile)}
    sft = success([of_sft[k, t] for k in range(SAMPLES) for t in tasks])
    verdict("sampled, 3 a goal, held out", ours, sft.reshape(ours.shape))

# %% [markdown]
# Read a line like this: the mean difference, its 95 % interval over goals (and
# samples, for the sampled line), and a verdict only if the interval leaves out
# zero. Both policies are one training run each: the intervals say nothing about
# another seed of the training.
#
# The first line tells how much the demonstrations added to what the base could
# do already. In the profile cpu that is undecided. And look at the number of steps that RFT had, in the caption of
# the loss: the successes counted above make few steps. So small a push can be
# invisible on so few goals; *undecided* means that, and not that RFT is worth
# nothing.
#
# ## A misuse that looks right
#
# It is tempting to keep the text of a history and to tokenize it again when the
# ids are needed. The text is the same, so the ids should be? No. A model may
# write one word in two pieces. The text doesn't show it, and all positions after
# it are off by one.
#
# The cell below takes an expert's episode and splits one token a turn, a number or
# a word, into a space and the rest, as a policy could. The text stays the same to the letter. The cell after it counts how
# many of the turns that the policy really sampled, and ended by itself, come back from text as other ids.


# %%
def in_two(ids):
    """The same text with one token written as two, if there is a way."""
    for k, token in enumerate(ids):
        text = chat.tokenizer.decode([token])
        for cut in range(1, len(text)):
            pieces = [chat.encode(text[:cut]), chat.encode(text[cut:])]
            new = [*ids[:k], *pieces[0], *pieces[1], *ids[k + 1 :]]
            one_each = [len(p) for p in pieces] == [1, 1]
            if one_each and chat.decode(new) == chat.decode(ids):
                return new
    return list(ids)

# %%
shifts, shift = [], 0
for a, b in longest.spans:
    written = in_two(list(longest.ids[a:b]))
    again = chat.turn_ids(chat.decode(written))
    assert chat.decode(again) == chat.decode(written), "the text differs"
    shift += len(again) - len(written)
    shifts.append(shift)
sampled = [t.ids[a:b] for t in pool(profile) for a, b in t.spans]
ended = [list(ids) for ids in sampled if ids[-1] in chat.end_ids]
same = [chat.turn_ids(chat.decode(ids)) == ids for ids in ended]
print(f"{same.count(False)} of {len(same)} sampled turns come back otherwise")

# %%
fig, ax = looks.new_axes(height=2.6)
look = looks.SPARE[1]
ax.step(range(len(shifts)), shifts, where="mid", marker="o", c=look.color)
ax.axhline(0, color=looks.INK, linestyle="--", label="ids kept")
ax.set(xlabel="turn", ylabel="error of its end, tokens")
ax.set_xticks(range(len(shifts)))
looks.finish(fig, ax)
show_figure(
    fig,
    alt=f"The error of a turn's end after re-tokenizing, by turn: {shifts}",
    caption="Where re-tokenized text puts the end of each turn, less where it "
    "is. Every turn adds to it; a reward model would read at wrong places.",
)
for trajectory in pool(profile):
    for a, b in trajectory.spans:
        ended = trajectory.ids[b - 1] in chat.end_ids
        cut = b - a == profile.max_new_tokens
        assert ended or cut, "a turn ends neither by itself nor at its limit"
print("every score position stands at the last token of a turn")

# %% [markdown]
# The last assertion holds for every trajectory of this library: a turn ends with
# a token that ends turns or at the length limit. It is cheap; keep one like it in
# your own code.
#
# ### Exercise 02.1
#
# *Easy, 10 minutes.* Write `sft_loss(logprobs, spans)`. `logprobs[i]` is
# $\log \pi(x_i \mid x_1, \dots, x_{i-1})$ of the token at position `i`, for
# every position of a history; `spans` lists the turns as `(start, end)` with
# `end` not included. Return the behaviour cloning loss.


# %% tags=["exercise-02-1"]
def sft_loss(logprobs, spans):
    """Return the mean negative log-probability of the action tokens."""
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_sft_loss

attempt(check_sft_loss, sft_loss)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First collect the log-probabilities of all tokens inside turns.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Every token counts the same, so a long turn counts more than a short one:
# one mean over all of them, not a mean of means.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def sft_loss(logprobs, spans):
#     own = [x for start, end in spans for x in logprobs[start:end]]
#     return -sum(own) / len(own)
# ```
#
# </details>

# %% [markdown]
# ### Exercise 02.2
#
# *Medium, 15 minutes.* Write `keep_for_rft(episodes, per_task)`. An episode is
# a tuple `(task, actions, success)`. Return the episodes that RFT learns from,
# in the order in which they came: successes only, of one task at most
# `per_task`, and none whose actions equal those of one that was kept for the
# same task.


# %% tags=["exercise-02-2"]
def keep_for_rft(episodes, per_task):
    """Return the different successes, at most per_task of each task."""
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_keep_for_rft

attempt(check_keep_for_rft, keep_for_rft)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Keep a dict from task to the actions that you have kept so far.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Compare and count only after you have thrown the failures out: a failure must
# neither use up a place nor make a success look like a repetition.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def keep_for_rft(episodes, per_task):
#     kept, seen = [], {}
#     for task, actions, success in episodes:
#         same = seen.setdefault(task, [])
#         if success and actions not in same and len(same) < per_task:
#             same.append(actions)
#             kept.append((task, actions, success))
#     return kept
# ```
#
# </details>

# %% [markdown]
# ## Paper and here
#
# | | the paper | here |
# |---|---|---|
# | simplified | Qwen2.5 and Llama-3.1, instruction-tuned | in the profile cpu a Llama of 2.5 million parameters, pretrained on text of the worlds |
# | simplified | 300 recorded trajectories of AgentGym | demonstrations of the environment's expert, on part of the training goals |
# | faithful | ReAct turns and their parser | the same |
# | simplified | AgentGym's prompt | the rules in our own words; the small base is not shown them |
# | faithful | SFT and RFT are judged greedily | the same, and sampled beside it |
# | ours | which successes RFT keeps is not given | at most four different ones a goal |
# | ours | | ids in, ids out; the place where $M$ is read (a turn's last token) and a hash of the template travel with the checkpoint |
#
# To vary next: half of the demonstrations (`demo_goals`); one success a goal in RFT
# (`RFT_PER_TASK` in `agentprm_lite/train.py`); a second round
# of RFT on rollouts of the RFT policy.
#
# ## Summary
#
# 1. Behaviour cloning counts action tokens only; the hand case gives 1.0397, and
#    the library's loss equals a computation on the whole table of probabilities
#    ([loss](#loss-on-action-tokens-only)).
# 2. Success on demonstrated goals doesn't say how a policy does on new ones: read
#    it on goals that were never trained on, depth by depth, with an interval over
#    goals ([the question](#the-question)).
# 3. RFT imitates the policy's own successes: it needs rewards and no expert, and
#    it can't learn what the policy never gets right
#    ([RFT](#rft-learning-from-own-successes)).
# 4. The same text can have different ids; positions are stored, never searched
#    for ([the misuse](#a-misuse-that-looks-right),
#    `test_ids_are_prompt_turns_and_observations_in_order`).
#
# **Quiz**
#
# <details><summary>1. Why do observation tokens carry no loss?</summary>
#
# The world writes them. To predict them well is no part of acting well, and they
# would take most of the gradient where they are hard to predict.
#
# </details>
#
# <details><summary>2. RFT saw no held-out goal. How could it help there?
# </summary>
#
# It saw goals that have no demonstration, and the policy's own detours that
# ended well. Whether it helps is a question for an interval.
#
# </details>
#
# <details><summary>3. Where is the loss of the first token of a turn read?
# </summary>
#
# From the logits one position earlier: at the last token of the prompt or of the
# observation.
#
# </details>
#
# **References**
#
# - Yao et al. 2023, *ReAct* (arXiv 2210.03629): why a thought comes before each
#   action.
# - Yuan et al. 2023 (arXiv 2308.01825): rejection-sampling fine-tuning, and how
#   it scales with the number of samples.
# - Xi et al. 2024, *AgentGym* (arXiv 2406.04151): the turn format and the parser.
# - Xi et al. 2025, *AgentPRM* (arXiv 2511.08325): SFT and RFT as baselines.
