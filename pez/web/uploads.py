"""What visitors send: pictures, read as pictures and as nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from pez.errors import PezError
from pez.files import read_plain
from pez.images import decode_image

MOST_BYTES = 32_000_000  # of one file
MOST_PICTURES = 16  # at once
_NAME = 60  # characters


def read_upload(path: str | Path, number: int) -> Image.Image:
    """The picture that a visitor sent, as 8-bit RGB, under its own name without a folder. PezError
    for what is no picture, too large, or damaged.
    """
    name = Path(path).name[-_NAME:] or f"picture {number}"
    try:
        data = read_plain(path, MOST_BYTES)
    except OSError:
        raise PezError(f"{name} is no longer here; add it again.") from None
    if not data:
        raise PezError(f"{name} is empty (0 bytes); add another file.")
    picture = decode_image(data, name)
    picture.filename = name  # type: ignore[attr-defined]  # what results call it
    return picture


def read_uploads(given: Sequence[tuple[str, str | None]] | None) -> list[Image.Image]:
    """The pictures of a gallery. PezError for none, for too many, and as :func:`read_upload`."""
    paths = [path for path, _ in given or ()]
    if not paths:
        raise PezError("there is no picture yet; drop one, paste one or take one.")
    if len(paths) > MOST_PICTURES:
        raise PezError(f"{len(paths)} pictures are too many at once; keep {MOST_PICTURES} at most.")
    return [read_upload(path, n) for n, path in enumerate(paths, 1)]
