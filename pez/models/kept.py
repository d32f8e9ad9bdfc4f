"""Keys and values of beginnings that many texts share, read once and then continued.

A causal model reads each token from those before it alone. So what it makes of a text does not
depend on the prompt behind it, and what it makes of a prompt not on the texts behind that. Letters
of dimensions: n beginnings, p tokens of the longest, r rows, c prompts side by side in a row (block
by block, which do not see each other), q tokens of a block, w width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


@dataclass(frozen=True, eq=False)
class Kept:
    """Keys and values, each (n, heads, p, size), of every layer; ``lengths`` (n,) of the
    beginnings, behind which the rest is padding.
    """

    layers: list[tuple[Tensor, Tensor]]
    lengths: Tensor

    @property
    def width(self) -> int:
        """The longest beginning, p."""
        return self.layers[0][0].shape[2] if self.layers else 0


def joined(parts: Sequence[Kept], order: Sequence[int]) -> Kept:
    """Beginnings that were read in ``parts``, in the ``order`` that gives each one's place."""
    back = torch.tensor(order, device=parts[0].lengths.device).argsort()
    width = max(part.width for part in parts)

    def whole(layer: int, which: int) -> Tensor:
        rows = [part.layers[layer][which] for part in parts]
        return torch.cat([F.pad(x, (0, 0, 0, width - x.shape[2])) for x in rows])[back]

    layers = [(whole(n, 0), whole(n, 1)) for n in range(len(parts[0].layers))]
    return Kept(layers, torch.cat([part.lengths for part in parts])[back])


class _Continued(DynamicLayer):
    """A layer whose ``rows`` (r,) continue some of the kept beginnings. New keys and values are
    appended for one pass and not stored, unless the pass makes beginnings itself: ``fresh``.
    """

    def __init__(self, kept: tuple[Tensor, Tensor] | None, rows: Tensor | None) -> None:
        super().__init__()
        self.kept, self.rows = kept, rows
        self.fresh: tuple[Tensor, Tensor] | None = None
        self.is_initialized = True

    def update(  # type: ignore[override]
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """The kept keys and values followed by the new ones."""
        if self.kept is None:
            self.fresh = key_states, value_states
            return self.fresh
        keys, values = self.kept
        if self.rows is not None:
            keys, values = keys.index_select(0, self.rows), values.index_select(0, self.rows)
        found = torch.cat([keys, key_states], 2), torch.cat([values, value_states], 2)
        self.fresh = found
        return found

    def get_seq_length(self) -> int:
        """Tokens of the kept part."""
        return self.kept[0].shape[2] if self.kept else 0

    def get_mask_sizes(self, query_length: Any) -> tuple[int, int]:
        """Keys in all, from the first on."""
        return self.get_seq_length() + int(query_length), 0


def cache_name(model: Any) -> str:
    """What a ``model`` of transformers calls its cache: it was renamed."""
    forward = type(model.base_model).forward
    return "cache" if "cache" in signature(forward).parameters else "past_key_values"


def continued(kept: Kept | None, rows: Tensor | None, count: int) -> Cache:
    """A cache of transformers for a pass whose ``rows`` (r,) continue ``kept`` beginnings; None for
    rows that are those of ``kept``. ``count`` is the number of layers.
    """
    layers = kept.layers if kept else [None] * count
    return Cache(layers=[_Continued(layer, rows) for layer in layers])  # type: ignore[list-item]


def gathered(cache: Cache, lengths: Tensor) -> Kept:
    """What a pass has read, as beginnings of further ones."""
    found: list[tuple[Tensor, Tensor]] = []
    for layer in cache.layers:
        assert isinstance(layer, _Continued) and layer.fresh is not None
        found.append(layer.fresh)
    return Kept(found, lengths)


def block_mask(
    past: Tensor | None, sizes: Tensor, context: int, ancestors: Tensor, dtype: torch.dtype
) -> Tensor:
    """What each token may see, to be added to attention's logits: (r, 1, c q, p + c q), 0 or the
    smallest number. A block has ``context`` tokens, of which ``sizes`` (r, c) are no padding, and
    then a forest of further ones: ``ancestors`` (m, m) says which of these each of them follows,
    itself included. ``past`` (r, p) marks the kept tokens that are no padding.
    """
    r, c = sizes.shape
    more = len(ancestors)
    q = context + more
    place = torch.arange(q, device=sizes.device)
    inside = (place[None] <= place[:, None])[None, None].expand(r, c, q, q).clone()
    if more:
        own = place[None, None, :context] < sizes[..., None]  # (r, c, context)
        inside[:, :, context:, :context] = own[:, :, None].expand(r, c, more, context)
        inside[:, :, context:, context:] = ancestors
        inside[:, :, :context, context:] = False
    seen = inside.new_zeros(r, c, q, c, q)
    for n in range(c):
        seen[:, n, :, n] = inside[:, n]
    seen = seen.view(r, c * q, c * q)
    if past is not None:
        seen = torch.cat([past[:, None].expand(r, c * q, past.shape[1]), seen], 2)
    mask = torch.zeros(seen.shape, dtype=dtype, device=sizes.device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
