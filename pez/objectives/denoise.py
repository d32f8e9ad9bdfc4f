"""How well a prompt helps a diffusion model to denoise the target picture.

Mahajan, Rahman, Yi, Sigal, "Prompting Hard or Hardly Prompting: Prompt Inversion for
Text-to-Image Diffusion Models" (PH2P), CVPR 2024: the model's own training loss (Ho et al. 2020,
Equation 14; Rombach et al. 2022, Equation 2), for prompts P and a picture's latents z,

    L(P) = E over t, noise of || target - unet(sqrt(a_t) z + sqrt(1 - a_t) noise, t, P) ||^2,

at late, noisy timesteps only, which decide what is drawn. The target is the noise, or
what the pipeline's ``prediction_type`` says. The paper draws t and noise anew at each step (its
code: t between 500 and 900 of 1,000); here a few pairs are fixed, the same for all prompts,
so that scores are comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from pez.errors import PezError
from pez.models.diffusion import Denoiser, load_denoiser
from pez.objectives.match import Targets
from pez.options import SearchOptions


@dataclass(frozen=True, eq=False)
class Denoise:
    """Score = -loss, the mean squared error over an item's pictures (by weight), timesteps and
    noises. Each noisy picture counts as one target; a method may see only some of them at
    each step. Reading a prompt costs one pass of the text encoder and one of the U-Net for each
    noisy picture; passes are counted by prompts.
    """

    reads_pipeline: ClassVar[bool] = True
    reads_language: ClassVar[bool] = False

    reader: Denoiser
    items: list[Targets]
    noises: int = 4  # pairs of timestep and noise for each picture
    late: tuple[float, float] = (0.5, 0.9)  # share of the timesteps, the last being pure noise

    @classmethod
    def open(cls, options: SearchOptions) -> Denoiser:
        """The pipeline that ``options`` name with ``--for``. PezError if they name none."""
        if options.model or not options.generator:
            name = options.objective
            raise PezError(f"--objective {name} reads with a pipeline; give --for mini-sd or sd15.")
        return load_denoiser(options.generator, options.device, options.dtype)

    @property
    def batch(self) -> int:
        """Prompts that may be read at once: those whose noisy pictures take 4 GB."""
        bytes_a_prompt = self.reader.bytes_per_row(0) * self.noises
        return max(1, min(512, (4 << 30) // bytes_a_prompt))

    @cached_property
    def _pictures(self) -> list[Tensor]:
        """Latents (t, c, h, w) of each item."""
        return [t.features.unflatten(1, self.shape) for t in self.items]

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Of latents: (c, h, w)."""
        return self.reader.latent_shape

    @cached_property
    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Timesteps (n,), evenly spread over the late ones, and noises (n, c, h, w)."""
        low, high = self.late
        share = (torch.arange(self.noises) + 0.5) / self.noises
        steps = self.reader.scheduler.config.num_train_timesteps
        times = ((low + (high - low) * share) * steps).long()
        noise = torch.randn(self.noises, *self.shape, generator=torch.Generator().manual_seed(0))
        device = self.reader.table.device
        return times.to(device), noise.to(device)

    @property
    def linear(self) -> bool:
        """Errors of a U-Net are not."""
        return False

    def __call__(
        self, embeddings: Tensor, item: Tensor, draw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss (b,) and score (b,) of prompts (b, l, w): :class:`pez.search.problem.Objective`."""
        context = self.features(embeddings)
        items = item.tolist()
        if draw is None:
            loss = self._loss(context, items)
            return loss, -loss
        with torch.no_grad():
            score = -self._loss(context.detach(), items)
        return self._loss(context, items, draw.tolist()), score

    def _loss(
        self, context: Tensor, items: Sequence[int], seen: Sequence[Sequence[int]] | None = None
    ) -> Tensor:
        """Loss (b,) of prompts by their ``context`` (b, e), each over its item's noisy pictures,
        or over those of them that are ``seen``.
        """
        times, noises = self._pairs
        owner, weight, clean, pair = [], [], [], []
        for row, n in enumerate(items):
            weights = self.items[n].normalised().tolist()
            places = range(self.targets(n)) if seen is None else seen[row]
            listed = [weights[place // self.noises] for place in places]
            owner += [row] * len(listed)
            weight += [w / sum(listed) for w in listed]
            clean += [self._pictures[n][place // self.noises] for place in places]
            pair += [place % self.noises for place in places]
        error = self._errors(context[owner], torch.stack(clean), times[pair], noises[pair])
        share = error * torch.tensor(weight, device=error.device)
        return torch.zeros(len(items), device=error.device).index_add(
            0, torch.tensor(owner, device=error.device), share
        )

    def _errors(self, context: Tensor, clean: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """Mean squared errors (r,) for latents ``clean`` (r, c, h, w) with ``noise`` on them at
        ``times`` (r,), each before its ``context`` (r, e).
        """
        scheduler: Any = self.reader.scheduler
        noisy = scheduler.add_noise(clean, noise, times)
        said = self.reader.predict(noisy, times, context)
        kind = scheduler.config.prediction_type
        if kind == "v_prediction":
            wanted = scheduler.get_velocity(clean, noise, times)
        else:
            wanted = clean if kind == "sample" else noise
        return (said - wanted).square().flatten(1).mean(1)

    def features(self, embeddings: Tensor) -> Tensor:
        """What the U-Net attends to (b, e) for prompts (b, l, w)."""
        return self.reader.features(embeddings)

    @torch.no_grad()
    def rate(self, features: Tensor, items: Sequence[int]) -> Tensor:
        """Scores (len(items), b) of prompts by their features (b, e): unlike a cosine, as
        expensive for each item as reading them anew.
        """
        chunks = features.split(self.batch)
        rows = [torch.cat([-self._loss(some, [n] * len(some)) for some in chunks]) for n in items]
        return torch.stack(rows)

    def targets(self, item: int) -> int:
        """Noisy pictures of an item."""
        return len(self.items[item].weights) * self.noises

    @torch.no_grad()
    def text_scores(self, texts: Sequence[str], items: Sequence[int]) -> list[float]:
        """Scores of typed texts, by the pipeline's own tokenizer and whole forward."""
        out: list[float] = []
        for start in range(0, len(texts), self.batch):
            some = slice(start, start + self.batch)
            out += (-self._loss(self.reader.encode_text(texts[some]), items[some])).tolist()
        return out
