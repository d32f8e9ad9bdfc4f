"""A cache of the hub with small stand-ins for all that open_clip publishes."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import pytest
from open_clip import factory
from open_clip.pretrained import get_pretrained_cfg
from safetensors.torch import save_file
from tiny_tokenizers import bert_tokenizer, gemma_tokenizer, roberta_tokenizer, xlm_tokenizer

QUICK = "-quickgelu"
NO_COMMIT = "0" * 40


class TinyHub:
    """Serves weights of small models under published names, offline.

    An architecture keeps all that a tag may touch (activation, size of pictures, context,
    pooling, tokenizer); its towers have one narrow layer. Towers of timm, which take no
    activation from open_clip, are replaced by small ones of timm.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.sizes: dict[str, int] = {}  # of the tokenizers
        self.known = copy.deepcopy(factory._MODEL_CONFIGS)
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
        # each reads CLIP's word list for a tenth of a second
        patch.setattr(factory, "SimpleTokenizer", cache(open_clip.SimpleTokenizer))
        for name in {name for name, _ in open_clip.list_pretrained()}:
            patch.setitem(factory._MODEL_CONFIGS, name, self.small(name))

    def snapshot(self, repository: str) -> Path:
        """Where the hub's client looks for a repository's files."""
        root = self.folder / f"models--{repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True, exist_ok=True)
        (root / "refs" / "main").write_text(NO_COMMIT)
        for room in ("snapshots", ".no_exist"):
            (root / room / NO_COMMIT).mkdir(parents=True, exist_ok=True)
        return root / "snapshots" / NO_COMMIT

    def publish(self, architecture: str, tag: str) -> Path:
        """Random weights of a pair; returns their file."""
        repository, _, file = get_pretrained_cfg(architecture, tag)["hf_hub"].rpartition("/")
        file = file.replace(".bin", ".safetensors") or "open_clip_model.safetensors"
        path = self.snapshot(repository) / file
        path.hardlink_to(self.weights(architecture.removesuffix(QUICK)))
        return path

    def weights(self, architecture: str) -> Path:
        """A file of random weights."""
        path = self.folder / f"{architecture}.safetensors"
        if not path.exists():
            model = open_clip.create_model(architecture, pretrained_text=False)
            # CoCa leaves a projection as the memory was
            state = {k: v.nan_to_num().contiguous() for k, v in model.state_dict().items()}
            save_file(state, path)
        return path

    def small(self, name: str) -> dict[str, Any]:
        """The configuration of an architecture with narrow towers."""
        made = copy.deepcopy(self.known[name])
        narrow = {"layers": 1, "width": 8, "heads": 1}
        made["embed_dim"] = 8
        text, vision = made["text_cfg"], made["vision_cfg"]
        if tokenizer := text.get("hf_tokenizer_name"):
            text["vocab_size"] = self.tokenizer(tokenizer) + 3
        if tower := text.get("hf_model_name"):
            self.tower(tower, text["vocab_size"])
        else:
            text.update(narrow)
        if "multimodal_cfg" in made:
            made["multimodal_cfg"].update(narrow, attn_pooler_heads=1)
            vision["attn_pooler_heads"] = 1
        if "timm_model_name" in vision:
            vision["timm_model_name"] = "test_vit3" if vision["timm_pool"] == "map" else "test_vit"
        elif isinstance(vision["layers"], list):
            vision.update(layers=[1, 1, 1, 1], width=2, head_width=64)
        else:
            vision.update(layers=1, width=8, head_width=8)
        return made

    def tokenizer(self, repository: str) -> int:
        """A stand-in for a tokenizer of the hub; returns how many ids it has."""
        if repository not in self.sizes:
            make = xlm_tokenizer
            if "SigLIP2" in repository:
                make = gemma_tokenizer
            elif repository.startswith("bert"):
                make = bert_tokenizer
            elif repository.startswith("roberta"):
                make = roberta_tokenizer
            elif "SigLIP" in repository or "mt5" in repository:
                make = lambda folder: xlm_tokenizer(folder, start=False)  # noqa: E731
            self.sizes[repository] = make(self.snapshot(repository))
            self.missing(repository).touch()
        return self.sizes[repository]

    def tower(self, repository: str, size: int) -> None:
        """The configuration of a small Hugging Face text tower."""
        from transformers import M2M100Config, RobertaConfig, XLMRobertaConfig

        sizes: dict[str, Any] = {"vocab_size": size, "pad_token_id": 1}
        if "nllb" in repository:
            sizes |= {"d_model": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
            sizes |= {f"{part}_layers": 1 for part in ("encoder", "decoder")}
            sizes |= {f"{part}_attention_heads": 1 for part in ("encoder", "decoder")}
            made = M2M100Config(**sizes)
        else:
            kind = XLMRobertaConfig if repository.startswith("xlm") else RobertaConfig
            sizes |= {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
            made = kind(**sizes, intermediate_size=8, max_position_embeddings=90)
        made.save_pretrained(str(self.snapshot(repository)))
        self.missing(repository).unlink(missing_ok=True)

    def missing(self, repository: str) -> Path:
        """Tells the hub's client that there is no config.json; otherwise it would ask the hub."""
        return self.snapshot(repository).parents[1] / ".no_exist" / NO_COMMIT / "config.json"
