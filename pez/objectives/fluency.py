"""A match that must also read well: adds a language model's score of the prompt.

The term is that of Shi et al. 2022 ("Toward Human Readable Prompt Tuning") and of Wen et al.
2023, section 4: the negative log-likelihood of the prompt's own tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pez.errors import PezError
from pez.models.language import LanguageModel
from pez.models.prior import NUMBERS, Prior
from pez.search.problem import Objective
from pez.search.vocabulary import Vocabulary, make_vocabulary

# The weight at which the language model's part of an embedding counts as much as a CLIP's when a
# point is projected onto the vocabulary. Without such shares, methods that normalise the gradient
# would follow the language model equally whatever its weight. Of 0.1, 0.3, 1 and 3
# this one led pez on mini to the highest totals, at the weights 0.03, 0.1 and 0.3 alike.
EQUAL = 0.1


@dataclass(frozen=True, eq=False)
class Fluent:
    """Loss = ``match``'s + weight x nll, score = ``match``'s - weight x nll, where nll is the
    mean negative log-likelihood of the prompt's words under the language model, in nats.

    It reads embeddings whose first ``width`` columns are ``match``'s and whose others are the
    language model's, scaled by ``scale`` (:func:`fluent_words`).
    With one table E for input and output, log p(word | before) = h . e - logsumexp(E h): so the
    gradient covers each word both as output and as context of the next ones. ``rate``
    and ``text_scores`` are ``match``'s alone.
    """

    match: Objective
    language: LanguageModel
    weight: float
    width: int
    scale: float

    @property
    def batch(self) -> int:
        """Prompts that may be read at once: ``match``'s."""
        return self.match.batch

    @property
    def linear(self) -> bool:
        """Of ``rate``, which is ``match``'s."""
        return self.match.linear

    def __call__(
        self, embeddings: Tensor, item: Tensor, draw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss (b,) and score (b,) of prompts (b, l, w): :class:`pez.search.problem.Objective`."""
        loss, score = self.match(embeddings[..., : self.width], item, draw)
        surprise = self.weight * self.nll(embeddings)
        return loss + surprise, score - surprise.detach()

    def features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of prompts (b, l, w), for ``rate``."""
        return self.match.features(embeddings[..., : self.width])

    def rate(self, features: Tensor, items: Sequence[int]) -> Tensor:
        """Scores (len(items), b) of prompts by their features (b, e), without fluency."""
        return self.match.rate(features, items)

    def targets(self, item: int) -> int:
        """How many targets an item has."""
        return self.match.targets(item)

    def text_scores(self, texts: Sequence[str], items: Sequence[int]) -> list[float]:
        """Scores of typed texts by the models' whole forward, without fluency."""
        return self.match.text_scores(texts, items)

    def nll(self, embeddings: Tensor) -> Tensor:
        """Mean negative log-likelihood (b,) of a word, in nats, of prompts (b, l, w).

        Differentiable. A word of the template that is several tokens of the language model is
        read as one, the mean of them: an approximation.
        """
        words = embeddings[..., self.width :] / self.scale
        size = max(1, NUMBERS // (self._table.shape[0] * words.shape[1]))
        return torch.cat([self._nll(some) for some in words.split(size)])

    def _nll(self, words: Tensor) -> Tensor:
        start = self._table[self.language.start].expand(len(words), -1, -1)
        predicted = words if start.shape[1] else words[:, 1:]
        if not predicted.shape[1]:
            return words.new_zeros(len(words))
        hidden = _hidden(self.language, torch.cat([start, words], 1)[:, :-1])
        expected = (hidden * predicted).sum(-1)
        return ((hidden @ self._table.T).logsumexp(-1) - expected).mean(1)

    @cached_property
    def _table(self) -> Tensor:
        """The language model's own embeddings, of input and output alike."""
        return _embeddings(self.language).float()


def fluent_words(vocabulary: Vocabulary, prior: Prior, weight: float) -> tuple[Vocabulary, float]:
    """``vocabulary`` with the ids that ``prior`` reads, each embedding followed by the language
    model's, and the scale that makes their mean lengths equal, so that steps suit both.

    In a projection the language model counts by its ``weight`` in the loss. Raises PezError if
    it does not share one table for input and output.
    """
    language, ids = prior.language, prior.ids
    _check_tied(language)
    own = _embeddings(language).float()
    there = (prior.pieces[:, 0] >= 0).nonzero()[:, 0]
    pieces = prior.pieces[there]
    real = (pieces >= 0).float()[..., None]
    beside = torch.zeros(len(vocabulary.table), own.shape[1], device=own.device)
    beside[there] = (own[pieces.clamp(min=0)] * real).sum(1) / real.sum(1)
    scale = float(_size(vocabulary.table[ids]) / _size(beside[ids]))
    table = torch.cat([vocabulary.table, scale * beside], 1)
    parts = (*vocabulary.parts, own.shape[1])
    shares = (*[1.0] * len(vocabulary.parts), weight / EQUAL)
    return make_vocabulary(vocabulary.tokens, table, ids, parts, shares), scale


def _size(rows: Tensor) -> Tensor:
    return rows.float().square().mean().sqrt()


def _embeddings(language: LanguageModel) -> Tensor:
    return language.model.get_input_embeddings().weight


def _hidden(language: LanguageModel, embeddings: Tensor) -> Tensor:
    """What the model makes (b, l, w) of embeddings (b, l, w), before its output table."""
    given = embeddings.to(_embeddings(language).dtype)
    return language.model.base_model(inputs_embeds=given, use_cache=False).last_hidden_state.float()


@torch.no_grad()
def _check_tied(language: LanguageModel) -> None:
    """PezError unless the logits are the products of what ``_hidden`` gives with the input's
    embeddings, tried on a few tokens.
    """
    table = _embeddings(language)
    ids = torch.arange(4, device=table.device)[None]
    logits = language.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.float()
    try:
        found = _hidden(language, table[ids]) @ table.float().T
        alike = torch.allclose(found, logits, rtol=1e-2, atol=1e-2 * float(logits.abs().max()))
    except (RuntimeError, TypeError, AttributeError):  # other widths, no such input
        alike = False
    if not alike:
        raise PezError(
            f"--fluency cannot use {language.name}: its input and output embeddings are not one "
            "plain table; give a model like distilgpt2 or SmolLM2 with --language-model."
        )
