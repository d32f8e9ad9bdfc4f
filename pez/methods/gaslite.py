"""GASLITE: averaged gradients, then several places flipped one after the other in each step.

Ben-Tov & Sharif, "GASLITEing the Retrieval: Exploring Vulnerabilities in Dense Embedding-Based
Search", 2024. It was made to bring a text's embedding near a target's, in cosine, as here. A step
goes from the prompt x = x_1 ... x_k:

1. The gradient is averaged over n_grad prompts near x, the first x itself, the others x with a
   random word at a random place: at each place i, g_i = 1/n_grad sum_j grad_{e(x_i)} L(x^(j)).
2. n_flip places are drawn, none twice. Each has n_cand candidates among the top words by
   -e(v)^T g_i.
3. From the first place to the last, all candidates of the place are evaluated in the prompt as
   flipped so far, and the best becomes that prompt, unless it is better unflipped.

So a step never ends at a worse prompt. Two details come from the authors' code: half of the
candidates are the best by the gradient and half are drawn from the words that follow, and the
places go from left to right. It differs in four: the code scales each gradient over the vocabulary
to unit length before it averages, where this is the plain mean; it draws candidates with
repetition; of a prompt with fewer places than n_flip it flips two thirds, where this flips all; and
it omits flips that no tokenizer gives, which the default vocabulary rules out.
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
    check_shares,
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
class Gaslite(Method):
    """The authors average over 50 prompts and flip 20 places of about 100, each with 128
    candidates out of 256: 2,610 forward and 50 backward passes a step, for 100 steps. With
    fewer, a step costs less, so there can be more steps.
    """

    name: ClassVar[str] = "gaslite"

    average: int = 4  # prompts at which the gradient is taken (n_grad)
    flips: int = 4  # places flipped at each step (n_flip); fewer if the prompt has fewer
    candidates: int = 8  # words evaluated at each of these (n_cand); fewer if fewer are allowed
    topk: int = 16  # top candidates of each place that they come from
    drawn: float = 0.5  # share of the candidates drawn at random; the others are the best
    batch_size: int = 0  # targets seen at each step; 0 means all of them

    def __post_init__(self) -> None:
        check_counts(
            average=self.average, flips=self.flips, candidates=self.candidates, topk=self.topk
        )
        check_shares(drawn=self.drawn)

    @property
    def forwards(self) -> int:
        """One for each averaged prompt and one for each candidate of each flipped place."""
        return self.average + self.flips * min(self.candidates, self.topk)

    @property
    def backwards(self) -> int:
        """One for each averaged prompt."""
        return self.average

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """The first ids (b, k)."""
        return {"ids": allowed_start(problem, rows)}

    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Average the gradient near the prompt, then flip places one by one."""
        ids = state["ids"]
        draw = draw_targets(problem, rows, self.batch_size)
        seen = nearby(problem, rows, ids, self.average)
        losses, scores, gradient = slopes(problem, seen, rows.item, draw)
        places = rows.uniform(ids.shape[1]).argsort(1)[:, : self.flips].sort(1).values  # (b, f)
        at = places[..., None].expand(-1, -1, gradient.shape[-1])
        slope = gradient.mean(1).gather(1, at)
        top = top_candidates(problem, slope, ids.gather(1, places), self.topk)
        words = self._choose(rows, top)  # (b, f, c)
        loss, score = losses[:, :1], scores[:, :1]  # of the prompt itself
        for n in range(places.shape[1]):
            tried = swap(ids, places[:, n : n + 1].expand_as(words[:, n]), words[:, n])
            losses, scores = evaluate_all(problem, tried, rows.item, draw)
            ids, best, best_score = best_of(
                torch.cat([ids[:, None], tried], 1),
                torch.cat([loss, losses], 1),
                torch.cat([score, scores], 1),
            )
            loss, score = best[:, None], best_score[:, None]
        return ids, score[:, 0], {"ids": ids}

    def _choose(self, rows: Rows, top: Tensor) -> Tensor:
        """The candidates (b, f, c) among the ``top`` (b, f, t), the best first: some are the first,
        the others drawn from those that follow, without repetition.
        """
        count = min(self.candidates, top.shape[2])
        first = count - int(count * self.drawn)
        noise = rows.uniform(top.shape[1], top.shape[2])
        noise[..., :first] = -1  # before all others
        return top.gather(2, noise.argsort(dim=2, stable=True)[..., :count])


def nearby(problem: Problem, rows: Rows, ids: Tensor, count: int) -> Tensor:
    """``count`` prompts (b, count, k): ids (b, k), then copies with a random word at a random
    place each.
    """
    place = (rows.uniform(count - 1) * problem.template.slots).long()
    flipped = swap(ids, place, draw_words(problem, rows, count - 1))
    return torch.cat([ids[:, None], flipped], 1)
