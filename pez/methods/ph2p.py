"""PH2P's delayed projection: continuous embeddings move for some steps before they are projected.

Mahajan, Rahman, Yi, Sigal, "Prompting Hard or Hardly Prompting: Prompt Inversion for
Text-to-Image Diffusion Models", CVPR 2024. PEZ projects before every gradient. Here a turn of
``delay`` gradients starts at the projection and follows a continuous path, while the stored
embeddings P move with all of these gradients:

    Q_0 = Proj_E(P);   for i < delay:  g = grad L(Q_i);  P <- step(P, g);  Q_i+1 = Q_i + same step.

The intended loss is that of ``--objective denoise``, at late timesteps; with ``batch_size`` each
gradient sees a new random part of them. Under any other objective the search is the same.

Differences from the paper: it uses L-BFGS (20 inner iterations, rate 0.8 in the authors' code),
separately for each row of a batch. Here the steps are PEZ's AdamW steps with its settings, so a
delay of 1 gives PEZ. The paper returns the prompt whose regenerated picture is most like the
target to a CLIP; here it is the prompt of lowest loss, which needs no second model.
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
