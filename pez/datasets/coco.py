"""MS COCO captions: COCO's own annotation files, Karpathy's splits, or those of the hub.

T.-Y. Lin and others, *Microsoft COCO: Common Objects in Context*, ECCV 2014. On the hub the
parquet files of ``yerevann/coco-karpathy`` are read: splits train, validation, test, restval;
columns ``filepath, sentids, filename, imgid, split, sentences, cocoid, url`` (names and use
verified in published code that reads them, not on the hub itself). They hold addresses; the
pictures come from images.cocodataset.org one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pez.datasets.item import Example, cell_captions, in_split
from pez.datasets.karpathy import karpathy_items, named, picture_place, read_captions
from pez.datasets.parquet import parquet_files, parquet_rows
from pez.errors import PezError
from pez.files.download import is_web
from pez.images import read_bytes

HUB = "yerevann/coco-karpathy"
LAYOUT = "data/train-*.parquet (or captions_val2014.json and val2014/, or dataset_coco.json)"
_WEB = "http://images.cocodataset.org/"


def load(split: str, path: str) -> Iterator[Example]:
    """Items of COCO; the id is COCO's image id in all layouts.

    ``path`` is a caption file or a folder with one (also in ``annotations/``; Karpathy's has
    priority over COCO's own), or parquet files, or nothing for the hub. Pictures are looked for in
    ``val2014/``, ``images/val2014/``, ``images/`` and the folder itself, else on the web.
    Splits: Karpathy's train, val, test, restval (which many count to train); of COCO's files
    what their name says (``val``, ``val2014``).
    """
    place = Path(path)
    if not path or place.suffix == ".parquet":
        return _from_parquet(split, path)
    if place.is_file():
        own = "annotations" in read_captions(place)
        return _from_captions([place], split) if own else _from_karpathy(place, split)
    where = (place, place / "annotations")
    files = [file for folder in where for file in sorted(folder.glob("dataset_*.json"))]
    if files:
        return _from_karpathy(files[0], split)
    files = [file for folder in where for file in sorted(folder.glob("captions_*.json"))]
    return _from_captions(files, split) if files else _from_parquet(split, path)


def _root(file: Path) -> Path:
    return file.parent.parent if file.parent.name == "annotations" else file.parent


def _from_karpathy(file: Path, split: str) -> Iterator[Example]:
    root = _root(file)
    return karpathy_items(file, split, (root, root / "images"), lambda name: _WEB + name)


def _from_captions(files: list[Path], split: str) -> Iterator[Example]:
    chosen = [file for file in files if in_split(file.stem, split)]
    if not chosen:
        names = ", ".join(file.name for file in files)
        raise PezError(f"none of {names} is of split {split!r}; name a split as they do.")
    for file in chosen:
        yield from _items(file)


def _items(file: Path) -> Iterator[Example]:
    """``{"images": [{"id", "file_name", "coco_url", ...}], "annotations": [{"image_id",
    "id", "caption"}]}``.
    """
    whole, root, part = read_captions(file), _root(file), file.stem.rpartition("_")[2]
    captions: dict[Any, list[str]] = defaultdict(list)
    told = whole.get("annotations") or []
    if not isinstance(told, list):
        raise PezError(f"{file} has no list of annotations; download it again.")
    for n, row in enumerate(told, 1):
        where = f"{file}, annotation {n}"
        if not isinstance(row, dict) or "image_id" not in row:
            raise PezError(f"{where}: it names no image_id; download the file again.")
        captions[named(row, "image_id", where, (int, str))] += cell_captions(row.get("caption"))
    rows = [row for row in whole["images"] if "file_name" in row and "id" in row]
    for n, row in enumerate(rows, 1):
        named(row, "file_name", f"{file}, image {n}")
        named(row, "id", f"{file}, image {n}", (int, str))
    web = {row["file_name"]: _address(row) for row in rows}
    folders = (root / part, root / "images" / part, root / "images", root)
    place = picture_place(folders, list(web), web.__getitem__, file)
    for row in rows:
        source, read = place(row["file_name"])
        attributes = {k: v for k, v in row.items() if k not in ("id", "file_name")}
        attributes["split"] = part
        texts = tuple(captions[row["id"]])
        yield Example(str(row["id"]), texts, attributes, source, read)


def _address(row: dict[str, Any]) -> str:
    """Where on the web a picture is: what the row says if that is an address."""
    told = row.get("coco_url")
    return told if isinstance(told, str) and is_web(told) else _WEB + row["file_name"]


def _from_parquet(split: str, path: str) -> Iterator[Example]:
    for _, row, _ in parquet_rows(parquet_files(HUB, split, path, LAYOUT)):
        told = row.get("url")
        source = f"{_WEB}{row.get('filepath')}/{row.get('filename')}"
        if isinstance(told, str) and is_web(told):
            source = told
        attributes = {"split": row["split"]} if row.get("split") else {}
        read = partial(read_bytes, source)
        texts = cell_captions(row.get("sentences"))
        yield Example(str(row.get("cocoid")), texts, attributes, source, read)
