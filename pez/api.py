"""The verbs: each builds its targets, calls the search and returns results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, overload

import torch
from PIL import Image

from pez.errors import PezError
from pez.images import expand_sources, pixels_key, read_image
from pez.methods import open_method
from pez.methods.settings import as_texts
from pez.models import Reader
from pez.models.language import LanguageModel
from pez.objectives.match import Targets
from pez.options import DistillOptions, InvertOptions, MixOptions, SearchOptions
from pez.result import Result
from pez.search.engine import Stop
from pez.search.template import check_length
from pez.search.vocabulary import unit_rows
from pez.session.drafts import encode_images, encode_texts, with_draft
from pez.session.language import open_language
from pez.session.runs import run
from pez.session.session import Item, Watch, open_reader, reader_vocabulary
from pez.sources import Part, joined_key, mix_key, mix_parts, text_key

Source = str | Path | Image.Image
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
    own = reader is None  # a caller's model stays whole
    reader = open_reader(options) if reader is None else with_draft(reader, options)
    items = image_items(reader, sources, options.together)
    if own:
        reader.free_vision()
    results = _whole(run(reader, items, options, watch))
    return results[0] if options.together or (single and len(sources) == 1) else results


def image_items(
    reader: Reader,
    sources: Sequence[Source],
    together: bool = False,
    failed: Callable[[Source, PezError], None] | None = None,
    stop: Stop | None = None,
    chunk: int = 64,
    read: Callable[[Source], Image.Image] = read_image,
) -> list[Item]:
    """Items of pictures, ``chunk`` of them in memory at once; no more once ``stop`` is asked.

    A picture that cannot be read raises PezError, or is left out and reported if ``failed``
    is given.
    """
    names, keys, parts = [], [], []
    for start in range(0, len(sources), chunk):
        if stop and stop.asked:
            break
        pictures = []
        for source in sources[start : start + chunk]:
            try:
                picture = read(source)
            except PezError as error:
                if failed is None:
                    raise
                failed(source, error)
                continue
            pictures.append(picture)
            names.append("image" if isinstance(source, Image.Image) else str(source))
            keys.append(pixels_key(picture))
        if pictures:
            parts.append(encode_images(reader, pictures))
    if not parts:
        return []
    features = torch.cat(parts)
    if together:
        weights = torch.ones(len(features), device=features.device)
        return [Item(Targets(features, weights), names, joined_key(keys))]
    one = torch.ones(1, device=features.device)
    rows = zip(features, names, keys, strict=True)
    return [Item(Targets(f[None], one), [name], key) for f, name, key in rows]


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

    Its length is ``length`` tokens, or ``ratio`` times the text's own. ``warn`` is told of
    texts that the model does not read whole.
    """
    options = options or _options(DistillOptions, settings)
    listed = [texts] if isinstance(texts, str) else list(texts)
    if reader is None:
        reader = open_reader(options)
        reader.free_vision()  # a caller's model stays whole
    else:
        reader = with_draft(reader, options)
    language = open_language(reader, options, open_method(options))
    whole = _whole(shorten(reader, listed, options, watch, warn, language))
    return whole[0] if isinstance(texts, str) else whole


def shorten(
    reader: Reader,
    texts: Sequence[str],
    options: DistillOptions,
    watch: Watch | None = None,
    warn: Warn | None = None,
    language: LanguageModel | None = None,
) -> list[Result | None]:
    """:func:`distill` with models that are open; None where a stop came too early."""
    lengths = [_short_length(reader, text, options, warn) for text in texts]
    features = encode_texts(reader, texts) if texts else torch.zeros(0)
    one = torch.ones(1, device=features.device)
    items = [
        Item(Targets(f[None], one), [t], text_key(t)) for f, t in zip(features, texts, strict=True)
    ]
    results: list[Result | None] = [None] * len(items)
    outer = watch or Watch()
    for length in sorted(set(lengths)):  # rows of a batch have one length
        places = [n for n, own in enumerate(lengths) if own == length]

        def tell(n: int, result: Result, places: list[int] = places) -> None:
            if outer.result:
                outer.result(places[n], result)

        told = outer.note if length == min(lengths) else None  # once, not for each length
        inner = replace(outer, result=tell, note=told)
        found = run(reader, [items[n] for n in places], options, inner, length, language)
        for n, result in zip(places, found, strict=True):
            results[n] = result
    return results


def _short_length(reader: Reader, text: str, options: DistillOptions, warn: Warn | None) -> int:
    size = len(reader.tokens.encode(text))
    if not size:
        raise PezError("an empty text cannot be distilled; give at least one word.")
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
    own = reader is None  # a caller's model stays whole
    reader = open_reader(options) if reader is None else with_draft(reader, options)
    item = mix_item(reader, parts)
    if own:
        reader.free_vision()
    return _whole(run(reader, [item], options, watch))[0]


def mix_item(reader: Reader, parts: Sequence[Part]) -> Item:
    """One item of pictures and texts with their weights."""
    features = [
        encode_texts(reader, [what]) if isinstance(what, str) else encode_images(reader, [what])
        for what, _, _ in parts
    ]
    weights = torch.tensor([weight for _, weight, _ in parts], device=features[0].device)
    names = [name for _, _, name in parts]
    return Item(Targets(torch.cat(features), weights), names, mix_key(parts))


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
    """Cosine of each prompt with the picture, under any model (several: their mean)."""
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
    ``warn`` is told what a user should know of the vocabulary.
    """
    options = _options(SearchOptions, settings)
    if top < 1:
        raise PezError(f"--top must be 1 or more, not {top}.")
    reader = reader or open_reader(options)
    ids = reader.tokens.encode(word)
    if len(ids) != 1:
        pieces = ", ".join(reader.tokens.decode([i]) for i in ids) or "nothing"
        raise PezError(f"{word!r} is not one token but {len(ids)} ({pieces}); give a single word.")
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
    """Results that exist; a stop before the first step of any leaves none."""
    found = [r for r in results if r is not None]
    if results and not found:
        raise PezError("stopped before the first prompt was found.")
    return found
