"""Inputs of one command shared out to a pool: each is told once, whatever was done twice."""

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
    """What came of the input at ``place``: ``what``, or nothing and why in ``said``. Without a
    place it is only a remark, which with ``once`` any worker may make but people need once.
    """

    place: int = -1
    what: Any = None
    said: str = ""
    once: bool = False


@dataclass(frozen=True)
class Far:
    """How far a chunk is: the share of it that is done, and what a bar shows beside."""

    share: float
    shown: Any = None


@dataclass(eq=False)
class Share:
    """Takes outcomes and tells the caller: ``done`` of each input's, ``failed`` why there is
    none, ``note`` what else was said, ``progress`` how much is done of all, counted in inputs.
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
        """Take one outcome; those of an input that has one already are dropped."""
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
    """Chunks of ``inputs`` for so many workers, in order, a multiple of ``step`` long."""
    size = min(MOST, -(-len(inputs) // (TURNS * workers)))
    size = -(-max(size, 1) // step) * step
    for start in range(0, len(inputs), size):
        yield tuple(inputs[start : start + size])
