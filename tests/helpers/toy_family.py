"""A family of models in one file, as anyone may add it: bags of words over CLIP's byte pairs.

``bag:N`` reads a text as the mean of its tokens' vectors, which are random numbers of seed N.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.models import Reader
from pez.models.family import Family, Row, Weights
from pez.models.openclip import clip_tokens
from pez.search.tokens import Tokens

WIDTH = 12


class Bag:
    """Words as vectors; a picture is read by the same vectors, as words of its colours."""

    known: Tensor | None = None
    own_words: list[str] | None = None

    def __init__(self, name: str, seed: int, device: torch.device) -> None:
        self.name, self.tokens = name, clip_tokens()
        self.weights: dict[str, str] = {}
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn(self.tokens.size, WIDTH, generator=generator).to(device)
        self.parts: tuple[int, ...] = (WIDTH,)
        self.limit = self.tokens.limit

    def features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of prompts (b, l, w)."""
        return F.normalize(embeddings.mean(1), dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Features (n, e) of texts."""
        rows = [self.table[self.tokens.encode(text)].mean(0) for text in texts]
        return F.normalize(torch.stack(rows), dim=-1)

    def prepare(self, image: Image.Image) -> list[float]:
        """The shares of red, green and blue."""
        pixel: Any = image.resize((1, 1)).getpixel((0, 0))
        return list(pixel)

    def encode_prepared(self, prepared: Sequence[list[float]]) -> Tensor:
        """Features (n, e) of shares: the mean of the three words' vectors."""
        colours = self.table[[self.tokens.encode(word)[0] for word in ("red", "green", "blue")]]
        return F.normalize(torch.tensor(prepared, dtype=torch.float32) @ colours, dim=-1)

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (n, e) of pictures."""
        return self.encode_prepared([self.prepare(image) for image in images])

    def free_vision(self) -> None:
        """There is nothing to free."""

    def bytes_per_row(self, length: int) -> int:
        """One vector a word."""
        return 4 * WIDTH * length


class Bags(Family):
    """``bag:N``."""

    def claims(self, name: str) -> bool:
        return name.startswith("bag:")

    def names(self) -> list[Row]:
        return [{"name": "bag:1", "kind": "bag", "note": "a bag of words"}]

    def weights(self, name: str) -> Weights | None:
        return Weights(built="second") if self.claims(name) else None

    def load(self, name: str, device: torch.device, dtype: torch.dtype) -> Reader:
        seed = name.removeprefix("bag:")
        if not seed.isdecimal():
            raise PezError(f"{name!r} is no bag of words; write bag:1.")
        return Bag(name, int(seed), device)

    def tokens(self, name: str) -> Tokens:
        return clip_tokens()
