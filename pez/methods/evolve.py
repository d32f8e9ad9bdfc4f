"""Genetic search: a population for each row, bred by tournaments; no gradients.

Holland, "Adaptation in Natural and Artificial Systems", 1975; selection as in Goldberg & Deb,
"A Comparative Analysis of Selection Schemes Used in Genetic Algorithms", 1991. A child's
parents are each the best of ``tournament`` members drawn at random, each of its words comes
from one parent or the other (uniform crossover), and each is swapped for a random word with
probability ``mutation``. The ``elite`` best of a generation survive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.methods.candidates import (
    allowed_start,
    check_counts,
    check_shares,
    draw_words,
    evaluate_all,
)
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class Evolve(Method):
    """A step evaluates one generation."""

    name: ClassVar[str] = "evolve"
    backwards = 0

    population: int = 16  # prompts of a generation
    tournament: int = 3  # members drawn for each parent
    mutation: float = 0.1  # probability that a word is swapped
    elite: int = 2  # best prompts that survive, at no extra cost

    def __post_init__(self) -> None:
        check_counts(population=self.population, tournament=self.tournament)
        check_shares(mutation=self.mutation)
        check_counts(0, elite=self.elite)

    @property
    def forwards(self) -> int:
        """One for each child."""
        return self.population

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """Children (b, p, k): the first ids, and copies in which more and more words are
        random, all of them in the last. There is no previous generation (b, p, k), so its
        losses (b, p) are infinite.
        """
        first = allowed_start(problem, rows)[:, None].repeat(1, self.population, 1)
        share = torch.linspace(0, 1, self.population, device=first.device)[:, None]
        free = rows.uniform(self.population, problem.template.slots) < share
        worst = torch.full(first.shape[:2], math.inf, device=first.device)
        words = draw_words(problem, rows, *first.shape[1:])
        return {
            "young": torch.where(free, words, first),
            "ids": first,
            "loss": worst,
            "score": -worst,
        }

    @torch.no_grad()
    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Evaluate the children, let the elite of their parents replace the worst, breed."""
        loss, score = evaluate_all(problem, state["young"], rows.item)
        old = slice(0, self.elite)
        ids = torch.cat([state["young"], state["ids"][:, old]], 1)
        loss = torch.cat([loss, state["loss"][:, old]], 1)
        score = torch.cat([score, state["score"][:, old]], 1)
        order = loss.argsort(dim=1, stable=True)[:, : self.population]
        ids = ids.take_along_dim(order[..., None], 1)
        loss, score = loss.gather(1, order), score.gather(1, order)
        young = self._breed(problem, rows, ids)
        return ids[:, 0], score[:, 0], {"young": young, "ids": ids, "loss": loss, "score": score}

    def _breed(self, problem: Problem, rows: Rows, ids: Tensor) -> Tensor:
        """Children (b, p, k) of a generation of ids (b, p, k), which is sorted, best first."""
        _, p, k = ids.shape
        drawn = (rows.uniform(2, p, self.tournament) * p).long()
        mother, father = (
            ids.take_along_dim(winner[..., None], 1) for winner in drawn.amin(-1).unbind(1)
        )
        child = torch.where(rows.uniform(p, k) < 0.5, mother, father)
        changed = rows.uniform(p, k) < self.mutation
        return torch.where(changed, draw_words(problem, rows, p, k), child)
