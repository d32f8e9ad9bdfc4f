"""Exchange: words are swapped by what their own features say of the swap, without gradients.

Ours. GCG and its kin rank swaps by a gradient with respect to the words' embeddings, which holds
near them; another word is far away. This method looks at what the model makes of the prompt. The
feature of a list of words is nearly a sum of theirs (see :func:`pez.search.init.pursued_words`, and
SpLiCE there), so a swap moves it along the difference of two words:

    f(x with v in place of w)  ~  (s f(x) + c_v - c_w) / |s f(x) + c_v - c_w|,
    s = |sum_i c_(x_i)|.

Here c_v is the feature of the word v by itself, less the mean of all words. As f(x) is read from
the whole prompt, it holds all that the other words do to each other; s says how long their sum was
before the model brought it to length one. So it is the exchange of one atom in matching pursuit,
with the model's own reading in place of the sum. The words' features are those of the start; one
matrix product predicts all swaps at all places.

Each step evaluates the next few swaps in the order of these predictions, and then all those
together that were improvements by themselves, as pursuit does. The search continues from the
best, at the top of its own order. After ``escape`` swaps without improvement the prompt counts as a
local optimum: then a step evaluates copies of the best prompt with ``kick`` words drawn anew, and
the search continues from the best of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.errors import PezError
from pez.methods.candidates import (
    NUMBERS,
    allowed_start,
    best_of,
    check_counts,
    evaluate_all,
    repeats,
    swap,
)
from pez.methods.pursuit import together
from pez.search.method import Method
from pez.search.problem import ROUNDING, Problem
from pez.search.rows import Rows

POOL = 100  # words, the best by themselves, that some are drawn from


@dataclass(frozen=True)
class Exchange(Method):
    """One step costs ten passes, none of them backwards."""

    name: ClassVar[str] = "exchange"
    usual_steps: ClassVar[int] = 50
    usual_start: ClassVar[str] = "pursuit"
    usual_style: ClassVar[str] = "phrases"

    candidates: int = 8  # prompts evaluated at each step; fewer if fewer exist
    escape: int = 32  # swaps without improvement before words are drawn anew; 0 is never
    kick: int = 2  # words that are drawn anew
    repeats: bool = False  # whether a swap may repeat a word of the prompt

    def __post_init__(self) -> None:
        check_counts(candidates=self.candidates, kick=self.kick)
        check_counts(0, escape=self.escape)

    @property
    def forwards(self) -> int:
        """One for the prompt's feature, one for each candidate, one for the combined
        improvements.
        """
        return 2 + self.candidates

    def start_forwards(self, problem: Problem) -> int:
        """The words' features, which the start may have rated, and the first prompt."""
        return 1 + (problem.start_forwards or len(problem.vocabulary.ids))

    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """The first ids (b, k) with their loss and score (b,), the best ones with theirs, and how
        many swaps (b,) of the ids were tried. PezError if scores of features do not add up.
        """
        if not problem.objective.linear:
            raise PezError(
                "--method exchange does not apply to this --objective; use --method gcg or pez."
            )
        _table(problem)  # the first step is not slower than others
        ids = allowed_start(problem, rows)
        loss, score = (x[:, 0] for x in evaluate_all(problem, ids[:, None], rows.item))
        now = {"ids": ids, "loss": loss, "score": score, "tried": torch.zeros_like(ids[:, 0])}
        return now | {"best": ids, "best_loss": loss}

    @torch.no_grad()
    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Evaluate the next swaps and the improvements combined, or prompts with words drawn."""
        ids, loss = state["ids"], state["loss"]
        own = _scores(problem, _table(problem), rows)  # (b, n)
        place, word = self._next(problem, rows, own, state)
        drawn = self._drawn(problem, rows, own, state["best"], place.shape[1])
        leave = (state["tried"] >= self.escape)[:, None] & (self.escape > 0)
        tried = torch.where(leave[..., None], drawn, swap(ids, place, word))
        losses, scores = evaluate_all(problem, tried, rows.item)
        if not self.repeats:  # where few words may be chosen, used ones are among the candidates
            more = repeats(tried, problem.said) > repeats(ids[:, None], problem.said)
            losses = losses.masked_fill(more, math.inf)
        change = (losses - loss[:, None]).masked_fill(leave, 0.0)  # drawn words are not combined
        both = together(ids, place, word, change, self.repeats)[:, None]
        both_loss, both_score = evaluate_all(problem, both, rows.item)
        gone = leave & losses.isfinite().any(1, keepdim=True)  # it continues from drawn words
        now, last = (x.masked_fill(gone, math.inf) for x in (loss[:, None], both_loss))
        ids, lowest, score = best_of(
            torch.cat([ids[:, None], tried, both], 1),
            torch.cat([now, losses, last], 1),
            torch.cat([state["score"][:, None], scores, both_score], 1),
        )
        moved = leave[:, 0] | (lowest < loss - ROUNDING)
        better = lowest < state["best_loss"]
        return (
            ids,
            score,
            {
                "ids": ids,
                "loss": lowest,
                "score": score,
                "tried": torch.where(moved, 0, state["tried"] + place.shape[1]),
                "best": torch.where(better[:, None], ids, state["best"]),
                "best_loss": torch.where(better, lowest, state["best_loss"]),
            },
        )

    def _next(
        self, problem: Problem, rows: Rows, own: Tensor, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Place (b, c) and word (b, c) of the swaps that follow the first ``tried`` ones in the
        order of their predicted scores; the first again after the last. ``own`` (b, n) are the
        words' scores.
        """
        table, words, ids = _table(problem), problem.vocabulary.ids, state["ids"]
        features = problem.features(problem.vocabulary.embed(ids).float())
        reached = _scores(problem, features, rows).diagonal()
        unrated = torch.arange(len(words), device=ids.device) >= len(problem.start_features)
        every = ids.shape[1] * len(words)
        count = min(self.candidates, every)
        most = min(self.escape + count, every) if self.escape else every
        order = []
        size = max(1, NUMBERS // every)
        parts = (features, reached, own, ids)
        for f, r, o, now in zip(*(x.split(size) for x in parts), strict=True):
            value = predicted(table, o, f, r, torch.searchsorted(words, now))
            taken = now[..., None] == words  # (b, k, n): no swap at all
            if not self.repeats:
                taken = taken.any(1, keepdim=True) | torch.isin(words, problem.said)
            value = value.masked_fill(taken | unrated, -math.inf)
            order.append(value.flatten(1).topk(most).indices)
        turn = state["tried"][:, None] + torch.arange(count, device=ids.device)
        chosen = torch.cat(order).gather(1, turn % most)
        return chosen // len(words), words[chosen % len(words)]

    def _drawn(self, problem: Problem, rows: Rows, own: Tensor, ids: Tensor, count: int) -> Tensor:
        """``count`` prompts (b, c, k): ids (b, k) with words drawn among the best by themselves at
        ``kick`` places each, or at all if there are fewer.
        """
        kick = min(self.kick, ids.shape[1])
        place = rows.uniform(count, ids.shape[1]).argsort(2)[..., :kick]
        pool = problem.vocabulary.ids[own.topk(min(POOL, own.shape[1])).indices]  # (b, p)
        drawn = (rows.uniform(count, kick) * pool.shape[1]).long()
        word = pool.gather(1, drawn.flatten(1)).view_as(drawn)
        return ids[:, None].expand(-1, count, -1).scatter(2, place, word)


def predicted(table: Tensor, own: Tensor, features: Tensor, reached: Tensor, at: Tensor) -> Tensor:
    """The scores (b, k, n) that prompts would have with each word in place of that at each place,
    as the module's docstring has it. ``table`` (n, e) holds what words add and ``own`` (b, n) its
    scores; the prompts have ``features`` (b, e), the scores ``reached`` (b,), and their words are
    at ``at`` (b, k) of the table.
    """
    gone = table[at]  # (b, k, e)
    length = gone.sum(1).norm(dim=1)[:, None]
    rest = (length * features)[:, None] - gone
    square = rest.square().sum(-1, keepdim=True) + 2 * rest @ table.T + table.square().sum(-1)
    value = (length * reached[:, None] - own.gather(1, at))[..., None] + own[:, None]
    return value / square.clamp(min=1e-12).sqrt()


def _table(problem: Problem) -> Tensor:
    """What the allowed words add (n, e): their features as the start has them, less the mean; zeros
    for those that there was no time to rate.
    """
    if Exchange not in problem.memo:
        features = problem.start_features
        table = features.new_zeros(len(problem.vocabulary.ids), features.shape[1])
        table[: len(features)] = features - features.mean(0)
        problem.memo[Exchange] = table
    return problem.memo[Exchange]


def _scores(problem: Problem, features: Tensor, rows: Rows) -> Tensor:
    """The scores (b, m) of features (m, e) for each row's item."""
    items = sorted({job.item for job in rows.jobs})
    place = torch.tensor([items.index(job.item) for job in rows.jobs], device=features.device)
    return problem.objective.rate(features, items)[place]
