"""Pursuit: words whose features together point at the target, then exact swaps.

Ours. The start is a matching pursuit over the words' own features (:mod:`pez.search.init`), which
costs no pass of the text tower beyond those that score every word once for all pictures. Each step
then takes the gradient, tries swaps drawn among the top candidates as GCG does (Zou et al. 2023,
Algorithm 1), and one more prompt: it combines all swaps that were improvements by
themselves, the best at each place. I-GCG (Jia et al., "Improved Techniques for Optimization-Based
Jailbreaking on Large Language Models", 2024) merges single swaps in the same spirit: the best p of
them one after the other, each of these p prompts evaluated. The search continues from the best of
all. If two consecutive steps found nothing better, it continues from the best prompt tried although
that is worse, as in GCG: so it leaves a local optimum, while the engine keeps the best prompt seen.

Use it with ``--style phrases`` (:mod:`pez.session.styles`): words between commas transfer
better to models that were not searched than the same number of words in a row.
``benchmarks/methods-choose.md`` lists what was tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.methods.candidates import (
    allowed_start,
    best_of,
    check_counts,
    draw_swaps,
    draw_targets,
    evaluate_all,
    repeats,
    slopes,
    swap,
    top_candidates,
)
from pez.search.method import Method
from pez.search.problem import ROUNDING, Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class Pursuit(Method):
    """One step costs nine PEZ steps; fifty of them reach scores that PEZ does not."""

    name: ClassVar[str] = "pursuit"
    usual_steps: ClassVar[int] = 50
    usual_start: ClassVar[str] = "pursuit"
    usual_style: ClassVar[str] = "phrases"
    backwards = 1

    candidates: int = 16  # prompts evaluated at each step; fewer if fewer exist
    topk: int = 32  # top candidates of each place that are drawn from
    escape: int = 2  # steps without improvement before a worse prompt is taken; 0 is never
    batch_size: int = 0  # targets seen at each step; 0 means all of them
    repeats: bool = False  # whether a swap may repeat a word of the prompt

    def __post_init__(self) -> None:
        check_counts(candidates=self.candidates, topk=self.topk)
        check_counts(0, escape=self.escape)

    @property
    def forwards(self) -> int:
        """One for the gradient, one for each candidate, one for the combined improvements."""
        return 2 + self.candidates

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """The first ids (b, k), and for how many steps (b,) nothing better was found."""
        ids = allowed_start(problem, rows)
        return {"ids": ids, "stuck": ids.new_zeros(len(ids))}

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Evaluate some of the top candidate swaps and the best of them combined; keep the best."""
        ids = state["ids"]
        draw = draw_targets(problem, rows, self.batch_size)
        loss, score, gradient = slopes(problem, ids[:, None], rows.item, draw)
        used = None if self.repeats else torch.cat([ids, problem.said.expand(len(ids), -1)], 1)
        words = top_candidates(problem, gradient[:, 0], ids, self.topk, used)  # (b, k, t)
        place, word = draw_swaps(rows, words, self.candidates)
        tried = swap(ids, place, word)
        losses, scores = evaluate_all(problem, tried, rows.item, draw)
        if not self.repeats:  # where few words may be chosen, used ones are among the candidates
            more = repeats(tried, problem.said) > repeats(ids[:, None], problem.said)
            losses = losses.masked_fill(more, math.inf)
        both = together(ids, place, word, losses - loss, self.repeats)[:, None]
        both_loss, both_score = evaluate_all(problem, both, rows.item, draw)
        best, lowest, best_score = best_of(
            torch.cat([ids[:, None], tried, both], 1),
            torch.cat([loss, losses, both_loss], 1),
            torch.cat([score, scores, both_score], 1),
        )
        stuck = torch.where(lowest < loss[:, 0] - ROUNDING, 0, state["stuck"] + 1)
        if not self.escape:
            return best, best_score, {"ids": best, "stuck": stuck}
        other = losses.masked_fill(word == ids.gather(1, place), math.inf)  # not to itself
        leave = (stuck >= self.escape) & other.isfinite().any(1)
        onward = torch.where(leave[:, None], best_of(tried, other, scores)[0], best)
        return best, best_score, {"ids": onward, "stuck": torch.where(leave, 0, stuck)}


def together(
    ids: Tensor, place: Tensor, word: Tensor, change: Tensor, twice: bool = True
) -> Tensor:
    """Prompts (b, k): ids (b, k) with the ``word`` (b, c) at its ``place`` (b, c) of each
    swap that lowers the loss by itself, its ``change`` (b, c) being below 0; at one place
    the one that lowers it most. Unless ``twice``, a word new at two places goes to the first.
    The idea of merging single swaps is I-GCG's (Jia et al. 2024), see above.
    """
    order = change.sort(dim=1, stable=True).indices
    rank = order.argsort(1).masked_fill(change >= 0, change.shape[1])  # no two alike
    none = torch.full(ids.shape, change.shape[1], device=ids.device)
    first = none.scatter_reduce(1, place, rank, "amin")  # (b, k): the best swap of a place
    by_rank = torch.cat([word.gather(1, order), ids[:, :1]], 1)
    new = first < change.shape[1]
    both = torch.where(new, by_rank.gather(1, first), ids)
    if twice:
        return both
    earlier = new[:, None] & (both[:, :, None] == both[:, None]).tril(-1)
    return torch.where(new & earlier.any(-1), ids, both)
