"""The store's flat rows as a report reads them: their settings, data sets and judges."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pez.evaluation.tasks import all_baselines
from pez.models.names import is_shipped, reads_photographs

Row = dict[str, Any]
NOT_SEARCHED = ""  # the search model of baselines that need none
JOIN = " + "  # between the models of an ensemble


class Setting(NamedTuple):
    """The setting of a table's line: a method at a length, or at a ratio to a long prompt's,
    on a searched model.
    """

    method: str
    length: int | None
    search_model: str = NOT_SEARCHED
    ratio: float | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The models searched together; none for most baselines."""
        return tuple(filter(None, self.search_model.split(JOIN)))

    @property
    def baseline(self) -> bool:
        """Whether it is a baseline."""
        return not self.search_model or self.method in all_baselines()

    def name(self, with_model: bool = False) -> str:
        """For display, such as ``pez, 8 tokens, mini``."""
        parts = [self.method]
        if self.length == 0:
            parts.append("auto length")
        elif self.length is not None:
            parts.append(f"{self.length} token{'' if self.length == 1 else 's'}")
        if self.ratio is not None:
            parts.append(f"ratio {self.ratio:g}")
        if with_model and self.search_model:
            parts.append(self.search_model)
        return ", ".join(parts)


class View(NamedTuple):
    """The generator and the judge; "" if there was none. ``against`` is what the pictures
    were compared with, if not the original.
    """

    judge: str
    generator: str
    against: str = ""


@dataclass(frozen=True)
class Failure:
    """Rows of one setting that failed for one reason, and the items they belong to."""

    setting: Setting
    reason: str
    count: int
    items: tuple[str, ...]


def number(value: Any) -> float | None:
    """A finite number, or None: failed or inapplicable values enter no mean."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def setting_of(row: Row) -> Setting:
    """The setting of a row."""
    model = str(row.get("search_model") or NOT_SEARCHED)
    return Setting(str(row["method"]), row.get("length"), model, row.get("ratio"))


def item_of(row: Row) -> tuple[str, str, str]:
    """Identity of an item: the data set, the split and its id there."""
    return str(row.get("dataset") or ""), str(row.get("split") or ""), str(row.get("item"))


def view_of(row: Row) -> View:
    """The judge and generator of a row, and what was compared with."""
    return View(*(str(row.get(name) or "") for name in View._fields))


def settings(rows: Iterable[Row]) -> list[Setting]:
    """All settings: baselines first, then as they appear, by length."""
    seen = unique(map(setting_of, rows))
    methods = unique(s.method for s in seen)
    models = unique(s.search_model for s in seen)

    def place(setting: Setting) -> tuple[bool, int, float, int]:
        length = -1 if setting.length is None else setting.length
        length = length if setting.ratio is None else setting.ratio
        method, model = methods.index(setting.method), models.index(setting.search_model)
        return not setting.baseline, method, length, model

    return sorted(seen, key=place)


def by_dataset(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by the data set's name; the split is part of it where a data set has several."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[item_of(row)[:2]].append(row)
    sets = [dataset for dataset, _ in found]
    return {
        f"{dataset}/{split}" if split and sets.count(dataset) > 1 else dataset: group
        for (dataset, split), group in found.items()
    }


def by_setting(rows: Iterable[Row]) -> dict[Setting, list[Row]]:
    """Rows by their setting."""
    found: dict[Setting, list[Row]] = defaultdict(list)
    for row in rows:
        found[setting_of(row)].append(row)
    return found


def views(rows: Sequence[Row]) -> list[View]:
    """Every judge and generator that compared something, judges never searched first.

    Without any judge, one view with none: a search alone has figures, too.
    """
    searched = {name for setting in settings(rows) for name in setting.models}
    found = unique(view_of(row) for row in rows if row.get("judge"))
    return sorted(found, key=lambda view: view.judge in searched) or [View("", "")]


def failures(rows: Iterable[Row]) -> list[Failure]:
    """What failed and why, the most frequent first."""
    found: dict[tuple[Setting, str], list[str]] = defaultdict(list)
    for row in rows:
        if row.get("error"):
            found[setting_of(row), str(row["error"])].append(str(row.get("item")))
    listed = [
        Failure(setting, reason, len(items), tuple(unique(items)))
        for (setting, reason), items in found.items()
    ]
    return sorted(listed, key=lambda failure: -failure.count)


def is_small(name: str) -> bool:
    """Whether a model is, or an ensemble holds, a shipped one: all of these are small."""
    return any(is_shipped(part.strip()) for part in name.split(JOIN))


def small_models(rows: Iterable[Row]) -> list[str]:
    """Names of small shipped models that the rows involve."""
    columns = ("search_model", "generator", "judge")
    names = unique(str(row.get(column) or "") for row in rows for column in columns)
    return sorted(name for name in names if is_small(name))


def photo_models(names: Iterable[str]) -> list[str]:
    """Those of small models, or ensembles of them, that all know real photographs."""
    return [name for name in names if all(map(reads_photographs, name.split(JOIN)))]


def unique(values: Iterable[Any]) -> list[Any]:
    """Each value once, in order."""
    return list(dict.fromkeys(values))
