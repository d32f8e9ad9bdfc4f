"""A drawing between its steps: previews, and another prompt or guidance from the next step on.

diffusers' pipelines hand their tensors to a callback after each step and go on with what it
returns. Stable Diffusion 1 to 3 and SDXL read prompt and guidance anew at each step, so that both
can change there; other pipelines would take a change and ignore it, so it is refused.
"""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.generation.encoded import Encoded
from pez.generation.encoding import Encoding

Show = Callable[[list[Image.Image]], None]
PREVIEW_SHARE = 0.2  # of the time, at most, goes into previews
_POOLED = ("add_text_embeds", "pooled_prompt_embeds")  # of SDXL, of SD 3
_NAMES = ("latents", "prompt_embeds", *_POOLED)
_LEAST = 1 + 1e-6  # a guidance above 1, as pipelines drop the half of the batch that it needs


@dataclass(frozen=True)
class Change:
    """What holds after ``step`` steps: a prompt, and a guidance; None for those before."""

    step: int
    prompt: str | None = None
    guidance: float | None = None


@dataclass(eq=False)
class Midway:
    """Follows a drawing. ``show`` receives a preview of all pictures of a batch every few steps.
    Where ``halted`` says so, ``wait`` is called after the step and its preview, before changes are
    made. ``changes`` are those made so far, which each batch takes at the same steps, so that a
    picture does not depend on its batch. ``refused`` says why others were not made.
    """

    show: Show | None = None
    halted: Callable[[], bool] = lambda: False
    wait: Callable[[], None] = lambda: None
    changes: list[Change] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _moving: bool = False  # the prompts drawn change by themselves, or are sums
    _asked: tuple[str | None, float | None] | None = None
    _clean: Tensor | None = None  # the finished latents as the last step foresaw them
    _size: tuple[int, int] = (0, 0)  # width and height in pixels
    _again: float = 0.0  # when the next preview is due

    def change(self, prompt: str | None = None, guidance: float | None = None) -> None:
        """Ask for another prompt or guidance from the next step on. Any thread may ask."""
        before = self._asked or (None, None)
        self._asked = (
            before[0] if prompt is None else prompt,
            before[1] if guidance is None else guidance,
        )

    @contextmanager
    def watching(
        self, pipe: Any, moving: bool = False, size: tuple[int, int] = (0, 0)
    ) -> Iterator[dict[str, Any]]:
        """Within, steps of ``pipe`` are seen; more arguments of its call. ``moving`` prompts, which
        change by themselves or are sums, take no other prompt. ``size`` is the pictures' width and
        height in pixels, which packed latents do not tell.
        """
        self._moving, self._size = moving, size
        known = getattr(pipe, "_callback_tensor_inputs", ["latents"])
        scheduler, step = pipe.scheduler, pipe.scheduler.step

        @functools.wraps(step)  # pipelines look at its parameters
        def seen(*args: Any, **more: Any) -> Any:
            found = step(*args, **more)
            pair = isinstance(found, tuple) and len(found) == 2
            self._clean = found[1] if pair else _foreseen(scheduler, *args[:3])
            return found

        scheduler.step = seen
        try:
            yield {"callback_on_step_end_tensor_inputs": [n for n in _NAMES if n in known]}
        finally:
            del scheduler.step
            self._clean = None

    def after_step(
        self,
        pipe: Any,
        encoding: Encoding,
        done: int,
        tensors: dict[str, Any],
        finish: Callable[[Image.Image], Image.Image],
    ) -> dict[str, Any]:
        """The tensors to go on with after ``done`` steps; previews pass through ``finish``."""
        if done == pipe.num_timesteps:
            return tensors
        halts = self.halted()
        if self.show and (halts or time.monotonic() >= self._again):
            self._preview(self.show, pipe, tensors["latents"], finish)
        if halts:
            self.wait()
        if self._asked:
            (prompt, guidance), self._asked = self._asked, None
            self._take(pipe, encoding, Change(done, prompt, guidance), tensors)
        for change in self.changes:
            if change.step == done:
                tensors = self._changed(pipe, encoding, change, tensors)
        return tensors

    def _preview(
        self, show: Show, pipe: Any, latents: Tensor, finish: Callable[[Image.Image], Image.Image]
    ) -> None:
        begin = time.monotonic()
        if pictures := preview(pipe, latents if self._clean is None else self._clean, self._size):
            show([finish(picture) for picture in pictures])
        end = time.monotonic()
        self._again = end + (end - begin) * (1 / PREVIEW_SHARE - 1)

    def _take(self, pipe: Any, encoding: Encoding, change: Change, tensors: dict[str, Any]) -> None:
        try:
            self._changed(pipe, encoding, change, dict(tensors))
            self.changes.append(change)
        except PezError as error:
            self.refused.append(str(error))

    def _changed(
        self, pipe: Any, encoding: Encoding, change: Change, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        if self._moving and change.prompt is not None:
            raise PezError(
                "this prompt has a text of its own for each step, or is a sum; draw another anew."
            )
        return _changed(pipe, encoding, change, tensors)


def own_state(pipe: Any) -> Any:
    """The same models with a state and a sampler of their own: a drawing can wait between two
    steps while others draw.
    """
    own = copy.copy(pipe)
    own.scheduler = copy.deepcopy(pipe.scheduler)
    return own


def _foreseen(scheduler: Any, flow: Any = None, _time: Any = None, sample: Any = None) -> Any:
    """The finished latents as a step of Euler's sampler for flow matching foresees them: a straight
    line along the flow from where it was (Lipman et al. 2023); None for samplers of other kinds.
    """
    at = getattr(scheduler, "step_index", None)
    if type(scheduler).__name__ != "FlowMatchEulerDiscreteScheduler" or not at or sample is None:
        return None
    return (sample - scheduler.sigmas[at - 1].to(sample.device) * flow).to(sample.dtype)


@torch.no_grad()
def preview(pipe: Any, latents: Tensor, size: tuple[int, int] = (0, 0)) -> list[Image.Image]:
    """Pictures of latents (b, c, h, w), or of those that FLUX packs, (b, patches, 4 c), whose
    pictures have a ``size`` (width, height); none where a pipeline packs them otherwise.
    """
    coder = getattr(pipe, "vae", None)
    if coder is None:
        return []
    unpack = getattr(pipe, "_unpack_latents", None)
    if latents.ndim == 3 and unpack:
        scale = pipe.vae_scale_factor
        width, height = (side // (2 * scale) for side in size)
        if width * height != latents.shape[1]:
            return []
        latents = unpack(latents, size[1], size[0], scale)
    if latents.ndim != 4 or latents.shape[1] != coder.config.get("latent_channels"):
        return []
    shift = getattr(coder.config, "shift_factor", None) or 0.0
    half = coder.dtype == torch.float16 and coder.config.get("force_upcast", False)
    if half:  # SDXL's leaves the range of float16
        coder.to(torch.float32)
    try:
        scaled = (latents.to(coder.dtype) / coder.config.scaling_factor) + shift
        pixels = coder.decode(scaled, return_dict=False)[0]
    finally:
        if half:
            coder.to(torch.float16)
    return pipe.image_processor.postprocess(pixels.nan_to_num(), output_type="pil")


def _changed(
    pipe: Any, encoding: Encoding, change: Change, tensors: dict[str, Any]
) -> dict[str, Any]:
    """The tensors with a change of the prompt; the pipeline takes a change of guidance itself."""
    name = type(pipe).__name__
    before = tensors.get("prompt_embeds")
    net = getattr(pipe, "unet", None)
    fixed = net is not None and net.config.get("time_cond_proj_dim")
    if before is None or fixed or not name.startswith("StableDiffusion"):
        raise PezError(f"{name} cannot change prompt or guidance midway; draw anew.")
    rows = len(tensors["latents"])
    doubled = len(before) == 2 * rows
    if change.prompt is not None:
        new = encoding.encoded(change.prompt)
        pooled = next((n for n in _POOLED if n in tensors), "")
        if (new.pooled is None) == bool(pooled):
            raise PezError(f"{name} cannot change its prompt midway; draw anew.")
        tensors["prompt_embeds"] = _rows(new, rows, doubled).to(before)
        if new.pooled is not None and new.negative_pooled is not None:
            parts = Encoded(new.pooled, new.negative_pooled)
            tensors[pooled] = _rows(parts, rows, doubled).to(tensors[pooled])
    if change.guidance is not None:
        if not doubled and change.guidance > 1:
            raise PezError(
                "this drawing began without guidance and cannot take one midway; draw anew."
            )
        if doubled:
            pipe._guidance_scale = max(change.guidance, _LEAST)
    return tensors


def _rows(read: Encoded, rows: int, doubled: bool) -> Tensor:
    """A prompt's reading for each row, behind that of the negative one where both are read."""
    parts: Sequence[Tensor] = [read.negative] * rows * doubled + [read.prompt] * rows
    return torch.cat(list(parts))
