# %% [markdown]
# # 8 Reinforcement learning with process rewards
#
# At the end you will have computed turn-level advantages by hand, seen three PPO runs with different rewards side by side, and know why a sum of raw values
# pays an agent for dithering while a difference of values does not.
#
# | | |
# |---|---|
# | Before this | [chapter 4](04_labels.ipynb) (GAE), [chapter 5](05_agentprm.ipynb) (the reward model) |
# | Run time | see the [status page](../book/status.md) |
# | Paper | reinforcement learning with AgentPRM as reward, [claim](../book/paper-and-here.md#the-claims) C5 |
# | Run it | [open in Colab](https://colab.research.google.com/github/agentprm-lite/agentprm-lite/blob/main/notebooks/08_ppo.ipynb) |

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
# The world pays once, at the end. A reward model has an opinion after every turn. Can that opinion make reinforcement learning (here PPO, proximal policy optimization) faster, and what can it break?
#
# Three runs of PPO start from the same SFT policy, with the same tasks and the same number of rounds. They differ in what a turn earns besides the world's reward:
#
# - **outcome**: nothing.
# - **shaping**: the change of value, $M_t - M_{t-1}$, with a zero at the end.
# - **raw Q**: the value itself, $M_t$.
#
# **Predict before you run.**
# 1. Which run will lengthen its episodes?
# 2. Two runs have the same optimal policies. Which two?
# 3. A penalty on the Kullback-Leibler divergence (KL: how far the policy's token probabilities have moved from those of SFT; 0 where they are equal) pulls the policy back. What would the curve `kl` show if the penalty were far too strong?

# %%
import numpy as np
import pandas as pd
import torch
from agentprm_lite import study
from agentprm_lite.tutorial import guided, looks, plots, stages
from agentprm_lite.labels import gae
from agentprm_lite.tutorial.notebook import show_figure, show_source
from agentprm_lite.tutorial.profiles import get_profile

profile = get_profile(PROFILE)
RUNS = {
    "outcome": ("outcome", None),
    "shaping (AgentPRM)": ("shaping", "agentprm"),
    "raw Q (AgentPRM)": ("raw_q", "agentprm"),
}
trained = {name: guided.ppo_run(profile, *run) for name, run in RUNS.items()}
logs = {name: pd.DataFrame(stages.training_log(run.folder))
        for name, run in trained.items()}
if PROFILE == "smoke":
    print("smoke sizes: these numbers are no findings")

# %%
print(f"{profile.ppo.iterations} rounds of {profile.ppo.tasks} tasks ×"
      f" {profile.ppo.samples} episodes, one seed a reward")
rounds = range(profile.ppo.iterations)
panels = {what: {name: (rounds, log[what]) for name, log in logs.items()}
          for what in ("success", "turns")}
says = "; ".join(
    f"{name}: success {log['success'].iloc[0]:.2f} to "
    f"{log['success'].iloc[-1]:.2f}, turns {log['turns'].iloc[0]:.1f} to "
    f"{log['turns'].iloc[-1]:.1f}"
    for name, log in logs.items()
)
show_figure(
    plots.training_curves(panels, xlabel="round"),
    alt=f"Three PPO runs, first to last round. {says}.",
    caption=f"First to last round, on each round's training tasks: {says}."
)

# %% [markdown]
# Read the left panel with care: every round draws other tasks, so a curve jumps even if the policy stands still. And look where it starts:
# the closer round 0 is to 1, the less PPO can win on these goals. What counts is the comparison on the same goals
# [below](08_ppo.ipynb#the-experiment-training-goals-and-held-out-goals).
#
# ## From imitation to reinforcement
#
# Behaviour cloning raises the log-probability of every turn of the expert. A **policy gradient** does the same with the agent's own turns, each weighted by how
# much better it went than expected:
#
# $$\nabla J \approx \mathbb E\Bigl[\sum_t \hat A_t\, \nabla \log \pi(a_t \mid s_t)\Bigr]$$
#
# $J$ is the mean return, and the **return** of a turn is the sum of the rewards from it on. What is expected, $V(s_t)$, comes from a **critic**: a linear head on the policy's hidden states that learns to predict the return. Weighting by the outcome
# alone would do on average, but then every turn of a success is praised, the bad ones too. Say an action succeeds always and another never, and the policy takes each half the time. Then $V = 0.5$, the
# advantages are $+0.5$ and $-0.5$, and the gradient moves probability from the second to the first. Once the policy takes the first action always, $V = 1$, all
# advantages are 0, and nothing changes any more.
#
# The episodes of a round are used for several steps, and after the first step they stem from a policy that is no longer quite the one in training. PPO therefore stops
# praising or blaming a token once its probability has moved by more than a share $\varepsilon$ in the direction of the push since it was sampled: that is the **clip**, defined further below.
#
# ## Advantages over turns, by hand
#
# One action of the agent is one **turn**. The state before turn $t$ has the value $V(s_t)$ (here: a critic on the policy's hidden states). GAE:
#
# $$\delta_t = r_t + \gamma V(s_{t+1}) - V(s_t), \qquad \hat A_t = \delta_t + \gamma \lambda \hat A_{t+1}$$
#
# with $V = 0$ after the end (Schulman et al. 2016, equation 16). Four turns with values 0.3, 0.4, 0.5, 0.6, reward 1 at the end, $\gamma = 1$, $\lambda = 0.95$:
#
# | turn | $\delta_t$ | $\hat A_t$ |
# |---|---|---|
# | 3 | 1 − 0.6 = 0.4 | 0.4 |
# | 2 | 0.6 − 0.5 = 0.1 | 0.1 + 0.95 · 0.4 = 0.48 |
# | 1 | 0.5 − 0.4 = 0.1 | 0.1 + 0.95 · 0.48 = 0.556 |
# | 0 | 0.4 − 0.3 = 0.1 | 0.1 + 0.95 · 0.556 = 0.6282 |

# %%
def advantages(values, rewards, lam=0.95):
    """The library's gae on one finished episode."""
    v = torch.tensor([values], dtype=torch.float64)
    r = torch.tensor([rewards], dtype=torch.float64)
    real = torch.ones_like(v, dtype=torch.bool)
    end = torch.zeros(1, dtype=torch.float64)
    return gae(r, v, end, real, 1.0, lam)[0].numpy()


V = [0.3, 0.4, 0.5, 0.6]
by_turn = advantages(V, [0, 0, 0, 1])
print(by_turn.round(4))
assert np.allclose(by_turn, [0.6282, 0.556, 0.48, 0.4])
show_source(gae)

# %% [markdown]
# ## A misuse that looks right: GAE over tokens
#
# A turn is made of tokens, and PPO code for single answers runs GAE over tokens. With turns of 10 action tokens and replies of 50 observation tokens between
# them, two versions suggest themselves:
#
# - **action tokens only**: observation tokens are cut out. The signs are right, but the weight of a later TD error now shrinks by $\lambda$ with every *token*: three turns later it is $0.95^{30} = 0.21$, where over turns it is $0.95^3 = 0.86$.
# - **all tokens, values zeroed**: observation tokens get the value 0 ("they are masked anyway"), and plain GAE runs over them. At the end of a turn the next value is 0: the
#   turn seems to have destroyed all value.
#
# The figure has the advantage at the last token of every turn.

# %%
def last_tokens(observation_tokens):
    """Advantages at the ends of turns of 10 tokens; values 0 between."""
    turns = [[v] * 10 + [0.0] * observation_tokens for v in V]
    path = [v for turn in turns for v in turn]
    path = path[: 40 + 3 * observation_tokens]
    ends = [9 + t * (10 + observation_tokens) for t in range(4)]
    return advantages(path, [0.0] * (len(path) - 1) + [1.0])[ends]


ways = {"over turns": by_turn, "action tokens only": last_tokens(0),
        "all tokens, zeroed": last_tokens(50)}
fig = plots.label_bars(ways, ["turn 0", "turn 1", "turn 2", "turn 3"])
fig.axes[0].set_ylabel("advantage")
show_figure(
    fig,
    alt="Advantage of turn 0 over turns 0.628, over action tokens 0.282, "
    "over all tokens with zeroed values -0.287.",
    caption="The symptom: good turns of a successful episode get a "
    "negative advantage: taken as it is, PPO would make them rarer.",
)

# %% [markdown]
# A check that catches the second version: the agent doesn't choose how long a reply is, so longer replies must not change an advantage.

# %%
for name, a in ways.items():
    print(f"{name:20s}", a.round(3))
assert np.allclose(ways["over turns"][0], 0.6282)
assert np.isclose(last_tokens(0)[0], 0.2816, atol=1e-4)
assert np.isclose(last_tokens(50)[0], -0.287, atol=5e-4)
moved = abs(last_tokens(50) - last_tokens(20)).max()
print(f"replies of 50 instead of 20 tokens move an advantage by {moved:.3f};")
print("over turns there is nothing to move: replies do not enter")

# %% [markdown]
# ## Shaping, by hand
#
# Let $\Phi(s)$ be any function of the state: a **potential**. Add to each turn's reward
#
# $$F_t = \alpha\,(\gamma\, \Phi(s_{t+1}) - \Phi(s_t))$$
#
# (Ng et al. 1999). With $\gamma = 1$ the sum over an episode telescopes to $\alpha(\Phi(s_T) - \Phi(s_0))$. With $\Phi = 0$ at the end, $-\alpha\Phi(s_0)$ is left: the same for
# **all** finished episodes from one prompt, whatever happens between. So the order of policies stays as it is. Here $\Phi(s_{t+1}) = M(s_t, a_t)$ and $\Phi(s_0) = M_{-1}$, the root value.
#
# Two turns, root value 0.5, values 0.6 and 0.9, reward 1 at the end, $\alpha = 1$:
#
# | | turn 0 | turn 1 | sum |
# |---|---|---|---|
# | the world | 0 | 1 | 1 |
# | shaping | 0 + 0.6 − 0.5 = 0.1 | 1 + 0 − 0.6 = 0.4 | 0.5 |
# | raw Q | 0 + 0.6 = 0.6 | 1 + 0.9 = 1.9 | 2.5 |
#
# The sum under shaping is $r - M_{-1} = 0.5$. At the last turn $M_1 = 0.9$ isn't used at all, because the potential of the end is 0. If it were kept, every
# episode would earn $\alpha M_1$ on top: an end that the model overrates would be paid for, whether the world pays or not.

# %%
from agentprm_lite.ppo import turn_rewards


def earned(kind, q, r=1.0, root=0.5, alpha=1.0):
    """What each turn earns, in an episode whose last reward is r."""
    q = torch.tensor([q], dtype=torch.float64)
    rewards = torch.zeros_like(q)
    rewards[0, -1] = r
    real, final = torch.ones_like(q, dtype=torch.bool), torch.tensor([True])
    roots = torch.tensor([root], dtype=torch.float64)
    out = turn_rewards(rewards, q, roots, real, final, kind=kind, alpha=alpha)
    return out[0].numpy()


for kind in ("outcome", "shaping", "raw_q"):
    each = earned(kind, [0.6, 0.9])
    print(f"{kind:8s}", each.round(2), "sum", each.sum().round(2))
assert np.allclose(earned("shaping", [0.6, 0.9]), [0.1, 0.4])
assert np.isclose(earned("raw_q", [0.6, 0.9]).sum(), 2.5)
show_source(turn_rewards)

# %% [markdown]
# ## Raw Q pays for dithering
#
# Take that episode and put idle turns into it: an action that changes nothing, so that $M$ stays at 0.6. With raw Q each idle turn earns 0.6 more. With 18 of them a *success* earns several times as much as
# the direct way, and even a **failure** with two of them beats a direct success. With shaping an idle turn earns exactly 0.

# %%
WORDS = {"raw_q": "raw Q", "shaping": "shaping"}
idle = np.arange(0, 19)
pays = {
    (kind, r): [earned(kind, [0.6] * (k + 1) + [0.9], r).sum() for k in idle]
    for kind in ("raw_q", "shaping") for r in (1.0, 0.0)
}
names = {
    f"{WORDS[kind]}, {'success' if r else 'failure'}": (idle, total)
    for (kind, r), total in pays.items()
}
show_figure(
    plots.training_curves({"sum of rewards": names}, xlabel="idle turns"),
    alt=f"Raw Q: a success earns {pays['raw_q', 1.0][0]:.1f} without idle "
    f"turns and {pays['raw_q', 1.0][-1]:.1f} with 18; with shaping 0.5 both.",
    caption="Raw Q rises with every idle turn; shaping is level.",
)
failed, direct = np.array(pays["raw_q", 0.0]), pays["raw_q", 1.0][0]
assert idle[failed > direct][0] == 2  # idle turns that make a failure pay
assert np.ptp(pays["shaping", 1.0]) < 1e-12

# %% [markdown]
# Does a policy learn it? Give it one weight: after its first turn it idles with probability $\sigma(\theta)$, again and again, else it makes its last turn and succeeds. We let an
# episode with 18 idle turns fail. Follow the exact gradient of what it earns. **Predict before you run:** where does each reward end?

# %%
k = torch.arange(19.0)  # idle turns; 18 is a failure
turns = {}
for kind, name in WORDS.items():
    ends = [earned(kind, [0.6] * (i + 1) + [0.9]).sum() for i in range(18)]
    ends.append(earned(kind, [0.6] * 20, r=0.0).sum())
    theta, turns[name] = torch.tensor(-1.0, requires_grad=True), []
    for _ in range(41):
        idles = theta.sigmoid()
        chance = idles**k * torch.where(k < 18, 1 - idles, 1.0)
        turns[name].append(float(chance.detach() @ k) + 2)
        earns = chance @ torch.tensor(ends).float()
        (slope,) = torch.autograd.grad(earns, theta)
        theta = (theta + 0.5 * slope).detach().requires_grad_()
    print(f"{name}: success {1 - chance[-1].item():.2f} at the end")
steps = {name: (range(41), row) for name, row in turns.items()}
show_figure(
    plots.training_curves({"turns an episode": steps}),
    alt=f"Turns an episode: raw Q from {turns['raw Q'][0]:.1f} to "
    f"{turns['raw Q'][-1]:.1f}, shaping stays at {turns['shaping'][-1]:.1f}.",
    caption="With raw Q the policy learns to idle until it fails.")

# %% [markdown]
# With shaping the policy idles as much as at the start: an idle turn earns 0. Only the last idle turn before the round limit costs anything, and it is too rare to push.
#
# | symbol | in the code | shape | meaning |
# |---|---|---|---|
# | $r_t$ | `rewards` | [B, T] | reward of the world |
# | $M_t$ | `q` | [B, T] | value after turn $t$: $\Phi(s_{t+1})$ |
# | $M_{-1}$ | `root` | [B] | value of the prompt: $\Phi(s_0)$ |
# | $\alpha$ | `alpha` | | weight of the process reward |
# | $V(s_t)$ | `values` of `gae` | [B, T] | the critic's value *before* turn $t$ |
# | $\hat A_t$ | result of `gae` | [B, T] | advantage; each token of a turn gets its turn's |
#
# **An independent check.** Shaped rewards with the shifted critic $V - \Phi$ must give the *same* advantages as plain rewards with $V$, for any potential and any $\lambda$: in each
# $\delta_t$ the potentials cancel. We try random ones. The check says more than that the code is right: for a critic that can represent $V - \Phi$, shaping is worth just as much as
# **starting** at the reward model's values (the linear critic here may not be able to). It can make learning faster while the critic knows little, and it does not change which policies are best.

# %%
rng = np.random.default_rng(0)
worst = 0.0
for _ in range(100):
    T = int(rng.integers(1, 8))
    phi = rng.random(T + 1)  # phi[0]: the prompt; phi[t + 1] = M_t
    v, r, lam = rng.random(T), float(rng.integers(0, 2)), rng.random()
    plain = advantages(v.tolist(), [0.0] * (T - 1) + [r], lam)
    extra = earned("shaping", phi[1:].tolist(), r, root=phi[0])
    moved = advantages((v - phi[:T]).tolist(), extra.tolist(), lam)
    worst = max(worst, np.abs(plain - moved).max())
print(f"largest difference in 100 episodes: {worst:.1e}")
assert worst < 1e-12

# %% [markdown]
# ## The loss: a clipped ratio, and KL to the reference
#
# The advantages are whitened over all turns of a round: $\tilde A$ is $\hat A$ less its mean, divided by its standard deviation. Every action token gets its turn's; observation tokens are in no loss. For a token $y$ let $\rho = \pi(y)/\pi_{\text{old}}(y)$, where $\pi_{\text{old}}$ is the policy that sampled it, at the start of the round. $\pi_{\text{ref}}$ is the SFT policy, and $c_{\text{KL}}$ (`kl`) weighs the penalty:
#
# $$L = -\operatorname{mean} \min\bigl(\rho \tilde A,\; \operatorname{clip}(\rho, 1-\varepsilon, 1+\varepsilon)\, \tilde A\bigr) + c_{\text{KL}} \operatorname{mean} \bigl(e^{d} - 1 - d\bigr), \qquad d = \log \pi_{\text{ref}} - \log \pi$$
#
# The critic's squared error, the mean over turns of $(V(s_t) - R_t)^2$ with $R_t = \hat A_t + V(s_t)$, is added; it trains the critic's head alone.
#
# The reference $\pi_{\text{ref}}$ costs no second model: it is the same model with its **adapters switched off** (`with model.disable_adapter()`).
#
# The KL term (k3, Schulman 2020) is never negative and its *mean* under $\pi$ is $\mathrm{KL}(\pi \,\|\, \pi_{\text{ref}})$. But as a loss on sampled tokens its expected *gradient* is that of the other direction, $\mathrm{KL}(\pi_{\text{ref}} \,\|\, \pi)$. The
# next cell shows both on a vocabulary of three tokens, by enumeration.

# %%
from agentprm_lite.losses import kl_penalty, policy_loss

show_source(policy_loss, kl_penalty)

# %%
z = torch.tensor([0.2, -0.5, 1.0], dtype=torch.float64, requires_grad=True)
ref = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
logp = z.log_softmax(0)
pi = logp.exp()
one = torch.ones(1, 1, dtype=torch.bool)
k3 = [kl_penalty(logp[None, [y]], ref[None, [y]], one) for y in range(3)]
k3 = torch.stack(k3)
forward, other = pi @ (logp - ref), ref.exp() @ (ref - logp)


def slope(x):
    return torch.autograd.grad(x, z, retain_graph=True)[0].numpy().round(4)


print(f"mean of k3 {pi @ k3:.6f}, KL(π‖ref) {forward:.6f}")
sampled = slope(pi.detach() @ k3)  # tokens are sampled: no gradient into pi
print("expected gradient of the loss", sampled)
print("gradient of KL(ref‖π)        ", slope(other))
print("gradient of KL(π‖ref)        ", slope(forward))
assert np.allclose(sampled, slope(other))

# %% [markdown]
# Fresh adapters change nothing (their second factor starts at zero), so before the first step policy and reference agree on every token. Both also agree with the log-probabilities that were stored at sampling, which are always
# those at temperature 1, whatever the sampling temperature. A large gap at round 0 means wrong positions, a wrong mask, or weights of another checkpoint.

# %%
from agentprm_lite import load_policy
from agentprm_lite.forward import action_logprobs

sampled = [t for t in stages.pool(profile) if t.logprobs][:4]
model = load_policy(stages.policy(profile).folder, profile.lora)
with torch.no_grad():
    now = action_logprobs(model, sampled)
    with model.disable_adapter():
        reference = action_logprobs(model, sampled)
stored = torch.tensor([x for t in sampled for x in t.logprobs])
print(f"{len(now)} action tokens of {len(sampled)} trajectories")
print(f"policy to reference: {float((now - reference).abs().max()):.1e}")
print(f"policy to stored:    {float((now.cpu() - stored).abs().max()):.1e}")
assert (now - reference).abs().max() < 1e-6
assert (now.cpu() - stored).abs().max() < 1e-2

# %% [markdown]
# ## The experiment: training goals and held-out goals
#
# Two questions. Did PPO learn what it was trained on? And does that carry over to goals that neither SFT nor PPO has seen? So each policy is sampled at temperature 1 on
# both sets, before and after; the stored pool, which may be hotter, would not do. On the training goals, too, the baseline is sampled anew: PPO's goals were chosen because SFT's rollouts had both outcomes there, so those same rollouts would flatter or
# punish SFT by chance (regression to the mean). The same tasks stand on both sides, so the difference is taken task by task and the bootstrap resamples tasks.
#
# Each reward has **one** training run here: the intervals cover tasks and samples, not the luck of a training seed. Two more seeds are one argument away
# (`guided.ppo_run(profile, "shaping", "agentprm", seed=1)`), and so are other judges (`"orm"`, `"pvm"`).

# %%
def by_task(trajectories, value):
    """[tasks] mean of a value over the samples of each task."""
    found = pd.Series([float(value(t)) for t in trajectories])
    return found.groupby([t.task.key for t in trajectories]).mean().to_numpy()


new, held = guided.ppo_training_pool, guided.ppo_pool
sft = stages.policy(profile)
pools = {"training": {"SFT": new(profile, sft)},
         "held-out": {"SFT": held(profile, sft)}}
for name, actor in trained.items():
    pools["training"][name] = new(profile, actor)
    pools["held-out"][name] = held(profile, actor)
values = {"success": lambda t: t.outcome, "turns": lambda t: t.num_steps}
tables = {(goals, what): {k: by_task(v, values[what]) for k, v in f.items()}
          for goals, f in pools.items() for what in values}
for goals, found in pools.items():
    print(f"n = {len(tables[goals, 'turns']['SFT'])} {goals} goals;",
          {k: f"{len(v)} samples" for k, v in found.items()})

# %%
fig, axes = looks.new_axes(4, 14.4, 2.6)
says = []
for ax, ((goals, what), table) in zip(axes, tables.items(), strict=True):
    for i, (name, row) in enumerate(table.items()):
        mean, lo, hi = study.bootstrap_interval(row)
        look = looks.looks_of(table)[name]
        ax.errorbar(mean, -i, xerr=[[mean - lo], [hi - mean]], capsize=3,
                    fmt=look.marker, color=look.color)
        says.append(f"{goals} {name} {what} {mean:.2f}")
    ax.set_yticks([-i for i in range(len(table))], list(table))
    ax.set(xlabel=f"{what}, {goals} goals", ylim=(0.5 - len(table), 0.5))
held_out = tables["held-out", "success"]
show_figure(
    fig, alt=f"After PPO: {'; '.join(says)}.",
    caption="Held-out success before and after: "
    + "; ".join(f"{k} {v.mean():.2f}" for k, v in held_out.items())
    + ". Bars: 95 % over tasks.",
)

# %%
def verdict(what, difference):
    mean, lo, hi = np.round(difference, 3) + 0.0  # no "-0.000"
    word = "higher" if lo > 0 else "lower" if hi < 0 else "undecided"
    print(f"{what}: {mean:+.3f} [{lo:+.3f}, {hi:+.3f}]: {word}")


def compare(ours, base):
    for (goals, what), table in tables.items():
        verdict(f"{goals} {what}, {ours} minus {base}",
                study.bootstrap_interval(table[ours], table[base]))


for name in RUNS:
    compare(name, "SFT")
compare("shaping (AgentPRM)", "outcome")
compare("raw Q (AgentPRM)", "shaping (AgentPRM)")
cost = {k: int(log["tokens"].sum()) for k, log in logs.items()}
print("tokens sampled in training:", cost)

# %% [markdown]
# **How to read it.** *Undecided* means that these runs can't tell two rewards apart, not that they are equal. A run here has a few rounds of a few tasks; whether that is too short is not tested.
# Your predictions: raw Q has the incentive to lengthen episodes, and the lines *turns* say whether it did. Outcome and shaping have the same best policies, since over a finished episode they differ by a constant. With far too strong a penalty `kl` stays near 0, and success and turns stay those of SFT.
# For raw Q look at
# *turns* first. Longer episodes at equal or lower success are dithering. If its turns have not grown, ask why before calling raw Q safe: a success in TextCraft **ends** the episode and with it the income, and the KL term or a low limit of turns
# may hide the incentive. Claim C5 of the paper has two parts. "Ends higher" is the difference shaping minus outcome. "More stable" is a statement about many runs, and one run a reward cannot decide it.
#
# ## What each logged number means
#
# | number | meaning | a warning sign |
# |---|---|---|
# | `success` | share of the round's episodes that reach the goal | falls for several rounds |
# | `turns` | mean turns an episode | grows while success does not |
# | `process_reward` | mean sum of the process reward of an episode, without the world's | with raw Q: grows with `turns`; with shaping it is $-\alpha M_{-1}$ for finished episodes, so it can *not* show progress |
# | `kl` | k3 against the adapter-off reference, mean over action tokens | climbs without success climbing |
# | `clipped` | share of action tokens whose ratio left $1 \pm \varepsilon$ | near 0 with little learning: the step is small; half of all tokens: it is far too large |
# | `value_error` | squared error of the critic against its targets | does not fall after the first rounds |
# | `loss`, `grad_norm` | the whole loss, with the critic's; the norm of the adapters' gradient before it is clipped to 1 | a number that isn't finite stops the run before the step |
# | `tokens` | tokens sampled in the round | grows with `turns`: dithering costs compute |

# %%
watched = ("process_reward", "kl", "clipped", "value_error")
panels = {key: {name: (rounds, log[key]) for name, log in logs.items()}
          for key in watched}
for pair in (watched[:2], watched[2:]):
    ends = "; ".join(
        f"{name} " + ", ".join(f"{log[k].iloc[-1]:.3f}" for k in pair)
        for name, log in logs.items()
    )
    show_figure(
        plots.training_curves({k: panels[k] for k in pair}, xlabel="round"),
        alt=f"{pair[0]} and {pair[1]} a round. Last round: {ends}.",
        caption=f"{pair[0]} and {pair[1]} of the last round: {ends}.",
    )

# %% [markdown]
# ### Exercise 08.1
#
# *Medium, 15 minutes.* Write `turn_gae(rewards, values, last_value, gamma, lam)`: a list of advantages, one a turn. `values[t]` is the value *before* turn `t`, `last_value` the value
# after the last turn (0 if the outcome is final).


# %% tags=["exercise-08-1"]
def turn_gae(rewards, values, last_value, gamma, lam):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import attempt, check_turn_gae

attempt(check_turn_gae, turn_gae)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Go backward, with the advantage of the next turn in hand; it starts at 0.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `delta = r + gamma * next_value - v`, then `a = delta + gamma * lam * a`.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def turn_gae(rewards, values, last_value, gamma, lam):
#     out, a, next_value = [], 0.0, last_value
#     for r, v in zip(reversed(rewards), reversed(values), strict=True):
#         a = r + gamma * next_value - v + gamma * lam * a
#         out.append(a)
#         next_value = v
#     return out[::-1]
# ```
#
# </details>

# %% [markdown]
# ### Exercise 08.2
#
# *Medium, 15 minutes.* Write `shaped(rewards, q, root, final, alpha)`: a list with the reward of each turn after potential-based shaping with $\gamma = 1$. `q[t]` is $M$ after turn `t`. If
# `final` is true the potential after the last turn is 0; otherwise (the episode was cut) it stays `q[-1]`. Leave the arguments as they are.


# %% tags=["exercise-08-2"]
def shaped(rewards, q, root, final, alpha):
    raise NotImplementedError


# %%
from agentprm_lite.tutorial.exercises import check_shaped

attempt(check_shaped, shaped)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write two lists: the potential *before* each turn, and the one *after* it.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Before: `[root, *q[:-1]]`. After: `q`, with its last entry 0 if `final`.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def shaped(rewards, q, root, final, alpha):
#     before = [root, *q[:-1]]
#     after = [*q[:-1], 0.0 if final else q[-1]]
#     return [
#         r + alpha * (new - old)
#         for r, new, old in zip(rewards, after, before, strict=True)
#     ]
# ```
#
# </details>

# %% [markdown]
# ## Paper and here
#
# | | the paper | here | why |
# |---|---|---|---|
# | Ours | how the process reward enters PPO is not spelled out | shaping with a zero terminal potential; raw Q as a comparison | a sum of values pays for long episodes |
# | Ours | GAE over tokens or turns is left open | over turns | observation tokens are not the agent's, and $\lambda$ should not depend on lengths |
# | Ours | | an episode cut by the token limit: the critic's value before its last turn stands in for the one after it, and its potential is kept | it has no outcome (reward models count it as failed) |
# | Simplified | a critic of its own | a linear head on the policy's hidden states, no gradient into them | two cores |
# | Simplified | full fine-tuning | LoRA; adapters off is the reference | one model in memory |
# | Ours | curves of one run | one run a reward, held-out difference with an interval by task | |
#
# And with a real language model? [chapter 13](13_real_language_model.ipynb) says why policy, reference and judge take one copy of it; no run of its PPO is stored yet.
#
# **Watch** success and turns *together*, `kl`, and the held-out difference. **Vary** `alpha`, `kl`, `lam`, the judge, and the limit of turns.
#
# ## Summary
#
# 1. GAE runs over turns; zeroed observation values flip a sign ([the misuse](08_ppo.ipynb#a-misuse-that-looks-right-gae-over-tokens); `tests/core/test_labels.py`).
# 2. A finished shaped episode earns $r - \alpha M_{-1}$, however long it is ([by hand](08_ppo.ipynb#shaping-by-hand)).
# 3. Raw Q pays for idle turns: a failure with two of them earns more than a direct success, and a policy of one weight that follows the gradient ends idle
#    ([the figures](08_ppo.ipynb#raw-q-pays-for-dithering)).
# 4. The k3 loss has the gradient of $\mathrm{KL}(\pi_{\text{ref}} \,\|\, \pi)$ ([the loss](08_ppo.ipynb#the-loss-a-clipped-ratio-and-kl-to-the-reference); `tests/core/test_losses.py`).
# 5. For a critic that can represent $V - \Phi$, shaping is worth as much as starting at the reward model's values: it can change how fast one learns, not what is best
#    ([an independent check](08_ppo.ipynb#raw-q-pays-for-dithering)).
#
# ## Quiz
#
# <details><summary>1. Shaping: a finished episode has three turns or thirty. Which has the higher sum?</summary>
#
# Neither, if the outcomes are equal: both sums are $r - \alpha M_{-1}$.
#
# </details>
#
# <details><summary>2. Why must the terminal potential be zero?</summary>
#
# Otherwise $\alpha M_{T-1}$ stays in the sum, and ends that the model likes are paid for, successful or not.
#
# </details>
#
# <details><summary>3. process_reward is level under shaping. Is learning broken?</summary>
#
# No. For finished episodes it is $-\alpha M_{-1}$: it moves with the tasks that are drawn and not with the policy.
#
# </details>
#
# ## References
#
# - Schulman et al. 2017, *Proximal Policy Optimization Algorithms*: the clipped objective.
# - Schulman et al. 2016, *High-Dimensional Continuous Control Using Generalized Advantage Estimation*: GAE, and its relation to shaping.
# - Ng, Harada, Russell 1999, *Policy Invariance under Reward Transformations*: why differences of a potential are safe.
# - Schulman 2020, *Approximating KL Divergence*: k1, k2 and k3.
# - Setlur et al. 2025, *Rewarding Progress*: process rewards as advantages.
