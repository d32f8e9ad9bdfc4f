"""What a factorial plan takes: a few steps of each cell, timed, and the rest by arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.cells import Cell
from benchmarks.running import slots_of, spent_by
from pez.methods import open_method

FEW = 6  # steps that are timed
Work = Callable[[Any], list[dict[str, Any]]]  # a batch of benchmarks/factorial.py -> its rows


def table(batches: Sequence[Any], work: Work, pictures: int) -> str:
    """Markdown: passes a second of each method, and minutes of one core in all for so many
    ``pictures``. Each method is timed once for each form and models.
    """
    speeds: dict[tuple[str, ...], Speed] = {}
    minutes: dict[tuple[str, str], float] = {}
    for batch in batches:
        cell = batch.cell
        key = (cell.way.label, cell.form, *cell.way.models)
        if key not in speeds:
            speeds[key] = _speed(batch, work)
        speed, count = speeds[key], cell.items or pictures
        steps = max(cell.budgets) if cell.timed else speed.each * passes_of(cell)
        spent = speed.start + count * (steps + speed.read * len(cell.budgets))
        place = cell.block, cell.method
        minutes[place] = minutes.get(place, 0.0) + spent / 60
    lines = ["| block | method | passes a second | minutes of one core |", "|---|---|---|---|"]
    for (block, method), spent in minutes.items():
        some = [1 / speed.each for key, speed in speeds.items() if key[0] == method and speed.each]
        told = f"{sum(some) / len(some):,.0f}" if some else ""
        lines.append(f"| {block} | {method} | {told} | {spent:.1f} |")
    lines += [
        "",
        f"{len(batches)} batches, {sum(minutes.values()):.0f} minutes of one core in all.",
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Speed:
    """Seconds of a batch before its steps, of a pass of one picture, and of reading a prompt."""

    start: float = 0.0
    each: float = 0.0
    read: float = 0.0


def passes_of(cell: Cell) -> int:
    """The passes of one picture in a cell."""
    options = cell.way.options
    method, slots, many = open_method(options), slots_of(options), len(cell.way.models)
    return spent_by(method, many, slots, options.steps, options.fluency > 0)


def _speed(batch: Any, work: Work) -> Speed:
    ends = []
    for steps in (1, FEW):
        way = batch.cell.way
        way = replace(way, options=replace(way.options, steps=steps))
        most = passes_of(replace(batch.cell, way=way))
        cell = replace(batch.cell, way=way, budgets=(most,), timed=False)
        begin = time.process_time()
        rows = [row for row in work(replace(batch, cell=cell)) if "error" not in row]
        if not rows:
            return Speed()
        ends.append((most, rows[0]["seconds"], len(rows), time.process_time() - begin))
    (few, first, count, _), (more, last, _, whole) = ends
    each = max(0.0, last - first) / (more - few)
    return Speed(max(0.0, first - each * few) * count, each, max(0.0, whole / count - last))
