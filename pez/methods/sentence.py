"""Sentence: words that match, joined by a language model. Ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.errors import PezError
from pez.methods.candidates import check_counts, evaluate_all
from pez.methods.joined import Wanted, begun_sentences, joined
from pez.methods.sentences import SCALE
from pez.methods.simplex import start_places
from pez.search.init import RATED, Added
from pez.search.method import Method, State
from pez.search.problem import Problem
from pez.search.rows import Rows

FINISHED = 4  # times ``beams``: sentences that the text tower reads at each step


@dataclass(frozen=True)
class Sentence(Method):
    """Each step writes one sentence. It says ``words`` of the ``pool`` words that match best, each
    once, and between them words such as "of", which ``--style sentence`` allows; behind "a" and
    "the" stands one of those that match. A grid beam
    search (:func:`pez.methods.joined.joined`) finds which ones, in which order and with what
    between them; of its last sentences the text tower reads all, and the best one is returned by

        log p(words) + alpha * 100 * -loss(words),

    the value of :mod:`pez.methods.vgd`. By default about two of five places are for the words.
    The pool begins with the words of the start (``--init`` random, words or pursuit, or a text),
    then come the best single words. Later steps, restarts and other seeds draw theirs from twice
    as many.

    ``benchmarks/fluency.md`` has its perplexity on photographs, and what it costs. Without words
    such as "of", as in ``--style words``, it is the order of words that the language model decides.
    """

    name: ClassVar[str] = "sentence"
    usual_steps: ClassVar[int] = 1
    usual_start: ClassVar[str] = "pursuit"
    usual_style: ClassVar[str] = "sentence"
    reads_language: ClassVar[bool] = True
    backwards = 0

    words: int = 0  # said in a sentence, beside those such as "of"; 0 is two of five places
    pool: int = 12  # from which they are chosen
    beams: int = 8  # kept for each number of words said
    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_counts(pool=self.pool, beams=self.beams)
        check_counts(0, words=self.words)
        if self.words == 1:
            raise PezError(
                "--set words must be 2 or more, the first and the last of a sentence, or 0, not 1."
            )

    @property
    def forwards(self) -> int:
        """The finished sentences."""
        return FINISHED * self.beams

    def start_forwards(self, problem: Problem) -> int:
        """What the start costs, and one for each word by itself if that has not rated them."""
        init = problem.init
        rated = isinstance(init, str) and init in RATED and not problem.around
        return problem.start_forwards + (0 if rated else len(problem.vocabulary.ids))

    def continuations(self, slots: int, steps: int, sentence: bool = False) -> int:
        """One for each sentence begun, where there are at least ``beams`` words such as "of"."""
        count = self._count(slots, sentence)
        little = self.beams if sentence else 0
        pool = max(self.pool, count)
        return steps * begun_sentences(slots, count, pool, little, self.beams)

    def _count(self, slots: int, sentence: bool) -> int:
        """How many words are said."""
        return min(slots, self.words or max(2, round(0.4 * slots))) if sentence else slots

    @torch.no_grad()
    def start(self, problem: Problem, rows: Rows) -> State:
        """Places (b, 2 p) among the allowed words that match best, the best first."""
        if not problem.objective.linear:
            raise PezError(
                "--method sentence adds up what words say, which this --objective cannot; use "
                "--method vgd."
            )
        begun = start_places(problem, rows)
        if isinstance(problem.init, Tensor):  # behind a text are random words
            begun = begun[:, : len(problem.init)]
        items = sorted({job.item for job in rows.jobs})
        scores = dict(zip(items, problem.word_scores(items), strict=True))
        little = _little(problem)
        size = 2 * max(self.pool, self._count(problem.template.slots, len(little) > 0))
        refused = {*little.tolist()}
        listed = [
            _listed(own, scores[job.item], refused, size)
            for own, job in zip(begun.tolist(), rows.jobs, strict=True)
        ]
        others = [job.restart > 0 or job.seed != 0 for job in rows.jobs]
        return {
            "listed": torch.tensor(listed, device=rows.device),
            "drawn": torch.tensor(others, device=rows.device),
            "shown": torch.zeros(len(rows), device=rows.device),
        }

    @torch.no_grad()
    def step(self, problem: Problem, rows: Rows, state: State) -> tuple[Tensor, Tensor, State]:
        """A sentence of every row."""
        listed, little = state["listed"], _little(problem)
        count = self._count(problem.template.slots, len(little) > 0)
        order = rows.uniform(listed.shape[1]).argsort(1)
        order = torch.where(state["drawn"][:, None], order, order.sort(1).values)
        pool = listed.gather(1, order)[:, : listed.shape[1] // 2]
        features = Added.alone(problem.word_features, None, 0)[-1].words
        weight = self.alpha * SCALE
        articles = None
        if problem.articles is not None:
            articles = torch.isin(problem.vocabulary.ids[little], problem.articles)
        found = []
        for own, job in zip(pool, rows.jobs, strict=True):
            wanted = Wanted(own, little, features[own], count, weight, articles)
            found.append(joined(problem, wanted, job.item, self.beams))
        ids, told = (torch.stack(part) for part in zip(*found, strict=True))
        loss, score = evaluate_all(problem, ids, rows.item)
        value, best = (told - weight * loss).max(1, keepdim=True)
        whole = ids.gather(1, best[..., None].expand(-1, -1, ids.shape[2]))[:, 0]
        shown = score.gather(1, best)[:, 0]
        drawn = torch.ones_like(state["drawn"])  # from now on
        ranked = value[:, 0] / weight if weight else value[:, 0]
        return whole, ranked, {"listed": listed, "drawn": drawn, "shown": shown}

    def shown(self, score: Tensor, state: State) -> Tensor:
        """How well the sentence matches, without how it reads."""
        return state["shown"]


def _little(problem: Problem) -> Tensor:
    """Places (g,) among the allowed words of those such as "of"; none where these are all."""
    allowed = problem.vocabulary.ids
    if problem.little is None:
        return allowed[:0]
    found = torch.isin(allowed, problem.little).nonzero()[:, 0]
    return found if len(found) < len(allowed) else found[:0]


def _listed(begun: list[int], scores: Tensor, refused: set[int], size: int) -> list[int]:
    """``size`` places among the words of these ``scores`` (n,): those ``begun`` with, then the best
    single ones, none of them ``refused``. Too few are repeated.
    """
    best = scores.topk(min(len(scores), size + len(refused))).indices.tolist()
    words = [n for n in dict.fromkeys([*begun, *best]) if n < len(scores) and n not in refused]
    return [words[n % len(words)] for n in range(size)]
