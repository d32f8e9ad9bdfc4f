"""The targets of a search: items made of pictures, texts and mixes of both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pez.errors import PezError
from pez.images import pixels_key
from pez.models import Reader
from pez.objectives.match import Targets
from pez.search.stop import Stop
from pez.session.drafts import Drafted, read_by_both
from pez.sources import (
    Part,
    Source,
    joined_key,
    mix_key,
    read_source,
    source_name,
    text_key,
)

CHUNK = 64  # pictures encoded at once; they are decoded one by one
SHOWN = 60  # characters of a text in a note
Read = Callable[[Source], Image.Image]
Failed = Callable[[int, PezError], None]
Views = Callable[[Image.Image], list[Image.Image]]


@dataclass(frozen=True, eq=False)
class Item:
    """One prompt to find. ``key`` identifies its content and seeds the search; ``names`` are
    those of its targets. The objective compares prompts with the goal, which the model and the
    draft each encode for themselves. ``seconds`` is its share of the time that reading and
    encoding took; ``notes`` say what of it the model does not read. ``views`` (v, e) are features
    of views of it that the search does not see, if it has any (:mod:`pez.session.views`).
    """

    key: str
    names: list[str]
    goal: Any
    draft: Any = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    views: Tensor | None = None


def picture_items(
    reader: Reader,
    groups: Sequence[Sequence[Source]],
    together: bool = False,
    failed: Failed | None = None,
    stop: Stop | None = None,
    read: Read = read_source,
    views: Views | None = None,
) -> dict[int, Item]:
    """An item for each group of pictures, by its place; none after a stop is asked for. A group
    is one picture, or with ``together`` any number of them. ``views`` makes further views of each,
    which are encoded too.

    A picture that cannot be read raises PezError, or is reported by its group's place if
    ``failed`` is given; that group then has no item.
    """
    out: dict[int, Item] = {}
    if together:
        for place, group in enumerate(groups):
            begin = time.monotonic()
            try:
                parts = list(_looks(reader, group, stop, read, views))
            except PezError as error:
                if failed is None:
                    raise
                failed(place, error)
                continue
            if parts:
                out[place] = replace(_together(parts), seconds=time.monotonic() - begin)
        return out
    singles = [source for (source,) in groups]
    for place, item in _singles(reader, singles, failed, stop, read, views):
        out[place] = item
    return out


@dataclass(frozen=True, eq=False)
class _Seen:
    """A picture as the model and the draft take it, small, and the model its ``views``; the picture
    itself is let go.
    """

    name: str
    key: str
    own: Any
    draft: Any
    views: list[Any]


def _see(
    reader: Reader,
    source: Source,
    place: int,
    read: Read,
    stop: Stop | None,
    views: Views | None,
) -> _Seen | None:
    """Read the picture at a ``place`` among all; None if the user stops meanwhile: a slow server
    is not waited for then.
    """
    try:
        with stop.at_once() if stop else nullcontext():
            picture = read(source)
            draft = reader.draft.prepare(picture) if isinstance(reader, Drafted) else None
            name = source_name(source, place + 1)
            more = [reader.prepare(view) for view in views(picture)] if views else []
            return _Seen(name, pixels_key(picture), reader.prepare(picture), draft, more)
    except KeyboardInterrupt:
        if stop and stop.asked:
            return None
        raise


@dataclass(frozen=True, eq=False)
class _Looks:
    """Some pictures as both models encode them: features (n, e), (n, d), names and keys; and as the
    model encodes their ``views`` (n, v, e).
    """

    own: Tensor
    draft: Tensor | None
    names: list[str]
    keys: list[str]
    views: Tensor | None

    @classmethod
    def of(cls, reader: Reader, seen: Sequence[_Seen]) -> _Looks:
        own = reader.encode_prepared([one.own for one in seen])
        draft = None
        if isinstance(reader, Drafted):
            draft = reader.draft.encode_prepared([one.draft for one in seen])
        more = [view for one in seen for view in one.views]
        views = reader.encode_prepared(more).view(len(seen), -1, own.shape[1]) if more else None
        return cls(own, draft, [one.name for one in seen], [one.key for one in seen], views)


def _looks(
    reader: Reader,
    sources: Sequence[Source],
    stop: Stop | None,
    read: Read,
    views: Views | None,
) -> Iterator[_Looks]:
    """All pictures of a group, in chunks; fewer after a stop."""
    for start in range(0, len(sources), CHUNK):
        seen = []
        for place in range(start, min(start + CHUNK, len(sources))):
            asked = stop and stop.asked
            one = None if asked else _see(reader, sources[place], place, read, stop, views)
            if one is None:
                return
            seen.append(one)
        yield _Looks.of(reader, seen)


def _together(parts: Sequence[_Looks]) -> Item:
    """One item of several pictures with equal weights."""
    names = [name for part in parts for name in part.names]
    key = joined_key([key for part in parts for key in part.keys])
    drafts = [part.draft for part in parts if part.draft is not None]
    weights = torch.ones(len(names), device=parts[0].own.device)
    draft = Targets(torch.cat(drafts), weights) if drafts else None
    views = [part.views.flatten(0, 1) for part in parts if part.views is not None]
    goal = Targets(torch.cat([part.own for part in parts]), weights)
    return Item(key, names, goal, draft, views=torch.cat(views) if views else None)


def _singles(
    reader: Reader,
    sources: Sequence[Source],
    failed: Failed | None,
    stop: Stop | None,
    read: Read,
    views: Views | None,
) -> Iterator[tuple[int, Item]]:
    """Places and items of single pictures."""
    for start in range(0, len(sources), CHUNK):
        begin = time.monotonic()
        places: list[int] = []
        seen: list[_Seen] = []
        for place in range(start, min(start + CHUNK, len(sources))):
            try:
                asked = stop and stop.asked
                one = None if asked else _see(reader, sources[place], place, read, stop, views)
            except PezError as error:
                if failed is None:
                    raise
                failed(place, error)
                continue
            if one is None:
                return
            seen.append(one)
            places.append(place)
        if places:
            looks = _Looks.of(reader, seen)
            items = _single_items(looks.own, looks.draft, looks.names, looks.keys)
            if looks.views is not None:
                pairs = zip(items, looks.views, strict=True)
                items = [replace(item, views=own) for item, own in pairs]
            yield from zip(places, _shared(items, begin), strict=True)


def _single_items(
    own: Tensor, draft: Tensor | None, names: Sequence[str], keys: Sequence[str]
) -> list[Item]:
    """An item for each row of features (n, e), and (n, d) of a draft."""
    one = torch.ones(1, device=own.device)
    drafts = [None] * len(own) if draft is None else [Targets(f[None], one) for f in draft]
    rows = zip(keys, names, own, drafts, strict=True)
    return [Item(key, [name], Targets(f[None], one), other) for key, name, f, other in rows]


def _shared(items: Sequence[Item], begin: float) -> list[Item]:
    """The items, each with its share of the time since ``begin``."""
    seconds = (time.monotonic() - begin) / max(1, len(items))
    return [replace(item, seconds=seconds) for item in items]


def cut_note(reader: Reader, text: str) -> str:
    """What to tell of a text that is longer than the model reads; empty for others."""
    size = len(reader.tokens.encode(text))
    if size <= reader.limit:
        return ""
    part = text if len(text) <= SHOWN else text[:SHOWN] + "…"
    return f"the model reads only the first {reader.limit} of {size} tokens of: {part}"


def text_items(reader: Reader, texts: Sequence[str]) -> list[Item]:
    """An item for each text."""
    if not texts:
        return []
    begin = time.monotonic()
    own, draft = read_by_both(reader, lambda one: one.encode_text(texts))
    items = _single_items(own, draft, texts, [text_key(text) for text in texts])
    notes = [cut_note(reader, text) for text in texts]
    told = [replace(item, notes=(n,) if n else ()) for item, n in zip(items, notes, strict=True)]
    return _shared(told, begin)


def mix_item(reader: Reader, parts: Sequence[Part]) -> Item:
    """One item of pictures and texts with their weights. PezError for a text without tokens."""
    begin = time.monotonic()
    texts = [what for what, _, _ in parts if isinstance(what, str)]
    for text in texts:
        if not reader.tokens.encode(text):
            raise PezError(f"the model reads no token in the text {text!r}; give at least a word.")

    def encode(one: Reader) -> Tensor:
        return torch.cat(
            [
                one.encode_text([what]) if isinstance(what, str) else one.encode_images([what])
                for what, _, _ in parts
            ]
        )

    own, draft = read_by_both(reader, encode)
    weights = torch.tensor([weight for _, weight, _ in parts], device=own.device)
    other = None if draft is None else Targets(draft, weights)
    names = [name for _, _, name in parts]
    notes = tuple(filter(None, (cut_note(reader, text) for text in texts)))
    seconds = time.monotonic() - begin
    return Item(mix_key(parts), names, Targets(own, weights), other, seconds, notes)
