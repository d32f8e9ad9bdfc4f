"""The standard streams: output that fails is an error in one sentence, never a lost line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pez.errors import PezError


class Unprinted(PezError):
    """Standard output cannot be written; ``why`` is the system's reason."""

    def __init__(self, why: str) -> None:
        super().__init__(f"cannot write to standard output ({why}); send it to another place.")
        self.why = why


class Out:
    """Standard output. What cannot be printed raises :class:`Unprinted`, or BrokenPipeError if
    the reader has gone; whatever is printed after that is dropped.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def check(self) -> None:
        """Raise Unprinted if it is closed."""
        if self._stream is None:
            raise Unprinted("it is closed")

    def write(self, text: str) -> int:
        """Print."""
        return self._try(lambda: self._stream.write(text))

    def flush(self) -> None:
        """Print what is buffered."""
        if self._stream is not None:
            self._try(self._stream.flush)

    def isatty(self) -> bool:
        """Whether a person looks on; nobody does where it is closed."""
        return self._stream is not None and self._stream.isatty()

    def _try(self, act: Any) -> Any:
        try:
            return act()
        except BrokenPipeError:
            self._drop()
            raise
        except OSError as error:
            self._drop()
            raise Unprinted(error.strerror or str(error)) from None

    def _drop(self) -> None:
        """Send the rest to nowhere, also what Python still writes when it ends."""
        with suppress(OSError, ValueError):
            place = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, place)
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Err:
    """Standard error. What cannot be printed there is dropped: no remark is worth a prompt."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Print."""
        with suppress(OSError, ValueError, AttributeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Print what is buffered."""
        with suppress(OSError, ValueError, AttributeError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person looks on."""
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def guarded() -> Iterator[Out]:
    """Within, the standard streams are :class:`Out`, :class:`Err`, and an empty input if that is
    closed. A closed stream's number is taken by nothing: else the next file that is opened would
    get it, and be written by whoever writes to the stream.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for stream in (sys.stdout, sys.stderr):  # no terminal fails on a character that it cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    before = sys.stdin, sys.stdout, sys.stderr
    nothing = None if before[0] else open(os.devnull, encoding="utf-8")  # noqa: SIM115
    sys.stdin = before[0] or nothing
    out = Out(before[1])
    sys.stdout, sys.stderr = out, Err(before[2])  # type: ignore[assignment]
    try:
        yield out
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        if nothing:
            nothing.close()
