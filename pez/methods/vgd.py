"""VGD: a language model's beam search, weighed by how well the words match.

Kim, Bae, Shim, Shim, "Visually Guided Decoding: Gradient-Free Hard Prompt Inversion with Language
Models", ICLR 2025.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pez.errors import PezError
from pez.methods.candidates import allowed_start, check_counts, check_shares, evaluate_all
from pez.methods.sentences import SCALE, Tried, filled, revised, sayable, worth
from pez.methods.simplex import start_places
from pez.search.method import Method, State
from pez.search.problem import Problem
from pez.search.rows import Rows

GUIDES = ("words", "start")
PARTIAL = 1000.0  # by which the score of a completed partial sentence is below any whole one's


@dataclass(frozen=True)
class Vgd(Method):
    """Each step fills one place, from the first on. The language model continues each of the
    ``beams`` partial prompts; the ``candidates`` likeliest of all are evaluated, and the
    ``beams`` with the highest value are kept:

        log p(words) + alpha * 100 * -loss(words),

    which for pictures is the paper's log P_LLM + alpha * log P_CLIP except for terms that all
    candidates share. Beams, candidates and alpha are those of the authors' code. A step returns the
    best partial prompt, completed with the language model's likeliest words.
    After the last place another pass begins, whose candidates are sampled by their probabilities
    (Kool et al. 2019, Gumbel top-k), as are all those of restarts and other seeds.

    The paper writes the best single word into the instruction of a chat model. A plain language
    model takes no instruction: here it says the best single word, or one of the ``hints`` best,
    with probability ``hint`` at every place, none of them twice; hint=0 leaves it unguided. On
    mini one hint did best; more or likelier hints gave the same thing by other names.
    Scoring the words takes one forward pass each, once for all rows (:meth:`start_forwards`).

    With ``guide=start`` the hints are the first ``hints`` words of the start instead (``--init``
    random, words or pursuit), and the start itself is the first prompt that is scored.

    In a sentence (``--style sentence``) no word is said twice but words such as "of", and none of
    those is the first or the last. Hints are candidates there, but told no likelier than the
    language model says. Partial sentences are completed with the best single words, and only whole
    ones compete for the result, by the value above. After the last place each place is revised in
    turn (:func:`pez.methods.sentences.revised`), then another pass begins. This is ours.

    A start text is what every prompt begins with, unless it fills all places.
    """

    name: ClassVar[str] = "vgd"
    reads_language: ClassVar[bool] = True
    backwards = 0

    beams: int = 10
    candidates: int = 100  # evaluated per step, over all beams
    alpha: float = 1.5
    hint: float = 0.05
    hints: int = 1
    guide: str = "words"  # where the hints come from: words, the best single ones, or start

    def __post_init__(self) -> None:
        if self.guide not in GUIDES:
            raise PezError(f"unknown guide {self.guide!r}; use {' or '.join(GUIDES)}.")
        check_counts(beams=self.beams, candidates=self.candidates, hints=self.hints)
        check_shares(hint=self.hint)

    @property
    def own_start(self) -> str:
        """No words yet, unless the start guides it."""
        if self.guide == "start":
            return ""
        return "a prompt without words, whose language model is told the best single word"

    @property
    def forwards(self) -> int:
        """The candidates, and the best of them as a whole prompt."""
        return self.candidates + 1

    def start_forwards(self, problem: Problem) -> int:
        """One for each word, whose scores select the hints; those of the start and one for itself
        if that guides.
        """
        if self.guide == "start":
            return problem.start_forwards + 1
        return len(problem.vocabulary.ids)

    def continuations(self, slots: int, steps: int, sentence: bool = False) -> int:
        """One for each beam at a place, and one for each place that the best prompt lacks. In a
        sentence none of the latter, but one for the whole one; and at a place that is revised one,
        one for each of ``beams`` prompts, and one for the prompt as it was.
        """
        kept = min(self.beams, self.candidates)
        if not sentence:
            places = [n % slots for n in range(steps)]
            return sum((kept if n else 1) + slots - n - 1 for n in places)
        grown = [kept if n else 1 for n in range(slots)]
        grown[-1] += 1
        each = [*grown, *[kept + 2] * slots]
        return sum(each[n % len(each)] for n in range(steps))

    @torch.no_grad()
    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """Beams (b, m, k) that hold the start text or nothing yet."""
        slots, device = problem.template.slots, rows.device
        ids = torch.zeros(len(rows), slots, dtype=torch.long, device=device)
        said = self._said(problem)
        if said:
            ids[:, :said] = allowed_start(problem, rows)[:, :said]
        others = [job.restart > 0 or job.seed != 0 for job in rows.jobs]
        kept = min(self.beams, self.candidates)
        own: State = {}
        if self.guide == "words":
            own = {"hints": self._best_words(problem, rows, self.hints)}
        if self.guide == "start":
            places = start_places(problem, rows)
            begun = problem.vocabulary.ids[places]
            score = evaluate_all(problem, begun[:, None], rows.item)[1][:, 0]
            if problem.little is not None:  # a list of words, no sentence
                score -= PARTIAL
            own = {"hints": places[:, : self.hints], "begun": begun, "begun_score": score}
        if problem.little is not None:
            own["spare"] = self._best_words(problem, rows, max(2 * slots, self.candidates // 2))
            own["shown"] = torch.zeros(len(rows), device=device)
        return {
            "ids": ids[:, None].repeat(1, kept, 1),
            "told": torch.zeros(len(rows), kept, device=device),  # log p of the words so far
            "place": torch.full((len(rows),), said, device=device),
            "drawn": torch.tensor(others, device=device),
            **own,
        }

    def _best_words(self, problem: Problem, rows: Rows, count: int) -> Tensor:
        """Places (b, h) among the allowed words of the ``count`` best single ones for each row."""
        items = sorted({job.item for job in rows.jobs})
        order = problem.word_scores(items).argsort(descending=True, stable=True)
        best = dict(zip(items, order[:, :count], strict=True))
        return torch.stack([best[job.item] for job in rows.jobs])

    @torch.no_grad()
    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Fill the next place of every row's beams; rows at one place go together."""
        slots, said = problem.template.slots, self._said(problem)
        ids, told = state["ids"].clone(), state["told"].clone()
        whole, score = ids[:, 0].clone(), told[:, 0].clone()
        shown = score.clone()
        noise = rows.uniform(ids.shape[1], len(problem.vocabulary.ids)).clamp(1e-20, 1 - 1e-7)
        noise = torch.where(state["drawn"][:, None, None], -(-noise.log()).log(), 0)
        for n in state["place"].unique().tolist():
            own = (state["place"] == n).nonzero()[:, 0]
            if n >= slots:
                near = state["spare"][own, : self.candidates - self.candidates // 2]
                tried = Tried(self.candidates // 2, near, ids.shape[1])
                at = said + n - slots
                best = revised(problem, ids[own, 0], at, tried, rows.item[own], self.alpha)
                whole[own], ids[own, 0], score[own] = best[0], best[0], self._ranked(best[1])
                shown[own] = best[2]
                continue
            begun = {"ids": ids[own, :, :n], "told": told[own], "hints": state["hints"][own]}
            ids[own, :, : n + 1], told[own] = self._grow(problem, begun, noise[own], rows.item[own])
            if problem.little is None:
                whole[own] = _ended(problem, ids[own, 0, : n + 1])
                score[own] = evaluate_all(problem, whole[own][:, None], rows.item[own])[1][:, 0]
                continue
            whole[own] = filled(problem, ids[own, 0, : n + 1], state["spare"][own])
            loss, scores = evaluate_all(problem, whole[own][:, None], rows.item[own])
            shown[own] = scores[:, 0]
            if n + 1 < slots:
                score[own] = scores[:, 0] - PARTIAL
            else:
                score[own] = self._ranked(worth(problem, whole[own], loss[:, 0], self.alpha))
        last = slots if problem.little is None else 2 * slots - said
        full = state["place"] + 1 >= last
        new = {
            "ids": ids,
            "told": torch.where(full[:, None], 0, told),
            "place": torch.where(full, said, state["place"] + 1),
            "drawn": state["drawn"] | full,
            "hints": state["hints"],
            **({"spare": state["spare"], "shown": shown} if "spare" in state else {}),
        }
        if self.guide == "start":  # the first step also tells of the start
            better = state["begun_score"] > score
            whole = torch.where(better[:, None], state["begun"], whole)
            score = torch.where(better, state["begun_score"], score)
            if problem.little is not None:
                new["shown"] = torch.where(better, state["begun_score"] + PARTIAL, shown)
            done = torch.full_like(score, -torch.inf)
            new |= {"begun": state["begun"], "begun_score": done}
        return whole, score, new

    def shown(self, score: Tensor, state: State) -> Tensor:
        """In a sentence the score of the whole prompt, whatever it competes by."""
        return state.get("shown", score)

    def _ranked(self, rated: Tensor) -> Tensor:
        """What sentences are worth (b,), in units of a cosine."""
        return rated / (self.alpha * SCALE) if self.alpha > 0 else rated

    def _grow(
        self, problem: Problem, begun: dict[str, Tensor], noise: Tensor, item: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Beams (b, m, n + 1), the best first, and log p (b, m) of their words."""
        ids, told = begun["ids"], begun["told"]
        kept, n = ids.shape[1:]
        if n == self._said(problem):  # at the start all beams are the same
            ids, told, noise = ids[:, :1], told[:, :1], noise[:, :1]
        chance = problem.next_words(ids.flatten(0, 1)).unflatten(0, ids.shape[:2])
        hinted = told[..., None] + self._hinted(problem, chance, begun)
        if problem.little is None:
            chance = hinted
        else:  # hints are only proposed
            hinted = sayable(problem, ids, hinted)
            chance = told[..., None] + chance
            chance = chance.masked_fill(hinted == -math.inf, -math.inf)
        proposed = (hinted + noise).flatten(1)
        order = proposed.topk(min(self.candidates, proposed.shape[1])).indices
        turn = torch.arange(self.candidates, device=ids.device)
        fresh = turn < order.shape[1]  # of few words the last one fills up
        order = order[:, turn.clamp(max=order.shape[1] - 1)]
        beam, word = order // chance.shape[-1], order % chance.shape[-1]
        before = ids.gather(1, beam[..., None].expand(-1, -1, n))
        tried = torch.cat([before, problem.vocabulary.ids[word][..., None]], -1)  # (b, c, n + 1)
        short = replace(problem, template=problem.template.first(n + 1))
        loss, _ = evaluate_all(short, tried, item)
        chance = chance.flatten(1).gather(1, order).masked_fill(~fresh, -math.inf)
        best = (chance - self.alpha * SCALE * loss).topk(kept).indices
        return tried.gather(1, best[..., None].expand(-1, -1, n + 1)), chance.gather(1, best)

    def _hinted(self, problem: Problem, chance: Tensor, begun: dict[str, Tensor]) -> Tensor:
        """Log-probabilities (b, m, v) mixed with those of the hints that were not said yet."""
        if not self.hint:
            return chance
        ids, hints = begun["ids"][:, : chance.shape[1]], begun["hints"]
        words = problem.vocabulary.ids[hints][:, None]  # (b, 1, h)
        new = (ids[..., None] != words[..., None, :]).all(2)  # (b, m, h)
        own = torch.where(new, math.log(self.hint / hints.shape[1]), -math.inf)
        told = torch.full_like(chance, -math.inf).scatter(-1, hints[:, None].expand_as(own), own)
        rest = math.log1p(-self.hint) if self.hint < 1 else -math.inf
        left = torch.where(new.any(-1, keepdim=True), rest, 0.0)  # all where no hint is left
        return torch.logaddexp(chance + left, told)

    def _said(self, problem: Problem) -> int:
        """How many words the start text gives: where a pass begins."""
        given = len(problem.init) if isinstance(problem.init, Tensor) else 0
        return given if given < problem.template.slots else 0


def _ended(problem: Problem, chosen: Tensor) -> Tensor:
    """Ids (b, k): the words ``chosen`` (b, n) followed by the likeliest."""
    for _ in range(problem.template.slots - chosen.shape[1]):
        next_word = problem.vocabulary.ids[problem.next_words(chosen).argmax(1)]
        chosen = torch.cat([chosen, next_word[:, None]], 1)
    return chosen
