"""Small files of the kinds that pictures come in, for the tests of how they are read."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pez.errors import PezError
from pez.images import read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
ORIENTATION = 0x0112


def noise(width: int = 24, height: int = 16, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, depth: int, colour: int, pixels: bytes, *more: bytes) -> bytes:
    """A PNG file written by hand, for what Pillow cannot write; `pixels` are the rows' bytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    step = len(pixels) // height
    rows = b"".join(b"\0" + pixels[i * step : (i + 1) * step] for i in range(height))
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + data + chunk(b"IEND", b"")


def huge_header(width: int, height: int) -> bytes:
    """The start of a PNG: a true header and no pixels, so that it can be opened, not decoded."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"")


def pixel(image: Image.Image, x: int = 0, y: int = 0) -> tuple[int, ...]:
    assert image.mode == "RGB"
    found = image.getpixel((x, y))
    assert isinstance(found, tuple)
    return tuple(int(value) for value in found)


def greys(image: Image.Image) -> list[int]:
    values = np.asarray(image)
    assert image.mode == "RGB" and (values == values[..., :1]).all()
    return values[..., 0].ravel().tolist()


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def sentence(error: BaseException, name: object) -> str:
    """The error's text, after a check that it is one sentence with `name` and a remedy."""
    text = str(error)
    assert str(name) in text
    assert "\n" not in text and text.endswith((".", "?")) and "; " in text
    assert ". " not in text.replace(str(name), "")
    return text


def refusal(source: str | Path | Image.Image, name: object = None) -> str:
    with pytest.raises(PezError) as caught:
        read_image(source)
    return sentence(caught.value, source if name is None else name)


def rotated(orientation: int) -> tuple[Image.Image, Image.Exif]:
    stored = Image.new("RGB", (6, 4), "white")
    stored.putpixel((0, 0), RED)
    stored.putpixel((5, 0), BLUE)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return stored, exif


SAMPLES = {
    "PNG": encoded(noise(), "PNG"),
    "palette PNG": encoded(noise().quantize(16), "PNG", transparency=3),
    "JPEG": encoded(noise(), "JPEG", exif=rotated(6)[1]),
    "GIF": encoded(noise(), "GIF"),
    "WEBP": encoded(noise(), "WEBP"),
    "BMP": encoded(noise(), "BMP"),
    "TIFF": encoded(noise(), "TIFF"),
}
