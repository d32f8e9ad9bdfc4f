"""Pipelines of diffusers, loaded as they are published."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from pez.models.ambient import random_state_kept
from pez.models.devices import pick_dtype
from pez.models.hub import split_revision
from pez.models.loading import explained
from pez.models.trust import check_model, check_pipeline

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
    source: str, device: torch.device, dtype: str = "auto", task: str = "text", control: str = ""
) -> Any:
    """The pipeline of a hub id or folder that the Auto class for the ``task`` finds, on the CPU,
    with the ControlNet ``control`` if one is named. ``dtype`` is for use on ``device``. PezError
    if it is broken, or not cached and cannot be downloaded.
    """
    # diffusers does not import a module that a folder names, so import ours first
    import_module("pez.models.patches")
    diffusers: Any = import_module("diffusers")
    kind = getattr(diffusers, TASKS[task])
    place, revision = split_revision(source)
    with explained(source, generator=True):
        parts: Any = kind.load_config(place, revision=revision)
        check_pipeline(parts, place, revision, source)
    number = _dtype(dtype, device, str(parts["_class_name"]))
    # what a folder omits, such as SD 3's T5, must be passed as None
    more: dict[str, Any] = {k: None for k, v in parts.items() if v in ([None, None], (None, None))}
    if control:
        own, at = split_revision(control)
        with explained(control):
            check_model(own, at, control)
            more["controlnet"] = diffusers.AutoModel.from_pretrained(
                own, revision=at, dtype=number, trust_remote_code=False
            )
    with explained(source, generator=True):
        more["trust_remote_code"] = False
        return kind.from_pretrained(place, revision=revision, dtype=number, **more)


def _dtype(name: str, device: torch.device, family: str) -> torch.dtype:
    """``auto`` is float32 on a CPU and half precision on a GPU."""
    if name != "auto":
        return pick_dtype(name, device)
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if family.startswith(_WIDE) else torch.float16
