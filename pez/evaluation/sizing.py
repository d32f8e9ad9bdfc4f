"""How much work a plan is, and how long a million pictures would take at the measured pace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pez.evaluation.kinds import KINDS, all_kinds
from pez.evaluation.plan import Plan
from pez.evaluation.store import Store
from pez.evaluation.units import Node, Original

MANY = 1_000_000


@dataclass(frozen=True)
class Size:
    """Units of one kind: how many there are, are done and failed, and measured seconds per
    unit and per item (0 if none was measured).
    """

    kind: str
    units: int
    done: int
    failed: int
    seconds_a_unit: float
    seconds_an_item: float


def sizes(nodes: Sequence[Node], store: Store) -> list[Size]:
    """One for each kind. An item's seconds are a unit's mean times the number of its units, method
    by method, as methods differ in cost and some units may be missing.
    """
    originals = [node.subject.original for node in nodes]
    items = len({(o.dataset, o.split, o.item) for o in originals})
    seen: dict[str, str] = {}
    groups: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        for unit in node.units():
            if unit.key not in seen:
                seen[unit.key] = unit.kind
                way = (node.way.label, node.way.length) if unit.kind == "prompt" else ""
                groups.setdefault((unit.kind, str(way)), []).append(unit.key)
    out = []
    for kind in KINDS:
        count = done = failed = 0
        total = measured = an_item = 0.0
        for (own, _), keys in groups.items():
            if own != kind:
                continue
            records = [record for key in keys if (record := store.get(kind, key))]
            good = [record.seconds for record in records if not record.error]
            count, done, failed = (
                count + len(keys),
                done + len(good),
                failed + len(records) - len(good),
            )
            total, measured = total + sum(good), measured + len(good)
            an_item += sum(good) / len(good) * len(keys) / items if good else 0.0
        mean = total / measured if measured else 0.0
        out.append(Size(kind, count, done, failed, mean, an_item))
    return [size for size in out if size.units]


def sizing_note(listed: Sequence[Size]) -> str:
    """Units by kind, and the time for ``MANY`` items on one such worker."""
    lines, names = [], {kind.name: kind.title for kind in all_kinds()}
    for size in listed:
        pace = f", {size.seconds_a_unit:.3f} s a unit" if size.seconds_a_unit else ""
        failed = f", {size.failed} failed" if size.failed else ""
        lines.append(f"{names[size.kind]}: {size.units} units, {size.done} done{failed}{pace}")
    unknown = [names[s.kind] for s in listed if s.units and not s.seconds_an_item]
    each = sum(size.seconds_an_item for size in listed)
    if each:
        hours = each * MANY / 3600
        lines.append(
            f"{each:.2f} s an item on one worker like those measured: {MANY:,} items would take "
            f"{hours:,.0f} hours of one, {hours / 100:,.0f} of a hundred."
        )
    if unknown:
        lines.append(f"not measured yet: {', '.join(unknown)}.")
    return "\n".join(lines)


def placeholders(plan: Plan) -> list[Original]:
    """Placeholder originals before any was drawn: as many as the plan may draw, all different
    and all with a caption and a prompt, so that the counts are upper bounds.
    """
    out = []
    for place, data in enumerate(plan.data):
        for split in data.split:
            for n in range(1 if data.labelled else data.count):
                name = data.dataset if data.labelled else f"{place}-{split}-{n}"
                texts = (f"a caption of {name}", f"a prompt of {name}", data.seed)
                first = Original(data.dataset, split, name, name, "", *texts)
                words = f"words of {place}-{split}" if data.training else ""
                out.append(replace(first, captions=texts[:1], frequent=words))
    return out
