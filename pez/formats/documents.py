"""JSON, JSON lines and TOML.

Stricter than Python's own reader: a key given twice, NaN and numbers beyond a float have no one
meaning, so they are refused. Nesting beyond the interpreter's depth and numbers of thousands
of digits, which end other programs, are refused in a sentence too.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from pez.errors import PezError
from pez.formats.text import read_lines, read_text

MOST_JSON = 1 << 30  # bytes; COCO's largest caption file has 150 MB


def read_json(path: str | Path, give: str) -> Any:
    """The value in a JSON file; PezError that names what is wrong, ending with ``give``."""
    text = read_text(path, give, most=MOST_JSON)
    try:
        return as_json(text)
    except ValueError as error:
        raise PezError(f"{path} is not JSON ({error}); {give}.") from None


def read_json_lines(path: str | Path, give: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of each line that is not blank; PezError that names a bad line."""
    for number, line in read_lines(path, give):
        if line.strip():
            yield number, json_object(line, f"{path}, line {number}", give)


def json_object(text: str, where: str, give: str) -> dict[str, Any]:
    """The object in a JSON text; PezError for anything else."""
    try:
        found = as_json(text)
    except ValueError as error:
        raise PezError(f"{where}: not JSON ({error}); {give}.") from None
    if not isinstance(found, dict):
        raise PezError(f"{where}: not an object in braces; {give}.")
    return found


def as_json(text: str | bytes, constants: bool = False) -> Any:
    """The value in a JSON text. ValueError, with a short reason, for anything else. With
    ``constants`` NaN and Infinity are numbers, as Python writes them.
    """
    named = float if constants else _constant
    try:
        return json.loads(text, parse_constant=named, parse_float=_float, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except MemoryError:
        raise ValueError("it is too large for the memory") from None
    except ValueError as error:  # Python's own words on a long number are about its settings
        long = "digits" in str(error) and "limit" in str(error)
        raise ValueError("a number has thousands of digits" if long else str(error)) from None


def read_toml(text: str, name: str, give: str) -> dict[str, Any]:
    """The table in a TOML text; PezError that names ``name`` and what is wrong."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why = str(error)
    except RecursionError:
        why = "it is nested too deeply"
    except MemoryError:
        why = "it is too large for the memory"
    except ValueError as error:
        long = "digits" in str(error) and "limit" in str(error)
        why = "a number has thousands of digits" if long else str(error)
    raise PezError(f"{name} is not valid TOML ({why}); {give}.")


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"the key {twice[:60]!r} is there twice")
    return found
