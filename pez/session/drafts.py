"""The draft of a search: a cheaper model that ranks candidates for the searched one.

Methods that take one have an option ``draft`` (:mod:`pez.methods.probe`). The draft has to read
the targets too: an item holds its goal once for the model and once for the draft
(:mod:`pez.session.items`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.methods import open_method
from pez.models import Reader, load_model
from pez.models.ensemble import known_to_all
from pez.objectives import objective_class
from pez.objectives.match import Match, Targets
from pez.options import SearchOptions
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.tokens import Tokens
from pez.search.vocabulary import Vocabulary, make_vocabulary


@dataclass(eq=False)
class Drafted:
    """A model with its draft. Its features are the model's. Words that the draft was not
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
                "tokenizer; choose another with --set draft."
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

    def prepare(self, image: Image.Image) -> Any:
        """What the model takes of a picture."""
        return self.reader.prepare(image)

    def encode_prepared(self, prepared: Sequence[Any]) -> Tensor:
        """Features (n, e) by the model of what it takes."""
        return self.reader.encode_prepared(prepared)

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (n, e) of pictures by the model."""
        return self.reader.encode_images(images)

    def free_vision(self) -> None:
        """Free both image towers."""
        self.reader.free_vision()
        self.draft.free_vision()

    def bytes_per_row(self, length: int) -> int:
        """The sum of both."""
        return self.reader.bytes_per_row(length) + self.draft.bytes_per_row(length)


def draft_name(options: SearchOptions, method: Method | None = None) -> str:
    """The draft that the settings of the options' ``method`` name, or an empty string.
    PezError where no draft can be used.
    """
    name = (method or open_method(options)).draft_model
    objective = objective_class(options.objective)
    if name and objective.reads_pipeline:
        raise PezError(
            f"--set draft does not apply to --objective {options.objective}, as {name} is no "
            "pipeline; omit one of them."
        )
    if name and objective.reads_language:
        raise PezError("--set draft names a CLIP, which cannot rank a language model's candidates.")
    return name


def with_draft(reader: Reader, options: SearchOptions, method: Method | None = None) -> Reader:
    """``reader`` with the draft of the options' ``method``, on its device; unchanged if it has
    that draft or none is named. PezError for an unknown draft or one with another tokenizer.
    """
    name = draft_name(options, method)
    own = reader.reader if isinstance(reader, Drafted) else reader
    if not name:
        return own
    if isinstance(reader, Drafted) and reader.draft.name == name:
        return reader
    return Drafted.join(own, load_model(name, str(own.table.device), options.dtype))


def read_by_both(
    reader: Reader, encode: Callable[[Reader], Tensor]
) -> tuple[Tensor, Tensor | None]:
    """What ``encode`` gives for the model, and for its draft if it has one."""
    if isinstance(reader, Drafted):
        return encode(reader.reader), encode(reader.draft)
    return encode(reader), None


def draft_words(reader: Drafted, vocabulary: Vocabulary) -> Vocabulary:
    """The words of ``vocabulary`` with the draft's embeddings."""
    draft = reader.draft
    return make_vocabulary(vocabulary.tokens, draft.table, vocabulary.ids, draft.parts)


def draft_problem(
    reader: Drafted, goals: Sequence[Targets | None], problem: Problem, words: Vocabulary
) -> Problem:
    """The same problem for the draft, with its own ``words`` (:func:`draft_words`) and its own
    ``goals`` of the items. PezError if it has not encoded one of the items.
    """
    known = [goal for goal in goals if goal is not None]
    if len(known) < len(goals):
        raise PezError(
            f"the draft {reader.draft.name} has not read the targets; make the items with "
            "pez.session.items and a model that has the draft (pez.session.drafts.with_draft)."
        )
    objective = Match(reader.draft, known)
    return Problem(words, problem.template, objective, problem.init, objective.batch)
