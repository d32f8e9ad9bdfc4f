"""ARCA: coordinate ascent whose gradient is averaged over random words at the place.

Jones et al., "Automatically Auditing Large Language Models via Discrete Optimization", ICML
2023, section 3.2 and Algorithm 1. The places are taken in turn. At place i the loss f of a
word v is ranked by its first-order approximation at random words v_1 ... v_m,

    f~(v) = 1/m sum_j  e(v)^T grad_{e(v_j)} f(s_1 ... v_j ... s_k)    (up to a constant),

and the best words by f~ are evaluated exactly. Here v_1 is the current word, so the best of the
evaluated and the averaged words, whose losses are all known, is never worse than the previous
prompt. With one averaged word this is AutoPrompt with its places taken in turn.
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
    draw_words,
    evaluate_all,
    slopes,
    swap,
    top_candidates,
)
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class Arca(Method):
    """The paper averages over and evaluates 32 words at each step."""

    name: ClassVar[str] = "arca"

    candidates: int = 16  # words evaluated at each step; fewer if fewer are allowed
    average: int = 4  # words at which the gradient is taken
    batch_size: int = 0  # targets seen at each step; 0 means all of them

    def __post_init__(self) -> None:
        check_counts(candidates=self.candidates, average=self.average)

    @property
    def forwards(self) -> int:
        """One for each averaged word and one for each candidate."""
        return self.average + self.candidates

    @property
    def backwards(self) -> int:
        """One for each averaged word."""
        return self.average

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """The first ids (b, k), and the place (b, 1) whose turn it is."""
        ids = allowed_start(problem, rows)
        return {"ids": ids, "place": torch.zeros_like(ids[:, :1])}

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Average the gradient over words at the place, evaluate the best by it, keep the best."""
        ids, place = state["ids"], state["place"]
        draw = draw_targets(problem, rows, self.batch_size)
        now = ids.gather(1, place)
        drawn = torch.cat([now, draw_words(problem, rows, self.average - 1)], 1)
        seen = swap(ids, place.expand_as(drawn), drawn)
        loss, score, gradient = slopes(problem, seen, rows.item, draw, place[:, 0])
        words = top_candidates(problem, gradient.mean(1), now, self.candidates)[:, 0]
        tried = swap(ids, place.expand_as(words), words)
        losses, scores = evaluate_all(problem, tried, rows.item, draw)
        best, _, best_score = best_of(
            torch.cat([seen, tried], 1),
            torch.cat([loss, losses], 1),
            torch.cat([score, scores], 1),
        )
        turn = (place + 1) % problem.template.slots
        return best, best_score, {"ids": best, "place": turn}
