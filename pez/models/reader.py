"""The interface of every model that reads prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from PIL import Image
from torch import Tensor

from pez.search.tokens import Tokens


@runtime_checkable
class Reader(Protocol):
    """A model that maps prompts, texts and images into one space.

    All features are float32, of length one, on the reader's device.
    """

    name: str
    tokens: Tokens
    table: Tensor  # embedding of every id, (V, w)
    parts: tuple[int, ...]  # widths of the models joined in the table
    limit: int  # ids a prompt may have
    known: Tensor | None  # ids the model was trained on, None for all
    own_words: list[str] | None  # its own default vocabulary
    weights: dict[str, str]  # name -> hash of each model's weights, as far as they are known

    def features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of prompts given as token embeddings (b, l, w); differentiable."""
        ...

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Features (n, e) of typed texts by the model's whole plain forward."""
        ...

    def prepare(self, image: Image.Image) -> Any:
        """What the image tower takes of an RGB picture: small, however large the picture is,
        so that a folder's pictures need not be in memory together.
        """
        ...

    def encode_prepared(self, prepared: Sequence[Any]) -> Tensor:
        """Features (n, e) of pictures as :meth:`prepare` gives them."""
        ...

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (n, e) of RGB pictures: both in one."""
        ...

    def free_vision(self) -> None:
        """Free the image tower's memory; images cannot be read afterwards."""
        ...

    def bytes_per_row(self, length: int) -> int:
        """A rough bound on the memory that one searched prompt of ``length`` ids needs."""
        ...
