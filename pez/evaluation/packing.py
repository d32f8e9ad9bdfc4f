"""Pictures and embeddings as bytes, and back."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pez.errors import PezError

LOST = b"lost"  # in the place of a file that cannot be read


def decode(data: bytes) -> Image.Image:
    """The picture in a file's bytes. PezError for a damaged one, and for ``LOST``."""
    from pez.images import decode_image

    if data == LOST:
        raise PezError("its picture is no longer in the run's folder; --retry makes it again.")

    return decode_image(data, "the picture")


def as_png(picture: Image.Image, notes: Mapping[str, str]) -> bytes:
    """A PNG file with ``notes`` as text chunks."""
    info = PngInfo()
    for name, text in notes.items():
        info.add_itxt(name, text)
    file = io.BytesIO()
    picture.save(file, "png", pnginfo=info)
    return file.getvalue()


def as_bytes(tensor: Any) -> bytes:
    """A tensor as the bytes of a .npy file."""
    import numpy as np

    file = io.BytesIO()
    np.save(file, tensor.detach().cpu().float().numpy(), allow_pickle=False)
    return file.getvalue()


def from_bytes(data: bytes) -> Any:
    """The tensor in the bytes of a .npy file."""
    import numpy as np
    import torch

    return torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False))
