"""Generators in one file: checkpoints (.safetensors, .ckpt) as most artists have them.

The file holds weights alone. diffusers takes the rest, sizes and tokenizers, from a folder in its
own layout, or from the hub's repository of the model that the weights are like.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from pez.errors import PezError
from pez.files import user_path
from pez.models.loading import explained
from pez.models.trust import check_file, check_pipeline

ENDS = (".safetensors", ".ckpt", ".pt", ".pth")
# how diffusers calls a checkpoint's architecture -> the pipeline that draws with it
_CLASSES = {
    ("v1", "v2"): "StableDiffusionPipeline",
    ("inpainting",): "StableDiffusionInpaintPipeline",
    ("xl_inpaint",): "StableDiffusionXLInpaintPipeline",
    ("xl_base", "xl_refiner", "playground"): "StableDiffusionXLPipeline",
    ("sd3",): "StableDiffusion3Pipeline",
    ("flux",): "FluxPipeline",
}


def load_single(source: str, dtype: torch.dtype, auto: Any, config: str, more: Any) -> Any:
    """The pipeline of the file ``source`` with the folder or repository ``config`` ("" for the one
    diffusers knows), as the Auto class ``auto`` makes it for a task with the parts ``more``.

    PezError for a file that is no checkpoint, and where the rest of it cannot be had.
    """
    path = user_path(source)
    check_file(path)
    tools: Any = import_module("diffusers.loaders.single_file_utils")
    diffusers: Any = import_module("diffusers")
    with explained(source):
        held = tools.load_single_file_checkpoint(str(path))
        kind = tools.infer_diffusers_model_type(held)
        known = tools.DIFFUSERS_DEFAULT_PIPELINE_PATHS.get(kind, {})
        told = any(name.startswith(("model.", "double_blocks.")) for name in held)
    del held
    if not told:  # what diffusers does not know, it takes for SD 1
        raise PezError(f"{source} is no checkpoint of a generator; check what it is.")
    wanted = next((c for starts, c in _CLASSES.items() if kind.startswith(starts)), "")
    rest = config or known.get("pretrained_model_name_or_path", "")
    if not wanted or not rest:
        raise PezError(
            f"{source} is a checkpoint of the kind {kind}, which pez does not draw with."
        )
    found = getattr(diffusers, wanted)
    try:
        with explained(rest):
            parts = found.load_config(rest)
            check_pipeline(parts, rest, None, rest)
            pipe = found.from_single_file(str(path), config=rest, torch_dtype=dtype)
            return auto.from_pipe(pipe, **more) if more or not _is_text(auto) else pipe
    except PezError as error:
        raise PezError(
            f"{source} is a checkpoint in one file, and needs the configuration of {rest}: {error} "
            "A folder in diffusers' layout with the same sizes may be given as --config."
        ) from error


def _is_text(auto: Any) -> bool:
    return auto.__name__ == "AutoPipelineForText2Image"
