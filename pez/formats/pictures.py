"""Which picture formats are read, and what a folder holds beside the pictures that are."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import Image

from pez.errors import PezWarning

# Not all that Pillow knows: EPS would start Ghostscript on a stranger's file, and PCX has such a
# weak signature that other files pass for it.
SAFE = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "ICO", "PPM", "QOI", "AVIF")
_HEIC = frozenset({".heic", ".heif", ".hif"})
_TGA = ".tga"  # has no signature at all, so only a file of this name is read as one
# pictures of kinds that are not read; a folder's other files are no pictures
_OTHER = frozenset(
    {
        *(".psd", ".svg", ".eps", ".pcx", ".dds", ".exr", ".hdr", ".jxl", ".xcf", ".raw", ".dng"),
        *(".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".icns", ".pdf", ".ai", ".wmf"),
    }
)
HEIC_EXTRA = "pip install 'pez-prompts[heic]' to read HEIC"


def formats_of(name: str) -> tuple[str, ...]:
    """Pillow's names of the formats that a file of this ``name`` may have."""
    own = ("HEIF",) if reads_heic() else ()
    return (*SAFE, *own, *(("TGA",) if name.lower().endswith(_TGA) else ()))


@cache
def reads_heic() -> bool:
    """Whether HEIC can be read: the extra ``heic`` (pillow-heif) is installed."""
    try:
        from pillow_heif import register_heif_opener  # type: ignore[import-not-found]
    except ImportError:
        return False
    register_heif_opener()
    return True


def is_heic(name: str) -> bool:
    """Whether a file is HEIC by its name."""
    return Path(name).suffix.lower() in _HEIC


def is_picture(path: Path) -> bool:
    """Whether a file is, by its name, a picture that can be read."""
    suffix = path.suffix.lower()
    if suffix in _HEIC:
        return reads_heic()
    return suffix == _TGA or Image.registered_extensions().get(suffix) in SAFE


def warn_left_out(where: object, paths: Iterable[Path], *more: str) -> None:
    """Warn (PezWarning) in one line of what was left out in ``where``: those of ``paths`` that are
    linked folders, broken links, or pictures of kinds that are not read, and ``more``.
    """
    kinds = Counter(filter(None, map(_left_out, paths)))
    parts = [f"{n} {kind}{'s' * (n > 1 and ' ' in kind)}" for kind, n in sorted(kinds.items())]
    parts += filter(None, more)
    if parts:
        mend = f"; {HEIC_EXTRA}" if _HEIC & set(kinds) and not reads_heic() else ""
        warnings.warn(f"{where}: left out {', '.join(parts)}{mend}.", PezWarning, stacklevel=3)


def _left_out(path: Path) -> str:
    """What kind of thing was left out; "" for files that are no pictures."""
    suffix = path.suffix.lower()
    if path.is_symlink() and not path.is_file():
        if path.is_dir():
            return "linked folder"
        return "broken link" if is_picture(path) else ""
    return suffix if suffix in _HEIC or suffix in _OTHER else ""
