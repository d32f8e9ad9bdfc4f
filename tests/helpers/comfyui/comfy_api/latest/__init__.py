"""What a node pack asks of ComfyUI's V3 interface, as its documentation describes it."""

from __future__ import annotations

from comfy_api.latest import io as io


class ComfyExtension:
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        raise NotImplementedError
