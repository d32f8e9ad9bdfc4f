"""Settings of a method by name: what it has, and values for them from texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, asdict, fields
from typing import Any

from pez.errors import PezError
from pez.search.method import Method

MOST = 10**9  # of any number of a method; those that fill memory are bounded by it
_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def defaults(method: type[Method]) -> dict[str, Any]:
    """The settings of a method's class and their defaults."""
    return {field.name: _default(field) for field in fields(method)}


def in_force(method: Method) -> dict[str, Any]:
    """A method's settings as plain JSON values."""
    values = asdict(method).items()
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values}


def read_settings(
    method: type[Method], settings: Sequence[str], elsewhere: Callable[[str], str] = lambda _: ""
) -> dict[str, Any]:
    """Values of ``name=value`` texts, each of its setting's type; the last of a name counts.

    Raises PezError for a text without ``=``, a setting that the method's class lacks (the
    message adds what ``elsewhere`` knows of it), and a value of another type.
    """
    known, values = defaults(method), {}
    for text in settings:
        name, sign, value = str(text).partition("=")
        if not sign:
            raise PezError(f"--set {name!r} gives no value; write --set NAME=VALUE.")
        name = name.strip().replace("-", "_")
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "it has none"
            raise PezError(
                f"the method {method.name} has no option {name!r}; {there}{elsewhere(name)}."
            )
        values[name] = _value(name, value.strip(), known[name])
    return values


def as_texts(settings: str | list | dict) -> tuple[str, ...]:
    """``name=value`` texts of a dict, as Python callers write it; one text or
    a list as a tuple.
    """
    if isinstance(settings, dict):
        return tuple(f"{name}={_text(value)}" for name, value in settings.items())
    return (settings,) if isinstance(settings, str) else tuple(settings)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _default(field: Field) -> Any:
    return field.default_factory() if field.default is MISSING else field.default  # type: ignore


def _value(name: str, text: str, default: Any) -> Any:
    """``text`` read as a value like ``default``; a tuple is a list with commas."""
    if isinstance(default, tuple):
        parts = text.split(",")
        if len(parts) != len(default):
            raise PezError(f"--set {name} takes {len(default)} values with commas, not {text!r}.")
        return tuple(_value(name, p.strip(), d) for p, d in zip(parts, default, strict=True))
    kind = type(default)
    try:
        if kind is bool:
            return _TRUTH[text.lower()]
        value = kind(text)
    except (ValueError, KeyError):
        value = math.nan
    if isinstance(value, int | float) and not abs(value) <= MOST:
        raise PezError(f"--set {name} must be {_KINDS[kind]}, not {text!r}.")
    return value
