"""Lists of phrases from files: read, split into allowed ids, scored by the objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pez.errors import PezError
from pez.formats.text import read_text
from pez.search.problem import Halted, Problem
from pez.search.vocabulary import Vocabulary


def read_lines(path: str, option: str) -> list[str]:
    """The non-empty lines of a text file. PezError if there are none."""
    give = f"{option} takes UTF-8 text, one phrase per line"
    lines = [line.strip() for line in read_text(path, give, pipe=True).split("\n")]
    if not any(lines):
        raise PezError(f"{option}={path} holds no text; give one phrase per line.")
    return [line for line in lines if line]


def split_phrases(vocabulary: Vocabulary, lines: Sequence[str], longest: int) -> list[list[int]]:
    """Ids of each line's allowed words, at most ``longest``, without duplicates.

    A word of several tokens stays only if all of them are allowed. PezError if no line has an
    allowed word.
    """
    allowed, known = set(vocabulary.ids.tolist()), {}
    found: dict[tuple[int, ...], None] = {}
    for line in lines:
        ids: list[int] = []
        for word in line.replace(",", " ").split():
            if word not in known:
                split = vocabulary.tokens.encode(word)
                known[word] = split if allowed.issuperset(split) else []
            ids += known[word]
        if ids:
            found[tuple(ids[:longest])] = None
    if not found:
        raise PezError(
            "no phrase of the list has an allowed word; allow more words with "
            "--vocabulary or give another list."
        )
    return [list(ids) for ids in found]


@torch.no_grad()
def phrase_features(problem: Problem, phrases: Sequence[Sequence[int]]) -> Tensor:
    """Features (P, e) of phrases, each alone in as many of the free places as it needs.

    Costs one forward pass per phrase. Halted if the time is over before all are rated.
    """
    by_length: dict[int, list[int]] = {}
    for n, ids in enumerate(phrases):
        by_length.setdefault(len(ids), []).append(n)
    parts, order = [], []
    device = problem.vocabulary.table.device
    for length, group in by_length.items():
        short = replace(problem, template=problem.template.first(length))
        ids = torch.tensor([phrases[n] for n in group], device=device)
        for chunk in ids.split(problem.word_batch):
            if parts and problem.halt and problem.halt():
                done = sum(map(len, parts))
                raise Halted(
                    f"the time was over when {done:,} of {len(phrases):,} phrases were rated, "
                    "before the search began; raise --seconds or give a shorter list."
                )
            parts.append(short.features(problem.vocabulary.embed(chunk).float()))
        order += group
    features = torch.cat(parts)
    return features[torch.tensor(order, device=device).argsort()]


def best_first(problem: Problem, features: Tensor, items: Sequence[int]) -> dict[int, Tensor]:
    """For each item the phrases' numbers (P,), those with the best objective first."""
    listed = sorted(set(items))
    scores = problem.objective.rate(features, listed)
    orders = scores.sort(dim=-1, descending=True, stable=True).indices
    return dict(zip(listed, orders, strict=True))
