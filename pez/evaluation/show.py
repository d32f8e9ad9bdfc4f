"""Progress of a plan, and the summary of its table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Listener:
    """Receives a plan's progress. This one is silent; others override what they need."""

    def notice(self, text: str, done: int = 0, total: int = 0) -> None:
        """Preparation before the first stage."""

    def stage(self, title: str, missing: int) -> None:
        """A stage begins that has ``missing`` units of one kind to do."""

    def begin(self, title: str) -> None:
        """A batch begins."""

    def step(self, failed: bool) -> None:
        """A unit is done."""

    def part(self, units: float) -> None:
        """Progress of the current batch, in units."""

    def close(self) -> None:
        """All work is done."""


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """The table in a few columns: means with 95 % intervals over items, a line for each method
    and judge.
    """
    from pez.evaluation.stats import bootstrap_mean

    names = ("dataset", "split", "method", "length", "ratio", "search_model")
    names += ("generator", "judge", "against")
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    lines = [[*names, "items", "similarity", "text", "failed"]]
    for name, group in groups.items():
        cells = ["" if value is None else str(value) for value in name]
        cells.append(str(len({row["item"] for row in group})))
        for column in ("similarity", "text_score"):
            known = [(row["item"], row[column]) for row in group if row[column] is not None]
            mean = bootstrap_mean([v for _, v in known], [i for i, _ in known]) if known else None
            cells.append(str(mean) if mean else "")
        lines.append([*cells, str(sum(bool(row["error"]) for row in group) or "")])
    keep = [n for n in range(len(lines[0])) if n < 3 or any(line[n] for line in lines[1:])]
    widths = [max(len(line[n]) for line in lines) for n in keep]
    return "\n".join(
        "  ".join(line[n].ljust(w) for n, w in zip(keep, widths, strict=True)).rstrip()
        for line in lines
    )
