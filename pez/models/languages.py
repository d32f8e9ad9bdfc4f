"""Families of causal language models: which names are whose, and how they are loaded."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from pez.files import data_folder
from pez.models.family import Listed, Row, Weights
from pez.models.language import LanguageModel, load_pretrained


class LanguageFamily(Listed):
    """Causal language models of one kind. A family is one file and one line of
    :data:`pez.models.families.LANGUAGES`.
    """

    @abstractmethod
    def claims(self, name: str) -> bool:
        """Whether ``name`` belongs to this family; each name has one family at most."""

    @abstractmethod
    def load(self, name: str, device: str) -> LanguageModel:
        """The model. Raises PezError with a remedy if it is unavailable."""


class ShippedLanguages(LanguageFamily):
    """The shipped language models by their bare names."""

    def claims(self, name: str) -> bool:
        """Whether ``name`` is shipped."""
        return name in shipped_languages()

    def names(self) -> list[Row]:
        """All of them."""
        note = "reads prompts (--fluency); shipped, offline"
        return [{"name": name, "kind": "language", "note": note} for name in shipped_languages()]

    def weights(self, name: str) -> Weights | None:
        """A shipped model's folder."""
        folder = shipped_languages().get(name)
        return Weights.of(folder) if folder else None

    def load(self, name: str, device: str) -> LanguageModel:
        """From its folder."""
        return load_pretrained(name, device, str(shipped_languages()[name]))


def shipped_languages() -> dict[str, Path]:
    """Folders of the shipped language models by name."""
    folder = data_folder() / "language"
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/config.json"))}
