"""The first part of the demo: words found for real photographs, and what a judge says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pez.api import invert
from pez.datasets.samples import Sample
from pez.images import read_image
from pez.models import Reader
from pez.options import InvertOptions
from pez.result import Result
from pez.session.session import Watch

LENGTH = 0  # as many words as are likely right
COMMA = ", "
TRIED = 64  # words tried in the place of each word: those that fit the photograph best alone
SHOWN = 3  # of these, the ones that came nearest


@dataclass(frozen=True)
class Place:
    """A word of a prompt, and those that would have cost least in its place."""

    word: str
    nearly: tuple[tuple[str, float], ...]  # word, and how far it changes the prompt's score


@dataclass(frozen=True)
class Reading:
    """What the judge, which was never searched, says of a text for a photograph."""

    text: str
    cosine: float
    others: float  # mean cosine of the same text with the other photographs
    rank: int  # of this photograph among all, for this text; 1 is the best

    @classmethod
    def of(cls, texts: Sequence[str], cosines: Tensor) -> list[Reading]:
        """Of texts whose own photographs stand in the same order, by the ``cosines`` (n, n) of
        each text (row) with each photograph. Equal cosines count against a text.
        """
        own = cosines.diagonal()
        ranks = (cosines >= own[:, None]).sum(1)
        others = (cosines.sum(1) - own) / max(len(texts) - 1, 1)
        rows = zip(texts, own.tolist(), others.tolist(), ranks.tolist(), strict=True)
        return [cls(text, cosine, other, rank) for text, cosine, other, rank in rows]


@dataclass(frozen=True)
class Found:
    """A photograph, the prompt found for it, and how it compares with a person's caption."""

    sample: Sample
    result: Result
    places: tuple[Place, ...]
    prompt: Reading
    caption: Reading


def find(
    photographs: Sequence[Sample],
    searched: Reader,
    judge: Reader,
    options: InvertOptions,
    watch: Watch | None = None,
) -> list[Found]:
    """Search a prompt for each photograph, and have it judged beside the photograph's caption.
    Photographs that were not reached before the search was stopped are left out.
    """
    paths = [sample.path for sample in photographs]
    results = invert(paths, reader=searched, options=options, watch=watch)
    assert isinstance(results, list)
    reached = [(s, r) for s, r in zip(photographs, results, strict=True) if isinstance(r, Result)]
    photographs, found = [s for s, _ in reached], [r for _, r in reached]
    images = [read_image(sample.path) for sample in photographs]
    seen, judged = searched.encode_images(images), judge.encode_images(images)
    words = searched.own_words or []
    alone = features_of(words, searched) @ seen.T
    places = [
        runners_up(result.prompt, words, fit, target, searched)
        for result, fit, target in zip(found, alone.T, seen, strict=True)
    ]

    def read(texts: list[str]) -> list[Reading]:
        return Reading.of(texts, judge.encode_text(texts) @ judged.T)

    prompts = read([result.prompt for result in found])
    captions = read([sample.captions[0] for sample in photographs])
    rows = zip(photographs, found, places, prompts, captions, strict=True)
    return [Found(*row) for row in rows]


def runners_up(
    prompt: str, words: Sequence[str], fit: Tensor, target: Tensor, searched: Reader
) -> tuple[Place, ...]:
    """For each word of ``prompt``, the SHOWN words that change its score least for the worse, or
    most for the better. Tried are the TRIED of ``words`` (v,) that ``fit`` (v,) the picture best
    alone; each is scored in the whole prompt, against the picture's feature ``target`` (e,).
    """
    own: list[str] = prompt.split(COMMA)
    order = fit.argsort(descending=True).tolist()
    others = [words[n] for n in order if words[n] not in own][:TRIED]
    swapped = [[*own[:n], word, *own[n + 1 :]] for n in range(len(own)) for word in others]
    texts = [prompt, *map(COMMA.join, swapped)]
    scores = features_of(texts, searched) @ target
    change = (scores[1:] - scores[0]).reshape(len(own), len(others))
    best = torch.topk(change, min(SHOWN, len(others)))
    rows = zip(own, best.indices.tolist(), best.values.tolist(), strict=True)
    return tuple(
        Place(word, tuple(zip([others[n] for n in which], by, strict=True)))
        for word, which, by in rows
    )


@torch.no_grad()
def features_of(texts: Sequence[str], reader: Reader) -> Tensor:
    """Features (n, e) of texts, as a search computes them: as many positions as a text has tokens,
    not the model's whole context. This is many times faster.
    """
    ids = [reader.tokens.encode(text) for text in texts]
    out: list[Tensor] = [torch.empty(0)] * len(ids)
    for length in {len(one) for one in ids}:
        which = [n for n, one in enumerate(ids) if len(one) == length]
        rows = torch.tensor([ids[n] for n in which], device=reader.table.device)
        for n, feature in zip(which, reader.features(reader.table[rows]), strict=True):
            out[n] = feature
    return torch.stack(out)
