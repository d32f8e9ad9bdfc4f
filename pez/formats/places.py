"""Paths that must stay within a folder: a data set, or the folder of a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pez.errors import PezError
from pez.images import read_bytes


def is_within(folder: str | Path, path: str | Path, links: bool = True) -> bool:
    """Whether ``path`` is in ``folder`` or below; with ``links`` also where links lead."""
    whole = os.path.realpath if links else os.path.abspath
    try:
        base, place = whole(folder), whole(path)
        return os.path.commonpath([base, place]) == base
    except (OSError, ValueError):  # a zero byte, or another drive
        return False


@dataclass(frozen=True)
class Within:
    """Reads the file at ``path``; PezError if it is not within ``folder``. A data set that came
    from elsewhere may name any file of this machine by a whole path, ``..`` or a link; with
    ``links`` False only by the first two.
    """

    folder: str
    path: str
    links: bool = True

    def __call__(self) -> bytes:
        """The bytes of the file."""
        if not is_within(self.folder, self.path, self.links):
            raise PezError(
                f"{self.path} is not read, as it is outside {self.folder}; put the picture there."
            )
        return read_bytes(self.path)


Read = Callable[[], bytes]
