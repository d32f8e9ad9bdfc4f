"""A trained model of photographs as a folder that ``pez.models.photo`` loads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from features import Trunk
from heads import Heads
from safetensors.torch import save_file
from tower import TowerSettings, config

from pez.models.names import BACKBONE
from pez.models.photo import Backbone
from pez.models.quantised import pack

COMPANIONS = """# what pez uses with this model where nothing is named
judge = "photo-judge"
language = "mini-lm"
"""


def export(
    folder: Path,
    heads: Heads,
    model: Any,
    ids: Sequence[int],
    words: Sequence[str],
    trunk: Trunk,
    settings: TowerSettings,
) -> None:
    """Write the model: the image head, the text tower with the rows of the tokens ``ids``, and what
    the loader needs beside them. Matrices are stored as int8.
    """
    weight, bias = heads.projection()
    state = {**model.state_dict(), "visual.head.proj.weight": weight, "visual.head.proj.bias": bias}
    stored = pack(state)
    stored["token_ids"] = torch.tensor(ids, dtype=torch.int32)
    half = [0.5, 0.5, 0.5]
    prepared = {
        "size": trunk.side,
        "mean": half,
        "std": half,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    settled = {"model_cfg": config(trunk, len(weight), settings), "preprocess_cfg": prepared}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(stored, folder / "model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(settled, indent=1) + "\n")
    (folder / BACKBONE).write_text(Backbone.installed(trunk.package).toml())
    (folder / "words.txt").write_text("\n".join(words) + "\n")
    (folder / "companions.toml").write_text(COMPANIONS)
