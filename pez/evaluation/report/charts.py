"""Line charts: what they show, computed from rows, and drawn as SVG without any library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from markupsafe import Markup

from pez.evaluation.report.rows import (
    NOT_SEARCHED,
    Row,
    by_dataset,
    by_setting,
    is_small,
    number,
    setting_of,
    settings,
    unique,
)
from pez.evaluation.report.summary import Summary, all_metrics
from pez.evaluation.report.tables import view_title

LINES = 6  # distinguishable colours and dashes
POINTS = 120  # of a line; more would only enlarge the file
WIDE, TALL, LEFT, BELOW, ABOVE, RIGHT = 400, 250, 48, 38, 10, 14
INSET = 12  # room for labels at the ends of the axis


@dataclass(frozen=True)
class Curve:
    """One line: its points, and the interval at each if there is one."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()


@dataclass(frozen=True)
class Chart:
    """Curves over one pair of axes."""

    title: str
    across: str
    up: str
    curves: tuple[Curve, ...]
    small: bool


def search_charts(rows: Sequence[Row]) -> list[Chart]:
    """Best score so far over the steps, mean over prompts, for those whose history was stored.

    A search that stopped early keeps its best score to the end of the line. One chart for each
    data set and searched model, as scores of different models are not on one scale.
    """
    kept = [row for row in rows if scores_of(row)]
    charts = []
    for dataset, group in by_dataset(kept).items():
        for model in unique(setting_of(row).search_model for row in group):
            mine = by_setting(row for row in group if setting_of(row).search_model == model)
            curves = [_mean_best(s.name(), mine[s]) for s in settings(kept) if s in mine]
            title = f"{dataset}, searched on {model}" if model else dataset
            charts += _charts(title, "step", "best score so far", curves, is_small(model))
    return charts


def length_charts(summaries: Iterable[Summary]) -> list[Chart]:
    """The headline metric of one view over the length in tokens, or over the ratio to the long
    prompt's, for each data set, where a method has several.
    """
    charts = []
    known = [s for s in summaries if _size(s) is not None and s.headline in s.figures]
    for dataset in unique(s.dataset for s in known):
        mine = [s for s in known if s.dataset == dataset]
        many = len({s.setting.search_model for s in mine} - {NOT_SEARCHED}) > 1
        curves = []
        for method, model in unique((s.setting.method, s.setting.search_model) for s in mine):
            line = [
                s for s in mine if (s.setting.method, s.setting.search_model) == (method, model)
            ]
            figures = [s.figures[s.headline] for s in line]
            if len(line) > 1:
                curves.append(
                    Curve(
                        f"{method}, {model}" if many and model else method,
                        tuple(_size(s) or 0.0 for s in line),
                        tuple(f.mean for f in figures),
                        tuple(f.low for f in figures),
                        tuple(f.high for f in figures),
                    )
                )
        label = all_metrics()[mine[0].headline].label
        title = f"{dataset}, {view_title(mine[0].view)}"
        ratios = any(s.setting.ratio is not None for s in mine)
        across = "length as a share of the long prompt's" if ratios else "length in tokens"
        charts += _charts(title, across, label, curves, any(s.small for s in mine))
    return charts


def _size(summary: Summary) -> float | None:
    """The length of a setting, or its ratio."""
    size = summary.setting.ratio
    size = summary.setting.length if size is None else size
    return None if size is None else float(size)


def _charts(
    title: str, across: str, up: str, curves: Sequence[Curve], small: bool
) -> Iterable[Chart]:
    """As many charts as it takes to keep lines distinguishable."""
    for first in range(0, len(curves), LINES):
        part = f"{title} ({first // LINES + 1})" if len(curves) > LINES else title
        yield Chart(part, across, up, tuple(curves[first : first + LINES]), small)


def scores_of(row: Row) -> list[float]:
    """The scores of each step: a list of numbers, or of steps as a Result keeps them."""
    steps = row.get("history") or []
    values = [number(step.get("score") if isinstance(step, dict) else step) for step in steps]
    return [value for value in values if value is not None]


def _mean_best(name: str, rows: Iterable[Row]) -> Curve:
    """The mean of running maxima over prompts, thinned to ``POINTS``."""
    once: dict[Any, list[float]] = {}
    for row in rows:
        once.setdefault((row.get("item"), row.get("seed")), list(accumulate(scores_of(row), max)))
    longest = max(map(len, once.values()))
    full = [best + [best[-1]] * (longest - len(best)) for best in once.values()]
    means = [sum(values) / len(values) for values in zip(*full, strict=True)]
    stride = max(1, math.ceil(longest / POINTS))
    at = unique([*range(0, longest, stride), longest - 1])
    return Curve(name, tuple(float(n + 1) for n in at), tuple(means[n] for n in at))


def svg(chart: Chart) -> Markup:
    """The chart as inline SVG; colours come from the page's classes ``s0`` to ``s5``."""
    xs = [x for curve in chart.curves for x in curve.xs]
    ys = [y for c in chart.curves for y in (*c.ys, *c.lows, *c.highs) if not math.isnan(y)]
    ticks = ticks_of(min(ys), max(ys))
    low, high = min(ticks[0], min(ys)), max(ticks[-1], max(ys))
    left, right = min(xs), max(xs)

    def x_at(x: float) -> float:
        share = (x - left) / (right - left) if right > left else 0.5
        return LEFT + INSET + share * (WIDE - LEFT - RIGHT - 2 * INSET)

    def y_at(y: float) -> float:
        share = (y - low) / (high - low) if high > low else 0.5
        return TALL - BELOW - share * (TALL - BELOW - ABOVE)

    digits = decimals(ticks)
    parts = [_grid_line(y_at(tick), f"{tick:.{digits}f}".replace("-", "−")) for tick in ticks]
    marked = len(unique(xs)) <= 8
    for x in unique(sorted(xs)) if marked else [left, (left + right) / 2, right]:
        anchor = "end" if x == right and not marked else "middle"
        parts.append(_text(x_at(x), TALL - BELOW + 16, f"{x:g}" if marked else f"{x:.0f}", anchor))
    for n, curve in enumerate(chart.curves):
        aside = 4 * (n - (len(chart.curves) - 1) / 2) if curve.lows else 0.0  # bars side by side
        at = [x_at(x) + aside for x in curve.xs]
        for x, bottom, top in zip(at, curve.lows, curve.highs, strict=False):
            if math.isnan(bottom):  # of one item: no interval
                continue
            line = '<path class="bar s{}" d="M{:.1f} {:.1f}V{:.1f}"/>'
            parts.append(Markup(line).format(n, x, y_at(bottom), y_at(top)))
        spots = list(zip(at, map(y_at, curve.ys), strict=True))
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(Markup('<polyline class="line s{}" points="{}"/>').format(n, points))
        for x, y in spots if marked else spots[-1:]:
            dot = '<circle class="dot s{}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>'
            parts.append(Markup(dot).format(n, x, y))
    parts.append(_text((LEFT + WIDE - RIGHT) / 2, TALL - 4, chart.across, "middle"))
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDE, TALL, told(chart), Markup("").join(parts)
    )


def told(chart: Chart) -> str:
    """The chart in words, for those who cannot see it."""
    ends = [
        f"{c.name}: {c.ys[0]:.3f} at {c.xs[0]:g}, {c.ys[-1]:.3f} at {c.xs[-1]:g}"
        for c in chart.curves
    ]
    return f"{chart.title}: {chart.up} over {chart.across}. {'; '.join(ends)}."


def ticks_of(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers that span ``low`` to ``high``."""
    span = high - low or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / most))
    while span / step > most:
        step *= 2.5 if round(step / 10 ** math.floor(math.log10(step))) == 2 else 2
    first, last = math.floor(low / step), math.ceil(high / step)
    return [n * step for n in range(first, last + 1)]


def decimals(ticks: Sequence[float]) -> int:
    """How many decimals distinguish the ticks."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _grid_line(y: float, label: str) -> Markup:
    line = Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, y, WIDE - RIGHT)
    return line + _text(LEFT - 6, y + 4, label, "end")


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    spot = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return spot.format(x, y, anchor, text)
