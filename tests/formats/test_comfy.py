"""Pictures of ComfyUI tell their prompt and settings by their graph of nodes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pez.cli.again import taken
from pez.errors import PezError
from pez.formats.comfy import parse_graph
from pez.formats.parameters import read_parameters

GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 156680208700286,
            "steps": 20,
            "cfg": 7.5,
            "sampler_name": "dpmpp_2m",
            "scheduler": "karras",
            "denoise": 1,
            "model": ["10", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}},
    "5": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 512, "height": 768, "batch_size": 1},
    },
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["11", 0], "clip": ["10", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, [ugly]", "clip": ["10", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "10": {
        "class_type": "LoraLoader",
        "inputs": {
            "lora_name": "styles\\ink.safetensors",
            "strength_model": 0.8,
            "strength_clip": 0.8,
            "model": ["4", 0],
            "clip": ["4", 1],
        },
    },
    "11": {"class_type": "PrimitiveString", "inputs": {"value": "a (red:1.2) boot"}},
}


def changed(**nodes: Any) -> str:
    graph = copy.deepcopy(GRAPH)
    for number, inputs in nodes.items():
        graph[number.removeprefix("n")]["inputs"] |= inputs
    return json.dumps(graph)


def test_prompt_settings_and_loras_are_found(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("prompt", json.dumps(GRAPH))
    info.add_text("workflow", "{}")
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png", pnginfo=info)
    found = read_parameters(tmp_path / "p.png")
    assert found.prompt == "a (red:1.2) boot <lora:ink:0.8>"
    assert found.negative == r"text, \[ugly\]"
    values, left = taken(found)
    assert values == {
        **{"negative": found.negative, "scheduler": "dpmpp_2m karras", "steps": 20},
        **{"seed": 156680208700286, "clip_skip": 0, "guidance": 7.5, "width": 512, "height": 768},
    }
    assert left == ["Model: v1-5.safetensors"]


def test_what_is_not_read_is_told() -> None:
    found = parse_graph(changed(n3={"denoise": 0.5, "latent_image": ["8", 0]}), "p.png")
    assert found and found[2]["Started from"] == "VAEDecode"
    assert found[2]["Denoising strength"] == "0.5" and "Size" not in found[2]
    two = json.loads(changed())
    two["12"] = two["3"]
    for graph, why in (
        (json.dumps(two), "with 2 samplers"),
        (json.dumps({"4": GRAPH["4"]}), "with 0 samplers"),
        (changed(n3={"positive": ["5", 0]}), "EmptyLatentImage, which is not read"),
        (changed(n6={"text": ["6", 0]}), "CLIPTextEncode, which is not read"),
        (changed(n3={"seed": ["5", 0]}), "its Seed from another node"),
    ):
        with pytest.raises(PezError, match=f"p.png .*{why}"):
            parse_graph(graph, "p.png")
    assert parse_graph(changed(n10={"model": ["10", 0]}), "p.png")  # a circle has an end
    for text in ("", "a cat", "[1]", "{}", '{"a": 1}', "[" * 100_000):
        assert parse_graph(text, "p.png") is None
