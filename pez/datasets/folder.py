"""A plain folder of pictures with metadata beside them.

What is read, at any depth: ``metadata.csv`` and ``metadata.jsonl`` of the hub's ImageFolder (a
row for each picture; ``file_name`` is relative to the metadata's folder), else for each picture
a ``.txt`` of the same name (one caption per line) and a ``.json`` (as img2dataset writes it).
Captions are in ``text``, ``caption`` or ``captions`` (a list; in a csv as JSON), ``prompt`` is
the text that the picture was made from; all other columns are attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pez.datasets.item import Example, split_names, split_row, text_captions
from pez.errors import PezError
from pez.formats.documents import as_json, read_json_lines
from pez.formats.pictures import warn_left_out
from pez.formats.places import Within
from pez.formats.tables import read_table
from pez.formats.text import read_text
from pez.images import find_images, natural_key

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
    damaged: list[Path] = []
    for file in sorted(files, key=lambda f: natural_key(f.relative_to(root))):
        for row in metadata_rows(file):
            picture = file.parent / row.pop("file_name")
            if picture not in told:
                told.add(picture)
                yield _item(root, picture, row, damaged)
    try:
        pictures = find_images(part)
    except PezError:
        if not told:
            raise
        pictures = []
    for picture in pictures:
        if picture not in told:
            yield _item(root, picture, None, damaged)
    if damaged:
        more = f"{len(damaged)} damaged captions or metadata, the first {damaged[0].name}"
        warn_left_out(path, (), more)


def metadata_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a ``metadata.csv`` or ``.jsonl``; each has a ``file_name``.

    PezError with the line number for what cannot be read as such.
    """
    rows: Iterator[tuple[int, dict[str, Any]]]
    if file.suffix == ".csv":
        rows = read_table(file, "give CSV with a column file_name")
        next(rows)
    else:
        rows = read_json_lines(file, "correct that line")
    for line, row in rows:
        name = row.get("file_name")
        if not isinstance(name, str):
            raise PezError(f"{file}, line {line}: there is no file_name; add that column.")
        if "\0" in name:
            raise PezError(f"{file}, line {line}: its file_name holds a zero character.")
        if name:
            yield row


def _split_folder(root: Path, split: str) -> Path:
    for folder in (root, root / "data"):
        for name in (split, *split_names(split)):
            if (folder / name).is_dir():
                return folder / name
    there = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = f"its folders are {', '.join(there[:8])}" if there else "it has no folders"
    raise PezError(f"{root} has no folder for split {split!r}; {found}.")


def _item(root: Path, picture: Path, row: dict[str, Any] | None, damaged: list[Path]) -> Example:
    """An item; ``row`` is its metadata, None for a picture that was found without any. Files
    beside it that cannot be read are added to ``damaged``: the picture is still usable.
    """
    texts: tuple[str, ...] = ()
    read = Within(str(root), str(picture), links=row is not None)
    if row is None:
        said = picture.with_suffix(".json")
        row = beside(_text(said, damaged))
        if row is None:
            damaged.append(said)
        texts = text_captions(_text(picture.with_suffix(".txt"), damaged))
    captions, attributes, prompt = split_row(row or {}, texts)
    try:
        name = picture.relative_to(root).as_posix()
    except ValueError:  # metadata may name a file by its whole path
        name = picture.as_posix()
    return Example(name, captions, attributes, str(picture), read, prompt)


def _text(file: Path, damaged: list[Path]) -> str:
    """A text beside a picture; "" if there is none, or it is no text."""
    if not file.exists():
        return ""
    try:
        return read_text(file, "save it as UTF-8", most=MOST_BESIDE)
    except PezError:
        damaged.append(file)
        return ""


def beside(text: str) -> dict[str, Any] | None:
    """The object in a ``.json`` beside a picture; empty if there is none, None if it is damaged."""
    try:
        row = as_json(text) if text.strip() else {}
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
