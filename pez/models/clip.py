"""CLIPs of transformers: whole ones, and the text encoders of pipelines.

The feature is what transformers gives: projected where the model has a projection
(``CLIPModel.get_text_features``, ``CLIPTextModelWithProjection.text_embeds``), else the pooled
state (``CLIPTextModel.pooler_output``, as FLUX takes it), of length one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from pez.files import kept_ids
from pez.models.family import Family, Row, Weights
from pez.models.features import TextFeatures
from pez.models.pretrained import (
    known_place,
    no_pictures,
    open_config,
    open_place,
    open_processor,
    open_tokenizer,
    open_weights,
)
from pez.models.text_tower import Tower, cut_features, full_features, typed_features
from pez.search.tokenizers import Pretrained
from pez.search.tokens import Tokens

PREFIX = "clip:"
KINDS = ("clip", "clip_text_model")  # transformers' names of whole CLIPs and of text towers
BATCH = 32
OLD_END = 2  # configurations from before 2023 name this end token; then the largest id is pooled


@dataclass(frozen=True, eq=False)
class Text:
    """A text tower of transformers by its parts."""

    body: Any  # a CLIPTextModel
    projection: nn.Linear | None

    @property
    def token_embedding(self) -> nn.Embedding:
        """The module that looks up ids."""
        return self.body.embeddings.token_embedding

    def encode_text(self, ids: Tensor) -> Tensor:
        """Features (n, e), not normalised, of whole inputs (n, context)."""
        pooled = self.body(input_ids=ids).pooler_output
        return pooled if self.projection is None else self.projection(pooled)


@dataclass(eq=False)
class Clip(TextFeatures):
    """A CLIP of transformers as a :class:`pez.models.Reader`."""

    name: str
    model: Any
    tokens: Tokens
    device: torch.device
    processor: Any = None  # None for a text tower alone
    known: Tensor | None = None
    own_words: list[str] | None = None
    weights: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from transformers import CLIPTextModel

        alone = isinstance(self.model, CLIPTextModel)
        self.text = (
            Text(self.model, None)
            if alone
            else Text(self.model.text_model, self.model.text_projection)
        )
        self.table = self.text.token_embedding.weight[: self.tokens.size]
        self.parts = (self.table.shape[1],)
        self.limit = self.tokens.limit
        self.tower = text_tower(self.text, self.tokens)

    def features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of prompts given as token embeddings (b, l, w); differentiable."""
        return self._read(embeddings) if self.tower is None else self._graphs(embeddings)

    def _features(self, embeddings: Tensor) -> Tensor:
        if self.tower is not None:
            return cut_features(self.tower, embeddings)
        return full_features(self.text, self.tokens, embeddings)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Features (n, e) of typed texts, by transformers' own tokenizer and forward."""
        return typed_features(self.tokens, self.text.encode_text, texts, self.device)

    def prepare(self, image: Image.Image) -> Tensor:
        """Pixels (3, h, w) of an RGB picture. PezError where the model is a text tower alone."""
        if self.processor is None:
            raise no_pictures(self.name)
        return self.processor(images=[image], return_tensors="pt")["pixel_values"][0]

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (n, e) of RGB pictures; PezError as for :meth:`prepare`."""
        return self.encode_prepared([self.prepare(image) for image in images])

    @torch.no_grad()
    def encode_prepared(self, prepared: Sequence[Tensor]) -> Tensor:
        """Features (n, e) of pixels (3, h, w)."""
        out = []
        for start in range(0, len(prepared), BATCH):
            pixels = torch.stack(list(prepared[start : start + BATCH]))
            found = self.model.get_image_features(pixels.to(self.device, self.table.dtype))
            out.append(F.normalize(found.pooler_output.float(), dim=-1))
        return torch.cat(out)

    def free_vision(self) -> None:
        """Free the image tower; pictures cannot be read afterwards."""
        if self.processor is not None:
            self.model.vision_model = self.model.visual_projection = self.processor = None

    def bytes_per_row(self, length: int) -> int:
        """About 30 saved activations per position and layer, each as wide as the model."""
        positions = length + 2 if self.tower else self.tokens.context
        layers = len(self.text.body.encoder.layers)
        return 30 * positions * layers * self.parts[0] * self.table.element_size()


class Clips(Family):
    """``clip:FOLDER``, ``clip:owner/name`` and parts of pipelines, ``clip:FOLDER/text_encoder``."""

    def claims(self, name: str) -> bool:
        """Whether it begins with ``clip:``."""
        return name.startswith(PREFIX)

    def names(self) -> list[Row]:
        """An example from the hub."""
        note = "a CLIP of transformers; the same as ViT-L-14/openai"
        return [{"name": "clip:openai/clip-vit-large-patch14", "kind": "clip", "note": note}]

    def weights(self, name: str) -> Weights | None:
        """Its files, or the hub's repository."""
        return known_place(name, PREFIX)

    def load(self, name: str, device: torch.device, dtype: torch.dtype) -> Clip:
        """A whole CLIP or a text tower alone, according to its configuration."""
        from transformers import CLIPModel, CLIPTextModel, CLIPTextModelWithProjection

        place = open_place(name, PREFIX)
        config = open_config(place, KINDS)
        whole = config.model_type == "clip"
        projected = CLIPTextModelWithProjection.__name__ in (config.architectures or ())
        tower = CLIPTextModelWithProjection if projected else CLIPTextModel
        words = _tokens(open_tokenizer(place), config)
        processor = open_processor(place) if whole else None
        model = open_weights(place, CLIPModel if whole else tower, device, dtype)
        return Clip(name, model, words, device, processor)

    def tokens(self, name: str) -> Tokens:
        """Its tokenizer, cut to its positions."""
        place = open_place(name, PREFIX)
        return _tokens(open_tokenizer(place), open_config(place, KINDS))


def _tokens(words: Any, config: Any) -> Tokens:
    text = config.text_config if config.model_type == "clip" else config
    longest = min(words.model_max_length, text.max_position_embeddings)
    return Tokens(Pretrained(words), longest, kept_ids)


def text_tower(text: Text, tokens: Tokens) -> Tower | None:
    """The tower's parts for a forward pass cut after the end token, which is exact for a causal
    tower; None where the pooled token is not the first one after the prompt.
    """
    body = text.body
    before, after = tokens.layout(1)
    if body.eos_token_id == OLD_END:
        ends = all(i in tokens.special for i in range(after[0] + 1, tokens.size))
    else:
        ends = after[0] == body.eos_token_id
    if not ends or not before:
        return None
    table, positions = text.token_embedding.weight, body.embeddings.position_embedding.weight
    blocks = [_Block(layer) for layer in body.encoder.layers]
    return Tower(
        blocks,
        blocks[0].attn.num_heads,
        body.final_layer_norm,
        text.projection,
        (table[before] + positions[: len(before)]).detach(),
        table[after[0]].detach(),
        positions.detach(),
    )


class _Block(nn.Module):
    """A block of transformers under open_clip's names, which a :class:`Tower` expects."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = layer.layer_norm1, layer.layer_norm2
        self.ls_1 = self.ls_2 = nn.Identity()
        self.attn, self.mlp = _Attention(layer.self_attn), _Mlp(layer.mlp)


class _Attention(nn.Module):
    def __init__(self, own: Any) -> None:
        super().__init__()
        maps = (own.q_proj, own.k_proj, own.v_proj)
        self.register_buffer("in_proj_weight", torch.cat([m.weight for m in maps]))
        self.register_buffer("in_proj_bias", torch.cat([m.bias for m in maps]))
        self.out_proj, self.num_heads = own.out_proj, own.num_heads


class _Mlp(nn.Module):
    def __init__(self, own: Any) -> None:
        super().__init__()
        self.c_fc, self.gelu, self.c_proj = own.fc1, own.activation_fn, own.fc2
