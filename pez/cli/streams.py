"""The standard streams: output that fails is an error in one sentence, never a lost line, and
standard output holds answers alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pez.errors import PezError

STDOUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


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


class Aside:
    """Standard output as libraries have it: what they print is a remark, and goes to standard
    error. ``answers`` is standard output itself.
    """

    def __init__(self, answers: Any, remarks: Any) -> None:
        self.answers, self._remarks = answers, remarks

    def write(self, text: str) -> int:
        """Print on standard error."""
        return self._remarks.write(text)

    def flush(self) -> None:
        """Print what is buffered on either."""
        self._remarks.flush()
        self.answers.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._remarks, name)


def answers() -> Any:
    """The stream for what a verb answers: standard output."""
    return sys.stdout.answers if isinstance(sys.stdout, Aside) else sys.stdout


def named_answers(path: str | os.PathLike[str]) -> Any:
    """Another file of the stream for answers if ``path`` is a name of standard output, whose number
    leads elsewhere meanwhile; None for other names.
    """
    if os.fspath(path) not in STDOUT:
        return None
    return os.fdopen(os.dup(answers().fileno()), "ab", buffering=0)


def answer(text: str) -> None:
    """Print a line of what a verb answers; what is printed otherwise goes to standard error."""
    print(text, file=answers(), flush=True)


@contextmanager
def only_answers() -> Iterator[None]:
    """Within, only :func:`answer` prints on standard output: libraries print there too, such as
    "Downloading", in the middle of prompts.
    """
    before = sys.stdout
    sys.stdout = Aside(before, sys.stderr)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout = before


@contextmanager
def _apart(stream: Any) -> Iterator[Any]:
    """Standard output under another number; its own leads to standard error meanwhile. So nothing
    gets there from code that is not Python, nor from other processes that this one starts.
    """
    try:
        plain = stream.fileno() == 1
    except (OSError, ValueError, AttributeError):  # it is closed, or a text in memory
        plain = False
    if not plain:
        yield stream
        return
    stream.flush()
    kept = os.dup(1)
    mode = {"encoding": stream.encoding, "errors": "backslashreplace"}
    own = os.fdopen(os.dup(1), "w", 1 if stream.isatty() else -1, **mode)
    os.dup2(2, 1)
    try:
        yield own
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        with suppress(OSError):  # it was told before
            own.close()


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
    try:
        with _apart(before[1]) as stream:
            out = Out(stream)
            sys.stdout, sys.stderr = out, Err(before[2])  # type: ignore[assignment]
            yield out
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        if nothing:
            nothing.close()
