"""What benchmarks/ideas.py knows of the pictures that it searches, and of words in captions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.photos import Gallery, Judge
from pez.datasets import flickr
from pez.models import Reader
from pez.models.families import odds
from pez.options import InvertOptions
from pez.session.items import picture_items
from pez.session.session import Session, search_items

Places = Tensor  # (n, k) words of n prompts, as places in the list of words


@dataclass(frozen=True, eq=False)
class Scene:
    """The searched pictures of a split, all that is known of them, and where searches start."""

    plan: Mapping[str, Any]
    photos: Gallery
    readers: tuple[Reader, Reader]  # the searched one, and a second
    words: tuple[str, ...]
    together: Tensor  # (w, w), which words go together in captions
    judge: Judge  # of the split's prompts

    @cached_property
    def pictures(self) -> list[Image.Image]:
        return [self.photos.pictures[n] for n in self.photos.searched]

    @cached_property
    def looks(self) -> tuple[Tensor, Tensor]:
        """The pictures' features (n, e) in both models."""
        one, two = (reader.encode_images(self.pictures) for reader in self.readers)
        return one, two

    @cached_property
    def cropped(self) -> Tensor:
        """The mean features (n, e) of crops in the searched model."""
        rng, out = random.Random(self.plan["seed"]), []
        for picture in self.pictures:
            crops = [crop(picture, rng) for _ in range(self.plan["crops"])]
            out.append(self.readers[0].encode_images(crops).mean(0))
        return torch.stack(out)

    @cached_property
    def features(self) -> Tensor:
        """The words' own features (w, e)."""
        return self.read(self.readers[0], torch.arange(len(self.words))[:, None])

    @cached_property
    def odds(self) -> Tensor:
        """The log-odds (n, w) that a word is right of a picture, from training photographs."""
        known = odds(self.readers[0].name)
        assert known is not None
        own = torch.tensor([known.words[word] for word in self.words])
        return known.slope * self.looks[0] @ self.features.T + own

    @cached_property
    def start(self) -> Places:
        """The words (n, k) of the start `pursuit`: a step of `random` is the start alone."""
        return self.found("random", 1)

    def found(self, method: str, steps: int) -> Places:
        """The words (n, k) that so many steps of a method find from the start `pursuit`."""
        length = 2 * self.plan["words"] - 1
        options = InvertOptions(
            method=method,
            init="pursuit",
            style="phrases",
            vocabulary="own",
            length=length,
            steps=steps,
            device="cpu",
        )
        session = Session.of(self.readers[0], options)
        items = picture_items(self.readers[0], [[picture] for picture in self.pictures])
        with torch.enable_grad():  # pgd takes gradients
            found = search_items(session, [items[n] for n in sorted(items)])
        at = {word: n for n, word in enumerate(self.words)}
        return torch.tensor([[at[w] for w in one.prompt.split(", ")] for one in found if one])

    @cached_property
    def ids(self) -> tuple[Tensor, int]:
        """The tokens (w,) of the words, and that of the comma, in both models."""
        tokens = self.readers[0].tokens
        words = [tokens.encode(word) for word in self.words]
        assert all(len(ids) == 1 for ids in words)
        return torch.tensor(words)[:, 0], tokens.encode(",")[0]

    def read(self, reader: Reader, places: Places) -> Tensor:
        """The features (n, e) of prompts, as far as the end token sees."""
        words, comma = self.ids
        ids = torch.full((len(places), 2 * places.shape[1] - 1), comma)
        ids[:, ::2] = words[places]
        return torch.cat([reader.features(reader.table[part]) for part in ids.split(256)])

    def texts(self, places: Places) -> list[str]:
        return [", ".join(self.words[n] for n in row) for row in places.tolist()]

    def judged(self, places: Places) -> list[tuple[float, int]]:
        """The judge's cosine of each prompt with its picture, and the picture's rank."""
        return self.judge.read(self.texts(places), self.photos.searched)


def crop(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A part of a picture, of half to nine tenths of its sides."""
    width, height = (max(1, round(side * rng.uniform(0.5, 0.9))) for side in picture.size)
    left, top = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def pairs_of(texts: Sequence[str], words: Sequence[str]) -> Tensor:
    """The pointwise mutual information (w, w) of words in captions; each pair counts once more."""
    at = {word: n for n, word in enumerate(words)}
    single: Counter[int] = Counter()
    both: Counter[tuple[int, int]] = Counter()
    for text in texts:
        here = sorted({at[w] for w in text.lower().replace(".", " ").split() if w in at})
        single.update(here)
        both.update(combinations(here, 2))
    one = torch.tensor([single[n] + 1.0 for n in range(len(words))]) / len(texts)
    out = torch.ones(len(words), len(words))
    for (a, b), count in both.items():
        out[a, b] = out[b, a] = count + 1.0
    return (out / len(texts) / (one[:, None] * one)).log().clamp(min=-3, max=5)


def caption_texts(plan: Mapping[str, Any], folder: Path) -> list[str]:
    """The captions of the plan's files, without those of photographs that choose or report."""
    held = list(flickr.load("", str(folder / "flickr1000")))[700:]
    own = {caption for example in held for caption in example.captions}
    out: list[str] = []
    for name in plan["captions"]:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()[1:]
        out += [text for line in lines if (text := line.partition("\t")[2]) not in own]
    return out
