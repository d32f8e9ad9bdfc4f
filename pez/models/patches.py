"""A linear autoencoder of picture patches: the latent space of the small shipped pipeline.

Each 8 x 8 patch is one latent place; its channels are the patch's principal components (Pearson
1901). It needs no training and no more than two matrix products, which leaves all of a small
pipeline's budget to the U-Net. It answers as diffusers' own autoencoders do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Pictures (b, 3, h, w) in -1 to 1 <-> latents (b, c, h/8, w/8)."""

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 32,
        scaling_factor: float = 1.0,
        block_out_channels: tuple[int, ...] = (3, 3, 3, 3),  # tells pipelines the factor, 8
    ) -> None:
        super().__init__()
        self.side = 2 ** (len(block_out_channels) - 1)
        size = 3 * self.side**2
        self.mean = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.down = nn.Parameter(torch.zeros(latent_channels, size), requires_grad=False)
        self.up = nn.Parameter(torch.zeros(size, latent_channels), requires_grad=False)

    @classmethod
    def fit(cls, pictures: Tensor, channels: int = 32) -> PatchAutoencoder:
        """Principal components of the patches of ``pictures`` (n, 3, h, w).

        A component is divided by the root of its deviation, so that fine detail is neither
        lost nor as strong as coarse structure; then all are scaled to a mean variance of 1.
        """
        model = cls(channels)
        patches = F.pixel_unshuffle(pictures, model.side).movedim(1, -1).flatten(0, -2).double()
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
        basis = vectors.flip(1)[:, :channels]
        deviation = values.flip(0)[:channels].sqrt()
        weight = deviation.rsqrt() / deviation.mean().sqrt()
        model.mean.copy_(mean.float())
        model.down.copy_((basis * weight).T.float())
        model.up.copy_((basis / weight).float())
        return model

    def encode(self, x: Tensor, return_dict: bool = True) -> AutoencoderTinyOutput | tuple[Tensor]:
        """Latents of pictures (b, 3, h, w)."""
        patches = F.pixel_unshuffle(x, self.side).movedim(1, -1)
        z = ((patches - self.mean) @ self.down.T).movedim(-1, 1).contiguous()
        return AutoencoderTinyOutput(z) if return_dict else (z,)

    def decode(
        self, z: Tensor, return_dict: bool = True, generator: torch.Generator | None = None
    ) -> DecoderOutput | tuple[Tensor]:
        """Pictures of latents (b, c, h, w)."""
        patches = z.movedim(1, -1) @ self.up.T + self.mean
        x = F.pixel_shuffle(patches.movedim(-1, 1), self.side)
        return DecoderOutput(x) if return_dict else (x,)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode."""
        return self.decode(self.encode(x)[0])[0]
