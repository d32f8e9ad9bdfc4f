"""Prompts to pictures, by any text-to-image pipeline of diffusers.

from pez.generation import GenerateOptions, open_painter
painter = open_painter(GenerateOptions(generator="mini-sd"))
pictures = painter.paint(["a red boot"], seeds=[0])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pez.generation.options import GenerateOptions as GenerateOptions

if TYPE_CHECKING:
    from pez.generation.drawing import Drawing as Drawing
    from pez.generation.drawing import generate as generate
    from pez.generation.painter import Painter as Painter
    from pez.generation.pipelines import open_painter as open_painter

# loaded when first used: the command line needs only the options
_LATER = {
    "Drawing": "pez.generation.drawing",
    "Painter": "pez.generation.painter",
    "generate": "pez.generation.drawing",
    "open_painter": "pez.generation.pipelines",
}
__all__ = ["Drawing", "GenerateOptions", "Painter", "generate", "open_painter"]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'pez.generation' has no attribute {name!r}")
