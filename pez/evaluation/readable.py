"""How readable a prompt is, by itself: its length in tokens and its share of real words."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def english() -> Callable[[str], bool] | None:
    """Whether a word (in small letters) is an English one; None where there is no word list.

    The list is that of the package pyspellchecker (160,000 words, mostly American spelling)
    with the words that the shipped models know. CLIP's own vocabulary is not suitable: it holds
    tags and user names as whole words, which are just what makes prompts hard to read.
    """
    try:
        from spellchecker import SpellChecker
    except ImportError:
        return None
    from pez.files import data_folder

    lists = data_folder().glob("models/*/words.txt")
    own = {word.lower() for file in lists for word in file.read_text().split()}
    known = SpellChecker(language="en")
    return lambda word: word in own or bool(known.known([word]))


def real_words(prompt: str, known: Callable[[str], bool]) -> float | None:
    """The share of ``prompt``'s words that are ``known``; None if it has no words.

    Words are separated by blanks and hyphens and stripped of punctuation;
    so emoji and made-up words count against a prompt, while commas and numbers do not.
    """
    words = [_bare(piece) for piece in prompt.lower().replace("-", " ").split()]
    words = [word for word in words if word and not word.isnumeric()]
    return sum(map(known, words)) / len(words) if words else None


def _bare(piece: str) -> str:
    """``piece`` without punctuation at both ends and without a possessive ending."""
    ends = [n for n, sign in enumerate(piece) if unicodedata.category(sign)[0] != "P"]
    word = piece[ends[0] : ends[-1] + 1] if ends else ""
    return word.replace("\u2019", "'").removesuffix("'s")


@cache
def tokens() -> Any:
    """CLIP's tokenizer, a :class:`pez.search.tokens.Tokens`."""
    from pez.models import model_tokens

    return model_tokens("")


def measure(prompt: str) -> dict[str, float | int | None]:
    """``tokens`` by CLIP's tokenizer, whatever model was searched, and ``real_words``."""
    known = english()
    share = real_words(prompt, known) if known else None
    return {
        "tokens": len(tokens().encode(prompt)),
        "real_words": None if share is None else round(share, 4),
    }
