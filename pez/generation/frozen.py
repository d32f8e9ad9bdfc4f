"""Drawing within a mask where diffusers has no pipeline for it.

Its inpainting knows latents of 4 channels. The same is done here for any number: after each step
the latents outside the mask become those of the given picture, as noisy as the next step expects
(Lugmayr et al. 2022, without resampling).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


class Frozen:
    """The part of a batch that stays: a picture, a mask that is white where it is redrawn, and the
    noise of each seed.
    """

    def __init__(
        self, pipe: Any, picture: Image.Image, mask: Image.Image, seeds: Sequence[int]
    ) -> None:
        coder = pipe.vae
        pixels = pipe.image_processor.preprocess(picture).to(coder.device, coder.dtype)
        found: Any = coder.encode(pixels)
        latents = found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents
        shift = getattr(coder.config, "shift_factor", None) or 0.0
        self._clean: Tensor = (latents - shift) * coder.config.scaling_factor
        shape = self._clean.shape[1:]
        noise = [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
        self._noise = torch.stack(noise).to(self._clean)
        white = torch.from_numpy(np.asarray(mask.convert("L"), dtype=np.float32) / 255)
        # a place of which any pixel is redrawn is redrawn
        self._free = F.adaptive_max_pool2d(white[None, None], shape[1:]).to(self._clean)

    def after_step(self, scheduler: Any, time: Tensor | int, latents: Tensor) -> Tensor:
        """Latents (b, c, h, w) after the step at ``time`` with the frozen part as it was."""
        times = scheduler.timesteps
        place = int((times == time).nonzero()[-1]) + 1
        kept = self._clean.expand_as(latents)
        if place < len(times):
            ahead = times[place : place + 1].expand(len(latents))
            kept = scheduler.add_noise(kept, self._noise, ahead)
        return (self._free * latents + (1 - self._free) * kept).to(latents)
