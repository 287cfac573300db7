"""One training loop for everything: SFT, RFT and all reward models.

A step is a random set of trajectories. They are never grouped by length: where a success is shorter
than a failure, such a step would hold successes only or failures only. Lengths do arrange the
microbatches inside a step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn
from torch.optim import AdamW
from tqdm import tqdm

from agentprm_lite.forward import split_model
from agentprm_lite.kinds import (
    Cut,
    MLoss,
    RewardExample,
    RewardLoss,
    SFTLoss,
    check_examples,
    split_families,
)
from agentprm_lite.loop import Keeper, Log, Loop, digest, random_sets, schedule, trajectory_of
from agentprm_lite.losses import Progress
from agentprm_lite.types import Task, Trajectory

logger = logging.getLogger(__name__)
MakeLoop = Callable[..., Loop]  # Loop itself, or what shares its work out over ranks

SAVE_STEPS = 100  # a checkpoint is also saved after so many steps
PATIENCE = 3  # epochs without a better one before training stops
LEARNED = 0.02  # explained variance below which a judge has learned nothing
RFT_PER_TASK = 4  # most successes of one task that RFT imitates


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train."""

    lr: float  #: Peak of AdamW's; linear warm-up over a tenth of the steps, then cosine to 0.
    epochs: int  #: Most passes over the data; held-out tasks may end them before.
    batch: int = 32  #: Trajectories of a step; up to twice as many where that makes steps equal.
    microbatch_tokens: int = 8192  #: Padded tokens of one forward pass; a step takes several.
    weight_decay: float = 0.0  #: AdamW's.
    seed: int = 0  #: Of the order of the trajectories.
    bf16: bool = False  #: Half precision, where it is fast; what is trained stays float32.
    checkpointing: bool = False  #: Compute activations again for the gradient: less memory, slower.

    def __post_init__(self) -> None:
        if not (self.lr > 0 and min(self.epochs, self.batch, self.microbatch_tokens) >= 1):
            raise ValueError(f"lr, epochs, batch, microbatch_tokens must be positive, got {self}")


def fit(
    module: nn.Module,
    examples: Sequence[Any],
    config: TrainConfig,
    *,
    held_out: Sequence[Any] = (),
    checkpoint: Keeper | None = None,
    label: str = "train",
    processes: MakeLoop = Loop,
) -> Log:
    """Train the parameters of a loss module that require gradients.

    With held-out examples the best epoch's weights are kept. The log has a dict a step; the last
    step of an epoch also has the module's report, the last of all ``best_epoch`` and ``learned``.
    """
    if not examples:
        raise ValueError("no examples to train on")
    plan = random_sets(len(examples), config.batch, config.epochs, f"{config.seed}")
    both = [*examples, *held_out]
    data = [(t.ids, t.spans, t.rewards, t.final) for t in map(trajectory_of, both)]
    outcomes = [getattr(e, "outcomes", None) for e in both]
    shapes = [list(p.shape) for p in module.parameters() if p.requires_grad]
    frozen = [p.flatten()[:1].float().tolist() for p in module.parameters() if not p.requires_grad]
    run = {
        "label": label,
        **asdict(config),
        "batches": f"{len(plan)} of {len(examples)} examples, {digest([data, outcomes, plan])}",
        "parameters": f"{len(shapes)} tensors, {digest([shapes, frozen])}",
        "loss": {k: v for k, v in vars(module).items() if isinstance(v, str | float | int)},
    }

    def adamw(trained: nn.Module) -> AdamW:
        weights = [p for p in trained.parameters() if p.requires_grad]
        return AdamW(weights, weight_decay=config.weight_decay)

    loop = processes(module, adamw, config.microbatch_tokens, checkpoint, run, config.bf16)
    log = loop.load()
    bar = tqdm(plan, desc=label, initial=len(log), disable=None if loop.first else True)
    for step in range(len(log), len(plan)):
        lr = config.lr * schedule(step, len(plan))
        loop.optimizer.param_groups[0]["lr"] = lr
        numbers = loop.step([examples[i] for i in plan[step]], f"step {step}")
        log.append({"step": step, "lr": lr, **numbers})
        bar.update()
        if held_out and (step + 1) % (len(plan) // config.epochs) == 0:
            log[-1] |= loop.evaluate(held_out)
            reports = [x for x in log if "held_out_loss" in x]
            best = min(range(len(reports)), key=lambda k: reports[k]["held_out_loss"])
            if best == len(reports) - 1:
                loop.keep()
            if len(reports) - 1 - best >= PATIENCE:
                break
        if checkpoint and step + 1 < len(plan) and ((step + 1) % SAVE_STEPS == 0 or loop.due()):
            loop.save(log)
    bar.close()
    if held_out:
        loop.take(loop.best)
        log[-1] |= {"best_epoch": best, **_verdict(label, reports[best])}
    loop.end()
    return log


def _verdict(label: str, report: dict[str, float]) -> dict[str, float]:
    """Whether a judge has learned anything; a warning if not."""
    share = report.get("explained_variance")
    if share is None:
        logger.warning("%s: all held-out targets are equal: it can't be told from them", label)
        return {}
    if share < LEARNED:
        logger.warning(
            f"{label} has learned nothing: on held-out tasks its squared error is {1 - share:.3f} "
            f"times that of a constant (explained variance {share:.3f}). Don't choose by it"
        )
    return {"best_explained_variance": share, "learned": share >= LEARNED}


def sft(
    model: Any,
    demonstrations: Sequence[Trajectory],
    config: TrainConfig,
    *,
    checkpoint: Keeper | None = None,
    processes: MakeLoop = Loop,
) -> Log:
    """Behaviour cloning: maximum likelihood of the demonstrations' action tokens, over all epochs.

    The model, a policy, is changed in place. ``checkpoint`` is a ``Checkpoint(folder)``, from which
    an interrupted run goes on; ``processes`` is ``distributed.Ranks()`` under torchrun. Returns the
    log, a dict a step. Unreadable data, another run's folder, or a NaN, before its step, is a
    ValueError.
    """
    check_examples(model, demonstrations)
    spare_activations(model, config)
    settings: dict[str, Any] = {"checkpoint": checkpoint, "processes": processes}
    return fit(SFTLoss(model), demonstrations, config, label="sft", **settings)


def rft(model: Any, rollouts: Sequence[Trajectory], config: TrainConfig, **settings: Any) -> Log:
    """Rejection-sampling fine-tuning: behaviour cloning of the policy's own successes.

    Of every task the first four of them with different actions count; otherwise as :func:`sft`.
    """
    kept: dict[Task, dict[tuple[str, ...], Trajectory]] = {}
    for t in rollouts:
        same = kept.setdefault(t.task, {})
        if t.success and len(same) < RFT_PER_TASK:
            same.setdefault(t.actions, t)
    chosen = [t for same in kept.values() for t in same.values()]
    if not chosen:
        raise ValueError(f"none of the {len(rollouts)} rollouts succeeded: nothing to learn from")
    return sft(model, chosen, config, **settings)


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
    m_loss: MLoss = "cross_entropy",
    held_out: float = 0.2,
    family: Callable[[Task], Hashable] = lambda task: (task.env, task.index),
    checkpoint: Keeper | None = None,
    processes: MakeLoop = Loop,
) -> Log:
    """Train a reward model of any kind on the same trajectories.

    A part of the tasks is held out, the same for every kind and seed. After each epoch the loss on
    them is measured; the best epoch's weights are kept, and three epochs without a better one are
    the end. Never hand over test tasks.

    Args:
        model: from :func:`agentprm_lite.hub.checkpoints.new_reward_model`, changed in place.
        examples: trajectories, with Monte Carlo outcomes if the kind needs them.
        kind: a name in :data:`agentprm_lite.labels.KINDS`.
        config: how to train.
        beta: weight of L_A; None: the kind's usual one.
        progress: target of L_A, see :func:`agentprm_lite.losses.advantage_loss`.
        lam: λ of TD(λ) and GAE.
        cut: an episode that was cut, say by the context's length, counts as ``"failed"`` (the
            paper's task ends there), or TD labels ``"bootstrap"`` on the model's own M there.
        m_loss: L_Q is the ``"cross_entropy"`` on soft labels, which explains a little more in
            results/losses.json, or the ``"squared"`` error (the paper's, there on a linear head).
        held_out: share of the families of tasks that is held out; without any, all epochs run.
        family: which tasks belong together; by default the variants of one task.
        checkpoint: as in :func:`sft`.
        processes: as in :func:`sft`.

    Returns:
        The log, a dict a step; the last says whether the judge has ``learned``, a warning if not.

    Raises:
        ValueError: an unknown kind or option, or as in :func:`sft`.
    """
    if any(isinstance(e, Trajectory) for e in examples):
        raise ValueError("examples: got bare trajectories, expected RewardExample(trajectory)")
    loss = RewardLoss(model, kind, beta, progress, lam, cut, m_loss)
    check_examples(model, examples, rollouts=loss.row.rollouts)
    spare_activations(model, config)
    kept, out = split_families(examples, held_out, family)
    settings: dict[str, Any] = {"checkpoint": checkpoint, "processes": processes}
    return fit(loss, kept, config, held_out=out, label=kind, **settings)


def spare_activations(model: Any, config: TrainConfig) -> None:
    """Turn gradient checkpointing on, if the config says so."""
    if config.checkpointing:
        body = split_model(model)[0]
        # transformers gave it a new name in 2026
        new = getattr(body, "activation_checkpointing_enable", None)
        (new or body.gradient_checkpointing_enable)({"use_reentrant": False})
