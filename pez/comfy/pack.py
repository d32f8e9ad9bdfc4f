"""The nodes of the pack."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from pez.comfy.distil import PezDistil
from pez.comfy.explain import PezExplain
from pez.comfy.invert import PezInvert
from pez.comfy.mix import PezMix
from pez.comfy.models import PezModel
from pez.comfy.score import PezScore

NODES: tuple[type[io.ComfyNode], ...] = (
    PezModel,
    PezInvert,
    PezDistil,
    PezMix,
    PezScore,
    PezExplain,
)


class Pack(ComfyExtension):
    """What ComfyUI loads."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes of the pack."""
        return list(NODES)
