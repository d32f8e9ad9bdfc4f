"""Where searches begin: words drawn at random, the best single ones, or those of a pursuit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pez.search.rows import Job, Rows

Scores = Callable[[Sequence[int]], Tensor]  # items (i,) -> score (i, n) of each allowed word
STARTS = ("random", "words", "pursuit")
RATED = ("words", "pursuit")  # need every word's features, which all rows share
AMONG = 3  # how many of the best words a pursuit's restart draws from


@dataclass(frozen=True, eq=False)
class Begun:
    """What the template of a search says by itself: its words, ids ``fixed`` (f,), its
    ``features`` (e,) and its score () by item.
    """

    fixed: Tensor
    features: Tensor
    scores: dict[int, Tensor]


def random_words(ids: Tensor, slots: int, rows: Rows) -> Tensor:
    """Ids (b, k) for k ``slots`` out of the allowed ``ids`` (n,), each row's by its generator."""
    return ids[(rows.uniform(slots) * len(ids)).long()]


def best_words(
    ids: Tensor, slots: int, scores_of: Scores, rows: Rows, fixed: Tensor | None = None
) -> Tensor:
    """The best single words (b, k) of each row's item; other seeds and restarts draw from 4 k.
    Words of the template, ids ``fixed`` (f,), are not repeated.
    """
    ids, new = _not_yet(ids, fixed)
    scores = {item: s[new] for item, s in _scores(scores_of, rows.jobs).items()}
    out = []
    for job, generator in zip(rows.jobs, rows.generators, strict=True):
        best = scores[job.item].argsort(descending=True)
        pool = min(len(best), 4 * slots if _another(job) else slots)
        order = torch.randperm(pool, generator=generator)[:slots].sort().values
        picked = best[order.to(best.device)]
        out.append(ids[picked.repeat(-(-slots // len(picked)))[:slots]])
    return torch.stack(out)


def pursued_words(
    ids: Tensor,
    slots: int,
    table: Tensor,
    scores_of: Scores,
    rows: Rows,
    begun: Begun | None = None,
) -> Tensor:
    """Words (b, k) whose features together point at the target, the most telling first; ``table``
    (n, e) holds the features of the allowed ``ids`` (n,). They complement what the template says,
    if it says anything: ``begun``.

    Matching pursuit (Mallat & Zhang, "Matching Pursuits With Time-Frequency Dictionaries", 1993)
    with a sum in place of projections: each step adds to the sum s of the words so far the word w
    with the highest score(s + w) / |s + w|, none twice. As the score is linear in the features,
    each word takes one matrix product. Other seeds and restarts draw each word from the best
    three.

    That a picture's CLIP feature is nearly a sparse, non-negative sum of words' features is shown
    by SpLiCE (Bhalla et al., "Interpreting CLIP with Sparse Linear Concept Embeddings", NeurIPS
    2024), which finds weights for the words by least squares with an l1 penalty. Here each word
    counts once.
    """
    ids, new = _not_yet(ids, begun.fixed if begun else None)
    scores, table = _scores(scores_of, rows.jobs), table[new]
    own = torch.stack([scores[job.item][new] for job in rows.jobs])  # (b, n)
    square = table.square().sum(-1)
    total = table.new_zeros(len(rows), table.shape[1])
    reached = own.new_zeros(len(rows), 1)
    if begun:
        total = total + begun.features
        reached = torch.stack([begun.scores[job.item] for job in rows.jobs])[:, None]
    taken = torch.zeros_like(own, dtype=torch.bool)
    row = torch.arange(len(rows), device=own.device)
    chosen = []
    for _ in range(min(slots, len(table))):
        length = total.square().sum(-1, keepdim=True) + 2 * total @ table.T + square
        value = (reached + own) / length.clamp(min=1e-12).sqrt()
        best = value.masked_fill(taken, -torch.inf).topk(min(AMONG, len(table)), 1).indices
        drawn = [
            int(torch.randint(best.shape[1], (), generator=g)) if _another(job) else 0
            for job, g in zip(rows.jobs, rows.generators, strict=True)
        ]
        word = best[row, torch.tensor(drawn, device=best.device)]
        word = torch.where(taken[row, word], best[:, 0], word)
        taken[row, word] = True
        total = total + table[word]
        reached = reached + own[row, word][:, None]
        chosen.append(word)
    found = torch.stack(chosen, 1)
    return ids[found.repeat(1, -(-slots // found.shape[1]))[:, :slots]]


def _not_yet(ids: Tensor, fixed: Tensor | None) -> tuple[Tensor, Tensor]:
    """Those of ``ids`` (n,) that are not ``fixed`` (f,), with their places; all if none is left."""
    new = torch.arange(len(ids), device=ids.device)
    if fixed is not None:
        kept = (~torch.isin(ids, fixed.to(ids))).nonzero()[:, 0]
        new = kept if len(kept) else new
    return ids[new], new


def _scores(scores_of: Scores, jobs: Sequence[Job]) -> dict[int, Tensor]:
    """Score (n,) of each allowed word, for each item."""
    items = sorted({job.item for job in jobs})
    return dict(zip(items, scores_of(items), strict=True))


def _another(job: Job) -> bool:
    """Whether a row should start elsewhere than the first row of its item."""
    return job.restart > 0 or job.seed != 0
