"""Pictures of a run: those from pipes, which can be read once, and those of files, where checking
whether one has changed must not decode it twice.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from PIL import Image

from pez.errors import PezError
from pez.files.download import MAX_DOWNLOAD, is_web
from pez.images import check_picture, check_size, expand_sources, is_handed, pixels_key, read_bytes
from pez.sources import Source, joined_key, read_source

HELD = 40_000_000  # decoded pixels held for their search: 120 MB


STDIN = "-"


class Piped(io.BytesIO):
    """A picture from a pipe, called by the ``name`` that the user gave."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


class Pipes:
    """Reads pictures from standard input (``-``) and from pipes that the shell hands over, such as
    ``<(cat a.png)``: each once, and held.
    """

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}  # by the names that the user gave

    def source(self, name: str) -> Source:
        """The picture of that name, or the name itself if it is no pipe's. PezError for an empty
        pipe, and for what does not begin like a picture.
        """
        if name not in self.data:
            if name != STDIN and not is_handed(name):
                return name
            where = "standard input" if name == STDIN else name
            data = check_size(_stdin(), where) if name == STDIN else read_bytes(name)
            self.data[name] = check_picture(data, where)
        return Piped(self.data[name], name)

    def sources(self, names: Sequence[str]) -> list[Source]:
        """Pictures from pipes, and files and addresses by name, with folders as their pictures."""
        found: list[Source] = []
        for name in names:
            source = self.source(name)
            found += [source] if isinstance(source, Piped) else expand_sources([name])
        return found

    def read(self, source: Source) -> Image.Image:
        """The picture, as :func:`pez.sources.read_source` gives it."""
        return read_source(self.source(source) if isinstance(source, str) else source)


def _stdin() -> bytes:
    if sys.stdin.isatty():
        raise PezError("there is no picture on standard input; pipe one: pez invert - < cat.jpg")
    raw = getattr(sys.stdin, "buffer", None)
    return raw.read(MAX_DOWNLOAD + 1) if raw else b""


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
