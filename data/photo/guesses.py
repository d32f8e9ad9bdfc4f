"""Captions that photographs with labels alone might have, chosen by a model among many texts; it
then learns from them as if they were their own (self-training, Yarowsky 1995; Lee 2013).

Labels of 80 kinds say little. A caption that fits and names the labels adds the place, the people
and the colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BATCH = 256  # photographs


@dataclass(frozen=True)
class GuessSettings:
    """How captions are chosen, and how sure their words are."""

    captions: int = 8  # a photograph
    named: float = 0.1  # for each label that a caption names, added to its cosine
    most: int = 3  # labels that count
    wrong: float = 0.1  # for each label that the photograph lacks, taken from it
    sure: float = 0.5  # how sure a word is that half of the captions say
    least: int = 2  # captions that must say it


def words_of_bags(bags: tuple[Tensor, Tensor], words: int) -> Tensor:
    """Whether each text says each word, (t, w), by the bags of :meth:`words.Lexicon.bags`."""
    return torch.zeros(len(bags[0]), words).scatter_add_(1, *bags).clamp_(max=1)


def chosen_captions(
    images: Tensor, labels: Tensor, texts: Tensor, said: Tensor, settings: GuessSettings
) -> Tensor:
    """The places (n, captions) of the texts for each photograph, the best first. Vectors of
    length 1 of the photographs (n, d) and of the texts (t, d), ``labels`` (n, w) and the words
    that the texts ``said`` (t, w).
    """
    there = labels > 0
    can = there.any(0)  # what labels can say
    found = []
    for rows in torch.arange(len(images)).split(BATCH):
        named = labels[rows].clamp(max=1) @ said.T
        wrong = (can & ~there[rows]).float() @ said.T
        fit = images[rows] @ texts.T
        fit += settings.named * named.clamp(max=settings.most) - settings.wrong * wrong
        found.append(fit.topk(min(settings.captions, len(texts)), dim=1).indices)
    return torch.cat(found)


def with_words(labels: Tensor, chosen: Tensor, said: Tensor, settings: GuessSettings) -> Tensor:
    """``labels`` (n, w) and beside them the words of the ``chosen`` captions (n, k)."""
    counts = said[chosen].sum(1)
    sure = settings.sure * (2 * counts / chosen.shape[1]).clamp(max=1)
    return torch.maximum(labels, sure * (counts >= settings.least))
