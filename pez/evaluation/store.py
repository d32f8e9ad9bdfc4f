"""Results of a run in a folder: one file a unit, written once and whole.

units/KIND/ab/KEY.json    what was done and its outcome; KEY begins with ab
units/KIND/ab/KEY.png     of a picture; KEY.npy of a soft prompt
originals/ab/SHA256.png   the pictures of the data sets, as they came
index.jsonl               the units of the current plan: a line for each prompt
manifest.jsonl, plan.toml, plan.json
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.files import write_whole
from pez.formats.documents import as_json, read_json_lines

INDEX = "index.jsonl"
MOST_HELD = 200_000  # records in memory, of a few kilobytes each
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Record:
    """What came of one unit: ``out``, or the reason in ``error``.

    ``seconds`` is the unit's share of the time its batch took, ``batch`` names the units that
    were done together.
    """

    kind: str
    key: str
    spec: dict[str, Any]
    out: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    batch: str = ""


class Store:
    """The folder of a run. Any number of processes may read while one writes.

    A record is cached in memory once it was read or written, and is read again only if its file
    was replaced. Do not change records.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        self._parts = self.folder / ".parts"
        self._held: dict[Path, tuple[Stamp, Record]] = {}

    def create(self) -> None:
        """Make the folder ready for writing. PezError if it cannot be made."""
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
            for left in self._parts.iterdir():  # by a run that was killed
                left.unlink()
        except OSError as error:
            raise PezError(
                f"{self.folder} cannot be made ({error.strerror}); choose another --output."
            ) from error

    def path(self, kind: str, key: str, suffix: str = ".json") -> Path:
        """The path of a unit's file."""
        return self.folder / "units" / kind / key[:2] / f"{key}{suffix}"

    def get(self, kind: str, key: str) -> Record | None:
        """A unit's record; None if it was not done, or its file is not a record."""
        path = self.path(kind, key)
        try:
            now, held = _stamp(path.stat()), self._held.get(path)
            if held and held[0] == now:
                return held[1]
            with path.open("rb") as file:
                return self._hold(path, _stamp(os.fstat(file.fileno())), file.read())
        except (OSError, ValueError, TypeError):
            return None

    def put(self, record: Record, files: Mapping[str, bytes] | None = None) -> None:
        """Write a unit's ``files`` by their suffix, then its record, which makes it done."""
        for suffix, data in (files or {}).items():
            self._write(self.path(record.kind, record.key, suffix), data)
        text = json.dumps(asdict(record), ensure_ascii=False, allow_nan=False)
        path, data = self.path(record.kind, record.key), text.encode(errors="backslashreplace")
        self._hold(path, self._write(path, data), data)

    def put_original(self, data: bytes, sha256: str, suffix: str) -> str:
        """Store a picture under its content's name; its path within the folder."""
        name = f"originals/{sha256[:2]}/{sha256}{suffix}"
        if not (self.folder / name).is_file():
            self._write(self.folder / name, data)
        return name

    def put_text(self, name: str, text: str) -> None:
        """Write a file of the folder itself."""
        self._write(self.folder / name, text.encode(errors="backslashreplace"))

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The objects of a file of JSON lines; PezError if there is none, or one is damaged."""
        give = "give a folder that pez evaluate wrote, or run it again on this one"
        if not (self.folder / name).is_file():
            raise PezError(f"{self.folder} holds no complete {name}; {give}.")
        return [row for _, row in read_json_lines(self.folder / name, give)]

    def _hold(self, path: Path, stamp: Stamp, data: bytes) -> Record:
        """Cache a record as read from its file's ``data``; the oldest are evicted."""
        record = Record(**as_json(data))
        if not _is_sound(record):
            raise ValueError("its entries are of other types")
        self._held.pop(path, None)
        if len(self._held) >= MOST_HELD:
            del self._held[next(iter(self._held))]
        self._held[path] = stamp, record
        return record

    def _write(self, path: Path, data: bytes) -> Stamp:
        """All or nothing: a reader never sees half a file, whatever is killed when."""
        return _stamp(write_whole(path, data, folder=self._parts))


def _is_sound(record: Record) -> bool:
    """Whether what a file says of a unit is of the types that a record has."""
    texts = (record.kind, record.key, record.error, record.batch)
    plain = all(isinstance(text, str) for text in texts)
    whole = isinstance(record.spec, dict) and isinstance(record.out, dict)
    return plain and whole and isinstance(record.seconds, int | float)


def _stamp(stat: os.stat_result) -> Stamp:
    """What distinguishes a file from its replacement: inode, time of change and size."""
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
