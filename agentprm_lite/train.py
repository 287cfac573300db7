"""One training loop for everything: SFT, RFT and all reward models.

The loop takes a module whose ``forward`` turns a list of examples into a loss, so that the same
code runs on one CPU, one GPU and, through Accelerate, under ``torchrun``. Batches are made of
examples of similar length; their order is a function of (seed, epoch), so that a run that was
interrupted goes on from its checkpoint to the same final weights.

Shape legend: B examples, T steps, N tokens that carry a loss.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import reduce
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from agentprm_lite import labels as label_functions
from agentprm_lite.distributed.ranks import (
    Place,
    check_same,
    join,
    part_like,
    place,
    split,
    wait,
    whole,
)
from agentprm_lite.forward import (
    action_logprobs,
    at_least_float32,
    microbatches,
    split_model,
    step_values,
)
from agentprm_lite.labels import Labels
from agentprm_lite.losses import agentprm_loss, q_loss, ranking_loss
from agentprm_lite.models import half_dtype
from agentprm_lite.types import Trajectory

Kind = Literal["orm", "pvm", "mc_hard", "mc_soft", "pqm", "agentprm"]


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train."""

    lr: float
    """Peak learning rate of AdamW; linear warm-up over a tenth of the steps, then cosine to 0."""
    epochs: int
    """Passes over the data."""
    batch_tokens: int = 8192
    """Padded tokens of one step, over all ranks."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    seed: int = 0
    """Of the order of the batches."""
    bf16: bool = False
    """Compute in half precision under autocast: bfloat16, or float16 with a scaled loss on a GPU
    older than Ampere. What is trained stays float32."""
    checkpointing: bool = False
    """Keep no activations inside the layers and compute them again for the gradient: far less
    memory, about a third more time, and what a batch's sequences begin with is computed for each,
    see :func:`agentprm_lite.forward.hidden_states`."""
    shard: bool = False
    """Under ``torchrun``, split weights, gradients and AdamW's moments over the ranks (FSDP2), for
    7B and up. Before and after training each rank holds the whole model."""

    def __post_init__(self) -> None:
        if not (self.lr > 0 and self.epochs >= 1 and self.batch_tokens >= 1):
            raise ValueError(f"lr, epochs and batch_tokens must be positive, got {self}")


class SFTLoss(nn.Module):
    """Cross-entropy on action tokens only.

    Args:
        model: a policy in training.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, trajectories: Sequence[Trajectory], whole: Sequence[Trajectory] | None = None
    ) -> tuple[Tensor, dict[str, float]]:
        """Mean negative log-likelihood of the action tokens.

        Args:
            trajectories: B demonstrations.
            whole: the batch that they are a part of, see :func:`fit`.

        Returns:
            The loss, and what to log.
        """
        logp = action_logprobs(self.model, trajectories)
        tokens = sum(end - start for t in whole or trajectories for start, end in t.spans)
        loss = -logp.sum() / tokens
        return loss, {"loss": float(loss.detach())}


class RewardLoss(nn.Module):
    """Algorithm 1: labels from the model as it is now, without gradient, and a step on them.

    Args:
        model: a reward model in training.
        kind: which labels.
        beta: weight of L_A; only AgentPRM has it.
        gamma: discount.
        lam: λ of TD(λ) and GAE.

    Raises:
        ValueError: the kind is unknown.
    """

    def __init__(
        self, model: Any, kind: Kind, beta: float = 1.0, gamma: float = 1.0, lam: float = 0.95
    ) -> None:
        super().__init__()
        if kind not in get_args(Kind):
            raise ValueError(f"kind of reward model is {kind!r}, expected one of {get_args(Kind)}")
        self.model = model
        self.kind, self.beta, self.gamma, self.lam = kind, beta, gamma, lam

    def forward(
        self, examples: Sequence[RewardExample], whole: Sequence[RewardExample] | None = None
    ) -> tuple[Tensor, dict[str, float]]:
        """L_Q + βL_A for AgentPRM, the ranking loss for PQM, L_Q on other labels.

        Args:
            examples: B trajectories, with Monte Carlo outcomes where the kind needs them.
            whole: the batch that they are a part of, see :func:`fit`.

        Returns:
            The loss, and what to log.
        """
        trajectories = [e.trajectory for e in examples]
        q, root, mask = step_values(self.model, trajectories)
        labels = self.labels(examples, q, root, mask)
        batch = labels if whole is None else self.positions(whole)
        if self.kind == "agentprm":
            loss = agentprm_loss(q, root, labels, self.beta, batch)
        elif self.kind == "pqm":
            loss = ranking_loss(q, labels, batch)
        else:
            loss = q_loss(q, root, labels, batch)
        steps = sum(e.trajectory.num_steps for e in whole or examples)
        mean_m = float(q[mask].detach().sum()) / steps
        return loss, {"loss": float(loss.detach()), "mean_m": mean_m}

    def positions(self, examples: Sequence[RewardExample]) -> Labels:
        """Which positions carry a loss; that depends on the kind and the data, not on the model.

        Args:
            examples: B examples.

        Returns:
            Labels whose masks count, made from M = 0.
        """
        steps = torch.tensor([e.trajectory.num_steps for e in examples])
        mask = torch.arange(int(steps.max()))[None] < steps[:, None]
        return self.labels(examples, torch.zeros(mask.shape), torch.zeros(len(steps)), mask)

    def labels(
        self, examples: Sequence[RewardExample], q: Tensor, root: Tensor, mask: Tensor
    ) -> Labels:
        """Labels of the chosen kind.

        Args:
            examples: B examples.
            q: M at the actions [B, T].
            root: M at the prompts' ends [B].
            mask: real steps [B, T].

        Returns:
            The labels.
        """
        # an episode that was cut has no outcome, whatever its last step earned
        outcomes = [e.trajectory.outcome if e.trajectory.final else 0.0 for e in examples]
        reward = torch.tensor(outcomes, dtype=q.dtype, device=q.device)
        if self.kind == "orm":
            return label_functions.outcome_labels(reward, mask)
        if self.kind == "pvm":
            return label_functions.pvm_labels(reward, mask)
        if self.kind == "agentprm":
            final = torch.tensor([e.trajectory.final for e in examples], device=q.device)
            return label_functions.td_gae_labels(
                q, root, reward, mask, final, gamma=self.gamma, lam=self.lam
            )
        rollouts = [e.rollouts() for e in examples]
        counts = {r.shape[1] for r in rollouts}
        if len(counts) > 1:
            raise ValueError(f"examples have {sorted(counts)} rollouts a step, expected one number")
        ends = torch.zeros(*mask.shape, counts.pop(), dtype=q.dtype)
        for row, r in zip(ends, rollouts, strict=True):
            row[: len(r)] = torch.as_tensor(r)
        if self.kind == "mc_soft":
            return label_functions.mc_soft_labels(ends.to(q.device), mask)
        return label_functions.mc_hard_labels(ends.to(q.device), mask)


@dataclass(frozen=True)
class RewardExample:
    """A trajectory, for Monte Carlo labels with the outcomes of rollouts from its states."""

    trajectory: Trajectory
    """The trajectory."""
    outcomes: np.ndarray | None = None
    """[T, K] outcome in [0, 1] of K rollouts from the state after each action."""

    def rollouts(self) -> np.ndarray:
        """The rollouts' outcomes.

        Returns:
            [T, K] float.

        Raises:
            ValueError: there are none, not one row a step, or an outcome lies outside [0, 1].
        """
        if self.outcomes is None or len(self.outcomes) != self.trajectory.num_steps:
            raise ValueError(
                f"trajectory {self.trajectory.key}: Monte Carlo labels need one row of outcomes "
                f"for each of its {self.trajectory.num_steps} steps"
            )
        outcomes = self.outcomes.astype(np.float64)
        if not ((outcomes >= 0) & (outcomes <= 1)).all():
            raise ValueError(
                f"trajectory {self.trajectory.key}: Monte Carlo labels need outcomes within "
                f"[0, 1], got {np.unique(outcomes).tolist()}"
            )
        return outcomes


def make_batches(lengths: Sequence[int], config: TrainConfig, epoch: int) -> list[list[int]]:
    """The batches of one epoch: similar lengths together, in random order.

    Args:
        lengths: tokens of each example.
        config: batch size and seed.
        epoch: number of the epoch.

    Returns:
        Lists of indices.
    """
    rng = random.Random(f"{config.seed}/{epoch}")
    jittered = [n * rng.uniform(0.9, 1.1) for n in lengths]
    order = sorted(range(len(lengths)), key=jittered.__getitem__)
    groups = list(microbatches(lengths, config.batch_tokens, order))
    rng.shuffle(groups)
    return groups


def fit(
    module: nn.Module,
    examples: Sequence[Any],
    length: Callable[[Any], int],
    config: TrainConfig,
    *,
    checkpoint: str | Path | None = None,
    save_every: int = 100,
    label: str = "train",
) -> list[dict[str, float]]:
    """Train the parameters of a module that require gradients.

    Under ``torchrun`` every batch is split over the ranks, so that the result is that of one
    process; rank 0 alone writes checkpoints. With ``config.shard`` the model is split, too.

    Args:
        module: ``forward(list of examples)`` returns (loss, dict of numbers to log). With several
            ranks, ``forward(part, batch)`` returns the part's share of both: over all parts they
            add up to what the batch has.
        examples: the data.
        length: tokens of an example.
        config: see :class:`TrainConfig`.
        checkpoint: folder for the state of an unfinished run; if it holds one, the run goes on
            from there. It has to be of the same label, config, batches (numbers and lengths of the
            examples) and shapes of parameters; what the examples say isn't compared.
        save_every: steps between two saves.
        label: name on the progress bar.

    Returns:
        One dict a step: ``step``, ``lr``, ``grad_norm`` and what the module logged.

    Raises:
        ValueError: there is no example, the checkpoint belongs to another run, or ``shard`` is
            asked of a GPU without bfloat16 together with half precision.
        RuntimeError: the ranks aren't connected, or don't train the same.
    """
    if not examples:
        raise ValueError("no examples to train on")
    here = place()
    half = half_dtype()
    scaled = config.bf16 and half == torch.float16
    if config.shard and scaled:
        raise ValueError("shard needs bfloat16, and this GPU has none: train with bf16=False")
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision="fp16" if scaled else "no"
    )
    if accelerator.num_processes != here.size:
        raise RuntimeError(
            f"{accelerator.num_processes} processes are connected, but {here.size} trains: start "
            "them with torchrun, and let every rank call fit"
        )
    for p in module.parameters():
        if p.requires_grad:
            p.data = at_least_float32(p.data)
    shard = config.shard and here.size > 1
    trained = split(module, accelerator.device) if shard else accelerator.prepare(module)
    trained.train()
    params = [p for p in trained.parameters() if p.requires_grad]
    optimizer = accelerator.prepare(
        torch.optim.AdamW(params, lr=config.lr, weight_decay=config.weight_decay)
    )
    lengths = [length(e) for e in examples]
    plan = [g for epoch in range(config.epochs) for g in make_batches(lengths, config, epoch)]
    run = {
        "label": label,
        **asdict(config),
        "batches": f"{len(plan)} of {len(lengths)} examples, {_digest([lengths, plan])}",
        "parameters": f"{len(params)} tensors, {_digest([list(p.shape) for p in params])}",
    }
    state = _State(Path(checkpoint) if checkpoint else None, params, optimizer, run)
    wait()  # until rank 0 has written what there is to load
    log = state.load()
    check_same(f"step {len(log)} of {run}")
    desc = label if here.size == 1 else f"{label}, {here.size} ranks"
    hidden = None if here.first else True
    bar = tqdm(plan, desc=desc, initial=len(log), disable=hidden, mininterval=1.0)
    for step in range(len(log), len(plan)):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * _schedule(step, len(plan))
        with torch.autocast(accelerator.device.type, half, enabled=config.bf16):
            loss, logs = _share(trained, [examples[i] for i in plan[step]], here)
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        lr = config.lr * _schedule(step, len(plan))
        log.append({"step": step, "lr": lr, "grad_norm": float(whole(norm)), **logs})
        bar.update()
        due = (step + 1) % save_every == 0 and step + 1 < len(plan)
        if due and (here.first or shard):
            state.save(log)
    bar.close()
    if shard:
        join(module, trained)
    module.eval()
    if here.first:
        state.clear()
    wait()  # until nothing of it is left
    return log


def _share(module: nn.Module, batch: list[Any], here: Place) -> tuple[Tensor, dict[str, float]]:
    """This rank's loss of a batch, scaled for its gradient, and what the whole batch logs."""
    if here.size == 1:
        loss, logs = module(batch)
        return loss, logs
    part = batch[here.rank :: here.size]
    # a rank without examples takes part with one that counts for nothing: the others wait for its
    # gradients
    weight = 1.0 if part else 0.0
    loss, logs = module(part or batch[:1], batch)
    numbers = weight * torch.tensor(list(logs.values()), dtype=torch.float64, device=loss.device)
    total = reduce(numbers, "sum").tolist()
    # DDP takes the mean of the ranks' gradients, the batch's gradient is their sum
    return loss * weight * here.size, dict(zip(logs, total, strict=True))


def _spare_activations(model: Any, config: TrainConfig) -> None:
    if config.checkpointing:
        body = split_model(model)[0]
        # transformers gave it a new name in 2026
        new = getattr(body, "activation_checkpointing_enable", None)
        (new or body.gradient_checkpointing_enable)({"use_reentrant": False})


def _schedule(step: int, steps: int) -> float:
    warmup = max(1, steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + float(np.cos(np.pi * (step - warmup) / max(1, steps - warmup))))


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()[:8]


class _State:
    """What an interrupted run needs to go on: trained weights, AdamW's moments, the log.

    ``run`` says which run it is: a state of another one is refused.
    """

    def __init__(
        self, folder: Path | None, params: Sequence[Tensor], optimizer: Any, run: dict[str, Any]
    ) -> None:
        self.folder, self.params, self.optimizer, self.run = folder, params, optimizer, run

    def save(self, log: list[dict[str, float]]) -> None:
        if self.folder is None:
            return
        tensors = {f"param.{i}": whole(p.detach()).clone() for i, p in enumerate(self.params)}
        for i, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"{name}.{i}": whole(torch.as_tensor(x)) for name, x in moments.items()}
        if not place().first:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        metadata = {"log": json.dumps(log), "run": json.dumps(self.run)}
        save_file(tensors, self.folder / "state.new", metadata=metadata)
        os.replace(self.folder / "state.new", self.folder / "state.safetensors")

    def load(self) -> list[dict[str, float]]:
        if self.folder is None or not (self.folder / "state.safetensors").exists():
            return []
        path = self.folder / "state.safetensors"
        with safe_open(path, "pt") as f:
            metadata = f.metadata()
        log: list[dict[str, float]] = json.loads(metadata["log"])
        self._check(path, json.loads(metadata.get("run", "{}")))
        tensors = load_file(path)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            name, i = key.rsplit(".", 1)
            part = part_like(tensor, self.params[int(i)])
            if name == "param":
                with torch.no_grad():
                    self.params[int(i)].copy_(part)
            else:
                moments.setdefault(int(i), {})[name] = part
        state = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**state, "state": moments})
        return log

    def _check(self, path: Path, saved: dict[str, Any]) -> None:
        other = [
            f"{name} ({saved.get(name)} there, {value} here)"
            for name, value in self.run.items()
            if saved.get(name) != value
        ]
        if other:
            raise ValueError(
                f"{path} belongs to another run, which differs in {', '.join(other)}; give another "
                "folder or remove this file"
            )

    def clear(self) -> None:
        if self.folder is not None:
            (self.folder / "state.safetensors").unlink(missing_ok=True)


def sft(
    model: Any,
    demonstrations: Sequence[Trajectory],
    config: TrainConfig,
    *,
    checkpoint: str | Path | None = None,
) -> list[dict[str, float]]:
    """Behaviour cloning: maximum likelihood of the demonstrations' action tokens.

    Args:
        model: a policy, changed in place.
        demonstrations: trajectories to imitate.
        config: see :class:`TrainConfig`.
        checkpoint: see :func:`fit`.

    Returns:
        The log of :func:`fit`.
    """
    _spare_activations(model, config)
    return fit(
        SFTLoss(model),
        demonstrations,
        lambda t: len(t.ids),
        config,
        checkpoint=checkpoint,
        label="sft",
    )


def rft(
    model: Any,
    rollouts: Sequence[Trajectory],
    config: TrainConfig,
    *,
    per_task: int = 4,
    checkpoint: str | Path | None = None,
) -> list[dict[str, float]]:
    """Rejection-sampling fine-tuning: behaviour cloning of the policy's own successes.

    Args:
        model: a policy, changed in place.
        rollouts: its own trajectories.
        config: see :class:`TrainConfig`.
        per_task: most successes of one task, the first ones with different actions.
        checkpoint: see :func:`fit`.

    Returns:
        The log of :func:`fit`.

    Raises:
        ValueError: no rollout succeeded.
    """
    kept: dict[str, list[Trajectory]] = {}
    for trajectory in rollouts:
        same = kept.setdefault(trajectory.task.key, [])
        new = all(trajectory.actions != other.actions for other in same)
        if trajectory.success and new and len(same) < per_task:
            same.append(trajectory)
    chosen = [t for same in kept.values() for t in same]
    if not chosen:
        raise ValueError(f"none of the {len(rollouts)} rollouts succeeded: nothing to learn from")
    return sft(model, chosen, config, checkpoint=checkpoint)


def train_reward_model(
    model: Any,
    examples: Sequence[RewardExample],
    kind: Kind,
    config: TrainConfig,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    lam: float = 0.95,
    checkpoint: str | Path | None = None,
) -> list[dict[str, float]]:
    """Train a reward model of any kind on the same trajectories.

    Args:
        model: from :func:`agentprm_lite.models.new_reward_model`, changed in place.
        examples: trajectories, with Monte Carlo outcomes if the kind needs them.
        kind: ``orm``, ``pvm``, ``mc_hard``, ``mc_soft``, ``pqm`` or ``agentprm``.
        config: see :class:`TrainConfig`.
        beta: weight of L_A.
        gamma: discount.
        lam: λ.
        checkpoint: see :func:`fit`.

    Returns:
        The log of :func:`fit`.
    """
    _spare_activations(model, config)
    return fit(
        RewardLoss(model, kind, beta, gamma, lam),
        examples,
        lambda e: len(e.trajectory.ids),
        config,
        checkpoint=checkpoint,
        label=kind,
    )
