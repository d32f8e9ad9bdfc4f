"""The verbs and the searches behind them, shared by Python, command line and evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import torch
from PIL import Image

from pez.errors import PezError
from pez.images import expand_sources, read_image
from pez.methods.settings import as_texts
from pez.models import Reader
from pez.options import DistillOptions, InvertOptions, MixOptions, SearchOptions
from pez.result import Result
from pez.search.template import check_length
from pez.search.vocabulary import unit_rows
from pez.session.items import Read, mix_item, picture_items, text_items
from pez.session.runs import run
from pez.session.session import Session, Watch, open_reader, reader_vocabulary
from pez.sources import Part, Source, mix_parts

Warn = Callable[[str], None]
O = TypeVar("O", bound=SearchOptions)  # noqa: E741


def invert(
    images: Source | Sequence[Source],
    *,
    reader: Reader | None = None,
    watch: Watch | None = None,
    options: InvertOptions | None = None,
    **settings: Any,
) -> Result | list[Result]:
    """A readable prompt for each picture, or with ``together=True`` one for all of them.

    ``images`` are paths, folders, URLs or PIL pictures; ``settings`` are the fields of
    :class:`pez.options.InvertOptions`. One picture (or ``together``) gives one Result.
    Raises PezError for bad input.
    """
    options = options or _options(InvertOptions, settings)
    single = isinstance(images, str | Path | Image.Image)
    listed: list[Source] = (
        [images] if isinstance(images, str | Path | Image.Image) else list(images)
    )
    sources: list[Source] = []
    for source in listed:
        drawn = isinstance(source, Image.Image)
        sources += [source] if drawn else expand_sources([str(source)])
    if options.together and not sources:
        raise PezError("there is no picture; give at least one.")
    groups = [sources] if options.together else [[source] for source in sources]
    results = _whole(search_pictures(_session(reader, options), groups, watch, free=reader is None))
    return results[0] if options.together or (single and len(sources) == 1) else results


def search_pictures(
    session: Session,
    groups: Sequence[Sequence[Source]],
    watch: Watch | None = None,
    *,
    read: Read = read_image,
    free: bool = False,
) -> list[Result | None]:
    """A prompt for each group of pictures: one picture, or with ``together`` any number of them.

    None where the stop came too early. A picture that cannot be read is None too if
    ``watch.failed`` is set, which is then called; else it raises PezError. ``free`` frees the
    image tower once all pictures are encoded.
    """
    watch, options = watch or Watch(), session.options
    assert isinstance(options, InvertOptions)
    found = picture_items(session.reader, groups, options.together, watch.failed, watch.stop, read)
    if free:
        session.reader.free_vision()
    places = list(found)
    results: list[Result | None] = [None] * len(groups)
    said = run(session, list(found.values()), watch.at(places))
    for place, result in zip(places, said, strict=True):
        results[place] = result
    return results


def distill(
    texts: str | Sequence[str],
    *,
    reader: Reader | None = None,
    watch: Watch | None = None,
    options: DistillOptions | None = None,
    warn: Warn | None = None,
    **settings: Any,
) -> Result | list[Result]:
    """A shorter prompt for each text that means the same to the model.

    Its length is ``length`` tokens, or ``ratio`` times the text's own. ``warn`` is called for
    texts longer than the model's limit.
    """
    options = options or _options(DistillOptions, settings)
    listed = [texts] if isinstance(texts, str) else list(texts)
    session = _session(reader, options)
    if reader is None:  # a caller's model stays whole
        session.reader.free_vision()
    results = _whole(search_texts(session, listed, watch, warn))
    return results[0] if isinstance(texts, str) else results


def search_texts(
    session: Session,
    texts: Sequence[str],
    watch: Watch | None = None,
    warn: Warn | None = None,
) -> list[Result | None]:
    """A shorter prompt for each text; None where the stop came too early. A text that cannot be
    distilled, such as an empty one, is None too if ``watch.failed`` is set, which is then called;
    else it raises PezError.
    """
    watch, options = watch or Watch(), session.options
    assert isinstance(options, DistillOptions)
    lengths: dict[int, int] = {}
    for place, text in enumerate(texts):
        try:
            lengths[place] = _short_length(session.reader, text, options, warn)
        except PezError as error:
            if watch.failed is None:
                raise
            watch.failed(place, error)
    items = dict(zip(lengths, text_items(session.reader, [texts[n] for n in lengths]), strict=True))
    results: list[Result | None] = [None] * len(texts)
    for length in sorted(set(lengths.values())):  # rows of a batch have one length
        places = [n for n, own in lengths.items() if own == length]
        found = run(session, [items[n] for n in places], watch.at(places), length)
        for n, result in zip(places, found, strict=True):
            results[n] = result
    return results


def _short_length(reader: Reader, text: str, options: DistillOptions, warn: Warn | None) -> int:
    size = len(reader.tokens.encode(text))
    if not size:
        shown = f"{text[:60]!r} has no word that the model reads" if text.strip() else "it is empty"
        raise PezError(f"an empty text cannot be distilled ({shown}); give at least one word.")
    if size > reader.limit and warn:
        warn(f"the model reads only the first {reader.limit} of {size} tokens of: {text[:60]}…")
    length = options.length or max(1, round(options.ratio * min(size, reader.limit)))
    check_length(length, reader.limit)
    return length


def mix(
    *,
    image: Any = (),
    text: Any = (),
    negative: Any = (),
    reader: Reader | None = None,
    watch: Watch | None = None,
    options: MixOptions | None = None,
    **settings: Any,
) -> Result:
    """One prompt that matches pictures and texts by weight and stays away from negatives.

    Each is an entry or a list of them: ``"source=weight"`` or a pair ``(source, weight)``;
    without a weight it counts 1. A negative is a picture if it names a file, else a text.
    """
    if options is None:
        options = _options(MixOptions, settings)
    else:
        image, text, negative = options.image, options.text, options.negative
    parts = mix_parts(image, text, negative)
    session = _session(reader, options)
    return _whole(search_mixes(session, [parts], watch, free=reader is None))[0]


def search_mixes(
    session: Session,
    mixes: Sequence[Sequence[Part]],
    watch: Watch | None = None,
    *,
    free: bool = False,
) -> list[Result | None]:
    """A prompt for each mix of pictures and texts; None where the stop came too early. ``free``
    as for :func:`search_pictures`.
    """
    items = [mix_item(session.reader, parts) for parts in mixes]
    if free:
        session.reader.free_vision()
    return run(session, items, watch)


@overload
def score(
    image: Source, prompts: str, *, reader: Reader | None = None, **settings: Any
) -> float: ...
@overload
def score(
    image: Source, prompts: Sequence[str], *, reader: Reader | None = None, **settings: Any
) -> list[float]: ...
def score(
    image: Source, prompts: str | Sequence[str], *, reader: Reader | None = None, **settings: Any
) -> float | list[float]:
    """Cosine of each prompt with the picture under any model; with several, their mean."""
    options = _options(SearchOptions, settings)
    listed = [prompts] if isinstance(prompts, str) else list(prompts)
    picture = read_image(image)
    reader = reader or open_reader(options)
    target = reader.encode_images([picture])
    cosines = (reader.encode_text(listed) @ target[0]).tolist() if listed else []
    return cosines[0] if isinstance(prompts, str) else cosines


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
    options = _options(SearchOptions, settings)
    if top < 1:
        raise PezError(f"--top must be 1 or more, not {top}.")
    reader = reader or open_reader(options)
    ids = reader.tokens.encode(word)
    if len(ids) != 1:
        pieces = ", ".join(reader.tokens.decode([i]) for i in ids) or "nothing"
        raise PezError(f"{word!r} is {len(ids)} tokens, not one ({pieces}); give a single word.")
    if reader.known is not None and ids[0] not in reader.known.tolist():
        raise PezError(f"{reader.name} was not trained on the word {word!r}; try another.")
    vocabulary = reader_vocabulary(reader, options, warn)
    here = torch.tensor(ids, device=vocabulary.table.device)
    own = unit_rows(vocabulary.embed(here), vocabulary.parts)
    cosine = (vocabulary.unit @ own[0]) / len(vocabulary.parts)
    best = cosine.topk(min(top, len(cosine)))
    return [
        (int(vocabulary.ids[n]), reader.tokens.decode([int(vocabulary.ids[n])]), float(c))
        for c, n in zip(best.values, best.indices, strict=True)
    ]


def _session(reader: Reader | None, options: SearchOptions) -> Session:
    """A session with the caller's model, else with those that the options name."""
    return Session.open(options) if reader is None else Session.of(reader, options)


def _options(kind: type[O], settings: dict[str, Any]) -> O:
    """Options from keyword settings; a single model, ban or keep may be a plain string."""
    names = set(kind.__dataclass_fields__)
    if unknown := set(settings) - names:
        raise PezError(
            f"unknown option {sorted(unknown)[0]!r}; there are {', '.join(sorted(names))}."
        )
    plain: dict[str, Any] = {k: str(v) if isinstance(v, Path) else v for k, v in settings.items()}
    for k, v in plain.items():
        if k in ("model", "ban", "keep") and isinstance(v, str | list):
            plain[k] = (v,) if isinstance(v, str) else tuple(map(str, v))
        if k == "set" and isinstance(v, str | list | dict):
            plain[k] = as_texts(v)
    return kind(**plain)


def _whole(results: Sequence[Result | None]) -> list[Result]:
    """The results that exist. PezError if a stop came before any search took a step."""
    found = [r for r in results if r is not None]
    if results and not found:
        raise PezError("stopped before the first prompt was found.")
    return found
