"""Random words, tried one prompt after another: the floor that every method must pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.methods.candidates import allowed_start, draw_words
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class Random(Method):
    """Each step draws fresh ids from the vocabulary; the engine keeps the best."""

    name: ClassVar[str] = "random"
    forwards = 1
    backwards = 0

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """The first prompt is where every method starts."""
        return {"ids": allowed_start(problem, rows)}

    @torch.no_grad()
    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Score the drawn ids (b, k) and draw the next."""
        ids = state["ids"]
        _, score = problem.evaluate(problem.vocabulary.embed(ids).float(), rows.item)
        return ids, score, {"ids": draw_words(problem, rows, problem.template.slots)}
