"""What is printed cannot act on the terminal: escape codes in names and texts are spelt out."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

# what would move the cursor, change colours or turn text around on a terminal: control characters
# but tab and line end, marks of direction (Trojan Source, CVE-2021-42574) and line separators
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str, lines: bool = True) -> str:
    """``text`` with control characters, escape codes and marks of direction spelt out, and without
    ``lines`` also line ends: a code that clears the screen becomes a harmless x1b[2J.
    """
    shown = _UNSEEN.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
    return shown if lines else shown.replace("\n", "\\n")


class Visible:
    """A text stream that shows what texts hold instead of letting them act on the terminal: names,
    captions and answers of servers are printed as they came. ``raw`` is the stream itself, for
    the progress bar.
    """

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        """Write ``text`` with all that is unseen spelt out."""
        self.raw.write(visible(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of ``lines``."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def harmless_output() -> Iterator[None]:
    """Within, what is printed is :func:`visible`: always on stderr, on stdout if it is a terminal
    (a program that reads it gets every byte).
    """
    out, err = sys.stdout, sys.stderr
    try:
        sys.stderr = Visible(err) if err else err
        sys.stdout = Visible(out) if out and _is_terminal(out) else out
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def raw_stderr() -> Any:
    """Standard error itself, for escape codes of our own."""
    return getattr(sys.stderr, "raw", sys.stderr) if isinstance(sys.stderr, Visible) else sys.stderr


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False
