"""Which units are missing, grouped into batches that need the same model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pez.evaluation.kinds import all_kinds
from pez.evaluation.kinds.kind import Group, Kind
from pez.evaluation.kinds.ready import Ready
from pez.evaluation.plan import Plan
from pez.evaluation.store import Record, Store
from pez.evaluation.units import Batch, Node, batch_id


@dataclass(frozen=True)
class Stage:
    """One kind of unit, all of which can be done once the stages before it are: how many are
    missing, and the batches that do them.
    """

    kind: Kind
    missing: int
    batches: Iterator[Batch]


@dataclass(frozen=True, eq=False)
class Missing:
    """Reads the store to tell what is missing. With ``retry`` failed units count as missing;
    with ``gpu`` batches have the size for a GPU.
    """

    plan: Plan
    store: Store
    nodes: Sequence[Node]
    gpu: bool = False
    retry: bool = False

    def stages(self) -> Iterator[Stage]:
        """The stages in order; each is looked up when the one before it was done."""
        for kind in all_kinds():
            found = [b for group in kind.groups(self._ready) for b in self._batches(kind, group)]
            yield Stage(kind, sum(count for count, _ in found), (make() for _, make in found))

    @cached_property
    def _ready(self) -> Ready:
        return Ready(self.plan, self.store, self.nodes)

    def _batches(self, kind: Kind, group: Group) -> list[tuple[int, Callable[[], Batch]]]:
        """For each batch, how many units are missing and what builds it.

        Batches are cut at fixed places of the plan. A batch that a kill left incomplete is redone
        as a whole, because the last digits of its numbers depend on which units are done
        together: so the store ends up as it would have without the kill.
        """
        pairs = list({unit.key: (unit, place) for unit, place in group.pairs}.values())
        size, out = kind.size_gpu if self.gpu else kind.size, []
        for start in range(0, len(pairs), size):
            chunk = pairs[start : start + size]
            found = [self.store.get(kind.name, unit.key) for unit, _ in chunk]
            lacks = [self._lacks(record) for record in found]
            if not any(lacks):
                continue
            own = batch_id([unit.key for unit, _ in chunk])
            cut = all(record and record.batch == own for record in found if record)
            chosen = [pair for pair, lack in zip(chunk, lacks, strict=True) if lack]
            if cut and not (self.retry and any(record and record.error for record in found)):
                chosen = chunk

            def make(chosen: Sequence = chosen) -> Batch:  # with all it needs, read from the store
                tasks = tuple(kind.task(self._ready, unit, place) for unit, place in chosen)
                return Batch(kind.name, group.how, group.options, tasks, group.title)

            out.append((sum(lacks), make))
        return out

    def _lacks(self, record: Record | None) -> bool:
        return record is None or (self.retry and bool(record.error))
