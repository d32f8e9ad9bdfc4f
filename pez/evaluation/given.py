"""Prompts made elsewhere, from a CSV file, so that any other method can enter the table.

item,prompt,method
web-00,a cob of corn on pink,mine
photos/cat.jpg,a cat,mine
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pez.errors import PezError
from pez.evaluation.originals import picture_suffix
from pez.evaluation.store import Store
from pez.evaluation.units import Given, Original
from pez.files import user_path

METHOD = "given"  # for rows that name none


def read_given(
    path: str | Path, originals: Sequence[Original], store: Store
) -> tuple[list[Original], list[Given]]:
    """All originals (those named only by the file come last) and the prompts.

    Columns: ``item`` or ``image`` (an item of the plan, or a picture's path, taken from the
    file's folder or from here), ``prompt``, and optionally ``method``. A picture that is one
    of the plan's, byte for byte, is that item. PezError that names the line for bad ones.
    """
    listed = list(originals)
    out: list[Given] = []
    seen: Counter[tuple[int, str]] = Counter()
    for line, row in _rows(user_path(path)):
        where = f"{path}, line {line}"
        name = (row.get("item") or row.get("image") or "").strip()
        prompt = (row.get("prompt") or "").strip()
        if not name or not prompt:
            raise PezError(f"{where}: give both an item or image and a prompt.")
        place = _place(name, listed, user_path(path).parent, where, store)
        method = (row.get("method") or "").strip() or METHOD
        out.append(Given(place, prompt, method, seen[place, method]))
        seen[place, method] += 1
    if not out:
        raise PezError(f"{path} holds no prompts; write columns item,prompt,method.")
    return listed, out


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = [name.strip().lower() for name in reader.fieldnames or []]
            if "prompt" not in names or not {"item", "image"} & set(names):
                raise PezError(
                    f"{path} has the columns {', '.join(names) or 'of nothing'}; it needs "
                    "item (or image) and prompt, in its first line."
                )
            reader.fieldnames = names
            return [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise PezError(f"{path} cannot be read ({error.strerror}); give a CSV file.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise PezError(f"{path} is not a CSV file ({error}); save it as CSV in UTF-8.") from None


def _place(name: str, listed: list[Original], folder: Path, where: str, store: Store) -> int:
    """An item's place in ``listed``, to which new pictures are appended."""
    from pez.images import check_picture, read_bytes

    same = [n for n, original in enumerate(listed) if original.item == name]
    if len(same) > 1:
        raise PezError(f"{where}: several items are called {name!r}; give the picture's path.")
    if same:
        return same[0]
    file = next((p for p in (folder / name, user_path(name)) if p.is_file()), None)
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
