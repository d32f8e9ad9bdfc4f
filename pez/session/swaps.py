"""Other words for a place in a prompt, by how well the prompt matches its target with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pez.models import Reader
from pez.objectives.match import Match
from pez.search.vocabulary import Vocabulary, unit_rows
from pez.session.items import Item

TRIED = 48  # words by each of the two ways to find candidates


@dataclass(frozen=True)
class Swap:
    """A word, its id, and the prompt's score with it."""

    word: str
    id: int
    score: float


def prompt_score(reader: Reader, item: Item, text: str) -> float:
    """The score of a typed prompt for a target, by the model's whole plain forward, as
    :class:`pez.result.Result` has it.
    """
    return Match(reader, [item.goal]).text_scores([text], [0])[0]


def best_swaps(
    reader: Reader, vocabulary: Vocabulary, item: Item, ids: Sequence[int], place: int, top: int
) -> list[Swap]:
    """The ``top`` words that serve best at one ``place`` of a prompt ``ids`` (l,), best first.

    Tried are the TRIED nearest neighbours of the word there in the embedding space, and as many
    whose embeddings the gradient points to (as GCG draws its candidates, Zou et al. 2023). Each is
    scored in the whole prompt. Words that the prompt already has are left out.
    """
    direction = (item.goal.normalised()[:, None] * item.goal.features).sum(0)
    own = torch.tensor([list(ids)], device=reader.table.device)
    near = vocabulary.unit @ unit_rows(vocabulary.embed(own[0, place : place + 1]), reader.parts)[0]
    slope = reader.table[vocabulary.ids] @ _slope(reader, own, direction)[place]
    used = torch.isin(vocabulary.ids, own)
    most = min(TRIED, int((~used).sum()))
    best = [fit.masked_fill(used, -torch.inf).topk(most).indices for fit in (near, slope)]
    words = vocabulary.ids[torch.cat(best).unique()]
    tried = own.repeat(len(words), 1)
    tried[:, place] = words
    with torch.no_grad():
        scores = reader.features(reader.table[tried]) @ direction
    order = scores.argsort(descending=True)[:top]
    found = zip(words[order].tolist(), scores[order].tolist(), strict=True)
    return [Swap(reader.tokens.decode([id]), id, score) for id, score in found]


def _slope(reader: Reader, ids: Tensor, direction: Tensor) -> Tensor:
    """The gradient (l, w) of a prompt's score, ids (1, l), with respect to its embeddings."""
    embeddings = reader.table[ids].detach().requires_grad_()
    score = (reader.features(embeddings) @ direction).sum()
    return torch.autograd.grad(score, embeddings)[0][0]
