"""A vision transformer trained without texts (Caron et al. 2021, Oquab et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pez.evaluation.judges.judge import Judge, cosines
from pez.models.identity import is_on_disk
from pez.models.pretrained import open_pretrained

DINO = "facebook/dinov2-small"


@dataclass(frozen=True, eq=False)
class Dino(Judge):
    """Cosines of class tokens, of a model of transformers by its id or folder."""

    model: Any
    processor: Any
    device: torch.device

    @classmethod
    def open(cls, weights: str, device: str, dtype: str) -> Self:
        """Always in float32."""
        return cls(*_load(weights or DINO, device))

    @classmethod
    def weights(cls, weights: str) -> str:
        """The id or folder."""
        return weights or DINO

    @classmethod
    def offline(cls, weights: str) -> bool:
        """Weights in a folder."""
        return is_on_disk(weights or DINO)

    def similarities(
        self, originals: Sequence[Image.Image], pictures: Sequence[Image.Image]
    ) -> list[float]:
        """Cosines of the class tokens of pairs."""
        return cosines(self._features(originals), self._features(pictures))

    @torch.no_grad()
    def _features(self, pictures: Sequence[Image.Image]) -> Tensor:
        pixels = self.processor(images=list(pictures), return_tensors="pt")["pixel_values"]
        tokens = self.model(pixel_values=pixels.to(self.device)).last_hidden_state
        return F.normalize(tokens[:, 0].float(), dim=-1)


def _load(name: str, device: str) -> tuple[Any, Any, torch.device]:
    """Model, processor and their location. PezError if they are not available."""
    from transformers import AutoImageProcessor, AutoModel

    return open_pretrained(name, device, AutoModel, AutoImageProcessor, f"dino:{name}")
