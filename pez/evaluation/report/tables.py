"""From figures to tables of text, which the page and the LaTeX file both show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pez.evaluation.judges import judge_class
from pez.evaluation.report.rows import (
    NOT_SEARCHED,
    Row,
    Setting,
    View,
    by_setting,
    is_small,
    settings,
    unique,
    view_of,
)
from pez.evaluation.report.summary import Summary, all_metrics, mean_of
from pez.evaluation.stats import Interval
from pez.evaluation.tasks import ORIGINAL, all_edits
from pez.evaluation.tasks import about as about_references

NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """A figure, its interval below it, and any highlighting: "up", "down" or ""."""

    text: str
    small: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table; ``rule`` draws a line above it."""

    name: str
    cells: tuple[Cell, ...]
    rule: bool = False


@dataclass(frozen=True)
class Table:
    """A table as text. ``small`` says that small shipped models were involved."""

    key: str
    title: str
    head: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    small: bool


@dataclass(frozen=True)
class Section:
    """One judge's scores of one generator's pictures."""

    view: View
    title: str
    overview: Table
    differences: Table | None
    details: tuple[Table, ...]


@dataclass(frozen=True)
class Heat:
    """Means (searched models x judges); ``own`` marks where the judge is the searched model."""

    title: str
    judges: tuple[str, ...]
    models: tuple[str, ...]
    figures: tuple[tuple[Interval | None, ...], ...]
    own: tuple[tuple[bool, ...], ...]
    small: bool


def sections(summaries: Sequence[Summary]) -> list[Section]:
    """The tables of every view."""
    found = []
    for view in unique(s.view for s in summaries):
        mine = [s for s in summaries if s.view == view]
        tables = tuple(_details(mine, dataset) for dataset in unique(s.dataset for s in mine))
        title = view_title(view)
        found.append(Section(view, title, _overview(mine), _differences(mine), tables))
    return found


def view_title(view: View) -> str:
    """``judged by A, drawn by B, against the style``."""
    parts = [f"judged by {view.judge}"] if view.judge else []
    parts += [f"drawn by {view.generator}"] if view.generator else []
    parts += [against_text(view.against)] if view.against else []
    return ", ".join(parts) or "searches, without pictures"


def against_text(against: str) -> str:
    """``against the style``, ``after the edit swap``."""
    if "{label}" in against:
        return f"in the form {against}"
    return f"after the edit {against}" if against in all_edits() else f"against the {against}"


def _overview(mine: Sequence[Summary]) -> Table:
    """Settings × data sets: the headline metric."""
    view, metric = mine[0].view, all_metrics()[mine[0].headline]
    sets = unique(s.dataset for s in mine)
    lines = _lines(mine, lambda s: figure_cell(s.figures.get(s.headline), metric.digits), sets)
    notes = [_about(mine[0].headline, view), _INTERVAL]
    own = [s.setting.name(True) for s in mine if view.judge in s.setting.models]
    if own:
        notes.append(
            f"{view.judge} was itself searched by: {'; '.join(unique(own))}. There it is no "
            "independent judge."
        )
    title = f"{metric.label.capitalize()} by data set, {view_title(view)}"
    return _table("overview", title, (_FIRST, *sets), lines, notes, mine)


def _differences(mine: Sequence[Summary]) -> Table | None:
    """Settings × data sets: the paired difference from the baseline; None without one."""
    metric = all_metrics()[mine[0].headline]
    kept = [s for s in mine if any(o.difference for o in mine if o.setting == s.setting)]
    if not kept:
        return None
    sets = unique(s.dataset for s in kept)
    rivals = unique(s.baseline for s in kept if s.difference)
    lines = _lines(kept, lambda s: difference_cell(s.difference, metric.digits), sets)
    notes = [
        "Paired by item: only items that both have count. ▲ and ▼ mark an interval without zero.",
        _INTERVAL,
    ]
    if len(rivals) > 1:
        notes.append("Compared at the same length, or on the same searched model.")
    title = f"{metric.label.capitalize()}, difference from {' / '.join(rivals)}"
    title += f", {view_title(mine[0].view)}"
    return _table("differences", title, (_FIRST, *sets), lines, notes, kept)


def _details(mine: Sequence[Summary], dataset: str) -> Table:
    """Settings × metrics on one data set."""
    here = [s for s in mine if s.dataset == dataset]
    shown = [name for name in all_metrics() if any(name in s.figures for s in here)]
    failed = any(s.failed for s in here)
    many = _many(here)
    lines, before = [], False
    for s in here:
        cells = [figure_cell(s.figures.get(n), all_metrics()[n].digits) for n in shown]
        cells += [Cell(str(s.items)), Cell(str(s.prompts))]
        cells += [Cell(str(s.failed))] if failed else []
        rule = bool(lines) and before and not s.setting.baseline
        lines.append(Line(s.setting.name(many), tuple(cells), rule))
        before = s.setting.baseline
    head = (_FIRST, *(all_metrics()[n].label for n in shown), "items", "prompts")
    head += ("failed rows",) if failed else ()
    notes = [_about(n, mine[0].view) for n in shown]
    title = f"{dataset}, all figures, {view_title(mine[0].view)}"
    return _table(f"details-{dataset}", title, head, lines, [*notes, _INTERVAL], here)


def _about(name: str, view: View) -> str:
    """What a metric compares in a view."""
    metric, about = all_metrics()[name], all_metrics()[name].about
    pictures, prompts = about_references().get(view.against, ORIGINAL)
    if view.against and name == "similarity":
        about = f"cosine of the picture and {pictures}, under the judge"
    if view.against and name == "text_score":
        about = f"cosine of the prompt and {prompts}, under the judge"
    if name in ("similarity", "text_score"):
        about = about.replace("cosine", judge_class(view.judge).measure, 1)
    return f"{metric.label.capitalize()}: {about}."


_FIRST = "method"
_INTERVAL = "In brackets: 95% bootstrap intervals over items; none for one item or equal ones."


def _lines(mine: Sequence[Summary], cell: Any, sets: Sequence[str]) -> list[Line]:
    """One line per setting, one cell per data set; a rule where the searched methods begin."""
    by_place = {(s.setting, s.dataset): s for s in mine}
    many, lines, before = _many(mine), [], False
    for setting in _in_order(mine):
        found = [by_place.get((setting, dataset)) for dataset in sets]
        cells = tuple(cell(s) if s else Cell(NOTHING) for s in found)
        rule = bool(lines) and before and not setting.baseline
        lines.append(Line(setting.name(many), cells, rule))
        before = setting.baseline
    return lines


def _in_order(mine: Iterable[Summary]) -> list[Setting]:
    rows = [s.setting._asdict() for s in mine]
    return settings(rows)


def _many(mine: Iterable[Summary]) -> bool:
    return len({s.setting.search_model for s in mine} - {NOT_SEARCHED}) > 1


def _table(
    key: str,
    title: str,
    head: tuple[str, ...],
    lines: Sequence[Line],
    notes: Sequence[str],
    mine: Sequence[Summary],
) -> Table:
    view = mine[0].view
    key = "-".join(part for part in (key, *view) if part)
    small = any(s.small for s in mine)
    return Table(key, title, head, tuple(lines), tuple(notes), small)


def figure_cell(figure: Interval | None, digits: int) -> Cell:
    """``0.697`` over ``[0.681, 0.712]``."""
    if figure is None:
        return Cell(NOTHING)
    return Cell(written(figure.mean, digits), _interval(figure, digits))


def difference_cell(figure: Interval | None, digits: int) -> Cell:
    """``+0.021`` over its interval, marked if that is on one side of zero."""
    if figure is None:
        return Cell(NOTHING)
    low, high = round(figure.low, digits), round(figure.high, digits)  # as they are shown
    mark = "up" if low > 0 else "down" if high < 0 else ""
    mark = mark if figure.items > 1 else ""
    return Cell(written(figure.mean, digits, True), _interval(figure, digits, True), mark)


def written(value: float, digits: int, sign: bool = False) -> str:
    """A number with ``digits`` decimals and a proper minus; never a negative zero."""
    text = f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}"
    if not any(c in text for c in "123456789"):
        text = text.lstrip("+-")
    return text.replace("-", "−").replace(",", "\u202f")


def _interval(figure: Interval, digits: int, sign: bool = False) -> str:
    """The interval in brackets; nothing if it adds nothing to the mean."""
    if figure.items < 2:
        return ""
    ends = [written(v, digits, sign) for v in (figure.low, figure.high)]
    same = set(ends) == {written(figure.mean, digits, sign)}
    return "" if same else f"[{ends[0]}, {ends[1]}]"


def heats(rows: Sequence[Row], seed: int = 0) -> list[Heat]:
    """Transfer matrices, searched models x judges, for each method and length: of the similarity
    by each generator and against each reference, and of the text score. None where one judge
    read one searched model.

    Settings without a searched model are lines of every matrix.
    """
    found = []
    for metric in ("similarity", "text_score", "accuracy"):
        judged = [r for r in rows if r.get("judge") and r.get(metric) is not None]
        drawn = metric == "similarity"
        blank = {"judge": ""} if drawn else {"judge": "", "generator": ""}  # any generator
        for view in unique(view_of(r)._replace(**blank) for r in judged):
            mine = [r for r in judged if view_of(r)._replace(**blank) == view]
            found += _heats(mine, metric, view, seed)
    return found


def _heats(rows: Sequence[Row], metric: str, view: View, seed: int) -> Iterable[Heat]:
    judges, order = unique(view_of(row).judge for row in rows), settings(rows)
    models = unique(s.search_model for s in order if not s.baseline)
    if len(judges) * len(models) < 2:
        return
    groups = by_setting(rows)
    bare = [s for s in order if not s.search_model]
    for own in unique(s._replace(search_model="") for s in order if not s.baseline):
        lines = [s for s in order if s._replace(search_model="") == own and s.search_model] + bare
        figures = tuple(
            tuple(
                mean_of([r for r in groups[s] if view_of(r).judge == judge], metric, seed)
                for judge in judges
            )
            for s in lines
        )
        names = tuple(s.search_model or f"{s.name()}, not searched" for s in lines)
        title = f"{all_metrics()[metric].label.capitalize()} of {own.name()}"
        title += f", {view_title(view)}" if any(view) else ""
        searched = tuple(tuple(judge in s.models for judge in judges) for s in lines)
        small = any(map(is_small, (*models, *judges, view.generator)))
        yield Heat(title, tuple(judges), names, figures, searched, small)
