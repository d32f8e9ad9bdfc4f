"""From options and targets to results: the part all searching verbs share."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from pez.errors import PezError
from pez.methods import method_class, open_method, record_of, steps_of
from pez.models import Reader, load_model
from pez.models.devices import available_memory
from pez.models.generators import DEFAULT, misread, models_for
from pez.models.identity import known_weights
from pez.models.language import LanguageModel
from pez.objectives import objective_class
from pez.objectives.match import Targets
from pez.options import SearchOptions
from pez.result import Result
from pez.search.engine import Budget, Found, Progress, Stop, search
from pez.search.english import Note
from pez.search.init import RATED
from pez.search.method import Method
from pez.search.problem import Problem
from pez.search.rows import Job
from pez.search.template import Template
from pez.search.vocabulary import Vocabulary, allowed_ids, make_vocabulary
from pez.session.drafts import draft_name, draft_problem, own_targets, with_draft
from pez.session.language import language_name, memory, open_language, surprises, with_language
from pez.session.prompt_form import starting_point
from pez.session.word_cache import features_file, kept_features


@dataclass(frozen=True, eq=False)
class Item:
    """One prompt to find: what it must match, and how it is named and recognised."""

    targets: Targets
    names: list[str]
    key: str  # identity by content: seeds the search


@dataclass(eq=False)
class Watch:
    """What a caller may pass along: a stop switch and callbacks for progress and results."""

    stop: Stop = field(default_factory=Stop)
    progress: Callable[[Progress, str], None] | None = None  # with the best prompt's text
    result: Callable[[int, Result], None] | None = None  # as each item is done
    note: Note | None = None  # what a user should know of the search


def model_names(options: SearchOptions) -> tuple[str, ...]:
    """The models to search: those named, those of ``--for``, else the default."""
    if options.model and options.generator:
        raise PezError("give either --model or --for, not both.")
    if options.generator:
        return models_for(options.generator)
    return options.model or (DEFAULT,)


def weights_now(options: SearchOptions) -> dict[str, str]:
    """The hash of the weights, as far as it is known, of every model that has a say in what
    ``options`` lead to; what a result found now would hold.
    """
    pipeline = objective_class(options.objective).reads_pipeline
    models = (options.generator,) if pipeline else model_names(options)
    language = language_name(models, options, method_class(options.method))
    return known_weights(name for name in (*models, draft_name(options), language) if name)


def open_reader(options: SearchOptions) -> Reader:
    """Load the models that ``options`` name, with the method's draft if it has one, once it is
    clear that the method can be had.
    """
    open_method(options)
    objective = objective_class(options.objective)
    draft_name(options)
    if objective.reads_pipeline:
        return _open_denoiser(options)
    return with_draft(load_model(model_names(options), options.device, options.dtype), options)


def _open_denoiser(options: SearchOptions) -> Reader:
    from pez.models.diffusion import load_denoiser

    if options.model or not options.generator:
        name = options.objective
        raise PezError(f"--objective {name} reads with a pipeline; give --for mini-sd or sd15.")
    return load_denoiser(options.generator, options.device, options.dtype)


def reader_vocabulary(
    reader: Reader, options: SearchOptions, note: Note | None = None
) -> Vocabulary:
    """The allowed ids of ``options`` with the reader's embeddings; ``note`` is told what a user
    should know of them.
    """
    device = reader.table.device
    known = None if reader.known is None else reader.known.cpu()
    which, ban, own = options.vocabulary, options.ban, reader.own_words
    ids = allowed_ids(reader.tokens, which, ban, known, own, note)
    return make_vocabulary(reader.tokens, reader.table, ids.to(device), reader.parts)


def search_items(
    reader: Reader,
    items: Sequence[Item],
    options: SearchOptions,
    watch: Watch | None = None,
    length: int | None = None,
    language: LanguageModel | None = None,
) -> list[Result | None]:
    """Search one prompt for each item, all in one batch; None where a stop came too early.

    ``length`` overrides the options' number of free tokens. ``language`` is the language model
    that the options ask for, where a caller has it open already.
    """
    if not items:
        return []
    watch = watch or Watch()
    vocabulary = reader_vocabulary(reader, options, watch.note)
    device = vocabulary.table.device
    template, init = starting_point(reader, options, length or options.length)
    targets = [item.targets for item in items]
    objective = objective_class(options.objective)(reader, own_targets(reader, targets))
    method = open_method(options)
    if init == "auto":
        words = len(vocabulary.ids)
        init = method.usual_start or _start(words, template.length, steps_of(options))
        init = init if objective.linear else "random"  # there each word is dear for each item
    language = language or open_language(reader, options, method)
    problem = Problem(vocabulary, template.to(device), objective, init, objective.batch)
    problem = replace(problem, draft=draft_problem(reader, targets, problem, options))
    problem = with_language(problem, language, options, method, watch.note)
    if objective.linear:
        told = f"{reader.name} {sorted(reader.weights.items())} {options.dtype}"
        file = features_file(told, problem.vocabulary.ids)
        problem = replace(problem, kept=partial(kept_features, file) if file else None)
        if file and isinstance(init, str) and init in RATED and not file.is_file() and watch.note:
            count = len(problem.vocabulary.ids)
            watch.note(f"rating {count:,} words once for {reader.name}; kept in {file.parent}")
    jobs = [
        Job(n, item.key, restart, options.seed)
        for n, item in enumerate(items)
        for restart in range(options.restarts)
    ]
    budget = Budget(steps_of(options), options.patience, options.seconds)
    done: dict[int, list[Found]] = defaultdict(list)
    results: list[Result | None] = [None] * len(items)

    def close(n: int, interrupted: bool = False) -> None:
        results[n] = _result(
            reader, problem, items[n], n, done[n], method, options, language, interrupted
        )
        if watch.result:
            watch.result(n, results[n])  # type: ignore[arg-type]

    def on_found(found: Found) -> None:
        done[found.job.item].append(found)
        if len(done[found.job.item]) == options.restarts:
            close(found.job.item, watch.stop.asked)

    def on_progress(progress: Progress) -> None:
        if watch.progress:
            watch.progress(progress, reader.tokens.decode(progress.ids))

    search(
        problem,
        method,
        jobs,
        budget,
        device,
        width=options.rows or _width(reader, template, device, language),
        keep_history=options.history,
        stop=watch.stop,
        on_progress=on_progress,
        on_found=on_found,
    )
    for n in range(len(items)):  # stopped with only some of its restarts done
        if results[n] is None and done[n]:
            close(n, interrupted=True)
    if watch.note and any(r and misread(reader.tokens, reader.name, r.prompt) for r in results):
        watch.note('SD 2, SDXL and SD 3 take "!" for padding and read prompts with it otherwise.')
    return results


def _start(words: int, length: int, steps: int) -> str:
    """``pursuit`` where scoring every word (three positions, forward) costs less than one search
    (forward and backward), else the paper's ``random``.
    """
    return "pursuit" if 3 * words <= 2 * steps * (length + 2) else "random"


def _result(
    reader: Reader,
    problem: Problem,
    item: Item,
    n: int,
    all_found: Sequence[Found],
    method: Method,
    options: SearchOptions,
    language: LanguageModel | None,
    interrupted: bool,
) -> Result:
    """The best restart's prompt as text: all are tokenised and scored afresh, then compared, by
    their score and, with ``--fluency``, by how well they read.
    """
    prompts = [reader.tokens.decode(found.ids) for found in all_found]
    scores = problem.objective.text_scores(prompts, [n] * len(prompts))
    read = language.perplexities(prompts) if language else [None] * len(prompts)
    totals = [s - options.fluency * nats for s, nats in zip(scores, surprises(read), strict=True)]
    place = max(range(len(totals)), key=totals.__getitem__)
    prompt, best = prompts[place], all_found[place]
    steps = sum(f.steps for f in all_found)
    reached, soft = _softest(all_found)
    return Result(
        prompt=prompt,
        ids=reader.tokens.encode(prompt)[: reader.limit],
        score=scores[place],
        model=reader.name,
        method=options.method,
        targets=item.names,
        steps=best.steps,
        seconds=round(best.seconds, 3),
        seed=options.seed,
        key=item.key,
        passes={
            "forward": method.start_forwards(problem) + steps * method.forwards,
            "backward": steps * method.backwards,
            **({"draft": steps * method.drafts} if method.drafts else {}),
        },
        options=record_of(options),
        weights=reader.weights | (language.weights if language else {}),
        history=best.history if options.history else None,
        interrupted=interrupted,
        finished=time.time(),
        soft_score=reached,
        perplexity=read[place],
        embeddings=None if soft is None else soft.split(list(reader.parts), -1),
    )


def _softest(all_found: Sequence[Found]) -> tuple[float | None, torch.Tensor | None]:
    """The best continuous embeddings (k, w) of all restarts and their score, if there are any."""
    soft = [found.extra for found in all_found if "embeddings" in found.extra]
    if not soft:
        return None, None
    best = max(soft, key=lambda extra: float(extra["soft_score"]))
    return float(best["soft_score"]), best["embeddings"]


def _width(
    reader: Reader, template: Template, device: torch.device, language: LanguageModel | None
) -> int:
    """How many rows to try first: a quarter of the memory that is free.

    On a CPU more than 32 bring no speed, and a folder's first prompts would come late.
    """
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = available_memory()
    most = 32 if device.type == "cpu" else 4096
    bytes_per_row = reader.bytes_per_row(template.length) + memory(language, template.length)
    return int(max(1, min(most, free // 4 // bytes_per_row)))
