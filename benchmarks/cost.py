"""What a factorial plan takes: a few steps of each cell, timed, and the rest by arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
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
    speeds: dict[tuple[str, ...], tuple[float, float]] = {}
    minutes: dict[tuple[str, str], float] = {}
    for batch in batches:
        cell = batch.cell
        key = (cell.way.label, cell.form, *cell.way.models)
        if key not in speeds:
            speeds[key] = _speed(batch, work)
        start, each = speeds[key]
        spent = start + each * passes_of(cell) * (cell.items or pictures)
        place = cell.block, cell.method
        minutes[place] = minutes.get(place, 0.0) + spent / 60
    lines = ["| block | method | passes a second | minutes of one core |", "|---|---|---|---|"]
    for (block, method), spent in minutes.items():
        some = [1 / each for key, (_, each) in speeds.items() if key[0] == method and each]
        speed = f"{sum(some) / len(some):,.0f}" if some else ""
        lines.append(f"| {block} | {method} | {speed} | {spent:.1f} |")
    lines += [
        "",
        f"{len(batches)} batches, {sum(minutes.values()):.0f} minutes of one core in all.",
    ]
    return "\n".join(lines)


def passes_of(cell: Cell, steps: int = 0) -> int:
    """The passes of one picture in a cell, or in its first ``steps`` steps."""
    options = cell.way.options
    method, slots, many = open_method(options), slots_of(options), len(cell.way.models)
    return spent_by(method, many, slots, steps or options.steps, options.fluency > 0)


def _speed(batch: Any, work: Work) -> tuple[float, float]:
    """Seconds of a batch before its steps, and those of one pass of one picture."""
    ends = []
    for steps in (1, FEW):
        way = batch.cell.way
        way = replace(way, options=replace(way.options, steps=steps))
        most = passes_of(batch.cell, steps)
        cell = replace(batch.cell, way=way, budgets=(most,), timed=False)
        rows = [row for row in work(replace(batch, cell=cell)) if "error" not in row]
        if not rows:
            return 0.0, 0.0
        ends.append((most, rows[0]["seconds"], len(rows)))
    (few, first, count), (more, last, _) = ends
    each = max(0.0, last - first) / (more - few)
    return max(0.0, first - each * few) * count, each
