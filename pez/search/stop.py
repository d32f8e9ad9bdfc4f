"""How a search is asked to stop, by a program or by Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Set when the user asks to stop; the engine then returns what it has.

    With ``by_interrupt`` a first KeyboardInterrupt asks too, and ``interrupted`` tells so.
    """

    def __init__(self) -> None:
        self.asked = False
        self.waits = False  # for something that may be broken off at once
        self.broke_off = False  # as such a thing was
        self.by_interrupt = False
        self.interrupted = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within, a stop need not wait, as nothing is lost by it: whoever sets :attr:`asked` on
        an interrupt raises KeyboardInterrupt.
        """
        self.waits = True
        try:
            yield
        finally:
            self.waits = False

    def take(self, interrupt: KeyboardInterrupt) -> None:
        """Let an interrupt ask to stop; it is raised again if it may not, or is not the first."""
        if self.asked or not self.by_interrupt:
            raise interrupt
        self.asked = self.interrupted = True
