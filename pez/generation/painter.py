"""Draws pictures of prompts, each from a seed of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.generation.options import GenerateOptions

Progress = Callable[[int, int], None]  # steps done and steps in all
Done = Callable[[int, Image.Image], None]


@dataclass(eq=False)
class Painter:
    """A loaded generator. ``settings`` records what decides its pictures besides prompt and seed."""

    name: str
    pipe: Any
    options: GenerateOptions
    settings: dict[str, Any] = field(default_factory=dict)

    def paint(
        self,
        prompts: Sequence[str | Tensor],
        seeds: Sequence[int],
        *,
        progress: Progress | None = None,
        done: Done | None = None,
    ) -> list[Image.Image]:
        """One picture for each pair of a prompt and a seed.

        ``done`` gets each picture as soon as it is there. A picture depends on its own prompt
        and seed alone (up to rounding, whatever is drawn beside it).
        """
        if len(prompts) != len(seeds):
            raise PezError(f"there are {len(prompts)} prompts but {len(seeds)} seeds.")
        pictures: list[Image.Image] = []
        rows, start = self.options.rows or self._rows(), 0
        while start < len(prompts):
            end = min(start + rows, len(prompts))
            try:
                drawn = self._draw(prompts[start:end], seeds[start:end])
            except torch.cuda.OutOfMemoryError:
                rows = (end - start) // 2
                if not rows:
                    raise PezError(f"one picture of {self.name} needs more memory.") from None
                continue
            for n, picture in enumerate(drawn):
                pictures.append(picture)
                if done:
                    done(start + n, picture)
            start = end
        return pictures

    def _rows(self) -> int:
        return 8

    def _draw(self, prompts: Sequence[str | Tensor], seeds: Sequence[int]) -> list[Image.Image]:
        call: dict[str, Any] = {"prompt": list(prompts)}
        if self.options.negative:
            call["negative_prompt"] = [self.options.negative] * len(prompts)
        numbers = {
            "num_inference_steps": self.options.steps,
            "width": self.options.width,
            "height": self.options.height,
        }
        call |= {k: v for k, v in numbers.items() if v}
        if self.options.guidance >= 0:
            call["guidance_scale"] = self.options.guidance
        takes = inspect.signature(self.pipe.__call__).parameters
        call = {k: v for k, v in call.items() if k in takes}
        call["generator"] = [torch.Generator().manual_seed(seed) for seed in seeds]
        with torch.inference_mode():
            return list(self.pipe(**call).images)
