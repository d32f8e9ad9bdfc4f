"""Pictures with captions that the methods are compared on, and what is measured of a prompt.

A plan's data are Flickr photographs beside ``captions.txt``, in its order (``kind = "flickr"``), or
scenes of the synthetic world (``kind = "world"``), for a quick look. A split takes ``count`` of
them from ``first`` on and searches every ``every``-th; the judge ranks a picture among them all.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks import quality
from pez.datasets import flickr
from pez.methods.bank import shipped_bank
from pez.models import Reader

WORDS = "pez.evaluation.kinds.content_words"  # what counts right content words


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures and their captions; the places of those that are ``searched``."""

    pictures: Sequence[Image.Image]
    captions: Sequence[Sequence[str]]
    searched: Sequence[int]


def gallery(data: Mapping[str, Any], split: Mapping[str, Any], folder: str, items: int) -> Gallery:
    """The pictures of a split; ``items`` limits how many are searched, 0 does not. SystemExit if
    they are not there.
    """
    first, count = split["first"], split["count"]
    if data["kind"] == "world":
        pictures, _, texts = quality.scenes(count, first)
        captions: list[Sequence[str]] = [[text] for text in texts]
    else:
        examples = list(flickr.load("", str(Path(folder) / data["photographs"])))
        examples = examples[first : first + count]
        if len(examples) < count:
            raise SystemExit(f"{folder} has no {count} photographs from number {first} on")
        pictures = [example.image() for example in examples]
        captions = [example.captions for example in examples]
    searched = range(0, count, split.get("every", 1))[: items or count]
    return Gallery(pictures, captions, searched)


def caption_list(data: Mapping[str, Any], folder: str, count: int, seed: int = 0) -> list[str]:
    """``count`` captions of other pictures, drawn by ``seed``: those of the plan's file
    (a line for each, after a tab and below a heading), or the shipped ones of the synthetic world.
    """
    if data["kind"] == "world":
        lines = Path(shipped_bank()).read_text(encoding="utf-8").splitlines()
    else:
        text = (Path(folder) / data["captions"]).read_text(encoding="utf-8")
        lines = [line.partition("\t")[2].strip() for line in text.splitlines()[1:]]
        lines = list(dict.fromkeys(filter(None, lines)))
    return random.Random(seed).sample(lines, min(count, len(lines)))


@dataclass(frozen=True, eq=False)
class Judge:
    """A reader that scores prompts, with its features (g, e) of a gallery."""

    reader: Reader
    looks: Tensor

    @classmethod
    def of(cls, reader: Reader, pictures: Sequence[Image.Image]) -> Judge:
        return cls(reader, reader.encode_images(pictures))

    def read(self, prompts: Sequence[str], places: Sequence[int]) -> list[tuple[float, int]]:
        """For each prompt the cosine with its picture, whose place in the gallery is given, and the
        rank of that picture among all: 1 is the first, equals count against it.
        """
        known = {text: n for n, text in enumerate(dict.fromkeys(prompts))}
        listed = list(known)
        chunks = [listed[n : n + 256] for n in range(0, len(listed), 256)]
        features = torch.cat([self.reader.encode_text(chunk) for chunk in chunks])
        scores = features @ self.looks.T
        rows = scores[[known[text] for text in prompts]]
        own = rows.gather(1, torch.tensor(places)[:, None])
        ranks = (rows >= own).sum(1).tolist()
        return list(zip(own[:, 0].tolist(), ranks, strict=True))


def right_words(prompt: str, captions: Sequence[str]) -> int | None:
    """How many different content words of the prompt a caption of the picture has; a caption that
    is itself the prompt does not count. None without a caption to compare with, and where pez
    cannot count words.
    """
    if find_spec(WORDS) is None:
        return None
    return import_module(WORDS).counted(prompt, captions)["right_words"]


def frequent_words(captions: Sequence[Sequence[str]], allowed: Sequence[str], count: int) -> str:
    """The ``count`` of the allowed words that most pictures' captions have, between commas: a
    prompt for all pictures that looks at none.
    """
    own = set(allowed)
    seen: dict[str, int] = {}
    for texts in captions:
        for word in set(" ".join(texts).lower().replace(",", " ").replace(".", " ").split()) & own:
            seen[word] = seen.get(word, 0) + 1
    return ", ".join(sorted(seen, key=lambda word: (-seen[word], word))[:count])
