"""The index of a run, checked: what it names is of the right type and within the run's folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pez.errors import PezError
from pez.evaluation.store import INDEX, Store
from pez.formats.places import is_within

Check = Callable[[Any], bool]
_KEY = re.compile(r"[0-9a-z-]{8,64}")  # a part of a path: no dot, no slash


def read_index(store: Store) -> list[dict[str, Any]]:
    """A dict for each prompt and reference, as :meth:`units.Node.lines` writes them. PezError for
    a folder that holds no run, and for a line that is damaged or names a file outside it.
    """
    rows = store.lines(INDEX)
    for number, row in enumerate(rows, 1):
        where = f"{store.folder / INDEX}, entry {number}"
        _check(row, _LINE, _LINE_MAY, where)
        for picture in row["pictures"]:
            _check(picture, _PICTURE, _PICTURE_MAY, where)
        for source in filter(None, (row["source"], *row.get("sources", ()))):
            if not is_within(store.folder, store.folder / source):
                raise PezError(f"{where}: {source} is outside the run's folder; run it again.")
    return rows


def _check(row: dict[str, Any], has: dict[str, Check], may: dict[str, Check], where: str) -> None:
    """PezError unless a row has all that it must, and what it has is of the right type."""
    for name, check in (has | may).items():
        if name not in row and name in may:
            continue
        if not check(row.get(name, _Missing)):
            shown = repr(row[name])[:60] if name in row else "missing"
            raise PezError(f"{where}: its {name} is {shown}; run pez evaluate on it again.")


class _Missing:
    """What no check accepts."""


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _key(value: Any) -> bool:
    return _text(value) and _KEY.fullmatch(value) is not None


def _whole(value: Any) -> bool:
    return value is None or type(value) is int


def _number(value: Any) -> bool:
    return value is None or type(value) in (int, float)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _keys(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_key, value.values()))


def _kinds(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_keys, value.values()))


def _rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


_LINE: dict[str, Check] = {
    **dict.fromkeys(
        ("dataset", "split", "item", "source", "caption", "method", "search_model"), _text
    ),
    **{"length": _whole, "seed": _whole, "prompt": _key, "readings": _keys, "pictures": _rows},
    "language": lambda value: value == "" or _key(value),
}
_LINE_MAY: dict[str, Check] = {
    **{"ratio": _number, "against": _text, "sources": _texts, "asked": _kinds}
}
_PICTURE: dict[str, Check] = {
    **{"generator": _text, "image_seed": _whole, "key": _key, "judges": _keys}
}
_PICTURE_MAY: dict[str, Check] = {"thing": _text, "beside": _key, "asked": _kinds}
