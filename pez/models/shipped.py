"""The small models in ``data/``: open_clip's own classes, stored with only the rows they need."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pez.errors import PezError
from pez.files import kept_ids
from pez.models.family import Companions, Family, Odds, Row, Weights
from pez.models.names import shipped_folder, shipped_names
from pez.models.openclip import OpenClip, wrap
from pez.models.quantised import unpack
from pez.search.tokens import Tokens

CONFIG, WEIGHTS = "open_clip_config.json", "model.safetensors"
ODDS = "odds.toml"
ROWS = "token_ids"  # which rows of the token embedding the file holds
TRUNK = "visual.trunk."  # how the names of an image trunk begin


class Shipped(Family):
    """The CLIPs that are shipped whole, by their bare names."""

    note = "shipped, small, offline"

    def mine(self) -> list[str]:
        """Their names."""
        return shipped_names()

    def claims(self, name: str) -> bool:
        """Whether ``name`` is one of them."""
        return name in self.mine()

    def names(self) -> list[Row]:
        """All of them."""
        return [{"name": name, "kind": "shipped", "note": self.note} for name in self.mine()]

    def weights(self, name: str) -> Weights | None:
        """The folder of a shipped model."""
        return Weights.of(shipped_folder(name)) if self.claims(name) else None

    def load(self, name: str, device: torch.device, dtype: torch.dtype) -> OpenClip:
        """A shipped model by its name."""
        return load(name, device, dtype)

    def tokens(self, name: str) -> Tokens:
        """Its tokenizer, cut to its context."""
        tokenizer = _tokenizer(json.loads((shipped_folder(name) / CONFIG).read_text()))
        return Tokens(tokenizer, tokenizer.context_length, kept_ids)

    def companions(self, name: str) -> Companions:
        """What ``companions.toml`` beside its weights says."""
        file = shipped_folder(name) / "companions.toml"
        return Companions(**tomllib.loads(file.read_text(encoding="utf-8")))

    def odds(self, name: str) -> Odds | None:
        """What ``odds.toml`` beside its weights says, if it is there."""
        file = shipped_folder(name) / ODDS
        if not file.is_file():
            return None
        try:
            return Odds(**tomllib.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise PezError(f"{file} is damaged ({error}); install the package again.") from None


def load(name: str, device: torch.device, dtype: torch.dtype) -> OpenClip:
    """Load a shipped model by its name."""
    return load_folder(shipped_folder(name), name, device, dtype)


def load_folder(
    folder: Path,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    trunk: Callable[[Any], dict[str, Tensor]] | None = None,
) -> OpenClip:
    """Build the model of ``folder`` and scatter its token rows into a full table. The weights of
    its image trunk are those that ``trunk`` finds for the module it is given, if the folder lacks
    them. PezError if its weights are incomplete.
    """
    import open_clip
    from open_clip.model import set_model_preprocess_cfg
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = json.loads((folder / CONFIG).read_text())
    model: Any = open_clip.CLIP(**config["model_cfg"])
    try:
        state = load_file(folder / WEIGHTS)
        ids = state.pop(ROWS).long()
        state = unpack(state)
    except (OSError, SafetensorError, KeyError) as error:
        file = folder / WEIGHTS
        raise PezError(f"the shipped model {name} is damaged ({error}); replace {file}.") from None
    state["token_embedding.weight"] = scatter_rows(
        state["token_embedding.weight"], ids, model.vocab_size
    )
    if trunk:
        found = trunk(model.visual.trunk)
        state |= {TRUNK + key: value for key, value in found.items()}
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
