"""Files that are not pictures, damaged, too large or forbidden are refused in one sentence."""

import os
import shutil
import struct
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import SAMPLES, chunk, encoded, huge_header, noise, put, refusal, sentence
from PIL import Image

from pez import images
from pez.errors import PezError
from pez.images import expand_sources, find_images, read_image


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
    assert "80 megapixels" in text  # decoding would report damage instead
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
    """Drops root's rights until the test ends: nothing is forbidden to root."""
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
