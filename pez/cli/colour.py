"""Colours on a terminal, and nowhere else."""

from __future__ import annotations

import os

from pez.cli.streams import answers
from pez.cli.visible import Visible, visible

BOLD, FAINT, LOST = "1", "2", "9;31"  # lost text is struck through, in red
TURNS = ("36", "33")  # cyan and yellow, in turn


def colours_wanted() -> bool:
    """Whether answers go to a terminal that shows colours, and nobody has asked for none
    (``NO_COLOR``, https://no-color.org).
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and answers().isatty()


def paint(text: str, code: str) -> str:
    """A text in a colour; what it holds itself cannot act on the terminal."""
    return f"\x1b[{code}m{visible(text, lines=False)}\x1b[0m"


def answer_painted(text: str) -> None:
    """Print a line with colours of ours, as :func:`pez.cli.streams.answer` prints one without."""
    stream = answers()
    print(text, file=stream.raw if isinstance(stream, Visible) else stream, flush=True)
