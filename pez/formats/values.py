"""Values of options: of which kind they are, within which bounds, and what an error says."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from pez.errors import PezError

MOST = 10**8  # of steps, and of any other count without a bound of its own here
# what fills memory: each restart is a row to come, each row of a batch a prompt in memory
_MOST = {"length": 10**6, "restarts": 10**4, "top": 10**4, "rows": 10**5, "batch_size": 10**6}
_KINDS = {
    tuple: "a list of texts",
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "True or False",
}


def check_range(name: str, value: int, least: int) -> None:
    """PezError for a whole number below ``least`` or above what memory holds; a seed may be any."""
    most = _MOST.get(name, MOST)
    if value < least or (value > most and name != "seed"):
        bound = f"{least} or more" if value < least else f"{most} at most"
        raise PezError(f"{flag_of(name)} must be {bound}, not {value}.")


def check_numbers(values: Mapping[str, Any]) -> None:
    """PezError for a number among options by name that is below 0, or not finite."""
    for name, value in values.items():
        most = _MOST.get(name, MOST)
        if isinstance(value, int) and value > most:
            raise PezError(f"{flag_of(name)} must be at most {most}, not {value}.")
        if isinstance(value, int | float) and not 0 <= value < math.inf:
            finite = ", and finite" if isinstance(value, float) else ""
            raise PezError(f"{flag_of(name)} must be 0 or more{finite}, not {value}.")


def flag_of(name: str) -> str:
    """An option as it is typed."""
    return "--" + name.replace("_", "-")


def as_kind(name: str, value: Any, kind: type) -> Any:
    """``value`` as its option's kind. Python callers may pass what means the same: NumPy's and
    torch's numbers, a path, ``torch.device`` and ``torch.dtype``, "auto" for a length, a list of
    texts or one alone. PezError for anything else.
    """
    if name == "length" and value == "auto":
        return 0
    plain: Any = None
    if kind is tuple:
        listed = value if isinstance(value, list | tuple) else [value]
        texts = [_as_text(one) for one in listed]
        plain = None if None in texts else tuple(texts)
    elif kind is str and name in ("device", "dtype"):
        plain = torch_name(value)
    elif kind is str:
        plain = _as_text(value)
    elif kind is bool:
        scalar = _scalar(value)
        plain = scalar if isinstance(scalar, bool) else None
    else:
        plain = as_number(value, kind)
    if plain is None:
        wanted = "a whole number or auto" if name == "length" else _KINDS[kind]
        raise PezError(f"{flag_of(name)} must be {wanted}, not {shown(value)}.")
    return plain


def as_number(value: Any, kind: type) -> Any:
    """``value`` as an ``int`` or ``float``, from Python's, NumPy's and torch's scalars; None if it
    is none, as truth values are.
    """
    value = _scalar(value)
    if isinstance(value, bool):
        return None
    if kind is int or isinstance(value, Integral):  # a whole number stays one, as in a plan
        return int(value) if isinstance(value, Integral) else None
    return float(value) if isinstance(value, Real) else None


def _scalar(value: Any) -> Any:
    """Python's own value of an array or tensor without dimensions; others unchanged."""
    return value.item() if getattr(value, "shape", None) == () else value


def shown(value: Any) -> str:
    """A wrong value for an error: in short, and only the type of one that is not plain."""
    if value is None or isinstance(value, str | int | float | list | tuple | dict):
        text = repr(value)
        return text if len(text) <= 80 else text[:79] + "…"
    return f"a value of type {type(value).__name__}"


def _as_text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | os.PathLike) else None


def torch_name(value: Any) -> str | None:
    """The name of a ``torch.device`` or ``torch.dtype``, and a text unchanged; None for others.
    Torch itself is not loaded for that.
    """
    kind = type(value)
    if kind.__module__ == "torch" and kind.__name__ in ("device", "dtype"):
        return str(value).removeprefix("torch.")
    return value if isinstance(value, str) else None
