"""Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.evaluation.judges.judge import Judge
from pez.models.devices import pick_device
from pez.models.failures import loading_error

NETS = ("alex", "vgg", "squeeze")
SIDE = 256  # both pictures' width and height, as they are compared place by place


@dataclass(frozen=True, eq=False)
class Lpips(Judge):
    """1 - distance, as torchmetrics has it. ``net`` maps two batches (n, 3, h, w) of -1 to 1
    to (n,).
    """

    net: Any
    device: torch.device

    measure = "1 − LPIPS distance"
    needs = ("torchmetrics",)

    @classmethod
    def check(cls, weights: str) -> None:
        """The features are those of one of ``NETS``."""
        if weights not in ("", *NETS):
            raise PezError(
                f"unknown judge 'lpips:{weights}'; there are lpips:alex, :vgg and :squeeze."
            )

    @classmethod
    def open(cls, weights: str, device: str, dtype: str) -> Self:
        """LPIPS with the features ``weights``, those of AlexNet by default; always in float32."""
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        net, where = weights or NETS[0], pick_device(device)
        try:
            _fetch(net)
            made = LearnedPerceptualImagePatchSimilarity(net_type=net)  # type: ignore[arg-type]
        except Exception as error:  # torch fetches the features' weights
            raise loading_error(f"lpips:{net}", error) from error
        return cls(made.net.eval().requires_grad_(False).to(where), where)

    @classmethod
    def offline(cls, weights: str) -> bool:
        """Never: torchvision fetches the features once."""
        return False

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


def _fetch(net: str) -> None:
    """Fetch the weights of the features once, and read them as weights alone: torchvision,
    which reads them next, would unpickle whatever is in its cache.
    """
    from torchvision import models

    known = {
        "alex": models.AlexNet_Weights.IMAGENET1K_V1,
        "vgg": models.VGG16_Weights.IMAGENET1K_V1,
        "squeeze": models.SqueezeNet1_1_Weights.IMAGENET1K_V1,
    }
    known[net].get_state_dict(progress=False, check_hash=True, weights_only=True)
