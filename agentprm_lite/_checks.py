"""Entry checks of the pure functions: the argument, what came and what was expected."""

from __future__ import annotations

import torch
from torch import Tensor


def check_shape(name: str, x: Tensor, shape: tuple[int | None, ...]) -> None:
    fits = x.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, x.shape, strict=True)
    )
    if not fits:
        wanted = "[" + ", ".join("any" if n is None else str(n) for n in shape) + "]"
        raise ValueError(f"{name} has shape {list(x.shape)}, expected {wanted}")


def check_float(name: str, x: Tensor, shape: tuple[int | None, ...]) -> None:
    check_shape(name, x, shape)
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} has dtype {x.dtype}, expected torch.float32 or torch.float64")


def check_bool(name: str, x: Tensor, shape: tuple[int | None, ...]) -> None:
    check_shape(name, x, shape)
    if x.dtype != torch.bool:
        raise ValueError(f"{name} has dtype {x.dtype}, expected torch.bool")


def check_mask(mask: Tensor) -> None:
    check_bool("mask", mask, (None, None))
    if mask.shape[1] == 0 or not mask[:, 0].all():
        raise ValueError("mask has a row without a first step, expected at least one step a row")
    if (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError("mask has a real step after padding, expected a right-padded prefix")


def check_reward(reward: Tensor, mask: Tensor) -> None:
    check_float("reward", reward, mask.shape[:1])
    if not ((reward >= 0) & (reward <= 1)).all():
        raise ValueError(f"reward is {reward.tolist()}, expected values within [0, 1]")


def check_outcomes(outcomes: Tensor, mask: Tensor) -> None:
    check_mask(mask)
    check_float("outcomes", outcomes, (*mask.shape, None))
    if outcomes.shape[2] == 0:
        raise ValueError("outcomes has 0 rollouts a step, expected at least 1")
    if not ((outcomes >= 0) & (outcomes <= 1)).all():
        low, high = float(outcomes.min()), float(outcomes.max())
        raise ValueError(f"outcomes has values from {low} to {high}, expected within [0, 1]")


def check_gamma_lam(gamma: float, lam: float) -> None:
    if not 0.0 < gamma <= 1.0:
        raise ValueError(f"gamma is {gamma}, expected 0 < gamma <= 1")
    if not 0.0 <= lam <= 1.0:
        raise ValueError(f"lam is {lam}, expected 0 <= lam <= 1")
