"""Draws pictures of prompts, each from its own seed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.generation.changing import changing
from pez.generation.encoded import Course, Encoded, as_call
from pez.generation.encoding import Encoding
from pez.generation.frozen import Frozen
from pez.generation.midway import Midway
from pez.generation.options import GenerateOptions
from pez.generation.reading import Read, Reading
from pez.generation.steering import Steering, steering
from pez.generation.wildcards import drawn_by_lot
from pez.models.devices import available_memory

Progress = Callable[[int, int], None]  # steps done and steps in all
Done = Callable[[int, Image.Image], None]  # place of the pair, its picture
Warn = Callable[[str], None]
Spoilt = Callable[[int, str], None]  # place of the pair, and why it has no picture
MOST_ROWS = 64
_SIZE = {"width", "height"}  # given pictures are brought to it
_FLAGS = {
    "num_inference_steps": "--steps",
    "width": "--width",
    "height": "--height",
    "strength": "--strength",
    "controlnet_conditioning_scale": "--control-scale",
}


@dataclass(eq=False)
class Painter:
    """A loaded generator.

    ``settings`` record what decides its pictures besides prompt and seed; ``pictures`` are
    what it starts from (image, mask) and follows (control); ``words`` stand for the loaded
    textual inversions in prompts.
    """

    name: str
    pipe: Any
    options: GenerateOptions
    encoding: Encoding
    settings: dict[str, Any]
    pictures: dict[str, Image.Image] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    @torch.no_grad()
    def paint(
        self,
        prompts: Sequence[str | Tensor],
        seeds: Sequence[int],
        *,
        progress: Progress | None = None,
        done: Done | None = None,
        spoilt: Spoilt | None = None,
        warn: Warn | None = None,
        midway: Midway | None = None,
    ) -> list[Image.Image]:
        """One picture for each pair of a prompt and a seed.

        A prompt is a text or token embeddings (k, w). ``done`` receives each picture as soon as it
        is finished, ``spoilt`` why there is none: a safety checker blackened it, or the generator
        computed no numbers (NaN). Without ``spoilt`` these raise PezError. ``warn`` is told what of
        a prompt is read otherwise than it may be meant. ``midway`` sees each step and may change
        prompt and guidance from there on, for all pictures. A picture depends only on its own
        prompt and seed, up to rounding, whatever else is in the batch. Raises PezError for what the
        generator cannot read or draw.
        """
        if len(prompts) != len(seeds):
            raise PezError(f"there are {len(prompts)} prompts but {len(seeds)} seeds.")
        pictures: list[Image.Image] = []
        rows = self.options.rows or self._rows()
        read = Reading(self.encoding, list(map(self.said, prompts, seeds)), self._steps)
        while len(pictures) < len(prompts):
            start = len(pictures)
            batch = read.batch(start, rows)
            for said in self.encoding.take_remarks():
                if warn:
                    warn(said)
            try:
                drawn = self._draw(
                    batch, seeds[start : start + len(batch)], start, len(prompts), progress, midway
                )
            except torch.cuda.OutOfMemoryError:
                rows = len(batch) // 2
                if not rows:
                    raise PezError(
                        f"one picture of {self.name} does not fit into memory; try --offload or "
                        "a smaller --width and --height."
                    ) from None
                torch.cuda.empty_cache()
                continue
            for n, (picture, flaw) in enumerate(drawn, start):
                pictures.append(picture)
                if flaw:
                    why = f"there is no picture of seed {seeds[n]}: {flaw}"
                    if spoilt is None:
                        raise PezError(why)
                    spoilt(n, why)
                elif done:
                    done(n, picture)
        return pictures

    def said(self, prompt: str | Tensor, seed: int) -> str | Tensor:
        """The prompt that is drawn from a seed, without what is left to the lot."""
        if isinstance(prompt, Tensor) or self.options.literal:
            return prompt
        return drawn_by_lot(prompt, seed, self.options.wildcards)

    def _draw(
        self,
        prompts: Sequence[Read],
        seeds: Sequence[int],
        before: int,
        total: int,
        progress: Progress | None,
        midway: Midway | None,
    ) -> list[tuple[Image.Image, str]]:
        """Pictures of prompts of one form, each with what spoilt it, "" for a good one."""
        rows = len(prompts)
        courses = [prompt for prompt in prompts if isinstance(prompt, Course)]

        watched = midway if "callback_on_step_end_tensor_inputs" in self._takes else None
        frozen = self._frozen(seeds)

        def after_step(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            tell(step + 1)
            if progress:
                steps = pipe.num_timesteps
                progress(before * steps + rows * (step + 1), total * steps)
            if frozen:
                kept = frozen.after_step(pipe.scheduler, time, tensors["latents"])
                tensors["latents"] = kept
            if watched:
                return watched.after_step(pipe, self.encoding, step + 1, tensors, self._kept)
            return tensors

        self._check_strength()
        call = self._fixed | self._prompts(prompts)
        call |= {name: [picture] * rows for name, picture in self._given.items()}
        call["generator"] = [torch.Generator().manual_seed(seed) for seed in seeds]
        if "callback_on_step_end" in self._takes:
            call["callback_on_step_end"] = after_step
        elif any(course.changes for course in courses):
            raise PezError(f"{self.name} cannot change a prompt between steps; write one for each.")
        if "output_type" in self._takes:
            call["output_type"] = "np"  # numbers: a PIL image no longer tells NaN from black
        try:
            with (
                changing(self.pipe, courses) as tell,
                watched.watching(self.pipe, bool(courses), self._size)
                if watched
                else nullcontext({}) as more,
            ):
                out = self.pipe(**call, **more)
        except (PezError, MemoryError, torch.cuda.OutOfMemoryError):
            raise
        except Exception as error:  # sizes, parts of other models and more that only it knows
            why = str(error).strip().split("\n")[0][:200] or type(error).__name__
            if self.options.control and not isinstance(error, ValueError):
                why = f"the ControlNet seems to be for another base model ({why})"
            raise PezError(f"{self.name} cannot draw this: {why}") from error
        black = getattr(out, "nsfw_content_detected", None) or [False] * rows
        return [
            (self._kept(as_picture(pixels)), self._flaw(pixels, bool(b)))
            for pixels, b in zip(out.images, black, strict=True)
        ]

    def _flaw(self, pixels: Any, black: bool) -> str:
        """Why pixels are no picture of the prompt; "" if they are."""
        if black:
            return f"{self.name}'s safety checker blackened it; try another --seed."
        if isinstance(pixels, np.ndarray) and not np.isfinite(pixels).all():
            kind = str(self.pipe.dtype).removeprefix("torch.")
            ways = {"float16": "--dtype float32 or bfloat16", "bfloat16": "--dtype float32"}
            way = ways.get(kind, "less --guidance or other settings")
            return f"{self.name} computed no numbers in {kind}; try {way}."
        return ""

    def _prompts(self, prompts: Sequence[Read]) -> dict[str, Any]:
        first = [p.start if isinstance(p, Course) else p for p in prompts]
        encoded = [p for p in first if isinstance(p, Encoded)]
        if encoded:
            return {k: v for k, v in as_call(encoded).items() if k in self._takes}
        call: dict[str, Any] = {"prompt": list(prompts)}
        if self._steering.negative:
            call["negative_prompt"] = [self._steering.negative] * len(prompts)
        return call

    @cached_property
    def _takes(self) -> Mapping[str, inspect.Parameter]:
        """What the pipeline can be called with."""
        return inspect.signature(self.pipe.__call__).parameters

    @cached_property
    def _steering(self) -> Steering:
        """Guidance and negative prompt. PezError for what the pipeline would ignore."""
        return steering(self.pipe, self._takes, self.name, self.options, self.encoding.negative)

    @cached_property
    def _fixed(self) -> dict[str, Any]:
        """The numbers of every call, without those left to the pipeline."""
        own = self.options
        wide, high = own.width, own.height
        if self.pictures:
            wide, high = next(iter(self.pictures.values())).size
        elif wide or high:  # diffusers drops one without the other
            wide, high = wide or self._side, high or self._side
        numbers: dict[str, Any] = {
            "num_inference_steps": own.steps or None,
            "width": wide or None,
            "height": high or None,
            "strength": own.strength or None,
            "controlnet_conditioning_scale": own.control_scale if own.control else None,
        }
        asked = {k: v for k, v in numbers.items() if v is not None}
        for k in asked.keys() - self._takes.keys() - (_SIZE if self.pictures else set()):
            raise PezError(f"{self.name} takes no {_FLAGS[k]}; omit it.")
        return {k: v for k, v in asked.items() if k in self._takes} | self._steering.numbers

    def _check_strength(self) -> None:
        """PezError for a strength that leaves no step: some pipelines fail, some draw noise."""
        strength = self._fixed.get("strength")
        steps = self._all_steps
        if strength is not None and steps and not self._steps:
            least = math.ceil(100 / steps) / 100
            raise PezError(
                f"--strength {strength:g} leaves none of {steps} steps; give {least} or more, or "
                "more --steps."
            )

    @property
    def _all_steps(self) -> int:
        """Denoising steps, those that --strength leaves out too; 0 if only the pipeline knows."""
        usual = self._takes["num_inference_steps"].default
        steps = self._fixed.get("num_inference_steps", usual)
        return steps if isinstance(steps, int) else 0

    @property
    def _steps(self) -> int:
        """Denoising steps that are carried out; with a picture to start from only the last ones."""
        usual = self._takes["strength"].default if "strength" in self._takes else 1.0
        strength = self._fixed.get("strength", usual)
        return int(self._all_steps * strength) if isinstance(strength, float) else self._all_steps

    @property
    def _side(self) -> int:
        """Pixels of the side of what the pipeline draws by itself."""
        net = getattr(self.pipe, "unet", None) or self.pipe.transformer
        side = getattr(net.config, "sample_size", None)
        if not isinstance(side, int):
            side = getattr(self.pipe, "default_sample_size", 128)
        return side * latent_scale(self.pipe)

    @property
    def _size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._fixed.get("width", self._side), self._fixed.get("height", self._side)

    @cached_property
    def _given(self) -> dict[str, Image.Image]:
        """Pictures by the names this pipeline has for them."""
        control = "control_image" if "control_image" in self._takes else "image"
        names = {"image": "image", "mask": "mask_image", "control": control}
        given = {names[kind]: picture for kind, picture in self.pictures.items()}
        if self._freezes:
            del given["mask_image"]
        return given

    @property
    def _freezes(self) -> bool:
        """Whether the mask is ours to keep, as the pipeline knows none."""
        return "mask" in self.pictures and "mask_image" not in self._takes

    def _frozen(self, seeds: Sequence[int]) -> Frozen | None:
        """What of pictures with these seeds stays, where the pipeline does not see to it."""
        if not self._freezes:
            return None
        return Frozen(self.pipe, self.pictures["image"], self.pictures["mask"], seeds)

    def _kept(self, picture: Image.Image) -> Image.Image:
        """With a mask, the drawn part within the given picture, whose other pixels stay exactly."""
        if "mask" not in self.pictures:
            return picture
        return Image.composite(picture, self.pictures["image"], self.pictures["mask"])

    def _rows(self) -> int:
        """How many pictures to try at once: half of the free memory.

        A picture of Stable Diffusion takes about 12 kB per pixel in float32 while it is
        decoded; too large a guess is halved until it fits.
        """
        device = self.pipe._execution_device
        cuda = device.type == "cuda"
        free = torch.cuda.mem_get_info(device)[0] if cuda else available_memory()
        area = math.prod(self._size)
        bytes_a_pixel = 12_000 if self.pipe.dtype == torch.float32 else 6_000
        most = MOST_ROWS if cuda else 8
        return int(max(1, min(most, free // 2 // (area * bytes_a_pixel))))


def latent_scale(pipe: Any) -> int:
    """Pixels of a latent's side; pipelines of several parts do not say it themselves."""
    if (known := getattr(pipe, "vae_scale_factor", None)) is not None:
        return known
    coder = getattr(pipe, "vae", None) or getattr(pipe, "movq", None)
    return 8 if coder is None else 2 ** (len(coder.config.block_out_channels) - 1)


def as_picture(pixels: Any) -> Image.Image:
    """Pixels (h, w, 3) between 0 and 1 as diffusers makes a picture of them; pictures stay."""
    if isinstance(pixels, Image.Image):
        return pixels
    with np.errstate(invalid="ignore"):  # NaN, which is told
        return Image.fromarray((pixels * 255).round().astype(np.uint8))
