"""The shipped samples: 60 pictures of the synthetic world in four splits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pez.datasets.item import Item
from pez.errors import PezError
from pez.images import read_bytes
from pez.samples import KINDS, samples


def load(split: str, path: str) -> Iterator[Item]:
    """Items of one of the splits ``web``, ``scenes``, ``attributes``, ``art``, or of all four.

    The pictures of ``art`` were drawn from their caption, which is therefore their prompt.
    """
    if path:
        raise PezError("the samples are shipped and have no path; for your own use folder.")
    if split and split not in KINDS:
        raise PezError(f"samples have no split {split!r}; there are {', '.join(KINDS)}.")
    for kind in (split,) if split else KINDS:
        for sample in samples(kind):
            source = str(sample.path)
            prompt = sample.captions[0] if kind == "art" else None
            captions, read = tuple(sample.captions), partial(read_bytes, source)
            yield Item(sample.path.stem, captions, sample.attributes, source, read, prompt)
