"""Results of a run in a folder: one file a unit, written once and whole.

units/KIND/ab/KEY.json    what was done and its outcome; KEY begins with ab
units/KIND/ab/KEY.png     of a picture; KEY.npy of a soft prompt
originals/ab/SHA256.png   the pictures of the data sets, as they came
index.jsonl               the units of the current plan: a line for each prompt
manifest.jsonl, plan.toml, plan.json
.pez-evaluate             says that the folder is a run's: a hash of each plan.toml written here
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.files import output_path, write_whole
from pez.files.lock import Lock
from pez.formats.documents import as_json, read_json_lines

INDEX, PLAN = "index.jsonl", "plan.toml"
MARK = ".pez-evaluate"
OWN = (INDEX, PLAN, "plan.json", "manifest.jsonl", "manifests", "originals", "units")
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
        self.folder = output_path(folder)
        self._parts = self.folder / ".parts"
        self._held: dict[Path, tuple[Stamp, Record]] = {}

    def create(self) -> None:
        """Make the folder ready for writing. PezError if it cannot be made, or holds files of
        other origin under the names of a run's.
        """
        try:
            if not self._is_a_run():
                for name in OWN:
                    if os.path.lexists(self.folder / name):
                        raise PezError(
                            f"{self.folder / name} is there already and pez evaluate did not write "
                            "it; choose another --output."
                        )
            self._parts.mkdir(parents=True, exist_ok=True)
            if not (self.folder / MARK).exists():
                self._write(self.folder / MARK, b"")
        except OSError as error:
            raise PezError(
                f"{self.folder} cannot be made ({error.strerror}); choose another --output."
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within, no other run writes into the folder. PezError if one does."""
        with Lock(self.folder, folder=True, remedy="wait for it, or choose another --output"):
            for left in self._parts.iterdir():  # by a run that was killed
                with suppress(OSError):
                    left.unlink()
            yield

    def _is_a_run(self) -> bool:
        """Whether the folder is one of ``pez evaluate``: by its mark, or for those of earlier
        versions by what its plan.json recorded, or by its folders.
        """
        if (self.folder / MARK).is_file() or (self._parts.is_dir() and self._units().is_dir()):
            return True
        try:
            found = json.loads((self.folder / "plan.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(found, dict) and {"plan", "versions"} <= found.keys()

    def _units(self) -> Path:
        return self.folder / "units"

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
        if not self.has_original(name, sha256):
            self._write(self.folder / name, data)
        return name

    def drop(self, kind: str, key: str) -> None:
        """Forget a unit, so that it is done again."""
        path = self.path(kind, key)
        self._held.pop(path, None)
        path.unlink(missing_ok=True)

    def has_original(self, name: str, sha256: str) -> bool:
        """Whether an original is stored, whole."""
        try:
            with (self.folder / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False

    def put_plan(self, text: str) -> None:
        """Write the plan as it was given. PezError if the one here was changed by hand, which
        would be lost.
        """
        path, mark = self.folder / PLAN, self.folder / MARK
        known = mark.read_text(encoding="ascii", errors="replace").split()
        now = text.encode(errors="backslashreplace")
        there = path.read_bytes() if path.is_file() else b""
        new, old = (hashlib.sha256(data).hexdigest() for data in (now, there))
        if there and known and old not in known and there != now:
            raise PezError(
                f"{path} was changed by hand, and this plan is another; rename it, or choose "
                "another --output."
            )
        if new not in known:
            self._write(mark, "".join(f"{line}\n" for line in [*known, new]).encode())
        self._write(path, now)

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
