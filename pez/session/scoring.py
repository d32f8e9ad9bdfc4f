"""From the engine's findings to results: prompts as text, tokenised and scored afresh."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch

from pez.models import Reader
from pez.models.language import LanguageModel
from pez.options import SearchOptions
from pez.result import Result
from pez.search.engine import Found
from pez.search.method import Method
from pez.search.problem import Problem
from pez.session.items import Item
from pez.session.language import surprises

SCORED = 256  # texts that are scored at once
READ = 32  # texts whose logits a language model has in memory at once


@dataclass(frozen=True, eq=False)
class Done:
    """An item, its place in the objective and what its restarts found; ``interrupted`` if a
    stop ended the search early.
    """

    item: Item
    place: int
    found: Sequence[Found]
    interrupted: bool = False


@dataclass(frozen=True, eq=False)
class Scorer:
    """Makes the results of one search. ``record`` holds the options as results record them."""

    reader: Reader
    problem: Problem
    method: Method
    options: SearchOptions
    record: dict[str, Any]
    language: LanguageModel | None = None

    def results(self, done: Sequence[Done]) -> list[Result]:
        """A result for each of some items; all their prompts are scored together.

        Each holds the best restart's prompt as text. All prompts are tokenised and scored
        afresh, then compared by score and, with ``--fluency``, by how well they read.
        """
        texts = [[self.reader.tokens.decode(found.ids) for found in one.found] for one in done]
        pairs = [(text, one.place) for one, own in zip(done, texts, strict=True) for text in own]
        scores = self._scores(list(dict.fromkeys(pairs)))
        read = self._perplexities(list(dict.fromkeys(text for text, _ in pairs)))
        out = []
        for one, own in zip(done, texts, strict=True):
            nats = surprises([read[text] for text in own])
            reached = [scores[text, one.place] for text in own]
            totals = [s - self.options.fluency * n for s, n in zip(reached, nats, strict=True)]
            order = sorted(range(len(totals)), key=totals.__getitem__, reverse=True)
            best = order[0]
            result = self.result(one, best, own[best], reached[best], read[own[best]])
            if self.options.top > 1:
                differ = dict.fromkeys(own[n] for n in order)
                result = replace(result, alternatives=self._alternatives(differ, one.place, scores))
            out.append(result)
        return out

    def _alternatives(
        self, texts: Iterable[str], place: int, scores: Mapping[tuple[str, int], float]
    ) -> list[dict[str, Any]]:
        """The first of ``texts`` with their scores for the item at ``place``."""
        first = islice(texts, self.options.top)
        return [{"prompt": text, "score": scores[text, place]} for text in first]

    def _scores(self, pairs: Sequence[tuple[str, int]]) -> dict[tuple[str, int], float]:
        """Scores of texts, each for the item at its place. Equal texts are scored once, so that
        rounding cannot tell them apart.
        """
        scores: list[float] = []
        for start in range(0, len(pairs), SCORED):
            texts, places = zip(*pairs[start : start + SCORED], strict=True)
            scores += self.problem.objective.text_scores(texts, places)
        return dict(zip(pairs, scores, strict=True))

    def _perplexities(self, texts: Sequence[str]) -> dict[str, float | None]:
        """Perplexities of texts by the language model; None without one."""
        if self.language is None:
            return dict.fromkeys(texts)
        out: list[float | None] = []
        for start in range(0, len(texts), READ):
            out += self.language.perplexities(texts[start : start + READ])
        return dict(zip(texts, out, strict=True))

    def result(
        self, done: Done, best: int, prompt: str, score: float, perplexity: float | None
    ) -> Result:
        """The result of an item whose restart ``best`` won with this prompt."""
        reader, method, options = self.reader, self.method, self.options
        steps = sum(found.steps for found in done.found)
        cached, left_out = self.problem.cached_forwards
        started = method.start_forwards(self.problem) - cached - left_out
        winner = done.found[best]
        reached, soft = _softest(done.found)
        return Result(
            prompt=prompt,
            ids=reader.tokens.encode(prompt)[: reader.limit],
            score=score,
            model=reader.name,
            method=options.method,
            targets=done.item.names,
            steps=winner.steps,
            seconds=done.item.seconds + sum(found.seconds for found in done.found),
            seed=options.seed,
            key=done.item.key,
            passes={
                "forward": started + steps * method.forwards,
                "backward": steps * method.backwards,
                **({"draft": steps * method.drafts} if method.drafts else {}),
                **({"cached": cached} if cached > 0 else {}),
                **({"language": spoken} if (spoken := self._spoken(done.found)) else {}),
            },
            options=self.record,
            weights=reader.weights | (self.language.weights if self.language else {}),
            history=winner.history if options.history else None,
            interrupted=done.interrupted,
            finished=time.time(),
            soft_score=reached,
            perplexity=perplexity,
            notes=list(done.item.notes),
            embeddings=None if soft is None else soft.split(list(reader.parts), -1),
        )

    def _spoken(self, found: Sequence[Found]) -> int:
        """The language model's passes in all steps: prompts that it continued and, with
        ``--fluency``, one for each pass of the text tower.
        """
        slots, init = self.problem.template.slots, self.problem.init
        given = len(init) if isinstance(init, torch.Tensor) else 0
        form = {"sentence": True} if self.problem.little is not None else {}
        own = sum(self.method.continuations(slots - given % slots, f.steps, **form) for f in found)
        each = self.method.forwards + self.method.backwards if self.options.fluency else 0
        return own + each * sum(f.steps for f in found)


def _softest(all_found: Sequence[Found]) -> tuple[float | None, torch.Tensor | None]:
    """The best continuous embeddings (k, w) of all restarts and their score, if there are any."""
    soft = [found.extra for found in all_found if "embeddings" in found.extra]
    if not soft:
        return None, None
    best = max(soft, key=lambda extra: float(extra["soft_score"]))
    return float(best["soft_score"]), best["embeddings"]
