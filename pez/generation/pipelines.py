"""From options to a pipeline of diffusers, ready to draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import torch
from PIL import Image

from pez.errors import PezError
from pez.generation.additions import add_loras, refuse_missing, set_scheduler, skip_layers
from pez.generation.control import condition, control_model
from pez.generation.encoding import Encoding
from pez.generation.hypernetworks import add_hypernetworks
from pez.generation.midway import own_state
from pez.generation.options import GenerateOptions
from pez.generation.painter import Painter, latent_scale
from pez.generation.syntax import lora_weights
from pez.generation.words import Words, add_words
from pez.images import read_image
from pez.models.devices import pick_device
from pez.models.generators import Generator, find_generator, weights_digest
from pez.models.pipelines import TASKS, load_pipeline


@dataclass(frozen=True)
class Setup:
    """The generator and its settings, known before anything is loaded.

    ``options`` have the generator's own numbers if none were given; ``settings`` record
    all that decides a picture besides prompt and seed.
    """

    generator: Generator
    options: GenerateOptions
    settings: dict[str, Any]


def make_setup(options: GenerateOptions) -> Setup:
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
    place = generator.folder or generator.file
    settings["weights"] = weights_digest(place) if place else generator.source
    return Setup(generator, own, settings)


def open_painter(options: GenerateOptions) -> Painter:
    """Load the generator that ``options`` name, with everything added to it.

    Raises PezError for what is unknown, broken, or not cached and cannot be downloaded.
    """
    setup = make_setup(options)
    device, options = pick_device(options.device), setup.options
    pipe = _load(setup, device)
    if options.scheduler:
        set_scheduler(pipe, options.scheduler)
    add_loras(pipe, options.lora)
    add_hypernetworks(pipe, options.hypernet)
    words = add_words(pipe, options.embedding)
    skip_layers(pipe, options.clip_skip)
    pipe.set_progress_bar_config(disable=True)
    if options.offload and device.type != "cpu":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    return _painter(pipe, setup, device, words)


def with_options(painter: Painter, options: GenerateOptions, *, own: bool = False) -> Painter:
    """A loaded generator with other numbers, another negative prompt and other pictures; with
    ``own`` also with a sampler of its own, so that others can draw while it waits between two
    steps. PezError for options that it would have to be loaded for anew.
    """
    for name, task in _LOADED.items():
        if task(painter.options) != task(options):
            raise PezError(f"another --{name} needs the generator to be loaded anew.")
    words = painter.encoding.words
    pipe = own_state(painter.pipe) if own else painter.pipe
    return _painter(pipe, make_setup(options), pick_device(options.device), words)


def for_inputs(painter: Painter, options: GenerateOptions) -> Painter:
    """A loaded generator for other inputs (a text alone, a picture, a masked picture), with the
    same models in memory. PezError where it cannot draw from them, and for other options that it
    would have to be loaded for anew.
    """
    for name, task in _LOADED.items():
        if name not in ("image", "mask") and task(painter.options) != task(options):
            raise PezError(f"another --{name} needs the generator to be loaded anew.")
    setup = make_setup(options)
    pipe = _checked(_as_task(painter.pipe, _task(options)), setup)
    pipe.set_progress_bar_config(disable=True)
    return _painter(pipe, setup, pick_device(options.device), painter.encoding.words)


# what of the options decides how a generator is loaded
_LOADED: dict[str, Callable[[GenerateOptions], Any]] = {
    "generator": lambda options: options.generator,
    "scheduler": lambda options: options.scheduler,
    "lora": lambda options: options.lora,
    "hypernet": lambda options: options.hypernet,
    "embedding": lambda options: options.embedding,
    "clip-skip": lambda options: options.clip_skip,
    "vae": lambda options: (options.vae, options.config),
    "image": lambda options: bool(options.image),
    "mask": lambda options: bool(options.mask),
    "control": lambda options: (
        (options.control_kind, options.control_model) if options.control else None
    ),
    "device": lambda options: (options.device, options.dtype, options.offload),
}


def _painter(pipe: Any, setup: Setup, device: torch.device, words: Words) -> Painter:
    options = setup.options
    loras = lora_weights(options.lora)
    loras |= {f"hypernet:{k}": w for k, w in lora_weights(options.hypernet).items()}
    encoding = Encoding(pipe, options.negative, options.template, options.literal, words, loras)
    pictures = _pictures(pipe, setup, device)
    shown = list(words.shown)
    return Painter(setup.generator.name, pipe, options, encoding, setup.settings, pictures, shown)


def _load(setup: Setup, device: torch.device) -> Any:
    """The pipeline for the inputs: a text alone, a picture, a masked picture, a control."""
    options = setup.options
    control = ""
    if options.control:
        control = control_model(setup.generator.name, options.control_kind, options.control_model)
    for named, flag in ((control, "--control-model"), (options.vae, "--vae")):
        if named:
            refuse_missing(named, flag)
    source, dtype, task = setup.generator.source, options.dtype, _task(options)
    pipe = load_pipeline(source, device, dtype, task, control, options.vae, options.config)
    return _checked(pipe, setup)


def _task(options: GenerateOptions) -> str:
    """What of :data:`pez.models.pipelines.TASKS` the inputs ask for."""
    return "text" if not options.image else "inpaint" if options.mask else "image"


def _checked(pipe: Any, setup: Setup) -> Any:
    """The pipeline, or another one with its models, that can draw within the mask if there is one.
    PezError if none can, and where it draws in no other way.
    """
    options, control = setup.options, setup.options.control
    unet, vae = getattr(pipe, "unet", None), getattr(pipe, "vae", None)
    inputs = unet.config.in_channels if unet is not None else 0
    latent = vae.config.get("latent_channels") if vae is not None else None
    if latent and inputs > latent and not options.mask:
        raise PezError(
            f"{setup.generator.name} draws only within a picture: its U-Net takes {inputs} "
            f"channels, {latent} of them to draw on; give --image and --mask, or take another."
        )
    if options.mask and unet is not None and inputs not in (4, 9):
        if inputs != latent or control:
            raise PezError(
                f"{setup.generator.name} cannot draw within a mask: its U-Net takes {inputs} "
                f"channels{' and follows a picture' if control else ''}; take sd15, sdxl or the "
                "like."
            )
        # diffusers knows masks for 4 and 9 channels; see pez/generation/frozen.py
        return _as_task(pipe, "image")
    return pipe


def _as_task(pipe: Any, task: str) -> Any:
    """The same models as a pipeline for another task."""
    kind: Any = getattr(import_module("diffusers"), TASKS[task])
    return kind.from_pipe(pipe)


def _pictures(pipe: Any, setup: Setup, device: torch.device) -> dict[str, Image.Image]:
    """The pictures a drawing starts from and follows, all of one size: image, mask, control."""
    options = setup.options
    named = {"image": options.image, "mask": options.mask, "control": options.control}
    found = {name: read_image(path) for name, path in named.items() if path}
    if not found:
        return {}
    size = _size(pipe, setup, next(iter(found.values())))
    found = {
        name: picture.resize(size, Image.Resampling.LANCZOS) for name, picture in found.items()
    }
    if "mask" in found:
        found["mask"] = found["mask"].convert("L").point([0] * 128 + [255] * 128)
    if "control" in found:
        made = condition(found["control"], options.control_kind, options.depth_model, device)
        found["control"] = made
    return found


def _size(pipe: Any, setup: Setup, picture: Image.Image) -> tuple[int, int]:
    """Width and height: those asked for, else the picture's shape at the generator's area."""
    options, side = setup.options, setup.generator.size
    down = len(pipe.unet.config.down_block_types) if getattr(pipe, "unet", None) else 2
    unit = latent_scale(pipe) * 2 ** (down - 1)
    if options.width and options.height:
        return options.width, options.height
    wide, high = picture.size
    scale = side / (wide * high) ** 0.5 if side else 1.0
    if options.width or options.height:
        scale = options.width / wide if options.width else options.height / high
    return max(1, round(wide * scale / unit)) * unit, max(1, round(high * scale / unit)) * unit
