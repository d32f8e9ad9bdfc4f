"""Flickr8k and Flickr30k: Karpathy's caption file, or ``captions.txt``, beside the pictures.

M. Hodosh, P. Young, J. Hockenmaier, *Framing Image Description as a Ranking Task*, JAIR 2013;
P. Young and others, *From image descriptions to visual denotations*, TACL 2014.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pez.datasets.item import Example, clean
from pez.datasets.karpathy import karpathy_items, picture_place
from pez.errors import PezError
from pez.formats.tables import read_table

_FOLDERS = ("images", "Images", "flickr30k_images", "flickr30k-images", "Flicker8k_Dataset")
_LAYOUT = "dataset_flickr30k.json or captions.txt (image,caption) beside images/"


def load(split: str, path: str) -> Iterator[Example]:
    """Items of a folder or caption file; the id is the picture's file name.

    Karpathy's file has the splits train, val and test; ``captions.txt`` (a csv with the columns
    ``image`` and ``caption``, one caption per line) has none.
    """
    place = Path(path)
    if not path or not place.exists():
        raise PezError(f"{path!r} does not exist; give a folder with {_LAYOUT}.")
    names = ("dataset_flickr*.json", "captions.txt", "captions.csv")
    files = [f for name in names for f in sorted(place.glob(name))] if place.is_dir() else [place]
    if not files:
        raise PezError(f"{path} holds no caption file; give a folder with {_LAYOUT}.")
    file = files[0]
    folders = [file.parent / name for name in _FOLDERS if (file.parent / name).is_dir()]
    folders.append(file.parent)
    if file.suffix == ".json":
        return karpathy_items(file, split, folders)
    if split:
        raise PezError(f"{file} has no splits; omit the split, or use Karpathy's file.")
    return _from_lines(file, folders)


def _from_lines(file: Path, folders: list[Path]) -> Iterator[Example]:
    captions: dict[str, list[str]] = {}
    rows = read_table(file, f"give {_LAYOUT}")
    if not {"image", "caption"} <= set(next(rows)[1]):
        raise PezError(f"{file} has no columns image and caption; give {_LAYOUT}.")
    for line, row in rows:
        if not row["image"]:
            raise PezError(f"{file}, line {line}: it names no image; correct that line.")
        captions.setdefault(row["image"], []).append(row["caption"])
    place = picture_place(folders, list(captions), None, file)
    for name, texts in captions.items():
        source, read = place(name)
        yield Example(name, clean(texts), {}, source, read)
