"""Text files: UTF-8, of a bounded size, without the bytes that no text has."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pez.errors import PezError

MOST = 1_000_000_000  # bytes of a file that is read whole; COCO's largest has 150 MB
LONGEST = 64_000_000  # bytes of one line
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: str | Path, give: str, *, pipe: bool = False, most: int = MOST) -> str:
    """The text of a file, without a byte order mark. ``give`` ends the error's sentence: "give a
    plan file". With ``pipe`` it may be a pipe, as ``<(command)`` of a shell is.

    PezError if it is missing, no plain file, larger than ``most`` bytes or not UTF-8 text.
    """
    with opened(path, give, pipe) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise PezError(f"{path} has more than {most:,} bytes; {give}.")
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
def opened(path: str | Path, give: str, pipe: bool = False) -> Iterator[IO[bytes]]:
    """A plain file, or with ``pipe`` a pipe too, opened for reading. PezError if it cannot be."""
    try:
        place = Path(path).expanduser()
        kind = os.stat(place).st_mode
        if stat.S_ISDIR(kind):
            raise PezError(f"{path} is a folder; {give}.")
        if not stat.S_ISREG(kind) and not pipe:  # a pipe would be waited for without end
            raise PezError(f"{path} is not a plain file; {give}.")
        with place.open("rb") as file:
            yield file
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise PezError(f"{path} cannot be read ({why}); {give}.") from None
    except (ValueError, RuntimeError):  # a zero byte in the name; ~nobody has no home
        raise PezError(f"{str(path)!r} is not the name of a file; {give}.") from None
    except MemoryError:
        raise PezError(f"{path} is too large for the memory; {give}.") from None
