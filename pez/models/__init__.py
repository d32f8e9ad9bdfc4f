"""Who reads prompts. ``load_model(name)`` gives a :class:`Reader` for any known name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from PIL import Image
from torch import Tensor

from pez.tokens import Tokens

# how a name is read: the first family whose ``claims(name)`` is true loads it
FAMILIES = {"shipped": "pez.models.shipped", "openclip": "pez.models.openclip"}


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

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (n, e) of RGB pictures."""
        ...

    def free_vision(self) -> None:
        """Let go of the image tower's memory; images cannot be read afterwards."""
        ...

    def bytes_per_row(self, length: int) -> int:
        """A rough bound of the memory one searched prompt of ``length`` ids needs."""
        ...


def load_model(names: str | Sequence[str], device: str = "auto", dtype: str = "float32") -> Reader:
    """Load one model, or several as one reader that all of them must please.

    Names: a shipped model (``mini``), any open_clip ``architecture/pretrained``,
    ``local-dir:PATH`` or ``hf-hub:owner/name``. Raises PezError for an unknown name, for
    weights that are neither cached nor to be had, and for models that do not share a
    tokenizer. Warns (PezWarning) of a file whose weights may have been trained otherwise than
    they are built here.
    """
    from pez.models.devices import pick_device, pick_dtype
    from pez.models.identity import known_weights

    where = pick_device(device)
    kind = pick_dtype(dtype, where)
    names = [names] if isinstance(names, str) else list(names)
    readers = [_family(name).load(name, where, kind) for name in names]
    for name, reader in zip(names, readers, strict=True):
        reader.weights = known_weights([name])
    if len(readers) == 1:
        return readers[0]
    from pez.models.ensemble import Ensemble

    return Ensemble.join(readers)


def _family(name: str) -> Any:
    for module in FAMILIES.values():
        family = import_module(module)
        if family.claims(name):
            return family
    raise AssertionError("the open_clip family claims every name")
