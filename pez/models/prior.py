"""A causal language model that reads prompts word by word, by the prompts' own ids.

Its vocabulary may differ from the prompt's: GPT-2's byte pairs are not CLIP's. A search may then
choose only words that are one token of it, so that both read the same words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.cache_utils import DynamicCache

from pez.errors import PezError
from pez.models.kept import cache_name
from pez.models.language import LanguageModel
from pez.search.tokens import Tokens

NUMBERS = 1 << 26  # of logits in memory at once: a quarter of a gigabyte
LEAD = "a"  # a word before the others, as a word has another token at the start of a text


@dataclass(frozen=True, eq=False)
class Begun:
    """Prompts that were read up to ``size`` tokens: a model's keys and values for them."""

    size: int
    cache: Any


@dataclass(frozen=True, eq=False)
class Prior:
    """How likely prompts are to a language model: :class:`pez.search.problem.Language`.

    ``ids`` (v,) may be chosen, each of them the one token ``words`` (v,) of the model.
    ``pieces`` (V, p) holds the tokens of these and of the template's ids, which may be several,
    padded with -1. Every word is read as inside a text, even the first.
    """

    language: LanguageModel
    ids: Tensor
    words: Tensor
    pieces: Tensor

    @classmethod
    def of(
        cls, language: LanguageModel, tokens: Tokens, allowed: Tensor, fixed: Sequence[int] = ()
    ) -> Prior:
        """For the ids ``allowed`` (n,) that the model can read, together with ``fixed`` ones.

        Raises PezError if none of the allowed words is one token of the model.
        """
        listed = allowed.tolist()
        split = split_words(language, tokens, {*listed, *fixed})
        ids = [i for i in listed if len(split[i]) == 1 and _is_word(tokens, i)]
        if not ids:
            raise PezError(
                f"none of the words that may be chosen is one token of {language.name}; "
                "allow more with --vocabulary or give another --language-model."
            )
        longest = max(map(len, split.values()))  # 1 or more
        pieces = torch.full((tokens.size, longest), -1)
        for i, row in split.items():
            pieces[i, : len(row)] = torch.tensor(row)
        chosen = torch.tensor(ids)
        place = allowed.device
        return cls(language, chosen.to(place), pieces[chosen, 0].to(place), pieces.to(place))

    @torch.no_grad()
    def next_words(self, ids: Tensor) -> Tensor:
        """Log-probabilities (b, v) of ``self.ids`` after prompts ``ids`` (b, n), n from 0 on.

        They are the model's own, so they sum to less than one: words that may not be chosen
        have a share too. Without a start token all first words are equally likely.
        """
        rows, count = self._rows(ids)
        if not rows.shape[1]:
            alike = -math.log(len(self.ids))
            return torch.full((len(ids), len(self.ids)), alike, device=ids.device)
        place = count + len(self.language.start) - 1
        parts = [
            self._after(some, at)
            for some, at in zip(rows.split(self._many(1)), place.split(self._many(1)), strict=True)
        ]
        return torch.cat(parts)

    @torch.no_grad()
    def continued(
        self, ids: Tensor, before: Begun | None = None, parent: Tensor | None = None
    ) -> tuple[Tensor, Begun | None]:
        """:meth:`next_words` after ids (b, n), all of one number of tokens, and what was read.

        Given what was read ``before``, of prompts that these begin with, only the rest is read:
        ``parent`` (b,) holds each one's place among those. ``before`` may not be used again.
        """
        rows, _ = self._rows(ids)
        if not rows.shape[1]:
            return self.next_words(ids), None

        model, read = self.language.model, 0
        if before is None or parent is None:
            cache = DynamicCache(config=model.config)
        else:
            cache, read = before.cache, before.size
            cache.reorder_cache(parent)
        logits = model(
            input_ids=rows[:, read:],
            attention_mask=torch.ones_like(rows),
            logits_to_keep=1,
            use_cache=True,
            **{cache_name(model): cache},
        ).logits[:, -1]
        return logits.float().log_softmax(-1)[:, self.words], Begun(rows.shape[1], cache)

    def _after(self, rows: Tensor, place: Tensor) -> Tensor:
        """Log-probabilities (b, v) after the ``place`` (b,) of token rows (b, m)."""
        keep, which = place.unique(return_inverse=True)
        seen = torch.ones_like(rows)
        logits = self.language.model(
            input_ids=rows, attention_mask=seen, logits_to_keep=keep
        ).logits[torch.arange(len(rows), device=rows.device), which]
        return logits.float().log_softmax(-1)[:, self.words]

    @torch.no_grad()
    def nll(self, ids: Tensor) -> Tensor:
        """Mean negative log-likelihood (b,) of a token, in nats, of whole prompts ids (b, l)."""
        rows, count = self._rows(ids)
        first = len(self.language.start)
        if rows.shape[1] < 2:
            return torch.zeros(len(ids), device=ids.device)
        counted = torch.arange(1, rows.shape[1], device=ids.device) < (count + first)[:, None]
        parts = []
        for some in rows.split(self._many(rows.shape[1])):
            seen = torch.ones_like(some)
            logits = self.language.model(input_ids=some, attention_mask=seen).logits[:, :-1]
            parts.append(
                F.cross_entropy(logits.float().transpose(1, 2), some[:, 1:], reduction="none")
            )
        return (torch.cat(parts) * counted).sum(1) / counted.sum(1).clamp(min=1)

    def _rows(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Token rows (b, m) of ids (b, n), after the start, and how many (b,) belong to ids."""
        flat = self.pieces[ids].flatten(1)
        none = flat < 0
        count = (~none).sum(1)
        if bool(none.any()):  # the template's words of several pieces
            order = none.to(torch.uint8).argsort(stable=True, dim=1)
            flat = flat.gather(1, order)[:, : int(count.max())].clamp(min=0)
        start = torch.tensor(self.language.start, dtype=flat.dtype, device=flat.device)
        return torch.cat([start.expand(len(ids), -1), flat], 1), count

    def _many(self, places: int) -> int:
        """How many rows fit in one pass, given their number of places with logits."""
        size = self.language.model.get_output_embeddings().weight.shape[0]
        return max(1, NUMBERS // (size * places))


def split_words(
    language: LanguageModel, tokens: Tokens, ids: set[int] | Sequence[int]
) -> dict[int, list[int]]:
    """The language model's tokens of each id's text, as it reads after another word; none for
    text that it does not know.
    """
    listed = sorted(ids)
    words = [tokens.decode([i]) for i in listed]
    tokenizer = language.tokenizer
    before = tokenizer(LEAD, add_special_tokens=False)["input_ids"]
    rows = tokenizer([f"{LEAD} {word}" for word in words], add_special_tokens=False)["input_ids"]
    unknown = tokenizer.unk_token_id
    split = {}
    for i, word, row in zip(listed, words, rows, strict=True):
        read = word and row[: len(before)] == before and unknown not in row
        split[i] = row[len(before) :] if read else []
    return split


def _is_word(tokens: Tokens, i: int) -> bool:
    """Whether an id stands by itself in a text: a piece of a word is read with its neighbours."""
    return tokens.encode(tokens.decode([i])) == [i]
