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
CONE = 0.1  # mean cosine of two words from which a pursuit is tried without what they share
AROUND = 4096  # words up to which each is rated inside the template
SAMPLE = 256  # words whose mean stands for that of all


@dataclass(frozen=True, eq=False)
class Added:
    """What each allowed word adds to a prompt, ``words`` (n, e), and what the template says by
    itself, ``template`` (e,); None if it says nothing.

    In CLIP models the features of single words lie in a narrow cone, with a mean cosine of .7 to
    .8 in published ones. What they share grows with every word of a sum and soon hides in which
    direction the words differ, so that a pursuit takes synonyms. SpLiCE (Bhalla et al. 2024, see
    :func:`pursued_words`) therefore subtracts the mean of words from words, and that of pictures
    from pictures. Here pictures keep theirs: it is not known for a single picture, and the search
    maximises the plain cosine. In other models the mean is a part of what words say, and must
    stay. So several ways are tried, and :meth:`pez.search.problem.Problem.start_ids` keeps
    the prompt that the model finds best.
    """

    words: Tensor
    template: Tensor | None = None

    @classmethod
    def alone(cls, features: Tensor, template: Tensor | None, slots: int) -> list[Added]:
        """From unit features of words (n, e), and of the template's words (e,): with their mean,
        half of it, none of it. Only with it if it is short, or if a single word is the prompt.
        """
        single = template is None and slots == 1
        if single or mean_cosine(features) < CONE:
            return [cls(features, template)]
        mean = features.mean(0)
        return [
            cls(features - x * mean, None if template is None else template - x * mean)
            for x in (0, 0.5, 1)
        ]

    @classmethod
    def around(cls, features: Tensor, alone: Tensor) -> list[Added]:
        """From features (n, e) of the template with each word in it. Their mean is what all these
        prompts say; the template's share of it is what the mean of words ``alone`` (e,) lacks. With
        the mean; without it, but with that share; without both.
        """
        mean = features.mean(0)
        return [cls(features), cls(features - mean, mean - alone), cls(features - mean)]


def mean_cosine(features: Tensor) -> float:
    """The mean cosine of two different ones of some unit features (n, e); 0 for fewer than two."""
    count = len(features)
    if count < 2:
        return 0.0
    return (count * float(features.mean(0).square().sum()) - 1) / (count - 1)


@dataclass(frozen=True, eq=False)
class Begun:
    """What the template of a search says by itself: its words, ids ``fixed`` (f,), and as
    :class:`Added` has it, its ``features`` (e,) and its score () by item, if any.
    """

    fixed: Tensor
    features: Tensor | None
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
    (n, e) holds what each of the allowed ``ids`` (n,) adds (:class:`Added`), and ``scores_of`` its
    scores. They complement what the template says, if it says anything: ``begun``.

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
    scores = _scores(scores_of, rows.jobs)
    table = table if len(new) == len(table) else table[new]  # a large one is not copied
    own = torch.stack([scores[job.item][new] for job in rows.jobs])  # (b, n)
    square = table.square().sum(-1)
    total = table.new_zeros(len(rows), table.shape[1])
    reached = own.new_zeros(len(rows), 1)
    if begun and begun.features is not None:
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
