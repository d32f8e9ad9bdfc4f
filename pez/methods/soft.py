"""Soft prompts: embeddings of no particular words, an upper bound on what words can reach.

Gal et al., "An Image is Worth One Word: Personalizing Text-to-Image Generation using Textual
Inversion", 2022; Lester, Al-Rfou, Constant, "The Power of Scale for Parameter-Efficient
Prompt Tuning", 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.methods import adam
from pez.methods.candidates import draw_targets
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class Soft(Method):
    """v* = argmin over v of the loss of the free places' embeddings v (Gal et al. 2022,
    Equation 2, with the objective's loss in place of the denoising one), by Adam from the
    start's words. Nothing is projected during the search.

    A soft prompt has no text. Its own score is returned beside the prompt, as ``soft_score``,
    with its embeddings (:meth:`extra`). The ids tried at each step are the words nearest to
    the embeddings, and the score is theirs. ``--patience`` also watches that score, so leave
    it at 0 if you want the embeddings.
    """

    name: ClassVar[str] = "soft"
    finds_embeddings: ClassVar[bool] = True
    forwards = 2  # the embeddings and their nearest words
    backwards = 1

    lr: float = 0.3  # Adam's, in root mean squares of the allowed words' embeddings
    batch_size: int = 0  # targets seen at each step; 0 means all of them

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """Embeddings (b, k, w) of the first ids, none of them scored yet."""
        point = problem.vocabulary.embed(problem.start_ids(rows)).float()
        unscored = torch.full((len(rows),), -torch.inf, device=point.device)
        return {"point": point, "soft": point, "soft_score": unscored, **adam.fresh(point)}

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Score the embeddings and their nearest words, move the embeddings."""
        point = state["point"].detach().requires_grad_(True)
        draw = draw_targets(problem, rows, self.batch_size)
        loss, reached = problem.evaluate(point, rows.item, draw)
        (gradient,) = torch.autograd.grad(loss.sum(), point)
        with torch.no_grad():
            point, reached = point.detach(), reached.detach()
            ids = problem.vocabulary.nearest(point)
            _, score = problem.evaluate(problem.vocabulary.embed(ids).float(), rows.item)
            better = reached > state["soft_score"]
            move, moments = adam.direction(state, gradient)
            return (
                ids,
                score,
                {
                    "point": point - self.lr * problem.vocabulary.scale * move,
                    "soft": torch.where(better[:, None, None], point, state["soft"]),
                    "soft_score": torch.where(better, reached, state["soft_score"]),
                    **moments,
                },
            )

    def extra(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The best embeddings so far ``embeddings`` (b, k, w) and their ``soft_score`` (b,)."""
        return {"embeddings": state["soft"], "soft_score": state["soft_score"]}
