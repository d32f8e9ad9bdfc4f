"""From options and targets to results: what all searching verbs share."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from pez.methods import method_class, open_method, record_of, steps_of
from pez.models import Reader
from pez.models.generators import misread, model_names
from pez.models.identity import known_weights
from pez.models.language import LanguageModel
from pez.objectives import objective_class
from pez.options import SearchOptions
from pez.result import Result
from pez.search.engine import Budget, Found, Progress, search
from pez.search.english import Note
from pez.search.init import RATED
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Job
from pez.search.stop import Stop
from pez.search.vocabulary import Vocabulary, make_vocabulary
from pez.session.drafts import Drafted, draft_name, draft_problem, draft_words, with_draft
from pez.session.items import Failed, Item
from pez.session.language import Spoken, is_needed, language_name, narrow_remark, open_language
from pez.session.memory import rows_that_fit
from pez.session.prompt_form import Form, chosen_words, starting_point, usual_start
from pez.session.scoring import Done, Scorer
from pez.session.styles import ARTICLES, CAPTION_WORDS, content_ids, function_ids
from pez.session.word_cache import RatedWords
from pez.session.words import allowed_ids

MISREAD = 'SD 2, SDXL and SD 3 take "!" for padding and read prompts with it otherwise.'


@dataclass(eq=False)
class Watch:
    """What a caller may pass in: a stop switch and callbacks for progress and results."""

    stop: Stop = field(default_factory=Stop)
    progress: Callable[[Progress, str], None] | None = None  # with the best prompt's text
    result: Callable[[int, Result], None] | None = None  # as each item is done
    note: Note | None = None  # what a user should know of the search
    failed: Failed | None = None  # an input that cannot be read; without it, that is an error

    def at(self, places: Sequence[int]) -> Watch:
        """The same for some of the items; their results are reported under their ``places``."""
        report = self.result
        if report is None:
            return replace(self)
        return replace(self, result=lambda n, result: report(places[n], result))


def weights_now(options: SearchOptions) -> dict[str, str]:
    """The hash of the weights, where it is known, of every model that affects the outcome of
    ``options``. A result found now would record these.
    """
    pipeline = objective_class(options.objective).reads_pipeline
    models = (options.generator,) if pipeline else model_names(options)
    language = language_name(models, options, method_class(options.method))
    return known_weights(name for name in (*models, draft_name(options), language) if name)


def open_reader(options: SearchOptions, method: Method | None = None) -> Reader:
    """Load the models that ``options`` name, with the method's draft if it has one. Method and
    objective are checked first.
    """
    method = method or open_method(options)
    objective = objective_class(options.objective)
    draft_name(options, method)
    return with_draft(objective.open(options), options, method)


def reader_ids(
    reader: Reader, options: SearchOptions, note: Note | None = None, more: Collection[str] = ()
) -> torch.Tensor:
    """The allowed ids (n,) of ``options``; ``note`` receives what a user should know of them.
    Of a model with a word list of its own the words ``more`` are allowed as well.
    """
    known = None if reader.known is None else reader.known.cpu()
    which, ban, own = options.vocabulary, options.ban, reader.own_words
    own = [*own, *sorted({*more} - {*own})] if own else own
    ids = allowed_ids(reader.tokens, which, ban, known, own, note)
    return ids.to(reader.table.device)


def reader_vocabulary(
    reader: Reader, options: SearchOptions, note: Note | None = None
) -> Vocabulary:
    """:func:`reader_ids` with the reader's embeddings."""
    ids = reader_ids(reader, options, note)
    return make_vocabulary(reader.tokens, reader.table, ids, reader.parts)


@dataclass(frozen=True, eq=False)
class Session:
    """What does not depend on the targets, for one reader and one set of options. Each part is
    computed once, when it is first needed, however many searches follow.

    ``reader`` includes the draft of the ``method``, if it uses one.
    """

    reader: Reader
    options: SearchOptions
    method: Method
    _forms: dict[tuple[int, str], Form] = field(default_factory=dict)
    _drafts: dict[str, Vocabulary] = field(default_factory=dict)  # by the words of a form
    _speakers: dict[str, Spoken] = field(default_factory=dict)
    _rated: RatedWords = field(default_factory=RatedWords)
    _remarks: dict[str, bool] = field(default_factory=dict)  # text -> whether it was reported

    @classmethod
    def open(cls, options: SearchOptions) -> Session:
        """Load the models. PezError for invalid options, and if a model is unavailable."""
        method = open_method(options)
        return cls(open_reader(options, method), options, method)

    @classmethod
    def of(cls, reader: Reader, options: SearchOptions) -> Session:
        """With a model that is already open; the draft is loaded if it is missing."""
        method = open_method(options)
        return cls(with_draft(reader, options, method), options, method)

    @cached_property
    def record(self) -> dict[str, Any]:
        """The options as results record them."""
        return record_of(self.options, self.method)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words that may be chosen."""
        return make_vocabulary(self.reader.tokens, self.reader.table, self._ids, self.reader.parts)

    @cached_property
    def _ids(self) -> torch.Tensor:
        return reader_ids(self.reader, self.options, self.remark)

    def words(self, form: Form) -> Vocabulary:
        """The words that may be chosen in a form: its own, or all those that its style takes."""
        if form.only is not None:
            reader = self.reader
            return make_vocabulary(reader.tokens, reader.table, form.only, reader.parts)
        if form.words == "sentence":
            return self._all_words
        return self._content if form.words == "phrases" else self.vocabulary

    @cached_property
    def _content(self) -> Vocabulary:
        ids = content_ids(self.reader.tokens, self._ids)
        return make_vocabulary(self.reader.tokens, self.reader.table, ids, self.reader.parts)

    @cached_property
    def _all_words(self) -> Vocabulary:
        ids = reader_ids(self.reader, self.options, self.remark, CAPTION_WORDS)
        return make_vocabulary(self.reader.tokens, self.reader.table, ids, self.reader.parts)

    @cached_property
    def language(self) -> LanguageModel | None:
        """The language model that the options name or need. PezError if it is unavailable."""
        found = open_language(self.reader, self.options, self.method)
        self.remark(narrow_remark(self.reader, self.options, found))
        return found

    def form(self, length: int, style: str = "") -> Form:
        """The prompt form with ``length`` free tokens; a ``style`` overrides the options' own."""
        key = length, style
        if key not in self._forms:
            options = replace(self.options, style=style) if style else self.options
            template, init = starting_point(self.reader, options, length)
            words = chosen_words(options, length, is_needed(options, self.method))
            self._forms[key] = Form(template.to(self.reader.table.device), init, words)
        return self._forms[key]

    def problem(self, items: Sequence[Item], form: Form) -> Problem:
        """What is searched: a prompt of ``form`` for each of ``items``. PezError if the draft has
        not encoded them, or if the language model cannot read such prompts.
        """
        options, reader, init = self.options, self.reader, form.init
        objective = objective_class(options.objective)(reader, [item.goal for item in items])
        vocabulary = self.words(form)
        if isinstance(init, str) and init == "auto":
            words = len(vocabulary.ids)
            length, steps = form.template.length, steps_of(options)
            init = self.method.usual_start or usual_start(words, length, steps)
            init = init if objective.linear else "random"  # each word costs much per item
        elif isinstance(init, str) and init in RATED and self.method.own_start:
            own = f"--method {self.method.name} begins at {self.method.own_start}"
            self.remark(f"{own}; --init {init} does not apply to it.")
        problem = Problem(vocabulary, form.template, objective, init, objective.batch)
        if isinstance(reader, Drafted):
            goals = [item.draft for item in items]
            draft = draft_problem(reader, goals, problem, self._draft_words(form))
            problem = replace(problem, draft=draft)
        if spoken := self._spoken(form):
            problem = spoken.join(problem, self.method)
            self.remark(spoken.remark(problem))
        if form.words == "sentence":
            little = function_ids(reader.tokens, problem.vocabulary.ids)
            articles = function_ids(reader.tokens, little, ARTICLES)
            problem = replace(problem, little=little, articles=articles)
        if not objective.linear:
            return problem
        words = self._rated.of(f"{reader.name} {sorted(reader.weights.items())} {options.dtype}")
        if isinstance(init, str) and init in RATED:
            self.remark(words.remark(problem.vocabulary.ids, problem.around, reader.name))
        return replace(problem, kept=words.features)

    def tell(self, note: Note | None) -> None:
        """Report the remarks that were not reported yet."""
        for text, reported in self._remarks.items():
            if note and not reported:
                note(text)
                self._remarks[text] = True

    def remark(self, text: str) -> None:
        """Record a remark for the user, once; nothing if ``text`` is empty."""
        if text:
            self._remarks.setdefault(text, False)

    def _draft_words(self, form: Form) -> Vocabulary:
        assert isinstance(self.reader, Drafted)
        if form.words not in self._drafts:
            self._drafts[form.words] = draft_words(self.reader, self.words(form))
        return self._drafts[form.words]

    def _spoken(self, form: Form) -> Spoken | None:
        if self.language is None or not is_needed(self.options, self.method):
            return None
        if form.words not in self._speakers:
            spoken = Spoken(self.language, self.words(form), self.options.fluency)
            self._speakers[form.words] = spoken
        return self._speakers[form.words]


def search_items(
    session: Session,
    items: Sequence[Item],
    watch: Watch | None = None,
    length: int | None = None,
    style: str = "",
    words: torch.Tensor | None = None,
) -> list[Result | None]:
    """Search one prompt for each item, all in one batch; None where the stop came too early.

    ``length`` overrides the options' number of free tokens, ``style`` their style. Only ``words``,
    ids (n,), are chosen from, if they are given.
    """
    if not items:
        return []
    begin = time.monotonic()
    watch, options, reader = watch or Watch(), session.options, session.reader
    form = session.form(length or options.length, style)
    if words is not None:
        form = replace(form, only=words)

    def halt() -> bool:
        waited = time.monotonic() - begin
        return watch.stop.asked or bool(options.seconds and waited >= options.seconds)

    problem = replace(session.problem(items, form), halt=halt)
    session.tell(watch.note)
    jobs = [
        Job(n, item.key, restart, options.seed)
        for n, item in enumerate(items)
        for restart in range(options.restarts)
    ]
    method, language, device = session.method, session.language, reader.table.device
    scorer = Scorer(reader, problem, method, options, session.record, language)
    found: dict[int, list[Found]] = defaultdict(list)
    results: list[Result | None] = [None] * len(items)

    def close(places: Sequence[int], interrupted: bool) -> None:
        scoring = time.monotonic()
        done = [Done(items[n], n, found[n], interrupted) for n in places]
        scored = scorer.results(done)
        share = (time.monotonic() - scoring) / max(1, len(done))
        for n, one in zip(places, scored, strict=True):
            result = replace(one, seconds=round(one.seconds + share, 4))
            results[n] = result
            if watch.result:
                watch.result(n, result)

    def on_found(some: Sequence[Found]) -> None:
        for one in some:
            found[one.job.item].append(one)
        ended = dict.fromkeys(one.job.item for one in some)
        close([n for n in ended if len(found[n]) == options.restarts], watch.stop.asked)

    def on_progress(progress: Progress) -> None:
        if watch.progress:
            watch.progress(progress, reader.tokens.decode(progress.ids))

    search(
        problem,
        method,
        jobs,
        Budget(steps_of(options), options.patience, options.seconds),
        device,
        width=options.rows or rows_that_fit(reader, form.template, device, language),
        keep_history=options.history,
        stop=watch.stop,
        on_progress=on_progress,
        on_found=on_found,
        began=begin,
    )
    # stopped with only some of its restarts done
    close([n for n in range(len(items)) if results[n] is None and found[n]], True)
    if any(r and misread(reader.tokens, reader.name, r.prompt) for r in results):
        session.remark(MISREAD)
        session.tell(watch.note)
    return results
