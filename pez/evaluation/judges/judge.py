"""What a judge declares: a class of its own for each kind, in :data:`pez.evaluation.judges.JUDGES`.

class Colours(Judge):
    measure = "overlap of the colour histograms"

    @classmethod
    def open(cls, weights, device, dtype):
        return cls()

    def similarities(self, originals, pictures):
        return [overlap(one, two) for one, two in zip(originals, pictures, strict=True)]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

from PIL import Image
from torch import Tensor


class Judge:
    """Scores pairs; more is better, and a pair of the same thing has the highest score.

    ``measure`` says in a table's note what a score is. ``needs`` are packages to import beyond
    those that pez always has, ``installed_by`` is the pip requirement that installs them.
    ``weights`` below is the part after the colon of the judge's name, or "" for the default ones.
    """

    compares_pictures: ClassVar[bool] = True  # with pictures
    compares_pictures_with_texts: ClassVar[bool] = False
    compares_texts: ClassVar[bool] = False  # with texts
    measure: ClassVar[str] = "cosine"
    needs: ClassVar[tuple[str, ...]] = ()
    installed_by: ClassVar[str] = "'pez-prompts[eval]'"

    @classmethod
    def check(cls, weights: str) -> None:
        """PezError for ``weights`` that are wrong, as far as a look without loading shows."""

    @classmethod
    def open(cls, weights: str, device: str, dtype: str) -> Self:
        """Load the judge. PezError if its weights are not available."""
        raise NotImplementedError

    @classmethod
    def weights(cls, weights: str) -> str:
        """The name by which :func:`pez.models.identity.identity` tells these weights from
        others; "" if there is none and the judge's name says it all.
        """
        return ""

    @classmethod
    def offline(cls, weights: str) -> bool:
        """Whether the judge can be opened without network, whatever is cached."""
        return True

    def similarities(
        self, originals: Sequence[Image.Image], pictures: Sequence[Image.Image]
    ) -> list[float]:
        """The score of each picture with its original."""
        raise NotImplementedError

    def text_scores(self, originals: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        """The score of each prompt with its original."""
        raise NotImplementedError

    def grid(self, pictures: Iterable[Image.Image], prompts: Sequence[str]) -> list[list[float]]:
        """The score of each prompt (rows) with each picture (columns)."""
        held = list(pictures)
        return [self.text_scores(held, [prompt] * len(held)) for prompt in prompts]

    def between_texts(self, ones: Sequence[str], others: Sequence[str]) -> list[float]:
        """The scores of pairs of texts."""
        raise NotImplementedError


def cosines(one: Tensor, two: Tensor) -> list[float]:
    """The cosine of each pair of rows of two (n, e) unit features."""
    return (one * two).sum(-1).tolist()
