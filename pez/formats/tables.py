"""CSV and TSV, in and out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.formats.text import read_lines

_SIGNS = ("=", "+", "-", "@", "\t", "\r")  # with which spreadsheets begin a formula
MOST_CELL = 16_000_000  # characters


def read_table(path: str | Path, give: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The line where each row begins, and its cells by the names in the first line. A ``.tsv``
    is separated by tabs.

    PezError that names the line for a quote without an end, a row whose cells are not those of
    the first line (a comma within a cell needs quotes around it), and a name given twice.
    Blank lines are omitted.
    """
    rows = _rows(path, give)
    first = next(rows, None)
    if first is None:
        raise PezError(f"{path} is empty; {give}.")
    names = [name.strip() for name in first[1]]
    if twice := [name for n, name in enumerate(names) if name and name in names[:n]]:
        raise PezError(f"{path} has two columns {twice[0]!r} in its first line; {give}.")
    yield first[0], dict(zip(names, names, strict=True))
    for line, cells in rows:
        if len(cells) != len(names):
            raise PezError(
                f"{path}, line {line}: {len(cells)} cells where the first line has {len(names)}; "
                "put quotes around a cell that holds a separator."
            )
        yield line, dict(zip(names, map(_plain, cells), strict=True))


def read_plain_table(path: str | Path, give: str) -> Iterator[dict[str, str]]:
    """The cells of each row by their places, "1" for the first: of a table without a head line.
    PezError as for :func:`read_table`.
    """
    width = 0
    for line, cells in _rows(path, give):
        width = width or len(cells)
        if len(cells) != width:
            raise PezError(
                f"{path}, line {line}: {len(cells)} cells where the first line has {width}; "
                "put quotes around a cell that holds a separator."
            )
        yield {str(n): _plain(cell) for n, cell in enumerate(cells, 1)}


def _rows(path: str | Path, give: str) -> Iterator[tuple[int, list[str]]]:
    separator = "\t" if str(path).lower().endswith(".tsv") else ","
    lines = (text + "\n" for _, text in read_lines(path, give))
    limit = csv.field_size_limit(MOST_CELL)
    line = 1
    try:
        reader = csv.reader(lines, delimiter=separator, strict=True)
        while True:
            line = reader.line_num + 1
            csv.field_size_limit(MOST_CELL)
            cells = next(reader, None)
            if cells is None:
                return
            if cells:
                yield line, cells
    except csv.Error as error:
        why = "a quote has no end" if "end of data" in str(error) else str(error)
        raise PezError(f"{path}, line {line}: not valid CSV ({why}); {give}.") from None
    finally:
        csv.field_size_limit(limit)


def write_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV with a head line. A text that a spreadsheet would run as a formula gets a ``'`` before
    it, which :func:`read_table` takes away again.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _quoted(value) for name, value in row.items()} for row in rows)
    return file.getvalue()


def _quoted(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_SIGNS) else value


def _plain(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_SIGNS) else cell
