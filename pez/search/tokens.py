"""Text <-> token ids, for any tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pez.search.tokenizers import Tokenizer, as_tokenizer

SYNTAX = frozenset("()[]{}<>|:\\")  # web UIs read these as weights, schedules or extra networks
PROBE = "It's A_b. c"  # shows how a tokenizer cleans a text

Kept = Callable[[str, Callable[[], list[int]]], list[int]]  # a name, how to find -> ids


@dataclass(frozen=True, eq=False)
class Tokens:
    """A tokenizer seen as a vocabulary: plain ids without start, end and padding.

    ``full`` is a :class:`pez.search.tokenizers.Tokenizer` or one of open_clip's.

    Some tokenizers (Gemma's of SigLIP 2, RoBERTa's) have two ids for a word: one with a blank
    before it and one for the start of a text. Here a word always has the first, wherever it
    occurs, so that prompts can be assembled from parts; ``front`` knows the second.
    """

    full: Any
    context: int  # positions of the model's input
    kept: Kept | None = None  # returns ids cached under a name, or finds them

    @cached_property
    def _own(self) -> Tokenizer:
        return as_tokenizer(self.full)

    @cached_property
    def size(self) -> int:
        """How many ids there are."""
        return self._own.size

    @cached_property
    def special(self) -> frozenset[int]:
        """Ids that must never occur inside a prompt: start, end, padding, unknown."""
        return self._own.special

    @cached_property
    def signature(self) -> str:
        """Equal for two tokenizers exactly if ids mean the same words. The names of special ids
        do not count: open_clip and transformers name CLIP's start and end differently.
        """
        words = [("" if i in self.special else w, i) for w, i in self._own.vocabulary.items()]
        text = "\n".join(f"{word}\t{i}" for word, i in sorted(words, key=str))
        return hashlib.sha256(f"{text}\n{self.encode(PROBE)}".encode()).hexdigest()[:16]

    def inputs(self, texts: Sequence[str]) -> Tensor:
        """The model's whole input (n, context) for typed texts."""
        return self._own.inputs(texts, self.context)

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` within a prompt, without start, end and padding."""
        return self._ids([text], self._blank)[0]

    def _ids(self, texts: Sequence[str], before: str = "") -> list[list[int]]:
        """Ids of each text, cleaned as the model's own, with ``before`` in front."""
        return self._own.encode(texts, before)

    @cached_property
    def _blank(self) -> str:
        """A blank if words have other ids at the start of a text than within it, else nothing."""
        (one, two), (inside,) = self._ids(["a", "a a"]), self._ids(["a"], " ")
        return " " if two != one + one and two == one + inside else ""

    def decode(self, ids: list[int]) -> str:
        """The text a person would type for ``ids``, cleaned as the model's own tokenizer does."""
        return self._own.decode(ids)

    def reads_padding(self, text: str) -> bool:
        """Whether pipelines read part of a text as padding, such as CLIP's "!"."""
        return self._own.reads_padding(text)

    def layout(self, length: int) -> tuple[list[int], list[int]]:
        """Ids before and after ``length`` prompt ids in the model's whole input.

        They are read from a text of that many words, so that this works for every tokenizer:
        start tokens come first, the end token and the padding follow the prompt.
        """
        if length not in self._layouts:
            text = " ".join([self._word] * length)
            row, ids = self.inputs([text])[0].tolist(), self._ids([text])[0]
            starts = [n for n in range(len(row)) if row[n : n + length] == ids]
            if not starts:
                raise ValueError(f"the model does not read {length} tokens whole")
            self._layouts[length] = row[: starts[0]], row[starts[0] + length :]
        return self._layouts[length]

    @cached_property
    def _layouts(self) -> dict[int, tuple[list[int], list[int]]]:
        return {}

    @cached_property
    def limit(self) -> int:
        """The longest prompt, in ids, that the model reads whole."""
        before, _ = self.layout(1)
        text = " ".join([self._word] * self.context)
        row, ids = self.inputs([text])[0].tolist()[len(before) :], self._ids([text])[0]
        return next((n for n, (a, b) in enumerate(zip(row, ids, strict=False)) if a != b), len(row))

    @cached_property
    def _word(self) -> str:
        """A word that is one token wherever it occurs."""
        for word in ("a", "the", "cat"):
            if len(self._ids([f"{word} {word}"])[0]) == 2:
                return word
        return self.decode([int(self.whole_words()[0])])

    def whole_words(self) -> Tensor:
        """Ids that are whole words and survive decode -> encode, int64 (n,).

        A string of such words, with a blank between, tokenises to exactly their ids. Finding
        them takes seconds: ``kept`` may cache them.
        """
        return self.find_ids(f"words-{self.signature}", self._find_words)

    def find_ids(self, name: str, find: Callable[[], list[int]]) -> Tensor:
        """The ids, int64 (n,), that ``find`` returns, or those cached under ``name``."""
        return torch.tensor(self.kept(name, find) if self.kept else find(), dtype=torch.long)

    def _find_words(self) -> list[int]:
        words = {}
        for i in range(self.size):
            if i in self.special or not self._own.may_be_word(i):
                continue
            word = self.decode([i])
            if any(c.isalnum() for c in word) and not SYNTAX & set(word):
                words[i] = word
        typed = self._ids(list(words.values()))
        alone = self._ids(list(words.values()), self._blank) if self._blank else typed
        twice = self._ids([f"{word} {word}" for word in words.values()], self._blank)
        found = zip(words, typed, alone, twice, strict=True)
        return [i for i, t, a, two in found if len(t) == 1 and a == [i] and two == [i, i]]

    @cached_property
    def front(self) -> tuple[list[int], list[int]]:
        """Whole words with another id at the start of a text, and those ids; most have none."""
        if not self._blank:
            return [], []
        words = self.whole_words().tolist()
        typed = [ids[0] for ids in self._ids([self.decode([i]) for i in words])]
        pairs = [(i, t) for i, t in zip(words, typed, strict=True) if i != t]
        return [i for i, _ in pairs], [t for _, t in pairs]
