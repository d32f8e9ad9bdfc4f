"""T5 encoders of transformers: what SD 3 and FLUX read prompts with beside CLIP.

The feature of a text is the mean of the encoder's last hidden states over its tokens, the end
token among them (Sentence-T5, Ni et al. 2021, "encoder-only mean"), of length one. Padding is
masked, as in T5's training, so that it changes nothing and a search runs over the prompt's own
positions. SD 3 and FLUX run the encoder over the padding without a mask; what they attend to is
therefore close to these states, but not equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pez.files import kept_ids
from pez.models.family import Family, Row, Weights
from pez.models.features import TextFeatures
from pez.models.pretrained import (
    known_place,
    no_pictures,
    open_config,
    open_place,
    open_tokenizer,
    open_weights,
)
from pez.models.text_tower import Front, front_rows
from pez.search.tokenizers import Pretrained
from pez.search.tokens import Tokens

PREFIX = "t5:"
CONTEXT = 512  # T5's positions are relative: trained on 512, which FLUX reads; SD 3 reads 256
TEXT_BATCH = 64


@dataclass(eq=False)
class T5(TextFeatures):
    """A T5 encoder as a :class:`pez.models.Reader` of texts."""

    name: str
    model: Any
    tokens: Tokens
    pad: int  # the id of padding
    device: torch.device
    known: Tensor | None = None
    own_words: list[str] | None = None
    weights: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # rows of the embedding beyond the tokenizer's ids (padding of the table) are not words
        self.table = self.model.get_input_embeddings().weight[: self.tokens.size]
        self.parts = (self.table.shape[1],)
        self.limit = self.tokens.limit
        before, after = self.tokens.layout(1)
        self._start = self.table[before]  # (s, w); T5 itself has no start token
        self._end = self.table[[i for i in after if i != self.pad]]

    @cached_property
    def front(self) -> Front | None:
        """The rows of words that are typed differently at the start of a text, if any are."""
        return front_rows(self.table, *self.tokens.front)

    def features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of prompts given as token embeddings (b, l, w); differentiable."""
        return self._read(embeddings)

    def _features(self, embeddings: Tensor) -> Tensor:
        if self.front is not None:
            embeddings = self.front.as_typed(embeddings)
        ends = (part.expand(len(embeddings), -1, -1) for part in (self._start, self._end))
        start, end = ends
        x = torch.cat([start, embeddings, end], 1)
        seen = torch.ones(x.shape[:2], device=x.device)
        return self.model(inputs_embeds=x, attention_mask=seen).last_hidden_state.mean(1)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Features (n, e) of typed texts, by the model's own tokenizer and forward."""
        out = []
        for start in range(0, len(texts), TEXT_BATCH):
            ids = self.tokens.inputs(texts[start : start + TEXT_BATCH]).to(self.device)
            seen = (ids != self.pad).long()
            longest = int(seen.sum(1).max())
            ids, seen = ids[:, :longest], seen[:, :longest]
            states = self.model(input_ids=ids, attention_mask=seen).last_hidden_state.float()
            mean = (states * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)
            out.append(F.normalize(mean, dim=-1))
        return torch.cat(out)

    def prepare(self, image: Image.Image) -> Any:
        """Raises PezError: it has no image tower."""
        raise no_pictures(self.name)

    def encode_prepared(self, prepared: Sequence[Any]) -> Tensor:
        """Raises PezError: it has no image tower."""
        raise no_pictures(self.name)

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Raises PezError: it has no image tower."""
        raise no_pictures(self.name)

    def free_vision(self) -> None:
        """There is no image tower to free."""

    def bytes_per_row(self, length: int) -> int:
        """A rough bound: what each block stores of every position for the backward pass."""
        config = self.model.config
        width = 10 * config.d_model + 6 * config.num_heads * config.d_kv + 6 * config.d_ff
        return (length + 1) * config.num_layers * width * self.table.element_size()


class T5Encoders(Family):
    """``t5:FOLDER``, ``t5:owner/name`` and parts of pipelines, ``t5:FOLDER/text_encoder_3``."""

    def claims(self, name: str) -> bool:
        """Whether it begins with ``t5:``."""
        return name.startswith(PREFIX)

    def names(self) -> list[Row]:
        """Encoders on the hub."""
        notes = {
            "t5:google/t5-v1_1-xxl": "reads only texts; the T5 of SD 3 and FLUX",
            "t5:google/t5-v1_1-base": "reads only texts; small",
        }
        return [{"name": name, "kind": "t5", "note": note} for name, note in notes.items()]

    def weights(self, name: str) -> Weights | None:
        """Its files, or the hub's repository."""
        return known_place(name, PREFIX)

    def load(self, name: str, device: torch.device, dtype: torch.dtype) -> T5:
        """The encoder; the decoder of a whole T5 is not loaded."""
        from transformers import T5EncoderModel

        place = open_place(name, PREFIX)
        open_config(place, ("t5",))
        words = open_tokenizer(place)
        model = open_weights(place, T5EncoderModel, device, dtype)
        return T5(name, model, _tokens(words), words.pad_token_id, device)

    def tokens(self, name: str) -> Tokens:
        """Its tokenizer."""
        return _tokens(open_tokenizer(open_place(name, PREFIX)))


def _tokens(words: Any) -> Tokens:
    return Tokens(Pretrained(words), min(words.model_max_length, CONTEXT), kept_ids)
