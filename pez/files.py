"""Files of the project itself: what is kept for later runs, and the shipped data."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from pez.errors import PezError


def keep_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make a file of the cache, whole or not at all. Where the disk is full or the
    home read-only nothing is kept: what was computed is computed again at each start, no more.
    """
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        write(part)
        part.replace(path)


def cache_folder() -> Path:
    """Where small things computed once are kept: ``PEZ_CACHE`` or the user's cache folder."""
    base = os.environ.get("PEZ_CACHE")
    return (
        Path(base)
        if base
        else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pez"
    )


@cache
def data_folder() -> Path:
    """``data/`` of the installed package or of the checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "data", here.parent / "data"):
        if (folder / "models").is_dir():
            return folder
    raise PezError("the shipped data folder is missing; install the package again.")
