"""The draft of a search: a cheaper model that sorts candidates for the one that is searched.

Methods that take one have an option ``draft`` (:mod:`pez.methods.probe`). The draft has to read
the targets too: :func:`encode_images` and :func:`encode_texts` put what it makes of them behind
the model's own features, and :func:`draft_problem` takes them apart again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.methods import open_method
from pez.models import Reader, load_model
from pez.models.ensemble import known_to_all
from pez.objectives.match import Match, Targets
from pez.options import SearchOptions
from pez.search.problem import Problem
from pez.search.tokens import Tokens
from pez.search.vocabulary import make_vocabulary


@dataclass(eq=False)
class Drafted:
    """A model with its draft. It reads as the model alone does; words that the draft was not
    trained on may not be chosen, and prompts must be short enough for both.
    """

    reader: Reader
    draft: Reader
    name: str
    tokens: Tokens
    table: Tensor
    parts: tuple[int, ...]
    limit: int
    known: Tensor | None
    own_words: list[str] | None
    weights: dict[str, str]

    @classmethod
    def join(cls, reader: Reader, draft: Reader) -> Drafted:
        """PezError if the two do not share a tokenizer."""
        if draft.tokens.signature != reader.tokens.signature:
            raise PezError(
                f"{draft.name} cannot be the draft of {reader.name}: they do not share a "
                "tokenizer; name another with --set draft."
            )
        known = known_to_all([reader, draft])
        limit = min(reader.limit, draft.limit)
        name, tokens, table = reader.name, reader.tokens, reader.table
        own, weights = reader.own_words, reader.weights | draft.weights
        return cls(reader, draft, name, tokens, table, reader.parts, limit, known, own, weights)

    def features(self, embeddings: Tensor) -> Tensor:
        """Features (b, e) of prompts (b, l, w) by the model."""
        return self.reader.features(embeddings)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Features (n, e) of typed texts by the model."""
        return self.reader.encode_text(texts)

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (n, e) of pictures by the model."""
        return self.reader.encode_images(images)

    def free_vision(self) -> None:
        """Let go of both image towers."""
        self.reader.free_vision()
        self.draft.free_vision()

    def bytes_per_row(self, length: int) -> int:
        """The sum of both."""
        return self.reader.bytes_per_row(length) + self.draft.bytes_per_row(length)


def draft_name(options: SearchOptions) -> str:
    """The draft that the method's settings name, or nothing. PezError where none can serve."""
    name = open_method(options).draft_model
    if name and options.objective != "match":
        raise PezError(
            f"--set draft needs --objective match, as {name} reads no noisy pictures; leave one "
            "away."
        )
    return name


def with_draft(reader: Reader, options: SearchOptions) -> Reader:
    """``reader`` with the draft of ``options``, on its device; as it is if that is there already
    or none is named. PezError for an unknown draft and for one of another tokenizer.
    """
    name = draft_name(options)
    own = reader.reader if isinstance(reader, Drafted) else reader
    if not name:
        return own
    if isinstance(reader, Drafted) and reader.draft.name == name:
        return reader
    return Drafted.join(own, load_model(name, str(own.table.device), options.dtype))


def encode_images(reader: Reader, images: Sequence[Image.Image]) -> Tensor:
    """Features (n, e) of pictures as targets, or (n, e + d) where the reader has a draft."""
    if isinstance(reader, Drafted):
        both = (reader.reader, reader.draft)
        return torch.cat([one.encode_images(images) for one in both], 1)
    return reader.encode_images(images)


def encode_texts(reader: Reader, texts: Sequence[str]) -> Tensor:
    """Features (n, e) of texts as targets, or (n, e + d) where the reader has a draft."""
    if isinstance(reader, Drafted):
        return torch.cat([one.encode_text(texts) for one in (reader.reader, reader.draft)], 1)
    return reader.encode_text(texts)


def own_targets(reader: Reader, targets: Sequence[Targets]) -> list[Targets]:
    """What the searched model itself made of targets: features (t, e)."""
    if not isinstance(reader, Drafted):
        return list(targets)
    return [replace(t, features=t.features[:, : _width(reader.reader)]) for t in targets]


def draft_problem(
    reader: Reader, targets: Sequence[Targets], problem: Problem, options: SearchOptions
) -> Problem | None:
    """The same search as the draft reads it, for methods that ask for one; None without a draft.

    PezError if the draft was not there when the targets were read.
    """
    name = draft_name(options)
    if not name:
        return None
    if not isinstance(reader, Drafted):
        raise PezError(
            f"the draft {name} has not read the targets; open the model with "
            "pez.session.drafts.with_draft."
        )
    skip = _width(reader.reader)
    whole = skip + _width(reader.draft)
    if any(t.features.shape[1] != whole for t in targets):
        raise PezError(
            f"the draft {name} has not read the targets; encode them with "
            "pez.session.drafts.encode_images."
        )
    draft, own = reader.draft, problem.vocabulary
    vocabulary = make_vocabulary(own.tokens, draft.table, own.ids, draft.parts)
    objective = Match(draft, [replace(t, features=t.features[:, skip:]) for t in targets])
    return Problem(vocabulary, problem.template, objective, problem.init, objective.batch)


@torch.no_grad()
def _width(reader: Reader) -> int:
    """Of a reader's features."""
    return reader.features(reader.table[:1, None].float()).shape[1]
