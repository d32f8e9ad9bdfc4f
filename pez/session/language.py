"""The language model of a search: which one it is, and how it changes the problem."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import torch

from pez.errors import PezError
from pez.models import Reader, open_language_model
from pez.models.families import companions
from pez.models.language import LanguageModel
from pez.models.names import LANGUAGE, reads_photographs
from pez.models.prior import Prior
from pez.objectives import objective_class
from pez.options import SearchOptions
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.vocabulary import Vocabulary, make_vocabulary


def is_needed(options: SearchOptions, method: Method | type[Method]) -> bool:
    """Whether the search itself uses a language model beside its reader: for ``--fluency`` or its
    method. PezError if the method does, and the reader is a language model itself.
    """
    if objective_class(options.objective).reads_language:
        if method.reads_language:
            raise PezError(f"--method {method.name} is for CLIPs; use pursuit, gcg or pez.")
        return False
    return options.fluency > 0 or method.reads_language


def language_name(
    models: Collection[str], options: SearchOptions, method: Method | type[Method]
) -> str:
    """The language model that is named. Without a name, if one is needed: the companion of
    ``models``, or :data:`pez.models.names.LANGUAGE` if theirs differ. Otherwise empty.
    """
    if options.language_model or not is_needed(options, method):
        return options.language_model
    names = {companions(model).language for model in models}
    return names.pop() if len(names) == 1 else LANGUAGE


def open_language(reader: Reader, options: SearchOptions, method: Method) -> LanguageModel | None:
    """The language model of :func:`language_name`. PezError if it is unavailable."""
    name = language_name(reader.name.split(" + "), options, method)
    return open_language_model(name, str(reader.table.device)) if name else None


def narrow_remark(reader: Reader, options: SearchOptions, language: LanguageModel | None) -> str:
    """What to tell a user who searches a model of photographs with a language model that was not
    named, and so is the small one of drawn pictures; empty for all others.
    """
    if language is None or options.language_model:
        return ""
    if not any(map(reads_photographs, reader.name.split(" + "))):
        return ""
    return (
        f"{language.name} knows only texts of a small drawn world; --language-model smollm2 knows "
        "English."
    )


@dataclass(frozen=True, eq=False)
class Words:
    """The words that may be chosen: those that are one token of the language model.

    ``vocabulary`` holds only these. With fluency their embeddings are joined with the language
    model's, which are scaled by ``scale``.
    """

    prior: Prior
    vocabulary: Vocabulary
    scale: float = 0.0


@dataclass(frozen=True, eq=False)
class Spoken:
    """A vocabulary as ``language`` reads it, computed once for all searches whose templates fix
    the same words; ``fluency`` is the weight of the language model in the loss.
    """

    language: LanguageModel
    vocabulary: Vocabulary
    fluency: float = 0.0
    _made: dict[frozenset[int], Words] = field(default_factory=dict)

    def join(self, problem: Problem, method: Method) -> Problem:
        """The problem with the language model's term. PezError for prompts longer than it reads,
        if none of the words is one of its tokens, and if ``method`` cannot use fluency.
        """
        if self.fluency and method.finds_embeddings:
            raise PezError(
                f"--fluency does not apply to --method {method.name}, which searches embeddings, "
                "not words; omit one of them."
            )
        template, objective = problem.template, problem.objective
        held = torch.ones(template.length, dtype=torch.bool)
        held[template.free.cpu()] = False
        fixed = template.fixed.cpu()[held].tolist()
        words = self._words(fixed)
        self._check_room(words.prior, template.slots, fixed)
        if self.fluency:
            from pez.objectives.fluency import Fluent

            width = self.vocabulary.table.shape[1]
            objective = Fluent(objective, self.language, self.fluency, width, words.scale)
        return replace(
            problem, vocabulary=words.vocabulary, objective=objective, language=words.prior
        )

    def remark(self, problem: Problem) -> str:
        """Says how many words remain to search in ``problem``; empty if all do."""
        left, whole = len(problem.vocabulary.ids), len(self.vocabulary.ids)
        if left == whole:
            return ""
        name = self.language.name
        return f"{left:,} of {whole:,} words are one token of {name}; only these are searched."

    def _words(self, fixed: Sequence[int]) -> Words:
        """The words as the language model reads them, with a template's ``fixed`` ones."""
        key = frozenset(fixed)
        if key not in self._made:
            prior = Prior.of(self.language, self.vocabulary.tokens, self.vocabulary.ids, fixed)
            self._made[key] = self._restricted(prior)
        return self._made[key]

    def _restricted(self, prior: Prior) -> Words:
        own = self.vocabulary
        if self.fluency:
            from pez.objectives.fluency import fluent_words

            return Words(prior, *fluent_words(own, prior, self.fluency))
        if len(prior.ids) < len(own.ids):
            own = make_vocabulary(own.tokens, own.table, prior.ids, own.parts)
        return Words(prior, own)

    def _check_room(self, prior: Prior, slots: int, fixed: Sequence[int]) -> None:
        """PezError for prompts longer than the language model reads."""
        most, size = self.language.limit, len(self.language.start) + slots
        size += int((prior.pieces[torch.tensor(fixed, dtype=torch.long)] >= 0).sum())
        if most and size > most:
            raise PezError(
                f"{self.language.name} reads at most {most} tokens, not {size}; choose a smaller "
                "--length or another --language-model."
            )


def surprises(perplexities: Sequence[float | None]) -> list[float]:
    """Mean negative log-likelihoods, in nats, of texts of these perplexities; 0 for none."""
    return [math.log(p) if p else 0.0 for p in perplexities]
