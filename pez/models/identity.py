"""Which weights a name stands for today, so that new weights under an old name count as new."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

WHOLE = 64 << 20  # bytes of a file that are read whole; of larger ones only both ends


def identities() -> Callable[[str], str]:
    """A function from the name of a model or generator to its identity; it remembers."""
    return cache(identity)


def identity(name: str) -> str:
    """``name`` with a hash of its files where these are shipped or in a local folder, else the
    name: what the hub has under a name is taken to stay.
    """
    folder = _folder(name)
    return f"{name}@{folder_hash(folder)}" if folder else name


def _folder(name: str) -> Path | None:
    from pez.files import data_folder

    shipped = [data_folder() / room / name for room in ("models", "generators", "language")]
    bare = name.removeprefix("local-dir:")
    for folder in (*shipped, Path(bare).expanduser()):
        if bare and folder.is_dir():
            return folder
    return None


def folder_hash(folder: Path) -> str:
    """16 hex digits of the names and contents of a folder's files (but notes in Markdown)."""
    digest = hashlib.sha256()
    files = [f for f in folder.rglob("*") if f.is_file() and f.suffix != ".md"]
    for file in sorted(files):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder).as_posix()}\0{size}\0".encode())
        with file.open("rb") as stream:
            if size <= WHOLE:
                digest.update(stream.read())
            else:
                digest.update(stream.read(WHOLE // 2))
                stream.seek(-WHOLE // 2, 2)
                digest.update(stream.read())
    return digest.hexdigest()[:16]
