"""Grid beam search: sentences of a language model that say a number of given words.

Hokamp & Liu, "Lexically Constrained Decoding for Sequence Generation Using Grid Beam Search", ACL
2017. There the sentence has to say all of the given words; here as many as are wanted, and those
that match a target well together are preferred.

Letters of dimensions beside those of :mod:`pez.search.problem`: h sentences begun, p words that may
be said, g words such as "of", e features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pez.search.problem import Problem


@dataclass(frozen=True, eq=False)
class Wanted:
    """What sentences say: ``count`` of the words at the places ``said`` (p,) among the allowed
    ones, each once, with those at the places ``little`` (g,) between them. ``features`` (p, e)
    are what each word adds; a cosine counts ``weight`` nats. A wanted word follows each of the
    ``articles`` (g,), unless all of them are such.
    """

    said: Tensor
    little: Tensor
    features: Tensor
    count: int
    weight: float
    articles: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _Beam:
    """Sentences begun, ids (h, n), with log p (h,) of their words, which of the wanted ones each
    has ``said`` (h, p), and whether it is ``open`` (h,): its last word is an article.
    """

    ids: Tensor
    told: Tensor
    said: Tensor
    open: Tensor


def joined(problem: Problem, wanted: Wanted, item: int, beams: int) -> tuple[Tensor, Tensor]:
    """The free words (m, k) of the best sentences for the target of an ``item``, and log p (m,) of
    them; m is 4 ``beams``, and where fewer exist the others are repeats of log p minus infinity.

    The grid has a column for each place and a row for each number of wanted words that a sentence
    has said so far. A cell keeps the ``beams`` sentences of the highest

        log p(words) + weight * score(sum of the features of the wanted words said),

    which rates every continuation by a matrix product, without a pass of the text tower. None
    begins or ends with a word such as "of", unless no other is wanted.
    """
    allowed, device = problem.vocabulary.ids, wanted.said.device
    local = torch.cat([wanted.little, wanted.said])  # (g + p,)
    none = torch.zeros(1, len(wanted.said), dtype=torch.bool, device=device)
    beam = _Beam(allowed.new_zeros(1, 0), torch.zeros(1, device=device), none, none.any(1))
    opens = torch.cat([_articles(wanted), none[0]])  # (g + p,)
    read = parent = None
    slots = problem.template.slots
    for n in range(slots):
        chance, read = problem.continued(beam.ids, read, parent)
        chance = beam.told[:, None] + chance[:, local]
        after = _counts(beam, wanted, n, slots)
        chance = chance.masked_fill(after < 0, -math.inf)
        value = chance + wanted.weight * _match(problem, beam, wanted, item)
        kept = beams if n < slots - 1 else 4 * beams
        order = _best(value, after, wanted.count, kept)
        parent, word = order // len(local), order % len(local)
        told = chance.flatten()[order]
        ids = torch.cat([beam.ids[parent], allowed[local[word]][:, None]], 1)
        number = torch.arange(len(local), device=device) - len(wanted.little)  # below 0: little
        new = number[word][:, None] == torch.arange(len(wanted.said), device=device)
        beam = _Beam(ids, told, beam.said[parent] | new, opens[word])
    left = 4 * beams - len(beam.ids)
    ids = torch.cat([beam.ids, beam.ids[:1].expand(left, -1)])
    return ids, torch.cat([beam.told, beam.told.new_full((left,), -math.inf)])


def begun_sentences(slots: int, wanted: int, words: int, little: int, beams: int) -> int:
    """How many sentences a search of ``slots`` places has the language model continue, where
    ``wanted`` of so many ``words`` are said and so many ``little`` ones may be.
    """
    cells, all_of_them = {0: 1}, 0
    for n in range(slots):
        all_of_them += sum(cells.values())
        ways: dict[int, int] = {}
        for said, size in cells.items():
            for count, more in (
                (said, little if 0 < n < slots - 1 else 0),
                (said + 1, words - said),
            ):
                if more and _fits(count, wanted, slots - n - 1):
                    ways[count] = ways.get(count, 0) + size * more
        cells = {count: min(beams, size) for count, size in ways.items()}
    return all_of_them


def _fits(count: int, wanted: int, left: int) -> bool:
    """Whether a sentence that has said ``count`` of the words can end well in ``left`` places, the
    last of which is for a wanted word.
    """
    return count <= wanted <= count + left and (count < wanted or not left)


def _counts(beam: _Beam, wanted: Wanted, n: int, slots: int) -> Tensor:
    """How many wanted words are said (h, g + p) with each word at place ``n`` of ``slots``; -1
    where the word may not stand there.
    """
    now = beam.said.sum(1, keepdim=True)
    little = now.expand(-1, len(wanted.little))
    if n in (0, slots - 1):
        little = torch.full_like(little, -1)
    little = little.masked_fill(beam.open[:, None], -1)
    alone = torch.tensor(  # no wanted word could follow here
        [not _fits(count + 1, wanted.count, slots - n - 2) for count in range(wanted.count + 1)],
        device=now.device,
    )[now]
    little = little.masked_fill(alone & _articles(wanted), -1)
    after = torch.cat([little, torch.where(beam.said, -1, now + 1)], 1)
    fits = [_fits(count, wanted.count, slots - n - 1) for count in range(wanted.count + 2)]
    good = torch.tensor(fits, device=after.device)[after.clamp(min=0)]
    return torch.where(good, after, -1)


def _articles(wanted: Wanted) -> Tensor:
    """Which of the words such as "of" (g,) a wanted one has to follow."""
    marked = wanted.articles
    if marked is None or bool(marked.all()):
        return torch.zeros_like(wanted.little, dtype=torch.bool)
    return marked


def _match(problem: Problem, beam: _Beam, wanted: Wanted, item: int) -> Tensor:
    """Scores (h, g + p) of the wanted words that are said with each word, by their features."""
    own = torch.eye(len(wanted.said), device=beam.said.device)
    with_each = (beam.said.float()[:, None] + own).clamp(max=1)  # (h, p, p)
    sums = torch.cat([beam.said.float()[:, None], with_each], 1) @ wanted.features
    unit = torch.nn.functional.normalize(sums, dim=-1)
    rated = problem.objective.rate(unit.flatten(0, 1), [item])[0].view(len(sums), -1)
    return torch.cat([rated[:, :1].expand(-1, len(wanted.little)), rated[:, 1:]], 1)


def _best(value: Tensor, after: Tensor, count: int, kept: int) -> Tensor:
    """Places (s,) among the flattened continuations (h, g + p): for each number of words said, up
    to ``count``, the ``kept`` of the highest ``value``.
    """
    flat, said, chosen = value.flatten(), after.flatten(), []
    for number in range(count + 1):
        own = (said == number).nonzero()[:, 0]
        chosen.append(own[flat[own].topk(min(kept, len(own))).indices])
    return torch.cat(chosen)
