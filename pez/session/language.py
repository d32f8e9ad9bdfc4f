"""The language model of a search: which one, and what it changes of the problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import torch

from pez.errors import PezError
from pez.models import Reader
from pez.models.language import DEFAULT, SHIPPED, LanguageModel, open_language_model
from pez.models.names import shipped_names
from pez.models.prior import Prior
from pez.options import SearchOptions
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.vocabulary import make_vocabulary


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


def with_language(
    problem: Problem,
    language: LanguageModel | None,
    options: SearchOptions,
    method: Method,
    note: Callable[[str], None] | None = None,
) -> Problem:
    """The problem with what ``language`` says of prompts, where the search reads it.

    Words that are not one token of it can then not be chosen; ``note`` is told how many are
    left. Raises PezError if none are, and for prompts longer than it reads.
    """
    if language is None or not is_needed(options, method):
        return problem
    vocabulary, template = problem.vocabulary, problem.template
    held = torch.ones(template.length, dtype=torch.bool)
    held[template.free.cpu()] = False
    fixed = template.fixed.cpu()[held].tolist()
    prior = Prior.of(language, vocabulary.tokens, vocabulary.ids, fixed)
    most = language.limit
    size = len(language.start) + template.slots
    size += int((prior.pieces[torch.tensor(fixed, dtype=torch.long)] >= 0).sum())
    if most and size > most:
        raise PezError(
            f"{language.name} reads at most {most} tokens, not {size}; choose a smaller --length "
            "or another --language-model."
        )
    if note and len(prior.ids) < len(vocabulary.ids):
        note(
            f"{len(prior.ids):,} of {len(vocabulary.ids):,} words are one token of "
            f"{language.name}; only these are searched."
        )
    if not options.fluency:
        if len(prior.ids) < len(vocabulary.ids):
            parts = vocabulary.parts
            vocabulary = make_vocabulary(vocabulary.tokens, vocabulary.table, prior.ids, parts)
        return replace(problem, vocabulary=vocabulary, language=prior)
    if method.finds_embeddings:
        raise PezError(
            f"--fluency has no meaning for --method {method.name}, which searches embeddings "
            "that are no words; leave one away."
        )
    from pez.objectives.fluency import make_fluent

    objective, vocabulary = make_fluent(problem.objective, vocabulary, prior, options.fluency)
    return replace(problem, vocabulary=vocabulary, objective=objective, language=prior)


def memory(language: LanguageModel | None, length: int) -> int:
    """A rough bound of the bytes that a row of ``length`` words takes in the language model: its
    logits, their softmax and the gradient of both.
    """
    if language is None:
        return 0
    return 16 * (length + 1) * language.model.get_output_embeddings().weight.shape[0]


def surprises(perplexities: Sequence[float | None]) -> list[float]:
    """Mean negative log-likelihoods, in nats, of texts of these perplexities; 0 for none."""
    return [math.log(p) if p else 0.0 for p in perplexities]
