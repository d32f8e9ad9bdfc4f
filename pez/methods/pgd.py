"""PGD: gradient steps on relaxed one-hot rows, projected back onto the simplex.

Geisler, Wollschlaeger, Abdalla, Gasteiger, Guennemann, "Attacking Large Language Models with
Projected Gradient Descent", 2024, Algorithms 1 to 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.errors import PezError
from pez.methods.candidates import draw_targets
from pez.methods.simplex import (
    entropy_projection,
    mix,
    one_hot,
    simplex_projection,
    start_places,
)
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class Pgd(Method):
    """Algorithm 1: X~_0 is the one-hot start, rows of weights over the allowed words. Then

        X~_{t+1} = Pi_entropy(Pi_simplex(X~_t - lr * G_t)),

    where G_t is the running mean of the gradients of the loss at the mixtures X~_t E, their
    largest entry in a prompt scaled to one, and the projections are Algorithms 2 and 3
    (:mod:`pez.methods.simplex`). The prompt tried is the argmax of each row. The paper uses
    Adam, whose first steps are equally large for all words; on the simplex that gives ties which
    only rounding decides. We omit the paper's relaxed length, as a template fixes the number of
    words, and also its restarts of the learning rate and its return to the best prompt after a
    long wait.
    """

    name: ClassVar[str] = "pgd"
    forwards = 2  # the relaxed prompt and the one tried
    backwards = 1

    lr: float = 1.0
    momentum: float = 0.9
    entropy: float = 0.4  # the largest Gini index of a place; 1 leaves it free
    batch_size: int = 0  # targets seen at each step; 0 means all of them

    def __post_init__(self) -> None:
        if not 0 <= self.entropy <= 1:
            raise PezError(f"the entropy of pgd must be between 0 and 1, not {self.entropy}.")
        if not 0 <= self.momentum < 1:
            raise PezError(f"the momentum of pgd must be 0 or more, below 1, not {self.momentum}.")

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """One-hot rows (b, k, n) at the start's words."""
        weights = one_hot(start_places(problem, rows), len(problem.vocabulary.ids))
        return {"weights": weights, "mean": torch.zeros_like(weights)}

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Score the argmax of the rows, move them by the gradient, project them."""
        vocabulary = problem.vocabulary
        weights = state["weights"].detach().requires_grad_(True)
        draw = draw_targets(problem, rows, self.batch_size)
        loss, _ = problem.evaluate(mix(vocabulary, weights), rows.item, draw)
        (gradient,) = torch.autograd.grad(loss.sum(), weights)
        with torch.no_grad():
            ids = vocabulary.ids[weights.argmax(-1)]
            _, score = problem.evaluate(vocabulary.embed(ids).float(), rows.item)
            mean = state["mean"].lerp(gradient, 1 - self.momentum)
            move = mean / mean.abs().amax((1, 2), keepdim=True).clamp(min=1e-20)
            moved = simplex_projection(weights - self.lr * move)
            weights = entropy_projection(moved, self.entropy)
            return ids, score, {"weights": weights, "mean": mean}
