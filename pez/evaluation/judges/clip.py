"""A CLIP as a judge of pictures and texts: the CLIP score of Wen et al. 2023."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from PIL import Image

from pez.evaluation.judges.judge import Judge, cosines
from pez.models import Reader, load_model
from pez.models.identity import is_on_disk


@dataclass(frozen=True, eq=False)
class ClipJudge(Judge):
    """Cosines of the features of pictures and texts."""

    reader: Reader

    compares_pictures_with_texts = True
    compares_texts = True

    @classmethod
    def open(cls, weights: str, device: str, dtype: str) -> Self:
        """Any model that can be searched."""
        return cls(load_model(weights, device, dtype))

    @classmethod
    def weights(cls, weights: str) -> str:
        """The model's own name."""
        return weights

    @classmethod
    def offline(cls, weights: str) -> bool:
        """Shipped models, and those in a folder."""
        return is_on_disk(weights)

    def similarities(
        self, originals: Sequence[Image.Image], pictures: Sequence[Image.Image]
    ) -> list[float]:
        """Cosines of the features of pairs."""
        features = self.reader.encode_images([*originals, *pictures])
        return cosines(*features.split(len(pictures)))

    def text_scores(self, originals: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        """Cosine of each prompt with its original."""
        return cosines(self.reader.encode_text(prompts), self.reader.encode_images(originals))

    def grid(self, pictures: Iterable[Image.Image], prompts: Sequence[str]) -> list[list[float]]:
        """Cosine of each prompt with each picture, everything encoded once; of the pictures only
        what the image tower takes is kept in memory.
        """
        prepared = [self.reader.prepare(picture) for picture in pictures]
        seen, said = self.reader.encode_prepared(prepared), self.reader.encode_text(prompts)
        return (said @ seen.T).tolist()

    def between_texts(self, ones: Sequence[str], others: Sequence[str]) -> list[float]:
        """Cosines of pairs of texts."""
        return cosines(self.reader.encode_text(ones), self.reader.encode_text(others))
