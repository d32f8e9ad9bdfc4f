"""Figures of benchmarks/factorial.py: what each cell reaches, and paired comparisons of cells."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pez.evaluation.comparisons import holm, sign_flip_test
from pez.evaluation.stats import Interval, bootstrap_mean, item_means

LEVEL = 0.05
PLACE = ("block", "method", "start", "form", "models", "axis", "budget")
Row = Mapping[str, Any]
Place = tuple[Any, ...]  # the values of PLACE


@dataclass(frozen=True)
class Figures:
    """What the prompts of a cell are: means over pictures of the means over seeds, with an
    interval for the judge's cosine; ``right`` is None where words were not counted.
    """

    prompts: int
    judge: Interval
    searched: float | None  # by the search's own score
    right: float | None
    one_right: float | None  # share of prompts with one right word or more
    rank: float  # the median
    first: float  # share of prompts that the judge ranks first
    language: float
    drafts: float
    passes: float  # those and all others
    seconds: float | None


@dataclass(frozen=True)
class Gap:
    """A mean difference over pictures, paired, its interval, and Holm's p in its family."""

    more: Interval
    p: float

    @property
    def sure(self) -> bool:
        """Whether the family's correction leaves a difference."""
        return self.p <= LEVEL


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of a run of ``plan``: single prompts, or the reason why a cell has none."""

    plan: Mapping[str, Any]
    rows: Sequence[Row]
    missing: Sequence[str] = ()  # why cells are empty
    chosen: bool = True  # whether settings were chosen
    items: int = 0  # if fewer pictures were searched

    @cached_property
    def groups(self) -> dict[Place, list[Row]]:
        """The rows of each place."""
        out: dict[Place, list[Row]] = {}
        for row in self.rows:
            if "error" not in row:
                out.setdefault(tuple(row[name] for name in PLACE), []).append(row)
        return out

    @property
    def errors(self) -> list[str]:
        """Cells that could not be searched, each reason once."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            if "error" in row:
                where = ", ".join(filter(None, (row["method"], row["start"], row["form"])))
                found.setdefault(row["error"], []).append(where)
        return [f"{'; '.join(dict.fromkeys(w))}: {reason}" for reason, w in found.items()]

    @property
    def one(self) -> str:
        """The models searched in most cells."""
        return " + ".join(self.plan["models"])

    @property
    def several(self) -> str:
        """The models searched together."""
        return " + ".join(self.plan["several"])

    @cached_property
    def methods(self) -> list[str]:
        """The methods of the table, in the plan's order; a start alone is last."""
        known = dict.fromkeys(p[1] for p in self.groups if p[0] == "cells")
        order = [entry["name"] for entry in self.plan["methods"]]
        return sorted(known, key=lambda m: order.index(m) if m in order else len(order))

    def at(
        self, method: str, start: str, form: str, axis: str, budget: float, block: str = "cells"
    ) -> Place:
        """A place of the table in one model."""
        return (block, method, start, form, self.one, axis, budget)

    def baseline(self, axis: str, budget: float, block: str = "cells") -> Place:
        """What all others are compared with."""
        method, start, form = self.plan["baseline"]
        models = self.several if block == "several" else self.one
        return (block, method, start, form, models, axis, budget)

    def budgets(self, block: str, axis: str) -> list[float]:
        """The budgets of a block."""
        return sorted({p[6] for p in self.groups if p[0] == block and p[5] == axis})

    def figures(self, place: Place) -> Figures | None:
        """The figures of a place; None if it has no prompt."""
        rows = self.groups.get(place)
        return figures_of(rows) if rows else None

    def gaps(self, pairs: Iterable[tuple[Place, Place]]) -> dict[tuple[Place, Place], Gap]:
        """The differences of pairs of places that have prompts, as one family."""
        found = {}
        for pair in pairs:
            one, other = (self.groups.get(place) for place in pair)
            if one and other and pair[0] != pair[1]:
                found[pair] = differences(one, other)
        adjusted = holm([sign_flip_test(values) for values in found.values()])
        return {
            pair: Gap(bootstrap_mean(values), p)
            for (pair, values), p in zip(found.items(), adjusted, strict=True)
        }

    def effect(self, name: str, one: str, other: str, axis: str, budget: float) -> Gap | None:
        """What the level ``one`` of ``start`` or ``form`` gives over ``other``, with all else the
        same: the mean over all methods and levels of the other factor that have both. None without
        one. ``p`` is of this effect alone.
        """
        at = PLACE.index(name)
        found: dict[int, list[float]] = {}
        for place, rows in self.groups.items():
            twin = (*place[:at], other, *place[at + 1 :])
            plain = place[0] == "cells" and place[1] != "no step" and place[5:] == (axis, budget)
            if plain and place[at] == one and twin in self.groups:
                mine, theirs = (item_means(*_judged(r)) for r in (rows, self.groups[twin]))
                for item in mine.keys() & theirs.keys():
                    found.setdefault(item, []).append(mine[item] - theirs[item])  # type: ignore
        if not found:
            return None
        values = [statistics.fmean(own) for own in found.values()]
        return Gap(bootstrap_mean(values), sign_flip_test(values))


def figures_of(rows: Sequence[Row]) -> Figures:
    """The figures of a place's rows."""
    items = [row["item"] for row in rows]

    def mean(name: str) -> float:
        return statistics.fmean(item_means([float(row[name]) for row in rows], items).values())

    counted = all(row["right"] is not None for row in rows)
    timed = all(row.get("seconds") is not None for row in rows)
    some = [float(row["right"] >= 1) for row in rows] if counted else []
    return Figures(
        len(rows),
        bootstrap_mean(*_judged(rows)),
        mean("searched") if all(row["searched"] is not None for row in rows) else None,
        mean("right") if counted else None,
        statistics.fmean(item_means(some, items).values()) if counted else None,
        statistics.median(row["rank"] for row in rows),
        statistics.fmean(item_means([float(r["rank"] == 1) for r in rows], items).values()),
        mean("language"),
        mean("drafts"),
        mean("passes"),
        mean("seconds") if timed else None,
    )


def differences(one: Sequence[Row], other: Sequence[Row]) -> list[float]:
    """The judge's cosine of ``one`` less that of ``other`` for each picture that both have, each
    the mean over the seeds that both have.
    """
    seeds = {row["seed"] for row in one} & {row["seed"] for row in other}
    if seeds:
        one = [row for row in one if row["seed"] in seeds]
        other = [row for row in other if row["seed"] in seeds]
    mine, theirs = item_means(*_judged(one)), item_means(*_judged(other))
    return [mine[item] - theirs[item] for item in mine if item in theirs]


def _judged(rows: Sequence[Row]) -> tuple[list[float], list[int]]:
    return [row["judge"] for row in rows], [row["item"] for row in rows]


def write_csv(path: Path, table: Table) -> None:
    """A line for each place: its figures, and its difference to the baseline of its block at the
    same budget, uncorrected.
    """
    head = [*PLACE, "prompts", "judge", "judge_low", "judge_high", "searched", "right_words"]
    head += ["one_right", "median_rank", "ranked_first", "language_passes", "draft_passes"]
    head += ["passes", "seconds", "more_than_baseline", "more_low", "more_high"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for place, rows in table.groups.items():
            f = figures_of(rows)
            base = table.groups.get(table.baseline(place[5], place[6], place[0]))
            more = bootstrap_mean(differences(rows, base)) if base and base is not rows else None
            judge = (f.judge.mean, f.judge.low, f.judge.high)
            cells = [*judge, f.searched, f.right, f.one_right, f.rank, f.first]
            cells += [f.language, f.drafts, f.passes, f.seconds]
            cells += [more.mean, more.low, more.high] if more else [None] * 3
            texts = ["" if value is None else f"{value:.4f}" for value in cells]
            writer.writerow([*place[:6], f"{place[6]:g}", f.prompts, *texts])
