"""Who compares pictures: ``name`` is a CLIP, ``dino``, ``dino:ID``, ``lpips`` or ``lpips:NET``.

CLIP gives the cosine of two pictures' features, the CLIP score of Wen et al. 2023, and
the cosine of a text and a picture; DINO the cosine of its class tokens; LPIPS 1 - distance, so
that more is better for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.evaluation.plan import JUDGE
from pez.images import read_image
from pez.models import Reader, load_model
from pez.models.devices import pick_device
from pez.models.failures import loading_error
from pez.models.hub import open_pretrained

DINO = "facebook/dinov2-small"
SIDE = 256  # both pictures' width and height for LPIPS, which compares place by place


class Judge(Protocol):
    """Compares pictures."""

    def similarities(
        self, originals: Sequence[Image.Image], pictures: Sequence[Image.Image]
    ) -> list[float]:
        """How like each picture is to its original; 1 for the same one."""
        ...


def open_judge(name: str, device: str = "auto", dtype: str = "float32") -> Judge:
    """The judge ``name``. PezError if it is unknown or its weights cannot be had."""
    family, _, rest = name.partition(":")
    if family == "dino":
        return open_dino(rest or DINO, device)
    if family == "lpips":
        return open_lpips(rest or "alex", device)
    return ClipJudge(load_model(name, device, dtype))


def similarity(one: object, other: object, *, judge: str = "", device: str = "auto") -> float:
    """How like two pictures are (paths, addresses or PIL pictures) under a judge.

    ``judge`` is a CLIP's name, ``dino``, ``dino:ID`` or ``lpips``; "" is the paper's ViT-g-14.
    PezError for pictures that cannot be read and weights that cannot be had.
    """
    pictures = [read_image(source) for source in (one, other)]  # type: ignore[arg-type]
    opened = open_judge(judge or JUDGE, device)
    return opened.similarities(pictures[:1], pictures[1:])[0]


@dataclass(frozen=True, eq=False)
class ClipJudge:
    """A CLIP as a judge of pictures and texts."""

    reader: Reader

    def similarities(
        self, originals: Sequence[Image.Image], pictures: Sequence[Image.Image]
    ) -> list[float]:
        """Cosines of the features of pairs."""
        features = self.reader.encode_images([*originals, *pictures])
        return _cosines(*features.split(len(pictures)))

    def text_scores(self, originals: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        """Cosine of each prompt with its original."""
        return _cosines(self.reader.encode_text(prompts), self.reader.encode_images(originals))

    def between_texts(self, ones: Sequence[str], others: Sequence[str]) -> list[float]:
        """Cosines of pairs of texts."""
        return _cosines(self.reader.encode_text(ones), self.reader.encode_text(others))


@dataclass(frozen=True, eq=False)
class Dino:
    """A vision transformer trained without texts (Caron et al. 2021, Oquab et al. 2023)."""

    model: Any
    processor: Any
    device: torch.device

    def similarities(
        self, originals: Sequence[Image.Image], pictures: Sequence[Image.Image]
    ) -> list[float]:
        """Cosines of the class tokens of pairs."""
        return _cosines(self._features(originals), self._features(pictures))

    @torch.no_grad()
    def _features(self, pictures: Sequence[Image.Image]) -> Tensor:
        pixels = self.processor(images=list(pictures), return_tensors="pt")["pixel_values"]
        tokens = self.model(pixel_values=pixels.to(self.device)).last_hidden_state
        return F.normalize(tokens[:, 0].float(), dim=-1)


@dataclass(frozen=True, eq=False)
class Lpips:
    """Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric", as torchmetrics has it. ``net`` maps two batches (n, 3, h, w) of -1 to 1 to (n,).
    """

    net: Any
    device: torch.device

    @torch.no_grad()
    def similarities(
        self, originals: Sequence[Image.Image], pictures: Sequence[Image.Image]
    ) -> list[float]:
        """1 - distance of pairs, both scaled to the same square."""
        one, two = (self._pixels(batch) for batch in (originals, pictures))
        return (1 - self.net(one, two).flatten()).tolist()

    def _pixels(self, pictures: Sequence[Image.Image]) -> Tensor:
        from torchvision.transforms.functional import pil_to_tensor

        sized = [p.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC) for p in pictures]
        return torch.stack([pil_to_tensor(p) for p in sized]).to(self.device) / 127.5 - 1


def open_dino(name: str, device: str = "auto") -> Dino:
    """A DINO of transformers by its id or folder."""
    from transformers import AutoImageProcessor, AutoModel

    model, processor, where = open_pretrained(
        name, device, AutoModel, AutoImageProcessor, f"dino:{name}"
    )
    return Dino(model, processor, where)


def open_lpips(net: str, device: str = "auto") -> Lpips:
    """LPIPS with its ``alex``, ``vgg`` or ``squeeze`` features."""
    if net not in ("alex", "vgg", "squeeze"):
        raise PezError(f"unknown judge 'lpips:{net}'; there are lpips:alex, :vgg and :squeeze.")
    where = pick_device(device)
    try:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    except ImportError:
        raise PezError("lpips needs torchmetrics; pip install 'pez-prompts[eval]'.") from None
    try:
        made = LearnedPerceptualImagePatchSimilarity(net_type=net)  # type: ignore[arg-type]
    except Exception as error:  # torchvision fetches the features' weights
        raise loading_error(f"lpips:{net}", error) from error
    return Lpips(made.net.eval().requires_grad_(False).to(where), where)


def _cosines(one: Tensor, two: Tensor) -> list[float]:
    return (one * two).sum(-1).tolist()
