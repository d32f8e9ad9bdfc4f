"""A drawing in a thread of its own, followed from outside: it can be stopped between two steps, go
on from there with another prompt or guidance, or be left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from PIL import Image

from pez.generation.midway import Midway
from pez.web.aims import small_picture
from pez.web.running import EVERY, fault

PREVIEW = 256  # pixels of a side


class _Left(KeyboardInterrupt):  # as Ctrl-C, it is no fault of the pipeline
    """A drawing was given up."""


class Sitting:
    """One drawing. While it waits, others may use the model: it holds ``busy`` only at work.

    ``prompt`` and ``guidance`` hold from the last step on; ``previews`` are addresses that hold
    small pictures; ``drawn`` are those that are finished; ``notes`` and ``wrong`` say what there is
    to say of them, in sentences.
    """

    def __init__(self, busy: threading.Lock, prompt: str, guidance: float) -> None:
        self.prompt, self.guidance = prompt, guidance
        self.own_guidance = guidance  # what -1 stands for, known when the generator is loaded
        self.done = self.total = 0
        self.previews: list[str] = []
        self.drawn: list[Image.Image] = []
        self.notes: list[str] = []
        self.wrong = ""
        self.waiting = self.over = False
        self.midway = Midway(show=self._show, halted=lambda: self._halted, wait=self._wait)
        self._busy = busy
        self._turn = threading.Condition()
        self._halted = self._left = False

    @property
    def active(self) -> bool:
        """Whether it draws, or waits for its turn to."""
        return not (self.waiting or self.over or self._left)

    def begin(self, work: Callable[[Sitting], None]) -> None:
        """Do ``work`` in a thread; it calls :meth:`step` after each step."""

        def run() -> None:
            try:
                with self._busy:
                    work(self)
            except _Left:
                pass
            except BaseException as error:
                self.wrong = fault(error, "drawing")
            finally:
                with self._turn:
                    self.over = True
                    self._turn.notify_all()

        threading.Thread(target=run, daemon=True, name="pez-drawing").start()

    def step(self, done: int, total: int) -> None:
        """Note how far it is."""
        self.done, self.total = done, total
        if self._left:
            raise _Left

    def halt(self) -> None:
        """Stop after the step that runs; what is drawn so far is kept."""
        with self._turn:
            self._halted = True

    def go_on(self) -> None:
        """Go on from the step where it stopped."""
        with self._turn:
            self._halted = self.waiting = False
            self._turn.notify_all()

    def leave(self) -> None:
        """Give it up."""
        with self._turn:
            self._left = True
            self._turn.notify_all()

    def ended(self, seconds: float) -> bool:
        """Whether it is over, within ``seconds``."""
        with self._turn:
            return self._turn.wait_for(lambda: self.over, seconds)

    def tell(self, prompt: str, guidance: float) -> None:
        """What prompt and guidance are from the next step on; -1 is the generator's own."""
        if self.over or not prompt.strip():
            return
        asked = self.own_guidance if guidance == -1 else guidance
        if (prompt, asked) != (self.prompt, self.guidance):
            self.midway.change(
                prompt if prompt != self.prompt else None,
                asked if asked != self.guidance else None,
            )
            self.prompt, self.guidance = prompt, asked

    def loaded(self, guidance: float) -> None:
        """The generator is there, with a guidance of its own."""
        self.own_guidance = guidance
        self.guidance = guidance if self.guidance == -1 else self.guidance

    def follow(self, every: float = EVERY) -> Iterator[None]:
        """Every so often while it draws. Whoever stops listening, as by closing the page, gives it
        up.
        """
        try:
            while self.active:
                with self._turn:
                    self._turn.wait_for(lambda: not self.active, every)
                if self.active:
                    yield
        except GeneratorExit:
            self.leave()
            raise

    def _wait(self) -> None:
        with self._turn:
            self._busy.release()
            self.waiting = True
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._left or not self._halted)
        self._busy.acquire()
        if self._left:
            raise _Left

    def _show(self, pictures: list[Image.Image]) -> None:
        self.previews = [small_picture(picture, PREVIEW) for picture in pictures]
