"""Input of the command line: options from flags, texts from files and stdin."""

from __future__ import annotations

import argparse
import sys
from dataclasses import MISSING, fields
from os.path import exists
from typing import Any, TypeVar

from pez.errors import PezError
from pez.files import MOST_TEXT, read_text
from pez.generation.options import GenerateOptions
from pez.options import SearchOptions

O = TypeVar("O", bound=SearchOptions | GenerateOptions)  # noqa: E741


def read_options(kind: type[O], args: argparse.Namespace) -> O:
    """The options dataclass from parsed arguments."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        value = getattr(args, field.name)
        many = field.default is MISSING
        values[field.name] = tuple(value or ()) if many else value
    return kind(**values)


def read_texts(source: str) -> list[str]:
    """The text itself, or the lines of a file or of stdin."""
    where = "standard input" if source == "-" else source
    if source != "-" and not exists(source):
        if source.endswith(".txt") and not any(c.isspace() for c in source):
            raise PezError(f"{source} does not exist; give a text, a file of texts, or -.")
        return [source]
    try:
        whole = _stream(source) if _is_stream(source) else read_text(source)
    except UnicodeDecodeError:
        raise PezError(f"{where} is not a text file; give UTF-8 text, one prompt a line.") from None
    except OSError as error:
        raise PezError(f"{where} cannot be read ({error.strerror}); give a text file.") from None
    lines = [line.strip() for line in whole.removeprefix("\ufeff").split("\n")]
    if not any(lines):
        raise PezError(f"{where} holds no text; give one prompt a line.")
    return [line for line in lines if line]


def _is_stream(source: str) -> bool:
    """Whether a source is a pipe of the shell's: stdin, or ``<(command)``."""
    return source in ("-", "/dev/stdin") or source.startswith("/dev/fd/")


def _stream(source: str) -> str:
    """All that a pipe gives. PezError for more than a text can be."""
    if source.startswith("/dev/fd/"):
        with open(source, encoding="utf-8") as pipe:
            whole = pipe.read(MOST_TEXT + 1)
    else:
        whole = sys.stdin.read(MOST_TEXT + 1)
    if len(whole) > MOST_TEXT:
        raise PezError(f"the input is over {MOST_TEXT >> 20} MB; give fewer texts at a time.")
    return whole
