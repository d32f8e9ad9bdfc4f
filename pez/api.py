"""The verbs and the searches behind them, shared by Python, command line and evaluation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, overload

from PIL import Image

from pez.errors import PezError
from pez.formats.values import shown
from pez.images import expand_sources
from pez.inspect.near import nearest_tokens, word_id
from pez.models import Reader
from pez.models.ambient import plain_torch
from pez.models.causal import Speaker
from pez.options import DistillOptions, InvertOptions, MixOptions, SearchOptions
from pez.result import Result
from pez.search.template import check_length
from pez.session.calls import (
    Warn,
    checked_function,
    checked_options,
    checked_reader,
    checked_watch,
    collect,
    first,
    tell,
    warn_caller,
)
from pez.session.classify_options import ClassifyOptions
from pez.session.classifying import classify_data
from pez.session.items import Read, cut_note, mix_item, picture_items, text_items
from pez.session.labelled import read_data
from pez.session.looks import checked_top
from pez.session.looks import explain as explain
from pez.session.looks import neighbour_map as neighbour_map
from pez.session.runs import run
from pez.session.session import Session, Watch, open_reader, reader_vocabulary
from pez.session.views import held_out_views, needs_views
from pez.sources import (
    Part,
    Source,
    as_pictures,
    as_strings,
    is_picture,
    mix_parts,
    read_source,
    source_name,
)


@plain_torch()
def invert(
    images: Source | Sequence[Source],
    *,
    reader: Reader | None = None,
    watch: Watch | None = None,
    options: InvertOptions | None = None,
    **settings: Any,
) -> Result | list[Result | PezError]:
    """A readable prompt for each picture, or with ``together=True`` one for all of them.

    ``images`` are one picture or a list, each in a form that :func:`pez.sources.read_source` takes,
    or a folder of pictures; ``settings`` are the fields of :class:`pez.options.InvertOptions`.
    One picture (or ``together``) gives one Result. Of several, one that cannot be read has a
    PezError in its place, which is a PezWarning too. Raises PezError for bad input, as where no
    picture can be read, and :class:`pez.Interrupted` with the best so far at Ctrl-C.
    """
    options, watch = checked_options(InvertOptions, options, settings), checked_watch(watch)
    single, listed = is_picture(images), as_pictures(images)
    sources, broken = _expanded(listed)
    groups = [sources] if options.together else [[source] for source in sources]
    session = _session(reader, options)

    def read(source: Source) -> Image.Image:
        if isinstance(source, str) and source in broken:
            raise broken[source]
        return read_source(source)

    def work(watch: Watch) -> None:
        search_pictures(session, groups, watch, read=read, free=reader is None)

    names = [source_name(group[0], n) for n, group in enumerate(groups, 1)]
    results = collect(names, watch, work)
    return first(results) if options.together or (single and len(sources) == 1) else results


def _expanded(listed: Sequence[Source]) -> tuple[list[Source], dict[str, PezError]]:
    """Sources with folders as their pictures, and why some of several cannot be expanded."""
    sources: list[Source] = []
    broken: dict[str, PezError] = {}
    for n, source in enumerate(listed, 1):
        name = source_name(source, n)
        try:
            sources += expand_sources([name]) if _is_path(source) else [source]
        except PezError as error:
            if len(listed) == 1:
                raise
            broken[name] = error
            sources.append(name)
    return sources, broken


def _is_path(source: Source) -> bool:
    return isinstance(source, str | os.PathLike)


def search_pictures(
    session: Session,
    groups: Sequence[Sequence[Source]],
    watch: Watch | None = None,
    *,
    read: Read = read_source,
    free: bool = False,
) -> list[Result | None]:
    """A prompt for each group of pictures: one picture, or with ``together`` any number of them.

    None where the stop came too early. A picture that cannot be read is None too if
    ``watch.failed`` is set, which is then called; else it raises PezError. ``free`` frees the
    image tower once all pictures are encoded.
    """
    watch, options = watch or Watch(), session.options
    assert isinstance(options, InvertOptions)
    views = held_out_views if needs_views(session.reader, options) else None
    found = picture_items(
        session.reader, groups, options.together, watch.failed, watch.stop, read, views
    )
    if free:
        session.reader.free_vision()
    places = list(found)
    results: list[Result | None] = [None] * len(groups)
    said = run(session, list(found.values()), watch.at(places))
    for place, result in zip(places, said, strict=True):
        results[place] = result
    return results


@plain_torch()
def distill(
    texts: str | Sequence[str],
    *,
    reader: Reader | None = None,
    watch: Watch | None = None,
    options: DistillOptions | None = None,
    warn: Warn | None = None,
    **settings: Any,
) -> Result | list[Result | PezError]:
    """A shorter prompt for each text that means the same to the model.

    Its length is ``length`` tokens, or ``ratio`` times the text's own. Texts longer than the
    model's limit are cut and told to ``warn``, by default as a PezWarning. Of several texts, one
    without a token has a PezError in its place. Raises as :func:`invert` does.
    """
    options, watch = checked_options(DistillOptions, options, settings), checked_watch(watch)
    listed = as_strings(texts, "texts")
    if not listed:
        raise PezError("texts holds no text; give at least one.")
    say = checked_function(warn, "warn") or warn_caller
    with watch.stop.at_once() if watch else nullcontext():
        session = _session(reader, options)
    if reader is None:  # a caller's model stays whole
        session.reader.free_vision()
    names = [text[:60] for text in listed]
    results = collect(names, watch, lambda watch: search_texts(session, listed, watch, say))
    return first(results) if isinstance(texts, str) else results


def search_texts(
    session: Session,
    texts: Sequence[str],
    watch: Watch | None = None,
    warn: Warn | None = None,
) -> list[Result | None]:
    """A shorter prompt for each text; None where the stop came too early. ``warn`` is told which
    texts are cut.

    A text that cannot be distilled, such as an empty one, raises PezError, or is reported by its
    place and None too if ``watch.failed`` is set.
    """
    watch, options = watch or Watch(), session.options
    assert isinstance(options, DistillOptions)
    lengths: dict[int, int] = {}
    for n, text in enumerate(texts):
        try:
            lengths[n] = _short_length(session.reader, text, options)
        except PezError as error:
            if watch.failed is None:
                raise
            watch.failed(n, error)
    items = dict(zip(lengths, text_items(session.reader, [texts[n] for n in lengths]), strict=True))
    tell([note for item in items.values() for note in item.notes], warn)
    results: list[Result | None] = [None] * len(texts)
    for length in sorted(set(lengths.values())):  # rows of a batch have one length
        places = [n for n, own in lengths.items() if own == length]
        found = run(session, [items[n] for n in places], watch.at(places), length)
        for n, result in zip(places, found, strict=True):
            results[n] = result
    return results


def _short_length(reader: Reader, text: str, options: DistillOptions) -> int:
    """Tokens of the shorter prompt for a text. PezError for a text without a token."""
    size = len(reader.tokens.encode(text))
    if not size:
        shown = f"{text[:60]!r} has no word that the model reads" if text.strip() else "it is empty"
        raise PezError(f"an empty text cannot be distilled ({shown}); give at least one word.")
    length = options.length or max(1, round(options.ratio * min(size, reader.limit)))
    check_length(length, reader.limit)
    return length


@plain_torch()
def mix(
    *,
    image: Any = (),
    text: Any = (),
    negative: Any = (),
    reader: Reader | None = None,
    watch: Watch | None = None,
    options: MixOptions | None = None,
    warn: Warn | None = None,
    **settings: Any,
) -> Result:
    """One prompt that matches pictures and texts by weight and stays away from negatives.

    Each is an entry, a list of them or a dict of weights: ``"source=weight"``, a pair
    ``(source, weight)`` or ``{source: weight}``; without a weight it counts 1. Pictures are in a
    form that :func:`pez.sources.read_source` takes. A negative is a picture if it names a file,
    else a text. Texts longer than the model's limit are cut and told to ``warn``, by default as a
    PezWarning. Raises as :func:`invert` does.
    """
    given = options is not None
    options, watch = checked_options(MixOptions, options, settings), checked_watch(watch)
    if given:
        if not all(isinstance(part, tuple) and not part for part in (image, text, negative)):
            raise PezError(
                "give image, text and negative either in options or beside it, not both."
            )
        image, text, negative = options.image, options.text, options.negative
    parts = mix_parts(image, text, negative)
    say = checked_function(warn, "warn") or warn_caller
    session = _session(reader, options)

    def work(watch: Watch) -> None:
        search_mixes(session, [parts], watch, free=reader is None, warn=say)

    return first(collect(["the mix"], watch, work))


def search_mixes(
    session: Session,
    mixes: Sequence[Sequence[Part]],
    watch: Watch | None = None,
    *,
    free: bool = False,
    warn: Warn | None = None,
) -> list[Result | None]:
    """A prompt for each mix of pictures and texts; None where the stop came too early. ``free``
    as for :func:`search_pictures`; ``warn`` is told which texts are cut.
    """
    items = [mix_item(session.reader, parts) for parts in mixes]
    tell([note for item in items for note in item.notes], warn)
    if free:
        session.reader.free_vision()
    return run(session, items, watch)


@plain_torch()
def classify(
    data: str | os.PathLike[str] | Iterable[Any],
    *,
    reader: Any = None,
    watch: Watch | None = None,
    options: ClassifyOptions | None = None,
    warn: Warn | None = None,
    **settings: Any,
) -> Result:
    """One prompt that makes a language model label texts, with what it reaches on other texts.

    ``data`` is a file of labelled texts, a name such as ``sst2``, pairs of text and label, or rows
    with columns of these: of pandas or of the hub's data sets. ``settings`` are the fields of
    :class:`pez.session.classify_options.ClassifyOptions`, and ``reader`` a model of
    :func:`pez.models.speakers.load_speaker`. ``warn`` is told what was left out, by default as a
    PezWarning. The figures are in ``result.figures`` (:mod:`pez.session.figures`). Raises as
    :func:`invert` does.
    """
    options, watch = checked_options(ClassifyOptions, options, settings), checked_watch(watch)
    say = checked_function(warn, "warn") or warn_caller
    source = str(data) if isinstance(data, str | os.PathLike) else data
    if reader is not None and not issubclass(type(reader), Speaker):
        raise PezError("reader must be a language model of pez.models.speakers.load_speaker.")
    texts = read_data(source, options)
    session = Session.open(options) if reader is None else Session.of(reader, options)

    def work(watch: Watch) -> None:
        classify_data(session, texts, replace(watch, note=watch.note or say))

    return first(collect([texts.name], watch, work))


@overload
def score(
    image: Source,
    prompts: str,
    *,
    reader: Reader | None = None,
    warn: Warn | None = None,
    **settings: Any,
) -> float: ...
@overload
def score(
    image: Source,
    prompts: Sequence[str],
    *,
    reader: Reader | None = None,
    warn: Warn | None = None,
    **settings: Any,
) -> list[float]: ...
@plain_torch()
def score(
    image: Source,
    prompts: str | Sequence[str],
    *,
    reader: Reader | None = None,
    warn: Warn | None = None,
    **settings: Any,
) -> float | list[float]:
    """Cosine of each prompt with the picture under any model; with several, their mean. Prompts
    longer than the model's limit are cut and told to ``warn``, by default as a PezWarning.
    """
    options = checked_options(SearchOptions, None, settings)
    listed = as_strings(prompts, "prompts")
    say = checked_function(warn, "warn") or warn_caller
    picture = read_source(image)
    reader = checked_reader(reader, options) or open_reader(options)
    target = reader.encode_images([picture])
    cosines = (reader.encode_text(listed) @ target[0]).tolist() if listed else []
    tell([cut_note(reader, prompt) for prompt in listed], say)
    return cosines[0] if isinstance(prompts, str) else cosines


@plain_torch()
def neighbours(
    word: str,
    top: int = 20,
    *,
    reader: Reader | None = None,
    warn: Warn | None = None,
    **settings: Any,
) -> list[tuple[int, str, float]]:
    """The ``top`` allowed tokens nearest to ``word`` in the embedding space: id, text, cosine.
    ``warn`` receives what a user should know about the vocabulary.
    """
    options = checked_options(SearchOptions, None, settings)
    if not isinstance(word, str):
        raise PezError(f"word must be a text, not {shown(word)}.")
    most = checked_top(top)
    checked_function(warn, "warn")
    reader = checked_reader(reader, options) or open_reader(options)
    here = word_id(reader, word)
    vocabulary = reader_vocabulary(reader, options, warn)
    return [(near.id, near.token, near.cosine) for near in nearest_tokens(vocabulary, here, most)]


def _session(reader: Reader | None, options: SearchOptions) -> Session:
    """A session with the caller's model, else with those that the options name."""
    own = checked_reader(reader, options)
    return Session.open(options) if own is None else Session.of(own, options)
