"""FluentPrompt: Langevin steps that are projected onto the vocabulary each time.

Shi, Han, Gonen, Holtzman, Tsvetkov, Zettlemoyer, "Toward Human Readable Prompt Tuning:
Kubrick's The Shining is a good movie, and a good prompt too?", 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.errors import PezError
from pez.methods.candidates import draw_targets
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class FluentPrompt(Method):
    """With z_i ~ N(0, I) the paper's step is

        e_{i+1} = Proj_E(e_i - lr * grad energy(e_i) + sqrt(2 * lr * beta_i) * z_i),

    from one prompt of the vocabulary to the next: unlike PEZ, whatever the
    projection undoes is lost. The energy is the objective's loss; the paper's, task and
    fluency weighed as ``l_task * loss + l_fluency * -log P(prompt)``, is the loss of a search
    with ``--fluency`` X, where X stands for l_fluency / l_task times the number of words (only
    their ratio counts, for the gradient is normalised; ours is the mean over words).
    The noise falls geometrically over ``steps``, beta_i = noise * (last_noise / noise)^(i / steps).

    A gradient's size and a table's differ by orders of magnitude from model to model: here
    the gradient is scaled to unit root mean square over a row, and a step is measured in
    the root mean square of the allowed words' embeddings.
    """

    name: ClassVar[str] = "fluentprompt"
    forwards = 1
    backwards = 1

    lr: float = 3.0
    noise: float = 1.0
    last_noise: float = 1e-4
    steps: int = 1000  # over which the noise falls
    batch_size: int = 0  # targets seen at each step; 0 means all of them

    def __post_init__(self) -> None:
        if not 0 < self.last_noise <= self.noise:
            raise PezError(
                "the noise of fluentprompt must fall to above 0: give noise of last_noise or more."
            )

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """The first ids' embeddings (b, k, w)."""
        point = problem.vocabulary.embed(problem.start_ids(rows)).float()
        return {"point": point, "age": torch.zeros(len(rows), 1, 1, device=point.device)}

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Project, take the gradient there, move from there with noise."""
        vocabulary = problem.vocabulary
        ids = vocabulary.nearest(state["point"])
        projected = vocabulary.embed(ids).float().requires_grad_(True)
        draw = draw_targets(problem, rows, self.batch_size)
        loss, score = problem.evaluate(projected, rows.item, draw)
        (gradient,) = torch.autograd.grad(loss.sum(), projected)
        unit = gradient / gradient.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-20)
        move = (2 * self.lr * self.beta(state["age"])).sqrt() * rows.normal(*unit.shape[1:])
        point = projected.detach() + vocabulary.scale * (move - self.lr * unit)
        return ids, score.detach(), {"point": point, "age": state["age"] + 1}

    def beta(self, age: Tensor) -> Tensor:
        """The noise's temperature after ``age`` steps, of its shape."""
        share = (age / self.steps).clamp(max=1)
        return self.noise * (self.last_noise / self.noise) ** share
