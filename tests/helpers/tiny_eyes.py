"""Kinds of open_clip models beside those of ``tiny_towers``: other image towers, each with the
preparation of pictures of a published tag; random weights, small.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from open_clip.factory import get_model_config
from open_clip.pretrained import get_pretrained_cfg
from tiny_tokenizers import bert_tokenizer, gemma_tokenizer, xlm_tokenizer
from tiny_towers import TEXT, VISION, config

from pez.models.build import PREPARATION

Made = tuple[dict[str, Any], dict[str, Any]]  # the model's configuration, its pictures'


def own(name: str, tag: str, text: dict[str, Any], vision: dict[str, Any], embed: int = 16) -> Made:
    """open_clip's own architecture, narrower, with the pictures and activation of its tag."""
    made = json.loads(json.dumps(get_model_config(name)))
    published = get_pretrained_cfg(name, tag)
    made["text_cfg"].update({"width": 32, "heads": 2, "layers": 2, **text})
    made["vision_cfg"].update(vision)
    made["quick_gelu"] = published.get("quick_gelu", False)
    return {**made, "embed_dim": embed}, {key: published[key] for key in PREPARATION}


def timm(name: str, size: int) -> dict[str, Any]:
    return {"timm_model_name": name, "image_size": size}


def _openai(folder: Path) -> Made:
    return own("ViT-L-14", "openai", {}, VISION)


def _resnet(folder: Path) -> Made:
    vision = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 64, "image_size": 64}
    return own("RN50", "openai", {}, vision)


def _inception(folder: Path) -> Made:
    """The one tag of ViT-L-14 with another mean and deviation."""
    return own("ViT-L-14", "laion2b_s32b_b82k", {}, VISION)


def _siglip(folder: Path) -> Made:
    """No start token, pooled at the padding; pictures squashed to a square."""
    size = xlm_tokenizer(folder, start=False)
    text = {"vocab_size": size, "context_length": 12}
    return own("ViT-B-16-SigLIP", "webli", text, timm("test_vit3", 160), 96)


def _siglip2(folder: Path) -> Made:
    text = {"vocab_size": gemma_tokenizer(folder), "context_length": 12}
    return own("ViT-B-16-SigLIP2", "webli", text, timm("test_vit3", 160), 96)


def _clipa(folder: Path) -> Made:
    text = {"vocab_size": bert_tokenizer(folder), "context_length": 12}
    return own("ViT-L-14-CLIPA", "datacomp1b", text, VISION)


def _metaclip2(folder: Path) -> Made:
    text = {"vocab_size": xlm_tokenizer(folder), "context_length": 20}
    return own("ViT-H-14-worldwide", "metaclip2_worldwide", text, VISION)


def _metaclip2_378(folder: Path) -> Made:
    """GELU, and pictures squashed to a square."""
    text = {"vocab_size": xlm_tokenizer(folder), "context_length": 20}
    return own("ViT-H-14-worldwide-378", "metaclip2_worldwide", text, VISION)


def _eva(folder: Path) -> Made:
    return own("EVA02-B-16", "merged2b_s8b_b131k", {}, timm("eva02_tiny_patch14_224", 224))


def _mobile(folder: Path) -> Made:
    """Pictures without mean and deviation."""
    return own("MobileCLIP-S1", "datacompdr", {}, timm("fastvit_mci0", 256))


def _perception(folder: Path) -> Made:
    return own("PE-Core-T-16-384", "meta", {}, timm("vit_pe_core_tiny_patch16_384", 384))


def _convnext(folder: Path) -> Made:
    return own("convnext_base_w", "laion2b_s13b_b82k", {}, timm("test_convnext", 160))


def _clips(folder: Path) -> Made:
    """As UCSC's CLIPS on the hub: a class token behind the padding, put there by the tokenizer."""
    size = bert_tokenizer(folder)
    file = folder / "tokenizer_config.json"
    names = {"bos_token": "[CLS]", "eos_token": "[SEP]"}
    file.write_text(json.dumps(json.loads(file.read_text()) | names))
    text = {**TEXT, "vocab_size": size, "context_length": 20, "pool_type": "last"}
    text |= {"hf_tokenizer_name": "bert", "tokenizer_mode": "clips", "no_causal_mask": True}
    return config(text, custom_text=True), {"resize_mode": "longest", "fill_color": 99}


SEEING: dict[str, Callable[[Path], Made]] = {
    "openai": _openai,
    "resnet": _resnet,
    "inception": _inception,
    "siglip": _siglip,
    "siglip2-timm": _siglip2,
    "clipa-squash": _clipa,
    "metaclip2": _metaclip2,
    "metaclip2-378": _metaclip2_378,
    "eva": _eva,
    "mobileclip-timm": _mobile,
    "pe-core": _perception,
    "convnext": _convnext,
    "clips": _clips,
}
