"""Pipelines of diffusers, loaded as they are published."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from pez.errors import PezError
from pez.files import user_path
from pez.models.ambient import random_state_kept
from pez.models.devices import pick_dtype
from pez.models.hub import split_revision
from pez.models.loading import explained
from pez.models.single_file import load_single
from pez.models.trust import check_file, check_model, check_pipeline

# what is drawn from -> diffusers' class that finds the pipeline
TASKS = {
    "text": "AutoPipelineForText2Image",
    "image": "AutoPipelineForImage2Image",
    "inpaint": "AutoPipelineForInpainting",
}
# pipelines whose activations leave float16's range
_WIDE = ("Flux", "StableDiffusion3")


@random_state_kept()
def load_pipeline(
    source: str,
    device: torch.device,
    dtype: str = "auto",
    task: str = "text",
    control: str = "",
    vae: str = "",
    config: str = "",
) -> Any:
    """The pipeline of a hub id, a folder or a checkpoint's file that the Auto class for the
    ``task`` finds, on the CPU, with the ControlNet ``control`` and the autoencoder ``vae`` if they
    are named; ``config`` is for files (:mod:`pez.models.single_file`). ``dtype`` is for use on
    ``device``. PezError if it is broken, or not cached and cannot be downloaded.
    """
    # diffusers does not import a module that a folder names, so import ours first
    import_module("pez.models.patches")
    diffusers: Any = import_module("diffusers")
    kind = getattr(diffusers, TASKS[task])
    if user_path(source).is_file():
        number = _dtype(dtype, device, "")
        more = _parts(diffusers, source, number, control, vae, config)
        return load_single(source, number, kind, config, more)
    place, revision = split_revision(source)
    with explained(source, generator=True):
        parts: Any = kind.load_config(place, revision=revision)
        check_pipeline(parts, place, revision, source)
    number = _dtype(dtype, device, str(parts["_class_name"]))
    # what a folder omits, such as SD 3's T5, must be passed as None
    more: dict[str, Any] = {k: None for k, v in parts.items() if v in ([None, None], (None, None))}
    more |= _parts(diffusers, source, number, control, vae, place)
    if (folder := user_path(place)).is_dir() and _only_half(folder):
        more["variant"] = "fp16"
    with explained(source, generator=True):
        more["trust_remote_code"] = False
        return kind.from_pretrained(place, revision=revision, dtype=number, **more)


def _parts(
    diffusers: Any, source: str, number: torch.dtype, control: str, vae: str, config: str
) -> dict[str, Any]:
    """The parts that come from elsewhere: a ControlNet, an autoencoder."""
    more: dict[str, Any] = {}
    if control:
        more["controlnet"] = _part(diffusers, control, number)
    if vae and (path := user_path(vae)).is_file():
        if not config:
            raise PezError(f"{vae} is an autoencoder in one file; it needs --config, too.")
        check_file(path)
        with explained(vae):
            more["vae"] = diffusers.AutoencoderKL.from_single_file(
                str(path), config=config, subfolder="vae", torch_dtype=number
            )
    elif vae:
        more["vae"] = _part(diffusers, vae, number)
    return more


def _part(diffusers: Any, name: str, number: torch.dtype) -> Any:
    """One model of a hub id or folder."""
    own, at = split_revision(name)
    with explained(name):
        check_model(own, at, name)
        return diffusers.AutoModel.from_pretrained(
            own, revision=at, dtype=number, trust_remote_code=False
        )


def _only_half(folder: Path) -> bool:
    """Whether a pipeline's folder has its weights as the variant fp16 alone."""
    names = [f.name for f in folder.glob("*/*") if f.suffix in (".safetensors", ".bin")]
    return bool(names) and all(".fp16." in name for name in names)


def _dtype(name: str, device: torch.device, family: str) -> torch.dtype:
    """``auto`` is float32 on a CPU and half precision on a GPU."""
    if name != "auto":
        return pick_dtype(name, device)
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if family.startswith(_WIDE) else torch.float16
