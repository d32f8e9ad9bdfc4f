"""What a family of models declares: which names are its own, and what they refer to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pez.models.names import LANGUAGE
from pez.models.reader import Reader
from pez.search.tokens import Tokens

# what a model is made of: a folder may hold results, pictures and notes as well
PARTS = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".json", ".txt", ".model"}
FIGURES = "figures.json"  # what a card says of a shipped model: other figures are no other model

Row = dict[str, str]  # a line of ``pez models``: name, kind, note


@dataclass(frozen=True)
class Weights:
    """Where the weights of a name are, on this disk or in the hub's cache; nothing is fetched."""

    files: tuple[Path, ...] = ()  # on this disk, below ``root``
    root: Path = Path()
    repository: str = ""  # of the hub, owner/name
    revision: str | None = None
    cached: tuple[str, ...] = ()  # files of the repository; the first in the cache counts
    built: str = ""  # marks models that earlier versions of pez built differently

    @classmethod
    def of(cls, *folders: Path) -> Weights:
        """For folders beside each other; subfolders of a pipeline count too."""
        found = [file for folder in folders for file in model_files(folder)]
        return cls(tuple(found), folders[0] if len(folders) == 1 else folders[0].parent)


def model_files(folder: Path) -> list[Path]:
    """The files a model in ``folder`` is made of; figures on its card are not among them."""
    deep = (folder / "model_index.json").is_file()
    found = folder.rglob("*") if deep else folder.iterdir()
    return [f for f in found if f.suffix in PARTS and f.name != FIGURES and f.is_file()]


@dataclass(frozen=True)
class Companions:
    """What goes with a model where a user names nothing: a judge that it was not trained with, if
    one is shipped, and a language model of the texts that it reads; and how lengths are found.
    """

    judge: str = ""
    language: str = LANGUAGE
    views: bool = False  # whether --length auto is to judge by views that it does not search


@dataclass(frozen=True)
class Odds:
    """How likely a model's words are right of a picture: the logarithm of a word's odds is
    ``slope`` x its cosine with the picture + its own number in ``words``. That number is lower for
    words whose cosine is high whatever the picture.
    """

    slope: float
    words: Mapping[str, float]


class Listed(ABC):
    """Models of one kind, by name: what ``pez models`` and the store need to know."""

    @abstractmethod
    def names(self) -> Sequence[Row]:
        """What ``pez models`` lists of them."""

    @abstractmethod
    def weights(self, name: str) -> Weights | None:
        """Where the weights of ``name`` are; None if the name is not one of theirs."""


class Family(Listed):
    """Models that read prompts. A family is one file and one line of
    :data:`pez.models.families.FAMILIES`.
    """

    @abstractmethod
    def claims(self, name: str) -> bool:
        """Whether ``name`` belongs to this family, even if misspelt; each name has one family."""

    @abstractmethod
    def load(self, name: str, device: torch.device, dtype: torch.dtype) -> Reader:
        """The model. Raises PezError with a remedy if it is unavailable."""

    @abstractmethod
    def tokens(self, name: str) -> Tokens:
        """Its tokenizer, without its weights. Raises PezError if it is unavailable."""

    def companions(self, name: str) -> Companions:
        """The judge and the language model that go with ``name``."""
        return Companions()

    def odds(self, name: str) -> Odds | None:
        """How likely the words of ``name`` are right, if that is known."""
        return None
