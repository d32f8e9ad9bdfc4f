"""The verbs: each builds its targets, calls the search and returns results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from pez.errors import PezError
from pez.images import expand_sources, pixels_key, read_image
from pez.models import Reader
from pez.objectives.match import Targets
from pez.options import DistillOptions, InvertOptions, MixOptions, SearchOptions
from pez.result import Result
from pez.session import Item, Watch, model_names, open_reader, reader_vocabulary, run
from pez.template import check_length

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
    listed: list[Source] = [images] if isinstance(images, str | Path | Image.Image) else list(images)
    sources: list[Source] = []
    for source in listed:
        many = isinstance(source, Image.Image)
        sources += [source] if many else expand_sources([str(source)])
    reader = reader or open_reader(options)
    items = image_items(reader, sources, options.together)
    reader.free_vision()
    results = _whole(run(reader, items, options, watch))
    return results[0] if options.together or (single and len(sources) == 1) else results


def image_items(
    reader: Reader,
    sources: Sequence[Source],
    together: bool = False,
    failed: Callable[[Source, PezError], None] | None = None,
    chunk: int = 64,
) -> list[Item]:
    """Items of pictures, ``chunk`` of them in memory at once. A picture that cannot be read
    raises PezError, or is left out and reported if ``failed`` is given."""
    names, keys, parts = [], [], []
    for start in range(0, len(sources), chunk):
        pictures = []
        for source in sources[start : start + chunk]:
            try:
                picture = read_image(source)
            except PezError as error:
                if failed is None:
                    raise
                failed(source, error)
                continue
            pictures.append(picture)
            names.append("image" if isinstance(source, Image.Image) else str(source))
            keys.append(pixels_key(picture))
        if pictures:
            parts.append(reader.encode_images(pictures))
    if not parts:
        return []
    features = torch.cat(parts)
    if together:
        weights = torch.ones(len(features), device=features.device)
        key = hashlib.sha256("".join(keys).encode()).hexdigest()[:16]
        return [Item(Targets(features, weights), names, key)]
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
    reader = reader or open_reader(options)
    reader.free_vision()
    lengths = [_short_length(reader, text, options, warn) for text in listed]
    features = reader.encode_text(listed) if listed else torch.zeros(0)
    one = torch.ones(1, device=features.device)
    items = [
        Item(Targets(f[None], one), [t], hashlib.sha256(t.encode()).hexdigest()[:16])
        for f, t in zip(features, listed, strict=True)
    ]
    results: list[Result | None] = [None] * len(items)
    outer = watch or Watch()
    for length in sorted(set(lengths)):  # rows of a batch have one length
        places = [n for n, own in enumerate(lengths) if own == length]

        def tell(n: int, result: Result, places: list[int] = places) -> None:
            if outer.result:
                outer.result(places[n], result)

        inner = Watch(outer.stop, outer.progress, tell)
        found = run(reader, [items[n] for n in places], options, inner, length)
        for n, result in zip(places, found, strict=True):
            results[n] = result
    whole = _whole(results)
    return whole[0] if isinstance(texts, str) else whole


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
    image: Sequence[Any] = (),
    text: Sequence[Any] = (),
    negative: Sequence[Any] = (),
    reader: Reader | None = None,
    watch: Watch | None = None,
    options: MixOptions | None = None,
    **settings: Any,
) -> Result:
    """One prompt that matches pictures and texts by weight and stays away from negatives.

    Each entry is ``"source=weight"`` or a pair ``(source, weight)``; without a weight it
    counts 1. A negative is a picture if it names a file, else a text.
    """
    if options is None:
        options = _options(MixOptions, settings)
        image, text, negative = list(image), list(text), list(negative)
    else:
        image, text, negative = options.image, options.text, options.negative
    entries: list[tuple[str, Any, float]] = []
    entries += [("image", *_weighted(e)) for e in image]
    entries += [("text", *_weighted(e)) for e in text]
    for entry in negative:
        source, weight = _weighted(entry)
        is_file = not isinstance(source, str) or Path(source).is_file()
        entries.append(("image" if is_file else "text", source, -weight))
    if not any(weight > 0 for _, _, weight in entries):
        raise PezError("there is nothing to match: give at least one --image or --text.")
    pictures = {n: read_image(e[1]) for n, e in enumerate(entries) if e[0] == "image"}
    reader = reader or open_reader(options)
    features, keys = [], []
    for n, (_, source, weight) in enumerate(entries):
        is_image = n in pictures
        one = reader.encode_images([pictures[n]]) if is_image else reader.encode_text([source])
        features.append(one)
        keys.append(f"{pixels_key(pictures[n]) if is_image else source}={weight}")
    reader.free_vision()
    weights = torch.tensor([w for _, _, w in entries], device=features[0].device)
    names = [f"{'image' if isinstance(s, Image.Image) else s}={w:g}" for _, s, w in entries]
    key = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
    item = Item(Targets(torch.cat(features), weights), names, key)
    return _whole(run(reader, [item], options, watch))[0]


def _weighted(entry: Any) -> tuple[Any, float]:
    """``"a.jpg=0.7"`` or ``("a.jpg", 0.7)`` -> both parts. PezError if the weight is no number."""
    if not isinstance(entry, str):
        return entry if isinstance(entry, tuple) else (entry, 1.0)
    source, equals, weight = entry.rpartition("=")
    if not equals or (Path(entry).is_file() and not Path(source).is_file()):
        return entry, 1.0  # an equals sign may be part of a file's name
    try:
        value = float(weight)
    except ValueError:
        raise PezError(f"the weight in {entry!r} is no number; write it as {source}=0.5.") from None
    if not 0 < value < float("inf"):
        raise PezError(f"the weight in {entry!r} must be above 0; use --negative to push away.")
    return source, value


def score(
    image: Source, prompts: Sequence[str], *, model: Sequence[str] = (), reader: Reader | None = None,
    device: str = "auto", dtype: str = "float32",
) -> list[float]:  # fmt: skip
    """Cosine of each prompt with the picture, under any model (several: their mean)."""
    picture = read_image(image)
    names = (model,) if isinstance(model, str) else tuple(model)
    reader = reader or open_reader(SearchOptions(model=names, device=device, dtype=dtype))
    target = reader.encode_images([picture])
    return (reader.encode_text(list(prompts)) @ target[0]).tolist()


def neighbours(
    word: str, top: int = 20, *, reader: Reader | None = None, **settings: Any
) -> list[tuple[int, str, float]]:
    """The ``top`` allowed tokens nearest to ``word`` in the embedding space: id, text, cosine."""
    options = _options(SearchOptions, settings)
    reader = reader or open_reader(options)
    ids = reader.tokens.encode(word)
    if len(ids) != 1:
        pieces = ", ".join(reader.tokens.decode([i]) for i in ids) or "nothing"
        raise PezError(f"{word!r} is not one token but {len(ids)} ({pieces}); give a single word.")
    if reader.known is not None and ids[0] not in reader.known.tolist():
        raise PezError(f"{reader.name} was not trained on the word {word!r}; try another.")
    vocabulary = reader_vocabulary(reader, options)
    own = make_unit(vocabulary.embed(torch.tensor(ids, device=vocabulary.table.device)), vocabulary.parts)
    cosine = (vocabulary.unit @ own[0]) / len(vocabulary.parts)
    best = cosine.topk(min(top, len(cosine)))
    return [
        (int(vocabulary.ids[n]), reader.tokens.decode([int(vocabulary.ids[n])]), float(c))
        for c, n in zip(best.values, best.indices, strict=True)
    ]


def make_unit(rows: torch.Tensor, parts: Sequence[int]) -> torch.Tensor:
    """Rows (n, w) with each of their parts of length one."""
    from torch.nn.functional import normalize

    return torch.cat([normalize(p.float(), dim=-1) for p in rows.split(list(parts), -1)], -1)


def _options(kind: type[O], settings: dict[str, Any]) -> O:
    """Options from keyword settings; a single model, ban or keep may be a plain string."""
    names = set(kind.__dataclass_fields__)
    if unknown := set(settings) - names:
        raise PezError(f"unknown option {sorted(unknown)[0]!r}; there are {', '.join(sorted(names))}.")
    plain = {
        k: (v,) if k in ("model", "ban", "keep") and isinstance(v, str) else v
        for k, v in settings.items()
    }
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})


def _whole(results: Sequence[Result | None]) -> list[Result]:
    """Results that exist; a stop before the first step of any leaves none."""
    found = [r for r in results if r is not None]
    if results and not found:
        raise PezError("stopped before the first prompt was found.")
    return found


__all__ = ["distill", "invert", "mix", "model_names", "neighbours", "score"]
