"""Forward passes of open_clip text towers from token embeddings.

``causal`` cuts the context right after the end token, which changes nothing in a causal
tower and saves most of the work; ``full`` runs any tower over its whole context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pez.models.packed import Linear, worth_packing
from pez.search.tokens import Tokens

TEXT_BATCH = 256  # typed texts that are read at once


@dataclass(frozen=True, eq=False)
class Tower:
    """The parts of a causal tower that a cut forward pass needs."""

    blocks: list[Any]
    heads: int
    final: nn.Module
    projection: Tensor | nn.Module | None
    before: Tensor  # embeddings of the start token with its position, (1, w)
    end: Tensor  # embedding of the end token, (w,)
    positions: Tensor  # (context, w)

    @cached_property
    def layers(self) -> list[Layer]:
        """The blocks' maps; made at the first forward, when the image tower may be freed."""
        count = sum(p.numel() for block in self.blocks for p in block.parameters())
        pack = worth_packing(self.blocks[0].attn.in_proj_weight, count)
        return [_layer(block, block is self.blocks[-1], pack) for block in self.blocks]

    @cached_property
    @torch.no_grad()
    def seen(self) -> list[Tensor]:
        """The start's projections by ``inputs`` of each layer: (1, s, 3 w), the last (1, s, 2 w).

        The start attends only to itself, so no prompt changes it.
        """
        x, out = self.before[None], []
        for layer in self.layers:
            out.append(layer.inputs(layer.block.ln_1(x)))
            if layer.query is None:
                q, k, v = out[-1].chunk(3, -1)
                x = _after(layer, x, _attend(q, k, v, self.heads, causal=True))
        return out


@dataclass(frozen=True, eq=False)
class Layer:
    """A residual block and its linear maps."""

    block: Any
    query: Linear | None  # of the last block, where only the end token has a query
    inputs: Linear  # queries, keys and values; of the last block keys and values
    out: Linear
    up: Linear
    down: Linear


def _layer(block: Any, last: bool, pack: bool) -> Layer:
    """The maps of a block, packed where they process many positions."""

    def linear(weight: Tensor, bias: Tensor | None, many: bool) -> Linear:
        plain = Linear(weight, bias)
        return plain.packed() if pack and many else plain

    attention, mlp = block.attn, block.mlp
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    cut = weight.shape[1] if last else 0
    return Layer(
        block,
        Linear(weight[:cut], bias if bias is None else bias[:cut]) if last else None,
        linear(weight[cut:], bias if bias is None else bias[cut:], True),
        linear(attention.out_proj.weight, attention.out_proj.bias, not last),
        linear(mlp.c_fc.weight, mlp.c_fc.bias, not last),
        linear(mlp.c_proj.weight, mlp.c_proj.bias, not last),
    )


def text_module(model: nn.Module) -> Any:
    """The module with the text tower's parts: CLIP's root, in other models ``text``."""
    return getattr(model, "text", model)


def embedding_module(model: nn.Module) -> Any:
    """The token embedding of any open_clip tower, Hugging Face ones included."""
    text = text_module(model)
    if hasattr(text, "token_embedding"):
        return text.token_embedding
    return text.transformer.get_input_embeddings()


def causal_tower(model: nn.Module, tokens: Tokens) -> Tower | None:
    """The tower's parts if a cut forward pass is exact for it, else None.

    Exact means: causal attention, pooled at the end token, no class token of its own
    (CoCa) and no mask over padding; and blocks of the plain kind.
    """
    from open_clip.transformer import ResidualAttentionBlock, TextTransformer

    text = text_module(model)
    pool = getattr(text, "text_pool_type", getattr(text, "pool_type", None))
    plain = text is model or type(text) is TextTransformer
    if not plain or getattr(text, "attn_mask", None) is None or pool not in ("argmax", "eos"):
        return None
    if getattr(text, "cls_emb", None) is not None or getattr(text, "use_pad_mask", False):
        return None
    before, after = tokens.layout(1)
    if pool == "eos":
        ends = after[0] == getattr(text, "text_eos_id", getattr(text, "eos_id", None))
    else:  # the largest id
        ends = all(i in tokens.special for i in range(after[0] + 1, tokens.size))
    if not ends:
        return None
    blocks: list[Any] = list(text.transformer.resblocks)
    if any(type(b) is not ResidualAttentionBlock for b in blocks):
        return None
    start = text.token_embedding.weight[before] + text.positional_embedding[: len(before)]
    return Tower(
        blocks,
        blocks[0].attn.num_heads,
        text.ln_final,
        text.text_projection,
        start.detach(),
        text.token_embedding.weight[after[0]].detach(),
        text.positional_embedding.detach(),
    )


def cut_features(tower: Tower, embeddings: Tensor) -> Tensor:
    """Features (b, e), not normalised, of prompts (b, l, w): l + 1 positions, not the context."""
    b, length, width = embeddings.shape
    start = len(tower.before)
    end = tower.end + tower.positions[start + length]
    x = embeddings + tower.positions[start : start + length]
    x = torch.cat([x, end.expand(b, 1, width)], 1)
    for layer, seen in zip(tower.layers, tower.seen, strict=True):
        x = _block(layer, x, tower.heads, seen)
    return _project(tower.final(x[:, 0]), tower.projection)


def _block(layer: Layer, x: Tensor, heads: int, seen: Tensor) -> Tensor:
    """One residual block (b, l, w) after the ``seen`` start; the last gives (b, 1, w)."""
    h = layer.block.ln_1(x)
    # the start's queries are included, so that query n still sees keys 0 to n
    own = torch.cat([seen.expand(len(x), -1, -1), layer.inputs(h)], 1)
    if layer.query is None:
        q, k, v = own.chunk(3, -1)
    else:
        q, (k, v), x = layer.query(h[:, -1:]), own.chunk(2, -1), x[:, -1:]
    mixed = _attend(q, k, v, heads, causal=layer.query is None)
    return _after(layer, x, mixed[:, -x.shape[1] :])


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, causal: bool) -> Tensor:
    """Attention (b, l, w) of several heads."""
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return mixed.transpose(1, 2).flatten(2)


def _after(layer: Layer, x: Tensor, mixed: Tensor) -> Tensor:
    """A residual block from its attention on, (b, l, w)."""
    block = layer.block
    x = x + block.ls_1(layer.out(mixed))
    return x + block.ls_2(layer.down(block.mlp.gelu(layer.up(block.ln_2(x)))))


def _project(x: Tensor, projection: Tensor | nn.Module | None) -> Tensor:
    if projection is None:
        return x
    return projection(x) if isinstance(projection, nn.Module) else x @ projection


@dataclass(frozen=True, eq=False)
class Front:
    """Words with another row at the start of a text, found by the bits of their rows.

    A search uses one row for a word wherever it occurs (:class:`pez.search.tokens.Tokens`); the
    model reads the first word of a typed text by another.
    """

    keys: Tensor  # of the rows to be replaced, ascending, int64 (n,)
    typed: Tensor  # the rows the model reads instead, (n, w)

    def as_typed(self, embeddings: Tensor) -> Tensor:
        """Prompts (b, l, w) as typed; gradients pass to the given ones. Points that are
        not a row of the table are unchanged.
        """
        first = embeddings[:, 0]
        keys = row_keys(first)
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        hit = (self.keys[place] == keys)[:, None]
        typed = self.typed[place] + (first - first.detach())
        return torch.cat([torch.where(hit, typed, first)[:, None], embeddings[:, 1:]], 1)


def front_rows(table: Tensor, ids: list[int], typed: list[int]) -> Front | None:
    """Replace rows ``ids`` of the table (V, w) by ``typed``; None if there are no ids."""
    if not ids:
        return None
    keys, order = row_keys(table[ids]).sort()
    return Front(keys, table[typed][order])


def row_keys(rows: Tensor) -> Tensor:
    """A number (n,) of the bits of each row (n, w): equal rows have equal numbers."""
    kinds = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    weights = torch.randint(1 << 62, (rows.shape[1],), generator=torch.Generator().manual_seed(0))
    weights = weights.to(rows.device)
    bits = (
        chunk.contiguous().view(kinds[rows.element_size()]) for chunk in rows.detach().split(4096)
    )
    return torch.cat([(b.long() * weights).sum(-1) for b in bits])


@torch.no_grad()
def typed_features(
    tokens: Tokens, encode: Callable[[Tensor], Tensor], texts: Sequence[str], device: torch.device
) -> Tensor:
    """Unit features (n, e) of typed texts, TEXT_BATCH at a time: ``encode`` maps the model's whole
    inputs (b, context) to features (b, e).
    """
    parts = [texts[start : start + TEXT_BATCH] for start in range(0, len(texts), TEXT_BATCH)]
    found = [encode(tokens.inputs(part).to(device)) for part in parts]
    return torch.cat([F.normalize(features.float(), dim=-1) for features in found])


def full_features(model: Any, tokens: Tokens, embeddings: Tensor) -> Tensor:
    """Features (b, e), not normalised, of prompts (b, l, w) over the model's whole context.

    A hook on the token embedding puts the prompt's embeddings in place of looked-up ones,
    so this works for every open_clip tower; it is the reference for the cut forward pass.
    """
    b, length, _ = embeddings.shape
    before, after = tokens.layout(length)
    start, device = len(before), embeddings.device
    # any plain id can represent the prompt: only start, end and padding steer the pooling
    stand_in = next(i for i in range(1, tokens.size) if i not in tokens.special)
    ids = torch.tensor(before + [stand_in] * length + after, device=device).expand(b, -1)

    def replace(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        parts = [output[:, :start], embeddings.to(output.dtype), output[:, start + length :]]
        return torch.cat(parts, 1)

    module = embedding_module(model)
    # M2M-100 (NLLB) scales what it looks up
    embeddings = embeddings * getattr(module, "embed_scale", 1)
    handle = module.register_forward_hook(replace)
    try:
        return model.encode_text(ids)
    finally:
        handle.remove()
