"""``pez.evaluate``: from a plan to a folder with all its units done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.evaluation.batches import Missing
from pez.evaluation.damage import forget_damaged
from pez.evaluation.expand import expand
from pez.evaluation.given import read_given
from pez.evaluation.kinds import make_kind
from pez.evaluation.originals import draw_originals
from pez.evaluation.plan import Plan
from pez.evaluation.plan_file import read_plan
from pez.evaluation.show import Listener
from pez.evaluation.store import INDEX, Record, Store
from pez.evaluation.subjects import subjects
from pez.evaluation.table import read_rows
from pez.evaluation.tasks.task import plain_subject
from pez.evaluation.units import Batch, Node
from pez.evaluation.workers import Evaluating, Told
from pez.models.identity import identities
from pez.workers.choose import open_pool, read_workers
from pez.workers.pool import Pool

PACKAGES = ("torch", "open_clip_torch", "transformers", "diffusers", "numpy", "pez-prompts")


def evaluate(
    plan: Plan | str | Path,
    folder: str | Path,
    *,
    workers: int | str | Pool = 1,
    prompts: str | Path = "",
    retry: bool = False,
    device: str = "auto",
    listener: Listener | None = None,
) -> list[dict[str, Any]]:
    """Do what is missing of a plan and return the table's rows (:func:`table.columns`).

    ``plan`` is a file or a read plan, ``folder`` where all results are stored; finished units
    are not redone. ``workers`` is a number of processes, ``ray``, ``ray:ADDRESS``, or an open
    pool, which is closed at the end. ``prompts`` is a CSV file of prompts made elsewhere
    (:func:`given.read_given`); ``retry`` redoes what failed.
    A unit that fails is recorded with its reason. Pictures in ``folder`` that were lost or damaged
    are made again. PezError for an invalid plan, a data set that is not available, or a folder that
    cannot be written, is another run's at the moment, or holds files of other origin.
    """
    plan = plan if isinstance(plan, Plan) else read_plan(plan)
    store, listener = Store(folder), listener or Listener()
    store.create()
    with store.locked():
        return _evaluate(plan, store, workers, prompts, retry, device, listener)


def _evaluate(
    plan: Plan,
    store: Store,
    workers: int | str | Pool,
    prompts: str | Path,
    retry: bool,
    device: str,
    listener: Listener,
) -> list[dict[str, Any]]:
    """:func:`evaluate` in its folder."""
    pool = workers
    if isinstance(pool, int | str):
        pool = open_pool(read_workers(pool), Evaluating(), device)
    try:
        nodes = prepare(plan, store, prompts, retry, listener)
        forget_damaged(nodes, store, retry)
        keeper = _Keeper(store, listener)
        keeper.keep_given(nodes)
        missing = Missing(plan, store, nodes, _on_gpu(device), retry)
        for stage in missing.stages():
            if stage.missing:
                listener.stage(stage.kind.title, stage.missing)
                pool.run(keeper.seen(stage.batches), keeper.tell, keeper.look)
    finally:
        pool.close()
        listener.close()
    return read_rows(store)


def prepare(
    plan: Plan,
    store: Store,
    prompts: str | Path = "",
    retry: bool = False,
    listener: Listener | None = None,
) -> list[Node]:
    """Draw the data, expand the plan and write down both."""
    notice = listener.notice if listener else None
    originals = draw_originals(plan, store, retry, notice)
    listed = subjects(plan, originals)
    file, given = prompts or plan.prompts, []
    if file:
        known = [subject.original for subject in listed]
        found, given = read_given(file, known, store)
        new = found[len(known) :]
        if new and not plan.task.single:
            raise PezError(
                f"{file} names {new[0].item!r}, which the task {plan.task.name} does not have; its "
                f"items have names such as {known[0].item if known else ''!r}."
            )
        listed += map(plain_subject, new)
    if listener:
        listener.notice("expanding the plan", 0, 0)
    nodes = expand(plan, listed, identities(), given)
    if not nodes:
        raise PezError("the plan asks for no prompts; add [[methods]], baselines or --prompts.")
    store.put_plan(plan.text)
    store.put_text(INDEX, "".join(line for node in nodes for line in node.lines()))
    about = {"plan": asdict(replace(plan, text="")), "prompts": str(file), "versions": versions()}
    store.put_text("plan.json", json.dumps(about, ensure_ascii=False, indent=1) + "\n")
    return nodes


def versions() -> dict[str, str]:
    """Versions that the numbers depend on."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):  # pez itself may run from a bare checkout
            found[name] = version(name)
    return found


@dataclass(eq=False)
class _Keeper:
    """Puts outcomes into the store, each unit's once, and shows progress."""

    store: Store
    listener: Listener

    def keep_given(self, nodes: Sequence[Node]) -> None:
        """Prompts that need no search, and those of items that could not be read."""
        for node in nodes:
            unit, error = node.unit, node.subject.original.error
            if (error or node.way.how == "text") and not self.store.get("prompt", unit.key):
                out = {} if error else {"prompt": unit.spec["text"]}
                self._put(Record("prompt", unit.key, unit.spec, out, error), {})

    def seen(self, batches: Any) -> Any:
        """``batches`` as they are, shown as they begin."""
        for batch in batches:
            self.listener.begin(batch.title)
            yield batch

    def tell(self, told: Told) -> None:
        """Store an outcome unless the unit is done already."""
        record, files = told
        before = self.store.get(record.kind, record.key)
        if before is None or (before.error and before != record):
            self._put(record, files)
            self.listener.step(bool(record.error))

    def look(self, batch: Batch, part: float) -> None:
        """Show a batch's progress."""
        self.listener.part(part * len(batch.tasks))

    def _put(self, record: Record, files: dict[str, bytes]) -> None:
        self.store.put(make_kind(record.kind).kept(record), files)


def _on_gpu(device: str) -> bool:
    from pez.models.devices import pick_device

    return pick_device(device).type != "cpu"
