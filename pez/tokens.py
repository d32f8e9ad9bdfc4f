"""Text <-> token ids, for any tokenizer open_clip can give."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SYNTAX = frozenset("()[]{}<>|:\\")  # web UIs read these as weights, schedules or extra networks


@dataclass(frozen=True, eq=False)
class Tokens:
    """A tokenizer seen as a vocabulary: plain ids without start, end and padding.

    ``full`` is open_clip's tokenizer: called with a text it gives the model's whole input.
    """

    full: Any
    context: int  # positions of the model's input

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
            return frozenset({self.full.sot_token_id, self.full.eot_token_id})
        return frozenset(self._plain.all_special_ids)

    @cached_property
    def signature(self) -> str:
        """Equal for two tokenizers exactly if ids mean the same words."""
        vocabulary = self._plain.encoder if self._is_clip else self._plain.get_vocab()
        text = "\n".join(f"{word}\t{i}" for word, i in sorted(vocabulary.items(), key=str))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` as the model reads it, without start, end and padding."""
        if self._is_clip:
            return list(self.full.encode(self.full.clean_fn(text)))
        return list(self._plain.encode(self.full.clean_fn(text), add_special_tokens=False))

    def decode(self, ids: list[int]) -> str:
        """The text a person would type for ``ids``."""
        return str(self._plain.decode(ids)).strip()

    def layout(self, length: int) -> tuple[list[int], list[int]]:
        """Ids before and after ``length`` prompt ids in the model's whole input.

        Found by tokenising an empty text, so that it holds for every tokenizer: start
        tokens stay in front, the end token and the padding follow the prompt.
        """
        empty = self.full([""])[0].tolist()
        if self._is_clip:
            return empty[:1], empty[1 : self.context - length]
        probe = self.full(["a"])[0].tolist()
        word = self._plain.encode("a", add_special_tokens=False)
        start = next(i for i in range(len(probe)) if probe[i : i + len(word)] == word)
        after = probe[start + len(word) :] + [probe[-1]] * len(word)
        return probe[:start], after[: self.context - start - length]

    @cached_property
    def limit(self) -> int:
        """The longest prompt, in ids, that the model reads whole."""
        if self._is_clip:
            return self.context - 2
        probe = self.full(["a"])[0].tolist()
        specials = [i for i in probe if i in self.special and i != probe[-1]]
        return self.context - len(specials)

    def whole_words(self) -> Tensor:
        """Ids that are whole words and survive decode -> encode, int64 (n,), cached on disk.

        A string of such words, with a blank between, tokenises to exactly their ids.
        """
        path = cache_folder() / f"words-{self.signature}.txt"
        if path.is_file():
            return torch.tensor([int(i) for i in path.read_text().split()])
        ids = [i for i in range(self.size) if i not in self.special and self._survives(i)]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            part.write_text(" ".join(map(str, ids)))
            part.replace(path)
        except OSError:
            pass  # a read-only home costs a few seconds at each start, no more
        return torch.tensor(ids)

    def _survives(self, i: int) -> bool:
        if self._is_clip and not self.full.decoder[i].endswith("</w>"):
            return False
        word = self.decode([i])
        readable = any(c.isalnum() for c in word) and not SYNTAX & set(word)
        return readable and self.encode(word) == [i] and self.encode(f"{word} {word}") == [i, i]


def cache_folder() -> Path:
    """Where small things computed once are kept: ``PEZ_CACHE`` or the user's cache folder."""
    base = os.environ.get("PEZ_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pez"
