"""Names of causal language models (:mod:`pez.models.language` opens them)."""

from __future__ import annotations

from pathlib import Path

from pez.files import data_folder
from pez.models.family import Listed, Row, Weights


class Languages(Listed):
    """The shipped language models; others are ids of the hub or folders."""

    def names(self) -> list[Row]:
        """The shipped ones."""
        note = "reads prompts (--fluency); shipped, offline"
        return [{"name": name, "kind": "language", "note": note} for name in shipped_languages()]

    def weights(self, name: str) -> Weights | None:
        """A shipped model's folder."""
        folder = shipped_languages().get(name)
        return Weights.of(folder) if folder else None


def shipped_languages() -> dict[str, Path]:
    """Folders of the shipped language models by name."""
    folder = data_folder() / "language"
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/config.json"))}
