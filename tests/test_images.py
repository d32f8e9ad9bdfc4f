"""Reading, finding and laying out pictures, with real files and a real local web server."""

import io
import os
import random
import shutil
import struct
import tempfile
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.error import HTTPError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from pez import images
from pez.errors import PezError
from pez.images import (
    expand_sources,
    find_images,
    grid,
    natural_key,
    pixels_key,
    read_image,
)

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
    """The error's text, once it is seen to be one sentence that names `name` and a mend."""
    text = str(error)
    assert str(name) in text
    assert "\n" not in text and text.endswith((".", "?")) and "; " in text
    assert ". " not in text.replace(str(name), "")
    return text


def refusal(source: str | Path | Image.Image, name: object = None) -> str:
    with pytest.raises(PezError) as caught:
        read_image(source)
    return sentence(caught.value, source if name is None else name)


# What can be read


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
    file = put(tmp_path / "picture.dat", encoded(Image.new("RGB", (9, 5), (200, 40, 40)), kind))
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


def rotated(orientation: int) -> tuple[Image.Image, Image.Exif]:
    stored = Image.new("RGB", (6, 4), "white")
    stored.putpixel((0, 0), RED)
    stored.putpixel((5, 0), BLUE)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return stored, exif


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


# What is refused


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.png")


def test_a_missing_file_is_told_with_its_nearest_name(tmp_path: Path) -> None:
    put(tmp_path / "holiday.jpg", b"x")
    assert f"did you mean {tmp_path / 'holiday.jpg'}?" in refusal(tmp_path / "holidays.JPG")


def test_an_empty_name_is_not_the_current_folder() -> None:
    assert "does not exist" in refusal("", "without a name")
    with pytest.raises(PezError, match="does not exist"):
        expand_sources([""])


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_an_empty_file_is_told_as_empty(tmp_path: Path) -> None:
    assert "is empty (0 bytes)" in refusal(put(tmp_path / "a.png", b""))


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refusal(tmp_path / "pipe")


def test_a_file_below_a_file_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path / "a.png", encoded(noise(), "PNG"))
    assert "not a directory" in refusal(file / "b.png")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"], ids=["too long", "null byte"])
def test_an_impossible_name_is_refused(name: str) -> None:
    refusal(name)


@pytest.mark.parametrize(
    "data",
    [b"hello, this is text", b"\0" * 100, encoded(noise(), "EPS"), encoded(noise(), "TGA")],
    ids=["text", "zeros", "EPS, which would run a program", "TGA, which has no signature"],
)
def test_other_files_are_told_as_no_pictures(tmp_path: Path, data: bytes) -> None:
    assert "is not a picture" in refusal(put(tmp_path / "a.png", data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_picture_is_told_as_damaged(tmp_path: Path, kind: str) -> None:
    data = encoded(noise(64, 64), kind)
    assert "damaged" in refusal(put(tmp_path / "a", data[: len(data) // 2]))


def test_a_picture_without_pixels_is_refused() -> None:
    refusal(Image.new("RGB", (0, 5)), "The given picture")


def test_a_truncated_pil_image_is_named_by_its_file(tmp_path: Path) -> None:
    data = encoded(noise(64, 64), "PNG")
    file = put(tmp_path / "a.png", data[: len(data) // 2])
    with Image.open(file) as image:
        assert "damaged" in refusal(image, file)


# 85 is below Pillow's own limits, 96 makes it warn, 400 makes it fail
@pytest.mark.parametrize("size", [(10_000, 8_500), (12_000, 8_000), (20_000, 20_000)])
def test_a_bomb_is_refused_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        text = refusal(put(tmp_path / "bomb.png", huge_header(*size)))
    assert "80 megapixels" in text  # decoding would tell of damage instead
    assert not caught


def test_a_bomb_inside_an_icon_is_refused(tmp_path: Path) -> None:
    inner = huge_header(12_000, 8_000)
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inner), 22)  # says 256 x 256
    file = put(tmp_path / "a.ico", struct.pack("<HHH", 0, 1, 1) + entry + inner)
    assert "80 megapixels" in refusal(file)


def test_a_real_bomb_is_refused_at_once(tmp_path: Path) -> None:
    rows = zlib.compressobj()
    data = b"".join(rows.compress(bytes(2501)) for _ in range(20_000)) + rows.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0))
    body = header + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    file = put(tmp_path / "bomb.png", b"\x89PNG\r\n\x1a\n" + body)
    start = time.process_time()
    assert "80 megapixels" in refusal(file)
    assert time.process_time() - start < 0.25


def test_the_limit_itself_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(tmp_path / "a.png", encoded(noise(24, 16), "PNG"))
    monkeypatch.setattr(images, "MAX_PIXELS", 24 * 16)
    assert read_image(file).size == (24, 16)
    monkeypatch.setattr(images, "MAX_PIXELS", 24 * 16 - 1)
    refusal(file)
    refusal(noise(24, 16), "The given picture")


def test_reading_changes_no_global_state(tmp_path: Path) -> None:
    before = (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    refusal(put(tmp_path / "bomb.png", huge_header(20_000, 20_000)))
    read_image(put(tmp_path / "a.png", encoded(noise(), "PNG")))
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that an unprivileged user can enter (pytest's own is closed to others)."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def unprivileged() -> Iterator[Callable[[], None]]:
    """Gives up root, to which nothing is forbidden, until the test's end."""
    user = os.geteuid()
    yield lambda: os.seteuid(65534) if user == 0 else None
    os.seteuid(user)


def test_a_forbidden_file_is_told_as_such(open_folder: Path, unprivileged: Callable) -> None:
    file = put(open_folder / "a.png", encoded(noise(), "PNG"))
    file.chmod(0)
    unprivileged()
    assert "permission denied" in refusal(file)


def test_a_forbidden_folder_is_not_passed_over(open_folder: Path, unprivileged: Callable) -> None:
    put(open_folder / "a.png", encoded(noise(), "PNG"))
    (open_folder / "locked").mkdir(mode=0)
    unprivileged()
    with pytest.raises(PezError) as caught:
        find_images(open_folder)
    assert "permission denied" in sentence(caught.value, open_folder / "locked")
    with pytest.raises(PezError, match="permission denied"):
        expand_sources([str(open_folder / "locked" / "a.png")])


SAMPLES = {
    "PNG": encoded(noise(), "PNG"),
    "palette PNG": encoded(noise().quantize(16), "PNG", transparency=3),
    "JPEG": encoded(noise(), "JPEG", exif=rotated(6)[1]),
    "GIF": encoded(noise(), "GIF"),
    "WEBP": encoded(noise(), "WEBP"),
    "BMP": encoded(noise(), "BMP"),
    "TIFF": encoded(noise(), "TIFF"),
}


def rgb_or_refused(folder: Path, data: bytes) -> None:
    file = put(folder / "sample", data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "MAX_PIXELS", 1_000_000)  # a damaged size may be slow to decode
        try:
            assert read_image(file).mode == "RGB"
        except PezError as error:
            sentence(error, file)


@pytest.mark.parametrize("kind", SAMPLES)
@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1))
def test_any_prefix_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, share: float
) -> None:
    data = SAMPLES[kind]
    rgb_or_refused(tmp_path_factory.getbasetemp(), data[: round(share * len(data))])


@pytest.mark.parametrize("kind", SAMPLES)
@settings(max_examples=40, deadline=None)
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(SAMPLES[kind])
    for share, value in changes:
        data[int(share * (len(data) - 1))] = value
    rgb_or_refused(tmp_path_factory.getbasetemp(), bytes(data))


# Addresses


class Handler(BaseHTTPRequestHandler):
    agents: ClassVar[list[str]] = []
    release = threading.Event()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.agents.append(self.headers.get("User-Agent", ""))
        picture = SAMPLES["PNG"]
        match self.path:
            case "/a.png" | "/a%20caf%C3%A9.png":
                self.answer(200, picture, Content_Length=str(len(picture)))
            case "/page.html":
                self.answer(200, b"<html><body>a page</body></html>", Content_Type="text/html")
            case "/large.png":
                self.answer(200, picture, Content_Length="64000001")
                self.release.wait(20)
            case "/a.eps":
                self.answer(200, encoded(noise(), "EPS"))
            case "/unsized.png":
                self.answer(200, picture)
            case "/short.png":
                self.answer(200, picture[: len(picture) // 2], Content_Length=str(len(picture)))
            case "/odd-length.png":
                self.answer(200, picture, Content_Length="many")
            case "/empty.png":
                self.answer(200, Content_Length="0")
            case "/moved.png":
                self.answer(302, Location="/a.png")
            case "/loop.png":
                self.answer(302, Location="/loop.png")
            case "/slow.png":
                self.release.wait(20)
            case path if path.startswith("/to/"):
                self.answer(302, Location=path.removeprefix("/to/"))
            case "/broken":
                self.answer(500)
            case _:
                self.answer(404)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    thread = threading.Thread(target=web.serve_forever, args=(0.02,))
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        yield f"http://127.0.0.1:{web.server_port}"
    Handler.release.set()
    web.shutdown()
    web.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["a.png", "moved.png", "a café.png", "unsized.png"])
def test_a_picture_at_an_address_is_read(server: str, path: str) -> None:
    assert read_image(f"{server}/{path}").tobytes() == noise().tobytes()


def test_the_scheme_may_be_in_capitals(server: str) -> None:
    assert read_image(f"{server}/a.png".replace("http", "HTTP")).size == (24, 16)


def test_the_reader_says_who_it_is(server: str) -> None:
    Handler.agents.clear()
    read_image(f"{server}/a.png")
    assert Handler.agents[0].startswith("pez/")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("none.png", "HTTP status 404: Not Found"),
        ("broken", "HTTP status 500"),
        ("page.html", "is not a picture"),
        ("empty.png", "is not a picture"),
        ("a.eps", "is not a picture"),
        ("short.png", "damaged"),
        ("odd-length.png", "could not be fetched"),
        ("loop.png", "HTTP status 302"),
    ],
)
def test_a_bad_answer_is_told(server: str, path: str, told: str) -> None:
    assert told in refusal(f"{server}/{path}")


def test_a_declared_size_is_refused_before_reading(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "TIMEOUT", 8.0)  # reading would wait for the rest
    assert "64 MB" in refusal(f"{server}/large.png")


def test_a_refused_answer_is_closed(server: str) -> None:
    with pytest.raises(PezError) as caught:
        read_image(f"{server}/none.png")
    cause = caught.value.__cause__
    assert isinstance(cause, HTTPError) and cause.closed


def test_a_page_is_told_to_be_no_picture_file(server: str) -> None:
    assert "not of a page" in refusal(f"{server}/page.html")


def test_an_answer_without_a_size_is_not_read_for_ever(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_DOWNLOAD", len(SAMPLES["PNG"]))
    assert read_image(f"{server}/unsized.png").size == (24, 16)
    monkeypatch.setattr(images, "MAX_DOWNLOAD", len(SAMPLES["PNG"]) - 1)
    assert "MB" in refusal(f"{server}/unsized.png")


def test_a_redirect_to_a_local_file_is_refused(server: str, tmp_path: Path) -> None:
    file = put(tmp_path / "a.png", SAMPLES["PNG"])
    assert "HTTP status 302" in refusal(f"{server}/to/file://{file}")


def test_a_redirect_to_ftp_is_refused(server: str) -> None:
    assert "HTTP status 302" in refusal(f"{server}/to/ftp://127.0.0.1:1/a.png")


def test_a_silent_server_is_given_up(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "TIMEOUT", 0.2)
    assert "timed out" in refusal(f"{server}/slow.png")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.png", "http://", "http://[x/a.png"])
def test_an_unreachable_address_is_refused(server: str, url: str) -> None:
    assert "could not be fetched" in refusal(url)


# Finding and naming


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        put(folder / name, b"x")


def test_pictures_are_found_below_a_folder_in_natural_order(tmp_path: Path) -> None:
    names = ["b/img1.png", "b/img2.png", "b/img10.png", "B2/x.PNG", "img3.jpeg", "Img20.tiff"]
    shuffled = random.Random(0).sample(names, len(names))
    touch(tmp_path, *shuffled, "notes.txt", "clip.mp4", "none")
    assert find_images(tmp_path) == [tmp_path / name for name in names]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"])
def test_usual_suffixes_count_as_pictures(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"a.{suffix}")
    assert find_images(tmp_path) == [tmp_path / f"a.{suffix}"]


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, ".a.png", ".cache/b.png", "._c.jpg", "d.png")
    assert find_images(tmp_path) == [tmp_path / "d.png"]


def test_folders_named_like_pictures_and_dead_links_are_no_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "folder.png/note.txt")
    (tmp_path / "dead.png").symlink_to(tmp_path / "gone.png")
    assert find_images(tmp_path) == [tmp_path / "a.png"]


def test_a_link_back_to_the_folder_does_not_loop(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "again").symlink_to(tmp_path)
    assert find_images(tmp_path) == [tmp_path / "a.png"]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(PezError) as caught:
        find_images(tmp_path)
    assert "holds no pictures" in sentence(caught.value, tmp_path)


@pytest.mark.parametrize(("name", "told"), [("none", "not exist"), ("a.png", "not a directory")])
def test_pictures_are_sought_in_folders_only(tmp_path: Path, name: str, told: str) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(PezError) as caught:
        find_images(tmp_path / name)
    assert told in sentence(caught.value, tmp_path / name)


@given(numbers=st.lists(st.integers(0, 10**12), unique=True), stem=st.sampled_from(["", "a", "7-"]))
def test_natural_order_follows_the_numbers(numbers: list[int], stem: str) -> None:
    names = [Path(f"{stem}{number}.png") for number in sorted(numbers)]
    assert sorted(names[::-1], key=natural_key) == names


PATHS = st.lists(st.text("aAb01²٣é. ", min_size=1, max_size=5), min_size=1, max_size=3).map(
    lambda parts: Path(*parts)
)


@given(paths=st.lists(PATHS, unique=True), seed=st.randoms(use_true_random=False))
def test_natural_order_is_the_same_whatever_the_start(
    paths: list[Path], seed: random.Random
) -> None:
    shuffled = seed.sample(paths, len(paths))
    assert sorted(shuffled, key=natural_key) == sorted(paths, key=natural_key)


@given(names=st.permutations(["a1", "A1", "a01", "A001"]))
def test_natural_order_knows_no_ties(names: list[str]) -> None:
    expected = [Path(name) for name in ("A001", "A1", "a01", "a1")]
    assert sorted(map(Path, names), key=natural_key) == expected


@given(stem=st.text("aAbB 1", min_size=1, max_size=6))
def test_natural_order_puts_cases_together(stem: str) -> None:
    names = [stem.upper() + "a", stem.lower() + "B", stem.upper() + "c"]
    assert sorted(map(Path, names), key=natural_key) == [Path(name) for name in names]


def test_sources_are_expanded_in_the_order_given(tmp_path: Path) -> None:
    touch(tmp_path, "z.png", "f/2.png", "f/10.png", "a.dat")
    given_sources = ["https://x.org/b.png", tmp_path / "z.png", tmp_path / "f", tmp_path / "a.dat"]
    expected = [given_sources[0], tmp_path / "z.png"]
    expected += [tmp_path / "f/2.png", tmp_path / "f/10.png", tmp_path / "a.dat"]
    assert expand_sources([str(s) for s in given_sources]) == [str(s) for s in expected]


def test_a_missing_source_is_told_with_its_nearest_name(tmp_path: Path) -> None:
    touch(tmp_path, "SUNSET.JPG", "sunrise.jpg", "photos/a.png")
    near = [("sunsett.jpg", "SUNSET.JPG"), ("SUNRISE.jpeg", "sunrise.jpg"), ("photo", "photos")]
    for wrong, right in near:
        with pytest.raises(PezError) as caught:
            expand_sources([str(tmp_path / wrong)])
        assert sentence(caught.value, tmp_path / wrong).endswith(f"mean {tmp_path / right}?")


@pytest.mark.parametrize("name", ["zzz.png", "beach.tx", "gone/a.png", "hidden.png"])
def test_nothing_is_suggested_where_nothing_is_near(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "Sunset.jpg", "beach.txt", ".hidden.png")
    with pytest.raises(PezError) as caught:
        expand_sources([str(tmp_path / name)])
    assert "did you mean" not in sentence(caught.value, tmp_path / name)


def test_a_folder_without_pictures_is_a_bad_source(tmp_path: Path) -> None:
    with pytest.raises(PezError, match="holds no pictures"):
        expand_sources([str(tmp_path)])


# Keys and sheets


def test_the_key_of_a_picture_never_changes() -> None:
    # Searches are seeded by it: another value here means that old results cannot be repeated.
    assert pixels_key(Image.new("RGB", (2, 3), RED)) == "06d518475268aaec"


def test_the_key_ignores_name_and_lossless_format(tmp_path: Path) -> None:
    files = [put(tmp_path / kind, encoded(noise(), kind)) for kind in ("PNG", "BMP", "TIFF")]
    assert {pixels_key(read_image(file)) for file in files} == {pixels_key(noise())}


def test_the_key_is_of_the_pixels_that_are_seen() -> None:
    assert pixels_key(Image.new("RGBA", (2, 2), (9, 9, 9, 0))) == pixels_key(
        Image.new("RGB", (2, 2), WHITE)
    )


def test_the_key_tells_pixels_and_shapes_apart() -> None:
    changed = noise()
    changed.putpixel((3, 3), RED)
    shapes = [Image.new("RGB", size) for size in ((4, 1), (1, 4), (2, 2), (11, 1), (1, 11))]
    keys = [pixels_key(image) for image in [noise(), changed, *shapes]]
    assert len(set(keys)) == len(keys)


def test_a_sheet_has_cells_of_the_largest_size_and_gaps_between() -> None:
    pictures = [Image.new("RGB", size, RED) for size in ((10, 4), (6, 8), (2, 2))]
    sheet = grid(pictures, columns=2, gap=3)
    assert sheet.mode == "RGB" and sheet.size == (10 + 3 + 10, 8 + 3 + 8)
    expected = np.full((19, 23, 3), 255, np.uint8)
    for x, y, width, height in [(0, 2, 10, 4), (15, 0, 6, 8), (4, 14, 2, 2)]:
        expected[y : y + height, x : x + width] = RED
    np.testing.assert_array_equal(np.asarray(sheet), expected)


def test_a_sheet_has_no_empty_columns() -> None:
    assert grid([Image.new("RGB", (5, 5))] * 2, columns=9, gap=1).size == (11, 5)


def test_a_sheet_shows_what_is_clear_as_white() -> None:
    assert pixel(grid([Image.new("RGBA", (2, 2), (0, 0, 0, 0))], columns=1)) == WHITE


@pytest.mark.parametrize(("count", "columns", "gap"), [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_an_impossible_sheet_is_refused(count: int, columns: int, gap: int) -> None:
    with pytest.raises(PezError) as caught:
        grid([noise()] * count, columns, gap)
    sentence(caught.value, "sheet")
