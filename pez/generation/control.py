"""Pictures that steer a drawing: ControlNets (Zhang et al. 2023) and their input maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pez.errors import PezError
from pez.models.hub import split_revision
from pez.models.loading import explained
from pez.models.trust import check_model

KINDS = ("edge", "sketch", "depth", "ready")

# the ControlNet of each generator and kind
MODELS: dict[str, dict[str, str]] = {
    "sd15": {
        "edge": "lllyasviel/control_v11p_sd15_canny",
        "sketch": "lllyasviel/control_v11p_sd15_scribble",
        "depth": "lllyasviel/control_v11f1p_sd15_depth",
    },
    "sd21": {
        "edge": "thibaud/controlnet-sd21-canny-diffusers",
        "sketch": "thibaud/controlnet-sd21-scribble-diffusers",
        "depth": "thibaud/controlnet-sd21-depth-diffusers",
    },
    "sdxl": {
        "edge": "diffusers/controlnet-canny-sdxl-1.0",
        "sketch": "xinsir/controlnet-scribble-sdxl-1.0",
        "depth": "diffusers/controlnet-depth-sdxl-1.0",
    },
}


def control_model(generator: str, kind: str, named: str) -> str:
    """The ControlNet to load: ``named``, or the one known for a generator and a kind."""
    if kind not in KINDS:
        raise PezError(f"unknown --control-kind {kind!r}; there are {', '.join(KINDS)}.")
    if named:
        return named
    try:
        return MODELS[generator][kind]
    except KeyError:
        raise PezError(
            f"no ControlNet is known for {generator} and {kind}; name one with --control-model."
        ) from None


def condition(picture: Image.Image, kind: str, depth_model: str, device: Any) -> Image.Image:
    """A ControlNet's input map, made from an RGB picture and of its size.

    ``edge``: Canny's edges (1986) with the thresholds the ControlNets were trained with;
    ``sketch``: the dark lines that a difference of Gaussians leaves (Winnemoeller et al.
    2012), white on black; ``depth``: by a model, near is bright; ``ready``: as it is.
    """
    if kind == "ready":
        return picture
    if kind == "depth":
        return _depth(picture, depth_model, device)
    try:
        import cv2
    except ImportError:
        raise PezError(
            f"--control-kind {kind} needs OpenCV; pip install opencv-python-headless, or make the "
            "map yourself and give it with --control-kind ready."
        ) from None
    pixels = np.asarray(picture)
    if kind == "edge":
        lines = cv2.Canny(pixels, 100, 200)
    else:
        fine, coarse = (cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), s) for s in (0.5, 5.0))
        drop = np.clip(255 - (coarse - fine), 0, 255).min(-1)
        lines = np.where(drop < 255 - 32, 255, 0).astype(np.uint8)
    return Image.fromarray(lines).convert("RGB")


def _depth(picture: Image.Image, name: str, device: Any) -> Image.Image:
    from transformers import pipeline

    place, revision = split_revision(name)
    with explained(name):
        check_model(place, revision, name)
        see = pipeline(
            "depth-estimation",
            model=place,
            revision=revision,
            device=device,
            trust_remote_code=False,
        )
    seen: Any = see(picture)
    return ImageOps.autocontrast(seen["depth"].convert("L").resize(picture.size)).convert("RGB")
