"""The table of a run: a row for each picture and judge, assembled from the units' records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pez.evaluation.index import read_index
from pez.evaluation.kinds import all_kinds
from pez.evaluation.kinds.kind import Kind
from pez.evaluation.store import Record, Store

COLUMNS = (
    *("dataset", "split", "item", "source", "caption", "method", "length", "search_model"),
    *("seed", "prompt", "search_score", "tokens", "seconds", "forwards", "backwards"),
    *("generator", "image_seed", "picture", "judge", "similarity", "text_score"),
    *("perplexity", "real_words", "error"),
    *("ratio", "against", "thing", "sources"),
)
_OF_ITEM = ("dataset", "split", "item", "source", "caption")
_OF_WAY = ("method", "length", "search_model", "seed")
_OF_TASK = {"ratio": None, "against": "", "sources": []}  # and the meaning of older folders
Found = dict[str, tuple[Kind, dict[str, Record | None]]]  # kind -> by who did it


def columns() -> tuple[str, ...]:
    """``COLUMNS``, then those of kinds of units that have others."""
    own = [column for kind in all_kinds() for column in kind.columns]
    return tuple(dict.fromkeys((*COLUMNS, *own)))


def read_rows(folder: str | Path | Store) -> list[dict[str, Any]]:
    """The table of a run: a dict of :func:`columns` for each picture and judge, in the plan's
    order.

    A judge or reader without pictures has rows of its own with ``generator`` "" and
    ``image_seed``, ``picture`` and ``similarity`` None. ``source`` and ``picture`` are paths
    within ``folder``. What is not done yet, failed or does not apply is None; ``error`` is "" or
    says what failed. ``length``, ``ratio`` and ``seed`` are None if there are none. ``against``
    names what was compared with (:func:`tasks.about`): "" is the original, ``sources`` are the
    paths of all pictures that a prompt was searched for, ``thing`` is what a picture should show.
    PezError if ``folder`` holds no run.
    """
    store = folder if isinstance(folder, Store) else Store(folder)
    kinds, empty = {kind.name: kind for kind in all_kinds()}, dict.fromkeys(columns())
    return [row for line in read_index(store) for row in _rows(store, line, kinds, empty)]


def _rows(
    store: Store, line: Mapping[str, Any], kinds: Mapping[str, Kind], empty: Mapping[str, None]
) -> Iterator[dict[str, Any]]:
    """The rows of one prompt."""
    prompt = store.get("prompt", line["prompt"])
    keys = {"reading": line["readings"]}
    keys |= {"language": {"": line["language"]} if line["language"] else {}}
    asked = _found(store, keys | line.get("asked", {}), kinds)
    base: dict[str, Any] = {name: line[name] for name in (*_OF_ITEM, *_OF_WAY)}
    base |= {name: line.get(name, usual) for name, usual in _OF_TASK.items()}
    base |= _values(kinds["prompt"], prompt) if prompt else {}
    base |= {"generator": "", "thing": "", "seconds": prompt.seconds if prompt else None}

    def row(who: str, records: list[Record | None], found: Found, **more: Any) -> dict[str, Any]:
        own = [
            (kind, record)
            for kind, by_who in (*found.values(), *asked.values())
            for record in (by_who.get(who), by_who.get("") if who else None)
            if record
        ]
        values = {name: value for kind, r in own for name, value in _values(kind, r).items()}
        errors = [r.error for r in (prompt, *records, *(r for _, r in own)) if r]
        values |= {"judge": who, "error": next(filter(None, errors), "")}
        return {**empty, **base, **values, **more}

    seen: set[str] = set()
    for picture in line["pictures"]:
        drawn = store.get("picture", picture["key"])
        beside = store.get("picture", picture["beside"]) if "beside" in picture else None
        path = store.path("picture", picture["key"], ".png").relative_to(store.folder).as_posix()
        shown = {"generator": picture["generator"], "image_seed": picture["image_seed"]}
        shown["thing"] = picture.get("thing", "")
        shown["picture"] = path if drawn and not drawn.error else None
        own = _found(store, {"score": picture["judges"]} | picture.get("asked", {}), kinds)
        for who in _who(own) or [""]:
            yield row(who, [drawn, beside], own, **shown)
        seen.update(_who(own))
    alone = [who for who in _who(asked) if who not in seen]
    for who in alone or ([] if line["pictures"] else [""]):
        yield row(who, [], {})


def _found(store: Store, keys: Mapping[str, Mapping[str, str]], kinds: Mapping[str, Kind]) -> Found:
    """The records of units by their keys; kinds that this pez does not have are omitted."""
    return {
        name: (kinds[name], {who: store.get(name, key) for who, key in own.items()})
        for name, own in keys.items()
        if name in kinds
    }


def _who(found: Found) -> list[str]:
    """The models of kinds that have several: usually judges."""
    return list(dict.fromkeys(who for _, own in found.values() for who in own if who))


def _values(kind: Kind, record: Record) -> dict[str, Any]:
    return {name: record.out.get(name) for name in kind.columns}
