"""What a search is for: pictures, texts, or a mix of both. Each searches by its verb's function."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from pez.api import search_mixes, search_pictures, search_texts
from pez.models import Reader
from pez.result import Result
from pez.session.items import Item, mix_item, picture_items, text_items
from pez.session.session import Session, Watch
from pez.sources import Part

THUMB = "data:image/jpeg;base64,"
SIDE = 56  # pixels of a small picture


class Aim(Protocol):
    """The targets of a search, one prompt for each."""

    def search(self, session: Session, watch: Watch) -> list[Result | None]:
        """A prompt for each; None where it was stopped too early."""
        ...

    def items(self, reader: Reader) -> list[Item]:
        """The targets as the model sees them."""
        ...

    def thumbs(self) -> list[str]:
        """A small picture of each, as an address that holds it; empty for texts."""
        ...


@dataclass(frozen=True)
class Pictures:
    """A prompt for each picture, or with ``together`` one for all."""

    pictures: tuple[Image.Image, ...]
    together: bool = False

    def search(self, session: Session, watch: Watch) -> list[Result | None]:
        """See :class:`Aim`."""
        return search_pictures(session, self._groups, watch)

    def items(self, reader: Reader) -> list[Item]:
        """See :class:`Aim`."""
        return list(picture_items(reader, self._groups, self.together).values())

    def thumbs(self) -> list[str]:
        """See :class:`Aim`."""
        return [small_picture(group[0]) for group in self._groups]

    @property
    def _groups(self) -> list[Sequence[Image.Image]]:
        return [self.pictures] if self.together else [[picture] for picture in self.pictures]


@dataclass(frozen=True)
class Texts:
    """A shorter prompt for each text."""

    texts: tuple[str, ...]

    def search(self, session: Session, watch: Watch) -> list[Result | None]:
        """See :class:`Aim`."""
        return search_texts(session, self.texts, watch, watch.note)

    def items(self, reader: Reader) -> list[Item]:
        """See :class:`Aim`."""
        return text_items(reader, self.texts)

    def thumbs(self) -> list[str]:
        """See :class:`Aim`."""
        return [""] * len(self.texts)


@dataclass(frozen=True)
class Mix:
    """One prompt for pictures and texts by weight."""

    parts: tuple[Part, ...]

    def search(self, session: Session, watch: Watch) -> list[Result | None]:
        """See :class:`Aim`."""
        return search_mixes(session, [self.parts], watch, warn=watch.note)

    def items(self, reader: Reader) -> list[Item]:
        """See :class:`Aim`."""
        return [mix_item(reader, self.parts)]

    def thumbs(self) -> list[str]:
        """See :class:`Aim`."""
        return [""]


def small_picture(picture: Image.Image, side: int = SIDE) -> str:
    """A picture of at most ``side`` pixels as an address that holds it."""
    small, file = picture.copy(), io.BytesIO()
    small.thumbnail((side, side), Image.Resampling.BILINEAR)
    small.save(file, "JPEG", quality=70)
    return THUMB + base64.b64encode(file.getvalue()).decode()
