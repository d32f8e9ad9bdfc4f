"""Karpathy's caption files (``dataset_coco.json``, ``dataset_flickr8k.json``, ``..._flickr30k``).

``{"images": [{"filename", "filepath" (COCO only), "split", "imgid", "sentids", "cocoid" (COCO
only), "sentences": [{"raw", "tokens", "imgid", "sentid"}]}]}``; A. Karpathy, L. Fei-Fei, *Deep
Visual-Semantic Alignments for Generating Image Descriptions*, CVPR 2015.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pez.datasets.item import Example, cell_captions, split_names
from pez.errors import PezError
from pez.files import MOST_TABLE, read_plain
from pez.images import read_bytes

Address = Callable[[str], str]  # where on the web the picture of this name is
_INNER = {"sentences", "sentids", "imgid", "filename", "filepath", "cocoid"}


def read_json(file: Path) -> dict[str, Any]:
    """The object in a caption file, whole (COCO's has 150 MB). PezError if it is not one."""
    try:
        found = json.loads(read_plain(file, MOST_TABLE).decode("utf-8"))
    except OSError as error:
        raise PezError(f"{file} cannot be read ({error.strerror}); check the name.") from error
    except (ValueError, RecursionError):
        raise PezError(f"{file} is damaged or not JSON; download it again.") from None
    if not isinstance(found, dict) or not isinstance(found.get("images"), list):
        raise PezError(f"{file} has no list of images; give a caption file of COCO or Karpathy.")
    return found


def karpathy_items(
    file: Path, split: str, folders: Sequence[Path], address: Address | None = None
) -> Iterator[Example]:
    """Items of a caption file; its pictures are looked for in ``folders``.

    Splits are those in the file: ``train``, ``val``, ``test`` and COCO's ``restval``. The id is
    COCO's own id if there is one, else the file's name. If no folder has any picture, they are
    read from the web by ``address``; without that PezError.
    """
    rows = [row for row in read_json(file)["images"] if isinstance(row, dict)]
    splits = sorted({str(row.get("split")) for row in rows})
    chosen = [row for row in rows if not split or row.get("split") in split_names(split)]
    if not chosen:
        raise PezError(f"{file} has no split {split!r}; there are {', '.join(splits)}.")
    names = [
        f"{row['filepath']}/{row['filename']}" if "filepath" in row else row["filename"]
        for row in chosen
        if "filename" in row
    ]
    place = picture_place(folders, names, address, file)
    for row in chosen:
        if "filename" not in row:
            continue
        name = row["filename"]
        source = place(f"{row['filepath']}/{name}" if "filepath" in row else name)
        attributes = {k: v for k, v in row.items() if k not in _INNER}
        captions, read = cell_captions(row.get("sentences")), partial(read_bytes, source)
        yield Example(str(row.get("cocoid", name)), captions, attributes, source, read)


def picture_place(
    folders: Sequence[Path], names: Sequence[str], address: Address | None, file: Path
) -> Callable[[str], str]:
    """A function from a picture's name to its path, in the first of ``folders`` that has one.

    The folder may hold the whole name or its last part. Only 20 are tried, so that a folder with
    a few pictures missing stays the folder (their items fail), and one on a slow disk is quick.
    """
    for folder in folders:
        for shorten in (str, _last):
            if any((folder / shorten(name)).is_file() for name in names[:20]):
                return lambda name, folder=folder, cut=shorten: str(folder / cut(name))
    if address is None:
        looked = ", ".join(map(str, folders))
        raise PezError(f"the pictures that {file} names are in none of {looked}; put them there.")
    return address


def _last(name: str) -> str:
    return name.rpartition("/")[2]
