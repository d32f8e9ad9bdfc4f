"""Language models beside the search: captions of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from pez.models.pretrained import open_pretrained


@dataclass(frozen=True, eq=False)
class Captioner:
    """An image-to-text model of transformers."""

    model: Any
    processor: Any
    device: torch.device

    @torch.no_grad()
    def captions(self, pictures: Sequence[Image.Image], most: int = 40) -> list[str]:
        """What it says of each picture, by its most likely words."""
        inputs = self.processor(images=list(pictures), return_tensors="pt").to(self.device)
        ids = self.model.generate(
            **inputs, max_new_tokens=most, do_sample=False, trust_remote_code=False
        )
        texts = self.processor.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]


def open_captioner(name: str, device: str = "auto") -> Captioner:
    """A captioner by its id or folder. PezError if it is not available."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model, processor, where = open_pretrained(
        name, device, AutoModelForImageTextToText, AutoProcessor
    )
    return Captioner(model, processor, where)
