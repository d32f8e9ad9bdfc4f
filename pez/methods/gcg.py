"""GCG: random swaps among the top candidates of every place are tried, the best one is made.

Zou et al., "Universal and Transferable Adversarial Attacks on Aligned Language Models", 2023,
Algorithm 1: at each place i the words X_i = Top-k(-grad_{e(x_i)} L), of which ``candidates``
prompts are drawn, each with one word swapped, and x becomes the one of lowest loss, even if
that is worse than x. The swaps are drawn without repetition: if ``candidates`` is as large as
their number, the step tries them all.

``momentum`` is that of Zhang & Wei, "Boosting Jailbreak Attack with Momentum" (MAC), 2024,
Algorithm 1: the words are ranked by g_t = mu g_(t-1) + (1 - mu) grad. As the gradient of a
one-hot row is linear in that of the embedding, the latter is stored. g_0 is zero; the authors' code
starts from the first gradient instead, which weighs that one more in the first few steps.

``buffer`` holds the best prompts so far. With 1 the search continues only from a better
prompt, as with nanoGCG's buffer. With more, each step continues from one of them, drawn at
random; if it always took the best, as nanoGCG does, all sizes would behave alike.

``draft`` names a cheaper model that sorts the candidates, so that the searched model reads few of
them: probe sampling of Zhao et al. (2024, Algorithm 1), see :mod:`pez.methods.probe`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.errors import PezError
from pez.methods.candidates import (
    allowed_start,
    best_of,
    check_counts,
    check_shares,
    draw_swaps,
    draw_targets,
    evaluate_all,
    slopes,
    swap,
    top_candidates,
)
from pez.methods.probe import judge_probed, set_sizes
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class Gcg(Method):
    """The paper draws 512 candidates among the 256 top candidates of each place. With fewer, a
    step costs less, so there can be more steps.
    """

    name: ClassVar[str] = "gcg"
    backwards = 1

    candidates: int = 32  # prompts evaluated at each step; fewer if fewer exist
    topk: int = 64  # top candidates of each place that are drawn from
    momentum: float = 0.0  # weight of earlier gradients (MAC); 0 is none
    buffer: int = 0  # best prompts to continue from; 0 continues from the last
    batch_size: int = 0  # targets seen at each step; 0 means all of them
    draft: str = ""  # a model with the same tokenizer to sort candidates; without it all are read
    probe: int = 16  # with a draft: one candidate in this many is in the probe set (k)
    reduction: int = 8  # with a draft: at most one in this many is in the filtered set (R)

    def __post_init__(self) -> None:
        check_counts(
            candidates=self.candidates, topk=self.topk, probe=self.probe, reduction=self.reduction
        )
        check_shares(momentum=self.momentum)
        if self.momentum == 1:
            raise PezError("--set momentum must be below 1, or no gradient ever counts.")
        check_counts(0, buffer=self.buffer)

    @property
    def forwards(self) -> int:
        """One for the gradient and one for each candidate; with a draft, for each of the probe
        set and of the largest filtered set.
        """
        if self.draft:
            return 1 + sum(set_sizes(self.candidates, self.probe, self.reduction))
        return 1 + self.candidates

    @property
    def draft_model(self) -> str:
        """The draft, where one is set."""
        return self.draft

    @property
    def drafts(self) -> int:
        """Forward passes of the draft: one for each candidate."""
        return self.candidates if self.draft else 0

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """The pool (b, m, k), ascending by loss (b, m), that holds the first ids alone; the
        average gradient (b, k, w) at zero.
        """
        ids = allowed_start(problem, rows)
        pool = ids[:, None].repeat(1, max(1, self.buffer), 1)
        return {
            "pool": pool,
            "loss": torch.full(pool.shape[:2], math.inf, device=ids.device),
            "gradient": torch.zeros_like(problem.vocabulary.embed(ids)),
        }

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Rank the words of all places, evaluate some of the first, continue from the best."""
        ids = self._pick(rows, state)
        draw = draw_targets(problem, rows, self.batch_size)
        loss, score, gradient = slopes(problem, ids[:, None], rows.item, draw)
        gradient = gradient[:, 0].lerp(state["gradient"], self.momentum)
        words = top_candidates(problem, gradient, ids, self.topk)  # (b, k, t)
        tried = swap(ids, *draw_swaps(rows, words, self.candidates))
        if self.draft:
            sizes = self.probe, self.reduction
            tried, losses, scores = judge_probed(problem, tried, rows.item, draw, *sizes)
        else:
            losses, scores = evaluate_all(problem, tried, rows.item, draw)
        best, best_loss, best_score = best_of(tried, losses, scores)
        if self.buffer:
            pool, known = _merge(state, [(ids, loss[:, 0]), (best, best_loss)])
        else:
            pool, known = best[:, None], best_loss[:, None]
        worse = best_loss >= loss[:, 0]  # then the step's best is where it began
        return (
            torch.where(worse[:, None], ids, best),
            torch.where(worse, score[:, 0], best_score),
            {"pool": pool, "loss": known, "gradient": gradient},
        )

    def _pick(self, rows: Rows, state: dict[str, Tensor]) -> Tensor:
        """The prompt (b, k) of each row's pool from which it continues."""
        pool = state["pool"]
        if pool.shape[1] == 1:
            return pool[:, 0]
        filled = state["loss"].isfinite().sum(1).clamp(min=1)  # these come first
        place = (rows.uniform() * filled).long()
        return pool[torch.arange(len(pool), device=pool.device), place]


def _merge(state: dict[str, Tensor], found: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The pool (b, m, k) and its losses (b, m) with ``found`` prompts (b, k) and losses (b,) added
    if they are better; it holds each prompt once.
    """
    # after the new ones, so that a loss measured again replaces the old one
    pool = torch.cat([*(ids[:, None] for ids, _ in found), state["pool"]], 1)
    loss = torch.cat([*(loss[:, None] for _, loss in found), state["loss"]], 1)
    same = (pool[:, :, None] == pool[:, None]).all(-1)
    loss = loss.masked_fill(same.tril(-1).any(-1), math.inf)
    loss, order = loss.sort(dim=1, stable=True)
    size = state["pool"].shape[1]
    return pool.take_along_dim(order[..., None], 1)[:, :size], loss[:, :size]
