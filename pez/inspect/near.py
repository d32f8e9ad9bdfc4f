"""The tokens nearest to a word in a model's embedding space."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pez.errors import PezError
from pez.models import Reader
from pez.search.vocabulary import Vocabulary, unit_rows


@dataclass(frozen=True)
class Near:
    """A token and its cosine with the word; of several models joined, their mean."""

    id: int
    token: str
    cosine: float


def word_id(reader: Reader, word: str) -> int:
    """The id of a word. PezError if it is several tokens, or the model was not trained on it."""
    ids = reader.tokens.encode(word)
    if len(ids) != 1:
        pieces = ", ".join(reader.tokens.decode([i]) for i in ids) or "nothing"
        raise PezError(f"{word!r} is {len(ids)} tokens, not one ({pieces}); give a single word.")
    if reader.known is not None and ids[0] not in reader.known.tolist():
        raise PezError(f"{reader.name} was not trained on the word {word!r}; try another.")
    return ids[0]


def nearest_tokens(vocabulary: Vocabulary, word: int, top: int) -> list[Near]:
    """The ``top`` allowed tokens nearest to an id by cosine, nearest first."""
    here = torch.tensor([word], device=vocabulary.table.device)
    own = unit_rows(vocabulary.embed(here), vocabulary.parts)
    cosine = (vocabulary.unit @ own[0]) / len(vocabulary.parts)
    best = cosine.topk(min(top, len(cosine)))
    ids = vocabulary.ids[best.indices].tolist()
    return [
        Near(i, vocabulary.tokens.decode([i]), c)
        for i, c in zip(ids, best.values.tolist(), strict=True)
    ]
