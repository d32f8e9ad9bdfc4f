"""ComfyUI's pictures and masks as pez takes them, and back."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.sources import read_source

COVERED = 0.5  # of a mask: from here on a place belongs to what is searched for


def pictures_of(images: Tensor, mask: Tensor | None = None) -> list[Image.Image]:
    """ComfyUI's IMAGE (b, h, w, 1, 3 or 4), floats from 0 to 1, as pictures.

    Of a MASK (b or 1, h, w) the part from 0.5 on counts: the picture is cut to it, and white
    around it. A mask of another size is scaled. PezError for a mask that covers nothing, and for
    a number of masks that does not fit.
    """
    if images.ndim != 4:
        raise PezError(f"images has the shape {tuple(images.shape)}; connect an IMAGE.")
    batch = images.detach().float().cpu().clamp(0, 1)  # clamp keeps NaN, which is then refused
    if mask is None:
        return [read_source(one.numpy()) for one in batch]
    masks = mask.detach().float().cpu()
    masks = masks[None] if masks.ndim == 2 else masks
    if len(masks) not in (1, len(batch)):
        raise PezError(
            f"there are {len(masks)} masks for {len(batch)} images; give one, or one for each."
        )
    size = (batch.shape[1], batch.shape[2])
    if tuple(masks.shape[1:]) != size:
        masks = torch.nn.functional.interpolate(masks[:, None], size, mode="bilinear")[:, 0]
    return [_cut(one, own) for one, own in zip(batch, masks.expand(len(batch), *size), strict=True)]


def _cut(image: Tensor, mask: Tensor) -> Image.Image:
    """What the mask (h, w) covers of an image (h, w, c), on white."""
    covered = mask >= COVERED
    if not bool(covered.any()):
        raise PezError("the mask covers nothing; paint on what to describe, or disconnect mask.")
    rows, columns = covered.any(1).nonzero(), covered.any(0).nonzero()
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    colours = image[..., :1].expand(-1, -1, 3) if image.shape[-1] == 1 else image[..., :3]
    alpha = covered.float()[..., None]
    whole = torch.cat((colours, alpha * image[..., 3:] if image.shape[-1] == 4 else alpha), -1)
    return read_source(whole[top:bottom, left:right].numpy())


def image_of(picture: Image.Image) -> Tensor:
    """A picture as ComfyUI's IMAGE (1, h, w, 3), floats from 0 to 1."""
    values = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(values)[None]
