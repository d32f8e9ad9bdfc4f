"""Sentences of a language model: words that may follow, and better words at places. Ours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pez.methods.candidates import evaluate_all, swap
from pez.search.problem import Problem

SCALE = 100.0  # CLIP's own: the factor that makes a cosine a logit


@dataclass(frozen=True, eq=False)
class Tried:
    """What is tried at a place: the ``likely`` words that the language model expects there most,
    and those at the places ``near`` (b, s) among the allowed ones. It reads the whole prompt for
    the ``kept`` most promising of them.
    """

    likely: int
    near: Tensor
    kept: int


def sayable(problem: Problem, ids: Tensor, chance: Tensor) -> Tensor:
    """Log-probabilities (..., v) after the words ids (..., n), where prompts are sentences without
    those that would say a word again, or begin or end with a word such as "of".
    """
    return _allowed(problem, ids, chance, ids.shape[-1])


def filled(problem: Problem, chosen: Tensor, spare: Tensor) -> Tensor:
    """Ids (b, k): the words ``chosen`` (b, n) followed by the first of those at the places
    ``spare`` (b, s) that are not among them.
    """
    words = problem.vocabulary.ids[spare]
    said = (words[..., None] == chosen[:, None]).any(2)
    order = said.to(torch.uint8).argsort(stable=True, dim=1)
    left = problem.template.slots - chosen.shape[1]
    turn = torch.arange(left, device=order.device).clamp(max=max(0, order.shape[1] - 1))
    return torch.cat([chosen, words.gather(1, order[:, turn])], 1)


def worth(problem: Problem, ids: Tensor, loss: Tensor, alpha: float) -> Tensor:
    """What sentences ids (b, k) are worth (b,): log p - alpha * 100 * loss, by their loss (b,)."""
    return -problem.template.length * problem.nll(ids) - alpha * SCALE * loss


def revised(
    problem: Problem, ids: Tensor, place: int, tried: Tried, item: Tensor, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Sentences ids (b, k) with the word at one ``place`` that makes them :func:`worth` most of
    those ``tried`` and the one that is there; that worth (b,), and their scores (b,).

    Promising are words by log p after those before them - alpha * 100 * loss of the whole.
    """
    words, others = problem.vocabulary.ids, torch.cat([ids[:, :place], ids[:, place + 1 :]], 1)
    chance = _allowed(problem, others, problem.next_words(ids[:, :place]), place)
    expected = chance.topk(min(tried.likely, len(words))).indices
    word = torch.cat([expected, tried.near], 1)  # (b, c)
    swapped = swap(ids, torch.full_like(word, place), words[word])
    both = torch.cat([ids[:, None], swapped], 1)
    loss, scores = evaluate_all(problem, both, item)
    hoped = chance.gather(1, word) - alpha * SCALE * loss[:, 1:]
    best = hoped.topk(min(tried.kept, hoped.shape[1])).indices
    refused = torch.nn.functional.pad(hoped.gather(1, best) == -math.inf, (1, 0))
    best = torch.nn.functional.pad(best + 1, (1, 0))  # and as it was
    some = both.gather(1, best[..., None].expand(-1, -1, ids.shape[1]))
    losses = loss.gather(1, best)
    rated = worth(problem, some.flatten(0, 1), losses.flatten(), alpha).view_as(losses)
    most, first = rated.masked_fill(refused, -math.inf).max(1, keepdim=True)
    chosen = some.gather(1, first[..., None].expand(-1, -1, ids.shape[1]))[:, 0]
    return chosen, most[:, 0], scores.gather(1, best).gather(1, first)[:, 0]


def _allowed(problem: Problem, others: Tensor, chance: Tensor, place: int) -> Tensor:
    """Log-probabilities (..., v) at a ``place``, with the words ``others`` (..., n) elsewhere."""
    assert problem.little is not None
    little = torch.isin(problem.vocabulary.ids, problem.little)  # (v,)
    if place in (0, problem.template.slots - 1) and not little.all():
        chance = chance.masked_fill(little, -math.inf)
    where = torch.searchsorted(problem.vocabulary.ids, others)
    again = torch.zeros_like(chance, dtype=torch.bool).scatter(-1, where, True) & ~little
    return chance.masked_fill(again, -math.inf)
