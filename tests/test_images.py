"""Reading pictures of every kind, from real files."""

import io
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from picture_files import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    chunk,
    encoded,
    greys,
    noise,
    pixel,
    png,
    put,
    rotated,
)
from PIL import Image, features

from pez.images import read_image


def opened(path: Path) -> Image.Image:
    """A PIL image that is not decoded yet."""
    return Image.open(io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize("give", [Path, str, opened])
def test_a_lossless_picture_keeps_its_pixels(tmp_path: Path, give: Callable) -> None:
    file = put(tmp_path / "a.png", encoded(noise(), "PNG"))
    result = read_image(give(file))
    assert result.mode == "RGB" and type(result) is Image.Image
    assert result.size == (24, 16) and result.tobytes() == noise().tobytes()


@pytest.mark.parametrize(
    "kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "QOI", "JPEG2000"]
)
def test_the_kind_is_found_by_content_not_by_suffix(tmp_path: Path, kind: str) -> None:
    sizes = {"sizes": [(9, 5)]} if kind == "ICO" else {}  # Pillow skips a small picture's own size
    picture = Image.new("RGB", (9, 5), (200, 40, 40))
    file = put(tmp_path / "picture.dat", encoded(picture, kind, **sizes))
    result = read_image(file)
    assert result.size == (9, 5)
    np.testing.assert_allclose(pixel(result, 4, 2), (200, 40, 40), atol=8)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read(tmp_path: Path) -> None:
    file = put(tmp_path / "a.avif", encoded(Image.new("RGB", (9, 5), (200, 40, 40)), "AVIF"))
    np.testing.assert_allclose(pixel(read_image(file)), (200, 40, 40), atol=8)


@pytest.mark.parametrize("mode", [*Image.MODES, "RGBX"])
def test_every_mode_of_pillow_becomes_rgb(mode: str) -> None:
    result = read_image(Image.new(mode, (3, 2)))
    assert result.mode == "RGB" and result.size == (3, 2)


def test_the_result_shares_nothing_with_the_picture_given() -> None:
    given_image = noise()
    read_image(given_image).paste(RED, (0, 0, 24, 16))
    assert given_image.tobytes() == noise().tobytes()


CORNERS = {  # where the stored top-left (red) and top-right (blue) corners must be seen
    1: ("top left", "top right"),
    2: ("top right", "top left"),
    3: ("bottom right", "bottom left"),
    4: ("bottom left", "bottom right"),
    5: ("top left", "bottom left"),
    6: ("top right", "bottom right"),
    7: ("bottom right", "top right"),
    8: ("bottom left", "top left"),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", CORNERS)
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int, kind: str) -> None:
    stored, exif = rotated(orientation)
    seen = read_image(put(tmp_path / "a", encoded(stored, kind, exif=exif)))
    assert seen.size == ((4, 6) if orientation >= 5 else (6, 4))
    for corner, colour in zip(CORNERS[orientation], (RED, BLUE), strict=True):
        x = 0 if "left" in corner else seen.width - 1
        y = 0 if "top" in corner else seen.height - 1
        assert pixel(seen, x, y) == colour


def test_exif_rotation_of_a_jpeg_is_applied(tmp_path: Path) -> None:
    _, exif = rotated(6)
    file = put(tmp_path / "a.jpg", encoded(Image.new("RGB", (64, 32)), "JPEG", exif=exif))
    assert read_image(file).size == (32, 64)
    assert read_image(opened(file)).size == (32, 64)


def test_exif_rotation_is_applied_once_only(tmp_path: Path) -> None:
    stored, exif = rotated(6)
    once = read_image(put(tmp_path / "a.png", encoded(stored, "PNG", exif=exif)))
    assert read_image(once).tobytes() == once.tobytes() and read_image(once).size == once.size


def test_damaged_exif_does_not_lose_the_picture(tmp_path: Path) -> None:
    data = encoded(noise(), "PNG", exif=b"Exif\0\0this is no exif")
    with pytest.raises(SyntaxError):
        Image.open(io.BytesIO(data)).getexif()
    assert read_image(put(tmp_path / "a.png", data)).tobytes() == noise().tobytes()


def test_odd_metadata_brings_no_warning(tmp_path: Path) -> None:
    data = encoded(noise(), "PNG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0cut off")
    with pytest.warns(UserWarning):
        Image.open(io.BytesIO(data)).getexif()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_image(put(tmp_path / "a.png", data))
    assert not caught


def clear_palette(transparency: object) -> bytes:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    return encoded(image, "PNG", transparency=transparency)


CLEAR_THEN_BLUE = {
    "RGBA": encoded(Image.frombytes("RGBA", (2, 1), bytes([*RED, 0, *BLUE, 255])), "PNG"),
    "palette, one clear entry": clear_palette(0),
    "palette, alpha per entry": clear_palette(b"\x00\xff"),
    "RGB, one clear colour": encoded(
        Image.frombytes("RGB", (2, 1), bytes([*RED, *BLUE])), "PNG", transparency=RED
    ),
    "WebP": encoded(
        Image.frombytes("RGBA", (2, 1), bytes([*RED, 0, *BLUE, 255])), "WEBP", lossless=True
    ),
    "GIF": encoded(Image.open(io.BytesIO(clear_palette(0))), "GIF"),
    "16-bit RGBA": png(2, 1, 16, 6, struct.pack(">8H", 65535, 0, 0, 0, 0, 0, 65535, 65535)),
}


@pytest.mark.parametrize("kind", CLEAR_THEN_BLUE)
def test_what_is_clear_becomes_white(tmp_path: Path, kind: str) -> None:
    result = read_image(put(tmp_path / "a", CLEAR_THEN_BLUE[kind]))
    assert (pixel(result, 0), pixel(result, 1)) == (WHITE, BLUE)


CLEAR_THEN_BLACK_GREY = {
    "LA": encoded(Image.frombytes("LA", (2, 1), bytes([90, 0, 0, 255])), "PNG"),
    "8-bit, one clear grey": png(2, 1, 8, 0, bytes([90, 0]), chunk(b"tRNS", b"\0\x5a")),
    "16-bit LA": png(2, 1, 16, 4, struct.pack(">4H", 9000, 0, 0, 65535)),
    "16-bit, one clear grey": png(
        2, 1, 16, 0, struct.pack(">2H", 9000, 0), chunk(b"tRNS", struct.pack(">H", 9000))
    ),
}


@pytest.mark.parametrize("kind", CLEAR_THEN_BLACK_GREY)
def test_what_is_clear_in_a_grey_picture_becomes_white(tmp_path: Path, kind: str) -> None:
    assert greys(read_image(put(tmp_path / "a.png", CLEAR_THEN_BLACK_GREY[kind]))) == [255, 0]


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "PA"])
def test_half_clear_black_is_mid_grey(mode: str) -> None:
    image = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    via = "LA" if mode == "La" else "RGBA"
    result = read_image(image.convert(via).convert(mode))
    np.testing.assert_allclose(pixel(result), (127, 127, 127), atol=1)


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    result = read_image(put(tmp_path / "a.jpg", encoded(ink, "JPEG", quality=95)))
    np.testing.assert_allclose(pixel(result, 8, 8), RED, atol=6)


def test_ycck_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    # Pillow writes CMYK only: put YCC values in the first three channels (it inverts all four)
    # and let the Adobe marker's last byte say that they are YCCK.
    y, cb, cr = Image.new("RGB", (1, 1), (0, 255, 255)).convert("YCbCr").tobytes()
    ink = Image.new("CMYK", (16, 16), (255 - y, 255 - cb, 255 - cr, 0))
    data = bytearray(encoded(ink, "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2
    np.testing.assert_allclose(
        pixel(read_image(put(tmp_path / "a.jpg", bytes(data))), 8, 8), RED, atol=6
    )


RAMP = [0, 257, 32896, 65535]  # what 0, 1, 128 and 255 are in 16 bits
RAMP_FILES = {
    "grey PNG": png(4, 1, 16, 0, struct.pack(">4H", *RAMP)),
    "RGB PNG": png(4, 1, 16, 2, struct.pack(">12H", *(v for v in RAMP for _ in range(3)))),
    "RGBA PNG": png(4, 1, 16, 6, struct.pack(">16H", *(w for v in RAMP for w in (v, v, v, 65535)))),
    "LA PNG": png(4, 1, 16, 4, struct.pack(">8H", *(w for v in RAMP for w in (v, 65535)))),
    "PGM": b"P5 4 1 65535\n" + struct.pack(">4H", *RAMP),
    "TIFF": encoded(Image.fromarray(np.array([RAMP], np.uint16)), "TIFF"),
    "32-bit TIFF": encoded(Image.fromarray(np.array([RAMP], np.int32)), "TIFF"),
}


@pytest.mark.parametrize("kind", RAMP_FILES)
def test_sixteen_bit_keeps_its_range(tmp_path: Path, kind: str) -> None:
    assert greys(read_image(put(tmp_path / "a", RAMP_FILES[kind]))) == [0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16L", "I;16B", "I;16N"])
def test_sixteen_bit_pil_images_keep_their_range(mode: str) -> None:
    image = Image.new(mode, (4, 1))
    for x, value in enumerate(RAMP):
        image.putpixel((x, 0), value)
    assert greys(read_image(image)) == [0, 1, 128, 255]


def test_integers_beyond_sixteen_bits_are_scaled_not_clipped() -> None:
    image = Image.fromarray(np.array([[0, 1_000_000, 2_000_000]], np.int32))
    assert greys(read_image(image)) == [0, 128, 255]


@pytest.mark.parametrize(
    ("floats", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 20.0, 200.0], [0, 20, 200]),
        ([0.0, 500.0, 1000.0], [0, 128, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([np.nan, np.inf, -np.inf], [0, 255, 0]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
    ],
    ids=["unit", "byte", "above", "below", "not finite", "black"],
)
def test_floats_are_scaled_to_bytes(
    tmp_path: Path, floats: list[float], expected: list[int]
) -> None:
    image = Image.fromarray(np.array([floats], np.float32))
    assert greys(read_image(image)) == expected
    assert greys(read_image(put(tmp_path / "a.tif", encoded(image, "TIFF")))) == expected


def test_one_bit_pictures_are_black_and_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    assert greys(read_image(put(tmp_path / "a.png", encoded(image, "PNG")))) == [0, 255, 0]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_read(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=9, **options)
    file = put(tmp_path / "a", data)
    with Image.open(file) as animation:
        assert getattr(animation, "n_frames", 1) == 3
    assert pixel(read_image(file)) == RED
