"""Several models read one prompt together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.models.reader import Reader
from pez.search.tokens import Tokens


@dataclass(eq=False)
class Ensemble:
    """Models side by side: token tables joined along the width, features along theirs.

    Each feature part is scaled by 1/sqrt(m), so a joined feature has length one and the
    dot product of two is the mean of the models' cosines.
    """

    readers: list[Reader]
    name: str
    tokens: Tokens
    table: Tensor
    parts: tuple[int, ...]
    limit: int
    known: Tensor | None
    own_words: list[str] | None
    weights: dict[str, str]

    @classmethod
    def join(cls, readers: Sequence[Reader]) -> Ensemble:
        """Join models that share a tokenizer; PezError if they do not."""
        first = readers[0]
        for other in readers[1:]:
            if other.tokens.signature != first.tokens.signature:
                raise PezError(
                    f"{first.name} and {other.name} do not share a tokenizer, so one prompt "
                    "cannot be searched for both; search them one after the other."
                )
        words = [set(r.own_words) for r in readers if r.own_words]
        return cls(
            list(readers),
            " + ".join(r.name for r in readers),
            first.tokens,
            torch.cat([r.table.float() for r in readers], 1),
            tuple(p for r in readers for p in r.parts),
            min(r.limit for r in readers),
            known_to_all(readers),
            sorted(set.intersection(*words)) if words else None,
            {name: text for r in readers for name, text in r.weights.items()},
        )

    def _joined(self, features: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(features), -1) / math.sqrt(len(self.readers))

    def features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of joined embeddings (b, l, w)."""
        parts = embeddings.split([r.table.shape[1] for r in self.readers], -1)
        return self._joined([r.features(p) for r, p in zip(self.readers, parts, strict=True)])

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Features (n, e) of typed texts."""
        return self._joined([r.encode_text(texts) for r in self.readers])

    def prepare(self, image: Image.Image) -> list[Any]:
        """What each model takes of a picture."""
        return [r.prepare(image) for r in self.readers]

    def encode_prepared(self, prepared: Sequence[list[Any]]) -> Tensor:
        """Features (n, e) of what each model takes."""
        own = ([each[n] for each in prepared] for n in range(len(self.readers)))
        return self._joined(
            [r.encode_prepared(some) for r, some in zip(self.readers, own, strict=True)]
        )

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (n, e) of pictures."""
        return self.encode_prepared([self.prepare(image) for image in images])

    def free_vision(self) -> None:
        """Free every image tower."""
        for reader in self.readers:
            reader.free_vision()

    def bytes_per_row(self, length: int) -> int:
        """The sum over the models."""
        return sum(r.bytes_per_row(length) for r in self.readers)


def known_to_all(readers: Sequence[Reader]) -> Tensor | None:
    """Ids (n,) that every model was trained on; None if they know all."""
    known = None
    for reader in readers:
        if reader.known is not None:
            known = reader.known if known is None else known[torch.isin(known, reader.known)]
    return known
