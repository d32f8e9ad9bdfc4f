"""The possible entries of a plan file, read one by one, so that errors name the entry."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, field, fields
from typing import Any, TypeVar

from pez.errors import PezError

T = TypeVar("T")
MOST = 10**6  # of items, tokens and other things that a plan makes so many of
SEED = 2**63 - 1


def entry(read: Callable[[Any, str], Any], default: Any = MISSING) -> Any:
    """A field of a dataclass that a plan may set; ``read(value, where)`` checks it."""
    return field(default=default, metadata={"read": read})


def text(value: Any, where: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise PezError(f"{where} must be a text, not {value!r}.")
    return value


def number(least: int, most: int = MOST) -> Callable[[Any, str], int]:
    """A whole number, ``least`` or more and ``most`` at most."""

    def read(value: Any, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise PezError(f"{where} must be a whole number, {least} or more, not {value!r}.")
        if value > most:
            raise PezError(f"{where} must be {most} at most, not {value}.")
        return value

    return read


def above_zero(most: float) -> Callable[[Any, str], float]:
    """A number above 0, and ``most`` at most."""

    def read(value: Any, where: str) -> float:
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if not plain or not 0 < value <= most:
            raise PezError(f"{where} must be above 0 and at most {most:g}, not {value!r}.")
        return float(value)

    return read


def one_of(known: Iterable[str]) -> Callable[[Any, str], str]:
    """One of some texts."""
    listed = tuple(known)
    return lambda value, where: known_name(text(value, where), listed, where)


def many(read: Callable[[Any, str], T]) -> Callable[[Any, str], tuple[T, ...]]:
    """A list without repetitions; a single entry counts as a list of one."""

    def listed(value: Any, where: str) -> tuple[T, ...]:
        entries = value if isinstance(value, list) else [value]
        return tuple(dict.fromkeys(read(entry, where) for entry in entries))

    return listed


def pair(read: Callable[[Any, str], T]) -> Callable[[Any, str], tuple[T, ...]]:
    """A list of two, which may be equal."""

    def listed(value: Any, where: str) -> tuple[T, ...]:
        if not isinstance(value, list) or len(value) != 2:
            raise PezError(f"{where} must be a list of two, not {value!r}.")
        return tuple(read(entry, where) for entry in value)

    return listed


def model(value: Any, where: str) -> tuple[str, ...]:
    """One model, or several that are searched as one."""
    if value == []:
        raise PezError(f"{where} holds an empty list; name at least one model.")
    return many(text)(value, where)


def option_table(value: Any, where: str) -> dict[str, Any]:
    """A table of options of any kinds."""
    if not isinstance(value, dict):
        raise PezError(f"{where} must be a table such as {{ steps = 20 }}, not {value!r}.")
    return {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}


def one_table(value: Any, where: str) -> dict[str, Any]:
    """``[where]``, which a plan has once."""
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(table, dict) for table in listed):
        raise PezError(f"{where} must be a table; write [{where}] or [[{where}]] above it.")
    if len(listed) != 1:
        raise PezError(f"a plan has one [{where}]; write a plan file for each.")
    return listed[0]


def tables(kind: type[T], value: Any, where: str) -> list[T]:
    """``[where]`` or ``[[where]]`` as dataclasses."""
    if value is None:
        raise PezError(f"the plan has no [{where}]; write one, with dataset = NAME.")
    listed = [value] if isinstance(value, dict) else value
    if not isinstance(listed, list) or not all(isinstance(table, dict) for table in listed):
        raise PezError(f"{where} must be a table; write [{where}] or [[{where}]] above it.")
    return [kind(**values(kind, table, f"{where}.")) for table in listed]


def values(
    kind: type, table: dict[str, Any], where: str, skip: Iterable[str] = ()
) -> dict[str, Any]:
    """The entries of a table, read as the dataclass says."""
    known = {f.name: f for f in fields(kind) if "read" in f.metadata and f.name not in skip}
    for name in table:
        known_name(name, list(known), "the plan" if not where else f"[{where[:-1]}]")
    for name, own in known.items():
        if name not in table and own.default is MISSING and own.default_factory is MISSING:
            raise PezError(f"[{where[:-1]}] has no {name}; write {name} = ...")
    return {name: known[name].metadata["read"](v, where + name) for name, v in table.items()}


def known_name(name: str, known: Iterable[str], where: str) -> str:
    """``name`` if it is known, else a PezError with the nearest names."""
    listed = list(known)
    if name in listed:
        return name
    near = difflib.get_close_matches(name, listed, 3, 0.5)
    meant = f"did you mean {' or '.join(near)}" if near else f"there are {', '.join(listed)}"
    raise PezError(f"{where}: unknown {name!r}; {meant}{'?' if near else '.'}")
