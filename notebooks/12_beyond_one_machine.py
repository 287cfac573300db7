# %% [markdown]
# # 12 Beyond one machine
#
# At the end you will have measured how the time of every stage grows on the machine in front of you, checked that the parts of two ranks add up to the loss of one, and drawn up a plan, with its
# arithmetic, for 1,000 environments at once and a policy of 70 billion weights.
#
# | | |
# |---|---|
# | Before this | [chapter 3](03_rollouts.ipynb) (rollouts), [chapter 5](05_agentprm.ipynb) (training), [chapter 7](07_beam_search.ipynb) (beam search) |
# | Run time | see the [status page](../book/status.md) |
# | Paper | no equation of its own: what the method costs at sizes like the paper's, 0.5 to 8 billion weights, and beyond |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/12_beyond_one_machine.ipynb) |

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
# Everything so far ran in one process. What changes with a larger model, and what with more machines? Three kinds of answers stand in this chapter, and each says which kind it is: **measured** here and now, **estimated** from shapes
# of models, and **arithmetic** from stated assumptions. Only the first kind is a finding, and only about this machine.
#
# **Predict before you run.**
# 1. Twice the episodes in a batch: does sampling take twice the time?
# 2. Two processes take half of a batch each and average their mean losses. Is that the batch's loss?
# 3. 16 attempts at each of 1,000 tasks by a policy of 70 billion weights: how many hours of one GPU?
#
# ## What grows with what
#
# Four stages of the pipeline, at a few sizes $n$: sampling $n$ episodes side by side; scoring $n$ trajectories; training a reward model for one epoch on $n$ trajectories, in batches of the profile's size; and a beam 2×2 on $n/4$ tasks, which
# moves $n$ episodes. In sampling and in the beam episodes stop after five turns, so that the longest one doesn't decide; scoring and training take stored rollouts. Every time is the median of three runs.

# %%
import time
from dataclasses import replace
import numpy as np
import pandas as pd
import torch
from agentprm_lite import new_reward_model, search, train
from agentprm_lite.kinds import RewardExample
from agentprm_lite.kinds import RewardLoss
from agentprm_lite.tutorial import looks, memory, rewards, stages
from agentprm_lite.tutorial.notebook import show_figure, show_source
from agentprm_lite.tutorial.profiles import get_profile
profile = get_profile(PROFILE)
SIZES = (4, 8, 16) if PROFILE == "smoke" else (8, 16, 32, 64)
brief = replace(profile, max_rounds=5)
backend = stages.player(
    replace(stages.policy(profile), profile=brief), 1.0)
played = [t for t in stages.rollouts(profile) if t.num_steps]
jobs = [(t.task, t.sample) for t in stages.pool(profile)]
goals = list(dict.fromkeys(task for task, _ in jobs))
judge = rewards.reward_model(profile, "agentprm")

# %%
def spread(items, n):
    """n of them at equal distances: easy and hard tasks at every size."""
    return items[:: max(1, len(items) // n)][:n]


# %%
def sampling(n):
    return backend.run([backend.start(*job, 1) for job in spread(jobs, n)])

def scoring(n):
    return judge.score(spread(played, n))

def training(n):
    student = new_reward_model(backend.model, profile.lora, 0)
    examples = [RewardExample(t) for t in spread(played, n)]
    config = replace(profile.reward, epochs=1)
    start = time.perf_counter()  # making the model doesn't count
    train.train_reward_model(
        student, examples, "agentprm", config, held_out=0
    )
    return time.perf_counter() - start

def beam(n):
    return search.beam_search(backend, judge, spread(goals, n // 4), 2, 2)


# %%
def seconds(stage, n):
    """Median of three runs; a stage may time itself."""
    took = []
    for _ in range(3):
        start = time.perf_counter()
        own = stage(n)
        whole = time.perf_counter() - start
        took.append(own if isinstance(own, float) else whole)
    return float(np.median(took))


measured, slopes = {}, {}
for stage in (sampling, scoring, training, beam):
    stage(SIZES[0])  # the first call is slower
    measured[stage.__name__] = [seconds(stage, n) for n in SIZES]
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")
pd.DataFrame(measured, index=[f"n = {n}" for n in SIZES]).round(3)

# %%
fig, ax = looks.new_axes()
far = np.array([SIZES[0], SIZES[-1], 1000])
for (name, took), look in zip(measured.items(), looks.SPARE, strict=False):
    slope, start = np.polyfit(np.log(SIZES), np.log(took), 1)
    slopes[name], line = slope, np.exp(start + slope * np.log(far))
    ax.plot(SIZES, took, look.marker, color=look.color, label=name)
    ax.plot(far[:2], line[:2], color=look.color, linestyle="-")
    ax.plot(far[1:], line[1:], color=look.color, linestyle=":")
ax.set(xscale="log", yscale="log", ylabel="seconds",
       xlabel="n, episodes or trajectories")
looks.finish(fig, ax)
says = ", ".join(f"{name} {slope:.2f}" for name, slope in slopes.items())
show_figure(
    fig,
    alt=f"Seconds against n, both axes logarithmic; slopes: {says}.",
    caption=f"Points: measured, n = {SIZES[0]} to {SIZES[-1]}. Lines: fitted "
    "through them. Dotted: extrapolated to 1,000, not measured. Slope 1: "
    f"twice the work, twice the time. Slopes here: {says}.",
)

# %% [markdown]
# **How to read it.** A slope below 1 means that a larger batch is cheaper per episode. A policy produces one token after another, and each step has a price that doesn't depend on the batch: the weights
# are read once for all episodes, and Python runs its lines once. While that price dominates, more episodes are nearly free. A slope above 1 means that something fills up, such as the cores' caches, or that other programs run. Scoring and training see whole trajectories at once; where a batch is already full, twice the
# data is twice the batches, and the slope comes near 1.
#
# The dotted part is a guess. It fails where something fills up: the cores, the memory, the longest episode that all others wait for. Never plan with a dotted line alone.
#
# ## What a token costs
#
# A weight that is multiplied takes part in one multiplication and one addition: with $P$ weights a forward pass costs $2P$ floating-point operations a token. Training all weights costs $6P$: the backward pass makes gradients of
# the activations ($2P$) and of the weights ($2P$). With LoRA the base needs no gradients of its own, so it is about $4P$; `checkpointing` adds another forward pass, $2P$. $P$ leaves out an embedding table that is only looked up.
# Attention comes on top: with $d$ = query heads × head size, $\ell$ layers and a history of $S$ tokens, $2d\ell S$ a token in the mean.

# %%
def weights(shape):
    looked_up = 0 if shape.tied else shape.vocab * shape.hidden
    return shape.parameters - looked_up


here = memory.Shape.of(backend.model.config)
shapes = {f"this profile ({profile.name})": here, **memory.QWEN}
tokens = sum(len(t.ids) for t in spread(played, SIZES[-1]))
speed = 2 * weights(here) * tokens / measured["scoring"][-1]
print(f"scoring did {speed:.2g} operations a second here (measured; "
      "attention and padding not counted)")
print("millions of operations a token, by the formulas:")
pd.DataFrame({
    name: [weights(s) / 1e6, *(k * weights(s) / 1e6 for k in (2, 4, 6)),
           2 * s.queries * s.layers * 2048 / 1e6]
    for name, s in shapes.items()
}, index=["P in millions", "forward", "LoRA", "all weights",
          "attention, S = 2048"]).T.round(1)

# %% [markdown]
# Divide the measured number by what your machine could do at best, and you have its **utilisation**. It is the one number in a plan that no formula gives: measure it on the machine that you will use.
#
# ## Memory
#
# Time can be waited for, memory can't. While sampling, what grows is the cache of keys and values; while training, what is kept for the gradient. `memory.memory_estimate` adds up both from the shape of a model. The table takes LoRA
# of rank 16, float16 on the T4 and bfloat16 elsewhere. *episodes*: histories of 2,048 tokens that can be sampled together. *batch*: padded tokens of an SFT step. 0: it doesn't fit.

# %%
print("estimated, not measured; weights in GiB")
table = pd.DataFrame(memory.memory_table()).set_index(["gpu", "model"])
table.drop(columns="dtype").rename(
    columns={"batch_checkpointing": "batch, checkpointing"}
)

# %% [markdown]
# ## Many machines: what is shared out
#
# `torchrun` starts the same program several times; each process is a *rank*, with a GPU of its own. Nothing of ours starts, places or restarts processes: that is the work of torchrun, Slurm or Kubernetes.
#
# | stage | what is shared out | result |
# |---|---|---|
# | training | every batch is split over the ranks; gradients are added up | that of one process, up to rounding |
# | collecting, Monte Carlo, beam search | whole blocks of episodes or tasks, in turn; a file a rank, merged at the end | the file that one process would have written |
# | sampling from servers | every turn goes to a server with a free place | one file; the seed of a turn goes with the request |
# | all the rest (demonstrations, scoring a pool, PPO's loop, figures) | nothing: rank 0 works, the others wait | |
#
# Every rank holds the whole model (*data parallel*). A policy that fits on no GPU is served by vLLM or SGLang, which split it.
#
# **Why token ids must be exact.** A server may answer with text. But one text has many tokenizations, and the policy sampled one of them. With another one, log-probabilities belong to tokens that were never sampled,
# and $M$ is read at a position that was never trained. So `ServerPlayer` sends ids, asks for ids, and refuses a server that returns none.
#
# ## A case to solve by hand, and a misuse that looks right
#
# Rank 0 has one labelled position with squared error 1. Rank 1 has nine, all with error 0. The batch's mean is $1/10$. Each rank's own mean is right: 1 and 0. Their average is $1/2$, five times too much.
#
# This is what `loss.mean()` under plain DDP does, and nothing crashes: the curve looks like a curve. The positions of short episodes count for more, and agents' episodes are short when they succeed at once. The trained model then depends on
# the number of ranks. So each part, shown below, divides by the `sizes` of the whole *step*, and the parts add up. The passes of one process over a step do the same.
#
# The cell does it for AgentPRM's loss, where $L_Q$ and $L_A$ count different positions: once as `fit` deals the batch out, in turn, and once with the short episodes on one rank and the long ones on the other.

# %%
from agentprm_lite.distributed import Ranks
from agentprm_lite.distributed.ranks import Rank

show_source(Ranks.parts, RewardLoss.sizes, RewardLoss.forward)
loss = RewardLoss(judge.model.float(), "agentprm")
batch = sorted(played[:16], key=lambda t: t.num_steps)
batch = [RewardExample(t) for t in batch]
sizes = loss.sizes(batch)
with torch.no_grad():
    whole = float(loss(batch, sizes)[0])
    for size in (1, len(batch) // 2):
        parts = [Rank(rank, 2).blocks(batch, size) for rank in (0, 1)]
        shares = [float(loss(part, sizes)[0]) for part in parts]
        means = [float(loss(p, loss.sizes(p))[0]) for p in parts]
        steps = [sum(e.trajectory.num_steps for e in p) for p in parts]
        print(f"blocks of {size}: {steps} steps on the two ranks")
        print(f"  whole {whole:.6f}, shares add up to {sum(shares):.6f}")
        print(f"  average of the ranks' means {np.mean(means):.6f}, "
              f"{np.mean(means) / whole - 1:+.1%}")
        assert np.isclose(sum(shares), whole, rtol=1e-4)

# %% [markdown]
# `tests/distributed/test_ranks.py` does the same with two real processes and compares the trained weights.
#
# ## The commands
#
# They are not executed here. One GPU:
#
# ```bash
# agentprm collect --profile paper          # trains the SFT policy first, if it isn't there
# agentprm train agentprm --profile paper
# agentprm search --profile paper -n 4 -m 4
# ```
#
# Eight GPUs of one machine, any of these commands (`train reward`, on logs, takes one process):
#
# ```bash
# torchrun --nproc-per-node 8 -m agentprm_lite.tutorial.cli collect --profile paper
# ```
#
# Four such machines: on each the same line, and one folder that all of them see.
#
# ```bash
# export AGENTPRM_ARTIFACTS=/shared/agentprm
# torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-id prm \
#     --rdzv-endpoint FIRST_HOST:29400 -m agentprm_lite.tutorial.cli train agentprm --profile paper
# ```
#
# Sampling from servers. The first line prints the policy's folder, an ordinary checkpoint; the second, with that folder, runs on every serving machine, where vLLM spreads requests over `N` copies:
#
# ```bash
# agentprm train sft --profile paper
# vllm serve DIR --data-parallel-size N
# agentprm collect --profile paper --server http://HOST1:8000/v1 --server http://HOST2:8000/v1
# ```
#
# A reward model for others, as one folder, and on a server of its own; the folder's README says how to ask it:
#
# ```bash
# agentprm export --profile paper --model agentprm --out DIR
# vllm serve DIR --runner pooling --convert classify
# ```
#
# ## A plan for a thousand environments
#
# A policy of 70 billion weights, 1,000 tasks, 16 attempts at each. This is **arithmetic, not measurement**. The cell's first lines are assumptions, and the result is no better than they are. The shares reached are the weakest: 40 % of the peak for whole texts, 60 % of the memory's speed while
# producing tokens. Every history is read once and kept in the cache.

# %%
TASKS, SAMPLES = 1000, 16
PROMPT, TURNS, SAID, REPLY = 1000, 10, 60, 60  # tokens
BYTES, FLOPS, READ = 80e9, 989e12, 3.35e12  # an H100, by its data sheet
FULL, BUSY, READING = 0.9, 0.4, 0.6  # shares that are reached
PARAMETERS, LAYERS, KV_HEADS, HEAD = 70e9, 80, 8, 128  # a Llama of 70B
GPUS = 4  # that hold one copy of the policy in bfloat16

history = PROMPT + TURNS * (SAID + REPLY)
kv = 2 * LAYERS * KV_HEADS * HEAD * 2  # bytes a token
room = GPUS * BYTES * FULL - 2 * PARAMETERS
held = int(room // (kv * history))
copies = -(-TASKS // held)  # rounded up
fleet, side = copies * GPUS, TASKS / copies
print(f"cache: {kv:,} bytes a token, {kv * history / 1e9:.2f} GB an episode")
print(f"a copy holds {held} episodes: {copies} copies, {fleet} GPUs")
step = (2 * PARAMETERS + side * kv * (PROMPT + history) / 2) / (
    GPUS * READ * READING)
print(f"a token for {side:.0f} episodes: {1e3 * step:.0f} ms; the worlds "
      f"have to answer {TASKS / (step * SAID):.0f} turns a second")

# %%
episodes = TASKS * SAMPLES
read = PROMPT + TURNS * REPLY
again = TURNS * PROMPT + (SAID + REPLY) * TURNS * (TURNS - 1) / 2
hour = FLOPS * BUSY * 3600  # operations in one hour of a GPU
prefill = 2 * PARAMETERS * episodes / hour  # hours, for a token an episode
produce = SAMPLES * TURNS * SAID * step * fleet / 3600
rest = 8 * (TURNS - 1) / 2  # further episodes that MC plays for each
qwen = memory.QWEN["Qwen2.5-7B"]
trunk = weights(qwen) - qwen.vocab * qwen.hidden  # no language-model head
hours = {
    "sampling: reading": prefill * read,
    "sampling: producing": produce,
    "reading again every turn instead": prefill * again,
    "reward model 7B: LoRA, an epoch": 4 * trunk * episodes * history / hour,
    "reward model 7B: scoring": 2 * trunk * episodes * history / hour,
    "MC labels instead, 8 a state": rest * (
        produce + prefill * TURNS * REPLY),
}
pd.DataFrame({"hours of a GPU": hours, f"minutes on {fleet}": {
    name: 60 * h / fleet for name, h in hours.items()}}).round(1)

# %% [markdown]
# Three things to take from it. Sampling costs more than the reward model, so the policy's machines decide. Without a cache of prefixes the policy reads its history again at every turn; keep it. vLLM and SGLang do, but the next turn has to reach the copy
# that has the history, and `ServerPlayer` sends it to any server with a free place: with many copies the truth lies between the two rows. And Monte Carlo labels for all 16 attempts of a task would cost many times their sampling. The paper labels one attempt a task in that way, and still needs 1.5 to 2.8 times the tokens of TD (its table 3).
#
# Your predictions: twice the episodes take less than twice the time, as long as the slope in the first figure is below 1; the mean of two means is the batch's loss only if each is weighted by its count; and 16,000 attempts take the first two rows together, about four hours of a GPU with the cache.
#
# One process of the profile `paper` keeps 256 episodes under way. Four of them (`torchrun --nproc-per-node 4 -m agentprm_lite.tutorial.cli collect` with the same `--server` options) keep 1,024. Then ask whether your world answers as many turns a second as the plan
# needs; `benchmarks/env_speed.py` measures ours.
#
# ### Exercise 12.1
#
# *Easy, 10 minutes.* Write `kv_bytes(layers, kv_heads, head_dim, tokens, bytes_each)`: the bytes that a history of so many tokens takes in the cache.


# %% tags=["exercise-12-1"]
def kv_bytes(layers, kv_heads, head_dim, tokens, bytes_each):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import attempt, check_kv_bytes

attempt(check_kv_bytes, kv_bytes)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Every layer keeps something for every token.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# It keeps two vectors: a key and a value, `kv_heads * head_dim` numbers each.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def kv_bytes(layers, kv_heads, head_dim, tokens, bytes_each):
#     return 2 * layers * kv_heads * head_dim * tokens * bytes_each
# ```
#
# </details>
#
# ### Exercise 12.2
#
# *Medium, 10 minutes.* Each rank reports its own mean loss and over how many positions it is a mean: `parts` is a list of `(mean, count)`. Write `weighted_mean(parts)`, the mean over all positions. A rank without positions
# reports `(float("nan"), 0)`: it counts for nothing. If no rank has any, return `None`.


# %% tags=["exercise-12-2"]
def weighted_mean(parts):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_weighted_mean

attempt(check_weighted_mean, weighted_mean)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A mean times its count is a sum, and sums may be added.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `0 * float("nan")` is not 0: leave such ranks out before you multiply.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def weighted_mean(parts):
#     kept = [(mean, count) for mean, count in parts if count]
#     total = sum(count for _, count in kept)
#     return sum(m * n for m, n in kept) / total if total else None
# ```
#
# </details>

# %% [markdown]
# ## What we left out
#
# - The times are one machine's, of small models, medians of three runs without an interval. The memory table and the plan were not tried on their GPUs.
# - Every rank loads the whole model. `Ranks(shard=True)` splits weights, gradients and AdamW's moments over the ranks while they train (FSDP2), which leaves a GPU's memory to the activations; a model that doesn't even fit into one GPU's memory would have to be loaded and sampled in parts, too. The library doesn't do that.
# - PPO and the scoring of a pool run on rank 0 alone.
# - Weights don't travel from a training run to servers: a new policy means a new `vllm serve`.
# - Turns don't return to the server that has their history.
# - No money: multiply the hours by your own price.
#
# ## Summary
#
# 1. A larger batch makes an episode cheaper while the price of a step dominates; where a batch is full, twice the data is twice the time ([the figure](12_beyond_one_machine.ipynb#what-grows-with-what)).
# 2. The ranks' shares of a loss add up to the batch's, the average of their means doesn't ([the case](12_beyond_one_machine.ipynb#a-case-to-solve-by-hand-and-a-misuse-that-looks-right); `tests/distributed/test_ranks.py`).
# 3. How many GPUs 1,000 episodes need at once follows from their cache of keys and values ([the plan](12_beyond_one_machine.ipynb#a-plan-for-a-thousand-environments)).
#
# ## Quiz
#
# <details><summary>1. Why do more episodes in a batch cost so little at first?</summary>
#
# The weights are read once a step for all of them. Until arithmetic or the cache takes over, that reading is what you wait for.
#
# </details>
#
# <details><summary>2. LoRA of rank 16 trains about 0.5 % of the weights of Qwen2.5-7B. Why does it still cost two thirds of full training?</summary>
#
# The forward pass and the gradients of the activations go through all of the base. Only the gradients of its weights are left out.
#
# </details>
#
# <details><summary>3. A server returns good text and no ids. What breaks?</summary>
#
# Log-probabilities and the positions where $M$ is read: they belong to the tokens that were sampled, and the text doesn't say which.
#
# </details>
#
# ## References
#
# - Hu et al. 2022, *LoRA*: why the base needs no gradients.
# - Snell et al. 2024, *Scaling LLM Test-Time Compute Optimally*: what to spend compute on once you have it.
# - Kwon et al. 2023, *Efficient Memory Management for Large Language Model Serving with PagedAttention*: vLLM, and why the cache decides.
# - Kaplan et al. 2020, *Scaling Laws for Neural Language Models*: section 2.1 counts the operations a token.
