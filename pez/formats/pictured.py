"""Files whose rows are prompts of pictures, as ``pez invert --output`` and ``--csv`` write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.formats.documents import read_json_lines
from pez.formats.prompts import prompt_of
from pez.formats.tables import read_table

_GIVE = "give JSON lines or CSV with a prompt and an image in each row, as pez invert writes"
_COLUMNS = ("image", "targets", "file_name", "filename", "path")  # the first that is there


def read_pictured(source: Path) -> list[tuple[str, str, str]]:
    """Prompt, name of its picture and place (``a.jsonl, line 3``) of each row. PezError for rows
    without a prompt, without a picture, or of several.
    """
    found = [(prompt_of(row, where), _picture(row, where), where) for row, where in _rows(source)]
    if not found:
        raise PezError(f"{source} holds no rows; {_GIVE}.")
    return found


def _rows(source: Path) -> Iterator[tuple[dict[str, Any], str]]:
    kind = source.suffix.lower()
    if kind in (".csv", ".tsv"):
        rows = read_table(source, _GIVE)
        next(rows)  # the names of the columns
    elif kind in (".jsonl", ".ndjson"):
        rows = read_json_lines(source, _GIVE)
    else:
        raise PezError(f"{source} does not say which picture a prompt is of; {_GIVE}.")
    for line, row in rows:
        yield {key.lower(): value for key, value in row.items()}, f"{source}, line {line}"


def _picture(row: dict[str, Any], where: str) -> str:
    name = next((row[key] for key in _COLUMNS if key in row), None)
    if isinstance(name, list):
        if len(name) != 1:
            raise PezError(f"{where}: its prompt is of {len(name)} pictures, and one is needed.")
        name = name[0]
    if not isinstance(name, str) or not name.strip():
        raise PezError(f"{where} names no picture; {_GIVE}.")
    return name
