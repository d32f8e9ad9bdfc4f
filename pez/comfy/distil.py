"""The node *PEZ distil*: a long prompt becomes a short one."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from pez.api import search_texts
from pez.comfy.fields import options_of, outputs_of, search_inputs, search_outputs
from pez.comfy.models import ModelType
from pez.comfy.running import CATEGORY, found, in_terms_of_nodes, say
from pez.models import Reader
from pez.options import DistillOptions


class PezDistil(io.ComfyNode):
    """A shorter prompt that means the same to the model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="PezDistil",
            display_name="PEZ distil",
            category=CATEGORY,
            description="Finds a shorter prompt that means the same to the model.",
            inputs=[
                ModelType.Input("pez_model"),
                io.String.Input("text", default="", multiline=True),
                io.Float.Input(
                    "ratio",
                    default=DistillOptions.ratio,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="Length as a share of the text's own, where length is 0.",
                ),
                *search_inputs(0, "0 takes ratio."),
            ],
            outputs=search_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, pez_model: Reader, text: str, ratio: float, length: int, **settings: Any
    ) -> io.NodeOutput:
        """Search."""
        share = {} if length else {"ratio": ratio}
        with in_terms_of_nodes():
            options = options_of(DistillOptions, length=length, **share, **settings)
        results = found(
            cls,
            pez_model,
            options,
            lambda session, watch: search_texts(session, [text], watch, say),
        )
        return outputs_of(results)
