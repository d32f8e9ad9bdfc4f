"""Cosine of a prompt with images and texts, weighted, several at once, some pushed away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from pez.errors import PezError
from pez.models import Reader, load_model
from pez.models.generators import model_names
from pez.options import SearchOptions


@dataclass(frozen=True, eq=False)
class Targets:
    """What one prompt should match: unit features (t, e) and weights (t,), negative to avoid."""

    features: Tensor
    weights: Tensor

    def normalised(self) -> Tensor:
        """Weights (t,) whose positive part sums to one, so that a score stays a cosine."""
        total = self.weights.clamp(min=0).sum()
        if total <= 0:
            raise PezError("there is nothing to match: give at least one target of weight above 0.")
        return self.weights / total

    def opposite(self, found: Tensor) -> Targets:
        """What a prompt with the features ``found`` (e,) says beyond these targets: a prompt with a
        high score here matches found - targets.
        """
        features = torch.cat([found[None], self.features])
        return Targets(features, torch.cat([torch.ones_like(self.weights[:1]), -self.normalised()]))


@dataclass(frozen=True, eq=False)
class Match:
    """Score = sum of weight x cosine over an item's targets; loss = 1 - that sum.

    As cosines are linear in the target, an item's targets fold into one direction, so the
    cost of a step does not grow with their number (Wen et al. 2023, section 3.2: the mean
    over target images).
    """

    reads_pipeline: ClassVar[bool] = False
    reads_language: ClassVar[bool] = False

    reader: Reader
    items: list[Targets]

    @classmethod
    def open(cls, options: SearchOptions) -> Reader:
        """The CLIPs that ``options`` name."""
        return load_model(model_names(options), options.device, options.dtype)

    @cached_property
    def _directions(self) -> Tensor:
        """(n, e): the weighted sum of each item's targets."""
        return torch.stack([(t.normalised()[:, None] * t.features).sum(0) for t in self.items])

    @cached_property
    def _padded(self) -> tuple[Tensor, Tensor]:
        """Features (n, t, e) and weights (n, t) of items that share one number of targets."""
        features = torch.stack([t.features for t in self.items])
        return features, torch.stack([t.normalised() for t in self.items])

    @property
    def batch(self) -> int:
        """Prompts that may be read at once."""
        return 512

    @property
    def linear(self) -> bool:
        """Cosines with fixed directions are."""
        return True

    def __call__(
        self, embeddings: Tensor, item: Tensor, draw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss (b,) and score (b,) of prompts (b, l, w): :class:`pez.search.problem.Objective`."""
        features = self.features(embeddings)
        score = (features * self._directions[item]).sum(-1)
        if draw is None:
            return 1 - score, score
        targets, weights = self._padded
        seen = targets[item[:, None], draw]  # (b, d, e)
        share = weights[item[:, None], draw]
        cosine = (seen * features[:, None]).sum(-1)
        return 1 - (cosine * share).sum(-1) / share.abs().sum(-1), score.detach()

    def features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of prompts (b, l, w)."""
        return self.reader.features(embeddings)

    def rate(self, features: Tensor, items: Sequence[int]) -> Tensor:
        """Scores (len(items), b) of prompts by their features (b, e), for several items."""
        return self._directions[list(items)] @ features.T

    def targets(self, item: int) -> int:
        """How many targets an item has."""
        return len(self.items[item].weights)

    def text_scores(self, texts: Sequence[str], items: Sequence[int]) -> list[float]:
        """Scores of typed texts by the reader's whole forward."""
        features = self.reader.encode_text(texts)
        return (features * self._directions[list(items)]).sum(-1).tolist()
