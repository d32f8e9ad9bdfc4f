"""How ComfyUI drew a picture: the graph of nodes that it writes into a PNG as the text ``prompt``.

``{"3": {"class_type": "KSampler", "inputs": {"seed": 5, "positive": ["6", 0], ...}}, ...}``: an
input is a value, or a link to a node and one of its outputs. Read are graphs with one sampler whose
prompts are plain texts; anything else would be another picture.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any

from pez.errors import PezError

MOST_NODES = 10_000
_TEXTS = ("text", "string", "value")
_EMPTY = ("EmptyLatentImage", "EmptySD3LatentImage")

Node = Mapping[str, Any]


def parse_graph(text: str, where: str) -> tuple[str, str, dict[str, str]] | None:
    """Prompt, negative prompt and settings by the names of A1111's web UI; None for what is no
    graph. PezError for a graph that draws otherwise than by one sampler from two texts.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not found or len(found) > MOST_NODES:
        return None
    nodes = {k: v for k, v in found.items() if isinstance(v, dict) and "class_type" in v}
    if len(nodes) < len(found):
        return None
    samplers = [n for n in nodes.values() if {"positive", "negative", "steps"} <= _inputs(n).keys()]
    if len(samplers) != 1:
        raise PezError(
            f"{where} was drawn by ComfyUI with {len(samplers)} samplers, and pez reads graphs "
            "with one; give prompt and settings yourself."
        )
    graph, own = _Graph(nodes, where), _inputs(samplers[0])
    settings = {
        "Steps": own.get("steps"),
        "Sampler": own.get("sampler_name"),
        "Schedule type": own.get("scheduler"),
        "CFG scale": own.get("cfg"),
        "Seed": own.get("seed", own.get("noise_seed")),
    }
    latent = graph.node(own.get("latent_image"))
    size = _inputs(latent)
    if latent.get("class_type") in _EMPTY:
        settings["Size"] = f"{size.get('width')}x{size.get('height')}"
    elif latent:
        settings["Started from"] = latent.get("class_type")
    if own.get("denoise", 1) != 1:
        settings["Denoising strength"] = own["denoise"]
    model, tags = graph.model(own.get("model"))
    settings["Model"] = model or None
    words = [graph.text(own[side]) for side in ("positive", "negative")]
    if bad := [name for name, value in settings.items() if isinstance(value, list | dict)]:
        raise PezError(f"{where} has its {bad[0]} from another node, which pez does not read.")
    shown = {name: str(value) for name, value in settings.items() if value is not None}
    return " ".join([words[0], *tags]), words[1], shown


class _Graph:
    """The nodes of a picture."""

    def __init__(self, nodes: Mapping[str, Node], where: str) -> None:
        self._nodes, self._where = nodes, where

    def node(self, link: Any) -> Node:
        """The node behind a link; empty if it is none."""
        if isinstance(link, list) and len(link) == 2:
            return self._nodes.get(str(link[0]), {})
        return {}

    def text(self, link: Any) -> str:
        """The words of a prompt. ComfyUI knows round brackets alone, so square ones are words."""
        node = self.node(link)
        kind, given = str(node.get("class_type")), _inputs(node)
        said = given.get("text")
        if kind == "CLIPTextEncodeSDXL" and given.get("text_g") == given.get("text_l"):
            said = given.get("text_g")
        for _ in range(8):  # texts may come from nodes of their own
            if not isinstance(said, list):
                break
            inner = _inputs(self.node(said))
            said = next((inner[name] for name in _TEXTS if name in inner), None)
        if not kind.startswith("CLIPTextEncode") or not isinstance(said, str):
            raise PezError(
                f"{self._where} has a prompt of ComfyUI's {kind[:60]}, which is not read; give it "
                "yourself."
            )
        return re.sub(r"([\[\]{}|])", r"\\\1", said)

    def model(self, link: Any) -> tuple[str, list[str]]:
        """The checkpoint's name, and the LoRAs on the way as A1111's web UI writes them."""
        tags: list[str] = []
        for _ in range(len(self._nodes)):
            node = self.node(link)
            given = _inputs(node)
            if "lora_name" in given:
                weights = [given.get("strength_model"), given.get("strength_clip")]
                shown = ":".join(str(w) for w in dict.fromkeys(weights) if w is not None)
                tags.insert(0, f"<lora:{_stem(given['lora_name'])}:{shown}>")
            if "model" not in given:
                return str(given.get("ckpt_name") or given.get("unet_name") or ""), tags
            link = given["model"]
        return "", tags


def _inputs(node: Node) -> Mapping[str, Any]:
    given = node.get("inputs")
    return given if isinstance(given, dict) else {}


def _stem(name: Any) -> str:
    return PurePath(PureWindowsPath(str(name)).name).stem
