"""One training loop for everything: SFT, RFT and all reward models.

A step is a random set of trajectories. They are never grouped by length: where a success is shorter
than a failure, such a step would hold successes only or failures only. Lengths do arrange the
microbatches inside a step. The loop knows no ranks; :class:`agentprm_lite.distributed.Ranks` shares
out its steps.

Shape legend: B examples, T steps of a trajectory, N tokens that carry a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn
from tqdm import tqdm

from agentprm_lite.checkpoint import Checkpoint, digest
from agentprm_lite.examples import (
    RewardExample,
    check_examples,
    random_sets,
    split_families,
    trajectory_of,
)
from agentprm_lite.forward import split_model
from agentprm_lite.kinds import Cut, MLoss, RewardLoss, SFTLoss
from agentprm_lite.loop import Loop, OneProcess, schedule
from agentprm_lite.losses import Progress
from agentprm_lite.types import Task, Trajectory

SAVE_STEPS = 100  # a checkpoint is also saved after so many steps
PATIENCE = 2  # epochs without a better one before training stops
RFT_PER_TASK = 4  # most successes of one task that RFT imitates


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train."""

    lr: float
    """Peak learning rate of AdamW; linear warm-up over a tenth of the steps, then cosine to 0."""
    epochs: int
    """Most passes over the data; with held-out tasks training stops when they gain nothing."""
    batch: int = 32
    """Trajectories of a step; up to twice as many where that makes steps equal."""
    microbatch_tokens: int = 8192
    """Padded tokens of one forward pass; a step takes as many passes as it needs."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    seed: int = 0
    """Of the order of the trajectories."""
    bf16: bool = False
    """Compute in half precision under autocast: bfloat16, or float16 with a scaled loss on a GPU
    older than Ampere. What is trained stays float32."""
    checkpointing: bool = False
    """Keep no activations inside the layers and compute them again for the gradient: far less
    memory, about a third more time, and what a batch's sequences begin with is computed for each,
    see :func:`agentprm_lite.forward.hidden_states`."""

    def __post_init__(self) -> None:
        if not (self.lr > 0 and min(self.epochs, self.batch, self.microbatch_tokens) >= 1):
            raise ValueError(
                f"lr, epochs, batch and microbatch_tokens must be positive, got {self}"
            )


def fit(
    module: nn.Module,
    examples: Sequence[Any],
    config: TrainConfig,
    *,
    held_out: Sequence[Any] = (),
    checkpoint: str | Path | None = None,
    label: str = "train",
    processes: OneProcess | None = None,
) -> list[dict[str, float]]:
    """Train the parameters of a loss module that require gradients.

    With held-out examples the best epoch's weights are kept. The log has a dict a step; the last
    step of an epoch also has the module's report, the last of all ``best_epoch`` and ``learned``.
    """
    if not examples:
        raise ValueError("no examples to train on")
    here = processes or OneProcess()
    plan = [
        step
        for epoch in range(config.epochs)
        for step in random_sets(len(examples), config.batch, f"{config.seed}/{epoch}")
    ]
    per_epoch = len(plan) // config.epochs
    lengths = [[len(trajectory_of(e).ids) for e in part] for part in (examples, held_out)]
    loop = Loop(
        module,
        here,
        weight_decay=config.weight_decay,
        microbatch_tokens=config.microbatch_tokens,
        bf16=config.bf16,
    )
    shapes = [list(p.shape) for p in loop.params]
    run = {
        "label": label,
        **asdict(config),
        "batches": f"{len(plan)} of {len(examples)} examples, {digest([*lengths, plan])}",
        "parameters": f"{len(shapes)} tensors, {digest(shapes)}",
    }
    state = Checkpoint(checkpoint, run)
    here.wait()  # until what there is to load has been written
    log = loop.load(state)
    here.check_same(f"step {len(log)} of {run}")
    hidden = None if here.first else True
    bar = tqdm(plan, desc=label + here.title, initial=len(log), disable=hidden, mininterval=1.0)
    for step in range(len(log), len(plan)):
        lr = config.lr * schedule(step, len(plan))
        numbers = loop.step([examples[i] for i in plan[step]], step, lr)
        log.append({"step": step, "lr": lr, **numbers})
        bar.update()
        if held_out and (step + 1) % per_epoch == 0:
            log[-1] |= loop.evaluate(held_out)
            if loop.keep_best(log) >= PATIENCE:
                break
        due = (step + 1) % SAVE_STEPS == 0 or state.due()
        if checkpoint and step + 1 < len(plan) and here.agree(due):
            loop.save(state, log)
    bar.close()
    if held_out:
        log[-1] |= loop.take_best(log, label)
    here.finish(module, loop.trained)
    module.eval()
    if here.first:
        state.clear()
    here.wait()  # until nothing of it is left
    return log


def sft(
    model: Any,
    demonstrations: Sequence[Trajectory],
    config: TrainConfig,
    *,
    checkpoint: str | Path | None = None,
    processes: OneProcess | None = None,
) -> list[dict[str, float]]:
    """Behaviour cloning: maximum likelihood of the demonstrations' action tokens.

    Args:
        model: a policy, changed in place.
        demonstrations: trajectories to imitate.
        config: see :class:`TrainConfig`; all epochs run.
        checkpoint: see :func:`fit`.
        processes: see :func:`fit`.

    Returns:
        The log of :func:`fit`.

    Raises:
        ValueError: the model can't read some of them, all of which are named; see also
            :func:`fit`.
    """
    check_examples(model, demonstrations)
    _spare_activations(model, config)
    return fit(
        SFTLoss(model),
        demonstrations,
        config,
        checkpoint=checkpoint,
        label="sft",
        processes=processes,
    )


def rft(
    model: Any,
    rollouts: Sequence[Trajectory],
    config: TrainConfig,
    *,
    checkpoint: str | Path | None = None,
    processes: OneProcess | None = None,
) -> list[dict[str, float]]:
    """Rejection-sampling fine-tuning: behaviour cloning of the policy's own successes.

    Of every task the first four successes with different actions count.

    Args:
        model: a policy, changed in place.
        rollouts: its own trajectories.
        config: see :class:`TrainConfig`.
        checkpoint: see :func:`fit`.
        processes: see :func:`fit`.

    Returns:
        The log of :func:`fit`.

    Raises:
        ValueError: no rollout succeeded; see also :func:`sft`.
    """
    kept: dict[str, list[Trajectory]] = {}
    for trajectory in rollouts:
        same = kept.setdefault(trajectory.task.key, [])
        new = all(trajectory.actions != other.actions for other in same)
        if trajectory.success and new and len(same) < RFT_PER_TASK:
            same.append(trajectory)
    chosen = [t for same in kept.values() for t in same]
    if not chosen:
        raise ValueError(f"none of the {len(rollouts)} rollouts succeeded: nothing to learn from")
    return sft(model, chosen, config, checkpoint=checkpoint, processes=processes)


def train_reward_model(
    model: Any,
    examples: Sequence[RewardExample],
    kind: str,
    config: TrainConfig,
    *,
    beta: float | None = None,
    progress: Progress = "difference",
    lam: float = 0.95,
    cut: Cut = "failed",
    m_loss: MLoss = "squared",
    held_out: float = 0.2,
    family: Callable[[Task], Hashable] = lambda task: (task.env, task.index),
    checkpoint: str | Path | None = None,
    processes: OneProcess | None = None,
) -> list[dict[str, float]]:
    """Train a reward model of any kind on the same trajectories.

    A part of the tasks is held out, the same for every kind and seed. After each epoch the loss on
    them is measured; the best epoch's weights are kept, and two epochs without a better one are the
    end. Never hand over test tasks.

    Args:
        model: from :func:`agentprm_lite.models.new_reward_model`, changed in place.
        examples: trajectories, with Monte Carlo outcomes if the kind needs them.
        kind: a name in :data:`agentprm_lite.kinds.KINDS`.
        config: see :class:`TrainConfig`.
        beta: weight of L_A; None: the kind's usual one.
        progress: target of L_A, see :func:`agentprm_lite.losses.advantage_loss`.
        lam: λ.
        cut: what an episode that was cut counts as, see :class:`agentprm_lite.kinds.RewardLoss`.
        m_loss: form of L_Q, see there.
        held_out: share of the families of tasks that is held out; 0, or where there is one family
            only: none, and all epochs run.
        family: which tasks belong together; by default the variants of one task.
        checkpoint: see :func:`fit`.
        processes: see :func:`fit`.

    Returns:
        The log of :func:`fit`. Its last entry says whether the judge has ``learned`` anything; if
        it hasn't, there is a warning, too.

    Raises:
        ValueError: some examples can't be read or learned from, all of which are named; an unknown
            kind or option; see also :func:`fit`.
    """
    loss = RewardLoss(model, kind, beta, progress, lam, cut, m_loss)
    check_examples(model, examples, rollouts=loss.row.rollouts)
    _spare_activations(model, config)
    kept, out = split_families(examples, held_out, family)
    return fit(
        loss,
        kept,
        config,
        held_out=out,
        checkpoint=checkpoint,
        label=kind,
        processes=processes,
    )


def _spare_activations(model: Any, config: TrainConfig) -> None:
    if config.checkpointing:
        body = split_model(model)[0]
        # transformers gave it a new name in 2026
        new = getattr(body, "activation_checkpointing_enable", None)
        (new or body.gradient_checkpointing_enable)({"use_reentrant": False})
