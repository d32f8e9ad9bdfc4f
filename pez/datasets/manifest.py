"""Which pictures a run used, so that it can be repeated with the same ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pez.datasets import open_dataset
from pez.datasets.item import Example
from pez.errors import PezError
from pez.files import Own, write_whole
from pez.formats.documents import read_json_lines


@dataclass(frozen=True)
class Entry:
    """A picture of a run. ``sha256`` is of its file's bytes, None if they could not be read."""

    dataset: str
    split: str
    id: str
    sha256: str | None
    seed: int


def write_manifest(
    path: str | Path, items: Sequence[Example], dataset: str, split: str, seed: int
) -> list[Entry]:
    """Read the picture of each item and write a line of JSON for it, all at once (atomically).

    A picture that cannot be read does not stop it: it is recorded with sha256 null. PezError if
    the file cannot be written, or is there and is no manifest.
    """
    entries = [Entry(dataset, split, item.id, _digest(item), seed) for item in items]
    lines = [json.dumps(asdict(entry), ensure_ascii=False) + "\n" for entry in entries]
    # names that are not UTF-8 become JSON escapes
    content = "".join(lines).encode("utf-8", "backslashreplace")
    write_whole(Path(path), content, remedy="choose another file", own=MANIFEST)
    return entries


def read_manifest(path: str | Path) -> list[Entry]:
    """The lines of a manifest. PezError that names an invalid line."""
    entries = []
    for number, row in read_json_lines(path, "give a manifest that a run has written"):
        try:
            entries.append(_entry(row))
        except (TypeError, KeyError):
            raise PezError(f"{path}, line {number}, is not a line of a manifest.") from None
    if not entries:
        raise PezError(f"{path} is empty; give a manifest that a run has written.")
    return entries


def _is_manifest(path: Path) -> bool:
    try:
        return bool(read_manifest(path))
    except PezError:
        return False


MANIFEST = Own("a manifest", _is_manifest)


def from_manifest(path: str | Path, *, path_to_data: str = "") -> list[Example]:
    """The items of a manifest in its order, from the reopened data set.

    ``path_to_data`` is the ``path`` of :func:`pez.datasets.open_dataset`. Reads the data set
    until all are found, and every picture. PezError that names the item for an id that is
    missing and for a picture whose bytes differ from then: changed, unreadable now, or
    readable now but not then.
    """
    entries = read_manifest(path)
    if len({(entry.dataset, entry.split) for entry in entries}) > 1:
        raise PezError(f"{path} is of several data sets or splits; make a manifest for each.")
    missing, found = {entry.id for entry in entries}, {}
    for item in open_dataset(entries[0].dataset, split=entries[0].split, path=path_to_data):
        if item.id in missing:
            missing.remove(item.id)
            found[item.id] = item
            if not missing:
                break
    for entry in entries:
        if entry.id in missing:
            where = f"{entry.dataset} {entry.split} {path_to_data}".strip()
            raise PezError(f"{entry.id} of {path} is not in {where}; give the data of that run.")
        if (now := _digest(found[entry.id])) != entry.sha256:
            was, is_now = entry.sha256 or "unreadable", now or "unreadable"
            raise PezError(
                f"the picture of {entry.id} is not that of {path} "
                f"(sha256 was {was[:16]}, is {is_now[:16]}); give the data of that run."
            )
    return [found[entry.id] for entry in entries]


def _digest(item: Example) -> str | None:
    try:
        return hashlib.sha256(item.picture()).hexdigest()
    except PezError:
        return None


def _entry(row: Any) -> Entry:
    """The entry in a line's JSON; TypeError or KeyError for anything else."""
    entry = Entry(row["dataset"], row["split"], row["id"], row["sha256"], row["seed"])
    texts = [entry.dataset, entry.split, entry.id, entry.sha256 or ""]
    if not all(isinstance(text, str) for text in texts) or type(entry.seed) is not int:
        raise TypeError
    return entry
