"""Adam's moments as plain tensors of a method's state, with an age of its own for each row."""

from __future__ import annotations

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPS = 1e-8


def fresh(like: Tensor) -> dict[str, Tensor]:
    """Moments at zero for parameters ``like`` (b, ...), and ages (b, 1, ...)."""
    age = torch.zeros(len(like), *[1] * (like.dim() - 1), device=like.device)
    return {"mean": torch.zeros_like(like), "square": torch.zeros_like(like), "age": age}


def direction(
    state: dict[str, Tensor], gradient: Tensor, betas: tuple[float, float] = BETAS
) -> tuple[Tensor, dict[str, Tensor]]:
    """Where Adam (Kingma & Ba 2015, Algorithm 1) goes for a learning rate of one, of the
    gradient's shape and of about unit size, and the moments after it.
    """
    beta1, beta2 = betas
    age = state["age"] + 1
    mean = state["mean"].lerp(gradient, 1 - beta1)
    square = state["square"] * beta2 + gradient * gradient * (1 - beta2)
    root = (square / (1 - beta2**age)).sqrt() + EPS
    step = mean / (1 - beta1**age) / root
    return step, {"mean": mean, "square": square, "age": age}
