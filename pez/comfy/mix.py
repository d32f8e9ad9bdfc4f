"""The node *PEZ mix*: one prompt from pictures and texts by weight."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from pez.api import search_mixes
from pez.comfy.fields import options_of, outputs_of, search_inputs, search_outputs
from pez.comfy.invert import LENGTH
from pez.comfy.models import ModelType
from pez.comfy.pictures import pictures_of
from pez.comfy.running import CATEGORY, found, in_terms_of_nodes, say
from pez.errors import PezError
from pez.models import Reader
from pez.options import MixOptions
from pez.session.typed import weighted
from pez.sources import Part


class PezMix(io.ComfyNode):
    """One prompt that matches pictures and texts, and stays away from others."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        weight: dict[str, Any] = {"default": 1.0, "min": 0.01, "max": 100.0, "step": 0.01}
        return io.Schema(
            node_id="PezMix",
            display_name="PEZ mix",
            category=CATEGORY,
            description="Finds one prompt from pictures and texts by weight.",
            inputs=[
                ModelType.Input("pez_model"),
                io.Image.Input("images_1", optional=True),
                io.Image.Input("images_2", optional=True),
                io.Float.Input("weight_1", tooltip="Of each picture of images_1.", **weight),
                io.Float.Input("weight_2", tooltip="Of each picture of images_2.", **weight),
                io.String.Input(
                    "texts",
                    default="",
                    multiline=True,
                    tooltip="One a line, with or without a weight: oil painting = 0.5",
                ),
                io.String.Input(
                    "avoid",
                    default="",
                    multiline=True,
                    tooltip="Texts to stay away from, one a line: blurry = 0.2",
                ),
                *search_inputs(LENGTH, "0 stops when more do not help."),
            ],
            outputs=search_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        pez_model: Reader,
        weight_1: float,
        weight_2: float,
        texts: str,
        avoid: str,
        images_1: Tensor | None = None,
        images_2: Tensor | None = None,
        **settings: Any,
    ) -> io.NodeOutput:
        """Search."""
        with in_terms_of_nodes():
            options = options_of(MixOptions, **settings)
            parts = _pictures(images_1, weight_1, "images_1")
            parts += _pictures(images_2, weight_2, "images_2")
            parts += _texts(texts, 1) + _texts(avoid, -1)
            if not any(weight > 0 for _, weight, _ in parts):
                raise PezError("there is nothing to match; connect a picture or write a text.")
        results = found(
            cls,
            pez_model,
            options,
            lambda session, watch: search_mixes(session, [parts], watch, warn=say),
        )
        return outputs_of(results)


def _pictures(images: Tensor | None, weight: float, name: str) -> list[Part]:
    if images is None:
        return []
    if not weight > 0:
        raise PezError(f"the weight of {name} must be above 0, not {weight:g}.")
    return [(one, weight, f"{name} {n}={weight:g}") for n, one in enumerate(pictures_of(images), 1)]


def _texts(text: str, sign: int) -> list[Part]:
    return [weighted(line, sign) for line in text.splitlines() if line.strip()]
