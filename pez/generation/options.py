"""What ``pez generate`` takes."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, fields
from os.path import isdir
from typing import Any

from pez.errors import PezError
from pez.files import user_path
from pez.formats.prompts import refuse_file
from pez.formats.text import check_text
from pez.formats.values import as_kind, flag_of
from pez.generation.samplers import sampler_name
from pez.options import _digest, _option

# how pictures are made, not what they show
# beyond these no generator draws, and counts of pictures fill memory
_MOST = {
    "count": 10**5,
    "steps": 10**4,
    "width": 2**14,
    "height": 2**14,
    "rows": 10**4,
    "clip_skip": 99,
}
_MOST["seed"] = 2**63 - _MOST["count"]
# options of later versions: left out of records where not given, so that pictures drawn before them
# are found again
_ADDED = frozenset({"true_guidance", "clip_skip", "vae", "config", "hypernet"})
# what wildcards choose is part of the prompt
_MANNER = frozenset({"seed", "count", "device", "offload", "rows", "wildcards"})


@dataclass(frozen=True)
class GenerateOptions:
    """Options of ``pez generate``; empty texts and 0 leave the choice to the generator."""

    generator: str = _option(
        "sd15",
        "what draws: sd15, sd21, sdxl, sd3, flux, any text-to-image id of the hub (owner/name, or "
        "owner/name@revision), a local folder in diffusers' layout, a checkpoint in one file, or "
        "mini-sd, small and offline",
        metavar="NAME",
    )
    vae: str = _option(
        "", "an autoencoder in place of the generator's, by file, folder or hub id", metavar="X"
    )
    config: str = _option(
        "",
        "for a generator in one file: a folder in diffusers' layout, or a hub id, with its sizes "
        "and tokenizers; else the model that it is like",
        metavar="NAME",
    )
    count: int = _option(1, "pictures of each prompt, from seeds that follow --seed", metavar="N")
    seed: int = _option(0, "seed of the first picture of each prompt", metavar="N")
    steps: int = _option(0, "denoising steps; 0 is the generator's own number", metavar="N")
    guidance: float = _option(
        -1.0, "how strongly the prompt steers; -1 is the generator's own", metavar="X"
    )
    true_guidance: float = _option(
        0.0,
        "for FLUX and the like: guidance on top of the distilled one, above 1, in twice the time; "
        "needed for --negative; 0 is none",
        metavar="X",
    )
    negative: str = _option("", "what the pictures should not show", metavar="TEXT")
    template: str = _option(
        "{}", 'fixed words around each prompt, a soft one too: "a photo of {}"', metavar="TEXT"
    )
    literal: bool = _option(
        False, "read ( ) [ ] { } : | and AND literally, not as weights, changes and choices"
    )
    wildcards: str = _option(
        "", "a folder of text files: __name__ in a prompt is a line of name.txt", metavar="FOLDER"
    )
    clip_skip: int = _option(
        0,
        "read prompts before the last layers of CLIP, as SD 1 models of drawings want it: 2 leaves "
        "out the last one; 0 and 1 none",
        metavar="N",
    )
    scheduler: str = _option(
        "",
        "sampler, by its name in A1111's web UI, ComfyUI or diffusers: ddim, euler_a, "
        '"DPM++ 2M Karras", UniPCMultistepScheduler, ... (the generator\'s own)',
        metavar="NAME",
    )
    width: int = _option(0, "in pixels; 0 is the generator's own", metavar="N")
    height: int = _option(0, "in pixels; 0 is the generator's own", metavar="N")
    lora: tuple[str, ...] = _option(
        (),
        "a LoRA by file, folder or hub id, with a weight: style.safetensors=0.8",
        metavar="X[=W]",
    )
    embedding: tuple[str, ...] = _option(
        (), "a textual inversion by file or hub id; prompts may then use its word", metavar="X"
    )
    hypernet: tuple[str, ...] = _option(
        (),
        "a hypernetwork of A1111's web UI (.pt) by file, with a strength: style.pt=0.8",
        metavar="X[=W]",
    )
    image: str = _option(
        "",
        "a picture to start from; or a folder, from which each row of a file of prompts starts "
        "with its own picture",
        metavar="IMAGE|FOLDER",
    )
    mask: str = _option("", "with --image: white areas are redrawn", metavar="IMAGE")
    strength: float = _option(
        0.0, "how far to depart from --image, up to 1; 0 is the generator's own", metavar="X"
    )
    control: str = _option(
        "", "a picture whose shapes the drawing keeps (ControlNet)", metavar="IMAGE"
    )
    control_kind: str = _option(
        "edge",
        "what to use of --control: edge, sketch, depth, or ready if it is such a map itself",
        metavar="KIND",
    )
    control_model: str = _option(
        "", "the ControlNet, by id or folder; else one made for the generator", metavar="NAME"
    )
    control_scale: float = _option(1.0, "how strictly to follow --control", metavar="X")
    depth_model: str = _option(
        "depth-anything/Depth-Anything-V2-Small-hf",
        "what sees the depth for --control-kind depth, by id or folder",
        metavar="NAME",
    )
    rows: int = _option(0, "pictures per batch; 0 lets memory decide", metavar="N")
    device: str = _option("auto", "auto, cpu, cuda, cuda:1 or mps", metavar="NAME")
    dtype: str = _option("auto", "auto, float32, bfloat16 or float16", metavar="NAME")
    offload: bool = _option(False, "keep idle parts of the generator off the GPU")

    def __post_init__(self) -> None:
        """Raise PezError for values of the wrong type and invalid numbers."""
        for option in fields(self):
            plain = as_kind(option.name, getattr(self, option.name), option.metadata["kind"])
            object.__setattr__(self, option.name, plain)
        least = {"count": 1}
        for name in ("count", "steps", "width", "height", "rows", "seed", "clip_skip"):
            value, low = getattr(self, name), least.get(name, 0)
            most = _MOST[name]
            if not low <= value <= most:
                bound = f"{low} or more" if value < low else f"{most} at most"
                raise PezError(f"{flag_of(name)} must be {bound}, not {value}.")
        object.__setattr__(self, "scheduler", sampler_name(self.scheduler))
        refuse_file(check_text(self.negative, "--negative"), "--negative")
        check_text(self.template, "--template")
        if self.guidance != -1 and not 0 <= self.guidance < math.inf:
            raise PezError(f"--guidance must be 0 or more, or -1, not {self.guidance}.")
        if self.true_guidance and not 1 < self.true_guidance < math.inf:
            raise PezError(f"--true-guidance must be above 1, or 0, not {self.true_guidance}.")
        if not 0 <= self.strength <= 1:
            raise PezError(f"--strength must be between 0 and 1, not {self.strength}.")
        if not 0 <= self.control_scale < math.inf:
            raise PezError(f"--control-scale must be 0 or more, not {self.control_scale}.")
        if self.mask and not self.image:
            raise PezError("--mask says what to redraw in a picture; give the picture as --image.")
        if self.strength and not self.image:
            raise PezError("--strength says how far to depart from a picture; give it as --image.")
        plain = GenerateOptions
        for name in ("control_kind", "control_model", "control_scale", "depth_model"):
            if not self.control and getattr(self, name) != getattr(plain, name):
                raise PezError(f"{flag_of(name)} needs a picture to follow; give it as --control.")
        if self.depth_model != plain.depth_model and self.control_kind != "depth":
            raise PezError("--depth-model sees the depth only for --control-kind depth; add that.")

    @property
    def seeds(self) -> list[int]:
        """The seed of each picture of a prompt."""
        return list(range(self.seed, self.seed + self.count))

    def record(self) -> dict[str, Any]:
        """The options that decide what a picture shows, as plain JSON values, with the content of
        the files that they name.
        """
        out = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _MANNER}
        for name in _ADDED:
            if not out[name]:
                del out[name]
        if self.embedding:
            out["words"] = "whole"  # they were spelt otherwise once, so such pictures differ
        named = [self.image, self.mask, self.control, self.vae, self.config, *self.embedding]
        named += [split_weight(text)[0] for text in (*self.lora, *self.hypernet)]
        if self.control:
            named += [self.control_model, self.depth_model]
        digests = {path: _content(path) for path in named if path}
        if files := {path: digest for path, digest in digests.items() if digest}:
            out["files"] = files
        return json.loads(json.dumps(out))

    def fingerprint(self) -> str:
        """Equal for two runs that must give the same picture of a prompt and a seed."""
        text = json.dumps(self.record(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _content(path: str) -> str:
    """The identity of what a file or a folder holds; empty if it is neither, as a hub id."""
    from pez.models.generators import weights_digest  # loads torch

    place = user_path(path)
    return weights_digest(place) if isdir(place) else _digest(path)


def split_weight(text: str) -> tuple[str, float]:
    """``name=0.8`` -> name and weight; a name alone has weight 1. PezError for a bad weight."""
    name, equals, weight = text.rpartition("=")
    if not equals:
        return text, 1.0
    try:
        value = float(weight)
    except ValueError:
        return text, 1.0  # a name that contains an equals sign
    if not math.isfinite(value):
        raise PezError(f"{text!r} has no usable weight; write one such as {name}=0.8.")
    return name, value


def generate_options(settings: dict[str, Any]) -> GenerateOptions:
    """Options from keywords; a single LoRA, embedding or hypernetwork may be a plain string."""
    names = set(GenerateOptions.__dataclass_fields__)
    if unknown := set(settings) - names:
        raise PezError(
            f"unknown option {sorted(unknown)[0]!r}; there are {', '.join(sorted(names))}."
        )
    plain: dict[str, Any] = {}
    for name, value in settings.items():
        if name in ("lora", "embedding", "hypernet") and not isinstance(value, tuple):
            value = tuple(map(str, value)) if isinstance(value, list) else (str(value),)
        elif hasattr(value, "__fspath__"):
            value = str(value)
        plain[name] = value
    return GenerateOptions(**plain)
