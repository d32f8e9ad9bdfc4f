"""Labelled texts: CSV, TSV, JSON lines and parquet, or three data sets of the hub by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pez.datasets.parquet import cached_snapshots, parquet_files, parquet_rows
from pez.errors import PezError
from pez.files import user_path
from pez.formats.documents import read_json_lines
from pez.formats.tables import read_plain_table, read_table
from pez.formats.text import check_text

TEXTS = ("text", "sentence", "content", "review")  # names of columns that hold texts ...
LABELS = ("label", "labels", "class", "category", "sentiment")  # ... and labels
GIVE = "give CSV, TSV or JSON lines in UTF-8, or parquet, with a text and a label in each row"
LAYOUT = "parquet files that have a text and a label in each row"
LARGE = 20_000  # rows that are read of a split of the hub
PACKED = (".gz", ".zip", ".xz", ".bz2", ".zst")


@dataclass(frozen=True)
class Hub:
    """A data set of the hub: its repository, the columns of texts and of labels, the split of
    labelled rows for tests, and the labels' names in the order of their numbers.
    """

    repo: str
    text: str
    test: str
    labels: tuple[str, ...]
    label: str = "label"


HUB = {
    "sst2": Hub("stanfordnlp/sst2", "sentence", "validation", ("negative", "positive")),
    "ag_news": Hub("fancyzhx/ag_news", "text", "test", ("World", "Sports", "Business", "Sci/Tech")),
    "amazon_polarity": Hub("fancyzhx/amazon_polarity", "content", "test", ("negative", "positive")),
}


@dataclass(frozen=True)
class Row:
    """A text with its label as the file has it."""

    text: str
    label: str


@dataclass(frozen=True)
class Split:
    """Rows of a file, and what was left out of them: rows without a text or a label, and copies.
    Of a folder ``files`` are read; ``others`` are of other splits.
    """

    rows: list[Row]
    empty: int = 0
    copies: int = 0
    files: int = 0
    others: int = 0


def read_labelled(source: str, text: str = "", label: str = "", split: str = "train") -> Split:
    """The rows of a file, or of the ``split`` (train or test) of a data set of the hub, without
    copies. ``text`` and ``label`` name the columns; without names they are those of TEXTS and
    LABELS that are there, if one alone is. Numbers, from 1 on, are places of a table without a
    head line. Of a folder of parquet files those of ``split`` are read, if any are named so, else
    all.

    PezError for a file that is missing, empty or of another kind, for columns that are not there
    or could be several, and for an unreachable hub.
    """
    if known := _known(source):
        files = _hub_files(known.repo, split if split == "train" else known.test)
        cells = (row for _, row, _ in parquet_rows(files))
        found = islice(cells, LARGE)
        return _split(found, source, text or known.text, label or known.label)
    path = user_path(source)
    if text and text == label:
        raise PezError(f"--text-column and --label-column both name {text!r}; give two columns.")
    if path.is_dir():
        found, every = _in_folder(path, split)
        rows = (row for _, row, _ in parquet_rows(found))
        read = _split(rows, source, text, label)
        return replace(read, files=len(found), others=len(every) - len(found))
    return _split(_cells(source, path, text, label), source, text, label)


def given_labelled(data: Iterable[Any], text: str = "", label: str = "") -> Split:
    """The rows of pairs of text and label, or of tables by column: rows of the hub's library, or a
    DataFrame of pandas. Columns are named as for files. PezError for anything else.
    """
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        data = data.to_dict("records")  # type: ignore[attr-defined]
    if not isinstance(data, Iterable):
        raise _strange()
    rows = [row if isinstance(row, Mapping) else _pair(row) for row in data]
    return _split(map(dict, rows), "the given texts", text, label)


def _pair(row: Any) -> dict[str, Any]:
    if isinstance(row, str) or not hasattr(row, "__len__") or len(row) != 2:
        raise _strange()
    return dict(zip(("text", "label"), row, strict=True))


def _strange() -> PezError:
    what = "a file, a name, pairs of text and label, or rows with columns of these"
    return PezError(f"data must be {what}.")


def _in_folder(path: Path, split: str) -> tuple[list[str], list[str]]:
    """The parquet files of a folder to read, and all that it has."""
    every = parquet_files("", "", str(path), LAYOUT)
    with suppress(PezError):  # no file is named so
        return parquet_files("", split, str(path), LAYOUT), every
    return every, every


def _hub_files(repo: str, split: str) -> list[str]:
    """The parquet files of a split on the hub, or in its cache where the hub cannot be reached."""
    try:
        return parquet_files(repo, split, "", LAYOUT)
    except PezError:
        for folder in cached_snapshots(repo):
            with suppress(PezError):
                return parquet_files(repo, split, folder, LAYOUT)
        raise


def _cells(source: str, path: Path, text: str, label: str) -> Iterator[dict[str, Any]]:
    """Each row's cells by the names of their columns."""
    low = source.lower()
    if low.endswith((".csv", ".tsv")):
        if text.isdecimal() and label.isdecimal():
            rows = read_plain_table(path, GIVE)
        else:
            rows = (row for _, row in islice(read_table(path, GIVE), 1, None))
        yield from rows
    elif low.endswith((".jsonl", ".ndjson")):
        yield from (row for _, row in read_json_lines(path, GIVE))
    elif low.endswith(".parquet"):
        files = parquet_files(source, "", str(path), LAYOUT)
        yield from (row for _, row, _ in parquet_rows(files))
    elif low.endswith(PACKED):
        raise PezError(f"{source} is packed; unpack it first.")
    else:
        names = ", ".join(HUB)
        raise PezError(f"{source} is neither a .csv, .tsv, .jsonl or .parquet file nor {names}.")


def _split(cells: Iterable[dict[str, Any]], where: str, text: str, label: str) -> Split:
    rows: dict[Row, None] = {}
    empty = count = 0
    names: tuple[str, str] | None = None
    for count, row in enumerate(cells, 1):
        names = names or _columns(list(row), where, text, label)
        words, kind = _text(row.get(names[0])), _text(row.get(names[1]))
        if not words or not kind:
            empty += 1
            continue
        rows[Row(check_text(words, f"{where}, row {count}:"), kind)] = None
    if not rows:
        why = "only rows without a text or a label" if count else "no row"
        raise PezError(f"{where} has {why}; {GIVE}.")
    return Split(list(rows), empty, count - empty - len(rows))


def _text(cell: Any) -> str:
    """A cell as text, without the blanks around it; empty for none."""
    if type(cell).__module__ == "numpy" and not getattr(cell, "shape", True):
        cell = cell.item()  # a number of its own
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, bytes):  # as some programs write texts into parquet
        with suppress(UnicodeDecodeError):
            return cell.decode().strip()
        return ""
    if isinstance(cell, list | dict) or type(cell).__name__ in ("NoneType", "NAType"):
        return ""
    return str(cell).strip()


def _columns(names: Sequence[str], where: str, text: str, label: str) -> tuple[str, str]:
    """The columns of texts and labels. PezError that lists what is there."""
    found = []
    if len(names) == 1 and (sign := next((c for c in ";\t|" if c in names[0]), "")):
        said = "tabs" if sign == "\t" else f"{sign!r}"
        raise PezError(f"the cells of {where} are separated by {said}; write commas, or a .tsv.")
    for given, known, option in ((text, TEXTS, "--text-column"), (label, LABELS, "--label-column")):
        if given and given not in names:
            listed = ", ".join(names[:12])
            place = " (places are given for both columns, where there is no head line)"
            more = place if given.isdecimal() and not names[0].isdecimal() else ""
            raise PezError(
                f"{where} has no column {given!r}, only {listed}; correct {option}{more}."
            )
        own = [given] if given else [name for name in names if name.lower() in known]
        if len(own) != 1:
            several = f"{' and '.join(own)} could both be it" if own else "it cannot be guessed"
            raise PezError(
                f"{where} has the columns {', '.join(names[:12])}; {several}: name it with "
                f"{option}."
            )
        found.append(own[0])
    return found[0], found[1]


def known_labels(source: str) -> tuple[str, ...]:
    """The names of the labels of a data set of the hub; none for files."""
    known = _known(source)
    return known.labels if known else ()


def _known(source: str) -> Hub | None:
    """The data set of the hub that a name or a repository refers to, unless it is a file here."""
    if user_path(source).exists():
        return None
    return HUB.get(source) or next((one for one in HUB.values() if one.repo == source), None)


def draw_rows(
    rows: Sequence[Row], places: Sequence[int], counts: Sequence[int], seed: int
) -> list[list[int]]:
    """Disjoint draws of rows, as indices: for each of ``counts`` that many of each label (fewer
    where there are no more), by a hash of seed and text: a draw does not depend on the order of
    the rows, and rows whose place is -1 are in none.
    """
    ranked = sorted(range(len(rows)), key=lambda n: _rank(rows[n], seed))
    of_label: dict[int, list[int]] = {}
    for n in ranked:
        if places[n] >= 0:
            of_label.setdefault(places[n], []).append(n)
    out = []
    for count in counts:
        drawn: list[int] = []
        for label in sorted(of_label):
            drawn += of_label[label][:count]
            of_label[label] = of_label[label][count:]
        out.append(sorted(drawn, key=lambda n: _rank(rows[n], seed)))
    return out


def draw_any(
    rows: Sequence[Row], places: Sequence[int], count: int, seed: int, without: Iterable[int] = ()
) -> list[int]:
    """``count`` rows of any label, or all there are, as they are distributed."""
    taken = set(without)
    free = [n for n in range(len(rows)) if places[n] >= 0 and n not in taken]
    return sorted(free, key=lambda n: _rank(rows[n], seed))[:count]


def _rank(row: Row, seed: int) -> bytes:
    text = f"{seed}:{row.label}:{row.text}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def texts_key(rows: Iterable[Row]) -> str:
    """The identity of some rows, by their content."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.label}\0{row.text}\0".encode(errors="surrogatepass"))
    return digest.hexdigest()[:16]
