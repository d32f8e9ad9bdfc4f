"""PEZ: gradients taken at the projected prompt move a continuous copy.

Wen et al., "Hard Prompts Made Easy: Gradient-Based Discrete Optimization for Prompt Tuning
and Discovery", NeurIPS 2023, Algorithm 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.errors import PezError
from pez.methods.candidates import draw_targets
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows

SCHEDULES = ("constant", "cosine", "linear")


@dataclass(frozen=True)
class Pez(Method):
    """The paper's settings are the defaults: AdamW at 0.1 with weight decay 0.1."""

    name: ClassVar[str] = "pez"
    forwards = 1
    backwards = 1

    lr: float = 0.1
    weight_decay: float = 0.1
    schedule: str = "constant"
    steps: int = 1000  # the length of the schedule
    batch_size: int = 0  # targets seen at each step; 0 means all of them
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise PezError(f"unknown schedule {self.schedule!r}; use {', '.join(SCHEDULES)}.")

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """Where ``--init`` says; see :meth:`start_at`."""
        return self.start_at(problem, problem.start_ids(rows))

    def start_at(self, problem: Problem, ids: Tensor) -> dict[str, Tensor]:
        """Continuous embeddings (b, k, w) at ids (b, k), with AdamW's moments at zero."""
        point = problem.vocabulary.embed(ids).float()
        return {
            "point": point,
            "mean": torch.zeros_like(point),
            "square": torch.zeros_like(point),
            "age": torch.zeros(len(ids), 1, 1, device=point.device),
        }

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Project, take the gradient there, move the continuous copy with it."""
        ids = problem.vocabulary.nearest(state["point"])
        projected = problem.vocabulary.embed(ids).float().requires_grad_(True)
        draw = draw_targets(problem, rows, self.batch_size)
        loss, score = problem.evaluate(projected, rows.item, draw)
        (gradient,) = torch.autograd.grad(loss.sum(), projected)
        return ids, score.detach(), self._adamw(state, gradient)

    def _adamw(self, state: dict[str, Tensor], gradient: Tensor) -> dict[str, Tensor]:
        """AdamW (Loshchilov & Hutter 2019) with an age of its own for each row."""
        beta1, beta2 = self.betas
        age = state["age"] + 1
        lr = self.lr * self._factor(age - 1)
        mean = state["mean"].lerp(gradient, 1 - beta1)
        square = state["square"] * beta2 + gradient * gradient * (1 - beta2)
        size = lr / (1 - beta1**age)
        root = square.sqrt() / (1 - beta2**age).sqrt() + self.eps
        point = state["point"] * (1 - lr * self.weight_decay) - size * (mean / root)
        return {"point": point, "mean": mean, "square": square, "age": age}

    def _factor(self, done: Tensor) -> Tensor | float:
        """The share of the learning rate after ``done`` steps."""
        if self.schedule == "constant":
            return 1.0
        share = (done / self.steps).clamp(max=1)
        if self.schedule == "linear":
            return 1 - share
        return 0.5 + 0.5 * (share * math.pi).cos()
