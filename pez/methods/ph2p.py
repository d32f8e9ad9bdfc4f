"""PH2P's delayed projection: continuous embeddings move for some steps before they are projected.

Mahajan, Rahman, Yi, Sigal, "Prompting Hard or Hardly Prompting: Prompt Inversion for
Text-to-Image Diffusion Models", CVPR 2024. Where PEZ projects before every gradient, here a turn
of ``delay`` gradients starts at the projection and is taken along a continuous path, while the
embeddings P that are kept move with all of these gradients:

    Q_0 = Proj_E(P);   for i < delay:  g = grad L(Q_i);  P <- step(P, g);  Q_i+1 = Q_i + same step.

The loss is meant to be that of ``--objective denoise``, at late timesteps; with
``batch_size`` each gradient sees a part of them, drawn anew. Under any other objective the search
is the same.

What differs from the paper: it steps by L-BFGS (20 inner iterations, rate 0.8 in the authors'
program), each row of a batch by itself; here the steps are AdamW's, those of PEZ with its
settings, so that with a delay of 1 it is PEZ. The paper keeps the prompt whose regenerated picture
a CLIP finds most like the target; here the one of the lowest loss is kept, which needs no second
model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.methods.candidates import check_counts, draw_targets
from pez.methods.pez import Pez
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class Ph2p(Pez):
    """A step is one turn: the projected prompt is scored and ``delay`` gradients are taken."""

    name: ClassVar[str] = "ph2p"

    delay: int = 4  # gradients between two projections

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(delay=self.delay)

    @property
    def forwards(self) -> int:
        """One for each gradient; the first one's also scores the prompt."""
        return self.delay

    @property
    def backwards(self) -> int:
        """One for each gradient."""
        return self.delay

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Project, then move for ``delay`` gradients along a continuous path."""
        ids = problem.vocabulary.nearest(state["point"])
        here = problem.vocabulary.embed(ids).float()
        first = None
        for _ in range(self.delay):
            here = here.detach().requires_grad_(True)
            draw = draw_targets(problem, rows, self.batch_size)
            loss, score = problem.evaluate(here, rows.item, draw)
            first = score.detach() if first is None else first
            (gradient,) = torch.autograd.grad(loss.sum(), here)
            moved = self._adamw(state, gradient)
            here = here + (moved["point"] - state["point"])
            state = moved
        assert first is not None  # delay is 1 or more
        return ids, first, state
