"""The models of the page: each is loaded once, when first wanted, and shared by all visitors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from pez.models import Reader, load_model
from pez.models.names import shipped_generators
from pez.models.offered import offered_models as offered_models
from pez.options import SearchOptions
from pez.search.vocabulary import Vocabulary, make_vocabulary
from pez.session.session import reader_ids
from pez.session.styles import content_ids

T = TypeVar("T")


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


def offered_generators(more: tuple[str, ...] = ()) -> list[str]:
    """The generators that visitors may choose: those that were named, then the shipped ones."""
    return list(dict.fromkeys((*more, *shipped_generators())))
