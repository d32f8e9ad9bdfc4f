"""Features of many words, each read as a prompt, in chunks that are quick and small."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pez.search.template import Template
from pez.search.vocabulary import Vocabulary

CACHED = 200_000  # numbers of a layer that stay in a processor's cache with what is made of them


@torch.no_grad()
def rated(
    features: Callable[[Tensor], Tensor],
    vocabulary: Vocabulary,
    ids: Tensor,
    template: Template | None,
    batch: int,
    halt: Callable[[], bool] | None,
) -> Tensor:
    """Features (n, e) of the words ``ids`` (n,), each at the one free place of the ``template``, or
    alone: ``features`` maps prompts (b, l, w) to theirs (b, e), at most ``batch`` at once. Only of
    the first words if ``halt`` says that the time is over.
    """
    fixed = vocabulary.embed(template.fixed) if template else None
    length = template.length if template else 1
    out: Tensor | None = None
    done = 0
    for chunk in ids.split(_at_once(vocabulary.table, len(ids), length, batch)):
        if done and halt and halt():
            break
        prompts = vocabulary.embed(chunk)[:, None]
        if template and fixed is not None:
            prompts = template.fill_embeddings(fixed, prompts)
        found = features(prompts)
        if out is None:  # filled in place: those of a large vocabulary are in memory only once
            out = found.new_empty(len(ids), *found.shape[1:])
        out[done : done + len(chunk)] = found
        done += len(chunk)
    assert out is not None  # there is a word
    return out[:done]


def _at_once(table: Tensor, words: int, length: int, batch: int) -> int:
    """Words of a chunk. A processor rates many words of a wide model up to a third faster in chunks
    whose layers, of ``length`` + 1 positions each, stay in its cache (``benchmarks/rating.md``).
    """
    if words <= batch or table.device.type != "cpu":
        return batch
    fit = CACHED // ((length + 1) * table.shape[1])
    return min(batch, max(16, fit // 16 * 16))
