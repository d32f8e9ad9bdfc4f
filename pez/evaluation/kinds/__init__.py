"""Kinds of units: name -> module:symbol, in the order in which they run.

One file for each, with one class (:mod:`kind` says what it declares). A kind that is not built
into plans is requested by name::

    [[measures]]
    name = "letters"
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pez.evaluation.kinds.kind import Kind

KINDS = {
    "prompt": "pez.evaluation.kinds.prompt:PromptKind",
    "edit": "pez.evaluation.kinds.edit:EditKind",
    "picture": "pez.evaluation.kinds.picture:PictureKind",
    "score": "pez.evaluation.kinds.score:ScoreKind",
    "reading": "pez.evaluation.kinds.reading:ReadingKind",
    "language": "pez.evaluation.kinds.language:LanguageKind",
    "labels": "pez.evaluation.kinds.labels:LabelKind",
    "content-words": "pez.evaluation.kinds.content_words:ContentWords",
    "rank": "pez.evaluation.kinds.rank:Rank",
    "stability": "pez.evaluation.kinds.stability:Stability",
}


def make_kind(name: str) -> Kind:
    """The kind called ``name``."""
    module, symbol = KINDS[name].split(":")
    return getattr(import_module(module), symbol)(name)


def all_kinds() -> list[Kind]:
    """All kinds in their order."""
    return [make_kind(name) for name in KINDS]
