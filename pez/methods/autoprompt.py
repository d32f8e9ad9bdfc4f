"""AutoPrompt: the top candidate swaps at one random place are tried, the best one is made.

Shin et al., "AutoPrompt: Eliciting Knowledge from Language Models with Automatically
Generated Prompts", EMNLP 2020, section 2.2 and equation 2: the candidates at a place are the
``candidates`` words w with the largest product of their embedding and the gradient of the
log-likelihood, here with the smallest product with the gradient of the loss; each is then
evaluated exactly. As in the authors' code, the place is drawn at random and a prompt that does
not improve on the previous one is rejected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.methods.candidates import (
    allowed_start,
    best_of,
    check_counts,
    draw_targets,
    evaluate_all,
    slopes,
    swap,
    top_candidates,
)
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class AutoPrompt(Method):
    """The paper tries 10 and 100 candidates."""

    name: ClassVar[str] = "autoprompt"
    backwards = 1

    candidates: int = 10  # words evaluated at each step; fewer if fewer are allowed
    batch_size: int = 0  # targets seen at each step; 0 means all of them

    def __post_init__(self) -> None:
        check_counts(candidates=self.candidates)

    @property
    def forwards(self) -> int:
        """One for the gradient and one for each candidate."""
        return 1 + self.candidates

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """The first ids (b, k)."""
        return {"ids": allowed_start(problem, rows)}

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Rank the words of one place, evaluate the first ones, keep the best prompt."""
        ids = state["ids"]
        draw = draw_targets(problem, rows, self.batch_size)
        place = (rows.uniform(1) * problem.template.slots).long()  # (b, 1)
        loss, score, gradient = slopes(problem, ids[:, None], rows.item, draw, place[:, 0])
        words = top_candidates(problem, gradient[:, 0], ids.gather(1, place), self.candidates)[:, 0]
        tried = swap(ids, place.expand_as(words), words)
        losses, scores = evaluate_all(problem, tried, rows.item, draw)
        best, _, best_score = best_of(
            torch.cat([ids[:, None], tried], 1),
            torch.cat([loss, losses], 1),
            torch.cat([score, scores], 1),
        )
        return best, best_score, {"ids": best}
