"""What is written of a look inside: pictures with their figures in them, tables, arrays."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pez.errors import PezError
from pez.files import Own, check_own, head, output_path, write_whole
from pez.formats.tables import write_table
from pez.generation.files import CHUNK, PICTURE

ARRAYS_MARK = "pez_record"  # the first array of a file of ours
ARRAYS = Own("a file of arrays that pez wrote", lambda path: ARRAYS_MARK.encode() in head(path))


def output_file(name: str, option: str, ending: str) -> Path:
    """Where an output goes. PezError for a name without its ``ending``, and for a file that pez did
    not write: before any work.
    """
    path = output_path(name)
    if path.suffix.lower() != ending:
        raise PezError(f"{option} {name}: name a file that ends with {ending}.")
    if ending != ".csv":  # a table is known by its columns: write_rows
        check_own(path, PICTURE if ending == ".png" else ARRAYS, f"choose another {option}")
    return path


def write_picture(picture: Image.Image, path: Path, record: Mapping[str, Any], option: str) -> None:
    """A PNG that holds ``record`` as JSON."""
    info = PngInfo()
    info.add_text(CHUNK, json.dumps(record))

    def save(part: Path) -> None:
        picture.save(part, "PNG", pnginfo=info)

    write_whole(path, save, remedy=f"choose another {option}", own=PICTURE)


def table_of(columns: Sequence[str]) -> Own:
    """Tables with these columns."""
    first = ",".join(columns).encode()
    return Own(
        f"a table with the columns {', '.join(columns)}",
        lambda path: head(path).split(b"\n")[0].rstrip(b"\r") == first,
    )


def write_rows(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], path: Path, option: str
) -> None:
    """A CSV, in place of an older one with the same columns."""
    content = write_table(columns, rows).encode("utf-8", "backslashreplace")
    write_whole(path, content, remedy=f"choose another {option}", own=table_of(columns))


def write_arrays(
    arrays: Mapping[str, np.ndarray], record: Mapping[str, Any], path: Path, option: str
) -> None:
    """An ``.npz`` of named arrays, after ``record`` as JSON (the array ``pez_record``)."""
    file = io.BytesIO()
    named: dict[str, Any] = {ARRAYS_MARK: np.array(json.dumps(record)), **arrays}
    np.savez_compressed(file, **named)
    write_whole(path, file.getvalue(), remedy=f"choose another {option}", own=ARRAYS)
