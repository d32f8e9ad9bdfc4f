"""Input of the command line: options from flags, texts from files and stdin."""

from __future__ import annotations

import argparse
import sys
from dataclasses import MISSING, fields
from os.path import isdir
from typing import Any, TypeVar

from pez.errors import PezError
from pez.formats.prompts import file_or_text, read_prompts, stdin_prompts
from pez.formats.text import MOST, check_text
from pez.generation.options import GenerateOptions
from pez.options import SearchOptions

O = TypeVar("O", bound=SearchOptions | GenerateOptions)  # noqa: E741


def read_options(kind: type[O], args: argparse.Namespace) -> O:
    """The options dataclass from parsed arguments."""
    values: dict[str, Any] = {}
    unused = kind.unused if issubclass(kind, SearchOptions) else ()
    for field in fields(kind):
        if field.name in unused:
            continue
        value = getattr(args, field.name)
        many = field.default is MISSING
        values[field.name] = tuple(value or ()) if many else value
    return kind(**values)


def read_texts(source: str) -> list[str]:
    """The text itself, or the prompts of a file or of stdin (``-``)."""
    if source == "-":
        raw = getattr(sys.stdin, "buffer", None)
        return stdin_prompts(raw.read(MOST) if raw else sys.stdin.read(MOST).encode())
    if isdir(source):
        raise PezError(f"{source} is a folder; give a text, a file of texts, or -.")
    if not source.strip():
        raise PezError("the given text is empty; give at least one word.")
    file = file_or_text(source, "")
    return read_prompts(file) if file else [check_text(source, "the text")]
