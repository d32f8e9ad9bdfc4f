"""English words folded to one lemma, and the content words of a text, by rules and a short table.

Enough to tell whether two texts name the same things: "men", "running", "slices" become "man",
"run", "slice". There is no dictionary behind it and no part of speech: "leaves" is always a leaf.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from pez.evaluation.lemma_tables import FUNCTION, IRREGULAR, WHOLE

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_VOWELS = "aeiouy"
_MANY = 100_000  # forms that are remembered


def words(text: str) -> list[str]:
    """The words of a text in small letters, without possessive endings; hyphens separate words,
    numerals and emoji are none.
    """
    found = _WORD.findall(unicodedata.normalize("NFC", text).lower().replace("\u2019", "'"))
    return [word.removesuffix("'s") for word in found]


def content_words(text: str) -> tuple[str, ...]:
    """The lemmas of a text's content words, each once, in the order in which they first come.

    Function words, numbers, words of place ("front", "left") and of pictures themselves
    ("photo", "background") are none, nor is a single letter.
    """
    found = (lemma(w) for w in words(text) if w not in FUNCTION and "'" not in w)
    return tuple(dict.fromkeys(w for w in found if len(w) > 1 and w not in FUNCTION))


@lru_cache(maxsize=_MANY)
def lemma(word: str) -> str:
    """The lemma of an English word in small letters: its singular, or its infinitive."""
    if word in WHOLE:
        return word
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith("men") and word[:-3] + "man" not in _NO_MEN:
        return word[:-2] + "an"  # firemen, women
    for many, single in _COMPOUND.items():
        if word.endswith(many):
            return word.removesuffix(many) + single
    one = _without_s(word)
    if one in WHOLE:
        return one
    if one in IRREGULAR:
        return IRREGULAR[one]
    for end in ("ing", "ed"):
        if one.endswith(end) and not one.endswith("eed"):
            return _infinitive(one.removesuffix(end), end) or one
    return one


_COMPOUND = {"shelves": "shelf", "wives": "wife", "knives": "knife", "wolves": "wolf"}
_NO_MEN = {
    "speciman",
    "seman",
    "abdoman",
    "acuman",
    "regiman",
    "staman",
    "raman",
    "yeman",
    "oman",
    "aman",
}


def _without_s(word: str) -> str:
    """The singular of a regular plural, or a verb without the ending of the third person."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is", "'s")):
        return word
    if word.endswith("ies"):
        return word[:-1] if len(word) == 4 else word[:-3] + "y"  # ties, puppies
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return word[:-2]
    if word.endswith("uses"):  # houses, but viruses
        return word[:-1] if word.endswith(("ouses", "auses")) else word[:-2]
    if word.endswith("oes"):
        return word[:-2]
    return word[:-1]


def _infinitive(stem: str, end: str) -> str:
    """The verb of which ``stem`` is left without ``end``; "" if it is no verb's stem."""
    if len(stem) < 2 or not any(letter in _VOWELS for letter in stem):
        return ""
    if end == "ed" and stem.endswith("i"):
        return stem[:-1] + "y" if len(stem) > 2 else stem + "e"  # dried, tied
    last, before = stem[-1], stem[-2]
    if last == before and last not in "lsfzeo":
        return stem[:-1]  # sitting
    return stem + "e" if _lost_an_e(stem) else stem


def _lost_an_e(stem: str) -> bool:
    """Whether a verb's stem ended in a silent e before "ing" or "ed"."""
    last, before = stem[-1], stem[-2]
    first = stem[-3] if len(stem) > 2 else ""
    if last in _VOWELS:
        return last == "u" or (last == "e" and before not in "eoy")  # arguing; not seeing
    if last in "vc" or stem.endswith(("dg", "rg")):
        return True
    if last == "z":
        return before != "z"
    if last == "l" and before not in _VOWELS + "lrw":
        return True  # juggling
    if last == "s":
        return before in "rn" + _VOWELS  # nursing, exposing
    if last == "g":
        return before in _VOWELS
    if before not in _VOWELS or (before == "y" and last in "wx"):
        return False
    if stem.endswith(("iat", "uat", "reat")) and not _one(stem):
        return True  # radiating, situated
    if first and first in _VOWELS and not (first == "u" and stem[-4:-3] == "q"):
        return False  # looking
    if last in "wxyh":
        return False
    return _one(stem) or stem.endswith(_SILENT)


def _one(stem: str) -> bool:
    """Whether a stem has one syllable."""
    return len(re.findall(f"[{_VOWELS}]+", stem)) == 1


# ends of longer stems that lose an e: decorating, preparing, combining, exploring
_SILENT = (
    *(
        "at",
        "hik",
        "mobil",
        "in",
        "ir",
        "ur",
        "ut",
        "id",
        "ib",
        "ak",
        "ok",
        "par",
        "clar",
        "plor",
        "stor",
        "gnor",
    ),
    *("ador", "lud", "blad", "scap", "etap", "xcit", "recit", "incit", "nvit"),
)
