"""Ctrl-C asks a search to stop; what it has found is printed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pez.search.stop import Stop


@contextmanager
def on_interrupt(stop: Stop) -> Iterator[Stop]:
    """Within, the first Ctrl-C sets ``stop``; it breaks off what ``stop.at_once()`` marks, such
    as a download, and a second one exits at once. Only the main thread
    may handle signals; in any other thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def first(_number: int, _frame: FrameType | None) -> None:
        stop.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if stop.waits:
            stop.broke_off = True
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, first)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
