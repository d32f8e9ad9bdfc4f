"""The node *PEZ model*: loads what the other nodes read prompts and pictures with.

Its output stays in ComfyUI's own cache as long as the graph needs it, so that a model is loaded
once for all nodes that it is connected to, and freed when the graph changes.
"""

from __future__ import annotations

from typing import Any

import comfy.model_management
from comfy_api.latest import io

from pez.comfy.running import CATEGORY, in_terms_of_nodes, make_room
from pez.models import Reader, load_model
from pez.models.ambient import plain_torch
from pez.models.devices import DTYPES
from pez.models.generators import GENERATORS, models_for
from pez.models.identity import known_weights
from pez.models.names import OFFLINE
from pez.models.offered import offered_judges, offered_models

ModelType = io.Custom("PEZ_MODEL")
FOR = "for "  # before the name of a generator: the models that read its prompts


class PezModel(io.ComfyNode):
    """Loads one model, or several that a prompt must please together."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's inputs and outputs."""
        return io.Schema(
            node_id="PezModel",
            display_name="PEZ model",
            category=CATEGORY,
            description="Loads the CLIP that prompts are searched, scored or explained with.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=choices(),
                    tooltip="photo knows common things and works offline. "
                    "“for sdxl” are the models that SDXL reads prompts with, from the hub.",
                ),
                io.String.Input(
                    "more_models",
                    default="",
                    multiline=True,
                    tooltip="Further models, one a line, as pez models lists them: "
                    "a prompt must then please all.",
                ),
                io.Combo.Input("dtype", options=list(DTYPES), default="float32"),
            ],
            outputs=[ModelType.Output("pez_model", display_name="pez_model")],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str, more_models: str, dtype: str) -> Any:
        """Other weights under the same name are loaded anew."""
        return sorted(known_weights(chosen_models(model, more_models)).items())

    @classmethod
    def execute(cls, model: str, more_models: str, dtype: str) -> io.NodeOutput:
        """Load the models on ComfyUI's device."""
        with in_terms_of_nodes():
            return io.NodeOutput(opened(chosen_models(model, more_models), dtype))


def opened(names: list[str], dtype: str) -> Reader:
    """The models by name, on ComfyUI's device. PezError if one is unavailable."""
    device = comfy.model_management.get_torch_device()
    make_room(device)
    with plain_torch():
        return load_model(names, str(device), dtype)


def choices() -> list[str]:
    """What the node offers: shipped models, those of generators, and shipped judges."""
    generators = [FOR + name for name in GENERATORS if name != OFFLINE]
    return [*offered_models(), *generators, *offered_judges()]


def chosen_models(model: str, more: str) -> list[str]:
    """The names of the models that were chosen, each once."""
    first = models_for(model.removeprefix(FOR)) if model.startswith(FOR) else (model,)
    lines = (line.strip() for line in more.splitlines())
    return list(dict.fromkeys((*first, *filter(None, lines))))
