"""Two judges of one file, as anyone may add them: of pictures by their colours, of texts alone."""

from collections.abc import Sequence
from typing import Self

from PIL import Image

from pez.errors import PezError
from pez.evaluation.judges.judge import Judge


class Colours(Judge):
    """How near the mean colours of two pictures are, in one channel or in all."""

    measure = "nearness of mean colours"

    def __init__(self, channels: str) -> None:
        self.channels = ["rgb".index(c) for c in channels or "rgb"]

    @classmethod
    def check(cls, weights: str) -> None:
        if set(weights) - set("rgb"):
            raise PezError(f"colours:{weights} is no channel; there are r, g and b.")

    @classmethod
    def open(cls, weights: str, device: str, dtype: str) -> Self:
        return cls(weights)

    def similarities(
        self, originals: Sequence[Image.Image], pictures: Sequence[Image.Image]
    ) -> list[float]:
        return [self._near(a, b) for a, b in zip(originals, pictures, strict=True)]

    def _near(self, one: Image.Image, two: Image.Image) -> float:
        a, b = (picture.convert("RGB").resize((1, 1)).getpixel((0, 0)) for picture in (one, two))
        assert isinstance(a, tuple) and isinstance(b, tuple)
        return 1 - max(abs(a[n] - b[n]) for n in self.channels) / 255


class Words(Judge):
    """The share of words that two texts have in common; it sees no pictures."""

    compares_pictures = False
    compares_texts = True
    measure = "share of common words"

    @classmethod
    def open(cls, weights: str, device: str, dtype: str) -> Self:
        return cls()

    def between_texts(self, ones: Sequence[str], others: Sequence[str]) -> list[float]:
        pairs = [(set(a.split()), set(b.split())) for a, b in zip(ones, others, strict=True)]
        return [len(a & b) / max(1, len(a | b)) for a, b in pairs]
