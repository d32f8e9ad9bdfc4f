"""One word of a prompt changed, and what the others say before and after it.

A word that speaks for itself says the same whatever stands beside it: its part in the cosine with
the picture keeps its sign, and its order among the others, when another word is changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from pez.evaluation.lemmas import content_words

_EDGE = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)
_SMALL = 1e-5  # a part of a cosine that is rounding


def places(prompt: str) -> list[int]:
    """The places of the content words among a prompt's blank-separated pieces."""
    return [n for n, piece in enumerate(prompt.split()) if content_words(piece)]


def word_at(prompt: str, place: int) -> str:
    """The word at a place, without punctuation."""
    return _cut(prompt.split()[place])[1]


def without(prompt: str, place: int) -> str:
    """A prompt without the word at a place. Punctuation goes with it, but the prompt ends as
    before: "a, b" without b is "a".
    """
    pieces = prompt.split()
    last = place == len(pieces) - 1
    kept = pieces[:place] + pieces[place + 1 :]
    if last and kept:
        kept[-1] = kept[-1].rstrip(",;") + _cut(pieces[place])[2]
    return " ".join(kept)


def swapped(prompt: str, place: int, word: str) -> str:
    """A prompt with another word at a place, the punctuation around it kept."""
    pieces = prompt.split()
    before, _, after = _cut(pieces[place])
    pieces[place] = before + word + after
    return " ".join(pieces)


def appended(prompt: str, word: str) -> str:
    """A prompt with one more word, after a comma if the prompt has commas."""
    bare = prompt.rstrip(" .,;")
    return f"{bare}{',' if ',' in bare else ''} {word}".strip()


def kept_signs(before: Sequence[float], after: Sequence[float]) -> float | None:
    """The share of words whose part has the same sign before and after; None without words."""
    pairs = list(zip(before, after, strict=True))
    return _share([_sign(one) == _sign(two) for one, two in pairs])


def kept_order(before: Sequence[float], after: Sequence[float]) -> float | None:
    """The share of pairs of words whose parts are in the same order before and after; None for
    fewer than two words.
    """
    found = [
        _sign(before[i] - before[j]) == _sign(after[i] - after[j])
        for i, j in combinations(range(len(before)), 2)
    ]
    return _share(found)


def _share(found: Sequence[bool]) -> float | None:
    return round(sum(found) / len(found), 6) if found else None


def _sign(value: float) -> int:
    return 0 if abs(value) < _SMALL else 1 if value > 0 else -1


def _cut(piece: str) -> tuple[str, str, str]:
    """What stands before a word, the word, and what stands after it."""
    found = _EDGE.match(piece)
    assert found is not None
    before, word, after = found.groups()
    return before, word, after
