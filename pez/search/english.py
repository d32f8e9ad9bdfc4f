"""Which ids of a tokenizer are whole English words: the default vocabulary."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

from torch import Tensor

from pez.search.tokens import Tokens

FEW = 1000  # a tokenizer with fewer English words than this ...
SHARE = 0.1  # ... and than this share of its whole words is of another language

Note = Callable[[str], None]


def english_words(tokens: Tokens, listed: Collection[str], note: Note | None = None) -> Tensor:
    """Ids (n,), int64, of the whole words of ``tokens`` that are English, in any case of letters:
    those that are ``listed`` in lower case.

    A string of them tokenises to exactly their ids, as with ``whole_words``. Where the
    tokenizer has hardly any English words (it may be for another language), all its whole
    words are returned and ``note`` is notified.
    """
    whole = tokens.whole_words()
    digest = hashlib.sha256("\n".join(sorted(listed)).encode()).hexdigest()[:8]
    name = f"english-{tokens.signature}-{digest}"
    found = tokens.find_ids(name, lambda: _english(tokens, whole, listed))
    if len(found) >= min(FEW, SHARE * len(whole)):
        return found
    if note:
        note(
            f"this tokenizer has only {len(found):,} English words; "
            f"all its {len(whole):,} whole words may be chosen."
        )
    return whole


def _english(tokens: Tokens, whole: Tensor, listed: Collection[str]) -> list[int]:
    return [i for i in whole.tolist() if tokens.decode([i]).lower() in listed]
