"""The words that can be seen: those of captions whose commonest sense is a thing, a doing or a
colour that a photograph shows. ``added.txt`` and ``dropped.txt`` are by hand.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from open_clip import SimpleTokenizer
from torch import Tensor
from wordnet import WordNet, content

HERE = Path(__file__).parent
# lexnames(5WN): animals, artifacts, bodies, foods, places, objects, persons, phenomena, plants,
# substances
THINGS = {5, 6, 8, 13, 15, 17, 18, 19, 20, 27}
# change of body, consumption, contact, creation, motion, perception, competition
DOINGS = {29, 33, 34, 35, 36, 38, 39}
COLOURS = "red blue green yellow white black brown orange pink purple gray grey wooden"
OFTEN = 25  # captions that a word must occur in


@dataclass(frozen=True)
class Lexicon:
    """A list of words and how texts mention them, in whatever form."""

    words: tuple[str, ...]
    wordnet: WordNet

    @cached_property
    def columns(self) -> dict[str, int]:
        """Lemma -> place in the list."""
        return {self.wordnet.lemma(word): n for n, word in enumerate(self.words)}

    def column(self, word: str) -> int | None:
        """The place of a word, in any form; None if it is not listed."""
        return self.columns.get(self.wordnet.lemma(word))

    def said(self, text: str) -> list[int]:
        """The places of the words that a text mentions, in its order, each once."""
        found = (self.column(word) for word in content(text))
        return list(dict.fromkeys(n for n in found if n is not None))

    def counts(self, texts: Iterable[str]) -> Tensor:
        """In how many of the texts each word occurs, (words,)."""
        total = torch.zeros(len(self.words))
        for text in texts:
            total[self.said(text)] += 1
        return total

    def bags(self, texts: Sequence[str], most: int = 8) -> tuple[Tensor, Tensor]:
        """The first ``most`` words of each text: places (n, most), and 1 where there is one."""
        places = torch.zeros(len(texts), most, dtype=torch.long)
        there = torch.zeros(len(texts), most)
        for row, text in enumerate(texts):
            said = self.said(text)[:most]
            places[row, : len(said)] = torch.tensor(said, dtype=torch.long)
            there[row, : len(said)] = 1
        return places, there

    def right(self, found: Iterable[str], texts: Iterable[str]) -> int:
        """How many different words of ``found`` the texts mention."""
        truth = {self.wordnet.lemma(word) for text in texts for word in content(text)}
        return len({self.wordnet.lemma(word) for word in found} & truth)


def word_list(captions: Sequence[str], wordnet: WordNet) -> tuple[str, ...]:
    """The words that can be seen, those that captions name most often first."""
    own = {
        token.removesuffix("</w>") for token in SimpleTokenizer().encoder if token.endswith("</w>")
    }
    said = [content(caption) for caption in captions]
    dropped = hand_list("dropped")
    chosen: dict[str, str] = {}  # lemma -> word
    for word in [*_visible(said, wordnet, own), *hand_list("added")]:
        lemma = wordnet.lemma(word)
        if word not in dropped and word in own and lemma not in chosen:
            chosen[lemma] = word
    often = Counter(lemma for words in said for lemma in {wordnet.lemma(word) for word in words})
    return tuple(sorted(chosen.values(), key=lambda word: -often[wordnet.lemma(word)]))


def _visible(said: list[list[str]], wordnet: WordNet, own: Collection[str]) -> list[str]:
    """Words of captions, as lists, that are one token each and mean something that is seen."""
    forms = Counter(word for words in said for word in set(words))
    lemmas: dict[str, Counter[str]] = defaultdict(Counter)
    for word, count in forms.items():
        lemmas[wordnet.lemma(word)][word] += count
    found: set[tuple[int, str]] = set()
    for lemma, counts in lemmas.items():
        common = [word for word, _ in counts.most_common() if word in own]
        if counts.total() < OFTEN or not common:
            continue
        named = lemma if lemma in COLOURS.split() else _thing(common[0], counts, wordnet, own)
        doing = next((w for w in common if w.endswith("ing") and counts[w] >= OFTEN), None)
        if doing and wordnet.kind(wordnet.verb(doing) or "", "verb") in DOINGS:
            if named and counts[doing] > 2 * OFTEN:
                found.add((counts[doing], doing))
            named = named or doing
        if named:
            found.add((counts.total(), named))
    return [word for _, word in sorted(found, reverse=True)]


def _thing(word: str, counts: Counter[str], wordnet: WordNet, own: Collection[str]) -> str | None:
    """The name of a thing: its singular, unless the plural is far commoner; None if it is none."""
    noun = wordnet.noun(word)
    if not noun or wordnet.kind(noun) not in THINGS or word.endswith(("ing", "ed")):
        return None
    return noun if noun in own and counts[noun] * 3 > counts[word] else word


def hand_list(name: str) -> list[str]:
    """The words of added.txt or dropped.txt."""
    lines = (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]
