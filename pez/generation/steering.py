"""Guidance and the negative prompt, as each pipeline takes them.

Most pipelines have classifier-free guidance (Ho and Salimans 2022) as ``guidance_scale``, with a
negative prompt, and above 1 alone. Qwen-Image calls it ``true_cfg_scale`` and needs a negative
prompt for it. FLUX is distilled: its ``guidance_scale`` is an input of the model, and real guidance
comes on top of it as ``true_cfg_scale``. LCM embeds the guidance and knows no negative prompt. What
a pipeline would ignore is refused here, as its pictures would be recorded with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from pez.errors import PezError
from pez.generation.options import GenerateOptions

_ABOVE_ZERO = ("ZImage", "Krea")  # they guide above 0 already


@dataclass(frozen=True)
class Steering:
    """The numbers of a call, and the negative prompt, "" for none."""

    numbers: dict[str, float]
    negative: str


def steering(
    pipe: Any, takes: Mapping[str, Parameter], name: str, options: GenerateOptions, negative: str
) -> Steering:
    """How the pipeline, which is called with what it ``takes``, is guided towards the prompt and
    away from ``negative``. PezError for what it would ignore.
    """
    own = takes["guidance_scale"].default if "guidance_scale" in takes else None
    asked = options.guidance >= 0
    if asked and own is None and "guidance_scale" not in takes:
        raise PezError(f"{name} takes no guidance; omit --guidance.")
    if negative and "negative_prompt" not in takes:
        raise PezError(f"{name} takes no negative prompt; omit --negative.")
    if "true_cfg_scale" in takes:
        return _true(pipe, takes, name, options, negative)
    if options.true_guidance:
        raise PezError(f"{name} is not distilled as FLUX is; give --guidance instead.")
    scale = options.guidance if asked else own
    least = 0 if type(pipe).__name__.startswith(_ABOVE_ZERO) else 1
    if negative and isinstance(scale, int | float) and scale <= least:
        raise PezError(
            f"at --guidance {scale:g} nothing steers {name} away from --negative; omit it, or give "
            f"a guidance above {least}."
        )
    unet = getattr(pipe, "unet", None)
    if negative and unet is not None and unet.config.get("time_cond_proj_dim"):
        raise PezError(f"{name} was distilled and reads no negative prompt; omit --negative.")
    return Steering({"guidance_scale": options.guidance} if asked else {}, negative)


def _true(
    pipe: Any, takes: Mapping[str, Parameter], name: str, options: GenerateOptions, negative: str
) -> Steering:
    """That of a pipeline with both scales: Qwen-Image's and FLUX's."""
    config = pipe.transformer.config
    distilled, usual = bool(config.get("guidance_embeds")), takes["true_cfg_scale"].default
    asked = options.guidance >= 0
    if not distilled and usual > 1:  # Qwen-Image, whose makers give it a blank as negative
        if options.true_guidance:
            raise PezError(f"{name} has one guidance; give it as --guidance.")
        scale = options.guidance if asked else usual
        if negative and scale <= 1:
            raise PezError(
                f"at --guidance {scale:g} nothing steers {name} away from --negative; omit it, or "
                "give a guidance above 1."
            )
        return Steering({"true_cfg_scale": scale}, (negative or " ") if scale > 1 else "")
    if asked and not distilled:
        raise PezError(f"{name} was distilled to draw without guidance; omit --guidance.")
    if negative and options.true_guidance <= 1:
        raise PezError(
            f"{name} reads a negative prompt only with guidance on top of its own, in twice the "
            "time; add --true-guidance 2 or so, or omit --negative."
        )
    numbers = {"guidance_scale": options.guidance} if asked else {}
    if options.true_guidance:
        numbers["true_cfg_scale"] = options.true_guidance
        negative = negative or " "
    return Steering(numbers, negative)
