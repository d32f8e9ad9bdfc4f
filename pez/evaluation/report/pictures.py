"""Pictures as data URIs, small enough for a page to carry many of them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pez.errors import PezError
from pez.images import read_image

SIDE = 256  # pixels of the longer side at most


@dataclass(frozen=True)
class Picture:
    """A picture on the page; ``uri`` is "" where the file could not be read."""

    uri: str
    width: int
    height: int
    alt: str

    @property
    def coarse(self) -> bool:
        """Whether it is so small that it should be scaled up without smoothing."""
        return max(self.width, self.height) <= 128


def load_picture(path: Path, alt: str, side: int = SIDE) -> Picture:
    """The picture at ``path``, no side longer than ``side``; PNG or JPEG, whichever is smaller.

    Small ones keep every pixel unless JPEG would be a quarter of their size.
    """
    try:
        image = read_image(path)
    except PezError:
        return Picture("", side, side, alt)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    png, jpeg = _bytes(image, "PNG", optimize=True), _bytes(image, "JPEG", quality=85)
    exact = len(png) <= (4 if max(image.size) <= 128 else 1) * len(jpeg)
    kind, data = ("png", png) if exact else ("jpeg", jpeg)
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Picture(uri, *image.size, alt)


def _bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
