"""The node *PEZ score*: how close a prompt is to pictures."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from pez.api import score
from pez.comfy.models import ModelType
from pez.comfy.pictures import pictures_of
from pez.comfy.running import CATEGORY, in_terms_of_nodes, say
from pez.errors import PezError
from pez.models import Reader


class PezScore(io.ComfyNode):
    """The cosine of a prompt with each picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="PezScore",
            display_name="PEZ score",
            category=CATEGORY,
            description="The cosine of a prompt with each picture; best with a model that was "
            "not searched.",
            inputs=[
                ModelType.Input("pez_model"),
                io.Image.Input("images"),
                io.String.Input("prompt", default="", multiline=True),
            ],
            outputs=[io.Float.Output("score", display_name="score", is_output_list=True)],
        )

    @classmethod
    def execute(cls, pez_model: Reader, images: Tensor, prompt: str) -> io.NodeOutput:
        """Score."""
        with in_terms_of_nodes():
            if not prompt.strip():
                raise PezError("the prompt is empty; write or connect one.")
            pictures = pictures_of(images)
            return io.NodeOutput(
                [score(one, prompt, reader=pez_model, warn=say) for one in pictures]
            )
