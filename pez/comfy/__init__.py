"""Nodes for ComfyUI. This folder can stand in ``custom_nodes`` as it is, or ``pez comfy`` puts a
file there that loads it. Importing it does not need ComfyUI; its modules do.
"""

from __future__ import annotations

from typing import Any


def comfy_entrypoint() -> Any:
    """The nodes, as ComfyUI asks for them when it starts."""
    from pez.comfy.pack import Pack

    return Pack()
