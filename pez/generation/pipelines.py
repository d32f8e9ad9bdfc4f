"""From options to a pipeline of diffusers, ready to draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import torch
from PIL import Image

from pez.errors import PezError
from pez.generation.additions import add_embedding, add_loras, set_scheduler
from pez.generation.control import condition, control_model
from pez.generation.encoding import Encoding
from pez.generation.loading import explained
from pez.generation.names import Generator, find_generator, weights_digest
from pez.generation.options import GenerateOptions
from pez.generation.painter import Painter
from pez.images import read_image
from pez.models.devices import pick_device, pick_dtype
from pez.models.hub import split_revision

# pipelines whose activations leave float16's range
_WIDE = ("Flux", "StableDiffusion3")


@dataclass(frozen=True)
class Plan:
    """What will be drawn with, known before anything is loaded.

    ``options`` have the generator's own numbers where none were given; ``settings`` record
    all that decides a picture besides prompt and seed.
    """

    generator: Generator
    options: GenerateOptions
    settings: dict[str, Any]


def make_plan(options: GenerateOptions) -> Plan:
    """The generator of ``options`` and its numbers. PezError for unknown names."""
    generator = find_generator(options.generator)
    own = options
    if not own.steps:
        own = replace(own, steps=generator.steps)
    if own.guidance == -1:
        own = replace(own, guidance=generator.guidance)
    if not (own.image or own.control or own.width or own.height):
        own = replace(own, width=generator.size, height=generator.size)
    usual = GenerateOptions().record()
    always = {"steps", "guidance", "width", "height"}
    settings = {k: v for k, v in own.record().items() if k in always or v != usual.get(k)}
    settings["generator"] = generator.name
    folder = generator.folder
    settings["weights"] = weights_digest(folder) if folder else generator.source
    return Plan(generator, own, settings)


def open_painter(options: GenerateOptions) -> Painter:
    """Load the generator that ``options`` name, with all that is added to it.

    Raises PezError for what is unknown, broken or neither cached nor to be had.
    """
    plan = make_plan(options)
    device, options = pick_device(options.device), plan.options
    pipe = _load(plan, device)
    if options.scheduler:
        set_scheduler(pipe, options.scheduler)
    add_loras(pipe, options.lora)
    words = []
    for source in options.embedding:
        with explained(source):
            words += add_embedding(pipe, source)
    pipe.set_progress_bar_config(disable=True)
    if options.offload and device.type != "cpu":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    encoding = Encoding(pipe, options.negative, options.template, options.literal)
    pictures = _pictures(pipe, plan, device)
    return Painter(plan.generator.name, pipe, options, encoding, plan.settings, pictures, words)


def _load(plan: Plan, device: torch.device) -> Any:
    """The pipeline that the Auto class for the task finds, on the CPU."""
    # diffusers imports no module that a folder names, so ours must be there before
    import_module("pez.generation.patches")
    diffusers: Any = import_module("diffusers")
    source, options = plan.generator.source, plan.options
    kind = diffusers.AutoPipelineForText2Image
    if options.image:
        kind = diffusers.AutoPipelineForImage2Image
        if options.mask:
            kind = diffusers.AutoPipelineForInpainting
    place, revision = split_revision(source)
    with explained(source, generator=True):
        parts: Any = kind.load_config(place, revision=revision)
    dtype = _dtype(options.dtype, device, str(parts["_class_name"]))
    # what a folder leaves out, such as SD 3's T5, must be said to be left out
    more: dict[str, Any] = {k: None for k, v in parts.items() if v in ([None, None], (None, None))}
    if options.control:
        name = control_model(plan.generator.name, options.control_kind, options.control_model)
        own, at = split_revision(name)
        with explained(name):
            more["controlnet"] = diffusers.AutoModel.from_pretrained(own, revision=at, dtype=dtype)
    with explained(source, generator=True):
        pipe: Any = kind.from_pretrained(place, revision=revision, dtype=dtype, **more)
    unet = getattr(pipe, "unet", None)
    if options.mask and unet is not None and unet.config.in_channels not in (4, 9):
        raise PezError(
            f"{plan.generator.name} cannot draw within a mask: diffusers does so only with 4 or 9 "
            "latent channels; take sd15, sdxl or the like."
        )
    return pipe


def _dtype(name: str, device: torch.device, family: str) -> torch.dtype:
    """``auto`` is float32 on a CPU and half precision on a GPU."""
    if name != "auto":
        return pick_dtype(name, device)
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if family.startswith(_WIDE) else torch.float16


def _pictures(pipe: Any, plan: Plan, device: torch.device) -> dict[str, Image.Image]:
    """The pictures a drawing starts from and keeps to, all of one size: image, mask, control."""
    options = plan.options
    named = {"image": options.image, "mask": options.mask, "control": options.control}
    found = {name: read_image(path) for name, path in named.items() if path}
    if not found:
        return {}
    size = _size(pipe, plan, next(iter(found.values())))
    found = {
        name: picture.resize(size, Image.Resampling.LANCZOS) for name, picture in found.items()
    }
    if "mask" in found:
        found["mask"] = found["mask"].convert("L").point([0] * 128 + [255] * 128)
    if "control" in found:
        made = condition(found["control"], options.control_kind, options.depth_model, device)
        found["control"] = made
    return found


def _size(pipe: Any, plan: Plan, picture: Image.Image) -> tuple[int, int]:
    """Width and height: those asked for, else the picture's shape at the generator's area."""
    options, side = plan.options, plan.generator.size
    down = len(pipe.unet.config.down_block_types) if getattr(pipe, "unet", None) else 2
    unit = pipe.vae_scale_factor * 2 ** (down - 1)
    if options.width and options.height:
        return options.width, options.height
    wide, high = picture.size
    scale = side / (wide * high) ** 0.5 if side else 1.0
    if options.width or options.height:
        scale = options.width / wide if options.width else options.height / high
    return max(1, round(wide * scale / unit)) * unit, max(1, round(high * scale / unit)) * unit
