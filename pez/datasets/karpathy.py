"""Karpathy's caption files (``dataset_coco.json``, ``dataset_flickr8k.json``, ``..._flickr30k``).

``{"images": [{"filename", "filepath" (COCO only), "split", "imgid", "sentids", "cocoid" (COCO
only), "sentences": [{"raw", "tokens", "imgid", "sentid"}]}]}``; A. Karpathy, L. Fei-Fei, *Deep
Visual-Semantic Alignments for Generating Image Descriptions*, CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from os.path import isfile
from pathlib import Path
from typing import Any

from pez.datasets.item import Example, cell_captions, split_names
from pez.errors import PezError
from pez.formats.documents import read_json
from pez.formats.places import Read, Within
from pez.images import read_bytes

Address = Callable[[str], str]  # where on the web the picture of this name is
_INNER = {"sentences", "sentids", "imgid", "filename", "filepath", "cocoid"}


def read_captions(file: Path) -> dict[str, Any]:
    """The object in a caption file, whole (COCO's has 150 MB), with a list of objects as its
    ``images``. PezError if it is not one.
    """
    found = read_json(file, "give a caption file of COCO or Karpathy, or download it again")
    if not isinstance(found, dict) or not isinstance(found.get("images"), list):
        raise PezError(f"{file} has no list of images; give a caption file of COCO or Karpathy.")
    for number, row in enumerate(found["images"], 1):
        if not isinstance(row, dict):
            raise PezError(f"{file}, image {number}: not an object; download it again.")
    return found


def named(row: dict[str, Any], key: str, place: str, kinds: type | tuple[type, ...] = str) -> Any:
    """What a row has as ``key``; PezError that names the ``place`` unless it is of ``kinds``."""
    value = row[key]
    if not isinstance(value, kinds) or isinstance(value, bool) or value == "":
        raise PezError(f"{place}: its {key} is {str(value)[:60]!r}; download the file again.")
    return value


def karpathy_items(
    file: Path, split: str, folders: Sequence[Path], address: Address | None = None
) -> Iterator[Example]:
    """Items of a caption file; its pictures are looked for in ``folders``.

    Splits are those in the file: ``train``, ``val``, ``test`` and COCO's ``restval``. The id is
    COCO's own id if there is one, else the file's name. If no folder has any picture, they are
    read from the web by ``address``; without that PezError.
    """
    rows = list(enumerate(read_captions(file)["images"], 1))
    splits = sorted({str(row.get("split"))[:40] for _, row in rows})
    chosen = [(n, row) for n, row in rows if not split or row.get("split") in split_names(split)]
    if not chosen:
        raise PezError(f"{file} has no split {split!r}; there are {', '.join(splits[:20])}.")
    names: dict[int, str] = {}
    for n, row in chosen:
        if "filename" in row:
            name = named(row, "filename", f"{file}, image {n}")
            inner = "filepath" in row
            names[n] = f"{named(row, 'filepath', f'{file}, image {n}')}/{name}" if inner else name
    place = picture_place(folders, list(names.values()), address, file)
    for n, row in chosen:
        if n not in names:
            continue
        source, read = place(names[n])
        attributes = {k: v for k, v in row.items() if k not in _INNER}
        captions = cell_captions(row.get("sentences"))
        key = row.get("cocoid", row["filename"])
        yield Example(str(key), captions, attributes, source, read)


def picture_place(
    folders: Sequence[Path], names: Sequence[str], address: Address | None, file: Path
) -> Callable[[str], tuple[str, Read]]:
    """A function from a picture's name to its path and its reader, in the first of ``folders``
    that has one. No reader leaves its folder, whatever the name.

    The folder may hold the whole name or its last part. Only 20 are tried, so that a folder with
    a few pictures missing stays the folder (their items fail), and one on a slow disk is quick.
    """

    def inside(name: str, folder: Path, cut: Callable[[str], str]) -> tuple[str, Read]:
        path = str(folder / cut(name))
        return path, Within(str(folder), path)

    def on_the_web(name: str) -> tuple[str, Read]:
        assert address is not None
        return address(name), partial(read_bytes, address(name))

    for folder in folders:
        for shorten in (str, _last):
            if any(isfile(folder / shorten(name)) for name in names[:20]):
                return partial(inside, folder=folder, cut=shorten)
    if address is None:
        looked = ", ".join(map(str, folders))
        raise PezError(f"the pictures that {file} names are in none of {looked}; put them there.")
    return on_the_web


def _last(name: str) -> str:
    return name.rpartition("/")[2]
