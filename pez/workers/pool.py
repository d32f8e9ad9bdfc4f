"""Work and its workers: chunk after chunk in this process, or distributed to several."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

TRIES = 3  # of a chunk whose worker dies

Tell = Callable[[Any], None]  # takes an outcome of a chunk
Look = Callable[[Any, Any], None]  # a chunk in progress, and how far it is
Stopped = Callable[[], bool]  # whether the user wants to stop


class Work(Protocol):
    """What workers do with chunks. Each worker gets a copy of its own, so the work itself, its
    chunks and their outcomes must survive pickling.
    """

    def open(self, device: str) -> Any:
        """What a worker holds from its first chunk to its last, such as a loaded model."""
        ...

    def do(
        self, held: Any, chunk: Any, tell: Tell, look: Callable[[Any], None], stopped: Stopped
    ) -> None:
        """Do a chunk and ``tell`` each outcome as soon as it is ready; once ``stopped()`` is
        true, tell what is ready and return soon. A PezError ends the whole run.
        """
        ...

    def lost(self, chunk: Any) -> Iterable[Any]:
        """Outcomes of a chunk whose workers died ``TRIES`` times."""
        ...


class Pool(Protocol):
    """Does chunks and reports their outcomes. If a worker dies its chunk is done again, so an
    outcome may be reported twice.
    """

    @property
    def size(self) -> int:
        """The largest number of workers."""
        ...

    def run(
        self,
        chunks: Iterator[Any],
        tell: Tell,
        look: Look | None = None,
        stopped: Stopped | None = None,
    ) -> None:
        """Do all ``chunks``; start no more once ``stopped()`` is true. Raises in this process
        what the work raises.
        """
        ...

    def close(self) -> None:
        """End the workers."""
        ...


@dataclass(eq=False)
class Serial:
    """One chunk after another, in this process."""

    work: Work
    device: str = "auto"
    size: int = 1
    _held: list[Any] = field(default_factory=list)

    def run(
        self,
        chunks: Iterator[Any],
        tell: Tell,
        look: Look | None = None,
        stopped: Stopped | None = None,
    ) -> None:
        """Do all ``chunks``; each outcome is reported as soon as it is ready."""
        for chunk in chunks:
            if stopped and stopped():
                return
            if not self._held:
                self._held.append(self.work.open(self.device))

            def far(value: Any, chunk: Any = chunk) -> None:
                if look:
                    look(chunk, value)

            self.work.do(self._held[0], chunk, tell, far, stopped or (lambda: False))

    def close(self) -> None:
        """Nothing to do: only memory is held."""


@dataclass(eq=False)
class Turn:
    """A chunk, and how many workers died while doing it."""

    chunk: Any
    deaths: int = 0


class Queue:
    """Chunks to do: first those whose worker died, then new ones."""

    def __init__(self, chunks: Iterator[Any], work: Work, tell: Tell) -> None:
        self._chunks, self._work, self._tell = chunks, work, tell
        self._again: deque[Turn] = deque()

    def take(self) -> Turn | None:
        """The next one to do; None if there is none now."""
        if self._again:
            return self._again.popleft()
        for chunk in self._chunks:
            return Turn(chunk)
        return None

    def died(self, turn: Turn) -> None:
        """Take back a chunk whose worker died, or after ``TRIES`` report it as lost."""
        turn.deaths += 1
        if turn.deaths < TRIES:
            self._again.append(turn)
            return
        for outcome in self._work.lost(turn.chunk):
            self._tell(outcome)
