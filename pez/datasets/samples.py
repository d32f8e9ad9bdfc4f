"""The shipped samples: 60 pictures of the synthetic world in four splits, and a few photographs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pez.datasets.item import Example
from pez.errors import PezError
from pez.files import data_folder
from pez.images import read_bytes

KINDS = ("web", "scenes", "attributes", "art")  # of the synthetic world
PHOTOGRAPHS = "photographs"  # real ones: a split that is given only by its name


@dataclass(frozen=True)
class Sample:
    """A picture's path, its captions and the true attributes of what it shows."""

    path: Path
    captions: list[str]
    attributes: dict[str, Any]


def samples(kind: str) -> list[Sample]:
    """The shipped samples of one of ``KINDS``, or ``PHOTOGRAPHS``, in order."""
    folder = data_folder() / "samples" / kind
    rows = []
    for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        path, captions = folder / row.pop("file_name"), row.pop("captions")
        row.pop("text")
        rows.append(Sample(path, captions, row))
    return rows


def load(split: str, path: str) -> Iterator[Example]:
    """Items of one of the splits ``web``, ``scenes``, ``attributes``, ``art``, or of all four; or
    the ``photographs``.

    The pictures of ``art`` were drawn from their caption, which is therefore their prompt.
    """
    if path:
        raise PezError("the samples are shipped and have no path; for your own use folder.")
    if split and split not in (*KINDS, PHOTOGRAPHS):
        splits = ", ".join((*KINDS, PHOTOGRAPHS))
        raise PezError(f"samples have no split {split!r}; there are {splits}.")
    for kind in (split,) if split else KINDS:
        for sample in samples(kind):
            source = str(sample.path)
            prompt = sample.captions[0] if kind == "art" else None
            captions, read = tuple(sample.captions), partial(read_bytes, source)
            yield Example(sample.path.stem, captions, sample.attributes, source, read, prompt)
