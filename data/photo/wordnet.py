"""WordNet's dictionary files (wndb(5WN)): lemmas, what kind of thing a noun is, what is above it.

Debian's ``wordnet-base`` installs them in /usr/share/wordnet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path("/usr/share/wordnet")
# WordNet's own rules of detachment (morphy(7WN)), those for nouns without -men
NOUN_ENDS = (
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("ies", "y"),
    ("s", ""),
)
VERB_ENDS = (
    ("s", ""),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
)
# words of captions that say nothing of what is seen
STOP_WORDS = """
a an the of in on at to is are be was with and or for by from up down out into over under near
next it its his her their this that there as some one two three four five six seven eight nine ten
while has have having very other another each all several many few more most who which what where
no not so than then them they he she him i you we us being been who's do does doing get gets
getting can other's off about across along through around between behind front top side back
bottom middle left right inside outside above below beside against towards toward onto like lot
group couple set pair bunch piece something someone picture photo image photograph view close ups
background
"""
STOP = frozenset(STOP_WORDS.split())


class WordNet:
    """The nouns and verbs of a folder of WordNet's files."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._odd = {pos: _exceptions(folder / f"{pos}.exc") for pos in ("noun", "verb")}
        self._senses = {pos: _senses(folder / f"index.{pos}") for pos in ("noun", "verb")}
        self._kinds: dict[str, dict[str, int]] = {"noun": {}, "verb": {}}
        self._names: dict[str, tuple[list[str], list[str]]] = {}
        for pos, kinds in self._kinds.items():
            for fields in _lines(folder / f"data.{pos}"):
                kinds[fields[0]] = int(fields[1])
                if pos == "noun":
                    self._names[fields[0]] = _synset(fields)

    def noun(self, word: str) -> str | None:
        """The singular of a noun; None if it is none. A plural that is a lemma as well (glasses)
        becomes singular if that exists.
        """
        if word in self._odd["noun"]:
            return self._odd["noun"][word]
        own = self._senses["noun"]
        if word in own and (not word.endswith("s") or word.endswith("ss")):
            return word
        return next(self._cut(word, "noun", NOUN_ENDS), word if word in own else None)

    def verb(self, word: str) -> str | None:
        """The base of a form of a verb; None if it is none."""
        if word in self._odd["verb"]:
            return self._odd["verb"][word]
        own = self._senses["verb"]
        if word in own:
            return word
        doubled = word.endswith("ing") and len(word) > 5 and word[-4] == word[-5]
        if doubled and word[:-4] in own:
            return word[:-4]
        return next(self._cut(word, "verb", VERB_ENDS), None)

    def lemma(self, word: str) -> str:
        """What the forms of a word have in common: dogs and dog, riding and rides."""
        word = word.lower()
        if word in ("people", "persons"):
            return "person"
        verb = self.verb(word)
        if word.endswith("ing") and verb:
            return verb
        return self.noun(word) or verb or word

    def kind(self, lemma: str, pos: str = "noun") -> int | None:
        """The number of the lexicographer's file (lexnames(5WN)) of a lemma's first sense."""
        senses = self._senses[pos].get(lemma)
        return self._kinds[pos][senses[0]] if senses else None

    def above(self, synset: str) -> Iterator[tuple[str, int]]:
        """The names of a noun's synset and those above it, each with its distance; of several
        hypernyms the first.
        """
        distance = 0
        while True:
            names, hypernyms = self._names[synset]
            yield from ((name, distance) for name in names)
            if not hypernyms:
                return
            synset, distance = hypernyms[0], distance + 1

    def _cut(self, word: str, pos: str, ends: tuple[tuple[str, str], ...]) -> Iterator[str]:
        for end, base in ends:
            stem = word.removesuffix(end)
            if word.endswith(end) and len(stem) > 1 and stem + base in self._senses[pos]:
                yield stem + base


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, letters only, without possessive endings."""
    return re.findall(r"[a-z]+", text.lower().replace("'s", ""))


def content(text: str) -> list[str]:
    """The words of a text that may say what is seen."""
    return [word for word in words_of(text) if word not in STOP and len(word) > 1]


def _lines(path: Path) -> Iterator[list[str]]:
    """The fields of each line after the licence, whose lines begin with two spaces."""
    for line in path.read_text(encoding="latin-1").splitlines():
        if not line.startswith(" "):
            yield line.split("|")[0].split()


def _exceptions(path: Path) -> dict[str, str]:
    return {fields[0]: fields[1] for fields in _lines(path)}


def _senses(path: Path) -> dict[str, list[str]]:
    """The synsets of every lemma, the commonest sense first."""
    return {
        fields[0]: [f for f in fields if len(f) == 8 and f.isdigit()] for fields in _lines(path)
    }


def _synset(fields: list[str]) -> tuple[list[str], list[str]]:
    """The names of a synset and the offsets of its hypernyms (``@``, of instances ``@i``)."""
    count = int(fields[3], 16)
    names = [name.lower() for name in fields[4 : 4 + 2 * count : 2]]
    signs, offsets = fields[5 + 2 * count :: 4], fields[6 + 2 * count :: 4]
    above = zip(signs, offsets, strict=True)
    return names, [offset for sign, offset in above if sign in ("@", "@i")]
