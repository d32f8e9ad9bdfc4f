"""Text <-> token ids, for any tokenizer open_clip can give."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

SYNTAX = frozenset("()[]{}<>|:\\")  # web UIs read these as weights, schedules or extra networks
COMMA = re.compile(r"(?<=[^\W_]) ,(?= |$)")  # behind a word CLIP reads it the same without a blank
PLAIN = re.compile(r"[ -%'-@[-~]*")  # ASCII that no tokenizer cleans: no capitals, no entities
PADDING = "!"
PROBE = "It's A_b. c"  # shows how a tokenizer cleans a text

Kept = Callable[[str, Callable[[], list[int]]], list[int]]  # a name, how to find -> ids


@dataclass(frozen=True, eq=False)
class Tokens:
    """A tokenizer seen as a vocabulary: plain ids without start, end and padding.

    ``full`` is open_clip's tokenizer: called with a text it gives the model's whole input.

    Some tokenizers (Gemma's of SigLIP 2, RoBERTa's) have two ids for a word: one with a blank
    before it and one for the start of a text. Here a word has the first one wherever it
    stands, so that prompts can be put together from parts; ``front`` knows the second.
    """

    full: Any
    context: int  # positions of the model's input
    kept: Kept | None = None  # gives ids that were kept under a name, or finds them

    @cached_property
    def _plain(self) -> Any:
        return getattr(self.full, "tokenizer", self.full)  # HFTokenizer wraps a transformers one

    @cached_property
    def _is_clip(self) -> bool:
        return self._plain is self.full

    @cached_property
    def size(self) -> int:
        """How many ids there are."""
        return len(self._plain.encoder) if self._is_clip else len(self._plain)

    @cached_property
    def special(self) -> frozenset[int]:
        """Ids that must never stand inside a prompt: start, end, padding, unknown."""
        if self._is_clip:
            return frozenset(self.full.all_special_ids)
        added = self._plain.added_tokens_decoder.items()
        return frozenset(self._plain.all_special_ids) | {i for i, t in added if t.special}

    @cached_property
    def signature(self) -> str:
        """Equal for two tokenizers exactly if ids mean the same words."""
        vocabulary = self._plain.encoder if self._is_clip else self._plain.get_vocab()
        text = "\n".join(f"{word}\t{i}" for word, i in sorted(vocabulary.items(), key=str))
        return hashlib.sha256(f"{text}\n{self.encode(PROBE)}".encode()).hexdigest()[:16]

    def inputs(self, texts: Sequence[str]) -> Tensor:
        """The model's whole input (n, context) for typed texts."""
        return self.full(list(texts), context_length=self.context)

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` within a prompt, without start, end and padding."""
        return self._ids([text], self._blank)[0]

    def _ids(self, texts: Sequence[str], before: str = "") -> list[list[int]]:
        """Ids of each text, cleaned as the model's own, with ``before`` in front."""
        if self._is_clip:
            return [list(self.full.encode(text)) for text in texts]
        clean = [self.full.clean_fn(text) for text in texts]
        typed = [before + text if text else "" for text in clean]
        return self._plain(typed, add_special_tokens=False)["input_ids"] if typed else []

    @cached_property
    def _blank(self) -> str:
        """A blank if words have other ids at the start of a text than within it, else nothing."""
        if self._is_clip:
            return ""
        one, two, inside = self._plain(["a", "a a", " a"], add_special_tokens=False)["input_ids"]
        return " " if two != one + one and two == one + inside else ""

    def decode(self, ids: list[int]) -> str:
        """The text a person would type for ``ids``. Of CLIP's it is as its tokenizer cleans it:
        those of pipelines have no such cleaning (of quotes, ligatures, entities, control signs),
        and read a clean text alike.
        """
        text = str(self._plain.decode(ids)).strip()
        return COMMA.sub(",", self._cleaned(text)) if self._is_clip else text

    def _cleaned(self, text: str) -> str:
        """``text`` as cleaning leaves it alone: an entity may hide another one."""
        for _ in range(4):
            before, text = text, text if PLAIN.fullmatch(text) else self.full.clean_fn(text)
            if text == before:
                break
        return text

    def reads_padding(self, text: str) -> bool:
        """Whether a text of CLIP's has a "!": diffusers' SD 2, SDXL and SD 3 have a tokenizer
        that pads with it and takes a typed one for padding (id 0, where CLIP has 256).
        """
        return self._is_clip and PADDING in text

    def layout(self, length: int) -> tuple[list[int], list[int]]:
        """Ids before and after ``length`` prompt ids in the model's whole input.

        Read off a text of that many words, so that it holds for every tokenizer: start
        tokens stay in front, the end token and the padding follow the prompt.
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
        """A word that is one token wherever it stands."""
        for word in ("a", "the", "cat"):
            if len(self._ids([f"{word} {word}"])[0]) == 2:
                return word
        return self.decode([int(self.whole_words()[0])])

    def whole_words(self) -> Tensor:
        """Ids that are whole words and survive decode -> encode, int64 (n,).

        A string of such words, with a blank between, tokenises to exactly their ids. It takes
        seconds to find them: ``kept`` may remember them.
        """
        return self.find_ids(f"words-{self.signature}", self._find_words)

    def find_ids(self, name: str, find: Callable[[], list[int]]) -> Tensor:
        """The ids, int64 (n,), that ``find`` gives, or those ``kept`` under ``name``."""
        return torch.tensor(self.kept(name, find) if self.kept else find(), dtype=torch.long)

    def _find_words(self) -> list[int]:
        words = {}
        for i in range(self.size):
            if i in self.special or (self._is_clip and not self.full.decoder[i].endswith("</w>")):
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
