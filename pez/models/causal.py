"""Language models that classify: any of transformers with a head for next words.

Causal ones are read fast where they allow it (:mod:`pez.models.kept`); others, and
encoder-decoders, as transformers reads them. Which way gives the model's own figures is tried once
when it is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.files import kept_ids
from pez.models.kept import Kept, block_mask, cache_name, continued, gathered
from pez.models.products import Switch
from pez.search.spaced import SpacedTokens
from pez.search.tokenizers import Pretrained

USUAL = 1024  # tokens that are read of a model that does not say how many it reads
CLOSE = 1e-3  # how much the log-odds of two ways to read may differ in float32


@dataclass(eq=False)
class Speaker:
    """A language model as the reader of prompts between texts and labels (see
    :class:`pez.models.Reader`; it has no features of its own).

    ``table`` (V, w) is what the model's layers get of each id. ``plain`` models are read as
    transformers reads them, a whole text at a time.
    """

    name: str
    model: Any
    tokenizer: Any
    device: torch.device
    weights: dict[str, str] = field(default_factory=dict)
    plain: bool = False
    switch: Switch = field(default_factory=Switch)  # products in bfloat16, if it has them
    known: Tensor | None = None
    own_words: list[str] | None = None

    def __post_init__(self) -> None:
        table = embedded(self.model)
        self.tokens = SpacedTokens(Pretrained(self.tokenizer), self.context, kept_ids, len(table))
        self.table = table[: self.tokens.size]
        self.parts = (table.shape[1],)
        self.limit = max(1, self.context - len(self.around[0]) - len(self.around[1]) - 1)

    @property
    def config(self) -> Any:
        """The model's configuration, of its text part."""
        return self.model.config.get_text_config(decoder=True)

    @property
    def paired(self) -> bool:
        """Whether it is an encoder with a decoder, which answers in a text of its own."""
        return bool(self.model.config.is_encoder_decoder)

    @cached_property
    def context(self) -> int:
        """How many tokens it reads."""
        own = getattr(self.config, "max_position_embeddings", None)
        own = own or getattr(self.config, "n_positions", None)
        said = getattr(self.tokenizer, "model_max_length", None) or USUAL
        known = [n for n in (own, said) if isinstance(n, int) and 0 < n < 10**7]
        return min(known) if known else USUAL

    @cached_property
    def around(self) -> tuple[list[int], list[int]]:
        """Ids that the tokenizer puts before and behind every text."""
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        full = self.tokenizer("a")["input_ids"]
        for n in range(len(full) - len(bare) + 1):
            if full[n : n + len(bare)] == bare:
                return full[:n], full[n + len(bare) :]
        return [], []

    @cached_property
    def first(self) -> list[int]:
        """What a decoder begins with."""
        ids = [
            getattr(self.model.config, "decoder_start_token_id", None),
            self.tokenizer.bos_token_id,
        ]
        found = [i for i in ids if i is not None]
        if not found:
            raise PezError(f"{self.name} does not say what its decoder begins with; name another.")
        return found[:1]

    @cached_property
    def window(self) -> int:
        """Tokens up to which every layer sees all before it; 0 is any number."""
        sizes = [
            getattr(self.config, name, None) for name in ("sliding_window", "attention_chunk_size")
        ]
        return min([n for n in sizes if isinstance(n, int) and n > 0], default=0)

    @cached_property
    def head(self) -> tuple[Tensor, Tensor | None]:
        """The table (V, w) and the bias (V,) that make logits of the last states."""
        out = self.model.get_output_embeddings()
        return out.weight, getattr(out, "bias", None)

    def run(
        self,
        x: Tensor,
        sizes: Tensor,
        ancestors: Tensor,
        kept: Kept | None = None,
        rows: Tensor | None = None,
        keep: bool = False,
    ) -> tuple[Tensor, Kept | None]:
        """Last states (r, c, q, w) of blocks of embeddings ``x`` (r, c, q, w), each behind the
        ``kept`` beginning of its row, ``rows`` (r,) of these or as they are. Of a block's tokens
        the last are those of ``ancestors`` (m, m), the others its context, of which ``sizes``
        (r, c) are no padding (:func:`pez.models.kept.block_mask`). With ``keep`` also the keys and
        values, as beginnings; they must be a single block without kept beginnings of several
        lengths.
        """
        r, c, q, w = x.shape
        more = len(ancestors)
        context = q - more
        at = torch.arange(context, device=x.device).expand(r, c, context)
        if more:
            depth = ancestors.sum(1) - 1
            at = torch.cat([at, sizes[..., None] + depth], 2)
        past = None
        begun = torch.zeros(r, dtype=torch.long, device=x.device)
        if kept is not None:
            begun = kept.lengths if rows is None else kept.lengths[rows]
            past = torch.arange(kept.width, device=x.device) < begun[:, None]
        dtype = self.table.dtype
        cache = continued(kept, rows, self.config.num_hidden_layers)
        found = self.model.base_model(
            inputs_embeds=x.reshape(r, c * q, w).to(dtype),
            position_ids=(at + begun[:, None, None]).reshape(r, c * q),
            attention_mask=block_mask(past, sizes, context, ancestors, dtype),
            use_cache=True,
            **{cache_name(self.model): cache},
        ).last_hidden_state
        made = gathered(cache, begun + sizes[:, 0]) if keep else None
        return found.view(r, c, q, -1), made

    def read(self, x: Tensor, sizes: Tensor) -> Tensor:
        """Logits (r, q, V) of rows of embeddings (r, q, w) of ``sizes`` (r,), as transformers
        gives them.
        """
        seen = (torch.arange(x.shape[1], device=x.device) < sizes[:, None]).long()
        given = x.to(self.table.dtype)
        return self.model(inputs_embeds=given, attention_mask=seen, use_cache=False).logits.float()

    def answer(self, x: Tensor, sizes: Tensor, said: Tensor) -> Tensor:
        """Logits (r, a, q, V) of a decoder for each of the answers ``said`` (a, q), ids, to rows of
        embeddings (r, t, w) of ``sizes`` (r,).
        """
        seen = (torch.arange(x.shape[1], device=x.device) < sizes[:, None]).long()
        encoder = self.model.get_encoder()
        state = encoder(inputs_embeds=x.to(self.table.dtype), attention_mask=seen).last_hidden_state
        a = len(said)
        from transformers.modeling_outputs import BaseModelOutput

        logits = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=state.repeat_interleave(a, 0)),
            attention_mask=seen.repeat_interleave(a, 0),
            decoder_input_ids=said.repeat(len(x), 1),
            use_cache=False,
        ).logits.float()
        return logits.view(len(x), a, *logits.shape[1:])

    def fits(self, tokens: int) -> bool:
        """Whether texts of so many tokens can be read fast."""
        return not self.plain and (not self.window or tokens <= self.window)

    # what a Reader has beside: there are no features and no pictures

    def features(self, embeddings: Tensor) -> Tensor:
        """Raises PezError: it answers, see :mod:`pez.models.answers`."""
        raise PezError(f"{self.name} is a language model without features; use pez classify.")

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Raises PezError as :meth:`features`."""
        raise PezError(f"{self.name} is a language model without features; use pez classify.")

    def prepare(self, image: Image.Image) -> Any:
        """Raises PezError: it has no image tower."""
        raise PezError(f"{self.name} is a language model and reads no pictures.")

    def encode_prepared(self, prepared: Sequence[Any]) -> Tensor:
        """Raises PezError: it has no image tower."""
        raise PezError(f"{self.name} is a language model and reads no pictures.")

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Raises PezError: it has no image tower."""
        raise PezError(f"{self.name} is a language model and reads no pictures.")

    def free_vision(self) -> None:
        """There is no image tower to free."""

    def bytes_per_row(self, length: int) -> int:
        """A rough bound; a row's texts are read in chunks (:mod:`pez.models.answers`)."""
        return 1 << 28


@torch.no_grad()
def embedded(model: Any) -> Tensor:
    """What the layers of a model get of each id, (V, w): some scale their table."""
    layer = model.get_input_embeddings()
    table = layer.weight
    few = torch.arange(min(8, len(table)), device=table.device)
    if torch.equal(layer(few), table[few]):
        return table.detach()
    return layer(torch.arange(len(table), device=table.device)).detach()
