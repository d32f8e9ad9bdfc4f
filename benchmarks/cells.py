"""The cells of a factorial plan: step rule x start x form, each with its settings, and rivals."""

from __future__ import annotations

import itertools
import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.running import Way, steps_within
from pez.methods import METHODS, method_class
from pez.methods.settings import defaults
from pez.options import InvertOptions
from pez.search.init import STARTS

OWN = "own"  # the start of a method that takes none of STARTS
NO_STEP = "no step"  # the start alone, as one step of the method random reads it


@dataclass(frozen=True)
class Cell:
    """One place of the table. ``budgets`` are the passes at which it is read, or where it is
    ``timed`` the seconds for which it runs. A ``caption`` is what the prompt begins with: the best
    of a list for each picture.
    """

    block: str
    method: str
    start: str
    form: str
    way: Way
    budgets: tuple[float, ...]
    timed: bool = False
    caption: bool = False
    items: int = 0  # pictures; 0 is all
    seeds: int = 0  # 0 is all


@dataclass(frozen=True)
class Entry:
    """A method of the plan: settings in every cell (``set``), those that make it take a start
    (``take``), values of settings to choose from (``grid``), and its authors' own (``authors``).
    With ``items`` and ``seeds`` a slow one is searched on fewer pictures, with fewer seeds.
    """

    name: str
    set: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    grid: Mapping[str, Sequence[Any]] | None = None
    authors: tuple[str, ...] = ()
    items: int = 0
    seeds: int = 0

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Entry:
        listed: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in table.items()
        }
        return cls(**listed)

    def starts(self, asked: Sequence[str]) -> list[str]:
        """Those of the ``asked`` starts that it takes, and its own if it has one."""
        takes = not method_class(self.name)().own_start
        out = list(asked) if takes or self.take else []
        return out if takes else [*out, OWN]

    def settings(self, start: str) -> tuple[str, ...]:
        """The settings of every cell with that start."""
        return (*self.set, *(self.take if start in STARTS else ()))

    def trials(self, count: int, seed: int) -> list[tuple[str, ...]]:
        """``count`` settings to choose from, fewer if the grid has fewer: the method's defaults,
        those of its authors if the plan has them, and others drawn from the grid.
        """
        known, grid = defaults(method_class(self.name)), self.grid or {}
        points = [p for p in itertools.product(*grid.values()) if p]
        points = [p for p in points if list(p) != [known[name] for name in grid]]
        random.Random(f"{seed} {self.name}").shuffle(points)
        first = [(), self.authors] if self.authors else [()]
        drawn = (
            tuple(f"{name}={_text(value)}" for name, value in zip(grid, point, strict=True))
            for point in points
        )
        return list(dict.fromkeys([*first, *drawn]))[:count]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


Chosen = Mapping[tuple[str, str, float], tuple[str, ...]]  # method, start, passes -> settings


def read_chosen(path: Path) -> tuple[Chosen, list[str]]:
    """Settings by method, start and passes, and the methods in the order in which the choosing
    split puts them; nothing if there is no such file.
    """
    if not path.is_file():
        return {}, []
    with path.open("rb") as file:
        found = tomllib.load(file)
    chosen = {(r["method"], r["start"], r["passes"]): tuple(r["set"]) for r in found["chosen"]}
    return chosen, list(found["order"])


def chosen_for(
    plan: Mapping[str, Any], chosen: Chosen, method: str, start: str, budget: float
) -> tuple[str, ...]:
    """The settings of a method at a start and budget: those chosen at the largest budget that is
    no larger, at that start or else at the last one; none of its own where none were chosen.
    """
    known = [b for b in plan["splits"]["choose"]["passes"] if b <= budget] or [0]
    for place in (start, plan["chosen_at"][-1]):
        if (method, place, max(known)) in chosen:
            return chosen[method, place, max(known)]
    return ()


def cells_of(plan: Mapping[str, Any], chosen: Chosen, order: Sequence[str]) -> list[Cell]:
    """All cells: the factorial table at the budgets ``passes``, the best few of the choosing split
    at ``more`` passes, the same in several models, and the rivals.
    """
    entries = [Entry.of(table) for table in plan["methods"]]
    few = [name for name in order if name not in plan["always"]][: plan["few"]]
    few = [*plan["always"], *few]
    one, several = tuple(plan["models"]), tuple(plan["several"])
    cells = []
    for entry in entries:
        for start in entry.starts(plan["starts"]):
            for form, options in plan["forms"].items():
                if start not in options.get("starts", (start,)):
                    continue
                style = {k: v for k, v in options.items() if k != "starts"}
                place = start, form
                cells += _cell(plan, chosen, entry, place, style, one, plan["passes"])
                if form == plan["baseline"][2] and start in (OWN, plan["baseline"][1]):
                    cells += _timed(plan, chosen, entry, place, style)
                at = entry.name in few and form == plan["baseline"][2]
                if at and start in (OWN, *plan["long_starts"]):
                    cells += _cell(plan, chosen, entry, place, style, one, plan["more"])
                    both = [*plan["passes"][-1:], *plan["more"]]
                    cells += _cell(plan, chosen, entry, place, style, several, both)
    return cells + _no_step(plan) + _rivals(plan)


def _cell(
    plan: Mapping[str, Any],
    chosen: Chosen,
    entry: Entry,
    place: tuple[str, str],
    style: Mapping[str, Any],
    models: tuple[str, ...],
    budgets: Sequence[float],
) -> list[Cell]:
    """A cell, or one for each budget if the method plans its steps ahead or has settings of its own
    for each.
    """
    start, form = place
    by_settings: dict[tuple[str, ...], list[float]] = {}
    for budget in budgets:
        settings = chosen_for(plan, chosen, entry.name, start, budget)
        by_settings.setdefault(settings, []).append(budget)
    block = "cells" if models == tuple(plan["models"]) else "several"
    out = []
    for settings, mine in by_settings.items():
        own = _options(plan, entry, start, style, settings)
        for some in [(b,) for b in mine] if plans_ahead(own) else [tuple(mine)]:
            steps = steps_within(own, len(models), max(some))
            way = Way(entry.name, models, replace(own, steps=steps))
            seeds = entry.seeds or plan.get("fewer_seeds", {}).get(start, 0)
            cell = Cell(block, entry.name, start, form, way, some, seeds=seeds)
            out.append(replace(cell, items=entry.items))
    return out


def _timed(
    plan: Mapping[str, Any],
    chosen: Chosen,
    entry: Entry,
    place: tuple[str, str],
    style: Mapping[str, Any],
) -> list[Cell]:
    """A cell that runs for some seconds, with the settings of the largest budget that were chosen;
    one for each budget if the method plans its steps ahead.
    """
    start, form = place
    settings = chosen_for(plan, chosen, entry.name, start, max(plan["passes"]))
    own = _options(plan, entry, start, style, settings)
    budgets = plan["seconds"]
    parts = [(b,) for b in budgets] if plans_ahead(own) else [tuple(budgets)]
    way = Way(entry.name, tuple(plan["models"]), own)
    cell = Cell("timed", entry.name, start, form, way, (), timed=True)
    cell = replace(cell, items=entry.items, seeds=entry.seeds or plan.get("seconds_seeds", 0))
    return [replace(cell, budgets=some) for some in parts]


def _options(
    plan: Mapping[str, Any],
    entry: Entry,
    start: str,
    style: Mapping[str, Any],
    settings: Sequence[str],
) -> InvertOptions:
    return options_of(
        plan,
        method=entry.name,
        set=(*entry.settings(start), *settings),
        init=start if start in STARTS else "random",
        **style,
    )


def options_of(plan: Mapping[str, Any], **given: Any) -> InvertOptions:
    """Options of a search with those of the plan, and with its language model if it reads one."""
    own = InvertOptions(history=True, **{"length": plan["length"], **plan["options"], **given})
    if own.fluency or method_class(own.method).reads_language:
        return replace(own, language_model=plan.get("language", ""))
    return own


def plans_ahead(options: InvertOptions) -> bool:
    """Whether a method's first steps depend on how many are to follow, so that a short run is not
    the beginning of a long one.
    """
    known = defaults(method_class(options.method))
    schedule = dict(text.split("=", 1) for text in options.set).get("schedule")
    return "steps" in known and (schedule or known.get("schedule")) != "constant"


def _no_step(plan: Mapping[str, Any]) -> list[Cell]:
    """Each start alone."""
    out = []
    for start in plan["starts"]:
        for form, options in plan["forms"].items():
            if start not in options.get("starts", (start,)):
                continue
            style = {k: v for k, v in options.items() if k != "starts"}
            own = options_of(plan, method="random", init=start, steps=1, **style)
            way = Way(NO_STEP, tuple(plan["models"]), own)
            seeds = plan.get("fewer_seeds", {}).get(start, 0)
            out.append(Cell("cells", NO_STEP, start, form, way, tuple(plan["passes"]), seeds=seeds))
    return out


def _rivals(plan: Mapping[str, Any]) -> list[Cell]:
    """Methods as their authors run them, and others with settings of their own."""
    out = []
    for row in plan.get("rivals", ()):
        models = tuple(row.get("models", plan["models"]))
        own = options_of(
            plan, method=row["name"], set=tuple(row.get("set", ())), **row.get("options", {})
        )
        steps = row.get("steps") or steps_within(own, len(models), row["passes"])
        way = Way(row["label"], models, replace(own, steps=steps))
        out.append(
            Cell(
                "long" if row.get("long") else "rivals",
                row["label"],
                row.get("start", ""),
                row.get("form", ""),
                way,
                (row["passes"],),
                caption=row.get("caption", False),
                items=row.get("items", 0),
                seeds=row.get("seeds", 0),
            )
        )
    return out


def missing_starts(plan: Mapping[str, Any]) -> list[str]:
    """Why some cells of the table are empty or of less: methods that take no start of the plan, or
    are slow.
    """
    out = []
    for entry in map(Entry.of, plan["methods"]):
        own = method_class(entry.name)().own_start
        if own and not entry.take:
            out.append(f"`{entry.name}` begins at {own}, whatever the start.")
        elif own:
            out.append(f"`{entry.name}` by itself begins at {own} (start `{OWN}`).")
        if entry.items:
            least = entry.seeds or len(plan["seeds"])
            out.append(
                f"`{entry.name}` is slow: {entry.items} pictures and {least} seed(s); differences "
                "are to the same pictures and seeds of the baseline."
            )
    planned = {entry["name"] for entry in plan["methods"]}
    left = [name for name in METHODS if name not in planned]
    # a plan's forms are words and phrases
    sentences = [name for name in left if method_class(name).usual_style == "sentence"]
    out += [f"`{name}` writes sentences; see `fluency.md`." for name in sentences]
    return out + [f"`{name}` is not in the plan." for name in left if name not in sentences]
