"""``pez report``: a run's folder as one HTML page, with CSV, parquet and LaTeX beside it.

rows.py      what settings, data sets and judges the store's rows hold
summary.py   rows -> means with intervals and paired differences
tables.py    figures -> tables of text and transfer matrices
charts.py    rows -> curves -> SVG
gallery.py   originals, pictures and prompts
page.py      all of it -> HTML, through report.html.j2
latex.py, files.py   the same figures for papers and programs
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pez.errors import PezError
from pez.files import Own, check_own, head, marked, output_path, write_whole


@dataclass(frozen=True)
class ReportOptions:
    """Options of ``pez report``."""

    output: str = ""  # the page; report.html in the folder
    baseline: str = ""  # a method, or method:length; default: the usual ones
    items: int = 12  # items in the gallery at most

    def __post_init__(self) -> None:
        """Raise PezError for invalid numbers."""
        if isinstance(self.items, bool) or not isinstance(self.items, int) or self.items < 0:
            raise PezError(f"--items must be a whole number, 0 or more, not {self.items!r}.")


@dataclass(frozen=True)
class Written:
    """The files of a report, and remarks on them."""

    page: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def report(
    folder: str | Path, *, output: str | Path = "", baseline: str = "", items: int = 12
) -> Written:
    """Write the report of a folder that ``pez evaluate`` wrote; the page's path is ``page``.

    ``output`` is the page's file, report.html in ``folder`` by default; .csv, .parquet and .tex
    go beside it. PezError for a folder without a run, an unknown ``baseline``, and files that
    cannot be written or are there and are not of a report.
    """
    from pez.evaluation.report.files import as_csv, as_parquet, records
    from pez.evaluation.report.gallery import make_gallery
    from pez.evaluation.report.latex import latex
    from pez.evaluation.report.material import read_material
    from pez.evaluation.report.page import render
    from pez.evaluation.report.summary import summarise
    from pez.evaluation.report.tables import sections

    options = ReportOptions(os.fspath(output), baseline, items)
    material = read_material(folder)
    if not material.rows:
        raise PezError(f"{folder} holds no rows; run pez evaluate first.")
    page = _page_path(material.folder, options.output)
    for path, own in _own_files(page).items():  # before any of them is written
        check_own(path, own, "choose another --output")
    summaries = summarise(material.rows, options.baseline)
    tables = sections(summaries)
    gallery = make_gallery(material.rows, material.folder, options.items)
    flat = records(summaries)
    every = [t for s in tables for t in (s.overview, s.differences, *s.details) if t]
    texts = {
        page: render(material, summaries, tables, gallery),
        page.with_suffix(".csv"): as_csv(flat),
        page.with_suffix(".tex"): latex(every),
    }
    files = {path: text.encode("utf-8", "backslashreplace") for path, text in texts.items()}
    parquet, notes = as_parquet(flat), []
    if parquet is not None:
        files[page.with_suffix(".parquet")] = parquet
    else:
        name = page.with_suffix(".parquet").name
        notes.append(f"no {name}: that takes pyarrow (pip install 'pez-prompts[eval]')")
    for path, content in files.items():
        own = _own_files(page)[path]
        write_whole(path, content, remedy="choose another --output", own=own)
    return Written(page, tuple(files), tuple(notes))


def _page_path(folder: Path, output: str) -> Path:
    path = output_path(output) if output else folder / "report.html"
    if path.is_dir():
        raise PezError(f"--output {output} is a folder; name a file, such as report.html.")
    if path.suffix.lower() not in (".html", ".htm"):
        raise PezError(f"--output {output} is not the name of a page; end it in .html.")
    return path


def _own_files(page: Path) -> dict[Path, Own]:
    """The files of a report, and what they are if they are there already."""
    from pez.evaluation.report.files import COLUMNS
    from pez.evaluation.report.latex import NEEDS

    names = ",".join(COLUMNS[:8])
    return {
        page: marked(
            "a page of pez report",
            b'<meta name="generator" content="pez report">',
            b": pez report</title>",  # of earlier versions
        ),
        page.with_suffix(".csv"): Own(
            "a table of pez report", lambda path: head(path).startswith(names.encode())
        ),
        page.with_suffix(".tex"): Own(
            "tables of pez report", lambda path: head(path).startswith(NEEDS.encode())
        ),
        page.with_suffix(".parquet"): Own("a table of pez report", _is_table),
    }


def _is_table(path: Path) -> bool:
    """Whether a parquet file has a report's columns."""
    from pez.evaluation.report.files import COLUMNS

    try:
        from pyarrow import parquet

        return tuple(parquet.read_schema(path).names[:8]) == COLUMNS[:8]
    except Exception:  # no pyarrow, or whatever other files make it raise
        return False
