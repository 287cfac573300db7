"""Judges: what gives M at every step of a trajectory, whole or still under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from agentprm_lite.chat import Chat
from agentprm_lite.forward import check_readable, microbatches, split_model, step_values
from agentprm_lite.types import Trajectory

BATCH_TOKENS = 8192  # padded tokens of one pass; on a CPU larger ones are slower, out of its cache


@dataclass(frozen=True)
class StepValues:
    """M along one trajectory."""

    root: float  #: M at the end of the prompt, before any action.
    q: np.ndarray  #: M after each of the T actions.


class Judge(Protocol):
    """Scores trajectories: a reward model, a rule, another model that is asked."""

    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        """M along trajectories, in their order; they may be unfinished or have no step yet."""
        ...


class FewestTurns:
    """The judge without a model: M after t turns is -t, so that the shortest trajectory wins."""

    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        """-1, -2, … along every trajectory; 0 at its root."""
        return [StepValues(0.0, -np.arange(1.0, t.num_steps + 1)) for t in trajectories]


class RewardModel:
    """A trained reward model, which reads trajectories whole.

    Args:
        model: from :func:`agentprm_lite.hub.checkpoints.load_reward_model`.
    """

    def __init__(self, model: Any) -> None:
        self.model, head = model.eval(), split_model(model)[1]
        if (outputs := getattr(head, "out_features", 1)) != 1:
            raise ValueError(f"the head has {outputs} outputs, expected 1: load_reward_model's has")

    @torch.no_grad()
    def score(self, trajectories: Sequence[Trajectory]) -> list[StepValues]:
        """M along trajectories, in their order; one that is too long, or a NaN, is an error."""
        check_readable(self.model, trajectories)
        out: dict[int, StepValues] = {}
        for group in microbatches([len(t.ids) for t in trajectories], BATCH_TOKENS):
            q, root, _ = step_values(self.model, [trajectories[i] for i in group])
            for i, first, row in zip(group, root.tolist(), q.double().cpu().numpy(), strict=True):
                out[i] = StepValues(first, row[: trajectories[i].num_steps])
                check_finite(f"trajectory {trajectories[i].key}", out[i])
        return [out[i] for i in range(len(trajectories))]


def check_ids(judge: Judge | None, chat: Chat) -> None:
    """Refuse a reward model that was trained on other ids than a policy's."""
    config = judge.model.config if isinstance(judge, RewardModel) else None
    trained = getattr(config, "agentprm_chat", None)
    if trained not in (None, chat.fingerprint):
        raise ValueError(
            f"the reward model was trained on ids of the chat format {trained}, the policy's is "
            f"{chat.fingerprint}: ids of one mean nothing to the other; train a reward model on "
            "this policy's base"
        )


def check_finite(name: str, values: StepValues) -> None:
    """Refuse values that aren't numbers; a search would rank by them without a word."""
    path = np.array([values.root, *values.q])
    if not np.isfinite(path).all():
        step = int(np.flatnonzero(~np.isfinite(path))[0])
        where = f"after step {step - 1}" if step else "at its root"
        raise ValueError(
            f"{name}: M {where} is {path[step]}, expected a number; a reward model's weights hold "
            "NaN, or overflow in half precision: load or train it again"
        )
