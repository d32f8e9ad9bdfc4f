"""The small models in ``data/``: open_clip's own classes, stored with only the rows they need."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pez.errors import PezError
from pez.files import data_folder, kept_ids
from pez.models.family import Companions, Family, Row, Weights
from pez.models.names import shipped_names
from pez.models.openclip import OpenClip, wrap
from pez.search.tokens import Tokens

ROWS = "token_ids"  # which rows of the token embedding the file holds


class Shipped(Family):
    """The shipped CLIPs by their bare names."""

    def claims(self, name: str) -> bool:
        """Whether ``name`` is shipped."""
        return name in shipped_names()

    def names(self) -> list[Row]:
        """All of them."""
        note = "shipped, small, offline"
        return [{"name": name, "kind": "shipped", "note": note} for name in shipped_names()]

    def weights(self, name: str) -> Weights | None:
        """The folder of a shipped model."""
        return Weights.of(data_folder() / "models" / name) if self.claims(name) else None

    def load(self, name: str, device: torch.device, dtype: torch.dtype) -> OpenClip:
        """A shipped model by its name."""
        return load(name, device, dtype)

    def tokens(self, name: str) -> Tokens:
        """Its tokenizer, cut to its context."""
        folder = data_folder() / "models" / name
        tokenizer = _tokenizer(json.loads((folder / "open_clip_config.json").read_text()))
        return Tokens(tokenizer, tokenizer.context_length, kept_ids)

    def companions(self, name: str) -> Companions:
        """What ``companions.toml`` beside its weights says."""
        file = data_folder() / "models" / name / "companions.toml"
        return Companions(**tomllib.loads(file.read_text(encoding="utf-8")))


def load(name: str, device: torch.device, dtype: torch.dtype) -> OpenClip:
    """Load a shipped model by its name."""
    return load_folder(data_folder() / "models" / name, name, device, dtype)


def load_folder(folder: Path, name: str, device: torch.device, dtype: torch.dtype) -> OpenClip:
    """Build the model of ``folder`` and scatter its token rows into a full table. PezError if its
    weights are incomplete.
    """
    import open_clip
    from open_clip.model import set_model_preprocess_cfg
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = json.loads((folder / "open_clip_config.json").read_text())
    model = open_clip.CLIP(**config["model_cfg"])
    try:
        state = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        file = folder / "model.safetensors"
        raise PezError(f"the shipped model {name} is damaged ({error}); replace {file}.") from None
    ids = state.pop(ROWS).long()
    state = {k: v.float() for k, v in state.items()}
    state["token_embedding.weight"] = scatter_rows(
        state["token_embedding.weight"], ids, model.vocab_size
    )
    model.load_state_dict(state)
    set_model_preprocess_cfg(model, config["preprocess_cfg"])
    words = (folder / "words.txt").read_text().split()
    tokenizer = _tokenizer(config)
    special = {tokenizer.sot_token_id, tokenizer.eot_token_id, 0}
    known = ids[~torch.isin(ids, torch.tensor(sorted(special)))]
    return wrap(name, model.to(dtype), tokenizer, device, known=known.to(device), own_words=words)


def _tokenizer(config: dict[str, Any]) -> Any:
    import open_clip

    return open_clip.SimpleTokenizer(
        context_length=config["model_cfg"]["text_cfg"]["context_length"]
    )


def scatter_rows(rows: Tensor, ids: Tensor, size: int) -> Tensor:
    """A full table (size, w) with ``rows`` (n, w) at ``ids`` (n,) and zeros elsewhere."""
    table = torch.zeros(size, rows.shape[1], dtype=rows.dtype)
    table[ids] = rows
    return table
