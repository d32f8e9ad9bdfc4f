"""Find pictures and read them: whatever the source, the result is an 8-bit RGB PIL image."""

import difflib
import hashlib
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pez.errors import PezError
from pez.files import read_plain
from pez.files.download import MAX_DOWNLOAD, fetch, is_web
from pez.formats.pictures import (
    HEIC_EXTRA,
    formats_of,
    is_heic,
    is_picture,
    reads_heic,
    warn_left_out,
)

MAX_PIXELS = 80_000_000
MAX_SIDES = 200  # of the longer to the shorter side: the shorter one is scaled to the model's
MAX_FILE = 512_000_000  # bytes, where a file is read before it is decoded
ORIENTATION = 0x0112  # EXIF tag
_HANDED = re.compile(r"/dev/stdin|/dev/fd/[0-9]+|/proc/(self|[0-9]+)/fd/[0-9]+")
_GIVE_FILE = "give a JPEG, PNG, WebP, GIF, BMP or TIFF file"
_GIVE_LINK = "give the address of the picture file itself, not of a page that shows it"


def read_image(source: str | Path | Image.Image) -> Image.Image:
    """The picture at a path or http(s) address, or a PIL image, as a new 8-bit RGB PIL image.

    EXIF rotation is applied, transparency is laid over white, deep greys are scaled to 8 bits.
    Files give their first frame, PIL images their current one. PezError for any bad input.
    """
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "The given picture")
        with _explained(name):
            return _decode(source)
    name = str(source)
    if is_web(name):
        data = io.BytesIO(fetch(name))
        with _explained(name, _GIVE_LINK), Image.open(data, "r", formats_of(name)) as image:
            return _decode(image)
    if is_handed(name):
        return decode_image(read_bytes(name), name)
    with _explained(name):
        _check_file(source)
        with open(source, "rb") as file, Image.open(file, "r", formats_of(name)) as image:
            return _decode(image)


def read_bytes(source: str | Path) -> bytes:
    """The raw bytes at a path or http(s) address; PezError if they cannot be read."""
    if is_web(str(source)):
        return fetch(str(source))
    with _explained(str(source)):
        if is_handed(str(source)):
            with open(source, "rb") as pipe:
                return check_size(pipe.read(MAX_DOWNLOAD + 1), str(source))
        _check_file(source)
        return read_plain(source, MAX_FILE)


def is_handed(name: str) -> bool:
    """Whether a path is a pipe that the shell hands over, as ``/dev/stdin`` or ``<(cat a.png)``.
    It can be read once. Pipes elsewhere are not read, as nobody may ever write to them.
    """
    try:
        return bool(_HANDED.fullmatch(name)) and stat.S_ISFIFO(os.stat(name).st_mode)
    except OSError:
        return False


def check_size(data: bytes, name: str) -> bytes:
    """The bytes of a stream. PezError if there are none, or more than a picture may have."""
    if not data:
        raise PezError(f"{name} is empty (0 bytes); check what writes to it.")
    if len(data) > MAX_DOWNLOAD:
        raise PezError(f"{name} is over {MAX_DOWNLOAD // 10**6} MB; give a smaller picture.")
    return data


def decode_image(data: bytes, name: str) -> Image.Image:
    """The picture in the bytes of a file called ``name``, as :func:`read_image` gives it."""
    mend = _GIVE_LINK if is_web(name) else _GIVE_FILE
    with _explained(name, mend), Image.open(io.BytesIO(data), "r", formats_of(name)) as image:
        return _decode(image)


def check_picture(data: bytes, name: str) -> bytes:
    """The bytes if they begin like a picture (the rest is not decoded), else PezError."""
    if not data:
        raise PezError(f"{name} is empty (0 bytes); copy or download it again.")
    mend = _GIVE_LINK if is_web(name) else _GIVE_FILE
    with _explained(name, mend), Image.open(io.BytesIO(data), "r", formats_of(name)):
        return data


def _check_file(source: str | Path) -> None:
    info = os.stat(source)
    if stat.S_ISDIR(info.st_mode):
        raise PezError(f"{source} is a folder, not a picture; give one of the files in it.")
    if info.st_size == 0:  # so are pipes and devices, which might block forever
        raise PezError(f"{source} is empty (0 bytes); copy or download it again.")


def find_images(folder: Path) -> list[Path]:
    """The pictures (by suffix) in a folder and below, in natural order; hidden ones are skipped.
    Warns (PezWarning) of pictures of other kinds and of linked folders, which are left out.

    PezError if the folder is missing, holds no picture, or has a part that cannot be read.
    """
    with _explained(str(folder)):
        every = list(_walk(folder))
    found = [path for path in every if path.is_file() and is_picture(path)]
    warn_left_out(folder, set(every).difference(found))
    if not found:
        raise PezError(f"{folder} holds no pictures; {_GIVE_FILE} or a folder with some in it.")
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder)))


def _walk(folder: Path) -> Iterator[Path]:
    """The files in a folder and below, and links to anything else, which are not followed."""
    for path in folder.iterdir():  # unlike os.walk, this fails on a folder that it cannot read
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif path.is_file() or path.is_symlink():
            yield path


def natural_key(path: Path) -> tuple[tuple[tuple[str | int, ...], ...], str]:
    """Natural sort key: img2 before img10, ignoring case; differs for any two paths."""
    # re.split with one group alternates text and digits, so no int ever meets a str.
    pieces = (re.split(r"([0-9]+)", part.casefold()) for part in path.parts)
    parts = (tuple(int(s) if i % 2 else s for i, s in enumerate(piece)) for piece in pieces)
    return tuple(parts), str(path)


def expand_sources(sources: Sequence[str]) -> list[str]:
    """Files and addresses as given, folders as their pictures; PezError for what is missing."""
    expanded: list[str] = []
    for source in sources:
        with _explained(source):
            folder = not is_web(source) and stat.S_ISDIR(os.stat(source).st_mode)
        expanded += map(str, find_images(Path(source))) if folder else [source]
    return expanded


def pixels_key(image: Image.Image) -> str:
    """16 hex digits that identify a picture by its size and RGB pixels, and seed its search."""
    rgb = image if _is_plain(image) else read_image(image)
    digest = hashlib.sha256(b"%dx%d:" % rgb.size)
    digest.update(rgb.tobytes())
    return digest.hexdigest()[:16]


def grid(images: Sequence[Image.Image], columns: int, gap: int = 4) -> Image.Image:
    """An RGB sheet of pictures centred in equal cells, gaps between; PezError for bad sizes."""
    if not images or columns < 1 or gap < 0:
        raise PezError("A sheet cannot be drawn; give pictures, columns above 0, no negative gap.")
    columns = min(columns, len(images))
    tiles = [read_image(image) for image in images]
    rows = -(-len(tiles) // columns)
    wide, high = max(t.width for t in tiles) + gap, max(t.height for t in tiles) + gap
    sheet = Image.new("RGB", (columns * wide - gap, rows * high - gap), "white")
    for index, tile in enumerate(tiles):
        x = index % columns * wide + (wide - gap - tile.width) // 2
        y = index // columns * high + (high - gap - tile.height) // 2
        sheet.paste(tile, (x, y))
    return sheet


@contextmanager
def _explained(name: str, mend: str = _GIVE_FILE) -> Iterator[None]:
    """Turns errors of the system and Pillow, and Pillow's bomb warning, into a PezError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a user cannot act on odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except PezError:
        raise
    except FileNotFoundError as error:
        near = _near(Path(name))
        mend = f"did you mean {near}?" if near else "check the name and the folder you are in."
        raise PezError(f"{name or 'A file without a name'} does not exist; {mend}") from error
    except UnidentifiedImageError as error:
        mend = HEIC_EXTRA if is_heic(name) and not reads_heic() else mend
        raise PezError(f"{name} is not a picture, or its start is damaged; {mend}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        limit = MAX_PIXELS // 10**6
        raise PezError(f"{name} is too large; shrink it below {limit} megapixels.") from error
    except _TooThin as error:
        raise PezError(
            f"{name} is over {MAX_SIDES} times as long as it is wide; crop it."
        ) from error
    except Exception as error:  # decoders leak SyntaxError, struct.error, EOFError and many more
        what, mend = "is damaged or cut off part-way", "copy or download it again"
        if isinstance(error, OSError) and error.errno:
            what = f"cannot be read ({os.strerror(error.errno).lower()})"
            mend = "check the name and your permission to read it"
            name = error.filename or name
        raise PezError(f"{name} {what}; {mend}.") from error


def _near(path: Path) -> Path | None:
    """The picture or folder in the same place whose name is closest to a missing one."""
    try:
        beside = [p for p in sorted(path.parent.iterdir()) if not p.name.startswith(".")]
        names = {p.name.casefold(): p for p in beside if is_picture(p) or p.is_dir()}
    except OSError:
        return None
    close = difflib.get_close_matches(path.name.casefold(), names, n=1)
    return names[close[0]] if close else None


class _TooThin(Exception):
    """A picture that no model could take in at a sensible size."""


def _decode(image: Image.Image) -> Image.Image:
    """The pixels of a picture whose header has been read, unless it announces too many."""
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if 0 in image.size:
        raise UnidentifiedImageError
    if max(image.size) > MAX_SIDES * min(image.size):
        raise _TooThin
    image.load()
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # a picture with damaged EXIF is still a picture
        image = image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    straight = image.convert("LA") if image.mode == "La" else image  # La converts only to LA
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, straight.convert("RGBA")).convert("RGB")


def _is_plain(image: Image.Image) -> bool:
    """Whether a picture is as :func:`read_image` returns it, with nothing left to decode."""
    if type(image) is not Image.Image or image.mode != "RGB":  # or a file not decoded yet
        return False
    try:
        upright = image.getexif().get(ORIENTATION, 1) == 1
    except Exception:  # damaged EXIF
        return False
    return upright and not image.has_transparency_data


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scales integers from 0-65535, floats from 0-1 or else 0-255, wider ranges as a whole."""
    values = np.array(image, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = finite.min(initial=0), finite.max(initial=0)
    tops = (1, 255) if image.mode == "F" else (65535,)
    high = next((top for top in tops if high <= top), high)
    grey = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255)
    grey[values == image.info.get("transparency")] = 255  # a PNG may name one grey as clear
    return Image.fromarray(np.nan_to_num(grey).astype(np.uint8))
