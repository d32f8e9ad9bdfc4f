"""Inputs of one command distributed to a pool; each outcome is reported once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pez.workers.pool import TRIES, Pool

MOST = 64  # inputs of a chunk: more at once make no step cheaper
TURNS = 2  # chunks for a worker, so that a slow one does not keep all others waiting
LOST = f"the worker died {TRIES} times; memory may be short, so try fewer --workers."


class Input(Protocol):
    """One input of a chunk."""

    @property
    def place(self) -> int:
        """Its place among the inputs."""
        ...


I = TypeVar("I", bound=Input)  # noqa: E741


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of the input at ``place``: ``what``, or the reason for none in ``said``.
    Without a place it is only a remark; with ``once`` several workers may make it, and it is
    shown once.
    """

    place: int = -1
    what: Any = None
    said: str = ""
    once: bool = False


@dataclass(frozen=True)
class Far:
    """A chunk's progress: the share that is done, and what a bar shows beside it."""

    share: float
    shown: Any = None


@dataclass(eq=False)
class Share:
    """Passes outcomes to the caller: ``done`` gets each input's, ``failed`` the reason for none,
    ``note`` other remarks, ``progress`` how much of the whole is done, counted in inputs.
    """

    done: Callable[[int, Any], None]
    failed: Callable[[int, str], None]
    note: Callable[[str], None]
    progress: Callable[[float, int, Any], None] | None = None
    _ended: set[int] = field(default_factory=set)
    _said: set[str] = field(default_factory=set)
    _far: dict[int, tuple[Sequence[Input], float]] = field(default_factory=dict)

    def run(
        self, pool: Pool, chunks: Iterator[Sequence[Input]], stopped: Callable[[], bool]
    ) -> None:
        """Do all ``chunks`` with ``pool`` until ``stopped``."""
        pool.run(chunks, self.tell, self.look if self.progress else None, stopped)

    def tell(self, outcome: Outcome) -> None:
        """Take one outcome; a second one of the same input is dropped."""
        if outcome.place < 0:
            if not (outcome.once and outcome.said in self._said):
                self.note(outcome.said)
            self._said.add(outcome.said)
        elif outcome.place not in self._ended:
            self._ended.add(outcome.place)
            if outcome.what is None:
                self.failed(outcome.place, outcome.said)
            else:
                self.done(outcome.place, outcome.what)

    def look(self, chunk: Sequence[Input], far: Far) -> None:
        """Add up how far the chunks are; the inputs that have ended count whole."""
        self._far[chunk[0].place] = chunk, far.share
        parts = 0.0
        for inputs, share in self._far.values():
            left = sum(one.place not in self._ended for one in inputs)
            parts += max(share * len(inputs) - (len(inputs) - left), 0.0)
        if self.progress:
            self.progress(len(self._ended) + parts, len(self._ended), far.shown)


def cut(inputs: Sequence[I], workers: int, step: int = 1) -> Iterator[tuple[I, ...]]:
    """Chunks of ``inputs`` for ``workers`` workers, in order, a multiple of ``step`` long."""
    size = min(MOST, -(-len(inputs) // (TURNS * workers)))
    size = -(-max(size, 1) // step) * step
    for start in range(0, len(inputs), size):
        yield tuple(inputs[start : start + size])
