"""The node *PEZ invert*: pictures become prompts."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from pez.api import search_pictures
from pez.comfy.fields import options_of, outputs_of, search_inputs, search_outputs
from pez.comfy.models import ModelType
from pez.comfy.pictures import pictures_of
from pez.comfy.running import CATEGORY, found, in_terms_of_nodes
from pez.models import Reader
from pez.options import InvertOptions

LENGTH = 9  # tokens: five words with commas between them


class PezInvert(io.ComfyNode):
    """A prompt for each picture, or one for all."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="PezInvert",
            display_name="PEZ invert",
            category=CATEGORY,
            description="Finds a prompt for each picture, or one for all of them.",
            inputs=[
                ModelType.Input("pez_model"),
                io.Image.Input("images"),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Only what is painted counts. Invert the mask of a cut-out picture.",
                ),
                io.Boolean.Input(
                    "together",
                    default=False,
                    tooltip="One prompt for all pictures: a style, a subject.",
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
        images: Tensor,
        together: bool,
        mask: Tensor | None = None,
        **settings: Any,
    ) -> io.NodeOutput:
        """Search."""
        with in_terms_of_nodes():
            options = options_of(InvertOptions, together=together, **settings)
            pictures = pictures_of(images, mask)
        groups = [pictures] if together else [[picture] for picture in pictures]
        results = found(
            cls, pez_model, options, lambda session, watch: search_pictures(session, groups, watch)
        )
        return outputs_of(results)
