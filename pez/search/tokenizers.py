"""What :class:`pez.search.tokens.Tokens` needs of a tokenizer, and the kinds there are."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

COMMA = re.compile(r"(?<=[^\W_]) ,(?= |$)")  # after a word CLIP reads it the same without a blank
PLAIN = re.compile(r"[ -%'-@[-~]*")  # ASCII that no tokenizer cleans: no capitals, no entities
PADDING = "!"


class Tokenizer(ABC):
    """Texts to ids and back: the only interface between a model's tokenizer and a search."""

    @property
    @abstractmethod
    def vocabulary(self) -> Mapping[str, int]:
        """The pieces and their ids."""

    @property
    @abstractmethod
    def special(self) -> frozenset[int]:
        """Ids that never occur inside a prompt: start, end, padding, unknown."""

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.vocabulary)

    @abstractmethod
    def inputs(self, texts: Sequence[str], context: int) -> Tensor:
        """The model's whole input (n, context) for typed texts."""

    @abstractmethod
    def encode(self, texts: Sequence[str], before: str = "") -> list[list[int]]:
        """Ids of each text without start, end and padding, with ``before`` in front of it."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text a person would type for ``ids``."""

    def may_be_word(self, _i: int) -> bool:
        """False for ids that are known not to be whole words, without trying."""
        return True

    def reads_padding(self, _text: str) -> bool:
        """Whether pipelines that read with this vocabulary take part of a text for padding."""
        return False


class BytePairs(Tokenizer):
    """CLIP's byte pairs by open_clip's SimpleTokenizer."""

    def __init__(self, own: Any) -> None:
        self._own = own

    @property
    def vocabulary(self) -> Mapping[str, int]:
        """The pieces and their ids."""
        return self._own.encoder

    @cached_property
    def special(self) -> frozenset[int]:
        """Start, end and any others that its author named."""
        return frozenset(self._own.all_special_ids)

    def inputs(self, texts: Sequence[str], context: int) -> Tensor:
        """The model's whole input (n, context)."""
        return self._own(list(texts), context_length=context)

    def encode(self, texts: Sequence[str], before: str = "") -> list[list[int]]:
        """Ids of each text; a blank before it changes nothing."""
        return [list(self._own.encode(text)) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Cleaned as its tokenizer does. Tokenizers of pipelines skip this cleaning (of quotes,
        ligatures, entities, control characters), but read a clean text alike.
        """
        return COMMA.sub(",", self._cleaned(str(self._own.decode(list(ids))).strip()))

    def _cleaned(self, text: str) -> str:
        """``text`` cleaned until nothing changes: an entity may hide another one."""
        for _ in range(4):
            before, text = text, text if PLAIN.fullmatch(text) else self._own.clean_fn(text)
            if text == before:
                break
        return text

    def may_be_word(self, i: int) -> bool:
        """Whether the piece ends a word."""
        return self._own.decoder[i].endswith("</w>")

    def reads_padding(self, text: str) -> bool:
        """Whether it has a "!": diffusers' SD 2, SDXL and SD 3 have a tokenizer that pads with it
        and reads a typed one as padding (id 0, where CLIP has 256).
        """
        return PADDING in text


class Pretrained(Tokenizer):
    """A tokenizer of transformers, of any model."""

    def __init__(self, own: Any) -> None:
        self._own = own

    @cached_property
    def vocabulary(self) -> Mapping[str, int]:
        """The pieces and their ids."""
        return self._own.get_vocab()

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self._own)

    @cached_property
    def special(self) -> frozenset[int]:
        """Those it calls special, whatever they are for."""
        added = self._own.added_tokens_decoder.items()
        return frozenset(self._own.all_special_ids) | {i for i, t in added if t.special}

    def inputs(self, texts: Sequence[str], context: int) -> Tensor:
        """The model's whole input (n, context)."""
        found = self._own(list(texts), padding="max_length", max_length=context, truncation=True)
        return torch.tensor(found["input_ids"], dtype=torch.long).view(-1, context)

    def encode(self, texts: Sequence[str], before: str = "") -> list[list[int]]:
        """Ids of each text as it is typed."""
        typed = [before + text if text else "" for text in texts]
        return self._own(typed, add_special_tokens=False)["input_ids"] if typed else []

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``."""
        return str(self._own.decode(list(ids))).strip()

    def reads_padding(self, text: str) -> bool:
        """Whether ``text`` contains its padding, if that can be typed: SD 2's is "!"."""
        return bool(self._own.pad_token) and self._own.pad_token in text


class Cleaned(Pretrained):
    """A tokenizer of transformers within open_clip's HFTokenizer, which cleans texts first."""

    def __init__(self, full: Any) -> None:
        super().__init__(full.tokenizer)
        self._full = full

    def inputs(self, texts: Sequence[str], context: int) -> Tensor:
        """The model's whole input (n, context)."""
        return self._full(list(texts), context_length=context)

    def encode(self, texts: Sequence[str], before: str = "") -> list[list[int]]:
        """Ids of each text, cleaned."""
        return super().encode([self._full.clean_fn(text) for text in texts], before)

    def reads_padding(self, _text: str) -> bool:
        """No pipeline reads with it."""
        return False


def as_tokenizer(full: Any) -> Tokenizer:
    """A :class:`Tokenizer` unchanged, and a wrapper around each kind of open_clip's."""
    if isinstance(full, Tokenizer):
        return full
    return Cleaned(full) if hasattr(full, "tokenizer") else BytePairs(full)
