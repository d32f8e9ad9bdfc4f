"""CLIP Interrogator's method: a text, then the best phrase of a list at each place.

After the tool CLIP Interrogator (pharmapsychotic, 2022), which starts from a captioner's text
and chains phrases of its lists by their similarity to the picture. There is no paper. The
lists here are the user's or the vocabulary's own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pez.methods.candidates import allowed_start, check_counts, evaluate_all
from pez.methods.phrases import best_first, phrase_features, read_lines, split_phrases
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Rows


@dataclass(frozen=True)
class Interrogator(Method):
    """The prompt begins as ``--init``'s text (a captioner's, or your own) or empty. At the
    next free place all phrases are tried, ``candidates`` of them per step, and the best one is
    appended, until every place is filled. Places not yet reached repeat the text so far, so each
    prompt tried is complete. A full chain is then revised from its first phrase on: a phrase
    that does better at a place replaces the one there.

    The ``top`` phrases by their own scores are tried; scoring them takes one forward pass per
    phrase, once for all rows (:meth:`start_forwards`). A phrase too long for the remaining places
    is cut. Restarts and other seeds without a text begin at a phrase drawn from the best.

    With ``revise`` there is no chain to grow: a whole prompt at the start's words (``--init``
    random, words or pursuit) is revised from its first place on.
    """

    name: ClassVar[str] = "interrogator"
    backwards = 0

    phrases: str = ""  # a text file with one phrase per line; default: the vocabulary's words
    candidates: int = 64  # tried per step
    top: int = 1024  # phrases tried at a place: those with the best own scores
    revise: bool = False  # begin with a whole prompt, and revise it

    def __post_init__(self) -> None:
        check_counts(candidates=self.candidates, top=self.top)

    @property
    def own_start(self) -> str:
        """An empty chain, unless it revises a whole prompt."""
        return "" if self.revise else "a chain without words, to which the best phrase comes first"

    @property
    def forwards(self) -> int:
        """Each step scores that many prompts per row."""
        return self.candidates

    def start_forwards(self, problem: Problem) -> int:
        """One for each phrase, one for the first prompt, and what its ids cost."""
        return len(self._rated(problem)[0]) + 1 + problem.start_forwards

    @torch.no_grad()
    def start(self, problem: Problem, rows: Rows) -> dict[str, Tensor]:
        """The text, or a phrase for restarts, repeated over the places; its items' phrases."""
        slots = problem.template.slots
        phrases, lengths, features = self._rated(problem)
        orders = best_first(problem, features, [job.item for job in rows.jobs])
        listed = torch.stack([orders[job.item][: self.top] for job in rows.jobs])
        ids = allowed_start(problem, rows)
        said = len(problem.init) if isinstance(problem.init, Tensor) else 0
        said = slots if self.revise else said
        place = torch.full((len(rows),), said, device=rows.device)
        if not said:
            for r, job in enumerate(rows.jobs):
                if job.restart or job.seed:
                    pool = min(4 * slots, listed.shape[1])
                    n = listed[r, int(torch.randint(pool, (), generator=rows.generators[r]))]
                    ids[r], place[r] = phrases[n], lengths[n]
        full = place >= slots
        ids = _repeated(ids, place.clamp(min=1))
        loss, score = (x[:, 0] for x in evaluate_all(problem, ids[:, None], rows.item))
        return {
            "listed": listed,
            "ids": ids,
            "loss": loss,
            "score": score,
            "place": torch.where(full, 0, place),
            "first": torch.where(full | (said == 0), 0, place),  # where the chain begins
            "again": full,  # whether the chain is being revised
            "cursor": torch.zeros_like(place),  # phrases tried at this place
            "best": ids,
            "best_end": torch.zeros_like(place),
            "best_loss": torch.where(full, loss, torch.inf),
            "best_score": score,
        }

    @torch.no_grad()
    def step(
        self, problem: Problem, rows: Rows, state: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Try the next phrases at each row's place; once all were tried, keep the best.

        Returns the best prompt tried, or the previous one if that is better.
        """
        slots = problem.template.slots
        phrases, lengths, _ = self._rated(problem)
        listed, place, again = state["listed"], state["place"], state["again"]
        most = listed.shape[1]
        turn = state["cursor"][:, None] + torch.arange(self.candidates, device=rows.device)
        chosen = listed.gather(1, turn.clamp(max=most - 1))  # (b, c); the last fills up
        end = (place[:, None] + lengths[chosen]).clamp(max=slots)
        tried = _with_phrases(state["ids"], phrases[chosen], place, end, again)
        losses, scores = evaluate_all(problem, tried, rows.item)
        loss, n = losses.min(1)
        row = torch.arange(len(rows), device=rows.device)
        ids, score, end = tried[row, n], scores[row, n], end[row, n]

        better = loss < state["best_loss"]
        best = torch.where(better[:, None], ids, state["best"])
        best_end = torch.where(better, end, state["best_end"])
        best_loss = torch.where(better, loss, state["best_loss"])
        best_score = torch.where(better, score, state["best_score"])
        cursor = state["cursor"] + self.candidates
        done = cursor >= most
        # a row that revises its chain leaves a place unchanged if it was best
        moved = torch.where(best_end > place, best_end, place + 1)
        full = done & (moved >= slots)
        again = again | full
        place = torch.where(done, torch.where(full, state["first"], moved), place)
        worse = loss > state["loss"]
        new = {
            "listed": listed,
            "ids": torch.where(done[:, None], best, state["ids"]),
            "loss": torch.where(done, best_loss, state["loss"]),
            "score": torch.where(done, best_score, state["score"]),
            "place": place,
            "first": state["first"],
            "again": again,
            "cursor": torch.where(done, 0, cursor),
            "best": best,
            "best_end": torch.where(done, 0, best_end),
            "best_loss": torch.where(done & ~again, torch.inf, best_loss),
            "best_score": best_score,
        }
        ids = torch.where(worse[:, None], state["ids"], ids)
        return ids, torch.where(worse, state["score"], score), new

    def _rated(self, problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
        """Phrases as ids (P, k), each repeated over the places, their lengths (P,) and their
        features (P, e), once per problem.
        """
        key = (Interrogator, self.phrases)
        if key not in problem.memo:
            slots, allowed = problem.template.slots, problem.vocabulary.ids
            if self.phrases:
                lines = read_lines(self.phrases, "--set phrases")
                split = split_phrases(problem.vocabulary, lines, slots)
            else:
                split = [[i] for i in allowed.tolist()]
            lengths = torch.tensor([len(ids) for ids in split], device=allowed.device)
            rows = [(ids * slots)[:slots] for ids in split]
            ids = torch.tensor(rows, device=allowed.device)
            problem.memo[key] = ids, lengths, phrase_features(problem, split)
        return problem.memo[key]


def _with_phrases(
    ids: Tensor, phrases: Tensor, place: Tensor, end: Tensor, again: Tensor
) -> Tensor:
    """Prompts (b, c, k): ``ids`` (b, k) with each of ``phrases`` (b, c, k) from ``place`` (b,)
    to ``end`` (b, c). After it comes what was there, or, while the chain still grows
    (``again`` (b,) is false), the prompt from its beginning.
    """
    at = torch.arange(ids.shape[1], device=ids.device)
    shifted = (at - place[:, None]).clamp(min=0)[:, None].expand_as(phrases)
    inside = (at >= place[:, None, None]) & (at < end[..., None])
    tried = torch.where(inside, phrases.gather(-1, shifted), ids[:, None])
    return torch.where(again[:, None, None], tried, _repeated(tried, end))


def _repeated(ids: Tensor, end: Tensor) -> Tensor:
    """Prompts (..., k) whose ids before ``end`` (...) are repeated over the rest."""
    at = torch.arange(ids.shape[-1], device=ids.device)
    return ids.gather(-1, at % end[..., None])
