"""What each word of a prompt adds to its score with a target.

Two answers, for one or several models. *Leave-one-out*: the score less that of the prompt without
the word, both as typed texts (Li, Monroe & Jurafsky 2016, "Understanding Neural Networks through
Representation Erasure"). *Gradient x embedding*: the slope of the score along the word's own token
embeddings, summed over its tokens (gradient x input; Shrikumar et al. 2017, "Learning Important
Features Through Propagating Activation Differences"). The first is what happens. The second is a
first-order estimate of taking the embeddings to zero, which is no prompt; it costs one backward
pass for all words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pez.errors import PezError
from pez.inspect.words import Piece, split_words, token_spans, without
from pez.models import Reader
from pez.options import MARGIN


@dataclass(frozen=True)
class ModelView:
    """A word as one model reads it: its ``tokens``, how many of them the model ``reads`` (the rest
    is beyond its limit), what the word ``adds`` to the cosine, and gradient x embedding.
    """

    tokens: tuple[str, ...]
    reads: int
    adds: float
    gradient: float


@dataclass(frozen=True)
class WordEffect:
    """A word of the prompt, and each model's view of it. It ``adds`` the mean over the models, and
    is ``redundant`` if that is at most the margin.
    """

    word: str
    start: int
    adds: float
    redundant: bool
    views: tuple[ModelView, ...]


@dataclass(frozen=True)
class Explanation:
    """A prompt's ``scores``, one a model, its ``score``, their mean, and its words.

    ``shorter`` is the prompt without the words that can be left out together, the least costly
    first, so that the mean falls by at most ``margin`` in all; ``shorter_score`` is its mean. Words
    that are redundant one by one may stand for one another: then not all of them leave.
    """

    prompt: str
    target: str
    models: tuple[str, ...]
    scores: tuple[float, ...]
    score: float
    margin: float
    words: tuple[WordEffect, ...]
    shorter: str
    shorter_score: float

    def record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "prompt": self.prompt,
            "target": self.target,
            "score": self.score,
            "scores": dict(zip(self.models, self.scores, strict=True)),
            "margin": self.margin,
            "words": [self._word(word) for word in self.words],
            "shorter": self.shorter,
            "shorter_score": self.shorter_score,
        }

    def _word(self, word: WordEffect) -> dict[str, Any]:
        views = {
            model: {
                "adds": view.adds,
                "gradient": view.gradient,
                "tokens": list(view.tokens),
                "reads": view.reads,
            }
            for model, view in zip(self.models, word.views, strict=True)
        }
        plain = {"word": word.word, "adds": word.adds, "redundant": word.redundant}
        return plain | {"models": views}

    def to_json(self) -> str:
        """One line."""
        return json.dumps(self.record(), ensure_ascii=False)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each word and model, and for the mean of several, as a table has them."""
        out: list[dict[str, Any]] = []
        for word in self.words:
            for model, view in zip(self.models, word.views, strict=True):
                row = {"model": model, "word": word.word, "adds": round(view.adds, 6)}
                row |= {"gradient": round(view.gradient, 6), "tokens": len(view.tokens)}
                out.append(row | {"redundant": ""})
            if len(self.models) > 1:
                row = {"model": "mean", "word": word.word, "adds": round(word.adds, 6)}
                out.append(row | {"gradient": "", "tokens": "", "redundant": ""})
            out[-1]["redundant"] = "yes" if word.redundant else "no"
        return out


COLUMNS = ("model", "word", "adds", "gradient", "tokens", "redundant")


@dataclass(frozen=True, eq=False)
class _Side:
    """A prompt as one model reads it: the text up to its limit, the words in that, and what the
    text is compared with (e,).
    """

    reader: Reader
    target: Tensor
    text: str
    words: list[Piece]
    spans: list[range]
    ids: list[int]

    @classmethod
    def of(cls, reader: Reader, target: Tensor, prompt: str, words: list[Piece]) -> _Side:
        ids = reader.tokens.encode(prompt)
        spans = token_spans(reader.tokens.encode, prompt, words)
        read = [w for w, span in zip(words, spans, strict=True) if span.start < reader.limit]
        # words beyond the limit would move into it as soon as one before them leaves
        text = prompt if len(ids) <= reader.limit or not read else prompt[: read[-1].end]
        return cls(reader, target, text, read, spans, ids)

    def scores(self, left_out: Sequence[Sequence[Piece]]) -> Tensor:
        """Cosines (n,) of the text without each of the sets of words."""
        texts = [without(self.text, [w for w in some if w in self.words]) for some in left_out]
        return (self.reader.encode_text(texts) @ self.target).cpu()

    def gradients(self) -> list[float]:
        """Gradient x embedding of each word; 0 beyond the limit."""
        reader = self.reader
        ids = torch.tensor(self.ids[: reader.limit], device=reader.table.device)
        given = reader.table[ids].detach().float()[None].requires_grad_()
        with torch.enable_grad():
            score = (reader.features(given)[0] * self.target).sum()
            (slope,) = torch.autograd.grad(score, given)
        parts = (slope * given.detach())[0].sum(-1).tolist()
        return [sum(parts[span.start : span.stop]) for span in self.spans]

    def tokens(self, span: range) -> tuple[str, ...]:
        """The text of a word's tokens."""
        return tuple(self.reader.tokens.decode([self.ids[n]]) for n in span)


def explain_prompt(
    readers: Sequence[Reader],
    targets: Sequence[Tensor],
    prompt: str,
    target: str = "",
    margin: float = MARGIN,
) -> Explanation:
    """What each word of ``prompt`` adds for each of the ``readers``, whose ``targets`` (e,) are
    unit features of what is called ``target``. PezError for a prompt without words.
    """
    words = split_words(prompt)
    if not words:
        raise PezError(f"the prompt {prompt[:60]!r} has no word; give at least one.")
    pairs = zip(readers, targets, strict=True)
    sides = [_Side.of(reader, goal, prompt, words) for reader, goal in pairs]
    left_out: list[list[Piece]] = [[], *([word] for word in words)]
    reached = torch.stack([side.scores(left_out) for side in sides])  # (models, 1 + words)
    adds = reached[:, :1] - reached[:, 1:]
    for m, side in enumerate(sides):  # what is not read differs by rounding alone
        adds[m, [n for n, word in enumerate(words) if word not in side.words]] = 0.0
    mean = adds.mean(0).tolist()
    slopes = [side.gradients() for side in sides]
    effects = []
    for n, word in enumerate(words):
        views = tuple(
            ModelView(
                side.tokens(side.spans[n]),
                max(0, min(side.spans[n].stop, side.reader.limit) - side.spans[n].start),
                float(adds[m, n]),
                slopes[m][n],
            )
            for m, side in enumerate(sides)
        )
        effects.append(WordEffect(word.text, word.start, mean[n], mean[n] <= margin, views))
    score = float(reached[:, 0].mean())
    candidates = [word for word, effect in zip(words, effects, strict=True) if effect.redundant]
    gone, least = _left_out(sides, candidates, len(words), score, margin)
    return Explanation(
        prompt,
        target,
        tuple(reader.name for reader in readers),
        tuple(reached[:, 0].tolist()),
        score,
        margin,
        tuple(effects),
        without(prompt, gone),
        least,
    )


def _left_out(
    sides: Sequence[_Side], candidates: list[Piece], count: int, score: float, margin: float
) -> tuple[list[Piece], float]:
    """Those of the candidates that leave together, and the mean score without them: what no model
    reads, then at each turn the one whose loss costs least. One word of the ``count`` stays.
    """
    gone = [word for word in candidates if not any(word in side.words for side in sides)]
    candidates, least = [word for word in candidates if word not in gone], score
    while candidates and len(gone) < count - 1:
        tried = [[*gone, word] for word in candidates]
        reached = torch.stack([side.scores(tried) for side in sides]).mean(0)
        best = int(reached.argmax())
        if float(reached[best]) < score - margin:
            break
        least = float(reached[best])
        gone.append(candidates.pop(best))
    return gone, least
