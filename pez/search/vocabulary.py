"""Which ids may be chosen, their embeddings, and the nearest of them to a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os.path import isfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pez.errors import PezError
from pez.search.english import Note, english_words
from pez.search.nearest import Coarse, coarse_table, nearest
from pez.search.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The allowed ids beside the full embedding table.

    ``table`` is (V, w), a row for every id of the tokenizer; ``ids`` is (n,) and ``unit``
    (n, w) holds the allowed rows, each of its ``parts`` (one a model) of length one;
    ``coarse`` is the same in fewer bits where that is faster. ``shares`` says how much each part
    counts in a projection; all alike without it.
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
        """The allowed rows (n, w) of the table, as long as they are."""
        return self.table[self.ids]

    @cached_property
    def scale(self) -> Tensor:
        """The root mean square () of the allowed embeddings: what a step can be measured in."""
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


def allowed_ids(
    tokens: Tokens,
    which: str = "words",
    ban: Sequence[str] = (),
    known: Tensor | None = None,
    own_words: Sequence[str] | None = None,
    note: Note | None = None,
) -> Tensor:
    """Ids (n,) that a search may choose, ascending.

    ``which`` is ``auto`` (the model's own word list if it has one, else ``words``),
    ``words`` (whole English words and names), ``whole`` (whole words of any language, and
    fragments that survive decode -> encode as words do), ``ascii``, ``all`` (but start, end,
    padding and what pipelines read as such) or a file of words. ``known`` limits them to ids
    the model was trained on. ``note`` is told where a tokenizer without English words has
    ``whole`` instead of ``words``. Raises PezError if nothing is left or a file cannot be read.
    """
    if which == "auto":
        which = "own" if own_words else "words"
    if which == "own":
        ids = _ids_of(tokens, own_words or ())
    elif which == "words":
        ids = english_words(tokens, note)
    elif which == "whole":
        ids = tokens.whole_words()
    elif which in ("ascii", "all"):
        plain = [i for i in range(tokens.size) if i not in tokens.special]
        texts = map(tokens.decode, ([i] for i in plain))
        keep = [
            not tokens.reads_padding(text) and (which == "all" or _is_ascii(text)) for text in texts
        ]
        ids = torch.tensor(plain)[torch.tensor(keep)]
    else:
        ids = _ids_of(tokens, _read_words(which, "--vocabulary"))
        if not len(ids):
            raise PezError(
                f"none of the words in {which} is a single token of this model; "
                "list one common word a line."
            )
    if known is not None:
        ids = ids[torch.isin(ids, known)]
    banned = {w.casefold() for word in ban for w in _ban_words(word)}
    if banned:
        keep = [tokens.decode([i]).casefold() not in banned for i in ids.tolist()]
        ids = ids[torch.tensor(keep, dtype=torch.bool)]
    if not len(ids):
        raise PezError("the vocabulary is empty: allow more words with --vocabulary or ban fewer.")
    return ids


def _ids_of(tokens: Tokens, words: Sequence[str]) -> Tensor:
    """Ids of those words that are one token by themselves."""
    found = {ids[0] for ids in map(tokens.encode, words) if len(ids) == 1}
    return torch.tensor(sorted(found - tokens.special), dtype=torch.long)


def _is_ascii(text: str) -> bool:
    return bool(text) and all(32 <= ord(c) < 127 for c in text)


def _read_words(path: str, option: str) -> list[str]:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").split()
    except (OSError, RuntimeError, UnicodeDecodeError):  # RuntimeError: ~nobody has no home
        raise PezError(
            f"{option} {path!r} is neither a known kind (auto, words, whole, ascii, all) nor "
            "a readable text file of words; check the spelling or the path."
        ) from None


def _ban_words(word: str) -> list[str]:
    """A banned word itself, the words of a file, or a comma-separated list."""
    if isfile(word):  # unlike Path.is_file no OSError for a long list
        return _read_words(word, "--ban")
    return [w for w in word.replace(",", " ").split() if w]
