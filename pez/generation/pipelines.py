"""From options to a pipeline of diffusers, ready to draw."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch

from pez.errors import PezError
from pez.generation.names import OFFLINE, Generator, find_generator, weights_digest
from pez.generation.options import GenerateOptions
from pez.generation.painter import Painter
from pez.models.devices import pick_device, pick_dtype
from pez.models.hub import prepare_hub

# pipelines whose activations leave float16's range
_WIDE = ("Flux", "StableDiffusion3")


def open_painter(options: GenerateOptions) -> Painter:
    """Load the generator that ``options`` name, with all that is added to it.

    Raises PezError for what is unknown, broken or neither cached nor to be had.
    """
    from diffusers import (
        AutoPipelineForImage2Image,
        AutoPipelineForInpainting,
        AutoPipelineForText2Image,
    )

    device = pick_device(options.device)
    generator = find_generator(options.generator)
    if generator.folder is None:
        prepare_hub()
    options = with_defaults(options, generator)
    kind = AutoPipelineForText2Image
    if options.image:
        kind = AutoPipelineForInpainting if options.mask else AutoPipelineForImage2Image
    import_module("pez.generation.patches")  # diffusers imports no module that a folder names
    with explained(generator.name, local=generator.folder is not None), quiet():
        family = str(kind.load_config(generator.source)["_class_name"])
        dtype = _dtype(options.dtype, device, family)
        pipe: Any = kind.from_pretrained(generator.source, dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    if options.offload and device.type != "cpu":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    settings = options.record() | {"generator": generator.name, "dtype": str(dtype)[6:]}
    settings["weights"] = weights_digest(generator.folder) if generator.folder else generator.source
    return Painter(generator.name, pipe, options, settings)


def with_defaults(options: GenerateOptions, generator: Generator) -> GenerateOptions:
    """Options with the generator's own numbers where none are given."""
    own = options
    if not own.steps:
        own = replace(own, steps=generator.steps)
    if own.guidance == -1:
        own = replace(own, guidance=generator.guidance)
    if not own.image and not own.width and not own.height:
        own = replace(own, width=generator.size, height=generator.size)
    return own


def _dtype(name: str, device: torch.device, family: str) -> torch.dtype:
    """``auto`` is float32 on a CPU and half precision on a GPU."""
    if name != "auto":
        return pick_dtype(name, device)
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if family.startswith(_WIDE) else torch.float16


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and no advice while files load."""
    from diffusers.utils import logging as ours
    from transformers.utils import logging as theirs

    before = [(m, m.is_progress_bar_enabled(), m.get_verbosity()) for m in (ours, theirs)]
    for module, _, _ in before:
        module.disable_progress_bar()
        module.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        for module, bar, level in before:
            module.set_verbosity(level)
            if bar:
                module.enable_progress_bar()


@contextmanager
def explained(name: str, local: bool) -> Iterator[None]:
    """Turns whatever loading ``name`` raises into one sentence with the mend in it."""
    try:
        yield
    except PezError:
        raise
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise PezError(
            f"{name} does not fit into memory; try --offload, --dtype float16 or a smaller one."
        ) from error
    except Exception as error:  # diffusers, the hub and the file readers each raise their own
        why = str(error).strip().split("\n")[0][:160] or type(error).__name__
        kind = type(error).__name__
        if local:
            raise PezError(f"{name} could not be loaded ({why}); check its files.") from error
        if "Gated" in kind or "401" in why or "403" in why:
            raise PezError(
                f"{name} is only for those who agreed to its licence: do so on its page of the "
                "hub, then run hf auth login once."
            ) from error
        raise PezError(
            f"the weights of {name} are neither cached nor to be had from the hub just now; go "
            f"online once to fetch them, or take --generator {OFFLINE}, small and offline."
        ) from error
