"""The node *PEZ explain*: what each word of a prompt adds, as bars."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from pez.api import explain
from pez.comfy.models import ModelType
from pez.comfy.pictures import image_of, pictures_of
from pez.comfy.running import CATEGORY, in_terms_of_nodes, say
from pez.inspect.bars import draw_bars
from pez.models import Reader
from pez.options import MARGIN


class PezExplain(io.ComfyNode):
    """What each word adds to a prompt's score with a picture; several models answer each by
    itself.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="PezExplain",
            display_name="PEZ explain",
            category=CATEGORY,
            description="What each word of a prompt adds to its score, and the prompt without "
            "those that add nothing.",
            inputs=[
                ModelType.Input("pez_model"),
                io.Image.Input("images"),
                io.String.Input("prompt", default="", multiline=True),
                io.Float.Input(
                    "margin",
                    default=MARGIN,
                    min=0.0,
                    max=2.0,
                    step=0.001,
                    round=0.0001,
                    tooltip="A word that adds at most this is redundant.",
                ),
            ],
            outputs=[
                io.Image.Output("bars", display_name="bars", is_output_list=True),
                io.String.Output("shorter", display_name="shorter", is_output_list=True),
                io.String.Output("json", display_name="json", is_output_list=True),
            ],
        )

    @classmethod
    def execute(
        cls, pez_model: Reader, images: Tensor, prompt: str, margin: float
    ) -> io.NodeOutput:
        """Explain."""
        with in_terms_of_nodes():
            each = [
                explain(one, prompt, margin=margin, reader=pez_model, warn=say)
                for one in pictures_of(images)
            ]
        return io.NodeOutput(
            [image_of(draw_bars(one)) for one in each],
            [one.shorter for one in each],
            [one.to_json() for one in each],
        )
