"""Which ids of a tokenizer are whole English words: the default vocabulary."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache

from torch import Tensor

from pez.errors import PezError
from pez.files import data_folder
from pez.search.tokens import Tokens, kept_ids

FEW = 1000  # a tokenizer with fewer English words than this ...
SHARE = 0.1  # ... and than this share of its whole words is of another language

Note = Callable[[str], None]


@cache
def english_list() -> frozenset[str]:
    """The words and names of ``data/words/english.txt``, in lower case. PezError without it."""
    path = data_folder() / "words" / "english.txt"
    try:
        return frozenset(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        raise PezError(
            f"the shipped word list {path} is missing or damaged; install the package again."
        ) from None


def english_words(tokens: Tokens, note: Note | None = None) -> Tensor:
    """Ids (n,), int64, of the whole words of ``tokens`` that are English, in any case of letters;
    kept on disk.

    A string of them tokenises to exactly their ids, as one of ``whole_words`` does. Where the
    tokenizer has hardly any English word (of another language, say), all its whole words are
    meant and ``note`` is told.
    """
    whole = tokens.whole_words()
    digest = hashlib.sha256("\n".join(sorted(english_list())).encode()).hexdigest()[:8]
    found = kept_ids(f"english-{tokens.signature}-{digest}", lambda: _english(tokens, whole))
    if len(found) >= min(FEW, SHARE * len(whole)):
        return found
    if note:
        note(
            f"this tokenizer has only {len(found):,} English words; "
            f"all its {len(whole):,} whole words may be chosen."
        )
    return whole


def _english(tokens: Tokens, whole: Tensor) -> list[int]:
    listed = english_list()
    return [i for i in whole.tolist() if tokens.decode([i]).lower() in listed]
