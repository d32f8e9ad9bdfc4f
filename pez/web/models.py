"""The models of the page: each is loaded once, when first wanted, and shared by all visitors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, TypeVar

from pez.errors import PezError
from pez.models import Reader, load_model
from pez.models.names import (
    OFFLINE_CLIP,
    photo_names,
    shipped_folder,
    shipped_generators,
    shipped_names,
)
from pez.models.photo import Backbone
from pez.options import SearchOptions
from pez.search.vocabulary import Vocabulary, make_vocabulary
from pez.session.session import reader_ids
from pez.session.styles import content_ids

T = TypeVar("T")
JUDGE = "-judge"  # the ends of names of shipped models that are never searched


class Models:
    """Loads each model once. Whoever uses one holds ``busy``: one search runs at a time."""

    def __init__(self, device: str = "auto", dtype: str = "float32") -> None:
        self.device, self.dtype = device, dtype
        self.busy = threading.Lock()
        self._kept: dict[tuple[str, ...], Any] = {}

    def reader(self, name: str) -> Reader:
        """The model ``name``. PezError if it is unavailable."""
        return self.once(("reader", name), lambda: load_model(name, self.device, self.dtype))

    def vocabulary(self, name: str) -> Vocabulary:
        """The words of the model ``name`` that say something by themselves."""

        def make() -> Vocabulary:
            reader = self.reader(name)
            ids = content_ids(reader.tokens, reader_ids(reader, SearchOptions()))
            return make_vocabulary(reader.tokens, reader.table, ids, reader.parts)

        return self.once(("words", name), make)

    def once(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        """What ``make`` returned when ``key`` was first asked for."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def kept(self, key: tuple[str, ...]) -> Any:
        """What is there under a key; None if nothing is."""
        return self._kept.get(key)


def offered_models(more: tuple[str, ...] = ()) -> list[str]:
    """The models that visitors may choose: those that were named, then the shipped ones that can
    be opened here, those of photographs first.
    """
    photos = [name for name in photo_names() if _has_trunk(name)]
    shipped = sorted(photos, key=lambda name: name != OFFLINE_CLIP) + shipped_names()
    return list(dict.fromkeys((*more, *(n for n in shipped if not n.endswith(JUDGE)))))


def _has_trunk(name: str) -> bool:
    """Whether the package with the image trunk of a model of photographs is installed."""
    try:
        distribution(Backbone.of(shipped_folder(name)).package)
    except (PackageNotFoundError, PezError):
        return False
    return True


def offered_generators(more: tuple[str, ...] = ()) -> list[str]:
    """The generators that visitors may choose: those that were named, then the shipped ones."""
    return list(dict.fromkeys((*more, *shipped_generators())))
