"""Words of a language model: a blank and letters, one token each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from pez.search.tokens import Tokens


@dataclass(frozen=True, eq=False)
class SpacedTokens(Tokens):
    """A tokenizer whose words need be one token only within a text, behind a blank: few words of a
    byte-pair vocabulary are one at its beginning too. ``size`` is that of the model's table, if
    that is shorter than the vocabulary.
    """

    rows: int = 0

    @cached_property
    def size(self) -> int:
        """How many ids the model reads."""
        whole = self._own.size
        return min(whole, self.rows) if self.rows else whole

    @cached_property
    def signature(self) -> str:
        """Another than that of :class:`pez.search.tokens.Tokens`, as its words are others."""
        return f"spaced-{super().signature}"

    @property
    def lead(self) -> str:
        """What stands before a prompt that begins a text, so that its first word is read as a word
        within a text is: a blank, or nothing where that changes nothing.
        """
        return self._blank

    def whole_words(self) -> Tensor:
        """Ids (n,) of words of letters only. A string of them, with a blank between, tokenises to
        exactly their ids behind other words.
        """
        return self.find_ids(f"words-{self.signature}", self._spaced_words)

    def _spaced_words(self) -> list[int]:
        words: dict[int, str] = {}
        for i in range(self.size):
            if i not in self.special:
                word = self.decode([i])
                if word.isalpha():
                    words[i] = word
        once = self._ids(list(words.values()), self._blank)
        twice = self._ids([f"{word} {word}" for word in words.values()], self._blank)
        return [
            i
            for i, one, two in zip(words, once, twice, strict=True)
            if one == [i] and two == [i, i]
        ]
