"""The language model of a search: which one, and what it changes of the problem."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import torch

from pez.errors import PezError
from pez.models import Reader
from pez.models.language import DEFAULT, SHIPPED, LanguageModel, open_language_model
from pez.models.names import shipped_names
from pez.models.prior import Prior
from pez.options import SearchOptions
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.vocabulary import Vocabulary, make_vocabulary


def is_needed(options: SearchOptions, method: Method | type[Method]) -> bool:
    """Whether the search itself reads a language model: by ``--fluency`` or by its method."""
    return options.fluency > 0 or method.reads_language


def language_name(
    models: Collection[str], options: SearchOptions, method: Method | type[Method]
) -> str:
    """The language model that is named; without a name, if one is needed, the shipped one for
    shipped ``models`` and :data:`pez.models.language.DEFAULT` for others; else nothing.
    """
    if options.language_model or not is_needed(options, method):
        return options.language_model
    return SHIPPED if set(models) <= set(shipped_names()) else DEFAULT


def open_language(reader: Reader, options: SearchOptions, method: Method) -> LanguageModel | None:
    """The language model of :func:`language_name`. PezError if it cannot be had."""
    name = language_name(reader.name.split(" + "), options, method)
    return open_language_model(name, str(reader.table.device)) if name else None


@dataclass(frozen=True, eq=False)
class Words:
    """Words that may be chosen as a language model reads them: those that are one token of it.

    ``vocabulary`` has these alone. With fluency their embeddings are followed by the language
    model's, ``scale`` times as long as they are there.
    """

    prior: Prior
    vocabulary: Vocabulary
    scale: float = 0.0


@dataclass(frozen=True, eq=False)
class Spoken:
    """A vocabulary as ``language`` reads it, made once for all searches that fix the same words
    in their templates; ``fluency`` is the weight of the language model in the loss.
    """

    language: LanguageModel
    vocabulary: Vocabulary
    fluency: float = 0.0
    _made: dict[frozenset[int], Words] = field(default_factory=dict)

    def join(self, problem: Problem, method: Method) -> Problem:
        """The problem with what the language model says of prompts. PezError for prompts longer
        than it reads, if it reads none of the words, and for fluency that ``method`` cannot use.
        """
        if self.fluency and method.finds_embeddings:
            raise PezError(
                f"--fluency has no meaning for --method {method.name}, which searches embeddings "
                "that are no words; leave one away."
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
        """How many words are left to search in ``problem``; nothing if all are."""
        left, whole = len(problem.vocabulary.ids), len(self.vocabulary.ids)
        if left == whole:
            return ""
        name = self.language.name
        return f"{left:,} of {whole:,} words are one token of {name}; only these are searched."

    def _words(self, fixed: Sequence[int]) -> Words:
        """What is made of the words, beside ``fixed`` ones of a template."""
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
