"""Photographs with captions and labels, and which of them may be used for what.

README.md beside this file describes the folders. Half A trains the models that are searched, half B
the judge, so that they share no photograph of COCO or Flickr8k. Of ``flickr1000`` the first 700
pictures train, the next 100 choose settings, the last 200 test.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from labels import caption_vector, class_words, label_vector
from torch import Tensor
from words import Lexicon

SHARE = 60  # percent of half A
TRAIN, CHOOSE = 700, 800  # of flickr1000: places before these train, and choose settings
FLICKR, IMAGENET = "flickr1000", "imagenet1000"


@dataclass(frozen=True)
class Source:
    """A set of photographs: how often one is drawn, and how it is used."""

    weight: float
    views: int  # per photograph: 1 the middle, 2 and a crop, 4 both of each, two of them mirrored
    halves: str = "AB"  # those of the split by name; A or B alone: all its photographs are in them
    split: bool = True


COCO = 1.6
SOURCES = {  # in the order of training
    FLICKR: Source(1.0, 4),
    IMAGENET: Source(0.5, 4, "A", split=False),
    "flickr8k_224": Source(1.0, 2),
    "coco_resized6k": Source(COCO, 2),
    "coco_mydataset": Source(COCO, 2),
    "coco_meg": Source(COCO, 2),
    "coco_val2014_b": Source(COCO, 2),
    "coco_val2014_codewithminer": Source(COCO, 4),
    "coco_rknn": Source(COCO, 2),
    "coco_vqa100": Source(COCO, 2),
    "coco_segadj": Source(COCO, 2),
    "coco_mini": Source(COCO, 4),
    "coco128": Source(COCO, 4),
    "caltech101": Source(0.2, 1, "A", split=False),
    "grocery": Source(0.2, 2, "A", split=False),
    "voc_animals": Source(0.4, 2, "AB", split=False),
}
UNCAPTIONED = 0.6  # of the weight, for pictures with labels alone


@dataclass(frozen=True)
class Picture:
    """A photograph: its path in the folder, its captions, and how sure each word is, (words,)."""

    source: str
    path: str
    captions: tuple[str, ...]
    labels: Tensor

    @property
    def weight(self) -> float:
        """How often it is drawn, relative to others."""
        return SOURCES[self.source].weight * (1 if self.captions else UNCAPTIONED)


def part(path: str) -> int:
    """A number below 100 that decides the half: below ``SHARE`` A, else B."""
    return int(hashlib.md5(path.rsplit("/", 1)[-1].encode()).hexdigest(), 16) % 100


def in_half(path: str, half: str) -> bool:
    """Whether a photograph is in half A or B, by its name."""
    return (part(path) < SHARE) == (half == "A")


def flickr(folder: Path) -> dict[str, tuple[str, ...]]:
    """The captions of every picture of ``flickr1000``, by file name, in the order of the file."""
    found: dict[str, list[str]] = {}
    with (folder / FLICKR / "captions.txt").open(encoding="utf-8", newline="") as file:
        for name, caption in list(csv.reader(file))[1:]:
            found.setdefault(name, []).append(plain(caption))
    return {name: tuple(captions) for name, captions in found.items()}


def unpaired(folder: Path) -> list[tuple[str, str]]:
    """Names of pictures and their captions of ``coco.tsv`` and ``flickr8k.tsv``."""
    rows = []
    for name in ("coco.tsv", "flickr8k.tsv"):
        lines = (folder / name).read_text(encoding="utf-8").splitlines()[1:]
        rows += [(line.split("\t")[0], plain(line.split("\t")[1])) for line in lines]
    return rows


def plain(text: str) -> str:
    """A caption with single spaces."""
    return " ".join(text.split())


def classes(folder: Path) -> list[str]:
    """Paths of one photograph for each class of ImageNet, in the order of the classes."""
    return sorted(f"{IMAGENET}/{path.name}" for path in (folder / IMAGENET).glob("n*.jpg"))


def gather(
    folder: Path,
    half: str,
    lexicon: Lexicon,
    log: Callable[[str], None] = print,
    without: Collection[str] = (),
) -> list[Picture]:
    """The photographs of ``folder`` that train with half A or B, ``without`` some sources. Sources
    without a picture in ``pairs.tsv`` are logged; its sources that are not in ``SOURCES`` are not
    used.
    """
    listed = _table(folder / "pairs.tsv")
    found: list[Picture] = []
    for name, source in SOURCES.items():
        if half not in source.halves or name in without:
            continue
        if name == FLICKR:
            own = _flickr_pictures(folder, lexicon)
        elif name == IMAGENET:
            own = _class_pictures(folder, lexicon)
        else:
            own = _listed_pictures(name, listed.get(name, {}), lexicon)
        pictures = [p for p in own if not source.split or in_half(p.path, half)]
        if not pictures:
            log(f"no pictures of {name}")
        found += pictures
    return found


def _flickr_pictures(folder: Path, lexicon: Lexicon) -> Iterator[Picture]:
    for name, captions in list(flickr(folder).items())[:TRAIN]:
        path = f"{FLICKR}/images/{name}"
        yield Picture(FLICKR, path, captions, caption_vector(captions, lexicon))


def _class_pictures(folder: Path, lexicon: Lexicon) -> Iterator[Picture]:
    paths = classes(folder)
    for path, places in zip(paths, class_words(paths, lexicon), strict=True):
        if places:
            labels = torch.zeros(len(lexicon.words))
            labels[places] = 1
            yield Picture(IMAGENET, path, (), labels)


def _listed_pictures(
    source: str, rows: dict[str, tuple[list[str], list[str]]], lexicon: Lexicon
) -> Iterator[Picture]:
    for path, (captions, labels) in rows.items():
        sure = caption_vector(captions, lexicon)
        if labels:
            sure = torch.maximum(sure, label_vector(labels[0], lexicon))
        if captions or sure.any():
            yield Picture(source, path, tuple(captions), sure)


def _table(path: Path) -> dict[str, dict[str, tuple[list[str], list[str]]]]:
    """Captions and labels of ``pairs.tsv`` by source and path."""
    table: dict[str, dict[str, tuple[list[str], list[str]]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        source, name, kind, text = (*line.split("\t"), "", "", "")[:4]
        if text:
            row = table.setdefault(source, {}).setdefault(name, ([], []))
            row[0 if kind == "caption" else 1].append(plain(text))
    return table
