"""Labelled texts: CSV, TSV, JSON lines and parquet, or three data sets of the hub by name."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pez.datasets.parquet import parquet_files, parquet_rows
from pez.errors import PezError
from pez.files import user_path
from pez.formats.documents import read_json_lines
from pez.formats.tables import read_plain_table, read_table
from pez.formats.text import check_text

TEXTS = ("text", "sentence", "content", "review")  # names of columns that hold texts ...
LABELS = ("label", "labels", "class", "category", "sentiment")  # ... and labels
GIVE = "give CSV, TSV, JSON lines or parquet with a text and a label in each row"
LARGE = 20_000  # rows that are read of a split of the hub
SHOWN = 8  # labels that an error lists


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
    """Rows of a file, and what was left out of them: rows without a text or a label, and copies."""

    rows: list[Row]
    empty: int = 0
    copies: int = 0


def read_labelled(source: str, text: str = "", label: str = "", split: str = "train") -> Split:
    """The rows of a file, or of the ``split`` (train or test) of a data set of the hub, without
    copies. ``text`` and ``label`` name the columns; without names they are those of TEXTS and
    LABELS that are there, if one alone is. Numbers, from 1 on, are places of a table without a
    head line.

    PezError for a file that is missing, empty or of another kind, for columns that are not there
    or could be several, and for an unreachable hub.
    """
    known = HUB.get(source)
    if known and not user_path(source).exists():
        files = parquet_files(known.repo, split if split == "train" else known.test, "", GIVE)
        cells = (row for _, row, _ in parquet_rows(files))
        found = islice(cells, LARGE)
        return _split(found, source, text or known.text, label or known.label)
    return _split(_cells(source, text, label), source, text, label)


def _cells(source: str, text: str, label: str) -> Iterator[dict[str, Any]]:
    """Each row's cells by the names of their columns."""
    low = source.lower()
    path = user_path(source)
    if low.endswith((".csv", ".tsv")):
        if text.isdecimal() and label.isdecimal():
            rows = read_plain_table(path, GIVE)
        else:
            rows = (row for _, row in islice(read_table(path, GIVE), 1, None))
        yield from rows
    elif low.endswith((".jsonl", ".ndjson")):
        yield from (row for _, row in read_json_lines(path, GIVE))
    elif low.endswith(".parquet") or path.is_dir():
        files = parquet_files(source, "", str(path), GIVE)
        yield from (row for _, row, _ in parquet_rows(files))
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
    if isinstance(cell, float):  # pandas writes labels beside gaps as 1.0
        return str(int(cell)) if cell.is_integer() else ""
    if cell is None or isinstance(cell, bool | list | dict | bytes):
        return ""
    return str(cell).strip()


def _columns(names: Sequence[str], where: str, text: str, label: str) -> tuple[str, str]:
    """The columns of texts and labels. PezError that lists what is there."""
    found = []
    for given, known, option in ((text, TEXTS, "--text-column"), (label, LABELS, "--label-column")):
        if given and given not in names:
            listed = ", ".join(names[:12])
            raise PezError(f"{where} has no column {given!r}, only {listed}; correct {option}.")
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
    return HUB[source].labels if source in HUB and not Path(source).exists() else ()


def numbered(rows: Sequence[Row], labels: Sequence[str], where: str) -> tuple[list[int], list[str]]:
    """The place of each row's label among ``labels``, -1 for another one, and the labels as the
    rows have them. Labels are matched by name in any case of letters; numbers, of which there
    must be as many as labels, in ascending order.

    PezError for a label that no row has, and for fewer than two.
    """
    counts = Counter(row.label for row in rows)
    there = sorted(counts, key=lambda name: (int(name), "") if name.isdecimal() else (-1, name))
    shown = ", ".join(there[:SHOWN]) + (" ..." if len(there) > SHOWN else "")
    if len(there) < 2:
        raise PezError(f"all rows of {where} have the label {shown}; give rows of two or more.")
    if not labels:
        if all(name.isdecimal() for name in there) or len(there) > SHOWN:
            raise PezError(f"the labels of {where} are {shown}; say with --labels what they mean.")
        labels = there
    if len(set(map(str.casefold, labels))) < max(2, len(labels)):
        raise PezError("--labels must be two or more different ones, separated by commas.")
    folded = {name.casefold(): name for name in there}
    if all(label.casefold() in folded for label in labels):
        own = [folded[label.casefold()] for label in labels]
    elif all(name.isdecimal() for name in there):
        if len(there) != len(labels):
            raise PezError(
                f"{where} has the labels {shown}, and --labels names {len(labels)}: give a name "
                "for each, in their order."
            )
        own = there
    else:
        missing = next(label for label in labels if label.casefold() not in folded)
        raise PezError(f"no row of {where} has the label {missing!r}; there are {shown}.")
    place = {name: n for n, name in enumerate(own)}
    return [place.get(row.label, -1) for row in rows], own


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
