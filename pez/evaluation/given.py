"""Prompts made elsewhere, so that any other method can enter the table: from a CSV file,

item,prompt,method
web-00,a cob of corn on pink,mine
photos/cat.jpg,a cat,mine

from JSON lines with these keys, or from the results of ``pez invert --output``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from os.path import isfile
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.evaluation.originals import picture_suffix
from pez.evaluation.store import Store
from pez.evaluation.units import Given, Original
from pez.files import user_path
from pez.formats.documents import read_json_lines
from pez.formats.tables import read_table
from pez.formats.text import check_text

METHOD = "given"  # for rows that name none


def read_given(
    path: str | Path, originals: Sequence[Original], store: Store
) -> tuple[list[Original], list[Given]]:
    """All originals (those named only by the file come last) and the prompts.

    Columns: ``item`` or ``image`` (an item of the plan, or a picture's path, taken from the
    file's folder or from here), ``prompt``, and optionally ``method``. Results of ours name their
    picture as their target. A picture that is one
    of the plan's, byte for byte, is that item. PezError that names the line for bad ones.
    """
    listed = list(originals)
    out: list[Given] = []
    seen: Counter[tuple[int, str]] = Counter()
    for line, row in _rows(path):
        where = f"{path}, line {line}"
        name, prompt = _text(row, ("item", "image"), where), _text(row, ("prompt",), where)
        if not name or not prompt:
            raise PezError(f"{where}: give both an item or image and a prompt.")
        place = _place(name, listed, user_path(path).parent, where, store)
        method = _text(row, ("method",), where) or METHOD
        out.append(Given(place, prompt, method, seen[place, method]))
        seen[place, method] += 1
    if not out:
        raise PezError(f"{path} holds no prompts; write columns item,prompt,method.")
    return listed, out


def _rows(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and cells of each row; the target of one of our results is its item."""
    if str(path).lower().endswith((".jsonl", ".ndjson")):
        for line, row in read_json_lines(path, "give an object with item and prompt a line"):
            targets = row.get("targets")
            if isinstance(targets, list) and "item" not in row and "image" not in row:
                if len(targets) != 1:
                    raise PezError(f"{path}, line {line}: a prompt of several pictures has no row.")
                row["item"] = targets[0]
            yield line, row
        return
    rows = read_table(path, "give a CSV file in UTF-8 with columns item,prompt,method")
    kept = {name: name.lower() for name in next(rows)[1]}
    names = list(kept.values())
    if "prompt" not in names or not {"item", "image"} & set(names):
        raise PezError(
            f"{path} has the columns {', '.join(names)[:200] or 'of nothing'}; it needs "
            "item (or image) and prompt, in its first line."
        )
    for line, row in rows:
        yield line, {kept[name]: cell for name, cell in row.items()}


def _text(row: dict[str, Any], names: Sequence[str], where: str) -> str:
    """The text in the first of some cells that is not empty; PezError if it is no text."""
    value = next(filter(None, (row.get(name) for name in names)), "")
    if not isinstance(value, str):
        raise PezError(f"{where}: {names[0]} is {str(value)[:60]!r}, not a text; correct it.")
    return check_text(value.strip(), f"{where}: the {names[0]}")


def _place(name: str, listed: list[Original], folder: Path, where: str, store: Store) -> int:
    """An item's place in ``listed``, to which new pictures are appended."""
    from pez.images import check_picture, read_bytes

    same = [n for n, original in enumerate(listed) if original.item == name]
    if len(same) > 1:
        raise PezError(f"{where}: several items are called {name!r}; give the picture's path.")
    if same:
        return same[0]
    file = next((p for p in (folder / name, user_path(name)) if isfile(p)), None)
    if file is None:
        raise PezError(f"{where}: {name!r} is neither an item of the plan nor a picture's path.")
    data = check_picture(read_bytes(file), str(file))
    sha256 = hashlib.sha256(data).hexdigest()
    for n, original in enumerate(listed):
        if original.sha256 == sha256:
            return n
    kept = store.put_original(data, sha256, picture_suffix(data))
    listed.append(Original("prompts", "", name, sha256, kept, "", "", 0))
    return len(listed) - 1
