"""Data sets of pictures with captions: name -> module:symbol, loaded when asked for.

    items = open_dataset("coco", split="test", path="coco/")
    chosen = draw(items, 100, seed=0)
    write_manifest("run/manifest.jsonl", chosen, "coco", "test", 0)  # of pez.datasets.manifest

One file for each, with one function ``load(split, path)`` that yields :class:`Example` items.
"""

from __future__ import annotations

import difflib
import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import chain

from pez.datasets.item import Example
from pez.errors import PezError

DATASETS: dict[str, tuple[str, str]] = {
    "samples": ("pez.datasets.samples:load", "shipped: web, scenes, attributes, art; photographs"),
    "folder": ("pez.datasets.folder:load", "pictures with .txt, metadata.csv or .jsonl beside"),
    "webdataset": ("pez.datasets.webdataset:load", "tar files, as img2dataset writes them"),
    "coco": ("pez.datasets.coco:load", "MS COCO: own captions_*.json, Karpathy's, or the hub"),
    "flickr": ("pez.datasets.flickr:load", "Flickr8k, Flickr30k: Karpathy's or captions.txt"),
    "celeba": ("pez.datasets.celeba:load", "faces with 40 attributes; captions made from them"),
    "laion": ("pez.datasets.laion:load", "web pictures by address; better through webdataset"),
    "lexica": ("pez.datasets.lexica:load", "generated pictures with their original prompts"),
}


def open_dataset(name: str, *, split: str = "", path: str = "") -> Iterator[Example]:
    """The items of a data set, one by one; no picture is read yet.

    ``split`` "" means all. ``path`` is where the data are; "" is the hub for coco, celeba, laion
    and lexica. The first item is read at once, so that errors are raised here: PezError for an
    unknown name or split, data that are missing, empty or damaged, and an unreachable hub.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, 3, 0.5)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise PezError(f"unknown data set {name!r}; {meant}there are {', '.join(DATASETS)}.")
    module, symbol = DATASETS[name][0].split(":")
    items = _explained(getattr(import_module(module), symbol), split, path)
    first = next(items, None)
    if first is None:
        where = f"{name} {split} {path}".strip()
        raise PezError(f"{where} holds no pictures; check the split and the path.")
    return chain([first], items)


def _explained(
    load: Callable[[str, str], Iterator[Example]], split: str, path: str
) -> Iterator[Example]:
    """The items of ``load``; PezError where the system refuses a folder or a name in it."""
    try:
        yield from load(split, path)
    except OSError as error:
        where = f"{str(error.filename or path)[:200]!r} cannot be read"
        why = (error.strerror or str(error)).lower()
        raise PezError(f"{where} ({why}); check the path and its permissions.") from None
    except ValueError as error:  # a zero character in a path
        raise PezError(f"{path[:200]!r} is not a path ({error}); correct it.") from None
    except MemoryError:
        raise PezError(f"{path[:200]} is too large for the memory; give a part of it.") from None


def draw(items: Iterable[Example], count: int, seed: int) -> list[Example]:
    """``count`` items at random from a stream, or all if there are fewer; O(count) memory.

    Each item has a rank, a hash of seed and id, and the lowest ranks are taken in order. So
    the draw depends only on the seed and the set of ids, not on their order, and a draw of 10 is
    the beginning of a draw of 100. PezError for a count below 1.
    """
    if count < 1:
        raise PezError(f"the number of items to draw must be above 0, not {count}.")
    return heapq.nsmallest(count, items, lambda item: _rank(item.id, seed))


def _rank(key: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode(errors="surrogatepass")).digest()
