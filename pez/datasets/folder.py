"""A plain folder of pictures with metadata beside them.

What is read, at any depth: ``metadata.csv`` and ``metadata.jsonl`` of the hub's ImageFolder (a
row for each picture; ``file_name`` is relative to the metadata's folder), else for each picture
a ``.txt`` of the same name (one caption per line) and a ``.json`` (as img2dataset writes it).
Captions are in ``text``, ``caption`` or ``captions`` (a list; in a csv as JSON), ``prompt`` is
the text that the picture was made from; all other columns are attributes.
"""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pez.datasets.item import Example, split_names, split_row, text_captions
from pez.errors import PezError, PezWarning
from pez.files import MOST_TABLE, open_text, read_plain
from pez.images import find_images, natural_key, read_bytes

MOST_BESIDE = 1 << 20  # bytes of what is told of one picture
_METADATA = ("metadata.jsonl", "metadata.csv")


def load(split: str, path: str) -> Iterator[Example]:
    """Items of a folder: those of its metadata in their order, then the other pictures.

    A split is a sub-folder (``train``, or ``data/train``; ``val`` finds ``validation``). The id
    is the picture's path below ``path``. A picture that is named in metadata but missing is
    an item whose ``picture()`` fails.
    """
    root = Path(path)
    if not path or not root.is_dir():
        raise PezError(f"{path!r} is not a folder; give one with pictures as path.")
    part = _split_folder(root, split) if split else root
    files = [f for name in _METADATA for f in part.rglob(name)]
    told: set[Path] = set()
    for file in sorted(files, key=lambda f: natural_key(f.relative_to(root))):
        for row in metadata_rows(file):
            picture = file.parent / str(row.pop("file_name"))
            if picture not in told:
                told.add(picture)
                yield _item(root, picture, row)
    try:
        pictures = find_images(part)
    except PezError:
        if not told:
            raise
        pictures = []
    for picture in pictures:
        if picture not in told:
            yield _item(root, picture, None)


def metadata_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a ``metadata.csv`` or ``.jsonl``; each has a ``file_name``.

    PezError with the line number for what cannot be read as such.
    """
    rows = _csv_rows(file) if file.suffix == ".csv" else _json_rows(file)
    try:
        for line, row in rows:
            if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
                raise PezError(f"{file}, line {line}: there is no file_name; add that column.")
            if row["file_name"]:
                yield row
    except UnicodeDecodeError:
        raise PezError(f"{file} is not UTF-8 text; convert it first.") from None
    except OSError as error:
        raise PezError(f"{file} cannot be read ({error.strerror}).") from error


def _csv_rows(file: Path) -> Iterator[tuple[int, Any]]:
    with open_text(file, "utf-8-sig", newline="", most=MOST_TABLE) as stream:
        reader = csv.DictReader(stream)
        try:
            for row in reader:
                cells = {k: v for k, v in row.items() if k is not None}  # cells beyond the head
                yield reader.line_num, cells
        except csv.Error as error:
            raise PezError(f"{file}, line {reader.line_num}: not valid CSV ({error}).") from None


def _json_rows(file: Path) -> Iterator[tuple[int, Any]]:
    with open_text(file, "utf-8-sig", newline="\n", most=MOST_TABLE) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    raise PezError(f"{file}, line {number}: not JSON; correct that line.") from None
                yield number, row


def _split_folder(root: Path, split: str) -> Path:
    for folder in (root, root / "data"):
        for name in (split, *split_names(split)):
            if (folder / name).is_dir():
                return folder / name
    there = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = f"its folders are {', '.join(there[:8])}" if there else "it has no folders"
    raise PezError(f"{root} has no folder for split {split!r}; {found}.")


def _item(root: Path, picture: Path, row: dict[str, Any] | None) -> Example:
    texts: tuple[str, ...] = ()
    if row is None:
        row = beside(_text(picture.with_suffix(".json")))
        texts = text_captions(_text(picture.with_suffix(".txt")))
    captions, attributes, prompt = split_row(row, texts)
    try:
        name = picture.relative_to(root).as_posix()
    except ValueError:  # metadata may name a file by its whole path
        name = picture.as_posix()
    read = partial(read_bytes, str(picture))
    return Example(name, captions, attributes, str(picture), read, prompt)


def _text(file: Path) -> str:
    """A text beside a picture; without one, or with one that is no plain file or very long
    (which is warned of), the picture is still usable.
    """
    try:
        return read_plain(file, MOST_BESIDE).decode("utf-8", "replace")
    except PezError as error:
        warnings.warn(f"{error} Its picture is used without it.", PezWarning, stacklevel=2)
    except OSError:
        pass
    return ""


def beside(text: str) -> dict[str, Any]:
    """The object in a ``.json`` beside a picture; empty for anything else."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
