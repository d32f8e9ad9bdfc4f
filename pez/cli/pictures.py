"""Pictures of a run: checking whether one has changed must not decode it twice."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from pez.images import pixels_key
from pez.sources import Source, is_web, joined_key, read_source

HELD = 40_000_000  # decoded pixels held for their search: 120 MB


class Pictures:
    """Reads pictures. Changed ones stay decoded until the search takes them, up to ``most``
    pixels in all; others are read when they are needed.
    """

    def __init__(self, most: int = HELD) -> None:
        self._left = most
        self._held: dict[str, Image.Image] = {}

    def same(self, sources: Sequence[Source], key: str, together: bool = False) -> bool:
        """Whether ``key`` matches the current content of these pictures. Those on the web are
        assumed unchanged, as checking takes a download. PezError for unreadable ones.
        """
        if any(is_web(str(source)) for source in sources):
            return True
        keys = []
        for source in sources:
            picture = self.read(source)
            keys.append(pixels_key(picture))
            self._hold(source, picture)
        if (joined_key(keys) if together else keys[0]) != key:
            return False
        for source in sources:
            self._drop(source)
        return True

    def read(self, source: Source) -> Image.Image:
        """The picture, as :func:`pez.sources.read_source` gives it."""
        return self._drop(source) or read_source(source)

    def _hold(self, source: Source, picture: Image.Image) -> None:
        size = picture.width * picture.height
        if size <= self._left and str(source) not in self._held:
            self._held[str(source)] = picture
            self._left -= size

    def _drop(self, source: Source) -> Image.Image | None:
        picture = self._held.pop(str(source), None)
        if picture is not None:
            self._left += picture.width * picture.height
        return picture
