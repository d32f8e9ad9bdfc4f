"""Batches of the harness as work for a pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pez.evaluation.bench import Bench
from pez.evaluation.store import Record
from pez.evaluation.units import Batch, batch_id
from pez.evaluation.work import work
from pez.workers.pool import TRIES, Stopped, Tell

Told = tuple[Record, dict[str, bytes]]  # a unit's record and its files by suffix


@dataclass(frozen=True)
class Evaluating:
    """Batches (:func:`pez.evaluation.work.work`) for a pool
    (:class:`pez.workers.pool.Work`); an outcome is ``Told``.
    """

    def open(self, device: str) -> Bench:
        """Models are loaded as batches need them."""
        return Bench(device)

    def do(
        self,
        held: Bench,
        chunk: Batch,
        tell: Tell,
        look: Callable[[float], None],
        stopped: Stopped,
    ) -> None:
        """Do a batch. Units are stored one by one, so a stop just ends the worker."""
        work(chunk, held, lambda record, files: tell((record, files)), look)

    def lost(self, chunk: Batch) -> Iterator[Told]:
        """All its units failed."""
        keys = [task.key for task in chunk.tasks]
        why = f"the worker died {TRIES} times over this batch of {len(keys)}; memory may be short."
        for task in chunk.tasks:
            yield Record(chunk.kind, task.key, task.spec, {}, why, 0.0, batch_id(keys)), {}
