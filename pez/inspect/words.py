"""The words of a prompt as a person counts them, and the tokens of each."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

JOINERS = frozenset("'’-._")  # within a word: don't, well-lit, f1.8
SEPARATORS = frozenset(",;")
BRACKETS = frozenset(("()", "[]", "{}", "<>", '""', "''", "“”"))
TIGHT = frozenset(",;.:!?)]}")  # no blank stands before these

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Piece:
    """A stretch of a prompt without blanks: a word, or the punctuation between words. ``start`` and
    ``end`` count characters.
    """

    text: str
    start: int
    end: int
    is_word: bool


def split_pieces(text: str) -> list[Piece]:
    """The words and the runs of punctuation of a text, in order. Letters, digits and signs such as
    emoji make words; hyphens, apostrophes and dots do between two of these.
    """
    out: list[Piece] = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        is_word, end = _is_sign(text[place]), place + 1
        while end < len(text) and not text[end].isspace() and _goes_on(text, end, is_word):
            end += 1
        out.append(Piece(text[place:end], place, end, is_word))
        place = end
    return out


def split_words(text: str) -> list[Piece]:
    """The words of :func:`split_pieces`."""
    return [piece for piece in split_pieces(text) if piece.is_word]


def _goes_on(text: str, place: int, is_word: bool) -> bool:
    """Whether the character at ``place`` belongs to the piece before it."""
    if _is_sign(text[place]):
        return is_word
    if not is_word:
        return True
    more = text[place + 1 : place + 2]
    joins = text[place] in JOINERS and _is_sign(text[place - 1])
    return joins and bool(more) and _is_sign(more)


def _is_sign(character: str) -> bool:
    """Whether a character is part of a word: a letter, a digit, a mark on one, or an emoji and
    what joins emoji.
    """
    if character.isascii():
        return character.isalnum()
    return unicodedata.category(character) in _SIGNS or unicodedata.category(character)[0] in "LNM"


_SIGNS = frozenset(("So", "Sk", "Cf"))


def token_spans(encode: Encode, text: str, pieces: Sequence[Piece]) -> list[range]:
    """The places of each piece's tokens among ``encode(text)``; empty for one without tokens.

    Tokenizers that split at blanks and punctuation, as CLIP's does, read pieces one by one. For
    others (sentence pieces) a piece has what the text up to its end has beyond the text before it.
    """
    ids = encode(text)
    every = split_pieces(text)
    alone = [encode(piece.text) for piece in every]
    spans: dict[int, range] = {}
    if [i for own in alone for i in own] == ids:
        place = 0
        for piece, own in zip(every, alone, strict=True):
            spans[piece.start] = range(place, place + len(own))
            place += len(own)
        if all(piece.start in spans for piece in pieces):
            return [spans[piece.start] for piece in pieces]

    def before(place: int) -> int:
        """How many tokens of the whole the text up to a character has."""
        some = encode(text[:place])
        pairs = zip(some, ids, strict=False)
        return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(some), len(ids)))

    return [range(before(piece.start), before(piece.end)) for piece in pieces]


def chunk_ranges(encode: Encode, text: str, limit: int) -> list[range]:
    """The places of the tokens that are read together: at most ``limit``, up to the end of a word,
    as ``pez generate`` reads a long prompt (compel's ``SplitLongTextMode.WORDS``). A word of more
    tokens than that is cut.
    """
    count = len(encode(text))
    if count <= limit:
        return [range(count)]
    ends = [span.stop for span in token_spans(encode, text, split_pieces(text))]
    out: list[range] = []
    start = 0
    while start < count:
        most = min(start + limit, count)
        fitting = [most] if most == count else [e for e in ends if start < e <= most]
        out.append(range(start, max(fitting, default=most)))
        start = out[-1].stop
    return out


def without(text: str, leave_out: Collection[Piece]) -> str:
    """``text`` as a person would type it without some of its words: the comma that belonged to one
    goes with it, and so do brackets around nothing.
    """
    for piece in sorted(leave_out, key=lambda piece: piece.start, reverse=True):
        text = _joined(text[: piece.start], text[piece.end :])
    return text


def _joined(left: str, right: str) -> str:
    """What stood before and after a word, as one text."""
    while left and right and left[-1] + right[0] in BRACKETS:
        left, right = left[:-1], right[1:]
    before, after = left.rstrip(), right.lstrip()
    blank = left != before or right != after
    if after[:1] in SEPARATORS and after and (not before or before[-1] in SEPARATORS):
        after = after[1:].lstrip()
    elif before and not after and before[-1] in SEPARATORS:
        before = before[:-1].rstrip()
    if not before or not after:
        return before or after
    return before + (" " if blank and after[0] not in TIGHT else "") + after
