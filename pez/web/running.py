"""A search in a thread of its own, followed from outside while it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from pez.errors import PezError
from pez.result import Result
from pez.search.engine import Progress
from pez.search.stop import Stop
from pez.session.session import Watch

EVERY = 0.15  # seconds between two looks
POINTS = 400  # of a curve; beyond, every other one is dropped
Work = Callable[[Watch], list[Result | None]]
_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class Running:
    """What is known of a search: the best prompt so far, how far it is, and at its end its results
    or what went wrong, as a sentence.
    """

    prompt: str = ""
    score: float = 0.0
    steps: int = 0
    total: int = 0
    curve: list[tuple[int, float]] = field(default_factory=list)  # step, best score
    notes: list[str] = field(default_factory=list)
    results: list[Result | None] = field(default_factory=list)
    wrong: str = ""
    stopped: bool = False
    over: bool = False

    def watch(self, stop: Stop) -> Watch:
        """A watch that writes here."""
        return Watch(stop=stop, progress=self._progress, note=self._note)

    def _progress(self, progress: Progress, prompt: str) -> None:
        if progress.steps < self.steps:  # another length begins
            self.curve.clear()
        self.prompt, self.score = prompt, progress.score
        self.steps, self.total = progress.steps, progress.total
        if len(self.curve) >= POINTS:
            del self.curve[1::2]
        self.curve.append((progress.steps, progress.score))

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def fault(error: BaseException, what: str) -> str:
    """What visitors are told of an error in a thread; one that they did not cause is logged whole.
    Call it where the error is handled.
    """
    if isinstance(error, PezError):
        return str(error)
    _LOG.exception("a %s of the page failed", what)
    return f"the {what} failed ({type(error).__name__}: {error}); try again."


def follow(
    work: Work, stop: Stop, busy: threading.Lock, every: float = EVERY
) -> Generator[Running, None, None]:
    """Do ``work`` in a thread, when ``busy`` is free; what is known of it, every so often and at
    its end. Whoever stops listening, as by closing the page, stops the search.
    """
    running, done = Running(), threading.Event()

    def run() -> None:
        try:
            with busy:
                running.results = work(running.watch(stop))
        except BaseException as error:
            running.wrong = fault(error, "search")
        finally:
            running.stopped = stop.asked
            done.set()

    threading.Thread(target=run, daemon=True, name="pez-search").start()
    try:
        while not done.wait(every):
            yield running
        running.over = True
        yield running
    finally:
        stop.asked = True  # not waited for: this may be the thread that serves all visitors
