"""Text files: UTF-8, of a bounded size, without the bytes that no text has."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.files import open_plain, user_path

MOST = 64 << 20  # bytes of a text that is read whole: a list of words, a plan
SHELL = ("/dev/fd/", "/dev/stdin")  # pipes that the shell made, whose other end is there
LARGEST = 1 << 40  # bytes of a file that is read line by line
LONGEST = 64_000_000  # bytes of one line
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: str | Path, give: str, *, pipe: bool = False, most: int = MOST) -> str:
    """The text of a file, without a byte order mark. ``give`` ends the error's sentence: "give a
    plan file". With ``pipe`` it may be a pipe, as ``<(command)`` of a shell is.

    PezError if it is missing, no plain file, larger than ``most`` bytes or not UTF-8 text.
    """
    with opened(path, give, pipe, most) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise PezError(f"{path} is over {most // 10**6} MB; {give}.")
    return as_text(data, str(path), give)


def read_lines(path: str | Path, give: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line, without its end; PezError as for :func:`read_text`. A file of
    any size is read line by line, none of which may be longer than ``LONGEST``.
    """
    with opened(path, give) as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            where = f"{path}, line {number},"
            if len(line) > LONGEST:
                raise PezError(f"{where} has more than {LONGEST:,} bytes; {give}.")
            text = as_text(line, where, give, first=number == 1)
            yield number, text.removesuffix("\n").removesuffix("\r")


def as_text(data: bytes, where: str, give: str, first: bool = True) -> str:
    """The text in ``data``; ``first`` are the first bytes of a file. PezError for anything else."""
    if first and data.startswith(_WIDE):
        raise PezError(f"{where} is UTF-16, not UTF-8; save it as UTF-8.")
    try:
        text = data.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError:
        raise PezError(f"{where} is not UTF-8 text; {give}.") from None
    if "\0" in text:
        raise PezError(f"{where} holds a zero byte, which no text has; {give}.")
    return text


def check_text(text: str, what: str) -> str:
    """``text``, if it can be written as UTF-8. An argument in another encoding cannot, nor can half
    of a pair of surrogates; PezError for these and for a zero character.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = text.encode("ascii", "backslashreplace").decode()[:60]
        raise PezError(f"{what} {shown} is not UTF-8 text; convert it first.") from None
    if "\0" in text:
        raise PezError(f"{what} holds a zero character, which no text has; remove it.")
    return text


def check_name(name: str, what: str) -> str:
    """``name``, if it can be that of a file or of something on the hub; PezError for one that the
    system cannot look up.
    """
    if len(name.encode(errors="surrogateescape")) > 255 * 8 or "\0" in name:
        raise PezError(f"{what} {name[:40]!r}… cannot be a name; check it.")
    if any(len(part.encode(errors="surrogateescape")) > 255 for part in name.split("/")):
        raise PezError(f"{what} {name[:40]!r}… is too long for a name; check it.")
    return name


@contextmanager
def opened(path: str | Path, give: str, pipe: bool = False, most: int = LARGEST) -> Iterator[Any]:
    """A plain file of ``most`` bytes, or with ``pipe`` a pipe of the shell's too, opened for
    reading. PezError if it cannot be.
    """
    try:
        place = user_path(path)
        if pipe and str(path).startswith(SHELL):
            with place.open("rb") as file:
                yield file
            return
        with open_plain(place, most) as file:
            yield file
    except IsADirectoryError:
        raise PezError(f"{path} is a folder; {give}.") from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise PezError(f"{path} cannot be read ({why}); {give}.") from None
    except ValueError:  # a zero byte in the name
        raise PezError(f"{str(path)!r} is not the name of a file; {give}.") from None
    except MemoryError:
        raise PezError(f"{path} is too large for the memory; {give}.") from None
