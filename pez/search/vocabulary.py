"""Which ids may be chosen, their embeddings, and the nearest of them to a point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from pez.errors import PezError
from pez.search.nearest import Coarse, coarse_table, nearest
from pez.search.tokens import Tokens

KINDS = ("whole", "ascii", "all")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The allowed ids beside the full embedding table.

    ``table`` is (V, w), a row for every id of the tokenizer; ``ids`` is (n,) and ``unit``
    (n, w) holds the allowed rows, each of its ``parts`` (one a model) of length one;
    ``coarse`` is the same in fewer bits where that is faster. ``shares`` weights each part
    in a projection; without it all count equally.
    """

    tokens: Tokens
    table: Tensor
    ids: Tensor
    unit: Tensor
    parts: tuple[int, ...]
    coarse: Coarse | None = None
    shares: tuple[float, ...] | None = None

    @cached_property
    def rows(self) -> Tensor:
        """The allowed rows (n, w) of the table, not normalised."""
        return self.table[self.ids]

    @cached_property
    def scale(self) -> Tensor:
        """The root mean square () of the allowed embeddings: a unit for step sizes."""
        return self.rows.square().mean().sqrt()

    @cached_property
    def _weights(self) -> Tensor:
        """The share (w,) of every column's part."""
        pairs = zip(self.shares or (), self.parts, strict=True)
        shares = [torch.full((width,), share) for share, width in pairs]
        return torch.cat(shares).to(self.table.device)

    def embed(self, ids: Tensor) -> Tensor:
        """Embeddings (..., w) of ids (...)."""
        return self.table[ids]

    def nearest(self, points: Tensor) -> Tensor:
        """Allowed ids (...) with the largest cosine to ``points`` (..., w).

        Proj_E of Wen et al. 2023, Algorithm 1. The length of a point does not change
        which row is nearest, so with one part it is left as it is.
        """
        if len(self.parts) > 1:
            points = unit_rows(points, self.parts)
        if self.shares:
            points = points * self._weights
        flat = points.flatten(0, -2)
        place = self.coarse.nearest(flat) if self.coarse else nearest(flat, self.unit)
        return self.ids[place].view(points.shape[:-1])


def make_vocabulary(
    tokens: Tokens,
    table: Tensor,
    ids: Tensor,
    parts: Sequence[int] | None = None,
    shares: tuple[float, ...] | None = None,
) -> Vocabulary:
    """Normalise the allowed rows once. ``table`` is (V, w), ``ids`` (n,)."""
    parts = tuple(parts or (table.shape[1],))
    unit = unit_rows(table[ids].float(), parts)
    return Vocabulary(tokens, table.float(), ids, unit, parts, coarse_table(unit), shares)


def unit_rows(rows: Tensor, parts: Sequence[int]) -> Tensor:
    """Rows (..., w) with each of their parts of length one."""
    return torch.cat([F.normalize(p, dim=-1) for p in rows.split(list(parts), -1)], -1)


def ids_of_kind(tokens: Tokens, kind: str) -> Tensor:
    """Ids (n,), ascending: ``whole`` words, those that are plain ``ascii``, or ``all`` but start,
    end, padding and what pipelines read as such. ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError(kind)
    if kind == "whole":
        return tokens.whole_words()
    plain = [i for i in range(tokens.size) if i not in tokens.special]
    texts = map(tokens.decode, ([i] for i in plain))
    keep = [not tokens.reads_padding(text) and (kind == "all" or _is_ascii(text)) for text in texts]
    return torch.tensor(plain)[torch.tensor(keep)]


def ids_of_words(tokens: Tokens, words: Iterable[str]) -> Tensor:
    """Ids (n,), ascending, of those words that are one token by themselves."""
    found = {ids[0] for ids in map(tokens.encode, words) if len(ids) == 1}
    return torch.tensor(sorted(found - tokens.special), dtype=torch.long)


def without(
    tokens: Tokens, ids: Tensor, known: Tensor | None = None, banned: Iterable[str] = ()
) -> Tensor:
    """Those of ``ids`` (n,) that are among ``known`` (m,) and no ``banned`` word in any case of
    letters. PezError if none is left.
    """
    if known is not None:
        ids = ids[torch.isin(ids, known)]
    folded = {word.casefold() for word in banned}
    if folded:
        keep = [tokens.decode([i]).casefold() not in folded for i in ids.tolist()]
        ids = ids[torch.tensor(keep, dtype=torch.bool)]
    if not len(ids):
        raise PezError("the vocabulary is empty: allow more words with --vocabulary or ban fewer.")
    return ids


def _is_ascii(text: str) -> bool:
    return bool(text) and all(32 <= ord(c) < 127 for c in text)
